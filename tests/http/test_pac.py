"""
Tests for L{socksproxy.http.pac}.
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.http.pac import LOCAL, addressFrom, findProxyScript

ADDRESS = Destination("proxy.test", 1080)
OWN = Destination(ip_address("192.0.2.7"), 1080)

SCRIPT = re.compile(
    r"function FindProxyForURL\(url, host\) \{\n"
    r"    if \(/(?P<local>[^/\n]+)/\.test\(host\.toLowerCase\(\)\)\) \{\n"
    r'        return "DIRECT";\n'
    r"    \}\n"
    r"    return (?P<proxies>\"[^\"\\\n<>]+\");\n"
    r"\}\n"
)
"""
The script, with what is in it; everything else in it stays the same.
"""


def found(host: str, script: bytes) -> str:
    """
    Do what a browser does with the script.
    """
    parts = SCRIPT.fullmatch(script.decode("ascii"))
    assert parts is not None, script
    if re.search(parts["local"], host.lower()):
        return "DIRECT"
    proxies = json.loads(parts["proxies"])
    assert isinstance(proxies, str)
    return proxies


class FindProxyScriptTests(SynchronousTestCase):
    """
    Tests for L{findProxyScript}.
    """

    def test_whole(self) -> None:
        """
        The script is what it has been when it was tried in an engine.
        """
        script = findProxyScript(ADDRESS, tls=False, socks=True).decode()
        self.assertEqual(
            script,
            "function FindProxyForURL(url, host) {\n"
            f"    if (/{LOCAL}/.test(host.toLowerCase())) {{\n"
            '        return "DIRECT";\n'
            "    }\n"
            '    return "PROXY proxy.test:1080; SOCKS5 proxy.test:1080; SOCKS proxy.test:1080";\n'
            "}\n",
        )

    def test_kinds(self) -> None:
        """
        A browser is told what it can speak there.
        """
        expected = {
            (False, False): "PROXY proxy.test:1080",
            (False, True): "PROXY proxy.test:1080; SOCKS5 proxy.test:1080; SOCKS proxy.test:1080",
            (True, False): "HTTPS proxy.test:1080",
            (True, True): "HTTPS proxy.test:1080",
        }
        for (tls, socks), proxies in expected.items():
            script = findProxyScript(ADDRESS, tls=tls, socks=socks)
            self.assertEqual(found("example.com", script), proxies)

    def test_addresses(self) -> None:
        """
        The proxy can be at any address.
        """
        for text, written in (("192.0.2.1", "192.0.2.1:80"), ("2001:db8::1", "[2001:db8::1]:80")):
            address = Destination(ip_address(text), 80)
            script = findProxyScript(address, tls=False, socks=False)
            self.assertEqual(found("example.com", script), f"PROXY {written}")

    def test_local(self) -> None:
        """
        What is on a browser's own network goes past the proxy.
        """
        script = findProxyScript(ADDRESS, tls=False, socks=False)
        for host in (
            "printer",
            "PRINTER",
            "localhost",
            "localhost.",
            "app.localhost",
            "nas.local",
            "a.b.Local",
            "127.0.0.1",
            "127.8.9.10",
            "::1",
            "[::1]",
        ):
            self.assertEqual(found(host, script), "DIRECT", host)

    def test_others(self) -> None:
        """
        Nothing else does, be it ever so similar: it would tell others what is
        to go through the proxy.
        """
        script = findProxyScript(ADDRESS, tls=False, socks=False)
        for host in (
            "example.com",
            "socksproxy.test",
            "local.example",
            "notlocal.example",
            "mylocalhost.com",
            "a.notlocal",
            "127.0.0.1.example.com",
            "127.example",
            "1127.0.0.1",
            "10.0.0.1",
            "2001:db8::1",
            "[2001:db8::1]",
            "abcd::1",
            "::1:1",
            "example.com.",
        ):
            self.assertNotEqual(found(host, script), "DIRECT", host)


class AddressFromTests(SynchronousTestCase):
    """
    Tests for L{addressFrom}.
    """

    def test_named(self) -> None:
        """
        A client knows best where it has found the proxy.
        """
        for host, destination in {
            b"proxy.test:1080": ADDRESS,
            b"PROXY.test.:1080": ADDRESS,
            b"192.0.2.1:3128": Destination(ip_address("192.0.2.1"), 3128),
            b"[2001:DB8::1]:3128": Destination(ip_address("2001:db8::1"), 3128),
        }.items():
            for tls in (True, False):
                self.assertEqual(addressFrom(host, OWN, tls=tls), destination)

    def test_defaultPort(self) -> None:
        """
        A URL without a port has the usual one of its scheme.
        """
        for host in (b"wpad.test", b"wpad.test:"):
            self.assertEqual(addressFrom(host, OWN, tls=False), Destination("wpad.test", 80))
            self.assertEqual(addressFrom(host, OWN, tls=True), Destination("wpad.test", 443))

    def test_nonsense(self) -> None:
        """
        Whatever else it says, the listener's own address counts.
        """
        for host in (
            b"",
            b":1080",
            b"proxy.test:0",
            b"proxy.test:65536",
            b"proxy.test:1080:1080",
            b"proxy.test:x",
            b"proxy.test/path:1080",
            b"proxy.test?x",
            b"proxy.test#x",
            b"user@proxy.test:1080",
            b"a b:1080",
            b'"; return "DIRECT',
            b"proxy.test;DIRECT",
            b"proxy.test\r\nX:1080",
            b"proxy.test:1080\n",
            b"2001:db8::1",
            b"[proxy.test]:1080",
            b"127.1:1080",
            b"0x7f.1",
            b"\xff.test:1080",
            b"x" * 300,
        ):
            self.assertEqual(addressFrom(host, OWN, tls=False), OWN, host)
            self.assertIsNone(addressFrom(host, None, tls=False), host)

    @given(st.binary(max_size=30), st.booleans())
    def test_anything(self, host: bytes, tls: bool) -> None:
        """
        No Host gets anything but an address into the script.
        """
        address = addressFrom(host, OWN, tls=tls)
        assert address is not None
        proxies = found("example.com", findProxyScript(address, tls=tls, socks=True))
        self.assertRegex(proxies, r"\A((PROXY|HTTPS|SOCKS5?) [a-z0-9._\-:\[\]]+(; |\Z))+\Z")

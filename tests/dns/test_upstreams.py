"""
Tests for L{socksproxy.dns.upstreams}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.dns.datagrams import DatagramUpstream
from socksproxy.dns.links import Links
from socksproxy.dns.message import makeQuery
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.dns.system import SystemUpstream
from socksproxy.dns.upstreams import Ways
from socksproxy.dns.upstreamurl import upstreamFromURL
from socksproxy.errors import ConfigurationError
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.testing import ScriptedNetwork
from tests.certificates import Authority
from tests.files import temporaryFolder

PROXY = "198.51.100.1"


class WaysTests(SynchronousTestCase):
    """
    URLs, and what is asked then.
    """

    def setUp(self) -> None:
        """
        Make a network with a proxy and name servers.
        """
        self.network: Any = ScriptedNetwork(
            {f"{PROXY}:1080": "accept"}
            | {f"192.0.2.53:{port}": "accept" for port in (53, 54, 443, 853)}
        )

        def thread(*_: object) -> None:
            raise NotImplementedError("nobody asks")

        self.network.getThreadPool = thread

    def ways(self, via: str = "") -> Ways:
        """
        Make the ways, perhaps through proxies.
        """
        if not via:
            return Ways(self.network)
        resolver = BoundedResolver(self.network, self.network)
        return Ways(self.network, Chain(self.network, chainFromURLs(via), resolver))

    def dialled(self, url: str, via: str = "") -> tuple[str, int]:
        """
        Ask a name server, and tell what has been dialled.
        """
        upstream = self.ways(via).upstream(upstreamFromURL(url))
        self.assertEqual(upstream.name, str(upstreamFromURL(url)))
        upstream.ask(makeQuery("www.test", 1)).addErrback(lambda _: None)
        self.network.advance(0)
        attempt = self.network.attempts[-1]
        return attempt.host, attempt.port

    def test_straight(self) -> None:
        """
        Without proxies it is the name server that is dialled, at the address
        that its URL says.
        """
        for url, expected in (
            ("tcp://192.0.2.53", ("192.0.2.53", 53)),
            ("tcp://192.0.2.53:54", ("192.0.2.53", 54)),
            ("tls://dns.test?address=192.0.2.53", ("192.0.2.53", 853)),
            ("https://dns.test?address=192.0.2.53", ("192.0.2.53", 443)),
        ):
            self.assertEqual(self.dialled(url), expected)
        self.assertEqual(self.network.queries, [])

    def test_datagrams(self) -> None:
        """
        By UDP, a datagram goes there.
        """
        upstream = self.ways().upstream(upstreamFromURL("udp://192.0.2.53:54"))
        self.assertIsInstance(upstream, DatagramUpstream)
        upstream.ask(makeQuery("www.test", 1))
        ((_, where),) = self.network.datagrams[0].take()
        self.assertEqual(where, ("192.0.2.53", 54))

    def test_throughProxies(self) -> None:
        """
        With proxies they are dialled, and asked for the name server by its
        name.
        """
        for url in ("tcp://dns.test", "tls://dns.test", "https://dns.test"):
            self.assertEqual(self.dialled(url, f"socks5h://{PROXY}"), (PROXY, 1080))
        self.dialled("tcp://dns.test", f"socks4a://{PROXY}")
        written = self.network.attempts[-1].transport.take()
        self.assertEqual(written, b"\x04\x01\0\x35\0\0\0\x01\0dns.test\0")
        self.dialled("tcp://dns.test?address=192.0.2.53", f"socks4a://{PROXY}")
        written = self.network.attempts[-1].transport.take()
        self.assertEqual(written, b"\x04\x01\0\x35\xc0\0\x02\x35\0")
        self.assertEqual(self.network.queries, [])

    def test_datagramsThroughProxies(self) -> None:
        """
        Datagrams go through one proxy, of SOCKS5.
        """
        ways = self.ways(f"socks5h://{PROXY}")
        upstream = ways.upstream(upstreamFromURL("udp://192.0.2.53"))
        upstream.ask(makeQuery("www.test", 1))
        self.network.advance(0)
        self.assertEqual(self.network.attempts[-1].host, PROXY)
        for via in (f"http://{PROXY}:1080", f"socks5h://{PROXY},socks5h://{PROXY}"):
            with self.assertRaises(ConfigurationError) as caught:
                self.ways(via).upstream(upstreamFromURL("udp://192.0.2.53"))
            self.assertIn("udp://192.0.2.53: datagrams go through", str(caught.exception))

    def test_system(self) -> None:
        """
        The system can be asked, but not through proxies.
        """
        upstream = self.ways().upstream(upstreamFromURL("system"))
        self.assertIsInstance(upstream, SystemUpstream)
        with self.assertRaises(ConfigurationError):
            self.ways(f"socks5h://{PROXY}").upstream(upstreamFromURL("system"))

    def test_names(self) -> None:
        """
        A name needs somebody who knows where it is: a proxy that takes names,
        but not by UDP, or an address that is given with it.
        """
        for url, via in (
            ("tcp://dns.test", ""),
            ("tls://dns.test", ""),
            ("https://dns.test", f"socks5://{PROXY}"),
            ("udp://dns.test", f"socks5h://{PROXY}"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                self.ways(via).upstream(upstreamFromURL(url))
            self.assertTrue(str(caught.exception).startswith(f"{upstreamFromURL(url)}: "))
            self.ways(via).upstream(upstreamFromURL(f"{url}?address=192.0.2.53"))

    def test_certificates(self) -> None:
        """
        A file of authorities has to be there, and a fingerprint has to be one.
        """
        authority = Authority(temporaryFolder(self))
        good = upstreamFromURL(f"tls://192.0.2.53?ca={authority.path}")
        self.assertIsInstance(self.ways().upstream(good), Links)
        for query in ("ca=/nowhere.pem", "pin=abcd"):
            for kind in ("tls", "https"):
                with self.assertRaises(ConfigurationError):
                    self.ways().upstream(upstreamFromURL(f"{kind}://192.0.2.53?{query}"))

    def test_group(self) -> None:
        """
        Several are asked in the order in which they are named; none is too
        few.
        """
        group = self.ways().group(["tcp://192.0.2.53", "udp://192.0.2.53"])
        self.assertEqual(str(group), "tcp://192.0.2.53, udp://192.0.2.53")
        self.assertRaises(ConfigurationError, self.ways().group, [])

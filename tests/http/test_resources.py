"""
Tests for L{socksproxy.http.resources}.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy import __version__
from socksproxy.address import Destination
from socksproxy.http._writing import responseHead
from socksproxy.http.resources import (
    NAME,
    ProofOf,
    Resource,
    ResourceContext,
    resourceFor,
)
from socksproxy.interfaces import WayOut
from tests.http.test_pac import found
from tests.http.test_pages import ATTACKS, Document

OWN = Destination(ip_address("192.0.2.7"), 1080)

CONTEXT = ResourceContext(html=False, address=OWN)

PROOF = ProofOf("alice", "198.51.100.4:40000", "tcp:1080:interface=192.0.2.7", "HTTP")

CHAINED = WayOut(
    ("socks5h://***@10.0.0.1:1080|socks5h://near.test:1080", "http://far.test:3128"), False
)

PATHS = (b"/", b"/proxy.pac", b"/wpad.dat", b"/elsewhere")


def get(path: bytes = b"/", context: ResourceContext = CONTEXT, method: bytes = b"GET") -> Resource:
    """
    Ask for something, and require that the answer can be sent.
    """
    resource = resourceFor(method, path, context)
    responseHead(resource.status, resource.reason, resource.fields)
    names = [name.lower() for name, _ in resource.fields]
    assert len(set(names)) == len(names)
    assert not {b"content-length", b"connection", b"proxy-status"} & set(names)
    return resource


def text(proof: ProofOf) -> str:
    """
    Give the proof as programs get it.
    """
    return get(context=replace(CONTEXT, proof=proof)).body.decode()


class ProofTests(SynchronousTestCase):
    """
    The page that proves that the proxy works.
    """

    def test_text(self) -> None:
        """
        Programs are told all there is to know, line by line.
        """
        way = WayOut((), True, True)
        self.assertEqual(
            text(replace(PROOF, version="1.2.3", way=way)),
            "The proxy works\n\n"
            "This page has come through it: without it, there is no such site.\n\n"
            "You are:        alice\n"
            "Your address:   198.51.100.4:40000\n"
            "You came in by: tcp:1080:interface=192.0.2.7\n"
            "You speak:      HTTP\n"
            "Way out:        direct\n"
            "Names:          resolved here\n"
            "UDP:            available, by SOCKS5\n"
            "Version:        1.2.3\n\n"
            "This page is the proxy's own: socksproxy.\n",
        )

    def test_html(self) -> None:
        """
        Browsers get the same.
        """
        resource = get(context=replace(CONTEXT, html=True, proof=PROOF))
        self.assertEqual(resource.status, 200)
        self.assertIn((b"Content-Type", b"text/html; charset=utf-8"), resource.fields)
        self.assertIn((b"Cache-Control", b"no-store"), resource.fields)
        document = Document(resource.body)
        self.assertEqual(document.open, [])
        for shown in (
            ("h1", "The proxy works"),
            ("dd", "alice"),
            ("dd", "198.51.100.4:40000"),
            ("dd", "tcp:1080:interface=192.0.2.7"),
            ("dd", __version__),
        ):
            self.assertIn(shown, document.texts)

    def test_anybody(self) -> None:
        """
        Who has not had to say who they are is anybody.
        """
        self.assertIn("You are:        anybody: no password", text(replace(PROOF, user="-")))

    def test_unknownWay(self) -> None:
        """
        Where the way out is not known, nothing is said of it.
        """
        for words in ("Way out", "Names", "UDP"):
            self.assertNotIn(words, text(PROOF))

    def test_chain(self) -> None:
        """
        The proxies on the way are told in order, with alternatives, without
        users and internal addresses.
        """
        shown = text(replace(PROOF, way=CHAINED))
        self.assertIn(
            "Way out:        through (socks5h) or socks5h://near.test:1080,"
            " then http://far.test:3128\n",
            shown,
        )
        self.assertIn("Names:          resolved by the last proxy\n", shown)
        self.assertIn("UDP:            not available\n", shown)

    def test_chainFromHere(self) -> None:
        """
        Who is on the proxy's own host is told internal addresses, too.
        """
        shown = text(replace(PROOF, way=CHAINED, local=True))
        self.assertIn("through socks5h://10.0.0.1:1080 or socks5h://near.test:1080,", shown)
        self.assertNotIn("***", shown)

    def test_unnamedHop(self) -> None:
        """
        A hop that has no name counts.
        """
        way = WayOut(("?", "http://far.test:3128"))
        self.assertIn("through a proxy, then http://far", text(replace(PROOF, way=way)))

    def test_escaped(self) -> None:
        """
        Nothing that a client can choose is more than text.
        """
        plain = Document(get(context=replace(CONTEXT, html=True, proof=PROOF)).body)
        for attack in ATTACKS:
            proof = replace(PROOF, user=attack, client=attack, listener=attack, protocol=attack)
            document = Document(get(context=replace(CONTEXT, html=True, proof=proof)).body)
            self.assertEqual((document.tags, document.open), (plain.tags, []))
            self.assertEqual(document.text.count(attack), 4)


class WelcomeTests(SynchronousTestCase):
    """
    The page for those who take the proxy for a web site.
    """

    def test_text(self) -> None:
        """
        It says what this is, and how to use it from where the client is.
        """
        self.assertEqual(
            get(context=replace(CONTEXT, host=b"proxy.test:1080")).body.decode(),
            "This is a proxy\n\n"
            "It is no web site, and there is nothing to see here. It is used by telling a program"
            " that it is the proxy to go through. Browsers can be configured by"
            " http://proxy.test:1080/proxy.pac.\n\n"
            "    curl --proxy http://proxy.test:1080 http://socksproxy.test/\n\n"
            "This page is the proxy's own: socksproxy.\n",
        )

    def test_ownAddress(self) -> None:
        """
        Where the client does not say by which name, it is the listener's
        address.
        """
        for host in (b"", b"a b", b"x;y:1080", NAME.encode()):
            body = get(context=replace(CONTEXT, host=host)).body
            self.assertIn(b"curl --proxy http://192.0.2.7:1080 http://", body)

    def test_tls(self) -> None:
        """
        A proxy in TLS is used by that.
        """
        body = get(context=replace(CONTEXT, tls=True)).body
        self.assertIn(b"curl --proxy https://192.0.2.7:1080 http://", body)
        self.assertIn(b"configured by https://192.0.2.7:1080/proxy.pac", body)

    def test_password(self) -> None:
        """
        Where a password is asked for, the command asks for it.
        """
        body = get(context=replace(CONTEXT, password=True)).body
        self.assertIn(b"curl --proxy-user USER --proxy http://", body)

    def test_noAddress(self) -> None:
        """
        Without an address there is nothing to paste.
        """
        body = get(context=replace(CONTEXT, address=None)).body
        self.assertNotIn(b"curl", body)
        self.assertNotIn(b"http:", body)
        self.assertIn(b"This is a proxy", body)

    def test_tellsNothing(self) -> None:
        """
        Strangers learn neither the version nor anything of the listener.
        """
        for html in (True, False):
            body = get(context=replace(CONTEXT, html=html, host=b"proxy.test:1080")).body
            self.assertNotIn(__version__.encode(), body)
            self.assertNotIn(b"192.0.2.7", body)


class ScriptTests(SynchronousTestCase):
    """
    The script that configures browsers.
    """

    def test_script(self) -> None:
        """
        It is under both names, and leads to where the client has found it.
        """
        for path in (b"/proxy.pac", b"/wpad.dat", b"/proxy.pac?x=1"):
            resource = get(path, replace(CONTEXT, host=b"wpad.test:8080"))
            self.assertEqual((resource.status, resource.reason), (200, b"OK"))
            self.assertEqual(
                sorted(resource.fields),
                [
                    (b"Cache-Control", b"max-age=300"),
                    (b"Content-Type", b"application/x-ns-proxy-autoconfig"),
                    (b"X-Content-Type-Options", b"nosniff"),
                ],
            )
            self.assertEqual(
                found("example.com", resource.body),
                "PROXY wpad.test:8080; SOCKS5 wpad.test:8080; SOCKS wpad.test:8080",
            )

    def test_throughTheProxy(self) -> None:
        """
        Who has it through the proxy gets the listener's address, since nobody
        else knows the name.
        """
        for context in (
            replace(CONTEXT, proof=PROOF, socks=False),
            replace(CONTEXT, host=b"socksproxy.test", socks=False),
            replace(CONTEXT, host=b"SOCKSPROXY.test.:99", socks=False),
        ):
            body = get(b"/proxy.pac", context).body
            self.assertEqual(found("example.com", body), "PROXY 192.0.2.7:1080")

    def test_tls(self) -> None:
        """
        In TLS there is no SOCKS.
        """
        body = get(b"/proxy.pac", replace(CONTEXT, tls=True, host=b"proxy.test")).body
        self.assertEqual(found("example.com", body), "HTTPS proxy.test:443")

    def test_noAddress(self) -> None:
        """
        Where there is no address, there is no script.
        """
        resource = get(b"/proxy.pac", replace(CONTEXT, address=None))
        self.assertEqual(resource.status, 404)
        self.assertIn(b"not reached by an address", resource.body)
        named = replace(CONTEXT, address=None, host=b"proxy.test:1080")
        self.assertEqual(get(b"/proxy.pac", named).status, 200)


class MethodTests(SynchronousTestCase):
    """
    What is there, and what can be done with it.
    """

    def test_head(self) -> None:
        """
        HEAD is answered as GET; that the body stays away is for others to see
        to, who say how long it is.
        """
        for path in PATHS:
            self.assertEqual(get(path, method=b"HEAD"), get(path))

    def test_otherMethods(self) -> None:
        """
        Nothing can be done but reading.
        """
        for path in PATHS[:3]:
            for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"get", b"X"):
                resource = get(path, method=method)
                self.assertEqual((resource.status, resource.reason), (405, b"Method Not Allowed"))
                self.assertIn((b"Allow", b"GET, HEAD"), resource.fields)

    def test_notFound(self) -> None:
        """
        Nothing else is there, by whatever method, nor under names that only
        look like it.
        """
        for path in (
            b"/elsewhere",
            b"/PROXY.PAC",
            b"/proxy.pac/",
            b"//proxy.pac",
            b"/%70roxy.pac",
            b"/./proxy.pac",
            b"//",
            b"/metrics",
            b"/status",
            b"*",
            b"",
        ):
            for method in (b"GET", b"POST"):
                for context in (CONTEXT, replace(CONTEXT, proof=PROOF, html=True)):
                    resource = get(path, context, method)
                    self.assertEqual((resource.status, resource.reason), (404, b"Not Found"))
                    self.assertIn((b"Cache-Control", b"no-store"), resource.fields)

    def test_query(self) -> None:
        """
        A query makes no difference.
        """
        self.assertEqual(get(b"/?a=b"), get(b"/"))
        self.assertEqual(get(b"/?/elsewhere"), get(b"/"))

    @given(st.sampled_from(PATHS), st.binary(max_size=30), st.booleans(), st.booleans())
    def test_anyHost(self, path: bytes, host: bytes, html: bool, tls: bool) -> None:
        """
        Whatever a client says of the proxy's name, the answer is one of ours.
        """
        resource = get(path, ResourceContext(html, OWN, host, tls))
        self.assertEqual(resource.status, 404 if path == b"/elsewhere" else 200)
        if path in PATHS[1:3]:
            found("example.com", resource.body)
        elif html:
            self.assertEqual(Document(resource.body).open, [])

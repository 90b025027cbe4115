"""
Tests for L{socksproxy.outbound.agent}, in memory; over real sockets, and with
TLS, they are in L{tests.integration.test_agent}.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from treq.content import content
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, ResponseFailed
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface.verify import verifyObject

from socksproxy.client.errors import ProxyUnreachable, TargetConnectionRefused
from socksproxy.errors import ConfigurationError, LocalProtocolError
from socksproxy.outbound.agent import ProxyAgentEndpoints
from tests.client.scripted import http, socks4, socks5
from tests.outbound.chains import ONE, TWO, ChainTestCase
from tests.socksclient import refused

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"


class AgentTests(ChainTestCase):
    """
    Twisted's HTTP client, and treq.
    """

    def endpoints(self, via: str = f"socks5h://{ONE}", **settings: Any) -> ProxyAgentEndpoints:
        """
        Make what gives endpoints.
        """
        return ProxyAgentEndpoints(self.network, via, **settings)

    def agent(self, via: str = f"socks5h://{ONE}") -> Agent:
        """
        Make an HTTP client.
        """
        reactor: Any = self.network
        return Agent.usingEndpointFactory(reactor, self.endpoints(via))

    def endpointFor(self, uri: bytes) -> IStreamClientEndpoint:
        """
        Give the endpoint for a URI.
        """
        return self.endpoints().endpointForURI(URI.fromBytes(uri))

    def test_interface(self) -> None:
        """
        It is what C{Agent} wants, and it does nothing by itself.
        """
        verifyObject(IAgentEndpointFactory, self.endpoints())
        for uri in (b"http://web.test/", b"https://web.test/"):
            verifyObject(IStreamClientEndpoint, self.endpointFor(uri))
        self.network.advance(60)
        self.assertEqual((self.network.attempts, self.network.queries), ([], []))

    def test_agent(self) -> None:
        """
        A page comes through a chain of proxies, and no name is looked up here.
        """
        agent = self.agent(f"socks5h://{ONE},http://{TWO}")
        getting = agent.request(b"GET", b"http://web.test:8080/page", Headers({b"X-Y": [b"z"]}))
        peer = self.peer()
        self.converse(peer, socks5(TWO, 1080), http("web.test", 8080))
        said = peer.take()
        self.assertEqual(said.partition(b"\r\n")[0], b"GET /page HTTP/1.1")
        self.assertIn(b"Host: web.test:8080\r\n", said)
        peer.peerSends(PAGE)
        response: Any = self.successResultOf(getting)
        self.assertEqual(self.successResultOf(content(response)), b"page")
        self.assertEqual(self.network.queries, [])

    def test_treq(self) -> None:
        """
        So it does with treq.
        """
        client = HTTPClient(self.agent())
        getting: Deferred[Any] = client.get("http://web.test/", params={"a": "b"})
        peer = self.peer()
        self.converse(peer, socks5("web.test", 80))
        self.assertEqual(peer.take().partition(b"\r\n")[0], b"GET /?a=b HTTP/1.1")
        peer.peerSends(PAGE)
        response = self.successResultOf(getting)
        self.assertEqual(self.successResultOf(response.text()), "page")

    def test_early(self) -> None:
        """
        A server that answers before it is asked, together with the proxy's
        reply, confuses nobody.
        """
        getting = self.agent().request(b"GET", b"http://web.test/")
        peer = self.peer()
        self.converse(peer, socks5("web.test", 80), early=PAGE)
        self.network.advance(0)
        self.successResultOf(getting.addErrback(lambda failure: failure.trap(ResponseFailed)))

    def test_targets(self) -> None:
        """
        The URI's host is what is asked for: names as they are, addresses as
        addresses, with the port for the scheme.
        """
        for uri, host, port in (
            (b"http://web.test/", "web.test", 80),
            (b"http://localhost/", "localhost", 80),
            (b"http://192.0.2.1:8080/", "192.0.2.1", 8080),
            (b"http://[2001:db8::1]/", "2001:db8::1", 80),
            (b"http://[2001:db8::1]:8080/", "2001:db8::1", 8080),
            (b"https://web.test/", "web.test", 443),
            (b"https://[2001:db8::1]:8443/", "2001:db8::1", 8443),
        ):
            getting = self.agent().request(b"GET", uri)
            self.converse(self.peer(), socks5(host, port))
            getting.cancel()
            self.network.advance(0)
            self.failureResultOf(getting)
        self.assertEqual(self.network.queries, [])

    def test_localNames(self) -> None:
        """
        With C{socks5} and C{socks4} names are looked up here.
        """
        self.network.world["web.test"] = ["192.0.2.1"]
        for kind, speak in (("socks5", socks5), ("socks4", socks4)):
            getting = self.agent(f"{kind}://{ONE}").request(b"GET", b"http://web.test/")
            self.converse(self.peer(), speak("192.0.2.1", 80))
            getting.cancel()
            self.failureResultOf(getting)

    def test_failures(self) -> None:
        """
        What is wrong with the proxy and what with the target can be told
        apart.
        """
        getting = self.agent().request(b"GET", b"http://web.test/")
        self.peer().peerSends(b"\5\0" + refused(5))
        self.failureResultOf(getting, TargetConnectionRefused)
        self.network.world.clear()
        getting = self.agent().request(b"GET", b"http://web.test/")
        self.network.advance(0)
        self.failureResultOf(getting, ProxyUnreachable)
        self.assertGone()

    def test_wrongURL(self) -> None:
        """
        A proxy URL that is none is an error at once, without the password.
        """
        for via in ("socks6://alice:s3cret@proxy.test", "socks5h://alice:s3cret@proxy.test:x", ""):
            error = self.assertRaises(ConfigurationError, self.endpoints, via)
            self.assertNotIn("s3cret", str(error))

    def test_otherSchemes(self) -> None:
        """
        Only HTTP and HTTPS are spoken through proxies.
        """
        self.assertRaises(SchemeNotSupported, self.endpointFor, b"ftp://web.test/")
        failure = self.failureResultOf(self.agent().request(b"GET", b"ftp://web.test/"))
        self.assertTrue(failure.check(SchemeNotSupported))

    def test_noHost(self) -> None:
        """
        A URI without a host that can be sent is an error.
        """
        for uri in (b"http://a b/", b"http://127.1/", b"http:///"):
            self.assertRaises(LocalProtocolError, self.endpointFor, uri)

    def test_policy(self) -> None:
        """
        The target's certificate is checked for the target's name, by the
        policy that is given.
        """
        asked: list[tuple[bytes, int]] = []

        class Policy(BrowserLikePolicyForHTTPS):
            def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
                asked.append((hostname, port))
                return super().creatorForNetloc(hostname, port)

        endpoints = self.endpoints(contextFactory=Policy())
        for uri in (b"https://web.test/", b"https://web.test:8443/", b"http://web.test/"):
            endpoints.endpointForURI(URI.fromBytes(uri))
        self.assertEqual(asked, [(b"web.test", 443), (b"web.test", 8443)])

    def test_cancelled(self) -> None:
        """
        Giving up drops the connection to the proxy.
        """
        getting = self.agent().request(b"GET", b"http://web.test/")
        peer = self.peer()
        getting.cancel()
        self.failureResultOf(getting)
        self.assertTrue(peer.aborted)
        self.assertGone()

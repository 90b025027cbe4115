"""
Asking name servers over TLS and HTTPS, over real sockets.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.names import dns
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from socksproxy.dns.asking import IUpstream, NoReply
from socksproxy.dns.message import makeQuery
from socksproxy.dns.upstreams import Ways
from socksproxy.dns.upstreamurl import upstreamFromURL
from socksproxy.tls import serverTLS, wrapTLSServer
from tests.certificates import Authority, selfSigned
from tests.dns.zones import ADDRESS, Zone
from tests.files import temporaryFolder

REACTOR: Any = reactor
NAME = "dns.test"


class Page(Resource):
    """
    The page that is asked.

    @ivar requests: What has come: method, path, headers, length of the body.
    """

    isLeaf = True

    def __init__(self, zone: Zone) -> None:
        super().__init__()
        self.zone = zone
        self.requests: list[tuple[bytes, bytes, dict[bytes, bytes], int]] = []
        self.status = 200

    def render_POST(self, request: Any) -> bytes:
        """
        Answer a query.
        """
        body = request.content.read()
        headers = {
            name.lower(): values[0] for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.requests.append((request.method, request.uri, headers, len(body)))
        query = dns.Message()
        query.fromStr(body)
        reply = self.zone.replyTo(query, query.queries[0].name.name.decode())
        request.setResponseCode(self.status)
        request.setHeader(b"Content-Type", b"application/dns-message")
        octets: bytes = reply.toStr()
        return octets


class HTTPOneSite(Site):
    """
    A site of HTTP/1.1 that counts connections.
    """

    made = 0

    def acceptableProtocols(self) -> list[bytes]:
        """
        See C{IProtocolNegotiationFactory}.
        """
        return [b"http/1.1"]

    def buildProtocol(self, addr: Any) -> Any:
        """
        See C{IProtocolFactory}.
        """
        self.made += 1
        return super().buildProtocol(addr)


class TLSTestCase(TestCase):
    """
    Tests with a name server in TLS.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Make certificates and a zone.
        """
        self.folder = temporaryFolder(self)
        self.authority = Authority(self.folder)
        self.issued = self.authority.issue(NAME)
        self.zone = Zone()

    async def serve(self, factory: Any, issued: Any = None) -> int:
        """
        Start the name server.

        @return: Its port.
        """
        creator = serverTLS((issued or self.issued).both)
        plain = TCP4ServerEndpoint(REACTOR, 0, interface="127.0.0.1")
        port = await wrapTLSServer(REACTOR, plain, creator).listen(factory)
        self.addCleanup(lambda: maybeDeferred(port.stopListening))
        number: int = port.getHost().port  # type: ignore[attr-defined]
        return number

    def upstream(self, url: str) -> IUpstream:
        """
        Make what asks it.
        """
        upstream = Ways(REACTOR).upstream(upstreamFromURL(url))
        self.addCleanup(upstream.close)
        return upstream

    def options(self, **others: str) -> str:
        """
        Give the query of a URL.
        """
        options = {"address": "127.0.0.1", "ca": self.authority.path, **others}
        return "&".join(f"{name}={value}" for name, value in options.items() if value)

    async def assertRejected(self, url: str, words: str) -> None:
        """
        Assert that a name server is not believed to be who it should be.
        """
        with self.assertRaises(NoReply) as caught:
            await self.upstream(url).ask(makeQuery("www.zone.test", 1))
        self.assertIn(words, str(caught.exception))
        self.assertEqual(self.zone.asked, {})


class TLSTests(TLSTestCase):
    """
    Over TLS.
    """

    async def test_asked(self) -> None:
        """
        A hundred questions go over one connection, which is one of DNS (ALPN).
        """
        port = await self.serve(self.zone)
        upstream = self.upstream(f"tls://{NAME}:{port}?{self.options()}")
        asking = [upstream.ask(makeQuery(f"n{n}.zone.test", 1)) for n in range(100)]
        for number, reply in enumerate(await gatherResults(asking)):
            self.assertEqual(reply.name, f"n{number}.zone.test")
            self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
        (connection,) = self.zone.made
        self.assertEqual(connection.transport.negotiatedProtocol, b"dot")

    async def test_long(self) -> None:
        """
        Long replies come whole, and one that is cut off is asked for again.
        """
        port = await self.serve(self.zone)
        upstream = self.upstream(f"tls://{NAME}:{port}?{self.options()}")
        reply = await upstream.ask(makeQuery("big.zone.test", 16))
        self.assertGreater(len(reply.octets), 3900)
        reply = await upstream.ask(makeQuery("cut.zone.test", 1))
        self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
        self.assertEqual(self.zone.asked["cut.zone.test"], 2)

    async def test_padded(self) -> None:
        """
        What is sent has a multiple of 128 octets, whatever is asked.
        """
        lengths: list[int] = []
        received = dns.DNSProtocol.stringReceived

        def stringReceived(protocol: dns.DNSProtocol, octets: bytes) -> None:
            lengths.append(len(octets))
            received(protocol, octets)

        self.patch(dns.DNSProtocol, "stringReceived", stringReceived)
        port = await self.serve(self.zone)
        upstream = self.upstream(f"tls://{NAME}:{port}?{self.options()}")
        for label in ("a", "a" * 40, "a" * 60):
            await upstream.ask(makeQuery(f"{label}.{label}.zone.test", 1))
        self.assertEqual(lengths, [128, 128, 256])

    async def test_certificate(self) -> None:
        """
        The certificate has to be for the name, and of an authority that is
        trusted; otherwise nothing is asked.
        """
        port = await self.serve(self.zone)
        other = f"tls://other.test:{port}?{self.options()}"
        await self.assertRejected(other, "cannot connect: ")
        stranger = Authority(self.folder, "stranger")
        await self.assertRejected(
            f"tls://{NAME}:{port}?{self.options(ca=stranger.path)}", "cannot connect: "
        )

    async def test_pinned(self) -> None:
        """
        One that is pinned needs no authority and no name.
        """
        issued = selfSigned(self.folder, "whatever.test")
        port = await self.serve(self.zone, issued)
        pin = self.options(ca="", pin=issued.fingerprint)
        reply = await self.upstream(f"tls://{NAME}:{port}?{pin}").ask(makeQuery("a.zone.test", 1))
        self.assertTrue(reply.hasAnswers)
        self.zone.asked.clear()
        pin = self.options(ca="", pin="00" * 32)
        await self.assertRejected(f"tls://{NAME}:{port}?{pin}", "cannot connect: ")

    async def test_otherProtocol(self) -> None:
        """
        A server that does not know of DNS in TLS may do it all the same.
        """
        self.zone.protocolsOffered = []
        port = await self.serve(self.zone)
        upstream = self.upstream(f"tls://{NAME}:{port}?{self.options()}")
        self.assertTrue((await upstream.ask(makeQuery("a.zone.test", 1))).hasAnswers)


class HTTPSTests(TLSTestCase):
    """
    Over HTTPS, with the server of twisted.web.
    """

    def setUp(self) -> None:
        """
        Make a page.
        """
        super().setUp()
        self.page = Page(self.zone)
        self.site = HTTPOneSite(self.page)
        self.site.noisy = False
        # It would keep a timer for the dates of its log.
        self.site.doStart = lambda: None  # type: ignore[method-assign]
        self.site.doStop = lambda: None  # type: ignore[method-assign]

    async def test_asked(self) -> None:
        """
        One question after another goes over one connection, with the number 0.
        """
        port = await self.serve(self.site)
        upstream = self.upstream(f"https://{NAME}:{port}/q?{self.options()}")
        for number in range(20):
            reply = await upstream.ask(makeQuery(f"n{number}.zone.test", 1))
            self.assertEqual(reply.name, f"n{number}.zone.test")
            self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
        self.assertEqual(self.site.made, 1)
        method, path, headers, length = self.page.requests[0]
        self.assertEqual((method, path, length), (b"POST", b"/q", 128))
        self.assertEqual(headers[b"host"], f"{NAME}:{port}".encode())
        self.assertEqual(headers[b"accept"], b"application/dns-message")
        self.assertEqual(headers[b"content-type"], b"application/dns-message")

    async def test_manyAtOnce(self) -> None:
        """
        Many at once go over a few connections, and all are answered.
        """
        port = await self.serve(self.site)
        upstream = self.upstream(f"https://{NAME}:{port}?{self.options()}")
        asking = [upstream.ask(makeQuery(f"n{n}.zone.test", 1)) for n in range(100)]
        for number, reply in enumerate(await gatherResults(asking)):
            self.assertEqual(reply.name, f"n{number}.zone.test")
        self.assertEqual(self.site.made, 8)
        self.assertEqual({path for _, path, _, _ in self.page.requests}, {b"/dns-query"})

    async def test_long(self) -> None:
        """
        Long replies come whole.
        """
        port = await self.serve(self.site)
        upstream = self.upstream(f"https://{NAME}:{port}?{self.options()}")
        reply = await upstream.ask(makeQuery("big.zone.test", 16))
        self.assertGreater(len(reply.octets), 3900)

    async def test_status(self) -> None:
        """
        A page that does not answer is said not to.
        """
        self.page.status = 503
        port = await self.serve(self.site)
        upstream = self.upstream(f"https://{NAME}:{port}?{self.options()}")
        with self.assertRaises(NoReply) as caught:
            await upstream.ask(makeQuery("a.zone.test", 1))
        self.assertIn("status 503", str(caught.exception))

    async def test_certificate(self) -> None:
        """
        The certificate has to be for the name of the URL.
        """
        port = await self.serve(self.site)
        await self.assertRejected(f"https://other.test:{port}?{self.options()}", "cannot connect")
        self.assertEqual(self.page.requests, [])

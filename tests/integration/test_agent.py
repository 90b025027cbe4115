"""
HTTPS through proxies of ours, over real sockets.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import treq
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import Cooperator
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    FileBodyProducer,
    HTTPConnectionPool,
)
from twisted.web.resource import Resource
from twisted.web.server import Site

from socksproxy.client.errors import ProxyUnreachable
from socksproxy.outbound.agent import ProxyAgentEndpoints
from tests.accesslines import accessLines
from tests.certificates import Authority, Issued
from tests.files import temporaryFolder
from tests.integration.clients import ClientsTestCase
from tests.logs import captured

PAGE = bytes(range(256)) * 8192


class Page(Resource):
    """
    A page, and the place to put one.

    @ivar requests: How many have been made.
    @ivar taken: What has been put there.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.taken = b""

    def render_GET(self, request: Any) -> bytes:
        """
        Give the page.
        """
        self.requests += 1
        return PAGE

    def render_PUT(self, request: Any) -> bytes:
        """
        Take one.
        """
        self.requests += 1
        self.taken = request.content.read()
        return b"taken"


class Greeter(Protocol):
    """
    Says hello, and goodbye.
    """

    def connectionMade(self) -> None:
        """
        Say it.
        """
        assert self.transport is not None
        self.transport.write(b"220 hello\r\n")
        self.transport.loseConnection()


class Greeters(Factory):
    """
    Makes such.
    """

    noisy = False
    protocol = Greeter


class AgentTests(ClientsTestCase):
    """
    Twisted's HTTP client, through two proxies, to a server on this host.
    """

    def setUp(self) -> None:
        """
        Make an authority.
        """
        super().setUp()
        self.folder = temporaryFolder(self)
        self.authority = Authority(self.folder)
        self.page = Page()

    def serve(self, issued: Issued, interface: str = "127.0.0.1") -> int:
        """
        Start a server of HTTPS.

        @return: Its port.
        """
        options = PrivateCertificate.loadPEM(Path(issued.both).read_bytes()).options()
        site = Site(self.page)
        site.noisy = False
        port: Any = reactor.listenSSL(0, site, options, interface=interface)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    @inlineCallbacks
    def agent(
        self, authority: Authority | None = None, via: str = ""
    ) -> Generator[Deferred[Any], Any, Agent]:
        """
        Make Twisted's HTTP client, to trust an authority.

        @param via: Other proxies than two of our own.
        """
        if not via:
            first = yield self.start()
            second = yield self.start()
            via = f"socks5h://127.0.0.1:{first},socks4a://127.0.0.1:{second}"
        pem = Path((authority or self.authority).path).read_bytes()
        trusted = trustRootFromCertificates([Certificate.loadPEM(pem)])
        return self.agentWith(ProxyAgentEndpoints(reactor, via, BrowserLikePolicyForHTTPS(trusted)))

    def agentWith(self, endpoints: ProxyAgentEndpoints) -> Agent:
        """
        Make one that goes through given proxies.
        """
        self.pool = HTTPConnectionPool(reactor)
        self.pool.retryAutomatically = False
        self.addCleanup(self.pool.closeCachedConnections)
        return Agent.usingEndpointFactory(reactor, endpoints, self.pool)

    @inlineCallbacks
    def client(
        self, authority: Authority | None = None, via: str = ""
    ) -> Generator[Deferred[Any], Any, HTTPClient]:
        """
        Make treq's HTTP client; see L{agent}.
        """
        agent = yield self.agent(authority, via)
        return HTTPClient(agent)

    @inlineCallbacks
    def assertGets(self, client: HTTPClient, url: str) -> Generator[Deferred[Any], Any, None]:
        """
        Fail unless a page comes, whole.
        """
        response = yield client.get(url)
        self.assertEqual(response.code, 200)
        self.assertTrue((yield treq.content(response)) == PAGE)

    @inlineCallbacks
    def refused(self, client: HTTPClient, url: str) -> Generator[Deferred[Any], Any, Any]:
        """
        Fail unless a page does not come, and the server has not been asked.

        @return: Why.
        """
        try:
            yield client.get(url)
        except Exception as e:
            self.assertEqual(self.page.requests, 0)
            return e
        self.fail("the page has come")

    @inlineCallbacks
    def test_agent(self) -> Generator[Deferred[Any], Any, None]:
        """
        C{treq.get} itself takes such an agent.
        """
        port = self.serve(self.authority.issue("localhost"))
        agent = yield self.agent()
        response = yield treq.get(f"https://localhost:{port}/", agent=agent)
        self.assertTrue((yield response.content()) == PAGE)

    @inlineCallbacks
    def test_verified(self) -> Generator[Deferred[Any], Any, None]:
        """
        A page comes whose server has a certificate for its name, of an
        authority that is trusted.
        """
        port = self.serve(self.authority.issue("localhost"))
        client = yield self.client()
        yield self.assertGets(client, f"https://localhost:{port}/")

    @inlineCallbacks
    def test_address(self) -> Generator[Deferred[Any], Any, None]:
        """
        So does one whose certificate is for its address.
        """
        issued = self.authority.issue("127.0.0.1", "::1")
        first = yield self.start()
        agent = yield self.agent(via=f"socks5h://127.0.0.1:{first}")
        for host, interface in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
            url = f"https://{host}:{self.serve(issued, interface)}/"
            response = yield agent.request(b"GET", url.encode())
            self.assertTrue((yield treq.content(response)) == PAGE)

    @inlineCallbacks
    def test_wrongName(self) -> Generator[Deferred[Any], Any, None]:
        """
        A server whose certificate is for another name gets no request, even
        if that is the name of a proxy.
        """
        for name in ("other.test", "127.0.0.1"):
            port = self.serve(self.authority.issue(name))
            client = yield self.client()
            error = yield self.refused(client, f"https://localhost:{port}/")
            self.assertIn("VerificationError", repr(error) + str(getattr(error, "reasons", "")))

    @inlineCallbacks
    def test_unknownAuthority(self) -> Generator[Deferred[Any], Any, None]:
        """
        Nor does one of an authority that nobody knows.
        """
        port = self.serve(self.authority.issue("localhost"))
        client = yield self.client(Authority(self.folder, "other"))
        error = yield self.refused(client, f"https://localhost:{port}/")
        self.assertIn("certificate verify failed", str(getattr(error, "reasons", "")))

    @inlineCallbacks
    def test_platform(self) -> Generator[Deferred[Any], Any, None]:
        """
        Unless something else is said, those authorities are trusted that the
        system trusts, and only certificates with the right name are good, not
        those with none.
        """
        first = yield self.start()
        self.enterContext(patch.dict(os.environ, SSL_CERT_FILE=self.authority.path))
        endpoints = ProxyAgentEndpoints(reactor, f"socks5h://127.0.0.1:{first}")
        for issued in (
            self.authority.issue("other.test"),
            self.authority.issue(name="nobody"),
            Authority(self.folder, "other").issue("localhost", name="other"),
        ):
            client = HTTPClient(self.agentWith(endpoints))
            yield self.refused(client, f"https://localhost:{self.serve(issued)}/")
        port = self.serve(self.authority.issue("localhost"))
        yield self.assertGets(HTTPClient(self.agentWith(endpoints)), f"https://localhost:{port}/")

    @inlineCallbacks
    def test_notTLS(self) -> Generator[Deferred[Any], Any, None]:
        """
        Nor does one that speaks no TLS.
        """
        port = self.listen(Greeters())
        client = yield self.client()
        yield self.refused(client, f"https://localhost:{port}/")

    @inlineCallbacks
    def test_upload(self) -> Generator[Deferred[Any], Any, None]:
        """
        A body goes the other way.
        """
        port = self.serve(self.authority.issue("localhost"))
        client = yield self.client()
        path = self.folder / "upload"
        path.write_bytes(PAGE)
        cooperator = Cooperator()
        self.addCleanup(cooperator.stop)
        with path.open("rb") as body:
            producer = FileBodyProducer(body, cooperator=cooperator)
            response = yield client.put(f"https://localhost:{port}/", data=producer)
            self.assertEqual((yield treq.content(response)), b"taken")
        self.assertTrue(self.page.taken == PAGE)

    @inlineCallbacks
    def test_pool(self) -> Generator[Deferred[Any], Any, None]:
        """
        A connection through the proxies is kept and used again.
        """
        port = self.serve(self.authority.issue("localhost"))
        client = yield self.client()
        with captured() as events:
            for _ in range(3):
                yield self.assertGets(client, f"https://localhost:{port}/")
            yield self.pool.closeCachedConnections()
            # Each proxy logs a connection when it is over.
            for proxy in self.services:
                yield proxy.stopService()
        self.assertEqual(len(accessLines(events)), 2)

    @inlineCallbacks
    def test_faults(self) -> Generator[Deferred[Any], Any, None]:
        """
        A server that is not there and a proxy that is not are told apart.
        """
        probe: Any = reactor.listenTCP(0, Site(self.page), interface="127.0.0.1")
        closed = probe.getHost().port
        yield probe.stopListening()
        first = yield self.start()
        client = yield self.client(via=f"socks5h://127.0.0.1:{first}")
        error = yield self.refused(client, f"https://localhost:{closed}/")
        self.assertIsInstance(error, Refused)
        client = yield self.client(via=f"socks5h://127.0.0.1:{closed}")
        error = yield self.refused(client, "https://localhost/")
        self.assertIsInstance(error, ProxyUnreachable)

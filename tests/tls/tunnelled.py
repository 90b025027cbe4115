"""
TLS clients of ours in memory, and the servers that they talk to.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.testing import MemoryTransport, ScriptedNetwork
from socksproxy.tls import PeerRejected, wrapTLSClient
from tests.certificates import Authority, Issued
from tests.files import temporaryFolder
from tests.tlspeer import Line, TLSPeer, serverContext

ADDRESS = "192.0.2.1"


class Recording(Protocol):
    """
    An application that keeps what it is given.

    @ivar received: The bytes.
    @ivar reason: Why its connection was lost.
    """

    def __init__(self, greeting: bytes = b"") -> None:
        self._greeting = greeting
        self.received = b""
        self.reason: BaseException | None = None

    def connectionMade(self) -> None:
        """
        Speak first.
        """
        if self._greeting:
            self.transport.write(self._greeting)

    def dataReceived(self, data: bytes) -> None:
        """
        Keep the bytes.
        """
        self.received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """
        Keep the reason.
        """
        self.reason = reason.value


class Applications(Factory):
    """
    Makes L{Recording}s.

    @ivar made: Those that there are.
    """

    noisy = False

    def __init__(self, greeting: bytes = b"") -> None:
        self._greeting = greeting
        self.made: list[Recording] = []

    def buildProtocol(self, addr: object) -> Recording:
        """
        See C{IProtocolFactory}.
        """
        self.made.append(Recording(self._greeting))
        return self.made[-1]


@implementer(IStreamClientEndpoint)
class Below:
    """
    An endpoint that leads nowhere.

    @ivar factories: What it was asked to connect.
    @ivar attempts: What is to come of it.
    @ivar cancelled: The attempts that have been given up.
    """

    def __init__(self) -> None:
        self.factories: list[IProtocolFactory] = []
        self.attempts: list[Deferred[IProtocol]] = []
        self.cancelled: list[Deferred[IProtocol]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.
        """
        self.factories.append(protocolFactory)
        self.attempts.append(Deferred(self.cancelled.append))
        return self.attempts[-1]


class TLSClientTestCase(SynchronousTestCase):
    """
    Tests with a client of ours and a server in memory.

    @ivar network: Where the server is.
    @ivar authority: Who has signed its certificate.
    @ivar applications: What the client makes.
    """

    def setUp(self) -> None:
        """
        Make a network and an authority.
        """
        self.folder = temporaryFolder(self)
        self.authority = Authority(self.folder)
        self.network = ScriptedNetwork({f"{ADDRESS}:1443": "accept"})
        self.applications = Applications(b"secret")

    def endpoint(
        self, creator: IOpenSSLClientConnectionCreator, timeout: float = 30.0
    ) -> IStreamClientEndpoint:
        """
        Make a client endpoint.
        """
        below = TCP4ClientEndpoint(self.network, ADDRESS, 1443)
        return wrapTLSClient(self.network, below, creator, timeout)

    def dial(
        self,
        creator: IOpenSSLClientConnectionCreator,
        factory: IProtocolFactory | None = None,
        timeout: float = 30.0,
    ) -> tuple[Deferred[IProtocol], MemoryTransport]:
        """
        Have the client connect, but no server answer.

        @return: The connection in the making, and the transport below.
        """
        connecting = self.endpoint(creator, timeout).connect(factory or self.applications)
        self.network.advance(0)
        transport = self.network.attempts[-1].transport
        assert transport is not None
        return connecting, transport

    def connect(
        self,
        creator: IOpenSSLClientConnectionCreator,
        issued: Issued,
        clientCA: str | None = None,
        context: Any = None,
    ) -> tuple[Deferred[IProtocol], Line]:
        """
        Have the client connect to a server.

        @param issued: What the server shows.
        @param clientCA: What it wants of its clients.
        @param context: All that, and more.
        """
        connecting, transport = self.dial(creator)
        peer = TLSPeer(context or serverContext(issued, clientCA))
        return connecting, Line(self.network, transport, peer)


class AcceptingTestCase(TLSClientTestCase):
    """
    What the tests below have in common.
    """

    def accepts(self, creator: IOpenSSLClientConnectionCreator, issued: Issued) -> Line:
        """
        Fail unless the client talks to such a server.
        """
        connecting, line = self.connect(creator, issued)
        self.assertIs(self.successResultOf(connecting), self.applications.made[-1])
        self.assertEqual(line.peer.received, b"secret")
        line.peerWrites(b"answer")
        self.assertEqual(self.applications.made[-1].received, b"answer")
        return line

    def rejects(self, creator: IOpenSSLClientConnectionCreator, issued: Issued) -> str:
        """
        Fail unless the client does not talk to such a server.

        @return: What it says.
        """
        before = list(self.applications.made)
        connecting, line = self.connect(creator, issued)
        error = self.failureResultOf(connecting, PeerRejected).value
        self.assertEqual(self.applications.made, before)
        self.assertFalse(line.peer.ready)
        self.assertEqual(line.peer.received, b"")
        self.assertTrue(line.transport.lost)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertNotIn("\n", str(error))
        return str(error)

    def platformTrusts(self, authority: Authority) -> None:
        """
        Make the platform trust an authority, by the variable that OpenSSL
        has for it.
        """
        before = os.environ.get("SSL_CERT_FILE")

        def restore() -> None:
            del os.environ["SSL_CERT_FILE"]
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before

        os.environ["SSL_CERT_FILE"] = authority.path
        self.addCleanup(restore)

"""
Tests for forwarded connections in Twisted's TLS, on either side.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from socksproxy.testing import MemoryTransport, ScriptedNetwork
from socksproxy.tls import clientTLS, serverTLS
from tests.certificates import Authority
from tests.files import temporaryFolder
from tests.forward.forwarding import ForwardTestCase
from tests.memoryproxy import EARLY_OCTETS
from tests.tlspeer import Line, TLSPeer, clientContext, serverContext


@implementer(IStreamClientEndpoint)
class TLSAbove:
    """
    What C{tls:} is: TLS above an endpoint. Twisted's own takes no clock.
    """

    def __init__(self, network: ScriptedNetwork, creator: object) -> None:
        self._network = network
        self._creator = creator

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.
        """
        factory = TLSMemoryBIOFactory(self._creator, True, protocolFactory, self._network)
        below = TCP4ClientEndpoint(self._network, "192.0.2.1", 80, timeout=None)
        connecting: Deferred[Any] = below.connect(factory)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)


class TLSBelow:
    """
    What C{ssl:} is: TLS below what says that there is a connection. In place
    of a reactor, all of whose connections are of TLS.
    """

    def __init__(self, network: ScriptedNetwork, creator: object) -> None:
        self._network = network
        self._creator = creator

    def connectTCP(self, host: str, port: int, factory: Any, **options: Any) -> object:
        """
        See C{IReactorSSL.connectSSL}.
        """
        wrapped = TLSMemoryBIOFactory(self._creator, True, factory, self._network)
        return self._network.connectTCP(host, port, wrapped, **options)


class ListenerTests(ForwardTestCase):
    """
    Clients that come over TLS.
    """

    transport = MemoryTransport

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(temporaryFolder(self))
        self.issued = self.authority.issue("proxy.test")
        self.serve()

    def serve(self, clientCA: str | None = None) -> None:
        """
        Forward from a port of TLS.

        @param clientCA: Of whose clients.
        """
        self.forward()
        creator = serverTLS(self.issued.certificate, self.issued.key, clientCA)
        self.factory = TLSMemoryBIOFactory(creator, False, self.factory, self.network)

    def handshake(self, client: MemoryTransport) -> Line:
        """
        Begin the handshake of a client without a certificate.
        """
        return Line(self.network, client, TLSPeer(clientContext(self.authority.path), "proxy.test"))

    def test_afterTheHandshake(self) -> None:
        """
        The target is dialled once the handshake is over, and then it is as
        without TLS.
        """
        client = self.connect()
        self.settle()
        self.assertEqual(self.network.attempts, [])
        line = self.handshake(client)
        target = self.target()
        line.peerWrites(b"question")
        self.assertEqual(target.take(), b"question")
        target.peerSends(b"answer")
        line.settle()
        self.assertEqual(line.peer.received, b"answer")

    def test_earlyData(self) -> None:
        """
        What a client sends with the end of its handshake is not lost.
        """
        line = self.handshake(self.connect())
        line.peer.write(b"early")
        line.settle()
        target = self.target()
        self.assertEqual(target.take(), b"early")

    def test_noCertificate(self) -> None:
        """
        A client that does not get through the handshake causes no dial.
        """
        self.serve(self.authority.path)
        line = self.handshake(self.connect())
        self.settle()
        self.assertTrue(line.transport.lost)
        self.assertEqual(self.network.attempts, [])
        self.assertEqual(self.line()["result"], "-")

    def test_noHandshake(self) -> None:
        """
        A client that does not even begin with it is dropped after ten seconds.
        """
        client = self.connect()
        self.network.advance(9.9)
        self.assertFalse(client.aborted)
        self.network.advance(0.1)
        self.assertTrue(client.aborted)
        self.settle()
        self.assertEqual(self.network.attempts, [])
        self.assertEqual(self.line()["reason"], "handshake took too long")


class TargetTests(ForwardTestCase):
    """
    Targets that are reached over TLS.
    """

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(temporaryFolder(self))
        self.issued = self.authority.issue("web.test")

    def endpoints(self) -> list[IStreamClientEndpoint]:
        """
        Give both kinds of endpoints that Twisted has for it.
        """
        creator = clientTLS("web.test", self.authority.path)
        reactor = TLSBelow(self.network, creator)
        return [
            TLSAbove(self.network, creator),
            TCP4ClientEndpoint(reactor, "192.0.2.1", 80, timeout=None),
        ]

    def answer(self, authority: Authority | None = None) -> Line:
        """
        Have the target answer.

        @param authority: Whose certificate it has.
        """
        issued = self.issued if authority is None else authority.issue("web.test")
        return Line(self.network, self.target(), TLSPeer(serverContext(issued)))

    def test_bothWays(self) -> None:
        """
        The connection is made when the handshake is over, and what the client
        has said by then is not lost.
        """
        for endpoint in self.endpoints():
            self.forward(endpoint=endpoint, tls=True)
            client = self.connect()
            client.peerSends(b"early ")
            self.target()
            client.peerSends(bytes(EARLY_OCTETS))
            self.assertTrue(client.paused)
            line = self.answer()
            self.assertFalse(client.paused)
            client.peerSends(b"late")
            line.settle()
            self.assertEqual(line.peer.received, b"early " + bytes(EARLY_OCTETS) + b"late")
            line.peerWrites(b"answer")
            self.assertEqual(client.take(), b"answer")
            self.assertEqual(self.protocol().record.result, "succeeded")

    def test_speaksFirst(self) -> None:
        """
        What the target says with its part of the handshake is not lost.
        """
        for endpoint in self.endpoints():
            self.forward(endpoint=endpoint, tls=True)
            client = self.connect()
            line = self.answer()
            line.peerWrites(b"220 ready\r\n")
            self.assertEqual(client.take(), b"220 ready\r\n")

    def test_notTrusted(self) -> None:
        """
        If its certificate is not good the client is reset, nothing of what it
        has said gets there, and the line says why.
        """
        for number, endpoint in enumerate(self.endpoints()):
            self.events.clear()
            self.forward(endpoint=endpoint, tls=True)
            client = self.connect()
            client.peerSends(b"secret")
            line = self.answer(Authority(temporaryFolder(self), f"other{number}"))
            self.settle()
            self.assertTrue(client.aborted and line.transport.lost)
            self.assertEqual(line.peer.received, b"")
            self.assertEqual(self.line()["result"], "general failure")
            self.assertRegex(self.line()["reason"], r"^no TLS with the target: \w[^\n]+$")

    def test_closes(self) -> None:
        """
        So it is if it closes instead of taking part.
        """
        self.forward(endpoint=self.endpoints()[0], tls=True)
        client = self.connect()
        self.target().peerEnds()
        self.settle()
        self.assertTrue(client.aborted)
        self.assertIn("no TLS with the target", self.line()["reason"])

    def test_silent(self) -> None:
        """
        The handshake counts into the time for connecting.
        """
        for endpoint in self.endpoints():
            self.events.clear()
            self.forward(endpoint=endpoint, tls=True)
            client = self.connect()
            target = self.target()
            self.network.advance(29.9)
            self.assertFalse(client.aborted)
            self.network.advance(0.1)
            self.settle()
            self.assertTrue(client.aborted and target.lost)
            self.assertEqual(self.line()["result"], "timed out")

    def test_givenUp(self) -> None:
        """
        A client that leaves during the handshake takes the target with it.
        """
        self.forward(endpoint=self.endpoints()[0], tls=True)
        client = self.connect()
        target = self.target()
        client.peerResets()
        self.settle()
        self.assertTrue(target.aborted and target.lost)

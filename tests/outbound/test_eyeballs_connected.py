"""
Tests for L{socksproxy.outbound.eyeballs}: the winner's connection.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet import error as twistedError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.outbound.eyeballs import Dial
from socksproxy.relay import Leg
from socksproxy.testing import MemoryTransport, ScriptedNetwork


class Recorder(Protocol):
    """
    A protocol that cannot be half-closed and remembers what it is told.
    """

    def __init__(self) -> None:
        self.told: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        """
        Remember the bytes.
        """
        self.told.append(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Remember the loss.
        """
        self.told.append(reason.type)


class ConnectedTests(SynchronousTestCase):
    """
    What stands between the transport and the winner's protocol.
    """

    def connect(self, protocol: Protocol) -> MemoryTransport:
        """
        Connect a protocol.

        @return: Its transport.
        """
        network = ScriptedNetwork({"192.0.2.1:80": "accept"})
        factory = Factory()
        factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
        answer = Dial(network, network, [IPv4Address("192.0.2.1")], 80, factory).start()
        network.advance(0)
        self.assertIs(self.successResultOf(answer), protocol)
        transport = network.attempts[0].transport
        assert transport is not None
        self.assertIs(protocol.transport, transport)
        return transport

    def test_bytes(self) -> None:
        """
        The protocol gets the bytes, and then the loss.
        """
        protocol = Recorder()
        transport = self.connect(protocol)
        transport.peerSends(b"hello")
        transport.peerResets()
        self.assertEqual(protocol.told, [b"hello", twistedError.ConnectionLost])

    def test_noHalfClose(self) -> None:
        """
        A protocol that knows no half-close is told of the peer's end as of a
        closed connection.
        """
        protocol = Recorder()
        self.connect(protocol).peerEnds()
        self.assertEqual(protocol.told, [twistedError.ConnectionDone])

    def test_halfClose(self) -> None:
        """
        A protocol that knows half-closes is told of both.
        """
        told: list[str] = []

        class HalfCloseable(Leg):
            def readConnectionLost(self) -> None:
                told.append("read")

            def writeConnectionLost(self) -> None:
                told.append("write")

        transport = self.connect(HalfCloseable())
        transport.resumeProducing()
        transport.peerEnds()
        IHalfCloseableProtocol(transport._protocol).writeConnectionLost()
        self.assertEqual(told, ["read", "write"])
        self.assertFalse(transport.lost)

"""
Tests for L{socksproxy.relay.datagrams}.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.error import CannotListenError, ConnectionDone, MessageLengthError
from twisted.internet.interfaces import (
    IListeningPort,
    IReadDescriptor,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from socksproxy.relay.datagrams import BATCH, DatagramSocket, listenUDP, sendDatagram
from socksproxy.testing import ScriptedNetwork
from tests.logs import atLevel, captured
from tests.relay.scriptedsockets import SocketTestCase

TARGET = ("192.0.2.1", 53)
BEYOND = 65507

ERRORS: list[Exception] = [
    BlockingIOError(errno.EAGAIN, "full"),
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    PermissionError(errno.EPERM, "a firewall's rule"),
    OSError(errno.EACCES, "broadcast"),
    OSError(errno.EAFNOSUPPORT, "of another family"),
    OSError(errno.EBADF, "closed"),
    OSError(errno.EHOSTUNREACH, "no such host"),
    OSError(errno.EINVAL, "not from here"),
    OSError(errno.EMSGSIZE, "too long"),
    OSError(errno.ENETUNREACH, "no route"),
    OSError(errno.ENOBUFS, "no room"),
    socket.gaierror(socket.EAI_ADDRFAMILY, "no address"),
]
"""
What sendto raises.
"""


class OpenTests(SocketTestCase):
    """
    Opening one.
    """

    def test_interfaces(self) -> None:
        """
        It is a descriptor, a port and a transport.
        """
        opened = self.open()
        for interface in (IReadDescriptor, IListeningPort, IUDPTransport):
            verifyObject(interface, opened)

    def test_opened(self) -> None:
        """
        It is on the address that was asked for, does not block, is read, and
        its protocol knows it.
        """
        for interface, family in (("192.0.2.100", socket.AF_INET), ("::1", socket.AF_INET6)):
            self.setUp()
            opened = self.open(interface, 5000)
            self.assertEqual([made for made, _ in self.sockets.made], [family])
            self.assertEqual((self.socket.bound, self.socket.blocking), ((interface, 5000), False))
            self.assertEqual(self.reactor.readers, [opened])
            self.assertIs(self.protocol.transport, opened)
            self.assertEqual(opened.fileno(), 7)
            host = opened.getHost()
            self.assertEqual((host.type, host.host, host.port), ("UDP", interface, 5000))

    def test_bothFamilies(self) -> None:
        """
        One on all addresses carries IPv4, too, whatever the system does by
        default.
        """
        self.open("::")
        option = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.assertIn(option, self.socket.options)

    def test_notToBeHad(self) -> None:
        """
        Where none is to be had nothing is left open, and the error says what
        was asked for.
        """
        error = self.assertRaises(CannotListenError, self.open, "192.0.2.100", 1)
        self.assertEqual((error.interface, error.port), ("192.0.2.100", 1))
        self.assertEqual(error.socketError.errno, errno.EACCES)
        self.assertTrue(self.sockets.made[0][1].closed)
        self.sockets.full = True
        self.assertRaises(CannotListenError, self.open)
        self.assertEqual(self.reactor.readers, [])
        self.assertIsNone(self.protocol.transport)


class ReadTests(SocketTestCase):
    """
    Datagrams that come.
    """

    def setUp(self) -> None:
        super().setUp()
        self.opened = self.open()

    def test_received(self) -> None:
        """
        They come with where from; of IPv6 without what else the system knows.
        """
        self.socket.arrived = [(b"four", TARGET), (b"", ("2001:db8::1", 53, 0, 0))]
        self.opened.doRead()
        self.assertEqual(self.protocol.received, [(b"four", TARGET), (b"", ("2001:db8::1", 53))])

    def test_longest(self) -> None:
        """
        The longest that there can be comes whole.
        """
        self.socket.arrived = [(bytes(BEYOND), TARGET)]
        self.opened.doRead()
        self.assertEqual(len(self.protocol.received[0][0]), BEYOND)

    def test_othersHaveTheirTurn(self) -> None:
        """
        So many are read at a time, so that others have their turn.
        """
        self.socket.arrived = [(b"x", TARGET)] * (BATCH + 1)
        self.opened.doRead()
        self.assertEqual(len(self.protocol.received), BATCH)
        self.opened.doRead()
        self.assertEqual(len(self.protocol.received), BATCH + 1)

    def test_errors(self) -> None:
        """
        Whatever error the system has, the socket stays, and what comes next
        is read. What says nothing of us is not worth a line in the log.
        """
        with captured() as events:
            for number in (errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED):
                self.socket.arrived = [OSError(number, "no"), (b"next", TARGET)]
                self.opened.doRead()
                self.opened.doRead()
        self.assertEqual(self.protocol.received, [(b"next", TARGET)] * 3)
        self.assertEqual(events, [])
        with captured() as events:
            self.socket.arrived = [OSError(errno.ENOMEM, "no memory"), (b"next", TARGET)]
            self.opened.doRead()
            self.opened.doRead()
        self.assertEqual(len(self.protocol.received), 4)
        self.assertEqual(len(atLevel(events, LogLevel.error)), 1)
        self.assertEqual(self.reactor.readers, [self.opened])

    def test_protocolRaises(self) -> None:
        """
        An error of the protocol's own is logged, and is not the end.
        """
        self.socket.arrived = [(b"bad", TARGET), (b"good", TARGET)]
        self.opened.doRead()
        self.assertEqual(len(self.protocol.received), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_closedMeanwhile(self) -> None:
        """
        One that is closed by its protocol takes nothing more, even of what has
        arrived already.
        """
        self.socket.arrived = [(b"stop", TARGET), (b"too late", TARGET)]
        self.opened.doRead()
        self.assertEqual(self.protocol.received, [(b"stop", TARGET)])
        self.assertTrue(self.socket.closed)


class CloseTests(SocketTestCase):
    """
    Closing one.
    """

    def test_stopListening(self) -> None:
        """
        It is closed at once, and its protocol is told a turn of the reactor
        later, once. Nothing is sent any more meanwhile.
        """
        opened = self.open()
        for _ in range(3):
            self.assertIsNone(self.successResultOf(opened.stopListening()))
        self.assertTrue(self.socket.closed)
        self.assertEqual(self.reactor.readers, [])
        self.socket.refusing = OSError(errno.EBADF, "closed")
        self.assertFalse(sendDatagram(self.protocol.transport, b"late", TARGET))
        self.reactor.advance(0)
        self.assertEqual(self.protocol.stops, 1)
        self.assertIsNone(self.protocol.transport)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_address(self) -> None:
        """
        Where it was can still be asked.
        """
        opened = self.open("192.0.2.100", 5000)
        before = opened.getHost()
        opened.stopListening()
        self.assertEqual(opened.getHost(), before)

    def test_connectionLost(self) -> None:
        """
        So it is when the reactor gives it up.
        """
        opened = self.open()
        opened.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(0)
        self.assertTrue(self.socket.closed)
        self.assertEqual((self.reactor.readers, self.protocol.stops), ([], 1))


class ListenTests(SocketTestCase):
    """
    The quickest way that a reactor has.
    """

    def test_descriptors(self) -> None:
        """
        Where it looks after descriptors, that is a socket of ours.
        """
        opened = listenUDP(self.reactor, 5000, self.protocol, "192.0.2.100")
        self.assertIsInstance(opened, DatagramSocket)
        self.assertEqual(self.sockets.made[0][1].bound, ("192.0.2.100", 5000))

    def test_otherReactors(self) -> None:
        """
        Where it does not, it is the reactor's own, which reads datagrams
        whole.
        """
        asked: list[tuple[object, ...]] = []

        class Reactor(Clock):
            def listenUDP(self, *arguments: object) -> str:
                asked.append(arguments)
                return "port"

        opened: object = listenUDP(Reactor(), 5000, self.protocol, "192.0.2.100")
        self.assertEqual(opened, "port")
        ((port, protocol, interface, size),) = asked
        self.assertEqual((port, protocol, interface), (5000, self.protocol, "192.0.2.100"))
        self.assertGreaterEqual(int(str(size)), BEYOND)
        self.assertEqual(self.sockets.made, [])


class SendTests(SocketTestCase):
    """
    Sending.
    """

    def test_sent(self) -> None:
        """
        A datagram goes out as it is, an empty one too.
        """
        opened = self.open()
        for data in (b"question", b""):
            self.assertTrue(sendDatagram(opened, data, TARGET))
        opened.write(b"more", TARGET)
        self.assertEqual(
            self.socket.sent, [(b"question", TARGET), (b"", TARGET), (b"more", TARGET)]
        )

    def test_errors(self) -> None:
        """
        Whatever error the system has, the datagram was lost, and nothing is
        raised; the next one may go.
        """
        opened = self.open()
        for error in ERRORS:
            self.socket.refusing = error
            self.assertFalse(sendDatagram(opened, b"lost", TARGET), error)
        self.socket.refusing = None
        self.assertTrue(sendDatagram(opened, b"sent", TARGET))
        self.assertEqual(self.socket.sent, [(b"sent", TARGET)])

    def test_noAddress(self) -> None:
        """
        Without an address there is nowhere to send to, unless the socket is
        connected.
        """
        opened = self.open()
        self.assertRaises(OSError, opened.write, b"question")
        opened.connect(*TARGET)
        opened.write(b"question")
        self.assertEqual(self.socket.sent, [(b"question", TARGET)])

    def test_broadcast(self) -> None:
        """
        It may be sent to everybody only where that has been allowed.
        """
        opened = self.open()
        self.assertFalse(opened.getBroadcastAllowed())
        for allowed in (True, False):
            opened.setBroadcastAllowed(allowed)
            self.assertIs(opened.getBroadcastAllowed(), allowed)
        option = (socket.SOL_SOCKET, socket.SO_BROADCAST)
        self.assertEqual(self.socket.options[-2:], [(*option, 1), (*option, 0)])

    def test_otherTransport(self) -> None:
        """
        Any other transport is written to.
        """
        other = ScriptedNetwork().listenUDP(0, DatagramProtocol())
        self.assertTrue(sendDatagram(other, b"question", TARGET))
        self.assertEqual(other.take(), [(b"question", TARGET)])

    def test_otherErrors(self) -> None:
        """
        Whatever that raises for want of a way, the datagram was lost.
        """
        other = ScriptedNetwork().listenUDP(0, DatagramProtocol())
        for error in (*ERRORS, MessageLengthError()):
            self.patch(other, "write", _raising(error))
            self.assertFalse(sendDatagram(other, b"lost", TARGET), error)

    def test_closed(self) -> None:
        """
        Where there is no transport any more it was lost as well.
        """
        self.assertFalse(sendDatagram(None, b"lost", TARGET))


def _raising(error: Exception) -> Any:
    def write(data: bytes, address: object) -> None:
        raise error

    return write

"""
Tests for L{socksproxy.relay.leg}.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address

from twisted.internet import address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.relay import Leg
from socksproxy.relay.leg import abort, addressAndPort, endStream
from socksproxy.relay.protected import ProtectedTransport
from socksproxy.relay.sockets import READ_SIZE, readMuch, tuneSocket
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.relay.joined import NoHalfClose, TLSTransport
from tests.relay.sealing import Sealing


class Holder:
    """
    A receiver that remembers what it has been told.

    @ivar told: What it was.
    """

    def __init__(self) -> None:
        self.told: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        """
        Remember the bytes.
        """
        self.told.append(data)

    def readConnectionLost(self) -> None:
        """
        Remember the end.
        """
        self.told.append("end")

    def connectionLost(self, reason: Failure) -> None:
        """
        Remember the loss.
        """
        self.told.append(reason.type)


@implementer(ITCPTransport)
class TunedTransport(MemoryTransport):
    """
    A transport of TCP that remembers its options.
    """

    def __init__(self, host: IAddress) -> None:
        super().__init__(Clock(), Leg(), host)
        self.noDelay = False
        self.keepAlive = False
        self.options: dict[tuple[int, int], int] = {}

    def getHandle(self) -> TunedTransport:
        """
        Give the socket.
        """
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """
        Remember an option.
        """
        self.options[level, option] = value

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        See C{ITCPTransport}.
        """
        self.noDelay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        See C{ITCPTransport}.
        """
        self.keepAlive = enabled


class LegTests(SynchronousTestCase):
    """
    A connection whose holder changes.
    """

    def setUp(self) -> None:
        """
        Connect a leg that nobody holds.
        """
        self.leg = Leg()
        self.transport = MemoryTransport(Clock(), self.leg)
        self.leg.makeConnection(self.transport)

    def test_interface(self) -> None:
        """
        A leg can be half-closed.
        """
        verifyObject(IHalfCloseableProtocol, self.leg)
        self.leg.writeConnectionLost()

    def test_pausedUntilHeld(self) -> None:
        """
        A leg that nobody holds does not read.
        """
        self.assertTrue(self.transport.paused)

    def test_heldBeforeConnected(self) -> None:
        """
        A leg that is held already when it is connected reads at once.
        """
        leg, holder = Leg(), Holder()
        leg.hold(holder)
        transport = MemoryTransport(Clock(), leg)
        leg.makeConnection(transport)
        transport.peerSends(b"hello")
        self.assertEqual(holder.told, [b"hello"])

    def test_holdingDoesNotRead(self) -> None:
        """
        Holding a leg does not make it read.
        """
        self.leg.hold(Holder())
        self.assertTrue(self.transport.paused)

    def test_passesOn(self) -> None:
        """
        The holder is told of bytes, of the end, and of the loss.
        """
        holder = Holder()
        self.leg.hold(holder)
        self.transport.resumeProducing()
        self.transport.peerSends(b"hello")
        self.transport.peerEnds()
        self.leg.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(holder.told, [b"hello", "end", ConnectionDone])

    def test_onlyTheLastHolderIsTold(self) -> None:
        """
        Once another holds the leg, the one before hears nothing.
        """
        first, second = Holder(), Holder()
        self.leg.hold(first)
        self.leg.hold(second)
        self.leg.dataReceived(b"hello")
        self.assertEqual((first.told, second.told), ([], [b"hello"]))

    def test_keptUntilHeld(self) -> None:
        """
        Bytes and an end that came while nobody held the leg are told once, to
        the first holder, in order.
        """
        self.leg.dataReceived(b"one")
        self.leg.dataReceived(b"two")
        self.leg.readConnectionLost()
        first, second = Holder(), Holder()
        self.leg.hold(first)
        self.leg.hold(second)
        self.assertEqual((first.told, second.told), ([b"one", b"two", "end"], []))

    def test_lossKeptUntilHeld(self) -> None:
        """
        A loss that nobody was told of is told to the first holder, after the
        bytes, and makes the end before it no news.
        """
        self.leg.dataReceived(b"bye")
        self.leg.readConnectionLost()
        self.leg.connectionLost(Failure(ConnectionDone()))
        holder = Holder()
        self.leg.hold(holder)
        self.assertEqual(holder.told, [b"bye", ConnectionDone])

    def test_brokenEnd(self) -> None:
        """
        An end that the kernel knows to be an error is not passed on as one.
        """

        class Failing(socket.socket):
            def getsockopt(self, *arguments: int) -> int:  # type: ignore[override]
                self.asked = arguments
                return errno.ECONNRESET

        for kind, told in ((socket.socket, ["end"]), (Failing, [])):
            self.setUp()
            holder = Holder()
            self.leg.hold(holder)
            below = kind()
            self.addCleanup(below.close)
            self.transport.socket = below  # type: ignore[attr-defined]
            self.leg.readConnectionLost()
            self.assertEqual(holder.told, told)
            self.assertEqual(self.transport.aborted, not told)
            if isinstance(below, Failing):
                self.assertEqual(below.asked, (socket.SOL_SOCKET, socket.SO_ERROR))

    def test_localAddress(self) -> None:
        """
        A leg over IP tells its own address and port.
        """
        self.assertEqual(self.leg.localAddress(), (IPv4Address("127.0.0.1"), 1080))

    def test_noLocalAddress(self) -> None:
        """
        A leg over anything else has none.
        """
        leg = Leg()
        leg.makeConnection(MemoryTransport(Clock(), leg, address.UNIXAddress(b"/run/x")))
        self.assertEqual(leg.localAddress(), (None, 0))


class AddressTests(SynchronousTestCase):
    """
    Reading the addresses of transports.
    """

    def test_ip(self) -> None:
        """
        IPv4 and IPv6 addresses are read; a zone is left out, and an
        IPv4-mapped address is an IPv4 address.
        """
        for host, expected in (
            ("::1", IPv6Address("::1")),
            ("fe80::1%eth0", IPv6Address("fe80::1")),
            ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ):
            self.assertEqual(
                addressAndPort(address.IPv6Address("TCP", host, 80)), (expected, 80), host
            )
        self.assertEqual(
            addressAndPort(address.IPv4Address("TCP", "192.0.2.1", 80)),
            (IPv4Address("192.0.2.1"), 80),
        )

    def test_other(self) -> None:
        """
        Anything else is no address.
        """
        for other in (address.UNIXAddress(b"/run/x"), address.HostnameAddress(b"a", 1), None):
            self.assertEqual(addressAndPort(other), (None, 0))


class EndingTests(SynchronousTestCase):
    """
    The ways to end a stream or a connection.
    """

    def test_halfClose(self) -> None:
        """
        A stream ends as a half-close where the transport knows it.
        """
        transport = MemoryTransport(Clock(), Leg())
        endStream(transport)
        self.assertTrue(transport.ended)
        self.assertFalse(transport.disconnecting)

    def test_noHalfClose(self) -> None:
        """
        Elsewhere, and over TLS, the connection is closed.
        """
        for kind in (NoHalfClose, TLSTransport):
            transport = kind(Clock(), Leg())
            endStream(transport)
            self.assertTrue(transport.disconnecting, kind)
            self.assertFalse(transport.aborted, kind)

    def test_abort(self) -> None:
        """
        A connection is dropped as a reset.
        """
        transport = MemoryTransport(Clock(), Leg())
        abort(transport)
        self.assertTrue(transport.aborted)

    def test_noAbort(self) -> None:
        """
        A transport that knows no reset is closed.
        """

        class OnlyCloses:
            closed = False

            def loseConnection(self) -> None:
                self.closed = True

        transport = OnlyCloses()
        abort(transport)
        self.assertTrue(transport.closed)


class TuneSocketTests(SynchronousTestCase):
    """
    Socket options.
    """

    def test_tcp(self) -> None:
        """
        A TCP connection sends small writes at once and notices a dead peer.
        """
        transport = TunedTransport(tcpAddress("127.0.0.1", 80))
        tuneSocket(transport)
        self.assertTrue(transport.noDelay and transport.keepAlive)

    def test_readMuch(self) -> None:
        """
        A relay reads much of TCP at a time, below whatever is around it, and
        leaves other transports alone.
        """
        connection = Connection(socket.socket(), Protocol(), Clock())
        self.addCleanup(connection.socket.close)
        wrapped = ProtectedTransport(connection, Sealing())
        readMuch(wrapped)
        self.assertEqual(connection.bufferSize, READ_SIZE)
        self.assertLess(READ_SIZE, 128 * 1024)
        readMuch(TunedTransport(tcpAddress("127.0.0.1", 80)))

    def test_deadPeer(self) -> None:
        """
        A peer that is gone without a word is noticed within minutes, and one
        that is only silent is asked no more often than once a minute.
        """
        transport = TunedTransport(tcpAddress("127.0.0.1", 80))
        tuneSocket(transport)
        idle, interval, count = (
            transport.options[socket.IPPROTO_TCP, option]
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        self.assertGreaterEqual(idle, 60)
        self.assertLessEqual(idle + interval * count, 300)

    def test_unix(self) -> None:
        """
        A UNIX socket has no such options, although Twisted's transport says
        that it is one of TCP.
        """
        transport = TunedTransport(address.UNIXAddress(b"/run/x"))
        tuneSocket(transport)
        self.assertFalse(transport.noDelay or transport.keepAlive or transport.options)

    def test_other(self) -> None:
        """
        A transport without such options is left alone.
        """
        transport = MemoryTransport(Clock(), Leg())
        tuneSocket(transport)
        self.assertFalse(transport.ended)

"""
Tests for L{socksproxy.outbound.bound}.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NoReturn

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import ConnectTimedOut, GeneralFailure, NetworkUnreachable, NotAllowed
from socksproxy.exposure import Exposure, PortRange, PublicAddresses
from socksproxy.interfaces import IBoundPort
from socksproxy.outbound.bound import BIND_TIMEOUT, BoundPort
from socksproxy.relay import Leg
from socksproxy.testing import MemoryListener, MemoryTransport, ScriptedNetwork, tcpAddress
from tests.memoryproxy import OUTSIDE
from tests.socksrequests import WAIT

PEER = "192.0.2.7"
OTHER = "192.0.2.8"
STRANGER = "198.51.100.9"


class BoundTestCase(SynchronousTestCase):
    """
    Tests with a port that waits.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork()

    def bound(
        self,
        *peers: str,
        anybody: bool = False,
        ports: PortRange | None = None,
        public: PublicAddresses | None = None,
        strangersFail: bool = False,
    ) -> BoundPort:
        """
        Open a port.

        @param peers: Who is expected; L{PEER} by default.
        """
        exposure = Exposure(
            self.network, ports, public or {}, route=lambda peer: OUTSIDE[peer.version]
        )
        expected = None if anybody else [ip_address(peer) for peer in peers or (PEER,)]
        return BoundPort(exposure, self.network, expected, strangersFail=strangersFail)

    @property
    def listener(self) -> MemoryListener:
        """
        Give the only port that has been opened.
        """
        (listener,) = self.network.listeners
        return listener

    def comes(self, host: str = PEER, port: int = 5000) -> MemoryTransport:
        """
        Connect to it, and require that this is not refused.
        """
        transport = self.listener.peerConnects(host, port)
        assert transport is not None, "the connection was closed at once"
        return transport

    def assertOver(self) -> None:
        """
        Fail if it still listens, or if anything will still happen.
        """
        self.assertFalse(self.listener.open)
        self.assertEqual(self.network.getDelayedCalls(), [])


class AddressTests(BoundTestCase):
    """
    Where it listens, and what is told of it.
    """

    def test_interface(self) -> None:
        """
        It is a bound port.
        """
        port = self.bound()
        verifyObject(IBoundPort, port)
        port.stop()

    def test_towardsThePeer(self) -> None:
        """
        It listens on the address that the peer finds us at, in the peer's
        family, and on no other; that address is told, with the port.
        """
        for peer, version in ((PEER, 4), ("2001:db8::7", 6)):
            self.network = ScriptedNetwork()
            port = self.bound(peer)
            host = self.listener.getHost()
            self.assertEqual(host.host, str(OUTSIDE[version]))
            self.assertEqual(port.address, Destination(OUTSIDE[version], host.port))
            port.stop()

    def test_advertised(self) -> None:
        """
        What is told may be another address, that of a network translator.
        """
        port = self.bound(public={4: ip_address("198.51.100.77")})
        self.assertEqual(port.address.host, ip_address("198.51.100.77"))
        self.assertEqual(self.listener.getHost().host, str(OUTSIDE[4]))

    def test_anybody(self) -> None:
        """
        Where anybody may come, what is told is nevertheless an address that
        can be connected to.
        """
        port = self.bound(anybody=True)
        self.assertEqual(port.address.host, OUTSIDE[4])
        self.assertEqual(port.address.port, self.listener.getHost().port)

    def test_privileged(self) -> None:
        """
        The port is none of the privileged ones.
        """
        self.assertGreaterEqual(self.bound().address.port, 1024)
        self.assertIn(self.bound(ports=PortRange(3000, 3001)).address.port, (3000, 3001))

    def test_noPort(self) -> None:
        """
        Where no port is to be had nothing is left waiting.
        """
        self.bound(ports=PortRange(3000, 3000))
        self.assertRaises(GeneralFailure, self.bound, ports=PortRange(3000, 3000))
        self.assertEqual(len(self.network.listeners), 1)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def unreachable(self) -> Exposure:
        """
        Be on a host from which there is no way anywhere.
        """

        def route(peer: IPAddress) -> NoReturn:
            raise NetworkUnreachable

        return Exposure(self.network, route=route)

    def test_noWay(self) -> None:
        """
        Where there is no way to the peer nothing is opened.
        """
        self.assertRaises(
            NetworkUnreachable, BoundPort, self.unreachable(), self.network, [ip_address(PEER)]
        )
        self.assertEqual(self.network.listeners, [])

    def test_noWayToAnybody(self) -> None:
        """
        Where there is no way out at all, anybody is somebody on this host.
        """
        port = BoundPort(self.unreachable(), self.network, None)
        self.assertEqual(str(port.address.host), "127.0.0.1")


class PeerTests(BoundTestCase):
    """
    Who is let in.
    """

    def test_expected(self) -> None:
        """
        The expected peer is, from whatever port, and what it says is not read
        before somebody wants it. The port is closed at once.
        """
        waiting = self.bound().accepted()
        self.assertNoResult(waiting)
        transport = self.comes(port=61000)
        leg = self.successResultOf(waiting)
        self.assertIsInstance(leg, Leg)
        self.assertIs(leg.transport, transport)
        self.assertTrue(transport.paused)
        self.assertOver()

    def test_mapped(self) -> None:
        """
        So is one whose address a socket for both families shows in its IPv6
        form.
        """
        waiting = self.bound().accepted()
        self.comes(f"::ffff:{PEER}")
        self.successResultOf(waiting)

    def test_ipv6(self) -> None:
        """
        An IPv6 address is the same however it is written.
        """
        waiting = self.bound("2001:db8::7").accepted()
        self.comes("2001:0db8:0:0::7")
        self.successResultOf(waiting)

    def test_stranger(self) -> None:
        """
        Somebody else's connection is closed, and the waiting goes on.
        """
        waiting = self.bound().accepted()
        for host in (STRANGER, OTHER, "::ffff:198.51.100.9", "2001:db8::7", "127.0.0.1"):
            self.assertIsNone(self.listener.peerConnects(host, 5000))
        self.assertNoResult(waiting)
        self.assertTrue(self.listener.open)
        self.comes()
        self.successResultOf(waiting)
        self.assertOver()

    def test_strangersDoNotProlong(self) -> None:
        """
        Nor does it make the waiting longer, however often that happens.
        """
        waiting = self.bound().accepted()
        for _ in range(int(WAIT) - 1):
            self.network.advance(1)
            self.assertIsNone(self.listener.peerConnects(STRANGER, 5000))
        self.assertNoResult(waiting)
        self.network.advance(1)
        self.failureResultOf(waiting, ConnectTimedOut)

    def test_several(self) -> None:
        """
        A name may have several addresses: any of them is expected.
        """
        waiting = self.bound(OTHER, PEER).accepted()
        self.comes(PEER)
        self.successResultOf(waiting)

    def test_anybody(self) -> None:
        """
        Where anybody may come, whoever is first is let in.
        """
        waiting = self.bound(anybody=True).accepted()
        transport = self.comes(STRANGER)
        self.assertIs(self.successResultOf(waiting).transport, transport)
        self.assertOver()

    def test_one(self) -> None:
        """
        Only one is, even if another has connected before the port was closed.
        """
        waiting = self.bound().accepted()
        self.comes()
        factory = self.listener.factory
        self.assertIsNone(factory.buildProtocol(tcpAddress(PEER, 5001)))
        self.successResultOf(waiting)

    def test_noPeer(self) -> None:
        """
        A connection from who has no IP address is nobody's.
        """
        waiting = self.bound().accepted()
        self.assertIsNone(self.listener.factory.buildProtocol(UNIXAddress(b"")))
        self.assertNoResult(waiting)

    def test_strangersFail(self) -> None:
        """
        Where that is wanted, somebody else's connection ends the waiting
        (REP 2), once.
        """
        waiting = self.bound(strangersFail=True).accepted()
        self.assertIsNone(self.listener.peerConnects(STRANGER, 5000))
        error = self.failureResultOf(waiting, NotAllowed).value
        self.assertEqual((error.replyCode, error.socks4Code), (2, 0x5B))
        self.assertOver()
        for host in (STRANGER, PEER):
            self.assertIsNone(self.listener.factory.buildProtocol(tcpAddress(host, 5001)))

    def test_strangersFailExpected(self) -> None:
        """
        The expected peer's does not.
        """
        waiting = self.bound(strangersFail=True).accepted()
        self.comes()
        self.successResultOf(waiting)
        self.assertOver()


class EndTests(BoundTestCase):
    """
    The waiting ends.
    """

    def test_timeout(self) -> None:
        """
        After two minutes, and not before (REP 6, and 91 in SOCKS4).
        """
        self.assertEqual(BIND_TIMEOUT, WAIT)
        waiting = self.bound().accepted()
        self.network.advance(WAIT - 0.1)
        self.assertNoResult(waiting)
        self.assertTrue(self.listener.open)
        self.network.advance(0.1)
        error = self.failureResultOf(waiting, ConnectTimedOut).value
        self.assertEqual((error.replyCode, error.socks4Code), (6, 0x5B))
        self.assertOver()

    def test_cancel(self) -> None:
        """
        When it is cancelled.
        """
        waiting = self.bound().accepted()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertOver()

    def test_stopBefore(self) -> None:
        """
        When it is stopped before anybody waits.
        """
        port = self.bound()
        port.stop()
        self.assertOver()

    def test_stopWaiting(self) -> None:
        """
        When it is stopped, which may be said more than once; whoever waits is
        told. No timer goes on after that, and nobody is let in.
        """
        port = self.bound()
        waiting = port.accepted()
        port.stop()
        port.stop()
        self.failureResultOf(waiting)
        self.assertIsNone(self.listener.factory.buildProtocol(tcpAddress(PEER, 5001)))
        self.assertOver()

    def test_stopAfterwards(self) -> None:
        """
        When it is over already there is nothing to stop: the peer keeps its
        connection.
        """
        port = self.bound()
        waiting = port.accepted()
        transport = self.comes()
        port.stop()
        self.network.advance(2 * WAIT)
        self.assertFalse(transport.lost)
        self.assertIs(self.successResultOf(waiting).transport, transport)

    def test_peerGone(self) -> None:
        """
        A peer that has reset its connection before anybody holds it is told
        as gone to who does.
        """
        waiting = self.bound().accepted()
        transport = self.comes()
        transport.peerResets()
        self.assertTrue(transport.lost)
        self.assertIsInstance(self.successResultOf(waiting), Leg)
        self.assertOver()

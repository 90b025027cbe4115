"""
Tests for L{socksproxy.outbound.direct}: ports, datagrams and look-ups for
clients.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, Host, IPAddress, hostFromName
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import ConnectTimedOut, NameNotFound, NotAllowed
from socksproxy.exposure import Exposure
from socksproxy.interfaces import IBoundPort, IDatagramConduit
from socksproxy.outbound.direct import DirectOutbound, DirectSettings
from socksproxy.testing import MemoryListener, ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import OUTSIDE, DenyNetworks

PEER, OTHER, SIX, INSIDE = "192.0.2.7", "192.0.2.8", "2001:db8::7", "10.0.0.1"
NO_NAME = OSError("no name")


class OutboundTestCase(SynchronousTestCase):
    """
    Tests with a way out on which 10.0.0.0/8 is denied.
    """

    def outbound(
        self, names: SlowNames | None = None, settings: DirectSettings | None = None, **world: str
    ) -> DirectOutbound:
        """
        Make a way out.

        @param names: What answers instead of the world.
        @param world: The addresses of names, separated by spaces, with C{_}
            for dots.
        """
        self.network = ScriptedNetwork(
            {name.replace("_", "."): addresses.split() for name, addresses in world.items()}
        )
        resolver = BoundedResolver(self.network, names or self.network, reverse=self._reverse)
        exposure = Exposure(self.network, route=lambda peer: OUTSIDE[peer.version])
        return DirectOutbound(
            self.network,
            self.network,
            resolver,
            DenyNetworks(["10.0.0.0/8"]),
            "client",
            settings or DirectSettings(),
            exposure,
        )

    def _reverse(self, address: IPAddress) -> Deferred[str]:
        return succeed("peer.test") if str(address) == PEER else fail(NO_NAME)

    @property
    def listener(self) -> MemoryListener:
        """
        Give the only port that has been opened.
        """
        (listener,) = self.network.listeners
        return listener

    def assertNothing(self) -> None:
        """
        Fail if a port has been opened, or if anything will still happen.
        """
        self.assertEqual(self.network.listeners, [])
        self.assertEqual(self.network.getDelayedCalls(), [])


class ListenTests(OutboundTestCase):
    """
    Ports that wait for a peer.
    """

    def listen(self, outbound: DirectOutbound, expected: str) -> Deferred[IBoundPort]:
        """
        Wait for somebody.
        """
        return outbound.listen(Destination(hostFromName(expected.encode()), 4711))

    def test_address(self) -> None:
        """
        A peer's address is expected, in its own family; the port that was
        named does not count.
        """
        for peer, version in ((PEER, 4), (SIX, 6)):
            port = self.successResultOf(self.listen(self.outbound(), peer))
            verifyObject(IBoundPort, port)
            self.assertEqual(port.address.host, OUTSIDE[version])
            waiting = port.accepted()
            self.assertIsNone(self.listener.peerConnects(OTHER, 4711))
            self.assertIsNotNone(self.listener.peerConnects(peer, 1))
            self.successResultOf(waiting)

    def test_name(self) -> None:
        """
        Of a name, any address is expected that the policy allows.
        """
        for peer, admitted in ((PEER, True), (OTHER, True), (INSIDE, False)):
            outbound = self.outbound(peer_test=f"{INSIDE} {PEER} {OTHER}")
            port = self.successResultOf(self.listen(outbound, "peer.test"))
            waiting = port.accepted()
            connected = self.listener.peerConnects(peer, 1)
            self.assertEqual(connected is not None, admitted, peer)
            waiting.cancel()
            waiting.addErrback(lambda _: None)

    def test_denied(self) -> None:
        """
        A peer that the policy denies is not allowed, and nothing is opened.
        """
        outbound = self.outbound(inside_test=INSIDE)
        for expected in (INSIDE, "inside.test", f"::ffff:{INSIDE}"):
            self.failureResultOf(self.listen(outbound, expected), NotAllowed)
        self.assertNothing()

    def test_notFound(self) -> None:
        """
        Nor is anything for a name that has no address.
        """
        self.failureResultOf(self.listen(self.outbound(), "nowhere.test"), NameNotFound)
        self.assertNothing()

    def test_anybody(self) -> None:
        """
        A client has to say whom it expects, or it is not allowed (REP 2).
        """
        for expected in ("0.0.0.0", "::", "::ffff:0.0.0.0"):
            answer = self.listen(self.outbound(), expected)
            self.assertEqual(self.failureResultOf(answer, NotAllowed).value.replyCode, 2)
            self.assertNothing()

    def test_anybodyWanted(self) -> None:
        """
        Where that may be left open, anybody may come.
        """
        outbound = self.outbound(settings=DirectSettings(anyPeer=True))
        port = self.successResultOf(self.listen(outbound, "0.0.0.0"))
        waiting = port.accepted()
        self.assertIsNotNone(self.listener.peerConnects("198.51.100.1", 1))
        self.successResultOf(waiting)

    def test_anybodyIPv6(self) -> None:
        """
        Who asks for that with an IPv6 address gets a port that is reached by
        IPv6, and is told an IPv6 address.
        """
        outbound = self.outbound(settings=DirectSettings(anyPeer=True))
        port = self.successResultOf(self.listen(outbound, "::"))
        self.addCleanup(port.stop)
        self.assertEqual(port.address.host, OUTSIDE[6])
        self.assertIn(":", self.listener.getHost().host)

    def test_anyPeerIsNoExcuse(self) -> None:
        """
        Even then, a peer that is named is the only one.
        """
        outbound = self.outbound(settings=DirectSettings(anyPeer=True))
        port = self.successResultOf(self.listen(outbound, PEER))
        self.assertIsNone(self.listener.peerConnects(OTHER, 1))
        port.stop()

    def test_settings(self) -> None:
        """
        How long it waits, and what a stranger does, is a matter of settings.
        """
        settings = DirectSettings(bindTimeout=7, strangersFail=True)
        port = self.successResultOf(self.listen(self.outbound(settings=settings), PEER))
        waiting = port.accepted()
        self.network.advance(6.9)
        self.assertNoResult(waiting)
        self.network.advance(0.1)
        self.failureResultOf(waiting, ConnectTimedOut)
        port = self.successResultOf(self.listen(self.outbound(settings=settings), PEER))
        waiting = port.accepted()
        self.assertIsNone(self.listener.peerConnects(OTHER, 1))
        self.failureResultOf(waiting, NotAllowed)

    def test_cancelled(self) -> None:
        """
        One that is given up while its peer's name is looked up is not opened
        when the answer comes.
        """
        names = SlowNames()
        answer = self.listen(self.outbound(names), "peer.test")
        self.assertNoResult(answer)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        names.answer("peer.test", PEER)
        self.assertNothing()


class ConduitTests(OutboundTestCase):
    """
    Datagrams.
    """

    def conduit(self, outbound: DirectOutbound) -> IDatagramConduit:
        """
        Get a conduit.
        """
        self.received: list[bytes] = []
        conduit = self.successResultOf(
            outbound.conduit(lambda data, source: self.received.append(data))
        )
        self.addCleanup(conduit.close)
        verifyObject(IDatagramConduit, conduit)
        return conduit

    def test_policy(self) -> None:
        """
        They go where the policy allows, by address and by name.
        """
        conduit = self.conduit(self.outbound(peer_test=PEER, inside_test=INSIDE))
        hosts: tuple[Host, ...] = (ip_address(PEER), ip_address(INSIDE), "peer.test", "inside.test")
        for host in hosts:
            conduit.send(b"question", Destination(host, 53))
        (datagrams,) = self.network.datagrams
        self.assertEqual(datagrams.take(), [(b"question", (PEER, 53))] * 2)

    def test_strangers(self) -> None:
        """
        Whether strangers may answer is a matter of settings.
        """
        for fullCone in (False, True):
            outbound = self.outbound(settings=DirectSettings(fullCone=fullCone))
            conduit = self.conduit(outbound)
            conduit.send(b"question", Destination(ip_address(PEER), 53))
            self.network.datagrams[0].peerSends(b"answer", OTHER, 53)
            self.assertEqual(self.received, [b"answer"] * fullCone)

    def test_defaults(self) -> None:
        """
        By default they may not, and a BIND has to say whom it expects.
        """
        settings = DirectSettings()
        self.assertFalse(settings.fullCone or settings.anyPeer or settings.strangersFail)


class LookUpTests(OutboundTestCase):
    """
    Names and addresses.
    """

    def test_resolve(self) -> None:
        """
        A name has the addresses that the policy allows, in order; an address
        has itself.
        """
        outbound = self.outbound(peer_test=f"{INSIDE} {SIX} {PEER}")
        self.assertEqual(
            self.successResultOf(outbound.resolve("peer.test")), [ip_address(SIX), ip_address(PEER)]
        )
        self.assertEqual(
            self.successResultOf(outbound.resolve(ip_address(PEER))), [ip_address(PEER)]
        )

    def test_resolveFails(self) -> None:
        """
        What the policy denies is not allowed, and what is not there is not
        found.
        """
        outbound = self.outbound(inside_test=INSIDE)
        hosts: tuple[tuple[Host, type[Exception]], ...] = (
            ("inside.test", NotAllowed),
            (ip_address(INSIDE), NotAllowed),
            ("nowhere.test", NameNotFound),
            ("abc.onion", NameNotFound),
        )
        for host, error in hosts:
            self.failureResultOf(outbound.resolve(host), error)

    def test_reverse(self) -> None:
        """
        An address that the policy allows has a name, or none is found.
        """
        outbound = self.outbound()
        self.assertEqual(self.successResultOf(outbound.reverse(ip_address(PEER))), "peer.test")
        self.failureResultOf(outbound.reverse(ip_address(OTHER)), NameNotFound)
        self.failureResultOf(outbound.reverse(ip_address(INSIDE)), NotAllowed)

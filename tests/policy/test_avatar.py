"""
Tests for L{socksproxy.policy.avatar}.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IHostnameResolver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import (
    CommandNotSupported,
    ConnectionRefused,
    ConnectTimedOut,
    GeneralFailure,
    NameNotFound,
    NotAllowed,
    TooManyConnections,
)
from socksproxy.exposure import Exposure, PortRange
from socksproxy.interfaces import IBoundPort, IProxyAvatar, WayOut
from socksproxy.outbound.direct import DirectOutbound, DirectSettings
from socksproxy.policy.avatar import ProxyAvatar
from socksproxy.policy.rules import AnyAddress
from socksproxy.policy.services import PendingBinds, Services
from socksproxy.relay import Leg
from socksproxy.testing import ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import EVERYTHING, OUTSIDE, DenyNetworks
from tests.socksrequests import WAIT

DESTINATION = Destination(IPv4Address("192.0.2.1"), 80)
PEER = Destination(IPv4Address("192.0.2.7"), 0)
DENIED = Destination(IPv4Address("10.0.0.1"), 0)


class ProxyAvatarTests(SynchronousTestCase):
    """
    What a user can ask for.
    """

    def avatar(self, outcome: str) -> ProxyAvatar:
        """
        Make an avatar.

        @param outcome: What comes of dialling.
        """
        self.network = network = ScriptedNetwork({"192.0.2.1:80": outcome})
        resolver = BoundedResolver(network, network)
        return ProxyAvatar(
            "alice", DirectOutbound(network, network, resolver, AnyAddress(), "client")
        )

    def test_interface(self) -> None:
        """
        It is an avatar of a proxy user, and knows the user's name.
        """
        avatar = self.avatar("accept")
        verifyObject(IProxyAvatar, avatar)
        self.assertEqual(avatar.user, "alice")

    def test_way(self) -> None:
        """
        The way out is told, with datagrams only where the user may send some.
        """
        self.assertEqual(self.avatar("connect").way, WayOut(udp=False))
        network = self.network
        outbound = DirectOutbound(
            network, network, BoundedResolver(network, network), AnyAddress(), "client"
        )
        self.assertEqual(ProxyAvatar("alice", outbound, Services(udp=True)).way, WayOut(udp=True))

    def test_connect(self) -> None:
        """
        A connection leads through the way out, and does not read before
        somebody holds it.
        """
        answer = self.avatar("accept").connect(DESTINATION)
        self.network.advance(0)
        leg = self.successResultOf(answer)
        self.assertIsInstance(leg, Leg)
        self.assertEqual([attempt.host for attempt in self.network.attempts], ["192.0.2.1"])
        self.assertIs(leg.transport, self.network.attempts[0].transport)
        self.assertTrue(leg.transport.paused)

    def test_failure(self) -> None:
        """
        Why a connection failed is told as it is.
        """
        answer = self.avatar("ECONNREFUSED").connect(DESTINATION)
        self.network.advance(0)
        self.failureResultOf(answer, ConnectionRefused)

    def test_cancel(self) -> None:
        """
        An attempt can be given up.
        """
        answer = self.avatar("timeout").connect(DESTINATION)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.network.cancelled, 1)
        self.assertEqual(self.network.getDelayedCalls(), [])


class ServiceTestCase(SynchronousTestCase):
    """
    Tests with an avatar that may ask for more than connections.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork({"peer.test": ["192.0.2.7"]})
        self.pending = PendingBinds()

    def avatar(
        self,
        services: Services | None = EVERYTHING,
        names: IHostnameResolver | None = None,
        settings: DirectSettings | None = None,
        ports: PortRange | None = None,
        client: str = "client",
    ) -> ProxyAvatar:
        """
        Make an avatar.

        @param services: What it may ask for; L{None} leaves that out.
        @param names: What resolves names.
        """
        network = self.network
        outbound = DirectOutbound(
            network,
            network,
            BoundedResolver(network, names or network, reverse=lambda address: succeed("a.test")),
            DenyNetworks(["10.0.0.0/8"]),
            "client",
            settings or DirectSettings(),
            Exposure(network, ports, route=lambda peer: OUTSIDE[peer.version]),
        )
        if services is None:
            return ProxyAvatar("alice", outbound)
        return ProxyAvatar("alice", outbound, services, self.pending, client)


class ServiceTests(ServiceTestCase):
    """
    What else a user can ask for.
    """

    def test_granted(self) -> None:
        """
        Where everything is on, everything is to be had.
        """
        avatar = self.avatar()
        port = self.successResultOf(avatar.listen(PEER))
        verifyObject(IBoundPort, port)
        self.assertEqual(port.address, Destination(OUTSIDE[4], 49152))
        port.stop()
        received: list[object] = []
        conduit = self.successResultOf(avatar.associate(lambda *got: received.append(got)))
        conduit.send(b"question", DESTINATION)
        self.network.datagrams[0].peerSends(b"answer", "192.0.2.1", 80)
        self.assertEqual(received, [(b"answer", DESTINATION)])
        conduit.close()
        self.assertEqual(self.successResultOf(avatar.resolve("peer.test")), [PEER.host])
        self.assertEqual(self.successResultOf(avatar.reverse(IPv4Address("192.0.2.7"))), "a.test")

    def asked(self, avatar: ProxyAvatar) -> dict[str, Deferred[object]]:
        """
        Ask for everything.
        """
        return {
            "bind": avatar.listen(PEER),  # type: ignore[dict-item]
            "udp": avatar.associate(lambda data, source: None),  # type: ignore[dict-item]
            "resolve": avatar.resolve("peer.test"),  # type: ignore[dict-item]
            "reverse": avatar.reverse(IPv4Address("192.0.2.7")),  # type: ignore[dict-item]
        }

    def test_off(self) -> None:
        """
        What is off is not supported (REP 7), each for itself; nothing is
        opened or looked up for it, and the rest is to be had.
        """
        for off, commands in (
            (Services(False, True, True), ["bind"]),
            (Services(True, False, True), ["udp"]),
            (Services(True, True, False), ["resolve", "reverse"]),
        ):
            for command, answer in self.asked(self.avatar(off)).items():
                if command in commands:
                    self.failureResultOf(answer, CommandNotSupported)
                else:
                    self.successResultOf(answer)
        self.setUp()
        for answer in self.asked(self.avatar(Services(False, False, False))).values():
            error = self.failureResultOf(answer, CommandNotSupported).value
            self.assertEqual(error.replyCode, 7)
        self.assertEqual((self.network.listeners, self.network.queries), ([], []))

    def test_undecided(self) -> None:
        """
        What nobody has decided about is off.
        """
        for services in (None, Services()):
            for answer in self.asked(self.avatar(services)).values():
                self.failureResultOf(answer, CommandNotSupported)

    def test_failures(self) -> None:
        """
        Why something failed is told as it is.
        """
        avatar = self.avatar()
        self.failureResultOf(avatar.listen(DENIED), NotAllowed)
        self.failureResultOf(avatar.listen(Destination("nowhere.test", 0)), NameNotFound)
        self.failureResultOf(avatar.resolve("nowhere.test"), NameNotFound)
        self.failureResultOf(avatar.reverse(IPv4Address("10.0.0.1")), NotAllowed)


class PendingTests(ServiceTestCase):
    """
    A port counts while it waits, and not for longer.
    """

    def listening(self, avatar: ProxyAvatar) -> IBoundPort:
        """
        Open a port.
        """
        return self.successResultOf(avatar.listen(PEER))

    def assertRoom(self, avatar: ProxyAvatar, places: int = 4) -> None:
        """
        Fail unless there is room for so many ports and no more.
        """
        opened = [self.listening(avatar) for _ in range(places)]
        self.failureResultOf(avatar.listen(PEER), TooManyConnections)
        for port in opened:
            port.stop()

    def test_four(self) -> None:
        """
        A client has four at a time, however many avatars it has; another
        client has its own.
        """
        for _ in range(4):
            self.listening(self.avatar())
        error = self.failureResultOf(self.avatar().listen(PEER), TooManyConnections).value
        self.assertEqual(error.replyCode, 1)
        self.assertEqual(len(self.network.listeners), 4)
        self.assertRoom(self.avatar(client="other"))

    def test_lookingUp(self) -> None:
        """
        One whose peer's name is being looked up counts already.
        """
        names = SlowNames()
        avatar = self.avatar(names=names)
        answers = [avatar.listen(Destination("peer.test", 0)) for _ in range(4)]
        self.failureResultOf(avatar.listen(PEER), TooManyConnections)
        names.answer("peer.test")
        self.failureResultOf(answers[0], NameNotFound)
        self.assertRoom(avatar, 1)
        for answer in answers[1:]:
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
        self.assertRoom(avatar)

    def test_accepted(self) -> None:
        """
        One whose peer has come does not any more.
        """
        avatar = self.avatar()
        for _ in range(10):
            waiting = self.listening(avatar).accepted()
            self.assertRoom(avatar, 3)
            listener = next(listener for listener in self.network.listeners if listener.open)
            self.assertIsNotNone(listener.peerConnects("192.0.2.7", 1))
            self.assertIsInstance(self.successResultOf(waiting), Leg)
        self.assertRoom(avatar)

    def test_timedOut(self) -> None:
        """
        Nor does one that has waited for too long.
        """
        avatar = self.avatar()
        waiting = self.listening(avatar).accepted()
        self.network.advance(WAIT)
        self.failureResultOf(waiting, ConnectTimedOut)
        self.assertRoom(avatar)

    def test_cancelled(self) -> None:
        """
        Nor does one that is given up.
        """
        avatar = self.avatar()
        waiting = self.listening(avatar).accepted()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertRoom(avatar)

    def test_stopped(self) -> None:
        """
        Nor does one that is stopped, however often, before or after it is
        waited for, or when it is over.
        """
        avatar = self.avatar()
        for waits in (False, True):
            port = self.listening(avatar)
            if waits:
                port.accepted().addErrback(lambda _: None)
            for _ in range(3):
                port.stop()
            self.assertRoom(avatar)
        port = self.listening(avatar)
        waiting = port.accepted()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        port.stop()
        self.assertRoom(avatar)

    def test_strangersFail(self) -> None:
        """
        Nor does one that a stranger has ended.
        """
        avatar = self.avatar(settings=DirectSettings(strangersFail=True))
        waiting = self.listening(avatar).accepted()
        self.network.listeners[-1].peerConnects("198.51.100.1", 1)
        self.failureResultOf(waiting, NotAllowed)
        self.assertRoom(avatar)

    def test_failed(self) -> None:
        """
        Nor does one that never was: not allowed, without a name, or without a
        port.
        """
        avatar = self.avatar(ports=PortRange(2000, 2003))
        for _ in range(10):
            self.failureResultOf(avatar.listen(DENIED), NotAllowed)
            self.failureResultOf(avatar.listen(Destination("nowhere.test", 0)), NameNotFound)
        other = self.avatar(ports=PortRange(2000, 2003), client="other")
        taken = [self.listening(other) for _ in range(4)]
        for _ in range(10):
            failure = self.failureResultOf(avatar.listen(PEER), GeneralFailure)
            self.assertIsNone(failure.check(TooManyConnections))
        for port in taken:
            port.stop()
        self.assertRoom(avatar)

    def test_off(self) -> None:
        """
        Nor does one that the user may not have.
        """
        for _ in range(10):
            answer = self.avatar(Services(False, False, False)).listen(PEER)
            self.failureResultOf(answer, CommandNotSupported)
        self.assertRoom(self.avatar())

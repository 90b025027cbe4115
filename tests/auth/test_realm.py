"""
Tests for L{socksproxy.auth.realm}.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import product
from typing import Any

from twisted.cred.checkers import (
    ANONYMOUS,
    AllowAnonymousAccess,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import Anonymous
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.auth.checkers import AnyPassword
from socksproxy.auth.credentials import OctetPassword
from socksproxy.auth.ident import UserID, UserIDChecker
from socksproxy.auth.realm import ProxyRealm
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import CommandNotSupported, TooManyConnections
from socksproxy.exposure import Exposure
from socksproxy.interfaces import ClientOrigin, IOutbound, IProxyAvatar
from socksproxy.outbound.direct import DirectOutbound, DirectSettings
from socksproxy.policy.rules import AnyAddress
from socksproxy.policy.services import DEFAULT_SERVICES, PendingBinds, Services
from socksproxy.testing import ScriptedNetwork, tcpAddress
from tests.memoryproxy import OUTSIDE

ORIGIN = ClientOrigin("SOCKS5", "tcp:1080", True, tcpAddress("192.0.2.1", 4000), "192.0.2.1")


class ProxyRealmTests(SynchronousTestCase):
    """
    Users and what they may do.
    """

    def setUp(self) -> None:
        """
        Make a realm.
        """
        self.asked: list[ClientOrigin] = []
        self.realm = ProxyRealm(self.outboundFor)

    def outboundFor(self, origin: ClientOrigin) -> IOutbound:
        """
        Give a way out.
        """
        self.asked.append(origin)
        network = ScriptedNetwork()
        resolver = BoundedResolver(network, network)
        return DirectOutbound(network, network, resolver, AnyAddress(), origin.source)

    def login(self, credentials: Any, **users: bytes) -> Any:
        """
        Log in at a portal.

        @return: The avatar.
        """
        portal = Portal(
            self.realm, [AllowAnonymousAccess(), InMemoryUsernamePasswordDatabaseDontUse(**users)]
        )
        interface, avatar, logout = self.successResultOf(
            portal.login(credentials, ORIGIN, IProxyAvatar)
        )
        self.assertIs(interface, IProxyAvatar)
        self.assertIsNone(logout())
        return avatar

    def test_interface(self) -> None:
        """
        It is a realm.
        """
        verifyObject(IRealm, self.realm)

    def test_logout(self) -> None:
        """
        A way out that holds something for its client lets go of it when the
        client logs out.
        """
        closed: list[object] = []

        class Holding(DirectOutbound):
            def close(self) -> None:
                closed.append(self)

        network = ScriptedNetwork()
        way = Holding(network, network, BoundedResolver(network, network), AnyAddress(), "x")
        portal = Portal(ProxyRealm(lambda origin: way), [AllowAnonymousAccess()])
        *_, logout = self.successResultOf(portal.login(Anonymous(), ORIGIN, IProxyAvatar))
        self.assertEqual(closed, [])
        logout()
        self.assertEqual(closed, [way])

    def test_user(self) -> None:
        """
        A user gets an avatar of that name, with the way out that fits where
        the client came in.
        """
        avatar = self.login(OctetPassword(b"alice", b"secret"), alice=b"secret")
        verifyObject(IProxyAvatar, avatar)
        self.assertEqual(avatar.user, "alice")
        self.assertEqual(self.asked, [ORIGIN])

    def test_anonymous(self) -> None:
        """
        Nobody in particular has an avatar too, with a dash for a name.
        """
        self.assertEqual(self.login(Anonymous()).user, "-")
        self.assertEqual(self.asked, [ORIGIN])

    def test_trusted(self) -> None:
        """
        Nobody in particular may ask for datagrams who comes from this host or
        has the listener's key, and no other stranger; users may in any case.
        """
        for local, keyed in product((False, True), repeat=2):
            origin = replace(ORIGIN, local=local, keyed=keyed)
            for name, allowed in ((b"alice", True), (ANONYMOUS, local or keyed)):
                _, avatar, _ = self.realm.requestAvatar(name, origin, IProxyAvatar)
                asking = avatar.associate(lambda data, source: None)  # type: ignore[attr-defined]
                if allowed:
                    self.successResultOf(asking).close()
                else:
                    self.failureResultOf(asking, CommandNotSupported)

    def test_textName(self) -> None:
        """
        A checker may give the user's name as text, as some of Twisted's own
        do.
        """
        _, avatar, _ = self.realm.requestAvatar("Zoë", ORIGIN, IProxyAvatar)
        self.assertEqual(avatar.user, r"Zo\xc3\xab")  # type: ignore[attr-defined]

    def test_nameIsFitToBeShown(self) -> None:
        """
        The name for logs has no octet in it that could forge a line.
        """
        _, avatar, _ = self.realm.requestAvatar(b"a\nb \xff", ORIGIN, IProxyAvatar)
        self.assertEqual(avatar.user, r"a\x0ab\x20\xff")  # type: ignore[attr-defined]

    def test_otherAvatars(self) -> None:
        """
        It has no avatars of another kind, and none for who came in some other
        way.
        """

        class IMailbox(Interface):
            pass

        for mind, interface in ((ORIGIN, IMailbox), (None, IProxyAvatar), (object(), IProxyAvatar)):
            self.assertRaises(
                NotImplementedError, self.realm.requestAvatar, b"alice", mind, interface
            )
        self.assertEqual(self.asked, [])


PEER = Destination(IPv4Address("192.0.2.7"), 0)
REMOTE = replace(ORIGIN, local=False)
OTHER = replace(REMOTE, source="192.0.2.99")


class ServicesTests(SynchronousTestCase):
    """
    What users may ask for beside connections.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork()

    def outboundFor(self, origin: ClientOrigin) -> IOutbound:
        """
        Give a way out.
        """
        return DirectOutbound(
            self.network,
            self.network,
            BoundedResolver(self.network, self.network),
            AnyAddress(),
            origin.source,
            DirectSettings(),
            Exposure(self.network, route=lambda peer: OUTSIDE[peer.version]),
        )

    def portal(
        self, services: Services = DEFAULT_SERVICES, pending: PendingBinds | None = None
    ) -> Portal:
        """
        Make a portal where everybody gets in, and two have names.
        """
        checkers = [
            AllowAnonymousAccess(),
            InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret"),
            UserIDChecker([b"bob"]),
        ]
        return Portal(ProxyRealm(self.outboundFor, services, pending), checkers)

    def login(self, portal: Portal, credentials: Any, origin: ClientOrigin) -> Any:
        """
        Log in.

        @return: The avatar.
        """
        login = portal.login(credentials, origin, IProxyAvatar)
        _, avatar, _ = self.successResultOf(login)
        return avatar

    def granted(self, portal: Portal, credentials: Any, origin: ClientOrigin) -> list[bool]:
        """
        Tell whether BIND, UDP ASSOCIATE and RESOLVE are on for a client.
        """
        avatar = self.login(portal, credentials, origin)
        return [
            self.isOn(avatar.listen(PEER)),
            self.isOn(avatar.associate(lambda data, source: None)),
            self.isOn(avatar.resolve("nowhere.test")),
        ]

    def isOn(self, answer: Deferred[Any]) -> bool:
        """
        Tell whether something was not refused for being switched off.
        """
        outcomes: list[object] = []
        answer.addBoth(outcomes.append)
        (outcome,) = outcomes
        return not (isinstance(outcome, Failure) and outcome.check(CommandNotSupported))

    def test_whoIsTrusted(self) -> None:
        """
        By default BIND and UDP ASSOCIATE are on for who has logged in, in
        whatever way, and for clients on this host; not for others, and look-ups
        for nobody.
        """
        alice = OctetPassword(b"alice", b"secret")
        bob = UserID(b"bob", REMOTE.peer, tcpAddress("127.0.0.1", 1080))
        for credentials, origin, trusted in (
            (Anonymous(), REMOTE, False),
            (Anonymous(), ORIGIN, True),
            (alice, REMOTE, True),
            (alice, ORIGIN, True),
            (bob, REMOTE, True),
        ):
            on = self.granted(self.portal(), credentials, origin)
            self.assertEqual(on, [trusted, trusted, False], (credentials, origin))

    def test_switched(self) -> None:
        """
        What is switched on or off is so for everybody.
        """
        for credentials, origin in (
            (Anonymous(), REMOTE),
            (Anonymous(), ORIGIN),
            (OctetPassword(b"alice", b"secret"), REMOTE),
        ):
            for services in (Services(True, False, True), Services(False, True, False)):
                on = self.granted(self.portal(services), credentials, origin)
                self.assertEqual(on, [services.bind, services.udp, services.resolve])

    def test_anyPassword(self) -> None:
        """
        Who has given a name and a password that nobody has looked at has not
        logged in.
        """
        portal = Portal(ProxyRealm(self.outboundFor), [AnyPassword()])
        on = self.granted(portal, OctetPassword(b"label", b"label"), REMOTE)
        self.assertEqual(on, [False, False, False])

    def test_pendingOfOneClient(self) -> None:
        """
        All the users of one client together have four ports waiting, and
        another client has its own four.
        """
        portal = self.portal()
        alice = OctetPassword(b"alice", b"secret")
        bob = UserID(b"bob", REMOTE.peer, tcpAddress("127.0.0.1", 1080))
        for credentials in (alice, bob, alice, bob):
            self.successResultOf(self.login(portal, credentials, REMOTE).listen(PEER))
        answer = self.login(portal, alice, REMOTE).listen(PEER)
        self.failureResultOf(answer, TooManyConnections)
        self.successResultOf(self.login(portal, alice, OTHER).listen(PEER))

    def test_pendingOfRealms(self) -> None:
        """
        Several realms may share the count.
        """
        pending = PendingBinds(1)
        alice = OctetPassword(b"alice", b"secret")
        answers = [
            self.login(self.portal(pending=pending), alice, REMOTE).listen(PEER) for _ in range(2)
        ]
        self.successResultOf(answers[0])
        self.failureResultOf(answers[1], TooManyConnections)

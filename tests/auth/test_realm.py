"""
Tests for L{socksproxy.auth.realm}.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import Anonymous
from twisted.cred.portal import IRealm, Portal
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from socksproxy.auth.credentials import OctetPassword
from socksproxy.auth.realm import ProxyRealm
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.interfaces import ClientOrigin, IOutbound, IProxyAvatar
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.rules import AnyAddress
from socksproxy.testing import ScriptedNetwork, tcpAddress

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

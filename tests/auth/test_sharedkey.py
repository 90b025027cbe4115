"""
Tests for L{socksproxy.auth.sharedkey}.
"""

from __future__ import annotations

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.realm import ProxyRealm
from socksproxy.auth.sharedkey import ISharedKey, SharedKey, SharedKeyChecker
from socksproxy.interfaces import ClientOrigin, IOutbound, IProxyAvatar
from socksproxy.testing import tcpAddress
from tests.forward.datagrams import Outbound


class SharedKeyTests(SynchronousTestCase):
    """
    Clients that have a key.
    """

    def avatar(self, username: bytes) -> IProxyAvatar:
        """
        Give what a client gets that has been let in.
        """
        checked = SharedKeyChecker().requestAvatarId(SharedKey(username))
        avatarId = self.successResultOf(checked)
        peer = tcpAddress("198.51.100.7", 40000)
        origin = ClientOrigin("Shadowsocks", "ss://here", False, peer, "198.51.100.7", keyed=True)
        realm = ProxyRealm(self.outboundFor)
        _, avatar, _ = realm.requestAvatar(avatarId, origin, IProxyAvatar)
        assert IProxyAvatar.providedBy(avatar)
        return avatar

    def outboundFor(self, origin: ClientOrigin) -> IOutbound:
        """
        Give a way out.
        """
        return Outbound()

    def test_interfaces(self) -> None:
        """
        Credentials and checker are of their kinds.
        """
        verifyObject(ISharedKey, SharedKey(b"alice"))
        verifyObject(ICredentialsChecker, SharedKeyChecker())
        self.assertEqual(SharedKeyChecker.credentialInterfaces, (ISharedKey,))
        self.assertIn("alice", repr(SharedKey(b"alice")))

    def test_user(self) -> None:
        """
        A user has a name, and may send datagrams from anywhere.
        """
        avatar = self.avatar(b"alice")
        self.assertEqual(avatar.user, "alice")
        self.successResultOf(avatar.associate(lambda data, source: None))

    def test_nobodyInParticular(self) -> None:
        """
        Where there is one key for all there is no name, and as much may be
        done.
        """
        self.assertEqual(
            self.successResultOf(SharedKeyChecker().requestAvatarId(SharedKey(b""))), ANONYMOUS
        )
        avatar = self.avatar(b"")
        self.assertEqual(avatar.user, "-")
        self.successResultOf(avatar.associate(lambda data, source: None))

"""
Tests for L{socksproxy.auth.checkers}: the checker that takes anything.
"""

from __future__ import annotations

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import Anonymous, IAnonymous, ICredentials, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.checkers import AnyPassword
from socksproxy.auth.credentials import OctetPassword
from socksproxy.socks.methods import NoAuthentication, UsernamePassword
from socksproxy.socks.protocol import methodsFor
from tests.memoryproxy import SoleUser


class AnyPasswordTests(SynchronousTestCase):
    """
    Everybody is nobody in particular.
    """

    def assertNobody(self, credentials: ICredentials) -> None:
        """
        Fail unless credentials are those of nobody.
        """
        answer = AnyPassword().requestAvatarId(credentials)
        self.assertEqual(self.successResultOf(answer), ANONYMOUS)

    def test_interface(self) -> None:
        """
        It takes user names with passwords, and none.
        """
        checker = AnyPassword()
        verifyObject(ICredentialsChecker, checker)
        self.assertEqual(checker.credentialInterfaces, (IUsernamePassword, IAnonymous))

    def test_anyPassword(self) -> None:
        """
        No name and no password is wrong.
        """
        for username, password in (
            (b"", b""),
            (b"alice", b""),
            (b"", b"secret"),
            (b"<torS0X>0", b"label"),
            (b"\0\xff", b"\xff" * 255),
        ):
            self.assertNobody(OctetPassword(username, password))

    def test_noPassword(self) -> None:
        """
        A client that gives none is as welcome.
        """
        self.assertNobody(Anonymous())

    def test_methods(self) -> None:
        """
        A SOCKS5 server that has it asks for a label where the client has one
        to give, and for nothing where not.
        """
        methods = methodsFor(Portal(SoleUser(), [AnyPassword()]))
        self.assertEqual([type(method) for method in methods], [UsernamePassword, NoAuthentication])

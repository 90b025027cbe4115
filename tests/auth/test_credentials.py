"""
Tests for L{socksproxy.auth.credentials}.
"""

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.credentials import OctetPassword


class OctetPasswordTests(SynchronousTestCase):
    """
    A user name and a password as octets.
    """

    def test_interface(self) -> None:
        """
        Any checker of user names and passwords can check it.
        """
        credentials = OctetPassword(b"alice", b"secret")
        verifyObject(IUsernamePassword, credentials)
        self.assertEqual((credentials.username, credentials.password), (b"alice", b"secret"))

    def test_checkPassword(self) -> None:
        """
        It fits its own password only, octet by octet.
        """
        credentials = OctetPassword(b"alice", b"se\x00cr\xe9t")
        self.assertTrue(credentials.checkPassword(b"se\x00cr\xe9t"))
        for other in (b"", b"se", b"se\x00", b"se\x00cr\xe9t\x00", "se\x00crét".encode()):
            self.assertFalse(credentials.checkPassword(other), other)

    def test_repr(self) -> None:
        """
        The password is not shown.
        """
        self.assertEqual(repr(OctetPassword(b"alice", b"secret")), "<OctetPassword for b'alice'>")

    def test_twistedChecker(self) -> None:
        """
        Twisted's own checkers take it.
        """
        checker = InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret")
        right = checker.requestAvatarId(OctetPassword(b"alice", b"secret"))
        self.assertEqual(self.successResultOf(right), b"alice")
        wrong = checker.requestAvatarId(OctetPassword(b"alice", b"Secret"))
        self.failureResultOf(wrong, UnauthorizedLogin)

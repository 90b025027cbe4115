"""
Tests for L{socksproxy.auth.principals}.
"""

from __future__ import annotations

import os

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.principals import (
    AcceptorSettings,
    IPrincipal,
    PrincipalChecker,
    TicketedPrincipal,
    principalsFromString,
)
from socksproxy.errors import ConfigurationError

REALM = "EXAMPLE.ORG"


class TicketedPrincipalTests(SynchronousTestCase):
    """
    A principal as credentials.
    """

    def test_interface(self) -> None:
        """
        It says who it is, and calls that its user name for logs.
        """
        credentials = TicketedPrincipal(b"alice@EXAMPLE.ORG")
        verifyObject(IPrincipal, credentials)
        self.assertEqual(credentials.principal, b"alice@EXAMPLE.ORG")
        self.assertEqual(credentials.username, b"alice@EXAMPLE.ORG")
        self.assertEqual(repr(credentials), "<TicketedPrincipal b'alice@EXAMPLE.ORG'>")


class PrincipalCheckerTests(SynchronousTestCase):
    """
    Which principals get in.
    """

    def setUp(self) -> None:
        """
        Have a checker of one realm.
        """
        self.checker = PrincipalChecker([REALM])

    def admitted(self, *principals: bytes) -> None:
        """
        Require that principals get in under their own names.
        """
        for principal in principals:
            login = self.checker.requestAvatarId(TicketedPrincipal(principal))
            self.assertEqual(self.successResultOf(login), principal)

    def refused(self, *principals: bytes) -> None:
        """
        Require that they do not get in.
        """
        for principal in principals:
            login = self.checker.requestAvatarId(TicketedPrincipal(principal))
            self.failureResultOf(login, UnauthorizedLogin)

    def test_interface(self) -> None:
        """
        It checks principals.
        """
        verifyObject(ICredentialsChecker, self.checker)
        self.assertEqual(self.checker.credentialInterfaces, (IPrincipal,))

    def test_ofTheRealm(self) -> None:
        """
        Whoever is of the realm gets in: users, those with an instance, and
        services.
        """
        self.admitted(
            b"alice@EXAMPLE.ORG",
            b"alice/admin@EXAMPLE.ORG",
            b"host/web.example.org@EXAMPLE.ORG",
            b"\xc3\xa9@EXAMPLE.ORG",
        )

    def test_ofAnother(self) -> None:
        """
        Nobody else does, however similar the realm is.
        """
        self.refused(
            b"alice@EXAMPLE.COM",
            b"alice@example.org",
            b"alice@EXAMPLE.ORG ",
            b"alice@SUB.EXAMPLE.ORG",
            b"alice@EXAMPLE.OR",
            b"alice@",
            b"alice",
            b"",
            b"@EXAMPLE.ORG",
            b"EXAMPLE.ORG",
        )

    def test_severalRealms(self) -> None:
        """
        There may be more than one realm.
        """
        self.checker = PrincipalChecker(["A.TEST", "B.TEST"])
        self.admitted(b"alice@A.TEST", b"alice@B.TEST")
        self.refused(b"alice@C.TEST", b"alice@A.TEST,B.TEST")

    def test_backslashes(self) -> None:
        """
        An at sign with a backslash before it does not begin the realm, but one
        with an escaped backslash before it does.
        """
        self.admitted(rb"alice\@home@EXAMPLE.ORG", rb"alice\\@EXAMPLE.ORG")
        self.refused(
            rb"alice\@EXAMPLE.ORG",
            rb"alice@EVIL\@EXAMPLE.ORG",
            rb"alice@EVIL\\\@EXAMPLE.ORG",
            rb"alice@EVIL\\",
        )

    def test_nobody(self) -> None:
        """
        Those who have a ticket without having said who they are do not get
        in, whatever realm it shows.
        """
        self.refused(b"WELLKNOWN/ANONYMOUS@EXAMPLE.ORG", b"WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS")

    def test_noRealm(self) -> None:
        """
        A checker that would let in nobody is a mistake.
        """
        self.assertRaises(ConfigurationError, PrincipalChecker, [])
        self.assertRaises(ConfigurationError, PrincipalChecker, [REALM, ""])

    def test_acceptor(self) -> None:
        """
        It carries how tickets are taken: unless told otherwise, for any key of
        the system's, with at least integrity, and not as NEC does it.
        """
        self.assertEqual(self.checker.acceptor, AcceptorSettings(None, None, 1, False))


class StringTests(SynchronousTestCase):
    """
    The checker as a string.
    """

    def test_realm(self) -> None:
        """
        A realm is enough.
        """
        checker = principalsFromString("realm=EXAMPLE.ORG")
        self.assertEqual(checker.realms, {b"EXAMPLE.ORG"})
        self.assertEqual(checker.acceptor, AcceptorSettings())

    def test_everything(self) -> None:
        """
        Everything can be said, in any order.
        """
        checker = principalsFromString(
            "keytab=/etc/keys:level=confidentiality:realm=A.TEST,B.TEST"
            ":service=rcmd@proxy.test:nec=yes:realm=C.TEST"
        )
        self.assertEqual(checker.realms, {b"A.TEST", b"B.TEST", b"C.TEST"})
        self.assertEqual(
            checker.acceptor, AcceptorSettings("rcmd@proxy.test", "/etc/keys", 2, True)
        )

    def test_levels(self) -> None:
        """
        The levels have names.
        """
        for name, level in (("none", 0), ("integrity", 1), ("confidentiality", 2)):
            checker = principalsFromString(f"realm={REALM}:level={name}")
            self.assertEqual(checker.acceptor.minimum, level)

    def test_keytab(self) -> None:
        """
        The keytab is found after a change of the directory, too, and its path
        may have colons and backslashes.
        """
        checker = principalsFromString(rf"realm={REALM}:keytab=a\:b\\c")
        self.assertEqual(checker.acceptor.keytab, os.path.abspath("a:b\\c"))

    def test_mistakes(self) -> None:
        """
        Whatever makes no sense is told in one line.
        """
        for description in (
            "",
            "EXAMPLE.ORG",
            "realm",
            "realm=",
            "realm=A.TEST,",
            "realm=A.TEST:",
            "service=rcmd@proxy.test",
            f"realm={REALM}:level=1",
            f"realm={REALM}:level=selective",
            f"realm={REALM}:nec=maybe",
            f"realm={REALM}:password=x",
            f"realm={REALM}:service=a@b:service=c@d",
        ):
            error = self.assertRaises(ConfigurationError, principalsFromString, description)
            self.assertTrue(str(error).startswith("gssapi: "), error)
            self.assertNotIn("\n", str(error))

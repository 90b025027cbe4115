"""
Tests for what Twisted finds of us: C{twisted/plugins/socksproxy_plugins.py}.
"""

from __future__ import annotations

from twisted.application.service import IServiceMaker
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.strcred import ICheckerFactory, findCheckerFactory, makeChecker
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy import tap
from socksproxy.auth.checkers import AnyPassword, PasswordFileChecker
from socksproxy.errors import PasswordFileError
from tests.auth.cheap import writeRecords
from tests.files import temporaryFolder
from twisted.plugins import socksproxy_plugins


class ServiceMakerTests(SynchronousTestCase):
    """
    C{twistd socksproxy}.
    """

    def test_found(self) -> None:
        """
        C{twistd} finds us, once, under our name.
        """
        found = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "socksproxy"]
        self.assertEqual(len(found), 1)
        verifyObject(IServiceMaker, found[0])
        verifyObject(IPlugin, found[0])

    def test_leadsToTap(self) -> None:
        """
        Its options and its service are ours.
        """
        maker = socksproxy_plugins.socksproxy
        self.assertIs(maker.options, tap.Options)
        self.assertIs(maker.makeService, tap.makeService)
        self.assertTrue(maker.description.endswith("."))


class CheckerFactoryTests(SynchronousTestCase):
    """
    C{--auth passwords:PATH}, in any program of Twisted's.
    """

    def test_found(self) -> None:
        """
        Twisted finds it, once.
        """
        found = [
            factory for factory in getPlugins(ICheckerFactory) if factory.authType == "passwords"
        ]
        self.assertEqual(len(found), 1)
        verifyObject(ICheckerFactory, found[0])
        self.assertEqual(tuple(found[0].credentialInterfaces), (IUsernamePassword,))

    def test_help(self) -> None:
        """
        Its help says what the file is and how it is made.
        """
        factory = findCheckerFactory("passwords")
        self.assertIn("python -m socksproxy passwd", factory.authHelp)
        self.assertTrue(factory.argStringFormat)

    def test_makesChecker(self) -> None:
        """
        It makes a checker of the file, colons in its path included.
        """
        path = temporaryFolder(self) / "pass:words"
        writeRecords(path, alice="secret")
        checker = makeChecker(f"passwords:{path}")
        verifyObject(ICredentialsChecker, checker)
        self.assertIsInstance(checker, PasswordFileChecker)
        self.assertEqual(checker.path, str(path))

    def test_noPath(self) -> None:
        """
        Without a path there is nothing to check against.
        """
        for description in ("passwords", "passwords:"):
            self.assertRaises(ValueError, makeChecker, description)

    def test_noFile(self) -> None:
        """
        A file that is not there is told at once, by its name.
        """
        path = temporaryFolder(self) / "nowhere"
        error = self.assertRaises(PasswordFileError, makeChecker, f"passwords:{path}")
        self.assertIn(str(path), str(error))


class IsolationCheckerFactoryTests(SynchronousTestCase):
    """
    C{--auth isolation:}.
    """

    def test_found(self) -> None:
        """
        Twisted finds it, once, and knows what it takes.
        """
        found = [
            factory for factory in getPlugins(ICheckerFactory) if factory.authType == "isolation"
        ]
        self.assertEqual(len(found), 1)
        verifyObject(ICheckerFactory, found[0])
        self.assertEqual(tuple(found[0].credentialInterfaces), (IUsernamePassword, IAnonymous))

    def test_help(self) -> None:
        """
        Its help says that it keeps nobody out.
        """
        factory = findCheckerFactory("isolation")
        self.assertIn("keeps nobody out", factory.authHelp)
        self.assertTrue(factory.argStringFormat)

    def test_makesChecker(self) -> None:
        """
        It makes a checker that takes anything.
        """
        for description in ("isolation", "isolation:"):
            checker = makeChecker(description)
            verifyObject(ICredentialsChecker, checker)
            self.assertIsInstance(checker, AnyPassword)

    def test_noArgument(self) -> None:
        """
        An argument is a misunderstanding.
        """
        self.assertRaises(ValueError, makeChecker, "isolation:tor")

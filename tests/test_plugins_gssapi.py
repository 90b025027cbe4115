"""
Tests for what Twisted finds of us: C{--auth gssapi:}, in any program of
Twisted's. What needs a keytab is in C{tests/interop/test_gssapi_daemon.py}.
"""

from __future__ import annotations

import sys
from unittest import mock

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.strcred import ICheckerFactory, findCheckerFactory, makeChecker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.principals import IPrincipal, PrincipalChecker
from socksproxy.errors import ConfigurationError
from socksproxy.socks import gssapi


class CheckerFactoryTests(SynchronousTestCase):
    """
    The plugin.
    """

    def test_found(self) -> None:
        """
        Twisted finds it, once.
        """
        found = [factory for factory in getPlugins(ICheckerFactory) if factory.authType == "gssapi"]
        self.assertEqual(len(found), 1)
        verifyObject(ICheckerFactory, found[0])
        self.assertEqual(tuple(found[0].credentialInterfaces), (IPrincipal,))

    def test_help(self) -> None:
        """
        Its help names every key and the package that it needs.
        """
        factory = findCheckerFactory("gssapi")
        for name in ("realm=", "service=", "keytab=", "level=", "nec=", "[gssapi]"):
            self.assertIn(name, factory.authHelp)
        self.assertIn("realm", factory.argStringFormat)

    def test_makesChecker(self) -> None:
        """
        It makes a checker, once the service is known to have a key.
        """
        checked: list[object] = []
        self.patch(gssapi, "checkKeytab", lambda *settings: checked.append(settings))
        checker = makeChecker("gssapi:realm=A.TEST:service=rcmd@proxy.test:keytab=/keys")
        verifyObject(ICredentialsChecker, checker)
        self.assertIsInstance(checker, PrincipalChecker)
        self.assertEqual(checker.realms, {b"A.TEST"})
        self.assertEqual(checked, [("rcmd@proxy.test", "/keys")])

    def test_mistakes(self) -> None:
        """
        What makes no sense is told at once.
        """
        for description in ("gssapi", "gssapi:", "gssapi:level=none"):
            self.assertRaises(ConfigurationError, makeChecker, description)

    def test_noPackage(self) -> None:
        """
        So is a missing package, with the way to get it.
        """
        with mock.patch.dict(sys.modules, {"gssapi": None}):
            error = self.assertRaises(ConfigurationError, makeChecker, "gssapi:realm=A.TEST")
        self.assertIn("pip install twisted-socksproxy[gssapi]", str(error))

"""
Tests for L{socksproxy.socks.gssapi}, as far as they need no Kerberos. What
needs one is in C{tests/interop/test_gssapi.py}.
"""

from __future__ import annotations

import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.socks import GSSAPI, ProtectionLevel
from socksproxy.socks.gssapi import checkKeytab
from tests.interop.peers import requirePackage


class WithoutPackageTests(SynchronousTestCase):
    """
    The C{gssapi} package is not installed.
    """

    def setUp(self) -> None:
        """
        Hide it.
        """
        hidden = mock.patch.dict(sys.modules, {"gssapi": None})
        hidden.start()
        self.addCleanup(hidden.stop)

    def test_error(self) -> None:
        """
        Whoever wants it is told how to get it, in one line.
        """
        for use in (GSSAPI, checkKeytab):
            error = self.assertRaises(ConfigurationError, use, "rcmd@localhost")
            self.assertIn("pip install twisted-socksproxy[gssapi]", str(error))
            self.assertNotIn("\n", str(error))


class GSSAPITests(SynchronousTestCase):
    """
    The method by itself.
    """

    def setUp(self) -> None:
        """
        The package is needed.
        """
        requirePackage("gssapi")

    def test_code(self) -> None:
        """
        It is method 0x01.
        """
        self.assertEqual(GSSAPI().code, 1)

    def test_levels(self) -> None:
        """
        Levels can be given as numbers, and those that are none are refused.
        """
        GSSAPI(level=3, minimum=ProtectionLevel.NONE)
        self.assertRaises(ConfigurationError, GSSAPI, level=4)
        self.assertRaises(ConfigurationError, GSSAPI, minimum=-1)

    def test_clientNeedsService(self) -> None:
        """
        A client has to say whom it wants to talk to; a server has not.
        """
        method = GSSAPI()
        method.serverNegotiation()
        self.assertRaises(ConfigurationError, method.clientNegotiation)

    def test_repr(self) -> None:
        """
        It shows whose it is.
        """
        self.assertEqual(repr(GSSAPI("rcmd@localhost")), "<GSSAPI rcmd@localhost>")

    def test_nothingYet(self) -> None:
        """
        Neither half asks for a ticket or reads a key before its first step.
        """
        method = GSSAPI("rcmd@nowhere.invalid", keytab="/nowhere", cache="/nowhere")
        method.serverNegotiation()
        method.clientNegotiation()

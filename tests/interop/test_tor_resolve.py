"""
Tor's own program for look-ups, which asks by RESOLVE and RESOLVE_PTR.
"""

import subprocess
import unittest
from typing import ClassVar

from tests.daemon import Daemon
from tests.interop.namespaces import Namespace, NamespaceDaemon, requireNamespaces
from tests.interop.peers import requireProgram, runPeer


class TorResolveTests(unittest.TestCase):
    """
    tor-resolve in a namespace, so that all the names there are are known.
    """

    HOSTS = (
        "127.0.0.1 localhost",
        "203.0.113.5 four.example",
        "2001:db8::5 six.example",
        "203.0.113.6 both.example",
        "2001:db8::6 both.example",
    )

    host: ClassVar[Namespace]
    program: ClassVar[str]
    daemon: ClassVar[Daemon]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start the daemon.
        """
        requireNamespaces()
        cls.program = requireProgram("tor-resolve")
        cls.host = cls.enterClassContext(Namespace(cls.HOSTS))
        cls.daemon = cls.enterClassContext(cls.start("--resolve"))

    @classmethod
    def start(cls, *arguments: str) -> Daemon:
        """
        Make a daemon.
        """
        return NamespaceDaemon(cls.host, "tcp:0:interface=127.0.0.1", *arguments)

    def resolve(
        self, *arguments: str, daemon: Daemon | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run the program.
        """
        port = (self.daemon if daemon is None else daemon).port
        command = self.host.command(self.program, *arguments, f"127.0.0.1:{port}")
        return runPeer(*command)

    def test_findsAnAddress(self) -> None:
        """
        By SOCKS5 it gets an address of either family, by SOCKS4 one of IPv4.
        """
        for arguments, address in (
            (("-5", "four.example"), b"203.0.113.5"),
            (("-5", "six.example"), b"2001:db8::5"),
            (("-4", "four.example"), b"203.0.113.5"),
            (("-4", "both.example"), b"203.0.113.6"),
        ):
            with self.subTest(arguments):
                ended = self.resolve(*arguments)
                self.assertEqual((ended.returncode, ended.stdout.strip()), (0, address), ended)
        self.daemon.waitFor(r"SOCKS5 \S+ - RESOLVE six\.example:0 \[.*\]: succeeded; ")
        self.daemon.waitFor(r"SOCKS4a \S+ - RESOLVE both\.example:0 \[.*\]: succeeded; ")

    def test_findsAName(self) -> None:
        """
        By SOCKS5 it gets the name of an address.
        """
        ended = self.resolve("-5", "-x", "203.0.113.5")
        self.assertEqual((ended.returncode, ended.stdout.strip()), (0, b"four.example"), ended)
        self.daemon.waitFor(r"SOCKS5 \S+ - RESOLVE_PTR 203\.0\.113\.5:0 \[.*\]: succeeded; ")

    def test_findsNothing(self) -> None:
        """
        What has no address, or no name, is an error; so is an address of IPv6
        alone by SOCKS4.
        """
        for arguments in (
            ("-5", "nowhere.example"),
            ("-4", "nowhere.example"),
            ("-4", "six.example"),
            ("-5", "-x", "203.0.113.99"),
        ):
            with self.subTest(arguments):
                ended = self.resolve(*arguments)
                self.assertEqual((ended.returncode, ended.stdout), (1, b""), ended)

    def test_switchedOff(self) -> None:
        """
        Without C{--resolve} nothing is looked up.
        """
        with self.start() as daemon:
            for arguments in (("-5", "four.example"), ("-4", "four.example")):
                with self.subTest(arguments):
                    ended = self.resolve(*arguments, daemon=daemon)
                    self.assertEqual((ended.returncode, ended.stdout), (1, b""), ended)
            daemon.waitFor(r"RESOLVE four\.example:0 \[-\]: command not supported")

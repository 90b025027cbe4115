"""
Waiting for a connection at the daemon, by BIND, with Perl's IO::Socket::Socks.
"""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.daemon import Daemon
from tests.interop.client import TIMEOUT, echoes, receive, receiveAll
from tests.interop.peers import (
    missing,
    peerEnvironment,
    requireProgram,
    runPeer,
)
from tests.interop.processes import isOpen, until
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)

_PERL = """\
use strict;
use IO::Socket::Socks;
$| = 1;
my ($version, $port, $peer, @login) = @ARGV;
my @user = @login ? (AuthType => "userpass", Username => $login[0], Password => $login[1]) : ();
my $socket = IO::Socket::Socks->new(
    ProxyAddr => "127.0.0.1", ProxyPort => $port, SocksVersion => $version,
    BindAddr => $peer, BindPort => 0, Timeout => 20, @user,
) or die "$SOCKS_ERROR\n";
print join(" ", ($socket->dst)[0, 1]), "\n";
$socket->accept or die "$SOCKS_ERROR\n";
print join(" ", ($socket->dst)[0, 1]), "\n";
syswrite($socket, "welcome");
while (sysread($socket, my $data, 65536)) { syswrite($socket, $data); }
"""


class _PerlMixin(ProxyTestCase):
    programs = ("perl",)

    @classmethod
    def setUpClass(cls) -> None:
        """
        Look for the module.
        """
        probe = runPeer(requireProgram("perl"), "-MIO::Socket::Socks", "-e", "1")
        if probe.returncode:
            missing("Perl's module IO::Socket::Socks is not installed")
        super().setUpClass()

    @contextmanager
    def perl(
        self, version: int, peer: str, *login: str, daemon: Daemon | None = None
    ) -> Iterator["subprocess.Popen[str]"]:
        """
        Run a program that waits for a connection, says welcome, and echoes.

        @param peer: Whom it expects.
        @param login: Name and password.
        @param daemon: Another daemon than usual.
        """
        port = (self.daemon if daemon is None else daemon).port
        with subprocess.Popen(
            [self.paths["perl"], "-e", _PERL, str(version), str(port), peer, *login],
            env=peerEnvironment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def read(self, process: "subprocess.Popen[str]") -> tuple[str, int]:
        """
        Read an address and a port that it prints.
        """
        assert process.stdout is not None
        host, port = process.stdout.readline().split()
        return host, int(port)

    def connect(self, bound: tuple[str, int], origin: str = "127.0.0.1") -> socket.socket:
        """
        Connect to where the proxy waits.

        @param origin: From which address.
        """
        connection = socket.create_connection(bound, TIMEOUT, (origin, 0))
        return self.enterContext(connection)

    def assertServed(self, process: "subprocess.Popen[str]", connection: socket.socket) -> None:
        """
        Check that the program has got this connection.
        """
        self.assertEqual(receive(connection, 7), b"welcome")
        self.assertEqual(self.read(process), connection.getsockname())
        self.assertTrue(echoes(connection, b"x" * 1000))
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(connection), b"")

    def assertRefused(self, process: "subprocess.Popen[str]", text: str) -> None:
        """
        Check that the program has got no port.
        """
        shown, complaint = process.communicate(timeout=TIMEOUT)
        self.assertEqual(shown, "")
        self.assertIn(text, complaint)
        self.assertNotEqual(process.returncode, 0)


class PerlTests(_PerlMixin):
    """
    Perl's IO::Socket::Socks.
    """

    def test_waits(self) -> None:
        """
        It waits for an address or a name and is told who came.
        """
        # By SOCKS4 it would read the second reply as if it were of SOCKS5.
        for peer in ("127.0.0.1", "localhost"):
            with self.subTest(peer), self.perl(5, peer) as process:
                bound = self.read(process)
                self.assertEqual(bound[0], "127.0.0.1")
                connection = self.connect(bound)
                self.assertServed(process, connection)
                self.daemon.waitFor(
                    rf"SOCKS5 \S+ - BIND {re.escape(peer)}:0 \[.*\]: succeeded;"
                    r" 1007 sent, 1000 received, "
                )

    def test_turnsStrangersAway(self) -> None:
        """
        A connection from somebody else is closed without a word, and does not
        end the waiting; after the expected one there is nobody to connect to.
        """
        with self.perl(5, "127.0.0.2") as process:
            bound = self.read(process)
            for origin in ("127.0.0.1", "127.0.0.3"):
                stranger = self.connect(bound, origin)
                try:
                    self.assertEqual(receiveAll(stranger), b"")
                except ConnectionResetError:
                    pass
            connection = self.connect(bound, "127.0.0.2")
            self.assertEqual(receive(connection, 1), b"w")
            self.assertFalse(isOpen(bound[1]))

    def test_stopsWithTheClient(self) -> None:
        """
        Nobody can connect any more when the one who waited has gone.
        """
        for version in (4, 5):
            with self.subTest(version):
                with self.perl(version, "127.0.0.2") as process:
                    _, port = self.read(process)
                    self.assertTrue(isOpen(port))
                until(lambda: not isOpen(port), "closed", 1)  # noqa: B023
                self.daemon.waitFor(rf"SOCKS{version} \S+ - BIND 127\.0\.0\.2:0 ")

    def test_expectsNobody(self) -> None:
        """
        Whoever does not say whom it expects is refused, except under
        C{--bind-any-peer}.
        """
        for version, refusal in ((4, "rejected"), (5, "Not allowed")):
            with self.subTest(version), self.perl(version, "0.0.0.0") as process:
                self.assertRefused(process, refusal)
        with (
            Daemon("--bind-any-peer") as daemon,
            self.perl(5, "0.0.0.0", daemon=daemon) as process,
        ):
            _, port = self.read(process)
            connection = self.connect(("127.0.0.1", port), "127.0.0.3")
            self.assertServed(process, connection)

    def test_switchedOff(self) -> None:
        """
        Under C{--bind off} nobody is served.
        """
        with Daemon("--bind", "off") as daemon:
            for version, refusal in ((4, "rejected"), (5, "not supported")):
                with (
                    self.subTest(version),
                    self.perl(version, "127.0.0.1", daemon=daemon) as process,
                ):
                    self.assertRefused(process, refusal)


class PerlPasswordTests(PasswordTestCase, _PerlMixin):
    """
    The same with authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy, a wrong one does not.
        """
        with self.perl(5, "127.0.0.1", USER, PASSWORD) as process:
            connection = self.connect(self.read(process))
            self.assertServed(process, connection)
        with self.perl(5, "127.0.0.1", USER, WRONG_PASSWORD) as process:
            self.assertRefused(process, "uthentication")

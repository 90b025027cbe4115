"""
Programs that wait for a connection at the daemon, by BIND: the data
connections of FTP in active mode, where it is the server that connects.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.daemon import Daemon
from tests.interop.client import TIMEOUT, receive, receiveAll
from tests.interop.dante import SocksifyTestCase, socksify
from tests.interop.namespaces import PROXY_ADDRESS, NamespaceDaemon, Network, requireNamespaces
from tests.interop.peers import (
    missing,
    peerEnvironment,
    requirePackage,
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
    passwordOptions,
)

SIZE = 4 << 20
SERVER = "127.0.0.2"
"""
Where the FTP server is: at another address than the daemon, so that it shows
whom the client expects.
"""


class FTPServer:
    """
    pyftpdlib with a folder of its own, as a context manager.

    @ivar host: Where it listens.
    @ivar port: The port it got.
    @ivar folder: The folder.
    """

    def __init__(self, host: str = SERVER, wrapper: Sequence[str] = ()) -> None:
        """
        @param wrapper: What is before its command line.
        """
        requirePackage("pyftpdlib")
        self.host = host
        self.port = 0
        self._wrapper = wrapper

    def __enter__(self) -> "FTPServer":
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        options = ("-i", self.host, "-p", "0", "-w", "-d", self._temporary.name)
        self._process = subprocess.Popen(
            [*self._wrapper, sys.executable, "-m", "pyftpdlib", *options],
            env=peerEnvironment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert self._process.stderr is not None
            # What it says of a few sessions fits the pipe.
            for line in self._process.stderr:
                match = re.search(r"starting FTP server on .*:(\d+),", line)
                if match is not None:
                    self.port = int(match[1])
                    return self
            raise AssertionError("the FTP server has ended")
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._temporary.cleanup()


def session(server: FTPServer, *commands: str) -> tuple[tuple[str, ...], bytes]:
    """
    Give the command line of a client in active mode, and its input.
    """
    lines = ("user anonymous somebody", "binary", *commands, "bye", "")
    return ("tnftp", "-A", "-n", "-v", server.host, str(server.port)), "\n".join(lines).encode()


class FTPTests(SocksifyTestCase):
    """
    tnftp under Dante's client, which expects whom it has connected to last.
    """

    programs = ("socksify", "tnftp")

    def test_downloadsAndUploads(self) -> None:
        """
        By SOCKS5 and SOCKS4 a file comes and goes unchanged; the access line
        of each data connection has who was expected and what went through.
        """
        data = os.urandom(SIZE)
        for version in (5, 4):
            with self.subTest(version), FTPServer() as server:
                (server.folder / "down").write_bytes(data)
                local = self.folder / f"got{version}"
                command, commands = session(server, f"get down {local}", f"put {local} up")
                ended = self.socksify(version, *command, input=commands)
                self.assertEqual(local.read_bytes(), data, ended)
                self.assertEqual((server.folder / "up").read_bytes(), data, ended)
                for sent, received in ((0, SIZE), (SIZE, 0)):
                    self.daemon.waitFor(
                        rf"SOCKS{version} \S+ - BIND {re.escape(SERVER)}:\d+ \[.*\]: succeeded;"
                        rf" {sent} sent, {received} received, "
                    )
                self.daemon.waitFor(
                    rf"SOCKS{version} \S+ - CONNECT {re.escape(SERVER)}:{server.port} "
                )

    def test_lists(self) -> None:
        """
        Several data connections one after another get what is theirs, the
        empty ones too.
        """
        with FTPServer() as server:
            for name in ("one", "two", "three"):
                (server.folder / name).write_bytes(name.encode())
            (server.folder / "empty").write_bytes(b"")
            gets = [f"get {name} {self.folder / name}" for name in ("one", "empty", "two")]
            command, commands = session(server, "nlist", *gets, "nlist", "get three -")
            shown = self.assertSucceeded(self.socksify(5, *command, input=commands))
            self.assertEqual(shown.count(b"empty\none\nthree\ntwo\n"), 2, shown)
            for name, content in (("one", b"one"), ("empty", b""), ("two", b"two")):
                self.assertEqual((self.folder / name).read_bytes(), content)
            self.assertIn(b"\nthree", shown)


class FTPPasswordTests(PasswordTestCase, SocksifyTestCase):
    """
    The same with authentication.
    """

    programs = ("socksify", "tnftp")

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy for the data connection as well.
        """
        data = os.urandom(SIZE)
        with FTPServer() as server:
            local = self.folder / "local"
            local.write_bytes(data)
            command, commands = session(server, f"put {local} up")
            login = {"SOCKS_USERNAME": USER, "SOCKS_PASSWORD": PASSWORD}
            ended = self.socksify(5, *command, input=commands, **login)
            self.assertEqual((server.folder / "up").read_bytes(), data, ended)
        self.daemon.waitFor(rf" {USER} BIND {re.escape(SERVER)}:0 .*: succeeded; {SIZE} sent, ")


class NetworkTests(unittest.TestCase):
    """
    tnftp on a network: the proxy on one host, client and server on another.
    """

    SERVER = "203.0.113.5"

    network: ClassVar[Network]
    folder: ClassVar[Path]
    program: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Make the network.
        """
        requireNamespaces()
        cls.program = requireProgram("tnftp")
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.network = cls.enterClassContext(Network(["127.0.0.1 localhost"], [cls.SERVER]))

    def daemon(self, *arguments: str) -> Daemon:
        """
        Start the daemon.
        """
        listen = f"tcp:0:interface={PROXY_ADDRESS}"
        return self.enterContext(NamespaceDaemon(self.network.host, listen, *arguments))

    def tnftp(
        self, daemon: Daemon, server: FTPServer, *commands: str, **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run the client.
        """
        (_, *arguments), lines = session(server, *commands)
        return socksify(
            self.folder,
            (PROXY_ADDRESS, daemon.port),
            5,
            self.program,
            *arguments,
            input=lines,
            wrapper=self.network.world.command(),
            **variables,
        )

    def test_downloadsAndUploads(self) -> None:
        """
        Whoever has logged in is told an address at which the server reaches
        the proxy.
        """
        daemon = self.daemon(*passwordOptions(self.folder))
        data = os.urandom(SIZE)
        local = self.folder / "local"
        with FTPServer(self.SERVER, self.network.world.command()) as server:
            (server.folder / "down").write_bytes(data)
            ended = self.tnftp(
                daemon,
                server,
                f"get down {local}",
                f"put {local} up",
                SOCKS_USERNAME=USER,
                SOCKS_PASSWORD=PASSWORD,
            )
            self.assertEqual(local.read_bytes(), data, ended)
            self.assertEqual((server.folder / "up").read_bytes(), data, ended)
        for octets in (f"0 sent, {SIZE} received", f"{SIZE} sent, 0 received"):
            daemon.waitFor(
                rf" {USER} BIND {re.escape(self.SERVER)}:0 \[.*\]: succeeded; {octets}, "
            )

    def test_notForEverybody(self) -> None:
        """
        A proxy for everybody lets nobody wait for connections, unless told
        to by C{--bind on}.
        """
        local = self.folder / "nothing"
        for arguments, result in (((), "command not supported"), (("--bind", "on"), "succeeded")):
            with FTPServer(self.SERVER, self.network.world.command()) as server:
                (server.folder / "down").write_bytes(b"data")
                daemon = self.daemon("--open-relay", *arguments)
                ended = self.tnftp(daemon, server, f"get down {local}")
                daemon.waitFor(rf" - BIND {re.escape(self.SERVER)}:0 \[.*\]: {result}; ")
                self.assertEqual(local.exists(), result == "succeeded", ended)


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
        data = os.urandom(1 << 20)
        connection.sendall(data[:1000])
        self.assertEqual(receive(connection, 1000), data[:1000])
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

"""
Programs that wait for a connection at the daemon, by BIND: the data
connections of FTP in active mode, where it is the server that connects.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.daemon import Daemon
from tests.interop.dante import SocksifyTestCase, socksify
from tests.interop.namespaces import PROXY_ADDRESS, NamespaceDaemon, Network, requireNamespaces
from tests.interop.peers import (
    peerEnvironment,
    requirePackage,
    requireProgram,
)
from tests.interop.proxied import (
    PASSWORD,
    USER,
    PasswordTestCase,
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

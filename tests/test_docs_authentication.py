"""
The page on authentication: its commands set up what it says they do.
"""

import shlex
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from socksproxy.socks import GSSAPI
from tests.daemon import Daemon
from tests.interop.client import (
    SUCCEEDED,
    dial,
    echoes,
    login,
    receive,
    receiveAll,
    through,
)
from tests.interop.hostile import PUBLIC
from tests.interop.namespaces import CLIENT_ADDRESS, Namespace
from tests.interop.networked import GRANTED, REJECTED, SONG, NetworkTestCase
from tests.interop.peers import requireProgram, runPeer
from tests.interop.proxied import PASSWORD, USER, ProxyTestCase, passwordOptions
from tests.interop.socks5client import SOCKS5Client
from tests.interop.test_gssapi import RealmTestCase
from tests.manual import commandsIn, optionsWith, page, programOf
from tests.socksclient import NO_AUTHENTICATION
from tests.socksrequests import BIND, command4
from tests.targets import Target, echo

UNREACHABLE, MISMATCH = 92, 93
CONNECT = 0x01


def withPasswords(options: Sequence[str], folder: Path) -> list[str]:
    """
    Give options of the manual with a password file that is there.
    """
    _, passwords = passwordOptions(folder)
    return [passwords if option.startswith("passwords:") else option for option in options]


class KerberosTests(RealmTestCase):
    """
    Tickets of Kerberos.
    """

    def manual(self, text: str) -> str:
        """
        Put the realm of the test into a command of the manual.
        """
        for name, value in (
            ("EXAMPLE.ORG", self.realm.name),
            ("proxy.example.org", "localhost"),
            ("/etc/socksproxy/keytab", str(self.realm.folder / "manual.keytab")),
        ):
            text = text.replace(name, value)
        return text

    def test_commands(self) -> None:
        """
        The commands make a key with which the proxy lets in those who have
        tickets, and nobody else.
        """
        administrator = requireProgram("kadmin.local")
        commands = [
            shlex.split(self.manual(command))
            for command in commandsIn(page("authentication"))
            if programOf(command) == "kadmin"
        ]
        self.assertEqual(len(commands), 2)
        for _, *words in commands:
            done = runPeer(administrator, "-r", self.realm.name, *words)
            self.assertEqual(done.returncode, 0, done)
        (options,) = (
            command
            for command in commandsIn(page("authentication"))
            if programOf(command) == "twistd" and "gssapi:" in command
        )
        auth = self.manual(shlex.split(options)[-1])
        with Daemon("--auth", auth) as daemon, Target(echo) as target:
            ticket = GSSAPI("rcmd@localhost", cache=self.tickets)
            with SOCKS5Client(daemon.port, [ticket]).connect(target.port) as stream:
                self.assertTrue(stream.protected)
                self.assertTrue(echoes(stream))
            daemon.waitFor(rf"SOCKS5 \S+ alice@{self.realm.name} CONNECT .*: succeeded; ")
            with dial(daemon.port) as connection:
                connection.sendall(b"\x05\x02\x00\x02")
                self.assertEqual(receiveAll(connection), b"\x05\xff")

    def test_escapes(self) -> None:
        """
        A colon with a backslash before it is part of a value.
        """
        keytab = self.realm.folder / "key:tab"
        keytab.write_bytes(Path(self.keytab).read_bytes())
        path = str(keytab).replace(":", r"\:")
        with Daemon("--auth", f"gssapi:realm={self.realm.name}:keytab={path}") as daemon:
            self.assertGreater(daemon.port, 0)


class IdentTests(NetworkTestCase):
    """
    SOCKS4 with ident: the manual's command on a network where the client's
    host says that alice is there.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Give the manual's options, for the network of the test.
        """
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        options = optionsWith("authentication", "--ident")
        network = options.index("--ident") + 1
        options[network] = f"{CLIENT_ADDRESS}/32"
        # Where it listens is up to the test.
        return withPasswords(options[options.index("--auth") :], folder)

    def tearDown(self) -> None:
        """
        Leave the log alone, since without a password nobody gets as far as to
        make entries by SOCKS5.
        """

    def identify(self, answer: str) -> None:
        """
        Have the client's host answer questions for the duration of the test.

        @param answer: What it says behind the ports.
        """
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        script = folder / "answer"
        script.write_text(f'read ports; printf "%s : {answer}\\r\\n" "${{ports%?}}"\n')
        process = subprocess.Popen(
            self.network.world.command(
                requireProgram("socat"),
                "-dd",
                f"TCP4-LISTEN:113,bind={CLIENT_ADDRESS},reuseaddr,fork",
                f"EXEC:sh {script}",
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stderr is not None
        # What it says afterwards fits the pipe.
        while "listening on" not in (line := process.stderr.readline()):
            self.assertNotEqual(line, "")

    def connect4(self, userID: bytes, origin: Namespace | None = None) -> tuple[int, bytes]:
        """
        Ask for a connection.

        @return: The code of the answer, and what follows it.
        """
        message = command4(CONNECT, PUBLIC[0], self.beyond.port, userID)
        return self.ask(message, origin)

    def test_confirmed(self) -> None:
        """
        Whom the host confirms is let in, and is a user.
        """
        self.identify("USERID : UNIX : alice")
        self.assertEqual(self.connect4(b"alice"), (GRANTED, SONG))
        self.daemon.waitFor(rf"SOCKS4 {CLIENT_ADDRESS}:\d+ alice CONNECT .*: succeeded; ")

    def test_denied(self) -> None:
        """
        Of whom it names another, is code 93.
        """
        self.identify("USERID : UNIX : alice")
        self.assertEqual(self.connect4(b"bob"), (MISMATCH, b""))
        self.daemon.waitFor(rf"Authentication failure from {CLIENT_ADDRESS} .*, user bob")
        self.daemon.waitFor(r"SOCKS4 \S+ - - \S+ \[-\]: ident mismatch; ")

    def test_unknown(self) -> None:
        """
        A host that names nobody, or does not answer at all, is code 92.
        """
        self.assertEqual(self.connect4(b"alice"), (UNREACHABLE, b""))
        self.identify("ERROR : HIDDEN-USER")
        self.assertEqual(self.connect4(b"alice"), (UNREACHABLE, b""))
        self.daemon.waitFor(r"SOCKS4 \S+ - - \S+ \[-\]: ident unreachable; ")

    def test_elsewhere(self) -> None:
        """
        Hosts of other networks are not asked, and that is code 91.
        """
        self.assertEqual(self.connect4(b"alice", self.network.host), (REJECTED, b""))

    def test_others(self) -> None:
        """
        SOCKS5 goes on asking for a password.
        """
        address = (self.address, self.daemon.port)
        with self.network.world.call(socket.create_connection, address) as connection:
            self.assertEqual(login(connection, USER.encode(), PASSWORD.encode()), SUCCEEDED)


class UserIDTests(ProxyTestCase):
    """
    SOCKS4 with names alone: the manual's command.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Give the manual's options.
        """
        return withPasswords(
            [
                option
                for option in optionsWith("authentication", "--socks4-user")
                if option != "tcp:1080"
            ],
            cls.folder,
        )

    def test_namesAreEnough(self) -> None:
        """
        Who gives one of the names is that user, for BIND as well, and nobody
        else is let in.
        """
        port = self.target(echo).port
        for name, expected in ((b"alice", GRANTED), (b"bob", GRANTED), (b"carol", REJECTED)):
            for command in (CONNECT, BIND):
                with dial(self.daemon.port) as connection:
                    connection.sendall(command4(command, "127.0.0.1", port, name))
                    self.assertEqual(receive(connection, 8)[1], expected)
        self.daemon.waitFor(r"SOCKS4 \S+ alice CONNECT ")
        self.daemon.waitFor(r"Authentication failure from .*, user carol")

    def test_SOCKS5(self) -> None:
        """
        SOCKS5 goes on asking for a password.
        """
        with dial(self.daemon.port) as connection:
            self.assertEqual(login(connection, USER.encode(), PASSWORD.encode()), SUCCEEDED)
        with dial(self.daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION)
            self.assertEqual(receiveAll(connection), b"\x05\xff")


class OpenTests(ProxyTestCase):
    """
    SOCKS4 with names where SOCKS5 needs no login.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Ask for names only.
        """
        return ("--socks4-user", "alice")

    def test_asksNothingOfSOCKS5(self) -> None:
        """
        SOCKS5 stays as open as it was, and SOCKS4 is for those named.
        """
        target = self.target(echo)
        with through(self.daemon.port, target.port) as connection:
            self.assertTrue(echoes(connection))
        with dial(self.daemon.port) as connection:
            connection.sendall(command4(CONNECT, "127.0.0.1", target.port, b"carol"))
            self.assertEqual(receive(connection, 8)[1], REJECTED)

"""
The manual's page on names: its commands, in a network where every packet that
leaves the proxy's host is looked at.
"""

from __future__ import annotations

import re
import shlex
import socket
import struct
import subprocess

from tests.daemon import Daemon
from tests.interop.namespaces import NamespaceDaemon
from tests.interop.peers import requireProgram
from tests.manual import commandsIn, divided, page, programOf
from tests.test_docs_recipes import NAMESERVER, OTHER, PAGE, SITE, RecipeTestCase

COMMANDS = commandsIn(page("dns"))
PASSWORD = "3fW5sJHkWpRrSoDF0iE2b0m5LxzDQvKn"
KEY = "a key for the tunnel"

ETH_P_ALL = 3
IPV4, TCP, UDP = 0x0800, 6, 17
DNS = 53


def commandWith(program: str, *words: str, without: str = "") -> list[str]:
    """
    Give the one command of a program's that has certain words.
    """
    (found,) = (
        shlex.split(command)
        for command in COMMANDS
        if programOf(command) == program
        and set(words) <= set(shlex.split(command))
        and without not in shlex.split(command)
    )
    return found


def test_everyProgramIsTried() -> None:
    """
    The page uses no program but those that this module tries.
    """
    assert [programOf(command) for command in COMMANDS] == ["twistd", "dig", "twistd"]


class Tap:
    """
    Sees all that leaves a host by its cable.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.bind(("cable", 0))
        self._socket.setblocking(False)

    def close(self) -> None:
        """
        Look no more.
        """
        self._socket.close()

    def ports(self) -> list[tuple[int, int]]:
        """
        Give protocol and destination port of all that has left since the last
        time.
        """
        seen = []
        while True:
            try:
                frame, (*_, kind, _hardware, _address) = self._socket.recvfrom(65535)
            except BlockingIOError:
                return seen
            if kind != socket.PACKET_OUTGOING or struct.unpack_from("!H", frame, 12)[0] != IPV4:
                continue
            start = 14 + (frame[14] & 0x0F) * 4
            if frame[23] in (TCP, UDP):
                seen.append((frame[23], struct.unpack_from("!H", frame, start + 2)[0]))


class NamesTests(RecipeTestCase):
    """
    The commands, one after another.
    """

    def setUp(self) -> None:
        """
        Start a site, a name server that knows where it is, and a proxy beside
        them.
        """
        requireProgram("dig")
        requireProgram("curl")
        root = self.folder / self.id()
        root.mkdir()
        (root / "index.html").write_bytes(PAGE)
        self.twistd(
            "starting on 80", "web", "--listen", f"tcp:80:interface={SITE}", "--path", str(root)
        )
        hosts = root / "hosts"
        hosts.write_text(f"{SITE} example.com\n")
        self.twistd(
            "starting on 53",
            "dns",
            "--interface",
            NAMESERVER,
            "--port",
            "53",
            "--hosts-file",
            str(hosts),
        )
        self.key = root / "key"
        self.key.write_text(KEY)
        self.far = self.enterContext(
            NamespaceDaemon(
                self.network.world,
                f"tcp:1080:interface={OTHER}",
                *("--auth", "anonymous", "--open-relay", "--allow-private"),
                *("--dns-own", "--dns-upstream", f"tcp://{NAMESERVER}"),
                f"--listen=kcp:29900:interface={OTHER}:keyFile={self.key}:nocomp=yes",
                f"--shadowsocks=ss://aes-256-gcm:{PASSWORD}@{OTHER}:8388",
            )
        )

    def near(self, command: list[str], *more: str) -> Daemon:
        """
        Give the proxy as a command of the page starts it.
        """
        options = divided(command)[1]
        at = options.index("--listen") if "--listen" in options else None
        if at is not None:
            del options[at : at + 2]
        return NamespaceDaemon(
            self.network.host,
            "tcp:1080:interface=127.0.0.1",
            *(option.replace("proxy.example.com", OTHER) for option in options),
            *("--dns-upstream", f"tcp://{NAMESERVER}", *more),
        )

    def inHost(self, *command: str) -> str:
        """
        Run a program on the proxy's host.

        @return: What it says.
        """
        ended = subprocess.run(
            self.network.host.command(*command), capture_output=True, text=True, timeout=30
        )
        self.assertEqual(ended.returncode, 0, ended)
        return ended.stdout

    def test_throughProxies(self) -> None:
        """
        What dig asks for is asked by whichever proxy there is, and not one
        packet for a name server leaves this host.
        """
        command = commandWith("twistd", "--dns", without="--dns-fake")
        via = command.index("--via") + 1
        tap = self.network.host.call(Tap)
        self.addCleanup(tap.close)
        for way in (
            command[via],
            f"ss://aes-256-gcm:{PASSWORD}@{OTHER}:8388",
            f"socks5h+kcp://{OTHER}:29900?keyFile={self.key}&nocomp=yes",
        ):
            with self.subTest(re.sub(r"//.*@", "//", way)):
                command[via] = way
                with self.near(command):
                    tap.ports()
                    for more in ((), ("+tcp",)):
                        said = self.inHost(*commandWith("dig"), "+short", *more)
                        self.assertEqual(said, f"{SITE}\n")
                    said = self.inHost(*commandWith("dig")[:-1], "absent.example")
                    self.assertRegex(said, "status: (NXDOMAIN|SERVFAIL)")
                left = tap.ports()
                self.assertNotEqual(left, [])
                self.assertNotIn(DNS, {port for _, port in left})

    def test_tapSees(self) -> None:
        """
        Of a question that is asked straight, the packets are seen.
        """
        tap = self.network.host.call(Tap)
        self.addCleanup(tap.close)
        self.inHost("dig", f"@{NAMESERVER}", "example.com", "+short")
        self.assertIn((UDP, DNS), tap.ports())

    def test_fake(self) -> None:
        """
        An address that stands for a name leads to it, also after the proxy has
        been started again. The proxy at the other end resolves it by a name
        server of its own choice.
        """
        state = self.folder / "state"
        state.mkdir()
        command = commandWith("twistd", "--dns-fake")
        for number in range(2):
            with self.near(command, "--state", str(state)):
                address = self.inHost(*commandWith("dig"), "+short").strip()
                self.assertRegex(address, r"198\.1[89]\.")
                if not number:
                    first = address
                fetched = self.inHost(
                    *("curl", "-sS", "--max-time", "10", "--socks5", "127.0.0.1:1080"),
                    f"http://{first}/",
                )
                self.assertEqual((address, fetched), (first, PAGE.decode()))

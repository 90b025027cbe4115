"""
The manual's recipes: each command does what it is there for, to the letter.

Everything runs in network namespaces, where names and addresses are those of
the manual: the proxy and its clients in one, and the servers in another.
"""

import shlex
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar

from tests.daemon import ROOT, TWISTD, Daemon, environment
from tests.interop.associations import datagramPorts
from tests.interop.namespaces import PROXY_ADDRESS, NamespaceDaemon, Network, requireNamespaces
from tests.interop.peers import peerEnvironment, requirePackage, requireProgram, runPeer
from tests.interop.processes import until
from tests.interop.responders import Responder
from tests.manual import commandsIn, optionsWith, page, programOf

SERVER = "203.0.113.5"
OTHER = "203.0.113.6"
NAMESERVER = "192.0.2.53"
SITE = "192.0.2.80"
HOSTS = (
    "127.0.0.1 localhost",
    f"{SERVER} ftp.example.org stun.example.org pool.ntp.org",
    f"{SITE} example.com",
)
PAGE = b"a page\n"
FROM_1900_TO_1970 = 2208988800


RECIPES = commandsIn(page("recipes"))
PROGRAMS = {"tnftp", "curl", "drill", "stun", "twistd", "torsocks", "tor-resolve"}


def test_everyProgramIsTried() -> None:
    """
    The recipes use no program but those that this module tries, and the
    README has none that are not among the recipes.
    """
    assert {programOf(command) for command in RECIPES} == PROGRAMS
    readme = commandsIn((ROOT / "README.rst").read_text())
    assert {command for command in readme if "socksify" in command} < set(RECIPES)


class RecipeTestCase(unittest.TestCase):
    """
    Tests on a network of the manual's.

    @cvar network: The network.
    @cvar folder: Where programs are run.
    """

    network: ClassVar[Network]
    folder: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Make the network.
        """
        requireNamespaces()
        cls.network = cls.enterClassContext(Network(HOSTS, [SERVER, OTHER, NAMESERVER, SITE]))
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def proxy(self, *arguments: str) -> Daemon:
        """
        Start the proxy where the manual has it.

        @param arguments: Its options.
        """
        listen = "tcp:1080:interface=127.0.0.1"
        return self.enterContext(NamespaceDaemon(self.network.host, listen, *arguments))

    def proxyWith(self, *words: str, of: str = "recipes") -> Daemon:
        """
        Start the proxy with the command of a page that has certain words.
        """
        return self.proxy(*optionsWith(of, *words))

    def service(self, ready: str, *command: str) -> None:
        """
        Run a server out in the world for the duration of the test.

        @param ready: What it says when it is ready.
        """
        process = subprocess.Popen(
            self.network.world.command(*command),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        # What it says afterwards of a question or two fits the pipe.
        said = []
        for line in process.stdout:
            if ready in line:
                return
            said.append(line)
        raise AssertionError(f"{command} has ended: {said}")

    def twistd(self, ready: str, *command: str) -> None:
        """
        Run a server of Twisted's out in the world.
        """
        self.service(ready, *TWISTD, "-n", "--pidfile=", *command)

    def certificate(self) -> tuple[Path, Path]:
        """
        Make a certificate for the manual's site.

        @return: Its file, and that of its key.
        """
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        options = "req -x509 -newkey rsa:2048 -nodes -subj /CN=example.com"
        options += f" -addext subjectAltName=DNS:example.com -keyout {key} -out {certificate}"
        made = runPeer(requireProgram("openssl"), *shlex.split(options))
        self.assertEqual(made.returncode, 0, made)
        return certificate, key

    def site(self) -> Path:
        """
        Serve a page by HTTPS.

        @return: The certificate.
        """
        certificate, key = self.certificate()
        root = self.folder / "site"
        root.mkdir(exist_ok=True)
        (root / "index.html").write_bytes(PAGE)
        listen = f"ssl:443:interface={SITE}:privateKey={key}:certKey={certificate}"
        self.twistd("starting on 443", "web", "--listen", listen, "--path", str(root))
        return certificate

    def shell(self, command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """
        Run a command of the manual, as a shell would.

        @param variables: Further variables of the environment.
        """
        for word in shlex.split(command):
            if word in (*PROGRAMS - {"twistd"}, "socksify"):
                requireProgram(word)
        ended = runPeer(
            *self.network.host.command(
                "/bin/sh", "-c", f"cd {shlex.quote(str(self.folder))} && {command}"
            ),
            environment=peerEnvironment(**variables),
        )
        self.assertEqual(ended.returncode, 0, ended)
        return ended

    def recipes(self, program: str) -> list[str]:
        """
        Give the recipes for a program.
        """
        found = [command for command in RECIPES if programOf(command) == program]
        self.assertNotEqual(found, [])
        return found


class FTPTests(RecipeTestCase):
    """
    Active FTP.
    """

    def test_fetches(self) -> None:
        """
        A file comes over a connection that the proxy has waited for.
        """
        # The server connects from the address that the client knows it by.
        cable = ip_network(f"{PROXY_ADDRESS}/24", strict=False)
        self.network.world.configure(f"route change {cable} dev cable src {SERVER}")
        root = self.folder / "ftp"
        root.mkdir()
        (root / "README").write_bytes(PAGE)
        daemon = self.proxy()
        self.twistd("starting on 21", "ftp", "--port=21", f"--root={root}")
        for command in self.recipes("curl"):
            self.assertEqual(self.shell(command).stdout, PAGE)
            daemon.waitFor(rf"BIND {SERVER}:\d+ \[{SERVER}:\d+\]: succeeded; 0 sent, {len(PAGE)} ")
        for command in self.recipes("tnftp"):
            self.shell(command)
            self.assertEqual((self.folder / "README").read_bytes(), PAGE)
            daemon.waitFor(rf"BIND {SERVER}:\d+ \[{SERVER}:\d+\]: succeeded; 0 sent, {len(PAGE)} ")


class NameServerTests(RecipeTestCase):
    """
    Asking a name server.
    """

    def setUp(self) -> None:
        """
        Start the proxy and the name server.
        """
        self.daemon = self.proxy()
        hosts = self.folder / "names"
        hosts.write_text(f"{SITE} example.com\n")
        self.twistd(
            "DNSDatagramProtocol starting on 53",
            "dns",
            f"--interface={NAMESERVER}",
            f"--hosts-file={hosts}",
        )

    def test_byDatagrams(self) -> None:
        """
        drill asks in a datagram.
        """
        for command in self.recipes("drill"):
            self.assertIn(SITE.encode(), self.shell(command).stdout)
        self.daemon.waitFor(r" UDP \S+ \[-\]: succeeded; .* 1 and 1 datagrams, 0 dropped, ")

    def test_notWithDig(self) -> None:
        """
        dig sends what the proxy cannot make sense of.
        """
        dig = f"{requireProgram('dig')} +tries=1 +time=1 @{NAMESERVER} example.com"
        self.shell(f"! SOCKS5_SERVER=127.0.0.1:1080 socksify {dig}")
        self.daemon.waitFor(r" UDP \S+ \[-\]: succeeded; 0 sent, .* 1 dropped, ")


class STUNTests(RecipeTestCase):
    """
    Programs that want datagrams from everybody.
    """

    def setUp(self) -> None:
        """
        Start the STUN server.
        """
        process = subprocess.Popen(
            self.network.world.command(requireProgram("stund"), "-h", SERVER, "-a", OTHER),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        until(lambda: len(datagramPorts(process.pid)) == 4, "listening")

    def stun(self) -> bytes:
        """
        Ask what a program may expect.
        """
        [command] = self.recipes("stun")
        # Its exit status is what it found.
        return self.shell(f"{command}; true").stdout

    def test_fullCone(self) -> None:
        """
        With the recipe's proxy everybody's datagrams come in.
        """
        self.proxyWith("--full-cone")
        self.assertIn(b"Primary: Open", self.stun())

    def test_otherwise(self) -> None:
        """
        Without, only those come in that have been written to.
        """
        self.proxy()
        self.assertIn(b"Primary: Firewall", self.stun())


class PythonTests(RecipeTestCase):
    """
    PySocks.
    """

    def test_clock(self) -> None:
        """
        The program prints the time that a server tells it.
        """
        requirePackage("socks")
        seconds = (FROM_1900_TO_1970 + 1_600_000_000).to_bytes(4, "big")
        answers: Callable[[bytes], list[bytes]] = lambda question: [  # noqa: E731
            bytes(40) + seconds + bytes(4) if len(question) == 48 else b""
        ]
        responder = self.enterContext(self.network.world.call(Responder, answers, SERVER))
        daemon = self.proxy()
        source = (ROOT / "docs" / "examples" / "clock.py").read_text()
        self.assertEqual(source.count(", 123)"), 1)
        ended = runPeer(
            *self.network.host.command(
                sys.executable,
                "-W",
                "error",
                "-c",
                source.replace(", 123)", f", {responder.port})"),
            )
        )
        self.assertEqual(ended.stdout, f"2020-09-13 12:26:40 UTC, by {SERVER}\n".encode(), ended)
        daemon.waitFor(r" UDP \S+ \[-\]: succeeded; .* 1 and 1 datagrams, 0 dropped, ")


class TorTests(RecipeTestCase):
    """
    Programs for Tor.
    """

    def isolated(self) -> str:
        """
        Give the command that the page on authentication has.
        """
        [found] = [
            command
            for command in commandsIn(page("authentication"))
            if programOf(command) == "torsocks"
        ]
        return found

    def test_fetches(self) -> None:
        """
        curl under torsocks fetches a page from a name.
        """
        certificate = self.site()
        daemon = self.proxyWith("--resolve")
        for command in self.recipes("torsocks"):
            ended = self.shell(command, CURL_CA_BUNDLE=str(certificate))
            self.assertEqual(ended.stdout, PAGE)
        daemon.waitFor(r" RESOLVE example\.com:\d+ \[-\]: succeeded; ")

    def test_looksUp(self) -> None:
        """
        tor-resolve finds an address and a name.
        """
        self.proxyWith("--resolve")
        found = [self.shell(command).stdout.strip() for command in self.recipes("tor-resolve")]
        self.assertEqual(found, [SITE.encode(), b"example.com"])

    def test_findsNoOnion(self) -> None:
        """
        There is no Tor behind this proxy.
        """
        daemon = self.proxyWith("--resolve")
        for command in self.recipes("tor-resolve")[:1]:
            self.shell(f"! {command.replace('example.com', 'example.onion')}")
        daemon.waitFor(r" RESOLVE example\.onion:0 \[-\]: name not found; ")

    def test_isolates(self) -> None:
        """
        torsocks, which makes a password up for isolation, is let in as nobody
        in particular.
        """
        certificate = self.site()
        daemon = self.proxyWith("isolation:", of="authentication")
        ended = self.shell(self.isolated(), CURL_CA_BUNDLE=str(certificate))
        self.assertEqual(ended.stdout, PAGE)
        daemon.waitFor(rf"SOCKS5 \S+ - CONNECT {SITE}:443 \[.*\]: succeeded; ")

    def test_isolatesNotOtherwise(self) -> None:
        """
        A proxy that takes no passwords does not serve it.
        """
        self.proxy("--resolve")
        self.shell(f"! {self.isolated()}")

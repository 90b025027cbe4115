"""
Programs that know nothing of proxies, wrapped by one that does.
"""

import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.daemon import Daemon
from tests.interop.namespaces import NamespaceDaemon, Network, requireNamespaces
from tests.interop.peers import (
    closedPort,
    peerEnvironment,
    requireIPv6,
    requireProgram,
    runPeer,
)
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
    passwordOptions,
)
from tests.interop.servers import countAtEnd
from tests.targets import Target, echo, web

PAGE = b"<title>A page</title>"


class _ProxychainsMixin(ProxyTestCase):
    programs = ("proxychains4", "curl", "nc.openbsd")

    def proxychains(
        self,
        proxies: Sequence[str],
        *command: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run a program under proxychains.

        @param proxies: Lines of its list of proxies.
        @param command: The name of a program, and its arguments.
        """
        path = self.folder / "proxychains.conf"
        settings = ("strict_chain", "proxy_dns", "[ProxyList]", *proxies)
        path.write_text("".join(f"{line}\n" for line in settings))
        wrapper = (self.paths["proxychains4"], "-q", "-f", str(path))
        return runPeer(*wrapper, self.paths[command[0]], *command[1:], input=input)

    def entry(self, kind: str, *login: str) -> str:
        """
        Write a line of the list that names the daemon.
        """
        return " ".join((kind, "127.0.0.1", str(self.daemon.port), *login))


class ProxychainsTests(_ProxychainsMixin):
    """
    proxychains without authentication.
    """

    def test_fetches(self) -> None:
        """
        curl, which is told of no proxy, fetches a page through the daemon by
        SOCKS4 and SOCKS5.
        """
        for kind in ("socks4", "socks5"):
            with self.subTest(kind):
                port = self.target(web(PAGE)).port
                url = f"http://127.0.0.1:{port}/"
                ended = self.proxychains([self.entry(kind)], "curl", "-qsS", url)
                self.assertEqual(self.assertSucceeded(ended), PAGE)
                self.assertSeen(kind.upper(), f"127.0.0.1:{port}")

    def test_sendsNames(self) -> None:
        """
        A name that proxychains has not found in C{/etc/hosts} goes to the
        daemon as it is, by SOCKS4a and SOCKS5.
        """
        # proxychains heeds the case there, which no resolver does.
        for kind, protocol in (("socks4", "SOCKS4a"), ("socks5", "SOCKS5")):
            with self.subTest(protocol):
                port = self.target(echo).port
                nc = ("nc.openbsd", "-N", "LocalHost", str(port))
                ended = self.proxychains([self.entry(kind)], *nc, input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"hello")
                self.assertSeen(protocol, f"localhost:{port}")

    def test_connectsByIPv6(self) -> None:
        """
        An IPv6 address is reached by SOCKS5.
        """
        requireIPv6()
        port = self.target(web(PAGE), "::1").port
        url = f"http://[::1]:{port}/"
        ended = self.proxychains([self.entry("socks5")], "curl", "-qgsS", url)
        self.assertEqual(self.assertSucceeded(ended), PAGE)
        self.assertSeen("SOCKS5", f"[::1]:{port}")

    def test_endsItsHalf(self) -> None:
        """
        The end of a wrapped program's input reaches the target as the end of
        one direction, and the answer to it gets back.
        """
        for kind in ("socks4", "socks5"):
            with self.subTest(kind):
                port = self.target(countAtEnd).port
                nc = ("nc.openbsd", "-N", "127.0.0.1", str(port))
                ended = self.proxychains([self.entry(kind)], *nc, input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"5 octets")

    def test_failsAsIfThereWereNoProxy(self) -> None:
        """
        A refused connection is one to the wrapped program as well.
        """
        for kind in ("socks4", "socks5"):
            with self.subTest(kind), closedPort() as port:
                url = f"http://127.0.0.1:{port}/"
                ended = self.proxychains([self.entry(kind)], "curl", "-qsS", url)
                self.assertEqual((ended.returncode, ended.stdout), (7, b""), ended)
                self.assertSeen(kind.upper(), f"127.0.0.1:{port}", result="connection refused")


class ProxychainsPasswordTests(PasswordTestCase, _ProxychainsMixin):
    """
    proxychains with authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy.
        """
        port = self.target(web(PAGE)).port
        proxies = [self.entry("socks5", USER, PASSWORD)]
        ended = self.proxychains(proxies, "curl", "-qsS", f"http://127.0.0.1:{port}/")
        self.assertEqual(self.assertSucceeded(ended), PAGE)
        self.assertSeen("SOCKS5", f"127.0.0.1:{port}", USER)

    def test_aWrongPassword(self) -> None:
        """
        With a wrong password, and with SOCKS4, nothing is dialled.
        """
        target = self.target(web(PAGE))
        for kind, password in (("socks5", WRONG_PASSWORD), ("socks4", PASSWORD)):
            with self.subTest(kind):
                proxies = [self.entry(kind, USER, password)]
                url = f"http://127.0.0.1:{target.port}/"
                ended = self.proxychains(proxies, "curl", "-qsS", url)
                self.assertEqual((ended.returncode, ended.stdout), (7, b""), ended)
        self.assertEqual(target.accepted, [])

    def test_chains(self) -> None:
        """
        A chain of proxies leads from one daemon into the next: SOCKS5, in it
        SOCKS4, in it SOCKS5 with a password.
        """
        port = self.target(web(PAGE)).port
        with Daemon() as first, Daemon() as second:
            proxies = [
                f"socks5 127.0.0.1 {first.port}",
                f"socks4 127.0.0.1 {second.port}",
                self.entry("socks5", USER, PASSWORD),
            ]
            ended = self.proxychains(proxies, "curl", "-qsS", f"http://127.0.0.1:{port}/")
            self.assertEqual(self.assertSucceeded(ended), PAGE)
            first.waitFor(rf"SOCKS5 \S+ - CONNECT 127\.0\.0\.1:{second.port} .*: succeeded")
            second.waitFor(rf"SOCKS4 \S+ - CONNECT 127\.0\.0\.1:{self.daemon.port} .*: succeeded")
        self.assertSeen("SOCKS5", f"127.0.0.1:{port}", USER)


class TorsocksTests(unittest.TestCase):
    """
    torsocks, which leaves loopback alone and so needs a network: both run in
    a namespace, on loopback, and the target is in a second one.
    """

    PUBLIC = "203.0.113.5"

    network: ClassVar[Network]
    folder: ClassVar[Path]
    torsocksPath: ClassVar[str]
    curl: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Make the network.
        """
        requireNamespaces()
        cls.torsocksPath, cls.curl = requireProgram("torsocks"), requireProgram("curl")
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        hosts = ("127.0.0.1 localhost", f"{cls.PUBLIC} target.example")
        cls.network = cls.enterClassContext(Network(hosts, [cls.PUBLIC]))

    def setUp(self) -> None:
        """
        Serve a page outside.
        """
        target = self.network.world.call(Target, web(PAGE), self.PUBLIC)
        self.target = self.enterContext(target)

    def daemon(self, *arguments: str) -> Daemon:
        """
        Start the daemon inside.
        """
        listen = "tcp:0:interface=127.0.0.1"
        return self.enterContext(NamespaceDaemon(self.network.host, listen, *arguments))

    def torsocks(
        self, daemon: Daemon, host: str, *settings: str
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run curl under torsocks.

        @param host: Where to get the page from.
        @param settings: Further lines of torsocks' configuration.
        """
        url = f"http://{host}:{self.target.port}/"
        return self.underTorsocks(daemon, self.curl, "-qsS", url, settings=settings)

    def underTorsocks(
        self, daemon: Daemon, *command: str, settings: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run a program under torsocks.

        @param settings: Further lines of torsocks' configuration.
        """
        path = self.folder / "torsocks.conf"
        lines = ("TorAddress 127.0.0.1", f"TorPort {daemon.port}", *settings)
        path.write_text("".join(f"{line}\n" for line in lines))
        return runPeer(
            *self.network.host.command(self.torsocksPath, *command),
            environment=peerEnvironment(TORSOCKS_CONF_FILE=str(path)),
        )

    def test_fetches(self) -> None:
        """
        curl, which is told of no proxy, fetches a page through the daemon.
        """
        daemon = self.daemon()
        ended = self.torsocks(daemon, self.PUBLIC)
        self.assertEqual((ended.returncode, ended.stdout), (0, PAGE), ended)
        daemon.waitFor(rf"SOCKS5 \S+ - CONNECT {self.PUBLIC}:{self.target.port} .*: succeeded")

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy, a wrong one does not.
        """
        daemon = self.daemon(*passwordOptions(self.folder))
        user = f"SOCKS5Username {USER}"
        ended = self.torsocks(daemon, self.PUBLIC, user, f"SOCKS5Password {PASSWORD}")
        self.assertEqual((ended.returncode, ended.stdout), (0, PAGE), ended)
        daemon.waitFor(rf"SOCKS5 \S+ {USER} CONNECT {self.PUBLIC}:{self.target.port} .*: succeeded")
        ended = self.torsocks(daemon, self.PUBLIC, user, f"SOCKS5Password {WRONG_PASSWORD}")
        self.assertEqual((ended.returncode, ended.stdout), (7, b""), ended)
        self.assertEqual(len(self.target.accepted), 1)

    def test_resolvesNothing(self) -> None:
        """
        torsocks resolves names by a command that Tor has added to SOCKS. It
        gets REP 7 for that, says so, and curl fails at once.
        """
        ended = self.torsocks(self.daemon(), "target.example")
        self.assertEqual((ended.returncode, ended.stdout), (6, b""), ended)
        self.assertIn(b"Status reply: 7", ended.stderr)
        self.assertEqual(self.target.accepted, [])

    def test_resolves(self) -> None:
        """
        Under C{--resolve} it gets the address, and connects to that.
        """
        daemon = self.daemon("--resolve")
        ended = self.torsocks(daemon, "target.example")
        self.assertEqual((ended.returncode, ended.stdout), (0, PAGE), ended)
        daemon.waitFor(r"SOCKS5 \S+ - RESOLVE target\.example:\d+ \[.*\]: succeeded; ")
        daemon.waitFor(rf"SOCKS5 \S+ - CONNECT {self.PUBLIC}:{self.target.port} .*: succeeded")

    def test_resolvesNoUnknownName(self) -> None:
        """
        For a name that has no address it gets REP 4.
        """
        ended = self.torsocks(self.daemon("--resolve"), "nowhere.example")
        self.assertEqual((ended.returncode, ended.stdout), (6, b""), ended)
        self.assertIn(b"Status reply: 4", ended.stderr)

    def test_resolvesBackwards(self) -> None:
        """
        Under C{--resolve} a program gets the name of an address, without it
        none.
        """
        program = f"import socket; print(socket.gethostbyaddr('{self.PUBLIC}')[0])"
        for options, shown in ((("--resolve",), b"target.example\n"), ((), b"")):
            with self.subTest(options):
                daemon = self.daemon(*options)
                ended = self.underTorsocks(daemon, sys.executable, "-c", program)
                self.assertEqual(ended.stdout, shown, ended)
                daemon.waitFor(rf"SOCKS5 \S+ - RESOLVE_PTR {re.escape(self.PUBLIC)}:\d+ ")

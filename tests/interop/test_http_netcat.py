"""
Netcats and ssh through the daemon, by CONNECT.
"""

from __future__ import annotations

import os
import subprocess

from tests.interop.peers import closedPort, requireIPv6, runPeer
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)
from tests.interop.servers import countAtEnd
from tests.interop.test_ssh import _SSHMixin
from tests.targets import echo, sender

BANNER = b"220 welcome\r\n"
BULK = os.urandom(4 << 20)


class _HTTPNetcatMixin(ProxyTestCase):
    programs = ("ncat", "nc.openbsd")

    def ncat(
        self,
        *arguments: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run Nmap's ncat.
        """
        proxy = ("--proxy", self.proxy, "--proxy-type", "http")
        return runPeer(self.paths["ncat"], *proxy, *arguments, input=input)

    def nc(
        self,
        *arguments: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run OpenBSD's nc.
        """
        proxy = ("-X", "connect", "-x", self.proxy)
        return runPeer(self.paths["nc.openbsd"], *proxy, *arguments, input=input)

    def assertTunnelled(self, destination: str, user: str = "-") -> None:
        """
        Check that a tunnel went through the daemon.
        """
        self.daemon.waitFor(rf"HTTP \S+ {user} CONNECT {destination} \[.*: succeeded;")


class HTTPNetcatTests(_HTTPNetcatMixin):
    """
    Without authentication.
    """

    def test_connects(self) -> None:
        """
        Both reach an address and a name.
        """
        for run in (self.ncat, self.nc):
            for host in ("127.0.0.1", "localhost"):
                with self.subTest((run, host)):
                    port = self.target(echo).port
                    ended = run(*self.ends(run), host, str(port), input=b"hello")
                    self.assertEqual(self.assertSucceeded(ended), b"hello")
                    self.assertTunnelled(f"{host}:{port}")

    def test_IPv6(self) -> None:
        """
        And an address of IPv6.
        """
        requireIPv6()
        for run in (self.ncat, self.nc):
            with self.subTest(run):
                port = self.target(echo, "::1").port
                ended = run(*self.ends(run), "::1", str(port), input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"hello")
                self.assertTunnelled(rf"\[::1\]:{port}")

    def test_targetSpeaksFirst(self) -> None:
        """
        What a target says at once arrives after the answer of the proxy, and
        nothing of that before it.
        """
        for run in (self.ncat, self.nc):
            port = self.target(sender(BANNER)).port
            self.assertEqual(self.assertSucceeded(run("127.0.0.1", str(port))), BANNER)

    def test_halfClose(self) -> None:
        """
        The end of what a client sends arrives behind it, and the answer to
        that comes back.
        """
        for run in (self.ncat, self.nc):
            port = self.target(countAtEnd).port
            ended = run(*self.ends(run), "127.0.0.1", str(port), input=BULK)
            self.assertEqual(self.assertSucceeded(ended), b"%d octets" % len(BULK))

    def test_movesData(self) -> None:
        """
        Some megabytes go there and back at the same time, unchanged.
        """
        for run in (self.ncat, self.nc):
            port = self.target(echo).port
            ended = run(*self.ends(run), "127.0.0.1", str(port), input=BULK)
            self.assertTrue(self.assertSucceeded(ended) == BULK)

    def test_nobodyThere(self) -> None:
        """
        Both say that the proxy could not get there.
        """
        with closedPort() as port:
            for run in (self.ncat, self.nc):
                ended = run("127.0.0.1", str(port))
                self.assertEqual((ended.returncode, ended.stdout), (1, b""))
                self.assertIn(b"502", ended.stderr)

    def ends(self, run: object) -> tuple[str, ...]:
        """
        Give the option by which OpenBSD's nc tells that its input is over.
        """
        return ("-N",) if run == self.nc else ()


class HTTPNetcatPasswordTests(PasswordTestCase, _HTTPNetcatMixin):
    """
    With authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy.
        """
        port = self.target(echo).port
        login = ("--proxy-auth", f"{USER}:{PASSWORD}")
        ended = self.ncat(*login, "localhost", str(port), input=b"hello")
        self.assertEqual(self.assertSucceeded(ended), b"hello")
        self.assertTunnelled(f"localhost:{port}", USER)

    def test_wrongPassword(self) -> None:
        """
        A wrong one, or none, does not, and nothing is dialled.
        """
        target = self.target(echo)
        for run, login in (
            (self.ncat, ("--proxy-auth", f"{USER}:{WRONG_PASSWORD}")),
            (self.ncat, ()),
            (self.nc, ()),
        ):
            ended = run(*login, "127.0.0.1", str(target.port))
            self.assertNotEqual(ended.returncode, 0)
            self.assertEqual(ended.stdout, b"")
        self.assertEqual(target.accepted, [])


class HTTPSSHTests(_SSHMixin):
    """
    ssh with both as its C{ProxyCommand}.
    """

    def test_runsACommand(self) -> None:
        """
        A command is run on the other side, and its output and exit status
        come back.
        """
        for proxyCommand in (
            f"{self.paths['ncat']} --proxy {self.proxy} --proxy-type http %h %p",
            f"{self.paths['nc.openbsd']} -X connect -x {self.proxy} %h %p",
        ):
            with self.subTest(proxyCommand):
                ended = self.ssh(proxyCommand, "echo there; exit 7")
                self.assertEqual((ended.returncode, ended.stdout), (7, b"there\n"), ended)
                self.daemon.waitFor(rf"HTTP .* CONNECT localhost:{self.port} \[.*: succeeded;")

    def test_movesData(self) -> None:
        """
        Some megabytes go there and back at the same time, unchanged.
        """
        ncat = f"{self.paths['ncat']} --proxy {self.proxy} --proxy-type http %h %p"
        self.assertTrue(self.assertReached(self.ssh(ncat, "cat", input=BULK)) == BULK)

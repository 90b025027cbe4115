"""
OpenSSH through the daemon: a real protocol in which the server speaks first.
"""

import os
import pwd
import subprocess

from tests.interop.peers import TIMEOUT, runPeer
from tests.interop.proxied import PASSWORD, USER, PasswordTestCase, ProxyTestCase
from tests.interop.sshserver import SSHServer, privilegeSeparation


class _SSHMixin(ProxyTestCase):
    programs = ("ssh", "ncat", "nc.openbsd")

    def setUp(self) -> None:
        """
        Start the server.
        """
        self.enterContext(privilegeSeparation())
        folder = self.folder / self.id()
        folder.mkdir()
        self.server = SSHServer(folder)
        self.port = self.target(self.server).port

    def ssh(
        self,
        proxyCommand: str,
        *command: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run a command on the other side.
        """
        user = pwd.getpwuid(os.getuid()).pw_name
        ended = runPeer(
            self.paths["ssh"],
            *self.server.options(),
            *("-o", f"ProxyCommand={proxyCommand}"),
            *("-p", str(self.port), f"{user}@localhost", *command),
            input=input,
            timeout=2 * TIMEOUT,
        )
        self.server.requireUser()
        return ended

    def assertReached(self, ended: subprocess.CompletedProcess[bytes]) -> bytes:
        """
        Check that the command was run, and show the server's log if not.
        """
        self.assertEqual(ended.returncode, 0, f"{ended}\n{self.server.log()}")
        return ended.stdout


class SSHTests(_SSHMixin):
    """
    Without authentication at the daemon.
    """

    def test_runsACommand(self) -> None:
        """
        Over each of SOCKS4, SOCKS4a and SOCKS5 a command is run on the other
        side, and its output and exit status come back.
        """
        ncat = f"{self.paths['ncat']} --proxy {self.proxy} --proxy-dns remote --proxy-type"
        nc = f"{self.paths['nc.openbsd']} -x {self.proxy} -X"
        for proxyCommand, protocol, host in (
            (f"{nc} 4 127.0.0.1 %p", "SOCKS4", "127.0.0.1"),
            (f"{ncat} socks4 %h %p", "SOCKS4a", "localhost"),
            (f"{ncat} socks5 %h %p", "SOCKS5", "localhost"),
            (f"{nc} 5 %h %p", "SOCKS5", "localhost"),
        ):
            with self.subTest(proxyCommand):
                ended = self.ssh(proxyCommand, "echo there; exit 7")
                self.assertEqual((ended.returncode, ended.stdout), (7, b"there\n"), ended)
                self.assertSeen(protocol, f"{host}:{self.port}")

    def test_movesData(self) -> None:
        """
        Some megabytes go there and back at the same time, unchanged.
        """
        data = os.urandom(8 << 20)
        ncat = f"{self.paths['ncat']} --proxy {self.proxy} --proxy-type socks5 %h %p"
        self.assertTrue(self.assertReached(self.ssh(ncat, "cat", input=data)) == data)


class SSHPasswordTests(PasswordTestCase, _SSHMixin):
    """
    With authentication at the daemon.
    """

    def test_runsACommand(self) -> None:
        """
        ssh gets through with the password in ncat's options.
        """
        login = f"--proxy-type socks5 --proxy-auth {USER}:{PASSWORD}"
        ncat = f"{self.paths['ncat']} --proxy {self.proxy} {login} %h %p"
        self.assertEqual(self.assertReached(self.ssh(ncat, "echo there")), b"there\n")

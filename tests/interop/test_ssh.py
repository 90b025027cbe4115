"""
OpenSSH through the daemon: a real protocol in which the server speaks first.
"""

import os
import pwd
import socket
import subprocess
import unittest
from pathlib import Path

from tests.interop.peers import TIMEOUT, missing, requireProgram, runPeer
from tests.interop.proxied import PASSWORD, USER, PasswordTestCase, ProxyTestCase

HOST = "target.example"
"""
The name under which the client knows the server's key.
"""

_PRIVILEGE_SEPARATION = Path("/run/sshd")


class _SSHServer:
    """
    sshd for one connection at a time, with keys of its own; to be the server
    of a L{tests.targets.Target}.
    """

    def __init__(self, sshd: str, keygen: str, folder: Path) -> None:
        """
        @param sshd: The path of sshd.
        @param keygen: The path of ssh-keygen.
        @param folder: For keys and configuration.
        """
        self._sshd = sshd
        self._log = folder / "log"
        self._configuration = folder / "sshd_config"
        self.userKey = folder / "user"
        self.knownHosts = folder / "known_hosts"
        for name in ("host", "user"):
            made = runPeer(keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
            if made.returncode != 0:
                raise AssertionError(made)
        self.knownHosts.write_text(f"{HOST} {(folder / 'host.pub').read_text()}")
        self._configuration.write_text(
            f"HostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/user.pub\n"
            "AuthenticationMethods publickey\n"
            "PermitRootLogin prohibit-password\n"
            "PidFile none\n"
            "PrintMotd no\n"
            "StrictModes no\n"
            "UseDNS no\n"
            "UsePAM no\n"
        )

    def __call__(self, connection: socket.socket) -> None:
        """
        Serve one connection, which is the standard input and output of a
        process, so that no port has to be chosen.
        """
        with self._log.open("ab") as log:
            subprocess.run(
                [self._sshd, "-i", "-e", "-f", str(self._configuration)],
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                stderr=log,
                timeout=2 * TIMEOUT,
            )
        connection.shutdown(socket.SHUT_RDWR)

    def log(self) -> str:
        """
        Give what the server has logged.
        """
        return self._log.read_text() if self._log.exists() else ""


class _SSHMixin(ProxyTestCase):
    programs = ("ssh", "ncat", "nc.openbsd")

    def setUp(self) -> None:
        """
        Start the server.
        """
        sshd, keygen = requireProgram("sshd"), requireProgram("ssh-keygen")
        _providePrivilegeSeparation(self)
        folder = self.folder / self.id()
        folder.mkdir()
        self.server = _SSHServer(sshd, keygen, folder)
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
            *(self.paths["ssh"], "-F", "none", "-T", "-i", str(self.server.userKey)),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *("-o", f"UserKnownHostsFile={self.server.knownHosts}"),
            *("-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"HostKeyAlias={HOST}", "-o", f"ProxyCommand={proxyCommand}"),
            *("-p", str(self.port), f"{user}@localhost", *command),
            input=input,
            timeout=2 * TIMEOUT,
        )
        if "account is locked" in self.server.log():
            raise unittest.SkipTest(f"sshd lets nobody in as {user}, whose account is locked")
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


def _providePrivilegeSeparation(test: ProxyTestCase) -> None:
    """
    Make the folder that sshd wants to see when it is run by root, and which
    usually its start script makes, for the duration of a test.
    """
    if os.geteuid() != 0:
        return
    try:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    except FileExistsError:
        return
    except OSError as e:
        missing(f"sshd's folder {_PRIVILEGE_SEPARATION} cannot be made: {e.strerror}")
    test.addCleanup(_PRIVILEGE_SEPARATION.rmdir)

"""
A real sshd for tests.
"""

import os
import socket
import subprocess
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.peers import TIMEOUT, missing, requireProgram, runPeer

HOST = "target.example"
"""
The name under which the client knows the server's key.
"""

_PRIVILEGE_SEPARATION = Path("/run/sshd")


class SSHServer:
    """
    sshd for one connection at a time, with keys of its own; to be the server
    of a L{tests.targets.Target}.
    """

    def __init__(self, folder: Path) -> None:
        """
        @param folder: For keys and configuration.
        """
        self._sshd, keygen = requireProgram("sshd"), requireProgram("ssh-keygen")
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

    def options(self) -> list[str]:
        """
        Give the options by which ssh logs in and trusts this server.
        """
        return [
            *("-F", "none", "-T", "-i", str(self.userKey)),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *("-o", f"UserKnownHostsFile={self.knownHosts}"),
            *("-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"HostKeyAlias={HOST}"),
        ]

    def requireUser(self) -> None:
        """
        Make sure that the server would let this user in.
        """
        if "account is locked" in self.log():
            raise unittest.SkipTest("sshd lets nobody in whose account is locked")


@contextmanager
def privilegeSeparation() -> Iterator[None]:
    """
    Make the folder that sshd wants to see when it is run by root, and which
    usually its start script makes, for the duration of a test.
    """
    if os.geteuid() != 0:
        yield
        return
    try:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    except FileExistsError:
        yield
        return
    except OSError as e:
        missing(f"sshd's folder {_PRIVILEGE_SEPARATION} cannot be made: {e.strerror}")
    try:
        yield
    finally:
        _PRIVILEGE_SEPARATION.rmdir()

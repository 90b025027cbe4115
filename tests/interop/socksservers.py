"""
SOCKS servers of other people, on loopback, for as long as a test needs them.
"""

import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.peers import TIMEOUT, peerEnvironment, requireProgram
from tests.interop.sshserver import SSHServer, privilegeSeparation
from tests.targets import Target

DANTE = """\
logoutput: {folder}/danted.log
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: {method}
user.privileged: {user}
user.unprivileged: {user}
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{
    from: 0.0.0.0/0 to: 0.0.0.0/0
    command: bind connect udpassociate bindreply udpreply
}}
"""


def freePort() -> int:
    """
    Find a port of this host that nobody uses.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    """
    Run a server from when it accepts connections until it is not needed.
    """
    with subprocess.Popen(
        command,
        env=peerEnvironment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            _awaitPort(process, port)
            yield
        finally:
            # It may have children of its own.
            os.killpg(process.pid, 9)


def _awaitPort(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"{process.args!r} ended with status {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not listen")


@contextmanager
def dante(method: str = "none") -> Iterator[int]:
    """
    Run Dante.

    @param method: Its C{socksmethod}.
    @return: Its port.
    """
    program = requireProgram("danted")
    port = freePort()
    with tempfile.TemporaryDirectory() as folder:
        # It gives up root's rights for looking its users up.
        os.chmod(folder, 0o755)
        path = Path(folder) / "danted.conf"
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
        path.write_text(DANTE.format(folder=folder, port=port, method=method, user=user))
        with running((program, "-f", str(path)), port):
            yield port


@contextmanager
def microsocks(*arguments: str) -> Iterator[int]:
    """
    Run microsocks.

    @return: Its port.
    """
    port = freePort()
    program = requireProgram("microsocks")
    with running((program, "-i", "127.0.0.1", "-p", str(port), *arguments), port):
        yield port


@contextmanager
def sshServer() -> Iterator[int]:
    """
    Run C{ssh -D} against an sshd.

    @return: Its port.
    """
    port = freePort()
    ssh = requireProgram("ssh")
    user = pwd.getpwuid(os.getuid()).pw_name
    with tempfile.TemporaryDirectory() as folder, privilegeSeparation():
        server = SSHServer(Path(folder))
        with Target(server) as target:
            command = (
                *(ssh, *server.options(), "-N", "-D", f"127.0.0.1:{port}"),
                *("-p", str(target.port), f"{user}@127.0.0.1"),
            )
            try:
                with running(command, port):
                    yield port
            finally:
                server.requireUser()

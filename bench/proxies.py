"""
The proxies that are measured.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = "proxy.conf"

TWISTD = ["-c", "from twisted.scripts.twistd import run; run()"]
"""
What Python does as twistd.
"""

_DANTE = """\
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
socksmethod: none
clientmethod: none
client pass {{
    from: 0.0.0.0/0 to: 0.0.0.0/0
}}
socks pass {{
    from: 0.0.0.0/0 to: 0.0.0.0/0
}}
"""


@dataclass(frozen=True)
class Proxy:
    """
    @ivar command: The command that runs it.
    @ivar configuration: What it wants to find in L{CONFIGURATION}.
    @ivar datagrams: Whether it serves UDP ASSOCIATE.
    """

    command: list[str]
    configuration: str = ""
    datagrams: bool = True


def proxies(port: int) -> dict[str, Proxy]:
    """
    Give each proxy that is there, to be run on a port.
    """
    listen = f"tcp:{port}:interface=127.0.0.1"
    ours = [sys.executable, *TWISTD, "-n", "--pidfile=", "socksproxy", "--listen", listen]
    found = {"socksproxy": Proxy(ours)}
    microsocks = installed("microsocks")
    if microsocks is not None:
        command = [microsocks, "-i", "127.0.0.1", "-p", str(port)]
        found["microsocks"] = Proxy(command, datagrams=False)
    danted = installed("danted")
    if danted is not None:
        found["danted"] = Proxy([danted, "-f", CONFIGURATION], _DANTE.format(port=port))
    return found


def installed(name: str) -> str | None:
    """
    Find a program, if this machine has it.
    """
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


def freePort() -> int:
    """
    Find a port of this host that nobody uses.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(proxy: Proxy, port: int) -> Iterator[None]:
    """
    Run a proxy until it is not needed any more.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CONFIGURATION).write_text(proxy.configuration)
        with subprocess.Popen(
            proxy.command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                _waitFor(process, port)
                yield
            finally:
                # With all the processes that it has started.
                os.killpg(process.pid, signal.SIGKILL)


def _waitFor(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen")

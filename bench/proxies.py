"""
The proxies that are measured.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def commands(port: int) -> dict[str, list[str]]:
    """
    Give the command that runs each proxy that is there on a port.
    """
    listen = f"tcp:{port}:interface=127.0.0.1"
    twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    found = {"socksproxy": [*twistd, "-n", "--pidfile=", "socksproxy", "--listen", listen]}
    microsocks = shutil.which("microsocks")
    if microsocks is not None:
        found["microsocks"] = [microsocks, "-i", "127.0.0.1", "-p", str(port)]
    return found


def freePort() -> int:
    """
    Find a port of this host that nobody uses.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """
    Run a proxy until it is not needed any more.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            _waitFor(process, port)
            yield
        finally:
            process.kill()


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

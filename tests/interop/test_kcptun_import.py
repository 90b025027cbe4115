"""
Daemons that take over from kcptun, and other programs in tunnels.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.daemon import TWISTD, environment
from tests.interop.client import TIMEOUT
from tests.interop.kcptuns import (
    KEY,
    LOOPBACK,
    Kcptun,
    Settings,
    exchange,
    freeDatagramPort,
    parameters,
    takesDatagrams,
)
from tests.interop.peers import requireProgram, runPeer
from tests.interop.processes import isOpen, until
from tests.interop.test_forward import Forwarding
from tests.interop.test_kcptun import KcptunTestCase

TUNED: Settings = {
    "crypt": "aes-192",
    "mode": "manual",
    "nodelay": 1,
    "interval": 20,
    "resend": 2,
    "nc": 1,
    "mtu": 1200,
    "sndwnd": 600,
    "rcvwnd": 700,
    "datashard": 5,
    "parityshard": 2,
    "smuxver": 2,
    "smuxbuf": 8388608,
    "streambuf": 4194304,
    "nocomp": True,
    "acknodelay": True,
    "keepalive": 5,
    "quiet": True,
}


@contextmanager
def running(command: list[str], isUp: Callable[[], bool]) -> Iterator[None]:
    """
    Run a program of Twisted's for a while.
    """
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    try:
        until(isUp, "a program that listens")
        yield
    finally:
        # Without waiting for what is under way.
        process.send_signal(signal.SIGINT)
        process.wait(TIMEOUT)


class ImportTests(KcptunTestCase):
    """
    The command that C{python -m socksproxy import} prints.
    """

    def printed(self, kcptun: Kcptun) -> list[str]:
        """
        Give the command in place of a program, which is not running.
        """
        key = self.folder / f"{kcptun.port}.key"
        ran = subprocess.run(
            [sys.executable, "-m", "socksproxy", "import", "--key-file", key, kcptun.configuration],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertNotIn(KEY, ran.stdout + ran.stderr)
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        words = shlex.split(ran.stdout)
        self.assertEqual(words[0], "twistd")
        return [*TWISTD, "--pidfile=", *words[1:]]

    def test_server(self) -> None:
        """
        It does what kcptun's server does with the same file.
        """
        for settings in ({"smuxver": 2}, TUNED):
            server = Kcptun(self.folder, "server", self.target.port, settings)
            client = Kcptun(self.folder, "client", server.port, settings)
            with running(self.printed(server), lambda s=server: takesDatagrams(s.port)), client:  # type: ignore[misc]
                exchange(client.port, 100_000)

    def test_client(self) -> None:
        """
        It does what kcptun's client does with the same file.
        """
        for settings in ({"smuxver": 2}, TUNED):
            server = Kcptun(self.folder, "server", self.target.port, settings)
            client = Kcptun(self.folder, "client", server.port, {**settings, "conn": 2})
            with server, running(self.printed(client), lambda c=client: isOpen(c.port)):  # type: ignore[misc]
                exchange(client.port, 100_000)


class ProgramTests(KcptunTestCase):
    """
    Programs that know nothing of KCP.
    """

    def test_web(self) -> None:
        """
        Twisted's web server serves over KCP, and curl fetches a page.
        """
        curl = requireProgram("curl")
        site = self.folder / "site"
        site.mkdir()
        (site / "page.html").write_text("<title>There</title>" * 5000)
        port = freeDatagramPort()
        given = parameters({"keyFile": self.key, "crypt": "aes-128-gcm"})
        listen = f"kcp:{port}:interface=127.0.0.1:{given}"
        web = [sys.executable, "-m", "twisted", "web", f"--listen={listen}", f"--path={site}"]
        with (
            running(web, lambda: takesDatagrams(port)),
            Forwarding(f"{LOOPBACK},kcp:127.0.0.1:{port}:{given}") as daemon,
        ):
            for _ in range(3):
                ran = runPeer(curl, "-sS", f"http://127.0.0.1:{daemon.ports[0]}/page.html")
                self.assertEqual((ran.returncode, len(ran.stdout)), (0, 100_000), ran.stderr)

"""
The documents' program that fetches a page through proxies, as a user runs it,
with two daemons on the way and a server of HTTPS that is none of Twisted's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from tests.certificates import Authority, Issued
from tests.daemon import ROOT, Daemon, environment
from tests.interop.peers import TIMEOUT, closedPort
from tests.targets import Target, web
from tests.tlspeer import serverContext

PROGRAM = ROOT / "docs" / "examples" / "treq_through.py"
PAGE = "a page\n"


class TreqTests(unittest.TestCase):
    """
    C{treq_through.py}.

    @cvar daemons: The proxies.
    @cvar folder: A folder for certificates.
    @cvar authority: Who is trusted.
    """

    daemons: ClassVar[list[Daemon]]
    folder: ClassVar[Path]
    authority: ClassVar[Authority]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start the daemons.
        """
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.authority = Authority(cls.folder)
        cls.daemons = [cls.enterClassContext(Daemon()) for _ in range(2)]

    def serve(self, issued: Issued) -> Target:
        """
        Start a server.
        """
        context = serverContext(issued)

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as tls:
                web(PAGE.encode())(tls)

        return self.enterContext(Target(serve))

    def fetch(
        self, target: Target | None, url: str = "", proxies: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """
        Run the program to its end.
        """
        chain = ",".join(f"socks5h://127.0.0.1:{daemon.port}" for daemon in self.daemons)
        address = url or f"https://localhost:{target.port if target else 0}/"
        return subprocess.run(
            [sys.executable, "-W", "error", str(PROGRAM), proxies or chain, address],
            env={
                **environment(),
                "SSL_CERT_FILE": self.authority.path,
                "PYTHONIOENCODING": "utf-8",
            },
            capture_output=True,
            encoding="utf-8",
            timeout=2 * TIMEOUT,
        )

    def assertNot(self, ended: subprocess.CompletedProcess[str], reason: str) -> None:
        """
        Fail unless no page came, for a reason.
        """
        self.assertNotEqual(ended.returncode, 0)
        self.assertEqual(ended.stdout, "")
        self.assertIn(reason, ended.stderr)

    def test_page(self) -> None:
        """
        The page comes, and each proxy was asked for what comes after it.
        """
        target = self.serve(self.authority.issue("localhost"))
        ended = self.fetch(target)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertEqual(ended.stdout, f"{PAGE}\n")
        for daemon, asked in zip(
            self.daemons,
            (f"127.0.0.1:{self.daemons[1].port}", f"localhost:{target.port}"),
            strict=True,
        ):
            daemon.waitFor(rf"SOCKS5 \S+ - CONNECT {asked} .* succeeded")

    def test_wrongName(self) -> None:
        """
        From a server whose certificate is for another name, or for none, no
        page comes.
        """
        for issued in (
            self.authority.issue("other.test"),
            self.authority.issue(name="nobody"),
        ):
            target = self.serve(issued)
            ended = self.fetch(target)
            self.assertNotEqual(ended.returncode, 0)
            self.assertEqual(ended.stdout, "")

    def test_unknownAuthority(self) -> None:
        """
        Nor does it from one whose authority nobody trusts.
        """
        stranger = Authority(self.folder, "stranger")
        target = self.serve(stranger.issue("localhost", name="strange"))
        self.assertNot(self.fetch(target), "its authority is unknown")

    def test_closed(self) -> None:
        """
        A server that is not there and a proxy that is not are told apart.
        """
        with closedPort() as port:
            url = f"https://localhost:{port}/"
            self.assertNot(self.fetch(None, url), "TargetConnectionRefused")
            ended = self.fetch(None, url, f"socks5h://alice:s3cret@127.0.0.1:{port}")
            self.assertNot(ended, "ProxyUnreachable")
            self.assertNotIn("s3cret", ended.stderr)

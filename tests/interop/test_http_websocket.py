"""
WebSocket through the daemon as an HTTP proxy.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.interop.peers import missing, peerEnvironment, requireProgram, runPeer
from tests.interop.proxied import ProxyTestCase

PROGRAM = str(Path(__file__).with_name("websocketpeer.py"))


class WebSocketTests(ProxyTestCase):
    """
    A client and a server, both by C{websockets}.
    """

    def setUp(self) -> None:
        """
        Start the server.
        """
        # Whatever is first on the path need not be Debian's.
        self.python = requireProgram("/usr/bin/python3")
        if runPeer(self.python, "-c", "import websockets.server").returncode != 0:
            missing("the package python3-websockets is not installed")
        self.server = subprocess.Popen(
            (self.python, PROGRAM, "serve"),
            env=peerEnvironment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.server.communicate)
        assert self.server.stdout is not None
        self.port = int(self.server.stdout.readline())

    def talk(self, way: str) -> None:
        """
        Run the client.

        @param way: How it goes through the proxy.
        """
        ended = runPeer(self.python, PROGRAM, "talk", way, str(self.daemon.port), str(self.port))
        self.assertEqual(self.assertSucceeded(ended), b"1000 enough\n")

    def test_forwarded(self) -> None:
        """
        A request for an upgrade is forwarded, and what follows goes back and
        forth as it is.
        """
        self.talk("forward")
        self.daemon.waitFor(rf"HTTP .* GET localhost:{self.port} \[.*: succeeded; \d{{7}} sent")

    def test_tunnelled(self) -> None:
        """
        So it does in a tunnel, from the beginning.
        """
        self.talk("tunnel")
        self.daemon.waitFor(rf"HTTP .* CONNECT localhost:{self.port} \[.*: succeeded;")

"""
Programs that know nothing but an HTTP proxy, and a daemon that takes them
somewhere else.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import unittest
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.daemon import Daemon
from tests.interop.httporigins import Recorder
from tests.interop.peers import closedPort, requireProgram, runPeer
from tests.interop.proxied import PASSWORD, USER, passwordOptions
from tests.interop.servers import GeneratedPage
from tests.interop.socksservers import dante, microsocks
from tests.interop.test_http_connect import Tinyproxy
from tests.interop.tunnels import LOOPBACK, Kind, kinds
from tests.targets import Target

MIB = 1 << 20


class HTTPChainTests(unittest.TestCase):
    """
    curl, the daemon, another proxy, and a server.
    """

    def setUp(self) -> None:
        """
        Start the server.
        """
        self.curl = requireProgram("curl")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.server = Recorder()
        self.port = self.enterContext(Target(self.server)).port

    def fetch(
        self, daemon: Daemon, *arguments: str, timeout: float = 20
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run curl.
        """
        return runPeer(
            *(self.curl, "-qgsS", "--max-time", str(timeout)),
            *("--proxy", f"http://{LOOPBACK}:{daemon.port}", *arguments),
            timeout=timeout + 5,
        )

    def check(self, daemon: Daemon, *arguments: str) -> None:
        """
        See that requests are forwarded, several on a connection, and that
        there are tunnels; bodies come there and back whole.
        """
        path = self.folder / "file"
        path.write_bytes(os.urandom(3 * MIB))
        digest = hashlib.sha256(path.read_bytes()).hexdigest().encode()
        for options in ((), ("--proxytunnel",)):
            urls = [f"http://localhost:{self.port}/{name}" for name in "abc"]
            ended = self.fetch(daemon, *arguments, *options, *urls)
            self.assertEqual((ended.returncode, ended.stdout), (0, b"/a/b/c"), ended)
            ended = self.fetch(daemon, *arguments, *options, "-T", str(path), urls[0])
            self.assertEqual((ended.returncode, ended.stdout), (0, digest), ended)
            page = GeneratedPage(8)
            with Target(page) as target:
                url = f"http://localhost:{target.port}/"
                ended = self.fetch(daemon, *arguments, *options, url)
            self.assertEqual(hashlib.sha256(ended.stdout).digest(), page.digest.digest())
        daemon.waitFor(rf"HTTP .* GET localhost:{self.port} \[.*: succeeded;")
        daemon.waitFor(rf"HTTP .* CONNECT localhost:{self.port} \[.*: succeeded;")

    def through(
        self, proxy: AbstractContextManager[int], scheme: str, options: Sequence[str] = ()
    ) -> Daemon:
        """
        Start another proxy, and a daemon that leaves through it.
        """
        port = self.enterContext(proxy)
        url = f"{scheme}://{LOOPBACK}:{port}"
        return self.enterContext(Daemon(f"--via={url}", *options))

    def test_microsocks(self) -> None:
        """
        The way leads through microsocks.
        """
        self.check(self.through(microsocks(), "socks5h"))

    def test_dante(self) -> None:
        """
        The way leads through Dante.
        """
        self.check(self.through(dante(), "socks5h"))

    def test_tinyproxy(self) -> None:
        """
        The way leads through tinyproxy, another HTTP proxy, which is asked for
        tunnels alone, and puts nothing into requests.
        """
        proxy = self.enterContext(Tinyproxy(self.folder))
        daemon = self.enterContext(Daemon(f"--via=http://{LOOPBACK}:{proxy.port}"))
        self.check(daemon)
        self.assertNotIn(b"tinyproxy", self.server.seen)

    def test_ourselves(self) -> None:
        """
        The way leads through the HTTP proxy of another daemon, each with a
        password of its own; neither gets to the server or into a log.
        """
        options = passwordOptions(self.folder)
        with Daemon(*options) as far:
            secret = self.folder / "secret"
            secret.write_text(PASSWORD + "\n")
            url = f"http://{USER}@{LOOPBACK}:{far.port}"
            near = Daemon(f"--via={url}", f"--via-password={secret}", "--auth=memory:bob:barley")
            with near:
                self.check(near, "--proxy-user", "bob:barley")
                ended = self.fetch(near, f"http://localhost:{self.port}/")
                self.assertIn(b"407", ended.stdout + ended.stderr)
            far.waitFor(rf"HTTP .* {USER} CONNECT localhost:{self.port} \[")
        for word in (b"proxy-authorization", b"basic", USER.encode(), b"barley"):
            self.assertNotIn(word, self.server.seen)
        log = "\n".join(near.lines + far.lines)
        self.assertNotIn("barley", log)
        self.assertNotIn(PASSWORD, log)

    def tunnel(self, kind: Kind) -> Daemon:
        """
        Start a daemon at either end of a tunnel.

        @return: The near one.
        """
        far = self.enterContext(Daemon(f"--listen={kind.listener()}"))
        port = int(far.waitFor(rf"{kind.name}:.* is open .*, at [\d.]+:(\d+)")[1])
        return self.enterContext(Daemon(f"--via={kind.proxy(port)}"))

    def test_KCP(self) -> None:
        """
        The way leads through a tunnel of KCP.
        """
        self.check(self.tunnel(kinds(self.folder)[0]))

    def test_TLS(self) -> None:
        """
        The way leads through a tunnel of TLS.
        """
        self.check(self.tunnel(kinds(self.folder)[1]))

    def test_whoFailed(self) -> None:
        """
        Whether a server or another proxy is not there is told by the status
        and the page.
        """
        with closedPort() as closed:
            behind = self.through(microsocks(), "socks5h")
            nowhere = self.enterContext(Daemon(f"--via=socks5h://{LOOPBACK}:{closed}"))
            pages = []
            for daemon in (behind, nowhere):
                ended = self.fetch(daemon, "-w", "%{http_code}", f"http://localhost:{closed}/")
                self.assertTrue(ended.stdout.endswith(b"502"), ended)
                pages.append(ended.stdout)
        self.assertNotEqual(*pages)

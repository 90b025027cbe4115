"""
A browser: Chromium without a screen, on a host that has no other way out.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from tests.interop.namespaces import NamespaceDaemon, Network, requireNamespaces
from tests.interop.peers import peerEnvironment, requireProgram, runPeer

SITE = "192.0.2.80"
NAME = "pages.example"
RESOURCES = 50
PNG = b"\x89PNG\r\n\x1a\n"
SQUARE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">'
    b'<rect width="20" height="20" fill="teal"/></svg>'
)
PAGE = (
    "<!doctype html><title>Squares</title><h1>Squares</h1>"
    + "".join(f'<img src="/square{number}.svg" alt="">' for number in range(RESOURCES))
    + "<p id=sum></p><script>addEventListener('load', () => {"
    "document.getElementById('sum').textContent = 'loaded ' +"
    "[...document.images].filter(image => image.naturalWidth).length;})</script>"
).encode()

SECONDS = 60


class Site(ThreadingHTTPServer):
    """
    A site out in the world.

    @ivar asked: The paths that were asked for.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), Pages, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.asked: list[str] = []


class Pages(BaseHTTPRequestHandler):
    """
    Serves a page and what belongs to it.
    """

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        """
        Answer with the page, or with a square.
        """
        self.server.asked.append(self.path)
        isSquare = self.path.startswith("/square")
        body = SQUARE if isSquare else PAGE
        self.send_response(200)
        self.send_header("Content-Type", "image/svg+xml" if isSquare else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """
        Say nothing.
        """


def listenAt(address: str, port: int) -> socket.socket:
    """
    Listen for connections.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    return listener


class ChromiumTests(unittest.TestCase):
    """
    One port for all of a browser's ways to speak to a proxy.

    @cvar network: Where the browser and the proxy are, and the site.
    """

    network: ClassVar[Network]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Build the network.
        """
        requireNamespaces()
        cls.chromium = requireProgram("chromium")
        cls.network = cls.enterClassContext(Network([f"{SITE} {NAME}"], [SITE]))
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def setUp(self) -> None:
        """
        Start the site and the proxy.
        """
        self.site = Site(self.network.world.call(listenAt, SITE, 80))
        thread = threading.Thread(target=self.site.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.site.server_close)
        self.addCleanup(self.site.shutdown)
        listen = "tcp:1080:interface=127.0.0.1"
        self.daemon = self.enterContext(NamespaceDaemon(self.network.host, listen))

    def browse(self, url: str, *options: str) -> str:
        """
        Let the browser load a page.

        @return: What has become of the page.
        """
        profile = self.enterContext(tempfile.TemporaryDirectory(dir=self.folder))
        ended = runPeer(
            *self.network.host.command(
                *(self.chromium, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--no-first-run", f"--user-data-dir={profile}", "--window-size=800,600"),
                *options,
                url,
            ),
            environment=peerEnvironment(HOME=profile),
            timeout=SECONDS,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout.decode()

    def test_page(self) -> None:
        """
        A page of fifty pictures is loaded with the proxy's own script for
        browsers, as an HTTP proxy and as one of SOCKS5, whose part it is to
        look the name up.
        """
        ways = {
            "--proxy-pac-url=http://127.0.0.1:1080/proxy.pac": "HTTP",
            "--proxy-server=http://127.0.0.1:1080": "HTTP",
            "--proxy-server=socks5://127.0.0.1:1080": "SOCKS5",
        }
        for way, protocol in ways.items():
            with self.subTest(way):
                self.site.asked.clear()
                shown = self.browse(f"http://{NAME}/", way, "--dump-dom")
                self.assertIn(f"loaded {RESOURCES}<", shown)
                squares = {path for path in self.site.asked if path.startswith("/square")}
                self.assertEqual(len(squares), RESOURCES)
                self.daemon.waitFor(rf"{protocol} 127\.0\.0\.1:\d+ - \w+ {NAME}:80 \[{SITE}:80\]")

    def test_errorPage(self) -> None:
        """
        Where a site refuses the connection, what the browser shows says so and
        is the proxy's.
        """
        shown = self.browse(
            f"http://{NAME}:81/", "--proxy-server=http://127.0.0.1:1080", "--dump-dom"
        )
        self.assertIn("refused the connection", shown)
        self.assertIn("socksproxy", shown)

    def test_proof(self) -> None:
        """
        The page that proves that it works is shown, and a picture can be taken
        of it.
        """
        picture = self.folder / "proof.png"
        way = "--proxy-server=http://127.0.0.1:1080"
        self.browse("http://socksproxy.test/", way, f"--screenshot={picture}")
        self.assertTrue(picture.read_bytes().startswith(PNG))
        self.assertIn("The proxy works", self.browse("http://socksproxy.test/", way, "--dump-dom"))

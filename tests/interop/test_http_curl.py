"""
curl through the daemon as an HTTP proxy.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar, Self

from tests.interop.peers import closedPort, requireIPv6, runPeer
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)
from tests.interop.servers import GeneratedPage, Upload
from tests.interop.tlslistener import Served, serving
from tests.targets import web

PAGE = b"<title>A page</title>"

MIB = 1 << 20

TOO_LARGE = 413


class _Answers(BaseHTTPRequestHandler):
    """
    Answers requests, several on a connection.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """
        Give back what was asked for.
        """
        self.answer(self.path.encode())

    def do_PUT(self) -> None:
        """
        Take a body, and give back its digest.
        """
        digest = hashlib.sha256()
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                digest.update(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"])
            while left:
                data = self.rfile.read(min(left, 65536))
                digest.update(data)
                left -= len(data)
        self.answer(digest.hexdigest().encode())

    def answer(self, body: bytes) -> None:
        """
        Answer in chunks, so that nobody knows the length before.
        """
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    do_HEAD = do_GET

    def handle_expect_100(self) -> bool:
        """
        Decide about a body before it comes.
        """
        if self.path == "/no":
            self.close_connection = True
            self.send_response(TOO_LARGE)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            return False
        return super().handle_expect_100()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """
        Say nothing.
        """


class _Server(ThreadingHTTPServer):
    """
    A web server in a thread, as a context manager.

    @ivar connections: How many there have been.
    """

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, 0), _Answers)
        self.connections = 0

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, *arguments: object) -> None:
        """
        Count.
        """
        self.connections += 1
        super().process_request(*arguments)  # type: ignore[arg-type]


class _CurlMixin(ProxyTestCase):
    programs = ("curl",)

    def curl(
        self, *arguments: str, proxy: str | None = None, timeout: float = 20
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run curl without its configuration file.
        """
        return runPeer(
            self.paths["curl"],
            *("-qgsS", "--max-time", str(timeout), "--proxy", proxy or f"http://{self.proxy}"),
            *arguments,
            timeout=timeout + 5,
        )

    def fetched(self, *arguments: str, proxy: str | None = None) -> bytes:
        """
        Give what curl got.
        """
        return self.assertSucceeded(self.curl(*arguments, proxy=proxy))

    def statusOf(self, *arguments: str) -> bytes:
        """
        Give the statuses that curl got, from the proxy or anybody.
        """
        ended = self.curl("-o", os.devnull, "-w", "%{http_code} %{http_connect}\n", *arguments)
        return ended.stdout

    def server(self, host: str = "127.0.0.1") -> _Server:
        """
        Start a web server for the duration of the test.
        """
        return self.enterContext(_Server(host))


class CurlTests(_CurlMixin):
    """
    Without authentication.
    """

    def test_fetches(self) -> None:
        """
        A page is fetched by a forwarded request and through a tunnel, by an
        address and by a name, in HTTP/1.1 and in HTTP/1.0.
        """
        for options, method in (
            ((), "GET"),
            (("--http1.0",), "GET"),
            (("--proxytunnel",), "CONNECT"),
            (("--proxytunnel", "--proxy1.0", self.proxy), "CONNECT"),
        ):
            for host in ("127.0.0.1", "localhost"):
                with self.subTest((options, host)):
                    port = self.server().server_port
                    self.assertEqual(self.fetched(*options, f"http://{host}:{port}/a"), b"/a")
                    self.daemon.waitFor(rf"HTTP .* - {method} {host}:{port} \[.*: succeeded;")

    def test_IPv6(self) -> None:
        """
        So it is by an address of IPv6.
        """
        requireIPv6()
        port = self.server("::1").server_port
        for options in ((), ("--proxytunnel",)):
            self.assertEqual(self.fetched(*options, f"http://[::1]:{port}/a"), b"/a")

    def test_oldServer(self) -> None:
        """
        A server of HTTP/1.0 serves both kinds of clients.
        """
        for options in ((), ("--http1.0",)):
            port = self.target(web(PAGE)).port
            self.assertEqual(self.fetched(*options, f"http://127.0.0.1:{port}/"), PAGE)

    def test_manyOnOneConnection(self) -> None:
        """
        Pages of one server are fetched over one connection to the proxy, and
        one from there.
        """
        server = self.server()
        urls = [f"http://127.0.0.1:{server.server_port}/page" for _ in range(20)]
        said = self.fetched("-w", " %{num_connects} ", *urls)
        self.assertEqual(said, b"/page 1 " + b"/page 0 " * 19)
        self.assertEqual(server.connections, 1)

    def test_twoServers(self) -> None:
        """
        Pages of two servers are fetched over one connection to the proxy.
        """
        urls = [f"http://127.0.0.1:{self.server().server_port}/{name}" for name in "ab"]
        said = self.fetched("-w", " %{num_connects}\n", *urls)
        self.assertEqual(said, b"/a 1\n/b 0\n")

    def test_HEAD(self) -> None:
        """
        A head comes without a body, and curl waits for none.
        """
        said = self.fetched("--head", f"http://127.0.0.1:{self.server().server_port}/")
        self.assertTrue(said.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(said.endswith(b"\r\n\r\n"))

    def test_uploads(self) -> None:
        """
        A file is sent with its length, in chunks, with and without waiting
        for the server's word, by a forwarded request and through a tunnel.
        """
        path = self.folder / "file"
        path.write_bytes(os.urandom(3 * MIB))
        digest = hashlib.sha256(path.read_bytes()).hexdigest().encode()
        url = f"http://127.0.0.1:{self.server().server_port}/"
        for options in (
            ("-H", "Expect: 100-continue"),
            ("-H", "Expect:"),
            ("-H", "Transfer-Encoding: chunked"),
            ("-H", "Transfer-Encoding: chunked", "-H", "Expect:"),
            ("--proxytunnel",),
        ):
            with self.subTest(options):
                self.assertEqual(self.fetched("-T", str(path), *options, url), digest)

    def test_bodyNotWanted(self) -> None:
        """
        A server that does not want a body says so before it comes.
        """
        path = self.folder / "unwanted"
        path.write_bytes(os.urandom(3 * MIB))
        url = f"http://127.0.0.1:{self.server().server_port}/no"
        ended = self.curl(
            *("-T", str(path), "-H", "Expect: 100-continue"),
            *("-w", "%{http_code} %{size_upload}", url),
        )
        self.assertEqual(ended.stdout, b"413 0")

    def test_fetches100MiB(self) -> None:
        """
        A large page arrives whole and unchanged, and little of it is in the
        daemon at any time.
        """
        for options in ((), ("--proxytunnel",)):
            page = GeneratedPage(100)
            path = self.folder / "page"
            url = f"http://127.0.0.1:{self.target(page).port}/"
            self.assertSucceeded(self.curl("-o", str(path), *options, url, timeout=60))
            self.assertEqual(_digestOf(path), page.digest.hexdigest())
        self.assertLess(self.mostKiB(), 128 * 1024)

    def test_sends100MiB(self) -> None:
        """
        So does a large file.
        """
        path = self.folder / "large"
        with path.open("wb") as file:
            for _ in range(100):
                file.write(os.urandom(MIB))
        for options in ((), ("--proxytunnel",)):
            upload = Upload()
            url = f"http://127.0.0.1:{self.target(upload).port}/"
            self.assertSucceeded(
                self.curl("-T", str(path), "-H", "Expect:", *options, url, timeout=60)
            )
            self.assertEqual(upload.digest.hexdigest(), _digestOf(path))
        self.assertLess(self.mostKiB(), 128 * 1024)

    def mostKiB(self) -> int:
        """
        Give the most memory that the daemon has had.
        """
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def test_nobodyThere(self) -> None:
        """
        What the server does not do is told with a status, and in a tunnel
        with that of the CONNECT.
        """
        with closedPort() as port:
            url = f"http://127.0.0.1:{port}/"
            self.assertEqual(self.statusOf(url), b"502 000\n")
            self.assertEqual(self.statusOf("--proxytunnel", url), b"000 502\n")
        self.assertEqual(self.statusOf("http://nowhere.onion/"), b"502 000\n")

    def test_truncated(self) -> None:
        """
        Half a page is not taken for a whole one, with or without a length.
        """
        for head in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ):

            def half(connection: object, head: bytes = head) -> None:
                connection.recv(65536)  # type: ignore[attr-defined]
                connection.sendall(head)  # type: ignore[attr-defined]
                connection.close()  # type: ignore[attr-defined]

            url = f"http://127.0.0.1:{self.target(half).port}/"
            self.assertNotEqual(self.curl(url).returncode, 0)

    def test_proof(self) -> None:
        """
        The proxy's own page shows that it works.
        """
        said = self.fetched("http://socksproxy.test/")
        self.assertIn(b"127.0.0.1", said)
        direct = runPeer(self.paths["curl"], "-qgsS", f"http://{self.proxy}/proxy.pac")
        self.assertIn(f"PROXY {self.proxy}".encode(), direct.stdout)


class CurlPasswordTests(PasswordTestCase, _CurlMixin):
    """
    With authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy, whether curl says it at once or
        waits to be asked, which it is on the same connection.
        """
        for options in ((), ("--proxy-anyauth",)):
            for tunnel in ((), ("--proxytunnel",)):
                with self.subTest((options, tunnel)):
                    port = self.server().server_port
                    said = self.fetched(
                        *(*options, *tunnel, "--proxy-user", f"{USER}:{PASSWORD}"),
                        *("-w", " %{num_connects}", f"http://127.0.0.1:{port}/a"),
                    )
                    self.assertEqual(said, b"/a 1")
                    method = "CONNECT" if tunnel else "GET"
                    self.daemon.waitFor(rf" {USER} {method} 127.0.0.1:{port} \[.*: succeeded;")

    def test_wrongPassword(self) -> None:
        """
        A wrong one, or none, does not, and nothing is dialled.
        """
        server = self.server()
        url = f"http://127.0.0.1:{server.server_port}/"
        wrong = ("--proxy-user", f"{USER}:{WRONG_PASSWORD}")
        self.assertEqual(self.statusOf(*wrong, url), b"407 000\n")
        self.assertEqual(self.statusOf(*wrong, "--proxytunnel", url), b"000 407\n")
        self.assertEqual(self.statusOf("--proxy-anyauth", *wrong, url), b"407 000\n")
        self.assertEqual(self.statusOf(url), b"407 000\n")
        self.assertEqual(server.connections, 0)
        self.daemon.waitFor(f"Authentication failure from 127.0.0.1 .* HTTP .* user {USER}")


class CurlTLSTests(_CurlMixin):
    """
    With TLS to the proxy.
    """

    served: ClassVar[Served]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start a daemon with listeners over TLS.
        """
        super().setUpClass()
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.served = cls.enterClassContext(serving(folder))

    def test_fetches(self) -> None:
        """
        All is as without it.
        """
        server = self.server()
        trust = ("--proxy-cacert", str(self.served.certificates.authority.path))
        proxy = f"https://localhost:{self.served.port}"
        urls = [f"http://127.0.0.1:{server.server_port}/{name}" for name in "abc"]
        for options in ((), ("--http1.0",), ("--proxytunnel",)):
            said = self.fetched(*trust, *options, *urls, proxy=proxy)
            self.assertEqual(said, b"/a/b/c")

    def test_large(self) -> None:
        """
        So are large bodies.
        """
        path = self.folder / "tls"
        path.write_bytes(os.urandom(20 * MIB))
        trust = ("--proxy-cacert", str(self.served.certificates.authority.path))
        proxy = f"https://localhost:{self.served.port}"
        page = GeneratedPage(20)
        url = f"http://127.0.0.1:{self.target(page).port}/"
        said = self.fetched(*trust, url, proxy=proxy)
        self.assertEqual(hashlib.sha256(said).hexdigest(), page.digest.hexdigest())
        url = f"http://127.0.0.1:{self.server().server_port}/"
        said = self.fetched(*trust, "-T", str(path), url, proxy=proxy)
        self.assertEqual(said.decode(), _digestOf(path))


def _digestOf(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""
Clients that go to HTTP proxies with what their libraries have for that.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import unittest
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import ClassVar
from unittest import mock
from urllib.parse import quote

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import TestCase
from twisted.web.client import HTTPConnectionPool, ProxyAgent
from twisted.web.http_headers import Headers

from tests.certificates import Authority
from tests.daemon import ROOT, Daemon, environment
from tests.files import temporaryFolder
from tests.interop.httporigins import Recorder
from tests.interop.peers import TIMEOUT, peerEnvironment, requirePackage, runPeer
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
    passwordOptions,
)
from tests.targets import Target
from tests.tlspeer import clientContext, serverContext

BODY = os.urandom(3 << 20)
DIGEST = hashlib.sha256(BODY).hexdigest().encode()


def account(password: str = PASSWORD) -> str:
    """
    Give a name and a password as a URL has them.
    """
    return f"{USER}:{quote(password, safe='')}"


def basic(password: str = PASSWORD) -> str:
    """
    Give the same as a header field has them.
    """
    return "Basic " + b64encode(f"{USER}:{password}".encode()).decode()


class _ClientMixin(ProxyTestCase):
    def setUp(self) -> None:
        """
        Start servers of HTTP and HTTPS.
        """
        authority = Authority(self.folder)
        self.trusted = authority.path
        self.context = clientContext(authority.path)
        self.plain = Recorder()
        self.secure = Recorder(serverContext(authority.issue("localhost")))
        self.plainPort = self.enterContext(Target(self.plain)).port
        self.securePort = self.enterContext(Target(self.secure)).port

    def assertAsked(self, method: str, port: int, user: str = "-") -> None:
        """
        Check that the daemon was asked for one of the servers.
        """
        self.daemon.waitFor(rf"HTTP \S+ {user} {method} localhost:{port} \[.*: succeeded;")

    def assertNothingTold(self) -> None:
        """
        Check that the servers were not told what is for the proxy.
        """
        self.assertNotIn(b"\r\nproxy-", self.plain.seen)
        for word in (b"authorization", b"basic", USER.encode()):
            self.assertNotIn(word, self.plain.seen + self.secure.seen)


class WgetTests(PasswordTestCase, _ClientMixin):
    """
    wget.
    """

    programs = ("wget",)

    def wget(
        self, *arguments: str, password: str = PASSWORD, expect: int = 0
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run wget without its configuration files.

        @param expect: Its exit status.
        """
        proxy = f"http://{account(password)}@{self.proxy}"
        ended = runPeer(
            self.paths["wget"],
            *("--no-config", "-nv", "--tries=1", "--timeout=20", *arguments),
            environment=peerEnvironment(http_proxy=proxy, https_proxy=proxy),
        )
        self.assertEqual(ended.returncode, expect, ended)
        return ended

    def test_fetches(self) -> None:
        """
        Pages come from HTTP and HTTPS servers, several of one over one
        connection to it, and the password does not get there.
        """
        urls = [f"http://localhost:{self.plainPort}/{name}" for name in "abc"]
        urls += [f"https://localhost:{self.securePort}/{name}" for name in "de"]
        ended = self.wget("-O", "-", f"--ca-certificate={self.trusted}", *urls)
        self.assertEqual(ended.stdout, b"/a/b/c/d/e")
        self.assertAsked("GET", self.plainPort, USER)
        self.assertAsked("CONNECT", self.securePort, USER)
        self.assertNothingTold()

    def test_uploads(self) -> None:
        """
        A file is sent.
        """
        path = self.folder / "file"
        path.write_bytes(BODY)
        url = f"http://localhost:{self.plainPort}/"
        ended = self.wget("-O", "-", "--method=PUT", f"--body-file={path}", url)
        self.assertEqual(ended.stdout, DIGEST)

    def test_wrongPassword(self) -> None:
        """
        wget says what the proxy has said, and nobody is dialled.
        """
        url = f"http://localhost:{self.plainPort}/"
        ended = self.wget("-O", os.devnull, url, password=WRONG_PASSWORD, expect=8)
        self.assertIn(b"407", ended.stderr)
        url = f"https://localhost:{self.securePort}/"
        ended = self.wget("-O", os.devnull, url, password=WRONG_PASSWORD, expect=4)
        self.assertIn(b"Proxy Authentication Required", ended.stderr)
        self.assertEqual(self.plain.heads + self.secure.heads, [])


class UrllibTests(PasswordTestCase, _ClientMixin):
    """
    Python's urllib.
    """

    def opener(self, password: str = PASSWORD) -> urllib.request.OpenerDirector:
        """
        Make what opens URLs.
        """
        proxy = f"http://{account(password)}@{self.proxy}"
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({"http": proxy, "https": proxy}),
            urllib.request.HTTPSHandler(context=self.context),
        )

    def test_fetches(self) -> None:
        """
        Pages come from HTTP and HTTPS servers, and the password does not get
        there.
        """
        opener = self.opener()
        for url in (
            f"http://localhost:{self.plainPort}/a",
            f"https://localhost:{self.securePort}/a",
        ):
            with opener.open(url, timeout=TIMEOUT) as answer:
                self.assertEqual(answer.read(), b"/a")
        self.assertAsked("GET", self.plainPort, USER)
        self.assertAsked("CONNECT", self.securePort, USER)
        self.assertNothingTold()

    def test_wrongPassword(self) -> None:
        """
        The status tells why, and the page what to do; nobody is dialled.
        """
        opener = self.opener(WRONG_PASSWORD)
        with self.assertRaises(urllib.error.HTTPError) as raised:
            opener.open(f"http://localhost:{self.plainPort}/", timeout=TIMEOUT)
        with raised.exception as answer:
            self.assertEqual(answer.code, 407)
            self.assertTrue(answer.read())
        with self.assertRaisesRegex(urllib.error.URLError, "407"):
            opener.open(f"https://localhost:{self.securePort}/", timeout=TIMEOUT)
        self.assertEqual(self.plain.heads + self.secure.heads, [])


class HTTPClientTests(PasswordTestCase, _ClientMixin):
    """
    Python's C{http.client}.
    """

    def test_tunnels(self) -> None:
        """
        C{set_tunnel} makes tunnels, in which several requests are made; also
        with TLS.
        """
        for make, port, recorder in (
            (http.client.HTTPConnection, self.plainPort, self.plain),
            (self.secureConnection, self.securePort, self.secure),
        ):
            connection = make("127.0.0.1", self.daemon.port, timeout=TIMEOUT)
            self.addCleanup(connection.close)
            connection.set_tunnel("localhost", port, {"Proxy-Authorization": basic()})
            connection.request("GET", "/a")
            self.assertEqual(connection.getresponse().read(), b"/a")
            connection.request("PUT", "/b", BODY)
            self.assertEqual(connection.getresponse().read(), DIGEST)
            connection.close()
            self.assertAsked("CONNECT", port, USER)
            self.assertEqual(len(recorder.heads), 2)
        self.assertNothingTold()

    def secureConnection(self, host: str, port: int, timeout: float) -> http.client.HTTPConnection:
        """
        Make a connection for TLS.
        """
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self.context)

    def test_forwards(self) -> None:
        """
        A whole URL is asked for, again and again on one connection, with and
        without bodies, also in chunks.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=TIMEOUT)
        self.addCleanup(connection.close)
        url = f"http://localhost:{self.plainPort}/a"
        login = {"Proxy-Authorization": basic()}
        pieces = [BODY[start : start + 99_999] for start in range(0, len(BODY), 99_999)]
        for method, body, expected in (
            ("GET", None, b"/a"),
            ("PUT", BODY, DIGEST),
            ("POST", iter(pieces), DIGEST),
            ("GET", None, b"/a"),
            ("HEAD", None, b""),
            ("GET", None, b"/a"),
        ):
            chunked = not isinstance(body, bytes | None)
            connection.request(method, url, body, login, encode_chunked=chunked)
            self.assertEqual(connection.getresponse().read(), expected)
            self.assertAsked(method, self.plainPort, USER)
        self.assertNothingTold()
        first = self.plain.heads[0]
        self.assertTrue(first.startswith(b"GET /a HTTP/1.1\r\n"), first)
        self.assertIn(f"\r\nhost: localhost:{self.plainPort}\r\n".encode(), first.lower())


class RequestsTests(PasswordTestCase, _ClientMixin):
    """
    requests, which has urllib3 below it.
    """

    def test_fetches(self) -> None:
        """
        Pages come from HTTP and HTTPS servers in one session, and bodies go
        there.
        """
        requests = requirePackage("requests")
        proxy = f"http://{account()}@{self.proxy}"
        with mock.patch.dict(os.environ, peerEnvironment(), clear=True), requests.Session() as one:
            one.proxies = {"http": proxy, "https": proxy}
            one.trust_env = False
            one.verify = self.trusted
            for url in (
                f"http://localhost:{self.plainPort}/a",
                f"https://localhost:{self.securePort}/a",
            ):
                for _ in range(3):
                    self.assertEqual(one.get(url, timeout=TIMEOUT).content, b"/a")
                self.assertEqual(one.put(url, data=BODY, timeout=TIMEOUT).content, DIGEST)
        self.assertAsked("GET", self.plainPort, USER)
        self.assertAsked("CONNECT", self.securePort, USER)
        self.assertNothingTold()


class TwistedWebTests(TestCase):
    """
    C{ProxyAgent} of L{twisted.web}.
    """

    timeout = TIMEOUT

    def setUp(self) -> None:
        """
        Start a daemon and a server.
        """
        folder = temporaryFolder(self)
        self.daemon = self.enterContext(Daemon(*passwordOptions(folder)))
        self.server = Recorder()
        self.port = self.enterContext(Target(self.server)).port

    @inlineCallbacks
    def test_fetches(self) -> Deferred[None]:
        """
        Several pages come over one connection.
        """
        pool = HTTPConnectionPool(reactor)
        self.addCleanup(pool.closeCachedConnections)
        proxy = TCP4ClientEndpoint(reactor, "127.0.0.1", self.daemon.port)
        agent = ProxyAgent(proxy, reactor, pool)
        for name in (b"/a", b"/b", b"/c"):
            url = b"http://localhost:%d%b" % (self.port, name)
            fields = Headers({b"Proxy-Authorization": [basic().encode()]})
            answer = yield agent.request(b"GET", url, fields)
            self.assertEqual((answer.code, (yield treq.content(answer))), (200, name))
            self.daemon.waitFor(rf"{USER} GET localhost:{self.port} \[.*: succeeded;")
        self.assertEqual(len(self.server.heads), 3)
        self.assertNotIn(b"proxy-", self.server.seen.replace(b"socksproxy-", b""))
        self.assertNotIn(b"basic", self.server.seen)


class TreqTests(unittest.TestCase):
    """
    The documents' program that uses treq.
    """

    program: ClassVar[Path] = ROOT / "docs" / "examples" / "treq_through.py"

    def test_page(self) -> None:
        """
        It goes through our HTTP proxy as well, and through two.
        """
        server = Recorder()
        with Daemon() as first, Daemon() as second, Target(server) as target:
            one = f"http://127.0.0.1:{first.port}"
            both = f"{one},http://127.0.0.1:{second.port}"
            for proxies, last in ((one, first), (both, second)):
                url = f"http://localhost:{target.port}/a"
                ended = subprocess.run(
                    [sys.executable, "-W", "error", str(self.program), proxies, url],
                    env=environment(),
                    capture_output=True,
                    timeout=2 * TIMEOUT,
                )
                self.assertEqual((ended.returncode, ended.stdout), (0, b"/a\n"), ended)
                last.waitFor(rf"HTTP .* CONNECT localhost:{target.port} \[.*: succeeded;")

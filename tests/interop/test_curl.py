"""
curl through the daemon.
"""

import hashlib
import os
import subprocess

from tests.interop.peers import closedPort, peerEnvironment, requireIPv6, runPeer
from tests.interop.processes import statusOf
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)
from tests.interop.servers import GeneratedPage, Upload
from tests.targets import web

PAGE = b"<title>A page</title>"
PROXY_ERROR = 97
"""
curl's exit status for what a SOCKS proxy did not do.
"""

# Option, protocol, and whether the name goes to the proxy.
PROTOCOLS = (
    ("--socks4", "SOCKS4", False),
    ("--socks4a", "SOCKS4a", True),
    ("--socks5", "SOCKS5", False),
    ("--socks5-hostname", "SOCKS5", True),
)


class _CurlMixin(ProxyTestCase):
    programs = ("curl",)

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """
        Run curl without its configuration file.
        """
        return runPeer(self.paths["curl"], "-qgsS", "--max-time", "15", *arguments)

    def assertRefused(self, ended: subprocess.CompletedProcess[bytes], message: bytes) -> None:
        """
        Check that curl ended because of the proxy and says why.
        """
        self.assertEqual((ended.returncode, ended.stdout), (PROXY_ERROR, b""), ended)
        self.assertIn(message.lower(), ended.stderr.lower())


class CurlTests(_CurlMixin):
    """
    Without authentication.
    """

    def test_fetchesFromAnAddress(self) -> None:
        """
        Each of curl's SOCKS options fetches a page from an IPv4 address.
        """
        for option, protocol, _ in PROTOCOLS:
            with self.subTest(option):
                port = self.target(web(PAGE)).port
                ended = self.curl(option, self.proxy, f"http://127.0.0.1:{port}/")
                self.assertEqual(self.assertSucceeded(ended), PAGE)
                self.assertSeen(protocol, f"127.0.0.1:{port}")

    def test_fetchesFromAName(self) -> None:
        """
        With C{--socks4a} and C{--socks5-hostname} it is the daemon that
        resolves the name, with the other two curl does.
        """
        for option, protocol, remote in PROTOCOLS:
            with self.subTest(option):
                port = self.target(web(PAGE)).port
                name = "localhost" if remote else "target.example"
                ended = self.curl(
                    option,
                    self.proxy,
                    "--resolve",
                    f"target.example:{port}:127.0.0.1",
                    f"http://{name}:{port}/",
                )
                self.assertEqual(self.assertSucceeded(ended), PAGE)
                self.assertSeen(protocol, f"{name if remote else '127.0.0.1'}:{port}")

    def test_fetchesFromAnIPv6Address(self) -> None:
        """
        An IPv6 address is reached by SOCKS5, and by SOCKS4a as a name, which
        is the only place for it there.
        """
        requireIPv6()
        for option, protocol, _ in PROTOCOLS[1:]:
            with self.subTest(option):
                port = self.target(web(PAGE), "::1").port
                ended = self.curl(option, self.proxy, f"http://[::1]:{port}/")
                self.assertEqual(self.assertSucceeded(ended), PAGE)
                self.assertSeen(protocol, f"[::1]:{port}")

    def test_offersAPasswordInVain(self) -> None:
        """
        A user name that nobody asks for does no harm.
        """
        for option, protocol, _ in PROTOCOLS:
            with self.subTest(option):
                port = self.target(web(PAGE)).port
                ended = self.curl(
                    option,
                    self.proxy,
                    "--proxy-user",
                    f"{USER}:{PASSWORD}",
                    f"http://127.0.0.1:{port}/",
                )
                self.assertEqual(self.assertSucceeded(ended), PAGE)
                self.assertSeen(protocol, f"127.0.0.1:{port}")

    def test_saysThatTheTargetRefused(self) -> None:
        """
        A refused connection is REP 5, and code 91 in SOCKS4, and curl says so.
        """
        for option, protocol, _ in PROTOCOLS:
            with self.subTest(option), closedPort() as port:
                ended = self.curl(option, self.proxy, f"http://127.0.0.1:{port}/")
                self.assertRefused(ended, b"(91)" if "4" in option else b"(5)")
                self.assertSeen(protocol, f"127.0.0.1:{port}", result="connection refused")

    def test_saysThatThereIsNoSuchName(self) -> None:
        """
        A name that does not resolve is REP 4, and code 91 in SOCKS4a.
        """
        for option, protocol, remote in PROTOCOLS:
            if remote:
                with self.subTest(option):
                    # A name that is never looked up in the DNS.
                    ended = self.curl(option, self.proxy, "http://nowhere.onion/")
                    self.assertRefused(ended, b"(91)" if "4" in option else b"(4)")
                    self.assertSeen(protocol, "nowhere.onion:80", result="name not found")

    def test_fetchesAGibibyte(self) -> None:
        """
        A gibibyte arrives whole and unchanged, and the daemon holds next to
        nothing of it at any time.
        """
        page = GeneratedPage(1024)
        port = self.target(page).port
        received, size = hashlib.sha256(), 0
        with subprocess.Popen(
            [
                *(self.paths["curl"], "-qgsS", "--max-time", "60"),
                *("--socks5-hostname", self.proxy, f"http://127.0.0.1:{port}/"),
            ],
            env=peerEnvironment(),
            stdout=subprocess.PIPE,
        ) as curl:
            assert curl.stdout is not None
            while data := curl.stdout.read(1 << 20):
                received.update(data)
                size += len(data)
        self.assertEqual((curl.returncode, size), (0, 1 << 30))
        self.assertEqual(received.hexdigest(), page.digest.hexdigest())
        mostKiB = int(statusOf(self.daemon.process.pid, "VmHWM")[0])
        self.assertLess(mostKiB, 128 * 1024)

    def test_sendsAFile(self) -> None:
        """
        An uploaded file arrives whole and unchanged.
        """
        data = os.urandom(16 << 20)
        path = self.folder / "file"
        path.write_bytes(data)
        upload = Upload()
        port = self.target(upload).port
        url = f"http://127.0.0.1:{port}/"
        ended = self.curl("--socks5", self.proxy, "--upload-file", str(path), "-H", "Expect:", url)
        self.assertSucceeded(ended)
        self.assertEqual(upload.digest.digest(), hashlib.sha256(data).digest())


class CurlPasswordTests(PasswordTestCase, _CurlMixin):
    """
    With authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy by either SOCKS5 option.
        """
        for option, protocol, _ in PROTOCOLS[2:]:
            with self.subTest(option):
                port = self.target(web(PAGE)).port
                ended = self.curl(
                    option,
                    self.proxy,
                    "--proxy-user",
                    f"{USER}:{PASSWORD}",
                    f"http://127.0.0.1:{port}/",
                )
                self.assertEqual(self.assertSucceeded(ended), PAGE)
                self.assertSeen(protocol, f"127.0.0.1:{port}", USER)

    def test_aWrongPassword(self) -> None:
        """
        With a wrong password curl says that the user was rejected, and
        nothing is dialled.
        """
        target = self.target(web(PAGE))
        ended = self.curl(
            "--socks5-hostname",
            self.proxy,
            "--proxy-user",
            f"{USER}:{WRONG_PASSWORD}",
            f"http://127.0.0.1:{target.port}/",
        )
        self.assertRefused(ended, b"rejected")
        self.assertEqual(target.accepted, [])

    def test_noPassword(self) -> None:
        """
        Without a password curl says that there is no method for it.
        """
        target = self.target(web(PAGE))
        ended = self.curl("--socks5", self.proxy, f"http://127.0.0.1:{target.port}/")
        self.assertRefused(ended, b"No authentication method was acceptable")
        self.assertEqual(target.accepted, [])

    def test_aUserNameIsNoPassword(self) -> None:
        """
        SOCKS4 and SOCKS4a have a user name only, and are refused with code 91.
        """
        for option, _, _ in PROTOCOLS[:2]:
            with self.subTest(option):
                target = self.target(web(PAGE))
                ended = self.curl(
                    option,
                    self.proxy,
                    "--proxy-user",
                    f"{USER}:{PASSWORD}",
                    f"http://127.0.0.1:{target.port}/",
                )
                self.assertRefused(ended, b"(91)")
                self.assertEqual(target.accepted, [])

"""
Two netcats through the daemon: Nmap's ncat, and OpenBSD's nc.
"""

import os
import subprocess

from tests.interop.peers import closedPort, requireIPv6, runPeer
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)
from tests.interop.servers import countAtEnd
from tests.targets import echo, sender

BANNER = b"220 welcome\r\n"
BULK = os.urandom(4 << 20)


class _NcatMixin(ProxyTestCase):
    programs = ("ncat",)

    def ncat(
        self,
        version: str,
        *arguments: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run ncat.
        """
        proxy = ("--proxy", self.proxy, "--proxy-type", version)
        return runPeer(self.paths["ncat"], *proxy, *arguments, input=input)


class NcatTests(_NcatMixin):
    """
    ncat without authentication.
    """

    def test_connects(self) -> None:
        """
        ncat reaches an address by SOCKS4 and SOCKS5.
        """
        for version in ("SOCKS4", "SOCKS5"):
            with self.subTest(version):
                port = self.target(echo).port
                ended = self.ncat(version.lower(), "127.0.0.1", str(port), input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"hello")
                self.assertSeen(version, f"127.0.0.1:{port}")

    def test_sendsNames(self) -> None:
        """
        With remote resolution ncat sends names by SOCKS4a and SOCKS5.
        """
        for version, protocol in (("socks4", "SOCKS4a"), ("socks5", "SOCKS5")):
            with self.subTest(protocol):
                port = self.target(echo).port
                arguments = ("--proxy-dns", "remote", "localhost", str(port))
                ended = self.ncat(version, *arguments, input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"hello")
                self.assertSeen(protocol, f"localhost:{port}")

    def test_connectsByIPv6(self) -> None:
        """
        ncat reaches an IPv6 address by SOCKS5.
        """
        requireIPv6()
        port = self.target(echo, "::1").port
        ended = self.ncat("socks5", "::1", str(port), input=b"hello")
        self.assertEqual(self.assertSucceeded(ended), b"hello")
        self.assertSeen("SOCKS5", f"[::1]:{port}")

    def test_getsABanner(self) -> None:
        """
        What a server says first arrives without the client saying anything.
        """
        for version in ("socks4", "socks5"):
            with self.subTest(version):
                port = self.target(sender(BANNER)).port
                ended = self.ncat(version, "--recv-only", "127.0.0.1", str(port))
                self.assertEqual(self.assertSucceeded(ended), BANNER)

    def test_endsItsHalf(self) -> None:
        """
        The end of ncat's input reaches the target as the end of one
        direction, and the answer to it gets back.
        """
        for version in ("socks4", "socks5"):
            with self.subTest(version):
                port = self.target(countAtEnd).port
                ended = self.ncat(version, "127.0.0.1", str(port), input=BULK)
                self.assertEqual(self.assertSucceeded(ended), b"%d octets" % len(BULK))

    def test_saysThatTheTargetRefused(self) -> None:
        """
        ncat translates REP 5 and fails.
        """
        with closedPort() as port:
            ended = self.ncat("socks5", "127.0.0.1", str(port))
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn(b"Connection refused", ended.stderr)
            self.assertSeen("SOCKS5", f"127.0.0.1:{port}", result="connection refused")


class NcatPasswordTests(PasswordTestCase, _NcatMixin):
    """
    ncat with authentication.
    """

    def test_logsIn(self) -> None:
        """
        C{--proxy-auth} with the right password opens the proxy.
        """
        port = self.target(echo).port
        user = ("--proxy-auth", f"{USER}:{PASSWORD}")
        ended = self.ncat("socks5", *user, "127.0.0.1", str(port), input=b"hello")
        self.assertEqual(self.assertSucceeded(ended), b"hello")
        self.assertSeen("SOCKS5", f"127.0.0.1:{port}", USER)

    def test_aWrongPassword(self) -> None:
        """
        With a wrong password ncat says so, and nothing is dialled.
        """
        target = self.target(echo)
        user = ("--proxy-auth", f"{USER}:{WRONG_PASSWORD}")
        ended = self.ncat("socks5", *user, "127.0.0.1", str(target.port))
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn(b"authentication failed", ended.stderr)
        self.assertEqual(target.accepted, [])

    def test_aUserNameIsNoPassword(self) -> None:
        """
        SOCKS4, which sends the user name alone, is refused.
        """
        target = self.target(echo)
        user = ("--proxy-auth", USER)
        ended = self.ncat("socks4", *user, "127.0.0.1", str(target.port))
        self.assertNotEqual(ended.returncode, 0)
        self.assertEqual(target.accepted, [])


class OpenBSDNetcatTests(ProxyTestCase):
    """
    OpenBSD's nc, whose C{-N} ends its half of the connection with its input.
    """

    programs = ("nc.openbsd",)

    def nc(
        self,
        version: str,
        *arguments: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run nc.
        """
        proxy = ("-X", version, "-x", self.proxy)
        return runPeer(self.paths["nc.openbsd"], *proxy, *arguments, input=input)

    def test_connects(self) -> None:
        """
        nc reaches an address by SOCKS4 and SOCKS5.
        """
        for version in ("4", "5"):
            with self.subTest(version):
                port = self.target(echo).port
                ended = self.nc(version, "-N", "127.0.0.1", str(port), input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"hello")
                self.assertSeen(f"SOCKS{version}", f"127.0.0.1:{port}")

    def test_sendsNames(self) -> None:
        """
        By SOCKS5 nc sends names as they are.
        """
        port = self.target(echo).port
        ended = self.nc("5", "-N", "localhost", str(port), input=b"hello")
        self.assertEqual(self.assertSucceeded(ended), b"hello")
        self.assertSeen("SOCKS5", f"localhost:{port}")

    def test_connectsByIPv6(self) -> None:
        """
        nc reaches an IPv6 address by SOCKS5.
        """
        requireIPv6()
        port = self.target(echo, "::1").port
        ended = self.nc("5", "-N", "::1", str(port), input=b"hello")
        self.assertEqual(self.assertSucceeded(ended), b"hello")
        self.assertSeen("SOCKS5", f"[::1]:{port}")

    def test_getsABanner(self) -> None:
        """
        What a server says first arrives, and its end of the stream ends nc,
        which does not read its input.
        """
        for version in ("4", "5"):
            with self.subTest(version):
                port = self.target(sender(BANNER)).port
                ended = self.nc(version, "-d", "127.0.0.1", str(port))
                self.assertEqual(self.assertSucceeded(ended), BANNER)

    def test_endsItsHalf(self) -> None:
        """
        C{printf x | nc -N} gets the answer of a server that speaks only after
        the end of the stream.
        """
        for version in ("4", "5"):
            for data in (b"x", BULK):
                with self.subTest(version, octets=len(data)):
                    port = self.target(countAtEnd).port
                    ended = self.nc(version, "-N", "127.0.0.1", str(port), input=data)
                    self.assertEqual(self.assertSucceeded(ended), b"%d octets" % len(data))

    def test_saysThatTheTargetRefused(self) -> None:
        """
        nc tells a refused connection, in SOCKS5 by what REP says.
        """
        for version, message in (("4", b"rejected"), ("5", b"Connection refused")):
            with self.subTest(version), closedPort() as port:
                ended = self.nc(version, "-N", "127.0.0.1", str(port))
                self.assertNotEqual(ended.returncode, 0)
                self.assertIn(message, ended.stderr)
                self.assertSeen(f"SOCKS{version}", f"127.0.0.1:{port}", result="connection refused")

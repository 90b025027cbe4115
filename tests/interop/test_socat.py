"""
socat through the daemon.
"""

import os
import subprocess
from unittest import SkipTest

from tests.interop.peers import closedPort, runPeer
from tests.interop.proxied import ProxyTestCase
from tests.interop.servers import countAtEnd
from tests.targets import echo, sender

PATIENCE = "15"
"""
Seconds that socat waits for one half of a connection after the other's end.
"""


class SocatTests(ProxyTestCase):
    """
    socat's addresses of the SOCKS kinds.
    """

    programs = ("socat",)

    def socat(
        self,
        *arguments: str,
        input: bytes = b"",  # noqa: A002
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run socat between its standard streams and an address.
        """
        command = (self.paths["socat"], "-t", PATIENCE, "-T", PATIENCE)
        return runPeer(*command, *arguments, input=input)

    def address(self, kind: str, host: str, port: int) -> str:
        """
        Write an address of SOCKS4 or SOCKS4A.
        """
        return f"{kind}:127.0.0.1:{host}:{port},socksport={self.daemon.port},socksuser=bob"

    def test_connects(self) -> None:
        """
        SOCKS4 sends the address that socat has found, SOCKS4A the name.
        """
        for kind, protocol, asked in (
            ("SOCKS4", "SOCKS4", "127.0.0.1"),
            ("SOCKS4A", "SOCKS4a", "localhost"),
        ):
            with self.subTest(kind):
                port = self.target(echo).port
                ended = self.socat("-", self.address(kind, "localhost", port), input=b"hello")
                self.assertEqual(self.assertSucceeded(ended), b"hello")
                self.assertSeen(protocol, f"{asked}:{port}")

    def test_getsABanner(self) -> None:
        """
        What a server says first arrives, and its end of the stream ends socat.
        """
        port = self.target(sender(b"welcome")).port
        ended = self.socat("-u", self.address("SOCKS4A", "localhost", port), "-")
        self.assertEqual(self.assertSucceeded(ended), b"welcome")

    def test_endsItsHalf(self) -> None:
        """
        The end of socat's input reaches the target as the end of one
        direction, and the answer to it gets back.
        """
        data = os.urandom(1 << 20)
        for kind in ("SOCKS4", "SOCKS4A"):
            with self.subTest(kind):
                port = self.target(countAtEnd).port
                ended = self.socat("-", self.address(kind, "127.0.0.1", port), input=data)
                self.assertEqual(self.assertSucceeded(ended), b"%d octets" % len(data))

    def test_saysThatTheTargetRefused(self) -> None:
        """
        socat tells code 91 and fails.
        """
        for kind, protocol in (("SOCKS4", "SOCKS4"), ("SOCKS4A", "SOCKS4a")):
            with self.subTest(kind), closedPort() as port:
                ended = self.socat("-", self.address(kind, "127.0.0.1", port))
                self.assertNotEqual(ended.returncode, 0)
                self.assertIn(b"rejected or failed", ended.stderr)
                self.assertSeen(protocol, f"127.0.0.1:{port}", result="connection refused")

    def test_connectsBySOCKS5(self) -> None:
        """
        A socat that has SOCKS5, from 1.8 on, reaches a target by it.
        """
        # Most distributions have an older one, so it is never required.
        if b"WITH_SOCKS5 1" not in self.assertSucceeded(self.socat("-V")):
            raise SkipTest("this socat was built without SOCKS5")
        port = self.target(echo).port
        address = f"SOCKS5-CONNECT:127.0.0.1:{self.daemon.port}:127.0.0.1:{port}"
        ended = self.socat("--experimental", "-", address, input=b"hello")
        self.assertEqual(self.assertSucceeded(ended), b"hello")
        self.assertSeen("SOCKS5", f"127.0.0.1:{port}")

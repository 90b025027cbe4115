"""
C{proxied:} in a program that knows nothing of proxies.
"""

import subprocess
import sys
import unittest

from tests.daemon import ROOT, Daemon, environment
from tests.targets import Target, web

PROGRAM = ROOT / "docs" / "examples" / "through.py"


class ProxiedTests(unittest.TestCase):
    """
    The example of the manual, with C{clientFromString}.
    """

    def run_(self, description: str) -> "subprocess.CompletedProcess[bytes]":
        """
        Run the program to its end.
        """
        command = (sys.executable, "-W", "error", str(PROGRAM), description)
        return subprocess.run(command, env=environment(), capture_output=True, timeout=60)

    def test_connects(self) -> None:
        """
        Its connection goes through the proxies that the string names.
        """
        with Daemon() as first, Daemon() as second, Target(web(b"")) as target:
            ended = self.run_(
                f"proxied:localhost:{target.port}:via="
                rf"socks5h\://127.0.0.1\:{first.port},socks4a\://127.0.0.1\:{second.port}"
            )
            self.assertEqual(ended.stdout, b"HTTP/1.0 200 OK\n", ended)
            first.waitFor(rf"SOCKS5 \S+ - CONNECT 127\.0\.0\.1:{second.port} .* succeeded")
            second.waitFor(rf"SOCKS4a \S+ - CONNECT localhost:{target.port} .* succeeded")

    def test_wrong(self) -> None:
        """
        A string without a proxy, or with a wrong one, says what is wrong.
        """
        for description, reason in (
            ("proxied:localhost:80", b"needs via="),
            (r"proxied:localhost:80:via=socks6\://x", b"cannot be read"),
        ):
            ended = self.run_(description)
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn(reason, ended.stderr)

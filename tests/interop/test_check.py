"""
C{socksproxy check} tells the truth about real proxies.
"""

import json
import subprocess
import sys
import unittest
from collections.abc import Callable
from typing import Any

from tests.daemon import Daemon, environment
from tests.interop.peers import closedPort, requireIPv6
from tests.interop.proxied import PASSWORD, USER, WRONG_PASSWORD, PasswordTestCase
from tests.interop.socksservers import dante, microsocks, sshServer
from tests.targets import Target

Outcomes = dict[str, str]

ALL = ("reach", "connect", "refused port", "names", "half-close", "IPv6", "BIND", "UDP")


def check(url: str, *arguments: str) -> tuple[int, Any]:
    """
    Examine a proxy.

    @return: The exit status, and what was found.
    """
    command = (sys.executable, "-m", "socksproxy", "check", "--json", *arguments, url)
    ended = subprocess.run(command, env=environment(), capture_output=True, timeout=60)
    assert not ended.stderr, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def outcomesOf(found: Any) -> Outcomes:
    """
    Give the outcome of each probe.
    """
    return {finding["name"]: finding["outcome"] for finding in found["findings"]}


class CheckTests(unittest.TestCase):
    """
    Proxies that let everybody in.
    """

    def test_ours(self) -> None:
        """
        Ours does everything.
        """
        requireIPv6()
        with Daemon() as daemon:
            status, found = check(f"socks5h://127.0.0.1:{daemon.port}")
        self.assertEqual(outcomesOf(found), dict.fromkeys(ALL, "ok"))
        self.assertEqual((status, found["works"]), (0, True))

    def test_socks4(self) -> None:
        """
        By SOCKS4a it does what there is a word for.
        """
        with Daemon() as daemon:
            status, found = check(f"socks4a://127.0.0.1:{daemon.port}")
        outcomes = outcomesOf(found)
        for name in ("IPv6", "BIND", "UDP"):
            self.assertEqual(outcomes.pop(name), "not supported")
        self.assertEqual(set(outcomes.values()), {"ok"})
        self.assertEqual(status, 0)

    def test_dante(self) -> None:
        """
        Dante does BIND and UDP ASSOCIATE.
        """
        with dante() as port:
            status, found = check(f"socks5h://127.0.0.1:{port}")
        outcomes = outcomesOf(found)
        self.assertEqual((outcomes["BIND"], outcomes["UDP"], status), ("ok", "ok", 0))

    def test_microsocks(self) -> None:
        """
        microsocks knows CONNECT only, and loses what a target says after the
        end of our stream, for which it fails.
        """
        with microsocks() as port:
            status, found = check(f"socks5h://127.0.0.1:{port}")
        outcomes = outcomesOf(found)
        self.assertEqual(
            {name: outcomes[name] for name in ("connect", "half-close", "BIND", "UDP")},
            {
                "connect": "ok",
                "half-close": "failed",
                "BIND": "not supported",
                "UDP": "not supported",
            },
        )
        self.assertEqual((status, found["works"]), (1, False))

    def test_ssh(self) -> None:
        """
        C{ssh -D} connects, and knows neither BIND nor UDP.
        """
        with sshServer() as port:
            _, found = check(f"socks5h://127.0.0.1:{port}")
        outcomes = outcomesOf(found)
        self.assertEqual(outcomes["connect"], "ok")
        self.assertNotEqual(outcomes["BIND"], "ok")
        self.assertNotEqual(outcomes["UDP"], "ok")

    def test_nobody(self) -> None:
        """
        Where there is no proxy, nothing more is tried.
        """
        with closedPort() as port:
            status, found = check(f"socks5h://127.0.0.1:{port}")
        self.assertEqual(outcomesOf(found), {"reach": "failed"})
        self.assertEqual(status, 1)

    def test_liar(self) -> None:
        """
        A proxy that says yes to everything and connects nowhere is found out.
        """
        with Target(_sayYes) as liar:
            status, found = check(f"socks5h://127.0.0.1:{liar.port}", "--timeout", "2")
        self.assertEqual(outcomesOf(found), {"reach": "ok", "connect": "failed"})
        self.assertEqual(status, 1)

    def test_table(self) -> None:
        """
        For people it prints a line for each question, and no password.
        """
        with Daemon() as daemon:
            url = f"socks5h://user:s3cret@127.0.0.1:{daemon.port}"
            command = (sys.executable, "-m", "socksproxy", "check", url)
            ended = subprocess.run(command, env=environment(), capture_output=True, timeout=60)
        lines = ended.stdout.decode().splitlines()
        self.assertEqual(len(lines), 1 + len(ALL))
        self.assertNotIn(b"s3cret", ended.stdout + ended.stderr)
        for name, line in zip(ALL, lines[1:], strict=True):
            self.assertRegex(line, rf"^{name} +(ok|not tried)")

    def test_wrongArguments(self) -> None:
        """
        A wrong URL or target is told in one line.
        """
        for arguments in (["nonsense"], ["socks5://127.0.0.1", "--target", "nowhere"]):
            command = (sys.executable, "-m", "socksproxy", "check", *arguments)
            ended = subprocess.run(command, env=environment(), capture_output=True, timeout=60)
            self.assertEqual((ended.returncode, ended.stdout), (2, b""))
            self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)


class CheckPasswordTests(PasswordTestCase):
    """
    A proxy that asks for a password.
    """

    def test_login(self) -> None:
        """
        The right password opens it, a wrong one does not.
        """
        for password, expected in ((PASSWORD, "ok"), (WRONG_PASSWORD, "failed")):
            with self.subTest(password):
                url = f"socks5h://{USER}:{password}@127.0.0.1:{self.daemon.port}"
                _, found = check(url)
                self.assertEqual(outcomesOf(found)["connect"], expected)


def _sayYes(connection: Any) -> None:
    receive: Callable[[int], bytes] = connection.recv
    receive(65536)
    connection.sendall(b"\5\0")
    receive(65536)
    connection.sendall(bytes.fromhex("05000001000000000000"))
    while receive(65536):
        pass

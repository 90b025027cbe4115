"""
The documents' samples: programs run, commands do what they are said to do, and
the filter for fail2ban finds what the proxy logs.
"""

import configparser
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEventAsClassicLogText
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth.passwords import decodeRecords
from socksproxy.auth.realm import ProxyRealm
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.events import AccessRecord, authenticationFailed
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.rules import AnyAddress
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.daemon import ROOT, TIMEOUT, Daemon, environment
from tests.interop.client import (
    SUCCEEDED,
    dial,
    echoes,
    login,
    receiveReply,
    request,
    through,
)
from tests.targets import Target, echo

EXAMPLES = ROOT / "docs" / "examples"
NOT_ALLOWED = 0x02


def readme() -> str:
    """
    Read the README.
    """
    return (ROOT / "README.rst").read_text()


def readmeProgram() -> str:
    """
    Read the README's program.
    """
    match = re.search(r"^\.\. code:: python\n\n((?:    .*\n|\n)+)", readme(), re.M)
    assert match is not None
    return re.sub(r"^    ", "", match[1], flags=re.M)


class Program(Daemon):
    """
    A Python program of the documents, on a port that the kernel chooses.
    """

    def __init__(self, source: str) -> None:
        """
        @param source: Its source.
        """
        super().__init__()
        assert source.count("tcp:1080") == 1
        self._source = source.replace("tcp:1080", "tcp:0")

    def command(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "-W", "error", "-c", self._source]


class TestPrograms:
    """
    Programs that serve.
    """

    @pytest.mark.parametrize("source", [readmeProgram(), (EXAMPLES / "embed.py").read_text()])
    def test_embed(self, source: str) -> None:
        """
        The programs with a proxy in them are proxies.
        """
        with (
            Program(source) as program,
            Target(echo) as target,
            through(program.port, target.port) as connection,
        ):
            assert echoes(connection)

    @pytest.mark.parametrize(
        ("user", "password", "allowed"),
        [(b"guest", b"guest", False), (b"staff", b"open sesame", True)],
    )
    def test_guests(self, user: bytes, password: bytes, allowed: bool) -> None:
        """
        Guests are kept to web servers and staff is not.
        """
        with (
            Program((EXAMPLES / "guests.py").read_text()) as program,
            Target(echo) as target,
            dial(program.port) as connection,
        ):
            assert login(connection, user, password) == SUCCEEDED
            connection.sendall(request("127.0.0.1", target.port))
            assert receiveReply(connection) == (SUCCEEDED if allowed else NOT_ALLOWED)
            assert not allowed or echoes(connection)

    @pytest.mark.parametrize("module", ["test_guests", "test_waiting"])
    def test_tests(self, module: str) -> None:
        """
        The sample tests pass.
        """
        ended = subprocess.run(
            [sys.executable, "-B", "-W", "error", "-m", "unittest", module],
            cwd=EXAMPLES,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert ended.returncode == 0, ended.stderr
        assert re.search(r"^Ran [3-9] tests", ended.stderr, re.M)

    def test_readmeShowsWhatTheProxyShows(self) -> None:
        """
        The README's command to try the proxy is the one that the proxy names
        at its start.
        """
        with Daemon() as daemon:
            shown = daemon.lines[-1].partition("Try: ")[2]
        assert f"    {shown.replace(f':{daemon.port} ', ':1080 ')}\n" in readme()


class TicketsTests(SynchronousTestCase):
    """
    C{tickets.py}.
    """

    def setUp(self) -> None:
        """
        Make a server with one ticket.
        """
        self.network = ScriptedNetwork({"192.0.2.1:80": "accept"})
        resolver = BoundedResolver(self.network, self.network.nameResolver)
        realm = ProxyRealm(
            lambda origin: DirectOutbound(
                self.network, self.network, resolver, AnyAddress(), origin.source
            )
        )
        sample: dict[str, Any] = runpy.run_path(str(EXAMPLES / "tickets.py"))
        factory = sample["ticketFactory"](self.network, realm, {b"ticket": b"alice"})
        self.client = MemoryTransport.connect(self.network, factory)
        self.client.peerSends(b"\x05\x02\x00\x81")
        self.assertEqual(self.client.take(), b"\x05\x81")

    def test_takesATicket(self) -> None:
        """
        A client with a right ticket, in however many pieces, gets connected.
        """
        for octet in b"\x06ticket":
            self.assertEqual(self.client.take(), b"")
            self.client.peerSends(bytes([octet]))
        self.assertEqual(self.client.take(), b"\x00")
        self.client.peerSends(request("192.0.2.1", 80))
        self.network.advance(1)
        self.assertEqual(self.client.take()[:2], b"\x05\x00")

    def test_refusesAForgery(self) -> None:
        """
        A client with a wrong ticket is told so, and its connection ends.
        """
        self.client.peerSends(b"\x06forged")
        self.network.pump([1.0] * 20)
        self.assertEqual(self.client.take(), b"\x01")
        self.assertTrue(self.client.ended)
        self.assertEqual(self.network.attempts, [])


def test_passwordCommands(tmp_path: Path) -> None:
    """
    The commands that set passwords leave a file with alice alone in it.
    """
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o700)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["/bin/sh", "-e", str(EXAMPLES / "passwords.sh")],
        cwd=tmp_path,
        env={**environment(), "PATH": path},
        check=True,
        timeout=TIMEOUT,
    )
    records = decodeRecords((tmp_path / "passwords").read_bytes())
    assert list(records) == [b"alice"]
    assert records[b"alice"].matches(b"correct horse battery staple")


class Fail2banTests(SynchronousTestCase):
    """
    The filter for fail2ban.
    """

    def addressIn(self, line: str) -> str | None:
        """
        Filter a line of the log.

        @return: The address that it would ban.
        """
        parser = configparser.ConfigParser()
        parser.read(EXAMPLES / "fail2ban-filter.conf")
        pattern = parser.get("Definition", "failregex", raw=True)
        # fail2ban takes the time away before it looks.
        date = parser.get("Definition", "datepattern").removeprefix("{^LN-BEG}")
        directives = {"%Y": r"\d{4}", "%z": r"[+-]\d{4}"}
        time = re.sub(r"%[a-zA-Z]", lambda match: directives.get(match[0], r"\d\d"), date)
        line, count = re.subn(f"^{time}", "", line.rstrip("\n"))
        self.assertEqual(count, 1)
        match = re.search(pattern.replace("<ADDR>", r"(?P<address>[0-9a-f.:]+)"), line)
        return None if match is None else match["address"]

    def lineFor(self, host: str, user: bytes) -> str:
        """
        Log a wrong password as the proxy does.
        """
        with capturedLogs() as events:
            authenticationFailed(host, 50312, "SOCKS5", "tcp:1080", user)
        (event,) = events
        line = formatEventAsClassicLogText(event)
        assert line is not None
        return line

    def test_findsTheAddress(self) -> None:
        """
        It takes the client's address out of the line, of either family.
        """
        for host in ("192.0.2.7", "2001:db8::7"):
            self.assertEqual(self.addressIn(self.lineFor(host, b"alice")), host)

    def test_findsTheAddressBehindAMapping(self) -> None:
        """
        An IPv4 client of an IPv6 listener is found, too.
        """
        host = "::ffff:192.0.2.7"
        self.assertEqual(self.addressIn(self.lineFor(host, b"alice")), host)

    def test_isNotFooledByAName(self) -> None:
        """
        A user name that looks like the end of such a line, or like another
        one, changes nothing.
        """
        for name in (
            b"x on y, user z",
            b"x\nAuthentication failure from 192.0.2.99 port 1: S on t",
        ):
            self.assertEqual(self.addressIn(self.lineFor("192.0.2.7", name)), "192.0.2.7")

    def test_leavesOtherLinesAlone(self) -> None:
        """
        A connection that ends well is nobody's failure.
        """
        with capturedLogs() as events:
            AccessRecord(client="192.0.2.7:50312", result="succeeded").emit()
        self.assertIsNone(self.addressIn(formatEventAsClassicLogText(events[0]) or ""))

    def test_manualShowsTheLine(self) -> None:
        """
        The manual's sample is the line that the proxy logs.
        """
        text = self.lineFor("192.0.2.7", b"alice").partition("] ")[2]
        self.assertIn(f"    {text}", (ROOT / "docs" / "authentication.rst").read_text())

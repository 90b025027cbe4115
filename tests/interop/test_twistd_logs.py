"""
The log file: its formats, and its rotation.
"""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.interop.background import Background
from tests.interop.client import dial, echoes, through
from tests.interop.logfiles import CUT_SHORT, events, rotated, visit, visitors
from tests.interop.processes import until
from tests.socksclient import request4
from tests.targets import Target, echo


class TestFormats:
    """
    C{--log-format}.
    """

    def test_text(self, tmp_path: Path) -> None:
        """
        By default every line has a time and a namespace, and a connection
        makes one line when it ends, with all that is known of it.
        """
        with Background(tmp_path) as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                client = connection.getsockname()[1]
                echoes(connection, b"x" * 1234)
            daemon.waitFor("CONNECT")
            lines = daemon.lines()
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ \[\S+\] ", x) for x in lines)
        to = f"127.0.0.1:{target.port}"
        expected = (
            rf"SOCKS5 127\.0\.0\.1:{client} - CONNECT {re.escape(to)} \[{re.escape(to)}\]:"
            r" succeeded; 1234 sent, 1234 received, \d+\.\d{3} s; client closed$"
        )
        assert len([line for line in lines if re.search(expected, line)]) == 1, lines

    def test_json(self, tmp_path: Path) -> None:
        """
        With C{--log-format json} every line is a JSON object with time, level
        and message, and an access event has a field for everything.
        """
        with Background(tmp_path, "--log-format", "json") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                client = connection.getsockname()[1]
                echoes(connection, b"x" * 1234)
            daemon.waitFor("CONNECT")
            found = events(daemon.log)
        assert all({"time", "level", "namespace", "message"} <= set(event) for event in found)
        [access] = [event for event in found if event.get("event") == "access"]
        assert 0 < access.pop("duration") < 20
        for varying in ("time", "message"):
            access.pop(varying)
        assert access == {
            "level": "info",
            "namespace": "socksproxy",
            "event": "access",
            "protocol": "SOCKS5",
            "listener": "tcp:0:interface=127.0.0.1",
            "client": f"127.0.0.1:{client}",
            "user": "-",
            "claimed": "-",
            "command": "CONNECT",
            "destination": f"127.0.0.1:{target.port}",
            "address": f"127.0.0.1:{target.port}",
            "result": "succeeded",
            "sent": 1234,
            "received": 1234,
            "datagramsSent": 0,
            "datagramsReceived": 0,
            "datagramsDropped": 0,
            "reason": "client closed",
        }

    def test_jsonInTheForeground(self) -> None:
        """
        Without a log file the JSON lines go to standard output, and nothing
        else does.
        """
        with Daemon("--log-format", "json") as daemon:
            with dial(daemon.port):
                pass
            daemon.waitFor(CUT_SHORT)
        found = [json.loads(line) for line in daemon.lines]
        assert len([event for event in found if event.get("event") == "access"]) == 1

    def test_jsonEscapesWhatClientsSend(self, tmp_path: Path) -> None:
        """
        Octets of a client's own choice do not break the lines.
        """
        with Background(tmp_path, "--log-format", "json") as daemon:
            with dial(daemon.port) as connection:
                connection.sendall(request4("127.0.0.1", 1, b'"}\n{\xff'))
                assert connection.recv(2)[1] == 0x5B
            daemon.waitFor("claimed")
            [access] = [e for e in events(daemon.log) if e.get("event") == "access"]
        assert access["claimed"] == r"\x22}\x0a{\xff"


class TestRotation:
    """
    C{--log-size} and C{--log-count}, and the two signals.
    """

    def test_bySize(self, tmp_path: Path) -> None:
        """
        A full file is followed by a new one; so many old ones are kept as was
        said, none larger than was said, and between them no line is lost.
        """
        with Background(tmp_path, "--log-size", "3000", "--log-count", "2") as daemon:
            ports = visit(daemon, 100)
            until(lambda: visitors(daemon.log)[-1:] == ports[-1:], "the last line")
            files = [rotated(daemon, 2), rotated(daemon, 1), daemon.log]
            assert all(0 < file.stat().st_size <= 3000 for file in files)
            assert not rotated(daemon, 3).exists()
            kept = visitors(*files)
        assert 20 < len(kept) < 100
        assert kept == ports[-len(kept) :]

    def test_keepsNone(self, tmp_path: Path) -> None:
        """
        With C{--log-count 0} there is never more than the one file.
        """
        with Background(tmp_path, "--log-size", "3000", "--log-count", "0") as daemon:
            ports = visit(daemon, 60)
            until(lambda: visitors(daemon.log)[-1:] == ports[-1:], "the last line")
            assert 0 < daemon.log.stat().st_size <= 3000
            assert [path for path in tmp_path.iterdir() if ".log." in path.name] == []

    def test_never(self, tmp_path: Path) -> None:
        """
        With C{--log-size 0} a file grows without end.
        """
        with Background(tmp_path, "--log-size", "0") as daemon:
            ports = visit(daemon, 60)
            until(lambda: visitors(daemon.log) == ports, "every line")
            assert not rotated(daemon, 1).exists()

    def test_byAnother(self, tmp_path: Path) -> None:
        """
        After a rename, SIGHUP makes the daemon begin a file of the old name,
        and lines up to then are in the renamed one.
        """
        moved = tmp_path / "moved.log"
        with Background(tmp_path) as daemon:
            before = visit(daemon, 3)
            daemon.waitFor(CUT_SHORT, 3)
            daemon.log.rename(moved)
            between = visit(daemon, 3)
            until(lambda: visitors(moved) == before + between, "lines in the renamed file")
            assert not daemon.log.exists()
            daemon.send(signal.SIGHUP)
            daemon.waitFor("Received SIGHUP")
            after = visit(daemon, 3)
            daemon.waitFor(CUT_SHORT, 3)
            assert visitors(daemon.log) == after
            assert visitors(moved) == before + between

    def test_onRequest(self, tmp_path: Path) -> None:
        """
        SIGUSR1 begins a new file, and the old one gets the number 1.
        """
        with Background(tmp_path) as daemon:
            before = visit(daemon, 3)
            daemon.waitFor(CUT_SHORT, 3)
            daemon.send(signal.SIGUSR1)
            daemon.waitFor("Received SIGUSR1")
            after = visit(daemon, 3)
            daemon.waitFor(CUT_SHORT, 3)
            assert visitors(rotated(daemon, 1)) == before
            assert visitors(daemon.log) == after

    def test_appends(self, tmp_path: Path) -> None:
        """
        A restart goes on in the same file.
        """
        with Background(tmp_path) as daemon:
            first = visit(daemon, 2)
            daemon.waitFor(CUT_SHORT, 2)
        with Background(tmp_path) as daemon:
            second = visit(daemon, 2)
            daemon.waitFor(CUT_SHORT, 4)
            assert visitors(daemon.log) == first + second


TAC = """
from twisted.application.service import Application
from twisted.internet import reactor
from socksproxy.config import Configuration
from socksproxy.service import ProxyService

application = Application("proxy")
proxy = ProxyService(reactor, Configuration(listen=["tcp:0:interface=127.0.0.1"]))
proxy.setServiceParent(application)
"""


class FromFile(Background):
    """
    A daemon from an application file, with one of our loggers.
    """

    READY = signal.SIGTERM  # which the reactor sees to

    def __init__(self, folder: Path, logger: str) -> None:
        """
        @param folder: Where its files shall be.
        @param logger: The logger's name.
        """
        super().__init__(folder)
        self._logger = logger
        self._file = folder / "proxy.tac"
        self._file.write_text(TAC)

    def command(self) -> list[str]:
        """
        See L{Background.command}.
        """
        return ["--logger", f"socksproxy.log.{self._logger}", "-y", str(self._file)]


class TestLoggers:
    """
    C{twistd --logger} for programs of somebody's own.
    """

    def test_json(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        C{socksproxy.log.json} writes to the file that C{SOCKSPROXY_LOG}
        names, a JSON object on each line.
        """
        monkeypatch.setenv("SOCKSPROXY_LOG", str(tmp_path / "proxy.log"))
        with FromFile(tmp_path, "json") as daemon:
            [port] = visit(daemon, 1)
            daemon.waitFor(CUT_SHORT)
            [access] = [e for e in events(daemon.log) if e.get("event") == "access"]
        assert access["client"] == f"127.0.0.1:{port}"

    def test_text(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        C{socksproxy.log.text} writes text, and rotates as the environment
        says.
        """
        monkeypatch.setenv("SOCKSPROXY_LOG", str(tmp_path / "proxy.log"))
        monkeypatch.setenv("SOCKSPROXY_LOG_SIZE", "3000")
        monkeypatch.setenv("SOCKSPROXY_LOG_COUNT", "1")
        with FromFile(tmp_path, "text") as daemon:
            ports = visit(daemon, 60)
            until(lambda: visitors(daemon.log)[-1:] == ports[-1:], "the last line")
            kept = visitors(rotated(daemon, 1), daemon.log)
            assert kept == ports[-len(kept) :]
            assert not rotated(daemon, 2).exists()

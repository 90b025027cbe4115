"""
The log file: its formats, its rotation, and who it belongs to.
"""

import json
import os
import pwd
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.interop.background import Background
from tests.interop.client import dial, echoes, through
from tests.interop.processes import statusOf, until
from tests.socksclient import request4
from tests.targets import Target, echo

CUT_SHORT = "client closed during handshake"


def visit(daemon: Background, times: int) -> list[int]:
    """
    Connect and leave so many times, each of which makes a line.

    @return: The clients' ports, in order.
    """
    ports = []
    for _ in range(times):
        with dial(daemon.port) as connection:
            ports.append(connection.getsockname()[1])
    return ports


def visitors(*logs: Path) -> list[int]:
    """
    Give the clients' ports as the lines of some files tell them, in order.
    """
    lines = [line for log in logs for line in log.read_text().splitlines()]
    found = [re.search(r"127\.0\.0\.1:(\d+)", line) for line in lines if CUT_SHORT in line]
    return [int(match[1]) for match in found if match is not None]


def rotated(daemon: Background, number: int) -> Path:
    """
    Name a rotated log file.
    """
    return daemon.log.with_name(f"{daemon.log.name}.{number}")


def events(log: Path) -> list[dict[str, Any]]:
    """
    Read a log file of JSON lines.
    """
    return [json.loads(line) for line in log.read_text().splitlines()]


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


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """
    Give a folder that belongs to nobody and that nobody can reach.
    """
    folder = Path(mkdtemp())
    shutil.chown(folder, "nobody", "nogroup")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestUnprivileged:
    """
    C{--uid} and C{--gid}.
    """

    TWISTD = ("--uid=nobody", "--gid=nogroup")

    def test_becomesNobody(self, nobodys: Path) -> None:
        """
        The daemon is not root any more, in no respect, and serves.
        """
        user = pwd.getpwnam("nobody")
        with Background(nobodys, twistd=self.TWISTD) as daemon, Target(echo) as target:
            assert set(statusOf(daemon.pid, "Uid")) == {str(user.pw_uid)}
            assert set(statusOf(daemon.pid, "Gid")) == {str(user.pw_gid)}
            assert "0" not in statusOf(daemon.pid, "Groups")
            with through(daemon.port, target.port) as connection:
                assert echoes(connection)

    def test_ownsItsLog(self, nobodys: Path) -> None:
        """
        The log file belongs to the user that the daemon has become, and has
        the lines from before that too.
        """
        with Background(nobodys, twistd=self.TWISTD) as daemon:
            assert daemon.log.owner() == "nobody"
            assert daemon.log.group() == "nogroup"
            assert "starting up" in daemon.log.read_text()

    def test_rotatesItsLog(self, nobodys: Path) -> None:
        """
        As that user it still rotates the log, by size and by signal, and
        opens it again.
        """
        arguments = ("--log-size", "3000", "--log-count", "2")
        with Background(nobodys, *arguments, twistd=self.TWISTD) as daemon:
            ports = visit(daemon, 100)
            until(lambda: visitors(daemon.log)[-1:] == ports[-1:], "the last line")
            files = [rotated(daemon, 2), rotated(daemon, 1), daemon.log]
            assert all(file.owner() == "nobody" for file in files)
            kept = visitors(*files)
            assert kept == ports[-len(kept) :]
            daemon.send(signal.SIGUSR1)
            daemon.waitFor("Received SIGUSR1")
            daemon.log.rename(nobodys / "moved.log")
            daemon.send(signal.SIGHUP)
            daemon.waitFor("Received SIGHUP")
            assert daemon.log.owner() == "nobody"


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

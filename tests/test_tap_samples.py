"""
The samples in C{tap/}: they start, serve, and say what is wrong in one line.
"""

import json
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from socksproxy.auth.passwords import updateFile
from tests.daemon import ROOT, TWISTD, Daemon, run
from tests.interop.client import SUCCEEDED, dial, echoes, login, through
from tests.interop.peers import requireProgram, runPeer
from tests.targets import Target, echo

TAP = ROOT / "tap"
LOOPBACK = "tcp:0:interface=127.0.0.1"
UNITS = ("socksproxy.service", "socksproxy.socket")

# Becomes the command of its arguments, as systemd would start it with a socket.
ACTIVATED = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="socksproxy.socket", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
"""


class Sample(Daemon):
    """
    C{twistd -n -y} with a sample.
    """

    def __init__(self, name: str, *options: str) -> None:
        """
        @param name: The sample's file name.
        @param options: Further options of twistd.
        """
        super().__init__()
        self._name = name
        self._options = options

    def command(self, arguments: list[str]) -> list[str]:
        return [*TWISTD, "-n", "--pidfile=", *self._options, "-y", str(TAP / self._name)]


class Unit(Daemon):
    """
    The command of a unit, with a password file and a port for the test.
    """

    def __init__(self, name: str, passwords: str, *launcher: str) -> None:
        """
        @param name: The unit's file name.
        @param passwords: The password file.
        @param launcher: A command that starts the unit's.
        """
        super().__init__()
        self._name = name
        self._passwords = passwords
        self._launcher = launcher

    def command(self, arguments: list[str]) -> list[str]:
        commands = re.findall(r"^ExecStart=(\S.*)", (TAP / self._name).read_text(), re.M)
        assert len(commands) == 1
        program, *words = shlex.split(commands[0])
        assert program == "/opt/socksproxy/bin/twistd"
        given = {
            "tcp:1080": LOOPBACK,
            "passwords:/etc/socksproxy/passwords": f"passwords:{self._passwords}",
        }
        return [*self._launcher, *TWISTD, *(given.get(word, word) for word in words)]


@pytest.fixture
def passwords(tmp_path: Path) -> str:
    """
    A password file with one user.
    """
    path = str(tmp_path / "passwords")
    updateFile(path, b"alice", b"one")
    return path


def loginAs(port: int, password: bytes) -> int:
    """
    Log in as alice.

    @return: The STATUS of the proxy's answer.
    """
    with dial(port) as connection:
        return login(connection, b"alice", password)


class TestSocksproxy:
    """
    C{socksproxy.tac}.
    """

    @pytest.fixture(autouse=True)
    def loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Let the kernel choose the port.
        """
        monkeypatch.setenv("SOCKSPROXY_LISTEN", LOOPBACK)

    def test_serves(self) -> None:
        """
        It carries bytes to a target and back, and logs the connection.
        """
        with Sample("socksproxy.tac") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                assert echoes(connection)
            daemon.waitFor(rf"CONNECT 127\.0\.0\.1:{target.port} .*: succeeded;")

    def test_drains(self) -> None:
        """
        SIGTERM lets a transfer go on to its end, and then the process ends
        with status 0.
        """
        with Sample("socksproxy.tac") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                daemon.process.send_signal(signal.SIGTERM)
                daemon.waitFor("Waiting up to 30 s for 1 transfers")
                assert echoes(connection)
            assert daemon.process.wait(20) == 0

    @pytest.mark.parametrize("options", [(), ("--logger", "socksproxy.log.json")])
    def test_logsAsJSON(self, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The file that C{SOCKSPROXY_LOG} names gets the log as JSON, whether
        the application or twistd's command line asks for it.
        """
        monkeypatch.setenv("SOCKSPROXY_LOG", "/dev/stdout")
        with Sample("socksproxy.tac", *options) as daemon:
            pass
        messages = [json.loads(line)["message"] for line in daemon.lines]
        assert any(message.startswith(f"{LOOPBACK} is open for ") for message in messages)
        assert "Server Shut Down." in messages

    def test_saysWhatIsWrongInALine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A port that cannot be had, here as it would be an open relay, ends the
        start with one line and status 1.
        """
        monkeypatch.setenv("SOCKSPROXY_LISTEN", f"{LOOPBACK} tcp:0")
        ended = run("-n", "--pidfile=", "-y", str(TAP / "socksproxy.tac"))
        assert ended.returncode == 1
        assert re.fullmatch(rb"socksproxy\.tac: tcp:0 would let anybody .*\n", ended.stderr)


class TestPasswords:
    """
    C{passwords.tac}.
    """

    @pytest.fixture(autouse=True)
    def loopback(self, monkeypatch: pytest.MonkeyPatch, passwords: str) -> None:
        """
        Let the kernel choose the port.
        """
        monkeypatch.setenv("SOCKSPROXY_LISTEN", LOOPBACK)
        monkeypatch.setenv("SOCKSPROXY_PASSWORDS", passwords)

    def test_asksForAPassword(self) -> None:
        """
        The right password opens the proxy and a wrong one does not.
        """
        with Sample("passwords.tac") as daemon:
            assert loginAs(daemon.port, b"one") == SUCCEEDED
            assert loginAs(daemon.port, b"two") != SUCCEEDED

    def test_servesOthers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It may listen on every address.
        """
        monkeypatch.setenv("SOCKSPROXY_LISTEN", "tcp:0")
        with Sample("passwords.tac") as daemon:
            assert loginAs(daemon.port, b"one") == SUCCEEDED

    def test_needsItsFile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without the password file the start ends with one line that names it,
        and status 1.
        """
        monkeypatch.setenv("SOCKSPROXY_PASSWORDS", "/nowhere/passwords")
        ended = run("-n", "--pidfile=", "-y", str(TAP / "passwords.tac"))
        assert ended.returncode == 1
        assert re.fullmatch(rb"passwords\.tac: .*/nowhere/passwords: .*\n", ended.stderr)


class TestUnits:
    """
    What is for systemd.
    """

    def test_service(self, passwords: str) -> None:
        """
        The service's command starts a proxy that asks for a password.
        """
        with Unit("socksproxy.service", passwords) as daemon:
            assert loginAs(daemon.port, b"one") == SUCCEEDED
            assert loginAs(daemon.port, b"two") != SUCCEEDED

    def test_socket(self, passwords: str) -> None:
        """
        With the drop-in the service serves the socket that systemd opened.
        """
        with Unit("socket.conf", passwords, sys.executable, "-c", ACTIVATED) as daemon:
            assert loginAs(daemon.port, b"one") == SUCCEEDED

    def test_systemdKnowsEverySetting(self, tmp_path: Path) -> None:
        """
        systemd finds nothing to say about the units, nor about the service
        with the drop-in.
        """
        analyze = requireProgram("systemd-analyze")
        dropIns = tmp_path / "socksproxy.service.d"
        dropIns.mkdir()
        for name, folder in (*((unit, tmp_path) for unit in UNITS), ("socket.conf", dropIns)):
            # systemd checks that the program is there.
            text = (TAP / name).read_text().replace("/opt/socksproxy/bin/twistd", sys.executable)
            (folder / name).write_text(text)
        units = [str(tmp_path / name) for name in UNITS]
        checked = runPeer(analyze, "verify", "--man=no", *units)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")

    def test_serviceIsConfined(self) -> None:
        """
        systemd's own measure of what a service could do to the system, from 0
        to 10, is below 2.
        """
        analyze = requireProgram("systemd-analyze")
        unit = str(TAP / "socksproxy.service")
        measured = runPeer(analyze, "security", "--offline=true", "--threshold=20", unit)
        assert measured.returncode == 0, measured.stdout.decode()


def test_isNoPackage() -> None:
    """
    C{tap/} holds no modules, so that it cannot shadow one.
    """
    assert list(TAP.glob("*.py")) == []

"""
How the daemon ends, and what it does on signals that do not end it.
"""

import signal
import time
from pathlib import Path
from queue import Queue

import pytest

from tests.daemon import TIMEOUT, Daemon
from tests.interop.background import Background
from tests.interop.client import answers, dial, echoes, through
from tests.interop.processes import isOpen, until
from tests.socksclient import NO_AUTHENTICATION
from tests.targets import Target, echo, witness

AT_ONCE = 5
"""
Seconds that an end which waits for nothing may take on a busy machine.
"""


def ended(daemon: Daemon, seconds: float = TIMEOUT) -> int:
    """
    Wait for a daemon to end.

    @return: Its exit status.
    """
    return daemon.process.wait(seconds)


class TestTerminate:
    """
    SIGTERM.
    """

    def test_letsATransferFinish(self) -> None:
        """
        The port is closed at once, while a transfer goes on in both
        directions to its end; then the status is 0.
        """
        with Daemon("--drain", "60") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                daemon.process.send_signal(signal.SIGTERM)
                daemon.waitFor("Waiting up to 60.* for 1 transfer")
                until(lambda: not isOpen(daemon.port), "a closed port")
                assert all(echoes(connection, b"x" * size) for size in (1, 1000, 100_000))
                assert daemon.process.poll() is None
            assert ended(daemon, AT_ONCE) == 0

    def test_withoutTransfers(self) -> None:
        """
        With nothing under way the end comes at once, whatever the time for
        transfers.
        """
        with Daemon("--drain", "60") as daemon:
            assert answers(daemon.port)
            daemon.waitFor("client closed during handshake")
            daemon.process.send_signal(signal.SIGTERM)
            assert ended(daemon, AT_ONCE) == 0
        assert "Traceback" not in "\n".join(daemon.lines)

    def test_rightAfterTheStart(self) -> None:
        """
        A process that has said that it is ready can be stopped.
        """
        with Daemon() as daemon:
            daemon.process.send_signal(signal.SIGTERM)
            assert ended(daemon, AT_ONCE) == 0

    def test_doesNotWaitForHandshakes(self) -> None:
        """
        A client that has not made its request yet is cut off.
        """
        with Daemon("--drain", "60") as daemon, dial(daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION)
            assert connection.recv(2) == b"\x05\x00"
            daemon.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            assert ended(daemon, AT_ONCE) == 0

    def test_waitsNoLongerThanAllowed(self) -> None:
        """
        A transfer that outlasts C{--drain} is cut off then, with a reset, and
        not before; the status is 0 all the same.
        """
        with Daemon("--drain", "1") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                began = time.monotonic()
                daemon.process.send_signal(signal.SIGTERM)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
                took = time.monotonic() - began
            assert ended(daemon) == 0
        assert 0.9 < took < 1 + AT_ONCE
        assert any("shut down" in line for line in daemon.lines)

    def test_secondCutsOff(self) -> None:
        """
        A second SIGTERM ends the waiting.
        """
        with Daemon("--drain", "60") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                daemon.process.send_signal(signal.SIGTERM)
                daemon.waitFor("Waiting up to")
                assert echoes(connection)
                daemon.process.send_signal(signal.SIGTERM)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
            assert ended(daemon, AT_ONCE) == 0

    def test_resetsTheTarget(self) -> None:
        """
        A transfer that is cut off is cut off on both sides, so that the target
        does not take it for complete.
        """
        ends: Queue[type[OSError] | None] = Queue()
        with Daemon("--drain", "0") as daemon, Target(witness(ends)) as target:
            with through(daemon.port, target.port) as connection:
                daemon.process.send_signal(signal.SIGTERM)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
                assert ends.get(timeout=TIMEOUT) is ConnectionResetError
            assert ended(daemon, AT_ONCE) == 0

    def test_inTheBackground(self, tmp_path: Path) -> None:
        """
        In the background a transfer finishes as well, and the pid file stays
        until it has.
        """
        with Background(tmp_path, "--drain", "60") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                daemon.send(signal.SIGTERM)
                daemon.waitFor("Waiting up to 60")
                assert echoes(connection)
                assert daemon.pidFile.exists()
            daemon.waitForEnd()
            assert not daemon.pidFile.exists()
            daemon.waitFor(f"CONNECT 127.0.0.1:{target.port}")


class TestInterrupt:
    """
    SIGINT.
    """

    def test_endsAtOnce(self) -> None:
        """
        Transfers under way are cut off, and the status tells of the signal,
        as a shell expects.
        """
        with Daemon("--drain", "60") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                daemon.process.send_signal(signal.SIGINT)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
            assert ended(daemon, AT_ONCE) == -signal.SIGINT
        assert "Traceback" not in "\n".join(daemon.lines)

    def test_endsTheWaiting(self) -> None:
        """
        After a SIGTERM it ends the wait for transfers.
        """
        with Daemon("--drain", "60") as daemon, Target(echo) as target:
            with through(daemon.port, target.port) as connection:
                daemon.process.send_signal(signal.SIGTERM)
                daemon.waitFor("Waiting up to")
                daemon.process.send_signal(signal.SIGINT)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
            assert ended(daemon, AT_ONCE) == 0


class TestOthers:
    """
    Signals about the log.
    """

    def test_doNotKillTheForeground(self) -> None:
        """
        SIGHUP and SIGUSR1 do no harm where there is no log file.
        """
        with Daemon() as daemon, Target(echo) as target:
            assert answers(daemon.port)
            for number, name in ((signal.SIGHUP, "SIGHUP"), (signal.SIGUSR1, "SIGUSR1")):
                daemon.process.send_signal(number)
                daemon.waitFor(f"Received {name}")
            with through(daemon.port, target.port) as connection:
                assert echoes(connection)
                daemon.process.send_signal(signal.SIGHUP)
                daemon.waitFor("Received SIGHUP")
                assert echoes(connection)

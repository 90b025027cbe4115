"""
Clients that are slow on purpose, many at a time.

The timers are shorter here than those of C{twistd socksproxy}, so that the
tests need not take minutes; nothing else is different.
"""

import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from tests.daemon import TIMEOUT, TWISTD, Daemon
from tests.interop.client import dial, echoes, through
from tests.interop.processes import descriptors, residentKiB, restingDescriptors, steady, until
from tests.targets import Target, echo

FOLDER = Path(__file__).parent
HANDSHAKE = 2.0
"""
As in C{impatient.tac}.
"""

STALLED = 500
STALLED_KIB = 256
"""
What a direction whose reader does not read may cost.
"""

BUFFER = 65536
"""
What a stalled direction has in user space at least, since it would have read
on otherwise.
"""

SLOW = 200
BATCH = 40
PACE = 0.5
AT_ONCE = 1.0


class ImpatientDaemon(Daemon):
    """
    The proxy of C{impatient.tac}.
    """

    def command(self, arguments: list[str]) -> list[str]:
        """
        See L{Daemon.command}.
        """
        return [*TWISTD, "-n", "--pidfile=", "-y", str(FOLDER / "impatient.tac")]


class Flood:
    """
    The program C{flood.py}, as a context manager.

    @ivar port: Where it listens.
    """

    def __enter__(self) -> "Flood":
        self._process = subprocess.Popen(
            [sys.executable, str(FOLDER / "flood.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = self._number()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=TIMEOUT)

    def start(self) -> None:
        """
        Let it send.
        """
        self._command("go")

    def sent(self) -> int:
        """
        Count the octets that it has sent.
        """
        self._command("count")
        return self._number()

    def reset(self) -> None:
        """
        End it, resetting every connection.
        """
        self._command("reset")
        self._process.wait(TIMEOUT)

    def kill(self) -> None:
        """
        End it as it is.
        """
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(TIMEOUT)

    def _command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def test_clientsThatDoNotRead() -> None:
    """
    Clients that read nothing of what their targets send without end cost
    little, and when their targets have reset the connections, or died without
    a word, everything they held is freed.
    """
    with (
        ImpatientDaemon() as daemon,
        Flood() as resetting,
        Flood() as dying,
        ExitStack() as clients,
    ):
        pid = daemon.process.pid
        base, before = restingDescriptors(pid), residentKiB(pid)
        for number in range(STALLED):
            port = (resetting, dying)[number % 2].port
            clients.enter_context(through(daemon.port, port, receiveBuffer=4096))
        resetting.start()
        dying.start()
        steady(lambda: resetting.sent() + dying.sent(), 0.3)
        growth = residentKiB(pid) - before
        assert descriptors(pid) == base + 2 * STALLED
        assert growth < STALLED * STALLED_KIB, f"{growth / STALLED:.0f} KiB for each"
        assert min(resetting.sent(), dying.sent()) > STALLED // 2 * BUFFER
        resetting.reset()
        dying.kill()
        for _ in range(STALLED):
            daemon.waitFor(r"succeeded; 0 sent, \d+ received, .*; (target reset|client does not)")
        until(lambda: descriptors(pid) == base, "every descriptor closed")


def secondsToGreet(daemon: Daemon, target: Target) -> float:
    """
    Measure how long a client with nothing wrong waits for its session.
    """
    began = time.monotonic()
    with through(daemon.port, target.port) as connection:
        assert echoes(connection)
    return time.monotonic() - began


def dripUntilClosed(clients: list[socket.socket], dripping: set[socket.socket]) -> list[float]:
    """
    Wait until the proxy has closed every connection, while some of the
    clients send an octet now and then.

    @return: The time of each end.
    """
    ends = []
    waiting = set(clients)
    while waiting:
        readable, _, _ = select.select(waiting, [], [], PACE)
        for connection in readable:
            waiting.remove(connection)
            ends.append(time.monotonic())
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        if not readable:
            for connection in waiting & dripping:
                with suppress(OSError):
                    connection.sendall(b"\xff")
    return ends


def test_clientsThatHardlySpeak() -> None:
    """
    Clients that send an octet and no more, or one now and then, are all cut
    off when the time for a handshake is over, not sooner and not later, and
    keep nobody waiting until then.
    """
    with ImpatientDaemon() as daemon, Target(echo) as target, ExitStack() as clients:
        assert secondsToGreet(daemon, target) < AT_ONCE
        base = restingDescriptors(daemon.process.pid)
        slow: list[socket.socket] = []

        def accepted() -> bool:
            return descriptors(daemon.process.pid) == base + len(slow)

        began = time.monotonic()
        while len(slow) < SLOW:
            batch = [clients.enter_context(dial(daemon.port)) for _ in range(BATCH)]
            for connection in batch:
                connection.sendall(b"\x05")
            slow += batch
            until(accepted, "accepted")
        opened = time.monotonic()
        assert secondsToGreet(daemon, target) < AT_ONCE
        ends = dripUntilClosed(slow, set(slow[::2]))
        assert min(ends) >= began + HANDSHAKE
        assert max(ends) < opened + HANDSHAKE + AT_ONCE
        for _ in slow:
            daemon.waitFor("handshake took too long")
        until(lambda: descriptors(daemon.process.pid) == base, "every descriptor closed")

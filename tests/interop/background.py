"""
The proxy as twistd runs it without C{-n}: in the background.
"""

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.daemon import run
from tests.interop.processes import catches, until, waitForEnd


class Background:
    """
    A daemon with a pid file and a log file, as a context manager.

    @cvar READY: The signal that it catches once it is ready for any.
    @ivar pidFile: The pid file.
    @ivar log: The log file.
    @ivar pid: The daemon's process id.
    @ivar port: The port of its listener.
    """

    READY = signal.SIGUSR1

    def __init__(self, folder: Path, *arguments: str, twistd: Sequence[str] = ()) -> None:
        """
        @param folder: Where its files shall be.
        @param arguments: Options of C{socksproxy}.
        @param twistd: Further options of twistd.
        """
        self.pidFile = folder / "proxy.pid"
        self.log = folder / "proxy.log"
        self._folder = folder
        self._arguments = arguments
        self._twistd = twistd
        self.pid = self.port = 0

    def command(self) -> list[str]:
        """
        Give twistd's command line without the pid file.
        """
        return [
            f"--logfile={self.log}",
            *self._twistd,
            "socksproxy",
            "--listen=tcp:0:interface=127.0.0.1",
            *self._arguments,
        ]

    def __enter__(self) -> "Background":
        starts = sum("Try: curl" in line for line in self.lines())
        started = run(f"--pidfile={self.pidFile}", *self.command(), cwd=self._folder)
        if started.returncode != 0 or started.stdout or started.stderr:
            raise AssertionError(f"not started silently: {started}")
        self.pid = int(self.pidFile.read_text())
        self._descriptor = os.pidfd_open(self.pid)
        try:
            self.waitFor("Try: curl", starts + 1)
            ports = re.findall(r"Try: curl .*://127\.0\.0\.1:(\d+)", self.log.read_text())
            self.port = int(ports[-1])
            until(lambda: catches(self.pid, self.READY), "ready for signals")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            os.kill(self.pid, signal.SIGINT)
            waitForEnd(self._descriptor)
        except ProcessLookupError:
            pass
        finally:
            os.close(self._descriptor)

    def send(self, number: signal.Signals) -> None:
        """
        Send the daemon a signal.
        """
        os.kill(self.pid, number)

    def waitForEnd(self) -> None:
        """
        Wait for the daemon to end.
        """
        waitForEnd(self._descriptor)

    def lines(self) -> list[str]:
        """
        Give the log file's lines.
        """
        return self.log.read_text().splitlines() if self.log.exists() else []

    def waitFor(self, text: str, count: int = 1) -> None:
        """
        Wait until so many lines of the log file hold some text.
        """
        until(
            lambda: sum(text in line for line in self.lines()) >= count,
            f"{count} lines with {text!r} in {self.log.name}",
        )

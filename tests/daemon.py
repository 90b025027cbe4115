"""
The real daemon, started by tests as a user would start it.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
TIMEOUT = 30


def environment() -> dict[str, str]:
    """
    Give the environment in which the checkout's own code is run.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(
    *arguments: str,
    cwd: str | Path | None = None,
    input: bytes = b"",  # noqa: A002
) -> subprocess.CompletedProcess[bytes]:
    """
    Run twistd to its end.

    @param arguments: Its command line.
    """
    return subprocess.run(
        [*TWISTD, *arguments],
        cwd=cwd,
        env=environment(),
        input=input,
        capture_output=True,
        timeout=TIMEOUT,
    )


class Daemon:
    """
    C{twistd -n socksproxy} in a folder of its own, as a context manager.

    @ivar lines: What it has logged so far, as far as it has been read.
    @ivar port: The port of its first listener.
    @ivar process: The process.
    """

    def __init__(self, *arguments: str, listen: str = "tcp:0:interface=127.0.0.1") -> None:
        """
        @param arguments: Options of C{socksproxy}.
        @param listen: The first listener.
        """
        self._arguments = ["--listen", listen, *arguments]
        self.lines: list[str] = []
        self.port = 0
        self._read: SimpleQueue[str | None] = SimpleQueue()

    def command(self, arguments: list[str]) -> list[str]:
        """
        Give the command line; a subclass may start the proxy in another way.

        @param arguments: Options of C{socksproxy}.
        """
        return [*TWISTD, "-n", "--pidfile=", "socksproxy", *arguments]

    def __enter__(self) -> "Daemon":
        self._folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            self.command(self._arguments),
            cwd=self._folder.name,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # A daemon whose log nobody reads would stop once the pipe is full.
        self._read = SimpleQueue()
        self._reader = threading.Thread(target=self._readLog, daemon=True)
        self._reader.start()
        try:
            match = self.waitFor(r"(?:Try: curl .*?://|, at )(?:\[.*?\]|[^:/]+):(\d+)")
            # For a listener that curl cannot use there is no second line.
            used = not self._arguments[1].startswith("ssl:") and not any(
                argument.startswith("gssapi:") for argument in self._arguments
            )
            if "Try: " not in match.string and used:
                self.waitFor("Try: curl")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.port = int(match[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._reader.join(TIMEOUT)
            while (line := self._read.get()) is not None:
                self.lines.append(line)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self._folder.cleanup()

    def _readLog(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self._read.put(line.rstrip("\n"))
        self._read.put(None)

    def waitFor(self, pattern: str) -> re.Match[str]:
        """
        Read the log up to a line that matches.

        @return: The match.
        @raise AssertionError: The daemon ended without such a line, or was
            ended because there was none in time.
        """
        limit = time.monotonic() + TIMEOUT
        while True:
            try:
                line = self._read.get(timeout=max(0.0, limit - time.monotonic()))
            except Empty:
                # Without a daemon there are no more lines to wait for.
                self.process.kill()
                line = None
            if line is None:
                self._read.put(None)
                raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self.lines))
            self.lines.append(line)
            match = re.search(pattern, line)
            if match is not None:
                return match

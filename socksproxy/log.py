"""
Where the log goes: a file that is rotated by size and count, as text or JSON.

twistd's own log file keeps every rotation for ever, and stops rotating when it
was opened by root and the process is root no longer. This one is opened when
the reactor starts, after privileges have been dropped, and again on SIGHUP
(L{reopenLogs}), for those whose logrotate moves it away.

The daemon uses it for C{twistd --logfile}. Any other program of twistd's can
name one of the two factories::

    SOCKSPROXY_LOG=/var/log/proxy.json twistd --logger socksproxy.log.json -y proxy.tac
"""

from __future__ import annotations

import atexit
import json as jsonFormat
import os
import re
import sys
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import Any, Protocol, TextIO, cast
from weakref import WeakSet

from twisted.logger import (
    ILogObserver,
    LogEvent,
    eventAsText,
    formatEvent,
    formatEventAsClassicLogText,
    formatTime,
)
from zope.interface import implementer

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]|(?<!\n)\t")

DEFAULT_SIZE = 10_000_000
DEFAULT_COUNT = 5
MAX_HELD_LINES = 10_000

_logFiles: WeakSet[LogFile] = WeakSet()


class _Lines(Protocol):
    """
    Something that lines can be written to.
    """

    def write(self, line: str) -> None:
        """
        Append a line, which ends with a newline.
        """


class LogFile:
    """
    A file that lines are appended to, and that makes room for a new one when
    it is full: C{path} becomes C{path.1}, that C{path.2} and so on, and the
    last is deleted.

    Until L{open} is called, lines are held back.
    """

    def __init__(self, path: str, size: int = DEFAULT_SIZE, count: int = DEFAULT_COUNT) -> None:
        """
        @param path: The file.
        @param size: Octets after which it is rotated; 0 for never.
        @param count: How many rotated files are kept beside it.
        """
        # The process changes its directory when it becomes a daemon.
        self.path = os.path.abspath(path)
        self._size = size
        self._count = count
        self._file: TextIO | None = None
        self._length = 0
        self._held: deque[str] = deque(maxlen=MAX_HELD_LINES)
        _logFiles.add(self)
        # A process that ends before its reactor starts says why in its log.
        atexit.register(self._openAtExit)

    def write(self, line: str) -> None:
        """
        Append a line, which ends with a newline.
        """
        if self._file is None:
            self._held.append(line)
            return
        length = len(line.encode("utf-8", "backslashreplace"))
        if self._size and self._length and self._length + length > self._size:
            self.rotate()
        self._length += length
        self._file.write(line)
        self._file.flush()

    def open(self) -> None:
        """
        Open the file and write what was held back.

        @raise OSError: It cannot be opened; lines go on being held back.
        """
        file = open(self.path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        self.close()
        self._file = file
        self._length = os.fstat(file.fileno()).st_size
        held, self._held = self._held, deque(maxlen=MAX_HELD_LINES)
        for line in held:
            self.write(line)

    def close(self) -> None:
        """
        Close the file; lines are held back until it is opened again.
        """
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def rotate(self) -> None:
        """
        Begin a new file. Where that is not possible, the old one goes on.
        """
        if self._file is None:
            return
        try:
            for number in range(self._count, 0, -1):
                older = f"{self.path}.{number - 1}" if number > 1 else self.path
                if os.path.exists(older):
                    os.replace(older, f"{self.path}.{number}")
            if self._count == 0 and os.path.exists(self.path):
                os.unlink(self.path)
            self.open()
        except OSError:
            # There is no better place to say so than the file at hand, and
            # trying again with every line would help nobody.
            self._length = 0

    def _openAtExit(self) -> None:
        if self._held and self._file is None:
            try:
                self.open()
            except OSError as e:
                print(f"cannot write the log to {self.path}: {e.strerror}", file=sys.stderr)


def reopenLogs() -> None:
    """
    Open every log file of this process by its name again.

    @raise OSError: One of them cannot be opened; the others have been.
    """
    failed: OSError | None = None
    for logFile in list(_logFiles):
        try:
            logFile.open()
        except OSError as e:
            failed = e
    if failed is not None:
        raise failed


def rotateLogs() -> None:
    """
    Begin a new file for every log file of this process.
    """
    for logFile in list(_logFiles):
        logFile.rotate()


@implementer(ILogObserver)
class LineObserver:
    """
    Writes each event as one line.
    """

    def __init__(self, formatLine: Callable[[LogEvent], str | None], output: _Lines) -> None:
        """
        @param formatLine: Makes the line, or L{None} for an event not worth
            one.
        @param output: Where it goes.
        """
        self._formatLine = formatLine
        self._output = output

    def __call__(self, event: LogEvent) -> None:
        """
        See C{ILogObserver}.
        """
        line = self._formatLine(event)
        if line:
            self._output.write(line)


def textLine(event: LogEvent) -> str | None:
    """
    Format an event as twistd does, which indents further lines. Any other
    control character is shown escaped: it would act on a terminal.
    """
    if "log_failure" in event or "log_namespace" not in event or "log_system" in event:
        line = formatEventAsClassicLogText(event)
        return None if line is None else _escaped(line)
    # The same, only faster: most of Twisted's work is the time of day.
    message = formatEvent(event)
    if not message:
        return None
    level = event.get("log_level")
    system = f"{event['log_namespace']}#{level.name if level else '-'}"
    text = message.replace("\n", "\n\t")
    return _escaped(f"{_timeOfDay(int(event['log_time']))} [{system}] {text}\n")


@lru_cache(maxsize=2)
def _timeOfDay(seconds: int) -> str:
    return formatTime(seconds)


def _escaped(line: str) -> str:
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], line)


def jsonLine(event: LogEvent) -> str | None:
    """
    Format an event as a JSON object on a line: C{time}, C{level},
    C{namespace}, C{message}, C{traceback} where there is one, and the event's
    own fields.
    """
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(),
        "level": level.name if (level := event.get("log_level")) else "info",
        "namespace": event.get("log_namespace", "-"),
        "message": formatEvent(event),
    }
    if "log_failure" in event:
        fields["traceback"] = eventAsText(
            event, includeTraceback=True, includeTimestamp=False, includeSystem=False
        )
    if "log_event" in event:
        fields["event"] = event["log_event"]
    for name, value in event.items():
        if name.startswith("log_") or name in _LEGACY:
            continue
        if isinstance(value, float) and not isfinite(value):
            # JSON has no such number.
            value = str(value)
        if isinstance(value, str | int | float | bool | None):
            fields.setdefault(name, value)
    return jsonFormat.dumps(fields, ensure_ascii=True) + "\n"


# What twisted.logger adds for observers of the time before it.
_LEGACY = frozenset(("system", "isError", "format", "message", "time", "printed"))


_STYLES = {"text": textLine, "json": jsonLine}


def observerFor(
    path: str,
    style: str,
    size: int = DEFAULT_SIZE,
    count: int = DEFAULT_COUNT,
) -> ILogObserver:
    """
    Make an observer that writes to a file once the reactor runs.

    @param path: The file.
    @param style: C{text} or C{json}.
    @param size: As for L{LogFile}.
    @param count: As for L{LogFile}.
    """
    from twisted.internet import reactor

    logFile = LogFile(path, size, count)
    cast(Any, reactor).callWhenRunning(logFile.open)
    return LineObserver(_STYLES[style], logFile)


def standardOutput(style: str) -> ILogObserver:
    """
    Make an observer that writes to standard output at once.

    @param style: C{text} or C{json}.
    """
    return LineObserver(_STYLES[style], _Unbuffered(sys.stdout))


class _Unbuffered:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()


def text() -> ILogObserver:
    """
    Make a text observer from the environment: C{SOCKSPROXY_LOG} names the
    file, C{SOCKSPROXY_LOG_SIZE} and C{SOCKSPROXY_LOG_COUNT} say when it is
    rotated and how often. For C{twistd --logger}.
    """
    return _observerFromEnvironment("text")


def json() -> ILogObserver:
    """
    Make a JSON observer; otherwise as L{text}.
    """
    return _observerFromEnvironment("json")


def _observerFromEnvironment(style: str) -> ILogObserver:
    try:
        size = int(os.environ.get("SOCKSPROXY_LOG_SIZE", DEFAULT_SIZE))
        count = int(os.environ.get("SOCKSPROXY_LOG_COUNT", DEFAULT_COUNT))
    except ValueError:
        sys.exit("SOCKSPROXY_LOG_SIZE and SOCKSPROXY_LOG_COUNT are numbers")
    return observerFor(os.environ.get("SOCKSPROXY_LOG", "socksproxy.log"), style, size, count)

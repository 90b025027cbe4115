"""
The file in which names keep the addresses that stand for them, so that clients
who still use one after a restart get where they want.

Lines are added to its end as they come, but no more often than once a second,
so that not much is lost whatever happens. At the start it is written anew, with
what still counts.

@see: L{socksproxy.dns.fakeip}
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

FLUSH_INTERVAL = 1.0
"""
Seconds between two times that the file is written to.
"""

MAX_OCTETS = 64 * 1024 * 1024
"""
What is read of a file: many times what one has after L{FakeFile.rewrite}.
"""

MAX_ADDED = 200_000
"""
Lines that are added before the file is written anew.
"""

MAX_WAITING = 10_000
"""
Lines that wait for the file to become writable, the newest ones.
"""

_MODE = 0o600


class _IDelayedCall(Protocol):
    def cancel(self) -> object:
        """
        Do not call.
        """


CallLater = Callable[[float, Callable[[], object]], _IDelayedCall]


class FakeFile:
    """
    A file of lines.
    """

    def __init__(
        self,
        path: str,
        callLater: CallLater,
        failed: Callable[[OSError], object],
        contents: Callable[[], bytes] | None = None,
    ) -> None:
        """
        @param path: Where it is. Only its owner may read it, since it says
            who has been connected to.
        @param callLater: The reactor's.
        @param failed: Told why lines could not be written, once until they
            can be again; that is tried every second.
        @param contents: Gives all lines that still count. With it the file is
            written anew when it has become long.
        """
        self._path = Path(path)
        self._callLater = callLater
        self._failed = failed
        self._contents = contents
        self._added = 0
        self._failing = False
        self._waiting: list[bytes] = []
        self._pause: _IDelayedCall | None = None

    def load(self) -> bytes:
        """
        Read the file, the newest lines if it is very long.

        @return: Nothing if there is none.
        @raise OSError: It cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                excess = os.fstat(file.fileno()).st_size - MAX_OCTETS
                if excess > 0:
                    file.seek(excess)
                    file.readline()
                return file.read(MAX_OCTETS)
        except FileNotFoundError:
            return b""

    def rewrite(self, octets: bytes) -> None:
        """
        Put other lines in place of all that are there; whatever happens, the
        file has either these or those.

        @raise OSError: It cannot be written.
        """
        temporary = self._path.with_name(f"{self._path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            with open(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._waiting.clear()
        self._added = 0
        self._failing = False

    def append(self, line: bytes) -> None:
        """
        Add a line, now or within a second.
        """
        self._waiting.append(line)
        if self._pause is None:
            self._flush()
            self._pause = self._callLater(FLUSH_INTERVAL, self._paused)

    def close(self) -> None:
        """
        Write what is waiting.
        """
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._flush()

    def _paused(self) -> None:
        self._pause = None
        if self._waiting:
            self._flush()
            self._pause = self._callLater(FLUSH_INTERVAL, self._paused)

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            if self._contents is not None and self._added >= MAX_ADDED:
                self.rewrite(self._contents())
            else:
                self._write(b"".join(self._waiting))
        except OSError as e:
            del self._waiting[:-MAX_WAITING]
            if not self._failing:
                self._failing = True
                self._failed(e)

    def _write(self, octets: bytes) -> None:
        if self._failing:
            # Part of a line may have been written.
            octets = b"\n" + octets
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
        with open(descriptor, "ab") as file:
            file.write(octets)
        self._added += len(self._waiting)
        self._waiting.clear()
        self._failing = False

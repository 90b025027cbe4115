"""
Tests for L{socksproxy.log}: files.
"""

from __future__ import annotations

import atexit
import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from weakref import WeakSet

import pytest

from socksproxy import log
from socksproxy.log import LogFile, reopenLogs, rotateLogs

Make = Callable[..., LogFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """
    Give the path of a log file.
    """
    return tmp_path / "proxy.log"


@pytest.fixture(autouse=True)
def _ownLogFiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let each test be a process without log files.
    """
    monkeypatch.setattr(log, "_logFiles", WeakSet())


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """
    Give a maker of log files, which are gone after the test.
    """
    made: list[LogFile] = []

    def makeLogFile(
        size: int = 100, count: int = 2, isOpen: bool = True, name: str = ""
    ) -> LogFile:
        made.append(LogFile(str(path.with_name(name or path.name)), size, count))
        if isOpen:
            made[-1].open()
        return made[-1]

    yield makeLogFile
    for logFile in made:
        logFile.close()
        atexit.unregister(logFile._openAtExit)


def names(path: Path) -> list[str]:
    """
    Give the names of a log file and of its older ones.
    """
    return sorted(os.listdir(path.parent))


def test_append(make: Make, path: Path) -> None:
    """
    Lines go to the end of the file, at once, behind what is there already.
    """
    path.write_text("old\n")
    logFile = make()
    logFile.write("new\n")
    assert path.read_text() == "old\nnew\n"
    logFile.write("newer\n")
    assert path.read_text() == "old\nnew\nnewer\n"


def test_heldUntilOpen(make: Make, path: Path) -> None:
    """
    Until it is opened the file is not there, and then it holds what was
    written before, in order.
    """
    logFile = make(isOpen=False)
    logFile.write("one\n")
    logFile.write("two\n")
    assert not path.exists()
    logFile.open()
    logFile.write("three\n")
    assert path.read_text() == "one\ntwo\nthree\n"


def test_heldLinesAreBounded(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of very many lines that are held back the latest are kept.
    """
    monkeypatch.setattr("socksproxy.log.MAX_HELD_LINES", 3)
    logFile = make(isOpen=False, size=0)
    for number in range(10):
        logFile.write(f"{number}\n")
    logFile.open()
    assert path.read_text() == "7\n8\n9\n"


def test_heldWhileClosed(make: Make, path: Path) -> None:
    """
    Between a close and the next opening lines are held back, too.
    """
    logFile = make()
    logFile.close()
    logFile.close()
    logFile.write("one\n")
    assert path.read_text() == ""
    logFile.open()
    assert path.read_text() == "one\n"


def test_rotatedBySize(make: Make, path: Path) -> None:
    """
    A line that would make the file too large begins a new one; the older ones
    are numbered, and the oldest is gone.
    """
    logFile = make(size=10, count=2)
    for line in ("1234\n", "5678\n", "a\n", "bbbbbbbb\n", "cccccccc\n", "dddddddd\n"):
        logFile.write(line)
    assert names(path) == ["proxy.log", "proxy.log.1", "proxy.log.2"]
    assert path.read_text() == "dddddddd\n"
    assert path.with_name("proxy.log.1").read_text() == "cccccccc\n"
    assert path.with_name("proxy.log.2").read_text() == "bbbbbbbb\n"


def test_exactlyFull(make: Make, path: Path) -> None:
    """
    A file may be as large as was said, and not larger.
    """
    logFile = make(size=10)
    logFile.write("1234\n")
    logFile.write("5678\n")
    assert names(path) == ["proxy.log"]
    logFile.write("\n")
    assert path.with_name("proxy.log.1").read_text() == "1234\n5678\n"
    assert path.read_text() == "\n"


def test_sizeInOctets(make: Make, path: Path) -> None:
    """
    The size is counted in octets, not in characters.
    """
    logFile = make(size=10)
    logFile.write("ëëëë\n")
    logFile.write("x\n")
    assert path.read_text() == "x\n"


def test_longLine(make: Make, path: Path) -> None:
    """
    A single line that is longer than a file may be is a file of its own.
    """
    logFile = make(size=10)
    logFile.write("x" * 50 + "\n")
    logFile.write("y\n")
    assert path.read_text() == "y\n"
    assert path.with_name("proxy.log.1").read_text() == "x" * 50 + "\n"
    assert names(path) == ["proxy.log", "proxy.log.1"]


def test_sizeOfWhatIsThere(make: Make, path: Path) -> None:
    """
    What stands in the file already counts.
    """
    path.write_text("123456\n")
    make(size=10).write("7890\n")
    assert path.read_text() == "7890\n"
    assert path.with_name("proxy.log.1").read_text() == "123456\n"


def test_heldLinesRotate(make: Make, path: Path) -> None:
    """
    Lines that were held back are no exception, and none is lost.
    """
    logFile = make(size=10, count=5, isOpen=False)
    lines = [f"line {number}\n" for number in range(5)]
    for line in lines:
        logFile.write(line)
    logFile.open()
    found = [path.with_name(name).read_text() for name in reversed(names(path))]
    assert "".join(found) == "".join(lines)
    assert len(found) == 5


def test_noSize(make: Make, path: Path) -> None:
    """
    With a size of 0 the file grows for ever.
    """
    logFile = make(size=0)
    for _ in range(100):
        logFile.write("x" * 99 + "\n")
    assert names(path) == ["proxy.log"]
    assert path.stat().st_size == 10000


def test_noOlderFiles(make: Make, path: Path) -> None:
    """
    With a count of 0 a full file is thrown away.
    """
    logFile = make(size=10, count=0)
    for number in range(5):
        logFile.write(f"line {number}\n")
    assert names(path) == ["proxy.log"]
    assert path.read_text() == "line 4\n"


def test_noOlderFilesAndNoFile(make: Make, path: Path) -> None:
    """
    The same when somebody has thrown it away before.
    """
    logFile = make(size=10, count=0)
    logFile.write("old\n")
    path.unlink()
    logFile.rotate()
    logFile.write("new\n")
    assert path.read_text() == "new\n"


def test_gapInOlderFiles(make: Make, path: Path) -> None:
    """
    An older file that somebody has taken away leaves a gap and does no harm.
    """
    logFile = make(size=10, count=3)
    path.with_name("proxy.log.2").write_text("two\n")
    logFile.write("one\n")
    logFile.rotate()
    assert names(path) == ["proxy.log", "proxy.log.1", "proxy.log.3"]


def test_reopen(make: Make, path: Path) -> None:
    """
    When somebody has moved the file away, a new one is begun on request, and
    until then lines go to the old one.
    """
    logFile = make()
    logFile.write("one\n")
    moved = path.rename(path.with_name("moved"))
    logFile.write("two\n")
    reopenLogs()
    logFile.write("three\n")
    assert moved.read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_reopenCounts(make: Make, path: Path) -> None:
    """
    The size of a file opened again is its own.
    """
    logFile = make(size=10)
    logFile.write("12345678\n")
    path.rename(path.with_name("moved"))
    logFile.open()
    logFile.write("1234\n")
    assert names(path) == ["moved", "proxy.log"]


def test_reopenFails(make: Make, path: Path) -> None:
    """
    When the file cannot be opened again, the old one goes on.
    """
    logFile = make()
    moved = path.rename(path.with_name("moved"))
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        logFile.open()
    logFile.write("one\n")
    assert moved.read_text() == "one\n"


def test_reopenOthers(make: Make, path: Path) -> None:
    """
    A file that cannot be opened again does not keep the others from it.
    """
    files = [make(name=f"{number}.log") for number in range(6)]
    for number in range(6):
        path.with_name(f"{number}.log").rename(path.with_name(f"{number}.moved"))
    path.with_name("3.log").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        reopenLogs()
    for logFile in files:
        logFile.write("new\n")
    assert [path.with_name(f"{number}.moved").read_text() for number in range(6)] == [
        "new\n" if number == 3 else "" for number in range(6)
    ]


def test_rotateOnRequest(make: Make, path: Path) -> None:
    """
    A new file can be begun at any time.
    """
    logFile = make(size=0)
    logFile.write("one\n")
    rotateLogs()
    logFile.write("two\n")
    assert path.read_text() == "two\n"
    assert path.with_name("proxy.log.1").read_text() == "one\n"


def test_rotateBeforeOpen(make: Make, path: Path) -> None:
    """
    A file that is not open is not rotated.
    """
    path.write_text("old\n")
    make(isOpen=False).rotate()
    assert names(path) == ["proxy.log"]


@pytest.mark.parametrize("size", [10])
def test_rotationFails(make: Make, path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a file cannot be renamed, lines go on into the old one, and renaming
    is not tried again with every one of them.
    """
    tried: list[object] = []

    def replace(*arguments: object) -> None:
        tried.append(arguments)
        raise PermissionError(13, "Permission denied")

    logFile = make(size=size, count=1)
    logFile.write("12345678\n")
    monkeypatch.setattr("socksproxy.log.os.replace", replace)
    logFile.write("abcd\n")
    logFile.write("e\n")
    assert path.read_text() == "12345678\nabcd\ne\n"
    assert len(tried) == 1


def test_unwritable(make: Make, path: Path) -> None:
    """
    A path that cannot be written to is told to whoever opens it, and the
    lines are kept for later.
    """
    path.mkdir()
    logFile = make(isOpen=False)
    logFile.write("one\n")
    with pytest.raises(OSError, match="Is a directory"):
        logFile.open()
    logFile.write("two\n")
    path.rmdir()
    logFile.open()
    assert path.read_text() == "one\ntwo\n"


def test_absolutePath(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The file stays where it was meant to be when the process changes its
    folder, as a daemon does.
    """
    monkeypatch.chdir(path.parent)
    logFile = LogFile(path.name)
    atexit.unregister(logFile._openAtExit)
    assert logFile.path == str(path)


def test_surrogates(make: Make, path: Path) -> None:
    """
    Text that cannot be encoded, as from file names, is written with escapes.
    """
    make().write("caf\udce9\n")
    assert path.read_bytes() == b"caf\\udce9\n"


def test_exitBeforeStart(make: Make, path: Path) -> None:
    """
    A process that ends before its reactor starts leaves its lines in the
    file.
    """
    logFile = make(isOpen=False)
    logFile.write("cannot listen\n")
    logFile._openAtExit()
    assert path.read_text() == "cannot listen\n"


def test_exitWithoutLines(make: Make, path: Path) -> None:
    """
    One that has nothing to say makes no file.
    """
    make(isOpen=False)._openAtExit()
    assert not path.exists()


def test_exitUnwritable(make: Make, path: Path) -> None:
    """
    One that cannot write its log says so in a line.
    """
    path.mkdir()
    logFile = make(isOpen=False)
    logFile.write("cannot listen\n")
    with redirect_stderr(io.StringIO()) as output:
        logFile._openAtExit()
    assert output.getvalue() == f"cannot write the log to {path}: Is a directory\n"

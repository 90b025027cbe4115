"""
What cannot work is said in one line, and nothing stays behind.
"""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from socksproxy.auth.passwords import updateFile
from tests.daemon import run
from tests.interop.processes import freePort, isOpen

Arguments = Callable[[Path], list[str]]
EVERYWHERE = "tcp:0:interface=0.0.0.0"


def always(*arguments: str) -> Arguments:
    """
    Make arguments that need no files.
    """
    return lambda folder: list(arguments)


def malformed(folder: Path) -> list[str]:
    """
    Name a password file whose second line is no record.
    """
    path = folder / "passwords"
    updateFile(str(path), b"alice", b"one")
    path.write_text(path.read_text() + "bob:in-the-clear\n")
    return ["--auth", f"passwords:{path}"]


def missing(kind: str) -> Arguments:
    """
    Make arguments that name a password file which is not there.
    """
    return lambda folder: ["--auth", f"{kind}:{folder / 'nowhere'}"]


def unreadable(kind: str) -> Arguments:
    """
    Make arguments that name a folder as the password file, which not even
    root can read.
    """
    return lambda folder: ["--auth", f"{kind}:{folder}"]


# What is wrong: the arguments, and what the line has to name.
ERRORS: dict[str, tuple[Arguments, list[str]]] = {
    "unknown option": (always("--nope"), ["--nope"]),
    "option without its value": (always("--drain"), ["--drain"]),
    "endpoint without a number": (always("--listen", "tcp:socks"), ["tcp:socks"]),
    "endpoint with an unknown argument": (always("--listen", "tcp:0:colour=red"), ["colour"]),
    "empty endpoint": (always("--listen", ""), ["listen"]),
    "unknown endpoint type": (always("--listen", "carrier:1"), ["carrier"]),
    "missing password file": (missing("passwords"), ["--auth", "nowhere", "No such file"]),
    "missing clear-text file": (missing("file"), ["--auth", "nowhere", "No such file"]),
    "unreadable password file": (unreadable("passwords"), ["--auth", "s a directory"]),
    "unreadable clear-text file": (unreadable("file"), ["--auth", "s a directory"]),
    "malformed password file": (malformed, ["--auth", "passwords", "line 2"]),
    "unknown authentication": (always("--auth", "fingerprint:x"), ["--auth", "fingerprint"]),
    "open relay": (always("--listen", EVERYWHERE), [EVERYWHERE, "--auth", "--open-relay"]),
    "open relay, said otherwise": (
        always("--listen", EVERYWHERE, "--auth", "anonymous"),
        [EVERYWHERE, "--open-relay"],
    ),
    "unknown log format": (always("--log-format", "xml"), ["--log-format"]),
    "drain that is no number": (always("--drain", "soon"), ["soon"]),
    "negative drain": (always("--drain", "-1"), ["--drain"]),
    "size that is no number": (always("--log-size", "10M"), ["10M"]),
    "stray argument": (always("stray"), ["stray"]),
}


def oneLine(folder: Path, mode: list[str], arguments: list[str]) -> str:
    """
    Start the proxy with a good listener and arguments that must not work.

    @return: The one line that it says.
    """
    port = freePort()
    pidFile = folder / "proxy.pid"
    try:
        ended = run(
            *mode,
            f"--pidfile={pidFile}",
            "socksproxy",
            f"--listen=tcp:{port}:interface=127.0.0.1",
            *arguments,
            cwd=folder,
        )
    finally:
        if pidFile.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pidFile.read_text()), signal.SIGKILL)
    assert ended.returncode != 0
    assert ended.stdout == b""
    assert not isOpen(port)
    assert not pidFile.exists()
    line = ended.stderr.decode()
    assert line.count("\n") == 1 and line.endswith("\n"), line
    return line


@pytest.mark.parametrize("mode", [["-n"], []], ids=["foreground", "background"])
@pytest.mark.parametrize("error", ERRORS)
def test_saysWhatIsWrong(error: str, mode: list[str], tmp_path: Path) -> None:
    """
    What is wrong is named in one line on standard error; the status is not 0,
    and neither a listener nor a pid file is left.
    """
    arguments, named = ERRORS[error]
    line = oneLine(tmp_path, mode, arguments(tmp_path))
    assert all(part in line for part in named), line


@pytest.mark.parametrize("mode", [["-n"], []], ids=["foreground", "background"])
def test_saysWhichPortIsTaken(mode: list[str], tmp_path: Path) -> None:
    """
    A port that somebody else has is named in the line.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        line = oneLine(tmp_path, mode, ["--listen", taken])
    assert f"cannot listen on {taken}: Address already in use" in line


@pytest.mark.parametrize("mode", [["-n"], []], ids=["foreground", "background"])
def test_saysWhichLogCannotBeWritten(mode: list[str], tmp_path: Path) -> None:
    """
    A log file in a folder that is not there is named in the line.
    """
    log = tmp_path / "nowhere" / "proxy.log"
    line = oneLine(tmp_path, [*mode, f"--logfile={log}"], [])
    assert str(log) in line


def test_showsNoSecret(tmp_path: Path) -> None:
    """
    A secret in an endpoint string does not get into the error.
    """
    line = oneLine(tmp_path, ["-n"], ["--listen", "carrier:1:key=correct-horse"])
    assert "carrier" in line
    assert "correct-horse" not in line

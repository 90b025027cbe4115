"""
Tests for L{socksproxy.__main__}: the tools beside the daemon.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from socksproxy import __version__
from socksproxy.__main__ import main
from socksproxy.auth import passwords
from socksproxy.auth.passwords import ScryptHash, decodeRecords


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Make new hashes cost nothing.
    """
    monkeypatch.setattr(
        ScryptHash,
        "_derive",
        lambda self, password, length: passwords.hashlib.scrypt(
            password, salt=self.salt, n=2, r=1, p=1, dklen=length
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """
    Give the path of a file that is not there yet.
    """
    return tmp_path / "passwords"


class Terminal(io.StringIO):
    """
    Standard input that is a terminal.
    """

    def isatty(self) -> bool:
        """
        Be one.
        """
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str | BaseException]:
    """
    Sit at a terminal.

    @return: What is typed at each prompt, for the test to fill.
    """
    answers: list[str | BaseException] = []

    def getpass(prompt: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", getpass)
    return answers


def pipe(monkeypatch: pytest.MonkeyPatch, octets: bytes) -> None:
    """
    Make octets standard input.
    """
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(octets)))


def matches(path: Path, user: bytes, password: bytes) -> bool:
    """
    Tell whether a user has a password.
    """
    return decodeRecords(path.read_bytes())[user].matches(password)


def assertRefused(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    """
    Fail unless a command ends with status 2 and one line that names the file.
    """
    assert main(["passwd", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"socksproxy passwd: {path}: ")
    assert output.err.count("\n") == 1
    assert reason in output.err


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nsecond line\n"])
def test_standardInput(path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    """
    A program gives the password as the first line of standard input.
    """
    pipe(monkeypatch, b"secret" + end)
    assert main(["passwd", str(path), "alice"]) == 0
    assert matches(path, b"alice", b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("password", [b" spaces ", b"\x00\xff", b"a:b", "Zoë".encode()])
def test_octets(path: Path, monkeypatch: pytest.MonkeyPatch, password: bytes) -> None:
    """
    A password is the octets as they came.
    """
    pipe(monkeypatch, password + b"\n")
    assert main(["passwd", str(path), "alice"]) == 0
    assert matches(path, b"alice", password)


def test_userOctets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    So is a user name.
    """
    pipe(monkeypatch, b"secret\n")
    assert main(["passwd", str(path), os.fsdecode(b"zo\xeb")]) == 0
    assert matches(path, b"zo\xeb", b"secret")


def test_quiet(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Success says nothing.
    """
    pipe(monkeypatch, b"secret\n")
    assert main(["passwd", str(path), "alice"]) == 0
    assert capsys.readouterr() == ("", "")


def test_terminal(path: Path, typed: list[str | BaseException]) -> None:
    """
    At a terminal the password is asked for twice.
    """
    typed += ["Zoë's", "Zoë's"]
    assert main(["passwd", str(path), "alice"]) == 0
    assert typed == []
    assert matches(path, b"alice", "Zoë's".encode())


def test_mistyped(
    path: Path, typed: list[str | BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Two passwords that differ are refused.
    """
    typed += ["secret", "secrte"]
    assertRefused([str(path), "alice"], "differ", capsys, path)
    assert not path.exists()


def test_emptyAtTerminal(
    path: Path, typed: list[str | BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    An empty password is refused before it is asked for again.
    """
    typed += [""]
    assertRefused([str(path), "alice"], "1 to 255", capsys, path)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError()])
def test_givenUp(
    path: Path,
    typed: list[str | BaseException],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
) -> None:
    """
    Ctrl-C and Ctrl-D at the prompt end it, without a traceback.
    """
    typed += [error]
    assert main(["passwd", str(path), "alice"]) == 2
    assert capsys.readouterr().err.count("\n") <= 1
    assert not path.exists()


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("alice", b"", "1 to 255"),
        ("alice", b"\n", "1 to 255"),
        ("alice", b"x" * 256, "1 to 255"),
        ("", b"secret", "user name"),
        ("a:b", b"secret", "user name"),
        ("#a", b"secret", "user name"),
        ("a\nb", b"secret", "user name"),
    ],
)
def test_notStorable(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    user: str,
    password: bytes,
    reason: str,
) -> None:
    """
    What cannot be stored is refused.
    """
    pipe(monkeypatch, password)
    assertRefused([str(path), user], reason, capsys, path)
    assert not path.exists()


def test_wrongUserFirst(
    path: Path, typed: list[str | BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A wrong user name is refused before anybody has to type a password.
    """
    assertRefused([str(path), "a:b"], "user name", capsys, path)


def test_delete(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A user can be removed, which asks for no password; one who is not there
    cannot.
    """
    pipe(monkeypatch, b"secret\n")
    main(["passwd", str(path), "alice"])
    assert main(["passwd", "--delete", str(path), "alice"]) == 0
    assert decodeRecords(path.read_bytes()) == {}
    assertRefused(["--delete", str(path), "alice"], "no such user", capsys, path)


def test_notAPasswordFile(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A file that is something else is refused, and nothing of it is shown.
    """
    path.write_text("alice:hunter2\n")
    pipe(monkeypatch, b"secret\n")
    assert main(["passwd", str(path), "alice"]) == 2
    error = capsys.readouterr().err
    assert "line 1" in error
    assert "hunter2" not in error
    assert path.read_text() == "alice:hunter2\n"


def test_unwritable(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A file that cannot be written is named, with the reason.
    """
    missing = path / "passwords"
    pipe(monkeypatch, b"secret\n")
    assertRefused([str(missing), "alice"], "No such file or directory", capsys, missing)


@pytest.mark.parametrize("arguments", [[], ["passwd"], ["passwd", "x"], ["nosuch"], ["--nosuch"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """
    A command line that is none ends with status 2 and how it should be.
    """
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: socksproxy" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """
    It tells its version.
    """
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"socksproxy {__version__}\n"

"""
Tests for L{socksproxy.auth.passwords}: changing a file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from unittest.mock import patch

import pytest

from socksproxy.auth import passwords
from socksproxy.auth.passwords import ScryptHash, decodeRecords, updateFile
from socksproxy.errors import PasswordFileError
from tests.auth.cheap import cheapHash


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Make new hashes cost nothing.
    """

    def cheapDerive(self: ScryptHash, password: bytes, length: int) -> bytes:
        return passwords.hashlib.scrypt(password, salt=self.salt, n=2, r=1, p=1, dklen=length)

    monkeypatch.setattr(ScryptHash, "_derive", cheapDerive)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """
    Give the path of a file that is not there yet.
    """
    return tmp_path / "passwords"


def users(path: Path) -> dict[bytes, ScryptHash]:
    """
    Read a file.
    """
    return decodeRecords(path.read_bytes())


def mode(path: Path) -> int:
    """
    Give a file's permissions.
    """
    return stat.S_IMODE(path.stat().st_mode)


def test_newFile(path: Path) -> None:
    """
    A file that is not there is made, and only its owner can read it.
    """
    updateFile(str(path), b"alice", b"secret")
    assert users(path)[b"alice"].matches(b"secret")
    assert mode(path) == 0o600


def test_newFileWhateverTheUmask(path: Path) -> None:
    """
    The file is for its owner only however open other new files are.
    """
    previous = os.umask(0)
    try:
        updateFile(str(path), b"alice", b"secret")
    finally:
        os.umask(previous)
    assert mode(path) == 0o600


def test_salt(path: Path) -> None:
    """
    The same password never has the same record twice.
    """
    updateFile(str(path), b"alice", b"secret")
    updateFile(str(path), b"bob", b"secret")
    records = users(path)
    assert records[b"alice"].salt != records[b"bob"].salt
    assert records[b"alice"].digest != records[b"bob"].digest
    assert len(records[b"alice"].salt) == 16


def test_change(path: Path) -> None:
    """
    A user's new password takes the place of the old one.
    """
    updateFile(str(path), b"alice", b"old")
    updateFile(str(path), b"alice", b"new")
    assert users(path)[b"alice"].matches(b"new")
    assert not users(path)[b"alice"].matches(b"old")


def test_othersStay(path: Path) -> None:
    """
    Comments, empty lines and other users stay as they are.
    """
    others = (
        b"# alice: is away\n\nalicia:" + cheapHash(b"1").encode() + b"\n# end\nbob:"
        b"" + cheapHash(b"2").encode() + b"\n"
    )
    path.write_bytes(others)
    updateFile(str(path), b"alice", b"secret")
    assert path.read_bytes().startswith(others)
    updateFile(str(path), b"alice", None)
    assert path.read_bytes() == others


def test_noNewlineAtEnd(path: Path) -> None:
    """
    A last line without a newline does not run into the new one.
    """
    path.write_bytes(b"bob:" + cheapHash(b"2").encode())
    updateFile(str(path), b"alice", b"secret")
    assert sorted(users(path)) == [b"alice", b"bob"]


def test_delete(path: Path) -> None:
    """
    A user can be removed, and only once.
    """
    updateFile(str(path), b"alice", b"secret")
    updateFile(str(path), b"bob", b"secret")
    updateFile(str(path), b"alice", None)
    assert list(users(path)) == [b"bob"]
    with pytest.raises(PasswordFileError, match="no such user"):
        updateFile(str(path), b"alice", None)
    assert list(users(path)) == [b"bob"]


def test_deleteFromNothing(path: Path) -> None:
    """
    Removing a user from a file that is not there makes none.
    """
    with pytest.raises(PasswordFileError):
        updateFile(str(path), b"alice", None)
    assert not path.exists()


def test_keepsMode(path: Path) -> None:
    """
    A file that a group may read can be read by it afterwards, too.
    """
    updateFile(str(path), b"alice", b"secret")
    path.chmod(0o640)
    updateFile(str(path), b"bob", b"secret")
    assert mode(path) == 0o640


def test_keepsOwner(path: Path) -> None:
    """
    A file that belongs to another user still does.
    """
    updateFile(str(path), b"alice", b"secret")
    asked = []
    foreign = os.geteuid() + 1

    def status(path: str) -> os.stat_result:
        return os.stat_result((0o100640, 0, 0, 1, foreign, os.getegid(), 0, 0, 0, 0))

    with (
        patch.object(passwords.os, "stat", status),
        patch.object(passwords.os, "chown", lambda *arguments: asked.append(arguments[1:])),
    ):
        updateFile(str(path), b"bob", b"secret")
    assert asked == [(foreign, os.getegid())]


def test_replacedAsAWhole(path: Path) -> None:
    """
    Whoever has the old file open goes on reading the old one.
    """
    updateFile(str(path), b"alice", b"secret")
    before = path.read_bytes()
    with path.open("rb") as reader:
        updateFile(str(path), b"bob", b"secret")
        assert reader.read() == before


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_failure(path: Path, function: str) -> None:
    """
    When the file cannot be replaced, the old one is untouched and nothing is
    left beside it.
    """
    updateFile(str(path), b"alice", b"secret")
    before = path.read_bytes()
    error = OSError(28, "No space left on device")
    with (
        patch.object(passwords.os, function, side_effect=error),
        pytest.raises(PasswordFileError, match="No space left on device"),
    ):
        updateFile(str(path), b"bob", b"secret")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_noFolder(path: Path) -> None:
    """
    A folder that is not there is told.
    """
    with pytest.raises(PasswordFileError, match="No such file or directory"):
        updateFile(str(path / "passwords"), b"alice", b"secret")


def test_notAPasswordFile(path: Path) -> None:
    """
    A file that is something else is not touched.
    """
    path.write_bytes(b"[proxy]\nlisten = 1080\n")
    with pytest.raises(PasswordFileError, match="line 1"):
        updateFile(str(path), b"alice", b"secret")
    assert path.read_bytes() == b"[proxy]\nlisten = 1080\n"


@pytest.mark.parametrize(
    ("user", "password"), [(b"a:b", b"x"), (b"", b"x"), (b"alice", b""), (b"alice", b"x" * 256)]
)
def test_notStorable(path: Path, user: bytes, password: bytes) -> None:
    """
    What cannot be stored is refused before anything is written.
    """
    with pytest.raises(PasswordFileError):
        updateFile(str(path), user, password)
    assert not path.exists()


def test_symbolicLink(path: Path) -> None:
    """
    Where the path is a symbolic link, the file that it leads to is changed.
    """
    elsewhere = path.with_name("elsewhere")
    updateFile(str(elsewhere), b"alice", b"secret")
    path.symlink_to(elsewhere)
    updateFile(str(path), b"bob", b"secret")
    assert path.is_symlink()
    assert sorted(users(elsewhere)) == [b"alice", b"bob"]

"""
Tests for L{socksproxy.auth.checkers}: the file.
"""

from __future__ import annotations

import os

from twisted.logger import LogLevel

from socksproxy.auth import checkers
from socksproxy.errors import PasswordFileError
from tests.auth.cheap import cheapHash, writeRecords
from tests.auth.logins import CheckerTestCase
from tests.logs import atLevel, captured


class FileTests(CheckerTestCase):
    """
    The file, as it comes and goes.
    """

    def test_changed(self) -> None:
        """
        A file that has changed is read again: new users get in and old
        passwords do not.
        """
        self.assertWrong(b"carol", b"new")
        writeRecords(self.path, alice="changed", carol="new")
        self.assertRight(b"carol", b"new")
        self.assertRight(b"alice", b"changed")
        self.assertWrong()
        self.assertWrong(b"bob", b"hidden")

    def test_unchanged(self) -> None:
        """
        A file that has not changed is not read again.
        """
        read: list[object] = []
        self.patch(checkers, "decodeRecords", read.append)
        self.assertRight()
        self.assertWrong(b"carol")
        self.assertEqual(read, [])

    def test_cost(self) -> None:
        """
        When the records get dearer, so do unknown users.
        """
        new = self.path.with_suffix(".new")
        new.write_bytes(b"alice:" + cheapHash(b"secret", logN=4).encode() + b"\n")
        new.replace(self.path)
        self.assertRight()
        self.assertEqual(self.checker._nobody.logN, 4)

    def test_relativePath(self) -> None:
        """
        The file is where it was when the process changes its folder, as a
        daemon does.
        """
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.path.parent)
        self.checker = self.makeChecker(self.path.name)
        os.chdir("/")
        writeRecords(self.path, alice="new")
        self.assertRight(b"alice", b"new")

    def test_missing(self) -> None:
        """
        A checker of a file that is not there cannot be made; the error names
        the file.
        """
        self.path.unlink()
        error = self.assertRaises(PasswordFileError, self.makeChecker)
        self.assertEqual(str(error), f"password file {self.path}: {os.strerror(2)}")

    def test_malformed(self) -> None:
        """
        Nor can one of a file that is something else; the error names the file
        and the line, and shows nothing of it.
        """
        self.path.write_bytes(b"alice:hunter2\n")
        error = self.assertRaises(PasswordFileError, self.makeChecker)
        self.assertIn(f"password file {self.path}: line 1", str(error))
        self.assertNotIn("hunter2", str(error))

    def assertNobody(self) -> None:
        """
        Fail unless nobody gets in and the log says why, once.
        """
        with captured() as events:
            self.assertWrong()
        errors = atLevel(events, LogLevel.error)
        self.assertEqual(len(errors), 1, errors)
        self.assertIn("Nobody can log in", errors[0])
        self.assertIn(str(self.path), errors[0])
        self.assertWrong(b"bob", b"hidden")

    def test_gone(self) -> None:
        """
        When the file is gone, nobody gets in, not even those who just did, and
        the log says so.
        """
        self.assertRight()
        self.path.unlink()
        self.assertNobody()

    def test_becomesMalformed(self) -> None:
        """
        The same when it has become something else.
        """
        self.assertRight()
        self.path.write_bytes(b"alice\n")
        self.assertNobody()

    def test_comesBack(self) -> None:
        """
        When the file is as it should be again, everybody gets in again.
        """
        moved = self.path.with_suffix(".moved")
        self.path.rename(moved)
        self.assertNobody()
        moved.rename(self.path)
        with captured() as events:
            self.assertRight()
            self.assertRight(b"bob", b"hidden")
        self.assertEqual(atLevel(events, LogLevel.error), [])

    def test_saidOnce(self) -> None:
        """
        While it stays away, the log does not repeat it with every guess.
        """
        self.path.unlink()
        with captured() as events:
            for _ in range(10):
                self.assertWrong()
        self.assertEqual(len(atLevel(events, LogLevel.error)), 1)

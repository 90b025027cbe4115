"""
Tests for L{socksproxy.dns.fakefile}.
"""

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.dns import fakefile
from socksproxy.dns.fakefile import FakeFile


class TestFakeFile(SynchronousTestCase):
    """
    Tests for L{FakeFile}.
    """

    def setUp(self) -> None:
        """
        Make a file in a folder of its own.
        """
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.path = self.folder / "names"
        self.clock = Clock()
        self.failures: list[OSError] = []
        self.file = self.open()

    def open(self, lines: bytes | None = None) -> FakeFile:
        """
        Make an object for the file.

        @param lines: What still counts.
        """
        return FakeFile(
            str(self.path),
            self.clock.callLater,
            self.failures.append,
            None if lines is None else lambda: lines,
        )

    def test_noFile(self) -> None:
        """
        There may be no file yet.
        """
        self.assertEqual(self.file.load(), b"")
        self.assertFalse(self.path.exists())

    def test_onceASecond(self) -> None:
        """
        The first line is written at once, those after it a second later, and
        then nothing is waited for.
        """
        self.file.append(b"a\n")
        self.assertEqual(self.path.read_bytes(), b"a\n")
        self.file.append(b"b\n")
        self.file.append(b"c\n")
        self.clock.advance(0.9)
        self.assertEqual(self.path.read_bytes(), b"a\n")
        self.clock.advance(0.1)
        self.assertEqual(self.path.read_bytes(), b"a\nb\nc\n")
        self.file.append(b"d\n")
        self.clock.advance(0.9)
        self.assertEqual(self.path.read_bytes(), b"a\nb\nc\n")
        self.clock.advance(0.1)
        self.assertEqual(self.open().load(), b"a\nb\nc\nd\n")
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.file.append(b"e\n")
        self.assertEqual(self.path.read_bytes(), b"a\nb\nc\nd\ne\n")

    def test_close(self) -> None:
        """
        What waits is written when the file is closed.
        """
        self.file.append(b"a\n")
        self.file.append(b"b\n")
        self.file.close()
        self.assertEqual(self.path.read_bytes(), b"a\nb\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.file.close()

    def test_private(self) -> None:
        """
        Only the owner may read the file, however it was made.
        """
        self.file.append(b"a\n")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.path.chmod(0o644)
        self.file.rewrite(b"b\n")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_rewrite(self) -> None:
        """
        The file is replaced as a whole, and lines are added to the new one.
        """
        self.file.append(b"a\n")
        (self.folder / "names.new").write_bytes(b"left over")
        self.file.append(b"b\n")
        with self.path.open("rb") as old:
            self.file.rewrite(b"c\n")
            self.assertEqual(old.read(), b"a\n")
        self.assertEqual(os.listdir(self.folder), ["names"])
        self.clock.advance(1)
        self.file.append(b"d\n")
        self.assertEqual(self.path.read_bytes(), b"c\nd\n")

    def test_rewriteFails(self) -> None:
        """
        If that is not possible the file stays as it is, and nothing is left
        behind.
        """
        self.file.append(b"a\n")

        def fail(*arguments: object) -> None:
            raise OSError("no")

        self.patch(os, "replace", fail)
        with pytest.raises(OSError, match="no"):
            self.file.rewrite(b"c\n")
        self.assertEqual(os.listdir(self.folder), ["names"])
        self.assertEqual(self.path.read_bytes(), b"a\n")

    def test_failure(self) -> None:
        """
        Lines that cannot be written wait. That they do is told once, and once
        more if it happens again after they could be.
        """
        self.path.mkdir()
        self.file.append(b"a\n")
        self.file.append(b"b\n")
        self.clock.pump([1, 1])
        self.assertEqual(len(self.failures), 1)
        self.path.rmdir()
        self.clock.advance(1)
        # In case that part of a line was written, the next one begins anew.
        self.assertEqual(self.path.read_bytes(), b"\na\nb\n")
        self.clock.advance(1)
        self.path.unlink()
        self.path.mkdir()
        self.file.append(b"c\n")
        self.assertEqual(len(self.failures), 2)
        self.file.close()

    def test_bounded(self) -> None:
        """
        No more than so many lines wait, the newest.
        """
        self.patch(fakefile, "MAX_WAITING", 3)
        self.path.mkdir()
        for number in range(10):
            self.file.append(b"%d\n" % number)
        self.clock.advance(1)
        self.path.rmdir()
        self.clock.advance(1)
        self.assertEqual(self.path.read_bytes(), b"\n7\n8\n9\n")

    def test_growth(self) -> None:
        """
        A file that has become long is written anew, with what still counts.
        """
        self.patch(fakefile, "MAX_ADDED", 3)
        self.file = self.open(b"all\n")
        for number in range(3):
            self.file.append(b"%d\n" % number)
            self.clock.advance(1)
        self.assertEqual(self.path.read_bytes(), b"0\n1\n2\n")
        self.file.append(b"3\n")
        self.clock.advance(1)
        self.file.append(b"4\n")
        self.clock.advance(1)
        self.assertEqual(self.path.read_bytes(), b"all\n4\n")

    def test_load(self) -> None:
        """
        Of a file that is too long the newest lines are read, from the
        beginning of one.
        """
        self.patch(fakefile, "MAX_OCTETS", 10)
        self.path.write_bytes(b"first\nsecond\nthird\n")
        self.assertEqual(self.file.load(), b"third\n")
        self.path.write_bytes(b"12345678\n\n")
        self.assertEqual(self.file.load(), b"12345678\n\n")

    def test_unreadable(self) -> None:
        """
        A file that cannot be read is not taken for an empty one.
        """
        self.path.mkdir()
        with pytest.raises(OSError):
            self.file.load()

"""
Tests for L{socksproxy.auth.checkers}: passwords that are remembered.
"""

from __future__ import annotations

from socksproxy.auth import checkers
from socksproxy.auth.checkers import REMEMBER_FOR
from tests.auth.cheap import cheapHash, writeRecords
from tests.auth.logins import CheckerTestCase


class CacheTests(CheckerTestCase):
    """
    Passwords that are remembered for a while.
    """

    def assertHashed(
        self, expected: bool, user: bytes = b"alice", password: bytes = b"secret"
    ) -> None:
        """
        Fail unless a right password is hashed, or is not.
        """
        before = self.threads.done
        self.assertRight(user, password)
        self.assertEqual(self.threads.done - before, int(expected))

    def test_remembered(self) -> None:
        """
        A password that was right is not hashed again, for a while.
        """
        self.assertHashed(True)
        self.assertHashed(False)
        self.clock.advance(REMEMBER_FOR - 1)
        self.assertHashed(False)

    def test_expires(self) -> None:
        """
        After that it is, and is then remembered anew.
        """
        self.assertHashed(True)
        self.clock.advance(REMEMBER_FOR)
        self.assertHashed(True)
        self.assertHashed(False)

    def test_onlyTheRightOne(self) -> None:
        """
        What is remembered is the password with its user: another password of
        the same user is hashed, and so is the same password of another.
        """
        self.assertHashed(True)
        before = self.threads.done
        self.assertWrong(b"alice", b"Secret")
        self.assertWrong(b"bob", b"secret")
        self.assertEqual(self.threads.done - before, 2)

    def test_wrongIsNotRemembered(self) -> None:
        """
        A wrong password is hashed every time, so that time does not tell that
        it has been tried before.
        """
        for _ in range(2):
            self.assertWrong(b"alice", b"wrong")
        self.assertEqual(self.threads.done, 2)

    def test_boundariesBetweenFields(self) -> None:
        """
        A user name that ends as another's password begins is not taken for
        it.
        """
        writeRecords(self.path, ab="cd", abc="d")
        self.assertHashed(True, b"ab", b"cd")
        self.assertHashed(True, b"abc", b"d")

    def test_changedRecord(self) -> None:
        """
        When the record changes, its password is forgotten, even if it becomes
        the same again.
        """
        self.assertHashed(True)
        writeRecords(self.path, alice="other")
        self.assertWrong()
        writeRecords(self.path, alice="secret")
        self.assertHashed(True)

    def test_removedUser(self) -> None:
        """
        A user who has been removed does not get in by memory.
        """
        self.assertHashed(True)
        writeRecords(self.path, bob="hidden")
        self.assertWrong()

    def test_removedDuringCheck(self) -> None:
        """
        Neither does one who was removed while the password was hashed.
        """
        answer = self.ask()
        writeRecords(self.path, bob="hidden")
        self.threads.work()
        self.assertEqual(self.successResultOf(answer), b"alice")
        self.assertWrong()

    def test_unchangedRecords(self) -> None:
        """
        When another's record changes, those who did not are remembered.
        """
        self.assertHashed(True)
        lines = self.path.read_bytes().splitlines(keepends=True)
        new = self.path.with_suffix(".new")
        new.write_bytes(lines[0] + b"carol:" + cheapHash(b"x").encode() + b"\n")
        new.replace(self.path)
        self.assertHashed(False)

    def test_bounded(self) -> None:
        """
        Only so many passwords are remembered; the oldest are forgotten first.
        """
        self.patch(checkers, "REMEMBERED", 2)
        writeRecords(self.path, alice="secret", bob="hidden", carol="x")
        for user, password in ((b"alice", b"secret"), (b"bob", b"hidden"), (b"carol", b"x")):
            self.assertHashed(True, user, password)
        self.assertHashed(False, b"bob", b"hidden")
        self.assertHashed(False, b"carol", b"x")
        self.assertHashed(True)

    def test_sameClientTwice(self) -> None:
        """
        Two connections of a client that log in together cost one hash.
        """
        answers = [self.ask(), self.ask()]
        self.threads.work()
        self.assertEqual([self.successResultOf(a) for a in answers], [b"alice"] * 2)
        self.assertEqual(self.threads.done, 1)

    def test_notInMemory(self) -> None:
        """
        The password itself is not kept.
        """
        self.assertHashed(True)
        kept = vars(self.checker)
        self.assertNotIn(b"secret", repr(kept).encode())

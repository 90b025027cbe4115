"""
Tests for L{socksproxy.auth.checkers}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import signature
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth import checkers, passwords
from socksproxy.auth.checkers import REMEMBER_FOR, PasswordFileChecker
from socksproxy.auth.credentials import OctetPassword
from socksproxy.errors import PasswordFileError
from tests.auth.cheap import cheapHash, writeRecords
from tests.files import temporaryFolder
from tests.logs import atLevel, captured


class Threads:
    """
    Keeps what is to be done off the reactor's thread until the test does it.

    @ivar waiting: What is to be done.
    @ivar done: How much has been.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], bool], Deferred[bool]]] = []
        self.done = 0

    def __call__(self, function: Callable[[], bool]) -> Deferred[bool]:
        """
        Take something to do.
        """
        result: Deferred[bool] = Deferred()
        self.waiting.append((function, result))
        return result

    def work(self) -> None:
        """
        Do one thing.
        """
        function, result = self.waiting.pop(0)
        self.done += 1
        result.callback(function())

    def workAll(self) -> None:
        """
        Do everything, also what comes up meanwhile.
        """
        while self.waiting:
            self.work()


class CheckerTestCase(SynchronousTestCase):
    """
    Tests with a password file of cheap hashes.
    """

    def setUp(self) -> None:
        """
        Make a file with two users and a checker for it.
        """
        self.path = temporaryFolder(self) / "passwords"
        writeRecords(self.path, alice="secret", bob="hidden")
        self.clock = Clock()
        self.threads = Threads()
        self.checker = self.makeChecker()

    def makeChecker(self, path: str = "") -> PasswordFileChecker:
        """
        Make a checker.

        @param path: The file, if it is not the usual one.
        """
        return PasswordFileChecker(path or str(self.path), self.threads, self.clock.seconds)

    def ask(self, user: bytes = b"alice", password: bytes = b"secret") -> Deferred[Any]:
        """
        Log in, up to the hashing.
        """
        return self.checker.requestAvatarId(OctetPassword(user, password))

    def login(self, user: bytes = b"alice", password: bytes = b"secret") -> Deferred[Any]:
        """
        Log in, hashing included.
        """
        answer = self.ask(user, password)
        self.threads.workAll()
        return answer

    def assertRight(self, user: bytes = b"alice", password: bytes = b"secret") -> None:
        """
        Fail unless the user can log in.
        """
        self.assertEqual(self.successResultOf(self.login(user, password)), user)

    def assertWrong(self, user: bytes = b"alice", password: bytes = b"secret") -> None:
        """
        Fail unless the user cannot.
        """
        self.failureResultOf(self.login(user, password), UnauthorizedLogin)


class PasswordFileCheckerTests(CheckerTestCase):
    """
    Who gets in.
    """

    def test_interface(self) -> None:
        """
        It is a checker of user names and passwords.
        """
        verifyObject(ICredentialsChecker, self.checker)
        self.assertEqual(self.checker.credentialInterfaces, (IUsernamePassword,))

    def test_right(self) -> None:
        """
        A user with the right password is who it says.
        """
        self.assertRight()
        self.assertRight(b"bob", b"hidden")

    def test_wrong(self) -> None:
        """
        A user with any other password is not.
        """
        for password in (b"", b"Secret", b"secret ", b"secre", b"hidden", b"\x00secret"):
            self.assertWrong(b"alice", password)

    def test_unknown(self) -> None:
        """
        Who does not stand in the file does not get in, whatever the password.
        """
        for user in (b"", b"carol", b"Alice", b"alice ", b"alice:", b"#", b"\xff"):
            self.assertWrong(user)

    def test_nul(self) -> None:
        """
        A NUL is an octet like any other and cuts nothing off.
        """
        self.assertWrong(b"alice\x00")
        self.assertWrong(b"alice\x00bob")

    def test_emptyFile(self) -> None:
        """
        With an empty file nobody gets in, and that takes the usual work.
        """
        self.path.write_bytes(b"# nobody yet\n")
        self.checker = self.makeChecker()
        self.ask()
        self.assertEqual(len(self.threads.waiting), 1)

    def test_secretsInFailures(self) -> None:
        """
        What a failure says holds neither the password nor the hash.
        """
        failure = self.failureResultOf(self.login(b"alice", b"hunter2"))
        for text in (repr(failure), str(failure.value), failure.getTraceback()):
            self.assertNotIn("hunter2", text)
            self.assertNotIn("$scrypt$", text)
        self.assertNotIn("secret", repr(self.checker))

    def test_threads(self) -> None:
        """
        Without any other word, hashing goes on in the reactor's threads.
        """
        parameters = signature(PasswordFileChecker).parameters
        self.assertIs(parameters["inThread"].default, deferToThread)


class WorkTests(CheckerTestCase):
    """
    What a login costs.
    """

    def setUp(self) -> None:
        """
        Note down what hashes cost.
        """
        super().setUp()
        self.costs: list[dict[str, Any]] = []
        real = passwords.hashlib.scrypt

        def scrypt(password: bytes, *, salt: bytes, **parameters: Any) -> bytes:
            self.costs.append({**parameters, "salt": len(salt)})
            return real(password, salt=salt, **parameters)

        self.patch(passwords.hashlib, "scrypt", scrypt)

    def test_unknownUser(self) -> None:
        """
        An unknown user costs the same work as a known one, so that time does
        not tell who is there.
        """
        record = cheapHash(b"secret", logN=3)
        self.path.write_bytes(b"alice:" + record.encode() + b"\n")
        self.checker = self.makeChecker()
        self.costs.clear()
        self.assertWrong(b"alice", b"wrong")
        self.assertWrong(b"carol", b"wrong")
        known, unknown = self.costs
        self.assertEqual(known, unknown)
        self.assertEqual(known["n"], 8)

    def test_oneAtATime(self) -> None:
        """
        However many log in, one password is hashed at a time, in the order
        they came.
        """
        answers = [self.ask(b"alice", b"%d" % number) for number in range(3)]
        answers.append(self.ask(b"bob", b"hidden"))
        for number in range(4):
            self.assertEqual(len(self.threads.waiting), 1)
            self.assertNoResult(answers[number])
            self.threads.work()
            if number < 3:
                self.failureResultOf(answers[number], UnauthorizedLogin)
        self.assertEqual(self.successResultOf(answers[3]), b"bob")
        self.assertEqual(self.threads.waiting, [])

    def test_queueIsBounded(self) -> None:
        """
        When too many wait already, one more is turned away at once, which is
        no verdict on the password; later it may come again.
        """
        self.patch(checkers, "MAX_WAITING", 2)
        answers = [self.ask(b"alice", b"%d" % number) for number in range(3)]
        turnedAway = self.failureResultOf(self.ask(b"bob", b"hidden"), LoginFailed)
        self.assertIsNone(turnedAway.check(UnauthorizedLogin))
        self.threads.workAll()
        for answer in answers:
            self.failureResultOf(answer, UnauthorizedLogin)
        self.assertRight(b"bob", b"hidden")

    def test_rememberedPassQueue(self) -> None:
        """
        Who has just logged in gets in although the queue is full.
        """
        self.patch(checkers, "MAX_WAITING", 1)
        self.assertRight()
        answers = [self.ask(b"bob", b"%d" % number) for number in range(2)]
        self.assertEqual(self.successResultOf(self.ask()), b"alice")
        self.threads.workAll()
        for answer in answers:
            self.failureResultOf(answer, UnauthorizedLogin)

    def test_failureInThread(self) -> None:
        """
        A thread that fails keeps nobody else out.
        """
        broken = self.ask()
        _, result = self.threads.waiting.pop()
        result.errback(MemoryError())
        self.failureResultOf(broken, MemoryError)
        self.assertRight()


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

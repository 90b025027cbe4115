"""
Tests for L{socksproxy.auth.checkers}: who gets in, and at what cost.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.threads import deferToThread
from zope.interface.verify import verifyObject

from socksproxy.auth import checkers, passwords
from socksproxy.auth.checkers import PasswordFileChecker
from tests.auth.cheap import cheapHash
from tests.auth.logins import CheckerTestCase


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

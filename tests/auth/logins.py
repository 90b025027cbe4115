"""
Logging in at a checker of a password file, hashes at the test's pace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth.checkers import PasswordFileChecker
from socksproxy.auth.credentials import OctetPassword
from tests.auth.cheap import writeRecords
from tests.files import temporaryFolder


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

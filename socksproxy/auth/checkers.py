"""
Checking passwords against a file of hashes, or against nothing.

The checkers are made from the command line by C{--auth passwords:PATH} and
C{--auth isolation:}, beside Twisted's own C{file:} and C{memory:}.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import IAnonymous, ICredentials, IUsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from socksproxy.auth.passwords import ScryptHash, decodeRecords
from socksproxy.errors import PasswordFileError
from socksproxy.events import log

MAX_WAITING = 64
"""
Passwords that may wait for being checked. Each takes a third of a second, so
that more would only be checked long after their clients have left.
"""

REMEMBERED = 1024
REMEMBER_FOR = 300.0

AvatarId = bytes | tuple[()]
InThread = Callable[[Callable[[], bool]], Deferred[bool]]


@implementer(ICredentialsChecker)
class AnyPassword:
    """
    Takes every user name and every password, and no name at all, for nobody
    in particular.

    For clients that put a label into the user name by which Tor keeps their
    streams apart: they log in with what nobody has given them, and would
    otherwise be turned away.
    """

    credentialInterfaces = (IUsernamePassword, IAnonymous)

    def requestAvatarId(self, credentials: ICredentials) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.

        @return: Nobody.
        """
        return succeed(ANONYMOUS)


@implementer(ICredentialsChecker)
class PasswordFileChecker:
    """
    Knows the users of a password file, as it is now: a changed file is read
    again, and one that has become unreadable is not believed.

    Hashing goes on one thread at a time. A password that was right is
    remembered for a while by a digest under a key of this process, since a
    browser logs in anew for each of its connections. A user who is not there
    costs the same work as one who is.

    @ivar path: The file.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(
        self,
        path: str,
        inThread: InThread = deferToThread,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        @param path: The file.
        @param inThread: Calls a function off the reactor's thread.
        @param clock: Seconds on a clock that does not go back.
        @raise PasswordFileError: The file cannot be read or understood.
        """
        # The process may change its directory later.
        self.path = os.path.abspath(path)
        self._inThread = inThread
        self._clock = clock
        self._lock = DeferredLock()
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._version: object = None
        self._complaint = ""
        self._records: dict[bytes, ScryptHash] = {}
        self._nobody = ScryptHash(os.urandom(16), os.urandom(32))
        self._load()

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.

        @return: The user name; fails with C{UnauthorizedLogin}, or with
            C{LoginFailed} when too many are waiting already.
        """
        self._reload()
        user, password = credentials.username, credentials.password
        record = self._records.get(user)
        if record is not None and self._remembers(user, record, password):
            return succeed(user)
        if len(self._lock.waiting) >= MAX_WAITING:
            return fail(LoginFailed("too many passwords are waiting to be checked"))
        return self._lock.run(self._check, user, record, password)

    def _check(self, user: bytes, record: ScryptHash | None, password: bytes) -> Deferred[AvatarId]:
        # Perhaps another connection of the same client has just been checked.
        if record is not None and self._remembers(user, record, password):
            return succeed(user)
        judge = self._nobody if record is None else record

        def decided(matches: bool) -> AvatarId:
            if record is None or not matches:
                raise UnauthorizedLogin
            self._remember(user, record, password)
            return user

        return self._inThread(lambda: judge.matches(password)).addCallback(decided)

    def _remembers(self, user: bytes, record: ScryptHash, password: bytes) -> bool:
        expires = self._right.get(self._digest(user, record, password))
        return expires is not None and self._clock() < expires

    def _remember(self, user: bytes, record: ScryptHash, password: bytes) -> None:
        self._right[self._digest(user, record, password)] = self._clock() + REMEMBER_FOR
        while len(self._right) > REMEMBERED:
            self._right.popitem(last=False)

    def _digest(self, user: bytes, record: ScryptHash, password: bytes) -> bytes:
        """
        Identify a password together with the record that it fits, so that a
        changed record forgets it.
        """
        digest = hashlib.blake2b(key=self._key)
        for part in (user, record.encode(), password):
            digest.update(len(part).to_bytes(4, "big"))
            digest.update(part)
        return digest.digest()

    def _reload(self) -> None:
        try:
            self._load()
        except PasswordFileError as e:
            # Nobody is better than somebody whose record may be gone.
            self._records = {}
            if str(e) != self._complaint:
                log.error("Nobody can log in: {error}", error=str(e))
            self._complaint = str(e)
        else:
            self._complaint = ""

    def _load(self) -> None:
        """
        Read the file if it has changed.
        """
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                version = (status.st_mtime_ns, status.st_size, status.st_ino)
                if version == self._version:
                    return
                data = file.read()
            self._version = None
            self._records = decodeRecords(data)
            self._version = version
        except OSError as e:
            self._version = None
            raise PasswordFileError(f"password file {self.path}: {e.strerror}") from e
        except PasswordFileError as e:
            raise PasswordFileError(f"password file {self.path}: {e}") from e
        if self._records:
            model = next(iter(self._records.values()))
            self._nobody = ScryptHash(
                os.urandom(len(model.salt)),
                os.urandom(len(model.digest)),
                model.logN,
                model.r,
                model.p,
            )

"""
Logging a client in, and making those wait who guess passwords.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.cred.credentials import IAnonymous, ICredentials
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from socksproxy.errors import AuthenticationFailed, InternalError
from socksproxy.events import authenticationFailed, log
from socksproxy.inbound.address import hostAndPort
from socksproxy.inbound.shared import Inbound
from socksproxy.interfaces import ClientOrigin, IProxyAvatar

LoggedIn = tuple[IProxyAvatar, Callable[[], object]]
"""
An avatar, and what to call when it is not needed any more.
"""


class LoginAttempt:
    """
    One client's login.

    @ivar decided: The outcome has been told.
    @ivar rejected: The outcome is no, and the client waits to be told.
    """

    def __init__(self, inbound: Inbound, origin: ClientOrigin, credentials: ICredentials) -> None:
        """
        @param inbound: Where the client came in.
        @param origin: From where.
        @param credentials: What it said of itself.
        """
        self._inbound = inbound
        self._origin = origin
        self._credentials = credentials
        self._delay: Deferred[None] | None = None
        self._abandoned = False
        self.decided = False

    @property
    def rejected(self) -> bool:
        """
        See the class.
        """
        return self._delay is not None

    def start(self) -> Deferred[LoggedIn]:
        """
        Ask the Portal.

        @return: The avatar; fails with L{AuthenticationFailed} after the
            delay that the client's source has earned, or with
            L{InternalError} when nobody could tell.
        """
        login = self._inbound.portal.login
        return (
            maybeDeferred(login, self._credentials, self._origin, IProxyAvatar)
            .addCallbacks(self._accepted, self._failed)
            .addBoth(self._decide)
        )

    def abandon(self) -> None:
        """
        The client is gone: nobody waits for the outcome. A password that is
        being checked is checked to its end, or else clients that come and go
        could have many checked at a time.
        """
        self._abandoned = True
        if self._delay is not None:
            self._delay.cancel()

    def _accepted(
        self, result: tuple[type[IProxyAvatar], IProxyAvatar, Callable[[], object]]
    ) -> LoggedIn:
        _, avatar, logout = result
        if not IAnonymous.providedBy(self._credentials):
            self._inbound.throttle.succeeded(self._origin.source)
        return avatar, logout

    def _failed(self, failure: Failure) -> Failure | Deferred[LoggedIn]:
        if failure.check(AuthenticationFailed):
            # The checker has asked somebody else, which is no guess, and
            # knows what to answer.
            self._log()
            return failure
        failed = Failure(AuthenticationFailed())
        if not failure.check(LoginFailed):
            log.failure("The login could not be checked", failure)
            return Failure(InternalError("the login could not be checked"))
        if not failure.check(UnauthorizedLogin) or IAnonymous.providedBy(self._credentials):
            # A kind of credentials that nobody here takes: not a guess.
            return failed
        self._log()
        clock = self._inbound.clock
        delay = self._inbound.throttle.failed(self._origin.source, clock.seconds())
        if self._abandoned:
            return failed
        self._delay = deferLater(clock, delay)
        return self._delay.addBoth(lambda _: failed)

    def _log(self) -> None:
        origin = self._origin
        host, port = hostAndPort(origin.peer)
        user = _userOf(self._credentials)
        authenticationFailed(host, port, origin.protocol, origin.listener, user)

    def _decide(self, result: LoggedIn | Failure) -> LoggedIn | Failure:
        self.decided = True
        return result


class Session:
    """
    One login and what the client gets by it, until that is ended. A client
    that makes several requests has one for each.

    @ivar avatar: Who the client is, once that is known.
    """

    def __init__(self, inbound: Inbound) -> None:
        """
        @param inbound: Where the client came in.
        """
        self._inbound = inbound
        self._attempt: LoginAttempt | None = None
        self._logout: Callable[[], object] | None = None
        self._over = False
        self.avatar: IProxyAvatar | None = None

    @property
    def undecided(self) -> bool:
        """
        The login is under way, and its outcome is not known.
        """
        attempt = self._attempt
        return attempt is not None and not (attempt.decided or attempt.rejected)

    @property
    def decided(self) -> bool:
        """
        The outcome of the login has been told.
        """
        return self._attempt is not None and self._attempt.decided

    def login(self, origin: ClientOrigin, credentials: ICredentials) -> Deferred[IProxyAvatar]:
        """
        Log the client in.

        @param origin: Where it came in.
        @param credentials: What it said of itself.
        @return: Fails as that of L{LoginAttempt.start}.
        """
        self._attempt = LoginAttempt(self._inbound, origin, credentials)
        return self._attempt.start().addCallback(self._loggedIn)

    def abandon(self) -> None:
        """
        The client is gone, and waits for no outcome.
        """
        if self._attempt is not None:
            self._attempt.abandon()

    def end(self) -> None:
        """
        The client has what it wanted; may be called more than once.
        """
        self._over = True
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()

    def _loggedIn(self, loggedIn: LoggedIn) -> IProxyAvatar:
        avatar, self._logout = loggedIn
        self.avatar = avatar
        if self._over:
            self.end()
        return avatar


def _userOf(credentials: ICredentials) -> bytes:
    """
    Give what credentials of the usual kinds call the user.
    """
    for name in ("username", "userID", "principal"):
        user = getattr(credentials, name, None)
        if isinstance(user, bytes):
            return user
    return b"-"

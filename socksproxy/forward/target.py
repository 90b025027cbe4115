"""
Where forwarded connections go to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, cast

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    DNSLookupError,
)
from twisted.internet.interfaces import (
    IHandshakeListener,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.errors import ConnectTimedOut, GeneralFailure, NameNotFound, RequestFailed
from socksproxy.outbound.direct import CONNECT_TIMEOUT
from socksproxy.outbound.eyeballs import requestFailedFrom
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort
from socksproxy.state import IKeepsSessions, State, closeSessions, reportOf


@implementer(IKeepsSessions)
class Target:
    """
    A place to connect to.

    @ivar description: What logs call it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        description: str,
        timeout: float = CONNECT_TIMEOUT,
        tls: bool = False,
    ) -> None:
        """
        @param clock: Time; usually the reactor.
        @param endpoint: Leads there.
        @param description: What logs call it.
        @param timeout: Seconds for connecting; 0 leaves that to the endpoint.
        @param tls: The endpoint's connections are of Twisted's TLS, which
            calls them made before the handshake.
        """
        self._clock = clock
        self._endpoint = endpoint
        self._timeout = timeout
        self._factory = _securedLegs if tls else _legs
        self.description = description

    def report(self) -> Iterator[State]:
        """
        Tell what the endpoint has to say.
        """
        return reportOf(self._endpoint)

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        Close the sessions that the endpoint keeps. See L{IKeepsSessions}.
        """
        return closeSessions([self._endpoint], patience)

    def connect(self) -> Deferred[Leg]:
        """
        Connect.

        @return: The connected target, not yet reading; fails with a
            L{RequestFailed}. Cancelling gives the attempt up.
        """
        connecting: Deferred[IProtocol] = maybeDeferred(self._endpoint.connect, self._factory)
        ready: Deferred[Leg] = connecting.addCallback(_ready)
        ready.addErrback(_notConnected)
        if self._timeout:
            ready.addTimeout(self._timeout, self._clock, _timedOut)
        return ready


# Twisted's endpoints take half-closed connections away from a protocol that
# listens for handshakes, too. TLS has none to lose.
@implementer(IHandshakeListener)
class _SecuredLeg(Leg):
    """
    A connection that is not ready before its TLS handshake is over. Until then
    it has to be read.
    """

    _shaking = False
    _waiting: Deferred[Leg] | None = None

    def connectionMade(self) -> None:
        self._shaking = isinstance(self.transport, TLSMemoryBIOProtocol)
        if not self._shaking:
            super().connectionMade()

    def handshakeCompleted(self) -> None:
        if self._shaking:
            self._shaking = False
            super().connectionMade()
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.callback(self)

    def ready(self) -> Deferred[Leg]:
        """
        Wait for the handshake. Cancelling drops the connection.
        """
        if not self._shaking:
            return succeed(self)
        self._waiting = Deferred(lambda _: self._giveUp())
        return self._waiting

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._shaking = False
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            super().connectionLost(reason)
        else:
            waiting.errback(GeneralFailure(f"no TLS with the target: {_reasonOf(reason)}"))

    def _giveUp(self) -> None:
        self._waiting = None
        abort(self.transport)


_legs = Factory.forProtocol(Leg)
_securedLegs = Factory.forProtocol(_SecuredLeg)
_legs.noisy = _securedLegs.noisy = False


def _ready(leg: IProtocol) -> Leg | Deferred[Leg]:
    return leg.ready() if isinstance(leg, _SecuredLeg) else cast(Leg, leg)


def _notConnected(failure: Failure) -> NoReturn:
    """
    Say in our own terms why there is no target. What no endpoint should fail
    with is left as it is.
    """
    if failure.check(ConnectingCancelledError):
        raise CancelledError
    if failure.check(DNSLookupError):
        raise NameNotFound
    if failure.check(ConnectError) and not failure.check(RequestFailed):
        error = requestFailedFrom(failure)
        raise GeneralFailure(_reasonOf(failure)) if type(error) is GeneralFailure else error
    failure.raiseException()


def _reasonOf(failure: Failure) -> str:
    """
    Give what an error says, in one line.
    """
    if failure.check(ConnectionDone):
        return "the connection was closed"
    return " ".join(str(failure.value).split()) or type(failure.value).__name__


def _timedOut(result: Leg | Failure, seconds: float) -> Failure:
    return Failure(ConnectTimedOut())

"""
What every inbound protocol shares: a client has a limited time to say what it
wants, logs in, asks its avatar for it, and is then joined to what it got.

A protocol of this family is a L{Handshake} that turns bytes into calls on the
L{InboundProtocol} it was made for: C{login}, C{connect}, C{refuse}, C{drop}.
Everything after that is the same for all of them and stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.cred.credentials import ICredentials
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from socksproxy.address import Destination
from socksproxy.errors import (
    GeneralFailure,
    RequestFailed,
    SOCKSProxyError,
    TooManyConnections,
    requestFailedFor,
)
from socksproxy.events import AccessRecord, log
from socksproxy.inbound.address import shownAddress, sourceOf
from socksproxy.inbound.deadline import Deadline
from socksproxy.inbound.handshake import Answers, Handshake, Lingering
from socksproxy.inbound.login import LoggedIn, LoginAttempt
from socksproxy.inbound.shared import Inbound
from socksproxy.interfaces import ClientOrigin, IProxyAvatar
from socksproxy.policy.limits import Slot
from socksproxy.relay import Leg, Relay, RelayResult
from socksproxy.relay.leg import Receiver, abort, endStream, tuneSocket, writeThrough

Result = TypeVar("Result")

PAUSE_AT = 65536
"""
Octets of early data after which the client is not read until the dial is over.
"""


class InboundFactory(Factory):
    """
    Makes the protocols of one listener.
    """

    noisy = False

    def __init__(self, inbound: Inbound) -> None:
        """
        @param inbound: What the connections share.
        """
        self.inbound = inbound

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        Make the first receiver of a connection's bytes.
        """
        raise NotImplementedError

    def buildProtocol(self, addr: IAddress | None) -> InboundProtocol:
        """
        See C{IProtocolFactory}.
        """
        return InboundProtocol(self.inbound, self.handshakeFor)


class InboundProtocol(Leg):
    """
    A client's connection.

    @ivar inbound: What the listener's connections share.
    @ivar record: The access line in the making.
    """

    def __init__(
        self, inbound: Inbound, handshakeFor: Callable[[InboundProtocol], Receiver]
    ) -> None:
        super().__init__()
        self.inbound = inbound
        self.record = AccessRecord(listener=inbound.listener)
        self._handshakeFor = handshakeFor
        self._accepted = 0.0
        self._deadline = Deadline(inbound.clock, inbound.timers.handshake, self._expire)
        self._linger: IDelayedCall | None = None
        self._slot: Slot | None = None
        self._avatar: IProxyAvatar | None = None
        self._logout: Callable[[], object] | None = None
        self._login: LoginAttempt | None = None
        self._attempt: Deferred[None] | None = None
        self._relay: Relay | None = None
        self._answered = False
        self._closing = False
        self._paused = False
        self._ended = False
        self._lost = False

    def connectionMade(self) -> None:
        """
        Start the clock and wait for the client to speak.
        """
        self._accepted = self.inbound.clock.seconds()
        self.inbound.connections.add(self)
        self.hold(self._handshakeFor(self))
        try:
            self._slot = self.inbound.limits.admit()
            if not self.inbound.balanced:
                self._attribute()
        except TooManyConnections as e:
            self._refusedFor(e)
            abort(self.transport)
            return
        tuneSocket(self.transport)
        self._deadline.start()

    def origin(self, protocol: str) -> ClientOrigin:
        """
        Say where this client came in.

        @param protocol: The inbound protocol it speaks.
        """
        peer = self.transport.getPeer()
        inbound = self.inbound
        return ClientOrigin(protocol, inbound.listener, inbound.local, peer, sourceOf(peer))

    def login(self, credentials: ICredentials, protocol: str) -> Deferred[None]:
        """
        Log the client in.

        @param credentials: What it said of itself.
        @param protocol: The inbound protocol it speaks.
        @return: Fires when the client may make its request; fails with
            L{AuthenticationFailed} after the delay that its source has
            earned, or with L{TooManyConnections}.
        """
        origin = self.origin(protocol)
        self.record.protocol = protocol
        try:
            if self.inbound.balanced:
                self._attribute()
        except TooManyConnections:
            return fail(Failure())
        self._login = LoginAttempt(self.inbound, origin, credentials)
        loggingIn = self._login.start().addCallback(self._loggedIn)
        loggingIn.addBoth(self._loginDecided)
        if not self._login.decided:
            # Our own time does not count against the client.
            self._deadline.stop()
        return loggingIn

    @property
    def gone(self) -> bool:
        """
        The client is not there any more.
        """
        return self._lost

    def connect(self, destination: Destination, answers: Answers) -> None:
        """
        Connect the client to where it wants to go, answer it, and relay.

        @param destination: What it asked for.
        @param answers: How to answer.
        @raise RuntimeError: Nobody is logged in.
        """

        def connected(target: Leg) -> None:
            if self.gone:
                abort(target.transport)
            else:
                self.join(target, answers.granted(*target.localAddress()), answers)

        self.ask(
            "CONNECT",
            destination,
            lambda avatar: avatar.connect(destination),
            connected,
            answers.refused,
        )

    def ask(
        self,
        command: str,
        destination: Destination,
        request: Callable[[IProxyAvatar], Deferred[Result]],
        granted: Callable[[Result], None],
        refused: Callable[[RequestFailed], bytes],
    ) -> None:
        """
        Ask the client's avatar for something.

        @param command: What logs call it.
        @param destination: What the client wants it for.
        @param request: Does the asking.
        @param granted: Called with the answer, even if the client is
            L{gone} by then, so that the answer can be disposed of.
        @param refused: Gives the message of failure.
        @raise RuntimeError: Nobody is logged in.
        """
        if self._avatar is None:
            raise RuntimeError("a request before login")
        if self._lost:
            return
        self._deadline.stop()
        if self._slot is not None:
            self._slot.handshakeDone()
        self.record.command = command
        self.record.destination = str(destination)
        self.waitFor(maybeDeferred(request, self._avatar), granted, refused)

    def waitFor(
        self,
        outcome: Deferred[Result],
        granted: Callable[[Result], None],
        refused: Callable[[RequestFailed], bytes],
    ) -> None:
        """
        Wait for what the client has asked for; it is cancelled when the
        client goes. Parameters are those of L{ask}.
        """

        def failed(failure: Failure) -> None:
            if self._lost and failure.check(CancelledError):
                return
            error = failure.value
            if not isinstance(error, RequestFailed):
                log.failure("A request failed in an unforeseen way", failure)
                error = GeneralFailure()
            if not self._lost:
                self.refuse(refused(error), error)

        self._attempt = outcome.addCallbacks(granted, failed)

    def join(self, target: Leg, message: bytes, answers: Answers) -> None:
        """
        Answer the client and relay between it and a target.

        @param target: A connected leg that does not read yet.
        @param message: The answer.
        @param answers: Knows what the client has sent since its request.
        """
        self.record.address = shownAddress(target.transport.getPeer())
        self.record.result = "succeeded"
        tuneSocket(target.transport)
        writeThrough(self.transport, message)
        self._relay = Relay(
            self.inbound.clock, self, target, self.inbound.timers.relay, self._relayEnded
        )
        self._relay.start(answers.takeEarlyData(), self._ended)

    def conclude(self, message: bytes) -> None:
        """
        Answer the client and close: there is nothing more to do for it.

        @param message: The answer.
        """
        self.record.result = "succeeded"
        self.note("answered")
        self._close(message)

    def serve(self, receiver: Receiver, places: int = 1) -> None:
        """
        Have the client's connection stand for something else than a relay,
        until it ends.

        @param receiver: Who is told of what happens on it.
        @param places: How many connections more it counts as.
        @raise TooManyConnections: There is no room for so many.
        """
        if self._slot is not None:
            self._slot.widen(places)
        self.record.result = "succeeded"
        self._attempt = None
        self.hold(receiver)
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def answer(self, message: bytes) -> None:
        """
        Send a message of the handshake.
        """
        if self._lost:
            return
        self._answered = True
        writeThrough(self.transport, message)

    def fail(self, error: SOCKSProxyError) -> None:
        """
        Close because the client broke its protocol. Answers that have been
        written still reach it.

        @param error: Why.
        """
        if self._lost:
            return
        if self._attempt is not None:
            # It did not stop sending when it was not read any more.
            self.abort(str(error))
        elif self._answered:
            self.refuse(b"", error)
        else:
            self.drop(error)

    def refuse(self, message: bytes, error: SOCKSProxyError) -> None:
        """
        Answer the client and close, without losing the answer.

        @param message: The answer, or nothing if it has been written.
        @param error: Why.
        """
        if self._lost:
            return
        self._refusedFor(error)
        self._close(message)

    def drop(self, error: SOCKSProxyError) -> None:
        """
        Close without an answer.

        @param error: Why.
        """
        self._deadline.stop()
        self._refusedFor(error)
        self.transport.loseConnection()

    def keepEarlyData(self, pending: int) -> None:
        """
        Read no more of a client that has sent enough for now.

        @param pending: Octets that wait for the dial to succeed.
        """
        if pending >= PAUSE_AT and not self._closing:
            self._paused = True
            self.transport.pauseProducing()

    def note(self, reason: str) -> None:
        """
        Remember why this connection ended; the first cause counts.
        """
        if self.record.reason == "-":
            self.record.reason = reason

    def clientEnded(self) -> None:
        """
        The client sends no more. That is the end of an unfinished handshake;
        a request under way goes on, and the target will be told.
        """
        self._ended = True
        login = self._login
        unanswered = login is not None and not (login.decided or login.rejected)
        if self._attempt is None and not unanswered:
            self._expire()

    def clientLost(self, reason: Failure) -> None:
        """
        The client is gone before there was a relay.
        """
        self.note("client gone before the answer")
        self._lost = True
        if self._login is not None:
            self._login.abandon()
        if self._attempt is not None:
            self._attempt.cancel()
        self._finish()

    def shutDown(self) -> bool:
        """
        End this connection unless it is relaying.

        @return: Whether it goes on.
        """
        if self._relay is not None:
            return True
        self.note("shut down")
        abort(self.transport)
        return False

    def abort(self, reason: str) -> None:
        """
        End this connection now.
        """
        if self._relay is not None:
            self._relay.abort(reason)
        else:
            self.note(reason)
            abort(self.transport)

    def _attribute(self) -> None:
        if self._slot is not None and not self.inbound.local:
            self._slot.attribute(sourceOf(self.transport.getPeer()))

    def _loggedIn(self, loggedIn: LoggedIn) -> None:
        self._avatar, self._logout = loggedIn
        self.record.user = self._avatar.user
        if self._lost:
            self._endSession()

    def _loginDecided(self, result: Result) -> Result:
        if not self._lost:
            if self._ended:
                # It has made its request by now, or never will.
                self._deadline.spend()
            self._deadline.start()
            if self._paused:
                self._paused = False
                self.transport.resumeProducing()
        return result

    def _close(self, message: bytes) -> None:
        """
        Send a last message and close, without losing it.
        """
        self._closing = True
        self._deadline.stop()
        if message:
            writeThrough(self.transport, message)
        if self._ended:
            self.transport.loseConnection()
            return
        self.hold(Lingering(self))
        endStream(self.transport)
        self.transport.resumeProducing()
        self._linger = self.inbound.clock.callLater(
            self.inbound.timers.linger, self.transport.loseConnection
        )

    def _relayEnded(self, result: RelayResult) -> None:
        self.record.sent = result.sent
        self.record.received = result.received
        self.note(result.reason)
        self._finish()

    def _expire(self) -> None:
        if self._ended:
            self.note("client closed during handshake")
            self.transport.loseConnection()
        else:
            self.note("handshake took too long")
            abort(self.transport)

    def _refusedFor(self, error: SOCKSProxyError) -> None:
        self.record.result = _resultOf(error)
        self.note(str(error))

    def _endSession(self) -> None:
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()

    def _finish(self) -> None:
        self._deadline.close()
        linger, self._linger = self._linger, None
        if linger is not None and linger.active():
            linger.cancel()
        self._relay = None
        self._endSession()
        if self._slot is not None:
            self._slot.release()
        self.record.client = shownAddress(self.transport.getPeer())
        self.record.duration = self.inbound.clock.seconds() - self._accepted
        self.record.emit()
        self.inbound.ended(self)


def _resultOf(error: SOCKSProxyError) -> str:
    """
    Name an outcome for the access line.
    """
    if isinstance(error, RequestFailed):
        return error.summary
    code = getattr(error, "replyCode", GeneralFailure.replyCode)
    return "malformed" if code == GeneralFailure.replyCode else requestFailedFor(code).summary

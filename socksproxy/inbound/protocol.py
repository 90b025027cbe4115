"""
What every inbound protocol shares: a client has a limited time to say what it
wants, logs in, asks its avatar for it, and is then joined to what it got.

A protocol of this family is a L{Handshake} that turns bytes into calls on the
L{InboundProtocol} it was made for: C{login}, C{connect}, C{refuse}, C{drop}.
Everything after that is the same for all of them and stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from typing import Protocol as Interface

from twisted.cred.credentials import ICredentials
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from socksproxy.address import Destination
from socksproxy.errors import (
    InternalError,
    RequestFailed,
    SOCKSProxyError,
)
from socksproxy.events import log
from socksproxy.inbound.address import shownAddress, sourceOf
from socksproxy.inbound.connection import InboundConnection
from socksproxy.inbound.handshake import Answers, Handshake
from socksproxy.inbound.login import Session
from socksproxy.inbound.shared import Inbound
from socksproxy.interfaces import ClientOrigin, IProxyAvatar
from socksproxy.relay import Leg, Relay, RelayResult
from socksproxy.relay.leg import Receiver, abort
from socksproxy.relay.sockets import tuneSocket, writeThrough

Result = TypeVar("Result")


class Transfer(Interface):
    """
    What goes on between a client and what it asked for.
    """

    @property
    def moved(self) -> tuple[int, int]:
        """
        Octets from the client to the target so far, and back.
        """

    def abort(self, reason: str) -> None:
        """
        End it at once.
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


class InboundProtocol(InboundConnection):
    """
    A client that logs in, asks for one thing, and gets it; or one that does
    so again and again, with L{nextRequest} between.

    @ivar stopping: What is under way is the last thing that the client gets.
    """

    def __init__(
        self, inbound: Inbound, handshakeFor: Callable[[InboundProtocol], Receiver]
    ) -> None:
        super().__init__(inbound)
        self._handshakeFor = handshakeFor
        self._session = Session(inbound)
        self._attempt: Deferred[Any] | None = None
        self._transfer: Transfer | None = None
        self.stopping = False

    def connectionMade(self) -> None:
        """
        Wait for the client to speak.
        """
        self.hold(self._handshakeFor(self))
        super().connectionMade()

    def origin(self, protocol: str) -> ClientOrigin:
        """
        Say where this client came in.

        @param protocol: The inbound protocol it speaks.
        """
        inbound, peer = self.inbound, self.peer
        source = sourceOf(peer)
        return ClientOrigin(protocol, inbound.listener, inbound.local, peer, source, inbound.keyed)

    def login(self, credentials: ICredentials, protocol: str) -> Deferred[None]:
        """
        Log the client in.

        @param credentials: What it said of itself.
        @param protocol: The inbound protocol it speaks.
        @return: Fires when the client may make its request; fails with
            L{AuthenticationFailed} after the delay that its source has
            earned.
        """
        session = self._session
        self.record.protocol = protocol
        loggingIn = session.login(self.origin(protocol), credentials).addCallback(self._loggedIn)
        loggingIn.addBoth(self._loginDecided)
        if not session.decided:
            # Our own time does not count against the client.
            self._deadline.stop()
        return loggingIn

    @property
    def avatar(self) -> IProxyAvatar | None:
        """
        Who the client is, while that is known.
        """
        return self._session.avatar

    def connect(self, destination: Destination, answers: Answers) -> None:
        """
        Connect the client to where it wants to go, answer it, and relay.

        @param destination: What it asked for.
        @param answers: How to answer.
        @raise RuntimeError: Nobody is logged in.
        """

        def connected(target: Leg) -> None:
            if self.gone or self.closing:
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
        self.attempt(command, destination, request, granted, self._refusing(refused))

    def attempt(
        self,
        command: str,
        destination: Destination,
        request: Callable[[IProxyAvatar], Deferred[Result]],
        granted: Callable[[Result], None],
        failed: Callable[[RequestFailed], None],
    ) -> None:
        """
        Ask the client's avatar for something without which the connection can
        go on. Parameters are those of L{ask}, but for one.

        @param failed: Called with why there is no such thing, unless the
            client is gone.
        @raise RuntimeError: Nobody is logged in.
        """
        avatar = self._session.avatar
        if avatar is None:
            raise RuntimeError("a request before login")
        if self.gone:
            return
        self._deadline.stop()
        if self._slot is not None:
            self._slot.handshakeDone()
        self.record.command = command
        self.record.destination = str(destination)
        self._await(maybeDeferred(request, avatar), granted, failed)

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
        self._await(outcome, granted, self._refusing(refused))

    def _await(
        self,
        outcome: Deferred[Result],
        granted: Callable[[Result], None],
        failed: Callable[[RequestFailed], None],
    ) -> None:
        def noticed(failure: Failure) -> None:
            if (self.gone or self.closing) and failure.check(CancelledError):
                return
            error = failure.value
            if not isinstance(error, RequestFailed):
                log.failure("A request failed in an unforeseen way", failure)
                error = InternalError()
            if not self.gone:
                failed(error)

        # Perhaps it is there already, and serves the client before this returns.
        self._attempt = outcome
        outcome.addCallbacks(granted, noticed)

    def _refusing(
        self, refused: Callable[[RequestFailed], bytes]
    ) -> Callable[[RequestFailed], None]:
        return lambda error: self.refuse(refused(error), error)

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
        relay = self._transfer = Relay(
            self.inbound.clock, self, target, self.inbound.timers.relay, self._relayEnded
        )
        relay.start(answers.takeEarlyData(), self.ended)

    def carry(self, transfer: Transfer | None) -> None:
        """
        Have something else than a relay serve the client's request.

        @param transfer: What the service waits for when it stops; L{None} when
            it is over.
        """
        self._transfer = transfer

    def nextRequest(self) -> None:
        """
        See L{InboundConnection.nextRequest}. The next request logs in anew.
        """
        self._session.end()
        self._session = Session(self.inbound)
        self._attempt = self._transfer = None
        super().nextRequest()

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
        self.readOn()

    def fail(self, error: SOCKSProxyError) -> None:
        """
        Close because the client broke its protocol. Answers that have been
        written still reach it.

        @param error: Why.
        """
        if self.gone:
            return
        if self._attempt is not None:
            # It did not stop sending when it was not read any more.
            self.abort(str(error))
        elif self._answered:
            self.refuse(b"", error)
        else:
            self.drop(error)

    def clientEnded(self) -> None:
        """
        The client sends no more. That is the end of an unfinished handshake;
        a request under way goes on, and the target will be told.
        """
        self.ended = True
        if self._attempt is None and not self._session.undecided:
            self._expire()

    def clientLost(self, reason: Failure) -> None:
        """
        See L{InboundConnection.clientLost}.
        """
        self.gone = True
        self._session.abandon()
        if self._attempt is not None:
            self._attempt.cancel()
        super().clientLost(reason)

    def moved(self) -> tuple[int, int]:
        """
        See L{InboundConnection.moved}.
        """
        sent, received = super().moved()
        if self._transfer is None:
            return sent, received
        more, back = self._transfer.moved
        return sent + more, received + back

    def shutDown(self) -> bool:
        """
        See L{InboundConnection.shutDown}.
        """
        self.stopping = True
        return self._transfer is not None or super().shutDown()

    def abort(self, reason: str) -> None:
        """
        See L{InboundConnection.abort}.
        """
        if self._transfer is not None:
            self._transfer.abort(reason)
        else:
            super().abort(reason)

    def _loggedIn(self, avatar: IProxyAvatar) -> None:
        self.record.user = avatar.user

    def _loginDecided(self, result: Result) -> Result:
        if not self.gone:
            if self.ended:
                # It has made its request by now, or never will.
                self._deadline.spend()
            self._deadline.start()
            self.readOn()
        return result

    def _relayEnded(self, result: RelayResult) -> None:
        self.record.sent += result.sent
        self.record.received += result.received
        self.note(result.reason)
        self.finish()

    def finish(self) -> None:
        """
        See L{InboundConnection.finish}.
        """
        self._transfer = None
        self._session.end()
        super().finish()

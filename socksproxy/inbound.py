"""
What every inbound protocol shares: a client has a limited time to say what it
wants, logs in, asks its avatar for it, and is then joined to what it got.

A protocol of this family is a L{Handshake} that turns bytes into calls on the
L{InboundProtocol} it was made for: C{login}, C{connect}, C{refuse}, C{drop}.
Everything after that is the same for all of them and stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Protocol as Interface
from typing import TypeVar

from twisted.cred.credentials import IAnonymous, ICredentials
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from socksproxy.address import Destination, IPAddress, hostFromText
from socksproxy.auth.throttle import FailureThrottle
from socksproxy.errors import (
    AuthenticationFailed,
    GeneralFailure,
    RequestFailed,
    SOCKSProxyError,
    TooManyConnections,
    requestFailedFor,
)
from socksproxy.events import AccessRecord, authenticationFailed, log
from socksproxy.interfaces import ClientOrigin, IProxyAvatar
from socksproxy.policy.limits import ConnectionLimits, Slot
from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.relay.leg import Receiver, abort, endStream, tuneSocket, writeThrough

Login = TypeVar("Login")

PAUSE_AT = 65536
"""
Octets of early data after which the client is not read until the dial is over.
"""

LINGER_OCTETS = 65536


@dataclass(frozen=True, slots=True)
class InboundTimers:
    """
    How long a client is waited for, in seconds.

    @ivar handshake: From accept until its request is complete, whatever it
        sends; what we ourselves take for checking a password is not counted.
    @ivar linger: For it to read a refusal.
    @ivar relay: The timers of the relay that follows.
    """

    handshake: float = 10.0
    linger: float = 2.0
    relay: RelayTimers = RelayTimers()


@dataclass(eq=False)
class Inbound:
    """
    One listener's side of its connections: what they share.

    @ivar portal: Where clients log in.
    @ivar clock: Time.
    @ivar listener: How logs name the listener.
    @ivar local: Clients come from this very host, over loopback or a UNIX
        socket.
    @ivar balanced: Clients come through a load balancer which names them in
        a header, so that their addresses are not known at accept.
    @ivar timers: Limits of time.
    @ivar limits: Limits of number.
    @ivar throttle: The delays of those who guess passwords.
    @ivar connections: Those that are open.
    """

    portal: Portal
    clock: IReactorTime
    listener: str = "-"
    local: bool = False
    balanced: bool = False
    timers: InboundTimers = field(default_factory=InboundTimers)
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    throttle: FailureThrottle = field(default_factory=FailureThrottle)
    connections: set[InboundProtocol] = field(default_factory=set)
    _waiting: list[Deferred[None]] = field(default_factory=list)

    def whenEmpty(self) -> Deferred[None]:
        """
        Wait for the last connection to end.
        """
        if not self.connections:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def ended(self, connection: InboundProtocol) -> None:
        """
        Forget a connection.
        """
        self.connections.discard(connection)
        if not self.connections:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)


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


class Answers(Interface):
    """
    How a protocol answers a request to connect.
    """

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        Give the message of success.

        @param host: Our own address on the connection to the target.
        """

    def refused(self, error: RequestFailed) -> bytes:
        """
        Give the message of failure.
        """

    def takeEarlyData(self) -> bytes:
        """
        Give what the client sent after its request.
        """


class Handshake:
    """
    The receiver of a connection until its request is made and answered. A
    subclass implements C{dataReceived}, also for what comes while it waits.
    """

    def __init__(self, connection: InboundProtocol) -> None:
        self.connection = connection

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client.
        """
        raise NotImplementedError

    def readConnectionLost(self) -> None:
        """
        The client sends no more.
        """
        self.connection.clientEnded()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self.connection.clientLost(reason)


class _Lingering(Handshake):
    """
    Reads on after a refusal and throws away what comes. Closing a socket that
    has unread bytes makes the kernel send a reset, which can destroy the
    refusal before the client has read it.
    """

    _discarded = 0

    def dataReceived(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_OCTETS:
            self.connection.transport.loseConnection()

    def readConnectionLost(self) -> None:
        self.connection.transport.loseConnection()


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
        self._remaining = inbound.timers.handshake
        self._deadline: IDelayedCall | None = None
        self._slot: Slot | None = None
        self._avatar: IProxyAvatar | None = None
        self._logout: Callable[[], object] | None = None
        self._delay: Deferred[None] | None = None
        self._attempt: Deferred[None] | None = None
        self._relay: Relay | None = None
        self._answered = False
        self._closing = False
        self._loggingIn = False
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
        self._startDeadline()

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
        self._loggingIn = True
        loggingIn = maybeDeferred(
            self.inbound.portal.login, credentials, origin, IProxyAvatar
        ).addCallbacks(
            self._loggedIn,
            self._loginFailed,
            callbackArgs=(origin, credentials),
            errbackArgs=(origin, credentials),
        )
        loggingIn.addBoth(self._loginDecided)
        if self._loggingIn:
            # Our own time does not count against the client.
            self._stopDeadline()
        return loggingIn

    def connect(self, destination: Destination, answers: Answers) -> None:
        """
        Connect the client to where it wants to go, answer it, and relay.

        @param destination: What it asked for.
        @param answers: How to answer.
        @raise RuntimeError: Nobody is logged in.
        """
        if self._avatar is None:
            raise RuntimeError("connect before login")
        if self._lost:
            return
        self._stopDeadline()
        if self._slot is not None:
            self._slot.handshakeDone()
        self.record.command = "CONNECT"
        self.record.destination = str(destination)
        attempt = maybeDeferred(self._avatar.connect, destination)
        self._attempt = attempt.addCallbacks(
            self._connected,
            self._notConnected,
            callbackArgs=(answers,),
            errbackArgs=(answers,),
        )

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
        self._closing = True
        self._stopDeadline()
        self._refusedFor(error)
        if message:
            writeThrough(self.transport, message)
        if self._ended:
            self.transport.loseConnection()
            return
        self.hold(_Lingering(self))
        endStream(self.transport)
        self.transport.resumeProducing()
        self._deadline = self.inbound.clock.callLater(
            self.inbound.timers.linger, self.transport.loseConnection
        )

    def drop(self, error: SOCKSProxyError) -> None:
        """
        Close without an answer.

        @param error: Why.
        """
        self._stopDeadline()
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

    def clientEnded(self) -> None:
        """
        The client sends no more. That is the end of an unfinished handshake;
        a request under way goes on, and the target will be told.
        """
        self._ended = True
        unanswered = self._loggingIn and self._delay is None
        if self._attempt is None and not unanswered:
            self._expire()

    def clientLost(self, reason: Failure) -> None:
        """
        The client is gone before there was a relay.
        """
        self._note("client gone before the answer")
        self._lost = True
        for waiting in (self._delay, self._attempt):
            if waiting is not None:
                waiting.cancel()
        self._finish()

    def shutDown(self) -> bool:
        """
        End this connection unless it is relaying.

        @return: Whether it goes on.
        """
        if self._relay is not None:
            return True
        self._note("shut down")
        abort(self.transport)
        return False

    def abort(self, reason: str) -> None:
        """
        End this connection now.
        """
        if self._relay is not None:
            self._relay.abort(reason)
        else:
            self._note(reason)
            abort(self.transport)

    def _attribute(self) -> None:
        if self._slot is not None and not self.inbound.local:
            self._slot.attribute(sourceOf(self.transport.getPeer()))

    def _loggedIn(
        self,
        result: tuple[type[IProxyAvatar], IProxyAvatar, Callable[[], object]],
        origin: ClientOrigin,
        credentials: ICredentials,
    ) -> None:
        _, self._avatar, self._logout = result
        if not IAnonymous.providedBy(credentials):
            self.inbound.throttle.succeeded(origin.source)
        self.record.user = self._avatar.user
        if self._lost:
            self._endSession()

    def _loginDecided(self, result: Login) -> Login:
        self._loggingIn = False
        if not self._lost:
            if self._ended:
                # It has made its request by now, or never will.
                self._stopDeadline()
                self._remaining = 0.0
            if self._deadline is None:
                self._startDeadline()
            if self._paused:
                self._paused = False
                self.transport.resumeProducing()
        return result

    def _loginFailed(
        self, failure: Failure, origin: ClientOrigin, credentials: ICredentials
    ) -> Failure | Deferred[None]:
        failed = Failure(AuthenticationFailed())
        if not failure.check(LoginFailed):
            log.failure("The login could not be checked", failure)
            return Failure(GeneralFailure("the login could not be checked"))
        if not failure.check(UnauthorizedLogin) or IAnonymous.providedBy(credentials):
            # A kind of credentials that nobody here takes: not a guess.
            return failed
        host, port = _hostAndPort(origin.peer)
        user = getattr(credentials, "username", b"-")
        authenticationFailed(host, port, origin.protocol, origin.listener, user)
        clock = self.inbound.clock
        delay = self.inbound.throttle.failed(origin.source, clock.seconds())
        if self._lost:
            return failed
        self._delay = deferLater(clock, delay)
        return self._delay.addBoth(lambda _: failed)

    def _connected(self, target: Leg, answers: Answers) -> None:
        if self._lost:
            abort(target.transport)
            return
        self.record.address = shownAddress(target.transport.getPeer())
        self.record.result = "succeeded"
        tuneSocket(target.transport)
        writeThrough(self.transport, answers.granted(*target.localAddress()))
        self._relay = Relay(
            self.inbound.clock, self, target, self.inbound.timers.relay, self._relayEnded
        )
        self._relay.start(answers.takeEarlyData(), self._ended)

    def _notConnected(self, failure: Failure, answers: Answers) -> None:
        if self._lost and failure.check(CancelledError):
            return
        error = failure.value
        if not isinstance(error, RequestFailed):
            log.failure("A connection attempt failed in an unforeseen way", failure)
            error = GeneralFailure()
        if not self._lost:
            self.refuse(answers.refused(error), error)

    def _relayEnded(self, result: RelayResult) -> None:
        self.record.sent = result.sent
        self.record.received = result.received
        self._note(result.reason)
        self._finish()

    def _startDeadline(self) -> None:
        self._deadline = self.inbound.clock.callLater(self._remaining, self._expire)

    def _stopDeadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            # At least a second, for what the client sends in answer to us.
            self._remaining = max(1.0, deadline.getTime() - self.inbound.clock.seconds())
            deadline.cancel()

    def _expire(self) -> None:
        if self._ended:
            self._note("client closed during handshake")
            self.transport.loseConnection()
        else:
            self._note("handshake took too long")
            abort(self.transport)

    def _refusedFor(self, error: SOCKSProxyError) -> None:
        self.record.result = _resultOf(error)
        self._note(str(error))

    def _note(self, reason: str) -> None:
        if self.record.reason == "-":
            self.record.reason = reason

    def _endSession(self) -> None:
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()

    def _finish(self) -> None:
        self._stopDeadline()
        self._endSession()
        if self._slot is not None:
            self._slot.release()
        self.record.client = shownAddress(self.transport.getPeer())
        self.record.duration = self.inbound.clock.seconds() - self._accepted
        self.record.emit()
        self.inbound.ended(self)


def sourceOf(peer: IAddress) -> str:
    """
    Give what stands for a client where it is counted. A single host has a
    whole /64 of IPv6 addresses to choose from, so that is one source.
    """
    if isinstance(peer, UNIXAddress):
        return "unix"
    if isinstance(peer, IPv6Address):
        host = hostFromText(peer.host)
        if host is not None and host.version == 6:
            return str(ip_network((host, 64), strict=False))
        return str(host)
    return peer.host if isinstance(peer, IPv4Address) else "-"


def _hostAndPort(peer: IAddress) -> tuple[str, int]:
    if isinstance(peer, IPv4Address | IPv6Address):
        return peer.host, peer.port
    return ("unix" if isinstance(peer, UNIXAddress) else "-"), 0


def _resultOf(error: SOCKSProxyError) -> str:
    """
    Name an outcome for the access line.
    """
    if isinstance(error, RequestFailed):
        return error.summary
    code = getattr(error, "replyCode", GeneralFailure.replyCode)
    return "malformed" if code == GeneralFailure.replyCode else requestFailedFor(code).summary


def shownAddress(address: IAddress) -> str:
    """
    Write a transport's address for a log.
    """
    host, port = _hostAndPort(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

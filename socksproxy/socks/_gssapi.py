"""
The messages of SOCKS5's GSSAPI method, both halves, without I/O and without
GSSAPI itself.

The context is established with frames of type 1, step by step; each step may
wait for a KDC or a disk and is left to the driver. Then the client asks for a
level of protection and the server chooses, in frames of type 2. From there on
everything goes through a L{protection<ContextProtection>}, unless the choice
was to protect nothing.

@see: U{https://www.rfc-editor.org/rfc/rfc1961}
"""

from collections.abc import Sequence
from functools import partial

from socksproxy.buffer import Buffer
from socksproxy.errors import (
    AuthenticationFailed,
    MalformedMessage,
    MessageTooLong,
    NotAllowed,
    SOCKSProxyError,
)
from socksproxy.socks import _wire1961 as wire
from socksproxy.socks._events import (
    Blocking,
    CredentialsReceived,
    Event,
    Failed,
    ProtectionEstablished,
    Send,
)
from socksproxy.socks._protection import ContextProtection, SecurityContext, TokenOrder
from socksproxy.socks._wire1961 import Level, MessageType
from socksproxy.socks.methods import Principal

MAX_ROUNDS = 10
MAX_OCTETS = 256 * 1024
"""
What one side may send until the context is established. Kerberos takes one
token of less than two KiB from each.
"""

MAX_LEVEL_TOKEN = 256
"""
Octets of the token around a level. It cannot be known yet whether it comes in
order, so that not much is to be lost by it.
"""

_ABORT = wire.encodeFrame(wire.Frame(MessageType.ABORT))

_strength = {
    Level.NONE: 0,
    Level.INTEGRITY: 1,
    # The other side may leave out confidentiality.
    Level.SELECTIVE: 1,
    Level.CONFIDENTIALITY: 2,
}


class _Exchange:
    """
    One side's view of a context that is being established.

    @ivar context: The context.
    @ivar order: What the peer has wrapped in it.
    """

    def __init__(self, context: SecurityContext) -> None:
        self.context = context
        self.order = TokenOrder(context)
        self._rounds = 0
        self._octets = 0
        self._outcome: bytes | Exception | None = None

    def go(self, token: bytes) -> Blocking:
        """
        Take the next step.

        @param token: What the peer has sent.
        @raise MessageTooLong: That is more than a context needs.
        """
        self._rounds += 1
        self._octets += len(token)
        if self._rounds > MAX_ROUNDS or self._octets > MAX_OCTETS:
            raise MessageTooLong("the GSSAPI exchange does not come to its end")
        return Blocking(partial(self._step, token))

    def _step(self, token: bytes) -> None:
        try:
            self._outcome = self.context.step(token)
        except Exception as e:
            # This is another thread. Whoever waits for the outcome is told.
            self._outcome = e

    def sayings(self) -> list[Event]:
        """
        Give what is to be sent after a step, once.

        @raise SOCKSProxyError: The step has failed.
        """
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, SOCKSProxyError):
            raise outcome
        if isinstance(outcome, Exception):
            raise AuthenticationFailed(f"GSSAPI: {outcome!r}") from outcome
        return [_sending(MessageType.AUTHENTICATION, outcome)] if outcome else []

    def wrapLevel(self, level: Level) -> bytes:
        """
        Put a level into a token.

        @raise LocalProtocolError: As L{SecurityContext.wrap}.
        """
        return self.context.wrap(bytes((level,)), False)

    def unwrapLevel(self, token: bytes) -> Level:
        """
        Read a level from a token.

        @raise MalformedMessage: The token is not good, or no level is in it.
        @raise MessageTooLong: There is more in it than a level.
        @raise LocalProtocolError: As L{SecurityContext.unwrap}.
        """
        if len(token) > MAX_LEVEL_TOKEN:
            raise MessageTooLong("more than a protection level")
        message, _ = self.order.next(token)
        return _levelOf(message)

    def protection(self, level: Level) -> ContextProtection | None:
        """
        Give what everything goes through from here on.
        """
        return None if level is Level.NONE else ContextProtection(self.context, self.order, level)


class GSSAPIServer:
    """
    The server's half.
    """

    def __init__(self, context: SecurityContext, minimum: Level, nec: bool) -> None:
        """
        @param context: An acceptor's context, not established.
        @param minimum: The least protection: NONE, INTEGRITY or
            CONFIDENTIALITY.
        @param nec: Take a level without a token around it, too, as NEC's
            implementation sends it. Whoever is on the way can then change it,
            though not to less than the minimum.
        """
        self._exchange = _Exchange(context)
        self._minimum = minimum
        self._nec = nec
        self._answer = b""

    def receive(self, buffer: Buffer) -> Sequence[Event]:
        """
        See L{ServerSubNegotiation<socksproxy.socks.methods.ServerSubNegotiation>}.
        """
        events: list[Event] = []
        try:
            events += self._exchange.sayings()
            frame = buffer.decode(wire.decodeFrame)
            if frame is not None:
                events.append(self._read(frame))
        except SOCKSProxyError as e:
            return [*events, Send(_ABORT), Failed(e)]
        return events

    def authenticated(self) -> bytes:
        """
        Give the level that has been chosen.
        """
        return self._answer

    def authenticationFailed(self) -> bytes:
        """
        Give the message of failure.
        """
        return _ABORT

    def _read(self, frame: wire.Frame) -> Event:
        exchange = self._exchange
        if not exchange.context.complete:
            return exchange.go(_expect(frame, MessageType.AUTHENTICATION))
        token = _expect(frame, MessageType.PROTECTION_LEVEL)
        bare = self._nec and len(token) == 1
        level = self._choose(_levelOf(token) if bare else exchange.unwrapLevel(token))
        self._answer = wire.encodeFrame(
            wire.Frame(
                MessageType.PROTECTION_LEVEL,
                bytes((level,)) if bare else exchange.wrapLevel(level),
            )
        )
        return CredentialsReceived(Principal(exchange.context.peer), exchange.protection(level))

    def _choose(self, requested: Level) -> Level:
        """
        Choose a level. One that is stronger than what was asked for is an
        answer only where the client has left it open.

        @raise NotAllowed: What was asked for is too weak, or impossible.
        """
        level = requested
        if level is Level.SELECTIVE and self._minimum is Level.CONFIDENTIALITY:
            level = Level.CONFIDENTIALITY
        if _strength[level] < _strength[self._minimum]:
            raise NotAllowed(f"protection level {level:d} is not enough")
        _checkPossible(self._exchange.context, level)
        return level


class GSSAPIClient:
    """
    The client's half.
    """

    def __init__(self, context: SecurityContext, level: Level, minimum: Level) -> None:
        """
        @param context: An initiator's context, not established.
        @param level: What to ask for.
        @param minimum: The least protection to be content with.
        """
        self._exchange = _Exchange(context)
        self._level = level
        self._minimum = minimum
        self._begun = False
        self._asked = False
        self._succeeded = False

    def start(self) -> bytes:
        """
        Give nothing: the first token has to be computed.
        """
        return b""

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        """
        See L{ClientSubNegotiation<socksproxy.socks.methods.ClientSubNegotiation>}.
        """
        if self._succeeded:
            return None
        if not self._begun:
            self._begun = True
            return [self._exchange.go(b"")]
        try:
            events = self._exchange.sayings()
            if self._exchange.context.complete and not self._asked:
                self._asked = True
                events.append(self._ask())
            frame = buffer.decode(wire.decodeFrame)
            if frame is None:
                return events
            if not self._asked:
                return [*events, self._exchange.go(_expect(frame, MessageType.AUTHENTICATION))]
            protection = self._accept(_expect(frame, MessageType.PROTECTION_LEVEL))
        except SOCKSProxyError as e:
            return [Failed(e)]
        self._succeeded = True
        if protection is not None:
            events.append(ProtectionEstablished(protection))
        return events or None

    def _ask(self) -> Event:
        _checkPossible(self._exchange.context, self._level)
        return _sending(MessageType.PROTECTION_LEVEL, self._exchange.wrapLevel(self._level))

    def _accept(self, token: bytes) -> ContextProtection | None:
        """
        Take the server's choice.

        @raise NotAllowed: It is too weak, or impossible.
        """
        level = self._exchange.unwrapLevel(token)
        if _strength[level] < _strength[self._minimum]:
            raise NotAllowed(f"the proxy chose protection level {level:d}, which is not enough")
        _checkPossible(self._exchange.context, level)
        return self._exchange.protection(level)


def _sending(messageType: MessageType, token: bytes) -> Event:
    """
    Give the event that sends a token.
    """
    return Send(wire.encodeFrame(wire.Frame(messageType, token)))


def _expect(frame: wire.Frame, messageType: MessageType) -> bytes:
    """
    Give the token of a frame.

    @raise AuthenticationFailed: The peer wants no more.
    @raise MalformedMessage: The frame is of another type than it should be.
    """
    if frame.messageType is MessageType.ABORT:
        raise AuthenticationFailed("the peer aborted the GSSAPI exchange")
    if frame.messageType is not messageType:
        raise MalformedMessage(f"MTYP {frame.messageType:d} out of turn")
    return frame.token


def _levelOf(message: bytes) -> Level:
    """
    Read a level.

    @raise MalformedMessage: It is none.
    """
    try:
        (octet,) = message
        return Level(octet)
    except ValueError as e:
        raise MalformedMessage("not a protection level") from e


def _checkPossible(context: SecurityContext, level: Level) -> None:
    """
    Refuse a level that a context cannot give.

    @raise NotAllowed: This is one.
    """
    if level is not Level.NONE and not context.integrity:
        raise NotAllowed("the security context has no integrity")
    if level in (Level.CONFIDENTIALITY, Level.SELECTIVE) and not context.confidentiality:
        raise NotAllowed("the security context has no confidentiality")

"""
What GSSAPI puts around the bytes of a SOCKS5 connection and around the
datagrams of a UDP association, without I/O and without GSSAPI itself: a
L{SecurityContext} stands for that.

The order of the peer's tokens is looked at before the context is asked. A
context that has been told to watch it does so too, but not for datagrams, of
which some may be lost; and the C{gssapi} package loses the message of each
token that comes out of order, together with the memory that it took.

@see: U{https://www.rfc-editor.org/rfc/rfc1961#section-5}
@see: U{https://www.rfc-editor.org/rfc/rfc4121#section-4.2.6.2}
"""

import struct
from typing import Protocol

from socksproxy.errors import (
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
    TruncatedStream,
)
from socksproxy.socks import _wire1961 as wire

CHUNK = 16384
"""
The most octets of a stream that go into one frame, so that the peer can begin
to read soon.
"""

WINDOW = 64
"""
How many tokens a datagram may come late. It must not be more than the context
remembers.
"""

_ALL = (1 << WINDOW) - 1
_WRAP_TOKEN = struct.Struct("!2s6xQ")
_WRAP_TOKEN_ID = b"\x05\x04"


class SecurityContext(Protocol):
    """
    What a method needs of a GSSAPI security context.
    """

    @property
    def complete(self) -> bool:
        """
        Whether both sides know each other, so that everything but C{step} can
        be used.
        """

    @property
    def peer(self) -> bytes:
        """
        Who the initiator is, for the acceptor.
        """

    @property
    def integrity(self) -> bool:
        """
        Whether it can protect messages from being changed.
        """

    @property
    def confidentiality(self) -> bool:
        """
        Whether it can keep messages secret.
        """

    @property
    def sequenced(self) -> bool:
        """
        Whether it watches the order of tokens, and hence takes none after one
        that was lost.
        """

    def step(self, token: bytes) -> bytes:
        """
        Go on with establishing it. This may block.

        @param token: What the peer has sent; nothing for the first step of
            the initiator.
        @return: What to send to the peer, if anything.
        @raise AuthenticationFailed: It cannot be established.
        """

    def wrap(self, message: bytes, confidential: bool) -> bytes:
        """
        Protect a message.

        @raise LocalProtocolError: That is not possible any more.
        """

    def unwrap(self, token: bytes) -> tuple[bytes, bool]:
        """
        Read what the peer has protected.

        @return: The message, and whether it was confidential.
        @raise MalformedMessage: The token has been changed, or was never made
            in this context.
        @raise LocalProtocolError: It came out of order, so that its message is
            lost.
        """

    def wrapLimit(self, confidential: bool) -> int:
        """
        Give the most octets of a message whose token fits into a frame.
        """


class TokenOrder:
    """
    The wrap tokens of one peer: each is read once, those of a stream one after
    the other, those of datagrams as far back as a window goes.
    """

    def __init__(self, context: SecurityContext) -> None:
        self._context = context
        self._highest = -1
        # Bit n is for the token n before the highest. What came before the
        # first that we have seen has not been sent to us.
        self._seen = _ALL
        self._datagrams = False

    def next(self, token: bytes) -> tuple[bytes, bool]:
        """
        Unwrap a token of the stream.

        @return: The message, and whether it was confidential.
        @raise MalformedMessage: It is not good, or not the next one.
        @raise LocalProtocolError: As L{SecurityContext.unwrap}.
        """
        number = _sequenceNumber(token)
        started = self._highest >= 0
        # Datagrams count in the same numbers.
        if started and not self._datagrams and number != self._highest + 1:
            raise MalformedMessage("a token came twice, or one is missing")
        return self._unwrap(number, token)

    def any(self, token: bytes) -> tuple[bytes, bool]:
        """
        Unwrap a token of a datagram.

        @return: As L{next}.
        @raise MalformedMessage: It is not good, or came before, or is late.
        @raise LocalProtocolError: As L{SecurityContext.unwrap}.
        """
        self._datagrams = True
        return self._unwrap(_sequenceNumber(token), token)

    def _unwrap(self, number: int, token: bytes) -> tuple[bytes, bool]:
        behind = self._highest - number
        if behind >= WINDOW or (behind >= 0 and self._seen >> behind & 1):
            raise MalformedMessage("a token came twice, or too late")
        unwrapped = self._context.unwrap(token)
        if behind >= 0:
            self._seen |= 1 << behind
            return unwrapped
        ahead = -behind
        # After a jump out of the window MIT's library takes some of those
        # before for seen, so none of them is.
        first = self._highest < 0
        self._seen = _ALL if first or ahead >= WINDOW else (self._seen << ahead | 1) & _ALL
        self._highest = number
        return unwrapped


def _sequenceNumber(token: bytes) -> int:
    """
    Read SND_SEQ of a wrap token of Kerberos (RFC 4121 section 4.2.6.2), which
    is not secret, and is protected with the rest.

    @raise MalformedMessage: It is no such token. Those of the encryption types
        before AES are not; nobody should use them any more.
    """
    if len(token) < _WRAP_TOKEN.size:
        raise MalformedMessage("a wrap token is too short")
    identifier, number = _WRAP_TOKEN.unpack_from(token)
    if identifier != _WRAP_TOKEN_ID:
        raise MalformedMessage("not a wrap token of RFC 4121")
    return int(number)


class ContextProtection:
    """
    The L{Protection<socksproxy.socks._events.Protection>} that a security
    context gives.

    @ivar carriesDatagrams: Whether there can be datagrams too. A context that
        watches the order of tokens would take none after the first that was
        lost, which is why RFC 1961 section 3.2 has UDP clients ask for one
        that does not.
    """

    def __init__(self, context: SecurityContext, order: TokenOrder, level: wire.Level) -> None:
        """
        @param context: The context, complete.
        @param order: What the peer has sent in it so far.
        @param level: What both sides have agreed on, but not to do nothing.
        """
        self._context = context
        self._order = order
        self._secret = level is wire.Level.CONFIDENTIALITY
        self._encrypts = self._secret or (level is wire.Level.SELECTIVE and context.confidentiality)
        self._limit = context.wrapLimit(self._encrypts)
        self._incomplete = bytearray()
        self._fault = ""
        self.carriesDatagrams = not context.sequenced

    def wrap(self, data: bytes) -> bytes:
        """
        Put a stream's octets into frames.

        @raise LocalProtocolError: The context has come to its end.
        """
        size = min(CHUNK, self._limit)
        return b"".join(
            self._frame(self._context.wrap(data[start : start + size], self._encrypts))
            for start in range(0, len(data), size)
        )

    def unwrap(self, data: bytes) -> bytes:
        """
        Take a stream's octets, cut anywhere, and keep an incomplete frame.

        @return: What was in the complete ones.
        @raise RemoteProtocolError: One of them is at fault. What was in those
            before it is lost, and every call after this one raises too.
        """
        self._check()
        self._incomplete += data
        messages: list[bytes] = []
        start = 0
        try:
            while (decoded := wire.decodeFrame(self._incomplete, start)) is not None:
                frame, length = decoded
                start += length
                messages.append(self._read(*self._order.next(_tokenOf(frame))))
        except (RemoteProtocolError, LocalProtocolError) as e:
            self._incomplete.clear()
            self._fault = str(e)
            raise MalformedMessage(self._fault) from e
        del self._incomplete[:start]
        return b"".join(messages)

    def endOfStream(self) -> None:
        """
        Learn that nothing more comes.

        @raise TruncatedStream: The last frame is incomplete.
        @raise RemoteProtocolError: The stream was at fault before.
        """
        self._check()
        if self._incomplete:
            raise TruncatedStream("the connection ended inside a GSSAPI frame")

    def wrapDatagram(self, data: bytes) -> bytes:
        """
        Put a datagram into a frame.

        @raise MessageTooLong: It does not fit.
        @raise LocalProtocolError: The context has come to its end.
        """
        if len(data) > self._limit:
            raise MessageTooLong(f"{len(data)} octets do not fit into a GSSAPI frame")
        return self._frame(self._context.wrap(data, self._encrypts))

    def unwrapDatagram(self, data: bytes) -> bytes:
        """
        Take a datagram, which is one frame.

        @return: What was in it.
        @raise RemoteProtocolError: It is at fault, or came before.
        """
        self._check()
        decoded = wire.decodeFrame(data)
        if decoded is None or decoded[1] != len(data):
            raise MalformedMessage("a datagram that is not one GSSAPI frame")
        token = _tokenOf(decoded[0])
        try:
            return self._read(*self._order.any(token))
        except LocalProtocolError as e:
            # It would cost memory each time.
            self._fault = str(e)
            raise MalformedMessage(self._fault) from e

    def _read(self, message: bytes, confidential: bool) -> bytes:
        if self._secret and not confidential:
            raise MalformedMessage("a message came without confidentiality")
        return message

    def _check(self) -> None:
        if self._fault:
            raise MalformedMessage(self._fault)

    def _frame(self, token: bytes) -> bytes:
        return wire.encodeFrame(wire.Frame(wire.MessageType.DATA, token))


def _tokenOf(frame: wire.Frame) -> bytes:
    if frame.messageType is wire.MessageType.ABORT:
        raise MalformedMessage("the peer aborted the GSSAPI exchange")
    if frame.messageType is not wire.MessageType.DATA:
        raise MalformedMessage(f"MTYP {frame.messageType} where data should be")
    return frame.token

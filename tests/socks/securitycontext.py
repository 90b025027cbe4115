"""
A GSSAPI security context without GSSAPI, with tokens in the shape of
Kerberos's, a checksum and no secret; and the method over such contexts.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace

from socksproxy.errors import AuthenticationFailed, LocalProtocolError, MalformedMessage
from socksproxy.socks._gssapi import GSSAPIClient, GSSAPIServer
from socksproxy.socks._protection import ContextProtection, TokenOrder
from socksproxy.socks._wire1961 import MAX_TOKEN, Level

_HEAD = struct.Struct("!2sB5xQ")
_CHECKSUM = struct.Struct("!I")
_SEALED = 2

OVERHEAD = _HEAD.size + _CHECKSUM.size
"""
Octets that a token is longer than its message.
"""

ALICE = b"alice@SOCKS.TEST"


@dataclass
class FakeContext:
    """
    One end of a security context. It takes as many tokens from each side as
    its script says.

    @ivar script: The tokens, in the order in which they are sent; the
        initiator's is the first.
    @ivar initiates: Whether this end is the initiator.
    @ivar number: SND_SEQ of the next token.
    @ivar broken: Nothing can be wrapped any more.
    @ivar outOfOrder: The next token is said to be out of order.
    @ivar stepped: What each step was given.
    """

    script: tuple[bytes, ...] = (b"ticket", b"mutual")
    initiates: bool = True
    peer: bytes = ALICE
    integrity: bool = True
    confidentiality: bool = True
    sequenced: bool = True
    number: int = 1000
    limit: int = MAX_TOKEN - OVERHEAD
    broken: bool = False
    outOfOrder: bool = False
    stepped: list[bytes] = field(default_factory=list)
    _said: int = 0

    @property
    def complete(self) -> bool:
        """
        Whether the script has come to its end.
        """
        return self._said == len(self.script)

    def step(self, token: bytes) -> bytes:
        """
        Go on in the script.
        """
        self.stepped.append(token)
        if token:
            if self.complete or token != self.script[self._said]:
                raise AuthenticationFailed("not the token that it should be")
            self._said += 1
        mine = self._said % 2 == (0 if self.initiates else 1)
        if self.complete or not mine:
            return b""
        self._said += 1
        return self.script[self._said - 1]

    def wrap(self, message: bytes, confidential: bool) -> bytes:
        """
        Make a token.
        """
        if self.broken:
            raise LocalProtocolError("the context has expired")
        token = _HEAD.pack(b"\5\4", _SEALED if confidential else 0, self.number)
        self.number += 1
        token += _swapped(message) if confidential else message
        return token + _CHECKSUM.pack(zlib.crc32(token))

    def unwrap(self, token: bytes) -> tuple[bytes, bool]:
        """
        Read a token.
        """
        if self.outOfOrder:
            raise LocalProtocolError("a token out of order")
        body = token[: -_CHECKSUM.size]
        if token[-_CHECKSUM.size :] != _CHECKSUM.pack(zlib.crc32(body)):
            raise MalformedMessage("a token has been changed")
        _, flags, _ = _HEAD.unpack_from(body)
        message = body[_HEAD.size :]
        return (_swapped(message), True) if flags & _SEALED else (message, False)

    def wrapLimit(self, confidential: bool) -> int:
        """
        Give the longest message.
        """
        return self.limit


def _swapped(message: bytes) -> bytes:
    return bytes(octet ^ 0xFF for octet in message)


class FakeMethod:
    """
    Method 0x01 over contexts that are none.
    """

    code = 1

    def __init__(
        self,
        context: FakeContext | None = None,
        level: Level = Level.CONFIDENTIALITY,
        minimum: Level = Level.INTEGRITY,
        nec: bool = False,
    ) -> None:
        self._context = context or FakeContext()
        self._level = level
        self._minimum = minimum
        self._nec = nec

    def serverNegotiation(self) -> GSSAPIServer:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        context = replace(self._context, initiates=False, stepped=[])
        return GSSAPIServer(context, self._minimum, self._nec)

    def clientNegotiation(self) -> GSSAPIClient:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        return GSSAPIClient(replace(self._context, stepped=[]), self._level, self._minimum)


def established(level: Level = Level.CONFIDENTIALITY) -> tuple[ContextProtection, FakeContext]:
    """
    Give the protection at one end of an established context, and a context
    that stands for the other end.
    """
    ours, theirs = FakeContext(), FakeContext()
    return ContextProtection(ours, TokenOrder(ours), level), theirs

"""
A server's end of a stream, without I/O: who the client is, where it wants to go,
and the bytes of both.

Until a client is known nothing can be written to it. What is wrong with a stream
is told to us and not to the client, which must not be able to tell one fault
from another.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

import os
from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from socksproxy.address import Destination
from socksproxy.errors import LocalProtocolError, RemoteProtocolError, TruncatedStream
from socksproxy.shadowsocks._address import decodeAddress
from socksproxy.shadowsocks._duplex import Duplex
from socksproxy.shadowsocks._events import Event, Reason, Requested, StreamFault
from socksproxy.shadowsocks._keys import Account, sessionCipher
from socksproxy.shadowsocks._methods import TAG
from socksproxy.shadowsocks._replay import Replay
from socksproxy.shadowsocks._stream import LENGTH_RECORD, Opener, Sealer
from socksproxy.shadowsocks._stream2022 import (
    FIXED_RECORD,
    decodeFixed,
    decodeVariable,
    encodeResponse,
)
from socksproxy.shadowsocks._users import Accounts


class _Request(NamedTuple):
    """
    What a stream's beginning says.
    """

    account: Account
    salt: bytes
    destination: Destination
    payload: bytes
    opener: Opener


class _Beginning(Protocol):
    """
    Reads a stream's beginning.
    """

    firstRead: int

    def read(self, waiting: bytearray) -> _Request | None:
        """
        Take what has come so far, and consume what is understood.

        @return: What it says, or L{None} while it is incomplete.
        @raise StreamFault: It is none.
        """


class ServerStream(Duplex):
    """
    One connection of a client. Its events are L{Requested
    <socksproxy.shadowsocks._events.Requested>} and L{Data
    <socksproxy.shadowsocks._events.Data>}, and once at most L{Refused
    <socksproxy.shadowsocks._events.Refused>}.
    """

    def __init__(
        self,
        accounts: Accounts,
        replay: Replay,
        wallClock: Callable[[], float],
        source: Hashable = None,
        *,
        strictFirstRead: bool = False,
        notBefore: int = 0,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """
        @param accounts: Whom to let in.
        @param replay: The salts that were here before, of all streams and
            classic datagrams to one server.
        @param wallClock: Gives seconds since 1970.
        @param source: Where the client is, to try first the key of who came
            from there last.
        @param strictFirstRead: Whether the first octets that are fed must
            bring all by which a client can be known. Servers of 2022 ask for
            that; it is not to be asked for where something else than the
            client decides how its octets are cut.
        @param notBefore: Requests of 2022 that bear an earlier time, in
            seconds since 1970, are refused: the server's start, where the
            salts from before it have been lost.
        @param random: Gives that many random octets.
        """
        super().__init__()
        self._accounts = accounts
        self._replay = replay
        self._wallClock = wallClock
        self._random = random
        self._strict = strictFirstRead
        self._reply: Reply | None = None
        self._beginning: _Beginning
        if accounts.method.edition2022:
            self._beginning = _Beginning2022(accounts, replay, wallClock, notBefore)
        else:
            self._beginning = _ClassicBeginning(accounts, replay, source)

    @property
    def reply(self) -> "Reply":
        """
        Our own direction.

        @raise LocalProtocolError: The client is not known, or not yet.
        """
        if self._reply is None:
            raise LocalProtocolError("nothing is written to a client that is not known")
        return self._reply

    def seal(self, data: bytes) -> bytes:
        """
        As L{Reply.seal}, of L{reply}.
        """
        return self.reply.seal(data)

    def _begin(self) -> list[Event]:
        if self._strict and len(self._waiting) < self._beginning.firstRead:
            raise StreamFault(Reason.SHORT)
        self._strict = False
        request = self._beginning.read(self._waiting)
        if request is None:
            return []
        self._opener = request.opener
        account = request.account
        self._reply = Reply(account, request.salt, self._replay, self._wallClock, self._random)
        payload = request.payload + request.opener.open(self._waiting)
        self._waiting.clear()
        return [Requested(account.name, request.destination, payload)]

    def _endInBeginning(self) -> None:
        raise TruncatedStream("the connection ended before its request")


class Reply:
    """
    What a server writes to a client that it knows. Its beginning goes out with
    the first bytes, and not before: a salt alone would show what this is.
    """

    def __init__(
        self,
        account: Account,
        requestSalt: bytes,
        replay: Replay,
        wallClock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        """
        See L{ServerStream}.
        """
        self._account = account
        self._requestSalt = requestSalt
        self._replay = replay
        self._wallClock = wallClock
        self._random = random
        self._sealer: Sealer | None = None

    def seal(self, data: bytes) -> bytes:
        """
        Make of our bytes what is to be written, in one piece; of nothing,
        nothing.
        """
        if self._sealer is not None:
            return self._sealer.seal(data)
        return self._begin(data) if data else b""

    def _begin(self, data: bytes) -> bytes:
        method = self._account.method
        salt = self._random(method.saltLength)
        cipher = sessionCipher(method, self._account.userKey, salt)
        sealer = self._sealer = Sealer(cipher, method.chunkLimit)
        if not method.edition2022:
            # Or our own stream could be played back to us as a client's.
            self._replay.add(salt)
            return salt + sealer.seal(data)
        first = data[: method.chunkLimit]
        header = encodeResponse(int(self._wallClock()), self._requestSalt, len(first))
        return b"".join(
            (
                salt,
                sealer.sealRecord(header),
                sealer.sealRecord(first),
                sealer.seal(data[method.chunkLimit :]),
            )
        )


class _ClassicBeginning:
    """
    Salt, and an address in the first chunk; or in more than one, as nobody
    writes it.
    """

    def __init__(self, accounts: Accounts, replay: Replay, source: Hashable) -> None:
        self._accounts = accounts
        self._replay = replay
        self._source = source
        self._known: tuple[Account, bytes, Opener] | None = None
        self._opened = b""
        self.firstRead = accounts.method.saltLength + LENGTH_RECORD

    def read(self, waiting: bytearray) -> _Request | None:
        """
        See L{_Beginning}.
        """
        if self._known is None:
            if len(waiting) < self.firstRead:
                return None
            self._known = self._recognise(waiting)
        account, salt, opener = self._known
        self._opened += opener.open(waiting)
        waiting.clear()
        try:
            decoded = decodeAddress(self._opened)
        except RemoteProtocolError:
            raise StreamFault(Reason.ADDRESS) from None
        if decoded is None:
            if opener.fault is not None:
                raise StreamFault(opener.fault.reason)
            return None
        destination, length = decoded
        if destination.port == 0:
            raise StreamFault(Reason.ADDRESS)
        return _Request(account, salt, destination, self._opened[length:], opener)

    def _recognise(self, waiting: bytearray) -> tuple[Account, bytes, Opener]:
        method = self._accounts.method
        salt = bytes(waiting[: method.saltLength])
        if self._replay.seen(salt):
            raise StreamFault(Reason.REPLAY)
        record = bytes(waiting[method.saltLength : self.firstRead])
        account, cipher = self._accounts.opening(salt, record, self._source)
        self._replay.add(salt)
        del waiting[: method.saltLength]
        return account, salt, Opener(cipher, method.chunkLimit)


class _Beginning2022:
    """
    Salt, identity header, and the two records of
    L{socksproxy.shadowsocks._stream2022}.
    """

    def __init__(
        self,
        accounts: Accounts,
        replay: Replay,
        wallClock: Callable[[], float],
        notBefore: int,
    ) -> None:
        self._accounts = accounts
        self._replay = replay
        self._wallClock = wallClock
        self._notBefore = notBefore
        self._known: tuple[Account, bytes, Opener, int] | None = None
        self.firstRead = accounts.method.saltLength + accounts.headerLength + FIXED_RECORD

    def read(self, waiting: bytearray) -> _Request | None:
        """
        See L{_Beginning}.
        """
        if self._known is None:
            if len(waiting) < self.firstRead:
                return None
            self._known = self._recognise(waiting)
        account, salt, opener, needed = self._known
        if len(waiting) < needed:
            return None
        variable = opener.openRecord(waiting[:needed])
        destination, payload = decodeVariable(variable)
        del waiting[:needed]
        return _Request(account, salt, destination, payload, opener)

    def _recognise(self, waiting: bytearray) -> tuple[Account, bytes, Opener, int]:
        method = self._accounts.method
        identityEnd = method.saltLength + self._accounts.headerLength
        salt = bytes(waiting[: method.saltLength])
        account = self._accounts.identified(salt, bytes(waiting[method.saltLength : identityEnd]))
        opener = Opener(sessionCipher(method, account.userKey, salt), method.chunkLimit)
        fixed = opener.openRecord(waiting[identityEnd : self.firstRead])
        length = decodeFixed(fixed, int(self._wallClock()), self._notBefore)
        # Only now: else noise could fill up what remembers salts.
        if self._replay.seen(salt):
            raise StreamFault(Reason.REPLAY)
        self._replay.add(salt)
        del waiting[: self.firstRead]
        return account, salt, opener, length + TAG

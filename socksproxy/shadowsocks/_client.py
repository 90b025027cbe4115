"""
A client's end of a stream, without I/O.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

import os
from collections.abc import Callable

from socksproxy.address import Destination
from socksproxy.errors import LocalProtocolError, TruncatedStream
from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._duplex import Duplex
from socksproxy.shadowsocks._events import Data, Event, Reason, StreamFault
from socksproxy.shadowsocks._keys import Account, identityHeaders, sessionCipher
from socksproxy.shadowsocks._stream import Opener, Sealer
from socksproxy.shadowsocks._stream2022 import (
    decodeResponse,
    encodeFixed,
    encodeVariable,
    paddingFor,
    responseRecord,
)


def sealRequest(
    account: Account, salt: bytes, now: int, address: bytes, padding: bytes, payload: bytes
) -> tuple[bytes, Sealer]:
    """
    Write the beginning of a request of 2022.

    @param salt: Random octets, as many as the method asks for.
    @param now: Seconds since 1970.
    @param address: As L{encodeAddress} writes it.
    @param padding: Not to be empty if the payload is.
    @param payload: What there is to send already.
    @return: All that is to be written at once, and what seals the rest.
    """
    method = account.method
    sealer = Sealer(sessionCipher(method, account.userKey, salt), method.chunkLimit)
    variable, rest = encodeVariable(address, padding, payload)
    octets = (
        salt,
        identityHeaders(account.keys, salt),
        sealer.sealRecord(encodeFixed(now, len(variable))),
        sealer.sealRecord(variable),
        sealer.seal(rest),
    )
    return b"".join(octets), sealer


class ClientStream(Duplex):
    """
    One connection to a server. Its events are L{Data
    <socksproxy.shadowsocks._events.Data>}, and once at most L{Refused
    <socksproxy.shadowsocks._events.Refused>}.

    @ivar answered: Whether the server has shown that it has our key. One that
        closes without that may have another key, or a clock that is wrong, or
        could not reach the destination: it does not say.
    """

    def __init__(
        self,
        account: Account,
        destination: Destination,
        wallClock: Callable[[], float],
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """
        @param account: Who we are.
        @param destination: Where to go.
        @param wallClock: Gives seconds since 1970.
        @param random: Gives that many random octets.
        """
        super().__init__()
        self._account = account
        self._destination = destination
        self._wallClock = wallClock
        self._random = random
        self._salt = b""
        self._sealer: Sealer | None = None

    @property
    def started(self) -> bool:
        """
        Whether the request has been given out.
        """
        return self._sealer is not None

    @property
    def answered(self) -> bool:
        """
        See the class.
        """
        return self._opener is not None and self._opener.records > 0

    def start(self, payload: bytes = b"") -> bytes:
        """
        Give the request, which is to be written at once: servers look at what
        its first segment brings.

        @param payload: What there is to send already. It is worth waiting a
            moment for that.
        @raise LocalProtocolError: It has been given out before.
        """
        if self._sealer is not None:
            raise LocalProtocolError("the request has been made already")
        method = self._account.method
        salt = self._salt = self._random(method.saltLength)
        address = encodeAddress(self._destination)
        if method.edition2022:
            request, self._sealer = sealRequest(
                self._account,
                salt,
                int(self._wallClock()),
                address,
                paddingFor(payload, self._random),
                payload,
            )
            return request
        cipher = sessionCipher(method, self._account.userKey, salt)
        self._sealer = Sealer(cipher, method.chunkLimit)
        return salt + self._sealer.seal(address + payload)

    def seal(self, data: bytes) -> bytes:
        """
        Make of our bytes what is to be written, in one piece; of nothing,
        nothing. The first make the request, if L{start} has not.
        """
        if self._sealer is not None:
            return self._sealer.seal(data)
        return self.start(data) if data else b""

    def _begin(self) -> list[Event]:
        if self._sealer is None:
            raise StreamFault(Reason.SALT)
        method = self._account.method
        end = method.saltLength
        if method.edition2022:
            end += responseRecord(method.saltLength)
        if len(self._waiting) < end:
            return []
        salt = bytes(self._waiting[: method.saltLength])
        if salt == self._salt:
            # Our own request, sent back.
            raise StreamFault(Reason.SALT)
        cipher = sessionCipher(method, self._account.userKey, salt)
        opener = Opener(cipher, method.chunkLimit)
        if method.edition2022:
            header = opener.openRecord(self._waiting[method.saltLength : end])
            opener.expectPayload(decodeResponse(header, int(self._wallClock()), self._salt))
        rest, self._waiting = self._waiting[end:], bytearray()
        self._opener = opener
        opened = opener.open(rest)
        return [Data(opened)] if opened else []

    def _endInBeginning(self) -> None:
        # A server that cannot reach the destination can only close.
        if self._waiting:
            raise TruncatedStream("the connection ended inside the beginning of Shadowsocks")

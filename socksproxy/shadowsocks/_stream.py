"""
What all streams of Shadowsocks consist of, one direction at a time::

    +----------+--------+----------+--------+-----
    |  LENGTH  | LENGTH |  PAYLOAD | PAYLOAD|
    |    2     |  TAG   | variable |  TAG   |  ...
    +----------+--------+----------+--------+-----

Each pair is a chunk, and each sealed part of it a record. The nonce of a record
is its number in the stream. What comes before the first chunk is for
L{socksproxy.shadowsocks._server} and L{socksproxy.shadowsocks._client}.

There is no mark for the end of a stream: who is on the way can cut it off
between two chunks, as if its writer had ended it there.

@see: U{https://shadowsocks.org/doc/aead.html}
"""

from cryptography.exceptions import InvalidTag

from socksproxy.shadowsocks._events import Reason, Refused, StreamFault
from socksproxy.shadowsocks._methods import AEAD, NONCE, TAG, Octets

LENGTH_RECORD = 2 + TAG
"""
Octets of a sealed length.
"""


class Sealer:
    """
    Writes one direction of a stream.
    """

    __slots__ = ("_encrypt", "_limit", "_records")

    def __init__(self, cipher: AEAD, limit: int) -> None:
        """
        @param cipher: With a key that is used for nothing else.
        @param limit: The most octets of a chunk.
        """
        self._encrypt = cipher.encrypt
        self._limit = limit
        self._records = 0

    def sealRecord(self, data: Octets) -> bytes:
        """
        Seal one record.
        """
        nonce = self._records.to_bytes(NONCE, "little")
        self._records += 1
        return self._encrypt(nonce, data, None)

    def seal(self, data: bytes) -> bytes:
        """
        Make chunks, as few as there can be; of nothing, none, since peers take
        an empty one for an attack.
        """
        encrypt, limit, number = self._encrypt, self._limit, self._records
        records: list[bytes] = []
        view = memoryview(data)
        for start in range(0, len(data), limit):
            payload = view[start : start + limit]
            length = len(payload).to_bytes(2, "big")
            records += (
                encrypt(number.to_bytes(NONCE, "little"), length, None),
                encrypt((number + 1).to_bytes(NONCE, "little"), payload, None),
            )
            number += 2
        self._records = number
        return b"".join(records)


class Opener:
    """
    Reads one direction of a stream. Nothing is opened before it is complete,
    and nothing that follows a record which does not open.

    @ivar fault: What is wrong with the stream, as soon as something is.
    @ivar records: How many have been opened.
    """

    __slots__ = ("_decrypt", "_inPayload", "_incomplete", "_limit", "_needed", "fault", "records")

    def __init__(self, cipher: AEAD, limit: int) -> None:
        """
        @param cipher: With the key of this direction.
        @param limit: The most octets of a chunk.
        """
        self.fault: Refused | None = None
        self._decrypt = cipher.decrypt
        self._limit = limit
        self.records = 0
        self._incomplete = bytearray()
        self._inPayload = False
        self._needed = LENGTH_RECORD

    @property
    def complete(self) -> bool:
        """
        Whether all that came has been given out: the stream may end here.
        """
        return not self._inPayload and not self._incomplete

    def openRecord(self, record: Octets) -> bytes:
        """
        Open one record.

        @raise StreamFault: It is not the next one.
        """
        try:
            data = self._decrypt(self.records.to_bytes(NONCE, "little"), record, None)
        except InvalidTag:
            raise StreamFault(Reason.SEAL) from None
        self.records += 1
        return data

    def expectPayload(self, length: int) -> None:
        """
        Take the length of the next chunk for told already.
        """
        self._inPayload = True
        self._needed = length + TAG

    def open(self, data: Octets) -> bytes:
        """
        Take octets of the stream, cut anywhere.

        @return: What was in the records that are complete now and good. If one
            is not, see L{fault}.
        """
        if self.fault is not None:
            return b""
        view = memoryview(data)
        opened: list[bytes] = []
        start = 0
        try:
            if self._incomplete:
                start = self._needed - len(self._incomplete)
                self._incomplete += view[:start]
                if len(self._incomplete) < self._needed:
                    return b""
                record, self._incomplete = self._incomplete, bytearray()
                self._take(record, opened)
            while len(data) - start >= self._needed:
                end = start + self._needed
                self._take(view[start:end], opened)
                start = end
            self._incomplete += view[start:]
        except StreamFault as e:
            self.fault = e.refused
        return b"".join(opened)

    def _take(self, record: Octets, opened: list[bytes]) -> None:
        data = self.openRecord(record)
        if self._inPayload:
            self._inPayload = False
            self._needed = LENGTH_RECORD
            opened.append(data)
            return
        length = int.from_bytes(data, "big")
        if length > self._limit:
            raise StreamFault(Reason.CHUNK)
        # Some send empty ones, and mean nothing by it.
        self.expectPayload(length)

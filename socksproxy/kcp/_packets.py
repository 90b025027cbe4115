"""
The form of a sealed datagram that every cipher but C{null} and the AEAD has::

    +-------+-------+----------+
    | nonce | CRC32 | payload  |
    |  16   |   4   | variable |
    +-------+-------+----------+

The whole of it is encrypted, and is as long afterwards as before. The nonce
is random and never looked at: under a fixed IV it is what makes the rest
unpredictable. The checksum, little-endian, covers the payload and finds noise
and wrong keys; whoever can flip bits can flip them in it, too.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from zlib import crc32

NONCE = 16
"""
Octets of the nonce.
"""

OVERHEAD = NONCE + 4
"""
Octets in front of the payload.
"""

Random = Callable[[int], bytes]
"""
Gives as many random octets as it is asked for, as C{os.urandom} does.
"""

_packHead = struct.Struct(f"<{NONCE}sI").pack
_unpackChecksum = struct.Struct("<I").unpack_from


class PacketCipher(ABC):
    """
    Seals payloads into datagrams and opens them, a batch at a time.

    Both directions may be used with one object, and any number of peers; two
    threads at a time may not.

    @ivar name: As kcptun spells it.
    @cvar overhead: Octets by which a datagram is longer than its payload.
    @cvar authenticates: Whether an opened payload is known to come, unaltered,
        from someone who has the key. That it is new is never known.
    """

    overhead: int
    authenticates = False

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def seal(self, payloads: Sequence[bytes]) -> list[bytes]:
        """
        Make a datagram of each payload.

        @param payloads: Of at most 65507 octets less the overhead each.
        @raise LocalProtocolError: A payload is longer than this cipher can
            take; none has been sealed.
        """

    @abstractmethod
    def open(self, datagrams: Sequence[bytes]) -> list[bytes | None]:
        """
        Give the payload of each datagram, or L{None} for one that is too
        short, or fails its check. Nothing that is received raises.

        @param datagrams: As received, of any length.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class ChecksummedCipher(PacketCipher):
    """
    A cipher under which a datagram has the form above, and which therefore
    does not authenticate. A subclass encrypts.
    """

    overhead = OVERHEAD

    def __init__(self, name: str, random: Random) -> None:
        """
        @param random: Where nonces come from; asked once for each batch.
        """
        super().__init__(name)
        self._random = random

    def seal(self, payloads: Sequence[bytes]) -> list[bytes]:
        """
        See L{PacketCipher.seal}.
        """
        if not payloads:
            return []
        size = NONCE * len(payloads)
        nonces = self._random(size)
        heads = [
            _packHead(nonces[at : at + NONCE], crc32(payload))
            for at, payload in zip(range(0, size, NONCE), payloads, strict=True)
        ]
        return self._encrypt(heads, payloads)

    def open(self, datagrams: Sequence[bytes]) -> list[bytes | None]:
        """
        See L{PacketCipher.open}.
        """
        opened: list[bytes | None] = []
        plain, starts = self._decrypt(datagrams)
        for datagram, at in zip(datagrams, starts, strict=True):
            length = len(datagram)
            if length < OVERHEAD:
                opened.append(None)
                continue
            payload = plain[at + 4 : at + length - NONCE]
            good = _unpackChecksum(plain, at)[0] == crc32(payload)
            opened.append(payload if good else None)
        return opened

    @abstractmethod
    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        """
        Encrypt datagrams, each of which is a head and a payload.

        @param heads: Nonce and checksum, for each payload; at least one.
        """

    @abstractmethod
    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        """
        Decrypt datagrams, which may be of any length.

        @return: Octets among which are all the decrypted ones, and the places
            there at which the checksums begin; the payloads follow them. For
            one that is too short the place means nothing.
        """


class Unencrypted(ChecksummedCipher):
    """
    C{none}: the nonce and the checksum are there, and everything is readable.
    """

    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        return [b"".join(both) for both in zip(heads, payloads, strict=True)]

    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        starts = []
        at = NONCE
        for datagram in datagrams:
            starts.append(at)
            at += len(datagram)
        return b"".join(datagrams), starts


class Unsealed(PacketCipher):
    """
    C{null}: a datagram is its payload, with nothing around it.
    """

    overhead = 0

    def seal(self, payloads: Sequence[bytes]) -> list[bytes]:
        """
        See L{PacketCipher.seal}.
        """
        return list(payloads)

    def open(self, datagrams: Sequence[bytes]) -> list[bytes | None]:
        """
        See L{PacketCipher.open}.
        """
        return list(datagrams)

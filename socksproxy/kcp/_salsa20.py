"""
Salsa20/20 with a key of 32 octets, on many blocks at once. It is B{slow}
beside a cipher in C: tens of microseconds for a datagram.

The nonce of Salsa20 is the first 8 octets of the nonce of the datagram, which
are sent as they are; the key stream covers all that follows, from its start.

@see: U{https://cr.yp.to/snuffle/spec.pdf}
"""

import struct
from collections.abc import Sequence
from functools import lru_cache

from socksproxy.kcp._lanes import LANE, MOST, WORD, everyLane, xored
from socksproxy.kcp._packets import NONCE, ChecksummedCipher, Random

BLOCK = 64
"""
Octets of a block of the key stream.
"""

_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")

# The words that each quarter of a round works on: the columns of the square,
# each from its diagonal down, then the rows.
_QUARTERS = (
    (0, 4, 8, 12),
    (5, 9, 13, 1),
    (10, 14, 2, 6),
    (15, 3, 7, 11),
    (0, 1, 2, 3),
    (5, 6, 7, 4),
    (10, 11, 8, 9),
    (15, 12, 13, 14),
)


class Salsa20:
    """
    The key stream of one key.
    """

    def __init__(self, key: bytes) -> None:
        """
        @param key: 32 octets.
        """
        self._key = struct.unpack("<8I", key)

    def stream(self, nonces: bytes, counters: bytes) -> bytes:
        """
        Give blocks of the key stream, one after the other.

        @param nonces: Of each block 8 octets.
        @param counters: The number of each block in the stream of its nonce,
            8 octets little-endian.
        """
        count = len(nonces) // LANE
        every = everyLane(count)
        mask = every * WORD
        nonce = int.from_bytes(nonces, "little")
        counter = int.from_bytes(counters, "little")
        c0, c1, c2, c3 = (every * word for word in _CONSTANTS)
        k0, k1, k2, k3, k4, k5, k6, k7 = (every * word for word in self._key)
        n0, n1 = nonce & mask, nonce >> 32 & mask
        b0, b1 = counter & mask, counter >> 32 & mask
        start = [c0, k0, k1, k2, k3, c1, n0, n1, b0, b1, c2, k4, k5, k6, k7, c3]
        words = start.copy()
        for _ in range(10):
            for a, b, c, d in _QUARTERS:
                _quarter(words, a, b, c, d, mask)
        blocks = bytearray(count * BLOCK)
        target = memoryview(blocks).cast("I")
        for index in range(16):
            word = (words[index] + start[index]) & mask
            lanes = memoryview(word.to_bytes(count * LANE, "little")).cast("I")
            target[index::16] = lanes[::2]
        return bytes(blocks)


def _quarter(words: list[int], a: int, b: int, c: int, d: int, mask: int) -> None:
    """
    Mix four words of the square, in all lanes.

    @param a: The index of the first word, and so on.
    """
    w, x, y, z = words[a], words[b], words[c], words[d]
    t = (w + z) & mask
    x ^= (t << 7 | t >> 25) & mask
    t = (x + w) & mask
    y ^= (t << 9 | t >> 23) & mask
    t = (y + x) & mask
    z ^= (t << 13 | t >> 19) & mask
    t = (z + y) & mask
    words[a] = w ^ ((t << 18 | t >> 14) & mask)
    words[b], words[c], words[d] = x, y, z


@lru_cache(maxsize=64)
def _counters(blocks: int) -> bytes:
    """
    Number the blocks of a datagram.
    """
    return struct.pack(f"<{blocks}Q", *range(blocks))


class Salsa20Cipher(ChecksummedCipher):
    """
    C{salsa20}, B{slow}.
    """

    def __init__(self, name: str, key: bytes, random: Random) -> None:
        """
        @param key: 32 octets.
        """
        super().__init__(name, random)
        self._salsa = Salsa20(key)

    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        plain = [b"".join(both) for both in zip(heads, payloads, strict=True)]
        mixed, starts = self._mix(plain)
        return [
            datagram[:LANE] + mixed[at : at + len(datagram) - LANE]
            for datagram, at in zip(plain, starts, strict=True)
        ]

    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        mixed, starts = self._mix(datagrams)
        return mixed, [at + NONCE - LANE for at in starts]

    def _mix(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        """
        Mix the key stream into datagrams.

        @return: What follows the nonces of Salsa20, and where in it each
            datagram has its part.
        """
        nonces: list[bytes] = []
        counters: list[bytes] = []
        parts: list[bytes] = []
        starts = []
        at = 0
        for datagram in datagrams:
            starts.append(at)
            body = len(datagram) - LANE
            if body <= 0:
                continue
            blocks = -(-body // BLOCK)
            nonces.append(datagram[:LANE] * blocks)
            counters.append(_counters(blocks))
            parts += (datagram[LANE:], bytes(-body % BLOCK))
            at += blocks * BLOCK
        nonce, counter = b"".join(nonces), b"".join(counters)
        most = MOST * LANE
        stream = self._salsa.stream
        key = [
            stream(nonce[at : at + most], counter[at : at + most])
            for at in range(0, len(nonce), most)
        ]
        return xored(b"".join(parts), b"".join(key)), starts

"""
TEA and XTEA in the direction that CFB needs, on many blocks at once. Both are
B{slow} beside a cipher in C: tens of microseconds for a datagram in a batch,
and TEA is broken as a cipher. They are here for peers that use them.

Words are big-endian, so that a block read as a number is already a lane with
one word in each half.

@see: U{https://www.cl.cam.ac.uk/ftp/papers/djw-rmn/djw-rmn-tea.html}
@see: U{https://www.cix.co.uk/~klockstone/xtea.pdf}
"""

import struct

from socksproxy.kcp._lanes import LANE, WORD, everyLane

_DELTA = 0x9E3779B9

_KEY = struct.Struct(">4I")


class TEA:
    """
    TEA of 8 cycles, of the 32 that it was made with: kcp-go takes 16 rounds,
    and a cycle is two of them.
    """

    blockOctets = LANE
    cycles = 8

    def __init__(self, key: bytes) -> None:
        """
        @param key: 16 octets.
        """
        self._key = _KEY.unpack(key)
        self._count = 0

    def _prepare(self, count: int) -> None:
        """
        Spread the key and the sums of a cycle over lanes. Kept for the next
        call, which mostly has as many.
        """
        every = everyLane(count)
        self._mask = every * WORD
        self._words = tuple(every * word for word in self._key)
        self._sums = [every * ((_DELTA * cycle) & WORD) for cycle in range(1, self.cycles + 1)]
        self._count = count

    def encrypt(self, blocks: bytes) -> bytes:
        """
        Encrypt blocks, each by itself.

        @param blocks: Whole blocks.
        """
        count = len(blocks) // LANE
        if count != self._count:
            self._prepare(count)
        mask = self._mask
        k0, k1, k2, k3 = self._words
        both = int.from_bytes(blocks, "big")
        a, b = both >> 32 & mask, both & mask
        # What b >> 5 pushes into the next lane lies above all that is added.
        for total in self._sums:
            a = (a + (((b << 4) + k0) ^ (b + total) ^ ((b >> 5) + k1))) & mask
            b = (b + (((a << 4) + k2) ^ (a + total) ^ ((a >> 5) + k3))) & mask
        return (a << 32 | b).to_bytes(len(blocks), "big")


class XTEA:
    """
    XTEA of 32 cycles.
    """

    blockOctets = LANE
    cycles = 32

    def __init__(self, key: bytes) -> None:
        """
        @param key: 16 octets.
        """
        words = _KEY.unpack(key)
        total = 0
        self._keys: list[tuple[int, int]] = []
        for _ in range(self.cycles):
            first = (total + words[total & 3]) & WORD
            total = (total + _DELTA) & WORD
            self._keys.append((first, (total + words[total >> 11 & 3]) & WORD))
        self._count = 0

    def _prepare(self, count: int) -> None:
        """
        Spread what each cycle mixes in over lanes. Kept for the next call,
        which mostly has as many.
        """
        every = everyLane(count)
        self._mask = every * WORD
        self._spread = [(every * first, every * second) for first, second in self._keys]
        self._count = count

    def encrypt(self, blocks: bytes) -> bytes:
        """
        Encrypt blocks, each by itself.

        @param blocks: Whole blocks.
        """
        count = len(blocks) // LANE
        if count != self._count:
            self._prepare(count)
        mask = self._mask
        both = int.from_bytes(blocks, "big")
        a, b = both >> 32 & mask, both & mask
        # What b >> 5 pushes into the next lane lies above all that is added.
        for first, second in self._spread:
            a = (a + (((b << 4 ^ b >> 5) + b) ^ first)) & mask
            b = (b + (((a << 4 ^ a >> 5) + a) ^ second)) & mask
        return (a << 32 | b).to_bytes(len(blocks), "big")

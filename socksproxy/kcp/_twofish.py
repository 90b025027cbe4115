"""
Twofish with a key of 32 octets, in the direction that CFB needs, on many
blocks at once. It is B{slow} beside a cipher in C: about a tenth of a
millisecond for a datagram in a batch, and milliseconds for one that is sent
alone.

The names are those of the paper: the permutations I{q}, the function I{h}, of
which I{g} is the case that a key makes, the matrices I{MDS} and I{RS}, the
words I{K} that are added in the rounds.

@see: U{https://www.schneier.com/academic/archives/1998/06/twofish_a_128-bit_b.html}
"""

from collections.abc import Sequence

from socksproxy.kcp._lanes import LANE, WORD, everyLane, xored

ROUNDS = 16

_MDS = (
    (0x01, 0xEF, 0x5B, 0x5B),
    (0x5B, 0xEF, 0xEF, 0x01),
    (0xEF, 0x5B, 0x01, 0xEF),
    (0xEF, 0x01, 0xEF, 0x5B),
)
_MDS_POLYNOMIAL = 0x169

_RS = (
    (0x01, 0xA4, 0x55, 0x87, 0x5A, 0x58, 0xDB, 0x9E),
    (0xA4, 0x56, 0x82, 0xF3, 0x1E, 0xC6, 0x68, 0xE5),
    (0x02, 0xA1, 0xFC, 0xC1, 0x47, 0xAE, 0x3D, 0x19),
    (0xA4, 0x55, 0x87, 0x5A, 0x58, 0xDB, 0x9E, 0x03),
)
_RS_POLYNOMIAL = 0x14D

_Q0_NIBBLES = (
    (0x8, 0x1, 0x7, 0xD, 0x6, 0xF, 0x3, 0x2, 0x0, 0xB, 0x5, 0x9, 0xE, 0xC, 0xA, 0x4),
    (0xE, 0xC, 0xB, 0x8, 0x1, 0x2, 0x3, 0x5, 0xF, 0x4, 0xA, 0x6, 0x7, 0x0, 0x9, 0xD),
    (0xB, 0xA, 0x5, 0xE, 0x6, 0xD, 0x9, 0x0, 0xC, 0x8, 0xF, 0x3, 0x2, 0x4, 0x7, 0x1),
    (0xD, 0x7, 0xF, 0x4, 0x1, 0x2, 0x6, 0xE, 0x9, 0xB, 0x3, 0x0, 0x8, 0x5, 0xC, 0xA),
)
_Q1_NIBBLES = (
    (0x2, 0x8, 0xB, 0xD, 0xF, 0x7, 0x6, 0xE, 0x3, 0x1, 0x9, 0x4, 0x0, 0xA, 0xC, 0x5),
    (0x1, 0xE, 0x2, 0xB, 0x4, 0xC, 0x3, 0x7, 0x6, 0xD, 0xA, 0x5, 0xF, 0x9, 0x0, 0x8),
    (0x4, 0xC, 0x7, 0x5, 0x1, 0x6, 0x9, 0xA, 0x0, 0xE, 0xD, 0x8, 0x2, 0xB, 0x3, 0xF),
    (0xB, 0x9, 0x5, 0x1, 0xC, 0x3, 0xD, 0xE, 0x6, 0x4, 0x7, 0xF, 0x2, 0x0, 0x8, 0xA),
)

# Which permutations an octet of a word goes through, one column for each of
# its octets.
_ORDER = (
    (1, 1, 0, 0, 1),
    (0, 1, 1, 0, 0),
    (0, 0, 0, 1, 1),
    (1, 0, 1, 1, 0),
)

Tables = list[list[bytes]]
"""
A function of words as tables: the octet I{j} of a word adds to the octet I{i}
of the result what its table I{[j][i]} says.
"""


def _product(left: int, right: int, polynomial: int) -> int:
    """
    Multiply in a field of 256 elements.
    """
    product = 0
    while right:
        if right & 1:
            product ^= left
        left <<= 1
        if left & 0x100:
            left ^= polynomial
        right >>= 1
    return product


def _permutation(nibbles: Sequence[Sequence[int]]) -> bytes:
    """
    Make I{q0} or I{q1} of its four tables.
    """
    permutation = []
    for octet in range(256):
        a, b = octet >> 4, octet & 15
        for first, second in (nibbles[:2], nibbles[2:]):
            rotated = b >> 1 | (b & 1) << 3
            a, b = first[a ^ b], second[a ^ rotated ^ (a << 3 & 8)]
        permutation.append(b << 4 | a)
    return bytes(permutation)


_Q = (_permutation(_Q0_NIBBLES), _permutation(_Q1_NIBBLES))

_BY_MDS = {
    factor: bytes(_product(octet, factor, _MDS_POLYNOMIAL) for octet in range(256))
    for factor in (0x01, 0x5B, 0xEF)
}


def _h(words: Sequence[bytes]) -> Tables:
    """
    Make the tables of I{h}.

    @param words: The four words of its list, the one that is used first in
        front.
    """
    tables = []
    for column, order in enumerate(_ORDER):
        octets = bytes(range(256))
        for q, word in zip(order[:4], words, strict=True):
            octets = xored(octets.translate(_Q[q]), word[column : column + 1] * 256)
        octets = octets.translate(_Q[order[4]])
        tables.append([octets.translate(_BY_MDS[row[column]]) for row in _MDS])
    return tables


def _applied(tables: Tables, octet: int) -> int:
    """
    Give the result for a word of four equal octets.
    """
    result = 0
    for column in tables:
        result ^= int.from_bytes([table[octet] for table in column], "little")
    return result


class Twofish:
    """
    Twofish with one key.
    """

    blockOctets = 16

    def __init__(self, key: bytes) -> None:
        """
        @param key: 32 octets.
        """
        words = [key[at : at + 4] for at in range(0, 32, 4)]
        even, odd = _h(words[6::-2]), _h(words[7::-2])
        keys: list[int] = []
        for index in range(0, ROUNDS * 2 + 8, 2):
            a, b = _applied(even, index), _applied(odd, index + 1)
            b = (b << 8 | b >> 24) & WORD
            total = (a + 2 * b) & WORD
            keys += ((a + b) & WORD, (total << 9 | total >> 23) & WORD)
        # The first pair of each is for one lane, the second for the other.
        self._before = (keys[0] | keys[1] << 32, keys[2] | keys[3] << 32)
        self._after = (keys[4] | keys[5] << 32, keys[6] | keys[7] << 32)
        self._keys = list(zip(keys[8::2], keys[9::2], strict=True))
        self._g = _h(
            [bytes(_combined(row, key[at : at + 8]) for row in _RS) for at in range(0, 32, 8)]
        )
        self._count = 0

    def _prepare(self, count: int) -> None:
        """
        Spread the keys over lanes. Kept for the next call, which mostly has as
        many.
        """
        every = everyLane(count)
        self._mask = every * WORD
        self._spread = [(every * first, every * second) for first, second in self._keys]
        self._whitening = [every * pair for pair in (*self._before, *self._after)]
        self._count = count

    def encrypt(self, blocks: bytes) -> bytes:
        """
        Encrypt blocks, each by itself.

        @param blocks: Whole blocks.
        """
        count = len(blocks) // self.blockOctets
        if count != self._count:
            self._prepare(count)
        mask = self._mask
        k01, k23, k45, k67 = self._whitening
        source = memoryview(blocks).cast("Q")
        # A block is two lanes, each with two words until they are parted.
        ab = int.from_bytes(source[0::2].tobytes(), "little") ^ k01
        cd = int.from_bytes(source[1::2].tobytes(), "little") ^ k23
        a, b, c, d = ab & mask, ab >> 32 & mask, cd & mask, cd >> 32 & mask
        for first, second in self._spread:
            both = self._substituted(a | ((b << 8 | b >> 24) & mask) << 32, count)
            t1 = both >> 32 & mask
            total = (both & mask) + t1
            c ^= (total + first) & mask
            c = (c >> 1 | c << 31) & mask
            d = ((d << 1 | d >> 31) ^ (total + t1 + second)) & mask
            a, b, c, d = c, d, a, b
        encrypted = bytearray(len(blocks))
        target = memoryview(encrypted).cast("Q")
        for at, lanes in (0, (c | d << 32) ^ k45), (1, (a | b << 32) ^ k67):
            target[at::2] = memoryview(lanes.to_bytes(count * LANE, "little")).cast("Q")
        return bytes(encrypted)

    def _substituted(self, lanes: int, count: int) -> int:
        """
        Apply I{g} to two words in each lane.
        """
        size = count * LANE
        octets = lanes.to_bytes(size, "little")
        rows = 0
        for column, (t0, t1, t2, t3) in enumerate(self._g):
            every = octets[column::4]
            rows ^= int.from_bytes(
                b"".join(
                    (
                        every.translate(t0),
                        every.translate(t1),
                        every.translate(t2),
                        every.translate(t3),
                    )
                ),
                "little",
            )
        # All the first octets, all the second ones, and so on: put together
        # again.
        result = rows.to_bytes(size, "little")
        words = bytearray(size)
        quarter = size // 4
        for column in range(4):
            words[column::4] = result[column * quarter : (column + 1) * quarter]
        return int.from_bytes(words, "little")


def _combined(row: Sequence[int], octets: bytes) -> int:
    """
    Multiply a row of I{RS} with eight octets of a key.
    """
    total = 0
    for factor, octet in zip(row, octets, strict=True):
        total ^= _product(octet, factor, _RS_POLYNOMIAL)
    return total

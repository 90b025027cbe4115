"""
BLAKE3, as the methods of 2022 need it: hashes of keys, and keys made of keys.

The C{blake3} package is used where it is installed. Without it there is an own
BLAKE3, for inputs of one chunk only; a block of 64 octets takes it some twenty
microseconds, of which a stream needs one, and three with an identity header.

It has the state of a block, which is four rows of four words, in four integers,
one for each row. Every word has twice the room that it needs, so that a sum can
overflow into it, and a multiplication can put a second copy there for a shift
to rotate.

@see: U{https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf}
"""

import importlib
import struct
from functools import cache
from operator import itemgetter
from typing import Any

CHUNK = 1024
"""
The most octets of an input, without the package.
"""

OUTPUT = 32
"""
The most octets of an output.
"""

_BLOCK = 64

_CHUNK_START = 1 << 0
_CHUNK_END = 1 << 1
_ROOT = 1 << 3
_DERIVE_KEY_CONTEXT = 1 << 5
_DERIVE_KEY_MATERIAL = 1 << 6

# The same as those of SHA-256.
_IV = (
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)

# Where a word of the message goes from one round to the next.
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)

_ROUNDS = 7
_ROUND = 4 * 32

_words = struct.Struct("<16I").unpack
_spread = struct.Struct(f"<{16 * _ROUNDS}Q").pack
_eight = struct.Struct("<8I")
_fourWide = struct.Struct("<4Q")

_LANES = int.from_bytes(struct.pack("<4Q", *[0xFFFFFFFF] * 4), "little")
_TWICE = (1 << 32) + 1
_ONE = (1 << 64) - 1
_TWO = (1 << 128) - 1
_THREE = (1 << 192) - 1

_Rows = tuple[int, int]
"""
A chaining value: the words 0 to 3, and 4 to 7.
"""


def _order() -> list[int]:
    """
    Tell which words of a message are needed one after another: in each round
    the first and the second of the four columns, then of the four diagonals.
    """
    needed: list[int] = []
    words = list(range(16))
    for _ in range(_ROUNDS):
        for half in (words[:8], words[8:]):
            needed += half[0::2] + half[1::2]
        words = [words[at] for at in _PERMUTATION]
    return needed


_inOrder = itemgetter(*_order())


def _rows(words: tuple[int, ...]) -> _Rows:
    low, high = _fourWide.pack(*words[:4]), _fourWide.pack(*words[4:])
    return int.from_bytes(low, "little"), int.from_bytes(high, "little")


_START = _rows(_IV)


def _compress(value: _Rows, block: bytes, length: int, flags: int) -> _Rows:
    """
    Mix a block into a chaining value.

    @param block: 64 octets, filled up with zeros.
    @param length: How many of them are of the message.
    """
    message = _spread(*_inOrder(_words(block)))
    row = int.from_bytes
    a, b = value
    c = _START[0]
    # The counter of chunks is 0, always.
    d = length << 128 | flags << 192
    for at in range(0, len(message), _ROUND):
        # The four columns at once.
        a = (a + b + row(message[at : at + 32], "little")) & _LANES
        d = (d ^ a) * _TWICE >> 16 & _LANES
        c = (c + d) & _LANES
        b = (b ^ c) * _TWICE >> 12 & _LANES
        a = (a + b + row(message[at + 32 : at + 64], "little")) & _LANES
        d = (d ^ a) * _TWICE >> 8 & _LANES
        c = (c + d) & _LANES
        b = (b ^ c) * _TWICE >> 7 & _LANES
        # Turned, the rows have the four diagonals as columns.
        b = b >> 64 | (b & _ONE) << 192
        c = c >> 128 | (c & _TWO) << 128
        d = d >> 192 | (d & _THREE) << 64
        a = (a + b + row(message[at + 64 : at + 96], "little")) & _LANES
        d = (d ^ a) * _TWICE >> 16 & _LANES
        c = (c + d) & _LANES
        b = (b ^ c) * _TWICE >> 12 & _LANES
        a = (a + b + row(message[at + 96 : at + 128], "little")) & _LANES
        d = (d ^ a) * _TWICE >> 8 & _LANES
        c = (c + d) & _LANES
        b = (b ^ c) * _TWICE >> 7 & _LANES
        b = b >> 192 | (b & _THREE) << 64
        c = c >> 128 | (c & _TWO) << 128
        d = d >> 64 | (d & _ONE) << 192
    return a ^ c, b ^ d


def _chunk(value: _Rows, data: bytes, mode: int) -> bytes:
    """
    Hash one chunk that is all there is.

    @raise ValueError: It is longer than a chunk.
    """
    if len(data) > CHUNK:
        raise ValueError(f"more than {CHUNK} octets need the blake3 package")
    flags = mode | _CHUNK_START
    last = max(0, len(data) - 1) // _BLOCK * _BLOCK
    for at in range(0, last, _BLOCK):
        value = _compress(value, data[at : at + _BLOCK], _BLOCK, flags)
        flags = mode
    block = data[last:]
    flags |= _CHUNK_END | _ROOT
    low, high = _compress(value, block.ljust(_BLOCK, b"\0"), len(block), flags)
    words = (
        _fourWide.unpack(low.to_bytes(32, "little")),
        _fourWide.unpack(high.to_bytes(32, "little")),
    )
    return _eight.pack(*words[0], *words[1])


@cache
def _contextRows(context: str) -> _Rows:
    return _rows(_eight.unpack(_chunk(_START, context.encode(), _DERIVE_KEY_CONTEXT)))


def ownDigest(data: bytes, length: int = OUTPUT) -> bytes:
    """
    As L{digest}, without the package.

    @raise ValueError: The input is longer than L{CHUNK} octets, or the output
        than L{OUTPUT}.
    """
    return _cut(_chunk(_START, data, 0), length)


def ownDeriveKey(context: str, material: bytes, length: int = OUTPUT) -> bytes:
    """
    As L{deriveKey}, without the package.

    @raise ValueError: As L{ownDigest}.
    """
    return _cut(_chunk(_contextRows(context), material, _DERIVE_KEY_MATERIAL), length)


def _cut(output: bytes, length: int) -> bytes:
    if length > OUTPUT:
        raise ValueError(f"no more than {OUTPUT} octets")
    return output[:length]


try:
    _blake3: Any = importlib.import_module("blake3").blake3
except ImportError:
    _blake3 = None


def digest(data: bytes, length: int = OUTPUT) -> bytes:
    """
    Hash.

    @param data: At most L{CHUNK} octets.
    @param length: How many octets of the hash are wanted, at most L{OUTPUT}.
    """
    if _blake3 is None:
        return ownDigest(data, length)
    hashed: bytes = _blake3(data).digest(length)
    return hashed


def deriveKey(context: str, material: bytes, length: int = OUTPUT) -> bytes:
    """
    Make a key of others.

    @param context: What it is for; a constant of the program.
    @param material: The other keys, at most L{CHUNK} octets.
    @param length: How many octets it has, at most L{OUTPUT}.
    """
    if _blake3 is None:
        return ownDeriveKey(context, material, length)
    derived: bytes = _blake3(material, derive_key_context=context).digest(length)
    return derived

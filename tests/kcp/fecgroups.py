"""
Groups of shards for the tests of forward error correction.
"""

import random
import struct
from collections.abc import Iterable

from socksproxy.kcp import _fecdecoder
from socksproxy.kcp.fec import FECDecoder, FECEncoder

HEAD = struct.Struct("<IH")
DATA, PARITY = 0xF1, 0xF2


def payloadsOf(count: int, seed: int = 0) -> list[bytes]:
    """
    Make payloads of different lengths, none like another.
    """
    source = random.Random(seed)
    return [source.randbytes(source.randrange(24, 60)) for _ in range(count)]


def encoded(groups: int, data: int, parity: int, first: int = 0) -> tuple[list[bytes], list[bytes]]:
    """
    Give the payloads of some groups, and their shards.

    @param first: The first seqid.
    """
    encoder = FECEncoder(data, parity)
    encoder._next = first
    payloads = payloadsOf(groups * data, seed=first)
    return payloads, encoder.encode(payloads, 0)


def without(shards: list[bytes], lost: Iterable[int]) -> list[bytes]:
    """
    Lose some of the shards.
    """
    gone = set(lost)
    return [shard for index, shard in enumerate(shards) if index not in gone]


def held(decoder: FECDecoder) -> int:
    """
    Count the shards that a decoder holds.
    """
    assert len(decoder._groups) <= 1 + _fecdecoder.BEHIND
    return sum(len(group.shards or ()) for group in decoder._groups.values())

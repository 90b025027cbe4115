"""
The unit of KCP: a head of 24 octets, little-endian, and data::

    +------+-----+-----+-----+----+----+-----+-----+------+
    | conv | cmd | frg | wnd | ts | sn | una | len | data |
    |  4   |  1  |  1  |  2  | 4  | 4  |  4  |  4  | len  |
    +------+-----+-----+-----+----+----+-----+-----+------+

A payload, which is what a datagram carries once it is decrypted, holds one or
more of them back to back, or one shard of the forward error correction, which
has a head of its own before them.

Glossary, in KCP's own words:

  - conv: the conversation, equal in both directions.
  - frg: fragments of the message that still follow; the last one has 0.
  - wnd: segments for which the sender of this one still has room.
  - ts: the clock of the data's sender in milliseconds; an ACK returns it.
  - sn: the number of the data, or that of the data which is acknowledged.
  - una: the number that the sender of this one expects next.

Numbers and times are counted modulo 2**32 on the wire, and only there.

@see: U{https://github.com/skywind3000/kcp/blob/master/protocol.txt}
"""

import struct
from enum import IntEnum

HEAD = struct.Struct("<IBBHIIII")

HEAD_SIZE = HEAD.size

MASK = 0xFFFFFFFF

_HALF = 0x80000000


class Command(IntEnum):
    """
    cmd: what a segment is.

    @cvar PUSH: Data.
    @cvar ACK: Data has arrived.
    @cvar WASK: How large is your window?
    @cvar WINS: My window is so large.
    """

    PUSH = 81
    ACK = 82
    WASK = 83
    WINS = 84


class ShardType(IntEnum):
    """
    What a shard of the forward error correction is; it stands where a bare
    segment has cmd and frg.
    """

    DATA = 0xF1
    PARITY = 0xF2
    OUT_OF_BAND = 0xF3


_SHARD_HEAD = struct.Struct("<IH")
_SHARD_DATA_SIZE = 8


def difference(a: int, b: int) -> int:
    """
    Say how far one number of 32 bits is ahead of another one.

    @return: Between -2**31 and 2**31 - 1.
    """
    return ((a - b + _HALF) & MASK) - _HALF


def firstHead(payload: bytes) -> tuple[int, int, int, int, int, int, int, int] | None:
    """
    Read the first segment's head, wherever it is.

    @param payload: A decrypted datagram.
    @return: conv, cmd, frg, wnd, ts, sn, una and len as they are on the wire,
        or L{None} if there is no head: parity, something out of band, or too
        short.
    """
    start = 0
    if len(payload) >= _SHARD_HEAD.size:
        _, kind = _SHARD_HEAD.unpack_from(payload)
        if kind in (ShardType.PARITY, ShardType.OUT_OF_BAND):
            return None
        if kind == ShardType.DATA:
            start = _SHARD_DATA_SIZE
    if len(payload) < start + HEAD_SIZE:
        return None
    return HEAD.unpack_from(payload, start)

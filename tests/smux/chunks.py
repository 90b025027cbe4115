"""
Chunks of the snappy framing format, written without what is tested.
"""

import random
import struct
from collections.abc import Iterator

import cramjam

from socksproxy.smux._chunks import BLOCK, STORED


def crc32c(data: bytes) -> int:
    """
    Compute a CRC-32C, octet by octet.
    """
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def masked(checksum: int) -> bytes:
    """
    Write a checksum as chunks have it.
    """
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def chunk(kind: int, body: bytes) -> bytes:
    """
    Write any chunk.
    """
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def stored(data: bytes) -> bytes:
    """
    Write data as it is.
    """
    return chunk(STORED, masked(crc32c(data)) + data)


def block(data: bytes) -> bytes:
    """
    Write data compressed, whether that saves anything or not.
    """
    return chunk(BLOCK, masked(crc32c(data)) + bytes(cramjam.snappy.compress_raw(data)))


def chunksOf(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """
    Give the types and bodies of a stream's chunks.
    """
    at = 0
    while at < len(stream):
        length = int.from_bytes(stream[at + 1 : at + 4], "little")
        yield stream[at], stream[at + 4 : at + 4 + length]
        at += 4 + length
    assert at == len(stream)


def noise(size: int) -> bytes:
    """
    Make octets that cannot be compressed, the same ones each time.
    """
    return random.Random(size).randbytes(size)

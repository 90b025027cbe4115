"""
The chunks of the snappy framing format that carry data, one by one::

    +------+--------+----------+------------------------+
    | type | length | checksum |          data          |
    |  1   |   3    |    4     |       length - 4       |
    +------+--------+----------+------------------------+

The data of type 0 is a compressed block, which begins with the octets that it
decompresses to; that of type 1 is stored as it is. A chunk is of at most
65536 octets, decompressed. The checksum is a masked CRC-32C of these. Numbers
are little-endian.

The C{cramjam} package, which comes with
C{pip install twisted-socksproxy[snappy]}, does the work, and is imported when
something here is made.

@see: U{https://github.com/google/snappy/blob/main/framing_format.txt}
"""

from __future__ import annotations

import importlib
import struct
from typing import Any

from socksproxy.errors import ConfigurationError, MalformedMessage, MessageTooLong
from socksproxy.smux._recognition import IDENTIFIER

BLOCK = 0
STORED = 1

HEAD = struct.Struct("<I")
"""
The type of a chunk, and above its eight bits the length.
"""

CHECKSUM = 4
"""
Octets of the checksum.
"""

MAX_PLAIN = 65536
"""
Octets of data in the largest chunk.
"""

MAX_BLOCK = 32 + MAX_PLAIN + MAX_PLAIN // 6
"""
Octets that these can have when they are compressed, at the worst.
"""

_LONGEST_NUMBER = 5
_CHECKSUM_OF_NOTHING = (0xA282EAD8).to_bytes(CHECKSUM, "little")


def requireSnappy() -> Any:
    """
    Import the C{cramjam} package.

    @return: The package.
    @raise ConfigurationError: It is not there, or cannot be loaded.
    """
    try:
        return importlib.import_module("cramjam")
    except ImportError as e:
        raise ConfigurationError(
            "compression needs the extra 'snappy': pip install twisted-socksproxy[snappy],"
            f" or set nocomp on both sides ({e})"
        ) from e


def plainLength(chunks: bytearray, at: int) -> int | None:
    """
    Find out how much data a chunk holds, before anything is decompressed.

    @param chunks: Octets with the head of the chunk among them.
    @param at: Where it begins.
    @return: Octets, as it says, or L{None} while the chunk is incomplete.
    @raise MalformedMessage: It is too short.
    @raise MessageTooLong: It, or what is in it, is longer than can be; as soon
        as that is known.
    """
    (head,) = HEAD.unpack_from(chunks, at)
    kind, size = head & 0xFF, (head >> 8) - CHECKSUM
    if size < (1 if kind == BLOCK else 0):
        raise MalformedMessage("a chunk of snappy is too short")
    if size > (MAX_BLOCK if kind == BLOCK else MAX_PLAIN):
        raise MessageTooLong("a chunk of snappy is too long")
    start = at + HEAD.size + CHECKSUM
    if start + size > len(chunks):
        return None
    return (
        _blockLength(chunks[start : start + min(size, _LONGEST_NUMBER)]) if kind == BLOCK else size
    )


def _blockLength(start: bytearray) -> int:
    """
    Read the octets that a block decompresses to, as its start says.
    """
    value = shift = 0
    for octet in start:
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            if value > MAX_PLAIN:
                raise MessageTooLong("a chunk of snappy holds too much")
            return value
        shift += 7
    raise MalformedMessage("a block of snappy does not say how long it is")


class ChunkReader:
    """
    Reads complete chunks, of which L{plainLength} has been asked.
    """

    __slots__ = ("_compressor", "_error", "_snappy")

    def __init__(self) -> None:
        """
        @raise ConfigurationError: See L{requireSnappy}.
        """
        library = requireSnappy()
        self._error: type[Exception] = library.DecompressionError
        self._snappy = library.snappy
        # For checksums, of which the library has no function: what it makes
        # begins with one. The identifier comes once, and is not wanted.
        self._compressor = self._snappy.Compressor()
        self._compressor.compress(b"\0")
        self._compressor.flush()

    def readAll(self, chunks: bytearray, end: int, plain: int) -> bytes | None:
        """
        Read chunks together, which is quickest if they are many or large.

        @param chunks: Begins with them.
        @param end: Where they end.
        @param plain: Octets that they hold, as they say.
        @return: Their data, or L{None} if any of them is bad.
        """
        with memoryview(chunks) as view, view[:end] as whole:
            stream = b"".join((IDENTIFIER, whole))
        try:
            data = bytes(self._snappy.decompress(stream))
        except self._error:
            return None
        return data if len(data) == plain else None

    def readOne(self, chunk: bytes) -> bytes:
        """
        Read one chunk, which is quickest if it is small.

        @return: Its data.
        @raise MalformedMessage: It is bad.
        """
        start = HEAD.size + CHECKSUM
        data = chunk[start:]
        if chunk[0] == BLOCK:
            try:
                data = bytes(self._snappy.decompress_raw(data))
            except self._error as e:
                raise MalformedMessage("a block of snappy does not decompress") from e
        if chunk[HEAD.size : start] != self._checksumOf(data):
            raise MalformedMessage("a chunk of snappy has the wrong checksum")
        return data

    def _checksumOf(self, data: bytes) -> bytes:
        if not data:
            return _CHECKSUM_OF_NOTHING
        self._compressor.compress(data)
        return bytes(self._compressor.flush())[HEAD.size : HEAD.size + CHECKSUM]

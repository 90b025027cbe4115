"""
Tests for L{socksproxy.smux._chunks}.
"""

import struct

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import MalformedMessage, MessageTooLong
from socksproxy.smux._chunks import BLOCK, MAX_BLOCK, MAX_PLAIN, STORED, ChunkReader, plainLength
from socksproxy.smux._snappy import Encoder
from tests.smux.chunks import block, chunk, chunksOf, crc32c, masked, noise, stored
from tests.vectors import Vector, document


@pytest.mark.parametrize(
    "vector",
    document("kcp_vectors")["snappy_masked_crc"],
    ids=lambda vector: vector["data"],
)
def test_checksums(vector: Vector) -> None:
    """
    The checksums of chunks are masked CRC-32Cs, also for no data.
    """
    data = bytes.fromhex(vector["data"])
    assert crc32c(data) == vector["crc32c"]
    checksum = struct.pack("<I", vector["masked"])
    assert masked(vector["crc32c"]) == checksum
    whole = chunk(STORED, checksum + data)
    assert ChunkReader().readOne(whole) == data
    if data:
        # It may be compressed as well.
        (_, (_, body)) = chunksOf(Encoder().encode(data))
        assert body[:4] == checksum
    wrong = chunk(STORED, bytes([checksum[0] ^ 1]) + checksum[1:] + data)
    with pytest.raises(MalformedMessage):
        ChunkReader().readOne(wrong)


class PlainLengthTests(SynchronousTestCase):
    """
    What a chunk says before it is read.
    """

    def test_complete(self) -> None:
        """
        A complete chunk says how much it holds, wherever it is.
        """
        for size in (0, 1, 127, 128, 16383, 16384, MAX_PLAIN):
            for write in (stored, block):
                whole = write(noise(size))
                self.assertEqual(plainLength(bytearray(whole), 0), size)
                self.assertEqual(plainLength(bytearray(b"123" + whole + b"45"), 3), size)

    def test_incomplete(self) -> None:
        """
        An incomplete one says nothing.
        """
        for whole in (stored(b"abc"), block(b"abc"), stored(b"")):
            for length in range(4, len(whole)):
                self.assertIsNone(plainLength(bytearray(whole[:length]), 0))

    def test_bounds(self) -> None:
        """
        The longest chunk that can be is let in by its head, and none that is
        longer.
        """
        for kind, longest in ((BLOCK, 4 + MAX_BLOCK), (STORED, 4 + MAX_PLAIN)):
            head = bytearray([kind, *longest.to_bytes(3, "little")])
            self.assertIsNone(plainLength(head, 0))
            head = bytearray([kind, *(longest + 1).to_bytes(3, "little")])
            self.assertRaises(MessageTooLong, plainLength, head, 0)
        self.assertRaises(MalformedMessage, plainLength, bytearray(chunk(BLOCK, bytes(4))), 0)
        self.assertRaises(MalformedMessage, plainLength, bytearray(chunk(STORED, bytes(3))), 0)


class ChunkReaderTests(SynchronousTestCase):
    """
    What is read of chunks that are complete.
    """

    def test_together(self) -> None:
        """
        Chunks that are read together hold what they say they hold, or are not
        read.
        """
        chunks = bytearray(stored(b"one") + block(b"") + block(b"two") + b"rest")
        reader, end = ChunkReader(), len(chunks) - 4
        self.assertEqual(reader.readAll(chunks, end, 6), b"onetwo")
        self.assertIsNone(reader.readAll(chunks, end, 5))
        self.assertIsNone(reader.readAll(chunks, end, 7))
        self.assertIsNone(reader.readAll(chunks, end - 1, 6))
        # Nothing of it is in use afterwards.
        chunks.clear()

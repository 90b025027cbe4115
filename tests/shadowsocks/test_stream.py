"""
Tests for L{socksproxy.shadowsocks._stream}.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.shadowsocks._events import Reason, Refused, StreamFault
from socksproxy.shadowsocks._keys import sessionCipher
from socksproxy.shadowsocks._methods import METHODS, TAG
from socksproxy.shadowsocks._stream import LENGTH_RECORD, Opener, Sealer
from tests.shadowsocks.streams import (
    accountOf,
    cases,
    chunksOf,
    cutsOf,
    isStreamOf,
    methodOf,
    nameOf,
)
from tests.vectors import Vector

CLASSIC = [v for v in [*cases("tcp_request_aead"), *cases("tcp_response")] if "2022" not in v["id"]]
SMALL = 100
KEY = bytes(range(16))


def sealer(limit: int = SMALL, method: str = "aes-128-gcm") -> Sealer:
    """
    Make a sealer whose opener is L{opener}.
    """
    found = METHODS[method]
    return Sealer(found.aead(bytes(range(found.keyLength))), limit)


def opener(limit: int = SMALL, method: str = "aes-128-gcm") -> Opener:
    """
    Make an opener of what a L{sealer} writes.
    """
    found = METHODS[method]
    return Opener(found.aead(bytes(range(found.keyLength))), limit)


@pytest.mark.parametrize("vector", CLASSIC, ids=nameOf)
def test_vectors(vector: Vector) -> None:
    """
    Chunks are written as the vectors have them, and read however they are cut.
    """
    method, account = methodOf(vector), accountOf(vector)
    salt = bytes.fromhex(vector["salt"])
    cipher = sessionCipher(method, account.userKey, salt)
    writer = Sealer(cipher, method.chunkLimit)
    stream = b"".join(writer.seal(chunk) for chunk in chunksOf(vector))
    assert isStreamOf(vector, salt + stream)
    plaintext = b"".join(chunksOf(vector))
    for pieces in cutsOf(stream):
        reader = Opener(cipher, method.chunkLimit)
        assert b"".join(map(reader.open, pieces)) == plaintext
        assert reader.complete
        assert reader.fault is None


@pytest.mark.parametrize("method", METHODS)
def test_large(method: str) -> None:
    """
    Much data is cut into chunks of the longest length, and all of them come
    from one call.
    """
    limit = METHODS[method].chunkLimit
    data = bytes(at * 31 >> 3 & 0xFF for at in range(3 * limit + 5))
    stream = sealer(limit, method).seal(data)
    assert len(stream) == len(data) + 4 * (LENGTH_RECORD + TAG)
    reader = opener(limit, method)
    assert b"".join(reader.open(stream[at : at + 7001]) for at in range(0, len(stream), 7001)) == (
        data
    )
    assert reader.complete


class TestSealer(SynchronousTestCase):
    """
    Tests for L{Sealer}.
    """

    def test_nothing(self) -> None:
        """
        There are no empty chunks: peers take them for an attack.
        """
        writer = sealer()
        self.assertEqual(writer.seal(b""), b"")
        self.assertEqual(opener().open(writer.seal(b"x")), b"x")

    def test_chunks(self) -> None:
        """
        There are as few chunks as there can be.
        """
        for length, chunks in ((1, 1), (SMALL, 1), (SMALL + 1, 2), (2 * SMALL, 2)):
            stream = sealer().seal(bytes(length))
            self.assertEqual(len(stream), length + chunks * (LENGTH_RECORD + TAG))

    def test_neverTheSame(self) -> None:
        """
        The same data is sealed to something else each time.
        """
        writer = sealer()
        self.assertEqual(len({writer.seal(b"same") for _ in range(300)}), 300)

    def test_records(self) -> None:
        """
        Records and chunks have numbers of the same row, also beyond 255.
        """
        writer, reader = sealer(), opener()
        for _ in range(200):
            self.assertEqual(reader.openRecord(writer.sealRecord(b"record")), b"record")
            self.assertEqual(reader.open(writer.seal(b"chunk")), b"chunk")
        self.assertEqual(reader.records, 600)


class TestOpener(SynchronousTestCase):
    """
    Tests for L{Opener}.
    """

    def test_complete(self) -> None:
        """
        A stream may end between chunks, and nowhere else.
        """
        stream = sealer().seal(b"one") + b""
        self.assertTrue(opener().complete)
        for length in range(1, len(stream)):
            reader = opener()
            self.assertEqual(reader.open(stream[:length]), b"")
            self.assertFalse(reader.complete, length)

    def test_empty(self) -> None:
        """
        Empty chunks are passed over.
        """
        writer = sealer()
        empty = writer.sealRecord(bytes(2)) + writer.sealRecord(b"")
        stream = empty + writer.seal(b"data")
        for pieces in cutsOf(stream):
            reader = opener()
            self.assertEqual(b"".join(map(reader.open, pieces)), b"data")
            self.assertTrue(reader.complete)

    def test_told(self) -> None:
        """
        The first length may have been told elsewhere, and be 0.
        """
        for payload in (b"first", b""):
            writer, reader = sealer(), opener()
            reader.expectPayload(len(payload))
            self.assertFalse(reader.complete)
            stream = writer.sealRecord(payload) + writer.seal(b", second")
            self.assertEqual(reader.open(stream), payload + b", second")

    def test_tooLong(self) -> None:
        """
        A chunk that is longer than its method allows is refused as soon as its
        length is known.
        """
        for length, fault in ((SMALL, None), (SMALL + 1, Reason.CHUNK), (0xFFFF, Reason.CHUNK)):
            reader = opener()
            reader.open(sealer().sealRecord(length.to_bytes(2, "big")))
            self.assertEqual(reader.fault and reader.fault.reason, fault)

    def test_changed(self) -> None:
        """
        Whatever octet is changed, what came before its chunk is given out, and
        nothing that comes after, however the stream goes on.
        """
        writer = sealer()
        first, second, third = writer.seal(b"one"), writer.seal(b"two"), writer.seal(b"three")
        for at in range(len(second)):
            changed = bytearray(second)
            changed[at] ^= 0x40
            for pieces in ([first + changed + third], [first, changed, third, third]):
                reader = opener()
                given = b"".join(map(reader.open, pieces))
                self.assertEqual(given, b"one")
                self.assertEqual(reader.fault, Refused(Reason.SEAL))

    def test_over(self) -> None:
        """
        After a record that does not open the stream is over, even if the one
        that should have been there comes then.
        """
        record = sealer().sealRecord(b"\0\x03")
        reader = opener()
        reader.open(bytes(LENGTH_RECORD))
        self.assertEqual(reader.open(record + record), b"")
        self.assertEqual(reader.records, 0)

    def test_order(self) -> None:
        """
        Chunks that are left out, repeated or exchanged do not open.
        """
        writer = sealer()
        first, second = writer.seal(b"one"), writer.seal(b"two")
        for stream, good in ((second, b""), (first + first, b"one"), (second + first, b"")):
            reader = opener()
            self.assertEqual(reader.open(stream), good)
            self.assertIsNotNone(reader.fault)

    def test_record(self) -> None:
        """
        A record that does not open raises, and does not count.
        """
        writer, reader = sealer(), opener()
        record = writer.sealRecord(b"record")
        self.assertRaises(StreamFault, reader.openRecord, record[:-1])
        self.assertRaises(StreamFault, reader.openRecord, b"")
        self.assertEqual(reader.openRecord(record), b"record")

    def test_bounded(self) -> None:
        """
        No more is kept than one incomplete record.
        """
        writer, reader = sealer(), opener()
        stream = b"".join(writer.seal(bytes(SMALL)) for _ in range(50))
        for at in range(0, len(stream), 13):
            reader.open(stream[at : at + 13])
            self.assertLess(len(reader._incomplete), SMALL + TAG)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=3 * SMALL), max_size=5), st.data())
def test_anyCuts(writes: list[bytes], data: st.DataObject) -> None:
    """
    Whatever is written comes out, whatever the pieces that it comes in.
    """
    writer, reader = sealer(), opener()
    stream = b"".join(map(writer.seal, writes))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    ends = [*cuts, len(stream)]
    read = b"".join(
        reader.open(stream[start:end]) for start, end in zip([0, *cuts], ends, strict=True)
    )
    assert read == b"".join(writes)
    assert reader.complete


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_anyOctets(pieces: list[bytes]) -> None:
    """
    Octets that nobody has sealed give nothing.
    """
    reader = opener()
    assert b"".join(map(reader.open, pieces)) == b""
    assert (reader.fault is not None) == (sum(map(len, pieces)) >= LENGTH_RECORD)


def test_opensOnce() -> None:
    """
    A long chunk that comes in single octets is opened once, when the last of
    them is there.
    """
    counted = _Counting()
    reader = Opener(counted, 0xFFFF)
    reader.expectPayload(0xFFFF)
    for _ in range(0xFFFF + TAG - 1):
        reader.open(b"x")
    assert counted.opened == []
    reader.open(b"x")
    assert counted.opened == [0xFFFF + TAG]


class _Counting:
    """
    A cipher that opens everything, and counts.
    """

    encrypt: Callable[..., bytes]

    def __init__(self) -> None:
        self.opened: list[int] = []

    def decrypt(self, nonce: bytes, data: bytes | bytearray | memoryview, _: None, /) -> bytes:
        self.opened.append(len(data))
        return bytes(data)

"""
Tests for L{socksproxy.smux._snappy} and L{socksproxy.smux._chunks}.
"""

import struct
import subprocess
import sys

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import (
    ConfigurationError,
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
    TruncatedStream,
)
from socksproxy.kcp.crypt import cipherFor, deriveKey
from socksproxy.smux._chunks import BLOCK, MAX_BLOCK, MAX_PLAIN, STORED, ChunkReader
from socksproxy.smux._recognition import IDENTIFIER
from socksproxy.smux._snappy import MAX_SKIPPED, PIECE, Decoder, Encoder
from tests.codec import piecesOf, splitsOf
from tests.daemon import environment
from tests.smux.chunks import block, chunk, chunksOf, crc32c, masked, noise, stored
from tests.vectors import Vector, document

VECTORS = document("kcp_vectors")
STREAMS: list[Vector] = VECTORS["snappy"]
CONVERSATION: Vector = next(
    vector for vector in VECTORS["captured_conversations"] if vector["compression"]
)

KINDS = {0: "compressed", 1: "uncompressed", 0xFE: "skip", 0xFF: "stream-id"}

PADDING = b"\xfe\x03\x00\x00\x00\x00\x00"


def drain(decoder: Decoder) -> list[bytes]:
    """
    Take everything that a decoder has.
    """
    pieces = []
    while piece := decoder.next():
        pieces.append(piece)
    return pieces


def outcomeOf(pieces: list[bytes]) -> tuple[bytes, RemoteProtocolError | None]:
    """
    Decode a stream that comes in pieces.

    @return: The data before the first fault, and that.
    """
    decoder = Decoder()
    data = b""
    try:
        for piece in pieces:
            decoder.feed(piece)
            while some := decoder.next():
                data += some
        decoder.endOfStream()
    except RemoteProtocolError as e:
        return data, e
    return data, None


@pytest.mark.parametrize("vector", STREAMS, ids=lambda vector: str(vector["chunks"][:4]))
def test_vectors(vector: Vector) -> None:
    """
    A stream that kcptun wrote is read, however it is cut.
    """
    framed, plain = bytes.fromhex(vector["framed"]), bytes.fromhex(vector["plain"])
    assert [KINDS[kind] for kind, _ in chunksOf(framed)] == vector["chunks"]
    for pieces in splitsOf(framed):
        assert outcomeOf(pieces) == (plain, None)


@pytest.mark.parametrize(
    "vector",
    [vector for vector in STREAMS if vector["evidence"] == "captured"],
    ids=lambda vector: str(vector["chunks"][:4]),
)
def test_writesAsKcptun(vector: Vector) -> None:
    """
    What kcptun has written is read again when we have written it, in chunks
    that are stored where kcptun's were.
    """
    reader = ChunkReader()
    encoder = Encoder()
    written = []
    for kind, body in chunksOf(bytes.fromhex(vector["framed"])):
        if kind in (BLOCK, STORED):
            written.append(encoder.encode(reader.readOne(chunk(kind, body))))
    ours = b"".join(written)
    kinds = [KINDS[kind] for kind, _ in chunksOf(ours)]
    assert kinds == [kind for kind in vector["chunks"] if kind != "skip"]
    assert outcomeOf([ours]) == (bytes.fromhex(vector["plain"]), None)


@pytest.mark.parametrize("direction", ["c2s", "s2c"])
@pytest.mark.parametrize("size", [1, 7, 100000])
def test_captured(direction: str, size: int) -> None:
    """
    A conversation of two kcptuns is decompressed to the frames it was made of.
    """
    cipher = cipherFor(CONVERSATION["cipher"], deriveKey(CONVERSATION["passphrase"]))
    segments: dict[int, bytes] = {}
    for datagram in CONVERSATION["datagrams"]:
        if datagram["dir"] != direction:
            continue
        (payload,) = cipher.open([bytes.fromhex(datagram["hex"])])
        assert payload is not None
        at = 8
        if struct.unpack_from("<H", payload, 4)[0] != 0xF1:
            continue
        while at < len(payload):
            fields = struct.unpack_from("<IBBHIIII", payload, at)
            at += 24 + fields[7]
            if fields[1] == 81:
                segments[fields[5]] = payload[at - fields[7] : at]
    stream = b"".join(segments[number] for number in range(len(segments)))
    plain, fault = outcomeOf(piecesOf(stream, size))
    assert fault is None
    application = b""
    for frame in CONVERSATION["frames_" + direction]:
        version, command, length, identifier = struct.unpack_from("<BBHI", plain)
        assert (version, length, identifier) == (2, frame["len"], frame["sid"])
        if command == 2:
            application += plain[8 : 8 + length]
        plain = plain[8 + length :]
    assert plain == b""
    assert application.hex() == CONVERSATION["application_bytes_each_way"]


class EncoderTests(SynchronousTestCase):
    """
    What is written.
    """

    def test_identifierOnce(self) -> None:
        """
        The first octets that are written come after the identifier, and only
        those; there is none before there is anything to write.
        """
        encoder = Encoder()
        self.assertEqual(encoder.encode(b""), b"")
        self.assertEqual(encoder.encode(b"one"), IDENTIFIER + stored(b"one"))
        self.assertEqual(encoder.encode(b""), b"")
        self.assertEqual(encoder.encode(b"two"), stored(b"two"))

    def test_independent(self) -> None:
        """
        Each direction of each connection begins anew.
        """
        self.assertEqual(Encoder().encode(b"x"), Encoder().encode(b"x"))

    def test_wholeChunks(self) -> None:
        """
        What has been written can be read at once, and no chunk holds more
        than it may.
        """
        encoder, decoder = Encoder(), Decoder()
        for size in (1, 65535, 65536, 65537, 131072, 300000):
            for data in (bytes(size), noise(size)):
                framed = encoder.encode(data)
                sizes = [
                    len(ChunkReader().readOne(chunk(kind, body)))
                    for kind, body in chunksOf(framed)
                    if kind != 0xFF
                ]
                self.assertEqual(sizes[:-1], [MAX_PLAIN] * ((size - 1) // MAX_PLAIN))
                self.assertEqual(sum(sizes), size)
                decoder.feed(framed)
                self.assertEqual(b"".join(drain(decoder)), data)

    def test_storesWhatDoesNotCompress(self) -> None:
        """
        A chunk is compressed if that saves an eighth, rounded as kcptun does
        it, and stored otherwise.
        """
        encoder = Encoder()
        encoder.encode(b"x")
        kinds = set()
        for size in (8, 23, 64, 100, 1000, 4096, 65536):
            for incompressible in range(0, size + 1, max(1, size // 40)):
                data = noise(size)[:incompressible] + bytes(size - incompressible)
                ((kind, body),) = chunksOf(encoder.encode(data))
                compressed = bytes(cramjam.snappy.compress_raw(data))
                worthwhile = len(compressed) < size - size // 8
                self.assertEqual(kind, BLOCK if worthwhile else STORED, (size, incompressible))
                self.assertEqual(body[4:], compressed if worthwhile else data)
                kinds.add(kind)
        self.assertEqual(kinds, {BLOCK, STORED})


class DecoderTests(SynchronousTestCase):
    """
    What is read.
    """

    def setUp(self) -> None:
        """
        Have a stream that has begun.
        """
        self.decoder = Decoder()
        self.decoder.feed(IDENTIFIER)

    def read(self, data: bytes) -> bytes:
        """
        Read some more of it.
        """
        self.decoder.feed(data)
        return b"".join(drain(self.decoder))

    def refused(self, data: bytes, error: type[RemoteProtocolError] = MalformedMessage) -> str:
        """
        Read some more that has to be refused, now and for ever.

        @return: Why.
        """
        self.decoder.feed(data)
        why = str(self.assertRaises(error, drain, self.decoder))
        self.decoder.feed(stored(b"more"))
        self.assertEqual(len(self.decoder._data), 0)
        self.assertRaises(error, self.decoder.next)
        self.assertRaises(error, self.decoder.endOfStream)
        return why

    def test_chunks(self) -> None:
        """
        Chunks of data of any size are read, compressed or not, alone or with
        others.
        """
        for size in (1, 100, 2048, 2049, 5000, MAX_PLAIN):
            for data in (b"a" * size, noise(size)):
                self.assertEqual(self.read(block(data)), data)
                self.assertEqual(self.read(stored(data)), data)
                self.assertEqual(self.read(block(data) + stored(data)), data + data)

    def test_emptyChunks(self) -> None:
        """
        A chunk may hold nothing, and is not taken for the end.
        """
        empty = stored(b"") + block(b"")
        self.assertEqual(self.read(stored(b"")), b"")
        self.assertEqual(self.read(block(b"")), b"")
        self.assertEqual(self.read(empty + stored(b"one") + empty + block(b"two")), b"onetwo")

    def test_skipped(self) -> None:
        """
        Padding and chunks of the types that are reserved for what can be
        skipped are skipped.
        """
        for kind in range(0x80, 0xFF):
            data = stored(b"a") + chunk(kind, b"") + chunk(kind, stored(b"no")) + stored(b"b")
            for pieces in splitsOf(data):
                self.assertEqual(b"".join(map(self.read, pieces)), b"ab")
        self.decoder.endOfStream()

    def test_repeatedIdentifier(self) -> None:
        """
        The identifier may come again, as it does where streams are joined.
        """
        data = IDENTIFIER + stored(b"a") + IDENTIFIER + IDENTIFIER + block(b"b")
        for pieces in splitsOf(data):
            self.assertEqual(b"".join(map(self.read, pieces)), b"ab")

    def test_pieces(self) -> None:
        """
        What is decompressed at a time has a bound, however much has come.
        """
        data = bytes(MAX_PLAIN) * 7 + bytes(100)
        framed = Encoder().encode(data)
        self.assertLess(len(framed), MAX_PLAIN)
        self.decoder.feed(framed[len(IDENTIFIER) :])
        sizes = [len(piece) for piece in drain(self.decoder)]
        self.assertEqual(sizes, [PIECE, PIECE, PIECE, MAX_PLAIN + 100])

    def test_identifierFirst(self) -> None:
        """
        A stream has to begin with the identifier.
        """
        for first in (stored(b"data"), PADDING * 2, b"\xff\x06\x00\x00snappy", b"\xff\x07", b"G"):
            for pieces in splitsOf(first):
                data, fault = outcomeOf(pieces)
                self.assertEqual(data, b"")
                self.assertIsInstance(fault, MalformedMessage)
                self.assertIn("neither compressed nor smux", str(fault))

    def test_smux(self) -> None:
        """
        A peer that does not compress is told from garbage, also if its first
        octets come one by one.
        """
        for first in (b"\x01\x00\x00\x00\x03\x00\x00\x00", b"\x02\x04\x08\x00\x03\x00\x00\x00"):
            for pieces in splitsOf(first + b"more"):
                data, fault = outcomeOf(pieces)
                self.assertEqual(data, b"")
                self.assertIsInstance(fault, MalformedMessage)
                self.assertIn("the peer does not compress: set nocomp on this side", str(fault))

    def test_badIdentifier(self) -> None:
        """
        The identifier is always the same.
        """
        for bad in (chunk(0xFF, b"snappy"), chunk(0xFF, b"sNaPpY!"), chunk(0xFF, b"")):
            for pieces in splitsOf(bad):
                data, fault = outcomeOf([IDENTIFIER, stored(b"x"), *pieces])
                self.assertEqual(data, b"x")
                self.assertIsInstance(fault, MalformedMessage)

    def test_unknownTypes(self) -> None:
        """
        A chunk of a type that must not be skipped is refused.
        """
        for kind in range(2, 0x80):
            self.setUp()
            self.assertIn(f"{kind:#04x}", self.refused(chunk(kind, b"")))

    def test_badChecksum(self) -> None:
        """
        A chunk whose checksum is not that of its data is refused, whether it
        is read alone or with others, and what comes before it is given.
        """
        for size in (1, 100, 5000):
            data = b"a" * size
            for whole in (stored(data), block(data)):
                for position in range(4, 8):
                    bad = bytearray(whole)
                    bad[position] ^= 0x10
                    for before in (b"", stored(b"x"), stored(b"x") * 20):
                        stream = IDENTIFIER + before + bytes(bad) + stored(b"y")
                        read, fault = outcomeOf([stream])
                        self.assertEqual(read, b"x" * (len(before) // len(stored(b"x"))))
                        self.assertIsInstance(fault, MalformedMessage)
                        self.assertIn("checksum", str(fault))

    def test_badBlock(self) -> None:
        """
        A block that does not decompress to what it says is refused.
        """
        checksum = masked(crc32c(b"aaaa"))
        for body in (b"\x04", b"\x04\x08aaa", b"\x05\x0caaaa", b"\x03\x0caaaa", b"\x04\xfeab\x00"):
            for many in (1, 2):
                self.setUp()
                self.refused(chunk(BLOCK, checksum + body) * many)

    def test_tooShort(self) -> None:
        """
        A chunk of data has at least its checksum, and a block a length.
        """
        for kind in (BLOCK, STORED):
            for length in range(5 if kind == BLOCK else 4):
                self.setUp()
                self.assertIn("too short", self.refused(chunk(kind, bytes(length))))
        for start in (b"\x80", b"\xff\xff\xff\xff\xff\x00", b"\x80\x80\x80\x80\x80"):
            self.setUp()
            self.assertIn("how long it is", self.refused(chunk(BLOCK, bytes(4) + start)))

    def test_tooLongForAChunk(self) -> None:
        """
        A chunk of data that is longer than one can be is refused by its head.
        """
        for kind, longest in ((BLOCK, 4 + MAX_BLOCK), (STORED, 4 + MAX_PLAIN)):
            self.setUp()
            head = bytes([kind]) + longest.to_bytes(3, "little")
            self.assertEqual(self.read(head), b"")
            for length in (longest + 1, 0xFFFFFF):
                self.setUp()
                self.refused(bytes([kind]) + length.to_bytes(3, "little"), MessageTooLong)

    def test_goodBeforeTooLong(self) -> None:
        """
        What comes before such a head is given first.
        """
        for head in (b"\x00\xff\xff\xff", b"\x01\x00\x00\x00"):
            for count in (1, 30):
                data, fault = outcomeOf([IDENTIFIER + block(b"good") * count + head])
                self.assertEqual(data, b"good" * count)
                self.assertIsNotNone(fault)

    def test_bomb(self) -> None:
        """
        A block that says that it decompresses to more than a chunk may hold is
        refused before it is decompressed.
        """
        largest = bytes(MAX_PLAIN)
        self.assertEqual(self.read(block(largest)), largest)
        for size in (MAX_PLAIN + 1, 1 << 20, 1 << 30):
            self.setUp()
            reads: list[object] = []
            self.patch(ChunkReader, "readOne", lambda *arguments, reads=reads: reads.append(1))
            self.patch(ChunkReader, "readAll", lambda *arguments, reads=reads: reads.append(1))
            number = bytearray()
            while size > 0x7F:
                number.append(size & 0x7F | 0x80)
                size >>= 7
            number.append(size)
            self.refused(chunk(BLOCK, bytes(4) + bytes(number) + bytes(20)), MessageTooLong)
            self.assertEqual(reads, [])

    def test_worstBlock(self) -> None:
        """
        The largest chunk that does not compress may be sent as a block.
        """
        data = noise(MAX_PLAIN)
        self.assertEqual(self.read(block(data)), data)
        self.assertEqual(cramjam.snappy.compress_raw_max_len(data), MAX_BLOCK)

    def test_skippedIsNotKept(self) -> None:
        """
        The longest chunk that is skipped takes no memory, and one more octet
        to skip without any data is refused.
        """
        longest = (1 << 24) - 1
        self.decoder.feed(b"\xfe" + longest.to_bytes(3, "little"))
        self.assertEqual(self.decoder.next(), b"")
        for _ in range(longest // 65535):
            self.decoder.feed(bytes(65535))
            self.assertEqual(self.decoder.next(), b"")
            self.assertEqual(len(self.decoder._data), 0)
        self.assertRaises(TruncatedStream, self.decoder.endOfStream)
        self.assertEqual(self.read(bytes(longest % 65535)), b"")
        self.decoder.endOfStream()
        self.assertEqual(4 + longest, MAX_SKIPPED)
        self.refused(chunk(0xFE, b""), MessageTooLong)

    def test_dataBetweenSkipped(self) -> None:
        """
        It does not matter how much is skipped in all, if there is data; empty
        chunks are none.
        """
        half = b"\x80" + (1 << 23).to_bytes(3, "little") + bytes(1 << 23)
        for _ in range(4):
            self.assertEqual(self.read(half + stored(b"x")), b"x")
        self.refused(half + stored(b"") + half, MessageTooLong)

    def test_endOfStream(self) -> None:
        """
        A stream may end between two chunks, or before it has begun, and
        nowhere else.
        """
        Decoder().endOfStream()
        data = stored(b"one") + IDENTIFIER + PADDING + block(b"a" * 100)
        ends = {0}
        for _, body in chunksOf(data):
            ends.add(max(ends) + 4 + len(body))
        for end in range(len(data) + 1):
            self.setUp()
            self.read(data[:end])
            if end in ends:
                self.decoder.endOfStream()
            else:
                self.assertRaises(TruncatedStream, self.decoder.endOfStream)
        for end in range(1, len(IDENTIFIER)):
            decoder = Decoder()
            decoder.feed(IDENTIFIER[:end])
            self.assertEqual(decoder.next(), b"")
            self.assertRaises(TruncatedStream, decoder.endOfStream)


anyChunk = st.one_of(
    st.builds(stored, st.binary(max_size=40)),
    st.builds(block, st.binary(max_size=40)),
    st.builds(block, st.builds(lambda n: b"ab" * n, st.integers(0, 3000))),
    st.builds(chunk, st.integers(0, 255), st.binary(max_size=12)),
    st.just(IDENTIFIER),
    st.binary(max_size=6),
)


@given(chunks=st.lists(anyChunk, max_size=8), begun=st.booleans(), cut=st.integers(1, 50))
@settings(deadline=None)
def test_anyCut(chunks: list[bytes], begun: bool, cut: int) -> None:
    """
    Whatever comes, good or bad, is the same data and the same fault however it
    is cut, and no fault is of any other kind.
    """
    stream = (IDENTIFIER if begun else b"") + b"".join(chunks)
    data, fault = outcomeOf([stream])
    again, same = outcomeOf(piecesOf(stream, cut))
    assert again == data
    assert (type(same), str(same)) == (type(fault), str(fault))


@given(
    writes=st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.builds(
                lambda data, n: data * n, st.binary(min_size=1, max_size=9), st.integers(1, 20000)
            ),
        ),
        max_size=8,
    ),
    cut=st.integers(1, 5000),
)
@settings(deadline=None)
def test_roundTrip(writes: list[bytes], cut: int) -> None:
    """
    What is written is read, each write as soon as all of it has come.
    """
    encoder, decoder = Encoder(), Decoder()
    for data in writes:
        read = b""
        for piece in piecesOf(encoder.encode(data), cut):
            decoder.feed(piece)
            read += b"".join(drain(decoder))
        assert read == data
    decoder.endOfStream()


@pytest.mark.parametrize("make", [Encoder, Decoder])
def test_withoutCramjam(make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the package is missing, it is said what to do.
    """
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(ConfigurationError, match=r"extra 'snappy'.*or set nocomp"):
        make()


def test_importedLate() -> None:
    """
    The package is loaded only if something is to be compressed.
    """
    code = (
        "import sys, socksproxy.smux.compression\n"
        "from socksproxy.smux._snappy import Encoder\n"
        "early = 'cramjam' in sys.modules\n"
        "Encoder()\n"
        "sys.exit(early or 'cramjam' not in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=60)

"""
Tests for L{socksproxy.smux._frame}.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import BadCommand, BadVersion, MalformedMessage, RemoteProtocolError
from socksproxy.smux._frame import (
    FIN,
    HEAD,
    NOP,
    PSH,
    SYN,
    UPD,
    WINDOW,
    Command,
    FrameDecoder,
    encodeFrame,
    encodeUpdate,
)
from tests.codec import arbitraryOctets, piecesOf, splitsOf
from tests.vectors import Vector, document

VECTORS: list[Vector] = document("kcp_vectors")["smux"]
INPUTS = [{"input": vector["hex"]} for vector in VECTORS]

Frame = tuple[int, int, bytes]


def nameOf(vector: Vector) -> str:
    """
    Name a vector.
    """
    return f"{vector['cmd']}-{vector['ver']}-{vector['sid']}"


def decode(version: int | None, pieces: Iterable[bytes]) -> list[Frame]:
    """
    Read frames out of pieces, and put together what of a PSH came apart.
    """
    decoder = FrameDecoder(version)
    frames: list[Frame] = []
    missing = 0
    for piece in pieces:
        for command, streamID, body in decoder.fragments(piece):
            if command == PSH:
                assert len(body) > 0
            if missing:
                frames[-1] = (PSH, streamID, frames[-1][2] + bytes(body))
            else:
                frames.append((command, streamID, bytes(body)))
            missing = decoder._left if command == PSH else 0
    return frames


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vectors(vector: Vector) -> None:
    """
    A frame is read as what it is however it is cut, and written as it was;
    who does not know the version learns it.
    """
    data = bytes.fromhex(vector["hex"])
    expected = (Command[vector["cmd"]].value, vector["sid"], bytes.fromhex(vector["data"]))
    for version in (vector["ver"], None):
        for pieces in splitsOf(data):
            assert decode(version, pieces) == [expected], pieces
    assert encodeFrame(vector["ver"], *expected) == data
    if "window" in vector:
        assert WINDOW.unpack(expected[2]) == (vector["consumed"], vector["window"])
        assert (
            encodeUpdate(vector["ver"], vector["sid"], vector["consumed"], vector["window"]) == data
        )


def test_allVectors() -> None:
    """
    There is one for each command in each version.
    """
    kinds = {(vector["ver"], vector["cmd"]) for vector in VECTORS}
    assert kinds == {(v, c.name) for v in (1, 2) for c in Command} - {(1, "UPD")}


@pytest.mark.parametrize("version", [1, 2])
def test_severalFrames(version: int) -> None:
    """
    Frames one after another are read one after another, wherever they are cut.
    """
    frames: list[Frame] = [
        (SYN, 3, b""),
        (PSH, 3, b"first"),
        (PSH, 5, b"x"),
        (NOP, 0, b""),
        (PSH, 3, b"second, longer"),
        (FIN, 3, b""),
    ]
    if version == 2:
        frames.insert(2, (UPD, 3, WINDOW.pack(10, 2097152)))
    data = b"".join(encodeFrame(version, *frame) for frame in frames)
    for pieces in splitsOf(data):
        assert decode(version, pieces) == frames, pieces


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_everyTruncation(vector: Vector) -> None:
    """
    A frame that is not complete is nothing yet, but for the data of a PSH that
    is there.
    """
    data = bytes.fromhex(vector["hex"])
    for length in range(len(data)):
        frames = decode(vector["ver"], [data[:length]])
        if vector["cmd"] == "PSH" and length > HEAD.size:
            assert frames == [(PSH, vector["sid"], data[HEAD.size : length])]
        else:
            assert frames == []


class FrameDecoderTests(SynchronousTestCase):
    """
    What is not a frame.
    """

    def check(self, error: type[RemoteProtocolError], data: bytes, version: int | None = 2) -> str:
        """
        Require that octets are refused, however they are cut, and that what
        was before them is read.

        @return: The text of the error.
        """
        before = encodeFrame(data[0] if version is None else version, PSH, 3, b"before")
        texts = set()
        for start in (b"",) if version is None else (b"", before):
            for pieces in splitsOf(start + data):
                decoder = FrameDecoder(version)
                found = b""
                with self.assertRaises(error) as caught:
                    for piece in pieces:
                        for _, _, body in decoder.fragments(piece):
                            found += body
                self.assertEqual(found, b"before" if start else b"")
                texts.add(str(caught.exception))
        (text,) = texts
        return text

    def test_otherVersion(self) -> None:
        """
        All frames are of one version, and the error says what to do.
        """
        text = self.check(BadVersion, encodeFrame(1, SYN, 3), 2)
        self.assertIn("version 1, and this side 2", text)
        self.assertIn("smuxver", text)
        self.assertIn("version 2, and this side 1", self.check(BadVersion, bytes([2] + [0] * 7), 1))

    def test_noVersion(self) -> None:
        """
        Version 0 and those after 2 are not known, whoever asks.
        """
        for version in (0, 3, 0x16, 0x47):
            for expected in (None, 1, 2):
                text = self.check(BadVersion, encodeFrame(version, SYN, 3), expected)
                self.assertIn(f"{version:#04x}", text)

    def test_compressed(self) -> None:
        """
        A compressed stream is recognised as one.
        """
        text = self.check(BadVersion, b"\xff\x06\x00\x00sNaPpY", None)
        self.assertIn("nocomp", text)

    def test_versionStays(self) -> None:
        """
        The version that the first frame has is that of the others.
        """
        decoder = FrameDecoder(None)
        self.assertEqual(len(list(decoder.fragments(encodeFrame(1, SYN, 3)))), 1)
        self.assertEqual(decoder.version, 1)
        with self.assertRaises(BadVersion):
            list(decoder.fragments(encodeFrame(2, SYN, 5)))

    def test_unknownCommand(self) -> None:
        """
        There are five commands, and in version 1 four.
        """
        for command in range(5, 256):
            self.check(BadCommand, HEAD.pack(2, command, 0, 3))
        self.check(BadCommand, encodeUpdate(1, 3, 10, 10), 1)

    def test_lengths(self) -> None:
        """
        Only PSH and UPD have data, and UPD has 8 octets of it.
        """
        for command in (SYN, FIN, NOP):
            for length in (1, 8, 65535):
                self.check(MalformedMessage, HEAD.pack(1, command, length, 3), 1)
                self.check(MalformedMessage, HEAD.pack(2, command, length, 3), 2)
        for length in (0, 4, 7, 9, 16, 65535):
            self.check(MalformedMessage, HEAD.pack(2, UPD, length, 3))

    def test_emptyPush(self) -> None:
        """
        A PSH without data is nothing.
        """
        data = encodeFrame(1, PSH, 3) + encodeFrame(1, PSH, 3, b"x") + encodeFrame(1, PSH, 3)
        for pieces in splitsOf(data):
            self.assertEqual(decode(1, pieces), [(PSH, 3, b"x")])

    def test_longest(self) -> None:
        """
        A PSH has up to 65535 octets, which come as they came.
        """
        content = bytes(range(256)) * 256
        data = encodeFrame(2, PSH, 7, content[:65535])
        self.assertEqual(decode(2, [data]), [(PSH, 7, content[:65535])])
        for size in (1, 1000, 65536):
            self.assertEqual(decode(2, piecesOf(data, size)), [(PSH, 7, content[:65535])])

    def test_keepsNoData(self) -> None:
        """
        What is kept of a frame is less than a whole UPD: data is handed on as
        it comes, and is not copied.
        """
        decoder = FrameDecoder(2)
        data = encodeFrame(2, PSH, 3, bytes(40000)) + encodeUpdate(2, 3, 1, 1)
        for piece in piecesOf(data, 1000):
            for command, _, body in decoder.fragments(piece):
                if command == PSH:
                    self.assertIs(body.obj, piece)
            self.assertLess(len(decoder._held), 16)


versions = st.sampled_from([1, 2])
numbers = st.integers(0, 0xFFFFFFFF)
frames = st.one_of(
    st.tuples(st.sampled_from([SYN, FIN, NOP]), numbers, st.just(b"")),
    st.tuples(st.just(PSH), numbers, st.binary(min_size=1, max_size=300)),
    st.tuples(st.just(UPD), numbers, st.builds(WINDOW.pack, numbers, numbers)),
)


@given(version=versions, frames=st.lists(frames, max_size=8), cuts=st.lists(st.integers(0, 2000)))
@settings(deadline=None)
def test_roundTrip(version: int, frames: list[Frame], cuts: list[int]) -> None:
    """
    Frames are read again as they were written, wherever they are cut.
    """
    if version == 1:
        frames = [frame for frame in frames if frame[0] != UPD]
    data = b"".join(encodeFrame(version, *frame) for frame in frames)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert decode(version, pieces) == frames
    assert decode(None, pieces) == frames


@given(data=arbitraryOctets(INPUTS), version=st.sampled_from([None, 1, 2]))
@settings(deadline=None)
def test_arbitraryOctets(data: bytes, version: int | None) -> None:
    """
    Whatever comes is frames or refused as what the peer must not send, and
    is the same to who gets it octet by octet.
    """

    def outcome(pieces: list[bytes]) -> object:
        decoder = FrameDecoder(version)
        found: list[tuple[int, int]] = []
        content = b""
        try:
            for piece in pieces:
                for command, streamID, body in decoder.fragments(piece):
                    content += body
                    if command != PSH:
                        found.append((command, streamID))
        except RemoteProtocolError as e:
            return found, content, type(e)
        return found, content, None

    assert outcome([data]) == outcome(piecesOf(data, 1))

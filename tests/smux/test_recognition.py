"""
Tests for L{socksproxy.smux._recognition}.
"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.smux._recognition import (
    COMPRESSED,
    ENOUGH,
    IDENTIFIER,
    SMUX1,
    SMUX2,
    mismatch,
    recognise,
)
from tests.vectors import Vector, document

VECTORS = document("kcp_vectors")

SYN, FIN, PSH, NOP, UPD = range(5)


def head(version: int, command: int, length: int, stream: int) -> bytes:
    """
    Write the header of a frame.
    """
    return struct.pack("<BBHI", version, command, length, stream)


@pytest.mark.parametrize("vector", VECTORS["smux"], ids=lambda vector: str(vector["hex"][:16]))
def test_frames(vector: Vector) -> None:
    """
    Every frame of smux is taken for one, of its version.
    """
    expected = {1: SMUX1, 2: SMUX2}[vector["ver"]]
    assert recognise(bytes.fromhex(vector["hex"])) == expected


@pytest.mark.parametrize("vector", VECTORS["snappy"], ids=lambda vector: str(len(vector["framed"])))
def test_compressed(vector: Vector) -> None:
    """
    A compressed stream is recognised, and what kcptun has in it once it is
    decompressed.
    """
    assert recognise(bytes.fromhex(vector["framed"])) == COMPRESSED
    if vector["evidence"] == "captured":
        assert recognise(bytes.fromhex(vector["plain"])) == SMUX2


@pytest.mark.parametrize("first", [IDENTIFIER, head(1, SYN, 0, 3), head(2, PSH, 10, 3)])
def test_tooLittle(first: bytes) -> None:
    """
    Nothing is told from less than what is enough.
    """
    assert recognise(first[:ENOUGH]) is not None
    for length in range(ENOUGH):
        assert recognise(first[:length]) is None


@pytest.mark.parametrize(
    "first",
    [
        head(0, SYN, 0, 3),
        head(3, SYN, 0, 3),
        head(2, 5, 0, 3),
        head(2, SYN, 1, 3),
        head(2, FIN, 1, 3),
        head(2, NOP, 1, 0),
        head(2, NOP, 0, 3),
        head(2, SYN, 0, 0),
        head(2, PSH, 10, 0),
        head(1, UPD, 8, 3),
        head(2, UPD, 7, 3),
        head(2, UPD, 8, 0),
        b"\xff\x06\x00\x00snappy",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_implausible(first: bytes) -> None:
    """
    What no peer begins with is not recognised as anything.
    """
    assert recognise(first) is None
    assert mismatch(first, COMPRESSED) is None


@given(first=st.binary(max_size=20))
def test_anything(first: bytes) -> None:
    """
    Whatever comes is one of the known things or none.
    """
    assert recognise(first) in (None, COMPRESSED, SMUX1, SMUX2)


@pytest.mark.parametrize(
    ("first", "expected", "words"),
    [
        (head(2, SYN, 0, 3), (COMPRESSED,), "the peer does not compress: set nocomp on this side"),
        (head(1, SYN, 0, 3), (COMPRESSED,), "the peer does not compress: set nocomp on this side"),
        (IDENTIFIER, (SMUX1, SMUX2), "the peer compresses: set nocomp on the other side"),
        (IDENTIFIER, (SMUX2,), "the peer compresses: set nocomp on the other side"),
        (head(1, SYN, 0, 3), (SMUX2,), "speaks smux version 1, and this side smux version 2"),
        (head(2, NOP, 0, 0), (SMUX1,), "speaks smux version 2, and this side smux version 1"),
    ],
)
def test_mismatch(first: bytes, expected: tuple[str, ...], words: str) -> None:
    """
    A setting that the two sides do not have in common is named.
    """
    text = mismatch(first, *expected)
    assert text is not None
    assert words in text


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (IDENTIFIER, (COMPRESSED,)),
        (head(1, SYN, 0, 3), (SMUX1,)),
        (head(2, SYN, 0, 3), (SMUX1, SMUX2)),
    ],
)
def test_match(first: bytes, expected: tuple[str, ...]) -> None:
    """
    There is nothing to say about what is as it should be.
    """
    assert mismatch(first, *expected) is None

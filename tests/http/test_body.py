"""
Tests for L{socksproxy.http._body}.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.http._body import (
    CHUNK_LINE_LIMIT,
    TRAILER_LIMIT,
    TRAILERS_LIMIT,
    BodyOfLength,
    BodyReader,
    BodyUntilClose,
    ChunkedBody,
)
from socksproxy.http._refusal import Refusal
from tests.codec import piecesOf, splitsOf

CHUNKED = (
    b'3\r\nabc\r\n00A;x;y=z;q="a\\"; \xfc"\r\n0123\r\n6789\r\n0;last\r\nX-a:\t 1 \r\nx-A:\r\n\r\n'
)
BODY = b"abc0123\r\n6789"
TRAILERS = ((b"X-a", b"1"), (b"x-A", b""))


def fed(body: BodyReader, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """
    Feed a body in pieces, and whatever comes after its end to nobody.

    @return: The body, and what is left.
    """
    data = b""
    for number, piece in enumerate(pieces):
        data += body.feed(piece)
        if body.ended:
            return data, body.rest + b"".join(pieces[number + 1 :])
    return data, b""


class TestOfLength:
    """
    Bodies of a declared length.
    """

    def test_cuts(self) -> None:
        """
        The body is what was declared, and not an octet more.
        """
        for pieces in splitsOf(b"hello" + b"GET"):
            assert fed(BodyOfLength(5), pieces) == (b"hello", b"GET")

    def test_uncopied(self) -> None:
        """
        What belongs to the body as a whole is not copied.
        """
        body, piece = BodyOfLength(10), bytes(5)
        assert body.feed(piece) is piece
        assert body.feed(piece) is piece
        assert body.ended

    def test_empty(self) -> None:
        """
        A body of no octets has ended before it begins.
        """
        assert BodyOfLength(0).ended

    def test_truncated(self) -> None:
        """
        The stream must not end before the body has.
        """
        body = BodyOfLength(5)
        body.feed(b"hell")
        with pytest.raises(Refusal):
            body.endOfStream()
        body.feed(b"o")
        body.endOfStream()


class TestUntilClose:
    """
    Bodies that the end of the stream ends.
    """

    def test_ends(self) -> None:
        """
        Everything belongs to the body until the stream ends.
        """
        body = BodyUntilClose()
        assert [body.feed(b"a"), body.feed(b"0\r\n\r\n"), body.ended] == [b"a", b"0\r\n\r\n", False]
        body.endOfStream()
        assert body.ended and body.rest == b""


class TestChunked:
    """
    Bodies in chunks.
    """

    def test_cuts(self) -> None:
        """
        The body, the fields after it and what follows are told apart, however
        they are cut.
        """
        for pieces in splitsOf(CHUNKED + b"GET"):
            body = ChunkedBody()
            assert fed(body, pieces) == (BODY, b"GET"), pieces
            assert body.trailers == TRAILERS

    def test_onePiece(self) -> None:
        """
        What arrives together is given together, however small the chunks.
        """
        body = ChunkedBody()
        assert body.feed(b"1\r\na\r\n" * 1000) == b"a" * 1000

    @pytest.mark.parametrize("size", [b"f" * 16, b"7" + b"f" * 15, b"0" * 15 + b"3"])
    def test_sizes(self, size: bytes) -> None:
        """
        A size has up to sixteen digits.
        """
        assert ChunkedBody().feed(size + b"\r\nabc") == b"abc"

    def test_empty(self) -> None:
        """
        The last chunk may be the first.
        """
        body = ChunkedBody()
        assert fed(body, [b"000\r\n\r\nrest"]) == (b"", b"rest")
        assert body.trailers == ()

    def test_truncated(self) -> None:
        """
        The stream must not end before the last line has.
        """
        for length in range(len(CHUNKED)):
            body = ChunkedBody()
            body.feed(CHUNKED[:length])
            with pytest.raises(Refusal):
                body.endOfStream()

    def test_lineLimit(self) -> None:
        """
        The line before a chunk is not too long just up to the limit, and is
        refused as soon as it is longer.
        """
        longest = b"3;" + b"a" * (CHUNK_LINE_LIMIT - 2)
        assert ChunkedBody().feed(longest + b"\r\nabc") == b"abc"
        for line in (longest + b"a\r\n", longest + b"aa", b"3" * (CHUNK_LINE_LIMIT + 2)):
            for pieces in ([line], piecesOf(line, 1)):
                with pytest.raises(Refusal):
                    fed(ChunkedBody(), pieces)

    @pytest.mark.parametrize("size", [1, 1000])
    def test_trailersLimit(self, size: int) -> None:
        """
        The fields after the body are not too long just up to the limit, cut or
        not.
        """
        longest = b"X: %b\r\n" % (b"a" * (TRAILERS_LIMIT - 7))
        assert len(longest) == TRAILERS_LIMIT - 2
        body = ChunkedBody()
        fed(body, piecesOf(b"0\r\n" + longest + b"\r\n", size))
        assert body.ended
        for trailers in (b"Y" + longest + b"\r\n", b"X" * (TRAILERS_LIMIT + 1)):
            with pytest.raises(Refusal):
                fed(ChunkedBody(), piecesOf(b"0\r\n" + trailers, size))

    def test_trailerLimit(self) -> None:
        """
        There are so many fields after the body, and not more.
        """
        body = ChunkedBody()
        body.feed(b"0\r\n" + b"X: a\r\n" * TRAILER_LIMIT + b"\r\n")
        assert body.ended and len(body.trailers) == TRAILER_LIMIT
        with pytest.raises(Refusal):
            ChunkedBody().feed(b"0\r\n" + b"X: a\r\n" * (TRAILER_LIMIT + 1))

    def test_linear(self) -> None:
        """
        Neither tiny chunks nor long extensions take longer than their length
        says.
        """
        extensions = b'3;a="' + b"\\a" * 100 + b'";' + b"a" * 40 + b"\0\r\n"

        def refused() -> None:
            with pytest.raises(Refusal):
                ChunkedBody().feed(extensions)

        calls: list[Callable[[], object]] = [
            refused,
            lambda: ChunkedBody().feed(b"1\r\na\r\n" * 10000),
            lambda: fed(ChunkedBody(), piecesOf(b"1\r\na\r\n" * 5000, 1)),
            lambda: fed(ChunkedBody(), piecesOf(b"0\r\nX: " + b"a" * 8000, 1)),
        ]
        for call in calls:
            started = time.process_time()
            call()
            assert time.process_time() - started < 1

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.integers(1, 9))
    def test_roundTrip(self, chunks: list[bytes], size: int) -> None:
        """
        A body in any chunks, cut anywhere, is that body.
        """
        data = b"".join(b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        assert fed(ChunkedBody(), piecesOf(data, size)) == (b"".join(chunks), b"")

    @given(st.binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """
        Nothing but a refusal comes of any octets, cut or not.
        """
        for start in (b"", b"3", b"3\r\nabc", b"0\r\n"):
            outcomes = []
            for size in (1, 1000):
                body = ChunkedBody()
                try:
                    outcomes.append((fed(body, piecesOf(start + data, size)), body.trailers))
                except Refusal as e:
                    outcomes.append(e.status)
            assert outcomes[0] == outcomes[1]

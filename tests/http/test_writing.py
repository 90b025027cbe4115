"""
Tests for L{socksproxy.http._writing}.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from socksproxy.errors import LocalProtocolError
from socksproxy.http._body import BodyOfLength, ChunkedBody
from socksproxy.http._connect import HeaderField
from socksproxy.http._writing import BodyWriter, NoBody, fieldLines, requestHead, responseHead

SPLITTING = [
    (b"X", b"a\r\nSet-Cookie: b"),
    (b"X", b"a\nSet-Cookie: b"),
    (b"X", b"a\rb"),
    (b"X", b"a\r\n\r\n<html>"),
    (b"X", b"a\0"),
    (b"X", b"\x0ba"),
    (b"X", b"a\x7f"),
    (b"X\r\nY", b"a"),
    (b"X: a\r\nY", b"a"),
    (b"X ", b"a"),
    (b"X:", b"a\r\n"),
    (b"", b"a"),
    (b" X", b"a"),
    (b"\xfc", b"a"),
    (b"X", b"a\r\n"),
    (b"X", b"a\r\n b"),
]
"""
Fields that would be more than one, or none.
"""


class TestHeads:
    """
    Heads.
    """

    def test_written(self) -> None:
        """
        Fields are written in their order.
        """
        fields = [(b"Host", b"a"), (b"x-Y", b""), (b"X", b"\t\xfc b")]
        lines = b"Host: a\r\nx-Y: \r\nX: \t\xfc b\r\n"
        assert requestHead(b"GET", b"/a?b", fields) == b"GET /a?b HTTP/1.1\r\n" + lines + b"\r\n"
        assert responseHead(204, b"", fields) == b"HTTP/1.1 204 \r\n" + lines + b"\r\n"
        assert fieldLines([]) == b""

    @pytest.mark.parametrize("field", SPLITTING)
    def test_splitting(self, field: tuple[bytes, bytes]) -> None:
        """
        A field is one line, or is not written; the error does not quote it.
        """
        writes: list[Callable[[list[HeaderField]], bytes]] = [
            lambda fields: requestHead(b"GET", b"/", fields),
            lambda fields: responseHead(200, b"OK", fields),
            lambda fields: BodyWriter(None, True).end(fields),
        ]
        for write in writes:
            for fields in ([field], [(b"A", b"b"), field], [field, (b"A", b"b")]):
                with pytest.raises(LocalProtocolError) as raised:
                    write(fields)
                assert str(raised.value) == "a header field cannot be sent"

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            (b"GET", b"/ HTTP/1.1\r\nX:"),
            (b"GET", b"/a b"),
            (b"GET", b"/\xff"),
            (b"GET", b"/\r"),
            (b"GET", b""),
            (b"", b"/"),
            (b"GE T", b"/"),
            (b"GET\r\n", b"/"),
        ],
    )
    def test_requestLine(self, method: bytes, target: bytes) -> None:
        """
        A request line is one.
        """
        with pytest.raises(LocalProtocolError):
            requestHead(method, target, [])

    @pytest.mark.parametrize(
        ("status", "reason"),
        [(200, b"a\r\nX: b"), (200, b"a\n"), (200, b"\0"), (99, b""), (1000, b""), (-200, b"")],
    )
    def test_statusLine(self, status: int, reason: bytes) -> None:
        """
        A status line is one.
        """
        with pytest.raises(LocalProtocolError):
            responseHead(status, reason, [])


class TestBodies:
    """
    Bodies.
    """

    def test_length(self) -> None:
        """
        A body is as long as declared.
        """
        writer = BodyWriter(3)
        piece = b"ab"
        assert writer.send(piece) is piece
        for write in (lambda: writer.send(b"cd"), writer.end):
            with pytest.raises(LocalProtocolError):
                write()
        assert writer.send(b"c") + writer.send(b"") + writer.end([(b"X", b"a")]) == b"c"
        assert writer.ended

    def test_chunked(self) -> None:
        """
        A body in chunks is read as it was meant, with the fields after it.
        """
        writer, body = BodyWriter(None, True), ChunkedBody()
        written = writer.send(b"abc") + writer.send(b"") + writer.send(b"0\r\n\r\n" * 9)
        written += writer.end([(b"X", b"a"), (b"Y", b"b")])
        assert body.feed(written) == b"abc" + b"0\r\n\r\n" * 9
        assert body.trailers == ((b"X", b"a"), (b"Y", b"b"))
        assert body.ended and body.rest == b""
        assert written.startswith(b"3\r\nabc\r\n2d\r\n")

    def test_unknown(self) -> None:
        """
        A body that a close ends has nothing after it.
        """
        writer = BodyWriter(None)
        assert writer.send(b"a") + writer.send(b"b") + writer.end([(b"X", b"a")]) == b"ab"

    def test_ended(self) -> None:
        """
        Nothing follows the end.
        """
        for writer in (BodyWriter(0), BodyWriter(None), BodyWriter(None, True), NoBody()):
            writer.end()
            with pytest.raises(LocalProtocolError):
                writer.end()
        for writer in (BodyWriter(None), BodyWriter(None, True)):
            writer.end()
            with pytest.raises(LocalProtocolError):
                writer.send(b"a")

    def test_none(self) -> None:
        """
        Of a body that only its head speaks of nothing is written.
        """
        writer = NoBody()
        assert writer.send(b"abc") + writer.end([(b"X", b"a")]) == b""
        assert BodyOfLength(0).ended

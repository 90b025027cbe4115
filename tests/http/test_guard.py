"""
Tests for L{socksproxy.http._guard} and for what L{h11} makes of what it lets
pass (L{socksproxy.http._parsed}).
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.http._guard import (
    FIELD_LIMIT,
    LINE_LIMIT,
    SECTION_LIMIT,
    RequestReader,
    ResponseReader,
)
from socksproxy.http._parsed import parseRequest, parseResponse
from socksproxy.http._refusal import Refusal
from tests.codec import splitsOf

REQUEST = b"GET / HTTP/1.1\r\nHost: web.test\r\nX-a:\t b c \t\r\nx-A:\r\nY: \xfc\r\n\r\n"

RESPONSE = (
    b"HTTP/1.1 200 Very  well \xfc\r\nSet-Cookie: a\r\nX:b\r\nSet-Cookie: b\r\n"
    b"Content-Length: 1\r\n\r\n"
)


def refusal(reader: RequestReader | ResponseReader, data: bytes) -> int | None:
    """
    Give the status with which something is refused, if it is.
    """
    try:
        reader.take(bytearray(data))
    except Refusal as e:
        return e.status
    return None


class TestRequests:
    """
    Heads of requests.
    """

    def test_cuts(self) -> None:
        """
        A head is read however it is cut, and what follows stays.
        """
        for pieces in splitsOf(REQUEST + b"GET"):
            reader, buffer = RequestReader(), bytearray()
            heads = []
            for piece in pieces:
                buffer += piece
                head = reader.take(buffer)
                if head is not None:
                    heads.append(head)
            assert [head.octets for head in heads] == [REQUEST]
            assert heads[0].line == (b"GET", True)
            assert heads[0].fieldCount == 4
            assert heads[0].framing.hosts == [b"web.test"]
            assert buffer == b"GET"

    def test_parsed(self) -> None:
        """
        The fields are in order, with their names as written and no white space
        around their values.
        """
        head = RequestReader().take(bytearray(REQUEST))
        assert head is not None
        assert parseRequest(head) == (
            b"GET",
            b"/",
            ((b"Host", b"web.test"), (b"X-a", b"b c"), (b"x-A", b""), (b"Y", b"\xfc")),
        )

    def test_severalHeads(self) -> None:
        """
        One head after another is read, each on its own.
        """
        reader, buffer = RequestReader(), bytearray(REQUEST * 2 + b"\r\n" + REQUEST)
        for _ in range(3):
            head = reader.take(buffer)
            assert head is not None and head.octets == REQUEST
            assert head.framing.hosts == [b"web.test"]
        assert reader.take(buffer) is None

    def test_framing(self) -> None:
        """
        What could be ambiguous is put aside, all of it.
        """
        head = RequestReader().take(
            bytearray(
                b"GET / HTTP/1.0\r\nHOST: a\r\nhost:b\r\nContent-length: 1\r\ncontent-Length:2 \r\n"
                b"TRANSFER-ENCODING: x\r\nTransfer-Encoding:\r\nTransfer_Encoding: y\r\n\r\n"
            )
        )
        assert head is not None
        assert head.framing == ([b"a", b"b"], [b"1", b"2"], [b"x", b""])
        assert head.line == (b"GET", False)

    def test_idle(self) -> None:
        """
        A reader knows whether a head has begun.
        """
        reader, buffer = RequestReader(), bytearray()
        assert reader.idle
        for octet, idle in zip(b"\r\nG", (False, True, False), strict=True):
            buffer.append(octet)
            reader.take(buffer)
            assert reader.idle is idle
        buffer += REQUEST[1:]
        reader.take(buffer)
        assert reader.idle

    def test_requestLineLimit(self) -> None:
        """
        A request line is not too long just up to the limit, and is refused as
        soon as it is longer.
        """
        line = b"GET /%b HTTP/1.1\r\n"
        longest = line % (b"a" * (LINE_LIMIT - len(line) + 2))
        assert len(longest) == LINE_LIMIT
        assert refusal(RequestReader(), longest) is None
        assert refusal(RequestReader(), longest[:-2] + b"\r") is None
        assert refusal(RequestReader(), longest[:-2] + b"1\r\n") == 414
        assert refusal(RequestReader(), b"G" * (LINE_LIMIT + 1)) == 414

    def test_fieldLimit(self) -> None:
        """
        A field is not too long just up to the limit.
        """
        start, line = b"GET / HTTP/1.1\r\n", b"X: %b\r\n"
        longest = line % (b"a" * (LINE_LIMIT - len(line) + 2))
        assert refusal(RequestReader(), start + longest) is None
        assert refusal(RequestReader(), start + longest[:-2] + b"a\r\n") == 431
        assert refusal(RequestReader(), start + longest[:-2] + b"aaa") == 431

    def test_sectionLimit(self) -> None:
        """
        All fields together are not too long just up to the limit.
        """
        start = b"GET / HTTP/1.1\r\n"
        lines = (b"X: %b\r\n" % (b"a" * 8187)) * 7 + b"X: %b\r\n" % (b"a" * 8185)
        assert len(lines + b"\r\n") == SECTION_LIMIT
        assert refusal(RequestReader(), start + lines + b"\r\n") is None
        assert refusal(RequestReader(), start + b"X" + lines + b"\r\n") == 431

    def test_countLimit(self) -> None:
        """
        There may be as many fields as the limit says.
        """
        start = b"GET / HTTP/1.1\r\n"
        assert refusal(RequestReader(), start + b"X: a\r\n" * FIELD_LIMIT + b"\r\n") is None
        assert refusal(RequestReader(), start + b"X: a\r\n" * (FIELD_LIMIT + 1)) == 431

    def test_early(self) -> None:
        """
        What cannot become a request is not waited for.
        """
        for data in (b"\x16", b" ", b"\0", b"\xff", b":", b"\r\n\x16"):
            assert refusal(RequestReader(), data) == 400, data
        for data in (b"\r", b"G", b"\r\nG", b"\r\n\r"):
            assert refusal(RequestReader(), data) is None, data

    @pytest.mark.parametrize(
        "data",
        [
            b"GET  / HTTP/1.1\r\n",
            b"GET /  HTTP/1.1\r\n",
            b"GET /\xa0 HTTP/1.1\r\n",
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.1\r\nX: \x0bchunked\r\n",
            b"GET / HTTP/1.1\r\nX : chunked\r\n",
            b"GET / HTTP/1.1\r\n X: chunked\r\n",
        ],
    )
    def test_refused(self, data: bytes) -> None:
        """
        What L{h11} would refuse as well is refused before, at the end of its
        line.
        """
        assert refusal(RequestReader(), data) == 400

    def test_noHost(self) -> None:
        """
        L{h11} is not asked whether there has to be a Host.
        """
        head = RequestReader().take(bytearray(b"CONNECT a:1 HTTP/1.1\r\nX: HTTP/1.1\r\n\r\n"))
        assert head is not None
        assert parseRequest(head) == (b"CONNECT", b"a:1", ((b"X", b"HTTP/1.1"),))

    def test_linear(self) -> None:
        """
        What takes long to refuse takes no longer than its length says.
        """
        value = b" " * (LINE_LIMIT - 30)
        for line in (b"X:%b\0", b"X: a%b\0", b"X: a%b", b"X%b: a", b"X:%ba"):
            started = time.process_time()
            refusal(RequestReader(), b"GET / HTTP/1.1\r\n" + line % value + b"\r\n\r\n")
            assert time.process_time() - started < 0.1, line

    def test_dribbled(self) -> None:
        """
        A long head in single octets is looked at once.
        """

        def taken(fields: int) -> float:
            data = b"GET / HTTP/1.1\r\n" + (b"X: %b\r\n" % (b"a" * 995)) * fields + b"\r\n"
            reader, buffer = RequestReader(), bytearray()
            started = time.process_time()
            for octet in data:
                buffer.append(octet)
                reader.take(buffer)
            assert not buffer
            return (time.process_time() - started) / len(data)

        taken(2)
        # Eight times the length would make each octet eight times as dear.
        assert min(taken(64) for _ in range(3)) < 4 * max(taken(8) for _ in range(3))

    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        """
        Nothing but a refusal comes of any octets.
        """
        for start in (b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: "):
            reader, buffer = RequestReader(), bytearray(start + data + b"\r\n\r\n")
            try:
                head = reader.take(buffer)
                if head is not None and len(head.framing.hosts) < 2:
                    parseRequest(head)
            except Refusal as e:
                assert e.status in (400, 505)


class TestResponses:
    """
    Heads of responses.
    """

    def test_cuts(self) -> None:
        """
        A head is read however it is cut, and what follows stays.
        """
        for pieces in splitsOf(RESPONSE + b"HT"):
            reader, buffer = ResponseReader(), bytearray()
            heads = []
            for piece in pieces:
                buffer += piece
                head = reader.take(buffer)
                if head is not None:
                    heads.append(head)
            assert [head.octets for head in heads] == [RESPONSE]
            assert heads[0].line == (200, True)
            assert buffer == b"HT"

    @pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
    def test_parsed(self, ending: bytes) -> None:
        """
        Lines may end in LF alone; the fields stay apart and in order.
        """
        head = ResponseReader().take(bytearray(RESPONSE.replace(b"\r\n", ending)))
        assert head is not None
        assert parseResponse(head) == (
            200,
            b"Very  well \xfc",
            (
                (b"Set-Cookie", b"a"),
                (b"X", b"b"),
                (b"Set-Cookie", b"b"),
                (b"Content-Length", b"1"),
            ),
        )

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"HTTP/1.1 200\r\n\r\n", (200, b"", ())),
            (b"HTTP/1.0 200 \n\n", (200, b"", ())),
            (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", (101, b"Go", ((b"Upgrade", b"x"),))),
            (b"HTTP/1.1 103 Hints\r\n\r\n", (103, b"Hints", ())),
            (b"HTTP/1.1 999 ?\r\nX: a\n\r\n", (999, b"?", ((b"X", b"a"),))),
            (b"HTTP/1.7 404 \r\n\r\n", (404, b"", ())),
            (
                b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: identity\r\nC: d\r\n\r\n",
                (200, b"OK", ((b"A", b"b"), (b"C", b"d"))),
            ),
            (
                b"HTTP/1.1 200 OK\nTRANSFER-ENCODING:Identity \t\nC: d\n\n",
                (200, b"OK", ((b"C", b"d"),)),
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-length: 5, 5\r\n\r\n",
                (200, b"OK", ((b"Content-Length", b"5"),)),
            ),
        ],
    )
    def test_forgiven(self, data: bytes, expected: object) -> None:
        """
        What old servers say is understood.
        """
        head = ResponseReader().take(bytearray(data))
        assert head is not None
        assert parseResponse(head) == expected

    @pytest.mark.parametrize(
        "data",
        [
            b"\r\nHTTP/1.1 200 OK\r\n\r\n",
            b" HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"http/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
            b"HTTP/1.1 200 O\0K\r\n\r\n",
            b"HTTP/1.1 200 O\rK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n X: a\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * (FIELD_LIMIT + 1),
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * LINE_LIMIT,
            b"HTTP/1.1 200 " + b"a" * LINE_LIMIT,
            b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"a" * 9000 + b"\r\n") * 8,
            b"220 mail.test",
            b"ICY 200 OK",
            b"H1",
            b"<html>",
            b"\x15\3\1",
        ],
    )
    def test_refused(self, data: bytes) -> None:
        """
        What is no response, or can be read in two ways, is refused at once.
        """
        assert refusal(ResponseReader(), data) == 502

    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        """
        Nothing but a refusal comes of any octets.
        """
        for start in (b"", b"HTTP/1.1 200 OK\n", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 "):
            reader, buffer = ResponseReader(), bytearray(start + data + b"\n\n")
            try:
                head = reader.take(buffer)
                if head is not None:
                    parseResponse(head)
            except Refusal as e:
                assert e.status == 502


class TestFirstSight:
    """
    What L{h11} is asked.
    """

    def test_agree(self) -> None:
        """
        Where it counts other fields than the guard, the head makes no sense.
        """
        head = RequestReader().take(bytearray(REQUEST))
        assert head is not None
        with pytest.raises(Refusal, match="the head makes no sense"):
            parseRequest(head._replace(fieldCount=3))
        answer = ResponseReader().take(bytearray(RESPONSE))
        assert answer is not None
        with pytest.raises(Refusal, match="the head makes no sense"):
            parseResponse(answer._replace(fieldCount=5))

    def test_nonsense(self) -> None:
        """
        Where it finds fault, it is believed.
        """
        head = RequestReader().take(bytearray(REQUEST))
        answer = ResponseReader().take(bytearray(RESPONSE))
        assert head is not None and answer is not None
        for octets in (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"GET"):
            with pytest.raises(Refusal):
                parseRequest(head._replace(octets=octets, fieldCount=0))
        with pytest.raises(Refusal) as raised:
            parseResponse(answer._replace(octets=REQUEST))
        assert raised.value.status == 502
        assert raised.value.__suppress_context__ or raised.value.__context__ is None

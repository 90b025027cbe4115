"""
Tests for L{socksproxy.http._fields}.
"""

from __future__ import annotations

import pytest

from socksproxy.errors import LocalProtocolError
from socksproxy.http._connect import HeaderField
from socksproxy.http._events import Interim, Request, Response, Switched
from socksproxy.http._fields import (
    FORWARDED,
    X_FORWARDED_FOR,
    Forwarding,
    isLastHop,
    passableTrailers,
    requestFields,
    responseFields,
    switchedFields,
)
from socksproxy.http._refusal import Refusal
from tests.http.exchanges import received

PLAIN = Forwarding(None)
NAMED = Forwarding(b"px")

HOST = (b"Host", b"web.test")


def requestWith(lines: bytes, start: bytes = b"GET http://web.test/ HTTP/1.1") -> Request:
    """
    Give a request with certain lines.
    """
    event = received([start + b"\r\nHost: x\r\n" + lines + b"\r\n"])[1][0]
    assert isinstance(event, Request)
    return event


def forwarded(
    lines: bytes,
    forwarding: Forwarding = PLAIN,
    client: bytes = b"",
    start: bytes = b"GET http://web.test/ HTTP/1.1",
) -> list[HeaderField]:
    """
    Give what is forwarded of a request besides Host, which comes first.
    """
    first, *others = requestFields(requestWith(lines, start), forwarding, client)
    assert first == HOST
    return others


class TestRequests:
    """
    Fields of requests.
    """

    def test_kept(self) -> None:
        """
        What is not about the connection goes on as it is, in order and apart.
        """
        lines = (
            b"Cookie: a\r\nX-a: 1\r\nx-A: 2\r\nCookie: b\r\nReferer: http://a/\r\nX: \xfc\r\n"
            b"If-None-Match: *\r\nAuthorization: Basic eDp5\r\nAccept: a, b\r\nProxy-Status: c\r\n"
        )
        assert forwarded(lines) == [
            (b"Cookie", b"a"),
            (b"X-a", b"1"),
            (b"x-A", b"2"),
            (b"Cookie", b"b"),
            (b"Referer", b"http://a/"),
            (b"X", b"\xfc"),
            (b"If-None-Match", b"*"),
            (b"Authorization", b"Basic eDp5"),
            (b"Accept", b"a, b"),
            (b"Proxy-Status", b"c"),
        ]

    @pytest.mark.parametrize(
        "line",
        [
            b"Connection: keep-alive",
            b"Proxy-Connection: Keep-Alive",
            b"KEEP-ALIVE: 5",
            b"TE: gzip",
            b"Trailer: X",
            b"Content-Length: 0",
            b"Upgrade: websocket",
            b"Proxy-Authorization: Basic YTpi",
            b"Proxy-Authenticate: Basic",
            b"Proxy-Authentication-Info: x",
            b"HTTP2-Settings: x",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
        ],
    )
    def test_removed(self, line: bytes) -> None:
        """
        What is about the connection, or between the client and us, ends here.
        """
        assert forwarded(line + b"\r\nX: a\r\n") == [(b"X", b"a")]

    def test_listed(self) -> None:
        """
        What the client lists in Connection ends here, in whatever letters and
        however many fields; an alias of old counts too.
        """
        lines = (
            b"X-a: 1\r\nConnection: x-A , ,close\r\nconnection:X-b\r\nProxy-Connection: X-c\r\n"
            b"X-b: 2\r\nX-B: 3\r\nX-c: 4\r\nX-d: 5\r\n"
        )
        assert forwarded(lines) == [(b"X-d", b"5")]

    @pytest.mark.parametrize(
        "line",
        [
            b"Content-Type: a",
            b"Content-Encoding: a",
            b"Range: a",
            b"Authorization: a",
            b"Cookie: a",
            b"Cache-Control: a",
            b"Pragma: a",
            b"Expect: 100-continue",
            b"Max-Forwards: 1",
            b"Via: 1.1 a",
            b"Forwarded: a",
            b"X-Forwarded-For: a",
            b"X-Forwarded-Proto: a",
        ],
    )
    def test_protected(self, line: bytes) -> None:
        """
        What others rely on is not removed because a client lists it.
        """
        name, value = line.split(b": ")
        for listing in (b"Connection: ", b"Proxy-Connection: "):
            assert forwarded(listing + name + b"\r\n" + line + b"\r\n") == [(name, value)]

    def test_framingIsProtected(self) -> None:
        """
        A body is not taken away by listing its length.
        """
        lines = b"Connection: Content-Length, Host\r\nContent-Length: 3\r\n"
        request = requestWith(lines)
        assert request.length == 3
        assert requestFields(request, PLAIN) == [HOST]

    def test_host(self) -> None:
        """
        Host is what the target says, whatever the client says.
        """
        request = requestWith(b"", b"GET http://[2001:db8::5]:81/ HTTP/1.0")
        assert requestFields(request, PLAIN) == [(b"Host", b"[2001:db8::5]:81")]

    def test_via(self) -> None:
        """
        Via says where the message has been, in one field, and how it came.
        """
        assert forwarded(b"", NAMED) == [(b"Via", b"1.1 px")]
        assert forwarded(b"", NAMED, start=b"GET http://web.test/ HTTP/1.0") == [
            (b"Via", b"1.0 px")
        ]
        assert forwarded(b"via: 1.0 a\r\nX: b\r\nVia: 1.1 c (d), 1.1 e\r\n", NAMED) == [
            (b"X", b"b"),
            (b"Via", b"1.0 a, 1.1 c (d), 1.1 e, 1.1 px"),
        ]
        assert forwarded(b"Via: 1.0 a\r\n", PLAIN) == [(b"Via", b"1.0 a")]

    @pytest.mark.parametrize(
        "line",
        [
            b"Via: 1.1 px",
            b"Via: 1.0 a, 1.1 PX",
            b"Via: HTTP/1.1  px (x)",
            b"Via: a\r\nVia: 1.1\tpx",
        ],
    )
    def test_loop(self, line: bytes) -> None:
        """
        A message that has been here comes no further.
        """
        with pytest.raises(Refusal) as raised:
            forwarded(line + b"\r\n", NAMED)
        assert raised.value.status == 508
        with pytest.raises(Refusal):
            forwarded(line + b"\r\n", Forwarding(b"Px"))
        assert forwarded(line + b"\r\n", PLAIN)

    def test_noLoop(self) -> None:
        """
        A name that only resembles ours is somebody else's.
        """
        forwarded(b"Via: 1.1 pxy, px 1.1, 1.1 a (1.1 px)\r\nX: 1.1 px\r\n", NAMED)

    def test_identity(self) -> None:
        """
        An origin is told of the client only where that is asked for.
        """
        lines = b"X-Forwarded-For: 192.0.2.9\r\nForwarded: for=a\r\nX-Forwarded-Proto: b\r\n"
        kept = [
            (b"X-Forwarded-For", b"192.0.2.9"),
            (b"Forwarded", b"for=a"),
            (b"X-Forwarded-Proto", b"b"),
        ]
        assert forwarded(lines, PLAIN, b"192.0.2.1") == kept
        assert forwarded(lines, Forwarding(None, FORWARDED), b"192.0.2.1") == [
            *kept,
            (b"Forwarded", b"for=192.0.2.1"),
        ]
        assert forwarded(lines, Forwarding(None, X_FORWARDED_FOR), b"2001:db8::1") == [
            *kept,
            (b"X-Forwarded-For", b"2001:db8::1"),
        ]
        stripped = Forwarding(None, FORWARDED, stripsIdentity=True)
        assert forwarded(lines, stripped, b"2001:db8::1") == [
            (b"Forwarded", b'for="[2001:db8::1]"')
        ]
        assert forwarded(lines, stripped) == [(b"Forwarded", b"for=unknown")]
        assert forwarded(lines, Forwarding(None, stripsIdentity=True)) == []

    @pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
    def test_maxForwards(self, method: bytes) -> None:
        """
        One hop less is left; who gets none is answered here.
        """
        start = method + b" http://web.test/ HTTP/1.1"
        assert forwarded(b"Max-Forwards: 10\r\n", start=start) == [(b"Max-Forwards", b"9")]
        for value, last in ((b"0", True), (b"00", True), (b"1", False)):
            request = requestWith(b"Max-Forwards: " + value + b"\r\n", start)
            assert isLastHop(request) is last
        for value in (b"-1", b"", b"1, 1", b"a", b"1" * 19):
            request = requestWith(b"Max-Forwards: " + value + b"\r\n", start)
            for call in (isLastHop, lambda request: requestFields(request, PLAIN)):
                with pytest.raises(Refusal) as raised:
                    call(request)
                assert raised.value.status == 400
        assert not isLastHop(requestWith(b"", start))

    def test_otherMaxForwards(self) -> None:
        """
        For other methods it means nothing.
        """
        assert forwarded(b"Max-Forwards: 0\r\n") == [(b"Max-Forwards", b"0")]
        assert not isLastHop(requestWith(b"Max-Forwards: 0\r\n"))

    def test_expect(self) -> None:
        """
        An expectation goes on, but not that of a client of HTTP/1.0.
        """
        line = b"Expect: 100-Continue\r\nContent-Length: 1\r\n"
        assert forwarded(line) == [(b"Expect", b"100-Continue")]
        assert forwarded(line, start=b"POST http://web.test/ HTTP/1.0") == []

    def test_trailers(self) -> None:
        """
        What is said of trailers goes on where there can be some.
        """
        lines = b"Trailer: X\r\nTransfer-Encoding: chunked\r\n"
        assert forwarded(lines) == [(b"Trailer", b"X")]
        asked = [(b"TE", b"trailers"), (b"Connection", b"TE")]
        assert forwarded(b"TE: gzip;q=1, Trailers\r\nConnection: TE\r\n") == asked
        assert forwarded(b"TE: trailers\r\n", start=b"GET http://web.test/ HTTP/1.0") == []
        assert forwarded(b"TE: trailersx\r\n") == []

    def test_upgrade(self) -> None:
        """
        Another protocol is asked for if it is one of those that may be.
        """
        lines = b"Connection: upgrade, X\r\nUpgrade: WebSocket\r\nX: a\r\n"
        pair = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
        assert forwarded(lines) == pair
        assert forwarded(lines, Forwarding(None, upgrades=frozenset())) == []
        assert forwarded(lines.replace(b"WebSocket", b"tls/1.0")) == []
        both = lines.replace(b"upgrade", b"upgrade, TE") + b"TE: trailers\r\n"
        assert forwarded(both) == [
            (b"TE", b"trailers"),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"TE, Upgrade"),
        ]

    def test_passesAuthorization(self) -> None:
        """
        Only where that is asked for does the client's password go on.
        """
        lines = b"Connection: Proxy-Authorization\r\nProxy-Authorization: Basic YTpi\r\n"
        passing = Forwarding(None, passesAuthorization=True)
        assert forwarded(lines, passing) == [(b"Proxy-Authorization", b"Basic YTpi")]

    def test_forwarding(self) -> None:
        """
        A pseudonym is a word, and HTTP/2 is nothing to upgrade to.
        """
        for pseudonym in (b"", b"a b", b"a,b", b"a\r\nX: b", b"a(b)"):
            with pytest.raises(LocalProtocolError):
                Forwarding(pseudonym)
        with pytest.raises(LocalProtocolError):
            Forwarding(None, upgrades=frozenset((b"h2c",)))


class TestResponses:
    """
    Fields of answers.
    """

    def test_passed(self) -> None:
        """
        What is not about the connection goes on as it is, in order and apart.
        """
        response = Response(
            200,
            b"OK",
            (
                (b"Set-Cookie", b"a"),
                (b"Connection", b"close, X-Hop, Content-Type"),
                (b"Server", b"b"),
                (b"set-cookie", b"c"),
                (b"X-Hop", b"d"),
                (b"Keep-Alive", b"5"),
                (b"Content-Length", b"5"),
                (b"Content-Type", b"e"),
                (b"Transfer-Encoding", b"chunked"),
                (b"Proxy-Authenticate", b"Basic"),
                (b"Trailer", b"X"),
                (b"Via", b"1.1 f"),
                (b"Upgrade", b"h2c"),
            ),
            version=b"1.0",
        )
        kept = [
            (b"Set-Cookie", b"a"),
            (b"Server", b"b"),
            (b"set-cookie", b"c"),
            (b"Content-Type", b"e"),
            (b"Trailer", b"X"),
        ]
        assert responseFields(response, NAMED) == [*kept, (b"Via", b"1.1 f, 1.0 px")]
        assert responseFields(response, PLAIN) == [*kept, (b"Via", b"1.1 f")]

    def test_noLoop(self) -> None:
        """
        An answer may have been here: it comes back.
        """
        response = Response(200, b"OK", ((b"Via", b"1.1 px"),))
        assert responseFields(response, NAMED) == [(b"Via", b"1.1 px, 1.1 px")]

    def test_interim(self) -> None:
        """
        An interim answer is passed on alike.
        """
        interim = Interim(103, ((b"Link", b"a"), (b"Connection", b"close")))
        assert responseFields(interim, NAMED) == [(b"Link", b"a"), (b"Via", b"1.1 px")]

    def test_switched(self) -> None:
        """
        Of another protocol it is told which.
        """
        switched = Switched(
            101,
            b"Go",
            (
                (b"Connection", b"upgrade, X"),
                (b"Upgrade", b"websocket"),
                (b"X", b"a"),
                (b"Sec-WebSocket-Accept", b"b"),
                (b"Content-Length", b"1"),
            ),
        )
        assert switchedFields(switched, NAMED) == [
            (b"Upgrade", b"websocket"),
            (b"Sec-WebSocket-Accept", b"b"),
            (b"Via", b"1.1 px"),
            (b"Connection", b"Upgrade"),
        ]


class TestTrailers:
    """
    Fields after a body.
    """

    def test_passed(self) -> None:
        """
        What says something of the body goes on.
        """
        trailers = ((b"Content-MD5", b"a"), (b"X", b"b"), (b"X", b"c"), (b"Server-Timing", b"d"))
        assert passableTrailers(trailers) == trailers

    @pytest.mark.parametrize(
        "name",
        [
            b"Content-Length",
            b"TRANSFER-ENCODING",
            b"Host",
            b"Connection",
            b"Proxy-Connection",
            b"Keep-Alive",
            b"TE",
            b"Trailer",
            b"Upgrade",
            b"Authorization",
            b"Proxy-Authorization",
            b"Proxy-Authenticate",
            b"WWW-Authenticate",
            b"Cookie",
            b"Set-Cookie",
            b"Content-Type",
            b"Content-Encoding",
            b"Content-Range",
            b"Range",
            b"Cache-Control",
            b"Max-Forwards",
            b"Expect",
            b"Via",
            b"Forwarded",
            b"X-Forwarded-For",
            b"Location",
            b"If-Match",
        ],
    )
    def test_dropped(self, name: bytes) -> None:
        """
        What has to be known before the body does not.
        """
        assert passableTrailers([(name, b"a"), (b"X", b"b")]) == ((b"X", b"b"),)

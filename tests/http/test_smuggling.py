"""
Requests that two readers may understand in two ways, and which are therefore
not understood at all.
"""

from __future__ import annotations

import pytest

from socksproxy.http._clientside import ClientSide
from socksproxy.http._events import Bad, BodyEnd
from tests.codec import splitsOf
from tests.http.exchanges import GET, POST, badIn, received

LINE = b"GET http://web.test/ HTTP/1.1\r\n"
HOST = b"Host: web.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# Each is answered with 400 unless it says otherwise.
LAST = b"0\r\n\r\n"

ROWS: dict[str, bytes | tuple[bytes, int]] = {
    # Two lengths
    "length-then-chunked": POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-then-length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "length-twice-the-same": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length-twice": POST + b"Content-Length: 0\r\ncontent-length: 44\r\n\r\n" + GET,
    "length-list-the-same": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "length-list-of-one": POST + b"Content-Length: 5,\r\n\r\nhello",
    "length-empty": POST + b"Content-Length:\r\n\r\n",
    "length-with-plus": POST + b"Content-Length: +5\r\n\r\nhello",
    "length-negative": POST + b"Content-Length: -0\r\n\r\n",
    "length-hexadecimal": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "length-with-underscore": POST + b"Content-Length: 0_5\r\n\r\nhello",
    "length-with-space": POST + b"Content-Length: 4 4\r\n\r\n" + GET,
    "length-with-point": POST + b"Content-Length: 5.0\r\n\r\nhello",
    "length-with-exponent": POST + b"Content-Length: 1e1\r\n\r\nhellohello",
    "length-with-unit": POST + b"Content-Length: 5b\r\n\r\nhello",
    "length-quoted": POST + b'Content-Length: "5"\r\n\r\nhello',
    "length-in-other-digits": POST + "Content-Length: \u0665\r\n\r\nhello".encode(),
    "length-too-long": POST + b"Content-Length: 1000000000000000000\r\n\r\n",
    "length-wraps-around": POST + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    # Codings
    "chunked-twice": POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "chunked-twice-in-a-list": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked-not-alone": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked-not-last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked-in-two-fields": POST
    + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-after-comma": POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "chunked-before-comma": POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "chunked-with-parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "chunked-quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked-with-space": POST + b"Transfer-Encoding: chun ked\r\n\r\n0\r\n\r\n",
    "chunked-after-vertical-tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked-before-form-feed": POST + b"Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n",
    "chunked-after-no-break-space": POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "chunked-before-NUL": POST + b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    "coding-empty": POST + b"Transfer-Encoding:\r\n\r\n",
    "coding-empty-with-length": POST + b"Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello",
    "coding-identity-with-length": POST
    + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    "coding-identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "coding-unknown": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "coding-gzip": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "coding-in-1.0": b"POST http://web.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    # Fields
    "space-before-colon": LINE + HOST + b"Content-Length : 5\r\n\r\nhello",
    "tab-before-colon": LINE + HOST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "NUL-in-name": LINE + HOST + b"Content-Length\0: 5\r\n\r\nhello",
    "high-octet-in-name": LINE + HOST + b"X\xa0: 5\r\n\r\n",
    "no-colon": LINE + HOST + b"Content-Length 5\r\n\r\nhello",
    "no-name": LINE + HOST + b": 5\r\n\r\n",
    "name-with-space": LINE + HOST + b"X Content-Length: 5\r\n\r\n",
    "name-in-brackets": LINE + HOST + b"(Content-Length): 5\r\n\r\n",
    "space-before-name": LINE + HOST + b" Content-Length: 5\r\n\r\nhello",
    "folded": LINE + HOST + b"X: a\r\n Content-Length: 5\r\n\r\nhello",
    "folded-with-tab": LINE + HOST + b"X:\r\n\tb\r\n\r\n",
    "folded-request-line": LINE + b" X: a\r\n" + HOST + b"\r\n",
    "folded-empty-line": LINE + HOST + b"X: a\r\n \r\nContent-Length: 5\r\n\r\nhello",
    "bare-CR-in-value": LINE + HOST + b"X: a\rContent-Length: 5\r\n\r\nhello",
    "bare-CR-before-end": LINE + HOST + b"X: a\r\r\n\r\n",
    "bare-LF-in-value": LINE + HOST + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "bare-LF-at-the-end": LINE + HOST + b"\n",
    "bare-LF-after-request-line": LINE[:-2] + b"\n" + HOST + b"\r\n",
    "LF-CR": LINE + HOST + b"X: a\n\r\n\r",
    "NUL-in-value": LINE + HOST + b"X: a\0b\r\n\r\n",
    "escape-in-value": LINE + HOST + b"X: \x1b[2J\r\n\r\n",
    "DEL-in-value": LINE + HOST + b"X: a\x7f\r\n\r\n",
    # Host
    "host-twice": LINE + HOST + b"Host: other.test\r\n\r\n",
    "host-twice-the-same": LINE + HOST * 2 + b"\r\n",
    "host-twice-in-1.0": LINE.replace(b"1.1", b"1.0") + HOST + b"host: other.test\r\n\r\n",
    "host-missing": LINE + b"Accept: */*\r\n\r\n",
    "host-list": LINE + b"Host: web.test, other.test\r\n\r\n",
    "host-with-space": LINE + b"Host: web.test other.test\r\n\r\n",
    "host-with-user": LINE + b"Host: a@web.test\r\n\r\n",
    "host-with-path": LINE + b"Host: web.test/a\r\n\r\n",
    "host-with-bad-port": LINE + b"Host: web.test:80x\r\n\r\n",
    "host-with-two-ports": LINE + b"Host: web.test:80:81\r\n\r\n",
    "host-with-high-octet": LINE + b"Host: web\xad.test\r\n\r\n",
    # Request lines
    "two-spaces": b"GET  http://web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "two-spaces-before-version": b"GET http://web.test/  HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab-in-request-line": b"GET http://web.test/\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "space-before-method": b" GET http://web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "space-after-version": b"GET http://web.test/ HTTP/1.1 \r\n" + HOST + b"\r\n",
    "space-in-target": b"GET http://web.test/a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "two-versions": b"GET http://web.test/ HTTP/1.1 HTTP/1.0\r\n" + HOST + b"\r\n",
    "CR-in-target": b"GET http://web.test/\rb HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL-in-target": b"GET http://web.test/\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "high-octet-in-target": b"GET http://web.test/\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-break-space": b"GET\xa0http://web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-with-colon": b"GET: http://web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-method": b"http://web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "two-empty-lines-before": b"\r\n\r\n" + GET,
    "LF-before": b"\n" + GET,
    "version-0.9": b"GET http://web.test/ HTTP/0.9\r\n" + HOST + b"\r\n",
    "version-without-point": b"GET http://web.test/ HTTP/11\r\n" + HOST + b"\r\n",
    "version-too-long": b"GET http://web.test/ HTTP/1.10\r\n" + HOST + b"\r\n",
    "version-in-lower-case": b"GET http://web.test/ http/1.1\r\n" + HOST + b"\r\n",
    "version-of-another": b"GET http://web.test/ RTSP/1.1\r\n" + HOST + b"\r\n",
    "version-2": (b"GET http://web.test/ HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "version-3": (b"GET http://web.test/ HTTP/3.0\r\n" + HOST + b"\r\n", 505),
    "preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "hello-of-TLS": b"\x16\3\1\2\0\1\0\1",
    # Targets
    "user": b"GET http://a:b@web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "user-empty": b"GET http://@web.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "user-hidden": b"GET http://web.test\\@other.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "port-0": b"GET http://web.test:0/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "port-65536": b"GET http://web.test:65536/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "port-signed": b"GET http://web.test:+80/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "port-twice": b"GET http://web.test:80:81/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "legacy-number": b"GET http://2130706433/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "encoded-host": b"GET http://web%2etest/ HTTP/1.1\r\n" + HOST + b"\r\n",
    # CONNECT
    "connect-with-length": b"CONNECT web.test:443 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "connect-chunked": b"CONNECT web.test:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + LAST,
    "connect-two-hosts": b"CONNECT web.test:443 HTTP/1.1\r\n" + HOST * 2 + b"\r\n",
    # Chunks
    "size-empty": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "size-prefixed": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "size-signed": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "size-negative": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "size-with-underscore": CHUNKED + b"0_3\r\nabc\r\n0\r\n\r\n",
    "size-after-space": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "size-before-space": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "size-before-tab": CHUNKED + b"3\t;a\r\nabc\r\n0\r\n\r\n",
    "size-overlong": CHUNKED + b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "size-no-number": CHUNKED + b"g\r\nabc\r\n0\r\n\r\n",
    "size-ends-in-LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "size-ends-in-CR": CHUNKED + b"3\rabc\r\n0\r\n\r\n",
    "extension-without-name": CHUNKED + b"3;\r\nabc\r\n0\r\n\r\n",
    "extension-with-space": CHUNKED + b"3; a\r\nabc\r\n0\r\n\r\n",
    "extension-with-LF": CHUNKED + b"3;a\nabc\r\n0\r\n\r\n",
    "extension-with-CR": CHUNKED + b"3;a=\rb\r\nabc\r\n0\r\n\r\n",
    "extension-with-NUL": CHUNKED + b"3;a=\0\r\nabc\r\n0\r\n\r\n",
    "extension-quote-open": CHUNKED + b'3;a="b\r\nabc\r\n0\r\n\r\n',
    "extension-too-long": CHUNKED + b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "chunk-too-long": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk-too-short": CHUNKED + b"4\r\nabc\r\n0\r\n\r\n",
    "chunk-ends-in-LF": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "chunk-ends-in-CR": CHUNKED + b"3\r\nabc\r0\r\n\r\n",
    "chunk-without-end": CHUNKED + b"3\r\nabc0\r\n\r\n",
    # Trailers
    "trailer-ends-in-LF": CHUNKED + b"0\r\nX: a\n\r\n",
    "trailers-end-in-LF": CHUNKED + b"0\r\n\n",
    "trailer-without-colon": CHUNKED + b"0\r\nX\r\n\r\n",
    "trailer-space-before-colon": CHUNKED + b"0\r\nX : a\r\n\r\n",
    "trailer-folded": CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
    "trailer-is-a-request": CHUNKED + b"0\r\n" + GET,
    "trailer-with-NUL": CHUNKED + b"0\r\nX: \0\r\n\r\n",
    "trailer-with-vertical-tab": CHUNKED + b"0\r\nX: \x0bchunked\r\n\r\n",
    "trailers-too-many": CHUNKED + b"0\r\n" + b"X: a\r\n" * 33 + b"\r\n",
    "trailers-too-long": CHUNKED + b"0\r\n" + b"X: " + b"a" * 9000 + b"\r\n\r\n",
}
"""
By name.
"""


def rowOf(name: str) -> tuple[bytes, int]:
    """
    Give what is sent, and the status for it.
    """
    row = ROWS[name]
    return row if isinstance(row, tuple) else (row, 400)


def test_rows() -> None:
    """
    There are enough of them, and no two are the same.
    """
    assert len(ROWS) > 100
    assert len({rowOf(name)[0] for name in ROWS}) == len(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_refused(name: str) -> None:
    """
    It is refused, however it is cut, and nothing after it is read.
    """
    data, status = rowOf(name)
    for pieces in splitsOf(data) if len(data) < 1000 else [[data]]:
        client, events = received(pieces)
        bad = badIn(events)
        assert bad is not None and bad.status == status, pieces
        assert events[-1] == bad and BodyEnd() not in events, pieces
        assert sum(isinstance(event, Bad) for event in events) == 1
        assert client.receive(GET) == [] and client.endOfStream() == []
        assert not client.persistent and client.pending == 0


@pytest.mark.parametrize("name", ROWS)
def test_answered(name: str) -> None:
    """
    It can be answered, and the answer says that it is the last.
    """
    data, status = rowOf(name)
    client, _ = received([data])
    answer = client.respond(status, b"No", [], length=0)
    assert answer.startswith(b"HTTP/1.1 %d No\r\n" % status)
    assert b"\r\nConnection: close\r\n" in answer
    assert client.end() == b""
    assert not client.persistent


@pytest.mark.parametrize("name", [name for name in ROWS if not name.endswith("before")])
def test_refusedLater(name: str) -> None:
    """
    It is no better as a second request, whether it comes early or not.
    """
    data, status = rowOf(name)
    for pieces in ([GET + data], [GET, data]):
        client = ClientSide()
        for piece in pieces:
            client.receive(piece)
        client.respond(200, b"OK", [], length=0)
        client.end()
        bad = badIn(client.nextRequest())
        assert bad is not None and bad.status == status
        assert client.receive(GET) == []

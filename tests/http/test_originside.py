"""
Tests for L{socksproxy.http._originside}.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.http._connect import INTERIM_LIMIT, HeaderField
from socksproxy.http._events import (
    BadOrigin,
    Body,
    BodyEnd,
    Interim,
    OriginEvent,
    Response,
    Switched,
)
from socksproxy.http._originside import OriginSide
from socksproxy.negotiation import EARLY_DATA_LIMIT
from tests.codec import piecesOf, splitsOf
from tests.http.exchanges import joined

HOST = (b"Host", b"web.test")
OK = b"HTTP/1.1 200 OK\r\n"

UPGRADE = [HOST, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
SWITCH = b"HTTP/1.1 101 Go\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n"


def asked(
    method: bytes = b"GET", fields: Sequence[HeaderField] = (HOST,), ended: bool = True
) -> OriginSide:
    """
    Give a connection with a request in flight.
    """
    origin = OriginSide()
    origin.request(method, b"/", fields, length=None, chunked=False)
    if ended:
        origin.end()
    return origin


def outline(events: Sequence[object]) -> list[object]:
    """
    Give what happened, without what depends on where it was cut: how much of a
    body was told before a fault, and how soon that was found.
    """
    if events and isinstance(events[-1], BadOrigin):
        return [e for e in events if not isinstance(e, Body | BadOrigin)] + [BadOrigin("")]
    return joined(events)


def told(
    data: bytes, method: bytes = b"GET", ends: bool = False
) -> tuple[OriginSide, list[object]]:
    """
    Give what comes of an answer, which is the same however it is cut.

    @param ends: Whether the stream ends after it.
    """
    outcomes = []
    for pieces in splitsOf(data):
        origin = asked(method)
        events = [event for piece in pieces for event in origin.receive(piece)]
        if ends:
            events += origin.endOfStream()
        outcomes.append((outline(events), origin.reusable))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    return origin, outcomes[0][0]


def failed(events: Sequence[object]) -> bool:
    """
    Tell whether it ended badly, and nothing said before that it was complete.
    """
    return isinstance(events[-1], BadOrigin) and not any(isinstance(e, BodyEnd) for e in events)


class RequestTests(SynchronousTestCase):
    """
    What an origin is asked.
    """

    def test_bodiless(self) -> None:
        """
        A request without a body says nothing of one.
        """
        origin = OriginSide()
        self.assertEqual(
            origin.request(b"GET", b"/a?b", [HOST, (b"X", b"c")], length=None, chunked=False),
            b"GET /a?b HTTP/1.1\r\nHost: web.test\r\nX: c\r\n\r\n",
        )
        self.assertRaises(LocalProtocolError, origin.send, b"a")
        self.assertEqual(origin.end([(b"X", b"a")]), b"")

    def test_length(self) -> None:
        """
        A body of known length is declared, and as long as that.
        """
        origin = OriginSide()
        self.assertEqual(
            origin.request(b"PUT", b"/", [HOST], length=2, chunked=False),
            b"PUT / HTTP/1.1\r\nHost: web.test\r\nContent-Length: 2\r\n\r\n",
        )
        self.assertRaises(LocalProtocolError, origin.end)
        self.assertRaises(LocalProtocolError, origin.send, b"abc")
        self.assertEqual(origin.send(b"ab") + origin.end(), b"ab")
        empty = OriginSide().request(b"PUT", b"/", [HOST], length=0, chunked=False)
        self.assertIn(b"\r\nContent-Length: 0\r\n", empty)

    def test_chunked(self) -> None:
        """
        A body of unknown length is chunked, and may have fields after it.
        """
        origin = OriginSide()
        self.assertEqual(
            origin.request(b"PUT", b"/", [HOST], length=None, chunked=True),
            b"PUT / HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        self.assertEqual(origin.send(b"ab") + origin.send(b""), b"2\r\nab\r\n")
        self.assertEqual(origin.end([(b"X", b"a")]), b"0\r\nX: a\r\n\r\n")

    def test_unsendable(self) -> None:
        """
        What would be more than one request, or none, is not sent.
        """
        for method, target, fields in (
            (b"GET", b"/ HTTP/1.1\r\n\r\n", [HOST]),
            (b"GET X", b"/", [HOST]),
            (b"GET", b"/a b", [HOST]),
            (b"GET", b"/", [(b"X", b"a\r\nY: b")]),
            (b"GET", b"/", [(b"content-length", b"1")]),
            (b"GET", b"/", [(b"Transfer-Encoding", b"chunked")]),
        ):
            origin = OriginSide()
            self.assertRaises(
                LocalProtocolError,
                origin.request,
                method,
                target,
                fields,
                length=None,
                chunked=False,
            )
            # As nothing was sent, another may be.
            origin.request(b"GET", b"/", [HOST], length=None, chunked=False)
        self.assertRaises(
            LocalProtocolError, OriginSide().request, b"GET", b"/", [HOST], length=1, chunked=True
        )

    def test_once(self) -> None:
        """
        There is one request at a time.
        """
        origin = OriginSide()
        self.assertRaises(LocalProtocolError, origin.send, b"")
        self.assertRaises(LocalProtocolError, origin.end)
        self.assertRaises(LocalProtocolError, origin.next)
        origin = asked()
        self.assertRaises(
            LocalProtocolError, origin.request, b"GET", b"/", [HOST], length=None, chunked=False
        )
        self.assertRaises(LocalProtocolError, origin.end)


class AnswerTests(SynchronousTestCase):
    """
    What an origin answers.
    """

    def test_length(self) -> None:
        """
        A body of declared length ends where it says.
        """
        origin, events = told(OK + b"Content-Length: 2\r\nX: a\r\n\r\nhi")
        fields = ((b"Content-Length", b"2"), (b"X", b"a"))
        self.assertEqual(events, [Response(200, b"OK", fields, 2), Body(b"hi"), BodyEnd()])
        self.assertTrue(origin.reusable)

    def test_empty(self) -> None:
        """
        A body may be declared to be empty.
        """
        origin, events = told(OK + b"Content-Length: 0\r\n\r\n")
        self.assertEqual(events[1:], [BodyEnd()])
        self.assertTrue(origin.reusable)

    def test_chunked(self) -> None:
        """
        A body in chunks ends with the last one, and fields may follow it.
        """
        data = OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\nX: a\r\nHost: b\r\n\r\n"
        origin, events = told(data)
        response, body, end = events
        assert isinstance(response, Response)
        self.assertIsNone(response.length)
        self.assertEqual((body, end), (Body(b"hi"), BodyEnd(((b"X", b"a"),))))
        self.assertTrue(origin.reusable)

    def test_untilClose(self) -> None:
        """
        A body of unknown length ends with the stream.
        """
        for head in (OK, b"HTTP/1.0 200 OK\n", OK + b"Transfer-Encoding: identity\r\n"):
            data = head + b"\r\n" + b"0\r\n\r\nhi"
            origin, events = told(data)
            self.assertEqual(events[1:], [Body(b"0\r\n\r\nhi")])
            origin, events = told(data, ends=True)
            self.assertEqual(events[1:], [Body(b"0\r\n\r\nhi"), BodyEnd()])
            self.assertFalse(origin.reusable)
        self.assertEqual(told(OK + b"\r\n", ends=True)[1][1:], [BodyEnd()])

    def test_identityWithLength(self) -> None:
        """
        A coding that is none counts more than a length: the end is the
        stream's.
        """
        data = OK + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nhi"
        _, events = told(data, ends=True)
        assert isinstance(events[0], Response)
        self.assertIsNone(events[0].length)
        self.assertEqual(events[1:], [Body(b"hi"), BodyEnd()])

    def test_bodiless(self) -> None:
        """
        Some answers have no body, whatever they say; their length is told.
        """
        for method, start, length in (
            (b"HEAD", OK, 5),
            (b"HEAD", b"HTTP/1.1 404 No\r\n", 5),
            (b"GET", b"HTTP/1.1 304 Same\r\n", 5),
        ):
            origin, events = told(start + b"Content-Length: 5\r\n\r\n", method)
            assert isinstance(events[0], Response)
            self.assertEqual((events[0].length, events[1:]), (length, [BodyEnd()]))
            self.assertTrue(origin.reusable)
            both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
            for lines in (b"", b"Transfer-Encoding: chunked\r\n", both):
                origin, events = told(start + lines + b"\r\n", method)
                assert isinstance(events[0], Response)
                self.assertEqual((events[0].length, events[1:]), (None, [BodyEnd()]))
                self.assertEqual(origin.reusable, lines != both)

    def test_noContent(self) -> None:
        """
        204 has no body; one that speaks of a body is not to be trusted
        further.
        """
        start = b"HTTP/1.1 204 Nothing\r\n"
        for lines, trusted in (
            (b"", True),
            (b"Content-Length: 0\r\n", True),
            (b"Content-Length: 5\r\n", False),
            (b"Transfer-Encoding: chunked\r\n", False),
        ):
            origin, events = told(start + lines + b"\r\n")
            assert isinstance(events[0], Response)
            self.assertEqual((events[0].length, events[1:]), (None, [BodyEnd()]))
            self.assertEqual(origin.reusable, trusted)

    def test_bothLengths(self) -> None:
        """
        Chunks count more than a length, but the connection is done with.
        """
        data = OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        origin, events = told(data)
        assert isinstance(events[0], Response)
        self.assertIsNone(events[0].length)
        self.assertEqual(events[1:], [Body(b"hi"), BodyEnd()])
        self.assertFalse(origin.reusable)

    def test_lengthTwice(self) -> None:
        """
        Lengths that agree are one.
        """
        for lines in (b"Content-Length: 2\r\ncontent-length: 2\r\n", b"Content-Length: 2, 2\r\n"):
            _, events = told(OK + lines + b"\r\nhi")
            self.assertEqual(events[1:], [Body(b"hi"), BodyEnd()])

    def test_reason(self) -> None:
        """
        It is told what is wrong with a length.
        """
        (event,) = asked().receive(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n")
        self.assertEqual(event, BadOrigin("Content-Length is not one number"))

    def test_conflicts(self) -> None:
        """
        An answer that says two things of its end, or nonsense, is none.
        """
        for lines in (
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 1, 2\r\n",
            b"Content-Length: 1,\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: +1\r\n",
            b"Content-Length: 0x1\r\n",
            b"Content-Length:\r\n",
            b"Content-Length: 1000000000000000000\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding: chunked, gzip\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding:\r\n",
            b"Transfer-Encoding:\x0bchunked\r\n",
            b"X : a\r\n",
            b" X: a\r\n",
            b"X: a\rb\r\n",
            b"X: \0\r\n",
        ):
            _, events = told(OK + lines + b"\r\nh")
            self.assertEqual(events, [BadOrigin("")], lines)

    def test_badChunks(self) -> None:
        """
        A body whose chunks make no sense is not complete.
        """
        for body in (
            b"0x1\r\n",
            b" 1\r\n",
            b"1\nh",
            b"1\r\nhh",
            b"1\r\nh\n",
            b"0\r\nX\r\n",
            b"\r\n",
        ):
            _, events = told(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)
            self.assertTrue(failed(events), body)

    def test_truncated(self) -> None:
        """
        An answer of which octets are missing is not complete.
        """
        for data in (
            OK + b"Content-Length: 5\r\n\r\nhello",
            OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: a\r\n\r\n",
        ):
            for length in range(len(data)):
                origin = asked()
                events = origin.receive(data[:length]) + origin.endOfStream()
                self.assertTrue(failed(events), data[:length])
                self.assertFalse(origin.reusable)
                self.assertEqual(origin.receive(data), [])
            origin = asked()
            origin.receive(data)
            self.assertEqual(origin.endOfStream(), [])
            self.assertFalse(origin.reusable)

    def test_answering(self) -> None:
        """
        Whether a connection ended before it said anything is known.
        """
        origin = asked()
        self.assertFalse(origin.answering)
        self.assertEqual(
            origin.endOfStream(), [BadOrigin("the connection ended without an answer")]
        )
        self.assertFalse(origin.answering)
        origin = asked()
        origin.receive(b"H")
        self.assertTrue(origin.answering)

    def test_interims(self) -> None:
        """
        Interim answers come before the answer, up to a limit.
        """
        interim = b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
        rest = b"HTTP/1.0 100\n\n" + OK + b"Content-Length: 0\r\n\r\n"
        _, events = told(interim + rest)
        self.assertEqual([type(event) for event in events], [Interim, Interim, Response, BodyEnd])
        self.assertEqual(events[:2], [Interim(103, ((b"Link", b"a"),)), Interim(100, (), b"1.0")])
        origin = asked()
        self.assertEqual(len(origin.receive(interim * INTERIM_LIMIT)), INTERIM_LIMIT)
        (event,) = origin.receive(interim)
        self.assertIsInstance(event, BadOrigin)

    def test_early(self) -> None:
        """
        An answer may come before the request is over, and is complete without
        that; but the connection is not for others.
        """
        origin = OriginSide()
        origin.request(b"PUT", b"/", [HOST], length=2, chunked=False)
        events = origin.receive(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(events[1:], [BodyEnd()])
        self.assertFalse(origin.reusable)
        origin.send(b"ab")
        self.assertFalse(origin.reusable)
        origin.end()
        self.assertTrue(origin.reusable)

    def test_nonsense(self) -> None:
        """
        What is no HTTP is no answer, and is not waited for.
        """
        for data in (b"\x15\3\1", b"220 mail.test", b"\r\n", b"HTTP/2", b"H\n", b"HTTP/1.1 2\r\n"):
            _, events = told(data)
            self.assertTrue(failed(events), data)

    def test_bound(self) -> None:
        """
        Nothing is kept without a limit.
        """
        for start in (b"HTTP/1.1 200 ", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"):
            for junk in (b"a", b"a: b\r\n", b"0"):
                origin = asked()
                events: list[OriginEvent] = origin.receive(start)
                for _ in range(9):
                    events += origin.receive(junk * (65536 // len(junk)))
                self.assertIsInstance(events[-1], BadOrigin, (start, junk))

    def test_uncopied(self) -> None:
        """
        What belongs to a body of a declared length is passed on as it is.
        """
        origin = asked()
        origin.receive(OK + b"Content-Length: 100\r\n\r\n")
        piece = bytes(50)
        (event,) = origin.receive(piece)
        assert isinstance(event, Body)
        self.assertIs(event.data, piece)

    @given(st.binary(max_size=80), st.sampled_from([b"GET", b"HEAD"]))
    def test_anything(self, data: bytes, method: bytes) -> None:
        """
        Of any octets come events, and the same ones however they are cut.
        """
        for start in (b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n", OK + b"X: "):
            outcomes = []
            for size in (1, 1000):
                origin = asked(method)
                events: list[OriginEvent] = []
                for piece in piecesOf(start + data, size):
                    events += origin.receive(piece)
                events += origin.endOfStream()
                outcomes.append(outline(events))
            assert outcomes[0] == outcomes[1]


class ReuseTests(SynchronousTestCase):
    """
    Another request on the same connection.
    """

    def test_next(self) -> None:
        """
        After a whole exchange the connection is as new.
        """
        origin = OriginSide()
        for method in (b"HEAD", b"GET"):
            origin.request(method, b"/", [HOST], length=None, chunked=False)
            origin.end()
            events = origin.receive(OK + b"Content-Length: 1\r\n\r\n")
            if method == b"GET":
                self.assertFalse(origin.reusable)
                events += origin.receive(b"a")
            self.assertIsInstance(events[-1], BodyEnd)
            self.assertTrue(origin.reusable and origin.answering)
            origin.next()
            self.assertFalse(origin.reusable or origin.answering)

    def test_closing(self) -> None:
        """
        Not if one side would close it.
        """
        for start, fields in (
            (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", [HOST]),
            (OK + b"Connection: x, Close\r\n", [HOST]),
            (OK, [HOST, (b"Connection", b"close")]),
        ):
            origin = asked(fields=fields)
            origin.receive(start + b"Content-Length: 0\r\n\r\n")
            self.assertFalse(origin.reusable)
            self.assertRaises(LocalProtocolError, origin.next)

    def test_tooMuch(self) -> None:
        """
        Not if something follows the answer, in the same piece or later.
        """
        for method, body in ((b"GET", b"a"), (b"HEAD", b"")):
            for pieces in splitsOf(OK + b"Content-Length: 1\r\n\r\n" + body + b"H"):
                origin = asked(method)
                events = [event for piece in pieces for event in origin.receive(piece)]
                self.assertIsInstance(events[-1], BodyEnd)
                self.assertFalse(origin.reusable)

    def test_unasked(self) -> None:
        """
        An answer that nobody asked for ends the connection.
        """
        origin = asked()
        origin.receive(OK + b"Content-Length: 0\r\n\r\n")
        origin.next()
        (event,) = origin.receive(b"HTTP/1.1 408 Too late\r\n\r\n")
        self.assertIsInstance(event, BadOrigin)
        self.assertRaises(
            LocalProtocolError, origin.request, b"GET", b"/", [HOST], length=None, chunked=False
        )

    def test_ended(self) -> None:
        """
        Not once its stream has ended.
        """
        origin = asked()
        origin.receive(OK + b"Content-Length: 0\r\n\r\n")
        origin.next()
        self.assertEqual(origin.endOfStream(), [])
        self.assertRaises(
            LocalProtocolError, origin.request, b"GET", b"/", [HOST], length=None, chunked=False
        )


class SwitchTests(SynchronousTestCase):
    """
    When a connection stops speaking HTTP.
    """

    def test_switched(self) -> None:
        """
        What follows the agreement is handed over.
        """
        for pieces in splitsOf(SWITCH + b"\x81\0"):
            origin = asked(fields=UPGRADE)
            (event,) = (event for piece in pieces for event in origin.receive(piece))
            self.assertEqual(
                event,
                Switched(101, b"Go", ((b"Upgrade", b"WebSocket"), (b"Connection", b"upgrade"))),
            )
            self.assertEqual(origin.takeTunnelled(), b"\x81\0")
            self.assertEqual(origin.takeTunnelled(), b"")
            self.assertFalse(origin.reusable)

    def test_notAsked(self) -> None:
        """
        Nobody agrees to what was not asked for, not even after an upgrade that
        was.
        """
        for fields, answer in (
            ([HOST], SWITCH),
            (UPGRADE, SWITCH.replace(b"WebSocket", b"h2c")),
            (UPGRADE, SWITCH.replace(b"Upgrade: WebSocket\r\n", b"")),
            (UPGRADE, SWITCH.replace(b"Connection: upgrade", b"X: y")),
        ):
            origin = asked(fields=fields)
            (event,) = origin.receive(answer)
            self.assertIsInstance(event, BadOrigin)
            self.assertRaises(LocalProtocolError, origin.takeTunnelled)
        (event,) = asked(fields=UPGRADE, ended=False).receive(SWITCH)
        self.assertIsInstance(event, BadOrigin)

    def test_refused(self) -> None:
        """
        An origin may answer as if nothing had been asked.
        """
        origin = asked(fields=UPGRADE)
        events = origin.receive(OK + b"Content-Length: 0\r\n\r\n")
        self.assertIsInstance(events[-1], BodyEnd)
        self.assertRaises(LocalProtocolError, origin.takeTunnelled)

    def test_bound(self) -> None:
        """
        What is not taken is kept up to a limit.
        """
        origin = asked(fields=UPGRADE)
        origin.receive(SWITCH + bytes(EARLY_DATA_LIMIT))
        (event,) = origin.receive(b"a")
        self.assertIsInstance(event, BadOrigin)
        self.assertRaises(LocalProtocolError, origin.takeTunnelled)

    def test_secrets(self) -> None:
        """
        What an answer says is not shown.
        """
        secret = ((b"Set-Cookie", b"secret"),)
        for event in (
            Response(200, b"secret", secret),
            Interim(103, secret),
            Switched(101, b"secret", secret),
        ):
            self.assertNotIn("secret", repr(event))

"""
Tests for L{socksproxy.http._clientside}.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.http._clientside import ClientSide
from socksproxy.http._events import Bad, Body, BodyEnd, ClientDone, ClientEvent, Request
from socksproxy.http._target import Form
from socksproxy.negotiation import EARLY_DATA_LIMIT
from tests.codec import piecesOf, splitsOf
from tests.http.exchanges import CONNECT, GET, POST, joined, received

OLD = b"GET http://web.test/ HTTP/1.0\r\n"

HEAD = b"HEAD http://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n"

UPGRADE = (
    b"GET http://web.test/ HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\n"
    b"Upgrade: WebSocket\r\n\r\n"
)


def requestIn(data: bytes) -> Request:
    """
    Give the one request in what a client sends.
    """
    (request,) = (event for event in received([data])[1] if isinstance(event, Request))
    return request


def answered(client: ClientSide) -> None:
    """
    Answer the request in hand.
    """
    client.respond(200, b"OK", [], length=0)
    client.end()


def headAfter(data: bytes, status: int = 200, length: int | None = 2, close: bool = False) -> bytes:
    """
    Give the head of an answer to a request.
    """
    return received([data])[0].respond(status, b"OK", [(b"X", b"a")], length=length, close=close)


class RequestTests(SynchronousTestCase):
    """
    What a client asks.
    """

    def test_simple(self) -> None:
        """
        A request without a body is over at once.
        """
        client, events = received([GET])
        request, end = events
        assert isinstance(request, Request)
        self.assertEqual(end, BodyEnd())
        self.assertEqual(
            (request.method, request.version, request.fields, request.length, request.chunked),
            (b"GET", b"1.1", ((b"Host", b"web.test"),), None, False),
        )
        self.assertEqual((request.target.form, request.target.path), (Form.ABSOLUTE, b"/"))
        self.assertTrue(client.requestEnded)

    def test_bodies(self) -> None:
        """
        A body is told piece by piece, however it is cut.
        """
        for head, sent in (
            (b"Content-Length: 5\r\n\r\n", b"hello"),
            (b"Transfer-Encoding: Chunked\r\n\r\n", b"4;a\r\nhell\r\n1\r\no\r\n0\r\n\r\n"),
        ):
            for pieces in splitsOf(POST + head + sent):
                client, events = received(pieces)
                request, body, end = events
                assert isinstance(request, Request)
                self.assertEqual((body, end), (Body(b"hello"), BodyEnd()))
                self.assertEqual(request.chunked, request.length is None)
                self.assertTrue(client.requestEnded)

    def test_unendedBody(self) -> None:
        """
        A request is not over before its body is.
        """
        client, events = received([POST + b"Content-Length: 5\r\n\r\nhell"])
        self.assertEqual(events[1:], [Body(b"hell")])
        self.assertFalse(client.requestEnded)
        self.assertEqual(client.pending, 0)
        self.assertEqual(client.receive(b"oGET"), [Body(b"o"), BodyEnd()])
        self.assertEqual(client.pending, 3)

    def test_uncopied(self) -> None:
        """
        What belongs to a body of a declared length is passed on as it is.
        """
        client, _ = received([POST + b"Content-Length: 100\r\n\r\n"])
        piece = bytes(50)
        (event,) = client.receive(piece)
        assert isinstance(event, Body)
        self.assertIs(event.data, piece)

    def test_trailers(self) -> None:
        """
        Fields after the body are told, but not those that come too late.
        """
        data = POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\nHost: b\r\n\r\n"
        self.assertEqual(received([data])[1][1:], [BodyEnd(((b"X", b"a"),))])

    def test_keepAlive(self) -> None:
        """
        Who would send another request is known by version and Connection.
        """
        for start, later in ((GET[:-2], True), (OLD, False)):
            for lines, keeps in (
                (b"", later),
                (b"Connection: close\r\n", False),
                (b"Proxy-Connection: Close\r\n", False),
                (b"Connection: Keep-Alive\r\n", True),
                (b"Proxy-Connection: keep-alive\r\n", True),
                (b"Connection: keep-alive\r\nProxy-Connection: close\r\n", False),
                (b"Connection: x, close\r\n", False),
                (b"Connection: closed\r\n", later),
            ):
                client, events = received([start + lines + b"\r\n"])
                request = events[0]
                assert isinstance(request, Request)
                self.assertEqual((request.keepAlive, client.persistent), (keeps, keeps))

    def test_versions(self) -> None:
        """
        Later ones of HTTP/1 are understood as HTTP/1.1.
        """
        self.assertEqual(requestIn(OLD + b"\r\n").version, b"1.0")
        self.assertEqual(requestIn(GET.replace(b"HTTP/1.1", b"HTTP/1.2")).version, b"1.1")

    def test_expectations(self) -> None:
        """
        Whoever waits for leave to send a body is told apart, and does not do so
        without one, or by HTTP/1.0.
        """
        expect, length = b"Expect: 100-Continue\r\n", b"Content-Length: 1\r\n"
        self.assertTrue(requestIn(POST + expect + length + b"\r\n").expectsContinue)
        self.assertTrue(
            requestIn(POST + expect + b"Transfer-Encoding: chunked\r\n\r\n").expectsContinue
        )
        self.assertFalse(requestIn(POST + length + b"\r\n").expectsContinue)
        self.assertFalse(requestIn(POST + expect + b"\r\n").expectsContinue)
        self.assertFalse(
            requestIn(OLD + b"Expect: tea\r\nContent-Length: 1\r\n\r\n").expectsContinue
        )
        for value in (b"tea", b"100-continue, tea", b"100-continue=1"):
            self.assertEqual(
                received([POST + b"Expect: " + value + b"\r\n\r\n"])[1],
                [Bad(417, "the expectation is unknown")],
            )

    def test_upgrades(self) -> None:
        """
        Another protocol is asked for by HTTP/1.1, without a body, by naming it
        alone and in Connection.
        """
        self.assertEqual(requestIn(UPGRADE).upgrade, b"websocket")
        for old, new in (
            (b"WebSocket", b"websocket, h2c"),
            (b"Upgrade: WebSocket", b"Upgrade: websocket\r\nUpgrade: h2c"),
            (b"Connection: Upgrade", b"Connection: close"),
            (b"HTTP/1.1", b"HTTP/1.0"),
            (b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n"),
            (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (b"GET http://web.test/", b"CONNECT web.test:80"),
        ):
            self.assertIsNone(requestIn(UPGRADE.replace(old, new)).upgrade, new)

    def test_hosts(self) -> None:
        """
        CONNECT needs no Host unless that is asked for; others do by HTTP/1.1.
        """
        for version in (b"1.0", b"1.1"):
            bare = b"CONNECT web.test:443 HTTP/%b\r\n\r\n" % version
            self.assertEqual(requestIn(bare).method, b"CONNECT")
            strict = ClientSide(needsHost=True).receive(bare)
            self.assertEqual(isinstance(strict[0], Bad), version == b"1.1")
        self.assertIsInstance(ClientSide(needsHost=True).receive(CONNECT)[0], Request)

    def test_reasons(self) -> None:
        """
        Whoever says a thing twice is told which.
        """
        for data, text in (
            (GET[:-2] + b"Host: web.test\r\n\r\n", "there are two Hosts"),
            (GET.replace(b"Host", b"X"), "Host is missing"),
            (POST + b"Content-Length: 1\r\n" * 2 + b"\r\n", "Content-Length is not one number"),
        ):
            self.assertEqual(received([data])[1], [Bad(400, text)])

    def test_TLS(self) -> None:
        """
        C{https} is for those who can ask for it.
        """
        data = GET.replace(b"http:", b"https:")
        self.assertEqual(received([data])[1], [Bad(501, "the scheme is not supported")])
        request = ClientSide(originatesTLS=True).receive(data)[0]
        assert isinstance(request, Request)
        self.assertEqual(request.target.scheme, b"https")

    def test_secrets(self) -> None:
        """
        What a request says is not shown.
        """
        request = requestIn(GET[:-2] + b"Proxy-Authorization: Basic YTpi\r\n\r\n")
        for event in (request, Body(b"YTpi"), BodyEnd(((b"X", b"YTpi"),))):
            self.assertNotIn("YTpi", repr(event))


class SequenceTests(SynchronousTestCase):
    """
    One request after another.
    """

    def test_pipelined(self) -> None:
        """
        The next request is read when the exchange is over, not before.
        """
        second = POST + b"Content-Length: 2\r\n\r\nhi"
        for pieces in splitsOf(GET + second + GET):
            client, events = received(pieces)
            self.assertEqual([type(event) for event in events], [Request, BodyEnd])
            self.assertEqual(client.pending, len(second + GET))
            answered(client)
            events = joined(client.nextRequest())
            self.assertEqual([type(event) for event in events], [Request, Body, BodyEnd])
            self.assertEqual(client.pending, len(GET))

    def test_afterAnother(self) -> None:
        """
        A request that comes later is like the first, with an empty line before
        it that some send after a body.
        """
        client, _ = received([GET])
        for pieces in ([GET], [b"\r\n", GET], piecesOf(GET, 1)):
            answered(client)
            self.assertEqual(client.nextRequest(), [])
            events = [event for piece in pieces for event in client.receive(piece)]
            self.assertEqual([type(event) for event in events], [Request, BodyEnd])

    def test_notYet(self) -> None:
        """
        There is no next request before both ways are over, nor after the last.
        """
        client, _ = received([POST + b"Content-Length: 1\r\n\r\n"])
        self.assertRaises(LocalProtocolError, client.nextRequest)
        client.receive(b"a")
        self.assertRaises(LocalProtocolError, client.nextRequest)
        client.respond(200, b"OK", [], length=1)
        self.assertRaises(LocalProtocolError, client.nextRequest)
        client.send(b"a")
        self.assertRaises(LocalProtocolError, client.nextRequest)
        client.end()
        client.nextRequest()
        self.assertRaises(LocalProtocolError, client.nextRequest)
        self.assertRaises(LocalProtocolError, ClientSide().nextRequest)
        closing, _ = received([GET])
        closing.respond(200, b"OK", [], length=0, close=True)
        closing.end()
        self.assertRaises(LocalProtocolError, closing.nextRequest)

    def test_limit(self) -> None:
        """
        The last request that a connection carries is answered so.
        """
        client = ClientSide(maxRequests=2)
        client.receive(GET + GET + GET)
        self.assertNotIn(b"close", client.respond(200, b"OK", [], length=0))
        client.end()
        client.nextRequest()
        self.assertFalse(client.persistent)
        self.assertIn(b"\r\nConnection: close\r\n", client.respond(200, b"OK", [], length=0))

    def test_early(self) -> None:
        """
        What comes early is kept up to a limit.
        """
        for head in (GET, CONNECT):
            client, _ = received([head])
            self.assertEqual(client.receive(bytes(EARLY_DATA_LIMIT)), [])
            self.assertEqual(client.pending, EARLY_DATA_LIMIT)
            (event,) = client.receive(b"a")
            self.assertEqual(event, Bad(400, "too much was sent before its time"))
            self.assertEqual(client.pending, 0)
            self.assertEqual(client.receive(GET), [])
            self.assertRaises(LocalProtocolError, client.takeTunnelled)
        client, _ = received([CONNECT])
        client.established()
        self.assertIsInstance(client.receive(bytes(EARLY_DATA_LIMIT + 1))[0], Bad)
        self.assertRaises(LocalProtocolError, client.takeTunnelled)
        data = GET + bytes(EARLY_DATA_LIMIT + 1)
        self.assertIsInstance(received([data])[1][-1], Bad)
        data = POST + b"Content-Length: 1\r\n\r\n" + bytes(EARLY_DATA_LIMIT + 2)
        self.assertIsInstance(received([data])[1][-1], Bad)

    def test_bound(self) -> None:
        """
        No state keeps more than its limit, whatever is sent.
        """
        for head in (
            b"",
            b"GET http://web.test/ HTTP/1.1\r\n",
            GET,
            CONNECT,
            POST + b"Transfer-Encoding: chunked\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        ):
            for junk in (b"a", b"a: b\r\n", b";", b"\r\n", b"0"):
                client = ClientSide()
                client.receive(head)
                events: list[ClientEvent] = []
                for _ in range(100):
                    events += client.receive(junk * (65536 // len(junk)))
                    self.assertLessEqual(client.pending, EARLY_DATA_LIMIT)
                self.assertIsInstance(events[-1], Bad, (head, junk))

    def test_ends(self) -> None:
        """
        Between requests the client may leave.
        """
        for data in (b"", b"\r\n"):
            client, _ = received([data])
            self.assertEqual(client.endOfStream(), [ClientDone()])
            self.assertEqual(client.receive(GET), [])
        client, _ = received([GET])
        answered(client)
        client.nextRequest()
        self.assertEqual(client.endOfStream(), [ClientDone()])

    def test_endsInTheMiddle(self) -> None:
        """
        In the middle of a request the client may not.
        """
        data = POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        for length in range(1, len(data)):
            client, _ = received([data[:length]])
            (event,) = client.endOfStream()
            self.assertIsInstance(event, Bad)
            self.assertFalse(client.persistent)
        client, _ = received([data])
        self.assertEqual(client.endOfStream(), [])

    def test_endsAfterRequest(self) -> None:
        """
        A client that will ask nothing more is still answered, and told that
        this is the last answer.
        """
        client, _ = received([GET])
        self.assertEqual(client.endOfStream(), [])
        self.assertIn(b"\r\nConnection: close\r\n", client.respond(200, b"OK", [], length=1))
        self.assertEqual(client.send(b"a") + client.end(), b"a")
        self.assertFalse(client.persistent)

    def test_endsAfterSeveral(self) -> None:
        """
        What was asked before the end is answered all the same.
        """
        client, _ = received([GET + GET])
        client.endOfStream()
        answered(client)
        self.assertEqual([type(event) for event in client.nextRequest()], [Request, BodyEnd])
        self.assertFalse(client.persistent)
        for rest, last in ((b"\r\n", ClientDone), (b"GET", Bad)):
            client, _ = received([GET + rest])
            client.endOfStream()
            answered(client)
            (event,) = client.nextRequest()
            self.assertIsInstance(event, last)


class AnswerTests(SynchronousTestCase):
    """
    What a client is told.
    """

    def test_length(self) -> None:
        """
        A known length is declared.
        """
        self.assertEqual(headAfter(GET), b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 2\r\n\r\n")

    def test_unknownLength(self) -> None:
        """
        An unknown length is chunked by HTTP/1.1, and ended by a close before.
        """
        client, _ = received([GET])
        self.assertEqual(
            client.respond(200, b"OK", [(b"Trailer", b"X")], length=None),
            b"HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        self.assertEqual(client.send(b"hi") + client.send(b""), b"2\r\nhi\r\n")
        self.assertEqual(client.end([(b"X", b"a")]), b"0\r\nX: a\r\n\r\n")
        self.assertTrue(client.persistent)
        old, _ = received([OLD + b"Connection: keep-alive\r\n\r\n"])
        self.assertEqual(
            old.respond(200, b"OK", [(b"Trailer", b"X")], length=None),
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        )
        self.assertEqual(old.send(b"hi") + old.end([(b"X", b"a")]), b"hi")
        self.assertFalse(old.persistent)

    def test_trailersLeftOut(self) -> None:
        """
        Where there is no room for trailers, nothing is said of them.
        """
        client, _ = received([GET])
        head = client.respond(200, b"OK", [(b"trailer", b"X")], length=0)
        self.assertNotIn(b"railer", head)
        self.assertEqual(client.end([(b"X", b"a")]), b"")

    def test_old(self) -> None:
        """
        Who asks by HTTP/1.0 for the connection to be kept is told that it is.
        """
        keeping = OLD + b"Proxy-Connection: keep-alive\r\n\r\n"
        self.assertIn(b"\r\nConnection: keep-alive\r\n", headAfter(keeping))
        self.assertIn(b"\r\nConnection: close\r\n", headAfter(OLD + b"\r\n"))

    def test_closes(self) -> None:
        """
        The last answer says so: because it is asked for, by either side, or
        since the request is not over.
        """
        for head in (
            headAfter(GET, close=True),
            headAfter(GET[:-2] + b"Connection: close\r\n\r\n"),
            headAfter(POST + b"Content-Length: 1\r\n\r\n"),
            headAfter(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
            headAfter(b"\0"),
        ):
            self.assertIn(b"\r\nConnection: close\r\n", head)

    def test_bodiless(self) -> None:
        """
        Some answers have no body, whatever their head says.
        """
        for data, status, length, line in (
            (HEAD, 200, 5, b"Content-Length: 5\r\n"),
            (HEAD, 200, None, b""),
            (GET, 304, 5, b"Content-Length: 5\r\n"),
            (GET, 304, None, b""),
            (GET, 204, None, b""),
            (GET, 204, 5, b""),
        ):
            client, _ = received([data])
            head = client.respond(status, b"OK", [], length=length)
            self.assertEqual(head, b"HTTP/1.1 %d OK\r\n%b\r\n" % (status, line))
            self.assertEqual(client.send(b"hello") + client.end([(b"X", b"a")]), b"")
            self.assertTrue(client.persistent)

    def test_exact(self) -> None:
        """
        The body has to be as declared.
        """
        client, _ = received([GET])
        client.respond(200, b"OK", [], length=2)
        self.assertRaises(LocalProtocolError, client.send, b"abc")
        self.assertRaises(LocalProtocolError, client.end)
        self.assertFalse(client.answerEnded)
        self.assertEqual(client.send(b"ab") + client.end(), b"ab")
        self.assertTrue(client.answerEnded)

    def test_interims(self) -> None:
        """
        Interim answers come before the answer, to those who understand them.
        """
        client, _ = received([GET])
        self.assertEqual(client.inform(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(
            client.inform(103, [(b"Link", b"a")]), b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
        )
        self.assertEqual(client.inform(102), b"")
        self.assertFalse(client.answered)
        for status in (99, 101, 200):
            self.assertRaises(LocalProtocolError, client.inform, status)
        client.respond(200, b"OK", [], length=0)
        self.assertTrue(client.answered)
        self.assertRaises(LocalProtocolError, client.inform, 100)
        self.assertEqual(received([OLD + b"\r\n"])[0].inform(100), b"")

    def test_notGiven(self) -> None:
        """
        What is said of framing is said here alone.
        """
        for name in (b"Content-Length", b"transfer-Encoding", b"CONNECTION"):
            client, _ = received([GET])
            calls: list[Callable[[], object]] = [
                lambda c=client, n=name: c.respond(200, b"OK", [(n, b"1")], length=1),
                lambda c=client, n=name: c.inform(100, [(n, b"1")]),
            ]
            for call in calls:
                self.assertRaises(LocalProtocolError, call)
            self.assertFalse(client.answered)

    def test_splitting(self) -> None:
        """
        An answer cannot be made two.
        """
        client, _ = received([GET])
        for fields, reason in (([(b"X", b"a\r\n\r\n")], b"OK"), ([], b"OK\r\nX: a")):
            self.assertRaises(LocalProtocolError, client.respond, 200, reason, fields, length=0)
        self.assertTrue(client.respond(200, b"OK", [], length=0))

    def test_once(self) -> None:
        """
        A request is answered once, and nothing before it.
        """
        client = ClientSide()
        for call in (
            lambda: client.respond(200, b"OK", [], length=0),
            lambda: client.send(b""),
            client.end,
            client.inform,
            client.established,
        ):
            self.assertRaises((LocalProtocolError, TypeError), call)
        client.receive(GET)
        for status in (199, 1000, 101):
            self.assertRaises(LocalProtocolError, client.respond, status, b"", [], length=0)
        answered(client)
        self.assertRaises(LocalProtocolError, client.respond, 200, b"OK", [], length=0)
        self.assertRaises(LocalProtocolError, client.end)

    def test_afterBad(self) -> None:
        """
        What is bad can be answered, but not in the middle of an answer.
        """
        client, _ = received([POST + b"Transfer-Encoding: chunked\r\n\r\n"])
        client.respond(413, b"No", [], length=0)
        self.assertIsInstance(client.receive(b"g\r\n")[0], Bad)
        self.assertTrue(client.answered)
        self.assertRaises(LocalProtocolError, client.respond, 400, b"Bad", [], length=0)


class TunnelTests(SynchronousTestCase):
    """
    When a connection stops speaking HTTP.
    """

    def test_connect(self) -> None:
        """
        A tunnel begins after the head of the request.
        """
        early = b"\x16\3\1" + GET
        for pieces in splitsOf(CONNECT + early):
            client, events = received(pieces)
            (request,) = events
            assert isinstance(request, Request)
            self.assertEqual(request.target.form, Form.AUTHORITY)
            self.assertTrue(client.requestEnded)
            self.assertEqual(client.established(), b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.assertTrue(client.answered)
            self.assertEqual(client.receive(b"more"), [])
            self.assertEqual(client.takeTunnelled(), early + b"more")
            self.assertEqual(client.pending, 0)
            self.assertFalse(client.persistent)
            self.assertRaises(LocalProtocolError, client.receive, b"a")

    def test_fields(self) -> None:
        """
        A tunnel's answer may say more, but nothing of a body.
        """
        client, _ = received([CONNECT])
        self.assertRaises(LocalProtocolError, client.established, [(b"Content-Length", b"0")])
        self.assertEqual(
            client.established([(b"Via", b"1.1 px")]),
            b"HTTP/1.1 200 Connection established\r\nVia: 1.1 px\r\n\r\n",
        )
        self.assertRaises(LocalProtocolError, client.established)

    def test_notAsked(self) -> None:
        """
        Nothing is tunnelled that was not to be.
        """
        client, _ = received([GET])
        self.assertRaises(LocalProtocolError, client.takeTunnelled)
        self.assertRaises(LocalProtocolError, client.established)
        self.assertRaises(LocalProtocolError, client.switch, 101, b"Go", [])
        bad, _ = received([b"CONNECT web.test HTTP/1.1\r\n\r\n"])
        self.assertRaises(LocalProtocolError, bad.established)

    def test_refused(self) -> None:
        """
        After a tunnel that was refused the connection carries another request,
        unless something came early, which is never taken for one.
        """
        for late in (False, True):
            client, _ = received([CONNECT] if late else [CONNECT + GET])
            head = client.respond(407, b"No", [], length=0)
            self.assertEqual(b"close" in head, not late)
            client.end()
            if late:
                self.assertTrue(client.persistent)
                client.receive(GET)
            self.assertFalse(client.persistent)
            self.assertRaises(LocalProtocolError, client.nextRequest)

    def test_upgrade(self) -> None:
        """
        Another protocol begins after the request and the answer.
        """
        client, _ = received([UPGRADE + b"\x81\0"])
        self.assertRaises(LocalProtocolError, client.switch, 200, b"OK", [])
        self.assertRaises(
            LocalProtocolError, client.switch, 101, b"Go", [(b"Content-Length", b"1")]
        )
        fields = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
        self.assertEqual(
            client.switch(101, b"Go", fields),
            b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        )
        self.assertEqual(client.takeTunnelled(), b"\x81\0")

    def test_notUpgraded(self) -> None:
        """
        A client whose wish is not granted goes on as before.
        """
        client, _ = received([UPGRADE + GET])
        answered(client)
        self.assertEqual([type(event) for event in client.nextRequest()], [Request, BodyEnd])


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_dribbledBody(cut: int) -> None:
    """
    A body in small pieces is passed on piece by piece, with nothing kept.
    """
    client, _ = received([POST + b"Content-Length: 2000\r\n\r\n"])
    for piece in piecesOf(b"a" * 2000, cut):
        assert client.receive(piece)[0] == Body(piece)
        assert client.pending == 0
    assert client.requestEnded

"""
Tests for L{socksproxy.http.exchange}: one request and its answer, and all that
can go wrong with them.
"""

from __future__ import annotations

from socksproxy.inbound import InboundTimers
from socksproxy.relay import RelayTimers
from socksproxy.testing import MemoryTransport
from tests.accesslines import accessLines
from tests.http.proxying import GET, HEAD, OK, POST, HTTPTestCase, answersIn, get
from tests.logs import captured

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = POST + b"Content-Length: 1000000\r\n\r\n"
EXPECTING = POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WEBSOCKET = get("web.test", b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n")
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

BOUND = 3 * 65536
"""
Octets that may be on the way through the proxy: what it keeps, what the
transport does, and the piece in hand.
"""


class ExchangeTestCase(HTTPTestCase):
    """
    Tests with a client that has made a request, and an origin that has got it.
    """

    def forwarded(self, said: bytes = GET) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Have a client make a request.

        @return: The client's connection and the origin's, from which the
            request has not been taken.
        """
        client = self.asking(said)
        return client, self.origin()

    def reasonOf(self, client: MemoryTransport) -> str:
        """
        Reset a client's connection, and give the reason in its line.
        """
        with captured() as events:
            client.peerResets()
            self.proxy.settle()
        reason: str = accessLines(events)[-1]["reason"]
        return reason


class BodyTests(ExchangeTestCase):
    """
    Bodies pass through as they come.
    """

    def test_up(self) -> None:
        """
        What the client sends is passed on before it is complete.
        """
        for head, pieces in (
            (POST + b"Content-Length: 6\r\n\r\n", [b"abc", b"def"]),
            (CHUNKED, [b"3\r\nabc\r\n", b"3\r\ndef\r\n", b"0\r\n\r\n"]),
        ):
            _, origin = self.forwarded(head)
            self.assertTrue(origin.take().endswith(b"\r\n\r\n"))
            client = next(iter(self.proxy.inbound.connections)).transport
            assert isinstance(client, MemoryTransport)
            for piece in pieces:
                client.peerSends(piece)
                self.assertEqual(origin.take(), piece)
            client.peerResets()

    def test_beforeTheDial(self) -> None:
        """
        What comes before there is an origin is kept for it, and sent in one
        go.
        """
        client = self.proxy.connect()
        client.peerSends(CHUNKED + b"3\r\nabc\r\n")
        client.peerSends(b"1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n")
        self.assertEqual(self.proxy.network.attempts, [])
        self.proxy.settle()
        origin = self.origin()
        self.assertEqual(len(origin._written), 1)
        self.assertTrue(origin.take().endswith(b"3\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n"))

    def test_down(self) -> None:
        """
        What the origin sends is passed on before it is complete.
        """
        client, origin = self.forwarded()
        for piece in (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"abc", b"def"):
            origin.peerSends(piece)
            self.assertTrue(client.take().endswith(piece[-3:]))

    def test_unknownLength(self) -> None:
        """
        A body whose end is that of the stream is chunked for a client of
        HTTP/1.1, and ends the stream of one of HTTP/1.0.
        """
        for version, keeps in ((b"1.1", True), (b"1.0", False)):
            client, origin = self.forwarded(get("web.test", version=version))
            origin.peerSends(b"HTTP/1.0 200 OK\r\n\r\nabc")
            origin.peerSends(b"def")
            origin.peerEnds()
            self.proxy.settle()
            self.assertIs(not client.ended, keeps)
            answer = self.answer(client)
            self.assertEqual((answer.body, answer.complete), (b"abcdef", True))
            self.assertEqual(b"transfer-encoding" in answer.fields, keeps)

    def test_chunkedForHTTP10(self) -> None:
        """
        Nothing is chunked for a client of HTTP/1.0.
        """
        client, origin = self.forwarded(get("web.test", version=b"1.0"))
        origin.peerSends(ENDLESS + b"3\r\nabc\r\n0\r\n\r\n")
        self.assertTrue(client.take().endswith(b"\r\n\r\nabc"))
        self.assertTrue(client.ended)

    def test_trailers(self) -> None:
        """
        Fields after the body are passed on where they can be.
        """
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
        self.assertTrue(client.take().endswith(b"\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"))

    def test_bodiless(self) -> None:
        """
        Answers that have no body end with their head.
        """
        for said, method, answered in (
            (HEAD, "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            (GET, "GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            (GET, "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ):
            client, origin = self.forwarded(said)
            origin.peerSends(answered)
            (answer,) = answersIn(client.take(), method)
            self.assertEqual((answer.body, answer.complete), (b"", True))
            self.assertEqual(b"content-length" in answer.fields, b" 204 " not in answered)
            # The next answer is not mistaken for a body.
            self.assertEqual(self.exchange(client).body, b"hi")

    def test_fewWrites(self) -> None:
        """
        What comes at once is written at once.
        """
        client, origin = self.forwarded()
        origin.peerSends(OK)
        self.assertEqual(len(client._written), 1)

    def test_repeatedFields(self) -> None:
        """
        Fields that are there twice stay so, in their order.
        """
        client, origin = self.forwarded()
        cookies = b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
        origin.peerSends(OK.replace(b"Content", cookies + b"Content"))
        self.assertIn(cookies, client.take())


class BackPressureTests(ExchangeTestCase):
    """
    Neither side is read faster than the other takes it.
    """

    def test_slowOrigin(self) -> None:
        """
        A client whose body the origin does not take is not read, until it
        does.
        """
        client, origin = self.forwarded(LONG)
        for _ in range(15):
            client.peerSends(b"x" * 65536)
        self.assertTrue(client.paused)
        self.assertLess(sum(map(len, origin._written)), BOUND)
        received = len(origin.take())
        while received < 15 * 65536:
            more = len(origin.take())
            self.assertTrue(0 < more < BOUND)
            received += more
        self.assertFalse(client.paused)

    def test_slowDial(self) -> None:
        """
        Nor is one whose origin is not there yet.
        """
        client = self.asking(LONG.replace(b"web", b"silent"))
        for _ in range(15):
            client.peerSends(b"x" * 65536)
        self.assertTrue(client.paused)
        self.assertEqual(sum(map(len, client._incoming)), 14 * 65536)  # type: ignore[arg-type]

    def test_slowClient(self) -> None:
        """
        An origin whose answer the client does not take is not read, until it
        does.
        """
        client, origin = self.forwarded()
        origin.peerSends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(15):
            origin.peerSends(b"x" * 65536)
        self.assertTrue(origin.paused)
        self.assertLess(sum(map(len, client._written)), BOUND)
        received = len(client.take())
        while received < 15 * 65536:
            more = len(client.take())
            self.assertTrue(0 < more < BOUND)
            received += more
        self.assertFalse(origin.paused)

    def test_slowForTheNext(self) -> None:
        """
        A client that has not taken one answer does not get the next.
        """
        client, origin = self.forwarded(GET + GET)
        origin.take()
        origin.peerSends(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000)
        self.proxy.settle()
        self.assertEqual(origin.take(), b"")
        client.take()
        self.assertTrue(origin.take().startswith(b"GET / "))

    def test_notReadByTheClient(self) -> None:
        """
        A client that takes nothing for a minute is cut off, and so is the
        origin.
        """
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS + b"11170\r\n" + b"x" * 70000 + b"\r\n")
        self.proxy.network.pump([2.5] * 23)
        self.assertFalse(client.aborted)
        with captured() as events:
            self.proxy.network.pump([2.5] * 2)
        self.assertTrue(client.aborted and origin.aborted)
        self.assertEqual(accessLines(events)[0]["reason"], "client does not read")
        self.assertNothingLeft()

    def test_readInTheEnd(self) -> None:
        """
        One that has taken everything may wait for more as long as it likes.
        """
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS + b"11170\r\n" + b"x" * 70000 + b"\r\n")
        self.proxy.network.pump([2.5] * 5)
        client.take()
        self.proxy.network.pump([2.5] * 40)
        self.assertFalse(client.aborted)

    def test_readSlowly(self) -> None:
        """
        One that takes a little is not.
        """
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS)
        for _ in range(10):
            origin.peerSends(b"11170\r\n" + b"x" * 70000 + b"\r\n")
            self.proxy.network.pump([2.5] * 20)
            client.take()
        self.assertFalse(client.aborted)

    def test_notReadByTheOrigin(self) -> None:
        """
        When it is the origin that takes nothing, the client is told.
        """
        client, origin = self.forwarded(LONG)
        client.peerSends(b"x" * 70000)
        self.proxy.network.pump([2.5] * 23)
        self.assertEqual(client.take(), b"")
        self.proxy.network.pump([2.5] * 1)
        self.assertTrue(origin.aborted)
        self.assertEqual(self.answer(client, "POST").status, 504)
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_notReadAtTheEnd(self) -> None:
        """
        A client that does not take the last answer on its connection is cut
        off as well.
        """
        client, origin = self.forwarded(get("web.test", b"Connection: close\r\n"))
        client.dataBuffer = b"x" * 70000  # type: ignore[attr-defined]
        client.offset = 0  # type: ignore[attr-defined]
        origin.peerSends(OK)
        self.proxy.network.pump([2] * 29)
        self.assertFalse(client.disconnecting)
        self.proxy.network.pump([2] * 3)
        self.assertTrue(client.aborted)
        self.assertNothingLeft()


class InterimTests(ExchangeTestCase):
    """
    What an origin says before its answer.
    """

    def test_expected(self) -> None:
        """
        A client that waits for the origin's word gets that, and no word of
        ours, and only then sends the body.
        """
        client, origin = self.forwarded(EXPECTING)
        self.assertIn(b"\r\nExpect: 100-continue\r\n", origin.take())
        self.assertEqual(client.take(), b"")
        origin.peerSends(CONTINUE)
        self.assertTrue(client.take().startswith(b"HTTP/1.1 100 "))
        client.peerSends(b"abc")
        self.assertEqual(origin.take(), b"abc")
        origin.peerSends(OK)
        self.assertEqual(self.answer(client, "POST").status, 200)
        self.assertFalse(client.ended)

    def test_notWaitedFor(self) -> None:
        """
        A client that does not wait is not made to.
        """
        client, origin = self.forwarded(EXPECTING)
        origin.take()
        client.peerSends(b"abc")
        self.assertEqual(origin.take(), b"abc")

    def test_refused(self) -> None:
        """
        An answer in place of that word closes, since nobody knows whether the
        body comes.
        """
        client, origin = self.forwarded(EXPECTING)
        origin.peerSends(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        answer = self.answer(client, "POST")
        self.assertEqual((answer.status, answer.fields[b"connection"]), (417, b"close"))
        self.assertTrue(client.ended and origin.aborted)

    def test_notForHTTP10(self) -> None:
        """
        A client of HTTP/1.0 is told nothing of it.
        """
        client, origin = self.forwarded(get("web.test", version=b"1.0"))
        origin.peerSends(CONTINUE + OK)
        (answer,) = answersIn(client.take(), ended=True)
        self.assertEqual((answer.interim, answer.body), ((), b"hi"))

    def test_many(self) -> None:
        """
        There may be sixteen, and no more.
        """
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        client, origin = self.forwarded()
        origin.peerSends(hint * 16 + OK)
        answer = self.answer(client)
        self.assertEqual((answer.interim, answer.status), ((103,) * 16, 200))
        client, origin = self.forwarded()
        for _ in range(17):
            origin.peerSends(hint)
        answer = self.answer(client)
        self.assertEqual((len(answer.interim), answer.status), (16, 502))
        self.assertTrue(origin.aborted)


class FaultTests(ExchangeTestCase):
    """
    What goes wrong is never made to look right.
    """

    def test_noAnswer(self) -> None:
        """
        An origin that closes, resets, or does not speak HTTP, before it has
        answered, is 502, and the client's connection can be used again.
        """
        for said, ends in (
            (b"", "peerEnds"),
            (b"", "peerResets"),
            (b"HTTP/1.1 200 OK\r\nX: ", "peerEnds"),
            (b"SSH-2.0-x\r\n", ""),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", ""),
            (b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", ""),
        ):
            client, origin = self.forwarded()
            if said:
                origin.peerSends(said)
            if ends:
                getattr(origin, ends)()
            answer = self.answer(client)
            self.assertEqual((answer.status, answer.complete), (502, True), said)
            self.assertFalse(client.ended)
            self.proxy.settle()
            self.assertTrue(origin.lost)
            self.assertEqual(self.exchange(client).status, 200)

    def test_truncated(self) -> None:
        """
        An origin that stops in the middle of its answer is the end of the
        client's connection, and not a clean one, whatever it was told of the
        length.
        """
        for version in (b"1.1", b"1.0"):
            for head in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", ENDLESS + b"2\r\nab"):
                for ends in ("peerEnds", "peerResets"):
                    client, origin = self.forwarded(get("web.test", version=version))
                    origin.peerSends(head)
                    getattr(origin, ends)()
                    self.assertTrue(client.aborted)
                    answered = answersIn(client.take())
                    self.assertFalse(any(each.complete for each in answered))
                    self.assertNothingLeft()

    def test_resetUntilClose(self) -> None:
        """
        A reset is not the end of an answer that the end of the stream ends.
        """
        client, origin = self.forwarded()
        origin.peerSends(b"HTTP/1.1 200 OK\r\n\r\nabc")
        origin.peerResets()
        self.assertTrue(client.aborted)
        self.assertNotIn(b"0\r\n\r\n", client.take())
        self.assertNothingLeft()

    def test_malformedBody(self) -> None:
        """
        Nor is an answer passed on whose body is malformed.
        """
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS + b"2\r\nab\r\n0x2\r\n")
        self.assertTrue(client.aborted and origin.aborted)
        self.assertNothingLeft()

    def test_clientGone(self) -> None:
        """
        When the client goes nobody wants the answer, and the origin's
        connection is reset.
        """
        for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"):
            client, origin = self.forwarded()
            if said:
                origin.peerSends(said)
            self.assertEqual(self.reasonOf(client), "client reset")
            self.assertTrue(origin.aborted)
            self.assertNothingLeft()

    def test_clientGoneWhileDialling(self) -> None:
        """
        So is the dial when there is none yet.
        """
        client = self.asking(get("silent.test"))
        client.peerResets()
        self.assertEqual(self.proxy.network.cancelled, 1)
        self.assertNothingLeft()

    def test_clientStops(self) -> None:
        """
        A client that ends its stream in the middle of a body has made no
        request: the origin is not told that it ended.
        """
        for head in (LONG, CHUNKED):
            client, origin = self.forwarded(head)
            client.peerEnds()
            self.assertTrue(origin.aborted)
            self.assertNotIn(b"\r\n0\r\n\r\n", origin.take())
            self.assertEqual(self.answer(client, "POST").status, 400)
            self.proxy.settle()
            self.assertTrue(client.lost)
            self.assertNothingLeft()

    def test_malformedChunk(self) -> None:
        """
        So is one whose body becomes malformed, and if it has some of the
        answer, it is cut off.
        """
        client, origin = self.forwarded(CHUNKED + b"3\r\nabc\r\n")
        client.peerSends(b"0x3\r\n")
        self.assertTrue(origin.aborted)
        self.assertEqual(self.answer(client, "POST").status, 400)
        client, origin = self.forwarded(CHUNKED + b"3\r\nabc\r\n")
        origin.peerSends(ENDLESS)
        client.peerSends(b"0x3\r\n")
        self.assertTrue(origin.aborted and client.aborted)
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_malformedBeforeTheDial(self) -> None:
        """
        When that shows before there is an origin, it gets nothing at all.
        """
        client = self.asking(CHUNKED + b"3\r\nabc\r\n0x3\r\n")
        self.assertEqual(self.answer(client, "POST").status, 400)
        origin = self.origin()
        self.assertTrue(origin.aborted)
        self.assertEqual(origin.take(), b"")
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_tooMuchEarly(self) -> None:
        """
        A client that goes on sending when it is not read gets no answer but
        that.
        """
        client, origin = self.forwarded()
        for _ in range(4):
            client.paused = False
            client.peerSends(GET * 1000)
        self.assertTrue(client.ended and origin.aborted)
        self.assertEqual(self.answer(client).status, 400)
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_endlessHead(self) -> None:
        """
        An origin whose head does not end is given up, and not much of it is
        kept.
        """
        client, origin = self.forwarded()
        origin.peerSends(b"HTTP/1.1 200 OK\r\n")
        sent = 0
        while not origin.aborted and sent < 1 << 20:
            origin.peerSends(b"X: %b\r\n" % (b"x" * 1000))
            sent += 1005
        self.assertLess(sent, 70000)
        self.assertEqual(self.answer(client).status, 502)


class EarlyAnswerTests(ExchangeTestCase):
    """
    An origin may answer before it has got all of the request.
    """

    def test_refusedBody(self) -> None:
        """
        The client gets the answer, with the word that it is the last, and no
        more of the body is passed on; neither connection is used again.
        """
        client, origin = self.forwarded(LONG)
        origin.take()
        origin.peerSends(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        answer = self.answer(client, "POST")
        self.assertEqual((answer.status, answer.body), (413, b"no"))
        self.assertEqual(answer.fields[b"connection"], b"close")
        client.peerSends(b"x" * 1000)
        self.assertEqual(origin.take(), b"")
        self.assertTrue(client.ended and origin.aborted)
        self.assertFalse(client.aborted)
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_bothAtOnce(self) -> None:
        """
        An answer that is made of the body as it comes is passed on so.
        """
        client, origin = self.forwarded(CHUNKED)
        origin.peerSends(ENDLESS)
        origin.take()
        for _ in range(3):
            client.peerSends(b"3\r\nabc\r\n")
            self.assertEqual(origin.take(), b"3\r\nabc\r\n")
            origin.peerSends(b"3\r\ncba\r\n")
            self.assertTrue(client.take().endswith(b"3\r\ncba\r\n"))
        client.peerSends(b"0\r\n\r\n")
        origin.peerSends(b"0\r\n\r\n")
        self.assertTrue(client.take().endswith(b"0\r\n\r\n"))
        self.assertTrue(client.ended)
        self.assertFalse(client.aborted)


class UpgradeTests(ExchangeTestCase):
    """
    Another protocol on the same connections.
    """

    def test_relays(self) -> None:
        """
        Once the origin agrees, everything is passed on as it is, what came
        early first; nothing of it is read as HTTP.
        """
        client, origin = self.forwarded(WEBSOCKET)
        received = origin.take()
        self.assertIn(b"\r\nUpgrade: websocket\r\n", received)
        client.peerSends(b"early")
        self.assertEqual(origin.take(), b"")
        origin.peerSends(SWITCHED + b"hello")
        answered = client.take()
        self.assertTrue(answered.startswith(b"HTTP/1.1 101 "))
        self.assertIn(b"\r\nUpgrade: websocket\r\n", answered)
        self.assertTrue(answered.endswith(b"\r\n\r\nhello"))
        self.assertEqual(origin.take(), b"early")
        client.peerSends(GET)
        self.assertEqual(origin.take(), GET)
        origin.peerSends(OK)
        self.assertEqual(client.take(), OK)
        with captured() as events:
            client.peerEnds()
            origin.peerEnds()
            self.assertNothingLeft()
        (line,) = accessLines(events)
        self.assertEqual(line["sent"], len(received) + 5 + len(GET))
        self.assertEqual(line["received"], len(SWITCHED) + 5 + len(OK))

    def test_backPressure(self) -> None:
        """
        The relay has the back pressure to itself.
        """
        client, origin = self.forwarded(WEBSOCKET)
        origin.take()
        origin.peerSends(SWITCHED)
        client.take()
        for _ in range(3):
            origin.peerSends(b"x" * 40000)
        self.assertTrue(origin.paused)
        client.take()
        self.assertFalse(origin.paused)

    def test_endedAtOnce(self) -> None:
        """
        An origin that ends its stream right after it has agreed ends the
        client's.
        """
        client, origin = self.forwarded(WEBSOCKET)
        origin.peerSends(SWITCHED + b"bye")
        origin.peerEnds()
        self.assertTrue(client.take().endswith(b"bye"))
        self.assertTrue(client.ended)
        client.peerEnds()
        self.assertNothingLeft()

    def test_declined(self) -> None:
        """
        An origin that does not agree just answers.
        """
        client, origin = self.forwarded(WEBSOCKET)
        origin.peerSends(OK)
        self.assertEqual(self.answer(client).status, 200)
        self.assertEqual(self.exchange(client).status, 200)

    def test_others(self) -> None:
        """
        Nobody is asked for another protocol, least of all for HTTP/2.
        """
        for name in (b"h2c", b"TLS/1.0", b"websocket, h2c"):
            _, origin = self.forwarded(
                get(
                    "web.test",
                    b"Connection: Upgrade, HTTP2-Settings\r\n",
                    b"Upgrade: %b\r\n" % name,
                    b"HTTP2-Settings: AAMAAABk\r\n",
                )
            )
            received = origin.take()
            self.assertNotIn(b"Upgrade", received)
            self.assertNotIn(b"HTTP2", received)


class TimeTests(ExchangeTestCase):
    """
    How long either side is waited for.
    """

    def test_noAnswer(self) -> None:
        """
        An origin that has not answered a minute after the request is 504.
        """
        for said in (GET, HEAD, POST + b"Content-Length: 3\r\n\r\nabc"):
            client, origin = self.forwarded(said)
            self.proxy.network.advance(30)
            origin.peerSends(CONTINUE + b"HTTP/1.1 20")
            self.proxy.network.advance(59)
            client.take()
            self.assertFalse(client.ended or origin.aborted)
            self.proxy.network.advance(1)
            self.assertTrue(origin.aborted)
            self.assertTrue(client.take().startswith(b"HTTP/1.1 504 "))
            self.assertFalse(client.ended)

    def test_otherTime(self) -> None:
        """
        The time can be set.
        """
        self.start(timers=InboundTimers(response=5))
        client, _ = self.forwarded()
        self.proxy.network.advance(5)
        self.assertEqual(self.answer(client).status, 504)

    def test_afterTheBody(self) -> None:
        """
        The minute begins when all of the request has been sent.
        """
        client, origin = self.forwarded(POST + b"Content-Length: 3\r\n\r\n")
        for octet in b"abc":
            self.proxy.network.advance(59)
            client.peerSends(bytes([octet]))
        self.proxy.network.advance(59)
        self.assertFalse(origin.aborted)
        self.proxy.network.advance(1)
        self.assertEqual(self.answer(client, "POST").status, 504)

    def test_bodyStops(self) -> None:
        """
        A client that sends nothing of its body for five minutes is told so.
        """
        client, origin = self.forwarded(LONG)
        for _ in range(3):
            self.proxy.network.advance(290)
            client.peerSends(b"x")
        self.proxy.network.advance(299)
        self.assertFalse(client.ended)
        self.proxy.network.advance(1)
        self.assertEqual(self.answer(client, "POST").status, 408)
        self.assertTrue(client.ended and origin.aborted)

    def test_slowAnswer(self) -> None:
        """
        An answer that has begun may take its time, as long as there is some
        of it from time to time.
        """
        self.start(timers=InboundTimers(relay=RelayTimers(idle=100)))
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS)
        for _ in range(10):
            self.proxy.network.advance(90)
            origin.peerSends(b"1\r\nx\r\n")
        self.assertFalse(client.aborted)
        self.proxy.network.pump([10] * 13)
        self.assertTrue(client.aborted and origin.aborted)
        self.assertNothingLeft()

    def test_endedClient(self) -> None:
        """
        A client that has ended its stream is not served for ever by an origin
        that says no more.
        """
        self.start(timers=InboundTimers(relay=RelayTimers(halfClosed=100, idle=0)))
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS)
        self.proxy.network.pump([10] * 20)
        client.peerEnds()
        self.proxy.network.pump([10] * 9)
        origin.peerSends(b"1\r\nx\r\n")
        self.proxy.network.pump([10] * 9)
        self.assertFalse(client.aborted)
        self.proxy.network.pump([10] * 4)
        self.assertTrue(client.aborted and origin.aborted)
        self.assertNothingLeft()

    def test_forEver(self) -> None:
        """
        Where relays may be idle for ever, so may answers.
        """
        self.start(timers=InboundTimers(relay=RelayTimers(idle=0)))
        client, origin = self.forwarded()
        origin.peerSends(ENDLESS)
        self.proxy.network.pump([100] * 1000)
        self.assertFalse(client.aborted)

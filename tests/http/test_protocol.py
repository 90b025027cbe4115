"""
Tests for L{socksproxy.http.protocol}: requests one after another, who makes
them, and how long they may take.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory, IPushProducer
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from socksproxy.auth.principals import IPrincipal
from socksproxy.http.protocol import HTTPHandshake
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.testing import MemoryTransport
from tests.accesslines import accessLines
from tests.http.proxying import (
    ALICE,
    CONNECT,
    ESTABLISHED,
    GET,
    HEAD,
    MALLORY,
    OK,
    POST,
    Answer,
    HTTPTestCase,
    answersIn,
    get,
)
from tests.logs import captured
from tests.memoryproxy import DenyNetworks, SlowChecker, SoleUser, passwords
from tests.socksclient import USERS

BASIC = b'Basic realm="socksproxy", charset="UTF-8"'


class TicketsOnly:
    """
    A checker of something that HTTP clients do not have.
    """

    credentialInterfaces = (IPrincipal,)

    def requestAvatarId(self, credentials: object) -> bytes:
        """
        See C{ICredentialsChecker}.
        """
        raise NotImplementedError


class SequenceTests(HTTPTestCase):
    """
    A connection carries one request after another.
    """

    def test_interfaces(self) -> None:
        """
        Factory, protocol and handshake are what Twisted takes them for.
        """
        verifyObject(IProtocolFactory, self.proxy.factory)
        self.proxy.connect()
        protocol = self.proxy.protocol()
        verifyObject(IHalfCloseableProtocol, protocol)
        verifyObject(IPushProducer, HTTPHandshake(self.freshProtocol()))

    def freshProtocol(self) -> Any:
        """
        Give a connection that has no producer yet.
        """
        protocol = self.proxy.protocol()
        protocol.transport.unregisterProducer()
        return protocol

    def test_twoRequests(self) -> None:
        """
        Two requests to one origin take one connection to it.
        """
        client = self.proxy.connect()
        for _ in range(2):
            answer = self.exchange(client)
            self.assertEqual((answer.status, answer.body), (200, b"hi"))
        self.assertEqual(self.dialled, ["192.0.2.1"])
        self.assertFalse(client.ended)

    def test_twoOrigins(self) -> None:
        """
        Another origin takes another connection, and the first is closed.
        """
        client = self.proxy.connect()
        self.exchange(client)
        first = self.origin()
        self.exchange(client, get("other.test"))
        self.assertEqual(self.dialled, ["192.0.2.1", "192.0.2.3"])
        self.assertTrue(first.lost)

    def test_pipelined(self) -> None:
        """
        Requests that come together are answered one after another, in order,
        and a later one is not even sent before the earlier one is answered.
        """
        client = self.asking(GET + get("other.test") + HEAD)
        self.assertEqual(self.dialled, ["192.0.2.1"])
        self.origin().peerSends(OK)
        self.proxy.settle()
        self.assertEqual(self.dialled, ["192.0.2.1", "192.0.2.3"])
        self.origin().peerSends(OK.replace(b"hi", b"ho"))
        self.proxy.settle()
        self.origin().peerSends(OK[:-2])
        self.proxy.settle()
        answers = answersIn(client.take(), "GET", "GET", "HEAD")
        self.assertEqual([answer.body for answer in answers], [b"hi", b"ho", b""])

    def test_manyPipelined(self) -> None:
        """
        However many requests that the proxy answers itself come at once, they
        are all answered.
        """
        star = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
        client = self.asking(star * 900)
        answered = client.take()
        while more := self.settledTake(client):
            answered += more
        self.assertEqual(answered.count(b"HTTP/1.1 200 "), 900)
        self.assertFalse(client.ended)

    def settledTake(self, client: MemoryTransport) -> bytes:
        """
        Let things happen, and take what the client has got.
        """
        self.proxy.settle()
        return client.take()

    def test_notRead(self) -> None:
        """
        A client that sends requests and takes no answers is not read, and
        what is written for it has a limit.
        """
        star = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
        client = self.proxy.connect()
        for _ in range(100):
            client.peerSends(star * 100)
        self.assertTrue(client.paused)
        written = len(b"".join(client._written))
        self.assertLess(written, 2 * 65536)
        self.proxy.network.advance(0)
        answered = client.take()
        while more := self.settledTake(client):
            answered += more
        # No more than these are answered on one connection.
        self.assertEqual(answered.count(b"HTTP/1.1 200 "), 1000)
        self.assertTrue(client.ended)

    def test_notReadForLong(self) -> None:
        """
        It is cut off when it has taken nothing for a minute.
        """
        client = self.proxy.connect()
        for _ in range(20):
            client.peerSends(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        self.proxy.network.pump([2.5] * 23)
        self.assertFalse(client.aborted)
        self.proxy.network.pump([2.5] * 2)
        self.assertTrue(client.aborted)
        self.assertNothingLeft()

    def test_heldForTheClient(self) -> None:
        """
        The time of a client that is not read because it does not read does
        not run against it.
        """
        client = self.asking(get("socksproxy.test") * 200)
        self.proxy.network.advance(40)
        self.assertFalse(client.ended)
        answered = client.take()
        while more := self.settledTake(client):
            answered += more
        self.assertEqual(answered.count(b"HTTP/1.1 200 "), 200)

    def test_requestsInAll(self) -> None:
        """
        The last request that a connection carries is answered with the word
        that it is.
        """
        client = self.proxy.connect()
        for number in range(1000):
            client.peerSends(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = self.answer(client, "OPTIONS")
            self.assertEqual(b"connection" in answer.fields, number == 999)
        self.assertTrue(client.ended)

    def test_HTTP10(self) -> None:
        """
        A client of HTTP/1.0 gets one answer, which the end of the stream
        ends, unless it asks for more and the length is known.
        """
        client = self.proxy.connect()
        answer = self.exchange(client, get("web.test", version=b"1.0"))
        self.assertEqual(answer.fields[b"connection"], b"close")
        self.assertTrue(client.ended)
        client = self.proxy.connect()
        asked = get("web.test", b"Connection: keep-alive\r\n", version=b"1.0")
        for _ in range(2):
            answer = self.exchange(client, asked)
            self.assertEqual(answer.fields[b"connection"], b"keep-alive")
            self.assertFalse(client.ended)
        answer = self.exchange(client, asked, b"HTTP/1.1 200 OK\r\n\r\nabc")
        self.assertFalse(answer.complete)
        self.origin().peerEnds()
        self.proxy.settle()
        self.assertTrue(client.ended)

    def test_clientCloses(self) -> None:
        """
        A client that says so is closed after its answer.
        """
        for name in (b"Connection", b"Proxy-Connection"):
            client = self.proxy.connect()
            answer = self.exchange(client, get("web.test", name + b": close\r\n"))
            self.assertEqual((answer.status, answer.body), (200, b"hi"))
            self.assertTrue(client.ended)
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_clientEnds(self) -> None:
        """
        A client that ends its stream after its request is still answered, and
        so are those that it has sent before.
        """
        client = self.proxy.connect()
        client.peerSends(GET + GET)
        client.peerEnds()
        for _ in range(2):
            self.proxy.settle()
            self.origin().peerSends(OK)
            self.proxy.settle()
        self.assertEqual(len(answersIn(client.take(), "GET", "GET")), 2)
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_clientDone(self) -> None:
        """
        A client that ends its stream after its answer is closed.
        """
        client = self.proxy.connect()
        self.exchange(client)
        client.peerEnds()
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_keptAfterErrors(self) -> None:
        """
        What an origin does not do, or the rules forbid, leaves the client's
        connection as it was.
        """
        self.start(policy=DenyNetworks(["192.0.2.3/32"]))
        client = self.proxy.connect()
        for host, status in (
            ("refusing.test", 502),
            ("nowhere.test", 502),
            ("other.test", 403),
            ("silent.test", 504),
        ):
            client.peerSends(get(host))
            self.proxy.network.advance(31)
            answer = self.answer(client)
            self.assertEqual((answer.status, answer.complete), (status, True), host)
            self.assertIn(b"proxy-status", answer.fields)
            self.assertEqual(answer.fields[b"cache-control"], b"no-store")
        self.assertEqual(self.exchange(client).status, 200)

    def test_closedWithBody(self) -> None:
        """
        An answer that comes before all of the request closes the connection.
        """
        client = self.asking(
            b"POST http://refusing.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
        )
        answer = self.answer(client, "POST")
        self.assertEqual((answer.status, answer.fields[b"connection"]), (502, b"close"))
        self.assertTrue(client.ended)
        client.peerSends(b"defghi" + GET)
        self.proxy.network.advance(3)
        self.assertEqual(client.take(), b"")
        self.assertNothingLeft()

    def test_bodyIsNoRequest(self) -> None:
        """
        The body of a request that the proxy answers itself is not taken for
        another.
        """
        client = self.asking(
            b"POST http://refusing.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            % len(GET)
            + GET
            + get("web.test")
        )
        self.assertEqual(self.answer(client, "POST").status, 502)
        self.assertEqual(self.dialled, ["192.0.2.2", "192.0.2.1"])
        self.origin().peerSends(OK)
        self.assertEqual(self.answer(client).status, 200)

    def test_loop(self) -> None:
        """
        A request that has been here before is told so, and closed.
        """
        client = self.asking(get("web.test", b"Via: 1.1 other, 1.1 proxy-1\r\n"))
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (508, b"close"))
        self.assertEqual(self.dialled, [])

    def test_HEAD(self) -> None:
        """
        What the proxy says itself has no body either, if it must not have.
        """
        client = self.asking(get("refusing.test", method=b"HEAD"))
        answered = client.take()
        self.assertTrue(answered.endswith(b"\r\n\r\n"))
        (answer,) = answersIn(answered, "HEAD")
        self.assertEqual(answer.status, 502)
        self.assertGreater(int(answer.fields[b"content-length"]), 0)

    def test_malformedLater(self) -> None:
        """
        A later request can be malformed as the first can, and has a line of
        its own.
        """
        with captured() as events:
            client = self.proxy.connect()
            self.exchange(client)
            client.peerSends(b"GET / HTTP/1.1\n")
            self.assertEqual(self.answer(client).status, 400)
            self.assertTrue(client.ended)
            client.peerSends(GET)
            self.proxy.network.advance(3)
        self.assertEqual(
            [line["result"] for line in accessLines(events)], ["succeeded", "malformed"]
        )
        self.assertEqual(self.dialled, ["192.0.2.1"])
        self.assertNothingLeft()


class OwnAnswerTests(HTTPTestCase):
    """
    What the proxy answers itself.
    """

    def ask(self, said: bytes, method: str = "GET") -> Answer:
        """
        Have a client ask something on a connection of its own, which is kept.
        """
        client = self.asking(said)
        answer = self.answer(client, method)
        self.assertFalse(client.ended)
        self.assertEqual(self.dialled, [])
        return answer

    def test_OPTIONS(self) -> None:
        """
        What the proxy can do, also where no hop more is left to ask.
        """
        last = b"Max-Forwards: 0\r\n"
        for said in (
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            get("web.test", last, method=b"OPTIONS"),
        ):
            answer = self.ask(said, "OPTIONS")
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertIn(b"CONNECT", answer.fields[b"allow"])

    def test_lessHops(self) -> None:
        """
        Where a hop is left, there is one less.
        """
        self.asking(get("web.test", b"Max-Forwards: 1\r\n", method=b"OPTIONS"))
        self.assertIn(b"\r\nMax-Forwards: 0\r\n", self.origin().take())

    def test_TRACE(self) -> None:
        """
        Nobody's request is shown to anybody.
        """
        answer = self.ask(get("web.test", b"Cookie: s3cret\r\n", method=b"TRACE"), "TRACE")
        self.assertEqual(answer.status, 405)
        self.assertNotIn(b"TRACE", answer.fields[b"allow"])
        self.assertNotIn(b"s3cret", answer.body)

    def test_PAC(self) -> None:
        """
        Programs that ask how to use the proxy need no password to be told.
        """
        self.start(checkers=[passwords(USERS)])
        answer = self.ask(b"GET /proxy.pac HTTP/1.1\r\nHost: proxy.test:1080\r\n\r\n")
        self.assertEqual(answer.status, 200)
        self.assertIn(b"FindProxyForURL", answer.body)
        self.assertIn(b"proxy.test:1080", answer.body)

    def test_noProxyRequest(self) -> None:
        """
        Whoever takes the proxy for a web server is told so.
        """
        client = self.asking(b"GET /index.html HTTP/1.1\r\nHost: web.test\r\n\r\n")
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (400, b"close"))
        self.assertEqual(self.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 200)

    def test_proof(self) -> None:
        """
        The proxy's own name leads to a page that shows that it works; it is
        for those who get in.
        """
        answer = self.ask(get("socksproxy.test"))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"127.0.0.1", answer.body)
        self.start(checkers=[passwords(USERS)])
        self.assertEqual(self.ask(get("socksproxy.test")).status, 407)
        answer = self.ask(get("socksproxy.test", ALICE))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"alice", answer.body)


class LoginTests(HTTPTestCase):
    """
    Every request says who makes it.
    """

    def setUp(self) -> None:
        """
        Start a proxy that wants a password.
        """
        self.start(checkers=[passwords(USERS)])

    def test_missing(self) -> None:
        """
        Who does not say so is asked, which is no wrong guess: it takes no
        time, nothing is logged, and the connection can be used for the
        answer.
        """
        with captured() as events:
            client = self.proxy.connect()
            for _ in range(3):
                client.peerSends(GET)
                answer = self.answer(client)
                self.assertEqual(answer.status, 407)
                self.assertEqual(answer.fields[b"proxy-authenticate"], BASIC)
            self.assertEqual(self.exchange(client, get("web.test", ALICE)).status, 200)
        self.assertEqual([e for e in events if e["log_level"] >= LogLevel.warn], [])

    def test_eachRequest(self) -> None:
        """
        One request's password does not count for the next.
        """
        client = self.proxy.connect()
        self.assertEqual(self.exchange(client, get("web.test", ALICE)).status, 200)
        client.peerSends(GET)
        self.assertEqual(self.answer(client).status, 407)
        client.peerSends(CONNECT)
        self.assertEqual(self.answer(client).status, 407)

    def test_removed(self) -> None:
        """
        The origin gets nothing of it.
        """
        self.asking(get("web.test", ALICE, b"Authorization: Basic eDp5\r\n"))
        received = self.origin().take()
        self.assertNotIn(b"Proxy-", received)
        self.assertIn(b"Authorization: Basic eDp5", received)

    def test_wrong(self) -> None:
        """
        A wrong guess is logged and has to wait, twice as long the second time;
        the connection can be used for a better one.
        """
        with captured() as events:
            client = self.proxy.connect()
            for delay in (1, 2):
                client.peerSends(get("web.test", MALLORY))
                self.proxy.network.advance(delay - 0.25)
                self.assertEqual(client.take(), b"")
                self.proxy.network.advance(0.25)
                self.assertEqual(self.answer(client).status, 407)
            self.assertEqual(self.exchange(client, get("web.test", ALICE)).status, 200)
        guesses = [event for event in events if event.get("log_event") == "auth-failure"]
        self.assertEqual([event["user"] for event in guesses], ["alice", "alice"])
        self.assertEqual(
            [(line["result"], line["user"]) for line in accessLines(events)],
            [("authentication failed", "-")] * 2 + [("succeeded", "alice")],
        )

    def test_malformed(self) -> None:
        """
        What is no name and password is neither right nor a guess.
        """
        for value in (b"Basic ???", b"Bearer YTpi", b"Basic YQ==", b"Basic"):
            client = self.asking(get("web.test", b"Proxy-Authorization: %b\r\n" % value))
            self.assertEqual(self.answer(client).status, 407, value)
            client = self.asking(get("web.test", ALICE, ALICE))
            self.assertEqual(self.answer(client).status, 407, value)

    def test_CONNECT(self) -> None:
        """
        A tunnel is asked for again on the same connection, unless something
        has come that could be taken for another request.
        """
        client = self.asking(CONNECT)
        self.assertEqual(self.answer(client).status, 407)
        client.peerSends(CONNECT[:-2] + ALICE + b"\r\n")
        self.proxy.settle()
        self.assertEqual(client.take(), ESTABLISHED)
        client = self.asking(CONNECT + get("other.test", ALICE))
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (407, b"close"))
        self.assertTrue(client.ended)
        self.assertEqual(self.dialled, ["192.0.2.1"])

    def test_withBody(self) -> None:
        """
        A body that is all there is no reason to close, but one that is still
        to come is.
        """
        client = self.asking(POST + b"Content-Length: 3\r\n\r\nabc")
        self.assertEqual(self.answer(client, "POST").status, 407)
        self.assertFalse(client.ended)
        client = self.asking(POST + b"Content-Length: 3\r\n\r\nab")
        self.assertEqual(self.answer(client, "POST").status, 407)
        self.assertTrue(client.ended)

    def test_offeredInVain(self) -> None:
        """
        A password that nobody asks for does no harm, whatever it is.
        """
        self.start()
        client = self.proxy.connect()
        for line in (ALICE, b"Proxy-Authorization: Basic ???\r\n"):
            self.assertEqual(self.exchange(client, get("web.test", line)).status, 200)

    def test_either(self) -> None:
        """
        Where both get in, who says who it is has to be that.
        """
        self.start(checkers=[passwords(USERS), AllowAnonymousAccess()])
        client = self.proxy.connect()
        self.assertEqual(self.exchange(client).status, 200)
        for line in (MALLORY, b"Proxy-Authorization: Basic ???\r\n"):
            client.peerSends(get("web.test", line))
            self.proxy.network.advance(1)
            self.assertEqual(self.answer(client).status, 407)

    def test_users(self) -> None:
        """
        One user's connection to an origin is not another's.
        """
        self.start(checkers=[passwords({**USERS, "bob": "b"}), AllowAnonymousAccess()])
        client = self.proxy.connect()
        bob = b"Proxy-Authorization: Basic Ym9iOmI=\r\n"
        for line in (ALICE, ALICE, bob, b""):
            self.assertEqual(self.exchange(client, get("web.test", line)).status, 200)
        self.assertEqual(self.dialled, ["192.0.2.1"] * 3)

    def test_slowly(self) -> None:
        """
        Checking a password may take its time. What the client sends
        meanwhile is kept, up to a limit.
        """
        checker = SlowChecker()
        self.start(checkers=[checker])
        client = self.asking(
            POST.replace(b"Host", ALICE + b"Host") + b"Content-Length: 200000\r\n\r\n"
        )
        client.peerSends(b"x" * 65536)
        self.assertTrue(client.paused)
        self.proxy.network.advance(100)
        self.assertFalse(client.ended)
        checker.verdicts[0].callback(b"alice")
        self.proxy.settle()
        origin = self.origin()
        self.assertTrue(origin.take().endswith(b"x" * 65536))
        self.assertFalse(client.paused)

    def test_goneMeanwhile(self) -> None:
        """
        A client that goes while its password is checked leaves nothing.
        """
        checker = SlowChecker()
        self.start(checkers=[checker])
        client = self.asking(get("web.test", ALICE))
        client.peerResets()
        checker.verdicts[0].callback(b"alice")
        self.assertEqual(self.dialled, [])
        self.assertNothingLeft()

    def test_endedWhileRejected(self) -> None:
        """
        One that ends its stream while it waits for a no is told, and closed.
        """
        client = self.asking(get("web.test", MALLORY))
        client.peerEnds()
        self.proxy.network.advance(1)
        self.assertEqual(self.answer(client).status, 407)
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_otherKinds(self) -> None:
        """
        Where nobody gets in by a password nobody is asked for one.
        """
        self.start(checkers=[TicketsOnly()])
        for said in (GET, get("web.test", ALICE)):
            answer = self.answer(self.asking(said))
            self.assertEqual(answer.status, 403)
            self.assertNotIn(b"proxy-authenticate", answer.fields)

    def test_undecided(self) -> None:
        """
        When a password cannot be checked the client is told that, and not
        that it is wrong.
        """
        checker = SlowChecker()
        self.start(checkers=[checker])
        client = self.asking(get("web.test", ALICE))
        checker.verdicts[0].errback(RuntimeError("the disk is full"))
        self.flushLoggedErrors(RuntimeError)
        self.assertEqual(self.answer(client).status, 500)

    def test_sessions(self) -> None:
        """
        Each request's session ends with it.
        """
        realm = SoleUser(lambda: self.fail("nobody connects"))
        self.start(realm=realm, checkers=[passwords(USERS)])
        client = self.proxy.connect()
        for number in range(3):
            client.peerSends(get("socksproxy.test", ALICE))
            self.assertEqual(self.answer(client).status, 200)
            self.assertEqual(realm.logouts, number + 1)
        client.peerEnds()
        self.proxy.settle()
        self.assertEqual(realm.logouts, 3)


class TimeTests(HTTPTestCase):
    """
    How long a client is waited for.
    """

    def test_silence(self) -> None:
        """
        Who says nothing at all is cut off.
        """
        client = self.proxy.connect()
        self.proxy.network.advance(10)
        self.assertTrue(client.aborted)
        self.assertEqual(client.take(), b"")
        self.assertNothingLeft()

    def test_firstHead(self) -> None:
        """
        The first request has the time of any handshake, and who has begun it
        is told that it is over.
        """
        client = self.proxy.connect()
        for octet in GET[:19]:
            client.peerSends(bytes([octet]))
            self.proxy.network.advance(0.5)
        self.assertEqual(client.take(), b"")
        self.proxy.network.advance(0.5)
        self.assertEqual(self.answer(client).status, 408)
        self.assertTrue(client.ended)
        self.proxy.network.advance(3)
        self.assertNothingLeft()

    def test_kept(self) -> None:
        """
        A client is given a minute for another request, and closed without a
        word then, and without a line.
        """
        with captured() as events:
            client = self.proxy.connect()
            self.exchange(client)
            self.proxy.network.advance(59.75)
            self.assertFalse(client.ended)
            self.proxy.network.advance(0.25)
            self.proxy.settle()
            self.assertTrue(client.lost)
            self.assertFalse(client.aborted)
        self.assertEqual(client.take(), b"")
        self.assertEqual(len(accessLines(events)), 1)
        self.assertNothingLeft()

    def test_laterHead(self) -> None:
        """
        Once it has begun another it has half a minute to end it.
        """
        for wait in (0, 50):
            client = self.proxy.connect()
            self.exchange(client)
            self.proxy.network.advance(wait)
            client.peerSends(GET[:9])
            self.proxy.network.advance(29)
            self.assertFalse(client.ended)
            client.peerSends(GET[9:11])
            self.proxy.network.advance(1)
            self.assertEqual(self.answer(client).status, 408)
            self.assertTrue(client.ended)

    def test_pipelinedHead(self) -> None:
        """
        That is so, too, if it had begun before the first was answered.
        """
        client = self.asking(GET + GET[:9])
        self.origin().peerSends(OK)
        self.assertEqual(self.answer(client).status, 200)
        self.proxy.network.advance(29)
        self.assertFalse(client.ended)
        self.proxy.network.advance(1)
        self.assertEqual(self.answer(client).status, 408)

    def test_afterTime(self) -> None:
        """
        The time starts anew with each request.
        """
        client = self.proxy.connect()
        for _ in range(5):
            self.proxy.network.advance(9)
            self.assertEqual(self.exchange(client).status, 200)
            self.proxy.network.advance(50)
        self.assertFalse(client.ended)


class TunnelTests(HTTPTestCase):
    """
    CONNECT.
    """

    def test_relays(self) -> None:
        """
        It relays, both ways, to the end of either stream.
        """
        client = self.asking(CONNECT + b"early")
        self.assertEqual(client.take(), ESTABLISHED)
        target = self.origin()
        client.peerSends(b" bird")
        self.assertEqual(target.take(), b"early bird")
        target.peerSends(b"worm")
        self.assertEqual(client.take(), b"worm")
        target.peerEnds()
        self.assertTrue(client.ended)
        client.peerSends(b"more")
        self.assertEqual(target.take(), b"more")
        client.peerEnds()
        self.assertNothingLeft()

    def test_afterRequests(self) -> None:
        """
        A connection that has carried requests can become a tunnel.
        """
        client = self.proxy.connect()
        self.exchange(client)
        first = self.origin()
        client.peerSends(CONNECT)
        self.proxy.settle()
        self.assertEqual(client.take(), ESTABLISHED)
        self.assertTrue(first.lost)
        self.assertIsNot(self.origin(), first)

    def test_backPressure(self) -> None:
        """
        The relay's back pressure is the only one left.
        """
        client = self.asking(CONNECT)
        client.take()
        target = self.origin()
        for _ in range(3):
            target.peerSends(b"x" * 40000)
        self.assertTrue(target.paused)
        client.take()
        self.assertFalse(target.paused)
        for _ in range(3):
            client.peerSends(b"x" * 40000)
        self.assertTrue(client.paused)
        target.take()
        self.assertFalse(client.paused)

    def test_muchEarlyData(self) -> None:
        """
        What comes before the dial is over is kept up to a limit, and then the
        client is not read; who goes on sending is cut off.
        """
        for more, expected in ((0, False), (65536, True)):
            client = self.asking(CONNECT.replace(b"web", b"silent"))
            client.peerSends(b"x" * 65536)
            self.assertTrue(client.paused)
            client.paused = False
            client.peerSends(b"x" * more + b"y")
            self.assertEqual(client.aborted, expected)

    def test_failsWithoutEarlyData(self) -> None:
        """
        Where there is no tunnel the connection is closed, since what may be
        under way is no request.
        """
        client = self.asking(CONNECT.replace(b"web", b"refusing"))
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (502, b"close"))
        self.assertTrue(client.ended)

    def test_fails(self) -> None:
        """
        Where there is no tunnel the client is told why and closed, and what
        followed is no request.
        """
        client = self.asking(CONNECT.replace(b"web", b"refusing") + GET)
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (502, b"close"))
        self.assertTrue(client.ended)
        client.peerSends(GET)
        self.proxy.network.advance(2)
        self.assertEqual(self.dialled, ["192.0.2.2"])
        self.assertNothingLeft()

    def test_clientGone(self) -> None:
        """
        A dial is given up when the client goes.
        """
        client = self.asking(CONNECT.replace(b"web", b"silent"))
        client.peerResets()
        self.assertEqual(self.proxy.network.cancelled, 1)
        self.assertNothingLeft()


class AccessTests(HTTPTestCase):
    """
    Each request has a line of its own.
    """

    def test_everyField(self) -> None:
        """
        The line has everything that is known of a request.
        """
        with captured() as events:
            client = self.proxy.clientAt("192.0.2.77", 40077)
            self.proxy.network.advance(3)
            client.peerSends(POST + b"Content-Length: 3\r\n\r\nab")
            self.proxy.network.advance(1)
            client.peerSends(b"c")
            sent = len(self.origin().take())
            self.proxy.network.advance(0.5)
            self.origin().peerSends(OK)
            self.assertEqual(len(accessLines(events)), 1)
            self.exchange(client)
        lines = accessLines(events)
        self.assertEqual(
            lines[0],
            {
                "protocol": "HTTP",
                "listener": "-",
                "client": "192.0.2.77:40077",
                "user": "-",
                "claimed": "-",
                "command": "POST",
                "destination": "web.test:80",
                "address": "192.0.2.1:80",
                "result": "succeeded",
                "sent": sent,
                "received": len(OK),
                "datagramsSent": 0,
                "datagramsReceived": 0,
                "datagramsDropped": 0,
                "duration": 1.5,
                "reason": "answered 200",
            },
        )
        self.assertEqual((lines[1]["command"], lines[1]["duration"]), ("GET", 0.0))

    def test_each(self) -> None:
        """
        There are as many lines as requests, and no more for the connection.
        """
        lines = self.lines(GET, get("other.test"), HEAD)
        self.assertEqual([line["command"] for line in lines], ["GET", "GET", "HEAD"])
        lines = self.lines(GET, CONNECT)
        self.assertEqual([line["command"] for line in lines], ["GET", "CONNECT"])
        self.assertEqual([line["protocol"] for line in lines], ["HTTP", "HTTP"])

    def test_refused(self) -> None:
        """
        A refusal is told by what it is.
        """
        star = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
        for said, result in (
            (get("refusing.test"), "connection refused"),
            (get("nowhere.test"), "name not found"),
            (b"GET http://a.test/ HTTP/1.1\r\n\r\n", "malformed"),
            (b"GET https://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n", "command not supported"),
            (get("web.test", method=b"TRACE"), "command not supported"),
            (get("web.test", b"Via: 1.1 proxy-1\r\n"), "not allowed"),
            (star, "succeeded"),
        ):
            (line,) = self.lines(said)
            self.assertEqual((line["protocol"], line["result"]), ("HTTP", result), said)
            self.assertEqual((line["sent"], line["received"], line["address"]), (0, 0, "-"))

    def test_notAsSent(self) -> None:
        """
        A method that nobody knows is shown so that it cannot forge a line.
        """
        (line,) = self.lines(get("web.test", method=b"G'" + b"x" * 100))
        self.assertEqual(line["command"], "G\\x27" + "x" * 62 + "...")

    def test_state(self) -> None:
        """
        What is under way is told while it is.
        """
        client = self.asking(GET)
        state = self.proxy.protocol().state().numbers
        sent = len(self.origin().take())
        self.assertEqual((state["command"], state["sent"], state["received"]), ("GET", sent, 0))
        self.origin().peerSends(b"HTTP/1.1 200 OK\r\n\r\nabc")
        self.assertEqual(self.proxy.protocol().state().numbers["received"], 22)
        client.peerResets()
        self.assertNothingLeft()


class LimitTests(HTTPTestCase):
    """
    HTTP clients are counted as all others.
    """

    def test_handshakes(self) -> None:
        """
        A client counts among those that have made no request until it has
        made one that gets somewhere.
        """
        self.start(limits=ConnectionLimits(handshakes=1), checkers=[passwords(USERS)])
        client = self.proxy.connect()
        client.peerSends(GET)
        self.assertEqual(self.answer(client).status, 407)
        self.assertTrue(self.proxy.connect().aborted)
        self.exchange(client, get("web.test", ALICE))
        self.assertFalse(self.proxy.connect().aborted)

    def test_kept(self) -> None:
        """
        A connection that is kept counts.
        """
        self.start(limits=ConnectionLimits(total=1))
        client = self.proxy.connect()
        self.exchange(client)
        self.assertTrue(self.proxy.connect().aborted)
        client.peerEnds()
        self.proxy.settle()
        self.assertFalse(self.proxy.connect().aborted)


class MemoryTests(HTTPTestCase):
    """
    What a client leaves.
    """

    def test_freedAtOnce(self) -> None:
        """
        When a client has gone nothing of it waits for a garbage collection.
        """
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        refused = get("refusing.test")
        for said, ends in (
            (GET, "peerEnds"),
            (GET + refused, "peerEnds"),
            (GET, "peerResets"),
            (refused + b"x\n", "peerEnds"),
            (CONNECT, "peerEnds"),
        ):
            client = self.asking(said)
            handshake: Any = self.proxy.protocol()._receiver
            gone = [weakref.ref(self.proxy.protocol()), weakref.ref(handshake)]
            exchange = getattr(handshake, "_exchange", None)
            if exchange is not None:
                gone += [weakref.ref(exchange), weakref.ref(exchange._origin)]
            del handshake, exchange
            for attempt in self.proxy.network.attempts:
                if attempt.transport is not None and ends == "peerEnds":
                    attempt.transport.peerSends(OK)
                    attempt.transport.peerEnds()
            self.proxy.network.advance(1)
            getattr(client, ends)()
            self.assertNothingLeft()
            attempt = None  # type: ignore[assignment]
            self.proxy.network.attempts.clear()
            # What stands for the sockets.
            client._protocol = None  # type: ignore[assignment]
            del client
            self.assertEqual([each() for each in gone], [None] * len(gone), said)


class ShutDownTests(HTTPTestCase):
    """
    The service stops.
    """

    def test_idle(self) -> None:
        """
        A client that is waited for is closed.
        """
        client = self.proxy.connect()
        self.exchange(client)
        self.assertFalse(self.proxy.protocol().shutDown())
        self.assertNothingLeft()
        self.assertTrue(client.lost)

    def test_underWay(self) -> None:
        """
        An answer that is under way is given, with the word that it is the
        last, and then the connection is closed.
        """
        client = self.asking(GET + GET)
        self.assertTrue(self.proxy.protocol().shutDown())
        self.origin().peerSends(OK)
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (200, b"close"))
        self.assertTrue(client.ended)
        self.proxy.network.advance(2)
        self.assertNothingLeft()

    def test_fails(self) -> None:
        """
        So is one that there is not.
        """
        client = self.asking(GET)
        self.assertTrue(self.proxy.protocol().shutDown())
        self.origin().peerEnds()
        answer = self.answer(client)
        self.assertEqual((answer.status, answer.fields[b"connection"]), (502, b"close"))

    def test_begun(self) -> None:
        """
        So is one that had begun, and cannot say so any more.
        """
        client = self.asking(GET)
        self.origin().peerSends(OK[:-1])
        self.assertTrue(self.proxy.protocol().shutDown())
        self.origin().peerSends(OK[-1:])
        self.assertEqual(self.answer(client).body, b"hi")
        self.assertTrue(client.ended)

    def test_abort(self) -> None:
        """
        What takes too long is cut off at both ends.
        """
        client = self.asking(GET)
        origin = self.origin()
        self.proxy.protocol().abort("shut down")
        self.assertTrue(client.aborted and origin.aborted)
        self.assertNothingLeft()

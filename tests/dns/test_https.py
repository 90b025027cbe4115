"""
Tests for L{socksproxy.dns.https}: HTTP as it goes through TLS.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.dns.asking import NoReply
from socksproxy.dns.https import HTTPSpeaker
from socksproxy.dns.links import Links
from socksproxy.dns.message import Query, makeQuery, readQuery
from socksproxy.dns.reply import Reply
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.dns.messages import ANSWERED
from tests.dns.upstreaming import PACKED, SERVER, pending, replyOctets

KIND = b"Content-Type: application/dns-message\r\n"


def response(body: bytes, head: bytes = KIND, status: bytes = b"200 OK") -> bytes:
    """
    Write a response.
    """
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + head + length + b"\r\n" + body


class HTTPTestCase(SynchronousTestCase):
    """
    Tests with a name server of HTTP, without TLS.
    """

    def setUp(self) -> None:
        """
        Make a network with a name server.
        """
        self.network = ScriptedNetwork({f"{SERVER}:443": "accept"})
        self.upstream = Links(
            self.network,
            "ns.test",
            TCP4ClientEndpoint(self.network, SERVER, 443),
            lambda link: HTTPSpeaker(link, "dns.test:8443", "/dns-query?a=b"),
            2,
            1,
        )

    @property
    def connections(self) -> list[MemoryTransport]:
        """
        Give the connections that have been made.
        """
        return [each.transport for each in self.network.attempts if each.transport is not None]

    def ask(self, name: str = "www.test") -> Deferred[Reply]:
        """
        Ask, and let connections be made.
        """
        asking = self.upstream.ask(makeQuery(name, 1))
        self.network.advance(0)
        return asking

    def query(self, number: int = 0) -> Query:
        """
        Read the query in the request that has come over a connection.
        """
        _, _, body = self.connections[number].take().partition(b"\r\n\r\n")
        return readQuery(body)

    def say(self, octets: bytes, number: int = 0) -> None:
        """
        Have the name server send something.
        """
        self.connections[number].peerSends(octets)


class RequestTests(HTTPTestCase):
    """
    What is sent.
    """

    def test_request(self) -> None:
        """
        A question is a POST request whose body is the query, with the number
        0 and padded to a multiple of 128 octets.
        """
        self.ask()
        written = self.connections[0].take()
        head, _, body = written.partition(b"\r\n\r\n")
        self.assertEqual(
            head.split(b"\r\n"),
            [
                b"POST /dns-query?a=b HTTP/1.1",
                b"Host: dns.test:8443",
                b"Accept: application/dns-message",
                b"Content-Type: application/dns-message",
                b"Content-Length: 128",
            ],
        )
        self.assertEqual(len(body), 128)
        query = readQuery(body)
        self.assertEqual((query.id, query.name), (0, "www.test"))

    def test_oneAtATime(self) -> None:
        """
        A connection carries one question at a time. While all are taken the
        next ones wait, and come in the order in which they were asked.
        """
        asking = [self.ask(f"n{number}.test") for number in range(5)]
        self.assertEqual(len(self.connections), 2)
        for number in range(5):
            query = self.query(number % 2)
            self.assertEqual(query.name, f"n{number}.test")
            self.say(response(replyOctets(query, PACKED)), number % 2)
            self.successResultOf(asking[number])
        self.assertEqual(len(self.connections), 2)


class ResponseTests(HTTPTestCase):
    """
    What comes back.
    """

    def test_reply(self) -> None:
        """
        The reply is the body, however it is cut; the connection is kept.
        """
        for length in (1, 7, 1000):
            asking = self.ask()
            octets = response(replyOctets(self.query(), PACKED))
            for start in range(0, len(octets), length):
                self.assertNoResult(asking)
                self.say(octets[start : start + length])
            self.assertEqual(len(self.successResultOf(asking).addresses), 1)
        self.assertEqual(len(self.connections), 1)

    def test_chunked(self) -> None:
        """
        So it is if it comes in chunks, and after a response that is
        provisional.
        """
        asking = self.ask()
        body = replyOctets(self.query(), PACKED)
        self.say(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 200 OK\r\n")
        self.say(
            b"Content-Type: Application/DNS-message; a=b\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for part in (body[:5], body[5:]):
            self.assertNoResult(asking)
            self.say(b"%x\r\n%s\r\n" % (len(part), part))
        self.say(b"0\r\n\r\n")
        self.successResultOf(asking)

    def test_authenticity(self) -> None:
        """
        What has come in TLS is believed: AD stays.
        """
        asking = self.ask()
        self.say(response(replyOctets(self.query(), PACKED, flags=ANSWERED | 0x0020)))
        self.assertEqual(self.successResultOf(asking).flags & 0x0020, 0x0020)

    def test_lastResponse(self) -> None:
        """
        After a response that says so, the connection is closed and the next
        question goes over another one.
        """
        asking, later = self.ask("a.test"), self.ask("b.test")
        waiting = self.ask("c.test")
        octets = replyOctets(self.query(), PACKED)
        self.say(response(octets, KIND + b"Connection: close\r\n"))
        self.successResultOf(asking)
        self.assertTrue(self.connections[0].disconnecting)
        self.network.advance(0)
        self.assertEqual(len(self.connections), 3)
        self.assertEqual(self.query(2).name, "c.test")
        self.assertNoResult(later)
        self.assertNoResult(waiting)

    def test_untilTheEnd(self) -> None:
        """
        A response without a length ends with its connection.
        """
        asking = self.ask()
        body = replyOctets(self.query(), PACKED)
        self.say(b"HTTP/1.1 200 OK\r\n" + KIND + b"\r\n" + body)
        self.assertNoResult(asking)
        self.connections[0].peerEnds()
        self.successResultOf(asking)
        self.assertEqual(len(self.connections), 1)

    def test_cutOff(self) -> None:
        """
        A response that is cut off is none: the question is asked once more.
        """
        for cut in (lambda t: t.peerEnds(), lambda t: t.peerResets()):
            self.setUp()
            asking = self.ask()
            for number in range(2):
                self.assertNoResult(asking)
                octets = response(replyOctets(self.query(number), PACKED))
                self.say(octets[:-1], number)
                cut(self.connections[number])
                self.network.advance(0)
            self.failureResultOf(asking, NoReply)
            self.assertEqual(len(self.connections), 2)

    def test_resetWithoutLength(self) -> None:
        """
        A reset is no end of a response, whatever has come before it.
        """
        asking = self.ask()
        body = replyOctets(self.query(), PACKED)
        self.say(b"HTTP/1.1 200 OK\r\n" + KIND + b"\r\n" + body)
        self.connections[0].peerResets()
        self.assertNoResult(asking)

    def test_objections(self) -> None:
        """
        A response of another status or kind is a failure whose reason is
        told, and the connection can be used further.
        """
        for octets, words in (
            (response(b"no", status=b"429 Too Many Requests"), "status 429"),
            (response(b"no", b"Content-Type: text/html\r\n"), "something else than DNS"),
            (response(b"", b""), "something else than DNS"),
        ):
            asking = self.ask()
            self.query()
            self.say(octets)
            self.assertIn(words, str(self.failureResultOf(asking, NoReply).value))
        asking = self.ask()
        self.say(response(replyOctets(self.query(), PACKED)))
        self.successResultOf(asking)
        self.assertEqual(len(self.connections), 1)

    def test_nonsense(self) -> None:
        """
        What is no HTTP, too long, another answer, or none at all, costs the
        connection.
        """
        other = replyOctets(makeQuery("b.test", 1), PACKED)
        numbered = replyOctets(makeQuery("www.test", 1, number=7), PACKED)
        for octets in (
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + bytes(20_000),
            response(other),
            response(numbered),
            response(b""),
            response(replyOctets(makeQuery("www.test", 1), PACKED) + bytes(65536)),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + KIND + b"\r\n"
            b"20000\r\n" + bytes(0x10001),
        ):
            self.setUp()
            asking = self.ask()
            for number in range(2):
                self.query(number)
                self.assertNoResult(asking)
                self.say(octets, number)
                self.assertTrue(self.connections[number].aborted, octets[:40])
                self.network.advance(0)
            self.failureResultOf(asking, NoReply)

    def test_notAskedFor(self) -> None:
        """
        A response that nobody has asked for costs the connection.
        """
        asking = self.ask()
        octets = response(replyOctets(self.query(), PACKED))
        self.say(octets + octets)
        self.successResultOf(asking)
        self.assertTrue(self.connections[0].aborted)

    def test_begunUnasked(self) -> None:
        """
        So does the beginning of one, which would be in the way of the next
        question.
        """
        first = self.ask()
        self.network.advance(0)
        self.say(response(replyOctets(self.query(0), PACKED)), 0)
        self.successResultOf(first)
        begun = response(bytes(100))[:-50]
        self.say(begun, 0)
        second = self.ask("two.test")
        self.network.advance(0)
        self.say(response(replyOctets(self.query(1), PACKED)), 1)
        self.successResultOf(second)

    def test_cancelled(self) -> None:
        """
        The connection of a question that is given up is dropped, as its
        response would be in the way.
        """
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertTrue(self.connections[0].aborted)

    def test_cancelledInTheQueue(self) -> None:
        """
        One that waits for a connection is never sent.
        """
        asking: list[Deferred[Any]] = [self.ask(f"n{number}.test") for number in range(4)]
        asking[2].cancel()
        self.failureResultOf(asking[2], CancelledError)
        self.say(response(replyOctets(self.query(), PACKED)))
        self.assertEqual(self.query().name, "n3.test")

    def test_refused(self) -> None:
        """
        If there is no connection to be had, those who wait for one are told,
        and it is not tried for each of them.
        """
        self.network.world[f"{SERVER}:443"] = "ECONNREFUSED"
        asking = [self.upstream.ask(makeQuery(f"n{number}.test", 1)) for number in range(6)]
        self.network.advance(0)
        for each in asking:
            self.failureResultOf(each, NoReply)
        self.assertEqual(len(self.network.attempts), 2)
        self.assertEqual(pending(self.network), 0)

    def test_close(self) -> None:
        """
        When it is closed, those who wait for a connection do so no longer.
        """
        asking = [self.ask(f"n{number}.test") for number in range(4)]
        closed = self.upstream.close()
        for each in asking:
            self.failureResultOf(each, NoReply)
        self.network.advance(0)
        self.successResultOf(closed)
        self.assertEqual(pending(self.network), 0)

    def test_idle(self) -> None:
        """
        A connection that the name server closes when it is idle is replaced
        when there is a question, without anybody noticing.
        """
        asking = self.ask()
        self.say(response(replyOctets(self.query(), PACKED)))
        self.successResultOf(asking)
        self.connections[0].peerEnds()
        asking = self.ask()
        self.say(response(replyOctets(self.query(1), PACKED)), 1)
        self.successResultOf(asking)

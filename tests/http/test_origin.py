"""
Tests for L{socksproxy.http.origin}: which requests go over a connection that
others have used.
"""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.http.origin import Origin, Route
from socksproxy.relay import Leg
from socksproxy.testing import MemoryTransport
from tests.http.proxying import GET, HEAD, OK, POST, HTTPTestCase, get

CLOSING = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class ReuseTests(HTTPTestCase):
    """
    A connection to an origin is kept for the same client's next request.
    """

    def dials(self, *exchanges: tuple[bytes, bytes]) -> int:
        """
        Count the connections that it takes to make some requests, given with
        their answers, on one client's connection.
        """
        before = len(self.dialled)
        client = self.proxy.connect()
        for said, answer in exchanges:
            self.exchange(client, said, answer)
        return len(self.dialled) - before

    def test_interfaces(self) -> None:
        """
        It is what a transport takes it for.
        """
        clock = Clock()
        leg = Leg()
        leg.makeConnection(MemoryTransport(clock, leg))
        origin = Origin(clock, leg, Route(Destination("web.test", 80), None), 60.0)
        verifyObject(IPushProducer, origin)

    def test_kept(self) -> None:
        """
        It is kept after every answer that leaves no doubt where it ended.
        """
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        for said, answer in (
            (GET, OK),
            (GET, chunked),
            (HEAD, OK[:-2]),
            (POST + b"Content-Length: 1\r\n\r\nx", OK),
            (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
            (GET, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ):
            self.assertEqual(self.dials((said, answer), (GET, OK)), 1, answer)

    def test_notKept(self) -> None:
        """
        It is closed after any other.
        """
        for answer in (
            CLOSING,
            OK.replace(b"1.1", b"1.0"),
            OK + b"x",
            OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")[
                :-2
            ],
        ):
            self.assertEqual(self.dials((GET, answer), (GET, OK)), 2, answer)

    def test_onlyRepeatable(self) -> None:
        """
        What cannot be sent again does not go over a connection that may be
        closing already.
        """
        for said in (
            POST + b"Content-Length: 1\r\n\r\nx",
            POST + b"\r\n",
            get("web.test").replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\nx"),
        ):
            self.assertEqual(self.dials((GET, OK), (said, OK)), 2, said)

    def test_notShared(self) -> None:
        """
        Another client gets another.
        """
        for _ in range(2):
            self.exchange(self.proxy.connect())
        self.assertEqual(len(self.dialled), 2)

    def test_otherPort(self) -> None:
        """
        Another port is another origin.
        """
        self.proxy.network.world["192.0.2.1:81"] = "accept"
        other = GET.replace(b"http://web.test/", b"http://web.test:81/")
        self.assertEqual(self.dials((GET, OK), (other, OK)), 2)


class IdleTests(HTTPTestCase):
    """
    What happens to a connection to an origin while nobody uses it.
    """

    def kept(self) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Give a client's connection and an origin's, that have been used once.
        """
        client = self.proxy.connect()
        self.exchange(client)
        return client, self.origin()

    def test_closed(self) -> None:
        """
        The origin may close it, and the next request takes another.
        """
        for ends in ("peerEnds", "peerResets"):
            client, origin = self.kept()
            getattr(origin, ends)()
            self.proxy.settle()
            self.assertTrue(origin.lost)
            before = len(self.dialled)
            self.assertEqual(self.exchange(client).status, 200)
            self.assertEqual(len(self.dialled), before + 1)

    def test_closedWhileTheClientReads(self) -> None:
        """
        That is noticed also while the client has not taken the answer.
        """
        client = self.asking(GET)
        origin = self.origin()
        origin.peerSends(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000)
        self.assertFalse(origin.paused)
        origin.peerEnds()
        self.proxy.settle()
        self.assertTrue(origin.lost)
        client.take()
        self.assertEqual(self.exchange(client).status, 200)

    def test_notAllRead(self) -> None:
        """
        An origin that has answered what it has not read is not waited for.
        """
        client = self.asking(POST + b"Content-Length: 1\r\n\r\nx")
        origin = self.origin()
        origin.dataBuffer = b"x"  # type: ignore[attr-defined]
        origin.peerSends(OK)
        self.assertTrue(origin.aborted)
        self.assertEqual(self.answer(client).status, 200)
        self.assertFalse(client.ended)

    def test_unasked(self) -> None:
        """
        It must not say anything.
        """
        client, origin = self.kept()
        origin.peerSends(OK)
        self.proxy.settle()
        self.assertTrue(origin.aborted)
        self.assertEqual(client.take(), b"")
        self.assertEqual(self.exchange(client).status, 200)

    def test_clientGone(self) -> None:
        """
        It is closed with the client's.
        """
        for ends in ("peerEnds", "peerResets"):
            client, origin = self.kept()
            getattr(client, ends)()
            self.proxy.settle()
            self.assertTrue(origin.lost)
            self.assertNothingLeft()

    def test_clientTooLate(self) -> None:
        """
        And so it is when the client is not waited for any longer.
        """
        _, origin = self.kept()
        self.proxy.network.advance(60)
        self.proxy.settle()
        self.assertTrue(origin.lost)
        self.assertNothingLeft()


class RetryTests(HTTPTestCase):
    """
    A connection may close just when it is used again.
    """

    def again(self, said: bytes = GET) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Give a client's connection and an origin's, over which a second
        request has been sent.
        """
        client = self.proxy.connect()
        self.exchange(client)
        origin = self.origin()
        client.peerSends(said)
        self.proxy.settle()
        self.assertIs(self.origin(), origin)
        self.assertNotEqual(origin.take(), b"")
        return client, origin

    def test_repeated(self) -> None:
        """
        A request of which nothing has come back is sent once more, over
        another.
        """
        for ends in ("peerEnds", "peerResets"):
            client, origin = self.again()
            getattr(origin, ends)()
            self.proxy.settle()
            other = self.origin()
            self.assertIsNot(other, origin)
            self.assertTrue(other.take().startswith(b"GET / HTTP/1.1\r\n"))
            other.peerSends(OK)
            self.assertEqual(self.answer(client).status, 200)
            client.peerEnds()
            self.assertNothingLeft()

    def test_once(self) -> None:
        """
        It is sent no third time.
        """
        client, origin = self.again()
        origin.peerEnds()
        self.proxy.settle()
        dialled = len(self.dialled)
        self.origin().peerEnds()
        self.proxy.settle()
        self.assertEqual(self.answer(client).status, 502)
        self.assertEqual(len(self.dialled), dialled)

    def test_begun(self) -> None:
        """
        Nor is it sent again once anything has come back.
        """
        client, origin = self.again()
        origin.peerSends(b"H")
        origin.peerEnds()
        self.proxy.settle()
        self.assertEqual(self.answer(client).status, 502)
        self.assertEqual(len(self.dialled), 1)

    def test_first(self) -> None:
        """
        Nor if the connection was new.
        """
        client = self.asking(GET)
        self.origin().peerEnds()
        self.proxy.settle()
        self.assertEqual(self.answer(client).status, 502)
        self.assertEqual(len(self.dialled), 1)

    def test_refused(self) -> None:
        """
        When there is nobody any more, the client is told.
        """
        client, origin = self.again()
        self.proxy.network.world["192.0.2.1:80"] = "ECONNREFUSED"
        origin.peerEnds()
        self.proxy.settle()
        self.proxy.settle()
        self.assertEqual(self.answer(client).status, 502)
        self.assertFalse(client.ended)

    def test_clientGone(self) -> None:
        """
        A client that goes while it is sent again leaves nothing.
        """
        client, origin = self.again()
        origin.peerEnds()
        client.peerResets()
        self.assertNothingLeft()

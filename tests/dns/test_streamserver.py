"""
Tests for L{socksproxy.dns.streamserver}.
"""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from zope.interface.verify import verifyObject

from socksproxy.dns._framing import Messages, framed
from socksproxy.dns.forwarder import Forwarder
from socksproxy.dns.group import UpstreamGroup
from socksproxy.dns.message import readQuery
from socksproxy.dns.reply import readReply
from socksproxy.dns.streamserver import StreamServer
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.dns.forwarding import ForwarderTestCase
from tests.dns.messages import message, query, question
from tests.dns.upstreaming import PACKED, pending

LOCAL = tcpAddress("127.0.0.1", 53)


class StreamServerTestCase(ForwarderTestCase):
    """
    Tests with clients who ask over TCP.
    """

    def setUp(self) -> None:
        """
        Make a server.
        """
        super().setUp()
        self.factory = StreamServer(self.forwarder, self.network)

    def connect(self, host: str = "127.0.0.1") -> MemoryTransport:
        """
        Connect a client.
        """
        return MemoryTransport.connect(self.network, self.factory, LOCAL, tcpAddress(host, 40000))

    def send(self, client: MemoryTransport, *names: str) -> None:
        """
        Have a client ask for names, all at once.
        """
        client.peerSends(b"".join(framed(query(name)) for name in names))

    def answers(self, client: MemoryTransport) -> list[bytes]:
        """
        Read what a client has got.
        """
        messages, found = Messages(), []
        messages.feed(client.take())
        while (octets := messages.take()) is not None:
            found.append(octets)
        self.assertEqual(len(messages), 0)
        return found

    def names(self, client: MemoryTransport) -> list[str]:
        """
        Read for which names a client has got answers.
        """
        return [readReply(octets).name for octets in self.answers(client)]

    def know(self, name: str, count: int = 1) -> None:
        """
        Have a name's addresses be known.
        """
        self.forwarder.answer(readQuery(query(name)))
        self.server.reply(*[PACKED] * count)


class AnswerTests(StreamServerTestCase):
    """
    Questions and answers.
    """

    def test_interfaces(self) -> None:
        """
        A connection is what its transport takes it for.
        """
        connection = self.factory.buildProtocol(tcpAddress("127.0.0.1", 1))
        verifyObject(IHalfCloseableProtocol, connection)
        verifyObject(IPushProducer, connection)

    def test_byteByByte(self) -> None:
        """
        A question may come an octet at a time.
        """
        client = self.connect()
        for octet in framed(query("www.test")):
            self.assertEqual(self.server.queries, [])
            client.peerSends(bytes([octet]))
        self.server.reply(PACKED)
        (answer,) = self.answers(client)
        self.assertEqual(len(readReply(answer).addresses), 1)

    def test_anyOrder(self) -> None:
        """
        Questions may follow one another without waiting, and answers come as
        they are known.
        """
        self.know("known.test")
        client = self.connect()
        self.send(client, "a.test", "b.test", "known.test")
        self.assertEqual(self.names(client), ["known.test"])
        self.server.open.reverse()
        self.server.reply(PACKED)
        self.server.reply(PACKED)
        self.assertEqual(self.names(client), ["b.test", "a.test"])

    def test_long(self) -> None:
        """
        Answers of any length come whole.
        """
        client = self.connect()
        self.send(client, "www.test")
        self.server.reply(*[PACKED] * 4000)
        (answer,) = self.answers(client)
        self.assertEqual(len(readReply(answer).addresses), 4000)

    def test_errors(self) -> None:
        """
        A bad query is told so, and the next one is answered.
        """
        self.know("www.test")
        client = self.connect()
        client.peerSends(framed(query("www.test", flags=0x2000)) + framed(query("www.test")))
        first, second = self.answers(client)
        self.assertEqual((first[3] & 15, second[3] & 15), (4, 0))

    def test_nonsense(self) -> None:
        """
        Who does not speak DNS at all is cut off, and nothing that follows is
        looked at.
        """
        for octets in (b"GET / HTTP/1.1\r\n" + bytes(70000), b"\0\0", framed(query("a")[:11])):
            client = self.connect()
            client.peerSends(octets + framed(query("www.test")))
            self.assertTrue(client.aborted, octets[:20])
            self.network.advance(0)
        self.assertEqual(self.server.queries, [])
        self.assertEqual(pending(self.network), 0)

    def test_gone(self) -> None:
        """
        Answers for a client that is gone are dropped, but remembered.
        """
        client = self.connect()
        self.send(client, "www.test")
        client.peerResets()
        self.server.reply(PACKED)
        self.assertIsNotNone(self.forwarder.answerNow(readQuery(query("www.test"))))
        self.assertEqual(pending(self.network), 0)


class BoundTests(StreamServerTestCase):
    """
    Clients who ask for a lot.
    """

    def test_inFlight(self) -> None:
        """
        A client with 64 questions without an answer is not read any further
        until there is one.
        """
        client = self.connect()
        self.send(client, *[f"n{number}.test" for number in range(100)])
        self.assertEqual(len(self.server.queries), 64)
        self.assertTrue(client.paused)
        self.server.reply(PACKED)
        self.assertEqual(len(self.server.queries), 65)
        self.assertTrue(client.paused)
        for _ in range(99):
            self.server.reply(PACKED)
        self.assertFalse(client.paused)
        self.assertEqual(
            sorted(self.names(client)), sorted(f"n{number}.test" for number in range(100))
        )

    def test_slowReader(self) -> None:
        """
        Who does not read answers is not read either, however many of them are
        known: no more than the transport's buffer and one answer is kept.
        """
        self.know("www.test", 1000)
        client = self.connect()
        self.send(client, *["www.test"] * 64)
        self.assertTrue(client.paused)
        # What it has asked but not been answered waits to be taken.
        taken = [len(self.answers(client)) for _ in range(20)]
        self.assertEqual(taken[0], 5)
        self.assertEqual(sum(taken), 64)
        self.assertFalse(client.paused)

    def test_neverReads(self) -> None:
        """
        Who does not read for ten seconds is cut off.
        """
        self.know("www.test", 1000)
        client = self.connect()
        self.send(client, *["www.test"] * 64)
        self.network.advance(9.9)
        self.assertFalse(client.aborted)
        self.network.advance(0.2)
        self.assertTrue(client.aborted)
        self.network.advance(0)
        self.assertEqual(pending(self.network), 0)

    def test_connections(self) -> None:
        """
        There are 256 connections at a time, and no more.
        """
        clients = [self.connect() for _ in range(256)]
        self.assertRaises(ValueError, self.connect)
        self.assertEqual(len(self.factory.connections), 256)
        clients[0].peerResets()
        self.connect()
        self.assertRaises(ValueError, self.connect)

    def test_connectionsOfOne(self) -> None:
        """
        Of these another host has 64.
        """
        clients = [self.connect("203.0.113.9") for _ in range(64)]
        self.assertRaises(ValueError, self.connect, "203.0.113.9")
        self.connect("203.0.113.10")
        clients[0].peerResets()
        self.connect("203.0.113.9")
        self.assertEqual(len(self.factory.connections), 65)

    def test_refusedKeepsNoPlace(self) -> None:
        """
        A connection that is refused does not take the place of another one.
        """
        self.factory = StreamServer(self.forwarder, self.network, ConnectionLimits(3, 1, 3))
        self.connect("203.0.113.9")
        for _ in range(5):
            self.assertRaises(ValueError, self.connect, "203.0.113.9")
        self.connect("203.0.113.10")
        self.connect("203.0.113.11")


class EndTests(StreamServerTestCase):
    """
    How connections end.
    """

    def test_idle(self) -> None:
        """
        A connection is closed when nothing has been asked for ten seconds;
        pieces of a question do not count.
        """
        self.know("www.test")
        client = self.connect()
        self.network.advance(9)
        self.send(client, "www.test")
        for _ in range(9):
            self.network.advance(1)
            client.peerSends(b"\1")
        self.assertFalse(client.disconnecting)
        self.network.advance(1.1)
        self.assertTrue(client.disconnecting)
        self.assertFalse(client.aborted)
        self.network.advance(0)
        self.assertEqual(pending(self.network), 0)

    def test_idleWhileWaiting(self) -> None:
        """
        While a question waits for its answer, the connection is not idle.
        """
        client = self.connect()
        self.network.advance(6)
        self.send(client, "www.test")
        self.network.advance(4.5)
        self.assertFalse(client.disconnecting)
        self.server.reply(PACKED)
        self.assertEqual(self.names(client), ["www.test"])
        self.network.advance(9)
        self.assertFalse(client.disconnecting)
        self.network.advance(10)
        self.assertTrue(client.disconnecting)

    def test_slowAnswer(self) -> None:
        """
        So it is however long the answer takes.
        """
        group = UpstreamGroup(self.network, [self.server], total=60)
        forwarder = Forwarder({"proxy": group}, self.rules, self.cache)
        self.factory = StreamServer(forwarder, self.network)
        client = self.connect()
        self.send(client, "www.test")
        self.network.pump([10] * 5)
        self.assertFalse(client.disconnecting)
        self.server.reply(PACKED)
        self.assertEqual(self.names(client), ["www.test"])

    def test_halfClosed(self) -> None:
        """
        Who sends no more gets the answers to what it has asked, and then the
        connection is closed.
        """
        client = self.connect()
        self.send(client, *[f"n{number}.test" for number in range(70)])
        client.peerEnds()
        for _ in range(69):
            self.server.reply(PACKED)
        self.assertFalse(client.disconnecting)
        self.server.reply(PACKED)
        self.assertEqual(len(self.answers(client)), 70)
        self.assertTrue(client.ended)
        self.network.advance(0)
        self.assertEqual(pending(self.network), 0)

    def test_halfClosedAtOnce(self) -> None:
        """
        Who has nothing to ask is not waited for.
        """
        self.know("www.test")
        client = self.connect()
        self.send(client, "www.test")
        client.peerEnds()
        self.assertEqual(self.names(client), ["www.test"])
        self.assertTrue(client.ended)

    def test_cutOff(self) -> None:
        """
        Half a question is none.
        """
        client = self.connect()
        client.peerSends(framed(message(question("www.test")))[:-1])
        client.peerEnds()
        self.assertTrue(client.ended)
        self.assertEqual(self.server.queries, [])

    def test_halfClosedAndNotRead(self) -> None:
        """
        Who sends no more and does not read either is cut off after ten
        seconds.
        """
        self.know("www.test", 4000)
        client = self.connect()
        self.send(client, *["www.test"] * 3)
        client.peerEnds()
        self.network.advance(9)
        self.assertFalse(client.aborted)
        self.network.advance(2)
        self.assertTrue(client.aborted)

    def test_endAll(self) -> None:
        """
        All connections can be ended at once.
        """
        clients = [self.connect(), self.connect()]
        self.send(clients[0], "www.test")
        self.factory.endAll()
        self.network.advance(0)
        self.assertEqual([client.lost for client in clients], [True, True])
        self.assertEqual(self.factory.connections, set())
        self.server.reply(PACKED)
        self.assertEqual(pending(self.network), 0)

"""
Tests for L{socksproxy.dns.datagrams} and L{socksproxy.dns.ownsocket}: a name
server that is asked by UDP.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.dns.asking import IUpstream, NoReply
from socksproxy.dns.datagrams import MAX_SOCKETS, DatagramUpstream
from socksproxy.dns.message import Query, makeQuery, readQuery
from socksproxy.dns.ownsocket import straight
from socksproxy.dns.reply import Reply
from socksproxy.errors import CommandNotSupported
from socksproxy.interfaces import IDatagramConduit, Received
from socksproxy.testing import MemoryDatagrams, ScriptedNetwork
from tests.dns.messages import ANSWERED
from tests.dns.upstreaming import PACKED, SERVER, PlayedUpstream, pending, replyOctets

TC = 0x0200
WHERE = Destination(ip_address(SERVER), 53)


class StraightTests(SynchronousTestCase):
    """
    Without a proxy.
    """

    def setUp(self) -> None:
        """
        Make a name server.
        """
        self.network = ScriptedNetwork()
        self.overTCP = PlayedUpstream()
        self.upstream = DatagramUpstream(
            self.network, "ns.test", WHERE, straight(self.network, WHERE), self.overTCP
        )

    def ask(self, name: str = "www.test") -> Deferred[Reply]:
        """
        Ask.
        """
        return self.upstream.ask(makeQuery(name, 1))

    @property
    def sockets(self) -> list[MemoryDatagrams]:
        """
        Give the sockets that are open.
        """
        return [each for each in self.network.datagrams if each.open]

    def query(self, number: int = 0) -> Query:
        """
        Read the one query that an open socket has sent.
        """
        ((octets, where),) = self.sockets[number].take()
        self.assertEqual(where, (SERVER, 53))
        return readQuery(octets)

    def test_reply(self) -> None:
        """
        The question goes to the name server from a socket of its own, which is
        closed when the reply is there.
        """
        verifyObject(IUpstream, self.upstream)
        first, second = self.ask("a.test"), self.ask("b.test")
        self.assertEqual(len(self.sockets), 2)
        self.assertEqual([self.query(n).name for n in range(2)], ["a.test", "b.test"])
        self.assertNoResult(first)
        self.assertNoResult(second)
        third = self.ask("c.test")
        asked = self.query(2)
        self.sockets[2].peerSends(replyOctets(asked, PACKED), SERVER, 53)
        self.assertEqual(len(self.successResultOf(third).addresses), 1)
        self.assertEqual(len(self.sockets), 2)

    def test_size(self) -> None:
        """
        What is asked says that 1232 octets can come back.
        """
        self.ask()
        edns = self.query().edns
        assert edns is not None
        self.assertEqual(edns.udpSize, 1232)

    def test_forged(self) -> None:
        """
        What comes from elsewhere, has another number or another question, is
        no reply or no DNS at all, is passed over, and the reply still counts.
        """
        asking = self.ask()
        asked = self.query()
        (socket,) = self.sockets
        good = replyOctets(asked, PACKED)
        socket.peerSends(good, "192.0.2.54", 53)
        socket.peerSends(good, SERVER, 54)
        socket.peerSends(bytes([good[0] ^ 1]) + good[1:], SERVER, 53)
        socket.peerSends(replyOctets(makeQuery("b.test", 1, number=asked.id), PACKED), SERVER, 53)
        socket.peerSends(replyOctets(makeQuery("www.test", 28, number=asked.id)), SERVER, 53)
        socket.peerSends(good[:2] + b"\x01\x00" + good[4:], SERVER, 53)
        socket.peerSends(good[:-1], SERVER, 53)
        socket.peerSends(good[:2], SERVER, 53)
        socket.peerSends(b"", SERVER, 53)
        self.assertNoResult(asking)
        self.assertTrue(socket.open)
        socket.peerSends(good, SERVER, 53)
        self.successResultOf(asking)

    def test_truncated(self) -> None:
        """
        If the reply does not fit, it is fetched over TCP.
        """
        asking = self.ask()
        octets = replyOctets(self.query(), PACKED, flags=ANSWERED | TC)
        self.sockets[0].peerSends(octets, SERVER, 53)
        self.assertEqual([each.name for each in self.overTCP.queries], ["www.test"])
        self.assertEqual(self.sockets, [])
        self.overTCP.reply(PACKED, PACKED)
        self.assertEqual(len(self.successResultOf(asking).addresses), 2)

    def test_truncatedAndFailed(self) -> None:
        """
        If that does not work, there is no reply.
        """
        asking = self.ask()
        self.sockets[0].peerSends(
            replyOctets(self.query(), PACKED, flags=ANSWERED | TC), SERVER, 53
        )
        self.overTCP.fail("no way")
        self.assertEqual(str(self.failureResultOf(asking, NoReply).value), "no way")

    def test_truncatedAndCancelled(self) -> None:
        """
        Who gives up while that is going on gives that up.
        """
        asking = self.ask()
        self.sockets[0].peerSends(
            replyOctets(self.query(), PACKED, flags=ANSWERED | TC), SERVER, 53
        )
        asking.cancel()
        self.failureResultOf(asking, CancelledError, NoReply)
        self.assertEqual(self.overTCP.cancelled, 1)

    def test_withoutOPT(self) -> None:
        """
        A name server that does not understand the OPT record is asked again
        without one, from another socket.
        """
        asking = self.ask()
        first = self.query()
        self.sockets[0].peerSends(replyOctets(first, code=1), SERVER, 53)
        second = self.query()
        self.assertIsNotNone(first.edns)
        self.assertIsNone(second.edns)
        self.sockets[0].peerSends(replyOctets(second, code=1), SERVER, 53)
        self.assertEqual(self.successResultOf(asking).code, 1)
        self.assertEqual(self.sockets, [])

    def test_cancelled(self) -> None:
        """
        The socket of a question that is given up is closed.
        """
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.sockets, [])

    def test_bounded(self) -> None:
        """
        There are only so many sockets.
        """
        asking = [self.ask() for _ in range(MAX_SOCKETS)]
        self.failureResultOf(self.ask(), NoReply)
        asking[0].cancel()
        self.failureResultOf(asking[0], CancelledError)
        self.assertNoResult(self.ask())
        self.assertEqual(len(self.sockets), MAX_SOCKETS)

    def test_noSocket(self) -> None:
        """
        If there is no socket to be had, there is no reply.
        """

        def refuse(*_: object) -> None:
            raise CannotListenError("0.0.0.0", 0, OSError())

        self.network.listenUDP = refuse  # type: ignore[assignment]
        self.failureResultOf(self.ask(), NoReply)

    def test_ipv6(self) -> None:
        """
        A name server of IPv6 is asked from a socket of IPv6.
        """
        where = Destination(ip_address("2001:db8::53"), 53)
        upstream = DatagramUpstream(
            self.network, "ns.test", where, straight(self.network, where), self.overTCP
        )
        asking = upstream.ask(makeQuery("www.test", 1))
        (socket,) = self.sockets
        ((octets, sent),) = socket.take()
        self.assertEqual(sent, ("2001:db8::53", 53))
        socket.peerSends(replyOctets(readQuery(octets), PACKED), "2001:db8::53", 53)
        self.successResultOf(asking)

    def test_close(self) -> None:
        """
        When it is closed, all sockets are, and nobody waits any longer.
        """
        asking = self.ask()
        self.successResultOf(self.upstream.close())
        self.failureResultOf(asking, NoReply)
        self.failureResultOf(self.ask(), NoReply)
        self.assertEqual(self.sockets, [])
        self.assertTrue(self.overTCP.closed)


@implementer(IDatagramConduit)
class Conduit:
    """
    A way through a proxy.
    """

    dropped = (0, 0)

    def __init__(self, received: Received) -> None:
        self.received = received
        self.sent: list[Query] = []
        self.works = True
        self.closed = False

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit}.
        """
        assert destination == WHERE
        if self.works:
            self.sent.append(readQuery(data))
        return self.works

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """
        self.closed = True

    def reply(self, query: Query) -> None:
        """
        Answer a query.
        """
        self.received(replyOctets(query, PACKED), WHERE)


class ProxiedTests(SynchronousTestCase):
    """
    Through a proxy.
    """

    def setUp(self) -> None:
        """
        Make a name server.
        """
        self.network = ScriptedNetwork()
        self.conduits: list[Conduit] = []
        self.opening: list[Deferred[IDatagramConduit]] = []
        self.upstream = DatagramUpstream(
            self.network, "ns.test", WHERE, self.conduitFor, PlayedUpstream(), isShared=True
        )

    def conduitFor(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        Begin to open a way.
        """
        self.conduits.append(Conduit(received))
        self.opening.append(Deferred())
        return self.opening[-1]

    def opened(self) -> Conduit:
        """
        Have the last way be open.
        """
        conduit = self.conduits[-1]
        self.opening[-1].callback(conduit)  # type: ignore[arg-type]
        return conduit

    def ask(self, name: str = "www.test") -> Deferred[Reply]:
        """
        Ask.
        """
        return self.upstream.ask(makeQuery(name, 1))

    def test_shared(self) -> None:
        """
        One way is for all questions, also for those that come while it is
        being opened.
        """
        asking = [self.ask(f"n{number}.test") for number in range(2)]
        conduit = self.opened()
        asking.append(self.ask("n2.test"))
        self.assertEqual([each.name for each in conduit.sent], ["n0.test", "n1.test", "n2.test"])
        for query in reversed(conduit.sent):
            conduit.reply(query)
        for each in asking:
            self.successResultOf(each)
        self.assertEqual(len(self.conduits), 1)
        self.assertFalse(conduit.closed)

    def test_sources(self) -> None:
        """
        What others send by the same way is passed over.
        """
        asking = self.ask()
        conduit = self.opened()
        octets = replyOctets(conduit.sent[0], PACKED)
        conduit.received(octets, Destination(ip_address("192.0.2.54"), 53))
        self.assertNoResult(asking)

    def test_brokenWay(self) -> None:
        """
        If the way has been lost, another one is opened, and what was asked
        before is asked again there, once.
        """
        asking = [self.ask("a.test")]
        first = self.opened()
        first.works = False
        asking.append(self.ask("b.test"))
        self.assertTrue(first.closed)
        second = self.opened()
        self.assertEqual([each.name for each in second.sent], ["a.test", "b.test"])
        second.reply(second.sent[1])
        self.successResultOf(asking[1])
        second.works = False
        self.ask("c.test")
        self.failureResultOf(asking[0], NoReply)
        self.assertEqual([each.name for each in self.opened().sent], ["c.test"])

    def test_noWay(self) -> None:
        """
        If there is none, there is no reply, and the reason is told.
        """
        asking = self.ask()
        self.opening[0].errback(CommandNotSupported("the proxy knows no UDP"))
        error = self.failureResultOf(asking, NoReply).value
        self.assertIn("the proxy knows no UDP", str(error))

    def test_idle(self) -> None:
        """
        The way is closed a minute after the last question.
        """
        asking = self.ask()
        conduit = self.opened()
        self.network.advance(59)
        conduit.reply(conduit.sent[0])
        self.successResultOf(asking)
        self.network.advance(59)
        self.assertFalse(conduit.closed)
        self.network.advance(1)
        self.assertTrue(conduit.closed)
        self.assertEqual(pending(self.network), 0)
        self.ask()
        self.assertEqual(len(self.conduits), 2)

    def test_unreachable(self) -> None:
        """
        If the way is lost as soon as it is open, there is no reply.
        """
        asking = self.ask()
        self.conduits[0].works = False
        self.opened()
        self.failureResultOf(asking, NoReply)
        self.assertTrue(self.conduits[0].closed)

    def test_closeWhileOpening(self) -> None:
        """
        A way that is being opened is given up.
        """
        asking = self.ask()
        self.successResultOf(self.upstream.close())
        self.failureResultOf(asking, NoReply)
        self.assertTrue(self.opening[0].called)
        self.assertEqual(pending(self.network), 0)

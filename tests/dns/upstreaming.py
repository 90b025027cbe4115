"""
Name servers that the test plays.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.dns._framing import Messages, framed
from socksproxy.dns.asking import IUpstream, NoReply
from socksproxy.dns.message import Query, makeQuery, readQuery
from socksproxy.dns.reply import Reply, readReply
from socksproxy.dns.streams import streamUpstream
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.dns.messages import ANSWERED, POINTER, message, record, soa

SERVER = "192.0.2.53"
ADDRESS = "192.0.2.1"
PACKED = bytes([192, 0, 2, 1])


def replyOctets(
    query: Query, *addresses: bytes, code: int = 0, ttl: int = 300, flags: int = ANSWERED
) -> bytes:
    """
    Write a reply to a query.

    @param addresses: Of the records in it.
    @param code: RCODE.
    """
    kind = query.type
    answers = [record(POINTER, kind, ttl, address) for address in addresses]
    authority = [] if answers or code not in (0, 3) else [soa(60, 60)]
    return message(query.question, answers, authority, number=query.id, flags=flags | code)


def replyTo(query: Query, *addresses: bytes, code: int = 0, ttl: int = 300) -> Reply:
    """
    Make a reply to a query.
    """
    return readReply(replyOctets(query, *addresses, code=code, ttl=ttl))


@implementer(IUpstream)
class PlayedUpstream:
    """
    A name server that answers at the test's pace.

    @ivar open: Questions that have no answer yet, in order.
    @ivar queries: All questions, in order.
    @ivar cancelled: How many questions have been taken back.
    """

    def __init__(self, name: str = "ns.test") -> None:
        self.name = name
        self.open: list[tuple[Query, Deferred[Reply]]] = []
        self.queries: list[Query] = []
        self.cancelled = 0
        self.closed = False

    def ask(self, query: Query) -> Deferred[Reply]:
        """
        See L{IUpstream}.
        """

        def cancel(result: Deferred[Reply]) -> None:
            self.cancelled += 1
            self.open.remove((query, result))

        result: Deferred[Reply] = Deferred(cancel)
        self.open.append((query, result))
        self.queries.append(query)
        return result

    def close(self) -> Deferred[None]:
        """
        See L{IUpstream}.
        """
        self.closed = True
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def reply(self, *addresses: bytes, code: int = 0, ttl: int = 300) -> None:
        """
        Answer the oldest open question.
        """
        query, result = self.open.pop(0)
        result.callback(replyTo(query, *addresses, code=code, ttl=ttl))

    def fail(self, reason: str = "refused") -> None:
        """
        Do not answer the oldest open question.
        """
        _, result = self.open.pop(0)
        result.errback(NoReply(reason))


class NoChance:
    """
    A source of randomness that always takes the middle.
    """

    def uniform(self, low: float, high: float) -> float:
        """
        See C{random.Random}.
        """
        return (low + high) / 2


def pending(clock: Clock) -> int:
    """
    Tell how many calls a clock has still to make.
    """
    return len(clock.getDelayedCalls())


class StreamTestCase(SynchronousTestCase):
    """
    Tests with a name server that is asked over connections.
    """

    def setUp(self) -> None:
        """
        Make a network with a name server.
        """
        self.network = ScriptedNetwork({f"{SERVER}:53": "accept"})
        endpoint = TCP4ClientEndpoint(self.network, SERVER, 53)
        self.upstream = streamUpstream(self.network, "ns.test", endpoint)
        self._streams: dict[MemoryTransport, Messages] = {}

    @property
    def connections(self) -> list[MemoryTransport]:
        """
        Give the connections that have been made.
        """
        return [each.transport for each in self.network.attempts if each.transport is not None]

    def ask(self, name: str = "www.test", kind: int = 1) -> Deferred[Reply]:
        """
        Ask, and let connections be made.
        """
        asking = self.upstream.ask(makeQuery(name, kind))
        self.network.advance(0)
        return asking

    def queries(self, number: int = 0) -> list[Query]:
        """
        Read the questions that have come over a connection.

        @param number: Which one.
        """
        transport = self.connections[number]
        stream = self._streams.setdefault(transport, Messages())
        stream.feed(transport.take())
        found = []
        while (octets := stream.take()) is not None:
            found.append(readQuery(octets))
        return found

    def say(self, octets: bytes, number: int = 0) -> None:
        """
        Have the name server send a message over a connection.
        """
        self.connections[number].peerSends(framed(octets))

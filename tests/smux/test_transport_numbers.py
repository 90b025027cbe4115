"""
Tests for L{socksproxy.smux.transport}, L{socksproxy.smux.endpoints} and
L{socksproxy.smux.compression}: what sessions count, and what they log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.smux import MuxProtocol, MuxServerFactory, SmuxConfig
from socksproxy.smux.compression import compressed
from socksproxy.smux.endpoints import MuxClientEndpoint
from socksproxy.state import ICounts, IReportsState, State
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.logs import captured, texts
from tests.smux.muxes import Application, Applications

MOST_LINES = 16
NONSENSE = b"GET / HTTP/1.1\r\n\r\n"


@implementer(IStreamClientEndpoint, IReportsState)
class Carrier:
    """
    Leads to a peer that says nothing.

    @ivar transports: Those of its connections.
    """

    def __init__(self) -> None:
        self.transports: list[MemoryTransport] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.
        """
        protocol = protocolFactory.buildProtocol(tcpAddress("192.0.2.1", 443))
        self.transports.append(connect(protocol))
        return succeed(protocol)

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}.
        """
        yield State("carrier", "x", {})


def connect(protocol: Any) -> MemoryTransport:
    """
    Give a protocol a transport.
    """
    transport = MemoryTransport(Clock(), protocol, peer=tcpAddress("192.0.2.1", 443))
    protocol.makeConnection(transport)
    return transport


class NumbersTests(SynchronousTestCase):
    """
    What sessions count.
    """

    def test_streams(self) -> None:
        """
        A session knows its streams, and how many there have been.
        """
        clock = Clock()
        mux = MuxProtocol(clock, SmuxConfig(), client=True)
        verifyObject(ICounts, mux)
        connect(mux)
        streams = [mux.openStream(Application()) for _ in range(3)]
        self.assertEqual(mux.numbers(), {"streams": 3, "streamsBegun": 3})
        streams[0].abortConnection()
        clock.advance(0)
        self.assertEqual(mux.numbers(), {"streams": 2, "streamsBegun": 3})

    def test_endpoint(self) -> None:
        """
        An endpoint tells of its sessions, and lets its carrier tell the rest.
        """
        carrier = Carrier()
        endpoint = MuxClientEndpoint(Clock(), carrier, sessions=2)
        verifyObject(IReportsState, endpoint)
        self.assertEqual([state.kind for state in endpoint.report()], ["carrier"])
        for _ in range(3):
            self.successResultOf(endpoint.connect(Applications(Application)))
        one, two, other = endpoint.report()
        self.assertEqual({one.kind, two.kind, other.kind}, {"mux-session", "carrier"})
        self.assertEqual({one.name, two.name}, {"192.0.2.1:443"})
        self.assertEqual({one.numbers["usable"], two.numbers["usable"]}, {"yes"})
        self.assertEqual(sum(int(s.numbers["streams"]) for s in (one, two)), 3)


class LogTests(SynchronousTestCase):
    """
    What strangers can have logged.
    """

    def lines(self, factory: Any, clock: Clock) -> list[int]:
        """
        Have many connections break the protocol, in each of two seconds.

        @return: How many lines there are.
        """
        counts = []
        for _ in range(2):
            with captured() as events:
                for _ in range(100):
                    protocol = factory.buildProtocol(tcpAddress("192.0.2.1", 443))
                    connect(protocol)
                    protocol.dataReceived(NONSENSE)
                    protocol.connectionLost(Failure(ConnectionError()))
            self.assertTrue(all("with 192.0.2.1:443 ended" in line for line in texts(events)))
            counts.append(len(texts(events)))
            clock.advance(1)
        return counts

    def test_violations(self) -> None:
        """
        Those who break the protocol cannot fill a server's log.
        """
        clock = Clock()
        factory = MuxServerFactory(clock, Applications(Application))
        self.assertEqual(self.lines(factory, clock), [MOST_LINES, MOST_LINES])

    def test_compressed(self) -> None:
        """
        Neither can those who do not compress.
        """
        clock = Clock()
        factory = compressed(MuxServerFactory(clock, Applications(Application)), clock)
        self.assertEqual(self.lines(factory, clock), [MOST_LINES, MOST_LINES])

    def test_silence(self) -> None:
        """
        Nor can those who say nothing at all.
        """
        clock = Clock()
        config = SmuxConfig()
        factory = MuxServerFactory(clock, Applications(Application), config)
        for _ in range(100):
            connect(factory.buildProtocol(None))
        with captured() as events:
            clock.pump([1.0] * int(config.keepaliveTimeout + 1))
        silent = [line for line in texts(events) if "it is silent" in line]
        self.assertEqual(len(silent), MOST_LINES)

    def test_ownSessions(self) -> None:
        """
        A client is told of each of its own sessions.
        """
        with captured() as events:
            for _ in range(2 * MOST_LINES):
                mux = MuxProtocol(Clock(), SmuxConfig(), client=True)
                connect(mux)
                mux.dataReceived(NONSENSE)
        self.assertEqual(len(texts(events)), 2 * MOST_LINES)

"""
Tests for L{socksproxy.smux.endpoints}.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from zope.interface.verify import verifyObject

from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.endpoints import MuxServerEndpoint
from tests.smux.carriers import (
    Counted,
    Echo,
    EndpointTestCase,
    Greeting,
    Listening,
)
from tests.smux.frames import framesOf
from tests.smux.muxes import Application, HalfCloseable


class ConnectTests(EndpointTestCase):
    """
    Connections that are made.
    """

    def test_interfaces(self) -> None:
        """
        They are endpoints of Twisted's.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint)
        verifyObject(IStreamServerEndpoint, MuxServerEndpoint(self.clock, Listening()))

    def test_dialsOnce(self) -> None:
        """
        The first connection has a session made, and later ones go over it,
        whether others have ended or not.
        """
        self.assertEqual(self.carrier.lines, [])
        first = self.connect()
        for _ in range(4):
            self.connect()
        self.assertEqual(self.loads, [5])
        first.transport.loseConnection()
        self.settle()
        self.connect()
        self.assertEqual(self.loads, [5])
        self.assertEqual(len(self.accepted.made), 5)

    def test_noRoundTrip(self) -> None:
        """
        What an application writes when it is connected leaves with the request
        for its stream, at once, on a new session and on one that there is.
        """
        for number in (3, 5):
            self.connect(Greeting)
            frames = framesOf(self.carrier.lines[0].here.take())
            self.assertEqual(frames, [("SYN", number, b""), ("PSH", number, b"hello")])

    def test_bothWays(self) -> None:
        """
        Data goes both ways, and each direction ends by itself.
        """
        for compress in (False, True):
            self.start(compress)
            client = self.connect()
            client.transport.write(b"question")
            client.transport.loseWriteConnection()
            self.settle()
            (server,) = self.accepted.made
            self.assertEqual((server.data, client.data), (b"question", b"question"))
            self.assertIsNone(client.reason)
            server.transport.write(b" and answer")
            server.transport.loseConnection()
            self.settle()
            self.assertEqual((client.data, client.end), (b"question and answer", ConnectionDone))

    def test_sessionEnds(self) -> None:
        """
        A session that has ended is forgotten, and the next connection has
        another made.
        """
        client = self.connect()
        self.settle()
        self.carrier.lines[0].here.peerResets()
        self.carrier.lines[0].there.peerResets()
        self.settle()
        self.assertIs(client.end, ConnectionLost)
        self.assertNothingLeft()
        self.connect()
        self.assertEqual(self.loads, [0, 1])

    def test_silentPeer(self) -> None:
        """
        A peer that says nothing for thirty seconds is given up.
        """
        client = self.connect()
        self.settle()
        self.carrier.lines[0].carry = lambda: False  # type: ignore[method-assign]
        self.wait(31)
        self.assertIs(client.end, ConnectionLost)

    def test_config(self) -> None:
        """
        Sessions have the settings that they are given.
        """
        self.start(config=SmuxConfig(version=1, keepalive=2))
        self.connect()
        self.assertEqual(self.carrier.lines[0].here.take()[:2], b"\x01\x00")
        self.clock.advance(2)
        self.assertEqual(framesOf(self.carrier.lines[0].here.take(), 1), [("NOP", 0, b"")])

    def test_releases(self) -> None:
        """
        Nothing is kept of sessions and protocols that are gone.
        """
        client = self.connect()
        self.settle()
        client.transport.loseConnection()
        self.settle()
        references = [weakref.ref(client), weakref.ref(self.carrier.lines[0].mux)]
        self.endpoint.close()
        self.assertNothingLeft()
        self.carrier.lines.clear()
        self.accepted.made.clear()
        del client
        gc.collect()
        self.assertEqual([reference() for reference in references], [None, None])


class LoadTests(EndpointTestCase):
    """
    Clients with several sessions.
    """

    def setUp(self) -> None:
        """
        Have up to three.
        """
        self.start(sessions=3)

    def test_grows(self) -> None:
        """
        There are as many sessions as there are connections, up to that; then
        each connection goes where there are fewest.
        """
        loads = []
        for _ in range(7):
            self.connect()
            loads.append(self.loads)
        self.assertEqual(loads[:3], [[1], [1, 1], [1, 1, 1]])
        self.assertEqual(sorted(loads[5]), [2, 2, 2])
        self.assertEqual(sorted(loads[6]), [2, 2, 3])

    def test_leastLoaded(self) -> None:
        """
        A session whose streams have ended is the next to get some.
        """
        clients = [self.connect() for _ in range(6)]
        self.settle()
        of = [c.transport.mux for c in clients]
        idle = of[2]
        for client, mux in zip(clients, of, strict=True):
            if mux is idle:
                client.transport.loseConnection()
        self.settle()
        self.assertEqual(sorted(self.loads), [0, 2, 2])
        self.assertIs(self.connect().transport.mux, idle)
        self.assertIs(self.connect().transport.mux, idle)

    def test_reusesIdle(self) -> None:
        """
        No session is made while one has nothing to do.
        """
        for _ in range(5):
            client = self.connect()
            client.transport.loseConnection()
            self.settle()
        self.assertEqual(self.loads, [0])

    def test_growsLater(self) -> None:
        """
        Nobody waits for another session who can have one that there is; there
        is one attempt at a time.
        """
        self.connect()
        self.carrier.held = True
        for _ in range(3):
            self.connect()
        self.assertEqual((self.loads, len(self.carrier.dials)), ([4], 1))
        self.carrier.answer()
        self.connect()
        self.assertEqual((self.loads, len(self.carrier.dials)), ([4, 1], 0))
        self.connect()
        self.assertEqual((self.loads, len(self.carrier.dials)), ([4, 2], 1))

    def test_growthFails(self) -> None:
        """
        If another session cannot be made, that is nobody's concern, and it is
        tried again.
        """
        self.connect()
        self.carrier.held = True
        for load in (2, 3):
            self.connect()
            self.assertEqual((self.loads, len(self.carrier.dials)), ([load], 1))
            self.carrier.refuse()


class FactoryTests(EndpointTestCase):
    """
    What happens to the factories of applications.
    """

    def test_startAndStop(self) -> None:
        """
        A factory is started when it is used and stopped when the last of its
        protocols knows that it is over, as it is with TCP.
        """
        factory = Counted()
        clients: list[Any] = [
            self.successResultOf(self.endpoint.connect(factory)) for _ in range(2)
        ]
        first, second = clients
        self.settle()
        self.assertEqual(factory.told, ["start"])
        self.assertEqual(factory.numPorts, 2)
        first.transport.abortConnection()
        self.settle()
        self.assertEqual((factory.numPorts, factory.told), (1, ["start"]))
        second.transport.loseConnection()
        self.settle()
        self.assertEqual((factory.numPorts, factory.told), (0, ["start", "stop"]))

    def test_stopWithSession(self) -> None:
        """
        Likewise when it is the session that ends.
        """
        factory = Counted()
        for _ in range(3):
            self.successResultOf(self.endpoint.connect(factory))
        self.settle()
        self.carrier.lines[0].here.peerResets()
        self.settle()
        self.assertEqual((factory.numPorts, factory.told), (0, ["start", "stop"]))

    def test_noProtocol(self) -> None:
        """
        A factory that makes no protocol is a failure, and no stream is opened.
        """
        factory = Counted(lambda: None)
        self.failureResultOf(self.endpoint.connect(factory), NoProtocol)
        self.assertEqual(factory.told, ["start", "stop"])
        self.assertEqual((self.loads, self.carrier.lines[0].here.take()), ([0], b""))

    def test_raises(self) -> None:
        """
        So is one that raises, with what it raises.
        """

        def fail() -> Protocol:
            raise ZeroDivisionError

        factory = Counted(fail)
        self.failureResultOf(self.endpoint.connect(factory), ZeroDivisionError)
        self.assertEqual((factory.numPorts, self.loads), (0, [0]))

    def test_numbersUsedUp(self) -> None:
        """
        A session that has no more numbers for streams gets no more, and the
        next connection has another made.
        """
        client = self.connect()
        session: Any = client.transport.mux.session
        session._nextID = 1 << 32
        factory = Counted()
        self.assertIsNotNone(self.failureResultOf(self.endpoint.connect(factory)))
        self.assertEqual(factory.numPorts, 0)
        self.connect()
        self.assertEqual(self.loads, [1, 1])


class ServerTests(EndpointTestCase):
    """
    Servers.
    """

    make = HalfCloseable

    def test_stop(self) -> None:
        """
        Once a port is closed sessions that there are take no more streams, and
        end after their last one.
        """
        first, second = self.connect(), self.connect()
        self.settle()
        self.assertEqual(self.accepted.told, ["start"])
        self.server.doStop()
        self.assertEqual(self.accepted.numPorts, 0)
        late = self.connect(Application)
        self.settle()
        self.assertIs(late.end, ConnectionDone)
        self.assertEqual(len(self.accepted.made), 2)
        first.transport.write(b"go on")
        self.settle()
        self.assertEqual(self.accepted.made[0].data, b"go on")
        for client, server in zip((first, second), self.accepted.made, strict=True):
            client.transport.loseConnection()
            server.transport.loseConnection()
        self.assertNothingLeft()

    def test_stopIdle(self) -> None:
        """
        Those without streams end at once, and clients have others made.
        """
        client = self.connect()
        self.settle()
        self.accepted.made[0].transport.loseConnection()
        client.transport.loseConnection()
        self.settle()
        self.server.doStop()
        self.assertNothingLeft()

    def test_refuses(self) -> None:
        """
        A factory that makes no protocol refuses streams, and the session goes
        on.
        """
        self.accepted.make = lambda: None
        client = self.connect(Application)
        self.settle()
        self.assertIs(client.end, ConnectionLost)
        self.accepted.make = HalfCloseable
        client = self.connect()
        self.settle()
        self.assertIsNone(client.end)
        self.assertEqual(len(self.carrier.lines), 1)

    def test_factory(self) -> None:
        """
        Other endpoints' factories are of use.
        """
        factory = Factory.forProtocol(Echo)
        factory.noisy = False
        self.server.wrappedFactory = factory
        client = self.connect()
        client.transport.write(b"echo")
        self.settle()
        self.assertEqual(client.data, b"echo")

"""
Tests for L{socksproxy.smux.endpoints}.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    NoProtocol,
    TCPTimedOutError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.endpoints import STALLED_AFTER, MuxClientEndpoint, MuxServerEndpoint
from socksproxy.testing import MemoryTransport, ScriptedNetwork, tcpAddress
from tests.smux.frames import framesOf
from tests.smux.muxes import Application, Applications, HalfCloseable

SERVER = tcpAddress("192.0.2.2", 443)


class Counted(Applications):
    """
    A factory that notes when it is started and stopped.

    @ivar told: That, and what its applications are told of the end.
    """

    def __init__(self, make: Callable[[], Protocol | None] = Application) -> None:
        super().__init__(make)
        self.told: list[str] = []

    def startFactory(self) -> None:
        self.told.append("start")

    def stopFactory(self) -> None:
        ended = all(one is None or one.reason is not None for one in self.made)
        self.told.append("stop" if ended else "stop before the end")


class Greeting(Application):
    """
    An application that writes at once.
    """

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.write(b"hello")


class Echo(HalfCloseable):
    """
    An application that sends back what it gets.
    """

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


class Line:
    """
    A connection between a client and a server, which the test moves.

    @ivar here: The client's side.
    @ivar there: The server's side.
    @ivar mux: The client's session.
    """

    def __init__(
        self, clock: Clock, number: int, factory: IProtocolFactory, server: IProtocolFactory
    ) -> None:
        client = tcpAddress("192.0.2.1", 40000 + number)
        self.protocol: Any = factory.buildProtocol(SERVER)
        accepted: Any = server.buildProtocol(client)
        self.here = MemoryTransport(clock, self.protocol, client, SERVER)
        self.there = MemoryTransport(clock, accepted, SERVER, client)
        self.protocol.makeConnection(self.here)
        accepted.makeConnection(self.there)
        self.mux = getattr(self.protocol, "wrappedProtocol", self.protocol)
        self._ended: set[MemoryTransport] = set()

    def carry(self) -> bool:
        """
        Move what both have sent, and the ends.

        @return: Whether there was anything.
        """
        moved = False
        for sender, receiver in ((self.here, self.there), (self.there, self.here)):
            data = sender.take()
            if data and not receiver.lost:
                receiver.peerSends(data)
                moved = True
            if sender.ended and sender not in self._ended:
                self._ended.add(sender)
                moved = True
                if sender.aborted:
                    receiver.peerResets()
                elif not receiver.lost:
                    receiver.peerEnds()
        return moved


@implementer(IStreamClientEndpoint)
class Carrier:
    """
    Leads to a server in memory.

    @ivar lines: The connections that have been made.
    @ivar dials: Those who wait for one.
    @ivar held: They have to wait.
    @ivar cancelled: How many did not want to any more.
    """

    def __init__(self, clock: Clock, server: IProtocolFactory) -> None:
        self._clock = clock
        self._server = server
        self.lines: list[Line] = []
        self.dials: list[tuple[Deferred[Any], IProtocolFactory]] = []
        self.held = False
        self.cancelled = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """
        See C{IStreamClientEndpoint}.
        """
        connecting: Deferred[Any] = Deferred(self._cancel)
        self.dials.append((connecting, protocolFactory))
        if not self.held:
            self.answer()
        return connecting

    def answer(self, lost: bool = False) -> None:
        """
        Make the connection that was asked for first.

        @param lost: It is gone before anybody hears of it.
        """
        connecting, factory = self.dials.pop(0)
        line = Line(self._clock, len(self.lines), factory, self._server)
        self.lines.append(line)
        if lost:
            line.here.peerResets()
        connecting.callback(line.protocol)

    def refuse(self) -> None:
        """
        Make none.
        """
        connecting, _ = self.dials.pop(0)
        connecting.errback(Failure(TCPTimedOutError()))

    def _cancel(self, connecting: Deferred[Any]) -> None:
        self.cancelled += 1
        self.dials = [dial for dial in self.dials if dial[0] is not connecting]


@implementer(IStreamServerEndpoint)
class Listening:
    """
    A server's carrier, which keeps the factory that it is given.
    """

    factory: Any

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """
        See C{IStreamServerEndpoint}.
        """
        protocolFactory.doStart()
        self.factory = protocolFactory
        port: IListeningPort = ScriptedNetwork().listenTCP(0, protocolFactory)
        return succeed(port)


class EndpointTestCase(SynchronousTestCase):
    """
    Tests with a server and a client.

    @ivar clock: Time.
    @ivar accepted: The server's applications.
    @ivar carrier: Leads there.
    @ivar endpoint: The client.
    """

    make: Callable[[], Protocol] = Echo

    def start(self, compress: bool = False, **settings: Any) -> None:
        """
        Make them.

        @param settings: Of the client.
        """
        self.clock = Clock()
        self.accepted = Counted(type(self).make)
        listening = Listening()
        server = MuxServerEndpoint(self.clock, listening, compress=compress)
        self.successResultOf(server.listen(self.accepted))
        self.server = listening.factory
        self.carrier = Carrier(self.clock, self.server)
        self.endpoint = MuxClientEndpoint(self.clock, self.carrier, compress=compress, **settings)

    def setUp(self) -> None:
        """
        Start with what is usual.
        """
        self.start()

    def connect(self, make: Callable[[], Protocol] = HalfCloseable) -> Any:
        """
        Connect.

        @return: The application.
        """
        return self.successResultOf(self.endpoint.connect(Applications(make)))

    def settle(self) -> None:
        """
        Let everything happen that is under way, without time passing.
        """
        moved = True
        while moved:
            due = [c for c in self.clock.getDelayedCalls() if c.getTime() <= self.clock.seconds()]
            carried = [line.carry() for line in self.carrier.lines]
            moved = any(carried) or bool(due)
            self.clock.advance(0)

    def wait(self, seconds: int) -> None:
        """
        Let time pass, second by second.
        """
        for _ in range(seconds):
            self.clock.advance(1)
            self.settle()

    @property
    def loads(self) -> list[int]:
        """
        How many streams each connection has.
        """
        return [line.mux.streams for line in self.carrier.lines]

    def assertNothingLeft(self) -> None:
        """
        Require that all sessions are over and forgotten, and no timer runs.
        """
        self.settle()
        self.assertTrue(all(line.here.lost for line in self.carrier.lines))
        self.assertEqual(list(self.endpoint.report()), [])
        self.assertEqual(self.endpoint._members, [])
        self.assertIsNone(self.endpoint._dialling)
        self.assertEqual(self.clock.getDelayedCalls(), [])


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


class DialTests(EndpointTestCase):
    """
    Sessions that take time to be made.
    """

    def setUp(self) -> None:
        """
        Have them take time.
        """
        self.start()
        self.carrier.held = True

    def test_shared(self) -> None:
        """
        Those who connect while a session is being made share it.
        """
        connecting = [self.endpoint.connect(Applications(Application)) for _ in range(5)]
        self.assertEqual(len(self.carrier.dials), 1)
        for each in connecting:
            self.assertNoResult(each)
        self.carrier.answer()
        for each in connecting:
            self.successResultOf(each)
        self.assertEqual(self.loads, [5])

    def test_fails(self) -> None:
        """
        If it cannot be made all those fail, and the next one tries again.
        """
        factories = [Counted() for _ in range(3)]
        connecting = [self.endpoint.connect(factory) for factory in factories]
        self.carrier.refuse()
        for each in connecting:
            self.failureResultOf(each, TCPTimedOutError)
        self.assertEqual([factory.told for factory in factories], [["start", "stop"]] * 3)
        self.assertNothingLeft()
        again = self.endpoint.connect(Applications(Application))
        self.carrier.answer()
        self.successResultOf(again)

    def test_failsAtOnce(self) -> None:
        """
        It is the same with a carrier that fails or raises at once.
        """

        def refuse(factory: object) -> Any:
            raise TCPTimedOutError

        self.carrier.connect = refuse  # type: ignore[method-assign]
        for _ in range(2):
            self.failureResultOf(self.endpoint.connect(Counted()), TCPTimedOutError)
        self.assertNothingLeft()

    def test_connectsFromCallback(self) -> None:
        """
        Who connects again when a connection has been made, or could not be, is
        served.
        """
        done: list[object] = []

        def again(result: object) -> None:
            self.endpoint.connect(Applications(Application)).addBoth(done.append)

        self.endpoint.connect(Applications(Application)).addBoth(again)
        self.carrier.refuse()
        self.assertEqual(len(self.carrier.dials), 1)
        self.endpoint.connect(Applications(Application)).addBoth(again)
        self.carrier.answer()
        self.assertEqual([type(each) for each in done], [Application] * 2)
        self.assertEqual(self.loads, [3])

    def test_cancelOne(self) -> None:
        """
        Who does not want to wait any more fails, and disturbs no others.
        """
        factory = Counted()
        given = self.endpoint.connect(factory)
        other = self.endpoint.connect(Applications(Application))
        given.cancel()
        self.failureResultOf(given, CancelledError)
        self.assertEqual(factory.told, ["start", "stop"])
        self.assertEqual(self.carrier.cancelled, 0)
        self.carrier.answer()
        self.successResultOf(other)
        self.assertEqual((self.loads, factory.made), ([1], []))

    def test_cancelAll(self) -> None:
        """
        When nobody waits any more the attempt is given up, and the next
        connection makes one of its own.
        """
        connecting = [self.endpoint.connect(Counted()) for _ in range(2)]
        for each in connecting:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual((self.carrier.cancelled, self.carrier.dials), (1, []))
        self.assertNothingLeft()
        another = self.endpoint.connect(Counted())
        self.carrier.answer()
        self.successResultOf(another)

    def test_cancelLate(self) -> None:
        """
        Cancelling what has succeeded does nothing.
        """
        connecting = self.endpoint.connect(Applications(Application))
        self.carrier.answer()
        connecting.cancel()
        self.assertIsNone(self.successResultOf(connecting).reason)
        self.assertEqual(self.loads, [1])

    def test_cancelNotSpare(self) -> None:
        """
        A session that is being made for later is not given up with those who
        came to need it at once.
        """
        self.start(sessions=2)
        self.connect()
        self.carrier.held = True
        self.connect()
        self.carrier.lines[0].here.peerResets()
        waiting = self.endpoint.connect(Counted())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual((self.carrier.cancelled, len(self.carrier.dials)), (0, 1))
        self.carrier.answer()
        self.connect()
        self.assertEqual(self.loads, [0, 1])

    def test_lostAtOnce(self) -> None:
        """
        A session that has ended before anybody could use it is a failure to
        connect, and nothing of it stays.
        """
        self.start(autoexpire=60)
        self.carrier.held = True
        connecting = self.endpoint.connect(Counted())
        self.carrier.answer(lost=True)
        self.failureResultOf(connecting, ConnectError)
        self.carrier.lines[0].there.peerResets()
        self.assertNothingLeft()


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
        first, second = (self.successResultOf(self.endpoint.connect(factory)) for _ in range(2))
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


class ExpiryTests(EndpointTestCase):
    """
    Sessions that are renewed from time to time.
    """

    def setUp(self) -> None:
        """
        Have them expire.
        """
        self.start(autoexpire=60, scavengettl=100)

    def test_expires(self) -> None:
        """
        An expired session gets no new streams, goes on with those that it has,
        and ends with the last of them.
        """
        client = self.connect()
        self.wait(59)
        self.connect().transport.loseConnection()
        self.settle()
        self.assertEqual(self.loads, [1])
        self.wait(1)
        self.connect()
        self.assertEqual(self.loads, [1, 1])
        client.transport.write(b"still there")
        self.settle()
        self.assertEqual(client.data, b"still there")
        client.transport.loseConnection()
        self.settle()
        self.assertEqual([line.here.lost for line in self.carrier.lines], [True, False])
        self.assertIs(client.end, ConnectionDone)

    def test_expiresIdle(self) -> None:
        """
        One without streams ends as soon as it expires.
        """
        self.connect().transport.loseConnection()
        self.wait(59)
        self.assertFalse(self.carrier.lines[0].here.lost)
        self.wait(1)
        self.assertNothingLeft()

    def test_scavenged(self) -> None:
        """
        The rest of its streams are dropped when their time is over.
        """
        client = self.connect()
        self.wait(159)
        self.assertIsNone(client.reason)
        self.wait(1)
        self.assertIs(client.end, ConnectionAborted)
        self.assertNothingLeft()

    def test_endsBefore(self) -> None:
        """
        A session that ends by itself leaves no timer, before it expires as
        after that.
        """
        for seconds in (10, 70):
            self.start(autoexpire=60, scavengettl=100)
            self.connect()
            self.wait(seconds)
            self.carrier.lines[0].here.peerResets()
            self.carrier.lines[0].there.peerResets()
            self.assertNothingLeft()

    def test_never(self) -> None:
        """
        Sessions stay if nothing is said of it.
        """
        self.start()
        self.connect().transport.loseConnection()
        self.wait(3600)
        self.connect()
        self.assertEqual(self.loads, [1])


class StallTests(EndpointTestCase):
    """
    Sessions whose carrier gets rid of nothing.
    """

    def stall(self, line: int, seconds: float) -> None:
        """
        Have a carrier say that it got rid of nothing.
        """
        self.carrier.lines[line].here.stalled = seconds  # type: ignore[attr-defined]

    def test_avoided(self) -> None:
        """
        After three seconds of that new streams go elsewhere, and the session
        has its streams.
        """
        client = self.connect()
        self.settle()
        self.stall(0, STALLED_AFTER - 0.1)
        self.connect()
        self.assertEqual(self.loads, [2])
        self.stall(0, STALLED_AFTER)
        self.connect()
        self.connect()
        self.assertEqual(self.loads, [2, 2])
        client.transport.write(b"late")
        self.settle()
        self.assertEqual(client.data, b"late")

    def test_manyInterruptions(self) -> None:
        """
        However often that happens, sessions too many end after their last
        stream.
        """
        client = self.connect()
        for number in range(20):
            self.stall(number, 5)
            self.connect().transport.loseConnection()
            self.settle()
            self.stall(number, 0)
            self.connect().transport.loseConnection()
            self.settle()
        open_ = [number for number, line in enumerate(self.carrier.lines) if not line.here.lost]
        self.assertEqual(open_, [0, len(self.carrier.lines) - 1])
        self.assertIsNone(client.reason)
        client.transport.loseConnection()
        self.settle()
        self.assertTrue(self.carrier.lines[0].here.lost)

    def test_reported(self) -> None:
        """
        It shows in what an endpoint tells.
        """
        self.connect()
        self.stall(0, 5)
        self.connect()
        usable = [state.numbers["usable"] for state in self.endpoint.report()]
        self.assertEqual(usable, ["no", "yes"])


class CloseTests(EndpointTestCase):
    """
    Clients that are done.
    """

    def test_close(self) -> None:
        """
        Sessions end after their last stream, and nothing is left.
        """
        self.start(sessions=3, autoexpire=60)
        clients = [self.connect() for _ in range(3)]
        clients[0].transport.loseConnection()
        self.settle()
        self.endpoint.close()
        self.settle()
        self.assertEqual([line.here.lost for line in self.carrier.lines], [True, False, False])
        for client in clients[1:]:
            client.transport.write(b"to the end")
            client.transport.loseWriteConnection()
        self.settle()
        for client, server in zip(clients[1:], self.accepted.made[1:], strict=True):
            self.assertEqual(client.data, b"to the end")
            server.transport.loseConnection()
        self.assertNothingLeft()

    def test_closeWhileDialling(self) -> None:
        """
        Those who wait for a session get it, and it ends after their streams.
        """
        self.carrier.held = True
        connecting = self.endpoint.connect(Applications(Application))
        self.endpoint.close()
        self.carrier.answer()
        client: Any = self.successResultOf(connecting)
        client.transport.write(b"still")
        self.settle()
        self.assertEqual(client.data, b"still")
        client.transport.loseConnection()
        self.assertNothingLeft()

    def test_closeFails(self) -> None:
        """
        If there is to be none they fail.
        """
        self.carrier.held = True
        connecting = self.endpoint.connect(Applications(Application))
        self.endpoint.close()
        self.carrier.refuse()
        self.failureResultOf(connecting, TCPTimedOutError)
        self.assertNothingLeft()

    def test_closeSpare(self) -> None:
        """
        No session is made for later then.
        """
        self.start(sessions=2)
        clients = [self.connect()]
        self.carrier.held = True
        clients.append(self.connect())
        self.endpoint.close()
        self.assertEqual((self.carrier.cancelled, self.carrier.dials), (1, []))
        for client in clients:
            client.transport.loseConnection()
        self.assertNothingLeft()

    def test_again(self) -> None:
        """
        A client that is closed can be used again.
        """
        self.connect().transport.loseConnection()
        self.settle()
        self.endpoint.close()
        self.connect()
        self.assertEqual(self.loads, [0, 1])


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
        self.assertIs(client.end, ConnectionDone)
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

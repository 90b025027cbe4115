"""
What the tests of endpoints over smux have in common: a server, and a carrier in
memory that leads there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    TCPTimedOutError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.smux.endpoints import MuxClientEndpoint, MuxServerEndpoint
from socksproxy.testing import MemoryTransport, ScriptedNetwork, tcpAddress
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
        made: list[Any] = [factory.buildProtocol(SERVER), server.buildProtocol(client)]
        self.protocol, accepted = made
        self.here = MemoryTransport(clock, self.protocol, client, SERVER)
        self.there = MemoryTransport(clock, accepted, SERVER, client)
        self.protocol.makeConnection(self.here)
        accepted.makeConnection(self.there)
        self.mux: Any = getattr(self.protocol, "wrappedProtocol", self.protocol)
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

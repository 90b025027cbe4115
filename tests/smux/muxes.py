"""
Two sessions of smux in memory, for tests, and applications for their streams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.protocol import MuxProtocol, MuxServerFactory
from socksproxy.smux.transport import MuxStream
from socksproxy.testing import MemoryTransport, tcpAddress


class Application(Protocol):
    """
    An application that notes what it is told.

    @ivar data: What came.
    @ivar told: What else it has been told, in order.
    @ivar reason: Why it is over, once it is.
    @ivar acting: It is calling something.
    """

    transport: MuxStream  # type: ignore[assignment]

    def __init__(self) -> None:
        self.data = b""
        self.told: list[str] = []
        self.reason: Failure | None = None
        self.acting = False

    def act(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Call something, and require that nothing is called back meanwhile.
        """
        self.acting = True
        function(*arguments)
        self.acting = False

    def note(self, what: str) -> None:
        """
        Note what it is told.
        """
        assert not self.acting, "called within a call of its own"
        assert self.reason is None, "called after the end"
        self.told.append(what)

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        assert not self.acting, "called within a call of its own"
        assert self.reason is None, "called after the end"
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.note("lost")
        self.reason = reason

    @property
    def end(self) -> type[BaseException] | None:
        """
        The class of the reason for the end, or L{None} before it.
        """
        return None if self.reason is None else self.reason.type


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Application):
    """
    An application that knows that one direction may end before the other.
    """

    def readConnectionLost(self) -> None:
        self.note("read")

    def writeConnectionLost(self) -> None:
        self.note("write")


class Producer:
    """
    A producer that notes what it is told to do.

    @ivar told: That.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("resume")

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("stop")


class Applications(Factory):
    """
    Makes applications.

    @ivar made: Those that there are.
    @ivar addresses: What they were made for.
    """

    noisy = False

    def __init__(self, make: Callable[[], Protocol | None]) -> None:
        self.make = make
        self.made: list[Any] = []
        self.addresses: list[object] = []

    def buildProtocol(self, addr: object) -> Protocol | None:
        """
        See C{IProtocolFactory}.
        """
        application = self.make()
        self.addresses.append(addr)
        self.made.append(application)
        return application


class Muxes:
    """
    A client and a server, joined by a carrier that the test moves.

    @ivar clock: Time.
    @ivar accepted: The server's applications.
    @ivar client: The client's session.
    @ivar server: The server's session.
    @ivar here: The client's carrier.
    @ivar there: The server's carrier.
    """

    def __init__(
        self,
        config: SmuxConfig | None = None,
        make: Callable[[], Protocol | None] = HalfCloseable,
        serverConfig: SmuxConfig | None = None,
        clock: Clock | None = None,
        streamFactory: IProtocolFactory | None = None,
    ) -> None:
        """
        @param config: The settings of both.
        @param make: Makes the server's applications.
        @param serverConfig: The server's settings, if they are others.
        @param clock: Time, if it is to be somebody else's.
        @param streamFactory: Makes the server's applications in place of
            C{accepted}.
        """
        config = config or SmuxConfig()
        self.clock = clock or Clock()
        self.accepted = Applications(make)
        self.factory = MuxServerFactory(
            self.clock, streamFactory or self.accepted, serverConfig or config
        )
        self.client = MuxProtocol(self.clock, config, client=True)
        self.server = self.factory.buildProtocol(None)
        ours, theirs = tcpAddress("192.0.2.1", 40000), tcpAddress("192.0.2.2", 29900)
        self.here = MemoryTransport(self.clock, self.client, ours, theirs)
        self.there = MemoryTransport(self.clock, self.server, theirs, ours)
        self.client.makeConnection(self.here)
        self.server.makeConnection(self.there)
        self._ended = {self.here: False, self.there: False}

    def open(self, application: Application | None = None) -> Any:
        """
        Open a stream.

        @return: The client's application.
        """
        opened = application or HalfCloseable()
        self.client.openStream(opened)
        return opened

    def pair(self, application: Application | None = None) -> tuple[Any, Any]:
        """
        Open a stream, and have it accepted.

        @return: The client's application, and the server's.
        """
        opened = self.open(application)
        self.settle()
        return opened, self.accepted.made[-1]

    def carry(self) -> bool:
        """
        Move what both have sent so far to the other side, unless that one does
        not read.

        @return: Whether there was anything.
        """
        ways = ((self.here, self.there), (self.there, self.here))
        sent = [
            (there, here.take()) for here, there in ways if not (there.paused and not there.lost)
        ]
        for receiver, data in sent:
            if data and not receiver.lost:
                receiver.peerSends(data)
        for sender, receiver in ways:
            if sender.ended and not self._ended[sender]:
                self._ended[sender] = True
                if sender.aborted:
                    receiver.peerResets()
                elif not receiver.lost:
                    receiver.peerEnds()
        return any(data for _, data in sent)

    def settle(self) -> None:
        """
        Let everything happen that is under way, without time passing.
        """
        moved = True
        while moved:
            moved = self.carry()
            for call in self.clock.getDelayedCalls():
                if call.getTime() <= self.clock.seconds():
                    moved = True
            self.clock.advance(0)

    def wait(self, seconds: int) -> None:
        """
        Let time pass, second by second.
        """
        for _ in range(seconds):
            self.clock.advance(1)
            self.settle()

    @property
    def idle(self) -> bool:
        """
        Whether no streams are left anywhere, nor anything of them.
        """
        return not (
            self.client.streams
            or self.server.streams
            or self.client.session.streams
            or self.server.session.streams
            or self.client.session.unread
            or self.server.session.unread
            or self.client.session.queued
            or self.server.session.queued
        )

"""
Joining two connections, so that each carries what comes from the other.

Back pressure works in both directions from the first byte: a side that does
not read makes the other side's transport stop reading. A half-close is passed
on as a half-close once everything before it has gone out, and a reset as a
reset::

    relay = Relay(reactor, client, target, RelayTimers(), self._relayEnded)
    relay.start(earlyData)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.relay.leg import Leg, abort, endStream
from socksproxy.relay.progress import Progress
from socksproxy.relay.sockets import backlogOf, readMuch, unacknowledged, writeThrough

WATCH_PERIOD = 2.5
"""
Seconds between two looks at a relay that has something to wait for.
"""


@dataclass(frozen=True, slots=True)
class RelayTimers:
    """
    How long a relay waits, in seconds.

    @ivar drain: For a peer that reads nothing while bytes wait for it.
    @ivar halfClosed: For any byte after one direction has ended.
    @ivar idle: For any byte at all; 0 is for ever. The default is a little
        more than what RFC 5382 asks of every NAT on the way.
    """

    drain: float = 60.0
    halfClosed: float = 300.0
    idle: float = 7800.0


@dataclass(frozen=True, slots=True)
class RelayResult:
    """
    What a relay did.

    @ivar sent: Octets from the client to the target.
    @ivar received: Octets from the target to the client.
    @ivar reason: Why it ended.
    """

    sent: int
    received: int
    reason: str


@implementer(IPushProducer)
class _Direction:
    """
    The way from one leg to the other. It receives what happens on its source
    and is the producer of its sink.

    @ivar count: Octets taken from the source.
    @ivar paused: The sink has more than enough.
    @ivar ended: The source has sent the end of its stream.
    @ivar lost: The source's connection is gone.
    """

    def __init__(self, relay: Relay, name: str, source: Leg, sink: Leg) -> None:
        self._relay = relay
        self.name = name
        self.source = source.transport
        self.sink = sink.transport
        self.count = 0
        self.paused = False
        self.ended = False
        self.lost = False
        self._progress = Progress()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        writeThrough(self.sink, data)

    def readConnectionLost(self) -> None:
        self._relay.directionEnded(self)

    def connectionLost(self, reason: Failure) -> None:
        self._relay.legLost(self, reason)

    def pauseProducing(self) -> None:
        self.paused = True
        self.source.pauseProducing()
        self._relay.watch()

    def resumeProducing(self) -> None:
        self.paused = False
        if not self.ended:
            self.source.resumeProducing()

    def stopProducing(self) -> None:
        """
        The sink is gone, which its own leg tells us.
        """

    def end(self) -> None:
        """
        Pass the end of the stream on. The sink must not ask an ended source
        for more: that would make its reactor read an end of file again.
        """
        self.ended = True
        self.sink.unregisterProducer()
        endStream(self.sink)

    def leave(self) -> None:
        """
        The relay is over: let go of it, as it would otherwise hold itself.
        """
        del self._relay

    def backlog(self) -> int:
        """
        How many octets wait in the sink's user-space buffer.
        """
        return backlogOf(self.sink)

    def look(self, now: float, closing: bool) -> Progress:
        """
        See how far this direction has got.

        @param closing: The relay only waits for what is under way.
        """
        backlog = self.backlog()
        waiting = closing or self.paused or (self.ended and backlog > 0)
        outstanding = backlog + unacknowledged(self.sink)
        self._progress.look(now, self.count, outstanding, self._relay.phase, waiting)
        return self._progress


class Relay:
    """
    Two legs, joined until both are gone.

    @ivar phase: How many ends and losses there have been.
    """

    def __init__(
        self,
        clock: IReactorTime,
        client: Leg,
        target: Leg,
        timers: RelayTimers,
        ended: Callable[[RelayResult], None],
    ) -> None:
        """
        @param clock: Time.
        @param client: A connected leg; what it gives is counted as sent.
        @param target: A connected leg that does not read yet.
        @param timers: Limits.
        @param ended: Called once, when both legs are gone.
        """
        self._clock = clock
        self._timers = timers
        self._ended = ended
        self._client = client
        self._target = target
        self._up = _Direction(self, "client", client, target)
        self._down = _Direction(self, "target", target, client)
        self._watching: IDelayedCall | None = None
        self._urgent = False
        self._reason = ""
        self.phase = 0

    def start(self, earlyData: bytes = b"", clientEnded: bool = False) -> None:
        """
        Join the legs.

        @param earlyData: What the client sent before, to go first.
        @param clientEnded: The client has already sent its last byte.
        """
        for direction in (self._up, self._down):
            readMuch(direction.source)
        self._up.sink.registerProducer(self._up, True)
        self._down.sink.registerProducer(self._down, True)
        if earlyData:
            self._up.dataReceived(earlyData)
        if clientEnded:
            self.directionEnded(self._up)
        self._client.hold(self._up)
        self._target.hold(self._down)
        for direction in (self._up, self._down):
            if not (direction.paused or direction.ended or direction.lost):
                direction.source.resumeProducing()
        if self._watching is None and self._timers.idle:
            self._lookIn(self._idlePeriod())

    @property
    def moved(self) -> tuple[int, int]:
        """
        Octets from the client to the target so far, and back.
        """
        return self._up.count, self._down.count

    def abort(self, reason: str) -> None:
        """
        End both connections at once, as a reset.
        """
        self._note(reason)
        for direction in (self._up, self._down):
            if not direction.lost:
                direction.source.unregisterProducer()
                abort(direction.source)

    def directionEnded(self, direction: _Direction) -> None:
        """
        A source has sent the end of its stream.
        """
        if direction.ended:
            return
        self._note(f"{direction.name} closed")
        self.phase += 1
        direction.end()
        if self._up.ended and self._down.ended:
            self._closeBoth()
        else:
            self.watch()

    def legLost(self, direction: _Direction, reason: Failure) -> None:
        """
        A connection is gone.
        """
        direction.lost = True
        self.phase += 1
        other = self._down if direction is self._up else self._up
        if not other.lost:
            clean = isinstance(reason.value, ConnectionDone)
            self._note(f"{direction.name} {'closed' if clean else 'reset'}")
            direction.sink.unregisterProducer()
            if clean:
                direction.sink.loseConnection()
                self.watch()
            else:
                abort(direction.sink)
            return
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        result = RelayResult(self._up.count, self._down.count, self._reason)
        for way in (self._up, self._down):
            way.leave()
        self._ended(result)

    def watch(self) -> None:
        """
        Look after this relay every few seconds while it waits for something.
        """
        if not self._urgent:
            self._urgent = True
            self._lookIn(WATCH_PERIOD)

    def _lookIn(self, seconds: float) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._watching = None
        self._urgent = any(d.paused or d.ended or d.lost for d in (self._up, self._down))
        reason = self._overdue(self._clock.seconds())
        if reason is not None:
            self.abort(reason)
        elif self._urgent:
            self._lookIn(WATCH_PERIOD)
        elif self._timers.idle:
            self._lookIn(self._idlePeriod())

    def _idlePeriod(self) -> float:
        """
        How often a relay is looked at that waits for nothing but bytes. With
        thousands of them, every few seconds would be felt.
        """
        return max(WATCH_PERIOD, self._timers.idle / 8)

    def _overdue(self, now: float) -> str | None:
        """
        Tell why this relay has to end now, if it has to.
        """
        timers = self._timers
        ended = self._up.ended or self._down.ended
        closing = (self._up.ended and self._down.ended) or self._up.lost or self._down.lost
        up, down = (direction.look(now, closing) for direction in (self._up, self._down))
        if closing:
            # One way may have nothing left to carry.
            return "closing took too long" if min(up.unread, down.unread) >= timers.drain else None
        if up.unread >= timers.drain:
            return "target does not read"
        if down.unread >= timers.drain:
            return "client does not read"
        still = min(up.still, down.still)
        if ended and still >= timers.halfClosed:
            return "half-closed for too long"
        if timers.idle and still >= timers.idle:
            return "idle for too long"
        return None

    def _closeBoth(self) -> None:
        for direction in (self._up, self._down):
            if not direction.lost:
                direction.source.loseConnection()
        self.watch()

    def _note(self, reason: str) -> None:
        """
        Remember the first cause; what follows from it is not news.
        """
        self._reason = self._reason or reason

"""
One client's datagrams, on their way to the target and back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import GeneralFailure, RequestFailed
from socksproxy.events import AccessRecord, log
from socksproxy.interfaces import IDatagramConduit, IOutbound, Received

MAX_WAITING = 16
MAX_WAITING_OCTETS = 65536
"""
Datagrams of one client that wait for its way out to be there.
"""

RETRY_AFTER = 5.0
"""
Seconds between two attempts to open a way out.
"""

Opened = tuple[IDatagramConduit, Destination]


class Way:
    """
    The way out to one target.

    @ivar description: What logs call the target.
    @ivar relayed: It leads through a proxy, which gets the target's name as
        it is, and which can end a conduit.
    """

    def __init__(
        self, outbound: IOutbound, target: Destination, description: str, relayed: bool
    ) -> None:
        self._outbound = outbound
        self._target = target
        self.description = description
        self.relayed = relayed

    def open(self, received: Received) -> Deferred[Opened]:
        """
        Open a conduit for one client. A name is looked up now and not again:
        what comes from one client goes to one host.

        @param received: Called with what comes back.
        @return: The conduit and where to send; fails with a
            L{RequestFailed}.
        """
        target = self._target
        if self.relayed or not isinstance(target.host, str):
            return self._openTo(target, received)

        def found(addresses: list[IPAddress]) -> Deferred[Opened]:
            return self._openTo(Destination(addresses[0], target.port), received)

        return self._outbound.resolve(target.host).addCallback(found)

    def _openTo(self, target: Destination, received: Received) -> Deferred[Opened]:
        opening = self._outbound.conduit(received)
        return opening.addCallback(lambda conduit: (conduit, target))


class Flow:
    """
    What goes between one client and the target.

    @ivar record: The access line in the making.
    @ivar used: When the client has sent last, in seconds.
    @ivar moved: When it was last put behind all others.
    """

    def __init__(
        self,
        clock: IReactorTime,
        way: Way,
        record: AccessRecord,
        answer: Callable[[bytes], bool],
    ) -> None:
        """
        @param clock: Time.
        @param way: The way out.
        @param record: Who the client is; the rest is put in here.
        @param answer: Sends the client a datagram.
        """
        self._clock = clock
        self._way = way
        self._answer = answer
        self._out: Opened | None = None
        self._opening: Deferred[Any] | None = None
        self._waiting: list[bytes] = []
        self._retryAt = 0.0
        self._began = self.used = self.moved = clock.seconds()
        self.record = record
        record.protocol = "FORWARD"
        record.command = "UDP"
        record.destination = way.description

    def send(self, data: bytes) -> None:
        """
        Take a datagram of the client's.
        """
        if self._out is None:
            self._wait(data)
            return
        conduit, target = self._out
        if conduit.send(data, target):
            self.record.sent += len(data)
            self.record.datagramsSent += 1
        elif self._way.relayed:
            # It refuses nothing before the proxy has ended it.
            self._close()
            self._wait(data)
        else:
            self.record.datagramsDropped += 1

    def end(self, reason: str) -> None:
        """
        Send and receive nothing more, and say so.

        @param reason: Why, if nothing else is known to have gone wrong.
        """
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        self._close()
        record = self.record
        record.datagramsDropped += len(self._waiting)
        self._waiting.clear()
        record.duration = self._clock.seconds() - self._began
        if record.reason == "-":
            record.reason = reason
        record.emit()

    def _wait(self, data: bytes) -> None:
        """
        Keep a datagram until there is a way out.
        """
        tooSoon = self._opening is None and self._clock.seconds() < self._retryAt
        octets = sum(map(len, self._waiting)) + len(data)
        if tooSoon or len(self._waiting) >= MAX_WAITING or octets > MAX_WAITING_OCTETS:
            self.record.datagramsDropped += 1
            return
        self._waiting.append(data)
        if self._opening is None:
            self._retryAt = self._clock.seconds() + RETRY_AFTER
            # Perhaps it is there at once.
            self._opening = self._way.open(self._received)
            self._opening.addCallbacks(self._opened, self._notOpened)

    def _opened(self, out: Opened) -> None:
        self._opening = None
        self._out = out
        record = self.record
        record.result, record.reason = "succeeded", "-"
        if not self._way.relayed:
            record.address = str(out[1])
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.send(data)

    def _notOpened(self, failure: Failure) -> None:
        self._opening = None
        if failure.check(CancelledError):
            return
        error = failure.value
        if not isinstance(error, RequestFailed):
            log.failure("No way out for datagrams, for an unforeseen reason", failure)
            error = GeneralFailure()
        self.record.result, self.record.reason = error.summary, str(error)
        self.record.datagramsDropped += len(self._waiting)
        self._waiting.clear()

    def _received(self, data: bytes, source: Destination) -> None:
        """
        Take a datagram that has come back. Only the target answers; where it
        was named to a proxy, only that knows its address.
        """
        if self._out is None:
            return
        target = self._out[1]
        if source.port != target.port:
            return
        if not isinstance(target.host, str) and source.host != target.host:
            return
        if self._answer(data):
            self.record.received += len(data)
            self.record.datagramsReceived += 1
        else:
            self.record.datagramsDropped += 1

    def _close(self) -> None:
        out, self._out = self._out, None
        if out is not None:
            conduit, _ = out
            conduit.close()
            dropped, octets = conduit.dropped
            self.record.datagramsSent -= dropped
            self.record.sent -= octets
            self.record.datagramsDropped += dropped

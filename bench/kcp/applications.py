"""
What talks over a KCP session in a measurement: a source, a sink, and an echo
and who asks for it. The first octet of a session says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

SINK = b"S"
ECHO = b"E"

CHUNK = bytes(65536)


class Answering(Protocol):
    """
    The side that is connected to.
    """

    factory: AnsweringFactory
    transport: Any

    def __init__(self) -> None:
        self._receive: Callable[[bytes], None] = self._first

    def dataReceived(self, data: bytes) -> None:
        """
        Receive.
        """
        self._receive(data)

    def _first(self, data: bytes) -> None:
        self.factory.latest = self.transport
        self._receive = self._sink if data.startswith(SINK) else self._echo
        if len(data) > 1:
            self._receive(data[1:])

    def _sink(self, data: bytes) -> None:
        self.factory.octets += len(data)

    def _echo(self, data: bytes) -> None:
        self.transport.write(data)


class AnsweringFactory(Factory):
    """
    Makes that.

    @ivar octets: Octets that have come to sinks.
    @ivar latest: The session that has begun last.
    """

    protocol = Answering  # type: ignore[assignment]
    noisy = False

    def __init__(self) -> None:
        self.octets = 0
        self.latest: Any = None


@implementer(IPushProducer)
class Source(Protocol):
    """
    Sends without end.
    """

    transport: Any
    _paused = False

    def connectionMade(self) -> None:
        """
        Begin.
        """
        self.transport.write(SINK)
        self.transport.registerProducer(self, True)
        if not self._paused:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._paused = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._paused = False
        write = self.transport.write
        while not self._paused:
            write(CHUNK)

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._paused = True


class Asking(Protocol):
    """
    Sends something, waits until it comes back, and begins again.

    @ivar finished: Fires with the seconds that each took.
    """

    transport: Any

    def __init__(self, size: int, settling: float) -> None:
        """
        @param size: Octets.
        @param settling: Seconds in which what is sent does not count.
        """
        self.finished: Deferred[list[float]] = Deferred()
        self._message = bytes(size)
        self._times: list[float] = []
        self._missing = 0
        self._sent = 0.0
        self._settled = time.perf_counter() + settling

    def connectionMade(self) -> None:
        """
        Begin.
        """
        self._send(ECHO)

    def _send(self, first: bytes = b"") -> None:
        self._missing = len(self._message)
        self._sent = time.perf_counter()
        self.transport.write(first + self._message)

    def dataReceived(self, data: bytes) -> None:
        """
        Receive an echo, or a part of one.
        """
        self._missing -= len(data)
        if not self._missing and not self.finished.called:
            if self._sent >= self._settled:
                self._times.append(time.perf_counter() - self._sent)
            self._send()

    def finish(self) -> None:
        """
        That is enough. How long the last one has been waited for counts as if
        it had come.
        """
        if not self.finished.called:
            self._times.append(time.perf_counter() - self._sent)
            self.finished.callback(self._times)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The session is over.
        """
        self.finish()

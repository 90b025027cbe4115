"""
The streams of smux, which are transports.

A L{MuxStream} behaves as TCP does. Smux has no reset; who has this on the other
side is told of one by other means, and to any other peer it looks like an end. A
protocol that knows no half-close is done with when the peer ends the stream,
after what it has written by then has been sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.events import log
from socksproxy.smux._end import StreamEnd
from socksproxy.smux._stream import Stream

if TYPE_CHECKING:
    from socksproxy.smux.protocol import MuxProtocol


@implementer(IAddress)
@dataclass(frozen=True, slots=True)
class MuxAddress:
    """
    One end of a stream.

    @ivar carrier: That end of the carrier.
    @ivar streamID: The stream's number, the same at both ends.
    """

    carrier: IAddress
    streamID: int


@implementer(ITransport, IConsumer, IPushProducer)
class MuxStream(StreamEnd):
    """
    A stream as a transport.

    @ivar mux: The session that it is of.
    """

    def __init__(self, mux: MuxProtocol, record: Stream, protocol: IProtocol) -> None:
        super().__init__(mux, record, protocol)
        self.mux = mux

    def __repr__(self) -> str:
        return f"<MuxStream {self.record.streamID} with {self.mux.peer}>"

    def abortConnection(self) -> None:
        """
        Drop the stream, and what is queued with it.
        """
        self.end(Failure(ConnectionAborted()))

    def getHost(self) -> MuxAddress:
        """
        See C{ITransport}.
        """
        return MuxAddress(self.mux.host, self.record.streamID)

    def getPeer(self) -> MuxAddress:
        """
        See C{ITransport}.
        """
        return MuxAddress(self.mux.peer, self.record.streamID)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """
        See L{StreamEnd}.
        """
        try:
            function(*arguments)
        except Exception:
            log.failure("An application over smux failed")
            self.end(Failure())

    def halfCloseable(self) -> IHalfCloseableProtocol | None:
        """
        See L{StreamEnd}.
        """
        return IHalfCloseableProtocol(self.protocol, None)

    def done(self) -> Failure:
        """
        See L{StreamEnd}.
        """
        return Failure(ConnectionDone())

    def lost(self, why: str) -> Failure:
        """
        See L{StreamEnd}.
        """
        return lost(why)


def lost(why: str) -> Failure:
    """
    Say that something has ended that should not have.
    """
    return Failure(ConnectionLost(why))

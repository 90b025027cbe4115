"""
A client's connection as such: it is counted and timed, can be answered and
closed without losing the answer, and leaves a line in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.python.failure import Failure

from socksproxy.errors import (
    GeneralFailure,
    RequestFailed,
    SOCKSProxyError,
    TooManyConnections,
    requestFailedFor,
)
from socksproxy.events import AccessRecord
from socksproxy.inbound.address import shownAddress, sourceOf
from socksproxy.inbound.deadline import Deadline
from socksproxy.inbound.handshake import Lingering
from socksproxy.inbound.shared import Inbound
from socksproxy.policy.limits import Slot
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort, endStream
from socksproxy.relay.progress import Progress
from socksproxy.relay.sockets import backlogOf, tuneSocket, unacknowledged, writeThrough
from socksproxy.state import Numbers, State

PAUSE_AT = 65536
"""
Octets of early data after which the client is not read until the dial is over.
"""


class InboundConnection(Leg):
    """
    A client's connection.

    @ivar inbound: What the listener's connections share.
    @ivar record: The access line in the making.
    @ivar peer: The client's address, which a load balancer may tell better
        than the transport.
    @ivar closing: We are closing it.
    @ivar ended: The client sends no more.
    @ivar gone: The client is not there any more.
    """

    peer: IAddress

    def __init__(self, inbound: Inbound) -> None:
        super().__init__()
        self.inbound = inbound
        self.record = AccessRecord(listener=inbound.listener)
        self.gone = False
        self._accepted = 0.0
        self._began: float | None = None
        self._deadline = Deadline(inbound.clock, inbound.timers.handshake, self._expire)
        self._linger: IDelayedCall | None = None
        self._slot: Slot | None = None
        self._answered = False
        self.closing = False
        self._paused = False
        self.ended = False

    def connectionMade(self) -> None:
        """
        Start the clock.
        """
        self.peer = self.transport.getPeer()
        self._accepted = self._began = self.inbound.clock.seconds()
        self.inbound.connections.add(self)
        try:
            self._slot = self.inbound.limits.admit()
            if not self.inbound.balanced:
                self._attribute()
        except TooManyConnections as e:
            self._refusedFor(e)
            abort(self.transport)
            return
        tuneSocket(self.transport)
        self._deadline.start()

    def cameFrom(self, peer: IAddress | None) -> bool:
        """
        Take a load balancer's word for whose connection this is.

        @param peer: The client's address, or L{None} if it is the
            transport's.
        @return: Whether the client is let in; the connection is closed if not.
        """
        if peer is not None:
            self.peer = peer
        try:
            self._attribute()
        except TooManyConnections as e:
            self._refusedFor(e)
            abort(self.transport)
            return False
        return True

    def answer(self, message: bytes) -> None:
        """
        Send a message of the handshake.
        """
        if self.gone:
            return
        self._answered = True
        writeThrough(self.transport, message)

    def refuse(self, message: bytes, error: SOCKSProxyError) -> None:
        """
        Answer the client and close, without losing the answer.

        @param message: The answer, or nothing if it has been written.
        @param error: Why.
        """
        if self.gone:
            return
        self._refusedFor(error)
        self._close(message)

    def settle(self, message: bytes, error: SOCKSProxyError | None) -> None:
        """
        Answer one of several requests.

        @param message: The last of the answer, if it has not been written.
        @param error: Why it is a refusal, if it is one.
        """
        if message:
            self.answer(message)
        if error is not None:
            self._refusedFor(error)
        else:
            self.record.result = "succeeded"
            self.note("answered")

    def drop(self, error: SOCKSProxyError) -> None:
        """
        Close without an answer.

        @param error: Why.
        """
        self._deadline.stop()
        self._refusedFor(error)
        # TLS delivers what comes until the other side has closed, too.
        self.hold(Lingering(self))
        self.transport.loseConnection()

    def leave(self, reason: str) -> None:
        """
        Close, since there is nothing more to say.

        @param reason: Why, for the log.
        """
        self.note(reason)
        self.closing = True
        self.transport.loseConnection()

    def keepEarlyData(self, pending: int) -> None:
        """
        Read no more of a client that has sent enough for now.

        @param pending: Octets that wait for the dial to succeed.
        """
        if pending >= PAUSE_AT and not self.closing:
            self._paused = True
            self.transport.pauseProducing()

    def note(self, reason: str) -> None:
        """
        Remember why this connection ended; the first cause counts.
        """
        if self.record.reason == "-":
            self.record.reason = reason

    def conclude(self, message: bytes) -> None:
        """
        Answer the client and close: there is nothing more to do for it.

        @param message: The answer.
        """
        self.record.result = "succeeded"
        self.note("answered")
        self._close(message)

    def readOn(self) -> None:
        """
        Read again what L{keepEarlyData} has stopped.
        """
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def protectionBroken(self, error: SOCKSProxyError) -> None:
        """
        See L{Leg.protectionBroken}.
        """
        self.abort(str(error))

    def clientLost(self, reason: Failure) -> None:
        """
        The client is gone before there was a relay.
        """
        self.gone = True
        self.note("client gone before the answer")
        self.finish()

    def shutDown(self) -> bool:
        """
        End this connection unless it is relaying.

        @return: Whether it goes on.
        """
        self.abort("shut down")
        return False

    def abort(self, reason: str) -> None:
        """
        End this connection now.
        """
        self.note(reason)
        self.closing = True
        abort(self.transport)

    def moved(self) -> tuple[int, int]:
        """
        Give the octets that have gone from the client to the target and back
        so far.
        """
        return self.record.sent, self.record.received

    def state(self) -> State:
        """
        Tell what goes on.
        """
        record = self.record
        sent, received = self.moved()
        numbers: Numbers = {
            "listener": self.inbound.listener,
            "protocol": record.protocol,
            "user": record.user,
            "command": record.command,
            "destination": record.destination,
            "address": record.address,
            "result": record.result,
            "sent": sent,
            "received": received,
            "seconds": round(self.inbound.clock.seconds() - self._accepted, 3),
        }
        return State("connection", shownAddress(self.peer), numbers)

    def allow(self, seconds: float | None, expired: Callable[[], None]) -> None:
        """
        Give the client another time for what it is to send next.

        @param seconds: The time, or L{None} for what is left of the old one.
        @param expired: Called when it is over.
        """
        self._deadline.renew(seconds, expired)

    def requestBegun(self) -> None:
        """
        The client has made one of several requests, whose line counts from
        now.
        """
        self._began = self.inbound.clock.seconds()

    def nextRequest(self) -> None:
        """
        One of several requests has been answered: leave its line, and wait
        for the next. If there is none, the connection ends without a line.
        """
        self._leaveLine()
        self.record = AccessRecord(listener=self.inbound.listener)
        self._began = None

    def finish(self) -> None:
        """
        The connection is over: say so, and keep nothing.
        """
        self._deadline.close()
        linger, self._linger = self._linger, None
        if linger is not None and linger.active():
            linger.cancel()
        if self._slot is not None:
            self._slot.release()
        self._leaveLine()
        self.inbound.ended(self)

    def _leaveLine(self) -> None:
        if self._began is None:
            return
        self.record.client = shownAddress(self.peer)
        self.record.duration = self.inbound.clock.seconds() - self._began
        self.record.emit()

    def _attribute(self) -> None:
        if self._slot is not None and not self.inbound.local:
            self._slot.attribute(sourceOf(self.peer))

    def _close(self, message: bytes) -> None:
        """
        Send a last message and close, without losing it.
        """
        self.closing = True
        self._deadline.stop()
        if message:
            writeThrough(self.transport, message)
        if self.ended:
            self.transport.loseConnection()
            if not backlogOf(self.transport):
                return
        else:
            self.hold(Lingering(self))
            endStream(self.transport)
            self.transport.resumeProducing()
        self._lingerOn(Progress())

    def _lingerOn(self, progress: Progress) -> None:
        self._linger = self.inbound.clock.callLater(
            self.inbound.timers.linger, self._lingered, progress
        )

    def _lingered(self, progress: Progress) -> None:
        """
        Close, unless there still is something for the client, which then has
        to read.
        """
        waiting = backlogOf(self.transport)
        if not waiting:
            self.transport.loseConnection()
            return
        outstanding = waiting + unacknowledged(self.transport)
        progress.look(self.inbound.clock.seconds(), 0, outstanding, 0, True)
        if progress.unread >= self.inbound.timers.relay.drain:
            abort(self.transport)
        else:
            self._lingerOn(progress)

    def _expire(self) -> None:
        if self.ended:
            self.note("client closed during handshake")
            self.transport.loseConnection()
        else:
            self.note("handshake took too long")
            abort(self.transport)

    def _refusedFor(self, error: SOCKSProxyError) -> None:
        self.record.result = _resultOf(error)
        self.note(str(error))


def _resultOf(error: SOCKSProxyError) -> str:
    """
    Name an outcome for the access line.
    """
    if isinstance(error, RequestFailed):
        return error.summary
    code = getattr(error, "replyCode", GeneralFailure.replyCode)
    return "malformed" if code == GeneralFailure.replyCode else requestFailedFor(code).summary

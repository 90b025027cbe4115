"""
What the four SOCKS machines (version 4 and 5, server and client) share: bytes
go into a bounded buffer, and one step after another takes a message off it.

A step is a method that gives events, or L{None} while its message is
incomplete, and that names its successor in C{_step}. Where that is L{None},
the machine waits for its driver or is done.

Once a method of authentication has put a protection around the connection,
the bytes that go in are those that came out of it.
"""

from collections.abc import Callable

from socksproxy.buffer import Buffer
from socksproxy.errors import LocalProtocolError, RemoteProtocolError, RequestFailed
from socksproxy.negotiation import EARLY_DATA_LIMIT
from socksproxy.socks._events import Event, Failed, Protection, Send
from socksproxy.socks._wire1961 import MAX_FRAME

Step = Callable[[], list[Event] | None]


class Machine:
    """
    One half of a negotiation.

    @ivar _buffer: What came in and is not understood yet.
    @ivar _step: The state: what is done with the bytes that come next.
    @ivar _blocked: The step that goes on once something has been computed.
    @ivar _established: The negotiation is over, and what comes is data.
    @ivar _failed: The negotiation is over, and nothing counts any more.
    """

    def __init__(self, longestMessage: int, first: Step) -> None:
        """
        @param longestMessage: Octets in the longest message of the peer.
        @param first: The first step.
        """
        self._buffer = Buffer(longestMessage + EARLY_DATA_LIMIT)
        self._step: Step | None = first
        self._blocked: Step | None = None
        self._established = False
        self._failed = False

    @property
    def pending(self) -> int:
        """
        How many octets are kept that nobody will look at before this machine
        has been told something. Those of an unfinished message do not count:
        it ends only if more are read.
        """
        return len(self._buffer) if self._step is None else 0

    def receive(self, data: bytes) -> list[Event]:
        """
        Take bytes from the peer.

        @return: What there is to do. After L{Failed}, nothing ever again.
        """
        if self._failed:
            return []
        try:
            self._buffer.feed(data)
        except RemoteProtocolError as e:
            return self._fail(e)
        return self._advance()

    def resume(self) -> list[Event]:
        """
        Go on after L{Blocking<socksproxy.socks._events.Blocking>}, once its
        call has returned.

        @return: As L{receive}.
        @raise LocalProtocolError: Nothing is being waited for.
        """
        if self._blocked is None:
            raise LocalProtocolError("nothing is being waited for")
        step, self._blocked = self._blocked, None
        if self._failed:
            # The peer has sent far too much in the meantime.
            return []
        self._step = step
        return self._advance()

    def takeEarlyData(self) -> bytes:
        """
        Give the bytes that followed the negotiation, and keep nothing.

        @raise LocalProtocolError: The negotiation is not over, or has failed.
        """
        if self._failed or not self._established:
            raise LocalProtocolError("the negotiation is not over")
        return self._buffer.takeAll()

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        while (step := self._step) is not None:
            waiting = len(self._buffer)
            try:
                happened = step()
            except RemoteProtocolError as e:
                return events + self._fail(e)
            if happened is None:
                break
            events += happened
            if self._step is step and len(self._buffer) == waiting:
                # It has said something and now waits for an answer.
                break
        return events

    def _block(self, step: Step) -> None:
        """
        Wait for L{resume}.

        @param step: What is done then.
        """
        self._step = None
        self._blocked = step

    def _protect(self, protection: Protection) -> None:
        """
        Read what is left in the buffer, and what comes from here on, as it
        comes out of a protection. Two reads of the driver's may now bring a
        frame more than they have octets: what the protection kept of it.

        @raise RemoteProtocolError: What is left is at fault.
        """
        data = protection.unwrap(self._buffer.takeAll())
        self._buffer.limit += MAX_FRAME
        self._buffer.feed(data)

    def _establish(self) -> None:
        self._step = None
        self._established = True

    def _fail(
        self, error: RemoteProtocolError | RequestFailed, message: bytes = b""
    ) -> list[Event]:
        self._end()
        return [*sending(message), Failed(error)]

    def _end(self) -> None:
        self._step = None
        self._failed = True
        self._buffer.takeAll()


def sending(message: bytes) -> list[Event]:
    """
    Give the events that send a message, which may be empty.
    """
    return [Send(message)] if message else []

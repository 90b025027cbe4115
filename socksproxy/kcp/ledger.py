"""
The sessions of a port, or of a client with a port for each: what they have
counted, a line in the log when one ends, and what goes on right now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from socksproxy.events import Ration, log
from socksproxy.kcp.statistics import PortStatistics, Totals
from socksproxy.kcp.transport import KCPTransport
from socksproxy.state import Numbers, State, numbersOf, placeOf, shown


@dataclass(slots=True)
class SessionRecord:
    """
    A session that has ended.

    @ivar peer: The peer's address and port.
    @ivar conversation: conv, in hexadecimal.
    @ivar reason: Why it ended.
    @ivar duration: Seconds since it began.
    @ivar numbers: What it has counted.
    """

    peer: str
    conversation: str
    reason: str
    duration: float
    numbers: Numbers

    def __str__(self) -> str:
        return (
            f"KCP session with {self.peer} ended after {self.duration:.3f} s:"
            f" {self.reason}; {shown(self.numbers)}"
        )

    def emit(self) -> None:
        """
        Log it: as text, and field by field.
        """
        log.info(
            "{session}",
            log_event="kcp-session",
            session=self,
            peer=self.peer,
            conversation=self.conversation,
            reason=self.reason,
            duration=self.duration,
            **self.numbers,
        )


class Ledger:
    """
    Keeps account of sessions.

    @ivar counted: What came and went to no session.
    @ivar totals: What all sessions come to.
    """

    def __init__(self) -> None:
        self.counted = PortStatistics()
        self.totals = Totals()
        self._sessions: dict[KCPTransport, bool] = {}
        self._ration = Ration()

    def began(self, session: KCPTransport, active: bool) -> None:
        """
        A session begins.

        @param active: This side has begun it.
        """
        self._sessions[session] = active
        self.totals.began(active)

    def ended(self, session: KCPTransport, now: int) -> None:
        """
        A session has ended. Those which peers have begun that nobody has
        proved to be real make no more lines than the log can bear.

        @param now: Milliseconds.
        """
        active = self._sessions.pop(session)
        self.totals.over(session.statistics)
        if not (active or session.pipeline.control.proven):
            self.counted.unproven += 1
            if not self._ration.take(now / 1000):
                return
        SessionRecord(
            peer=placeOf(session.getPeer()),
            conversation=f"{session.conversation:08x}",
            reason=_reasonOf(session.reason),
            duration=(now - session.began) / 1000,
            numbers=_numbersOf(session),
        ).emit()

    def report(self, kind: str, name: str) -> Iterator[State]:
        """
        Tell what there is.

        @param kind: The kind of the whole, see L{State}.
        @param name: Its name.
        """
        counted = self.counted
        numbers: Numbers = {
            **self.totals.snmp(session.statistics for session in self._sessions),
            "InErrs": counted.strange,
            "InCsumErrors": counted.unreadable,
            "refused": counted.refused,
            "evicted": counted.evicted,
            "unproven": counted.unproven,
        }
        yield State(kind, name, numbers)
        for session in list(self._sessions):
            conversation = f"{session.conversation:08x}"
            numbers = {"port": name, "conversation": conversation, **_numbersOf(session)}
            yield State("kcp-session", placeOf(session.getPeer()), numbers)


def _numbersOf(session: KCPTransport) -> Numbers:
    return {
        "srtt": session.srtt,
        "rto": session.rto,
        **numbersOf(session.protocol),
        **session.statistics.snmp(),
    }


def _reasonOf(reason: Failure | None) -> str:
    """
    Say in a few words why a session has ended.
    """
    error = None if reason is None else reason.value
    if error is None or isinstance(error, ConnectionDone):
        return "closed"
    if isinstance(error, ConnectionAborted):
        return "aborted"
    if isinstance(error, ConnectionLost):
        return str(error.args[0]) if error.args else "lost"
    return f"failed with {type(error).__name__}"

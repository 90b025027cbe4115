"""
When a session is over though nobody has said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.control import MAX_PROBE

ASKED = 4 * MAX_PROBE
"""
Milliseconds for which a peer with a closed window may be silent before it
begins to count: so long until it has been asked some times, since questions
and answers may get lost.
"""

REST = 3
"""
Retransmission timeouts of silence after which the peer is taken to know that
all that it has sent has arrived.
"""

MAX_REST = 1000
"""
Milliseconds after which that does not matter any more.
"""

DEAD = "the peer acknowledges nothing"
IDLE = "the peer is silent"
LINGERED = "not everything was acknowledged in time"


@dataclass(frozen=True, slots=True)
class SessionTimers:
    """
    What ends a session, in seconds; L{None} is never.

    @ivar dead: Data is under way, and the peer acknowledges none of it. A peer
        whose window is closed need not, as long as it is heard of.
    @ivar idle: The peer sends nothing at all.
    @ivar linger: After C{loseConnection}, the peer acknowledges nothing more
        of what has been written.
    """

    dead: float | None = 30.0
    idle: float | None = None
    linger: float | None = 30.0

    def __post_init__(self) -> None:
        """
        @raise ConfigurationError: A time is not positive; none at all to
            linger is one.
        """
        for name in ("dead", "idle", "linger"):
            seconds = getattr(self, name)
            if seconds is None or seconds > 0 or (name == "linger" and seconds == 0):
                continue
            raise ConfigurationError(f"{name} is {seconds} and has to be positive seconds, or None")


class Liveness:
    """
    Keeps an eye on one session. All times are in milliseconds.
    """

    __slots__ = (
        "_closed",
        "_closing",
        "_dead",
        "_heard",
        "_idle",
        "_linger",
        "_progress",
        "_rest",
        "_resting",
        "_since",
        "_stalled",
    )

    def __init__(self, timers: SessionTimers) -> None:
        """
        @param timers: What ends the session.
        """
        self._dead = _milliseconds(timers.dead)
        self._idle = _milliseconds(timers.idle)
        self._linger = _milliseconds(timers.linger)
        self._heard: int | None = None
        self._closing: int | None = None
        self._closed = False
        self._progress = 0
        # Since when, and until when, only the peer may need something.
        self._resting: int | None = None
        self._rest: int | None = None
        # Since when the peer could have acknowledged, and since when it has
        # not; they differ after its window was closed.
        self._stalled: int | None = None
        self._since = 0

    def heard(self, now: int) -> None:
        """
        Something has come from the peer.
        """
        self._heard = now

    def look(self, progress: int, waiting: bool, closed: bool, now: int) -> None:
        """
        Take notice of how far the peer has got.

        @param progress: What it has acknowledged.
        @param waiting: There is more to acknowledge.
        @param closed: It has said that it has no room.
        """
        if not waiting:
            self._stalled = None
        elif self._stalled is None or progress != self._progress:
            self._stalled = self._since = now
        elif closed or self._closed:
            self._stalled = now
        self._progress = progress
        self._closed = closed

    def stalled(self, now: int) -> int:
        """
        Say for how many milliseconds the peer has acknowledged nothing of what
        waits, though it could.
        """
        return 0 if self._stalled is None or self._closed else now - self._stalled

    def closing(self, now: int) -> None:
        """
        Nothing more will be written.
        """
        if self._closing is None:
            self._closing = now

    def rests(self, now: int, rto: int) -> bool:
        """
        Whether a session of which everything has been acknowledged stays for a
        while. Its last acknowledgement may have been lost, and a peer that
        repeats what it acknowledged must not find nobody.

        @param rto: Milliseconds after which the peer repeats something.
        """
        if self._linger == 0 or self._heard is None:
            return False
        if self._resting is None:
            self._resting = now
        self._rest = min(self._heard + REST * rto, self._resting + MAX_REST)
        return now < self._rest

    def _ends(self) -> tuple[tuple[int | None, str], ...]:
        dead = _after(self._stalled, self._dead)
        if dead is not None and self._closed:
            dead = _after(self._heard, self._dead)
            dead = None if dead is None else dead + ASKED
        begun = None
        if self._closing is not None and self._stalled is not None:
            begun = max(self._closing, self._since)
        return (
            (dead, DEAD),
            (_after(self._heard, self._idle), IDLE),
            (_after(begun, self._linger), LINGERED),
        )

    @property
    def deadline(self) -> int | None:
        """
        When the session is over or has rested, if nothing changes, or L{None}
        for never.
        """
        ends = [time for time, _ in self._ends() if time is not None]
        if self._rest is not None:
            ends.append(self._rest)
        return min(ends) if ends else None

    def verdict(self, now: int) -> str | None:
        """
        Say why the session is over, or L{None} if it is not.
        """
        for time, reason in self._ends():
            if time is not None and now >= time:
                return reason
        return None


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _after(moment: int | None, wait: int | None) -> int | None:
    return None if moment is None or wait is None else moment + wait

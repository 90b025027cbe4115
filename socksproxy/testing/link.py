"""
A bad network between two ends, on a clock that the test moves.

Loss, delay, reordering and duplication come from a seed, so a failure is seen
again with what it was seen with first; C{repr} of a link says what that was.
Whoever is at the ends need not know Twisted: L{drive} runs two machines that
take datagrams and the time, and give datagrams and the time they want next::

    link = Link(latency=40, loss=0.1, seed=7)
    drive(link, (client, server), until=lambda: len(server.messages) == 100)

All times are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from math import ceil
from random import Random
from typing import Any, Protocol, TypeAlias

MASK32 = 0xFFFFFFFF


class NoProgress(AssertionError):
    """
    A simulation has not got where it should have within its bounds. Being an
    L{AssertionError}, it makes a test a failed one.
    """


@dataclass(frozen=True)
class Conditions:
    """
    What one direction of a link does to datagrams. They arrive in the order in
    which they were sent, except for those that overtake and for second copies.

    @ivar latency: Milliseconds that every datagram takes.
    @ivar jitter: Milliseconds that it takes longer at most.
    @ivar loss: The part of the datagrams that gets lost, from 0 to 1; or which
        ones, counted from 0.
    @ivar burst: The mean length of a run of losses, by the model of Gilbert.
        Up to C{1 / (1 - loss)}, which is what comes by chance, losses are
        independent of one another.
    @ivar duplicate: The part that arrives a second time, up to one delay later.
    @ivar reorder: The part that overtakes what was sent before, arriving at any
        time up to its own.
    @ivar rate: Octets per millisecond; L{None} is no bound.
    @ivar queue: How many milliseconds a datagram may have to wait for C{rate}
        before it is dropped instead.
    @ivar mtu: Octets of the longest datagram that is not dropped.
    @ivar blackholes: Times in which all that is sent is lost: starts and ends,
        in milliseconds since the beginning; the end does not belong to it.
    """

    latency: int = 25
    jitter: int = 0
    loss: float | Sequence[int] = 0.0
    burst: float = 1.0
    duplicate: float = 0.0
    reorder: float = 0.0
    rate: float | None = None
    queue: int = 100
    mtu: int | None = None
    blackholes: Sequence[tuple[int, int]] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.loss, int | float):
            object.__setattr__(self, "loss", tuple(self.loss))
        object.__setattr__(self, "blackholes", tuple((a, b) for a, b in self.blackholes))
        for name in ("loss", "duplicate", "reorder"):
            part = getattr(self, name)
            if not isinstance(part, tuple) and not 0 <= part <= 1:
                raise ValueError(f"{name}={part!r} is not between 0 and 1")
        for name, least in (("latency", 0), ("jitter", 0), ("burst", 1), ("queue", 0), ("mtu", 0)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name}={value!r} is less than {least}")
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"rate={self.rate!r} carries nothing")


USUAL = Conditions()
"""
A way that takes its time and does nothing bad.
"""


class Direction:
    """
    The way of datagrams from one place to another.

    @ivar receiver: Called with each datagram that arrives.
    @ivar sent: How many datagrams have been sent.
    @ivar lost: How many of those have been dropped, for whatever reason.
    @ivar duplicated: How many get a second copy.
    @ivar delivered: How many have arrived, copies included.
    """

    def __init__(
        self,
        conditions: Conditions,
        seed: str,
        inFlight: list[Flight],
        serial: Iterator[int],
        beginning: int = 0,
    ) -> None:
        """
        @param seed: Decides every draw, whatever happens in other directions.
        @param inFlight: A heap that takes what will arrive. Directions on the
            same clock share one.
        @param serial: Numbers from 1, for what arrives at the same time;
            shared likewise.
        @param beginning: The time from which blackholes count.
        """
        self._random = Random(seed).random  # noqa: S311
        self._inFlight = inFlight
        self._serial = serial
        self._beginning = beginning
        self._latest = 0
        self._free = 0.0
        self.receiver: Callable[[bytes], object] = _nobody
        self.sent = self.lost = self.duplicated = self.delivered = 0
        self.conditions = conditions

    @property
    def conditions(self) -> Conditions:
        """
        What happens to datagrams that are sent from now on; can be changed.
        """
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._chosen: frozenset[int] = frozenset()
        self._loss = 0.0
        if isinstance(conditions.loss, int | float):
            self._loss = loss = float(conditions.loss)
            leave = min(1 / conditions.burst, 1 - loss)
            self._chance = loss
            self._afterLoss = 1 - leave
            self._afterArrival = loss * leave / (1 - loss) if loss < 1 else 1.0
        else:
            self._chosen = frozenset(conditions.loss)

    def __repr__(self) -> str:
        return (
            f"<{self.sent} sent, {self.lost} lost, {self.duplicated} duplicated, "
            f"{self.delivered} delivered>"
        )

    def send(self, datagram: bytes, now: int) -> None:
        """
        Send a datagram: drop it, or put it where it waits for its arrival.

        @param now: The time.
        """
        index = self.sent
        self.sent = index + 1
        if self._drops(index, len(datagram), now):
            self.lost += 1
            return
        conditions, random = self._conditions, self._random
        if conditions.rate is not None:
            self._free = max(self._free, now) + len(datagram) / conditions.rate
            now = ceil(self._free)
        delay = conditions.latency
        if conditions.jitter:
            delay += int(random() * (conditions.jitter + 1))
        order = next(self._serial)
        if conditions.reorder and random() < conditions.reorder:
            arrival = now + int(random() * (delay + 1))
            # Ahead of what arrives at the same time, too.
            order = -order
        else:
            arrival = now + delay
            if arrival < self._latest:
                arrival = self._latest
            else:
                self._latest = arrival
        heappush(self._inFlight, (arrival, order, self, datagram))
        if conditions.duplicate and random() < conditions.duplicate:
            self.duplicated += 1
            arrival += int(random() * (delay + 1))
            heappush(self._inFlight, (arrival, next(self._serial), self, datagram))

    def _drops(self, index: int, octets: int, now: int) -> bool:
        conditions = self._conditions
        if self._loss:
            # Drawn for every datagram: which ones are lost depends on nothing
            # but the seed.
            if self._random() < self._chance:
                self._chance = self._afterLoss
                return True
            self._chance = self._afterArrival
        elif index in self._chosen:
            return True
        if conditions.mtu is not None and octets > conditions.mtu:
            return True
        if conditions.blackholes:
            since = now - self._beginning
            if any(start <= since < end for start, end in conditions.blackholes):
                return True
        return conditions.rate is not None and self._free - now > conditions.queue


Flight: TypeAlias = tuple[int, int, Direction, bytes]
"""
When a datagram arrives, its place among those that arrive with it, which way
it is on, and itself.
"""


def _nobody(datagram: bytes) -> None:
    pass


class Side:
    """
    One of the two places that a L{Link} joins.
    """

    def __init__(self, link: Link, outgoing: Direction, incoming: Direction) -> None:
        self._link = link
        self._outgoing = outgoing
        self._incoming = incoming

    @property
    def received(self) -> Callable[[bytes], object]:
        """
        Called with each datagram that arrives here; to be set.
        """
        return self._incoming.receiver

    @received.setter
    def received(self, receiver: Callable[[bytes], object]) -> None:
        self._incoming.receiver = receiver

    def send(self, datagram: bytes) -> None:
        """
        Send a datagram to the other side.
        """
        self._outgoing.send(datagram, self._link.now)


class Link:
    """
    Two directions between two sides, and the clock of both::

        Link()                                    25 ms and nothing bad
        Link(latency=40, loss=[0, 3], seed=7)     the same both ways
        Link(Conditions(rate=1250), Conditions(rate=125))

    @ivar now: The time in milliseconds, which only grows.
    @ivar left: One side.
    @ivar right: The other side.
    @ivar forwards: The way from left to right.
    @ivar backwards: The way from right to left.
    """

    def __init__(
        self,
        conditions: Conditions = USUAL,
        backwards: Conditions | None = None,
        *,
        seed: int = 0,
        start: int = 0,
        **changes: Any,
    ) -> None:
        """
        @param conditions: Those from left to right.
        @param backwards: Those from right to left; without it, the same.
        @param seed: Decides every draw.
        @param start: What the clock shows first; to see time wrap, something
            just below 2**32.
        @param changes: Fields of L{Conditions} that C{conditions} gets.
        """
        conditions = replace(conditions, **changes)
        self._made = (conditions, backwards or conditions, seed, start)
        self.now = start
        self._inFlight: list[Flight] = []
        serial = count(1)
        self.forwards, self.backwards = (
            Direction(each, f"{seed} {name}", self._inFlight, serial, start)
            for each, name in ((self._made[0], "forwards"), (self._made[1], "backwards"))
        )
        self.left = Side(self, self.forwards, self.backwards)
        self.right = Side(self, self.backwards, self.forwards)

    def __repr__(self) -> str:
        conditions, backwards, seed, start = self._made
        return f"Link({conditions!r}, {backwards!r}, seed={seed}, start={start})"

    @property
    def now32(self) -> int:
        """
        The time in milliseconds modulo 2**32, as protocols count it.
        """
        return self.now & MASK32

    def nextArrival(self) -> int | None:
        """
        Tell when something arrives next.

        @return: A time of this clock, or L{None} if nothing is under way.
        """
        return self._inFlight[0][0] if self._inFlight else None

    def advance(self, milliseconds: int) -> None:
        """
        Move the time, delivering what arrives meanwhile, each at its time.
        """
        if milliseconds < 0:
            raise ValueError("time does not go back")
        end = self.now + milliseconds
        inFlight = self._inFlight
        while inFlight and inFlight[0][0] <= end:
            arrival, _, direction, datagram = heappop(inFlight)
            self.now = arrival
            direction.delivered += 1
            direction.receiver(datagram)
        self.now = end


class End(Protocol):
    """
    What L{drive} runs: a machine that is given datagrams and the time, in
    milliseconds modulo 2**32.
    """

    def input(self, payloads: Sequence[bytes], now: int, /) -> None:
        """
        Take datagrams that have arrived together.
        """

    def flush(self, now: int, /) -> list[bytes]:
        """
        Give the datagrams to send now.
        """

    def nextDeadline(self, now: int, /) -> int | None:
        """
        Tell in how many milliseconds C{flush} has to be called: at once if it
        is 0, never if it is L{None}.
        """


def drive(
    link: Link,
    ends: tuple[End, End],
    until: Callable[[], bool],
    limit: int = 60_000,
    steps: int = 100_000,
) -> int:
    """
    Run two machines against each other. The clock jumps to the next time at
    which something arrives or an end wants to be flushed; what arrives at an
    end in the same millisecond is given to it together.

    An exception that an end raises gets a note that says what the link was.

    @param ends: The left and the right one.
    @param until: Asked after each step, and before the first; it may also give
        the ends something to do.
    @param limit: Milliseconds that it may take by the link's clock.
    @param steps: Jumps of the clock that it may take.
    @return: Milliseconds that it took by the link's clock.
    @raise NoProgress: It was not over within the bounds, or nothing would ever
        happen any more.
    """
    sides = link.left, link.right
    receivers = [side.received for side in sides]
    places = [_Place(end, side, []) for end, side in zip(ends, sides, strict=True)]
    for place in places:
        place.side.received = place.inbox.append
    began = link.now
    taken = 0
    try:
        while not until():
            if (wake := _wake(link, ends)) is None:
                raise NoProgress("nothing is under way and neither end wants to be flushed")
            if wake - began > limit:
                raise NoProgress(f"it takes longer than {limit} ms")
            if taken == steps:
                raise NoProgress(f"it takes more than {steps} steps")
            taken += 1
            link.advance(wake - link.now)
            for place in places:
                place.step(link.now32)
    except NoProgress as error:
        raise NoProgress(f"{error}; {_account(link, began, taken)}") from None
    except Exception as error:
        error.add_note(_account(link, began, taken))
        raise
    finally:
        for side, receiver in zip(sides, receivers, strict=True):
            side.received = receiver
    return link.now - began


@dataclass(slots=True)
class _Place:
    """
    An end at a side of a link.
    """

    end: End
    side: Side
    inbox: list[bytes]

    def step(self, now: int) -> None:
        if self.inbox:
            batch = self.inbox.copy()
            self.inbox.clear()
            self.end.input(batch, now)
        wait = self.end.nextDeadline(now)
        if wait is not None and wait <= 0:
            for datagram in self.end.flush(now):
                self.side.send(datagram)


def _wake(link: Link, ends: Sequence[End]) -> int | None:
    wake = link.nextArrival()
    now32 = link.now32
    for end in ends:
        wait = end.nextDeadline(now32)
        if wait is not None:
            due = link.now + max(wait, 0)
            wake = due if wake is None else min(due, wake)
    return wake


def _account(link: Link, began: int, steps: int) -> str:
    return (
        f"after {link.now - began} ms and {steps} steps on {link!r}, "
        f"forwards {link.forwards!r}, backwards {link.backwards!r}"
    )

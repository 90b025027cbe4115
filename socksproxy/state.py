"""
What goes on right now, as structured events for the log, and its end.

Whoever has something to say gives L{State}s when it is asked, and asks those
whom it has made itself: ports their sessions, endpoints their carriers. They
are values, so that they can be written later, a few at a time. In the same way
whoever keeps sessions for later closes them when there is no later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from zope.interface import Interface

from socksproxy.events import log
from socksproxy.relay.leg import outermost

Numbers = Mapping[str, str | int | float]
"""
What there is to say, by its names.
"""


@dataclass(frozen=True, slots=True)
class State:
    """
    What is known of one thing.

    @ivar kind: What it is: C{listener}, C{connection}, C{mux-session},
        C{kcp-session}, C{kcp-port} for all sessions of a listener, or
        C{kcp-client} for all that lead to one place, and C{totals} for both.
    @ivar name: Which one.
    @ivar numbers: What there is to say of it.
    """

    kind: str
    name: str
    numbers: Numbers

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {shown(self.numbers)}"

    def emit(self) -> None:
        """
        Log it: as text, and field by field.
        """
        log.info(
            "State of {state}",
            log_event="state",
            state=self,
            kind=self.kind,
            name=self.name,
            **self.numbers,
        )


class IReportsState(Interface):
    """
    Something that knows what goes on.
    """

    def report() -> Iterable[State]:
        """
        Tell it.
        """


class IKeepsSessions(Interface):
    """
    Something that keeps sessions with peers after what they were made for.
    """

    def close(patience: float | None = None) -> Deferred[None]:
        """
        Close them.

        @param patience: Seconds after which those are dropped that are still
            there; L{None} is never.
        @return: Fires when they are gone.
        """


class ICounts(Interface):
    """
    A protocol that has more to say of its connection than its transport knows.
    """

    def numbers() -> Numbers:
        """
        Tell it.
        """


def reportOf(thing: object) -> Iterator[State]:
    """
    Ask something that may have nothing to say.
    """
    if IReportsState.providedBy(thing):
        # A port that is closed knows no address any more.
        with suppress(OSError):
            yield from thing.report()


def closeSessions(things: Iterable[object], patience: float | None = None) -> Deferred[None]:
    """
    Close the sessions of those who keep any.

    @param things: Some may keep none.
    @param patience: See L{IKeepsSessions.close}.
    @return: Fires when they are gone.
    """
    keeping = [thing for thing in things if IKeepsSessions.providedBy(thing)]
    closing = [maybeDeferred(thing.close, patience) for thing in keeping]
    return DeferredList(closing, consumeErrors=True).addCallback(lambda _: None)


def totalOf(states: Iterable[State]) -> list[State]:
    """
    Add up what ports and clients of KCP have counted, if there are any.
    """
    total: Counter[str] = Counter()
    for state in states:
        if state.kind in ("kcp-port", "kcp-client"):
            total.update(cast(Mapping[str, int], state.numbers))
    return [State("totals", "KCP", total)] if total else []


def numbersOf(protocol: object) -> Numbers:
    """
    Ask a protocol, or the one that it wraps.
    """
    inner = getattr(protocol, "wrappedProtocol", protocol)
    numbers: Numbers = inner.numbers() if ICounts.providedBy(inner) else {}
    return numbers


def placeOf(address: object) -> str:
    """
    Write an address, or that of what carries it, for people.
    """
    end: Any = outermost(address)
    if not isinstance(end, IPv4Address | IPv6Address):
        return str(end)
    return f"[{end.host}]:{end.port}" if ":" in end.host else f"{end.host}:{end.port}"


def shown(numbers: Numbers) -> str:
    """
    Write numbers for people, who do not want to read what is nothing.
    """
    pieces = [
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in numbers.items()
        if value not in (0, "", "-")
    ]
    return ", ".join(pieces) or "nothing"

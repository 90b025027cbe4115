"""
What tests want to know of the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher


@contextmanager
def captured() -> Iterator[list[LogEvent]]:
    """
    Collect what is logged meanwhile, also if the test fails.
    """
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(events.append)


def texts(events: list[LogEvent]) -> list[str]:
    """
    Give the text of each event of socksproxy's own.
    """
    return [formatEvent(event) for event in events if ours(event)]


def atLevel(events: list[LogEvent], level: LogLevel) -> list[str]:
    """
    Give the texts of socksproxy's events of one level.
    """
    return texts([event for event in events if event.get("log_level") is level])


def ours(event: LogEvent) -> bool:
    """
    Tell whether an event is socksproxy's own.
    """
    return str(event.get("log_namespace", "")).startswith("socksproxy")

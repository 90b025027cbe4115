"""
The access lines among what is logged.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from twisted.logger import LogEvent

from socksproxy.events import AccessRecord


def accessLines(events: Sequence[LogEvent]) -> list[dict[str, Any]]:
    """
    Give the fields of the access lines among some events.
    """
    names = asdict(AccessRecord())
    return [
        {name: event[name] for name in names}
        for event in events
        if event.get("log_event") == "access"
    ]

"""
What an administrator decides, checked and in one place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.cred.checkers import ICredentialsChecker

from socksproxy.inbound import InboundTimers
from socksproxy.policy.limits import ConnectionLimits

DEFAULT_LISTENER = "tcp:1080:interface=127.0.0.1"

_SECRET = re.compile(r"\b(key|password|passwd|secret)=(?:\\.|[^:\\])*", re.IGNORECASE)


@dataclass(frozen=True)
class Configuration:
    """
    A proxy's settings.

    @ivar listen: Server endpoint strings.
    @ivar checkers: Who may log in; without any, everybody may.
    @ivar openRelay: Listen on other than loopback addresses even if everybody
        may log in.
    @ivar allowPrivate: Let clients from elsewhere reach internal addresses.
    @ivar drain: Seconds that transfers under way get when the proxy stops.
    @ivar timers: How long clients are waited for.
    @ivar limits: How many clients there may be, over all listeners.
    """

    listen: Sequence[str] = (DEFAULT_LISTENER,)
    checkers: Sequence[ICredentialsChecker] = ()
    openRelay: bool = False
    allowPrivate: bool = False
    drain: float = 30.0
    timers: InboundTimers = field(default_factory=InboundTimers)
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)


def withoutSecrets(description: str) -> str:
    """
    Make an endpoint string fit for a log or an error.
    """
    return _SECRET.sub(r"\1=***", description)

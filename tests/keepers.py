"""
An endpoint that keeps sessions, which the test closes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from socksproxy.state import IKeepsSessions


@implementer(IStreamClientEndpoint, IKeepsSessions)
class Keeper:
    """
    Keeps sessions.

    @ivar closing: What it was given when it was told to close them, and what
        waits for that.
    """

    def __init__(self, *ignored: object) -> None:
        self.closing: list[tuple[float | None, Deferred[None]]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """
        See C{IStreamClientEndpoint}.
        """
        return Deferred()

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        See L{IKeepsSessions}.
        """
        closing: Deferred[None] = Deferred()
        self.closing.append((patience, closing))
        return closing

    def closed(self) -> None:
        """
        Have the last of the sessions end.
        """
        _, closing = self.closing.pop(0)
        closing.callback(None)

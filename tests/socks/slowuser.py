"""
A user who has to wait for an association.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from socksproxy.address import Destination
from socksproxy.interfaces import IDatagramConduit, Received
from tests.memoryproxy import SoleUser


@implementer(IDatagramConduit)
class Conduit:
    """
    A conduit that only knows whether it has been closed.
    """

    closed = False
    dropped = (0, 0)

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit}.
        """
        return True

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """
        self.closed = True


class SlowUser(SoleUser):
    """
    A realm of one user who has to wait for an association.
    """

    def __init__(self, associating: Callable[[], Deferred[IDatagramConduit]] = Deferred) -> None:
        super().__init__()
        self.asked: list[Deferred[IDatagramConduit]] = []
        self._associating = associating

    def associate(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IProxyAvatar}.
        """
        self.asked.append(self._associating())
        return self.asked[-1]

"""
Connections of a Shadowsocks server that have not been understood, or not yet,
or not any more.

Who probes a server must not learn when it gives up on a stream, nor why. So
there is one behaviour for all of these: what comes is read and thrown away,
nothing is said, an end of the stream changes nothing, and when a time is over
that begins with the connection we end it, too.
"""

from __future__ import annotations

import random
from collections import OrderedDict

from twisted.python.failure import Failure

from socksproxy.inbound import InboundProtocol

PATIENCE = 60.0
"""
Seconds from the beginning of a connection to our end of it, more or less.
"""

MAX_SILENT = 1024
"""
Connections for which nothing is done but to wait. With more of them those go
that are there for longest.
"""


def drawPatience() -> float:
    """
    Draw the seconds that connections get. Servers are to differ in it, and one
    of them must not: it is drawn once.
    """
    return PATIENCE * random.SystemRandom().uniform(0.75, 1.25)


class Silent:
    """
    The connections that wait, the one first that is there for longest.
    """

    def __init__(self, most: int = MAX_SILENT) -> None:
        """
        @param most: The most connections.
        """
        self._most = most
        self._waiting: OrderedDict[InboundProtocol, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: InboundProtocol) -> None:
        """
        Let a connection wait. It is no matter whether we know already that it
        waits in vain, which would show when there are too many.
        """
        self._waiting[connection] = None
        if len(self._waiting) > self._most:
            oldest, _ = self._waiting.popitem(last=False)
            oldest.abort("too many connections say nothing that is understood")

    def discard(self, connection: InboundProtocol) -> None:
        """
        A connection waits no more.
        """
        self._waiting.pop(connection, None)


class Deaf:
    """
    The receiver of a connection that is not listened to.
    """

    def __init__(self, connection: InboundProtocol) -> None:
        self._connection = connection

    def dataReceived(self, data: bytes) -> None:
        """
        Throw it away.
        """

    def readConnectionLost(self) -> None:
        """
        That changes nothing.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self._connection.clientLost(reason)

"""
How many connections are let in at a time.
"""

from collections import Counter

from socksproxy.errors import TooManyConnections


class ConnectionLimits:
    """
    Caps on connections: in all, for one source, and on those whose handshake
    is not over.
    """

    def __init__(self, total: int = 4000, perSource: int = 500, handshakes: int = 1000) -> None:
        """
        @param total: Most connections at a time.
        @param perSource: Most connections at a time from one remote source.
        @param handshakes: Most connections at a time that have not made
            their request.
        """
        self.total = total
        self.perSource = perSource
        self.handshakes = handshakes
        self._open = 0
        self._shaking = 0
        self._sources: Counter[str] = Counter()

    def admit(self) -> "Slot":
        """
        Let a connection in.

        @return: Its place, to be released when it is gone.
        @raise TooManyConnections: There is no place for it.
        """
        if self._open >= self.total:
            raise TooManyConnections(f"{self.total} connections are open")
        if self._shaking >= self.handshakes:
            raise TooManyConnections(f"{self.handshakes} handshakes are under way")
        return Slot(self)


class Slot:
    """
    The place of one connection under its L{ConnectionLimits}.
    """

    __slots__ = ("_limits", "_places", "_shaking", "_source")

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._source: str | None = None
        self._places = 1
        self._shaking = True
        limits._open += 1
        limits._shaking += 1

    def attribute(self, source: str) -> None:
        """
        Count this connection for a source, which is not known before the
        header where a load balancer sends one.

        @raise TooManyConnections: The source has too many.
        """
        limits = self._limits
        if limits._sources[source] >= limits.perSource:
            raise TooManyConnections(f"{limits.perSource} connections from {source} are open")
        limits._sources[source] += 1
        self._source = source

    def handshakeDone(self) -> None:
        """
        The request has been made; may be called more than once.
        """
        if self._shaking:
            self._shaking = False
            self._limits._shaking -= 1

    def widen(self, places: int) -> None:
        """
        Count this connection as more than one, since it has more sockets.

        @param places: How many more.
        @raise TooManyConnections: There is no room.
        """
        limits = self._limits
        if limits._open + places > limits.total:
            raise TooManyConnections(f"{limits.total} connections are open")
        limits._open += places
        self._places += places

    def release(self) -> None:
        """
        Give the place back; may be called more than once.
        """
        if not self._places:
            return
        self.handshakeDone()
        limits = self._limits
        limits._open -= self._places
        self._places = 0
        if self._source is not None:
            limits._sources[self._source] -= 1
            if not limits._sources[self._source]:
                del limits._sources[self._source]

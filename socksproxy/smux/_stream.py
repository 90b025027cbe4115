"""
What a session knows of one stream.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from socksproxy.smux._frame import MASK
from socksproxy.smux.config import MAX_OCTETS

INITIAL_WINDOW = 262144
"""
Octets of a stream that may be under way before its reader has said anything.
"""

_SIGN = 0x80000000


class Stream:
    """
    One stream.

    @ivar streamID: Its number.
    @ivar owner: Whatever the one who has the carrier wants to find here.
    @ivar local: It is of our making.
    @ivar queued: Octets that wait to be sent.
    @ivar opening: SYN has to be sent.
    @ivar ending: FIN has to be sent after what is queued, or has been.
    @ivar ended: FIN has been sent.
    @ivar broken: NOP has to be sent before FIN: there would have been more.
    @ivar insisting: FIN has to be sent twice: we do not read any more either.
    @ivar written: Octets that have been sent, modulo 2**32.
    @ivar peerEnded: The peer has sent FIN.
    @ivar unwanted: The peer has sent it twice.
    @ivar discarding: What comes is thrown away.
    @ivar unread: Octets that came and have not been consumed.
    @ivar consumed: Octets that have been, modulo 2**32.
    @ivar unreported: How many of those the peer does not know of.
    @ivar updating: UPD has to be sent.
    @ivar urgent: It is in the queue of those with something small to send.
    @ivar ready: It is in the queue of those with data to send.
    """

    __slots__ = (
        "_offset",
        "_peerConsumed",
        "_peerWindow",
        "_queue",
        "broken",
        "consumed",
        "discarding",
        "ended",
        "ending",
        "insisting",
        "local",
        "opening",
        "owner",
        "peerEnded",
        "queued",
        "ready",
        "streamID",
        "unread",
        "unreported",
        "unwanted",
        "updating",
        "urgent",
        "written",
    )

    def __init__(self, streamID: int, local: bool) -> None:
        self.streamID = streamID
        self.owner: Any = None
        self.local = local
        self._queue: deque[bytes] = deque()
        self._offset = 0
        self.queued = 0
        self.opening = local
        self.ending = False
        self.ended = False
        self.broken = False
        self.insisting = False
        self.written = 0
        self._peerConsumed = 0
        self._peerWindow = INITIAL_WINDOW
        self.peerEnded = False
        self.unwanted = False
        self.discarding = False
        self.unread = 0
        self.consumed = 0
        self.unreported = 0
        self.updating = False
        self.urgent = False
        self.ready = False

    def __repr__(self) -> str:
        return f"<Stream {self.streamID}>"

    @property
    def room(self) -> int:
        """
        How many octets the peer's window admits; what it has may be negative
        if the peer has made it smaller.
        """
        return self._peerWindow - (self.written - self._peerConsumed & MASK)

    def update(self, consumed: int, window: int) -> bool:
        """
        Take what an UPD says.

        @param consumed: Octets that the peer's application has taken in all,
            modulo 2**32.
        @param window: Octets beyond those that may be sent.
        @return: Whether it can be true: nobody consumes what has not been
            sent.
        """
        if self.written - consumed & _SIGN:
            return False
        self._peerConsumed = consumed
        self._peerWindow = min(window, MAX_OCTETS)
        return True

    def put(self, data: bytes) -> None:
        """
        Queue data.
        """
        self._queue.append(data)
        self.queued += len(data)

    def take(self, octets: int, parts: list[bytes | memoryview]) -> None:
        """
        Take data off the queue.

        @param octets: How much; not more than there is.
        @param parts: Where it goes.
        """
        queue, offset = self._queue, self._offset
        self.queued -= octets
        self.written = self.written + octets & MASK
        while octets:
            data = queue[0]
            rest = len(data) - offset
            if rest > octets:
                parts.append(memoryview(data)[offset : offset + octets])
                offset += octets
                break
            parts.append(memoryview(data)[offset:] if offset else data)
            del queue[0]
            octets -= rest
            offset = 0
        self._offset = offset

    def drop(self) -> int:
        """
        Throw away what is queued.

        @return: How many octets that were.
        """
        octets, self.queued = self.queued, 0
        self._queue.clear()
        self._offset = 0
        return octets

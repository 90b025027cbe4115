"""
Whose turn it is to send.

What is small and lets others get on goes first: refusals, NOP, SYN and UPD.
Then the streams that have data take turns, with one frame each, so that one
with much of it cannot starve those with little. FIN belongs to the data.
"""

from __future__ import annotations

from collections import deque

from socksproxy.smux._frame import (
    FIN,
    HEAD,
    HEAD_SIZE,
    NOP,
    PSH,
    SYN,
    encodeFrame,
    encodeUpdate,
)
from socksproxy.smux._stream import Stream

LOW_WATER = 16384
"""
Octets in a stream's queue at which its writer may go on.
"""


class Sending:
    """
    What a session has to send.

    @ivar version: The version to speak, or L{None} until it is known.
    @ivar refused: The streams that the peer is to be told have no reader.
    @ivar queued: Octets of data that wait, of all streams.
    @ivar drained: Streams whose writers may go on after the last L{take}, or
        whose end it has sent; some of them more than once.
    @ivar ended: Streams whose end the last L{take} has sent.
    """

    def __init__(self, version: int | None, framesize: int, window: int) -> None:
        """
        @param framesize: Octets of data in a frame at the most.
        @param window: What the peer is told in UPD.
        """
        self.version = version
        self._framesize = framesize
        self._window = window
        self.refused: deque[int] = deque()
        self._alive = False
        self._urgent: deque[Stream] = deque()
        self._ready: deque[Stream] = deque()
        self.queued = 0
        self.drained: list[Stream] = []
        self.ended: list[Stream] = []

    @property
    def pending(self) -> bool:
        """
        Whether anything waits for its turn.
        """
        return bool(self._ready or self._urgent or self.refused or self._alive)

    def keepAlive(self) -> None:
        """
        Send a sign of life.
        """
        self._alive = True

    def urge(self, stream: Stream) -> None:
        """
        A stream has SYN or UPD to send.
        """
        if not stream.urgent:
            stream.urgent = True
            self._urgent.append(stream)

    def queue(self, stream: Stream) -> None:
        """
        A stream has data or FIN to send, or its window has opened.
        """
        if not stream.ready:
            stream.ready = True
            self._ready.append(stream)

    def take(self, limit: int) -> bytes:
        """
        Give what is to be sent next.

        @param limit: Octets, more than a head has; they are exceeded by less
            than four heads.
        @return: Whole frames, or nothing if there are none or the version is
            not known.
        """
        version = self.version
        self.drained.clear()
        self.ended.clear()
        if version is None or not self.pending:
            return b""
        parts: list[bytes | memoryview] = []
        left = limit - self._takeSmall(version, limit, parts)
        ready, drained, framesize = self._ready, self.drained, self._framesize
        while ready and left > HEAD_SIZE:
            stream = ready.popleft()
            waiting = stream.queued
            octets = min(waiting, framesize, left - HEAD_SIZE)
            if version == 2 and octets > stream.room:
                octets = max(stream.room, 0)
            if octets:
                parts.append(HEAD.pack(version, PSH, octets, stream.streamID))
                stream.take(octets, parts)
                self.queued -= octets
                left -= HEAD_SIZE + octets
            if stream.queued:
                if waiting > LOW_WATER >= stream.queued:
                    drained.append(stream)
                if octets:
                    ready.append(stream)
                    continue
                # Its window is closed, and will bring it back.
            else:
                drained.append(stream)
                if stream.ending and not stream.ended:
                    end = encodeFrame(version, FIN, stream.streamID)
                    if stream.broken:
                        parts.append(encodeFrame(version, NOP, stream.streamID))
                        left -= HEAD_SIZE
                    parts.append(end + end if stream.insisting else end)
                    left -= HEAD_SIZE
                    stream.ended = True
                    self.ended.append(stream)
            stream.ready = False
        return b"".join(parts)

    def _takeSmall(self, version: int, limit: int, parts: list[bytes | memoryview]) -> int:
        """
        Take what goes before all data.

        @return: How many octets that were.
        """
        left = limit
        if self._alive:
            self._alive = False
            parts.append(encodeFrame(version, NOP, 0))
            left -= HEAD_SIZE
        refused, urgent = self.refused, self._urgent
        while refused and left > 0:
            parts.append(encodeFrame(version, FIN, refused.popleft()))
            left -= HEAD_SIZE
        while urgent and left > 0:
            stream = urgent.popleft()
            stream.urgent = False
            if stream.opening:
                stream.opening = False
                parts.append(encodeFrame(version, SYN, stream.streamID))
                left -= HEAD_SIZE
            if stream.updating:
                stream.updating = False
                stream.unreported = 0
                update = encodeUpdate(version, stream.streamID, stream.consumed, self._window)
                parts.append(update)
                left -= len(update)
        return limit - left

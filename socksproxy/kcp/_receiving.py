"""
The receiving half of a conversation: data put in order, and what is to be
acknowledged.
"""

from collections import deque

from socksproxy.errors import MalformedMessage
from socksproxy.kcp._segment import MASK, difference


class Receiving:
    """
    Never holds more than two windows of segments: one in order, that waits
    for the reader, and one that is ahead of a gap.

    @ivar rcvNxt: The number that is expected next, not wrapped.
    @ivar rcvWnd: Segments that may wait for the reader.
    @ivar acklist: Numbers and times to be acknowledged, as on the wire.
    @ivar repeated: Segments that came more than once.
    @ivar beyond: Segments that came and were beyond the window.
    """

    def __init__(self, rcvWnd: int, stream: bool) -> None:
        """
        @param stream: Boundaries of messages do not count.
        """
        self.rcvNxt = 0
        self.rcvWnd = rcvWnd
        self.acklist: list[tuple[int, int]] = []
        self.repeated = 0
        self.beyond = 0
        self._stream = stream
        self._early: dict[int, tuple[int, bytes]] = {}
        self._queue: deque[tuple[int, bytes]] = deque()

    @property
    def waiting(self) -> int:
        """
        How many segments wait for the reader.
        """
        return len(self._queue)

    @property
    def early(self) -> int:
        """
        How many segments wait for others before them.
        """
        return len(self._early)

    @property
    def free(self) -> int:
        """
        How many segments there is room for: wnd.
        """
        return max(self.rcvWnd - len(self._queue), 0)

    def push(self, sn: int, ts: int, frg: int, data: bytes) -> None:
        """
        Take a PUSH.

        @param sn: Its number, as on the wire.
        @raise MalformedMessage: Its message would need more room than there
            ever is.
        """
        ahead = difference(sn, self.rcvNxt & MASK)
        if ahead >= self.rcvWnd:
            self.beyond += 1
            return
        if frg >= self.rcvWnd and not self._stream:
            raise MalformedMessage("the message has more fragments than the window")
        self.acklist.append((sn, ts))
        if ahead == 0 and not self._early and len(self._queue) < self.rcvWnd:
            self._queue.append((frg, data))
            self.rcvNxt += 1
        elif ahead >= 0:
            number = self.rcvNxt + ahead
            if number in self._early:
                self.repeated += 1
            else:
                self._early[number] = (frg, data)
                self._promote()
        else:
            self.repeated += 1

    def take(self) -> bytes | None:
        """
        Take the next message off.

        @return: L{None} if it is not complete.
        """
        queue = self._queue
        if not queue:
            return None
        if self._stream:
            _, data = queue.popleft()
        else:
            if len(queue) <= queue[0][0]:
                return None
            pieces = []
            frg = -1
            while frg != 0 and queue:
                frg, piece = queue.popleft()
                pieces.append(piece)
            data = b"".join(pieces)
        if self._early:
            self._promote()
        return data

    def takeStream(self, limit: int) -> bytes:
        """
        Take what is in order, whatever messages it was.

        @param limit: Octets, at the most, but a segment is not split.
        """
        queue = self._queue
        pieces: list[bytes] = []
        size = 0
        while queue:
            size += len(queue[0][1])
            if size > limit and pieces:
                break
            pieces.append(queue.popleft()[1])
            if self._early and not queue:
                self._promote()
        if self._early:
            self._promote()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _promote(self) -> None:
        early, queue = self._early, self._queue
        while len(queue) < self.rcvWnd:
            found = early.pop(self.rcvNxt, None)
            if found is None:
                return
            queue.append(found)
            self.rcvNxt += 1

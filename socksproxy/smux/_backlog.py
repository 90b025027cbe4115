"""
Data that waits for an application that does not read.
"""

from __future__ import annotations

from collections.abc import Iterable


class Backlog:
    """
    Octets in order. However small the pieces are in which they come, they take
    no more room than they have to: a peer cannot make a window of megabytes
    many times as large.
    """

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def put(self, pieces: Iterable[bytes | memoryview]) -> None:
        """
        Append data.
        """
        for piece in pieces:
            self._data += piece

    def take(self, limit: int) -> bytes:
        """
        Take data off the front.

        @param limit: Octets.
        """
        start = self._at
        self._at = min(start + limit, len(self._data))
        taken = bytes(self._data[start : self._at])
        if 2 * self._at >= len(self._data):
            # Not each time, which would move all that is left each time.
            del self._data[: self._at]
            self._at = 0
        return taken

    def clear(self) -> None:
        """
        Throw all of it away.
        """
        self._data = bytearray()
        self._at = 0

"""
A protection that anybody could break, to see what a leg does with one.
"""

from __future__ import annotations

from socksproxy.errors import LocalProtocolError, MalformedMessage, TruncatedStream


class Sealing:
    """
    Puts one to three octets between braces, upside down.

    @ivar exhausted: Nothing can be wrapped any more.
    """

    def __init__(self) -> None:
        self._incomplete = b""
        self._broken = False
        self.exhausted = False

    def wrap(self, data: bytes) -> bytes:
        """
        Write octets.
        """
        if self.exhausted:
            raise LocalProtocolError("used up")
        pieces = (data[start : start + 3] for start in range(0, len(data), 3))
        return b"".join(b"{%d" % len(piece) + piece[::-1] + b"}" for piece in pieces)

    def unwrap(self, data: bytes) -> bytes:
        """
        Read octets.
        """
        if self._broken:
            raise MalformedMessage("broken before")
        read = b""
        rest = self._incomplete + data
        while len(rest) >= 2 and len(rest) >= 3 + int(rest[1:2]):
            end = 2 + int(rest[1:2])
            if rest[:1] != b"{" or rest[end : end + 1] != b"}":
                self._broken = True
                raise MalformedMessage("broken")
            read += rest[2:end][::-1]
            rest = rest[end + 1 :]
        self._incomplete = rest
        return read

    def endOfStream(self) -> None:
        """
        Look whether anything is incomplete.
        """
        if self._incomplete:
            raise TruncatedStream("incomplete")


def sealed(data: bytes) -> bytes:
    """
    Write octets as the peer would.
    """
    return Sealing().wrap(data)


def opened(data: bytes) -> bytes:
    """
    Read octets as the peer would.
    """
    return Sealing().unwrap(data)

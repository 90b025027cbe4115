"""
HTTP/1 messages, written so that nobody can read them otherwise.

Whatever is put into a head is checked once it is all there: it has as many
lines as were meant, and each of them is what it has to be.
"""

from collections.abc import Iterable

from socksproxy.errors import LocalProtocolError
from socksproxy.http._connect import HeaderField
from socksproxy.http._grammar import LINES, REQUEST_LINE, START_LINE


def requestHead(method: bytes, target: bytes, fields: Iterable[HeaderField]) -> bytes:
    """
    Write the head of an HTTP/1.1 request.

    @raise LocalProtocolError: It would not be one.
    """
    line = b"%b %b HTTP/1.1" % (method, target)
    if not REQUEST_LINE.fullmatch(line):
        raise LocalProtocolError("that is no request line")
    return b"%b\r\n%b\r\n" % (line, fieldLines(fields))


def responseHead(status: int, reason: bytes, fields: Iterable[HeaderField]) -> bytes:
    """
    Write the head of an HTTP/1.1 response.

    @raise LocalProtocolError: It would not be one.
    """
    line = b"HTTP/1.1 %d %b" % (status, reason)
    if not (100 <= status <= 999 and START_LINE.fullmatch(line)):
        raise LocalProtocolError("that is no status line")
    return b"%b\r\n%b\r\n" % (line, fieldLines(fields))


def fieldLines(fields: Iterable[HeaderField]) -> bytes:
    """
    Write fields, each in a line of its own.

    @raise LocalProtocolError: One of them cannot be sent; its value is not
        told, since it may be a secret.
    """
    lines = [b"%b: %b\r\n" % field for field in fields]
    written = b"".join(lines)
    if not LINES.fullmatch(written) or written.count(b"\n") != len(lines):
        raise LocalProtocolError("a header field cannot be sent")
    return written


class BodyWriter:
    """
    Writes a body, and keeps to what its head has promised.

    @ivar ended: Whether all of it has been written.
    """

    def __init__(self, length: int | None, chunked: bool = False) -> None:
        """
        @param length: Octets that there will be; L{None} if that is not known,
            or if it is C{chunked}.
        """
        self._missing = length
        self._chunked = chunked
        self.ended = False

    def send(self, data: bytes) -> bytes:
        """
        Write a piece.

        @raise LocalProtocolError: There is more of it than was declared, or it
            comes after the end.
        """
        if self.ended:
            raise LocalProtocolError("the body has ended")
        if self._chunked:
            # A chunk of no octets would be the last.
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if self._missing is not None:
            if len(data) > self._missing:
                raise LocalProtocolError("the body is longer than declared")
            self._missing -= len(data)
        return data

    def end(self, trailers: Iterable[HeaderField] = ()) -> bytes:
        """
        Write the end.

        @param trailers: They are left out where there is no room for them.
        @raise LocalProtocolError: Less was written than was declared, or this
            is not the first end.
        """
        if self.ended:
            raise LocalProtocolError("the body has ended")
        if self._missing:
            raise LocalProtocolError("the body is shorter than declared")
        written = b"0\r\n%b\r\n" % fieldLines(trailers) if self._chunked else b""
        self.ended = True
        return written


class NoBody(BodyWriter):
    """
    Writes nothing of a body that only its head speaks of.
    """

    def __init__(self) -> None:
        super().__init__(None)

    def send(self, data: bytes) -> bytes:
        """
        Write nothing.
        """
        return b""

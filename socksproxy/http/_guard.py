"""
Heads of HTTP/1 messages, looked at octet by octet before anybody understands
them.

L{h11} understands heads, and forgives much that another reader may understand
otherwise: lines that end in LF alone, folded lines, controls, lengths said
twice. So every line is looked at here first, as it arrives, and those fields
are put aside that say where a body ends.

@see: U{https://www.rfc-editor.org/rfc/rfc9112#section-2.2}
"""

from typing import Generic, NamedTuple, TypeVar

from socksproxy.http._grammar import FIELD, REQUEST_LINE, STATUS_LINE, TOKEN
from socksproxy.http._refusal import Refusal

LINE_LIMIT = 16384
"""
Octets of a line, its end included.
"""

SECTION_LIMIT = 65536
"""
Octets of all lines with fields of one head.
"""

FIELD_LIMIT = 200
"""
Fields of one head.
"""

_CR, _LF = 13, 10


class RequestLine(NamedTuple):
    """
    What has been seen of a request's first line.

    @ivar later: Whether it is of HTTP/1.1, or a later one, and not of 1.0.
    """

    method: bytes
    later: bool


class StatusLine(NamedTuple):
    """
    What has been seen of a response's first line.

    @ivar later: Whether it is of HTTP/1.1, or a later one, and not of 1.0.
    """

    status: int
    later: bool


Line = TypeVar("Line", RequestLine, StatusLine)


class Framing(NamedTuple):
    """
    The values, in their order, of the fields that must not be ambiguous.
    """

    hosts: list[bytes]
    lengths: list[bytes]
    codings: list[bytes]


class Head(NamedTuple, Generic[Line]):
    """
    A head that is well formed, line by line.

    @ivar octets: All of it, from its first line to the empty one.
    @ivar fieldCount: How many fields there are.
    """

    octets: bytes
    line: Line
    fieldCount: int
    framing: Framing


class _HeadReader(Generic[Line]):
    """
    Takes heads off the front of a buffer. Every octet is looked at once,
    however they arrive.

    @cvar _forgiving: Whether a line may end in LF alone.
    @cvar _skips: How many empty lines there may be before a head.
    @cvar _faulty: The status for what is malformed.
    @cvar _tooLong: The status for a first line, and that for fields, of which
        there is too much.
    """

    _forgiving = False
    _skips = 0
    _faulty = 400
    _tooLong = (414, 431)

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # The head, the line in hand, and where to look for that line's end.
        self._start = self._line = self._searched = 0
        self._skipped = 0
        self._count = 0
        self._first: Line | None = None
        self._section = 0
        self._framing = Framing([], [], [])

    @property
    def idle(self) -> bool:
        """
        Whether there is nothing of a head yet, but perhaps an empty line.
        """
        return self._line == self._searched and self._first is None

    def take(self, buffer: bytearray) -> Head[Line] | None:
        """
        Take a head off the front of a buffer.

        @return: It, or L{None} if it is not complete, in which case nothing is
            taken.
        @raise Refusal: It is not well formed, or too long.
        """
        while True:
            found = buffer.find(_LF, self._searched)
            end = found + 1 if found >= 0 else len(buffer)
            self._measure(end)
            if found < 0:
                self._searched = end
                if self._first is None and end > self._line:
                    self._glance(buffer)
                return None
            content = self._contentEnd(buffer, found)
            if content > self._line:
                self._look(buffer, content, end)
            elif self._first is not None:
                head = Head(
                    bytes(buffer[self._start : end]), self._first, self._count, self._framing
                )
                del buffer[:end]
                self._reset()
                return head
            else:
                self._skip(end)
            self._line = self._searched = end

    def _measure(self, end: int) -> None:
        """
        Require that the line in hand, and all of them, are not too long.

        @param end: Where the line ends, or what there is of it.
        """
        inFields = self._first is not None
        if end - self._line > LINE_LIMIT:
            raise Refusal(self._tooLong[inFields], "a line is too long")
        if inFields and end - self._section > SECTION_LIMIT:
            raise Refusal(self._tooLong[1], "the header fields are too long")

    def _contentEnd(self, buffer: bytearray, found: int) -> int:
        """
        Tell where the line in hand ends, without what ends it.

        @param found: Where its LF is.
        """
        if found > self._line and buffer[found - 1] == _CR:
            return found - 1
        if self._forgiving:
            return found
        raise Refusal(self._faulty, "a line ends in LF alone")

    def _look(self, buffer: bytearray, content: int, end: int) -> None:
        """
        Look at the line in hand.
        """
        if self._first is None:
            self._first = self._firstLine(buffer, content)
            self._section = end
            return
        field = FIELD.fullmatch(buffer, self._line, content)
        if field is None:
            raise Refusal(self._faulty, "a line is no header field")
        self._count += 1
        if self._count > FIELD_LIMIT:
            raise Refusal(self._tooLong[1], "there are too many header fields")
        match field.group(1).lower():
            case b"host":
                self._framing.hosts.append(field.group(2).strip(b" \t"))
            case b"content-length":
                self._framing.lengths.append(field.group(2).strip(b" \t"))
            case b"transfer-encoding":
                self._framing.codings.append(field.group(2).strip(b" \t"))

    def _skip(self, end: int) -> None:
        """
        Let an empty line before the head pass.
        """
        self._skipped += 1
        if self._skipped > self._skips:
            raise Refusal(self._faulty, "there is an empty line before the message")
        self._start = end

    def _glance(self, buffer: bytearray) -> None:
        """
        Look at the beginning of a first line that is not complete, so that
        what is no HTTP at all is not waited for.
        """
        raise NotImplementedError

    def _firstLine(self, buffer: bytearray, end: int) -> Line:
        """
        Look at the first line.

        @param end: Where its content ends.
        """
        raise NotImplementedError


class RequestReader(_HeadReader[RequestLine]):
    """
    Reads the heads of requests.
    """

    _skips = 1

    def _glance(self, buffer: bytearray) -> None:
        if buffer[self._line] != _CR and not TOKEN.match(buffer, self._line):
            raise Refusal(400, "the request line is malformed")

    def _firstLine(self, buffer: bytearray, end: int) -> RequestLine:
        line = REQUEST_LINE.fullmatch(buffer, self._line, end)
        if line is None or line.group(3) == b"0":
            raise Refusal(400, "the request line is malformed")
        if line.group(3) != b"1":
            raise Refusal(505, "only HTTP/1 is spoken here")
        return RequestLine(line.group(1), line.group(4) != b"0")


class ResponseReader(_HeadReader[StatusLine]):
    """
    Reads the heads of responses. Lines that end in LF alone are those of old
    servers.
    """

    _forgiving = True
    _faulty = 502
    _tooLong = (502, 502)

    _beginning = b"HTTP/1."

    def _glance(self, buffer: bytearray) -> None:
        begun = buffer[self._line : self._line + len(self._beginning)]
        if not self._beginning.startswith(begun):
            raise Refusal(502, "that is not HTTP")

    def _firstLine(self, buffer: bytearray, end: int) -> StatusLine:
        line = STATUS_LINE.fullmatch(buffer, self._line, end)
        if line is None:
            raise Refusal(502, "the status line is malformed")
        return StatusLine(int(line.group(2)), line.group(1) != b"0")

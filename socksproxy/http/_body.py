"""
Bodies of HTTP/1 messages, cut anywhere: where they end, and nothing beyond.

Each reader is given octets and gives back those of the body in them; once it
has C{ended}, C{rest} is what does not belong to it any more. The framing of a
body is so little that who checks every octet of it has read it, so L{h11} is
not asked; and what is of a declared length is not even copied.

@see: U{https://www.rfc-editor.org/rfc/rfc9112#section-6}
"""

from typing import Protocol

from socksproxy.http._connect import HeaderField
from socksproxy.http._grammar import CHUNK, FIELD
from socksproxy.http._refusal import Refusal

CHUNK_LINE_LIMIT = 256
"""
Octets of the line before a chunk, without its end.
"""

TRAILERS_LIMIT = 8192
"""
Octets of all lines after the last chunk.
"""

TRAILER_LIMIT = 32
"""
Fields after the last chunk.
"""


class BodyReader(Protocol):
    """
    See the module.

    @ivar ended: Whether all of the body has been given.
    @ivar rest: What followed it in the octets that it ended in.
    @ivar trailers: The fields after it.
    """

    ended: bool
    rest: bytes
    trailers: tuple[HeaderField, ...]

    def feed(self, data: bytes) -> bytes:
        """
        Take octets, and give those of the body.

        @raise Refusal: They are not as they have to be; status 400.
        """

    def endOfStream(self) -> None:
        """
        Learn that there are no more octets.

        @raise Refusal: Some are missing; status 400.
        """


class _Reader:
    """
    What all readers have.
    """

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self.trailers: tuple[HeaderField, ...] = ()

    def endOfStream(self) -> None:
        """
        See L{BodyReader.endOfStream}.
        """
        if not self.ended:
            raise Refusal(400, "the body is not complete")


class BodyOfLength(_Reader):
    """
    Reads a body of a declared length.
    """

    def __init__(self, length: int) -> None:
        """
        @param length: In octets.
        """
        super().__init__()
        self._missing = length
        self.ended = length == 0

    def feed(self, data: bytes) -> bytes:
        """
        See L{BodyReader.feed}.
        """
        missing = self._missing
        if len(data) > missing:
            data, self.rest = data[:missing], data[missing:]
        self._missing = missing - len(data)
        self.ended = not self._missing
        return data


class BodyUntilClose(_Reader):
    """
    Reads a body that the end of the stream ends.
    """

    def feed(self, data: bytes) -> bytes:
        """
        See L{BodyReader.feed}.
        """
        return data

    def endOfStream(self) -> None:
        """
        See L{BodyReader.endOfStream}.
        """
        self.ended = True


class ChunkedBody(_Reader):
    """
    Reads a body in chunks, with the fields after it.

    @see: U{https://www.rfc-editor.org/rfc/rfc9112#section-7.1}
    """

    def __init__(self) -> None:
        super().__init__()
        # Of a line, or of what ends a chunk, whatever is not complete.
        self._kept = b""
        self._missing = 0
        self._afterChunk = False
        self._inTrailers = False
        self._room = TRAILERS_LIMIT
        self._fields: list[HeaderField] = []

    def feed(self, data: bytes) -> bytes:
        """
        See L{BodyReader.feed}.
        """
        if self._kept:
            data = self._kept + data
            self._kept = b""
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.ended:
            if self._missing:
                piece = data[position : position + self._missing]
                self._missing -= len(piece)
                position += len(piece)
                pieces.append(piece)
                continue
            after = self._control(data, position)
            if after is None:
                self._kept = data[position:]
                break
            position = after
        else:
            self.rest = data[position:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _control(self, data: bytes, position: int) -> int | None:
        """
        Read what is between chunks.

        @return: Where it ends, or L{None} if it is not complete.
        """
        if self._afterChunk:
            return self._chunkEnd(data, position)
        if self._inTrailers:
            return self._trailer(data, position)
        line = CHUNK.match(data, position)
        if line is None or line.end() - position > CHUNK_LINE_LIMIT + 2:
            if data.find(b"\n", position) >= 0 or len(data) - position > CHUNK_LINE_LIMIT + 1:
                raise Refusal(400, "the size of a chunk is malformed")
            return None
        self._missing = int(line.group(1), 16)
        self._afterChunk = self._missing > 0
        self._inTrailers = not self._missing
        return line.end()

    def _chunkEnd(self, data: bytes, position: int) -> int | None:
        end = data[position : position + 2]
        if end == b"\r\n":
            self._afterChunk = False
            return position + 2
        if end == b"\r":
            return None
        raise Refusal(400, "a chunk does not end where it should")

    def _trailer(self, data: bytes, position: int) -> int | None:
        found = data.find(b"\n", position)
        length = (len(data) if found < 0 else found + 1) - position
        if length > self._room:
            raise Refusal(400, "the fields after the body are too long")
        if found < 0:
            return None
        self._room -= length
        line = data[position : found + 1]
        if line == b"\r\n":
            self.ended = True
            self.trailers = tuple(self._fields)
            return found + 1
        field = FIELD.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if field is None:
            raise Refusal(400, "a line after the body is no field")
        if len(self._fields) == TRAILER_LIMIT:
            raise Refusal(400, "there are too many fields after the body")
        self._fields.append((field.group(1), field.group(2).strip(b" \t")))
        return found + 1

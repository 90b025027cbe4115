"""
The snappy framing format, in which kcptun puts the whole stream of a session::

    +------+--------+----------------------------------+
    | type | length |               body               |
    |  1   |   3    |              length              |
    +------+--------+----------------------------------+

The type 0xff is the stream's identifier, with which each direction begins. The
types 0 and 1 carry data (see L{_chunks<socksproxy.smux._chunks>}). Those from
0x80 on are skipped, and the others are errors.

@see: U{https://github.com/google/snappy/blob/main/framing_format.txt}
"""

from __future__ import annotations

from socksproxy.errors import (
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
    TruncatedStream,
)
from socksproxy.smux._chunks import HEAD, MAX_PLAIN, STORED, ChunkReader, plainLength, requireSnappy
from socksproxy.smux._recognition import COMPRESSED, ENOUGH, IDENTIFIER, mismatch

MAX_SKIPPED = HEAD.size + (1 << 24) - 1
"""
Octets to be skipped without any data among them, at the most: the longest chunk
there can be.
"""

PIECE = 2 * MAX_PLAIN
"""
Octets that a decoder gives at a time, at the most. Memory for larger pieces
would come from the kernel each time, which halves the speed.
"""

_ALONE = 2048
"""
Octets up to which a chunk is better read alone, if there is but one.
"""

_SKIPPABLE = 0x80
_IDENTIFIER = 0xFF


class Encoder:
    """
    Compresses one direction of a connection.
    """

    __slots__ = ("_compressor",)

    def __init__(self) -> None:
        """
        @raise ConfigurationError: The extra is not installed.
        """
        # It begins with the identifier, and stores a chunk of which
        # compression saves less than an eighth, as kcptun's does.
        self._compressor = requireSnappy().snappy.Compressor()

    def encode(self, data: bytes) -> bytes:
        """
        Compress octets, so that the peer can read all of them at once.

        @return: Whole chunks; before the first of them the identifier.
        """
        self._compressor.compress(data)
        return bytes(self._compressor.flush())


class Decoder:
    """
    Decompresses one direction of a connection::

        decoder.feed(data)
        while piece := decoder.next():
            ...

    It is up to the caller when the next piece is decompressed, so that a peer
    cannot make it hold more than it has sent. What is incomplete is at most one
    chunk, of a length that a chunk can have.
    """

    __slots__ = ("_begun", "_careful", "_data", "_fault", "_reader", "_skip", "_skipped")

    def __init__(self) -> None:
        """
        @raise ConfigurationError: The extra is not installed.
        """
        self._reader = ChunkReader()
        self._data = bytearray()
        self._begun = False
        # Octets that are still to be skipped, and all that were since the
        # last data.
        self._skip = 0
        self._skipped = 0
        # One of the chunks in hand is bad: find out which.
        self._careful = False
        self._fault: RemoteProtocolError | None = None

    def feed(self, data: bytes) -> None:
        """
        Take octets, cut anywhere.
        """
        if self._fault is None:
            self._data += data
            self._passOver()

    def next(self) -> bytes:
        """
        Decompress some of what is complete.

        @return: At most L{PIECE} octets; none if there is nothing more.
        @raise MalformedMessage: What comes next is no chunk, or its checksum is
            wrong, or the peer does not compress. Every call after that raises
            too.
        @raise MessageTooLong: A chunk is longer than one can be, or too much
            has to be skipped.
        """
        if self._fault is not None:
            raise self._fault
        try:
            return self._next()
        except RemoteProtocolError as e:
            self._fault = e
            self._data.clear()
            raise

    def endOfStream(self) -> None:
        """
        Learn that nothing more comes, after the last piece has been taken.

        @raise TruncatedStream: The last chunk is incomplete.
        @raise RemoteProtocolError: The stream was at fault before.
        """
        if self._fault is not None:
            raise self._fault
        if self._data or self._skip:
            raise TruncatedStream("the stream ended inside a chunk of snappy")

    def _next(self) -> bytes:
        if not (self._begun or self._begin()):
            return b""
        data = self._data
        while True:
            end, plain, chunks = self._measure()
            if chunks == 0:
                if self._takeOther():
                    continue
                return b""
            piece: bytes | None
            if self._careful or (chunks == 1 and plain <= _ALONE):
                piece = self._reader.readOne(bytes(data[:end]))
            else:
                piece = self._reader.readAll(data, end, plain)
                if piece is None:
                    self._careful = True
                    continue
            del data[:end]
            if piece:
                self._skipped = 0
                return piece

    def _begin(self) -> bool:
        """
        Take the identifier off the front.

        @return: Whether it was there in whole.
        @raise MalformedMessage: Something else was.
        """
        first = bytes(self._data[: len(IDENTIFIER)])
        if first == IDENTIFIER:
            del self._data[: len(IDENTIFIER)]
            self._begun = True
        elif not IDENTIFIER.startswith(first) and (len(first) >= ENOUGH or first[0] not in (1, 2)):
            fault = mismatch(first, COMPRESSED)
            raise MalformedMessage(fault or "what the peer sends is neither compressed nor smux")
        return self._begun

    def _measure(self) -> tuple[int, int, int]:
        """
        Find the complete chunks of data at the front that go into one piece.

        @return: Where they end, the octets that they hold, as they say, and
            how many there are.
        @raise RemoteProtocolError: The first one is at fault.
        """
        data = self._data
        last = len(data) - HEAD.size
        at = plain = chunks = 0
        while at <= last and data[at] <= STORED:
            try:
                holds = plainLength(data, at)
            except RemoteProtocolError:
                if chunks:
                    break
                raise
            if holds is None or (chunks and (self._careful or plain + holds > PIECE)):
                break
            at += HEAD.size + (HEAD.unpack_from(data, at)[0] >> 8)
            plain += holds
            chunks += 1
        return at, plain, chunks

    def _takeOther(self) -> bool:
        """
        Take a chunk that carries no data off the front.

        @return: Whether one was there.
        @raise RemoteProtocolError: It must not be there.
        """
        data = self._data
        if len(data) < HEAD.size or data[0] <= STORED:
            return False
        kind = data[0]
        if kind == _IDENTIFIER:
            start = bytes(data[: len(IDENTIFIER)])
            if not IDENTIFIER.startswith(start):
                raise MalformedMessage("not the identifier of snappy")
            if len(start) < len(IDENTIFIER):
                return False
        elif kind < _SKIPPABLE:
            raise MalformedMessage(f"a chunk of snappy of the unknown type {kind:#04x}")
        self._skip = HEAD.size + (HEAD.unpack_from(data)[0] >> 8)
        self._skipped += self._skip
        if self._skipped > MAX_SKIPPED:
            raise MessageTooLong("too much of the peer's stream is to be skipped")
        self._passOver()
        return True

    def _passOver(self) -> None:
        if self._skip:
            skipped = min(self._skip, len(self._data))
            del self._data[:skipped]
            self._skip -= skipped

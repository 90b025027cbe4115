"""
What the tests of all codecs have in common: feeding a message in every way in
which TCP may cut it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from socksproxy.buffer import Buffer
from socksproxy.errors import (
    BadAddressType,
    BadVersion,
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
)
from tests.vectors import Vector

Decoder = Callable[[bytes], tuple[Any, int] | None]

ERRORS: dict[str, type[RemoteProtocolError]] = {
    "bad-version": BadVersion,
    "bad-atyp": BadAddressType,
    "bad-crc": MalformedMessage,
    "bad-type": MalformedMessage,
    "empty-token": MalformedMessage,
    "malformed": MalformedMessage,
    "too-long": MessageTooLong,
}
"""
The names that vectors have for errors.
"""

LIMIT = 4096
"""
Room for any message of any vector.
"""


@dataclass(frozen=True)
class Codec:
    """
    One kind of message.

    @ivar decode: The decoder.
    @ivar encode: The encoder.
    @ivar read: Makes a message of the fields that a vector expects.
    """

    decode: Decoder
    encode: Callable[[Any], bytes]
    read: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Outcome:
    """
    What came of feeding octets to a decoder.

    @ivar message: The first message, or L{None} if there was none.
    @ivar left: What was not consumed.
    @ivar error: The class of the error that was raised, if one was.
    """

    message: Any = None
    left: bytes = b""
    error: type[RemoteProtocolError] | None = None


def outcomeOf(decoder: Decoder, pieces: Sequence[bytes]) -> Outcome:
    """
    Feed octets in pieces, asking for a message after each of them.
    """
    buffer = Buffer(LIMIT)
    message = None
    for piece in pieces:
        buffer.feed(piece)
        if message is None:
            try:
                message = buffer.decode(decoder)
            except RemoteProtocolError as e:
                return Outcome(error=type(e))
    return Outcome(message, buffer.takeAll())


def piecesOf(data: bytes, size: int) -> list[bytes]:
    """
    Cut octets into pieces of one size.
    """
    return [data[start : start + size] for start in range(0, len(data), size)]


def splitsOf(data: bytes) -> Iterator[list[bytes]]:
    """
    Cut octets in all the ways worth trying: not at all, in two at every
    position, and into single octets.
    """
    yield [data]
    for position in range(1, len(data)):
        yield [data[:position], data[position:]]
    yield piecesOf(data, 1)


def checkOutcome(decoder: Decoder, data: bytes, expected: Outcome) -> None:
    """
    Require the same outcome for every way of cutting the input.
    """
    for pieces in splitsOf(data):
        assert outcomeOf(decoder, pieces) == expected, pieces


def checkMessage(decoder: Decoder, data: bytes, message: Any, consumed: int) -> None:
    """
    Require a message that takes a certain number of octets: for every way of
    cutting the input, not from fewer octets, and twice if it is there twice.
    """
    checkOutcome(decoder, data, Outcome(message, data[consumed:]))
    whole = data[:consumed]
    for length in range(consumed):
        assert decoder(whole[:length]) is None, length
    again = Buffer(LIMIT)
    again.feed(whole + whole)
    assert [again.decode(decoder), again.decode(decoder)] == [message, message]
    assert len(again) == 0


def checkVector(codec: Codec, vector: Vector) -> None:
    """
    Require of a codec what a vector says, however its input is cut.
    """
    data = bytes.fromhex(vector["input"])
    expected = vector["expect"]
    if expected["result"] == "need-more":
        checkOutcome(codec.decode, data, Outcome(left=data))
        return
    if expected["result"] == "error":
        checkOutcome(codec.decode, data, Outcome(error=ERRORS[expected["error"]]))
        return
    assert expected["result"] == "ok"
    message = codec.read(expected)
    consumed = expected.get("consumed", len(data))
    checkMessage(codec.decode, data, message, consumed)
    if vector.get("canonical"):
        assert codec.encode(message) == data[:consumed]


def checkRoundTrip(codec: Codec, message: Any, rest: bytes) -> None:
    """
    Require a message back as it was written, and the octets after it
    untouched.
    """
    data = codec.encode(message)
    assert codec.decode(data + rest) == (message, len(data))


def counted(message: bytes) -> bytes:
    """
    Write a message of a simple kind: an octet that says how many follow, and
    those.
    """
    return bytes([len(message)]) + message


def decodeCounted(data: bytes) -> tuple[bytes, int] | None:
    """
    Read what L{counted} writes.
    """
    if not data or len(data) < 1 + data[0]:
        return None
    return data[1 : 1 + data[0]], 1 + data[0]


def arbitraryOctets(vectors: Sequence[Vector]) -> st.SearchStrategy[bytes]:
    """
    Make octets of all sorts: pure noise, and messages of the vectors with one
    piece replaced by noise.
    """

    def damaged(whole: bytes, noise: bytes, position: int, gone: int) -> bytes:
        return whole[:position] + noise + whole[position + gone :]

    inputs = [bytes.fromhex(vector["input"]) for vector in vectors]
    return st.one_of(
        st.binary(max_size=600),
        st.builds(
            damaged,
            st.sampled_from(inputs),
            st.binary(max_size=4),
            st.integers(0, 24),
            st.integers(0, 4),
        ),
    )


def checkOnlyRemoteErrors(decoder: Decoder, data: bytes) -> None:
    """
    Require that a decoder gives a message that fits into its input, or none,
    or raises L{RemoteProtocolError}.
    """
    try:
        decoded = decoder(data)
    except RemoteProtocolError:
        return
    assert decoded is None or 0 <= decoded[1] <= len(data)

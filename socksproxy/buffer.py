"""
A bounded buffer for bytes that came in and are not yet understood.

A protocol machine feeds what it receives and asks for one message after
another; a decoder is any function that takes the bytes so far and gives
C{(message, consumed)}, or L{None} while the message is incomplete::

    buffer = Buffer(limit=1024)
    buffer.feed(data)
    greeting = buffer.decode(decodeGreeting)
    if greeting is None:
        return  # wait for more
"""

from collections.abc import Callable
from typing import TypeVar

from socksproxy.errors import MessageTooLong

Message = TypeVar("Message")

Decoder = Callable[[bytes], tuple[Message, int] | None]
"""
Bytes so far to C{(message, octets consumed)}, or L{None} for "need more".
"""


class Buffer:
    """
    Received bytes in order, never more than a limit.

    @ivar limit: The most bytes it ever holds.
    """

    __slots__ = ("_data", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data = b""

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """
        Append bytes.

        @raise MessageTooLong: They would not fit; the buffer is unchanged.
        """
        if len(self._data) + len(data) > self.limit:
            raise MessageTooLong(f"more than {self.limit} octets are waiting")
        self._data = self._data + data if self._data else data

    def decode(self, decoder: Decoder[Message]) -> Message | None:
        """
        Take one message off the front.

        @return: The message, or L{None} if it is not complete yet, in which
            case nothing is consumed.
        """
        decoded = decoder(self._data)
        if decoded is None:
            return None
        message, consumed = decoded
        self._data = self._data[consumed:]
        return message

    def takeAll(self) -> bytes:
        """
        Give everything that is left and keep nothing.
        """
        data, self._data = self._data, b""
        return data

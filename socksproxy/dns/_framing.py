"""
DNS messages in a stream, each behind two octets that say how long it is.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2}
@see: U{https://www.rfc-editor.org/rfc/rfc7766#section-8}
"""

import struct

_LENGTH = struct.Struct("!H")


def framed(message: bytes) -> bytes:
    """
    Write a message as it goes into a stream.

    @param message: At most 65535 octets.
    """
    return _LENGTH.pack(len(message)) + message


class Messages:
    """
    Takes a stream apart. What it holds is what it was fed and has not given
    yet: who does not want more messages does not read any further.
    """

    def __init__(self) -> None:
        self._data = b""
        self._start = 0

    def __len__(self) -> int:
        """
        Tell how many octets are left.
        """
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """
        Take what came.
        """
        self._data = self._data[self._start :] + data
        self._start = 0

    def take(self) -> bytes | None:
        """
        Give the next message, L{None} if it is not all there.
        """
        data, start = self._data, self._start + _LENGTH.size
        if start > len(data):
            return None
        (length,) = _LENGTH.unpack_from(data, self._start)
        end = start + length
        if end > len(data):
            return None
        self._start = end
        return data[start:end]

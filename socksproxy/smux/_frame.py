"""
The frames that smux cuts a stream of octets into, all little-endian::

    +---------+---------+--------+-----------+----------+
    | version | command | length | stream id |   data   |
    |    1    |    1    |   2    |     4     |  length  |
    +---------+---------+--------+-----------+----------+

The data of UPD, which version 2 alone has, is how much of the stream has been
consumed in all and how much may be under way, 4 octets each.

Nothing is waited for but heads: data is given in the pieces in which it came,
so a frame is never put together, and what is kept is less than one UPD.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from socksproxy.errors import BadCommand, BadVersion, MalformedMessage

VERSIONS = (1, 2)

HEAD = struct.Struct("<BBHI")
HEAD_SIZE = HEAD.size

MAX_DATA = 65535
"""
Octets of data in the longest frame.
"""

MASK = 0xFFFFFFFF
"""
Stream ids, and counters of octets, have 32 bits.
"""

WINDOW = struct.Struct("<II")
"""
The data of UPD.
"""

_UPDATE = struct.Struct("<BBHIII")
_COMPRESSED = 0xFF
_NOTHING = memoryview(b"")


class Command(IntEnum):
    """
    What a frame is for.
    """

    SYN = 0
    FIN = 1
    PSH = 2
    NOP = 3
    UPD = 4


SYN, FIN, PSH, NOP, UPD = map(int, Command)

Fragment = tuple[int, int, memoryview]
"""
A command, a stream id, and the data of an UPD or a piece of that of a PSH.
"""


def encodeFrame(version: int, command: int, streamID: int, data: bytes = b"") -> bytes:
    """
    Write a frame.

    @param data: At most L{MAX_DATA} octets.
    """
    return HEAD.pack(version, command, len(data), streamID) + data


def encodeUpdate(version: int, streamID: int, consumed: int, window: int) -> bytes:
    """
    Write an UPD.

    @param consumed: Octets of the stream that have been consumed in all,
        modulo 2**32.
    @param window: Octets beyond those that may be sent.
    """
    return _UPDATE.pack(version, UPD, WINDOW.size, streamID, consumed, window)


class FrameDecoder:
    """
    Reads frames out of octets that come in pieces of any size.

    @ivar version: The version of all frames, or L{None} before there has been
        any that tells.
    """

    __slots__ = ("_held", "_left", "_streamID", "version")

    def __init__(self, version: int | None) -> None:
        """
        @param version: What the peer has to speak, or L{None} if it may choose.
        """
        self.version = version
        self._held = b""
        self._left = 0
        self._streamID = 0

    def fragments(self, data: bytes) -> Iterator[Fragment]:
        """
        Read what comes next. All of it has to be taken before there is more,
        unless it raises.

        @param data: Octets from the peer.
        @return: Frames, of which a PSH may come in several pieces, each of at
            least one octet, and does not come if it has none. The pieces are
            views of C{data}.
        @raise BadVersion: A frame is of another version.
        @raise BadCommand: A command is unknown, or unknown in this version.
        @raise MalformedMessage: A frame has data that should have none, or
            not as much as it should.
        """
        if self._held:
            # Less than a head is kept, and rarely so.
            data = self._held + data
            self._held = b""
        view = memoryview(data)
        end = len(data)
        at = min(self._left, end)
        if at:
            self._left -= at
            yield PSH, self._streamID, view[:at]
        while end - at >= HEAD_SIZE:
            version, command, length, streamID = HEAD.unpack_from(data, at)
            if command != PSH or version != self.version:
                self._check(version, command, length)
            at += HEAD_SIZE
            if command == PSH:
                stop = at + length
                if stop > end:
                    self._left = stop - end
                    self._streamID = streamID
                    stop = end
                if stop > at:
                    yield PSH, streamID, view[at:stop]
                    at = stop
            elif command == UPD:
                stop = at + WINDOW.size
                if stop > end:
                    at -= HEAD_SIZE
                    break
                yield UPD, streamID, view[at:stop]
                at = stop
            else:
                yield command, streamID, _NOTHING
        self._held = data[at:]

    def _check(self, version: int, command: int, length: int) -> None:
        if self.version is None and version in VERSIONS:
            self.version = version
        if version != self.version:
            raise BadVersion(_wrong(version, self.version))
        if command > UPD:
            raise BadCommand(f"smux has no command {command}")
        if command == UPD:
            if version == 1:
                raise BadCommand("smux has no UPD in version 1")
            if length != WINDOW.size:
                raise MalformedMessage(f"an UPD has {length} octets of data instead of 8")
        elif command != PSH and length:
            raise MalformedMessage(f"a {Command(command).name} has data")


def _wrong(version: int, expected: int | None) -> str:
    """
    Say what a frame of another version means, to who has to find out why.
    """
    if version == _COMPRESSED:
        return "the peer compresses: set nocomp on the other side or not on this one"
    if version in VERSIONS:
        return (
            f"the peer speaks smux version {version}, and this side {expected}:"
            " set the same smuxver on both"
        )
    return f"what comes is not smux: a frame cannot begin with the octet {version:#04x}"

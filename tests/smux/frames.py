"""
Frames of smux as tests write and read them, and sessions without a carrier.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from socksproxy.smux._events import Event, Received, Violated
from socksproxy.smux._stream import Stream
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.session import Session

NAMES = ("SYN", "FIN", "PSH", "NOP", "UPD")

_HEAD = struct.Struct("<BBHI")
_WINDOW = struct.Struct("<II")


class Frame(NamedTuple):
    """
    A frame, as it was on the wire.
    """

    name: str
    streamID: int
    data: bytes = b""


def frame(name: str, streamID: int, data: bytes = b"", version: int = 2) -> bytes:
    """
    Write a frame.
    """
    return _HEAD.pack(version, NAMES.index(name), len(data), streamID) + data


def window(consumed: int, size: int) -> bytes:
    """
    Write the data of an UPD.
    """
    return _WINDOW.pack(consumed, size)


def framesOf(data: bytes, version: int = 2) -> list[Frame]:
    """
    Read whole frames.
    """
    frames = []
    at = 0
    while at < len(data):
        found, command, length, streamID = _HEAD.unpack_from(data, at)
        assert found == version
        at += _HEAD.size
        assert at + length <= len(data), "a frame is not whole"
        frames.append(Frame(NAMES[command], streamID, data[at : at + length]))
        at += length
    return frames


def sent(session: Session, limit: int = 65536) -> list[Frame]:
    """
    Give all frames that a session has to send.
    """
    data = b""
    while taken := session.take(limit):
        data += taken
    return framesOf(data, session.version or 0)


def namesOf(frames: Iterable[Frame]) -> list[tuple[str, int]]:
    """
    Give the names and the streams of frames.
    """
    return [(each.name, each.streamID) for each in frames]


def contentOf(events: Iterable[Event], stream: Stream | None = None) -> bytes:
    """
    Give the data that came.

    @param stream: Of this stream only, if it is not L{None}.
    """
    return b"".join(
        piece
        for event in events
        if isinstance(event, Received) and stream in (None, event.stream)
        for piece in event.pieces
    )


def violation(events: list[Event]) -> Exception:
    """
    Give the error by which a session ended, which is the last that happened.
    """
    last = events[-1]
    assert isinstance(last, Violated), events
    return last.error


def serverFor(*frames: bytes, **settings: Any) -> tuple[Session, list[Event]]:
    """
    Make a server that has got some frames.

    @return: It, and what happened.
    """
    server = Session(SmuxConfig(**settings), client=False)
    return server, server.receive(b"".join(frames))

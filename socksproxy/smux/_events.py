"""
What happens in an smux session, as told to who has the carrier.
"""

from __future__ import annotations

from dataclasses import dataclass

from socksproxy.errors import RemoteProtocolError
from socksproxy.smux._stream import Stream


@dataclass(frozen=True, slots=True)
class Opened:
    """
    The peer has opened a stream.
    """

    stream: Stream


@dataclass(slots=True)
class Received:
    """
    Data came. It counts against the limits until it is said to be consumed.

    @ivar pieces: All of a stream that there was in one piece of the carrier's
        data, of which these are views.
    """

    stream: Stream
    pieces: list[memoryview]


@dataclass(frozen=True, slots=True)
class Ended:
    """
    The peer sends no more on a stream, and may still read it.
    """

    stream: Stream


@dataclass(frozen=True, slots=True)
class Unwanted:
    """
    The peer has said for a second time that a stream has ended, which says
    that it does not read it any more either.
    """

    stream: Stream


@dataclass(frozen=True, slots=True)
class Failed:
    """
    The peer broke a stream off, or the protocol in what concerns it. The stream
    is over.
    """

    stream: Stream
    error: RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Violated:
    """
    The peer broke the protocol: the session is over.
    """

    error: RemoteProtocolError


Event = Opened | Received | Ended | Unwanted | Failed | Violated

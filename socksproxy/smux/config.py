"""
The settings of an smux session, under kcptun's names where it has them.
"""

from __future__ import annotations

from dataclasses import dataclass

from socksproxy.errors import ConfigurationError
from socksproxy.smux._frame import MAX_DATA, VERSIONS

MAX_OCTETS = 0x7FFFFFFF
"""
The largest window, since what is under way is a signed number of 32 bits.
"""


@dataclass(frozen=True, slots=True)
class SmuxConfig:
    """
    How a session behaves. Only the version has to be alike on both sides.

    @ivar version: What a client speaks, 1 or 2 (kcptun's smuxver). A server
        speaks as its client does. With version 1 there are no windows, and one
        stream that is not read stops all others.
    @ivar framesize: Octets of data that are sent in a frame at the most.
    @ivar smuxbuf: Octets that all streams together may keep for applications
        that do not read. Beyond that the carrier is not read.
    @ivar streambuf: Octets that a stream may keep, with version 2.
    @ivar streams: Streams of the peer's that may be open at a time.
    @ivar keepalive: Seconds between two signs of life of ours.
    @ivar keepaliveTimeout: Seconds of silence after which a peer is dead.
    @ivar linger: Seconds that a stream has, whose peer has ended it and takes
        nothing of what waits for it: that peer has not ended one direction
        only, it has closed, which looks alike.
    """

    version: int = 2
    framesize: int = 8192
    smuxbuf: int = 4194304
    streambuf: int = 2097152
    streams: int = 1024
    keepalive: float = 10.0
    keepaliveTimeout: float = 30.0
    linger: float = 60.0

    def __post_init__(self) -> None:
        """
        @raise ConfigurationError: A value is out of its range.
        """
        if self.version not in VERSIONS:
            raise ConfigurationError(f"smuxver is {self.version} and has to be 1 or 2")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(f"{name} is {value} and has to be {low} to {high}")
        if self.streambuf > self.smuxbuf:
            raise ConfigurationError(
                f"streambuf is {self.streambuf} and has to be at most smuxbuf, {self.smuxbuf}"
            )
        if self.keepaliveTimeout < self.keepalive:
            raise ConfigurationError(
                f"keepalive is {self.keepalive} and has to be at most {self.keepaliveTimeout}"
            )


_RANGES: dict[str, tuple[float, float]] = {
    "framesize": (1, MAX_DATA),
    "smuxbuf": (1, MAX_OCTETS),
    "streambuf": (1, MAX_OCTETS),
    "streams": (0, MAX_OCTETS),
    "keepalive": (0.001, 86400),
    "keepaliveTimeout": (0.001, 86400),
    "linger": (0.001, 86400),
}

DEFAULT_CONFIG = SmuxConfig()
"""
What kcptun does.
"""

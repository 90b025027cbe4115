"""
The settings of a KCP session, with kcptun's presets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from socksproxy.errors import ConfigurationError
from socksproxy.kcp._segment import HEAD_SIZE

MAX_MTU = 1500
"""
Octets of the longest datagram that kcp-go reads.
"""

DEFAULT_MTU = 1350

CONGESTION_CONTROLS = ("none", "window", "bbr")


@dataclass(frozen=True, slots=True)
class KCPConfig:
    """
    How a session behaves. Only encryption has to be alike on both sides.

    @ivar mtu: Octets of the longest datagram, with all that is around the
        data.
    @ivar sndwnd: Segments that may be under way.
    @ivar rcvwnd: Segments that may wait for the reader.
    @ivar nodelay: Shorter timeouts, which grow by a half.
    @ivar interval: Milliseconds for which an acknowledgement may wait.
    @ivar resend: How many acknowledgements have to pass over a segment until
        it is sent again; 0 is only when nothing else is sent.
    @ivar congestion: What limits the sender besides the windows: C{none}
        (kcptun's nc=1), C{window} (nc=0: kcp-go's own, which halves on loss),
        or C{bbr} (what the path delivers).
    @ivar pacing: Spread what the window admits over the round trip.
    @ivar ratelimit: Octets a second that are never exceeded, or 0.
    @ivar stream: Writes are joined, and messages have no boundaries.
    @ivar acknodelay: Acknowledge at once.
    @ivar acktwice: Acknowledge data beyond a gap a second time, since una does
        not cover it if the first one gets lost.
    @ivar datashard: Shards of data in a group of the forward error
        correction; 0 in this or in the next is without it.
    @ivar parityshard: Shards of parity in a group.
    @ivar adaptive: Send as much of the parity as the loss on the path
        deserves.
    @ivar deadlink: How often a segment is sent before the session is said to
        be dead.
    """

    mtu: int = DEFAULT_MTU
    sndwnd: int = 1024
    rcvwnd: int = 1024
    nodelay: bool = False
    interval: int = 30
    resend: int = 2
    congestion: str = "none"
    pacing: bool = False
    ratelimit: int = 0
    stream: bool = True
    acknodelay: bool = False
    acktwice: bool = False
    datashard: int = 10
    parityshard: int = 3
    adaptive: bool = False
    deadlink: int = 20

    def __post_init__(self) -> None:
        """
        @raise ConfigurationError: A value is out of its range.
        """
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(f"{name} is {value} and has to be {low} to {high}")
        if self.congestion not in CONGESTION_CONTROLS:
            known = ", ".join(CONGESTION_CONTROLS)
            raise ConfigurationError(f"congestion is {self.congestion!r} and has to be of {known}")
        if self.datashard + self.parityshard > 256:
            raise ConfigurationError("datashard and parityshard are more than 256 together")

    @property
    def fec(self) -> bool:
        """
        Whether there is forward error correction.
        """
        return self.datashard > 0 and self.parityshard > 0

    def mss(self, overhead: int) -> int:
        """
        Give the octets of data that a segment carries at the most.

        @param overhead: Octets around a payload, of cipher and forward error
            correction.
        @raise ConfigurationError: There is no room for any.
        """
        mss = self.mtu - overhead - HEAD_SIZE
        if mss <= 0:
            raise ConfigurationError(f"an mtu of {self.mtu} leaves no room for data")
        return mss

    @classmethod
    def forMode(cls, mode: str, **settings: Any) -> KCPConfig:
        """
        Give the settings of one of kcptun's modes.

        @param mode: C{normal}, C{fast}, C{fast2} or C{fast3}.
        @param settings: What is to be otherwise.
        @raise ConfigurationError: There is no such mode.
        """
        preset = MODES.get(mode)
        if preset is None:
            raise ConfigurationError(f"mode is {mode!r} and has to be of {', '.join(MODES)}")
        return replace(preset, **settings)


_RANGES = {
    "mtu": (50, MAX_MTU),
    "sndwnd": (1, 65535),
    "rcvwnd": (1, 65535),
    "interval": (10, 5000),
    "resend": (0, 65535),
    "ratelimit": (0, 1 << 40),
    "datashard": (0, 255),
    "parityshard": (0, 255),
    "deadlink": (1, 65535),
}

MODES = {
    "normal": KCPConfig(interval=40),
    "fast": KCPConfig(interval=30),
    "fast2": KCPConfig(nodelay=True, interval=20),
    "fast3": KCPConfig(nodelay=True, interval=10),
}
"""
kcptun's presets.
"""

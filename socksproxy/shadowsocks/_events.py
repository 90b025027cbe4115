"""
What the machines of Shadowsocks tell their driver, and what they find wrong.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from socksproxy.address import Destination
from socksproxy.errors import RemoteProtocolError


class Reason(StrEnum):
    """
    What is wrong with a stream: a short, stable word for our own log. The peer
    learns nothing of it.
    """

    SHORT = "short"
    """
    The first read brought too little.
    """

    SEAL = "bad-seal"
    """
    Something does not open: it is noise, or sealed with no key of ours, or has
    been changed.
    """

    REPLAY = "replay"
    """
    The salt has been here before.
    """

    USER = "unknown-user"
    """
    The identity header names nobody.
    """

    CLOCK = "clock"
    """
    The peer's time is too far from ours.
    """

    HEADER = "bad-header"
    """
    A header that opens makes no sense.
    """

    ADDRESS = "bad-address"
    """
    The destination is none.
    """

    CHUNK = "bad-chunk"
    """
    A chunk is longer than its method allows.
    """

    SALT = "wrong-salt"
    """
    An answer is to another request than ours.
    """


@dataclass(frozen=True, slots=True)
class Requested:
    """
    The client is known, and says where it wants to go.

    @ivar user: What its account is called.
    @ivar destination: Where it wants to go, checked; the port is not 0.
    @ivar firstPayload: What came for it so far; maybe nothing.
    """

    user: str
    destination: Destination
    firstPayload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Data:
    """
    The peer has written these bytes.
    """

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """
    The stream is at fault, and nothing of the rest of it is told. This is for
    our own log: nothing is to be answered, whatever the reason.

    @ivar reason: What is wrong.
    @ivar skew: How many seconds the peer's clock is ahead of ours, or behind it
        where this is negative; L{None} where that is not the reason.
    """

    reason: Reason
    skew: int | None = None


class StreamFault(RemoteProtocolError):
    """
    A stream is not what a peer with one of our keys writes.

    @ivar refused: What is wrong with it.
    """

    def __init__(self, reason: Reason, skew: int | None = None) -> None:
        text = f"not a Shadowsocks stream of ours: {reason}"
        if skew is not None:
            text += f", {abs(skew)} s {'ahead' if skew > 0 else 'behind'}"
        super().__init__(text)
        self.refused = Refused(reason, skew)


Event = Requested | Data | Refused

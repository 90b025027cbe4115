"""
How much is lost on the way, and how much redundancy that deserves.

Loss on the way out shows itself only where it was not repaired: by what had to
be sent again. Loss on the way in shows by gaps in the peer's shards. The worse
of the two counts, since repair must not hide what it is needed for.
"""

from functools import lru_cache
from math import comb

SAMPLE = 64
"""
Datagrams after which the estimate moves.
"""

RISE = 2
DECAY = 16
"""
One over how far the estimate moves towards a sample: up at once, down slowly.
"""

RESIDUE = 0.01
"""
The part of all groups that may still lose something.
"""

REPEATED_FROM = 0.01
"""
Loss from which on lone datagrams are worth being sent twice.
"""


class Redundancy:
    """
    @ivar loss: The estimate, 0 to 1, or L{None} before anything is known.
    """

    __slots__ = ("_inbound", "_outbound", "loss")

    def __init__(self) -> None:
        self.loss: float | None = None
        self._outbound = (0, 0)
        self._inbound = (0, 0)

    def observe(self, sent: int, repeated: int, expected: int, missing: int) -> None:
        """
        Take counters in, each since the beginning.

        @param sent: Segments that were sent.
        @param repeated: How many of them had been sent before.
        @param expected: Shards that should have come.
        @param missing: How many of them did not.
        """
        outbound = _share(self._outbound, sent, repeated)
        if outbound is not None:
            self._outbound = (sent, repeated)
        inbound = _share(self._inbound, expected, missing)
        if inbound is not None:
            self._inbound = (expected, missing)
        if outbound is None and inbound is None:
            return
        share = max(outbound or 0.0, inbound or 0.0)
        if self.loss is None:
            self.loss = share
        else:
            self.loss += (share - self.loss) / (RISE if share > self.loss else DECAY)

    def parity(self, dataShards: int, parityShards: int) -> int:
        """
        Give the shards of parity to send with each group, at most all.
        """
        if self.loss is None:
            return parityShards
        return _parity(round(self.loss, 3), dataShards, parityShards)

    @property
    def repeats(self) -> bool:
        """
        Whether to send lone datagrams twice.
        """
        return self.loss is not None and self.loss >= REPEATED_FROM


def _share(before: tuple[int, int], count: int, bad: int) -> float | None:
    fresh = count - before[0]
    # What is to be sent again may have to wait, and is counted before it is sent.
    return None if fresh < SAMPLE else min((bad - before[1]) / fresh, 1.0)


@lru_cache(maxsize=1024)
def _parity(loss: float, dataShards: int, parityShards: int) -> int:
    """
    Give the least parity with which hardly a group is lost.
    """
    for parity in range(parityShards):
        shards = dataShards + parity
        whole = sum(
            comb(shards, lost) * loss**lost * (1 - loss) ** (shards - lost)
            for lost in range(parity + 1)
        )
        if whole >= 1 - RESIDUE:
            return parity
    return parityShards

"""
Learning how large the peer's groups are, from the kinds and seqids of the
shards that come.

Whoever sends forward error correction does not say how many data and parity
shards a group has. But a run of one kind between two runs of the other is
exactly so long, provided that nothing of it was lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

SAMPLES = 258
"""
Shards that are remembered, as many as kcp-go does: two runs of 255 together, and
what is around them.
"""


class Tuner:
    """
    What the last shards were.
    """

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def record(self, seqid: int, isData: bool) -> None:
        """
        Remember a shard, in the order in which they come.
        """
        self._samples.append(seqid << 1 | isData)

    def find(self) -> tuple[int, int] | None:
        """
        Give the data and the parity shards of a group, or L{None} if it cannot
        be seen; nor is it looked for but where the last shard began a run,
        since each whole run has been looked at once after the next one began.
        """
        latest = self._samples
        if len(latest) < 2 or not (latest[-1] ^ latest[-2]) & 1:
            return None
        samples = sorted(latest)
        dataShards = runLength(samples, 1)
        if dataShards is None:
            return None
        parityShards = runLength(samples, 0)
        if parityShards is None or dataShards + parityShards >= 256:
            return None
        return dataShards, parityShards


def runLength(samples: Sequence[int], kind: int) -> int | None:
    """
    Measure the first whole run of one kind.

    @param samples: Seqids times 2, plus 1 for data, in ascending order.
    @param kind: 1 for data and 0 for parity.
    @return: How many there are from the first change to this kind to the next
        change away from it, or L{None} if it has no end or if a number is
        missing or double before that.
    """
    start = None
    for index in range(1, len(samples)):
        before, sample = samples[index - 1], samples[index]
        if (sample >> 1) - (before >> 1) != 1:
            return None
        if start is None:
            if sample & 1 == kind != before & 1:
                start = index
        elif sample & 1 != kind:
            return index - start
    return None

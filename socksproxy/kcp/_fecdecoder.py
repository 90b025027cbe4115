"""
The receiving side of forward error correction.

Data shards are handed on as they come, and all of them, whatever happens to
their group here; what this adds is data that did not come. It holds shards of
a few groups only, and nothing that the peer sends makes it hold more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from socksproxy.kcp._autotune import Tuner
from socksproxy.kcp._galois import interpolation, sumsByTable
from socksproxy.kcp._shard import (
    COVERED,
    DATA,
    HEAD,
    OUT_OF_BAND,
    OVERHEAD,
    PARITY,
    SIZE,
    checkShards,
    seqidLimit,
)

MAX_PAYLOAD = 1500
"""
Octets of the longest shard with its head; kcp-go's datagrams are not longer.
"""

BEHIND = 3
"""
Groups before the newest one that may still be completed.
"""

AHEAD = 64
"""
Groups by which a single shard may move on what is newest. That many in a row
may be lost.
"""

OUTSIDE = 16
"""
Shards in a row, all of them too old or too far ahead, after which the last of
them is taken for the newest.
"""

AGREEING = 32
"""
Shards in a row, or two groups if these are more, after which what is expected is
right after all.
"""

_coefficients = lru_cache(maxsize=512)(interpolation)
"""
What rebuilds some shards from others, as long as the same ones get lost.
"""


class _Group:
    """
    Shards of a group.

    @ivar seen: A bit for each that has come.
    @ivar shards: What has come, by position, until the group is complete;
        then L{None}, also if it could not be rebuilt.
    """

    __slots__ = ("seen", "shards")

    def __init__(self) -> None:
        self.seen = 0
        self.shards: dict[int, bytes] | None = {}


class FECDecoder:
    """
    Takes apart the shards of one direction.

    If shards come that cannot be of the groups that are expected, it looks for
    what the peer's groups are like, and rebuilds nothing until it knows.

    Seqids say where a shard belongs, and one that is wrong must not get the
    others lost. So a shard that is far off moves nothing; several in a row do.

    @ivar dataShards: Of a group, as the peer makes them.
    @ivar parityShards: Of a group, as the peer makes them.
    @ivar recovered: Data shards that were rebuilt.
    @ivar parityReceived: Parity shards that came.
    @ivar parityUseless: How many of them belonged to groups that were complete
        without them.
    @ivar errors: Shards that were rebuilt and made no sense.
    @ivar malformed: Payloads that were dropped since they are no shards.
    @ivar outOfBand: Payloads that were dropped since they are out of band.
    @ivar shardsExpected: Data shards of groups that can no longer be completed.
    @ivar shardsMissing: How many of them have not come themselves.
    """

    def __init__(self, dataShards: int, parityShards: int) -> None:
        """
        @param dataShards: Of a group, to begin with.
        @param parityShards: Of a group, to begin with; 1 and 1 if nothing is
            known of the peer.
        @raise ConfigurationError: A number is not positive, or they are more
            than 256 together.
        """
        checkShards(dataShards, parityShards)
        self.recovered = 0
        self.parityReceived = 0
        self.parityUseless = 0
        self.errors = 0
        self.malformed = 0
        self.outOfBand = 0
        self.shardsExpected = 0
        self.shardsMissing = 0
        self._tuner = Tuner()
        self._tuning = False
        self._agreeing = 0
        self._groups: dict[int, _Group] = {}
        self._newest = -1
        self._adopt(dataShards, parityShards)

    def decode(self, payloads: Sequence[bytes]) -> list[tuple[bytes, bool]]:
        """
        Take what came, shards or not.

        @param payloads: Decrypted datagrams.
        @return: Segments, and whether they were rebuilt, in the order in which
            the control block is to get them. Payloads that are not shards are
            among them as they are.
        """
        unpack = HEAD.unpack_from
        results: list[tuple[bytes, bool]] = []
        for payload in payloads:
            length = len(payload)
            if length < OVERHEAD:
                self.malformed += 1
                continue
            seqid, kind, size = unpack(payload)
            if kind == DATA:
                if not SIZE <= size <= length - COVERED or length > MAX_PAYLOAD:
                    self.malformed += 1
                    continue
                results.append((payload[OVERHEAD:], False))
                self._take(seqid, True, payload, results)
            elif kind == PARITY:
                if length > MAX_PAYLOAD:
                    self.malformed += 1
                    continue
                self.parityReceived += 1
                self._take(seqid, False, payload, results)
            elif kind == OUT_OF_BAND:
                self.outOfBand += 1
            else:
                results.append((payload, False))
        return results

    def _take(
        self, seqid: int, isData: bool, payload: bytes, results: list[tuple[bytes, bool]]
    ) -> None:
        """
        Put a shard into its group, and rebuild what that makes possible.
        """
        self._tuner.record(seqid, isData)
        number, position = divmod(seqid, self._shards)
        agrees = (position < self.dataShards) == isData
        if self._tuning or not agrees:
            if not self._tune(agrees):
                return
            number, position = divmod(seqid, self._shards)
            if (position < self.dataShards) != isData:
                return
        if seqid >= self._limit:
            return
        group = self._groups.get(number) or self._open(number)
        if group is None:
            return
        self._outside = 0
        bit = 1 << position
        if group.seen & bit:
            return
        group.seen |= bit
        shards = group.shards
        if shards is None:
            if not isData:
                self.parityUseless += 1
            return
        shards[position] = payload
        if len(shards) == self.dataShards:
            group.shards = None
            if group.seen & self._dataBits != self._dataBits:
                self._rebuild(shards, results)

    def _rebuild(self, shards: dict[int, bytes], results: list[tuple[bytes, bool]]) -> None:
        """
        Compute the data shards that are missing.

        @param shards: As many as there are data shards in a group.
        """
        known = tuple(sorted(shards))
        wanted = tuple([place for place in range(self.dataShards) if place not in shards])
        columns = [shards[position] for position in known]
        longest = max(map(len, columns))
        for shard in sumsByTable(_coefficients(known, wanted), columns, longest):
            size = int.from_bytes(shard[COVERED:OVERHEAD], "little")
            if SIZE <= size <= longest - COVERED:
                self.recovered += 1
                results.append((shard[OVERHEAD : COVERED + size], True))
            else:
                self.errors += 1

    def _open(self, number: int) -> _Group | None:
        """
        Begin a group, and forget those that have become too old.

        @return: L{None} if it is too far off.
        """
        ahead = (number - self._newest) % self._numbers
        if self._newest < 0:
            self._start(number)
        elif ahead <= AHEAD:
            for k in range(ahead):
                self._forget((self._newest + k - BEHIND) % self._numbers)
            self._newest = number
        elif ahead < self._numbers - BEHIND:
            self._outside += 1
            if self._outside < OUTSIDE:
                return None
            self._start(number)
        group = self._groups[number] = _Group()
        return group

    def _forget(self, number: int) -> None:
        """
        Let go of a group, of which perhaps nothing has come.
        """
        group = self._groups.pop(number, None)
        if self._uncounted:
            self._uncounted -= 1
            return
        seen = group.seen & self._dataBits if group is not None else 0
        self.shardsExpected += self.dataShards
        self.shardsMissing += self.dataShards - seen.bit_count()

    def _start(self, number: int) -> None:
        """
        Begin anew with a group that may have begun long ago.
        """
        self._groups.clear()
        self._newest = number
        self._outside = 0
        self._uncounted = BEHIND + 1

    def _tune(self, agrees: bool) -> bool:
        """
        Look for what the peer's groups are like, since it is not certain.

        @param agrees: The last shard can be of the groups that are expected.
        @return: Whether it is certain now.
        """
        found = self._tuner.find()
        # A sender that withholds parity never shows a whole group.
        self._agreeing = self._agreeing + 1 if agrees else 0
        self._tuning = found is None and self._agreeing < max(AGREEING, 2 * self._shards)
        if found is not None and found != (self.dataShards, self.parityShards):
            self._adopt(*found)
        return not self._tuning

    def _adopt(self, dataShards: int, parityShards: int) -> None:
        """
        Expect groups of another kind.
        """
        self.dataShards = dataShards
        self.parityShards = parityShards
        self._shards = dataShards + parityShards
        self._limit = seqidLimit(self._shards)
        self._numbers = self._limit // self._shards
        self._dataBits = (1 << dataShards) - 1
        self._groups.clear()
        # The number of a group, once there is one.
        self._newest = -1
        self._outside = 0
        self._uncounted = 0

"""
Forward error correction: after some datagrams with data follow some with
parity, and as many datagrams may be lost as parity came.

The encoder is put behind the control block and the decoder before it::

    encoder = FECEncoder(10, 3)
    datagrams = encoder.encode(control.flush(now), now)

    decoder = FECDecoder(10, 3)
    for segments, recovered in decoder.decode(payloads):
        ...

Both sides need not use the same numbers: a decoder learns the peer's.

@see: L{socksproxy.kcp._shard} for what goes over the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import repeat

from socksproxy.kcp._fecdecoder import FECDecoder
from socksproxy.kcp._galois import MASKED, Sums, interpolation, sumsByPlane, sumsByTable
from socksproxy.kcp._segment import difference
from socksproxy.kcp._shard import (
    COVERED,
    DATA,
    HEAD,
    OVERHEAD,
    PARITY,
    PARITY_HEAD,
    SIZE,
    checkShards,
    seqidLimit,
)

__all__ = ["LATE", "OVERHEAD", "FECDecoder", "FECEncoder"]

LATE = 500
"""
Milliseconds between the last two data shards of a group after which its parity
is not worth sending: what was lost has been sent again already.
"""


class FECEncoder:
    """
    Makes the shards of one direction.

    Parity may be withheld. The receiver cannot tell that from loss, and needs
    not to: the numbers of what is not sent are left out.

    @ivar paritySent: Parity shards that were made.
    @ivar parityWithheld: Parity shards that were left out, either for
        L{parityToSend} or for coming too late.
    @ivar fillersSent: Data shards that only completed a group.
    """

    __slots__ = (
        "_dataShards",
        "_group",
        "_last",
        "_limit",
        "_next",
        "_parityShards",
        "_parityToSend",
        "fillersSent",
        "paritySent",
        "parityWithheld",
    )

    def __init__(self, dataShards: int, parityShards: int) -> None:
        """
        @param dataShards: Of a group.
        @param parityShards: Of a group.
        @raise ConfigurationError: A number is not positive, or they are more
            than 256 together.
        """
        checkShards(dataShards, parityShards)
        self._dataShards = dataShards
        self._parityShards = parityShards
        self._limit = seqidLimit(dataShards + parityShards)
        self._parityToSend = parityShards
        self._next = 0
        self._group: list[bytes] = []
        self._last: int | None = None
        self.paritySent = 0
        self.parityWithheld = 0
        self.fillersSent = 0

    @property
    def parityToSend(self) -> int:
        """
        How many parity shards of a group are sent: none to all of them. May be
        set at any time, and holds for each group that is completed from then
        on.
        """
        return self._parityToSend

    @parityToSend.setter
    def parityToSend(self, count: int) -> None:
        if not 0 <= count <= self._parityShards:
            raise ValueError(f"a group has {self._parityShards} parity shards, not {count}")
        self._parityToSend = count

    @property
    def waiting(self) -> int:
        """
        How many data shards the unfinished group has.
        """
        return len(self._group)

    def encode(self, payloads: Sequence[bytes], now: int) -> list[bytes]:
        """
        Make each payload a data shard, and put parity behind each group that
        this completes.

        @param payloads: One or more segments each.
        @param now: Milliseconds, of which the lowest 32 bits count.
        @return: Payloads for as many datagrams.
        """
        if not payloads:
            return []
        size, parityShards, group = self._dataShards, self._parityShards, self._group
        # Only the first payload has a past; the others come right behind it.
        late = len(group) == size - 1 and self._isLate(now)
        self._last = now
        pack, seqid = HEAD.pack, self._next
        shards: list[bytes] = []
        full: list[list[bytes]] = []
        # Where each group's parity belongs, and its first number.
        places: list[tuple[int, int]] = []
        for payload in payloads:
            shard = pack(seqid, DATA, len(payload) + SIZE) + payload
            seqid += 1
            shards.append(shard)
            group.append(shard)
            if len(group) == size:
                if late:
                    late = False
                    self.parityWithheld += parityShards
                else:
                    full.append(group)
                    places.append((len(shards), seqid))
                group = []
                seqid += parityShards
                if seqid == self._limit:
                    seqid = 0
        self._next, self._group = seqid, group
        return self._withParity(shards, full, places) if full else shards

    def completeGroup(self, filler: bytes, now: int) -> list[bytes]:
        """
        Fill the unfinished group up, so that its parity can be sent, when
        nothing more is to come soon.

        @param filler: A segment that says nothing new.
        @param now: Milliseconds, of which the lowest 32 bits count.
        @return: Payloads for as many datagrams; none, and the group stays as it
            is, if there would be no parity or it would be late.
        """
        if not self._group or not self._parityToSend or self._isLate(now):
            return []
        missing = self._dataShards - len(self._group)
        self.fillersSent += missing
        return self.encode([filler] * missing, now)

    def _isLate(self, now: int) -> bool:
        return self._last is not None and difference(now, self._last) >= LATE

    def _withParity(
        self, shards: list[bytes], groups: list[list[bytes]], places: list[tuple[int, int]]
    ) -> list[bytes]:
        """
        Put parity where it belongs.
        """
        count = self._parityToSend
        self.paritySent += count * len(groups)
        self.parityWithheld += (self._parityShards - count) * len(groups)
        if not count:
            return shards
        pack = PARITY_HEAD.pack
        results: list[bytes] = []
        done = 0
        sums = _paritySums(self._dataShards, count)
        for (end, seqid), parity in zip(places, _parityOf(groups, sums), strict=True):
            results += shards[done:end]
            results += [pack(seqid + k, PARITY) + shard for k, shard in enumerate(parity)]
            done = end
        return results + shards[done:]


@lru_cache(maxsize=32)
def _paritySums(dataShards: int, count: int) -> Sums:
    """
    Prepare the sums that give the first parity shards of a group.
    """
    rows = interpolation(range(dataShards), range(dataShards, dataShards + count))
    return sumsByPlane(rows) if count > 1 else partial(sumsByTable, rows)


def _parityOf(groups: list[list[bytes]], sums: Sums) -> list[list[bytes]]:
    """
    Compute the parity of groups. Several are put side by side, since a few long
    sums are quicker than many short ones.

    @param groups: Data shards with their heads, which are computed with and
        thrown away, since that costs less than cutting them off.
    @return: For each group its parity shards without heads.
    """
    results = []
    sizes = [max(map(len, group)) for group in groups]
    start = 0
    while start < len(groups):
        end, total = start + 1, sizes[start]
        while end < len(groups) and total + sizes[end] <= MASKED:
            total += sizes[end]
            end += 1
        part = sizes[start:end]
        columns: Sequence[bytes] = groups[start]
        if len(part) > 1:
            columns = [
                b"".join(map(bytes.ljust, column, part, repeat(b"\0")))
                for column in zip(*groups[start:end], strict=True)
            ]
        parity = sums(columns, total)
        offset = 0
        for size in part:
            results.append([shard[offset + COVERED : offset + size] for shard in parity])
            offset += size
        start = end
    return results

"""
Tests for L{socksproxy.kcp._autotune}.
"""

from collections.abc import Iterable

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._autotune import SAMPLES, Tuner, runLength
from tests.vectors import Vector, document

VECTORS = document("kcp_vectors")["fec"]["autotune"]

MISSING = 7
"""
The seqid that is missing where a vector says so.
"""


def isData(seqid: int, dataShards: int, parityShards: int) -> bool:
    """
    Say what a shard is.
    """
    return seqid % (dataShards + parityShards) < dataShards


def tuned(seqids: Iterable[int], dataShards: int, parityShards: int) -> Tuner:
    """
    Make a tuner that has seen some shards.
    """
    tuner = Tuner()
    for seqid in seqids:
        tuner.record(seqid, isData(seqid, dataShards, parityShards))
    return tuner


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(list(vector.values())[:-1]))
def test_runLength(vector: Vector) -> None:
    """
    Runs are as long as kcp-go measures them, and found when it finds them.
    """
    first = vector["first_seq"]
    samples = [
        seqid << 1 | isData(seqid, vector["data"], vector["parity"])
        for seqid in range(first, first + vector["count"])
        if not (vector["missing"] and seqid == MISSING)
    ]
    for kind, name in ((1, "found_data"), (0, "found_parity")):
        length = runLength(samples, kind)
        assert (-1 if length is None else length) == vector[name]


class TunerTests(SynchronousTestCase):
    """
    Groups are recognised by their runs.
    """

    def test_found(self) -> None:
        """
        The size of groups is known once the second group's data has begun and
        its parity as well, that is when both runs have been seen whole.
        """
        seqids = range(5, 5 + 5 + 3 + 10 + 1)
        self.assertEqual(tuned(seqids, 10, 3).find(), (10, 3))
        for end in range(5, seqids.stop - 1):
            self.assertIsNone(tuned(range(5, end), 10, 3).find(), end)

    def test_anyOrder(self) -> None:
        """
        Shards may have overtaken one another.
        """
        seqids = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 10]
        self.assertEqual(tuned(seqids, 3, 2).find(), (3, 2))

    def test_onlyAtTheBeginningOfARun(self) -> None:
        """
        There is no answer unless the last shard is of another kind than the
        one before it, which spares the search where it would find nothing new.
        """
        self.assertEqual(tuned(range(11), 3, 2).find(), (3, 2))
        self.assertIsNone(tuned(range(12), 3, 2).find())

    def test_twice(self) -> None:
        """
        A shard that came twice hides what follows it.
        """
        self.assertIsNone(tuned([0, 1, 1, *range(2, 11)], 3, 2).find())

    def test_forgets(self) -> None:
        """
        A gap hides what follows it until it is so long ago that it has been
        forgotten.
        """
        tuner = tuned([0, *range(1000, 1000 + SAMPLES - 2)], 3, 2)
        self.assertIsNone(tuner.find())
        for seqid in range(1000 + SAMPLES - 2, 1000 + SAMPLES + 1):
            tuner.record(seqid, isData(seqid, 3, 2))
        self.assertEqual(tuner.find(), (3, 2))

    def test_longest(self) -> None:
        """
        Groups of up to 255 shards are recognised, and not those of 256, as
        kcp-go has it.
        """
        self.assertEqual(tuned(range(199, 199 + 257), 200, 55).find(), (200, 55))
        self.assertIsNone(tuned(range(199, 199 + 258), 200, 56).find())

    def test_bounded(self) -> None:
        """
        What is remembered does not grow.
        """
        tuner = tuned(range(10 * SAMPLES), 3, 2)
        self.assertEqual(len(tuner._samples), SAMPLES)

"""
Tests for L{socksproxy.kcp._redundancy}.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._redundancy import DECAY, REPEATED_FROM, RESIDUE, RISE, SAMPLE, Redundancy


class LossTests(SynchronousTestCase):
    """
    How much is lost on the way.
    """

    def test_unknown(self) -> None:
        """
        Before anything is known, all the parity is sent, and nothing twice.
        """
        redundancy = Redundancy()
        redundancy.observe(SAMPLE - 1, 5, SAMPLE - 1, 5)
        self.assertIsNone(redundancy.loss)
        self.assertEqual((redundancy.parity(10, 3), redundancy.repeats), (3, False))

    def test_outbound(self) -> None:
        """
        What had to be sent again was lost on the way out.
        """
        redundancy = Redundancy()
        redundancy.observe(SAMPLE, 16, 0, 0)
        self.assertEqual(redundancy.loss, 16 / SAMPLE)

    def test_inbound(self) -> None:
        """
        Shards that did not come were lost on the way in.
        """
        redundancy = Redundancy()
        redundancy.observe(0, 0, SAMPLE, 8)
        self.assertEqual(redundancy.loss, 8 / SAMPLE)

    def test_worse(self) -> None:
        """
        The worse way counts.
        """
        for outbound, inbound in ((16, 8), (8, 16)):
            redundancy = Redundancy()
            redundancy.observe(SAMPLE, outbound, SAMPLE, inbound)
            self.assertEqual(redundancy.loss, 16 / SAMPLE)

    def test_risesAtOnce(self) -> None:
        """
        The estimate rises quickly and falls slowly.
        """
        redundancy = Redundancy()
        redundancy.observe(SAMPLE, 0, 0, 0)
        redundancy.observe(2 * SAMPLE, 16, 0, 0)
        self.assertEqual(redundancy.loss, 16 / SAMPLE / RISE)
        redundancy.observe(3 * SAMPLE, 16, 0, 0)
        self.assertEqual(redundancy.loss, 16 / SAMPLE / RISE * (1 - 1 / DECAY))

    def test_onlyWhatIsNew(self) -> None:
        """
        Nothing counts twice, and a sample has to be large enough.
        """
        redundancy = Redundancy()
        redundancy.observe(SAMPLE, 0, 0, 0)
        redundancy.observe(SAMPLE + 10, 10, 0, 0)
        self.assertEqual(redundancy.loss, 0)
        redundancy.observe(2 * SAMPLE, 16, 0, 0)
        self.assertEqual(redundancy.loss, 16 / SAMPLE / RISE)

    def test_atMostEverything(self) -> None:
        """
        What is counted as repeated before it is sent does not make more than
        all of it lost.
        """
        redundancy = Redundancy()
        redundancy.observe(SAMPLE, 3 * SAMPLE, 0, 0)
        self.assertEqual(redundancy.loss, 1)
        self.assertEqual(redundancy.parity(10, 3), 3)


class ParityTests(SynchronousTestCase):
    """
    How much parity that deserves.
    """

    def parity(self, loss: float, dataShards: int = 10, parityShards: int = 20) -> int:
        """
        Give the parity for a loss.
        """
        redundancy = Redundancy()
        redundancy.loss = loss
        return redundancy.parity(dataShards, parityShards)

    def test_none(self) -> None:
        """
        On a path without loss, no parity is sent.
        """
        self.assertEqual(self.parity(0.0), 0)

    def test_grows(self) -> None:
        """
        The more is lost, the more is sent; for ever more groups and ever less
        loss it is never more than there is.
        """
        counts = [self.parity(loss / 100) for loss in range(101)]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(counts[-1], 20)
        self.assertEqual(self.parity(0.5, parityShards=3), 3)

    def test_enough(self) -> None:
        """
        With it, all but one group in a hundred arrive whole, and with one
        shard less they would not.
        """
        for loss in (0.01, 0.05, 0.1, 0.2):
            count = self.parity(loss)
            self.assertGreater(_whole(10, count, loss), 1 - RESIDUE)
            self.assertLess(_whole(10, count - 1, loss), 1 - RESIDUE)

    def test_repeats(self) -> None:
        """
        From some loss on, lone datagrams are sent twice.
        """
        redundancy = Redundancy()
        for loss in (0.0, REPEATED_FROM - 0.001):
            redundancy.loss = loss
            self.assertFalse(redundancy.repeats)
        redundancy.loss = REPEATED_FROM
        self.assertTrue(redundancy.repeats)


def _whole(dataShards: int, parityShards: int, loss: float) -> float:
    """
    Give the chance that enough shards arrive, shard by shard.
    """
    # By how many have been lost.
    chances = [1.0]
    for _ in range(dataShards + parityShards):
        lost = [0.0, *(chance * loss for chance in chances)]
        arrived = [*(chance * (1 - loss) for chance in chances), 0.0]
        chances = [a + b for a, b in zip(lost, arrived, strict=True)]
    return sum(chances[: parityShards + 1])


@pytest.mark.parametrize("loss", [0.02, 0.1, 0.3])
def test_settles(loss: float) -> None:
    """
    Under a loss that stays the same, the estimate stays near it, and comes
    back to nothing after it ends.
    """
    redundancy = Redundancy()
    sent = 0
    estimates = []
    for _ in range(100):
        sent += 100
        redundancy.observe(sent, round(sent * loss), 0, 0)
        estimates.append(redundancy.loss or 0.0)
    assert all(abs(estimate - loss) < 0.01 for estimate in estimates)
    repeated = round(sent * loss)
    for _ in range(100):
        sent += 100
        redundancy.observe(sent, repeated, 0, 0)
        estimates.append(redundancy.loss or 0.0)
    falling = estimates[100:]
    assert all(a > b for a, b in pairwise(falling))
    assert falling[-1] < 0.001

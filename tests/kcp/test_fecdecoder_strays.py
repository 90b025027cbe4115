"""
Tests for L{socksproxy.kcp._fecdecoder}: shards that do not fit what came before.
"""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp import _fecdecoder
from socksproxy.kcp._shard import seqidLimit
from socksproxy.kcp.fec import FECDecoder, FECEncoder
from tests.kcp.fecgroups import DATA, PARITY, encoded, held, payloadsOf, without


class OutsideTests(SynchronousTestCase):
    """
    A seqid that is far off neither makes the decoder grow nor blinds it.
    """

    def test_oneFarAhead(self) -> None:
        """
        One shard that is far ahead is handed on, and the others go on as
        before.
        """
        payloads, shards = encoded(2, 3, 2)
        decoder = FECDecoder(3, 2)
        decoder.decode(shards[:5])
        for ahead in (10**6, 2**31, 3 * 2**30):
            seqid = ahead // 5 * 5
            self.assertEqual(
                decoder.decode([struct.pack("<IHH", seqid, DATA, 3) + b"x"]), [(b"x", False)]
            )
        self.assertEqual(decoder.decode(shards[6:9])[-1], (payloads[3], True))

    def test_aLittleAhead(self) -> None:
        """
        Many groups in a row may be lost without more being lost of those that
        follow.
        """
        groups = _fecdecoder.AHEAD
        payloads, shards = encoded(groups + 1, 3, 2)
        decoder = FECDecoder(3, 2)
        decoder.decode(shards[:5])
        self.assertEqual(decoder.decode(shards[-4:])[-1], (payloads[-3], True))

    def test_jump(self) -> None:
        """
        A sender that leaves out numbers, forward or back, is followed after a
        while, as often as it does so.
        """
        decoder = FECDecoder(3, 2)
        for first in (0, 5 * 10**6, 5 * 10**8, 0, 5 * 10**7):
            payloads, shards = encoded(12, 3, 2, first)
            results = decoder.decode(without(shards, range(0, len(shards), 5)))
            rebuilt = {segments for segments, recovered in results if recovered}
            # Four shards of each group come.
            blind = 0 if decoder.recovered == len(rebuilt) else _fecdecoder.OUTSIDE // 4
            self.assertEqual(rebuilt, set(payloads[3 * blind :: 3]))
            self.assertEqual(held(decoder), 0)

    def test_mixed(self) -> None:
        """
        What is far off counts only if nothing else comes in between.
        """
        _, shards = encoded(2, 3, 2)
        decoder = FECDecoder(3, 2)
        far = [struct.pack("<IHH", 5 * 10**6 + 5 * k, DATA, 3) + b"x" for k in range(1000)]
        decoder.decode(shards[:6])
        for k in range(0, 900, _fecdecoder.OUTSIDE - 1):
            decoder.decode(far[k : k + _fecdecoder.OUTSIDE - 1])
            decoder.decode(shards[5:6])
        self.assertEqual(held(decoder), 1)
        self.assertEqual(list(decoder._groups), [0, 1])

    def test_longWrap(self) -> None:
        """
        Groups are forgotten and counted also where the seqids begin again.
        """
        decoder = FECDecoder(3, 2)
        decoder.decode(encoded(20, 3, 2, seqidLimit(5) - 50)[1])
        self.assertEqual(sorted(decoder._groups), [6, 7, 8, 9])
        self.assertEqual((decoder.shardsExpected, decoder.shardsMissing), (15 * 3, 0))

    def test_notCounted(self) -> None:
        """
        A jump is not loss.
        """
        decoder = FECDecoder(3, 2)
        decoder.decode(encoded(10, 3, 2)[1])
        decoder.decode(encoded(20, 3, 2, 5 * 10**6)[1])
        self.assertEqual(decoder.shardsMissing, 0)

    @given(data=st.data())
    @settings(deadline=None)
    def test_arbitrary(self, data: st.DataObject) -> None:
        """
        Whatever comes, what is held is bounded, and nothing is raised.
        """
        decoder = FECDecoder(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
        seqids = st.one_of(
            st.integers(0, 60), st.integers(2**32 - 60, 2**32 - 1), st.integers(0, 2**32 - 1)
        )
        payload = st.one_of(
            st.builds(
                lambda seqid, kind, size, rest: struct.pack("<IHH", seqid, kind, size) + rest,
                seqids,
                st.sampled_from([DATA, PARITY, PARITY, 0xF3, 81]),
                st.integers(0, 10),
                st.binary(max_size=10),
            ),
            st.binary(max_size=12),
        )
        for _ in range(data.draw(st.integers(1, 10))):
            results = decoder.decode(data.draw(st.lists(payload, max_size=30)))
            assert all(isinstance(segments, bytes) for segments, _ in results)
            assert held(decoder) <= 4 * (decoder.dataShards - 1)
            assert len(decoder._tuner._samples) <= 258


class TuningTests(SynchronousTestCase):
    """
    The decoder learns what the peer's groups are like.
    """

    def test_unknown(self) -> None:
        """
        A decoder that knows nothing learns it from two groups, and rebuilds
        what is lost afterwards.
        """
        payloads, shards = encoded(4, 10, 3)
        decoder = FECDecoder(1, 1)
        results = decoder.decode(shards[:24])
        self.assertEqual(results, [(payload, False) for payload in payloads[:20]])
        self.assertEqual((decoder.dataShards, decoder.parityShards), (10, 3))
        lost = [26, 30, 40]
        results = decoder.decode(without(shards, [*range(24), *lost]))
        self.assertEqual(
            [segments for segments, recovered in results if recovered],
            [payloads[20], payloads[24], payloads[31]],
        )

    def test_changed(self) -> None:
        """
        A peer that changes its groups is followed, once what was before has
        been forgotten.
        """
        decoder = FECDecoder(3, 2)
        decoder.decode(encoded(60, 3, 2)[1])
        payloads, shards = encoded(50, 4, 3, 350)
        results = decoder.decode(without(shards, [7 * 45, 7 * 46 + 1]))
        self.assertEqual((decoder.dataShards, decoder.parityShards), (4, 3))
        rebuilt = [segments for segments, recovered in results if recovered]
        self.assertEqual(rebuilt, [payloads[4 * 45], payloads[4 * 46 + 1]])

    def test_nothingMeanwhile(self) -> None:
        """
        Nothing is rebuilt and nothing held as long as it is not known how.
        """
        _, shards = encoded(3, 10, 3)
        decoder = FECDecoder(4, 1)
        decoder.decode(shards[:10])
        before = held(decoder)
        results = decoder.decode(without(shards, [*range(10), 14]))
        self.assertEqual(held(decoder), before)
        self.assertFalse([segments for segments, recovered in results if recovered])
        self.assertEqual((decoder.dataShards, decoder.parityShards), (4, 1))

    def test_oneFalse(self) -> None:
        """
        One shard of the wrong kind does not stop recovery for long, though a
        sender that withholds parity never shows what its groups are like.
        """
        encoder, decoder = FECEncoder(4, 3), FECDecoder(4, 3)
        encoder.parityToSend = 1
        payloads = payloadsOf(4 * 20)
        shards = encoder.encode(payloads, 0)
        decoder.decode(shards[:25])
        decoder.decode([struct.pack("<IHH", 7 * 1000, PARITY, 3) + b"x"])
        results = decoder.decode(without(shards[25:], [5, 51]))
        self.assertEqual(
            [segments for segments, recovered in results if recovered], [payloads[4 * 15 + 1]]
        )
        self.assertEqual((decoder.dataShards, decoder.parityShards), (4, 3))

    def test_oneFalseInLargeGroups(self) -> None:
        """
        Where groups are large, two of them have to agree, so that the third is
        the first in which something is rebuilt.
        """
        encoder, decoder = FECEncoder(30, 10), FECDecoder(30, 10)
        encoder.parityToSend = 1
        payloads = payloadsOf(30 * 6)
        shards = encoder.encode(payloads, 0)
        decoder.decode([struct.pack("<IHH", 0, PARITY, 3) + b"x", *without(shards, [32, 64, 97])])
        self.assertEqual(decoder.recovered, 1)

    def test_oneFalseAmongWhole(self) -> None:
        """
        Where the groups before the wrong shard can be seen, they are recognised
        at once, and what is held of the last one is kept.
        """
        payloads, shards = encoded(3, 3, 2)
        decoder = FECDecoder(3, 2)
        decoder.decode([*shards[:11], struct.pack("<IHH", 5000, PARITY, 3) + b"x"])
        self.assertEqual(decoder.decode(shards[12:14])[-1], (payloads[7], True))

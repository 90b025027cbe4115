"""
Tests for L{socksproxy.kcp.pipeline}.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.kcp._segment import MASK
from socksproxy.kcp._shard import DATA, OVERHEAD, PARITY
from socksproxy.kcp._shard import HEAD as SHARD_HEAD
from socksproxy.kcp.crypt import cipherFor
from socksproxy.kcp.fec import FECEncoder
from socksproxy.kcp.pipeline import BATCH, CERTAIN, OPENING, REPEAT_AFTER, Pipeline
from tests.kcp.blocks import (
    ACK,
    KEY,
    NOW,
    PUSH,
    WINS,
    commandsOf,
    pipelineFor,
    segment,
)


def shardsOf(datagrams: Iterable[bytes]) -> list[tuple[int, int]]:
    """
    Give the seqids and kinds of shards.
    """
    return [SHARD_HEAD.unpack_from(datagram)[:2] for datagram in datagrams]


def dataOf(datagrams: Iterable[bytes]) -> list[bytes]:
    """
    Give what the data shards among some datagrams carry.
    """
    return [d[OVERHEAD:] for d in datagrams if SHARD_HEAD.unpack_from(d)[1] == DATA]


class PipelineTests(SynchronousTestCase):
    """
    The control block and what is around it.
    """

    def test_payload(self) -> None:
        """
        A datagram of full size is as long as the mtu says, whatever is around
        the data.
        """
        for crypt in ("null", "none", "aes", "salsa20", "aes-128-gcm"):
            for datashard in (0, 10):
                pipeline = pipelineFor(crypt, mtu=500, datashard=datashard)
                pipeline.control.send(bytes(30 * 500))
                sizes = [len(datagram) for datagram in pipeline.flush(NOW)]
                self.assertEqual(max(sizes), 500)
                self.assertEqual(sizes[0], 500)

    def test_noRoom(self) -> None:
        """
        If there is no room for data, that is said before anything begins.
        """
        self.assertRaises(ConfigurationError, pipelineFor, "aes-128-gcm", mtu=60, datashard=10)

    def test_sealed(self) -> None:
        """
        What goes out is sealed, and what comes in has been opened.
        """
        cipher = cipherFor("aes-128-gcm", KEY)
        left, right = pipelineFor("aes-128-gcm"), pipelineFor("aes-128-gcm")
        left.control.send(b"hello")
        datagrams = left.flush(NOW)
        self.assertNotIn(b"hello", datagrams[0])
        payloads = [payload for payload in cipher.open(datagrams) if payload is not None]
        right.input(payloads, NOW, sum(map(len, datagrams)))
        self.assertEqual(right.control.receive(), b"hello")

    def test_statistics(self) -> None:
        """
        Datagrams and their octets are counted, as they are on the wire.
        """
        pipeline = pipelineFor("none")
        pipeline.control.send(b"hello")
        datagrams = pipeline.flush(NOW)
        pipeline.input([segment(PUSH, data=b"x"), segment(WINS)], NOW, 100)
        statistics = pipeline.count()
        self.assertEqual((statistics.outPkts, statistics.outBytes), (1, len(datagrams[0])))
        self.assertEqual((statistics.inPkts, statistics.inBytes), (2, 100))
        self.assertEqual((statistics.inSegs, statistics.outSegs), (2, 1))

    def test_acknowledgementsOnly(self) -> None:
        """
        When only acknowledgements are due, other things are left for their
        time.
        """
        pipeline = pipelineFor(acknodelay=True)
        pipeline.control.send(b"x")
        pipeline.flush(NOW)
        pipeline.input([segment(PUSH, data=b"x")], NOW + 300)
        self.assertEqual(commandsOf(pipeline.flush(NOW + 300)), [(ACK, 0)])
        self.assertEqual(commandsOf(pipeline.flush(NOW + 300)), [(PUSH, 0)])

    def test_withData(self) -> None:
        """
        Acknowledgements take data along.
        """
        pipeline = pipelineFor(acknodelay=True)
        pipeline.control.send(b"?")
        pipeline.flush(NOW)
        pipeline.control.send(b"x")
        pipeline.input([segment(PUSH, data=b"x")], NOW)
        self.assertEqual(commandsOf(pipeline.flush(NOW))[:2], [(ACK, 0), (PUSH, 1)])

    def test_opening(self) -> None:
        """
        The first datagram of who opens a session is filled up with what says
        nothing new, so that the answer may be longer; no later one is, nor is
        one of who answers, nor is anything longer than the MTU.
        """
        for trusting, length in ((True, OPENING), (False, 0)):
            pipeline = pipelineFor(trusting=trusting)
            pipeline.control.extendCredit(10_000, 0)
            pipeline.statistics.inBytes = 10_000
            pipeline.control.send(b"x")
            (first,) = pipeline.flush(NOW)
            self.assertLessEqual(max(0, length - len(first)), 24)
            filling = {command for command, _ in commandsOf([first])[1:]}
            self.assertEqual(filling, {WINS} if trusting else set())
            pipeline.control.send(b"y")
            later = pipeline.flush(NOW)
            self.assertLess(sum(map(len, later)), 200)
        short = pipelineFor(trusting=True, mtu=100)
        short.control.send(bytes(60))
        self.assertTrue(all(len(each) <= 100 for each in short.flush(NOW)))

    def test_batches(self) -> None:
        """
        Many datagrams come a batch at a time, the same as all at once.
        """
        for datashard in (0, 10):
            whole, parts = (pipelineFor(mtu=100, datashard=datashard) for _ in range(2))
            for pipeline in (whole, parts):
                pipeline.input([self.wide(datashard)], NOW)
                pipeline.control.send(bytes(100 * 300))
            batches = list(parts.batches(NOW))
            self.assertGreater(len(batches), 2)
            if not datashard:
                self.assertEqual(len(batches[0]), BATCH)
            self.assertEqual([d for batch in batches for d in batch], whole.flush(NOW))

    def wide(self, datashard: int) -> bytes:
        """
        Say that there is much room.
        """
        payload = segment(WINS, wnd=1000)
        return FECEncoder(10, 3).encode([payload], NOW)[0] if datashard else payload

    def test_idle(self) -> None:
        """
        Without anything to do there is nothing to send, and no time at which
        there will be.
        """
        for own in ({}, {"datashard": 10, "adaptive": True}):
            pipeline = pipelineFor(**own)
            self.assertIsNone(pipeline.nextDeadline(NOW))
            self.assertEqual(pipeline.flush(NOW), [])
            self.assertEqual(pipeline.count().outPkts, 0)


class CorrectionTests(SynchronousTestCase):
    """
    Forward error correction.
    """

    def sent(self, count: int, dataShards: int = 3, parityShards: int = 1) -> list[bytes]:
        """
        Give the shards of messages, each of which is different.
        """
        encoder = FECEncoder(dataShards, parityShards)
        payloads = [segment(PUSH, sn=sn, ts=NOW, data=self.message(sn)) for sn in range(count)]
        return encoder.encode(payloads, NOW)

    def read(self, pipeline: Pipeline) -> bytes:
        """
        Read everything.
        """
        return pipeline.control.receiveStream()

    def expected(self, count: int) -> bytes:
        """
        Give what is to be read.
        """
        return b"".join(map(self.message, range(count)))

    def message(self, sn: int) -> bytes:
        """
        Give a message that nothing else tells anything about.
        """
        return Random(sn).randbytes(4)

    def test_shards(self) -> None:
        """
        Datagrams become shards, with parity after each group.
        """
        pipeline = pipelineFor(datashard=2, parityshard=1, mtu=100)
        pipeline.control.send(bytes(68 * 4))
        self.assertEqual(
            shardsOf(pipeline.flush(NOW)),
            [(0, DATA), (1, DATA), (2, PARITY), (3, DATA), (4, DATA), (5, PARITY)],
        )
        self.assertEqual(pipeline.count().fecParitySent, 2)

    def test_recovered(self) -> None:
        """
        What was lost is rebuilt and read in its place, and counted.
        """
        pipeline = pipelineFor(datashard=3, parityshard=1)
        shards = self.sent(60)
        lost = {40, 41}
        self.assertTrue(all(kind == DATA for seqid, kind in shardsOf(shards) if seqid in lost))
        pipeline.input([s for n, s in enumerate(shards) if n not in {40, 45}], NOW)
        self.assertEqual(self.read(pipeline), self.expected(60))
        statistics = pipeline.count()
        self.assertEqual((statistics.fecRecovered, statistics.fecParityShards), (2, 20))
        self.assertEqual(statistics.fecParityUseless, 18)

    def test_learned(self) -> None:
        """
        Without own error correction, the peer's is used after some time.
        """
        pipeline = pipelineFor()
        shards = self.sent(300)
        pipeline.input([shard for n, shard in enumerate(shards) if n != 380], NOW)
        self.assertEqual(self.read(pipeline), self.expected(300))
        self.assertEqual(pipeline.count().fecRecovered, 1)
        self.assertEqual(shardsOf(pipeline.flush(NOW))[0][1], ACK)

    def test_notLearnedTooSoon(self) -> None:
        """
        As long as it is not certain what the peer's groups are like, nothing is
        rebuilt of which the head may look right and the data not.
        """
        for own in ({}, {"datashard": 1, "parityshard": 1}):
            pipeline = pipelineFor(**own)
            # All numbers that may come of mixing some with one octet.
            shards = self.sent(256)
            # As groups of one shard each, the fourth is parity of the third.
            pipeline.input([shards[0], shards[3]], NOW)
            self.assertEqual((pipeline.control.readable, pipeline.count().kcpInErrors), (1, 0))
            # The third is late only.
            pipeline.input([shards[2], shards[1], *shards[4:]], NOW)
            self.assertEqual(self.read(pipeline), self.expected(256))

    def test_certain(self) -> None:
        """
        After as many datagrams as are enough, what is rebuilt counts.
        """
        lost = CERTAIN
        for count, recovered in ((CERTAIN - 1, False), (CERTAIN, True)):
            pipeline = pipelineFor(datashard=3, parityshard=1)
            shards = self.sent(60)
            self.assertEqual(shardsOf(shards)[lost], (lost, DATA))
            early = [shards[n] for n in range(lost + 4 - count - 1, lost)]
            pipeline.input(early, NOW)
            pipeline.input(shards[lost + 1 : lost + 4], NOW)
            control = pipeline.control
            self.assertEqual(pipeline.statistics.inPkts, count)
            # The first of the group.
            self.assertEqual(_holds(control, lost // 4 * 3), recovered)

    def test_withoutShards(self) -> None:
        """
        A peer without error correction is understood.
        """
        pipeline = pipelineFor(datashard=10, parityshard=3)
        pipeline.input([segment(PUSH, data=b"plain")], NOW)
        self.assertEqual(self.read(pipeline), b"plain")

    def test_notAShard(self) -> None:
        """
        Plain segments make nobody look for shards.
        """
        pipeline = pipelineFor()
        pipeline.input(
            [segment(PUSH, data=b"x"), segment(PUSH, frg=0xF1, sn=1), b"", b"12345"], NOW
        )
        self.assertIsNone(pipeline._decoder)

    def test_rebuiltTellsNoTime(self) -> None:
        """
        A rebuilt acknowledgement tells no round trip.
        """
        pipeline = pipelineFor(datashard=1, parityshard=1)
        control = pipeline.control
        encoder = FECEncoder(1, 1)
        filler = [segment(WINS)] * CERTAIN
        control.send(b"x")
        pipeline.flush(NOW)
        shards = encoder.encode([*filler, segment(ACK, sn=0, ts=NOW, una=1)], NOW)
        pipeline.input([*shards[:-2], shards[-1]], NOW + 50)
        self.assertEqual((control.waiting, control.srtt), (0, 0))


def _holds(control: Any, sn: int) -> bool:
    """
    Say whether a number has arrived.
    """
    receiving = control._receiving
    return sn < receiving.rcvNxt or sn in receiving._early


class AdaptiveTests(SynchronousTestCase):
    """
    As much redundancy as loss deserves.
    """

    def pipeline(self, loss: float, **settings: Any) -> Pipeline:
        """
        Make a session that knows what is lost.
        """
        pipeline = pipelineFor(adaptive=True, mtu=100, **settings)
        assert pipeline._redundancy is not None
        pipeline._redundancy.loss = loss
        return pipeline

    def test_parity(self) -> None:
        """
        Without loss no parity is sent, and its numbers are left out.
        """
        pipeline = self.pipeline(0.0, datashard=2, parityshard=2)
        pipeline.control.send(bytes(68 * 4))
        self.assertEqual(shardsOf(pipeline.flush(NOW)), [(n, DATA) for n in (0, 1, 4, 5)])

    def test_tail(self) -> None:
        """
        The end of what there is to send gets its parity at once, with segments
        that say nothing new.
        """
        pipeline = self.pipeline(0.1, datashard=4, parityshard=3)
        pipeline.control.send(bytes(68 * 2))
        datagrams = pipeline.flush(NOW)
        self.assertEqual([kind for _, kind in shardsOf(datagrams)], [DATA] * 4 + [PARITY] * 3)
        self.assertEqual(
            commandsOf(dataOf(datagrams)), [(PUSH, 0), (PUSH, 1), (WINS, 0), (WINS, 0)]
        )
        peer = pipelineFor()
        peer.input(datagrams, NOW)
        self.assertEqual((peer.control.readable, peer.count().kcpInErrors), (2, 0))

    def test_noTail(self) -> None:
        """
        A group is not filled up while there is more to send, nor if most of it
        were to be filled.
        """
        pipeline = self.pipeline(0.1, datashard=4, parityshard=3, sndwnd=2)
        pipeline.control.send(bytes(68 * 3))
        self.assertEqual(len(pipeline.flush(NOW)), 2)
        pipeline = self.pipeline(0.01, datashard=10, parityshard=3)
        pipeline.control.send(b"x")
        self.assertEqual(len(pipeline.flush(NOW)), 1)

    def test_noTailBetweenBatches(self) -> None:
        """
        The end of a batch is not the end.
        """
        pipeline = self.pipeline(0.1, datashard=10, parityshard=3)
        pipeline.control.input([segment(WINS, wnd=1000)], NOW)
        # The last group is whole.
        pipeline.control.send(bytes(68 * 200))
        segs = commandsOf(dataOf(pipeline.flush(NOW)))
        self.assertEqual(segs, [(PUSH, sn) for sn in range(200)])

    def test_loneTwice(self) -> None:
        """
        A lone datagram is sent a second time a little later, with or without
        error correction.
        """
        for own in ({}, {"datashard": 10, "parityshard": 3}):
            pipeline = self.pipeline(0.02, **own)
            pipeline.control.send(b"x")
            (first,) = pipeline.flush(NOW)
            self.assertEqual(pipeline.nextDeadline(NOW + 1), REPEAT_AFTER - 1)
            self.assertEqual(pipeline.flush(NOW + 1), [])
            (second,) = pipeline.flush(NOW + REPEAT_AFTER)
            carried = (dataOf([first]), dataOf([second])) if own else ([first], [second])
            self.assertEqual(*carried)
            self.assertEqual(pipeline.nextDeadline(NOW + REPEAT_AFTER), 200 - REPEAT_AFTER)

    def test_loneAcrossWrap(self) -> None:
        """
        So it is while the clock wraps.
        """
        pipeline = self.pipeline(0.02)
        pipeline.control.send(b"x")
        pipeline.flush(MASK)
        self.assertEqual(pipeline.nextDeadline(MASK), REPEAT_AFTER)
        self.assertEqual(pipeline.nextDeadline(1), REPEAT_AFTER - 2)
        self.assertEqual(len(pipeline.flush(3)), 1)

    def test_notTwice(self) -> None:
        """
        Several datagrams are not sent twice, nor acknowledgements, nor anything
        if nothing is lost.
        """
        pipeline = self.pipeline(0.02)
        pipeline.control.send(bytes(76 * 3))
        pipeline.flush(NOW)
        self.assertEqual(pipeline.nextDeadline(NOW), 200)
        pipeline = self.pipeline(0.02)
        pipeline.input([segment(PUSH, data=b"x")], NOW)
        self.assertEqual(len(pipeline.flush(NOW)), 1)
        self.assertIsNone(pipeline.nextDeadline(NOW))
        pipeline = self.pipeline(0.0)
        pipeline.control.send(b"x")
        pipeline.flush(NOW)
        self.assertEqual(pipeline.nextDeadline(NOW), 200)

"""
Tests for L{socksproxy.kcp.control}: what comes in, and lies about it.
"""

from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import (
    BadCommand,
    ForeignConversation,
    MalformedMessage,
    RemoteProtocolError,
    TruncatedSegment,
)
from socksproxy.kcp._segment import MASK
from socksproxy.kcp.control import ControlBlock
from tests.kcp.blocks import (
    ACK,
    CONVERSATION,
    NOW,
    PUSH,
    WASK,
    WINS,
    blockFor,
    commandsOf,
    drain,
    segment,
    segmentsOf,
)
from tests.vectors import Vector, document

VECTORS = document("kcp_vectors")

ERRORS: dict[str, type[RemoteProtocolError]] = {
    "shorter than one header": TruncatedSegment,
    "length field exceeds what is left": TruncatedSegment,
    "unknown command": BadCommand,
    "conversation id differs (receiver uses 0x11223344)": ForeignConversation,
}


def sent(count: int, **settings: int) -> ControlBlock:
    """
    Make a block that has sent some messages of one octet.
    """
    block = blockFor(stream=False, **settings)
    for _ in range(count):
        block.send(b"x")
    block.flush(NOW)
    return block


def test_allErrors() -> None:
    """
    Every case of an error is known.
    """
    assert {vector["why"] for vector in VECTORS["segment_errors"]} == set(ERRORS)


@pytest.mark.parametrize("vector", VECTORS["segment_errors"], ids=lambda v: str(v["result"]))
def test_error(vector: Vector) -> None:
    """
    What kcp-go does not take is counted as an error, and is one of its kind.
    """
    block = blockFor()
    payload = bytes.fromhex(vector["hex"])
    with pytest.raises(ERRORS[vector["why"]]):
        block._take(payload, True)
    block.input([payload, segment(PUSH, data=b"next")], NOW)
    assert block.statistics.kcpInErrors == 1
    assert drain(block) == [b"next"]


@pytest.mark.parametrize("vector", VECTORS["segment_bundles"], ids=lambda v: str(v["cmds"]))
def test_bundle(vector: Vector) -> None:
    """
    All segments of a payload are taken, and a rest that is shorter than a head
    does not matter.
    """
    block = blockFor(peerStart=0)
    block.send(b"x")
    block.flush(NOW)
    block.input([bytes.fromhex(vector["hex"])], NOW)
    assert block.statistics.kcpInErrors == 0
    assert block.statistics.inSegs == len(vector["cmds"])
    assert drain(block) == [b"hello"]


class ErrorTests(SynchronousTestCase):
    """
    Payloads that make no sense.
    """

    def test_beforeTheFault(self) -> None:
        """
        What came in a payload before the fault counts, and nothing after it.
        """
        after = segment(PUSH, sn=1, data=b"c")
        for fault in (
            segment(PUSH, conv=CONVERSATION + 1, data=b"b") + after,
            segment(80, sn=1) + after,
            segment(85, sn=1) + after,
            segment(PUSH, sn=1, una=1, data=b"b") + after,
            segment(PUSH, sn=1, data=b"b" + after)[:-1],
        ):
            block = blockFor()
            block.input([segment(PUSH, sn=0, data=b"a") + fault], NOW)
            self.assertEqual(drain(block), [b"a"])
            self.assertEqual(block.statistics.kcpInErrors, 1)
            self.assertEqual(commandsOf(block.flush(NOW)), [(ACK, 0)])

    def test_fragments(self) -> None:
        """
        In message mode a fragment of a message that is larger than the window
        is an error; in stream mode it is not looked at.
        """
        payload = segment(PUSH, frg=8, data=b"x")
        for stream, errors in ((False, 1), (True, 0)):
            block = blockFor(stream=stream, rcvwnd=8)
            block.input([payload], NOW)
            self.assertEqual(block.statistics.kcpInErrors, errors)
            self.assertEqual(block.readable, 1 - errors)

    def test_unaAhead(self) -> None:
        """
        Nobody can have got what was never sent, also if it has a number
        already: then nothing is acknowledged.
        """
        block = sent(2)
        with pytest.raises(MalformedMessage):
            block._take(segment(WINS, una=3), True)
        block.send(b"y")
        # Another segment gets its number, and is not sent.
        block.flush(NOW, acksOnly=True)
        block.input([segment(WINS, una=3)], NOW)
        self.assertEqual((block.progress, block.statistics.kcpInErrors), (0, 1))
        block.input([segment(WINS, una=2)], NOW)
        self.assertEqual((block.progress, block.statistics.kcpInErrors), (2, 1))

    def test_unaBehind(self) -> None:
        """
        An una from before is what comes of reordering, and no error.
        """
        block = sent(3)
        for una in (2, 1, 0, MASK):
            block.input([segment(WINS, una=una)], NOW)
            self.assertEqual(block.progress, 2)
        self.assertEqual(block.statistics.kcpInErrors, 0)


class AcknowledgementTests(SynchronousTestCase):
    """
    What the peer has got.
    """

    def test_una(self) -> None:
        """
        Every segment acknowledges what is before its una, and makes room for
        more at once.
        """
        for command in (PUSH, ACK, WASK, WINS):
            block = sent(3, sndwnd=3)
            block.send(b"y")
            block.input([segment(command, una=2, sn=77)], NOW)
            self.assertEqual((block.progress, block.fullFlushDue), (2, True))
            self.assertEqual(block.nextDeadline(NOW), 0)
            self.assertIn((PUSH, 3), commandsOf(block.flush(NOW)))

    def test_single(self) -> None:
        """
        An acknowledged segment behind a gap is not sent again, and leaves with
        the gap.
        """
        block = sent(3)
        block.input([segment(ACK, sn=1, ts=NOW)], NOW + 20)
        self.assertEqual((block.progress, block.waiting), (0, 3))
        self.assertEqual(commandsOf(block.flush(NOW + 400)), [(PUSH, 0), (PUSH, 2)])
        block.input([segment(ACK, sn=0, ts=NOW, una=2)], NOW + 401)
        self.assertEqual((block.progress, block.waiting), (2, 1))

    def test_fastRetransmission(self) -> None:
        """
        What has been passed over is sent again at once.
        """
        block = sent(4)
        block.input([segment(ACK, sn=1, ts=NOW)], NOW + 20)
        self.assertFalse(block.fullFlushDue)
        block.input([segment(ACK, sn=2, ts=NOW)], NOW + 20)
        self.assertTrue(block.fullFlushDue)
        self.assertEqual(commandsOf(block.flush(NOW + 20)), [(PUSH, 0)])
        self.assertEqual(block.statistics.fastRetransSegs, 1)

    def test_neverSent(self) -> None:
        """
        Acknowledgements of what was never sent, or long ago, pass over
        nothing.
        """
        block = sent(4, start=1000)
        payloads = [segment(ACK, sn=sn, ts=NOW) for sn in (1004, 1005, 999, 0, MASK, 1 << 31)]
        block.input(payloads * 3, NOW + 20)
        self.assertFalse(block.fullFlushDue)
        self.assertEqual((block.progress, block.waiting, block.srtt), (1000, 4, 0))
        self.assertEqual(block.flush(NOW + 20), [])

    def test_notYetSent(self) -> None:
        """
        Nor does one of what has a number and was not sent yet.
        """
        block = sent(1)
        block.send(b"y")
        block.flush(NOW, acksOnly=True)
        block.input([segment(ACK, sn=1, ts=NOW)] * 3, NOW + 20)
        self.assertFalse(block.fullFlushDue)
        self.assertEqual(block.srtt, 0)
        self.assertEqual(commandsOf(block.flush(NOW + 20)), [(PUSH, 1)])

    def test_rebuilt(self) -> None:
        """
        Of what was rebuilt, the window is old and the time is unknown; all the
        rest counts.
        """
        block = sent(2)
        payload = segment(ACK, sn=0, ts=NOW, una=1, wnd=5) + segment(PUSH, wnd=5, data=b"x")
        block.input([payload], NOW + 20, recovered=True)
        self.assertEqual((block.progress, block.srtt, block.rmtWnd), (1, 0, 32))
        self.assertEqual(drain(block), [b"x"])


class RoundTripTests(SynchronousTestCase):
    """
    What is measured.
    """

    def test_measured(self) -> None:
        """
        The time that an acknowledgement brings back tells the round trip.
        """
        for una in (0, 1):
            block = sent(1)
            block.input([segment(ACK, sn=0, ts=NOW, una=una)], NOW + 55)
            self.assertEqual((block.srtt, block.rto), (55, 55 + 4 * 27))

    def test_last(self) -> None:
        """
        The last one of a payload counts.
        """
        block = sent(2)
        block.send(b"y")
        block.flush(NOW + 10)
        payload = segment(ACK, sn=0, ts=NOW, una=3) + segment(ACK, sn=2, ts=NOW + 10, una=3)
        block.input([payload], NOW + 50)
        self.assertEqual(block.srtt, 40)

    def test_acrossWraps(self) -> None:
        """
        It is measured across the wrap of both clocks and numbers.
        """
        block = blockFor(start=(1 << 32) - 1)
        block.send(b"x")
        block.flush(MASK - 9)
        block.input([segment(ACK, sn=MASK, ts=MASK - 9, una=0)], 20)
        self.assertEqual((block.srtt, block.waiting), (30, 0))

    def test_future(self) -> None:
        """
        Nothing comes back before it was sent.
        """
        block = sent(1)
        block.input([segment(ACK, sn=0, ts=NOW + 100)], NOW + 55)
        self.assertEqual((block.srtt, block.rto), (0, 200))

    def test_notOutstanding(self) -> None:
        """
        Acknowledgements of what is not outstanding tell nothing: of what was
        never sent, and of what was acknowledged before.
        """
        block = sent(3, start=1000)
        block.input([segment(ACK, sn=1000, ts=NOW, una=1002)], NOW + 40)
        self.assertEqual(block.srtt, 40)
        for sn in (1000, 1001, 1003, 999, 0, MASK):
            block.input([segment(ACK, sn=sn, ts=NOW - 5000)], NOW + 41)
        self.assertEqual(block.srtt, 40)

    def test_repetition(self) -> None:
        """
        A repetition that comes after the first is measured once, by its own
        time.
        """
        block = sent(1)
        block.flush(NOW + 200)
        block.input([segment(ACK, sn=0, ts=NOW, una=1)], NOW + 240)
        self.assertEqual(block.srtt, 240)
        for _ in range(3):
            block.input([segment(ACK, sn=0, ts=NOW + 200, una=1)], NOW + 248)
        self.assertEqual(block.srtt, 240 + (48 - 240 >> 3))


class ProofTests(SynchronousTestCase):
    """
    Whether the peer is where it claims to be.
    """

    def test_proven(self) -> None:
        """
        Whoever acknowledges a segment with its time has got it.
        """
        for una in (0, 1, 2):
            block = sent(2)
            block.input([segment(ACK, sn=0, ts=NOW, una=una)], NOW + 40)
            self.assertTrue(block.proven)

    def test_repetition(self) -> None:
        """
        The time of any transmission will do.
        """
        for ts in (NOW, NOW + 200):
            block = sent(1)
            block.flush(NOW + 200)
            block.input([segment(ACK, sn=0, ts=ts, una=1)], NOW + 240)
            self.assertTrue(block.proven)

    def test_guessed(self) -> None:
        """
        Numbers can be guessed, or recorded in another session, and prove
        nothing; they count for everything else.
        """
        block = sent(3)
        block.extendCredit(100, 0)
        block.input(
            [
                segment(ACK, sn=0, ts=NOW - 1, una=0),
                segment(ACK, sn=0, ts=0, una=1),
                segment(ACK, sn=0, ts=NOW, una=1),
                segment(ACK, sn=3, ts=NOW, una=1),
                segment(WINS, ts=NOW, una=2),
                segment(PUSH, sn=2, ts=NOW, una=2),
            ],
            NOW + 40,
        )
        self.assertEqual((block.proven, block.progress), (False, 2))
        self.assertEqual(block._sending.credit, 100)
        block.input([segment(ACK, sn=2, ts=NOW, una=2)], NOW + 41)
        self.assertEqual((block.proven, block._sending.credit), (True, None))

    def test_forGood(self) -> None:
        """
        Once that is certain, credit does not matter any more.
        """
        block = sent(1)
        block.input([segment(ACK, sn=0, ts=NOW, una=1)], NOW + 40)
        block.extendCredit(0, 0)
        block.send(b"y")
        self.assertEqual(commandsOf(block.flush(NOW + 41)), [(PUSH, 1)])

    def test_credit(self) -> None:
        """
        Without credit no data is sent, and nothing but what comes changes that.
        """
        block = blockFor()
        block.send(bytes(500))
        block.extendCredit(20, 0)
        self.assertIsNone(block.nextDeadline(NOW))
        self.assertEqual(block.flush(NOW), [])
        block.extendCredit(200, 0)
        self.assertEqual(block.nextDeadline(NOW), 0)
        (seg,) = segmentsOf(block.flush(NOW))
        self.assertEqual(len(seg.data), 200 // 5 - 24)

"""
Tests for L{socksproxy.kcp.control}: sending and reading.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.kcp._segment import HEAD_SIZE, MASK
from socksproxy.kcp.control import INITIAL_WINDOW, ControlBlock
from socksproxy.kcp.statistics import SessionStatistics
from tests.kcp.blocks import (
    ACK,
    CONVERSATION,
    NOW,
    PUSH,
    WINS,
    Seg,
    blockFor,
    checkIdle,
    commandsOf,
    configFor,
    drain,
    segment,
    segmentsOf,
)


class SendTests(SynchronousTestCase):
    """
    What a block sends.
    """

    def test_push(self) -> None:
        """
        Data goes out in a segment that says what it is, when it was sent, and
        how much room there is for the other direction.
        """
        block = blockFor(rcvwnd=77)
        block.send(b"hello")
        self.assertEqual(
            segmentsOf(block.flush(NOW)),
            [Seg(CONVERSATION, PUSH, 0, 77, NOW, 0, 0, b"hello")],
        )

    def test_nothing(self) -> None:
        """
        Nothing is sent without a reason.
        """
        block = blockFor()
        self.assertEqual(block.flush(NOW), [])
        self.assertIsNone(block.nextDeadline(NOW))
        checkIdle(block)

    def test_empty(self) -> None:
        """
        The empty message is refused, in both modes.
        """
        for stream in (False, True):
            block = blockFor(stream=stream)
            self.assertRaises(LocalProtocolError, block.send, b"")
            self.assertEqual((block.queued, block.statistics.bytesSent), (0, 0))

    def test_tooLong(self) -> None:
        """
        A message that is too long is refused whole, and not counted.
        """
        block = blockFor(124, stream=False)
        self.assertRaises(LocalProtocolError, block.send, bytes(25_501))
        self.assertEqual((block.waiting, block.statistics.bytesSent), (0, 0))

    def test_noRoom(self) -> None:
        """
        There has to be room for one octet of data.
        """
        self.assertEqual(ControlBlock(1, configFor(), HEAD_SIZE + 1).mss, 1)
        self.assertRaises(LocalProtocolError, ControlBlock, 1, configFor(), HEAD_SIZE)

    def test_smallestPayload(self) -> None:
        """
        With room for one octet, each has a payload of its own.
        """
        block = blockFor(HEAD_SIZE + 1)
        block.send(b"abc")
        self.assertEqual([payload[-1:] for payload in block.flush(NOW)], [b"a", b"b", b"c"])

    def test_full(self) -> None:
        """
        No payload is longer than it may be, and small segments share one.
        """
        block = blockFor(200, stream=False)
        for size in (1, 1, 176, 175, 1, 60, 60, 60):
            block.send(bytes(size))
        payloads = block.flush(NOW)
        self.assertEqual([len(payload) for payload in payloads], [50, 200, 199, 193, 84])
        self.assertEqual([seg.sn for seg in segmentsOf(payloads)], list(range(8)))

    def test_initialWindow(self) -> None:
        """
        Until the peer has said how much room it has, it is taken to have some.
        """
        block = blockFor(stream=False)
        for _ in range(40):
            block.send(b"x")
        self.assertEqual(len(segmentsOf(block.flush(NOW))), INITIAL_WINDOW)
        self.assertEqual((block.queued, block.waiting), (8, 40))

    def test_wrappedNumbers(self) -> None:
        """
        Numbers wrap on the wire.
        """
        block = blockFor(start=(1 << 32) - 1, peerStart=(1 << 32) + 5, stream=False)
        block.send(b"a")
        block.send(b"b")
        segs = segmentsOf(block.flush(NOW))
        self.assertEqual([(seg.sn, seg.una) for seg in segs], [(MASK, 5), (0, 5)])

    def test_wrappedTime(self) -> None:
        """
        So does time.
        """
        for now in (MASK, 0, 5):
            block = blockFor()
            block.send(b"x")
            self.assertEqual(segmentsOf(block.flush(now))[0].ts, now)

    def test_statistics(self) -> None:
        """
        Octets and segments are counted, in the counters that were given.
        """
        statistics = SessionStatistics()
        block = ControlBlock(CONVERSATION, configFor(), 124, statistics)
        block.send(bytes(250))
        block.flush(NOW)
        block.input([segment(PUSH, data=b"abc"), segment(ACK, sn=2, ts=NOW)], NOW)
        block.receive()
        self.assertEqual((statistics.bytesSent, statistics.bytesReceived), (250, 3))
        self.assertEqual((statistics.outSegs, statistics.inSegs), (3, 2))

    def test_largeWindow(self) -> None:
        """
        A window larger than its field says as much as the field can.
        """
        block = blockFor(rcvwnd=65535)
        block.send(b"x")
        self.assertEqual(segmentsOf(block.flush(NOW))[0].wnd, 65535)


class ReadTests(SynchronousTestCase):
    """
    What a block is given, and gives.
    """

    def test_messages(self) -> None:
        """
        Messages are read as they were sent.
        """
        block = blockFor(stream=False)
        block.input([segment(PUSH, sn=0, frg=1, data=b"a") + segment(PUSH, sn=1, data=b"b")], NOW)
        self.assertEqual((block.readable, block.receive(), block.receive()), (2, b"ab", None))
        self.assertEqual((block.readable, block.statistics.bytesReceived), (0, 2))

    def test_stream(self) -> None:
        """
        A stream is read in pieces of about the size that is wanted.
        """
        block = blockFor()
        block.input([segment(PUSH, sn=sn, data=b"ab") for sn in range(3)], NOW)
        self.assertEqual(block.receiveStream(4), b"abab")
        self.assertEqual((block.receiveStream(), block.receiveStream()), (b"ab", b""))

    def test_acknowledged(self) -> None:
        """
        Data is acknowledged once, with its own time, within the interval.
        """
        block = blockFor(interval=25)
        block.input([segment(PUSH, ts=777, data=b"x")], NOW)
        self.assertEqual(block.nextDeadline(NOW), 25)
        self.assertEqual(block.nextDeadline(NOW + 20), 5)
        (seg,) = segmentsOf(block.flush(NOW + 25))
        self.assertEqual((seg.cmd, seg.sn, seg.ts, seg.una, seg.data), (ACK, 0, 777, 1, b""))
        self.assertEqual(block.flush(NOW + 26), [])
        self.assertIsNone(block.nextDeadline(NOW + 26))

    def test_intervalOfTheFirst(self) -> None:
        """
        The interval begins with the first segment that waits.
        """
        block = blockFor(interval=25)
        block.input([segment(PUSH, sn=0, data=b"x")], NOW)
        block.input([segment(PUSH, sn=1, data=b"x")], NOW + 20)
        self.assertEqual(block.nextDeadline(NOW + 20), 5)

    def test_implied(self) -> None:
        """
        What una says already is not acknowledged besides, except for the last.
        """
        block = blockFor()
        block.input([segment(PUSH, sn=sn, ts=sn, data=b"x") for sn in (0, 1, 2, 5, 4)], NOW)
        segs = segmentsOf(block.flush(NOW))
        self.assertEqual([(seg.sn, seg.una) for seg in segs], [(5, 3), (4, 3)])
        block.input([segment(PUSH, sn=sn, data=b"x") for sn in (3, 6)], NOW)
        segs = segmentsOf(block.flush(NOW))
        self.assertEqual([(seg.sn, seg.una) for seg in segs], [(6, 7)])

    def test_acknowledgedTwice(self) -> None:
        """
        If that is wanted, what is beyond a gap is acknowledged again with the
        next ones.
        """
        block = blockFor(acktwice=True)
        sent = []
        for sn in (2, 3, 4):
            block.input([segment(PUSH, sn=sn, ts=sn, data=b"x")], NOW)
            sent.append([(seg.sn, seg.ts) for seg in segmentsOf(block.flush(NOW))])
        self.assertEqual(sent, [[(2, 2)], [(2, 2), (3, 3)], [(3, 3), (4, 4)]])

    def test_noDelay(self) -> None:
        """
        Acknowledgements do not wait if they are not to.
        """
        block = blockFor(acknodelay=True)
        block.input([segment(PUSH, data=b"x")], NOW)
        self.assertEqual((block.acksDue, block.fullFlushDue), (True, False))
        self.assertEqual(block.nextDeadline(NOW), 0)
        self.assertEqual(commandsOf(block.flush(NOW, acksOnly=True)), [(ACK, 0)])
        self.assertEqual((block.acksDue, block.nextDeadline(NOW)), (False, None))

    def test_manyAcknowledgements(self) -> None:
        """
        They do not wait either when they fill a payload, and none is longer
        than it may be.
        """
        block = blockFor(100)
        for sn in range(1, 4):
            block.input([segment(PUSH, sn=sn, data=b"x")], NOW)
        self.assertFalse(block.acksDue)
        block.input([segment(PUSH, sn=sn, data=b"x") for sn in range(4, 10)], NOW)
        self.assertTrue(block.acksDue)
        self.assertEqual([len(payload) for payload in block.flush(NOW)], [96, 96, 24])

    def test_acknowledgementsFirst(self) -> None:
        """
        Acknowledgements go out before data, in the same payload.
        """
        block = blockFor()
        block.send(b"y")
        block.input([segment(PUSH, data=b"x")], NOW)
        (payload,) = block.flush(NOW)
        self.assertEqual(commandsOf([payload]), [(ACK, 0), (PUSH, 0)])

    def test_acknowledgementsOnly(self) -> None:
        """
        A flush of acknowledgements leaves data to the next one.
        """
        block = blockFor()
        block.send(b"y")
        block.input([segment(PUSH, data=b"x")], NOW)
        self.assertEqual(commandsOf(block.flush(NOW, acksOnly=True)), [(ACK, 0)])
        self.assertEqual((block.queued, block.nextDeadline(NOW)), (0, 0))
        self.assertEqual(commandsOf(block.flush(NOW)), [(PUSH, 0)])

    def test_repeated(self) -> None:
        """
        What comes again is acknowledged again, counted, and not read again.
        """
        block = blockFor()
        for ts in (1, 2):
            block.input([segment(PUSH, ts=ts, data=b"x")], NOW)
            (seg,) = segmentsOf(block.flush(NOW))
            self.assertEqual((seg.cmd, seg.sn, seg.ts), (ACK, 0, ts))
        self.assertEqual((drain(block), block.statistics.repeatSegs), ([b"x"], 1))

    def test_beyond(self) -> None:
        """
        What is beyond the window is not acknowledged.
        """
        block = blockFor(rcvwnd=4)
        block.input([segment(PUSH, sn=4, data=b"x")], NOW)
        self.assertIsNone(block.nextDeadline(NOW))
        self.assertEqual(block.flush(NOW), [])

    def test_standing(self) -> None:
        """
        A segment that says nothing new can be made at any time.
        """
        block = blockFor(rcvwnd=8)
        block.input([segment(PUSH, sn=0, data=b"x")], NOW)
        wnd, ts, sn, una = block.standing()
        self.assertEqual((wnd, ts, sn, una), (7, 0, 0, 1))
        peer = blockFor()
        peer.input([segment(WINS, wnd=wnd, ts=ts, sn=sn, una=0)], NOW)
        self.assertEqual((peer.rmtWnd, peer.flush(NOW)), (7, []))


class ConversationTests(SynchronousTestCase):
    """
    Two blocks with nothing between them.
    """

    def exchange(self, left: ControlBlock, right: ControlBlock) -> dict[ControlBlock, bytes]:
        """
        Carry payloads to and fro until neither wants to be flushed.

        @return: What either one has been given.
        """
        read = {left: b"", right: b""}
        now = NOW
        for _ in range(10_000):
            waits = [block.nextDeadline(now) for block in read]
            if waits == [None, None]:
                return read
            now += min(wait for wait in waits if wait is not None)
            for sender, receiver in ((left, right), (right, left)):
                if sender.nextDeadline(now) == 0:
                    receiver.input(sender.flush(now), now)
                    read[receiver] += receiver.receiveStream()
        raise self.failureException("no end")

    def test_bothDirections(self) -> None:
        """
        Much data goes both ways at once, over the wrap of all numbers; then
        neither has anything left, nor needs a clock.
        """
        start = (1 << 32) - 100
        left = blockFor(200, start, start + 7, stream=True, sndwnd=64, rcvwnd=64)
        right = blockFor(150, start + 7, start, stream=True, sndwnd=64, rcvwnd=64)
        data = bytes(range(256)) * 200
        left.send(data)
        right.send(data[::-1])
        read = self.exchange(left, right)
        self.assertEqual((read[left], read[right]), (data[::-1], data))
        for block in read:
            checkIdle(block)
            self.assertEqual(block.statistics.retransSegs, 0)

    def test_progress(self) -> None:
        """
        It can be seen how far the peer has acknowledged.
        """
        left, right = blockFor(stream=False), blockFor(stream=False)
        self.assertEqual((left.progress, left.waiting, left.proven), (0, 0, False))
        for data in (b"a", b"b"):
            left.send(data)
        self.assertEqual((left.waiting, left.queued), (2, 2))
        self.assertEqual(self.exchange(left, right)[right], b"ab")
        self.assertEqual((left.progress, left.waiting, left.proven), (2, 0, True))

"""
Tests for L{socksproxy.smux._sending}.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.smux._sending import LOW_WATER, Sending
from socksproxy.smux._stream import INITIAL_WINDOW, Stream
from tests.smux.frames import Frame, framesOf, namesOf, window


class SendingTestCase(SynchronousTestCase):
    """
    Tests of the order of what is sent.
    """

    def setUp(self) -> None:
        """
        Have nothing to send.
        """
        self.sending = Sending(2, 1000, 5000)

    def stream(self, streamID: int, data: bytes = b"") -> Stream:
        """
        Make a stream that the peer knows of.
        """
        stream = Stream(streamID, False)
        self.put(stream, data)
        return stream

    def put(self, stream: Stream, data: bytes) -> None:
        """
        Queue data.
        """
        if data:
            stream.put(data)
            self.sending.queued += len(data)
            self.sending.queue(stream)

    def take(self, limit: int = 65536) -> list[Frame]:
        """
        Give what is sent next.
        """
        return framesOf(self.sending.take(limit), self.sending.version or 2)


class OrderTests(SendingTestCase):
    """
    What is sent before what.
    """

    def test_turns(self) -> None:
        """
        Streams take turns, with one frame each, whatever they have.
        """
        for streamID, octets in ((3, 3500), (5, 100), (7, 2000)):
            self.stream(streamID, bytes(octets))
        self.assertEqual(
            [(each.streamID, len(each.data)) for each in self.take()],
            [(3, 1000), (5, 100), (7, 1000), (3, 1000), (7, 1000), (3, 1000), (3, 500)],
        )
        self.assertEqual(self.sending.queued, 0)
        self.assertFalse(self.sending.pending)

    def test_turnsGoOn(self) -> None:
        """
        Who has had a turn waits for the others, however little is taken at a
        time.
        """
        for streamID in (3, 5, 7):
            self.stream(streamID, bytes(5000))
        turns = [each.streamID for _ in range(15) for each in self.take(1008)]
        self.assertEqual(turns, [3, 5, 7] * 5)

    def test_newcomer(self) -> None:
        """
        Who begins to write has its turn after one frame of each of the others.
        """
        for streamID in (3, 5):
            self.stream(streamID, bytes(100000))
        self.take(10000)
        self.stream(7, b"new")
        self.assertIn((7, b"new"), [(each.streamID, each.data) for each in self.take(3100)])

    def test_smallWritesAreJoined(self) -> None:
        """
        What has been written in small pieces leaves in large frames.
        """
        stream = self.stream(3)
        for number in range(250):
            self.put(stream, bytes([number]) * 10)
        frames = self.take()
        self.assertEqual([len(each.data) for each in frames], [1000, 1000, 500])
        data = b"".join(each.data for each in frames)
        self.assertEqual(data, b"".join(bytes([n]) * 10 for n in range(250)))

    def test_controlFirst(self) -> None:
        """
        SYN and UPD go before all data, and what is refused before them.
        """
        self.stream(3, bytes(3000))
        self.take(1008)
        late = Stream(4, True)
        self.put(late, b"late")
        self.sending.urge(late)
        reader = self.stream(5)
        reader.updating, reader.consumed = True, 77
        self.sending.urge(reader)
        self.sending.refused.append(9)
        self.sending.keepAlive()
        frames = self.take()
        self.assertEqual(namesOf(frames[:4]), [("NOP", 0), ("FIN", 9), ("SYN", 4), ("UPD", 5)])
        self.assertEqual(frames[3].data, window(77, 5000))
        self.assertEqual(namesOf(frames[4:]), [("PSH", 3), ("PSH", 4), ("PSH", 3)])

    def test_endLast(self) -> None:
        """
        FIN comes after all data, at once.
        """
        stream = self.stream(3, bytes(1500))
        stream.ending = True
        self.assertEqual(namesOf(self.take()), [("PSH", 3), ("PSH", 3), ("FIN", 3)])
        self.assertTrue(stream.ended)
        self.assertEqual(self.sending.ended, [stream])
        self.sending.queue(stream)
        self.assertEqual(self.take(), [])
        self.assertEqual(self.sending.ended, [])

    def test_insisting(self) -> None:
        """
        Who reads no more ends twice.
        """
        stream = self.stream(3)
        stream.ending = stream.insisting = True
        self.sending.queue(stream)
        self.assertEqual(namesOf(self.take()), [("FIN", 3), ("FIN", 3)])

    def test_onlyOnce(self) -> None:
        """
        A stream has one turn at a time however often it is said to have
        something, one UPD whatever has happened, and there is one NOP.
        """
        stream = self.stream(3, b"x")
        stream.updating = True
        for _ in range(5):
            self.sending.queue(stream)
            self.sending.urge(stream)
            self.sending.keepAlive()
        self.assertEqual(namesOf(self.take()), [("NOP", 0), ("UPD", 3), ("PSH", 3)])
        self.assertEqual(self.take(), [])


class LimitTests(SendingTestCase):
    """
    How much is sent at a time.
    """

    def test_limit(self) -> None:
        """
        A batch is as large as it may be, to the octet, while there is enough.
        """
        self.stream(3, bytes(100000))
        self.stream(5, bytes(100000))
        for limit in (9, 100, 1008, 5000, 65536):
            self.assertEqual(len(self.sending.take(limit)), limit)

    def test_control(self) -> None:
        """
        Small frames count as well, and data waits for them.
        """
        for streamID in range(3, 2003, 2):
            stream = Stream(streamID, True)
            self.put(stream, b"x")
            self.sending.urge(stream)
        names: list[str] = []
        while batch := self.take(100):
            self.assertLessEqual(len(batch), 13)
            names += [each.name for each in batch]
        self.assertEqual(names, ["SYN"] * 1000 + ["PSH"] * 1000)

    def test_refusals(self) -> None:
        """
        A thousand refusals are no single batch.
        """
        self.sending.refused.extend(range(3, 2003, 2))
        self.assertEqual(len(self.take(800)), 100)
        self.assertEqual(len(self.take()), 900)

    def test_unknownVersion(self) -> None:
        """
        Nothing is sent before it is known how.
        """
        self.sending.version = None
        self.stream(2, b"early").ending = True
        self.assertEqual(self.sending.take(65536), b"")
        self.assertTrue(self.sending.pending)
        self.sending.version = 1
        self.assertEqual(namesOf(self.take()), [("PSH", 2), ("FIN", 2)])

    def test_window(self) -> None:
        """
        No more is sent than the window admits, to the octet, and the stream
        waits for the next UPD while others go on.
        """
        stream = self.stream(3, bytes(INITIAL_WINDOW + 5))
        stream.ending = True
        other = self.stream(5, bytes(INITIAL_WINDOW))
        sizes: Counter[int] = Counter()
        while frames := self.take():
            for each in frames:
                sizes[each.streamID] += len(each.data)
        self.assertEqual(sizes, {3: INITIAL_WINDOW, 5: INITIAL_WINDOW})
        self.assertFalse(self.sending.pending)
        self.assertEqual((self.sending.queued, stream.ready, other.ready), (5, False, False))
        stream.update(2, INITIAL_WINDOW)
        self.sending.queue(stream)
        self.assertEqual([len(each.data) for each in self.take()], [2])
        stream.update(INITIAL_WINDOW, INITIAL_WINDOW)
        self.sending.queue(stream)
        self.assertEqual(namesOf(self.take()), [("PSH", 3), ("FIN", 3)])

    def test_noWindow(self) -> None:
        """
        Version 1 knows none.
        """
        self.sending.version = 1
        self.stream(3, bytes(INITIAL_WINDOW * 3))
        octets = 0
        while frames := self.take():
            octets += sum(len(each.data) for each in frames)
        self.assertEqual(octets, INITIAL_WINDOW * 3)


class DrainedTests(SendingTestCase):
    """
    Whose writer may go on.
    """

    def test_lowWater(self) -> None:
        """
        It is told when a queue has become short, and when it has become empty,
        and not in between.
        """
        stream = self.stream(3, bytes(LOW_WATER + 1500))
        self.take(1008)
        self.assertEqual(self.sending.drained, [])
        self.take(1008)
        self.assertEqual(self.sending.drained, [stream])
        self.take(1008)
        self.assertEqual(self.sending.drained, [])
        self.take()
        self.assertEqual(self.sending.drained, [stream])
        self.take()
        self.assertEqual(self.sending.drained, [])

    def test_end(self) -> None:
        """
        It is told when an end has been sent.
        """
        stream = self.stream(3)
        stream.ending = True
        self.sending.queue(stream)
        self.take()
        self.assertEqual(self.sending.drained, [stream])

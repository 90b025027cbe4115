"""
Tests for L{socksproxy.smux.session}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError, StreamReset
from socksproxy.smux._events import Ended, Failed, Opened, Received, Unwanted
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.session import Session
from tests.smux.frames import Frame, contentOf, frame, namesOf, sent, serverFor, window

WRAP = 1 << 32


class OpeningTests(SynchronousTestCase):
    """
    Streams begin.
    """

    def test_clientNumbers(self) -> None:
        """
        A client's streams are 3, 5, 7 and so on.
        """
        session = Session(SmuxConfig(), client=True)
        self.assertEqual([session.open().streamID for _ in range(3)], [3, 5, 7])
        self.assertEqual(namesOf(sent(session)), [("SYN", 3), ("SYN", 5), ("SYN", 7)])

    def test_serverNumbers(self) -> None:
        """
        A server's streams are 2, 4, 6 and so on, and begin once the client has
        said what it speaks.
        """
        session = Session(SmuxConfig(version=2), client=False)
        self.assertEqual([session.open().streamID for _ in range(3)], [2, 4, 6])
        self.assertIsNone(session.version)
        self.assertEqual(session.take(), b"")
        session.receive(frame("NOP", 0, version=1))
        self.assertEqual(session.version, 1)
        self.assertEqual(namesOf(sent(session)), [("SYN", 2), ("SYN", 4), ("SYN", 6)])

    def test_numbersRunOut(self) -> None:
        """
        After the last number of 32 bits a session opens no more streams.
        """
        for client, last in ((True, WRAP - 1), (False, WRAP - 2)):
            session = Session(SmuxConfig(), client)
            session._nextID = last - 2
            self.assertEqual([session.open().streamID, session.open().streamID], [last - 2, last])
            for _ in range(2):
                self.assertRaises(LocalProtocolError, session.open)
            self.assertEqual(len(session.streams), 2)

    def test_version(self) -> None:
        """
        A client speaks the version of its settings, and a server that of its
        client, whatever its own settings are.
        """
        for version in (1, 2):
            client = Session(SmuxConfig(version=version), client=True)
            server = Session(SmuxConfig(version=3 - version), client=False)
            stream = client.open()
            client.write(stream, b"x")
            events = server.receive(client.take())
            self.assertEqual((client.version, server.version), (version, version))
            self.assertEqual([type(event) for event in events], [Opened, Received])
            server.end(server.streams[3])
            self.assertEqual(client.receive(server.take()), [Ended(stream)])

    def test_dataRightAfter(self) -> None:
        """
        SYN, data and FIN may come together.
        """
        _, events = serverFor(frame("SYN", 3), frame("PSH", 3, b"all"), frame("FIN", 3))
        self.assertEqual([type(event) for event in events], [Opened, Received, Ended])
        self.assertEqual(contentOf(events), b"all")

    def test_again(self) -> None:
        """
        SYN for a stream that there is changes nothing.
        """
        server, events = serverFor(frame("SYN", 3), frame("PSH", 3, b"a"), frame("SYN", 3))
        self.assertEqual([type(event) for event in events], [Opened, Received])
        events = server.receive(frame("SYN", 3) + frame("PSH", 3, b"b"))
        self.assertEqual(contentOf(events, server.streams[3]), b"b")

    def test_fromServer(self) -> None:
        """
        A server may open streams as well.
        """
        client = Session(SmuxConfig(), client=True)
        (event,) = client.receive(frame("SYN", 2))
        assert isinstance(event, Opened)
        self.assertEqual((event.stream.streamID, event.stream.local), (2, False))

    def test_numbersMayJump(self) -> None:
        """
        The order of the peer's numbers does not matter.
        """
        _, events = serverFor(frame("SYN", 9), frame("SYN", WRAP - 1), frame("SYN", 1))
        self.assertEqual([type(event) for event in events], [Opened] * 3)


class RefusingTests(SynchronousTestCase):
    """
    Streams that are not to be had.
    """

    def test_tooMany(self) -> None:
        """
        Streams beyond the limit are ended at once, and what comes on them is
        thrown away; the others are not touched, and there is room again when
        one of them is over.
        """
        server, events = serverFor(
            *(frame("SYN", streamID) for streamID in (3, 5, 7, 9)),
            frame("PSH", 7, b"lost"),
            frame("PSH", 3, b"kept"),
            streams=2,
        )
        self.assertEqual([type(event) for event in events], [Opened, Opened, Received])
        self.assertEqual(contentOf(events), b"kept")
        self.assertEqual(namesOf(sent(server)), [("FIN", 7), ("FIN", 9), ("FIN", 7)])
        server.end(server.streams[3])
        sent(server)
        self.assertEqual(server.receive(frame("SYN", 11)), [])
        events = server.receive(frame("FIN", 3) + frame("SYN", 13))
        self.assertEqual([type(event) for event in events], [Ended, Opened])

    def test_ownStreamsDoNotCount(self) -> None:
        """
        The limit is for the peer's streams.
        """
        server = Session(SmuxConfig(streams=1), client=False)
        for _ in range(5):
            server.open()
        self.assertEqual([type(event) for event in server.receive(frame("SYN", 3))], [Opened])

    def test_notAccepting(self) -> None:
        """
        Who accepts nothing refuses all.
        """
        client = Session(SmuxConfig(), client=True, accepting=False)
        self.assertEqual(client.receive(frame("SYN", 2)), [])
        self.assertEqual(sent(client), [Frame("FIN", 2)])

    def test_strayData(self) -> None:
        """
        Data on a stream that there is not is thrown away, and answered once
        with an end.
        """
        server, events = serverFor(*[frame("PSH", 3, bytes(9000))] * 5)
        self.assertEqual(events, [])
        self.assertEqual(server.unread, 0)
        self.assertEqual(sent(server), [Frame("FIN", 3)])
        server.receive(frame("PSH", 3, b"x"))
        self.assertEqual(sent(server), [])

    def test_strayOthers(self) -> None:
        """
        FIN and UPD for streams that there are not are nothing.
        """
        server, events = serverFor(frame("FIN", 3), frame("UPD", 5, window(7, 9)))
        self.assertEqual((events, sent(server)), ([], []))


class WritingTests(SynchronousTestCase):
    """
    Data goes out.
    """

    def setUp(self) -> None:
        """
        Open a stream.
        """
        self.session = Session(SmuxConfig(framesize=1000), client=True)
        self.stream = self.session.open()
        sent(self.session)

    def test_frames(self) -> None:
        """
        Data is cut into frames.
        """
        self.session.write(self.stream, bytes(2500))
        self.assertEqual(self.session.queued, 2500)
        self.assertEqual([len(each.data) for each in sent(self.session)], [1000, 1000, 500])
        self.assertEqual((self.session.queued, self.session.pending), (0, False))

    def test_nothing(self) -> None:
        """
        No data makes no frame.
        """
        self.session.write(self.stream, b"")
        self.assertFalse(self.session.pending)
        self.assertEqual(sent(self.session), [])

    def test_end(self) -> None:
        """
        FIN is sent once, after what has been written, and nothing can be
        written after it; data still comes.
        """
        self.session.write(self.stream, b"last")
        for _ in range(2):
            self.session.end(self.stream)
        self.assertRaises(LocalProtocolError, self.session.write, self.stream, b"more")
        self.assertEqual(sent(self.session), [Frame("PSH", 3, b"last"), Frame("FIN", 3)])
        self.session.end(self.stream)
        self.assertEqual(sent(self.session), [])
        self.assertEqual(contentOf(self.session.receive(frame("PSH", 3, b"answer"))), b"answer")
        self.assertEqual(self.session.receive(frame("FIN", 3)), [Ended(self.stream)])
        self.assertEqual(self.session.streams, {})

    def test_closedWindow(self) -> None:
        """
        What a window has no room for waits for an UPD.
        """
        self.session.write(self.stream, bytes(262144 + 1000))
        self.assertFalse(self.session.starved(self.stream))
        sent(self.session)
        self.assertTrue(self.session.starved(self.stream))
        self.assertEqual(self.session.queued, 1000)
        self.assertEqual(self.session.receive(frame("UPD", 3, window(400, 262144))), [])
        self.assertEqual([len(each.data) for each in sent(self.session)], [400])
        self.session.receive(frame("UPD", 3, window(400, 2097152)))
        self.assertEqual([len(each.data) for each in sent(self.session)], [600])
        self.assertFalse(self.session.starved(self.stream))

    def test_impossibleUpdate(self) -> None:
        """
        Who has consumed more than was sent breaks that stream, and no other.
        """
        other = self.session.open()
        self.session.write(self.stream, bytes(3000))
        self.session.take(1008 + 8)
        events = self.session.receive(
            frame("UPD", 3, window(2000, 262144)) + frame("PSH", 5, b"well")
        )
        failed, received = events
        assert isinstance(failed, Failed)
        assert isinstance(received, Received)
        self.assertIs(failed.stream, self.stream)
        self.assertIn("consumed", str(failed.error))
        self.assertIs(received.stream, other)
        self.assertEqual(self.session.queued, 0)
        self.assertEqual(sent(self.session), [Frame("NOP", 3), Frame("FIN", 3)])
        self.assertEqual(list(self.session.streams), [5])

    def test_wrap(self) -> None:
        """
        The counter of what has been sent goes round without harm.
        """
        self.stream.written = WRAP - 500
        self.assertTrue(self.stream.update(WRAP - 500, 2000))
        self.session.write(self.stream, bytes(5000))
        self.assertEqual(sum(len(each.data) for each in sent(self.session)), 2000)
        self.session.receive(frame("UPD", 3, window(100, 2000)))
        self.assertEqual(sum(len(each.data) for each in sent(self.session)), 600)
        self.session.receive(frame("UPD", 3, window(2100, 2000)))
        self.assertEqual(sum(len(each.data) for each in sent(self.session)), 2000)

    def test_keepAlive(self) -> None:
        """
        A sign of life is NOP on stream 0, once it is known how to give one.
        """
        self.session.keepAlive()
        self.assertEqual(sent(self.session), [Frame("NOP", 0)])
        server = Session(SmuxConfig(), client=False)
        server.keepAlive()
        self.assertFalse(server.pending)

    def test_heard(self) -> None:
        """
        The peer's sign of life is nothing that happens.
        """
        self.assertEqual(self.session.receive(frame("NOP", 0)), [])


class ReadingTests(SynchronousTestCase):
    """
    Data comes in.
    """

    def open(self, version: int = 2, **settings: int) -> None:
        """
        Accept streams 3 and 5.
        """
        self.server, _ = serverFor(
            frame("SYN", 3, version=version), frame("SYN", 5, version=version), **settings
        )
        self.stream = self.server.streams[3]

    def receive(self, octets: int, streamID: int = 3) -> None:
        """
        Let data come.
        """
        events = self.server.receive(
            frame("PSH", streamID, bytes(octets), self.server.version or 0)
        )
        self.assertEqual(len(contentOf(events)), octets)

    def updates(self) -> list[bytes]:
        """
        Give the UPDs of stream 3 that are to be sent.
        """
        frames = sent(self.server)
        self.assertEqual({each.name for each in frames} - {"UPD"}, set())
        return [each.data for each in frames]

    def test_joined(self) -> None:
        """
        What comes together of a stream is one event, without a copy.
        """
        self.open()
        data = b"".join(
            frame("PSH", streamID, text)
            for streamID, text in ((3, b"one"), (5, b"other"), (3, b"two"), (3, b"three"))
        )
        first, second = self.server.receive(data)
        assert isinstance(first, Received)
        self.assertEqual([bytes(piece) for piece in first.pieces], [b"one", b"two", b"three"])
        self.assertTrue(all(piece.obj is data for piece in first.pieces))
        self.assertEqual(contentOf([second]), b"other")

    def test_piecesOfFrame(self) -> None:
        """
        The data of a frame is given as it comes, and not when it is complete.
        """
        self.open()
        data = frame("PSH", 3, b"abcdef")
        got = [contentOf(self.server.receive(data[at : at + 3])) for at in range(0, len(data), 3)]
        self.assertEqual(got, [b"", b"", b"a", b"bcd", b"ef"])

    def test_updates(self) -> None:
        """
        UPD is sent after the first data is consumed, and then whenever half of
        the window is.
        """
        self.open(streambuf=1000)
        self.receive(1000)
        self.assertEqual(self.updates(), [])
        for octets, expected in (
            (10, [window(10, 1000)]),
            (499, []),
            (1, [window(510, 1000)]),
            (490, []),
        ):
            self.server.consumed(self.stream, octets)
            self.assertEqual(self.updates(), expected)
        self.receive(800)
        self.server.consumed(self.stream, 700)
        self.assertEqual(self.updates(), [window(1700, 1000)])

    def test_updatesAreAbsolute(self) -> None:
        """
        Several that wait are one, which says how things are when it is sent.
        """
        self.open(streambuf=1000)
        self.receive(1000)
        for octets in (10, 500, 490):
            self.server.consumed(self.stream, octets)
        self.assertEqual(self.updates(), [window(1000, 1000)])

    def test_noUpdates(self) -> None:
        """
        There is no UPD in version 1, nor when nothing more can come.
        """
        self.open(version=1)
        self.receive(60000)
        self.server.consumed(self.stream, 60000)
        self.assertEqual(sent(self.server), [])
        self.open(streambuf=1000)
        self.receive(900)
        self.server.receive(frame("FIN", 3))
        self.server.consumed(self.stream, 900)
        self.assertEqual(sent(self.server), [])

    def test_countsRound(self) -> None:
        """
        The counter of what has been consumed goes round without harm.
        """
        self.open(streambuf=1000)
        self.stream.consumed = WRAP - 300
        self.receive(900)
        self.server.consumed(self.stream, 900)
        self.assertEqual(self.updates(), [window(600, 1000)])

    def test_end(self) -> None:
        """
        The end is told once, after the data before it, and data after it is
        thrown away.
        """
        self.open()
        events = self.server.receive(
            frame("PSH", 3, b"a") + frame("FIN", 3) + frame("PSH", 3, b"late")
        )
        self.assertEqual(events[1:], [Ended(self.stream)])
        self.assertEqual(contentOf(events), b"a")
        self.assertEqual(self.server.receive(frame("PSH", 3, b"later")), [])
        self.assertEqual(self.server.unread, 1)

    def test_writeAfterEnd(self) -> None:
        """
        A stream that the peer has ended can be written to until we end it.
        """
        self.open()
        self.server.receive(frame("FIN", 3))
        self.server.write(self.stream, b"answer")
        self.assertEqual(sent(self.server), [Frame("PSH", 3, b"answer")])
        self.server.end(self.stream)
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])
        self.assertEqual(list(self.server.streams), [5])

    def test_blocked(self) -> None:
        """
        All data that has not been consumed counts, of whatever stream, and
        once it is as much as may be, the carrier must not be read.
        """
        for version in (1, 2):
            self.open(version=version, smuxbuf=1000, streambuf=1000)
            self.receive(600)
            self.receive(399, 5)
            self.assertFalse(self.server.blocked)
            self.receive(1)
            self.assertTrue(self.server.blocked)
            self.assertEqual(self.server.unread, 1000)
            self.server.consumed(self.server.streams[5], 1)
            self.assertFalse(self.server.blocked)

    def test_unknownDoesNotCount(self) -> None:
        """
        What is thrown away does not count.
        """
        self.open(smuxbuf=1000, streambuf=1000)
        self.server.receive(frame("PSH", 7, bytes(60000)))
        self.server.receive(frame("FIN", 3) + frame("PSH", 3, bytes(60000)))
        self.assertEqual((self.server.unread, self.server.blocked), (0, False))


class LeavingTests(SynchronousTestCase):
    """
    Streams that are not read any more.
    """

    def setUp(self) -> None:
        """
        Accept a stream, on which something has come.
        """
        self.server, _ = serverFor(
            frame("SYN", 3), frame("PSH", 3, bytes(700)), smuxbuf=1000, streambuf=1000
        )
        self.stream = self.server.streams[3]

    def test_discard(self) -> None:
        """
        What has not been consumed, and what comes, is thrown away, and counts
        no more, but as something that is out of the way; what was written is
        sent.
        """
        self.server.write(self.stream, b"last words")
        self.server.discard(self.stream)
        self.assertEqual(self.server.unread, 0)
        self.assertEqual(self.server.receive(frame("PSH", 3, bytes(5000))), [])
        self.assertEqual(self.server.unread, 0)
        self.server.consumed(self.stream, 700)
        self.assertEqual(self.server.unread, 0)
        expected = [Frame("UPD", 3, window(5700, 1000)), Frame("PSH", 3, b"last words")]
        self.assertEqual(sent(self.server), expected)
        self.assertEqual(self.server.receive(frame("FIN", 3)), [])
        self.assertEqual(list(self.server.streams), [3])

    def test_reset(self) -> None:
        """
        A stream that is dropped sends nothing but its end, and that it is none.
        """
        self.server.write(self.stream, bytes(5000))
        self.server.reset(self.stream)
        self.assertEqual((self.server.queued, self.server.unread), (0, 0))
        self.assertEqual([each.name for each in sent(self.server)], ["NOP", "FIN", "FIN"])
        self.assertEqual(self.server.streams, {})
        self.assertFalse(self.server.pending)

    def test_resetAfterEnd(self) -> None:
        """
        So does one that waits to end, for a window that is closed.
        """
        self.server.write(self.stream, bytes(300000))
        self.server.end(self.stream)
        sent(self.server)
        self.assertGreater(self.server.queued, 0)
        self.server.reset(self.stream)
        self.assertEqual([each.name for each in sent(self.server)], ["NOP", "FIN", "FIN"])
        self.assertEqual((self.server.queued, self.server.streams), (0, {}))

    def test_resetAtTheEnd(self) -> None:
        """
        One of which everything was sent, the end included, was not broken off.
        """
        self.server.end(self.stream)
        sent(self.server)
        self.server.reset(self.stream)
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])

    def test_brokenOff(self) -> None:
        """
        A stream that the peer breaks off is over in both directions, and the
        peer is not told so in turn. What comes of it later is not minded.
        """
        self.server.write(self.stream, b"x")
        (failed,) = self.server.receive(frame("NOP", 3) + frame("FIN", 3))
        assert isinstance(failed, Failed)
        self.assertIs(failed.stream, self.stream)
        self.assertIsInstance(failed.error, StreamReset)
        self.assertEqual((self.server.queued, self.server.unread), (0, 0))
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])
        self.assertEqual(self.server.streams, {})
        self.assertEqual(self.server.receive(frame("NOP", 3) + frame("FIN", 3)), [])

    def test_brokenOffOther(self) -> None:
        """
        Nothing is broken off that has ended, or that there never was, or that
        nobody reads.
        """
        self.assertEqual(self.server.receive(frame("NOP", 7)), [])
        self.assertEqual(self.server.receive(frame("FIN", 3)), [Ended(self.stream)])
        self.assertEqual(self.server.receive(frame("NOP", 3)), [])
        self.setUp()
        self.server.discard(self.stream)
        self.assertEqual(self.server.receive(frame("NOP", 3)), [])

    def test_insists(self) -> None:
        """
        Who has not read what came says twice that the stream has ended, before
        or after having said so once.
        """
        self.server.discard(self.stream)
        self.server.end(self.stream)
        ends = [each for each in sent(self.server) if each.name == "FIN"]
        self.assertEqual(ends, [Frame("FIN", 3)] * 2)
        self.setUp()
        self.server.end(self.stream)
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])
        self.server.discard(self.stream)
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])

    def test_insistsLater(self) -> None:
        """
        Who has read everything ends once, and a second time if more comes,
        whether the end has been sent by then or not.
        """
        self.server.consumed(self.stream, 700)
        sent(self.server)
        self.server.reset(self.stream)
        self.assertEqual(sent(self.server), [Frame("NOP", 3), Frame("FIN", 3)])
        for _ in range(3):
            self.server.receive(frame("PSH", 3, b"more"))
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])
        self.setUp()
        self.server.consumed(self.stream, 700)
        sent(self.server)
        self.server.reset(self.stream)
        self.server.receive(frame("PSH", 3, b"more"))
        self.assertEqual(sent(self.server), [Frame("NOP", 3), *[Frame("FIN", 3)] * 2])

    def test_updatesToTheEnd(self) -> None:
        """
        A peer that has used up its window is told that it may go on, though
        nobody reads any more: it learns the rest when it does.
        """
        self.server.consumed(self.stream, 700)
        sent(self.server)
        self.server.receive(frame("PSH", 3, bytes(1000)))
        self.server.consumed(self.stream, 1000)
        self.server.reset(self.stream)
        expected = [Frame("UPD", 3, window(1700, 1000)), Frame("NOP", 3), Frame("FIN", 3)]
        self.assertEqual(sent(self.server), expected)
        self.server.receive(frame("PSH", 3, b"on"))
        self.assertEqual(sent(self.server), [Frame("FIN", 3)])

    def test_bothWait(self) -> None:
        """
        Two sides that do not read do not wait for one another, with the last
        of what they have to send.
        """
        client = Session(SmuxConfig(smuxbuf=1000, streambuf=1000), client=True)
        stream = client.open()
        server, _ = serverFor(client.take(), smuxbuf=1000, streambuf=1000)
        for session, each in ((client, stream), (server, server.streams[3])):
            session.write(each, bytes(500000))
            session.discard(each)
            session.end(each)
        moved = True
        while moved:
            there, here = client.take(), server.take()
            server.receive(there)
            client.receive(here)
            moved = bool(there or here)
        self.assertEqual((client.streams, server.streams), ({}, {}))

    def test_doesNotInsist(self) -> None:
        """
        A peer that has ended as well needs no second word.
        """
        self.server.receive(frame("FIN", 3))
        self.server.reset(self.stream)
        self.assertEqual(sent(self.server), [Frame("NOP", 3), Frame("FIN", 3)])

    def test_unwanted(self) -> None:
        """
        A peer that says so twice is heard, once, and not by who has ended.
        """
        self.assertEqual(self.server.receive(frame("FIN", 3)), [Ended(self.stream)])
        self.assertEqual(self.server.receive(frame("FIN", 3)), [Unwanted(self.stream)])
        self.assertTrue(self.stream.unwanted)
        self.assertEqual(self.server.receive(frame("FIN", 3)), [])
        self.setUp()
        self.server.end(self.stream)
        sent(self.server)
        self.assertEqual(
            self.server.receive(frame("FIN", 3) + frame("FIN", 3)), [Ended(self.stream)]
        )

    def test_neverBegun(self) -> None:
        """
        A stream that is dropped before its SYN was sent leaves no trace,
        whatever has been done with it before.
        """
        for first in (Session.end, Session.discard, Session.reset):
            client = Session(SmuxConfig(), client=True)
            stream = client.open()
            client.write(stream, b"never mind")
            first(client, stream)
            client.reset(stream)
            self.assertEqual(client.streams, {})
            self.assertEqual(sent(client), [])
            self.assertFalse(client.pending)

    def test_forgotten(self) -> None:
        """
        Whoever ends first, a stream that is over is forgotten when both have.
        """
        client = Session(SmuxConfig(), client=True)
        for first in ("end", "peer", "reset"):
            stream = client.open()
            streamID = stream.streamID
            sent(client)
            if first == "peer":
                client.receive(frame("FIN", streamID))
                self.assertIn(streamID, client.streams)
                client.end(stream)
            elif first == "end":
                client.end(stream)
                sent(client)
                self.assertIn(streamID, client.streams)
                client.receive(frame("FIN", streamID))
            else:
                client.reset(stream)
            sent(client)
            self.assertEqual(client.streams, {}, first)

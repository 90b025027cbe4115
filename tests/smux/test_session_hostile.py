"""
Tests for L{socksproxy.smux.session} against peers that mean harm.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import BadCommand, BadVersion, MalformedMessage, MessageTooLong
from socksproxy.smux._events import Opened, Received, Violated
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.session import MAX_REFUSED, Session
from tests.codec import splitsOf
from tests.smux.frames import contentOf, frame, namesOf, sent, serverFor, violation, window


class ViolationTests(SynchronousTestCase):
    """
    What ends a session.
    """

    def check(self, error: type[Exception], data: bytes, client: bool = False) -> None:
        """
        Require that octets end a session, after everything before them has
        been taken, however they are cut, and that nothing happens after that.
        """
        before = frame("SYN", 2 if client else 3) + frame("PSH", 2 if client else 3, b"before")
        for pieces in splitsOf(before + data):
            session = Session(SmuxConfig(), client)
            events = [event for piece in pieces for event in session.receive(piece)]
            self.assertIsInstance(violation(events), error)
            self.assertEqual(contentOf(events), b"before")
            self.assertEqual([type(event) for event in events].count(Violated), 1)
            self.assertEqual(session.receive(frame("SYN", 5) + frame("NOP", 0)), [])

    def test_garbage(self) -> None:
        """
        What is not smux.
        """
        self.check(BadVersion, frame("NOP", 0, version=1))
        self.check(BadCommand, b"\x02\x05\0\0\0\0\0\0")
        self.check(MalformedMessage, frame("SYN", 5, b"x"))
        self.check(MalformedMessage, frame("UPD", 3, b"1234"))

    def test_numbers(self) -> None:
        """
        A number that is not the peer's to use, as the other side's or NOP's.
        """
        for streamID in (0, 2, 4, (1 << 32) - 2):
            self.check(MalformedMessage, frame("SYN", streamID))
        for streamID in (0, 1, 3, (1 << 32) - 1):
            self.check(MalformedMessage, frame("SYN", streamID), client=True)

    def test_ownNumber(self) -> None:
        """
        A peer cannot open a stream that we have opened.
        """
        client = Session(SmuxConfig(), client=True)
        client.open()
        self.assertEqual(client.receive(frame("SYN", 3)), [])
        self.assertIsInstance(violation(client.receive(frame("SYN", 5))), MalformedMessage)

    def test_window(self) -> None:
        """
        More than the window admits, in one frame or in many. Before it has
        been told of another, a peer may believe in one of 262144 octets.
        """
        server, events = serverFor(frame("SYN", 3), streambuf=1000)
        for _ in range(4):
            events = server.receive(frame("PSH", 3, bytes(65535)))
            self.assertEqual([type(event) for event in events], [Received])
        events = server.receive(frame("PSH", 3, bytes(5)))
        self.assertIsInstance(violation(events), MessageTooLong)

    def test_largeWindow(self) -> None:
        """
        What has been consumed may be sent again, and the whole buffer used.
        """
        server, _ = serverFor(frame("SYN", 3), streambuf=300000)
        stream = server.streams[3]
        for _ in range(20):
            server.receive(frame("PSH", 3, bytes(60000)))
            server.consumed(stream, 60000)
        for _ in range(5):
            events = server.receive(frame("PSH", 3, bytes(60000)))
            self.assertEqual([type(event) for event in events], [Received])
        self.assertIsInstance(violation(server.receive(frame("PSH", 3, b"x"))), MessageTooLong)

    def test_noWindow(self) -> None:
        """
        In version 1 there is only the limit for all.
        """
        server, _ = serverFor(frame("SYN", 3, version=1), streambuf=1000)
        for _ in range(63):
            server.receive(frame("PSH", 3, bytes(65535), 1))
        self.assertFalse(server.blocked)
        server.receive(frame("PSH", 3, bytes(65535), 1) * 2)
        self.assertTrue(server.blocked)


class BoundTests(SynchronousTestCase):
    """
    What a peer can make us keep.
    """

    def test_refusals(self) -> None:
        """
        A flood of SYN or of stray data makes us stop reading until the peer
        has read what we say to it.
        """
        for name in ("SYN", "PSH"):
            server, _ = serverFor(frame("NOP", 0), streams=0)
            data = b"x" if name == "PSH" else b""
            server.receive(b"".join(frame(name, n, data) for n in range(1, 2 * MAX_REFUSED - 1, 2)))
            self.assertFalse(server.blocked)
            server.receive(frame(name, 2 * MAX_REFUSED - 1, data))
            self.assertTrue(server.blocked)
            self.assertEqual(len(sent(server)), MAX_REFUSED)
            self.assertFalse(server.blocked)

    def test_memoryOfStrays(self) -> None:
        """
        Who has been told that nobody reads is forgotten after a while.
        """
        server, _ = serverFor(frame("NOP", 0))
        for number in range(1, 20001, 2):
            server.receive(frame("PSH", number, b"x"))
            sent(server)
        self.assertEqual(len(server._told), MAX_REFUSED)
        server.receive(frame("PSH", 1, b"x"))
        self.assertEqual(namesOf(sent(server)), [("FIN", 1)])

    def test_unreadAnswers(self) -> None:
        """
        Streams whose end the peer does not read count as open, so that opening
        and closing them again and again leads nowhere.
        """
        server, _ = serverFor(frame("NOP", 0), streams=10)
        opened = 0
        for streamID in range(3, 2003, 2):
            for event in server.receive(frame("SYN", streamID) + frame("FIN", streamID)):
                if isinstance(event, Opened):
                    opened += 1
                    server.reset(event.stream)
        self.assertEqual((opened, len(server.streams)), (10, 10))
        # Ten of them are broken off, which takes a NOP each.
        self.assertEqual(len(sent(server)), 1010)
        self.assertEqual(server.streams, {})
        self.assertEqual([type(event) for event in server.receive(frame("SYN", 5001))], [Opened])

    def test_updatesDoNotPileUp(self) -> None:
        """
        However much is consumed while the peer does not read, a stream has one
        UPD to send.
        """
        server, _ = serverFor(frame("SYN", 3), streambuf=1000)
        for _ in range(1000):
            server.receive(frame("PSH", 3, bytes(1000)))
            server.consumed(server.streams[3], 1000)
        self.assertEqual(namesOf(sent(server)), [("UPD", 3)])

    def test_floods(self) -> None:
        """
        Frames that mean nothing leave nothing.
        """
        server, _ = serverFor(frame("SYN", 3))
        for flood in (
            frame("NOP", 0),
            frame("SYN", 3),
            frame("UPD", 3, window(0, 5)),
            frame("UPD", 9, window(1, 5)),
            frame("FIN", 9),
            frame("PSH", 3),
        ):
            self.assertEqual(server.receive(flood * 5000), [])
        self.assertEqual((server.pending, len(server.streams), server.unread), (False, 1, 0))


names = st.sampled_from(["SYN", "FIN", "PSH", "NOP", "UPD", "NONE"])


@st.composite
def anyFrame(draw: st.DrawFn) -> bytes:
    """
    Make a frame that is mostly well-formed.
    """
    name = draw(names)
    streamID = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 9, 11]))
    version = draw(st.sampled_from([2] * 30 + [1]))
    if name == "NONE":
        return draw(st.binary(max_size=3))
    if name == "PSH":
        return frame(name, streamID, draw(st.binary(max_size=40)), version)
    if name == "UPD":
        numbers = st.integers(0, (1 << 32) - 1)
        return frame(name, streamID, window(draw(numbers), draw(numbers)), version)
    return frame(name, streamID, b"", version)


@pytest.mark.parametrize("client", [True, False])
@given(
    frames=st.lists(anyFrame(), max_size=30),
    writes=st.lists(st.sampled_from(["write", "end", "reset", "consume", "take"]), max_size=30),
)
@settings(deadline=None)
def test_anything(client: bool, frames: list[bytes], writes: list[str]) -> None:
    """
    Whatever a peer sends, a session says what happened or that it is over, and
    the numbers that it keeps stay right.
    """
    session = Session(SmuxConfig(streams=3, smuxbuf=500, streambuf=100), client)
    own = [session.open(), session.open()]
    session.write(own[0], bytes(300))
    for number, data in enumerate(frames):
        events = session.receive(data)
        if events and isinstance(events[-1], Violated):
            assert session.receive(frame("NOP", 0)) == []
            break
        action = writes[number] if number < len(writes) else "take"
        for stream in list(session.streams.values()):
            if action == "write" and not stream.ending:
                session.write(stream, b"data")
            elif action == "end":
                session.end(stream)
            elif action == "reset":
                session.reset(stream)
            elif action == "consume" and stream.unread:
                session.consumed(stream, stream.unread)
        if action == "take":
            sent(session)
        streams = session.streams.values()
        incoming = sum(not stream.local for stream in streams)
        assert incoming == session._incoming <= 3
        assert session.queued == sum(stream.queued for stream in streams)
        assert session.unread >= sum(stream.unread for stream in streams)
        assert len(session._sending.refused) <= len(frames) * 2

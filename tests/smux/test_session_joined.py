"""
Tests for L{socksproxy.smux.session}: two sessions, joined, with applications
that do anything.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.errors import StreamReset
from socksproxy.smux._events import Ended, Failed, Opened, Received, Unwanted, Violated
from socksproxy.smux._stream import Stream
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.session import Session

WINDOW = 300
"""
What streams begin with here instead of 262144 octets, so that windows close.
"""

SMUXBUF, STREAMBUF = 2000, 500

CHUNK = 1000
"""
Octets that a carrier brings at the most.
"""


def content(side: str, streamID: int, start: int, octets: int) -> bytes:
    """
    Give what an application writes: it tells whose it is and where it belongs.
    """
    return bytes(
        (at * 7 + streamID + (side == "client")) & 0xFF for at in range(start, start + octets)
    )


class Party:
    """
    A session and its application.

    @ivar streams: The streams that it has ever had.
    @ivar written: Octets written, by stream.
    @ivar got: What came, by stream.
    @ivar unread: Octets that the application has not taken, by stream.
    @ivar endings: How often a stream was said to have ended.
    @ivar ended: Streams that it has ended in order.
    @ivar dropped: Streams that it does not read any more.
    """

    def __init__(self, side: str, version: int) -> None:
        self.side = side
        config = SmuxConfig(
            version=version, framesize=100, smuxbuf=SMUXBUF, streambuf=STREAMBUF, streams=4
        )
        self.session = Session(config, side == "client")
        self.session._allowance = max(STREAMBUF, WINDOW)
        self.carrier = bytearray()
        self.streams: dict[int, Stream] = {}
        self.written: Counter[int] = Counter()
        self.got: dict[int, bytes] = {}
        self.unread: Counter[int] = Counter()
        self.endings: Counter[int] = Counter()
        self.ended: set[int] = set()
        self.dropped: set[int] = set()
        self.reset: set[int] = set()
        self.broken: set[int] = set()
        self.refused: set[int] = set()

    def adopt(self, stream: Stream) -> None:
        """
        There is a stream.
        """
        assert stream.streamID not in self.streams
        stream._peerWindow = WINDOW
        self.streams[stream.streamID] = stream
        self.got[stream.streamID] = b""

    def act(self, action: str, stream: Stream, octets: int) -> None:
        """
        Do something with a stream.
        """
        streamID = stream.streamID
        if action == "write" and not stream.ending:
            start = self.written[streamID]
            self.session.write(stream, content(self.side, streamID, start, octets))
            self.written[streamID] += octets
        elif action == "end" and streamID not in self.dropped:
            self.session.end(stream)
            self.ended.add(streamID)
        elif action == "discard":
            self.session.discard(stream)
            self.session.end(stream)
            self.dropped.add(streamID)
        elif action == "reset":
            self.session.reset(stream)
            self.dropped.add(streamID)
            self.reset.add(streamID)
            self.ended.discard(streamID)
        elif action == "read" and streamID not in self.dropped and self.unread[streamID]:
            octets = min(octets, self.unread[streamID])
            self.unread[streamID] -= octets
            self.session.consumed(stream, octets)

    def receive(self, data: bytes) -> None:
        """
        Take what has come, and note it.
        """
        for event in self.session.receive(data):
            assert not isinstance(event, Violated), event
            stream, streamID = event.stream, event.stream.streamID
            if isinstance(event, Opened):
                self.adopt(stream)
            elif isinstance(event, Received):
                assert streamID not in self.dropped
                assert not self.endings[streamID]
                octets = b"".join(event.pieces)
                self.got[streamID] += octets
                self.unread[streamID] += len(octets)
            elif isinstance(event, Ended):
                self.endings[streamID] += 1
            elif isinstance(event, Failed):
                assert isinstance(event.error, StreamReset)
                assert not self.endings[streamID]
                self.broken.add(streamID)
                self.dropped.add(streamID)
                self.ended.discard(streamID)
            else:
                assert isinstance(event, Unwanted)

    def check(self) -> None:
        """
        Require that nothing is larger than it may be.
        """
        session = self.session
        assert session.unread <= SMUXBUF + CHUNK
        assert session.queued == sum(stream.queued for stream in session.streams.values())
        if session.version == 2:
            assert all(stream.unread <= STREAMBUF for stream in session.streams.values())
        alive = [self.unread[n] for n in self.streams if n not in self.dropped]
        assert session.unread == sum(alive)


class Joined:
    """
    Two parties and what is under way between them.
    """

    def __init__(self, version: int) -> None:
        self.parties = (Party("client", version), Party("server", version))

    def carry(self, index: int, octets: int, limit: int) -> bool:
        """
        Let one party send, and the other one receive some of it.

        @return: Whether anything has moved.
        """
        sender, receiver = self.parties[index], self.parties[1 - index]
        data = sender.session.take(limit)
        sender.carrier += data
        if receiver.session.blocked or not sender.carrier:
            return bool(data)
        receiver.receive(bytes(sender.carrier[:octets]))
        del sender.carrier[:octets]
        return True

    def settle(self) -> None:
        """
        Let both read everything until nothing moves.
        """
        # A server waits for a first word.
        self.parties[0].session.keepAlive()
        moving = True
        while moving:
            moving = False
            for index, party in enumerate(self.parties):
                for stream in party.streams.values():
                    party.act("read", stream, 10000)
                moving |= self.carry(index, CHUNK, 10000)
                party.check()


operations = st.tuples(
    st.sampled_from(
        ["open", "write", "write", "write", "read", "read", "end", "reset", "discard"]
        + ["carry"] * 4
    ),
    st.integers(0, 1),
    st.integers(0, 9),
    st.integers(1, CHUNK),
)


@pytest.mark.parametrize("version", [1, 2])
@given(steps=st.lists(operations, max_size=80))
@settings(deadline=None, max_examples=300)
def test_joined(version: int, steps: list[tuple[str, int, int, int]]) -> None:
    """
    What is written arrives once and in order; an end is told once, after all
    of it, and leaves the other direction alone; what is dropped arrives as far
    as it does, and as no end; and nothing is left of streams that are over.
    """
    joined = Joined(version)
    for action, index, number, octets in steps:
        party = joined.parties[index]
        if action == "open":
            # Not more than the other side accepts.
            if sum(stream.local for stream in party.session.streams.values()) < 3:
                party.adopt(party.session.open())
        elif action == "carry":
            joined.carry(index, octets, 9 + octets)
        elif party.streams:
            streams = list(party.streams.values())
            party.act(action, streams[number % len(streams)], octets)
        party.check()
    joined.settle()
    for index, party in enumerate(joined.parties):
        other = joined.parties[1 - index]
        for streamID, stream in party.streams.items():
            if streamID not in other.streams:
                # It was dropped before anybody had heard of it.
                assert streamID in party.dropped or streamID not in party.session.streams
                continue
            expected = content(party.side, streamID, 0, party.written[streamID])
            got = other.got[streamID]
            assert expected.startswith(got)
            readerStays = streamID not in other.dropped
            if readerStays and streamID not in party.dropped:
                assert got == expected
                assert stream.queued == 0
                assert other.endings[streamID] == (streamID in party.ended)
            elif readerStays:
                assert other.endings[streamID] == 1
                assert got == expected
            if streamID in other.broken:
                assert streamID in party.reset
            if stream.queued:
                # The window will not open again, and it has been told why.
                assert streamID in other.dropped
                assert stream.unwanted or streamID in party.broken
            over = (streamID in party.ended or streamID in party.dropped) and (
                streamID in other.ended or streamID in other.dropped
            )
            if over and not stream.queued and not other.streams[streamID].queued:
                assert streamID not in party.session.streams
                assert streamID not in other.session.streams

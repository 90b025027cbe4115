"""
Tests for L{socksproxy.socks._wirestream}.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.address import Destination, hostFromText
from socksproxy.errors import BadAddressType, MalformedMessage, RemoteProtocolError
from socksproxy.socks import _wirestream as wire
from tests.codec import piecesOf, splitsOf
from tests.socksrequests import datagram
from tests.vectors import messages

VECTORS = messages("socks", "socks5-udp")

FOUR, SIX, NAME = "192.0.2.1", "2001:db8::1", "ns.test"


def to(host: str, port: int = 53) -> Destination:
    """
    Give a destination.
    """
    return Destination(hostFromText(host) or host, port)


def framed(message: bytes) -> bytes:
    """
    Put LENGTH before a datagram.
    """
    return len(message).to_bytes(2, "big") + message


def read(pieces: Sequence[bytes]) -> tuple[list[wire.Received], wire.FrameReader]:
    """
    Feed octets in pieces.

    @return: The datagrams, and who has read them.
    """
    reader = wire.FrameReader()
    return [each for piece in pieces for each in reader.receive(piece)], reader


class TestFrameWriter:
    """
    Writing.
    """

    @pytest.mark.parametrize("host", [FOUR, SIX, NAME])
    def test_frame(self, host: str) -> None:
        """
        A frame is a datagram of SOCKS5 behind its length, each time it is
        written.
        """
        writer = wire.FrameWriter()
        for payload in (b"question", b"", bytes(9000)):
            expected = framed(datagram(payload, host, 53))
            assert writer.frame(payload, to(host)) == expected

    def test_longest(self) -> None:
        """
        A frame has at most 65,535 octets, and there is none for more.
        """
        writer = wire.FrameWriter()
        for host, head in ((FOUR, 10), (SIX, 22), (NAME, 14)):
            longest = writer.frame(bytes(65535 - head), to(host))
            assert longest is not None
            assert longest[:2] == b"\xff\xff"
            assert len(longest) == 2 + 65535
            assert writer.frame(bytes(65536 - head), to(host)) is None

    def test_noPort(self) -> None:
        """
        There is none for port 0 either, which the other side would not take.
        """
        assert wire.FrameWriter().frame(b"x", to(FOUR, 0)) is None

    def test_bounded(self) -> None:
        """
        What is remembered of heads is bounded, and forgetting them changes
        nothing.
        """
        writer = wire.FrameWriter()
        for number in range(2 * wire.REMEMBERED + 2):
            host = str(ip_address(number + 2**24))
            assert writer.frame(b"x", to(host)) == framed(datagram(b"x", host, 53))
            assert len(writer._heads) <= wire.REMEMBERED


class TestFrameReader:
    """
    Reading.
    """

    def test_everySplit(self) -> None:
        """
        Datagrams are read however the stream is cut, and as often as they are
        there, empty ones too.
        """
        expected = [
            (b"question", to(FOUR)),
            (b"", to(FOUR)),
            (b"six", to(SIX)),
            (b"again", to(FOUR)),
            (b"name", to(NAME)),
            (b"", to(NAME)),
        ]
        data = b"".join(framed(datagram(payload, str(host.host), 53)) for payload, host in expected)
        for pieces in splitsOf(data):
            received, reader = read(pieces)
            assert received == expected, pieces
            assert (reader.error, reader.dropped, len(reader._rest)) == (None, 0, 0)

    def test_waits(self) -> None:
        """
        Before its last octet a datagram is not given.
        """
        data = framed(datagram(b"question", SIX, 53))
        reader = wire.FrameReader()
        for octet in piecesOf(data[:-1], 1):
            assert reader.receive(octet) == []
        assert reader.receive(data[-1:]) == [(b"question", to(SIX))]

    def test_longest(self) -> None:
        """
        The longest frame there can be is read, also in small pieces, and no
        more than one is kept.
        """
        payload = bytes(range(256)) * 255
        data = framed(datagram(payload, FOUR, 53))
        reader = wire.FrameReader()
        received = []
        for piece in piecesOf(data * 2, 1000):
            received += reader.receive(piece)
            assert len(reader._rest) < 2 + wire.MAX_FRAME
        assert received == [(payload, to(FOUR))] * 2

    @pytest.mark.parametrize(
        ("frame", "error"),
        [
            (b"\0\0", MalformedMessage),
            (b"\0\6" + bytes(6), MalformedMessage),
            (framed(datagram(b"", FOUR, 53)[:-1]), MalformedMessage),
            (framed(datagram(b"", SIX, 53)[:-1]), MalformedMessage),
            (framed(datagram(b"", NAME, 53)[:-1]), MalformedMessage),
            (framed(datagram(b"x", FOUR, 53, fragment=1)), MalformedMessage),
            (framed(datagram(b"x", FOUR, 53, fragment=0x80)), MalformedMessage),
            (framed(b"\1" + datagram(b"x", FOUR, 53)[1:]), MalformedMessage),
            (framed(b"\0\1" + datagram(b"x", FOUR, 53)[2:]), MalformedMessage),
            (framed(bytes(3) + b"\2" + bytes(20)), BadAddressType),
            (b"\5\1\0\1", MalformedMessage),
        ],
    )
    def test_malformed(self, frame: bytes, error: type[RemoteProtocolError]) -> None:
        """
        What is no datagram ends the reading, after what was before it and with
        nothing of what follows, however the stream is cut.
        """
        good = framed(datagram(b"good", FOUR, 53))
        if frame == b"\5\1\0\1":
            # Another request: it is taken for a long frame, which is none.
            frame += bytes(0x0501)
        for pieces in splitsOf(good + frame) if len(frame) < 100 else [[good + frame]]:
            received, reader = read(pieces)
            assert received == [(b"good", to(FOUR))], pieces
            assert type(reader.error) is error, pieces
            assert reader.receive(good) == []

    def test_nextFrameIsNoHead(self) -> None:
        """
        A frame that ends inside its head is not completed by the one behind it,
        though that head has been seen.
        """
        head = datagram(b"", FOUR, 53)
        whole = framed(head) + framed(head[:-2]) + head[-2:]
        received, reader = read([whole])
        assert received == [(b"", to(FOUR))]
        assert isinstance(reader.error, MalformedMessage)

    @pytest.mark.parametrize(
        "message",
        [
            datagram(b"x", FOUR, 0),
            datagram(b"x", SIX, 0),
            datagram(b"x", NAME, 0),
            datagram(b"x", "127.1", 53),
            datagram(b"x", "no host", 53),
            datagram(b"x", "", 53),
        ],
    )
    def test_nowhere(self, message: bytes) -> None:
        """
        A datagram that can go nowhere is counted, and no reason to end.
        """
        good = framed(datagram(b"good", FOUR, 53))
        received, reader = read([framed(message) + good + framed(message) + good])
        assert received == [(b"good", to(FOUR))] * 2
        assert (reader.error, reader.dropped) == (None, 2)

    def test_bounded(self) -> None:
        """
        What is remembered of heads is bounded, and forgetting them changes
        nothing.
        """
        reader = wire.FrameReader()
        for number in range(2 * wire.REMEMBERED + 2):
            host = str(ip_address(number + 2**24))
            assert reader.receive(framed(datagram(b"x", host, 53))) == [(b"x", to(host))]
            assert len(reader._destinations) <= wire.REMEMBERED

    @pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
    def test_vectors(self, vector: dict[str, object]) -> None:
        """
        What is read as a datagram of SOCKS5 is read on a stream, except for
        fragments.
        """
        message = bytes.fromhex(str(vector["input"]))
        expected = vector["expect"]
        assert isinstance(expected, dict)
        received, reader = read([framed(message)])
        if expected["result"] == "ok" and not expected["frag"] and "max-domain" not in str(vector):
            ((payload, destination),) = received
            assert payload == bytes.fromhex(expected["payload"])
            assert destination.port == expected["port"]
        else:
            assert received == []
            assert (reader.error is None) == (reader.dropped == 1)


addresses = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None),
    st.sampled_from(["a", "ns.test", "x" * 63 + ".test"]),
)
datagrams = st.lists(
    st.tuples(st.binary(max_size=300), st.builds(Destination, addresses, st.integers(1, 65535))),
    max_size=6,
)


@given(sent=datagrams, cuts=st.lists(st.integers(1, 500), max_size=8))
@settings(deadline=None)
def test_roundTrip(sent: list[wire.Received], cuts: list[int]) -> None:
    """
    What one side writes the other one reads, wherever the stream is cut.
    """
    writer = wire.FrameWriter()
    data = b"".join(writer.frame(*each) or b"" for each in sent)
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    received, reader = read([*pieces, data])
    assert (received, reader.error) == (sent, None)


@given(data=st.binary(max_size=200), good=st.booleans())
@settings(deadline=None)
def test_arbitraryOctets(data: bytes, good: bool) -> None:
    """
    Whatever comes is read, waited for or refused, and the same comes of it
    octet by octet.
    """
    data = framed(datagram(b"good", FOUR, 53)) + data if good else data
    received, reader = read([data])
    again, other = read(piecesOf(data, 1))
    assert (received, type(reader.error), reader.dropped) == (
        again,
        type(other.error),
        other.dropped,
    )
    assert len(reader._rest) <= len(data)

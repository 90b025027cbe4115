"""
Tests for L{socksproxy.shadowsocks._stream2022}.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.shadowsocks import _stream2022 as wire
from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._events import Reason, StreamFault
from tests.shadowsocks.streams import NOW, TARGET, scripted

ADDRESS = encodeAddress(TARGET)
SALT = bytes(range(16))


def reasonOf(call: Callable[..., object], *arguments: object) -> Reason:
    """
    Give the reason for which something is refused.
    """
    with pytest.raises(StreamFault) as caught:
        call(*arguments)
    return caught.value.refused.reason


class TestFixed(SynchronousTestCase):
    """
    Tests for a client's fixed header.
    """

    def test_layout(self) -> None:
        """
        It has a type, the time, and the length of what follows.
        """
        header = wire.encodeFixed(NOW, 0x1234)
        self.assertEqual(header, b"\0" + NOW.to_bytes(8, "big") + b"\x12\x34")
        self.assertEqual(len(header) + 16, wire.FIXED_RECORD)
        self.assertEqual(wire.decodeFixed(header, NOW), 0x1234)

    def test_clock(self) -> None:
        """
        The time may be 30 seconds away, and a fault says how far it is.
        """
        for skew in (-30, 0, 30):
            self.assertEqual(wire.decodeFixed(wire.encodeFixed(NOW + skew, 9), NOW), 9)
        for skew, text in ((31, "31 s ahead"), (-31, "31 s behind")):
            error = self.assertRaises(
                StreamFault, wire.decodeFixed, wire.encodeFixed(NOW + skew, 9), NOW
            )
            self.assertEqual(error.refused.reason, Reason.CLOCK)
            self.assertEqual(error.refused.skew, skew)
            self.assertIn(text, str(error))

    def test_extremeTimes(self) -> None:
        """
        Any time that fits is just too far away.
        """
        for time in (0, 2**63, 2**64 - 1):
            self.assertEqual(
                reasonOf(wire.decodeFixed, wire.encodeFixed(time, 9), NOW), Reason.CLOCK
            )

    def test_notBefore(self) -> None:
        """
        What bears a time before a server's start may be a repetition.
        """
        header = wire.encodeFixed(NOW - 2, 9)
        self.assertEqual(reasonOf(wire.decodeFixed, header, NOW, NOW - 1), Reason.REPLAY)
        self.assertEqual(wire.decodeFixed(header, NOW, NOW - 2), 9)

    def test_server(self) -> None:
        """
        What a server writes is not taken for a client's, nor what is neither.
        """
        for kind in (1, 2, 255):
            header = bytes([kind]) + wire.encodeFixed(NOW, 9)[1:]
            self.assertEqual(reasonOf(wire.decodeFixed, header, NOW), Reason.HEADER)

    def test_length(self) -> None:
        """
        It has its length, and no other.
        """
        header = wire.encodeFixed(NOW, 9)
        for other in (b"", header[:-1], header + b"\0"):
            self.assertEqual(reasonOf(wire.decodeFixed, other, NOW), Reason.HEADER)


class TestVariable(SynchronousTestCase):
    """
    Tests for a client's variable header.
    """

    def test_layout(self) -> None:
        """
        It has the address, counted padding, and the payload.
        """
        header, rest = wire.encodeVariable(ADDRESS, b"pad", b"payload")
        self.assertEqual(header, ADDRESS + b"\0\x03pad" + b"payload")
        self.assertEqual(rest, b"")
        self.assertEqual(wire.decodeVariable(header), (TARGET, b"payload"))

    def test_fits(self) -> None:
        """
        What does not fit into the longest record is left for chunks.
        """
        payload = bytes(range(256)) * 300
        header, rest = wire.encodeVariable(ADDRESS, b"pad", payload)
        self.assertEqual(len(header), 0xFFFF)
        self.assertEqual(wire.decodeVariable(header)[1] + rest, payload)

    def test_neither(self) -> None:
        """
        Without padding there must be a payload, and the other way round.
        """
        for padding, payload in ((b"", b"x"), (b"x", b"")):
            header, _ = wire.encodeVariable(ADDRESS, padding, payload)
            self.assertEqual(wire.decodeVariable(header), (TARGET, payload))
        header, _ = wire.encodeVariable(ADDRESS, b"", b"")
        self.assertEqual(reasonOf(wire.decodeVariable, header), Reason.HEADER)

    def test_truncated(self) -> None:
        """
        Address and padding are in this record, and do not go on in another.
        """
        header, _ = wire.encodeVariable(ADDRESS, b"padding", b"")
        for length in range(len(header)):
            expected = Reason.ADDRESS if length < len(ADDRESS) else Reason.HEADER
            self.assertEqual(reasonOf(wire.decodeVariable, header[:length]), expected)

    def test_longPadding(self) -> None:
        """
        Padding may be longer than any that we write.
        """
        header, _ = wire.encodeVariable(ADDRESS, bytes(60000), b"payload")
        self.assertEqual(wire.decodeVariable(header), (TARGET, b"payload"))

    def test_badAddress(self) -> None:
        """
        What is nowhere to go to is refused.
        """
        for address in (
            b"\x05\x01\x02\x03\x04\x00\x50",
            b"\x03\x00\x00\x50",
            b"\x03\x03a b\x00\x50",
            encodeAddress(Destination("example.com", 0)),
        ):
            header, _ = wire.encodeVariable(address, b"p", b"")
            self.assertEqual(reasonOf(wire.decodeVariable, header), Reason.ADDRESS)


class TestPadding(SynchronousTestCase):
    """
    Tests for how long padding is.
    """

    def test_short(self) -> None:
        """
        A short payload, or none, is padded with 1 to 900 octets.
        """
        for drawn, length in ((0, 1), (899, 900), (900, 1), (0xFFFF, 1 + 0xFFFF % 900)):
            for payload in (b"", bytes(899)):
                random = scripted(drawn.to_bytes(2, "big"))
                self.assertEqual(len(wire.paddingFor(payload, random)), length)

    def test_long(self) -> None:
        """
        A longer one is not padded.
        """
        self.assertEqual(wire.paddingFor(bytes(900), scripted()), b"")


class TestResponse(SynchronousTestCase):
    """
    Tests for a server's header.
    """

    def test_layout(self) -> None:
        """
        It has a type, the time, the salt of the request, and a length.
        """
        for salt in (SALT, SALT * 2):
            header = wire.encodeResponse(NOW, salt, 0x1234)
            self.assertEqual(header, b"\x01" + NOW.to_bytes(8, "big") + salt + b"\x12\x34")
            self.assertEqual(len(header) + 16, wire.responseRecord(len(salt)))
            self.assertEqual(wire.decodeResponse(header, NOW, salt), 0x1234)

    def test_salt(self) -> None:
        """
        The answer to another request is refused, whether its salt is greater
        or less.
        """
        for at in range(16):
            for change in (1, 255):
                other = bytearray(SALT)
                other[at] = (other[at] + change) % 256
                header = wire.encodeResponse(NOW, bytes(other), 9)
                self.assertEqual(reasonOf(wire.decodeResponse, header, NOW, SALT), Reason.SALT)

    def test_clock(self) -> None:
        """
        Its time may be 30 seconds away.
        """
        for skew, good in ((30, True), (-30, True), (31, False), (-31, False)):
            header = wire.encodeResponse(NOW + skew, SALT, 9)
            if good:
                self.assertEqual(wire.decodeResponse(header, NOW, SALT), 9)
                continue
            error = self.assertRaises(StreamFault, wire.decodeResponse, header, NOW, SALT)
            self.assertEqual((error.refused.reason, error.refused.skew), (Reason.CLOCK, skew))

    def test_kind(self) -> None:
        """
        What a client writes is not taken for a server's.
        """
        header = b"\0" + wire.encodeResponse(NOW, SALT, 9)[1:]
        self.assertEqual(reasonOf(wire.decodeResponse, header, NOW, SALT), Reason.HEADER)

    def test_length(self) -> None:
        """
        It has its length, and no other.
        """
        header = wire.encodeResponse(NOW, SALT, 9)
        for other in (b"", header[:-1], header + b"\0"):
            self.assertEqual(reasonOf(wire.decodeResponse, other, NOW, SALT), Reason.HEADER)


@given(st.binary(max_size=400))
def test_anyVariable(header: bytes) -> None:
    """
    Any octets are a header with a payload at its end, or refused.
    """
    try:
        destination, payload = wire.decodeVariable(header)
    except StreamFault:
        return
    assert destination.port > 0
    assert header.endswith(payload)


@given(st.binary(max_size=60), st.integers(0, 2**40))
def test_anyHeader(header: bytes, now: int) -> None:
    """
    Any octets are a header with a length, or refused.
    """
    for decode, salt in ((wire.decodeFixed, 0), (wire.decodeResponse, SALT)):
        try:
            assert 0 <= decode(header, now, salt) <= 0xFFFF  # type: ignore[operator]
        except StreamFault:
            pass


@given(st.binary(max_size=900), st.binary(max_size=2000))
def test_roundTrip(padding: bytes, payload: bytes) -> None:
    """
    What is written is read.
    """
    header, rest = wire.encodeVariable(ADDRESS, padding, payload)
    assert rest == b""
    if padding or payload:
        assert wire.decodeVariable(header) == (TARGET, payload)

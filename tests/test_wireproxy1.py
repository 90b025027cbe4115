"""
Tests for L{socksproxy.inbound._wireproxy1}.
"""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import MalformedMessage, MessageTooLong
from socksproxy.inbound import _wireproxy1 as wire
from tests.codec import (
    Codec,
    arbitraryOctets,
    checkOnlyRemoteErrors,
    checkRoundTrip,
    checkVector,
)
from tests.vectors import Vector, messages, nameOf

VECTORS = messages("socks", "proxy-v1")


def _read(fields: dict[str, Any]) -> wire.Header:
    if fields["family"] == "UNKNOWN":
        return wire.Header(wire.Family.UNKNOWN)
    (source, sourcePort), (destination, port) = fields["src"], fields["dst"]
    return wire.Header(
        wire.Family(fields["family"]),
        (ip_address(source), sourcePort),
        (ip_address(destination), port),
    )


CODEC = Codec(wire.decodeHeader, wire.encodeHeader, _read)


def test_allVectors() -> None:
    """
    There are cases to try.
    """
    assert len(VECTORS) == 13


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    A header is read, waited for or refused as it should be, however it is cut,
    and is written as it was read.
    """
    checkVector(CODEC, vector)


@given(data=arbitraryOctets(VECTORS))
@settings(deadline=None)
def test_arbitraryOctets(data: bytes) -> None:
    """
    Whatever comes, the decoder raises nothing but its own errors, and what it
    waits for is not longer than a header.
    """
    checkOnlyRemoteErrors(wire.decodeHeader, data)
    try:
        waiting = wire.decodeHeader(data) is None
    except (MalformedMessage, MessageTooLong):
        return
    assert not waiting or len(data) < wire.MAX_HEADER


ports = st.integers(0, 65535)


def headers(family: wire.Family, version: int) -> st.SearchStrategy[wire.Header]:
    """
    Make headers with addresses of one version.
    """
    ends = st.tuples(st.ip_addresses(v=version), ports)  # type: ignore[call-overload]
    return st.builds(wire.Header, st.just(family), ends, ends)


@given(
    header=st.one_of(
        headers(wire.Family.TCP4, 4),
        headers(wire.Family.TCP6, 6),
        st.just(wire.Header(wire.Family.UNKNOWN)),
    ),
    rest=st.binary(max_size=300),
)
@settings(deadline=None)
def test_roundTrip(header: wire.Header, rest: bytes) -> None:
    """
    What is written is read again as it was, within the limit, and what
    follows is left alone.
    """
    checkRoundTrip(CODEC, header, rest)
    assert len(wire.encodeHeader(header)) <= wire.MAX_HEADER


class HeaderTests(SynchronousTestCase):
    """
    Headers that are nearly right.
    """

    def test_malformed(self) -> None:
        """
        A header in which anything is wrong is refused.
        """
        for line in (
            "PROXY ",
            "PROXY TCP4",
            "PROXY tcp4 192.0.2.1 198.51.100.2 1 2",
            "PROXY TCP5 192.0.2.1 198.51.100.2 1 2",
            "PROXY UDP4 192.0.2.1 198.51.100.2 1 2",
            "PROXY UNKNOWNS",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 ",
            "PROXY TCP4 192.0.2.1 198.51.100.2  2",
            "PROXY TCP4 192.0.2.1\t198.51.100.2 1 2",
            "PROXY TCP4 192.0.2 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.256 198.51.100.2 1 2",
            "PROXY TCP4 3221225985 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.1/32 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 -1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 0x2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 01 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 00",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 100000",
            "PROXY TCP4 192.0.2.\N{ARABIC-INDIC DIGIT ONE} 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 \N{ARABIC-INDIC DIGIT ONE} 2",
            "PROXY TCP6 192.0.2.1 198.51.100.2 1 2",
            "PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2",
            "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2",
            "PROXY TCP6 2001:db8::1 2001:db8::2::3 1 2",
            "PROXY TCP6 2001:db8::1 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r",
            "PROXY UNKNOWN \r x",
            "PROXY UNKNOWN \n x",
        ):
            self.assertRaises(MalformedMessage, wire.decodeHeader, line.encode() + b"\r\n")

    def test_atOnce(self) -> None:
        """
        What cannot become a header is refused with the first octet that says
        so.
        """
        for start in (b"\x05", b"\x04", b"p", b"PO", b"PROXY\t", b"PROXYS"):
            self.assertIsNone(wire.decodeHeader(start[:-1]))
            self.assertRaises(MalformedMessage, wire.decodeHeader, start)

    def test_longest(self) -> None:
        """
        A header may be as long as the limit with its end, and one octet more
        is too much, as soon as it can be known.
        """
        start = b"PROXY UNKNOWN "
        room = wire.MAX_HEADER - len(start) - 2
        longest = start + b"x" * room + b"\r\n"
        self.assertEqual(
            wire.decodeHeader(longest + b"more"),
            (wire.Header(wire.Family.UNKNOWN), wire.MAX_HEADER),
        )
        self.assertIsNone(wire.decodeHeader(longest[:-1]))
        self.assertRaises(MessageTooLong, wire.decodeHeader, start + b"x" * (room + 2))
        self.assertRaises(MessageTooLong, wire.decodeHeader, start + b"x" * (room + 1) + b"\r\n")

    def test_mapped(self) -> None:
        """
        An IPv4-mapped address is read as it is written.
        """
        decoded = wire.decodeHeader(b"PROXY TCP6 ::FFFF:192.0.2.1 2001:DB8::2 1 2\r\n")
        assert decoded is not None
        self.assertEqual(decoded[0].source, (ip_address("::ffff:192.0.2.1"), 1))

"""
Tests for L{socksproxy.inbound._wireproxy2}.
"""

import struct
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import BadVersion, MalformedMessage, MessageTooLong, RemoteProtocolError
from socksproxy.inbound import _wireproxy2 as wire
from tests.codec import (
    Codec,
    arbitraryOctets,
    checkOnlyRemoteErrors,
    checkRoundTrip,
    checkVector,
)
from tests.vectors import Vector, messages, nameOf

VECTORS = messages("socks", "proxy-v2")

LONGEST = 16 + wire.MAX_LENGTH


def _read(fields: dict[str, Any]) -> wire.Header:
    command = wire.Command[fields["command"]]
    if "src" not in fields:
        return wire.Header(command, wire.Family[fields.get("family", "UNSPEC")])
    (source, sourcePort), (destination, port) = fields["src"], fields["dst"]
    return wire.Header(
        command,
        wire.Family[fields["family"]],
        (ip_address(source), sourcePort),
        (ip_address(destination), port),
        tuple((kind, bytes.fromhex(value)) for kind, value in fields["tlvs"]),
    )


CODEC = Codec(wire.decodeHeader, wire.encodeHeader, _read)


def test_allVectors() -> None:
    """
    There are cases to try.
    """
    assert len(VECTORS) == 17


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    A header is read, waited for or refused as it should be, however it is cut,
    and is written as it was read.
    """
    checkVector(CODEC, vector)


def checkBounded(data: bytes) -> None:
    """
    Require that the decoder raises nothing but its own errors, and waits for
    no more than the longest header.
    """
    checkOnlyRemoteErrors(wire.decodeHeader, data)
    try:
        waiting = wire.decodeHeader(data) is None
    except RemoteProtocolError:
        return
    assert not waiting or len(data) < LONGEST


@given(data=arbitraryOctets(VECTORS))
@settings(deadline=None)
def test_arbitraryOctets(data: bytes) -> None:
    """
    Whatever comes does no harm.
    """
    checkBounded(data)


@given(
    octets=st.binary(min_size=2, max_size=2),
    length=st.integers(0, 300) | st.integers(0, 65535),
    body=st.binary(max_size=300),
)
@settings(deadline=None)
def test_arbitraryHeaders(octets: bytes, length: int, body: bytes) -> None:
    """
    Whatever comes after the signature does no harm.
    """
    checkBounded(wire.SIGNATURE + octets + length.to_bytes(2, "big") + body)


ports = st.integers(0, 65535)
tlvs = st.lists(
    st.tuples(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=40)),
    max_size=8,
).map(tuple)


def headers(version: int, *families: wire.Family) -> st.SearchStrategy[wire.Header]:
    """
    Make headers with addresses of one version.
    """
    ends = st.tuples(st.ip_addresses(v=version), ports)  # type: ignore[call-overload]
    return st.builds(
        wire.Header, st.just(wire.Command.PROXY), st.sampled_from(families), ends, ends, tlvs
    )


clients = st.one_of(
    headers(4, wire.Family.TCP4, wire.Family.UDP4), headers(6, wire.Family.TCP6, wire.Family.UDP6)
)


@given(
    header=st.one_of(clients, st.sampled_from(wire.Command).map(wire.Header)),
    rest=st.binary(max_size=300),
)
@settings(deadline=None)
def test_roundTrip(header: wire.Header, rest: bytes) -> None:
    """
    What is written is read again as it was, and what follows is left alone.
    """
    checkRoundTrip(CODEC, header, rest)


def withChecksum(header: wire.Header, at: int) -> wire.Header:
    """
    Add a checksum to a header.

    @param at: Its place among the TLVs.
    """

    def having(value: bytes) -> wire.Header:
        tlvs = (*header.tlvs[:at], (wire.TYPE_CRC32C, value), *header.tlvs[at:])
        return wire.Header(header.command, header.family, header.source, header.destination, tlvs)

    return having(struct.pack("!I", wire.crc32c(wire.encodeHeader(having(bytes(4))))))


@given(header=clients, at=st.integers(0, 8), damage=st.integers(1, 255), data=st.data())
@settings(deadline=None)
def test_checksum(header: wire.Header, at: int, damage: int, data: st.DataObject) -> None:
    """
    A header with its checksum is taken, and one in which a single octet of an
    address has changed is not.
    """
    header = withChecksum(header, at)
    octets = bytearray(wire.encodeHeader(header))
    assert wire.decodeHeader(bytes(octets)) == (header, len(octets))
    assert header.source is not None
    addresses = 12 if header.source[0].version == 4 else 36
    octets[16 + data.draw(st.integers(0, addresses - 1))] ^= damage
    with pytest.raises(MalformedMessage, match="checksum"):
        wire.decodeHeader(bytes(octets))


class ChecksumTests(SynchronousTestCase):
    """
    CRC32C, and what is checked of it.
    """

    ADDRESSES = bytes.fromhex("c0000201c6336402dc040438")

    def header(self, tlvs: bytes) -> bytes:
        """
        Write a header with IPv4 addresses.
        """
        body = self.ADDRESSES + tlvs
        return wire.SIGNATURE + b"\x21\x11" + len(body).to_bytes(2, "big") + body

    def test_known(self) -> None:
        """
        The checksum is that of the examples of RFC 3720 appendix B.4.
        """
        for octets, checksum in (
            (b"", 0),
            (b"123456789", 0xE3069283),
            (bytes(32), 0x8A9136AA),
            (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E),
            (bytes(reversed(range(32))), 0x113FDB5C),
        ):
            self.assertEqual(wire.crc32c(octets), checksum)

    def test_size(self) -> None:
        """
        A checksum has four octets.
        """
        for size in (0, 3, 5):
            data = self.header(b"\x03" + size.to_bytes(2, "big") + bytes(size))
            self.assertRaises(MalformedMessage, wire.decodeHeader, data)

    def test_several(self) -> None:
        """
        A header has one checksum at most.
        """
        zeros = b"\x03\x00\x04" + bytes(4)
        first = wire.crc32c(self.header(zeros + zeros)).to_bytes(4, "big")
        data = self.header(b"\x03\x00\x04" + first + zeros)
        error = self.assertRaises(MalformedMessage, wire.decodeHeader, data)
        self.assertIn("several", str(error))


class HeaderTests(SynchronousTestCase):
    """
    Headers at the limits of what is one.
    """

    def test_atOnce(self) -> None:
        """
        What cannot become a header is refused with the first octet that says
        so.
        """
        good = wire.encodeHeader(wire.Header(wire.Command.LOCAL))
        for position in range(12):
            self.assertIsNone(wire.decodeHeader(good[:position]))
            start = good[:position] + bytes([good[position] ^ 1])
            self.assertRaises(MalformedMessage, wire.decodeHeader, start)
        self.assertIsNone(wire.decodeHeader(wire.SIGNATURE))
        self.assertRaises(BadVersion, wire.decodeHeader, wire.SIGNATURE + b"\x11")
        self.assertRaises(MalformedMessage, wire.decodeHeader, wire.SIGNATURE + b"\x22")

    def test_longest(self) -> None:
        """
        A header may be as long as the limit, and no longer, whatever it is
        about.
        """
        for start in (b"\x20\x00", b"\x21\x00"):
            longest = wire.SIGNATURE + start + wire.MAX_LENGTH.to_bytes(2, "big")
            whole = longest + bytes(wire.MAX_LENGTH)
            self.assertIsNone(wire.decodeHeader(whole[:-1]))
            decoded = wire.decodeHeader(whole)
            assert decoded is not None
            self.assertEqual(decoded[1], LONGEST)
            longer = wire.SIGNATURE + start + (wire.MAX_LENGTH + 1).to_bytes(2, "big")
            self.assertRaises(MessageTooLong, wire.decodeHeader, longer)

    def test_local(self) -> None:
        """
        The load balancer's own connections are its own whatever family they
        claim to have, and what else they say is not read.
        """
        for family in (0x00, 0x11, 0x21, 0x41, 0xFF):
            data = wire.SIGNATURE + bytes([0x20, family, 0, 5]) + b"12345"
            self.assertEqual(wire.decodeHeader(data), (wire.Header(wire.Command.LOCAL), len(data)))

    def test_unix(self) -> None:
        """
        A client of the load balancer's UNIX socket has no IP address; the TLVs
        after its paths are read.
        """
        for family in (wire.Family.UNIX_STREAM, wire.Family.UNIX_DATAGRAM):
            body = b"/run/proxy".ljust(108, b"\0") * 2 + b"\x02\x00\x01x"
            data = wire.SIGNATURE + bytes([0x21, family]) + len(body).to_bytes(2, "big") + body
            header = wire.Header(wire.Command.PROXY, family, tlvs=((2, b"x"),))
            self.assertEqual(wire.decodeHeader(data), (header, len(data)))

    def test_tooShortForAddresses(self) -> None:
        """
        A header without room for its addresses is refused without waiting for
        what it has room for.
        """
        for family, size in ((0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216)):
            start = wire.SIGNATURE + bytes([0x21, family, 0])
            self.assertIsNone(wire.decodeHeader(start + bytes([size])))
            self.assertRaises(MalformedMessage, wire.decodeHeader, start + bytes([size - 1]))

    def test_tlvs(self) -> None:
        """
        TLVs fill the header exactly.
        """
        start = wire.SIGNATURE + b"\x21\x11"
        for tlvs, good in (
            (b"\x04\x00\x00", True),
            (b"\x04\x00\x01x\x05\x00\x02yz", True),
            (b"\x04", False),
            (b"\x04\x00", False),
            (b"\x04\x00\x01", False),
            (b"\x04\x00\x00\x04", False),
            (b"\x04\xff\xffx", False),
        ):
            data = start + (12 + len(tlvs)).to_bytes(2, "big") + bytes(12) + tlvs
            if good:
                self.assertIsNotNone(wire.decodeHeader(data))
            else:
                self.assertRaises(MalformedMessage, wire.decodeHeader, data)

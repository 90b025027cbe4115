"""
Tests for L{socksproxy.socks._wireudp}.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import MAX_NAME_LENGTH, Destination
from socksproxy.errors import (
    BadAddressType,
    BadName,
    MalformedMessage,
    RemoteProtocolError,
)
from socksproxy.socks import _wireudp as wire
from socksproxy.socks._wire5 import AddressType
from tests.codec import arbitraryOctets
from tests.vectors import Vector, messages, nameOf

VECTORS = messages("socks", "socks5-udp")

FRAMED = [vector for vector in VECTORS if vector["expect"]["result"] == "ok"]
DROPPED = [vector for vector in VECTORS if vector["expect"]["result"] == "drop"]

# Its name is as long as a length octet can say, which is longer than a name
# can be.
OVERLONG = "udp-max-domain"
GOOD = [vector for vector in FRAMED if vector["name"] != OVERLONG]

ERRORS: dict[str, type[RemoteProtocolError]] = {
    wire.TRUNCATED: MalformedMessage,
    wire.BAD_RSV: MalformedMessage,
    wire.BAD_ATYP: BadAddressType,
    wire.BAD_NAME: BadName,
    wire.BAD_PORT: MalformedMessage,
}


def test_allVectors() -> None:
    """
    Every case says either what a datagram means or why it is dropped.
    """
    assert len(FRAMED) + len(DROPPED) == len(VECTORS) == 17
    assert len(GOOD) == len(FRAMED) - 1


@pytest.mark.parametrize("vector", FRAMED, ids=nameOf)
def test_framed(vector: Vector) -> None:
    """
    A head is split into its fields.
    """
    data = bytes.fromhex(vector["input"])
    expected = vector["expect"]
    head = wire.decodeHead(data)
    assert (head.fragment, head.addressType, head.port) == (
        expected["frag"],
        expected["atyp"],
        expected["port"],
    )
    if head.addressType == AddressType.DOMAINNAME:
        assert head.address == expected["address"].encode("ascii")
    else:
        assert head.address == ip_address(expected["address"]).packed
    assert data[head.length :] == bytes.fromhex(expected["payload"])


@pytest.mark.parametrize("vector", GOOD, ids=nameOf)
def test_read(vector: Vector) -> None:
    """
    A datagram says where it is to go, and what for; one that is not a
    fragment is written as it was read.
    """
    data = bytes.fromhex(vector["input"])
    expected = vector["expect"]
    host = expected["address"] if expected["atyp"] == 3 else ip_address(expected["address"])
    destination = Destination(host, expected["port"])
    payload = bytes.fromhex(expected["payload"])
    datagram = wire.decodeDatagram(data)
    assert datagram == wire.Datagram(expected["frag"], destination, len(data) - len(payload))
    if vector["canonical"] and expected["frag"] == 0:
        assert wire.encodeHead(destination) + payload == data


@pytest.mark.parametrize("vector", DROPPED, ids=nameOf)
def test_dropped(vector: Vector) -> None:
    """
    A datagram that is refused is refused with one word that says why.
    """
    reason = vector["expect"]["reason"]
    with pytest.raises(ERRORS[reason]) as caught:
        wire.decodeDatagram(bytes.fromhex(vector["input"]))
    assert str(caught.value) == reason


@pytest.mark.parametrize("vector", FRAMED, ids=nameOf)
def test_everyTruncation(vector: Vector) -> None:
    """
    A datagram that ends anywhere inside its head is refused as that.
    """
    data = bytes.fromhex(vector["input"])
    for length in range(wire.decodeHead(data).length):
        with pytest.raises(MalformedMessage) as caught:
            wire.decodeDatagram(data[:length])
        assert str(caught.value) == wire.TRUNCATED, length


@given(data=arbitraryOctets(VECTORS))
@settings(deadline=None)
def test_arbitraryOctets(data: bytes) -> None:
    """
    Whatever comes is either read or refused with one of the known words, and
    what is read has a head that the datagram holds and a port to go to.
    """
    try:
        datagram = wire.decodeDatagram(data)
    except RemoteProtocolError as e:
        assert str(e) in wire.REASONS
        assert type(e) is ERRORS[str(e)]
    else:
        assert datagram.headLength <= min(len(data), wire.MAX_HEAD)
        assert 1 <= datagram.destination.port <= 65535


label = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)
names = st.builds(
    lambda labels, last: ".".join([*labels, last]),
    st.lists(label, max_size=9),
    st.from_regex(r"[a-wyz]([a-z-]{0,20}[a-z])?", fullmatch=True),
)
addresses = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None),
)
destinations = st.builds(Destination, st.one_of(names, addresses), st.integers(1, 65535))


@given(destination=destinations, payload=st.binary(max_size=300))
@settings(deadline=None)
def test_roundTrip(destination: Destination, payload: bytes) -> None:
    """
    A head is read again as it was written, with any payload after it.
    """
    head = wire.encodeHead(destination)
    datagram = wire.decodeDatagram(head + payload)
    assert datagram == wire.Datagram(0, destination, len(head))


class DestinationTests(SynchronousTestCase):
    """
    A destination is checked, and has one canonical form.
    """

    def decodeName(self, name: bytes) -> wire.Datagram:
        """
        Read a datagram to a name, port 53.
        """
        return wire.decodeDatagram(b"\0\0\0\x03" + bytes([len(name)]) + name + b"\0\x35x")

    def test_overlongName(self) -> None:
        """
        A name is at most as long as host names are, though its length octet
        could say more.
        """
        longest = b".".join([b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61])
        self.assertEqual(len(longest), MAX_NAME_LENGTH)
        self.assertEqual(self.decodeName(longest).destination.host, longest.decode("ascii"))
        vector = next(vector for vector in VECTORS if vector["name"] == OVERLONG)
        error = self.assertRaises(BadName, wire.decodeDatagram, bytes.fromhex(vector["input"]))
        self.assertEqual(str(error), wire.BAD_NAME)

    def test_longestHead(self) -> None:
        """
        No head is longer than C{MAX_HEAD}.
        """
        data = b"\0\0\0\x03\xff" + b"a" * 255 + b"\0\x35" + b"payload"
        self.assertEqual(wire.decodeHead(data).length, wire.MAX_HEAD)

    def test_numericName(self) -> None:
        """
        A name that is an address is that address; one that resolvers would
        take for an address is refused.
        """
        self.assertEqual(
            self.decodeName(b"192.0.2.1").destination, Destination(IPv4Address("192.0.2.1"), 53)
        )
        self.assertEqual(
            self.decodeName(b"2001:db8::1").destination,
            Destination(IPv6Address("2001:db8::1"), 53),
        )
        for name in (b"127.1", b"2130706433", b"0x7f.0.0.1", b"0"):
            self.assertRaises(BadName, self.decodeName, name)

    def test_mapped(self) -> None:
        """
        An IPv4-mapped address is the IPv4 address.
        """
        mapped = IPv6Address("::ffff:192.0.2.1").packed
        datagram = wire.decodeDatagram(b"\0\0\0\x04" + mapped + b"\0\x35")
        self.assertEqual(datagram.destination, Destination(IPv4Address("192.0.2.1"), 53))
        self.assertEqual(datagram.headLength, 22)

    def test_bothReservedOctets(self) -> None:
        """
        Either octet of RSV makes a datagram foreign.
        """
        for reserved in (b"\x00\x01", b"\x01\x00", b"\xff\xff"):
            data = reserved + b"\0\x01\xc0\0\x02\x01\0\x35"
            error = self.assertRaises(MalformedMessage, wire.decodeDatagram, data)
            self.assertEqual(str(error), wire.BAD_RSV)

    def test_anyFragment(self) -> None:
        """
        FRAG is handed on whatever it is.
        """
        for fragment in range(256):
            data = bytes([0, 0, fragment, 1, 192, 0, 2, 1, 0, 53])
            self.assertEqual(wire.decodeDatagram(data).fragment, fragment)

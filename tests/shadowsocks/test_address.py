"""
Tests for L{socksproxy.shadowsocks._address}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromText
from socksproxy.errors import BadAddressType, BadName, RemoteProtocolError
from socksproxy.shadowsocks._address import MAX_ADDRESS, decodeAddress, encodeAddress
from tests.shadowsocks.streams import cases
from tests.vectors import Vector

VECTORS = cases("address")

# As long as its length octet can say, which is longer than a name can be.
OVERLONG = [vector for vector in VECTORS if len(vector["host"]) == 255]
GOOD = [vector for vector in VECTORS if vector not in OVERLONG]


def destinationOf(vector: Vector) -> Destination:
    """
    Give what a vector's octets mean.
    """
    return Destination(hostFromText(vector["host"]) or vector["host"], vector["port"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["host"][:30])
def test_written(vector: Vector) -> None:
    """
    An address is written as the vector has it.
    """
    assert encodeAddress(destinationOf(vector)).hex() == vector["hex"]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["host"][:30])
def test_read(vector: Vector) -> None:
    """
    An address is read from just its octets, and not from fewer; what follows
    is left.
    """
    data = bytes.fromhex(vector["hex"])
    expected = destinationOf(vector), len(data)
    assert decodeAddress(data) == decodeAddress(data + b"rest") == expected
    for length in range(len(data)):
        assert decodeAddress(data[:length]) is None


def named(name: bytes, port: int = 80) -> bytes:
    """
    Write an address that has a name.
    """
    return bytes([3, len(name)]) + name + port.to_bytes(2, "big")


class TestDecodeAddress(SynchronousTestCase):
    """
    Tests for what is no address.
    """

    def test_overlong(self) -> None:
        """
        A name that is longer than a name can be is refused.
        """
        self.assertEqual(len(OVERLONG), 1)
        data = bytes.fromhex(OVERLONG[0]["hex"])
        self.assertEqual(len(data), MAX_ADDRESS)
        self.assertRaises(BadName, decodeAddress, data)

    def test_literals(self) -> None:
        """
        A name that is an address in text is that address.
        """
        for name, host in (
            (b"192.0.2.1", IPv4Address("192.0.2.1")),
            (b"2001:db8::1", IPv6Address("2001:db8::1")),
            (b"::ffff:10.0.0.1", IPv4Address("10.0.0.1")),
        ):
            decoded = decodeAddress(named(name))
            self.assertEqual(decoded, (Destination(host, 80), len(name) + 4))

    def test_mapped(self) -> None:
        """
        An IPv4 address that is written as one of IPv6 is one of IPv4.
        """
        data = b"\x04" + IPv6Address("::ffff:10.0.0.1").packed + b"\x00\x50"
        self.assertEqual(decodeAddress(data), (Destination(IPv4Address("10.0.0.1"), 80), 19))

    def test_type(self) -> None:
        """
        Only 1, 3 and 4 are types, whatever their high bits are to other
        servers; the first octet alone says so.
        """
        for kind in range(256):
            if kind not in (1, 3, 4):
                self.assertRaises(BadAddressType, decodeAddress, bytes([kind]))

    def test_emptyName(self) -> None:
        """
        A name of no octets is refused at once.
        """
        self.assertRaises(BadName, decodeAddress, b"\x03\x00")

    def test_names(self) -> None:
        """
        What no name may hold is refused, and so are names that resolvers take
        for numbers.
        """
        for name in (b"a b", b"a\x00b", b"b\xc3\xbccher.example", b"127.1", b"0x7f.1", b"-"):
            self.assertRaises(BadName, decodeAddress, named(name))


@given(
    st.one_of(
        st.ip_addresses(v=4),
        st.ip_addresses(v=6),
        st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,20}){0,3}", fullmatch=True),
    ),
    st.integers(0, 65535),
    st.binary(max_size=20),
)
def test_roundTrip(host: IPv4Address | IPv6Address | str, port: int, rest: bytes) -> None:
    """
    What is written is read.
    """
    if isinstance(host, IPv6Address) and host.ipv4_mapped:
        host = ip_address(str(host.ipv4_mapped))
    data = encodeAddress(Destination(host, port))
    assert decodeAddress(data + rest) == (Destination(host, port), len(data))


@given(st.binary(max_size=300))
def test_anyOctets(data: bytes) -> None:
    """
    Any octets are an address that fits into them, or none yet, or refused.
    """
    try:
        decoded = decodeAddress(data)
    except RemoteProtocolError:
        return
    assert decoded is None or 0 < decoded[1] <= len(data)

"""
Tests for L{socksproxy.shadowsocks._packet}.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromText
from socksproxy.errors import LocalProtocolError, RemoteProtocolError
from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._methods import TAG
from socksproxy.shadowsocks._packet import (
    MAX_DATAGRAM,
    DatagramFault,
    Opened,
    openPacket,
    sealPacket,
    splitAddress,
)
from tests.shadowsocks.packets import (
    CLASSIC,
    SOURCE,
    octetsOf,
    packetAccountOf,
    refused,
    sourceOf,
)
from tests.shadowsocks.streams import cases, fresh, methodOf, nameOf, targetOf
from tests.vectors import Vector

ADDRESSES = [
    Destination(hostFromText("192.0.2.1") or "", 53),
    Destination(hostFromText("2001:db8::1") or "", 65535),
    Destination("a.example", 1),
    Destination("x" * 63 + ".example", 443),
]


def classicIn(section: str) -> list[Vector]:
    """
    Give the cases of the classic methods.
    """
    return [vector for vector in cases(section) if not methodOf(vector).edition2022]


def openedOf(vector: Vector) -> tuple[Destination, bytes]:
    """
    Open a vector.
    """
    packet = octetsOf(vector)
    account = packetAccountOf(vector)
    end = account.method.saltLength
    plain = openPacket(account, packet[:end], packet[end:])
    assert plain is not None
    return splitAddress(plain)


@pytest.mark.parametrize("vector", cases("udp_request_aead"), ids=nameOf)
def test_requests(vector: Vector) -> None:
    """
    The vectors of requests are written and read octet by octet.
    """
    account, payload = packetAccountOf(vector), octetsOf(vector, "payload")
    written = sealPacket(account, octetsOf(vector, "salt"), targetOf(vector), payload)
    assert written.hex() == vector["packet"]
    assert openedOf(vector) == (targetOf(vector), payload)


@pytest.mark.parametrize("vector", classicIn("udp_response"), ids=nameOf)
def test_responses(vector: Vector) -> None:
    """
    The vectors of answers are written and read octet by octet.
    """
    account, payload = packetAccountOf(vector), octetsOf(vector, "payload")
    written = sealPacket(account, octetsOf(vector, "salt"), sourceOf(vector), payload)
    assert written.hex() == vector["packet"]
    assert openedOf(vector) == (sourceOf(vector), payload)


@pytest.mark.parametrize("vector", classicIn("captured_udp_request"), ids=nameOf)
def test_capturedRequests(vector: Vector) -> None:
    """
    What other programs have sent to servers opens.
    """
    assert openedOf(vector) == (targetOf(vector), octetsOf(vector, "payload"))


@pytest.mark.parametrize("vector", classicIn("captured_udp_response"), ids=nameOf)
def test_capturedResponses(vector: Vector) -> None:
    """
    What other programs have answered opens.
    """
    assert openedOf(vector) == (sourceOf(vector), octetsOf(vector, "payload"))


class TestClassic(SynchronousTestCase):
    """
    Tests for L{sealPacket} and L{openPacket}.
    """

    def test_overhead(self) -> None:
        """
        A datagram is longer than its payload by salt, address and tag.
        """
        for method in CLASSIC:
            account = fresh(method)
            salt = bytes(account.method.saltLength)
            self.assertEqual(
                len(sealPacket(account, salt, SOURCE, b"data")), len(salt) + 7 + 4 + TAG
            )

    def test_longest(self) -> None:
        """
        What a datagram cannot carry is refused, and not cut.
        """
        account = fresh("aes-256-gcm")
        room = MAX_DATAGRAM - 32 - 7 - TAG
        self.assertEqual(len(sealPacket(account, bytes(32), SOURCE, bytes(room))), MAX_DATAGRAM)
        with self.assertRaises(LocalProtocolError):
            sealPacket(account, bytes(32), SOURCE, bytes(room + 1))

    def test_notOurs(self) -> None:
        """
        What was not sealed with the key does not open.
        """
        account = fresh("aes-128-gcm")
        sealed = sealPacket(account, bytes(16), SOURCE, b"data")[16:]
        self.assertIsNone(openPacket(account, bytes([1] * 16), sealed))
        self.assertIsNone(openPacket(account, bytes(16), sealed[:-1]))
        self.assertIsNone(openPacket(account, bytes(16), b""))


class TestSplitAddress(SynchronousTestCase):
    """
    Tests for L{splitAddress}.
    """

    def test_kinds(self) -> None:
        """
        All kinds of addresses are read, from anywhere, more than once, and with
        or without a payload.
        """
        for address in ADDRESSES:
            for payload in (b"", b"payload"):
                for before in (b"", b"before", b"before"):
                    plain = before + encodeAddress(address) + payload
                    self.assertEqual(splitAddress(plain, len(before)), (address, payload))

    def test_truncated(self) -> None:
        """
        An address that is incomplete is refused.
        """
        for address in ADDRESSES:
            octets = encodeAddress(address)
            for end in range(len(octets)):
                with refused(self, Reason.ADDRESS):
                    splitAddress(octets[:end])

    def test_bad(self) -> None:
        """
        What no server may try to go to is refused.
        """
        for octets in (
            b"\x00" + bytes(6),
            b"\x02" + bytes(6),
            b"\x11\x7f\0\0\1\0\x50",
            b"\x01\x7f\0\0\1\0\0",
            b"\x03\x00\0\x50",
            b"\x03\x03a b\0\x50",
            b"\x03\x02\xc3\xa4\0\x50",
            b"\x03\x050x7f1\0\x50",
        ):
            for _ in range(2):
                with refused(self, Reason.ADDRESS):
                    splitAddress(octets + b"payload")

    def test_literal(self) -> None:
        """
        A name that is an address in text is that address.
        """
        self.assertEqual(
            splitAddress(b"\x03\x09127.0.0.1\0\x50")[0].host, hostFromText("127.0.0.1")
        )


class TestShown(SynchronousTestCase):
    """
    What logs may show.
    """

    def test_fault(self) -> None:
        """
        A fault says what is wrong, and by how much a clock differs. It is a
        fault of the peer's.
        """
        self.assertIsInstance(DatagramFault(Reason.SEAL), RemoteProtocolError)
        self.assertIn("bad-seal", str(DatagramFault(Reason.SEAL)))
        self.assertIn("40 s behind", str(DatagramFault(Reason.CLOCK, -40)))
        self.assertIn("31 s ahead", str(DatagramFault(Reason.CLOCK, 31)))
        self.assertEqual(DatagramFault(Reason.CLOCK, 31).refused.skew, 31)

    def test_payload(self) -> None:
        """
        Nothing of a payload is shown.
        """
        opened = Opened(None, SOURCE, b"secret")  # type: ignore[arg-type]
        self.assertNotIn("secret", repr(opened))
        self.assertIn("6 octets", repr(opened))


@given(st.binary(max_size=40), st.integers(0, 8))
def test_anyAddress(octets: bytes, at: int) -> None:
    """
    Whatever stands where an address should, nothing else than a fault of the
    peer's is raised, and what is read is at least as long as an address.
    """
    try:
        _, payload = splitAddress(octets, at)
    except DatagramFault:
        return
    assert octets.endswith(payload)
    assert len(payload) <= len(octets) - at - 5

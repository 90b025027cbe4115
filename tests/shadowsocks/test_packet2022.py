"""
Tests for L{socksproxy.shadowsocks._packet2022}.
"""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._packet import DatagramFault
from socksproxy.shadowsocks._packet2022 import (
    decodeRequest,
    decodeResponse,
    encodeRequest,
    encodeResponse,
    paddingFor,
)
from tests.shadowsocks.packets import SOURCE, TARGET, refused
from tests.shadowsocks.streams import NOW

ADDRESS = encodeAddress(SOURCE)
SESSION = b"client's"


class TestRequest(SynchronousTestCase):
    """
    What clients seal.
    """

    def test_layout(self) -> None:
        """
        Type, time, length of the padding, padding, address, payload.
        """
        plain = encodeRequest(NOW, SOURCE, b"pad", b"payload")
        self.assertEqual(
            plain, b"\0" + NOW.to_bytes(8, "big") + b"\0\3" + b"pad" + ADDRESS + b"payload"
        )
        self.assertEqual(decodeRequest(plain, NOW), (SOURCE, b"payload"))

    def test_clock(self) -> None:
        """
        Half a minute of difference is allowed, and more is named.
        """
        plain = encodeRequest(NOW, SOURCE, b"", b"x")
        for now in (NOW - 30, NOW + 30):
            self.assertEqual(decodeRequest(plain, now), (SOURCE, b"x"))
        for now, skew in ((NOW - 31, 31), (NOW + 31, -31)):
            with self.assertRaises(DatagramFault) as caught:
                decodeRequest(plain, now)
            self.assertEqual(caught.exception.refused.reason, Reason.CLOCK)
            self.assertEqual(caught.exception.refused.skew, skew)

    def test_notBefore(self) -> None:
        """
        What was made before a time can be refused, and what was made at it is
        not.
        """
        plain = encodeRequest(NOW, SOURCE, b"", b"")
        self.assertEqual(decodeRequest(plain, NOW, NOW), (SOURCE, b""))
        with refused(self, Reason.REPLAY):
            decodeRequest(plain, NOW, NOW + 1)

    def test_kind(self) -> None:
        """
        A server's is refused, and what is neither.
        """
        for kind in (1, 2, 255):
            with refused(self, Reason.HEADER):
                decodeRequest(bytes([kind]) + encodeRequest(NOW, SOURCE, b"", b"payload")[1:], NOW)

    def test_truncated(self) -> None:
        """
        What ends before its payload is refused, and so is padding that is
        longer than the rest.
        """
        whole = encodeRequest(NOW, SOURCE, b"padding", b"")
        for end in range(len(whole)):
            with refused(self, Reason.HEADER if end < 18 else Reason.ADDRESS):
                decodeRequest(whole[:end], NOW)
        with refused(self, Reason.HEADER):
            decodeRequest(whole[:9] + b"\xff\xff" + whole[11:], NOW)

    def test_address(self) -> None:
        """
        Where nobody can go to is refused.
        """
        start = encodeRequest(NOW, SOURCE, b"", b"")[: -len(ADDRESS)]
        for octets in (b"\0" * 9, b"\x01\x7f\0\0\1\0\0", b"\x03\x03a b\0\x50"):
            with refused(self, Reason.ADDRESS):
                decodeRequest(start + octets, NOW)


class TestResponse(SynchronousTestCase):
    """
    What servers seal.
    """

    def test_layout(self) -> None:
        """
        Type, time, the client's session, length of the padding, padding,
        address, payload.
        """
        plain = encodeResponse(NOW, SESSION, SOURCE, b"pad", b"payload")
        self.assertEqual(
            plain,
            b"\1" + NOW.to_bytes(8, "big") + SESSION + b"\0\3" + b"pad" + ADDRESS + b"payload",
        )
        self.assertEqual(decodeResponse(plain, NOW, SESSION), (SOURCE, b"payload"))

    def test_session(self) -> None:
        """
        An answer to somebody else is refused.
        """
        plain = encodeResponse(NOW, SESSION, SOURCE, b"", b"x")
        with refused(self, Reason.SALT):
            decodeResponse(plain, NOW, b"Client's")

    def test_clock(self) -> None:
        """
        Half a minute of difference is allowed, and more is named.
        """
        plain = encodeResponse(NOW, SESSION, SOURCE, b"", b"x")
        for now in (NOW - 30, NOW + 30):
            self.assertEqual(decodeResponse(plain, now, SESSION), (SOURCE, b"x"))
        for now, skew in ((NOW - 31, 31), (NOW + 31, -31)):
            with self.assertRaises(DatagramFault) as caught:
                decodeResponse(plain, now, SESSION)
            self.assertEqual(caught.exception.refused.skew, skew)

    def test_kind(self) -> None:
        """
        A client's own is refused.
        """
        plain = encodeResponse(NOW, SESSION, SOURCE, b"", b"x")
        with refused(self, Reason.HEADER):
            decodeResponse(b"\0" + plain[1:], NOW, SESSION)

    def test_truncated(self) -> None:
        """
        What ends before its payload is refused.
        """
        whole = encodeResponse(NOW, SESSION, SOURCE, b"padding", b"")
        for end in range(len(whole)):
            with refused(self, Reason.HEADER if end < 26 else Reason.ADDRESS):
                decodeResponse(whole[:end], NOW, SESSION)


class TestPadding(SynchronousTestCase):
    """
    Tests for L{paddingFor}.
    """

    dns = Destination("resolver.example", 53)

    def test_elsewhere(self) -> None:
        """
        Nothing is padded but DNS.
        """
        self.assertEqual(paddingFor(TARGET, b"", os.urandom), b"")

    def test_long(self) -> None:
        """
        What is long already is not padded.
        """
        for length in (900, 901, 65000):
            self.assertEqual(paddingFor(self.dns, bytes(length), os.urandom), b"")
        self.assertEqual(len(paddingFor(self.dns, bytes(899), os.urandom)), 1)

    def test_range(self) -> None:
        """
        Padding and payload have all lengths up to a bound, and there is some
        padding always.
        """
        lengths = {
            len(paddingFor(self.dns, bytes(840), lambda count, n=n: n.to_bytes(count, "big")))
            for n in range(0, 65536, 7)
        }
        self.assertEqual(lengths, set(range(1, 61)))


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(lambda host: Destination(host, 53)),
    st.just(Destination("a.example", 65535)),
)


@given(ADDRESSES, st.binary(max_size=50), st.binary(max_size=50))
def test_roundTrip(address: Destination, padding: bytes, payload: bytes) -> None:
    """
    What is written is read.
    """
    request = encodeRequest(NOW, address, padding, payload)
    assert decodeRequest(request, NOW) == (address, payload)
    response = encodeResponse(NOW, SESSION, address, padding, payload)
    assert decodeResponse(response, NOW, SESSION) == (address, payload)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\0" + NOW.to_bytes(8, "big"), b"\1" + NOW.to_bytes(8, "big")]),
    st.sampled_from([b"", SESSION]),
)
def test_anything(rest: bytes, start: bytes, session: bytes) -> None:
    """
    Whatever was sealed, nothing else than a fault of the peer's is raised.
    """
    plain = start + session + rest
    for read in (lambda: decodeRequest(plain, NOW), lambda: decodeResponse(plain, NOW, SESSION)):
        try:
            destination, payload = read()
        except DatagramFault:
            continue
        assert destination.port
        assert plain.endswith(payload)

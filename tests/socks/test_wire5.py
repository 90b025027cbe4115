"""
Tests for L{socksproxy.socks._wire5}.
"""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromPacked
from socksproxy.errors import BadAddressType, BadVersion
from socksproxy.socks import _wire5 as wire
from tests.codec import (
    Codec,
    arbitraryOctets,
    checkOnlyRemoteErrors,
    checkRoundTrip,
    checkVector,
)
from tests.vectors import Vector, messages, nameOf

Expected = dict[str, Any]


def _greeting(fields: Expected) -> wire.Greeting:
    if "method_count" not in fields:
        return wire.Greeting(bytes(fields["methods"]))
    methods = bytes(range(fields["method_count"]))
    assert set(fields["contains"]) <= set(methods)
    return wire.Greeting(methods)


def _authRequest(fields: Expected) -> wire.AuthRequest:
    return wire.AuthRequest(
        bytes.fromhex(fields["username_hex"]), bytes.fromhex(fields["password_hex"])
    )


def _address(fields: Expected) -> bytes:
    if "address_hex" in fields:
        return bytes.fromhex(fields["address_hex"])
    if fields["atyp"] == wire.AddressType.DOMAINNAME:
        return bytes(fields["address"], "ascii")
    return ip_address(fields["address"]).packed


def _request(fields: Expected) -> wire.Request:
    addressType = wire.AddressType(fields["atyp"])
    return wire.Request(fields["cmd"], addressType, _address(fields), fields["port"], fields["rsv"])


def _reply(fields: Expected) -> wire.Reply:
    addressType = wire.AddressType(fields["atyp"])
    return wire.Reply(fields["rep"], addressType, _address(fields), fields["port"])


CODECS = {
    "socks5-greeting": Codec(wire.decodeGreeting, wire.encodeGreeting, _greeting),
    "socks5-method": Codec(wire.decodeMethod, wire.encodeMethod, lambda f: f["method"]),
    "rfc1929-request": Codec(wire.decodeAuthRequest, wire.encodeAuthRequest, _authRequest),
    "rfc1929-reply": Codec(
        wire.decodeAuthReply, wire.encodeAuthReply, lambda f: wire.AuthReply(f["status"])
    ),
    "socks5-request": Codec(wire.decodeRequest, wire.encodeRequest, _request),
    "socks5-reply": Codec(wire.decodeReply, wire.encodeReply, _reply),
}

VECTORS = [vector for protocol in CODECS for vector in messages("socks", protocol)]


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    A message is read, waited for or refused as it should be, however it is
    cut, and is written as it was read.
    """
    checkVector(CODECS[vector["protocol"]], vector)


def test_mappedAddress() -> None:
    """
    An IPv4-mapped address is read as the IPv4 address that it stands for.
    """
    (vector,) = (vector for vector in VECTORS if "normalised" in vector["expect"])
    decoded = wire.decodeRequest(bytes.fromhex(vector["input"]))
    assert decoded is not None
    assert hostFromPacked(decoded[0].address) == ip_address(vector["expect"]["normalised"])


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(data=arbitraryOctets(VECTORS))
@settings(deadline=None)
def test_arbitraryOctets(codec: Codec, data: bytes) -> None:
    """
    Whatever comes, a decoder raises nothing but its own errors.
    """
    checkOnlyRemoteErrors(codec.decode, data)


octet = st.integers(0, 255)
port = st.integers(0, 65535)
field = st.binary(max_size=255)
greetings = st.builds(wire.Greeting, field)
authRequests = st.builds(wire.AuthRequest, field, field)
addresses = st.one_of(
    st.tuples(st.just(wire.AddressType.IPV4), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(wire.AddressType.IPV6), st.binary(min_size=16, max_size=16)),
    st.tuples(st.just(wire.AddressType.DOMAINNAME), field),
)
requests = st.builds(
    lambda code, address, port, reserved: wire.Request(
        code, address[0], address[1], port, reserved
    ),
    octet,
    addresses,
    port,
    octet,
)
replies = st.builds(
    lambda code, address, port: wire.Reply(code, address[0], address[1], port),
    octet,
    addresses,
    port,
)


class RoundTripTests(SynchronousTestCase):
    """
    What is written is read again as it was.
    """

    @given(message=greetings, rest=field)
    @settings(deadline=None)
    def test_greeting(self, message: wire.Greeting, rest: bytes) -> None:
        """
        A greeting of any methods.
        """
        checkRoundTrip(CODECS["socks5-greeting"], message, rest)

    @given(message=authRequests, rest=field)
    @settings(deadline=None)
    def test_authRequest(self, message: wire.AuthRequest, rest: bytes) -> None:
        """
        Any user name and password that fit.
        """
        checkRoundTrip(CODECS["rfc1929-request"], message, rest)

    @given(message=requests, rest=field)
    @settings(deadline=None)
    def test_request(self, message: wire.Request, rest: bytes) -> None:
        """
        A request of any command and address.
        """
        checkRoundTrip(CODECS["socks5-request"], message, rest)

    @given(message=replies, rest=field)
    @settings(deadline=None)
    def test_reply(self, message: wire.Reply, rest: bytes) -> None:
        """
        A reply of any code and address.
        """
        checkRoundTrip(CODECS["socks5-reply"], message, rest)


class BoundTests(SynchronousTestCase):
    """
    The longest messages are as long as the constants say.
    """

    def test_greeting(self) -> None:
        """
        A greeting has at most C{MAX_GREETING} octets.
        """
        self.assertEqual(len(wire.encodeGreeting(wire.Greeting(bytes(255)))), wire.MAX_GREETING)

    def test_authRequest(self) -> None:
        """
        A user name and password take at most C{MAX_AUTH_REQUEST} octets.
        """
        longest = wire.AuthRequest(bytes(255), bytes(255))
        self.assertEqual(len(wire.encodeAuthRequest(longest)), wire.MAX_AUTH_REQUEST)

    def test_request(self) -> None:
        """
        A request has at most C{MAX_REQUEST} octets.
        """
        longest = wire.Request(1, wire.AddressType.DOMAINNAME, bytes(255), 1)
        self.assertEqual(len(wire.encodeRequest(longest)), wire.MAX_REQUEST)


class PeekTests(SynchronousTestCase):
    """
    Codes can be looked at before the message is complete.
    """

    def test_command(self) -> None:
        """
        CMD is known with the fourth octet, whatever ATYP says, and nothing is
        consumed.
        """
        self.assertIsNone(wire.decodeCommand(bytes.fromhex("050900")))
        self.assertEqual(wire.decodeCommand(bytes.fromhex("05090007")), (9, 0))

    def test_commandOfAnotherVersion(self) -> None:
        """
        A wrong VER is an error with the first octet.
        """
        self.assertRaises(BadVersion, wire.decodeCommand, b"\x04")

    def test_replyCode(self) -> None:
        """
        REP is known with the second octet, and nothing is consumed.
        """
        for vector in messages("socks", "socks5-reply"):
            expected = vector["expect"]
            code = expected.get("rep", expected.get("rep_known"))
            if code is not None:
                data = bytes.fromhex(vector["input"])
                self.assertIsNone(wire.decodeReplyCode(data[:1]))
                self.assertEqual(wire.decodeReplyCode(data[:2]), (code, 0))

    def test_replyCodeOfAnotherVersion(self) -> None:
        """
        A wrong VER is an error with the first octet.
        """
        self.assertRaises(BadVersion, wire.decodeReplyCode, b"\x04")

    def test_badAddressType(self) -> None:
        """
        A wrong ATYP is an error with the fourth octet.
        """
        self.assertIsNone(wire.decodeRequest(bytes.fromhex("050100")))
        self.assertRaises(BadAddressType, wire.decodeRequest, bytes.fromhex("05010002"))


class ConversionTests(SynchronousTestCase):
    """
    Requests and replies are made from addresses.
    """

    def test_replyWithoutAddress(self) -> None:
        """
        Where there is no address to tell, the reply has the ten octets with
        zeros that many clients read without looking.
        """
        self.assertEqual(wire.replyTo(5).hex(), "05050001000000000000")

    def test_replyWithAddress(self) -> None:
        """
        The address family decides on ATYP.
        """
        ipv4, ipv6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")
        self.assertEqual(wire.replyTo(0, ipv4, 80).hex(), "05000001c00002010050")
        self.assertEqual(wire.replyTo(0, ipv6, 80).hex(), "0500000420010db8" + "00" * 11 + "010050")

    def test_requestFor(self) -> None:
        """
        A destination's name is sent as a name, and an address as an address.
        """
        encoded = {
            host: wire.encodeRequest(wire.requestFor(1, Destination(host, 443))).hex()
            for host in ("a.test", ip_address("192.0.2.1"), ip_address("2001:db8::1"))
        }
        self.assertEqual(
            list(encoded.values()),
            [
                "0501000306612e7465737401bb",
                "05010001c000020101bb",
                "0501000420010db8" + "00" * 11 + "0101bb",
            ],
        )


class SecretTests(SynchronousTestCase):
    """
    Secrets stay out of logs.
    """

    def test_password(self) -> None:
        """
        A password is not part of its message's C{repr}.
        """
        request = wire.AuthRequest(b"alice", b"s3cret")
        self.assertIn("alice", repr(request))
        self.assertNotIn("s3cret", repr(request))

"""
Tests for L{socksproxy.socks._wire4}.
"""

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import BadVersion, MessageTooLong
from socksproxy.socks import _wire4 as wire
from tests.codec import (
    Codec,
    arbitraryOctets,
    checkOnlyRemoteErrors,
    checkRoundTrip,
    checkVector,
)
from tests.vectors import Vector, messages, nameOf


def _request(fields: dict[str, Any]) -> wire.Request:
    host = fields.get("hostname")
    return wire.Request(
        fields["cmd"],
        fields["port"],
        IPv4Address(fields["ip"]),
        bytes.fromhex(fields["userid_hex"]),
        None if host is None else host.encode("ascii"),
    )


def _reply(fields: dict[str, Any]) -> wire.Reply:
    return wire.Reply(fields["code"], fields["port"], IPv4Address(fields["ip"]))


CODECS = {
    "socks4-request": Codec(wire.decodeRequest, wire.encodeRequest, _request),
    "socks4-reply": Codec(wire.decodeReply, wire.encodeReply, _reply),
}

VECTORS = [vector for protocol in CODECS for vector in messages("socks", protocol)]


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    A message is read, waited for or refused as it should be, however it is
    cut, and is written as it was read.
    """
    checkVector(CODECS[vector["protocol"]], vector)


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


def strings(limit: int) -> st.SearchStrategy[bytes]:
    """
    Make what can stand before a NUL.
    """
    return st.binary(max_size=limit).map(lambda octets: octets.replace(b"\0", b"0"))


requests = st.builds(
    wire.Request,
    octet,
    port,
    st.one_of(st.just(0), st.integers(256, 2**32 - 1)).map(IPv4Address),
    strings(wire.MAX_USERID),
)
namedRequests = st.builds(
    wire.Request,
    octet,
    port,
    st.integers(1, 255).map(IPv4Address),
    strings(wire.MAX_USERID),
    strings(wire.MAX_HOST),
)
replies = st.builds(wire.Reply, octet, port, st.ip_addresses(v=4))


class RoundTripTests(SynchronousTestCase):
    """
    What is written is read again as it was.
    """

    @given(message=st.one_of(requests, namedRequests), rest=st.binary(max_size=300))
    @settings(deadline=None)
    def test_request(self, message: wire.Request, rest: bytes) -> None:
        """
        A request of any command, address and strings that fit.
        """
        checkRoundTrip(CODECS["socks4-request"], message, rest)

    @given(message=replies, rest=st.binary(max_size=300))
    @settings(deadline=None)
    def test_reply(self, message: wire.Reply, rest: bytes) -> None:
        """
        A reply of any code.
        """
        checkRoundTrip(CODECS["socks4-reply"], message, rest)


class BoundTests(SynchronousTestCase):
    """
    The strings of a request have limits, which are enforced as soon as they
    are passed.
    """

    def checkLimit(self, head: bytes, limit: int) -> None:
        """
        Require that a string of a certain length is taken, and that one octet
        more is an error although its NUL may still come.
        """
        longest = head + b"u" * limit
        self.assertIsNone(wire.decodeRequest(longest))
        self.assertIsNotNone(wire.decodeRequest(longest + b"\0"))
        self.assertRaises(MessageTooLong, wire.decodeRequest, longest + b"u")
        self.assertRaises(MessageTooLong, wire.decodeRequest, longest + b"u\0")

    def test_userID(self) -> None:
        """
        USERID has at most C{MAX_USERID} octets.
        """
        self.checkLimit(bytes.fromhex("04010050c0000201"), wire.MAX_USERID)

    def test_host(self) -> None:
        """
        A host name has at most C{MAX_HOST} octets.
        """
        self.checkLimit(bytes.fromhex("040100500000000100"), wire.MAX_HOST)

    def test_request(self) -> None:
        """
        A request has at most C{MAX_REQUEST} octets.
        """
        longest = wire.Request(1, 80, IPv4Address(1), b"u" * wire.MAX_USERID, b"h" * wire.MAX_HOST)
        self.assertEqual(len(wire.encodeRequest(longest)), wire.MAX_REQUEST)


class MarkerTests(SynchronousTestCase):
    """
    SOCKS4a's marker is an address of exactly one shape.
    """

    def test_marker(self) -> None:
        """
        C{0.0.0.x} with x not zero marks a host name, and no other address
        does.
        """
        marks = {
            text: wire.marksHostName(IPv4Address(text))
            for text in ("0.0.0.0", "0.0.0.1", "0.0.0.255", "0.0.1.0", "0.0.1.1", "1.0.0.1")
        }
        self.assertEqual(
            [text for text, isMarker in marks.items() if isMarker], ["0.0.0.1", "0.0.0.255"]
        )


class VersionTests(SynchronousTestCase):
    """
    A wrong VN is an error with the first octet.
    """

    def test_request(self) -> None:
        """
        The VN of a request is 4.
        """
        self.assertRaises(BadVersion, wire.decodeRequest, b"\x05")

    def test_reply(self) -> None:
        """
        The VN of a reply is 0, or 4, which some servers send.
        """
        for octet in range(256):
            if octet in (0, 4):
                self.assertIsNone(wire.decodeReply(bytes([octet])))
            else:
                self.assertRaises(BadVersion, wire.decodeReply, bytes([octet]))

"""
Tests for L{socksproxy.socks._wire1961}.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import BadVersion, MalformedMessage
from socksproxy.socks import _wire1961 as wire
from tests.codec import (
    Codec,
    arbitraryOctets,
    checkOnlyRemoteErrors,
    checkRoundTrip,
    checkVector,
)
from tests.vectors import Vector, messages, nameOf


def _frame(fields: dict[str, Any]) -> wire.Frame:
    return wire.Frame(wire.MessageType(fields["mtyp"]), bytes.fromhex(fields.get("token", "")))


CODEC = Codec(wire.decodeFrame, wire.encodeFrame, _frame)
VECTORS = messages("socks", "rfc1961-frame")

frames = st.one_of(
    st.just(wire.Frame(wire.MessageType.ABORT)),
    st.builds(
        wire.Frame,
        st.sampled_from([kind for kind in wire.MessageType if kind != wire.MessageType.ABORT]),
        st.one_of(st.binary(min_size=1, max_size=300), st.just(bytes(wire.MAX_TOKEN))),
    ),
)


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    A frame is read, waited for or refused as it should be, however it is cut,
    and is written as it was read.
    """
    checkVector(CODEC, vector)


@given(data=arbitraryOctets(VECTORS))
@settings(deadline=None)
def test_arbitraryOctets(data: bytes) -> None:
    """
    Whatever comes, the decoder raises nothing but its own errors.
    """
    checkOnlyRemoteErrors(wire.decodeFrame, data)


@given(frame=frames, rest=st.binary(max_size=8))
@settings(deadline=None)
def test_roundTrip(frame: wire.Frame, rest: bytes) -> None:
    """
    What has been written is read back, and what follows it is left.
    """
    checkRoundTrip(CODEC, frame, rest)


class FrameTests(SynchronousTestCase):
    """
    Frames of GSSAPI.
    """

    def test_refusedEarly(self) -> None:
        """
        A wrong octet is an error as soon as it is there, not when its frame is
        complete.
        """
        self.assertRaises(BadVersion, wire.decodeFrame, b"\2")
        self.assertRaises(MalformedMessage, wire.decodeFrame, b"\1\0")
        self.assertRaises(MalformedMessage, wire.decodeFrame, b"\1\3\0\0")

    def test_longest(self) -> None:
        """
        The longest frame takes as many octets as has been said.
        """
        longest = wire.Frame(wire.MessageType.DATA, bytes(wire.MAX_TOKEN))
        self.assertEqual(len(wire.encodeFrame(longest)), wire.MAX_FRAME)

    def test_from(self) -> None:
        """
        A frame is read from where it begins, also out of what is still being
        added to.
        """
        first = wire.Frame(wire.MessageType.DATA, b"first")
        second = wire.Frame(wire.MessageType.DATA, b"second")
        data = bytearray(wire.encodeFrame(first) + wire.encodeFrame(second))
        self.assertEqual(wire.decodeFrame(data), (first, 9))
        self.assertEqual(wire.decodeFrame(data, 9), (second, 10))
        self.assertIsNone(wire.decodeFrame(data, 19))
        decoded = wire.decodeFrame(data)
        assert decoded is not None
        self.assertIsInstance(decoded[0].token, bytes)

    def test_repr(self) -> None:
        """
        A token is not shown.
        """
        self.assertNotIn("ticket", repr(wire.Frame(wire.MessageType.AUTHENTICATION, b"ticket")))

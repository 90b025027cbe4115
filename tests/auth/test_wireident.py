"""
Tests for L{socksproxy.auth._wireident}.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth import _wireident as wire
from socksproxy.errors import MalformedMessage, MessageTooLong
from tests.codec import Codec, arbitraryOctets, checkOnlyRemoteErrors, checkVector
from tests.vectors import Vector, messages, nameOf

VECTORS = messages("socks", "ident-reply")


def _read(fields: dict[str, Any]) -> wire.Reply:
    ports = (fields["ports"][0], fields["ports"][1])
    if fields["type"] == "ERROR":
        return wire.ErrorReply(ports, fields["error"])
    return wire.UserIDReply(
        ports, fields["opsys"], fields["charset"], bytes.fromhex(fields["user_hex"])
    )


def _write(reply: wire.Reply) -> bytes:
    """
    Write a reply as an identd does.
    """
    if isinstance(reply, wire.ErrorReply):
        return b"%d, %d : ERROR : %b\r\n" % (*reply.ports, reply.error.encode())
    system = reply.operatingSystem
    if reply.charset is not None:
        system += f" , {reply.charset}"
    return b"%d, %d : USERID : %b : %b\r\n" % (*reply.ports, system.encode(), reply.user)


CODEC = Codec(wire.decodeReply, _write, _read)


def test_allVectors() -> None:
    """
    There are cases to try.
    """
    assert len(VECTORS) == 6


@pytest.mark.parametrize("vector", VECTORS, ids=nameOf)
def test_vector(vector: Vector) -> None:
    """
    A reply is read, waited for or refused as it should be, however it is cut.
    """
    checkVector(CODEC, vector)


@given(data=arbitraryOctets(VECTORS))
@settings(deadline=None)
def test_arbitraryOctets(data: bytes) -> None:
    """
    Whatever comes, the decoder raises nothing but its own errors.
    """
    checkOnlyRemoteErrors(wire.decodeReply, data)


ports = st.tuples(st.integers(0, 65535), st.integers(0, 65535))
systems = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
errors = st.from_regex(r"[A-Z0-9-]{1,64}", fullmatch=True)
# A name neither begins with a blank nor holds what ends a line.
users = (
    st.binary(max_size=512)
    .map(lambda name: name.translate(None, b"\0\r\n").lstrip(b" \t"))
    .filter(bool)
)
replies = st.one_of(
    st.builds(wire.UserIDReply, ports, systems, st.none() | systems, users),
    st.builds(wire.ErrorReply, ports, errors),
)


@given(reply=replies, rest=st.binary(max_size=100))
@settings(deadline=None)
def test_roundTrip(reply: wire.Reply, rest: bytes) -> None:
    """
    What an identd writes is read again as it was, with the user's name octet
    by octet.
    """
    data = _write(reply)
    assert wire.decodeReply(data + rest) == (reply, len(data))


class QueryTests(SynchronousTestCase):
    """
    The question.
    """

    def test_query(self) -> None:
        """
        It is one line of two ports, first that of the host that is asked.
        """
        self.assertEqual(wire.encodeQuery(40000, 1080), b"40000 , 1080\r\n")


class ReplyTests(SynchronousTestCase):
    """
    Replies at the limits of what is one.
    """

    def userOf(self, line: bytes) -> bytes:
        """
        Read a reply that names a user.
        """
        decoded = wire.decodeReply(line)
        assert decoded is not None
        reply, consumed = decoded
        self.assertEqual(consumed, len(line))
        assert isinstance(reply, wire.UserIDReply)
        return reply.user

    def test_lineEnds(self) -> None:
        """
        The end of a line may lack its CR.
        """
        self.assertEqual(self.userOf(b"1,2:USERID:UNIX:alice\n"), b"alice")

    def test_blanks(self) -> None:
        """
        Blanks before a user's name do not count, those after it do.
        """
        self.assertEqual(self.userOf(b" 1 ,\t2 :  USERID : UNIX : \t al ice \r\n"), b"al ice ")

    def test_anyOctets(self) -> None:
        """
        A user's name is octets, not text.
        """
        self.assertEqual(self.userOf(b"1,2:USERID:OTHER:\xff\xfe\x01\r\n"), b"\xff\xfe\x01")

    def test_longest(self) -> None:
        """
        A line may be as long as the limit with its end, and one octet more is
        too much, as soon as it can be known.
        """
        start = b"1,2:USERID:UNIX:"
        room = wire.MAX_REPLY - len(start) - 2
        self.assertEqual(self.userOf(start + b"a" * room + b"\r\n"), b"a" * room)
        self.assertIsNone(wire.decodeReply(start + b"a" * room + b"\r"))
        for rest in (b"", b"\n", b"\r\n"):
            self.assertRaises(MessageTooLong, wire.decodeReply, start + b"a" * room + b"aa" + rest)

    def test_malformed(self) -> None:
        """
        A line that lacks something, or has something that does not belong
        there, is no reply.
        """
        for line in (
            b"",
            b"1,2",
            b"1,2:USERID",
            b"1,2:USERID:UNIX",
            b"1,2:USERID:UNIX:",
            b"1,2:USERID:UNIX: \t ",
            b"1,2:USERID::alice",
            b"1,2:USERID:UNIX,:alice",
            b"1,2:USERID:UN IX:alice",
            b"1,2:USERID:\xff:alice",
            b"1,2:USERID:UNIX:al\0ice",
            b"1,2:USERID:UNIX:al\rice",
            b"1,2:ERROR:",
            b"1,2:ERROR:NO USER",
            b"1,2:userid:UNIX:alice",
            b"1,2:HELLO:UNIX:alice",
            b"1 2:USERID:UNIX:alice",
            b"1,:USERID:UNIX:alice",
            b",2:USERID:UNIX:alice",
            b"-1,2:USERID:UNIX:alice",
            b"+1,2:USERID:UNIX:alice",
            b"1,65536:USERID:UNIX:alice",
            b"1,000002:USERID:UNIX:alice",
            b"\xd9\xa1,2:USERID:UNIX:alice",
            b"1,2,3:USERID:UNIX:alice",
        ):
            self.assertRaises(MalformedMessage, wire.decodeReply, line + b"\r\n")

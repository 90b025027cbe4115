"""
Tests for L{socksproxy.http._authorization}.
"""

from __future__ import annotations

from base64 import b64encode
from traceback import format_exception

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.errors import MalformedMessage
from socksproxy.http._authorization import basicCredentials
from socksproxy.http._connect import basicAuthorization

NAME = b"Proxy-Authorization"
ALICE = b"YWxpY2U6czNjcmV0"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Basic " + ALICE, (b"alice", b"s3cret")),
        (b"basic " + ALICE, (b"alice", b"s3cret")),
        (b"BASIC   " + ALICE, (b"alice", b"s3cret")),
        (b"Basic Og==", (b"", b"")),
        (b"Basic Og", (b"", b"")),
        (b"Basic YTo=", (b"a", b"")),
        (b"Basic YTo", (b"a", b"")),
        (b"Basic YTpiOmM=", (b"a", b"b:c")),
        (b"Basic " + b64encode("\u00fc:\u20ac".encode()), ("\u00fc".encode(), "\u20ac".encode())),
        (b"Basic " + b64encode(b"\xfc:\xff"), (b"\xfc", b"\xff")),
        (b"Basic " + b64encode(b" a : b "), (b" a ", b" b ")),
    ],
)
def test_credentials(value: bytes, expected: tuple[bytes, bytes]) -> None:
    """
    User name and password are split at the first colon.
    """
    assert basicCredentials([(b"Host", b"a"), (NAME.lower(), value)]) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic:" + ALICE,
        b"Basic\t" + ALICE,
        b"Basic" + ALICE,
        b"Basic ???",
        b"Basic " + ALICE + b"=",
        b"Basic " + ALICE + b" ",
        b"Basic " + ALICE + b", Basic " + ALICE,
        b"Basic " + ALICE[:8] + b" " + ALICE[8:],
        b"Basic YTo==",
        b"Basic YTo=YTo=",
        b"Basic Og=",
        b"Basic Og===",
        b"Basic Oh==",
        b"Basic Oh",
        b"Basic A",
        b"Basic =",
        b"Basic YWxpY2U",
        b"Basic _-_-",
        b"Basic " + b64encode(b"a\0:b"),
        b"Basic " + b64encode(b"a:b\r\n"),
        b"Basic " + b64encode(b"a:\x7f"),
        b"Bearer " + ALICE,
        b"Digest username=a",
        b"Negotiate " + ALICE,
    ],
)
def test_malformed(value: bytes) -> None:
    """
    What is not exactly that is malformed, and nothing of it is told.
    """
    with pytest.raises(MalformedMessage) as raised:
        basicCredentials([(NAME, value)])
    assert str(raised.value).startswith("not ")
    assert "YWxp" not in "".join(format_exception(raised.value)).partition("MalformedMessage")[2]


def test_twice() -> None:
    """
    One who says it twice has not said it.
    """
    with pytest.raises(MalformedMessage):
        basicCredentials([(NAME, b"Basic " + ALICE), (NAME.upper(), b"Basic " + ALICE)])


def test_nothing() -> None:
    """
    Authorization is for an origin, and says nothing here.
    """
    assert basicCredentials([]) is None
    assert basicCredentials([(b"Authorization", b"Basic " + ALICE)]) is None


@given(
    st.binary(max_size=40).filter(lambda name: b":" not in name and min(name, default=32) >= 32),
    st.binary(max_size=40).filter(lambda word: min(word, default=32) >= 32),
)
def test_roundTrip(username: bytes, password: bytes) -> None:
    """
    What our own client says is understood.
    """
    if b"\x7f" not in username + password:
        assert basicCredentials([basicAuthorization(username, password)]) == (username, password)

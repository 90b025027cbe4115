"""
Tests for L{socksproxy.kcp._xor}.
"""

import hashlib
import os

import pytest

from socksproxy.errors import LocalProtocolError
from socksproxy.kcp._xor import LONGEST, XORCipher, xorTable
from tests.vectors import document

TABLE = document("kcp_vectors")["xor_table"]
KEY = bytes.fromhex(TABLE["key"])


def test_table() -> None:
    """
    The table is that of kcp-go.
    """
    table = xorTable(KEY)
    assert len(table) == TABLE["length"] == LONGEST
    assert table[:64].hex() == TABLE["first64"]
    assert hashlib.sha256(table).hexdigest() == TABLE["sha256"]


def test_mixed() -> None:
    """
    Every octet is mixed with the one of the table that stands at its place,
    the nonce too.
    """
    (sealed,) = XORCipher("xor", KEY, bytes).seal([bytes(1480)])
    table = xorTable(KEY)
    assert sealed[:16] == table[:16]
    assert sealed[20:] == table[20:]


def test_longest() -> None:
    """
    A datagram that is as long as the table is sealed and opened.
    """
    cipher = XORCipher("xor", KEY, os.urandom)
    payloads = [os.urandom(1480), os.urandom(1)]
    sealed = cipher.seal(payloads)
    assert len(sealed[0]) == LONGEST
    assert cipher.open(sealed) == payloads


def test_sealTooLong() -> None:
    """
    A payload that the table is too short for is refused together with those
    around it, and takes no randomness.
    """

    def random(size: int) -> bytes:
        raise AssertionError("asked for randomness")

    with pytest.raises(LocalProtocolError, match="1480"):
        XORCipher("xor", KEY, random).seal([b"short", bytes(1481)])


def test_openTooLong() -> None:
    """
    A datagram that is longer than the table is not opened, whatever it holds,
    and those around it are.
    """
    cipher = XORCipher("xor", KEY, os.urandom)
    (good,) = cipher.seal([bytes(1480)])
    assert cipher.open([good, good + b"a", bytes(65535), good]) == [
        bytes(1480),
        None,
        None,
        bytes(1480),
    ]

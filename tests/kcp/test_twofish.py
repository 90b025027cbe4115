"""
Tests for L{socksproxy.kcp._twofish}.

The cases are those that were published with Twofish, for keys of 256 bits.
"""

import os

import pytest

from socksproxy.kcp._twofish import Twofish

CASES = [
    (bytes(32), bytes(16), "57ff739d4dc92c1bd7fc01700cc8216f"),
    (
        bytes.fromhex("0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff"),
        bytes(16),
        "37527be0052334b89f0cfccae87cfa20",
    ),
]


@pytest.mark.parametrize(("key", "plain", "encrypted"), CASES)
def test_published(key: bytes, plain: bytes, encrypted: str) -> None:
    """
    A block is encrypted as published.
    """
    assert Twofish(key).encrypt(plain).hex() == encrypted


def test_publishedSequence() -> None:
    """
    So is a sequence in which each block is the result of the one before, and
    the key is made of the two before that.
    """
    key, plain = bytes(32), bytes(16)
    for _ in range(49):
        encrypted = Twofish(key).encrypt(plain)
        key, plain = plain + key[:16], encrypted
    assert encrypted.hex() == "37fe26ff1cf66175f5ddf4c33b97a205"


def test_manyBlocks() -> None:
    """
    Any number of blocks gives what each gives by itself, the extreme ones
    side by side.
    """
    cipher = Twofish(os.urandom(32))
    for count in (2, 3, 64, 65, 300, 2):
        blocks = [os.urandom(16) for _ in range(count)]
        blocks[0], blocks[-1] = b"\xff" * 16, bytes(16)
        expected = [cipher.encrypt(block) for block in blocks]
        assert cipher.encrypt(b"".join(blocks)) == b"".join(expected)

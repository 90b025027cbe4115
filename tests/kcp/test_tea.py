"""
Tests for L{socksproxy.kcp._tea}.

The cases are published ones, in which TEA has its 32 cycles.
"""

import os
import random

import pytest

from socksproxy.kcp._tea import TEA, XTEA


class FullTEA(TEA):
    """
    TEA as it was made.
    """

    cycles = 32


TEA_CASES = [
    ("00000000000000000000000000000000", "0000000000000000", "41ea3a0a94baa940"),
    ("ffffffffffffffffffffffffffffffff", "ffffffffffffffff", "319bbefb016abdb2"),
]

XTEA_CASES = [
    ("00000000000000000000000000000000", "0000000000000000", "dee9d4d8f7131ed9"),
    ("000102030405060708090a0b0c0d0e0f", "4142434445464748", "497df3d072612cb5"),
    ("000102030405060708090a0b0c0d0e0f", "4141414141414141", "e78f2d13744341d8"),
    ("000102030405060708090a0b0c0d0e0f", "5a5b6e278948d77f", "4141414141414141"),
    ("00000000000000000000000000000000", "4142434445464748", "a0390589f8b8efa5"),
    ("00000000000000000000000000000000", "4141414141414141", "ed23375a821a8c2d"),
]


@pytest.mark.parametrize(("key", "plain", "encrypted"), TEA_CASES)
def test_tea(key: str, plain: str, encrypted: str) -> None:
    """
    A block is encrypted as published.
    """
    cipher = FullTEA(bytes.fromhex(key))
    assert cipher.encrypt(bytes.fromhex(plain)).hex() == encrypted


@pytest.mark.parametrize(("key", "plain", "encrypted"), XTEA_CASES)
def test_xtea(key: str, plain: str, encrypted: str) -> None:
    """
    A block is encrypted as published.
    """
    cipher = XTEA(bytes.fromhex(key))
    assert cipher.encrypt(bytes.fromhex(plain)).hex() == encrypted


@pytest.mark.parametrize("make", [TEA, FullTEA, XTEA])
def test_manyBlocks(make: type[TEA] | type[XTEA]) -> None:
    """
    Any number of blocks gives what each gives by itself, the extreme ones
    side by side.
    """
    cipher = make(os.urandom(16))
    for count in (1, 2, 3, 64, 65, 300, 2):
        blocks = [
            random.choice((bytes(8), b"\xff" * 8, os.urandom(8), os.urandom(4) + b"\xff" * 4))
            for _ in range(count)
        ]
        expected = [cipher.encrypt(block) for block in blocks]
        assert cipher.encrypt(b"".join(blocks)) == b"".join(expected)


@pytest.mark.parametrize("make", [TEA, XTEA])
def test_extremeKey(make: type[TEA] | type[XTEA]) -> None:
    """
    A key whose words are as large as they can be carries nothing from a block
    into another.
    """
    cipher = make(b"\xff" * 16)
    blocks = [b"\xff" * 8, bytes(8), b"\xff" * 8, b"\x80" + bytes(7), b"\xff" * 8]
    expected = [cipher.encrypt(block) for block in blocks]
    assert cipher.encrypt(b"".join(blocks)) == b"".join(expected)

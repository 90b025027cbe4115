"""
Tests for L{socksproxy.kcp._salsa20}.

The key streams are those of the test vectors for eSTREAM, with keys of 256
bits.
"""

import os
import struct

import pytest

from socksproxy.kcp._lanes import MOST
from socksproxy.kcp._salsa20 import BLOCK, Salsa20, Salsa20Cipher

SET1 = (
    "80" + "00" * 31,
    "0000000000000000",
    {
        0: "e3be8fdd8beca2e3ea8ef9475b29a6e7003951e1097a5c38d23b7a5fad9f6844"
        "b22c97559e2723c7cbbd3fe4fc8d9a0744652a83e72a9c461876af4d7ef1a117",
        3: "57be81f47b17d9ae7c4ff15429a73e10acf250ed3a90a93c711308a74c6216a9"
        "ed84cd126da7f28e8abf8bb63517e1ca98e712f4fb2e1a6aed9fdc73291faa17",
        4: "958211c4ba2ebd5838c635edb81f513a91a294e194f1c039aeec657dce40aa7e"
        "7c0af57cacefa40c9f14b71a4b3456a63e162ec7d8d10b8ffb1810d71001b618",
        7: "696afcfd0cddcc83c7e77f11a649d79acdc3354e9635ff137e929933a0bd6f53"
        "77efa105a3a4266b7c0d089d08f1e855cc32b15b93784a36e56a76cc64bc8477",
    },
)


def counters(*numbers: int) -> bytes:
    """
    Write numbers of blocks.
    """
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def test_published() -> None:
    """
    The key stream is as published, at every place of it.
    """
    key, nonce, blocks = SET1
    stream = Salsa20(bytes.fromhex(key)).stream(
        bytes.fromhex(nonce) * len(blocks), counters(*blocks)
    )
    assert [stream[at : at + BLOCK].hex() for at in range(0, len(stream), BLOCK)] == [
        *blocks.values()
    ]


@pytest.mark.parametrize("counter", [0, 1, 2**32 - 1, 2**32, 2**63])
def test_anyCounter(counter: int) -> None:
    """
    The number of a block is one of 64 bits, all of which count.
    """
    salsa, nonce = Salsa20(os.urandom(32)), os.urandom(8)
    many = salsa.stream(nonce * 3, counters(counter, 5, counter ^ 1 << 32))
    assert many[:BLOCK] == salsa.stream(nonce, counters(counter))
    assert len({many[at : at + BLOCK] for at in range(0, len(many), BLOCK)}) == 3


def test_manyBlocks() -> None:
    """
    Any number of blocks, of any nonces, gives what each gives by itself.
    """
    salsa = Salsa20(os.urandom(32))
    nonces = [os.urandom(8) for _ in range(70)]
    nonces[1], nonces[2] = b"\xff" * 8, bytes(8)
    expected = [salsa.stream(nonce, counters(number)) for number, nonce in enumerate(nonces)]
    assert salsa.stream(b"".join(nonces), counters(*range(70))) == b"".join(expected)


def test_nonceInClear() -> None:
    """
    The first half of the nonce is sent as it is, and the key stream starts
    behind it.
    """
    key, nonce, blocks = SET1
    cipher = Salsa20Cipher("salsa20", bytes.fromhex(key), bytes)
    (sealed,) = cipher.seal([bytes(24)])
    stream = bytes.fromhex(blocks[0])
    assert sealed[:8] == bytes.fromhex(nonce)
    assert sealed[8:16] == stream[:8]
    assert sealed[20:] == stream[12:36]


def test_inPortions(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However much comes at a time, no more than so many blocks are worked on
    together.
    """
    cipher = Salsa20Cipher("salsa20", bytes(32), os.urandom)
    payloads = [os.urandom(length) for length in (65487, 30, 40000, 1350)]
    sizes: list[int] = []
    stream = Salsa20.stream

    def counting(self: Salsa20, nonces: bytes, numbers: bytes) -> bytes:
        sizes.append(len(nonces) // 8)
        return stream(self, nonces, numbers)

    monkeypatch.setattr(Salsa20, "stream", counting)
    sealed = cipher.seal(payloads)
    assert sizes == [MOST, sum(sizes) - MOST]
    assert [payload for each in sealed for payload in cipher.open([each])] == payloads

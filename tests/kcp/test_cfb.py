"""
Tests for L{socksproxy.kcp._cfb}.
"""

import os
import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, Blowfish, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB

from socksproxy.kcp._cfb import FIXED_IV, CarriedCFB, SteppedCFB, transposed
from socksproxy.kcp._lanes import MOST
from socksproxy.kcp._packets import ChecksummedCipher, Unencrypted
from tests.vectors import document

ALGORITHMS: dict[str, Callable[[], BlockCipherAlgorithm]] = {
    "aes": lambda: AES(bytes(range(32))),
    "aes-128": lambda: AES(bytes(range(16))),
    "aes-192": lambda: AES(bytes(range(24))),
    "sm4": lambda: SM4(bytes(range(16))),
    "blowfish": lambda: Blowfish(bytes(range(32))),
    "cast5": lambda: CAST5(bytes(range(16))),
    "3des": lambda: TripleDES(bytes(range(24))),
}


class InBlocks:
    """
    A block cipher of OpenSSL's in the form of those that are written in
    Python.

    @ivar counts: How many blocks it was given each time.
    """

    def __init__(self, algorithm: BlockCipherAlgorithm) -> None:
        self.blockOctets = algorithm.block_size // 8
        self._encryptor = Cipher(algorithm, ECB()).encryptor()
        self.counts: list[int] = []

    def encrypt(self, blocks: bytes) -> bytes:
        """
        Encrypt whole blocks.
        """
        count, rest = divmod(len(blocks), self.blockOctets)
        assert rest == 0
        assert count > 0
        self.counts.append(count)
        return self._encryptor.update(blocks)


def carried(name: str) -> ChecksummedCipher:
    """
    Make a cipher that OpenSSL does all of.
    """
    return CarriedCFB(name, ALGORITHMS[name](), os.urandom)


def stepped(name: str) -> ChecksummedCipher:
    """
    Make a cipher of which OpenSSL does the blocks only.
    """
    return SteppedCFB(name, InBlocks(ALGORITHMS[name]()), os.urandom)


def alone(name: str, octets: bytes, decrypt: bool) -> bytes:
    """
    Encrypt or decrypt one datagram in a context of its own, from the IV.
    """
    algorithm = ALGORITHMS[name]()
    cipher = Cipher(algorithm, CFB(FIXED_IV[: algorithm.block_size // 8]))
    context = cipher.decryptor() if decrypt else cipher.encryptor()
    return context.update(octets) + context.finalize()


# To make and to read what is inside the encryption.
PLAIN = Unencrypted("none", os.urandom)


def lengthsOf(seed: int) -> list[int]:
    """
    Give lengths of payloads for a batch, in no order.
    """
    source = random.Random(seed)
    return [source.choice((0, 1, 24, 44, 100, 1350, source.randrange(1500))) for _ in range(20)]


def test_fixedIV() -> None:
    """
    The IV is that of kcp-go.
    """
    assert document("kcp_vectors")["fixed_iv"] == FIXED_IV.hex()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("make", [carried, stepped])
def test_sealed(name: str, make: Callable[[str], ChecksummedCipher]) -> None:
    """
    Each datagram of each batch can be read by one who starts with the IV.
    """
    cipher = make(name)
    for seed in range(4):
        payloads = [os.urandom(length) for length in lengthsOf(seed)]
        sealed = cipher.seal(payloads)
        assert PLAIN.open([alone(name, each, True) for each in sealed]) == payloads


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("make", [carried, stepped])
def test_opened(name: str, make: Callable[[str], ChecksummedCipher]) -> None:
    """
    What was written by one who starts with the IV is opened, in batches with
    noise of any length.
    """
    cipher = make(name)
    for seed in range(4):
        payloads: list[bytes | None] = []
        datagrams = []
        for length in lengthsOf(seed):
            payload = os.urandom(length)
            (plain,) = PLAIN.seal([payload])
            datagrams += [alone(name, plain, False), os.urandom(length % 67)]
            payloads += [payload, None]
        assert cipher.open(datagrams) == payloads


@pytest.mark.parametrize("name", ALGORITHMS)
def test_firstOneExactly(name: str) -> None:
    """
    The first datagram is encrypted from the IV; those after it differ from
    that in their first block alone, which is random, and in what follows from
    it. By itself C{SteppedCFB} starts each with the IV.
    """
    zeros = [bytes(100)] * 3
    plain = Unencrypted("none", bytes).seal(zeros)[0]
    exact = alone(name, plain, False)
    algorithm = ALGORITHMS[name]()
    first, *others = CarriedCFB(name, algorithm, bytes).seal(zeros)
    assert first == exact
    assert len({first, *others}) == 3
    assert SteppedCFB(name, InBlocks(algorithm), bytes).seal(zeros) == [exact] * 3


def test_sharesNoKeyStream() -> None:
    """
    Equal payloads, with equal nonces even, do not begin alike in a batch of
    one context.
    """
    sealed = CarriedCFB("aes", ALGORITHMS["aes"](), bytes).seal([bytes(50)] * 64)
    assert len({datagram[16:24] for datagram in sealed}) == 64


@pytest.mark.parametrize("name", ["aes", "3des"])
def test_inPortions(name: str) -> None:
    """
    However much comes at a time, no more than so many blocks are worked on
    together.
    """
    blocks = InBlocks(ALGORITHMS[name]())
    cipher = SteppedCFB(name, blocks, os.urandom)
    payloads = [os.urandom(length) for length in (65487, 30, 40000, 1350)]
    assert cipher.open(carried(name).seal(payloads)) == payloads
    assert len(blocks.counts) > 1
    assert set(blocks.counts[:-1]) == {MOST}
    assert 0 < blocks.counts[-1] <= MOST


def test_endedOnesAreLeftOut() -> None:
    """
    A short payload in a batch with a long one costs no more than its length.
    """
    blocks = InBlocks(ALGORITHMS["aes"]())
    SteppedCFB("aes", blocks, os.urandom).seal([bytes(12), bytes(44), bytes(13), bytes(28)])
    assert blocks.counts == [4, 4, 3, 1]


@pytest.mark.parametrize("size", [8, 16])
def test_transposed(size: int) -> None:
    """
    Columns become rows, and rows again.
    """
    elements = [bytes([number]) * size for number in range(15)]
    matrix = b"".join(elements)
    turned = transposed(matrix, 3, size)
    assert turned == b"".join(elements[row * 5 + column] for column in range(5) for row in range(3))
    assert transposed(turned, 5, size) == matrix

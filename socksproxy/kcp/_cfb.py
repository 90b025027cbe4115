"""
CFB as kcp-go has it: full blocks, a short one at the end, and every datagram
from one fixed IV.

A context of OpenSSL costs several times as much as encrypting a datagram with
it, and one call for many datagrams less than one for each. Two properties of
CFB let one context serve them all:

  - What a block is encrypted with depends on the block before it alone. In
    front of each received datagram the IV is put, as if it were a block: all
    behind it is decrypted as from the start.

  - The first block of a datagram to be sent is random. Mixed with whatever
    the datagrams before have left behind instead of with the encrypted IV, it
    is just as random; the receiver, who gets some other nonce by it, does not
    look at that, and all further blocks depend on what was sent.

So contexts are never reset, and are fed with whole blocks only: padding that
nobody sees fills the last one.
"""

from collections.abc import Sequence
from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher

from socksproxy.kcp._lanes import MOST, xored
from socksproxy.kcp._packets import NONCE, OVERHEAD, ChecksummedCipher, Random

FIXED_IV = bytes.fromhex("a7734f9c12ac1b01a415f2c1fc78e66b")
"""
Of which a cipher with smaller blocks takes the start.
"""


class CarriedCFB(ChecksummedCipher):
    """
    A block cipher that OpenSSL has.
    """

    def __init__(self, name: str, algorithm: BlockCipherAlgorithm, random: Random) -> None:
        """
        @raise UnsupportedAlgorithm: This OpenSSL does not have it.
        """
        super().__init__(name, random)
        self._size = algorithm.block_size // 8
        self._iv = FIXED_IV[: self._size]
        self._padding = [bytes(-length % self._size) for length in range(self._size)]
        cipher = Cipher(algorithm, CFB(self._iv))
        self._encryptor = cipher.encryptor()
        self._decryptor = cipher.decryptor()

    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        size, padding = self._size, self._padding
        parts: list[bytes] = []
        add = parts.append
        for head, payload in zip(heads, payloads, strict=True):
            add(head)
            add(payload)
            add(padding[(OVERHEAD + len(payload)) % size])
        sealed = self._encryptor.update(b"".join(parts))
        datagrams = []
        at = 0
        for payload in payloads:
            end = at + OVERHEAD + len(payload)
            datagrams.append(sealed[at:end])
            at = end + -end % size
        return datagrams

    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        size, padding, iv = self._size, self._padding, self._iv
        parts: list[bytes] = []
        add = parts.append
        starts = []
        at = size + NONCE
        for datagram in datagrams:
            length = len(datagram)
            add(iv)
            add(datagram)
            add(padding[length % size])
            starts.append(at)
            at += size + length + -length % size
        return self._decryptor.update(b"".join(parts)), starts


class BlockCipher(Protocol):
    """
    A block cipher that is written in Python, with its key.

    @cvar blockOctets: Octets of a block, a multiple of 8.
    """

    blockOctets: int

    def encrypt(self, blocks: bytes) -> bytes:
        """
        Encrypt blocks, each by itself: many at once are many times as fast as
        one by one.

        @param blocks: Whole blocks, one or more.
        """


class SteppedCFB(ChecksummedCipher):
    """
    A block cipher in Python, which makes it B{slow}. To be received, all
    blocks of a batch are encrypted at once; to be sent, the first blocks of
    all datagrams, then all the second ones, and so on, so that a datagram
    that is sent alone costs many times what it costs among others.
    """

    def __init__(self, name: str, cipher: BlockCipher, random: Random) -> None:
        super().__init__(name, random)
        self._cipher = cipher
        self._size = cipher.blockOctets
        self._iv = FIXED_IV[: self._size]

    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        size, encrypt = self._size, self._cipher.encrypt
        plain = [b"".join(both) for both in zip(heads, payloads, strict=True)]
        # The longest first: those with blocks left are then at the front.
        order = sorted(range(len(plain)), key=lambda index: len(plain[index]), reverse=True)
        rows = len(order)
        longest = len(plain[order[0]])
        longest += -longest % size
        columns = transposed(
            b"".join([plain[index].ljust(longest, b"\0") for index in order]), rows, size
        )
        chained = bytearray(len(columns))
        feedback = self._iv * rows
        left = rows
        for step in range(longest // size):
            while len(plain[order[left - 1]]) <= step * size:
                left -= 1
            at = step * rows * size
            used = left * size
            feedback = xored(columns[at : at + used], encrypt(feedback[:used]))
            chained[at : at + used] = feedback
        sealed = transposed(chained, longest // size, size)
        datagrams = [b""] * rows
        for row, index in enumerate(order):
            at = row * longest
            datagrams[index] = sealed[at : at + len(plain[index])]
        return datagrams

    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        size, encrypt, iv = self._size, self._cipher.encrypt, self._iv
        before: list[bytes] = []
        parts: list[bytes] = []
        starts = []
        at = NONCE
        for datagram in datagrams:
            length = len(datagram)
            starts.append(at)
            if not length:
                continue
            padding = -length % size
            before += (iv, datagram[: length + padding - size])
            parts += (datagram, bytes(padding))
            at += length + padding
        chain = b"".join(before)
        stream = [encrypt(chain[at : at + MOST * size]) for at in range(0, len(chain), MOST * size)]
        return xored(b"".join(parts), b"".join(stream)), starts


def transposed(matrix: bytes | bytearray, rows: int, size: int) -> bytes:
    """
    Give the columns of a matrix as rows.

    @param matrix: Its elements, row after row.
    @param rows: How many rows it has.
    @param size: Octets of an element, a multiple of 8.
    """
    turned = bytearray(len(matrix))
    source = memoryview(matrix).cast("Q")
    target = memoryview(turned).cast("Q")
    units = size // 8
    width = len(source) // rows
    for row in range(rows):
        for unit in range(units):
            target[row * units + unit :: rows * units] = source[
                row * width + unit : (row + 1) * width : units
            ]
    return bytes(turned)

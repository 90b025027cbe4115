"""
Tests for L{socksproxy.kcp._packets}.
"""

from collections.abc import Sequence
from zlib import crc32

from socksproxy.kcp._packets import ChecksummedCipher, Unencrypted, Unsealed

NONCES = bytes(range(32))


class Elsewhere(ChecksummedCipher):
    """
    Does not encrypt, and has what it has decrypted in another order, with
    other octets around it.
    """

    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        return [head + payload for head, payload in zip(heads, payloads, strict=True)]

    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        plain = b"before"
        starts = []
        for datagram in reversed(datagrams):
            starts.append(len(plain))
            plain += datagram[16:]
        return plain, starts[::-1]


def test_form() -> None:
    """
    In front of a payload are its nonce and its checksum, little-endian.
    """
    sealed = Unencrypted("none", lambda size: NONCES[:size]).seal([b"one", b""])
    checksum = crc32(b"one").to_bytes(4, "little")
    assert sealed == [NONCES[:16] + checksum + b"one", NONCES[16:] + bytes(4)]


def test_nonceIsNotLookedAt() -> None:
    """
    Any nonce will do.
    """
    cipher = Unencrypted("none", bytes)
    (sealed,) = cipher.seal([b"payload"])
    assert cipher.open([b"\xff" * 16 + sealed[16:]]) == [b"payload"]


def test_decryptedElsewhere() -> None:
    """
    A payload is taken from where its cipher says that it is.
    """
    cipher = Elsewhere("elsewhere", bytes)
    good = cipher.seal([b"one", b"", b"three"])
    assert cipher.open(good) == [b"one", b"", b"three"]
    assert cipher.open([good[0], b"", good[1][:19], good[2]]) == [b"one", None, None, b"three"]


def test_doesNotAuthenticate() -> None:
    """
    A checksum is no authentication, and neither is nothing.
    """
    assert not Unencrypted("none", bytes).authenticates
    assert not Unsealed("null").authenticates


def test_unsealedCopies() -> None:
    """
    The lists are the caller's own.
    """
    payloads = [b"payload"]
    cipher = Unsealed("null")
    assert cipher.seal(payloads) is not payloads
    assert cipher.open(payloads) is not payloads

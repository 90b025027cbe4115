"""
Tests for L{socksproxy.kcp._gcm}.
"""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from socksproxy.kcp._gcm import NONCE, OVERHEAD, GCMCipher

KEY = bytes(range(16))


def test_form() -> None:
    """
    The nonce is in front, the tag is behind, and nothing else is covered.
    """
    nonces = os.urandom(2 * NONCE)
    payloads = [b"payload", b""]
    sealed = GCMCipher("aes-128-gcm", KEY, lambda size: nonces[:size]).seal(payloads)
    assert [len(datagram) for datagram in sealed] == [OVERHEAD + 7, OVERHEAD]
    assert [datagram[:NONCE] for datagram in sealed] == [nonces[:NONCE], nonces[NONCE:]]
    for payload, datagram in zip(payloads, sealed, strict=True):
        assert AESGCM(KEY).decrypt(datagram[:NONCE], datagram[NONCE:], None) == payload


def test_openFromElsewhere() -> None:
    """
    What somebody else sealed is opened; with associated data it is not.
    """
    nonce = os.urandom(NONCE)
    bare = nonce + AESGCM(KEY).encrypt(nonce, b"payload", None)
    associated = nonce + AESGCM(KEY).encrypt(nonce, b"payload", b"more")
    cipher = GCMCipher("aes-128-gcm", KEY, os.urandom)
    assert cipher.open([associated, bare]) == [None, b"payload"]


def test_authenticates() -> None:
    """
    No octet can be changed, none can be taken away and none added.
    """
    cipher = GCMCipher("aes-128-gcm", KEY, os.urandom)
    assert cipher.authenticates
    (good,) = cipher.seal([b"payload"])
    changed = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
    cut = [good[:length] for length in range(len(good))]
    assert cipher.open([*changed, *cut, good + b"\0"]) == [None] * (2 * len(good) + 1)

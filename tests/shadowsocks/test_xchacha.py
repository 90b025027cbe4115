"""
Tests for L{socksproxy.shadowsocks._xchacha}.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.shadowsocks._xchacha import NONCE, HChaCha20, XChaCha20Poly1305
from tests.vectors import document

KEY = bytes(range(32))
OTHER_NONCE = bytes(range(100, 116))


class TestHChaCha20(SynchronousTestCase):
    """
    Tests for L{HChaCha20}.
    """

    def test_vector(self) -> None:
        """
        It makes the key that the draft has, before and after others.
        """
        (vector,) = document("shadowsocks_vectors")["kdf"]["hchacha20"]
        keys = HChaCha20(bytes.fromhex(vector["key"]))
        nonce = bytes.fromhex(vector["nonce16"])
        for _ in range(3):
            self.assertEqual(keys.subkey(nonce).hex(), vector["subkey"])
            self.assertNotEqual(keys.subkey(OTHER_NONCE).hex(), vector["subkey"])


class TestXChaCha20Poly1305(SynchronousTestCase):
    """
    Tests for L{XChaCha20Poly1305}.
    """

    def test_draft(self) -> None:
        """
        It seals the message of the draft as that has it.

        @see: U{https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03#appendix-A.3.1}
        """
        cipher: Any = XChaCha20Poly1305(bytes(range(0x80, 0xA0)))
        sealed = cipher.encrypt(
            bytes(range(0x40, 0x58)),
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip"
            b" for the future, sunscreen would be it.",
            bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
        )
        self.assertEqual(
            sealed.hex(),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52e"
            "c0875924c1c7987947deafd8780acf49",
        )

    def test_nonce(self) -> None:
        """
        Every octet of the nonce counts.
        """
        cipher = XChaCha20Poly1305(KEY)
        sealed = cipher.encrypt(bytes(NONCE), b"data", None)
        for at in range(NONCE):
            nonce = bytearray(NONCE)
            nonce[at] = 1
            with self.assertRaises(InvalidTag):
                cipher.decrypt(bytes(nonce), sealed, None)

    def test_secret(self) -> None:
        """
        Neither object shows its key.
        """
        for shown in (repr(XChaCha20Poly1305(KEY)), repr(HChaCha20(KEY))):
            self.assertNotIn(repr(KEY), shown)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=24, max_size=24), st.binary())
def test_roundTrip(key: bytes, nonce: bytes, data: bytes) -> None:
    """
    What is sealed with a key opens with the same key.
    """
    sealed = XChaCha20Poly1305(key).encrypt(nonce, data, None)
    assert XChaCha20Poly1305(key).decrypt(nonce, sealed, None) == data

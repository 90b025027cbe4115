"""
Tests for L{socksproxy.shadowsocks._methods}.
"""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks._methods import ALIASES, METHODS, NONCE, TAG, methodNamed

REFUSED = [
    *("aes-128-cfb", "aes-256-ctr", "rc4", "rc4-md5", "chacha20", "chacha20-ietf", "salsa20"),
    *("bf-cfb", "camellia-256-cfb", "table", "none", "plain", "auth_aes128_md5", "obfs"),
    *("tls1.2_ticket_auth", "aes-192-gcm", "xchacha20-ietf-poly1305"),
]


@pytest.mark.parametrize("name", METHODS)
def test_sealsAndOpens(name: str) -> None:
    """
    Every method has a cipher for keys of its length, which notices changes.
    """
    method = METHODS[name]
    cipher = method.aead(bytes(method.keyLength))
    nonce = bytes(NONCE)
    sealed = cipher.encrypt(nonce, b"secret", None)
    assert len(sealed) == len(b"secret") + TAG
    assert cipher.decrypt(nonce, sealed, None) == b"secret"
    with pytest.raises(InvalidTag):
        cipher.decrypt(nonce, bytes([sealed[0] ^ 1]) + sealed[1:], None)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """
    What does not authenticate is refused by name, with a reason and with what
    to take instead.
    """
    with pytest.raises(ConfigurationError) as caught:
        methodNamed(name.upper())
    text = str(caught.value)
    assert name in text
    assert "2022-blake3-aes-256-gcm" in text
    assert "aes-256-gcm" in text.replace("2022-blake3-aes-256-gcm", "")


class TestMethods(SynchronousTestCase):
    """
    Tests for what a method is.
    """

    def test_lengths(self) -> None:
        """
        Keys and salts have 16 octets with AES-128, and 32 with the others.
        """
        lengths = {name: method.keyLength for name, method in METHODS.items()}
        self.assertEqual(
            lengths,
            {
                "2022-blake3-aes-128-gcm": 16,
                "2022-blake3-aes-256-gcm": 32,
                "2022-blake3-chacha20-poly1305": 32,
                "aes-128-gcm": 16,
                "aes-256-gcm": 32,
                "chacha20-ietf-poly1305": 32,
            },
        )
        for method in METHODS.values():
            self.assertEqual(method.saltLength, method.keyLength)

    def test_editions(self) -> None:
        """
        Those of 2022 have longer chunks, and identity headers where there is a
        block cipher.
        """
        for name, method in METHODS.items():
            self.assertEqual(method.edition2022, name.startswith("2022-"))
            self.assertEqual(method.chunkLimit, 0xFFFF if method.edition2022 else 0x3FFF)
        self.assertEqual(
            [name for name, method in METHODS.items() if method.identityHeaders],
            ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"],
        )


class TestMethodNamed(SynchronousTestCase):
    """
    Tests for C{methodNamed}.
    """

    def test_anyCase(self) -> None:
        """
        A name may be in upper case.
        """
        for name, method in METHODS.items():
            self.assertIs(methodNamed(name), method)
            self.assertIs(methodNamed(f" {name.upper()}"), method)

    def test_aliases(self) -> None:
        """
        The names of the registry, and one that is short, mean the same.
        """
        self.assertEqual(
            {alias: methodNamed(alias).name for alias in ALIASES},
            {
                "aead_aes_128_gcm": "aes-128-gcm",
                "aead_aes_256_gcm": "aes-256-gcm",
                "aead_chacha20_poly1305": "chacha20-ietf-poly1305",
                "chacha20-poly1305": "chacha20-ietf-poly1305",
            },
        )

    def test_suggests(self) -> None:
        """
        A name that is nearly one is corrected.
        """
        error = self.assertRaises(ConfigurationError, methodNamed, "aes-256-gmc")
        self.assertIn("did you mean aes-256-gcm?", str(error))

    def test_hidesWhatIsNoName(self) -> None:
        """
        What looks like no name may be a password, and is not repeated.
        """
        error = self.assertRaises(ConfigurationError, methodNamed, "hunter2-Secret")
        self.assertNotIn("hunter2", str(error).lower())
        self.assertIn("chacha20-ietf-poly1305", str(error))

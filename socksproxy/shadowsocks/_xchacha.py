"""
XChaCha20-Poly1305: ChaCha20-Poly1305 with nonces that are long enough to be
drawn at random.

Most of the nonce goes into a key of its own for each message, by HChaCha20. That
is the same mixing as of a block of ChaCha20, but that the words of the start are
not added at the end. The library has only the whole, so what it has added is
taken away here again.

@see: U{https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03}
"""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from socksproxy.shadowsocks._methods import Octets

NONCE = 24
"""
Octets of a nonce.
"""

_MIXED = 16
_BLOCK = bytes(64)

# "expand 32-byte k"
_START = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
_WORD = 0xFFFFFFFF

# Of the sixteen words those that make the key.
_outer = struct.Struct("<4I32x4I").unpack
_fourWords = struct.Struct("<4I").unpack
_key = struct.Struct("<8I").pack


class HChaCha20:
    """
    Makes keys of a key.
    """

    __slots__ = ("_chacha",)

    def __init__(self, key: bytes) -> None:
        """
        @param key: 32 octets.
        """
        # One for all, since a new one costs more than all the rest.
        self._chacha = Cipher(ChaCha20(key, bytes(_MIXED)), None).encryptor()

    def subkey(self, nonce: bytes) -> bytes:
        """
        Make a key.

        @param nonce: 16 octets.
        @return: 32 octets.
        """
        self._chacha.reset_nonce(nonce)
        a, b, c, d, e, f, g, h = _outer(self._chacha.update(_BLOCK))
        one, two, three, four = _START
        five, six, seven, eight = _fourWords(nonce)
        return _key(
            *(a - one & _WORD, b - two & _WORD, c - three & _WORD, d - four & _WORD),
            *(e - five & _WORD, f - six & _WORD, g - seven & _WORD, h - eight & _WORD),
        )


class XChaCha20Poly1305:
    """
    The cipher with a key; an L{AEAD<socksproxy.shadowsocks._methods.AEAD>} but
    for the length of its nonces.
    """

    __slots__ = ("_keys",)

    def __init__(self, key: bytes) -> None:
        """
        @param key: 32 octets.
        """
        self._keys = HChaCha20(key)

    def encrypt(self, nonce: bytes, data: Octets, associated: None, /) -> bytes:
        """
        Give the ciphertext with its tag.

        @param nonce: 24 octets, never the same twice.
        """
        return self._with(nonce).encrypt(_rest(nonce), data, associated)

    def decrypt(self, nonce: bytes, data: Octets, associated: None, /) -> bytes:
        """
        Give the plaintext.

        @raise cryptography.exceptions.InvalidTag: It is not what was sealed.
        """
        return self._with(nonce).decrypt(_rest(nonce), data, associated)

    def _with(self, nonce: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(self._keys.subkey(nonce[:_MIXED]))


def _rest(nonce: bytes) -> bytes:
    return b"\0\0\0\0" + nonce[_MIXED:]

"""
The methods of Shadowsocks: which cipher there is, and how its keys are made.

Those whose names begin with C{2022-} are of the edition of 2022 (SIP022), with
keys and no passwords, a clock, and padding; the others are the classic AEAD
methods (SIP004). Whatever does not authenticate is not here, and never will be:
who is in the way of such a stream can change it, record it and play it again,
and use the server to read it.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from socksproxy.errors import ConfigurationError

TAG = 16
"""
Octets that sealing adds.
"""

NONCE = 12
"""
Octets of a nonce.
"""

CLASSIC_CHUNK = 0x3FFF
"""
The most octets of a chunk of the classic methods.
"""

CHUNK_2022 = 0xFFFF
"""
The most octets of a chunk of the methods of 2022.
"""

MODERN = "2022-blake3-aes-256-gcm"
CLASSIC = "aes-256-gcm"


Octets = bytes | bytearray | memoryview
"""
What can be sealed and opened.
"""


class AEAD(Protocol):
    """
    A cipher with its key, as C{cryptography} has them.
    """

    def encrypt(self, nonce: bytes, data: Octets, associated: None, /) -> bytes:
        """
        Give the ciphertext with its tag.
        """

    def decrypt(self, nonce: bytes, data: Octets, associated: None, /) -> bytes:
        """
        Give the plaintext.

        @raise cryptography.exceptions.InvalidTag: It is not what was sealed.
        """


@dataclass(frozen=True, slots=True)
class Method:
    """
    One method.

    @ivar name: As everybody writes it.
    @ivar edition2022: Whether it is one of 2022.
    @ivar keyLength: Octets of a key.
    """

    name: str
    edition2022: bool
    keyLength: int
    _cipher: Callable[[bytes], AEAD] = field(repr=False)

    @property
    def saltLength(self) -> int:
        """
        Octets of a salt: as many as of a key.
        """
        return self.keyLength

    @property
    def chunkLimit(self) -> int:
        """
        The most octets of a chunk.
        """
        return CHUNK_2022 if self.edition2022 else CLASSIC_CHUNK

    @property
    def identityHeaders(self) -> bool:
        """
        Whether one key can name another: users of a server, servers behind a
        relay. That takes a block cipher.
        """
        return self.edition2022 and self._cipher is AESGCM

    def aead(self, key: bytes) -> AEAD:
        """
        Give the cipher with a key.

        @param key: As long as L{keyLength} says.
        """
        return self._cipher(key)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("2022-blake3-aes-128-gcm", True, 16, AESGCM),
            Method("2022-blake3-aes-256-gcm", True, 32, AESGCM),
            Method("2022-blake3-chacha20-poly1305", True, 32, ChaCha20Poly1305),
            Method("aes-128-gcm", False, 16, AESGCM),
            Method("aes-256-gcm", False, 32, AESGCM),
            Method("chacha20-ietf-poly1305", False, 32, ChaCha20Poly1305),
        )
    }
)
"""
The methods, by name.
"""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "aead_aes_128_gcm": "aes-128-gcm",
        "aead_aes_256_gcm": "aes-256-gcm",
        "aead_chacha20_poly1305": "chacha20-ietf-poly1305",
        "chacha20-poly1305": "chacha20-ietf-poly1305",
    }
)
"""
Other names of the same.
"""

_STREAM_CIPHERS = frozenset(
    ["table", "chacha20", "chacha20-ietf", "xchacha20", "salsa20", "seed-cfb", "idea-cfb"]
    + ["bf-cfb", "cast5-cfb", "des-cfb", "rc2-cfb", "rc4", "rc4-md5", "rc4-md5-6"]
    + [f"camellia-{bits}-cfb" for bits in (128, 192, 256)]
    + [
        f"aes-{bits}-{mode}"
        for bits in (128, 192, 256)
        for mode in ("cfb", "cfb1", "cfb8", "ctr", "ofb", "cbc")
    ]
)
_UNENCRYPTED = frozenset(["none", "plain", "dummy"])
_SHADOWSOCKSR = ("auth_", "obfs", "tls1.2_ticket", "http_simple", "http_post", "verify_", "origin")
_UNBUILT = frozenset(["aes-192-gcm", "xchacha20-ietf-poly1305", "aes-128-ccm", "aes-256-ccm"])

_INSTEAD = f"use {MODERN}, or {CLASSIC} where the other side is too old for that"


def methodNamed(name: str) -> Method:
    """
    Find a method.

    @param name: Its name or another name of it, in upper or lower case.
    @raise ConfigurationError: There is no such method, or it is refused. The
        text says why, and what to take instead. It never has a name that looks
        like none, which may be a password that stands in the wrong place.
    """
    lowered = name.strip().lower()
    method = METHODS.get(ALIASES.get(lowered, lowered))
    if method is not None:
        return method
    if lowered in _STREAM_CIPHERS:
        reason = "it does not authenticate, so that anybody can change what it carries"
    elif lowered in _UNENCRYPTED:
        reason = "it does not encrypt"
    elif lowered.startswith(_SHADOWSOCKSR):
        reason = "it is a protocol of ShadowsocksR, whose ciphers do not authenticate"
    elif lowered in _UNBUILT:
        reason = "hardly anybody has it"
    else:
        raise ConfigurationError(_unknown(lowered))
    raise ConfigurationError(f"the method {lowered} is refused: {reason}; {_INSTEAD}")


def _unknown(name: str) -> str:
    close = get_close_matches(name, [*METHODS, *ALIASES], 1)
    if close:
        return f"there is no method {name!r}; did you mean {close[0]}?"
    return f"no such method of Shadowsocks; there are {', '.join(METHODS)}"

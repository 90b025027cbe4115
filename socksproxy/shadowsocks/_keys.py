"""
Keys of Shadowsocks, and what is made of them.

A classic method has one key, which is made of a password by a derivation that
costs nothing, so that a password that can be guessed can be found from one
recorded stream. A method of 2022 has keys as they are, in base64; where servers
have users, or stand behind relays, there are several with colons between them.
The last is the user's, and each of the others is known to one server or relay
on the way.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
@see: U{https://shadowsocks.org/doc/sip023.html}
"""

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks._blake3 import deriveKey, digest
from socksproxy.shadowsocks._methods import AEAD, Method

IDENTITY = 16
"""
Octets of an identity header, and of the hash of a key that is in it.
"""

MAX_KEYS = 16
"""
The most keys of one account.
"""

_CLASSIC_INFO = b"ss-subkey"
_SESSION_CONTEXT = "shadowsocks 2022 session subkey"
_IDENTITY_CONTEXT = "shadowsocks 2022 identity subkey"


def masterKey(method: Method, password: bytes) -> bytes:
    """
    Make the key of a classic method of a password, as OpenSSL's
    C{EVP_BytesToKey} does with MD5, one iteration and no salt.
    """
    key = last = b""
    while len(key) < method.keyLength:
        last = hashlib.md5(last + password, usedforsecurity=False).digest()
        key += last
    return key[: method.keyLength]


def keyFromBase64(method: Method, text: str) -> bytes:
    """
    Read the key of a classic method as shadowsocks-libev's option C{key} has
    it.

    @param text: URL-safe base64 of at least the octets of a key; those that are
        too many do not count.
    @raise ConfigurationError: It is not.
    """
    key = _base64(text.replace("-", "+").replace("_", "/"), "the key")
    if len(key) < method.keyLength:
        raise ConfigurationError(
            f"the key has {len(key)} octets; {method.name} needs {method.keyLength}"
        )
    return key[: method.keyLength]


def presharedKeys(method: Method, text: str) -> list[bytes]:
    """
    Read what a method of 2022 has in the place of a password.

    @param text: One key in base64, or several with colons between them; the C{=}
        at the end may be missing.
    @return: The keys of servers and relays on the way, in order, and the
        user's.
    @raise ConfigurationError: One of them is not a key of this method, or there
        are several and the method allows only one.
    """
    parts = text.strip().split(":")
    if len(parts) > 1 and not method.identityHeaders:
        raise ConfigurationError(f"{method.name} takes one key only: it has no users")
    if len(parts) > MAX_KEYS:
        raise ConfigurationError(f"{len(parts)} keys are too many; {MAX_KEYS} are the most")
    keys: list[bytes] = []
    for number, part in enumerate(parts, 1):
        name = "the key" if len(parts) == 1 else f"key {number} of {len(parts)}"
        key = _base64(part, name)
        if len(key) != method.keyLength:
            raise ConfigurationError(
                f"{name} has {len(key)} octets; {method.name} needs exactly {method.keyLength},"
                " random ones in base64"
            )
        keys.append(key)
    return keys


def _base64(text: str, name: str) -> bytes:
    text = text.strip()
    text += "=" * (-len(text) % 4)
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        # What went wrong could tell a part of it.
        raise ConfigurationError(f"{name} is not base64") from None


def classicSubkey(key: bytes, salt: bytes) -> bytes:
    """
    Make the key of one stream or datagram of a classic method: HKDF with SHA-1.

    @see: U{https://www.rfc-editor.org/rfc/rfc5869}
    """
    extracted = hmac.digest(salt, key, "sha1")
    block = hmac.digest(extracted, _CLASSIC_INFO + b"\x01", "sha1")
    if len(key) <= len(block):
        return block[: len(key)]
    second = hmac.digest(extracted, block + _CLASSIC_INFO + b"\x02", "sha1")
    return (block + second)[: len(key)]


def sessionSubkey(method: Method, key: bytes, salt: bytes) -> bytes:
    """
    Make the key of one stream, or of one datagram of a classic method, or of
    one session of datagrams of a method of 2022.

    @param salt: The salt, or the identifier of the session.
    """
    if method.edition2022:
        return deriveKey(_SESSION_CONTEXT, key + salt, method.keyLength)
    return classicSubkey(key, salt)


def sessionCipher(method: Method, key: bytes, salt: bytes) -> AEAD:
    """
    Give the cipher with what L{sessionSubkey} makes.
    """
    return method.aead(sessionSubkey(method, key, salt))


def identitySubkey(key: bytes, salt: bytes) -> bytes:
    """
    Make the key of an identity header of a stream.

    @param key: That of the server or relay which will read it.
    """
    return deriveKey(_IDENTITY_CONTEXT, key + salt, len(key))


@lru_cache(256)
def keyHash(key: bytes) -> bytes:
    """
    Give the name that a key has in an identity header.

    @return: 16 octets.
    """
    return digest(key, IDENTITY)


def blockCipher(key: bytes) -> Cipher[ECB]:
    """
    Give AES for single blocks, which identity headers are.
    """
    return Cipher(AES(key), ECB())  # noqa: S305


def identityHeaders(keys: Sequence[bytes], salt: bytes) -> bytes:
    """
    Write the identity headers of a stream.

    @param keys: As L{presharedKeys} gives them; of one there is none.
    """
    return b"".join(
        blockCipher(identitySubkey(key, salt)).encryptor().update(keyHash(named))
        for key, named in pairwise(keys)
    )


def openIdentity(key: bytes, salt: bytes, header: bytes) -> bytes:
    """
    Read an identity header of a stream.

    @param key: Our own.
    @return: The name of a key, if that was sealed for us, and noise if not.
    """
    return blockCipher(identitySubkey(key, salt)).decryptor().update(header)


class Account:
    """
    A method with the keys of one user, to go to a server with or to be known
    by. Nothing that it prints has a key.

    @ivar method: The method.
    @ivar keys: As L{presharedKeys} gives them; a classic method has one.
    @ivar name: What the user is called, for logs and rules.
    """

    __slots__ = ("keys", "method", "name")

    def __init__(self, method: Method, keys: Sequence[bytes], name: str = "") -> None:
        """
        @raise ConfigurationError: The keys are none, or too many, or not of
            this method's length.
        """
        if not keys or (len(keys) > 1 and not method.identityHeaders):
            raise ConfigurationError(f"{method.name} does not take {len(keys)} keys")
        if any(len(key) != method.keyLength for key in keys):
            raise ConfigurationError(f"a key of {method.name} has {method.keyLength} octets")
        self.method = method
        self.keys = tuple(keys)
        self.name = name

    @property
    def userKey(self) -> bytes:
        """
        The key that seals what the user sends and gets.
        """
        return self.keys[-1]

    def __repr__(self) -> str:
        return f"<Account {self.name!r} {self.method.name}>"


def accountFor(method: Method, password: str, name: str = "") -> Account:
    """
    Make an account of what people write into configurations.

    @param password: The password of a classic method; the key or keys of one
        of 2022.
    @raise ConfigurationError: It is empty, or as L{presharedKeys}.
    """
    if not password:
        raise ConfigurationError(f"{method.name} needs a password")
    if method.edition2022:
        return Account(method, presharedKeys(method, password), name)
    return Account(method, [masterKey(method, password.encode())], name)

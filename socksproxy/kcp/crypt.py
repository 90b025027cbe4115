"""
What is around the payload of every datagram: encryption, and the check that
keeps noise and strangers out. The fifteen ciphers of kcptun, which both sides
must be told to use with the same key.

B{Only C{aes-128-gcm} authenticates.} Under it a datagram that opens was made
by somebody who has the key, and nobody has altered it. All others find
accidents with a checksum, which proves nothing: bits of a datagram can be
flipped, by who cannot read it, in ways that the checksum does not see. C{xor},
C{none} and C{null} do not even hide what it says. Whatever is carried by
anything but C{aes-128-gcm} should protect itself, as TLS and SSH do.

No cipher here, C{aes-128-gcm} included, recognises a datagram that it has
opened before, or keeps what was recorded from whoever learns the key later:
there is one key, forever, for all who share it.

@see: U{https://github.com/xtaci/kcp-go/blob/master/crypt.go}
@see: U{https://github.com/xtaci/kcptun}
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, Blowfish, TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4

from socksproxy.errors import ConfigurationError
from socksproxy.kcp._cfb import BlockCipher, CarriedCFB, SteppedCFB
from socksproxy.kcp._gcm import GCMCipher
from socksproxy.kcp._packets import PacketCipher, Random, Unencrypted, Unsealed
from socksproxy.kcp._salsa20 import Salsa20Cipher
from socksproxy.kcp._tea import TEA, XTEA
from socksproxy.kcp._twofish import Twofish
from socksproxy.kcp._xor import XORCipher

__all__ = ["CIPHERS", "DEFAULT_SALT", "CipherKind", "PacketCipher", "cipherFor", "deriveKey"]

DEFAULT_SALT = b"kcp-go"
"""
What kcptun derives keys with.
"""

_ROUNDS = 4096
_KEY_OCTETS = 32


@dataclass(frozen=True, slots=True)
class CipherKind:
    """
    What a cipher is, before it has a key.

    @ivar keyOctets: How many octets of the key it uses, from the start.
    @ivar authenticates: Whether an opened payload is known to come, unaltered,
        from someone who has the key.
    @ivar hides: Whether somebody without the key can neither read nor write
        what makes sense.
    @ivar slow: Whether a datagram of full size takes more than twenty
        microseconds, even in a batch; the others take one to fifteen.
    """

    keyOctets: int
    authenticates: bool = False
    slow: bool = False
    hides: bool = True


CIPHERS: Mapping[str, CipherKind] = MappingProxyType(
    {
        "aes": CipherKind(32),
        "aes-128": CipherKind(16),
        "aes-128-gcm": CipherKind(16, authenticates=True),
        "aes-192": CipherKind(24),
        "salsa20": CipherKind(32, slow=True),
        "blowfish": CipherKind(32),
        "twofish": CipherKind(32, slow=True),
        "cast5": CipherKind(16),
        "3des": CipherKind(24, slow=True),
        "tea": CipherKind(16, slow=True),
        "xtea": CipherKind(16, slow=True),
        "xor": CipherKind(32, hides=False),
        "sm4": CipherKind(16),
        "none": CipherKind(0, hides=False),
        "null": CipherKind(0, hides=False),
    }
)
"""
The ciphers, as kcptun spells them. C{none} keeps the nonce and the checksum,
C{null} has nothing around the payload.
"""

# Makes a cipher of its name, the key that it takes, and a source of nonces.
_Build = Callable[[str, bytes, Random], PacketCipher]


def _inOpenSSL(algorithm: Callable[[bytes], BlockCipherAlgorithm]) -> _Build:
    """
    Give what makes a cipher of a block cipher that OpenSSL has.
    """
    return lambda name, key, random: CarriedCFB(name, algorithm(key), random)


def _inPython(algorithm: Callable[[bytes], BlockCipher]) -> _Build:
    """
    Give what makes a cipher of a block cipher that is written here.
    """
    return lambda name, key, random: SteppedCFB(name, algorithm(key), random)


_BUILDS: Mapping[str, _Build] = {
    "aes": _inOpenSSL(AES),
    "aes-128": _inOpenSSL(AES),
    "aes-128-gcm": GCMCipher,
    "aes-192": _inOpenSSL(AES),
    "salsa20": Salsa20Cipher,
    "blowfish": _inOpenSSL(Blowfish),
    "twofish": _inPython(Twofish),
    "cast5": _inOpenSSL(CAST5),
    "3des": _inOpenSSL(TripleDES),
    "tea": _inPython(TEA),
    "xtea": _inPython(XTEA),
    "xor": XORCipher,
    "sm4": _inOpenSSL(SM4),
    "none": lambda name, _, random: Unencrypted(name, random),
    "null": lambda name, *_: Unsealed(name),
}


def deriveKey(key: bytes | str, salt: bytes = DEFAULT_SALT) -> bytes:
    """
    Derive the 32 octets that ciphers take their keys from: PBKDF2 with
    HMAC-SHA1 and 4096 rounds, which takes milliseconds.

    @param key: What both sides were told. Text stands for its UTF-8.
    @param salt: kcptun always uses the default.
    @raise ConfigurationError: The key is empty, or has no UTF-8.
    @see: U{https://www.rfc-editor.org/rfc/rfc8018#section-5.2}
    """
    if isinstance(key, str):
        try:
            # Octets of a command line that are not UTF-8 become themselves.
            key = key.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            # Which would show the key.
            raise ConfigurationError("key is not text that UTF-8 has") from None
    if not key:
        raise ConfigurationError("key is empty")
    return hashlib.pbkdf2_hmac("sha1", key, salt, _ROUNDS, _KEY_OCTETS)


def cipherFor(name: str, master: bytes, random: Random = os.urandom) -> PacketCipher:
    """
    Make a cipher.

    @param name: One of L{CIPHERS}.
    @param master: The key that L{deriveKey} gave; a shorter one will do that
        has the octets which the cipher takes.
    @param random: Where nonces come from: asked for a number of octets, once
        for each batch.
    @raise ConfigurationError: There is no such cipher, the key is too short,
        or the OpenSSL at hand has the cipher switched off.
    """
    kind = CIPHERS.get(name)
    if kind is None:
        raise ConfigurationError(f"crypt is {name!r} and has to be of {', '.join(CIPHERS)}")
    octets = kind.keyOctets
    if len(master) < octets:
        raise ConfigurationError(f"key has {len(master)} octets, and {name} takes {octets}")
    try:
        return _BUILDS[name](name, master[:octets], random)
    except (UnsupportedAlgorithm, InternalError) as e:
        raise ConfigurationError(f"crypt is {name}, which this OpenSSL does not offer") from e

"""
The C{xor} of kcp-go: every datagram is mixed with the same table. It hides
what a datagram says from a glance, and from nobody who has two of them.
"""

import hashlib
from collections.abc import Sequence

from socksproxy.errors import LocalProtocolError
from socksproxy.kcp._packets import NONCE, OVERHEAD, ChecksummedCipher, Random

LONGEST = 1500
"""
Octets of the table, and so of the longest datagram.
"""

_SALT = b"sH3CIVoF#rWLtJo6"
_ROUNDS = 32


def xorTable(key: bytes) -> bytes:
    """
    Derive the table from a key.

    @param key: 32 octets.
    """
    return hashlib.pbkdf2_hmac("sha1", key, _SALT, _ROUNDS, LONGEST)


class XORCipher(ChecksummedCipher):
    """
    C{xor}. A datagram of more than 1500 octets cannot be sealed, and is not
    opened.
    """

    def __init__(self, name: str, key: bytes, random: Random) -> None:
        """
        @param key: 32 octets.
        """
        super().__init__(name, random)
        self._table = int.from_bytes(xorTable(key), "big")

    def seal(self, payloads: Sequence[bytes]) -> list[bytes]:
        """
        See L{ChecksummedCipher.seal}.
        """
        if any(len(payload) > LONGEST - OVERHEAD for payload in payloads):
            raise LocalProtocolError(f"xor seals at most {LONGEST - OVERHEAD} octets")
        return super().seal(payloads)

    def open(self, datagrams: Sequence[bytes]) -> list[bytes | None]:
        """
        See L{ChecksummedCipher.open}.
        """
        # An empty one is not opened either.
        return super().open(
            [datagram if len(datagram) <= LONGEST else b"" for datagram in datagrams]
        )

    def _encrypt(self, heads: list[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        return [self._mixed(b"".join(both)) for both in zip(heads, payloads, strict=True)]

    def _decrypt(self, datagrams: Sequence[bytes]) -> tuple[bytes, list[int]]:
        starts = []
        at = NONCE
        for datagram in datagrams:
            starts.append(at)
            at += len(datagram)
        return b"".join(map(self._mixed, datagrams)), starts

    def _mixed(self, datagram: bytes) -> bytes:
        length = len(datagram)
        # Big-endian, so that a shift cuts the table.
        cut = self._table >> 8 * (LONGEST - length)
        return (int.from_bytes(datagram, "big") ^ cut).to_bytes(length, "big")

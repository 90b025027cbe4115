"""
The AEAD of kcp-go, AES-128-GCM. It authenticates: a datagram that opens was
made, as it is, by somebody who has the key::

    +-------+------------+-----+
    | nonce | ciphertext | tag |
    |  12   |  variable  | 16  |
    +-------+------------+-----+

There is no checksum beside the tag, and no associated data.

@see: U{https://csrc.nist.gov/pubs/sp/800/38/d/final}
"""

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from socksproxy.kcp._packets import PacketCipher, Random

NONCE = 12
"""
Octets of the nonce.
"""

OVERHEAD = NONCE + 16
"""
Octets around the payload.
"""


class GCMCipher(PacketCipher):
    """
    C{aes-128-gcm}. Nonces are random, so that one key should not seal more than
    2**32 datagrams, which are some terabytes.
    """

    overhead = OVERHEAD
    authenticates = True

    def __init__(self, name: str, key: bytes, random: Random) -> None:
        """
        @param key: 16 octets.
        @param random: Where nonces come from; asked once for each batch.
        """
        super().__init__(name)
        self._cipher = AESGCM(key)
        self._random = random

    def seal(self, payloads: Sequence[bytes]) -> list[bytes]:
        """
        See L{PacketCipher.seal}.
        """
        if not payloads:
            return []
        encrypt = self._cipher.encrypt
        size = NONCE * len(payloads)
        nonces = self._random(size)
        return [
            (nonce := nonces[at : at + NONCE]) + encrypt(nonce, payload, None)
            for at, payload in zip(range(0, size, NONCE), payloads, strict=True)
        ]

    def open(self, datagrams: Sequence[bytes]) -> list[bytes | None]:
        """
        See L{PacketCipher.open}.
        """
        opened: list[bytes | None] = []
        decrypt = self._cipher.decrypt
        for datagram in datagrams:
            if len(datagram) < OVERHEAD:
                opened.append(None)
                continue
            try:
                opened.append(decrypt(datagram[:NONCE], datagram[NONCE:], None))
            except InvalidTag:
                opened.append(None)
        return opened

"""
What is around a datagram of the edition of 2022: the session that it is of, and
its number in that, and who sends it.

With AES those two are in the separate header, a block that is not sealed with
the rest, so that the key of the session can be found by it. Identity headers
follow it to a server that has users::

    +---------+--------+----------+----------------+
    | SESSION | NUMBER | IDENTITY | the rest       |
    |    8    |   8    |    16    | sealed         |
    +---------+--------+----------+----------------+

With ChaCha20 there is one key for all, a nonce for each, and no users::

    +-------+---------------------------+
    | NONCE | SESSION  NUMBER  the rest |
    |  24   |         sealed            |
    +-------+---------------------------+

@see: U{https://shadowsocks.org/doc/sip022.html}
@see: U{https://shadowsocks.org/doc/sip023.html}
"""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag

from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import IDENTITY, blockCipher, keyHash, sessionCipher
from socksproxy.shadowsocks._methods import AEAD, TAG, Method
from socksproxy.shadowsocks._packet import MAX_DATAGRAM, DatagramFault, tooLong
from socksproxy.shadowsocks._packet2022 import SESSION
from socksproxy.shadowsocks._xchacha import NONCE, XChaCha20Poly1305

LAST_NUMBER = (1 << 64) - 1
"""
The number that no packet gets: a new session begins instead.
"""

_SEPARATE = 16
# Of the separate header the nonce of the rest.
_NONCE = slice(4, 16)
_separate = struct.Struct("!8sQ")


class Envelope(NamedTuple):
    """
    A datagram of which the outer part has been read. With AES that is not
    sealed: of a datagram that is not for us all of it is noise.

    @ivar header: SESSION and NUMBER.
    @ivar user: The name of the user's key, or nothing where there are no users.
    @ivar rest: With AES still sealed.
    """

    header: bytes
    user: bytes
    rest: bytes

    @property
    def session(self) -> bytes:
        """
        SESSION.
        """
        return self.header[:SESSION]

    @property
    def number(self) -> int:
        """
        NUMBER.
        """
        return int.from_bytes(self.header[SESSION:], "big")


class Reader(Protocol):
    """
    Opens the datagrams of all sessions.
    """

    def read(self, datagram: bytes) -> Envelope:
        """
        Read the outer part.

        @raise DatagramFault: It is too short, or already seen not to be ours.
        """

    def cipher(self, key: bytes, session: bytes) -> AEAD:
        """
        Give the cipher of a session, which is worth keeping.

        @param key: The user's.
        """

    def open(self, envelope: Envelope, cipher: AEAD) -> bytes:
        """
        Open the rest.

        @raise DatagramFault: It is not what was sealed.
        """


class Writer:
    """
    Seals the datagrams of one side, and numbers them.

    @ivar session: The name of its session.
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """
        @param random: Gives that many random octets.
        """
        self._random = random
        self._begin()

    def _begin(self) -> None:
        self.session = self._random(SESSION)
        self._number = 0

    def seal(self, plain: bytes) -> bytes:
        """
        Make a datagram.

        @param plain: As L{socksproxy.shadowsocks._packet2022} writes it.
        @raise LocalProtocolError: It is too long for a datagram.
        """
        if self._number == LAST_NUMBER:
            self._begin()
        header = _separate.pack(self.session, self._number)
        # Whatever becomes of this one: it is the nonce, too.
        self._number += 1
        datagram = self._sealed(header, plain)
        if len(datagram) > MAX_DATAGRAM:
            raise tooLong()
        return datagram

    def _sealed(self, header: bytes, plain: bytes) -> bytes:
        raise NotImplementedError


class AESReader:
    """
    See L{Reader}.
    """

    def __init__(self, method: Method, key: bytes, users: bool) -> None:
        """
        @param key: What the separate header is under: the server's for a
            server that has users, and otherwise the user's.
        @param users: Whether there is an identity header.
        """
        self._method = method
        self._decrypt = blockCipher(key).decryptor().update
        self._start = _SEPARATE + IDENTITY if users else _SEPARATE
        self._users = users

    def read(self, datagram: bytes) -> Envelope:
        """
        See L{Reader}.
        """
        if len(datagram) <= self._start + TAG:
            raise DatagramFault(Reason.SHORT)
        if not self._users:
            return Envelope(self._decrypt(datagram[:_SEPARATE]), b"", datagram[_SEPARATE:])
        blocks = self._decrypt(datagram[: self._start])
        header, masked = blocks[:_SEPARATE], blocks[_SEPARATE:]
        return Envelope(header, _xor(header, masked), datagram[self._start :])

    def cipher(self, key: bytes, session: bytes) -> AEAD:
        """
        See L{Reader}.
        """
        return sessionCipher(self._method, key, session)

    def open(self, envelope: Envelope, cipher: AEAD) -> bytes:
        """
        See L{Reader}.
        """
        try:
            return cipher.decrypt(envelope.header[_NONCE], envelope.rest, None)
        except InvalidTag:
            raise DatagramFault(Reason.SEAL) from None


class AESWriter(Writer):
    """
    See L{Writer}.
    """

    def __init__(
        self, method: Method, keys: Sequence[bytes], random: Callable[[int], bytes]
    ) -> None:
        """
        @param keys: Those of an account, for a client; a server has the user's
            only.
        """
        self._method = method
        self._key = keys[-1]
        self._encrypt = blockCipher(keys[0]).encryptor().update
        self._identities = [
            (blockCipher(key).encryptor().update, keyHash(named)) for key, named in pairwise(keys)
        ]
        super().__init__(random)

    def _begin(self) -> None:
        super()._begin()
        self._cipher = sessionCipher(self._method, self._key, self.session)

    def _sealed(self, header: bytes, plain: bytes) -> bytes:
        rest = self._cipher.encrypt(header[_NONCE], plain, None)
        if not self._identities:
            return self._encrypt(header) + rest
        identities = [encrypt(_xor(header, name)) for encrypt, name in self._identities]
        return b"".join((self._encrypt(header), *identities, rest))


class XChaChaReader:
    """
    See L{Reader}.
    """

    def __init__(self, key: bytes) -> None:
        """
        @param key: The only one.
        """
        self._cipher = XChaCha20Poly1305(key)

    def read(self, datagram: bytes) -> Envelope:
        """
        See L{Reader}.
        """
        if len(datagram) <= NONCE + _SEPARATE + TAG:
            raise DatagramFault(Reason.SHORT)
        try:
            plain = self._cipher.decrypt(datagram[:NONCE], datagram[NONCE:], None)
        except InvalidTag:
            raise DatagramFault(Reason.SEAL) from None
        return Envelope(plain[:_SEPARATE], b"", plain[_SEPARATE:])

    def cipher(self, key: bytes, session: bytes) -> AEAD:
        """
        See L{Reader}.
        """
        return self._cipher

    def open(self, envelope: Envelope, cipher: AEAD) -> bytes:
        """
        See L{Reader}.
        """
        return envelope.rest


class XChaChaWriter(Writer):
    """
    See L{Writer}.
    """

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        """
        @param key: The only one.
        """
        self._cipher = XChaCha20Poly1305(key)
        super().__init__(random)

    def _sealed(self, header: bytes, plain: bytes) -> bytes:
        nonce = self._random(NONCE)
        return nonce + self._cipher.encrypt(nonce, header + plain, None)


def readerFor(method: Method, key: bytes, users: bool = False) -> Reader:
    """
    Give what opens datagrams.

    @param key: See L{AESReader}.
    @param users: Whether there is an identity header.
    """
    if method.identityHeaders:
        return AESReader(method, key, users)
    return XChaChaReader(key)


def writerFor(method: Method, keys: Sequence[bytes], random: Callable[[int], bytes]) -> Writer:
    """
    Give what seals the datagrams of a new session.

    @param keys: See L{AESWriter}.
    @param random: Gives that many random octets.
    """
    if method.identityHeaders:
        return AESWriter(method, keys, random)
    return XChaChaWriter(keys[-1], random)


def _xor(one: bytes, other: bytes) -> bytes:
    mixed = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return mixed.to_bytes(IDENTITY, "big")

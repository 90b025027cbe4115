"""
Datagrams of Shadowsocks: what all of them have in common, and those of the
classic methods, each of which has a key of its own::

    +------+------------------+
    | SALT | ADDRESS  payload |     the latter two sealed
    |  16  |                  |
    | or 32|                  |
    +------+------------------+

To a server the address says where the payload is to go, and from it where the
payload comes from. What does not open is dropped without an answer, whatever is
wrong with it.

@see: U{https://shadowsocks.org/doc/aead.html}
"""

from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag

from socksproxy.address import Destination
from socksproxy.errors import LocalProtocolError, RemoteProtocolError
from socksproxy.shadowsocks._address import IPV4, IPV6, NAME, decodeAddress, encodeAddress
from socksproxy.shadowsocks._events import Reason, Refused
from socksproxy.shadowsocks._keys import Account, sessionCipher
from socksproxy.shadowsocks._methods import NONCE, TAG

MAX_DATAGRAM = 65507
"""
Octets of the largest datagram that UDP over IPv4 carries.
"""

REMEMBERED = 1024
"""
Addresses that need not be read again.
"""

# Octets of an address, by its first; names begin with their length.
_LENGTHS = {IPV4: 1 + 4 + 2, IPV6: 1 + 16 + 2}

_FIRST_NONCE = bytes(NONCE)


class DatagramFault(RemoteProtocolError):
    """
    A datagram is not what a peer with one of our keys sends, or not for the
    first time. It is to be dropped.

    @ivar refused: What is wrong with it, for our own log.
    """

    def __init__(self, reason: Reason, skew: int | None = None) -> None:
        text = f"not a Shadowsocks datagram for us: {reason}"
        if skew is not None:
            text += f", {abs(skew)} s {'ahead' if skew > 0 else 'behind'}"
        super().__init__(text)
        self.refused = Refused(reason, skew)


class Session(Protocol):
    """
    Somebody who sends datagrams to a server, for as long as the server wants to
    know of it. It can be the key of a C{dict}.
    """

    @property
    def account(self) -> Account:
        """
        Whose it is.
        """

    @property
    def client(self) -> Hashable:
        """
        Where answers go.
        """

    def seal(self, source: Destination, payload: bytes) -> bytes:
        """
        Make an answer of what has come from somewhere.

        @raise LocalProtocolError: It is too long for a datagram.
        """

    def end(self) -> None:
        """
        Learn that there will be no more answers. Another datagram that comes
        begins it anew.
        """

    def __hash__(self) -> int: ...


class Opened(NamedTuple):
    """
    What a client's datagram says.

    @ivar session: Who sends it.
    @ivar destination: Where the payload is to go, checked; the port is not 0.
    @ivar payload: Maybe nothing.
    """

    session: Session
    destination: Destination
    payload: bytes

    def __repr__(self) -> str:
        return f"<Opened {self.destination}: {len(self.payload)} octets>"


def sealPacket(account: Account, salt: bytes, address: Destination, payload: bytes) -> bytes:
    """
    Write a datagram of a classic method.

    @param account: The user.
    @param salt: Random octets, as many as the method asks for.
    @param address: Where the payload is to go, or where it comes from.
    @raise LocalProtocolError: It is too long for a datagram.
    """
    plain = encodeAddress(address) + payload
    if len(salt) + len(plain) + TAG > MAX_DATAGRAM:
        raise tooLong()
    cipher = sessionCipher(account.method, account.userKey, salt)
    return salt + cipher.encrypt(_FIRST_NONCE, plain, None)


def openPacket(account: Account, salt: bytes, sealed: bytes) -> bytes | None:
    """
    Open a datagram of a classic method, if it is of a user.

    @param salt: What it begins with.
    @param sealed: What comes after that.
    @return: What L{splitAddress} reads, or L{None} where it does not open.
    """
    cipher = sessionCipher(account.method, account.userKey, salt)
    try:
        return cipher.decrypt(_FIRST_NONCE, sealed, None)
    except InvalidTag:
        return None


def splitAddress(plain: bytes, at: int = 0) -> tuple[Destination, bytes]:
    """
    Read an address, and what follows it.

    @param at: Where it begins.
    @return: The address, whose port is not 0, and the payload.
    @raise DatagramFault: It is incomplete, or nowhere to go to.
    """
    kind = plain[at : at + 2]
    if len(kind) < 2:
        raise DatagramFault(Reason.ADDRESS)
    length = 1 + 1 + kind[1] + 2 if kind[0] == NAME else _LENGTHS.get(kind[0], 0)
    end = at + length
    return _destination(plain[at:end]), plain[end:]


@lru_cache(REMEMBERED)
def _destination(address: bytes) -> Destination:
    """
    Read an address. Most datagrams go where others have gone.

    @raise DatagramFault: As L{splitAddress}.
    """
    try:
        decoded = decodeAddress(address)
    except RemoteProtocolError:
        raise DatagramFault(Reason.ADDRESS) from None
    if decoded is None or decoded[0].port == 0:
        raise DatagramFault(Reason.ADDRESS)
    return decoded[0]


def tooLong() -> LocalProtocolError:
    """
    Make the error of what would not fit into a datagram.
    """
    return LocalProtocolError(f"more than a datagram of {MAX_DATAGRAM} octets can carry")

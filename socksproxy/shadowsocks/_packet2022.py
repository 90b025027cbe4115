"""
What is sealed in a datagram of the edition of 2022, or the most of it::

    client   +------+------+---------+----------+----------+---------+
             | TYPE | TIME | PADDING | padding  | ADDRESS  | payload |
             |  1   |  8   |    2    | variable | variable |         |
             +------+------+---------+----------+----------+---------+

    server   +------+------+---------+---------+----------+----------+---------+
             | TYPE | TIME | SESSION | PADDING | padding  | ADDRESS  | payload |
             |  1   |  8   |    8    |    2    | variable | variable |         |
             +------+------+---------+---------+----------+----------+---------+

SESSION is the client's, so that an answer is taken only by who has asked. What
is around that is in L{socksproxy.shadowsocks._envelope}.

@see: U{https://shadowsocks.org/doc/sip022.html}
"""

import struct
from collections.abc import Callable

from socksproxy.address import Destination
from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._packet import DatagramFault, splitAddress
from socksproxy.shadowsocks._stream2022 import MAX_PADDING, MAX_SKEW

CLIENT_PACKET = 0
SERVER_PACKET = 1

SESSION = 8
"""
Octets of what a session is called.
"""

DNS = 53
"""
The port whose datagrams are padded: their lengths tell a lot, and they are
short.
"""

_CLIENT = struct.Struct("!BQH")
_SERVER = struct.Struct("!BQ8sH")


def paddingFor(address: Destination, payload: bytes, random: Callable[[int], bytes]) -> bytes:
    """
    Make the padding of a datagram.

    @param address: Where its payload goes to, or comes from.
    @param random: Gives that many random octets.
    """
    room = MAX_PADDING - len(payload)
    if address.port != DNS or room <= 0:
        return b""
    # What is in it is sealed, and so need not be random.
    return bytes(1 + int.from_bytes(random(2), "big") % room)


def encodeRequest(now: int, address: Destination, padding: bytes, payload: bytes) -> bytes:
    """
    Write what a client seals.

    @param now: Seconds since 1970.
    @param address: Where the payload is to go.
    """
    start = _CLIENT.pack(CLIENT_PACKET, now, len(padding))
    return b"".join((start, padding, encodeAddress(address), payload))


def decodeRequest(plain: bytes, now: int, notBefore: int = 0) -> tuple[Destination, bytes]:
    """
    Read what a client has sealed.

    @param now: Our own time, in seconds since 1970.
    @param notBefore: What bears an earlier time is taken for a repetition.
    @return: Where the payload is to go, and the payload.
    @raise DatagramFault: It makes no sense, or its time is not now.
    """
    if len(plain) < _CLIENT.size:
        raise DatagramFault(Reason.HEADER)
    kind, time, padding = _CLIENT.unpack_from(plain)
    _check(kind, CLIENT_PACKET, time, now)
    if time < notBefore:
        raise DatagramFault(Reason.REPLAY)
    return _after(plain, _CLIENT.size + padding)


def encodeResponse(
    now: int, session: bytes, address: Destination, padding: bytes, payload: bytes
) -> bytes:
    """
    Write what a server seals.

    @param now: Seconds since 1970.
    @param session: The client's session.
    @param address: Where the payload comes from.
    """
    start = _SERVER.pack(SERVER_PACKET, now, session, len(padding))
    return b"".join((start, padding, encodeAddress(address), payload))


def decodeResponse(plain: bytes, now: int, session: bytes) -> tuple[Destination, bytes]:
    """
    Read what a server has sealed.

    @param now: Our own time, in seconds since 1970.
    @param session: Our session.
    @return: Where the payload comes from, and the payload.
    @raise DatagramFault: It makes no sense, or its time is not now, or it
        answers somebody else.
    """
    if len(plain) < _SERVER.size:
        raise DatagramFault(Reason.HEADER)
    kind, time, answered, padding = _SERVER.unpack_from(plain)
    _check(kind, SERVER_PACKET, time, now)
    if answered != session:
        raise DatagramFault(Reason.SALT)
    return _after(plain, _SERVER.size + padding)


def _check(kind: int, expected: int, time: int, now: int) -> None:
    if kind != expected:
        raise DatagramFault(Reason.HEADER)
    if abs(time - now) > MAX_SKEW:
        raise DatagramFault(Reason.CLOCK, time - now)


def _after(plain: bytes, at: int) -> tuple[Destination, bytes]:
    if len(plain) < at:
        raise DatagramFault(Reason.HEADER)
    return splitAddress(plain, at)

"""
What a stream of the edition of 2022 begins with, after its salt.

A client's, after the identity headers if there are any, has two records::

    fixed       +------+------+--------+
                | TYPE | TIME | LENGTH |      LENGTH is that of the next record
                |  1   |  8   |   2    |
                +------+------+--------+

    variable    +----------+---------+----------+----------+
                | ADDRESS  | PADDING | padding  | payload  |
                | variable |    2    | variable | variable |
                +----------+---------+----------+----------+

A server's has one, whose LENGTH is that of its first payload::

                +------+------+--------------+--------+
                | TYPE | TIME | REQUEST SALT | LENGTH |
                |  1   |  8   |   16 or 32   |   2    |
                +------+------+--------------+--------+

Chunks follow in both. A record of another kind cannot stand in the place of
one of these, since TYPE says who writes, and a server's names the request that
it answers.

@see: U{https://shadowsocks.org/doc/sip022.html}
"""

import hmac
import struct
from collections.abc import Callable

from socksproxy.address import Destination
from socksproxy.errors import RemoteProtocolError
from socksproxy.shadowsocks._address import decodeAddress
from socksproxy.shadowsocks._events import Reason, StreamFault
from socksproxy.shadowsocks._methods import CHUNK_2022, TAG

CLIENT_STREAM = 0
SERVER_STREAM = 1

MAX_SKEW = 30
"""
Seconds that the clocks of both sides may differ by.
"""

MAX_PADDING = 900
"""
Octets of the longest padding that we send, and of the payload that needs none.
"""

_FIXED = struct.Struct("!BQH")
_RESPONSE_START = struct.Struct("!BQ")
_LENGTH = struct.Struct("!H")

FIXED_RECORD = _FIXED.size + TAG
"""
Octets of the fixed header, sealed.
"""


def responseRecord(saltLength: int) -> int:
    """
    Give the octets of a server's header, sealed.
    """
    return _RESPONSE_START.size + saltLength + _LENGTH.size + TAG


def paddingFor(payload: bytes, random: Callable[[int], bytes]) -> bytes:
    """
    Make the padding of a request, so that its length tells little of a payload
    that is short or missing.

    @param random: Gives that many random octets.
    """
    if len(payload) >= MAX_PADDING:
        return b""
    # What is in it is sealed, and so need not be random.
    return bytes(1 + int.from_bytes(random(2), "big") % MAX_PADDING)


def encodeFixed(now: int, length: int) -> bytes:
    """
    Write a client's fixed header.

    @param now: Seconds since 1970.
    @param length: Octets of the variable header.
    """
    return _FIXED.pack(CLIENT_STREAM, now, length)


def decodeFixed(header: bytes, now: int, notBefore: int = 0) -> int:
    """
    Check a client's fixed header.

    @param header: Opened.
    @param now: Our own time, in seconds since 1970.
    @param notBefore: What bears an earlier time is taken for a repetition.
    @return: Octets of the variable header.
    @raise StreamFault: It is no such header, or its time is not now.
    """
    if len(header) != _FIXED.size:
        raise StreamFault(Reason.HEADER)
    kind, time, length = _FIXED.unpack(header)
    _check(kind, CLIENT_STREAM, time, now)
    if time < notBefore:
        raise StreamFault(Reason.REPLAY)
    return int(length)


def encodeVariable(address: bytes, padding: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """
    Write a client's variable header.

    @param address: As L{socksproxy.shadowsocks._address} writes it.
    @param payload: What there is to send already.
    @return: The header, and the rest of the payload if it does not fit.
    """
    head = b"".join((address, _LENGTH.pack(len(padding)), padding))
    room = CHUNK_2022 - len(head)
    return head + payload[:room], payload[room:]


def decodeVariable(header: bytes) -> tuple[Destination, bytes]:
    """
    Read a client's variable header.

    @param header: Opened.
    @return: Where it wants to go, with a port that is not 0, and the payload.
    @raise StreamFault: It makes no sense, or has neither padding nor payload.
    """
    destination, end = destinationOf(header)
    start = end + _LENGTH.size
    if len(header) < start:
        raise StreamFault(Reason.HEADER)
    (padding,) = _LENGTH.unpack_from(header, end)
    if len(header) < start + padding or len(header) == start:
        raise StreamFault(Reason.HEADER)
    return destination, header[start + padding :]


def destinationOf(data: bytes) -> tuple[Destination, int]:
    """
    Read an address that is complete.

    @return: Where it is, and its octets.
    @raise StreamFault: It is incomplete, or nowhere to go to.
    """
    try:
        decoded = decodeAddress(data)
    except RemoteProtocolError:
        raise StreamFault(Reason.ADDRESS) from None
    if decoded is None or decoded[0].port == 0:
        raise StreamFault(Reason.ADDRESS)
    return decoded


def encodeResponse(now: int, requestSalt: bytes, length: int) -> bytes:
    """
    Write a server's header.

    @param now: Seconds since 1970.
    @param requestSalt: That of the request which it answers.
    @param length: Octets of the first payload.
    """
    return b"".join(
        (_RESPONSE_START.pack(SERVER_STREAM, now), requestSalt, _LENGTH.pack(length)),
    )


def decodeResponse(header: bytes, now: int, requestSalt: bytes) -> int:
    """
    Check a server's header.

    @param header: Opened.
    @param now: Our own time, in seconds since 1970.
    @param requestSalt: That of our request.
    @return: Octets of the first payload.
    @raise StreamFault: It is no such header, or its time is not now, or it
        answers another request.
    """
    if len(header) != responseRecord(len(requestSalt)) - TAG:
        raise StreamFault(Reason.HEADER)
    kind, time = _RESPONSE_START.unpack_from(header)
    salt = header[_RESPONSE_START.size : -_LENGTH.size]
    if kind == SERVER_STREAM and not hmac.compare_digest(salt, requestSalt):
        raise StreamFault(Reason.SALT)
    _check(kind, SERVER_STREAM, time, now)
    return int.from_bytes(header[-_LENGTH.size :], "big")


def _check(kind: int, expected: int, time: int, now: int) -> None:
    if kind != expected:
        raise StreamFault(Reason.HEADER)
    if abs(time - now) > MAX_SKEW:
        raise StreamFault(Reason.CLOCK, time - now)

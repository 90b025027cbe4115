"""
The messages of SOCKS4 and SOCKS4a as bytes and as values.

Decoders take the octets so far and give C{(message, consumed)}, or L{None}
while the message is incomplete; they raise L{RemoteProtocolError} subclasses
and nothing else.

@see: U{https://www.openssh.com/txt/socks4.protocol}
@see: U{https://www.openssh.com/txt/socks4a.protocol}
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from socksproxy.errors import BadVersion, MessageTooLong

VERSION = 4
REPLY_VERSION = 0

MAX_USERID = 511
"""
Octets of USERID before its NUL; the note sets no limit.
"""

MAX_HOST = 255
"""
Octets of a SOCKS4a host name before its NUL.
"""

MAX_REQUEST = 8 + MAX_USERID + 1 + MAX_HOST + 1

REPLY_LENGTH = 8

_REQUEST = struct.Struct("!BBH4s")
_REPLY = struct.Struct("!BBH4s")


class Command(IntEnum):
    """
    The CD octet of a request. RESOLVE is Tor's extension.
    """

    CONNECT = 0x01
    BIND = 0x02
    RESOLVE = 0xF0


class ReplyCode(IntEnum):
    """
    The CD octet of a reply.
    """

    GRANTED = 0x5A
    REJECTED = 0x5B
    IDENTD_UNREACHABLE = 0x5C
    IDENTD_MISMATCH = 0x5D


@dataclass(frozen=True, slots=True)
class Request:
    """
    A SOCKS4 or SOCKS4a request.

    @ivar command: The CD octet, known or not.
    @ivar port: DSTPORT.
    @ivar address: DSTIP.
    @ivar userID: USERID without its NUL; a claim, not a proof.
    @ivar host: The SOCKS4a host name, or L{None} in a SOCKS4 request.
    """

    command: int
    port: int
    address: IPv4Address
    userID: bytes
    host: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """
    A SOCKS4 reply.

    @ivar code: The CD octet, known or not.
    @ivar port: DSTPORT.
    @ivar address: DSTIP.
    """

    code: int
    port: int = 0
    address: IPv4Address = IPv4Address(0)


def marksHostName(address: IPv4Address) -> bool:
    """
    Tell whether DSTIP is SOCKS4a's marker, C{0.0.0.x} with x not zero.
    """
    return 0 < int(address) <= 0xFF


def decodeRequest(data: bytes) -> tuple[Request, int] | None:
    """
    Read a request::

        +----+----+---------+-------+----------+------+------------+------+
        | VN | CD | DSTPORT | DSTIP |  USERID  | NULL | HOST (4a)  | NULL |
        | 1  | 1  |    2    |   4   | variable |  1   |  variable  |  1   |
        +----+----+---------+-------+----------+------+------------+------+

    @raise BadVersion: VN is not 4.
    @raise MessageTooLong: A string runs past its limit without a NUL.
    """
    if data and data[0] != VERSION:
        raise BadVersion("not a SOCKS4 request")
    if len(data) < _REQUEST.size:
        return None
    _, command, port, packed = _REQUEST.unpack_from(data)
    address = IPv4Address(packed)
    userID = _terminated(data, _REQUEST.size, MAX_USERID)
    if userID is None:
        return None
    end = _REQUEST.size + len(userID) + 1
    if not marksHostName(address):
        return Request(command, port, address, userID), end
    host = _terminated(data, end, MAX_HOST)
    if host is None:
        return None
    return Request(command, port, address, userID, host), end + len(host) + 1


def _terminated(data: bytes, start: int, limit: int) -> bytes | None:
    """
    Give the string that starts at C{start} and ends before a NUL, or L{None}
    if the NUL has not come yet.
    """
    end = data.find(b"\0", start, start + limit + 1)
    if end >= 0:
        return data[start:end]
    if len(data) - start > limit:
        raise MessageTooLong(f"a string longer than {limit} octets")
    return None


def encodeRequest(request: Request) -> bytes:
    """
    Write a request.

    @see: L{decodeRequest} for the shape.
    """
    head = _REQUEST.pack(VERSION, request.command, request.port, request.address.packed)
    tail = b"" if request.host is None else request.host + b"\0"
    return head + request.userID + b"\0" + tail


def decodeReply(data: bytes) -> tuple[Reply, int] | None:
    """
    Read a reply: VN, CD, DSTPORT, DSTIP. VN should be 0; some servers send 4
    there.

    @raise BadVersion: VN is neither.
    """
    if data and data[0] not in (REPLY_VERSION, VERSION):
        raise BadVersion("not a SOCKS4 reply")
    if len(data) < _REPLY.size:
        return None
    _, code, port, packed = _REPLY.unpack_from(data)
    return Reply(code, port, IPv4Address(packed)), _REPLY.size


def encodeReply(reply: Reply) -> bytes:
    """
    Write a reply.
    """
    return _REPLY.pack(REPLY_VERSION, reply.code, reply.port, reply.address.packed)

"""
The frames of SOCKS5's GSSAPI method, as bytes and as values.

@see: U{https://www.rfc-editor.org/rfc/rfc1961}
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from socksproxy.errors import BadVersion, MalformedMessage

VERSION = 1
MAX_TOKEN = 65535

_HEAD = struct.Struct("!BBH")

MAX_FRAME = _HEAD.size + MAX_TOKEN


class MessageType(IntEnum):
    """
    The MTYP octet.
    """

    AUTHENTICATION = 0x01
    PROTECTION_LEVEL = 0x02
    DATA = 0x03
    ABORT = 0xFF


class Level(IntEnum):
    """
    What a security context does for everything that follows (RFC 1961 section
    4.3). That it may do nothing at all is not in the RFC; there are clients
    that ask for it.
    """

    NONE = 0
    INTEGRITY = 1
    CONFIDENTIALITY = 2
    SELECTIVE = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One message.

    @ivar messageType: MTYP.
    @ivar token: TOKEN, 1 to 65535 octets; none in an abort.
    """

    messageType: MessageType
    token: bytes = field(default=b"", repr=False)


def decodeFrame(data: bytes | bytearray, start: int = 0) -> tuple[Frame, int] | None:
    """
    Read a frame (RFC 1961 section 3.4)::

        +------+------+------+-----------------+
        | ver  | mtyp | len  |      token      |
        | 0x01 |  1   |  2   | up to 2^16 - 1  |
        +------+------+------+-----------------+

    An abort is its first two octets only (section 3.8).

    @param start: Where it begins.
    @raise BadVersion: VER is not 1.
    @raise MalformedMessage: MTYP is none of those that there are, or the token
        is empty.
    """
    there = len(data) - start
    if there >= 1 and data[start] != VERSION:
        raise BadVersion("not a GSSAPI frame")
    if there < 2:
        return None
    try:
        messageType = MessageType(data[start + 1])
    except ValueError as e:
        raise MalformedMessage(f"MTYP {data[start + 1]} is not known") from e
    if messageType is MessageType.ABORT:
        return Frame(messageType), 2
    if there < _HEAD.size:
        return None
    _, _, length = _HEAD.unpack_from(data, start)
    if length == 0:
        raise MalformedMessage("a GSSAPI frame without a token")
    if there < _HEAD.size + length:
        return None
    begin = start + _HEAD.size
    return Frame(messageType, bytes(data[begin : begin + length])), _HEAD.size + length


def encodeFrame(frame: Frame) -> bytes:
    """
    Write a frame.
    """
    if frame.messageType is MessageType.ABORT:
        return bytes((VERSION, frame.messageType))
    return _HEAD.pack(VERSION, frame.messageType, len(frame.token)) + frame.token

"""
The header of the PROXY protocol's version 2, with which a load balancer says
whose connection it passes on, in binary::

    +-----------+---------+--------+--------+-----------+------+
    | signature | ver/cmd | family | length | addresses | TLVs |
    |    12     |    1    |   1    |   2    |  0 to 216 |      |
    +-----------+---------+--------+--------+-----------+------+

@see: U{https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt}, section 2.2
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from socksproxy.errors import BadVersion, MalformedMessage, MessageTooLong
from socksproxy.inbound._wireproxy1 import SocketAddress

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

MAX_LENGTH = 4096
"""
Octets after the first sixteen; the protocol would allow 65535.
"""

TYPE_CRC32C = 0x03
"""
The type of the TLV that holds a checksum of the whole header.
"""

_VERSION = 2
_HEAD = struct.Struct("!12sBBH")
_IPV4 = struct.Struct("!4s4sHH")
_IPV6 = struct.Struct("!16s16sHH")
_TLV = struct.Struct("!BH")
_CHECKSUM = struct.Struct("!I")


class Command(IntEnum):
    """
    Whether the connection is passed on, or the load balancer's own.
    """

    LOCAL = 0x0
    PROXY = 0x1


class Family(IntEnum):
    """
    Over what the client has connected to the load balancer.
    """

    UNSPEC = 0x00
    TCP4 = 0x11
    UDP4 = 0x12
    TCP6 = 0x21
    UDP6 = 0x22
    UNIX_STREAM = 0x31
    UNIX_DATAGRAM = 0x32


_addressesLength = {
    Family.UNSPEC: 0,
    Family.TCP4: _IPV4.size,
    Family.UDP4: _IPV4.size,
    Family.TCP6: _IPV6.size,
    Family.UDP6: _IPV6.size,
    Family.UNIX_STREAM: 216,
    Family.UNIX_DATAGRAM: 216,
}


@dataclass(frozen=True, slots=True)
class Header:
    """
    What a load balancer says. Of a header that is not about a client, the
    command and the family are all that counts.

    @ivar command: Whether it is about a client.
    @ivar family: Over what the client came.
    @ivar source: The client, or L{None} where it has no IP address.
    @ivar destination: What it connected to, likewise.
    @ivar tlvs: What else is said, as types and values.
    """

    command: Command
    family: Family = Family.UNSPEC
    source: SocketAddress | None = None
    destination: SocketAddress | None = None
    tlvs: tuple[tuple[int, bytes], ...] = ()


def decodeHeader(data: bytes) -> tuple[Header, int] | None:
    """
    Read a header.

    @return: It and the octets that it takes, or L{None} while it is
        incomplete.
    @raise BadVersion: Its version is not 2.
    @raise MessageTooLong: It says that it is longer than C{MAX_LENGTH}.
    @raise MalformedMessage: There is anything else wrong with it.
    """
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]):
        raise MalformedMessage("no PROXY header")
    if len(data) <= len(SIGNATURE):
        return None
    command = _command(data[len(SIGNATURE)])
    if len(data) < _HEAD.size:
        return None
    _, _, familyOctet, length = _HEAD.unpack_from(data)
    if length > MAX_LENGTH:
        raise MessageTooLong(f"a PROXY header longer than {MAX_LENGTH} octets")
    family = Family.UNSPEC if command is Command.LOCAL else _family(familyOctet)
    if length < _addressesLength[family]:
        raise MalformedMessage("a PROXY header without room for its addresses")
    end = _HEAD.size + length
    if len(data) < end:
        return None
    if family is Family.UNSPEC:
        # Whatever follows is to be ignored.
        return Header(command), end
    return _header(family, data[:end]), end


def encodeHeader(header: Header) -> bytes:
    """
    Write a header: one with IP addresses, or one without a client. A checksum
    among its TLVs is written as it is.
    """
    addresses = b""
    if header.source is not None and header.destination is not None:
        (source, sourcePort), (destination, port) = header.source, header.destination
        layout = _IPV4 if source.version == 4 else _IPV6
        addresses = layout.pack(source.packed, destination.packed, sourcePort, port)
    tlvs = (_TLV.pack(kind, len(value)) + value for kind, value in header.tlvs)
    body = addresses + b"".join(tlvs)
    start = _HEAD.pack(SIGNATURE, _VERSION << 4 | header.command, header.family, len(body))
    return start + body


def crc32c(data: bytes) -> int:
    """
    Compute the checksum of RFC 3720 appendix B.4 (Castagnoli's).
    """
    crc = 0xFFFFFFFF
    for octet in data:
        crc = _crcTable[(crc ^ octet) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _crcEntry(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    return octet


_crcTable = tuple(_crcEntry(octet) for octet in range(256))


def _command(octet: int) -> Command:
    if octet >> 4 != _VERSION:
        raise BadVersion("a PROXY header of another version")
    try:
        return Command(octet & 0xF)
    except ValueError as e:
        raise MalformedMessage("a PROXY header with an unknown command") from e


def _family(octet: int) -> Family:
    try:
        return Family(octet)
    except ValueError as e:
        raise MalformedMessage("a PROXY header of no known family") from e


def _header(family: Family, whole: bytes) -> Header:
    """
    Read a header that is about a client and complete.
    """
    tlvs = _tlvs(whole, _HEAD.size + _addressesLength[family])
    source: SocketAddress | None = None
    destination: SocketAddress | None = None
    if family in (Family.TCP4, Family.UDP4):
        packed, packedDestination, sourcePort, port = _IPV4.unpack_from(whole, _HEAD.size)
        source = IPv4Address(packed), sourcePort
        destination = IPv4Address(packedDestination), port
    elif family in (Family.TCP6, Family.UDP6):
        packed, packedDestination, sourcePort, port = _IPV6.unpack_from(whole, _HEAD.size)
        source = IPv6Address(packed), sourcePort
        destination = IPv6Address(packedDestination), port
    return Header(Command.PROXY, family, source, destination, tlvs)


def _tlvs(whole: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    """
    Read the TLVs, which have to end where the header does.
    """
    tlvs = []
    checked = False
    while start < len(whole):
        valueStart = start + _TLV.size
        if valueStart > len(whole):
            raise MalformedMessage("a PROXY header that ends inside a TLV")
        kind, length = _TLV.unpack_from(whole, start)
        start = valueStart + length
        if start > len(whole):
            raise MalformedMessage("a PROXY header that ends inside a TLV")
        if kind == TYPE_CRC32C:
            if checked:
                raise MalformedMessage("a PROXY header with several checksums")
            _check(whole, valueStart, length)
            checked = True
        tlvs.append((kind, whole[valueStart:start]))
    return tuple(tlvs)


def _check(whole: bytes, start: int, length: int) -> None:
    """
    Compare a header with its checksum, in the place of which zeros count.
    """
    if length != _CHECKSUM.size:
        raise MalformedMessage("a PROXY header with a checksum of a wrong size")
    (expected,) = _CHECKSUM.unpack_from(whole, start)
    if crc32c(whole[:start] + bytes(length) + whole[start + length :]) != expected:
        raise MalformedMessage("a PROXY header with a wrong checksum")

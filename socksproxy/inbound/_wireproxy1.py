"""
The header of the PROXY protocol's version 1, with which a load balancer says
whose connection it passes on: one line of text before anything else::

    PROXY TCP4 192.0.2.1 198.51.100.2 56324 1080 CR LF

@see: U{https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt}, section 2.1
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from socksproxy.address import IPAddress
from socksproxy.errors import MalformedMessage, MessageTooLong

MAX_HEADER = 107
"""
Octets of the longest header, its end of line included.
"""

SocketAddress = tuple[IPAddress, int]
"""
An address, as written (it may be an IPv4-mapped one), and a port.
"""

_START = b"PROXY "
_END = b"\r\n"

# Leading zeros could be meant as octal.
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_STRAY = re.compile(rb"[\r\n]")


class Family(StrEnum):
    """
    Over what the client has connected to the load balancer.
    """

    TCP4 = "TCP4"
    TCP6 = "TCP6"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Header:
    """
    What a load balancer says.

    @ivar family: Over what the client came.
    @ivar source: The client, or L{None} if the family is not known.
    @ivar destination: What it connected to, likewise.
    """

    family: Family
    source: SocketAddress | None = None
    destination: SocketAddress | None = None


def decodeHeader(data: bytes) -> tuple[Header, int] | None:
    """
    Read a header.

    @return: It and the octets that it takes, or L{None} while it is
        incomplete.
    @raise MessageTooLong: It does not end within C{MAX_HEADER}.
    @raise MalformedMessage: There is anything wrong with it.
    """
    if not _START.startswith(data[: len(_START)]):
        raise MalformedMessage("no PROXY header")
    end = data.find(_END, 0, MAX_HEADER)
    if end < 0:
        if b"\n" in data[:MAX_HEADER]:
            raise MalformedMessage("a PROXY header with a bare LF")
        if len(data) >= MAX_HEADER:
            raise MessageTooLong(f"a PROXY header longer than {MAX_HEADER} octets")
        return None
    return _header(data[:end]), end + len(_END)


def encodeHeader(header: Header) -> bytes:
    """
    Write a header.
    """
    if header.source is None or header.destination is None:
        return f"PROXY {Family.UNKNOWN}\r\n".encode("ascii")
    (source, sourcePort), (destination, port) = header.source, header.destination
    line = f"PROXY {header.family} {source} {destination} {sourcePort} {port}\r\n"
    return line.encode("ascii")


def _header(line: bytes) -> Header:
    if _STRAY.search(line):
        raise MalformedMessage("a PROXY header with a stray end of line")
    fields = line.split(b" ")
    if fields[1] == b"UNKNOWN":
        # Whatever follows is to be ignored.
        return Header(Family.UNKNOWN)
    if len(fields) != 6:
        raise MalformedMessage("a PROXY header with too few or too many fields")
    _, family, source, destination, sourcePort, port = fields
    if family == b"TCP4":
        return Header(
            Family.TCP4,
            (_address(IPv4Address, source), _port(sourcePort)),
            (_address(IPv4Address, destination), _port(port)),
        )
    if family == b"TCP6":
        return Header(
            Family.TCP6,
            (_address(IPv6Address, source), _port(sourcePort)),
            (_address(IPv6Address, destination), _port(port)),
        )
    raise MalformedMessage("a PROXY header of no known family")


def _address(kind: type[IPv4Address] | type[IPv6Address], field: bytes) -> IPAddress:
    """
    Read an address of a certain kind. A zone has no meaning on another host.
    """
    try:
        if b"%" not in field:
            return kind(field.decode("ascii"))
    except ValueError:
        pass
    raise MalformedMessage("a PROXY header with a bad address")


def _port(field: bytes) -> int:
    if not _PORT.fullmatch(field) or int(field) > 0xFFFF:
        raise MalformedMessage("a PROXY header with a bad port")
    return int(field)

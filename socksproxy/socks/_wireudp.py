"""
The head that every datagram carries between a SOCKS5 client and its relay::

    +-----+------+------+----------+----------+----------+
    | RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |
    |  2  |  1   |  1   | variable |    2     | variable |
    +-----+------+------+----------+----------+----------+

A datagram that is refused is dropped, since there is no way to answer one;
the text of the error is then a short, stable word to count it under.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-7}
"""

import struct
from dataclasses import dataclass

from socksproxy.address import Destination, hostFromName, hostFromPacked
from socksproxy.errors import BadAddressType, BadName, MalformedMessage
from socksproxy.socks._wire5 import AddressType

MAX_DATAGRAM = 65507
"""
Octets of the largest datagram that UDP over IPv4 carries.
"""

MAX_HEAD = 4 + 1 + 255 + 2
"""
Octets of the longest head, which has the longest DST.ADDR that is a name.
"""

TRUNCATED = "truncated"
BAD_RSV = "bad-rsv"
BAD_ATYP = "bad-atyp"
BAD_NAME = "bad-name"
BAD_PORT = "bad-port"

REASONS = (TRUNCATED, BAD_RSV, BAD_ATYP, BAD_NAME, BAD_PORT)
"""
Why a datagram is refused: the texts of the errors.
"""

_START = struct.Struct("!HBB")
_PORT = struct.Struct("!H")

_IPV4_HEAD = struct.Struct("!HBB4sH")
_IPV6_HEAD = struct.Struct("!HBB16sH")


@dataclass(slots=True)
class Head:
    """
    A head as framed; whether its fields make sense has not been looked at.
    Not frozen, since making one for each datagram then costs half.

    @ivar fragment: FRAG.
    @ivar addressType: ATYP, a known one.
    @ivar address: DST.ADDR: 4 or 16 octets, or the name without its length.
    @ivar port: DST.PORT.
    @ivar length: Octets of the head.
    """

    fragment: int
    addressType: int
    address: bytes
    port: int
    length: int


@dataclass(frozen=True, slots=True)
class Datagram:
    """
    What a client's datagram says of itself.

    @ivar fragment: FRAG: 0, or the place of a fragment in its sequence.
    @ivar destination: Where it is to go, checked; the port is not 0.
    @ivar headLength: Octets of the head. What follows them is the payload,
        which may be empty.
    """

    fragment: int
    destination: Destination
    headLength: int


def decodeDatagram(data: bytes) -> Datagram:
    """
    Read the head of a datagram and check where it is to go. What FRAG asks
    for is for the caller to judge.

    @param data: One whole datagram, as received.
    @raise MalformedMessage: It ends inside its head, RSV is not zero, or
        DST.PORT is.
    @raise BadAddressType: ATYP is not 1, 3 or 4.
    @raise BadName: DST.ADDR is a name, and not one that a host can have.
    """
    head = decodeHead(data)
    if head.port == 0:
        raise MalformedMessage(BAD_PORT)
    if head.addressType != AddressType.DOMAINNAME:
        destination = Destination(hostFromPacked(head.address), head.port)
    else:
        try:
            destination = Destination(hostFromName(head.address), head.port)
        except BadName as e:
            raise BadName(BAD_NAME) from e
    return Datagram(head.fragment, destination, head.length)


def decodeHead(data: bytes) -> Head:
    """
    Split a datagram's head into its fields.

    @param data: One whole datagram, as received.
    @raise MalformedMessage: It ends inside its head, or RSV is not zero.
    @raise BadAddressType: ATYP is not 1, 3 or 4.
    """
    if len(data) < _START.size:
        raise MalformedMessage(TRUNCATED)
    reserved, fragment, addressType = _START.unpack_from(data)
    if reserved != 0:
        raise MalformedMessage(BAD_RSV)
    start = _START.size
    if addressType == AddressType.IPV4:
        length = 4
    elif addressType == AddressType.IPV6:
        length = 16
    elif addressType == AddressType.DOMAINNAME:
        if len(data) == start:
            raise MalformedMessage(TRUNCATED)
        length = data[start]
        start += 1
    else:
        raise BadAddressType(BAD_ATYP)
    end = start + length
    if len(data) < end + _PORT.size:
        raise MalformedMessage(TRUNCATED)
    (port,) = _PORT.unpack_from(data, end)
    return Head(fragment, addressType, data[start:end], port, end + _PORT.size)


def encodeHead(destination: Destination) -> bytes:
    """
    Write the head of a datagram that is not a fragment.

    @param destination: The address that the payload comes from; on the way to
        a relay the address or name that it is to go to.
    """
    host, port = destination.host, destination.port
    if isinstance(host, str):
        name = host.encode("ascii")
        start = _START.pack(0, 0, AddressType.DOMAINNAME)
        return b"".join((start, bytes((len(name),)), name, _PORT.pack(port)))
    if host.version == 4:
        return _IPV4_HEAD.pack(0, 0, AddressType.IPV4, host.packed, port)
    return _IPV6_HEAD.pack(0, 0, AddressType.IPV6, host.packed, port)

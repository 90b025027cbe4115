"""
Where a stream or a datagram goes, or where a datagram comes from::

    +------+----------+------+
    | ATYP |  ADDRESS | PORT |
    |  1   | variable |  2   |
    +------+----------+------+

The same as in SOCKS5, but that a name is ASCII always.

@see: U{https://shadowsocks.org/doc/what-is-shadowsocks.html}
@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-5}
"""

import struct

from socksproxy.address import Destination, hostFromName, hostFromPacked
from socksproxy.errors import BadAddressType, BadName

IPV4 = 1
NAME = 3
IPV6 = 4

MAX_ADDRESS = 1 + 1 + 255 + 2
"""
Octets of the longest address, which is a name.
"""

_PORT = struct.Struct("!H")
_IPV4 = struct.Struct("!B4sH")
_IPV6 = struct.Struct("!B16sH")


def encodeAddress(destination: Destination) -> bytes:
    """
    Write an address; a name is sent as a name.
    """
    host, port = destination.host, destination.port
    if isinstance(host, str):
        name = host.encode("ascii")
        return b"".join((bytes((NAME, len(name))), name, _PORT.pack(port)))
    if host.version == 4:
        return _IPV4.pack(IPV4, host.packed, port)
    return _IPV6.pack(IPV6, host.packed, port)


def decodeAddress(data: bytes) -> tuple[Destination, int] | None:
    """
    Read an address and check it. What port 0 means is for the caller to judge.

    @param data: What begins with it.
    @return: The address and its octets, or L{None} while it is incomplete.
    @raise BadAddressType: ATYP is not 1, 3 or 4.
    @raise BadName: The name is not one that a host can have. One that is an
        address in text is taken for that address.
    """
    if not data:
        return None
    kind, start = data[0], 1
    if kind == NAME:
        if len(data) < 2:
            return None
        length, start = data[1], 2
        if length == 0:
            raise BadName("an empty name")
    elif kind == IPV4:
        length = 4
    elif kind == IPV6:
        length = 16
    else:
        raise BadAddressType(f"ATYP {kind} is not known")
    end = start + length
    if len(data) < end + _PORT.size:
        return None
    address = bytes(data[start:end])
    (port,) = _PORT.unpack_from(data, end)
    if kind != NAME:
        return Destination(hostFromPacked(address), port), end + _PORT.size
    if not address.isascii():
        raise BadName("a name that is not ASCII")
    return Destination(hostFromName(address), port), end + _PORT.size

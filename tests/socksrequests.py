"""
What clients of SOCKS send and get beside requests to connect, as octets.
"""

from tests.socksclient import request, request4

BIND = 0x02
UDP_ASSOCIATE = 0x03
RESOLVE = 0xF0
RESOLVE_PTR = 0xF1

WAIT = 120.0
"""
Seconds that the peer of a BIND gets.
"""

IDLE = 300.0
"""
Seconds for which a host that has been written to may answer.
"""

LAST = 0x80
"""
The bit of FRAG that marks the last fragment.
"""

MAX_DATAGRAM = 65507
"""
Octets of the longest datagram.
"""


def command(code: int, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """
    Give a SOCKS5 request.

    @param code: CMD.
    @param host: A name or an address.
    """
    return bytes((5, code, 0)) + _addressed(host, port)


def command4(code: int, host: str, port: int = 0, userID: bytes = b"") -> bytes:
    """
    Give a SOCKS4 or SOCKS4a request.

    @param code: CD.
    @param host: A name or an IPv4 address.
    """
    return bytes((4, code)) + request4(host, port, userID)[2:]


def granted(host: str, port: int = 0) -> bytes:
    """
    Give the SOCKS5 reply of success.

    @param host: A name or an address.
    """
    return b"\5\0\0" + _addressed(host, port)


def granted4(host: str, port: int = 0) -> bytes:
    """
    Give the SOCKS4 reply of success.
    """
    return b"\0\x5a" + request4(host, port)[2:8]


def datagram(payload: bytes, host: str, port: int, fragment: int = 0) -> bytes:
    """
    Give a datagram between a client and its relay.

    @param host: A name or an address.
    @param fragment: FRAG.
    """
    return bytes((0, 0, fragment)) + _addressed(host, port) + payload


def _addressed(host: str, port: int) -> bytes:
    """
    Give ATYP, address and port.
    """
    return request(host, port)[3:]

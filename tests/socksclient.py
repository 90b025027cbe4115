"""
What clients of SOCKS send and get, as octets, for tests of what lies above the
codecs.
"""

from ipaddress import ip_address

NO_AUTHENTICATION = bytes.fromhex("050100")
WITH_PASSWORD = bytes.fromhex("050102")
WITH_EITHER = bytes.fromhex("05020002")

USERS = {"alice": "s3cret"}


def password(user: bytes, secret: bytes) -> bytes:
    """
    Give the message that says who a client is.
    """
    return b"\1" + bytes([len(user)]) + user + bytes([len(secret)]) + secret


ALICE = password(b"alice", b"s3cret")
MALLORY = password(b"alice", b"guess")

ACCEPTED = bytes.fromhex("0100")
REJECTED = bytes.fromhex("0101")


def request(host: str, port: int = 80) -> bytes:
    """
    Give a SOCKS5 request to connect.

    @param host: A name or an address.
    """
    try:
        address = ip_address(host)
    except ValueError:
        packed = b"\3" + bytes([len(host)]) + host.encode()
    else:
        packed = (b"\1" if address.version == 4 else b"\4") + address.packed
    return b"\5\1\0" + packed + port.to_bytes(2, "big")


def request4(host: str, port: int = 80, userID: bytes = b"") -> bytes:
    """
    Give a SOCKS4 or SOCKS4a request to connect.

    @param host: A name or an IPv4 address.
    """
    head = b"\4\1" + port.to_bytes(2, "big")
    try:
        return head + ip_address(host).packed + userID + b"\0"
    except ValueError:
        return head + b"\0\0\0\1" + userID + b"\0" + host.encode() + b"\0"


TO_WEB = request("192.0.2.1")
TO_SILENCE = request("192.0.2.9")

GRANTED = bytes.fromhex("050000017f000002c350")
GRANTED4 = bytes.fromhex("005ac3507f000002")
REFUSED4 = bytes.fromhex("005b000000000000")


def refused(code: int) -> bytes:
    """
    Give the SOCKS5 reply of failure.
    """
    return b"\5" + bytes([code]) + bytes.fromhex("0001000000000000")

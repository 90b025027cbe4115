"""
Addresses and names that a client from elsewhere must not reach, in every way
of writing them down, and the requests that ask for them.
"""

import struct
from ipaddress import ip_address

from tests.interop.namespaces import PROXY_ADDRESS, PROXY_ADDRESS_6

PUBLIC = ("203.0.113.5", "2001:db8:5::5")

HOSTS = (
    "127.0.0.1 localhost rebound.example mixed.example",
    "::1 localhost ip6-localhost",
    "::ffff:127.0.0.1 mapped.example",
    f"{PROXY_ADDRESS} proxy.example",
    "169.254.169.254 metadata.example",
    "64:ff9b::7f00:1 nat64.example",
    f"{PUBLIC[0]} public.example mixed.example",
    f"{PUBLIC[1]} public6.example",
)

# Of the proxy's host.
OWN_ADDRESSES = (
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    PROXY_ADDRESS,
    PROXY_ADDRESS_6,
    f"::ffff:{PROXY_ADDRESS}",
)
OWN_NAMES = (
    b"127.0.0.1",
    b"127.0.0.1.",
    b"127.8.9.10",
    b"0.0.0.0",
    b"::",
    b"::1",
    b"[::1]",
    b"[::]",
    b"0:0:0:0:0:0:0:1",
    b"::ffff:127.0.0.1",
    b"[::FFFF:7F00:1]",
    b"localhost",
    b"LocalHost.",
    b"ip6-localhost",
    b"rebound.example",
    b"mapped.example",
    b"proxy.example",
    PROXY_ADDRESS.encode(),
    PROXY_ADDRESS_6.encode(),
    "１２７.０.０.１".encode(),
    "127。0。0。1".encode(),
    "１２７｡０｡０｡１".encode(),
    "①②⑦.⓪.⓪.①".encode(),
    "ｌｏｃａｌｈｏｓｔ".encode(),
)

# Behind the cable. What embeds an address embeds 127.0.0.1 or the proxy's own.
INTERNAL_ADDRESSES = (
    "10.1.2.3",
    "100.64.9.10",
    "169.254.169.254",
    "172.16.4.5",
    "192.0.0.8",
    "192.168.7.8",
    "198.18.0.1",
    "240.1.2.3",
    "::7f00:1",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    # RFC 6052 section 2.2: with a prefix of 48 bits the address is around the
    # octet in the middle, and nobody looks at what follows it.
    "64:ff9b:1:7f00:0:100:808:808",
    f"64:ff9b::{PROXY_ADDRESS}",
    "2001:0:7f00:1::1",
    "2002:7f00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
)
INTERNAL_NAMES = (
    b"10.1.2.3",
    b"169.254.169.254",
    b"169.254.169.254.",
    b"metadata.example",
    b"nat64.example",
    b"64:ff9b::127.0.0.1",
    b"[fd00:ec2::254]",
)

UNDIALLED_ADDRESSES = ("224.0.0.1", "255.255.255.255", "fe80::1", "ff02::1")
"""
Where no connection could get to anyway.
"""

# What inet_aton, a resolver or a careless parser makes an address of.
NO_NAMES = (
    b"127.1",
    b"127.0.1",
    b"127.0.0.1.1",
    b"127.0.0.01",
    b"127.0.0.256",
    b"0",
    b"0x0",
    b"2130706433",
    b"2130706433.",
    b"0x7f000001",
    b"0X7F000001",
    b"0x7f.0.0.1",
    b"0x7f.1",
    b"0177.0.0.1",
    b"017700000001",
    b"127.0.0.0x1",
    b"127.0.0.1\0",
    b"127.0.0.1\0.example.com",
    b"localhost\0.example.com",
    b"127.0.0.1 ",
    b" 127.0.0.1",
    b"127.0.0.1\n",
    b"127.0.0.1:80",
    b"127.0.0.1/8",
    b"127.0.0.1%lo",
    b"user@localhost",
    b"127..1",
    b"::1%lo",
    b"[::1",
    b"::1]",
    b"[[::1]]",
    b"[127.0.0.1]",
    b"[::1]:80",
    b"::ffff:127.1",
    b"::ffff:0177.0.0.1",
    "２１３０７０６４３３".encode(),
    "０ｘ７ｆ０００００１".encode(),
    "127。1".encode(),
    "127．1".encode(),
    b"\xff\xfe",
    b".",
)


def packedPort(port: int) -> bytes:
    """
    Encode a port.
    """
    return struct.pack("!H", port)


def named(name: bytes, port: int) -> bytes:
    """
    Encode a SOCKS5 request for a name.
    """
    return b"\x05\x01\x00\x03%c%b%b" % (len(name), name, packedPort(port))


def addressed4(address: str, port: int) -> bytes:
    """
    Encode a SOCKS4 request.
    """
    return b"\x04\x01%b%b\x00" % (packedPort(port), ip_address(address).packed)


def named4(name: bytes, port: int) -> bytes:
    """
    Encode a SOCKS4a request. A NUL ends the name early.
    """
    return b"\x04\x01%b\x00\x00\x00\x01\x00%b\x00" % (packedPort(port), name)

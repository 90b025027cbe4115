"""
Every way to put an IPv4 address into an IPv6 address.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network

Embedding = Callable[[IPv4Address, int], IPv6Address]


def within(prefix: str, shift: int = 0) -> Embedding:
    """
    Make the embedding that puts 32 bits under a prefix.

    @param prefix: The prefix.
    @param shift: How many bits are behind the IPv4 address.
    @return: A function of the IPv4 address and of a number, which fills the
        bits that are neither.
    """
    network = IPv6Network(prefix)
    hostBits = 128 - network.prefixlen

    def embed(address: IPv4Address, other: int) -> IPv6Address:
        rest = other % (1 << hostBits) & ~(0xFFFFFFFF << shift)
        return IPv6Address(int(network.network_address) | rest | int(address) << shift)

    return embed


def translated(prefix: str) -> Embedding:
    """
    Make the embedding of RFC 6052 section 2.2 for a prefix shorter than 96
    bits, which leaves out bits 64 to 71 and has a suffix that is for nothing
    yet.
    """
    network = IPv6Network(prefix)
    length = network.prefixlen
    before = 64 - length

    def embed(address: IPv4Address, other: int) -> IPv6Address:
        value = int(address)
        high = value >> (32 - before) if before else 0
        low = value & ((1 << (32 - before)) - 1)
        suffixBits = 128 - 72 - (32 - before)
        suffix = other % (1 << suffixBits)
        return IPv6Address(int(network.network_address) | high << 64 | low << suffixBits | suffix)

    return embed


def teredoClient(address: IPv4Address, other: int) -> IPv6Address:
    """
    Embed a client's address as RFC 4380 section 4 says: with every bit
    turned over.
    """
    server = int(IPv4Address("65.54.227.120"))
    return IPv6Address(
        0x20010000 << 96 | server << 64 | (other % (1 << 32)) << 32 | int(address) ^ 0xFFFFFFFF
    )


def teredoServer(address: IPv4Address, other: int) -> IPv6Address:
    """
    Embed a server's address, before a client's that is public.
    """
    client = int(IPv4Address("8.8.8.8")) ^ 0xFFFFFFFF
    return IPv6Address(0x20010000 << 96 | int(address) << 64 | (other % (1 << 32)) << 32 | client)


EMBEDDINGS: dict[str, Embedding] = {
    "IPv4-mapped": within("::ffff:0:0/96"),
    "IPv4-compatible": within("::/96"),
    "IPv4-translated": within("::ffff:0:0:0/96"),
    "NAT64": within("64:ff9b::/96"),
    "6to4": within("2002::/16", 80),
    "Teredo client": teredoClient,
    "Teredo server": teredoServer,
    "local NAT64, /96": within("64:ff9b:1::/48"),
}

LOCAL_TRANSLATION: dict[str, Embedding] = {
    "local NAT64, /48": translated("64:ff9b:1::/48"),
    "local NAT64, /56": translated("64:ff9b:1:100::/56"),
    "local NAT64, /64": translated("64:ff9b:1:101::/64"),
}

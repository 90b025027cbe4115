"""
Which addresses may be dialled for whom.

A client that came in from elsewhere must not reach through this host what it
could not reach itself: this host, the networks behind it, and the metadata
services of clouds. The check is on the packed address that is about to be
dialled, never on a name, and it looks through every way of writing an IPv4
address inside an IPv6 one.

@see: U{https://www.iana.org/assignments/iana-ipv4-special-registry}
@see: U{https://www.iana.org/assignments/iana-ipv6-special-registry}
"""

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from zope.interface import implementer

from socksproxy.address import IPAddress
from socksproxy.errors import InternalAddress
from socksproxy.interfaces import IAddressPolicy

# ipaddress.is_private and is_global are not enough: they let shared address
# space (100.64.0.0/10) and the translation prefixes through.
_INTERNAL_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_INTERNAL_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        # NAT64 of a network's own (RFC 8215): where in it the IPv4 address
        # stands, only that network knows.
        "64:ff9b:1::/48",
        "ff00::/8",
    )
)

# Prefix, and by how many bits the embedded IPv4 address is shifted.
_EMBEDDING = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291 section 2.5.5.1
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated, RFC 2765
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
    (IPv6Network("2001::/32"), 64),  # Teredo server, RFC 4380
)
_TEREDO = IPv6Network("2001::/32")
_MASK32 = 0xFFFFFFFF
_BROADCAST = IPv4Address(_MASK32)


@implementer(IAddressPolicy)
class AnyAddress:
    """
    Lets every address pass: the policy for clients on this very host, and
    for everybody under C{--allow-private}.
    """

    def check(self, address: IPAddress) -> None:
        """
        See L{IAddressPolicy}.
        """


@implementer(IAddressPolicy)
class PublicAddresses:
    """
    Lets only addresses pass that are neither internal nor this host's own.
    """

    def __init__(self, isOwn: Callable[[IPAddress], bool] | None = None) -> None:
        """
        @param isOwn: Tells this host's own addresses.
        """
        self._isOwn = isOwnAddress if isOwn is None else isOwn

    def check(self, address: IPAddress) -> None:
        """
        See L{IAddressPolicy}.
        """
        if isInternal(address) or any(map(self._isOwn, _allOf(address))):
            raise InternalAddress


def _allOf(address: IPAddress) -> Iterator[IPAddress]:
    """
    Give an address and those embedded in it.
    """
    yield address
    if isinstance(address, IPv6Address):
        yield from embeddedIn(address)


def isInternal(address: IPAddress) -> bool:
    """
    Tell whether an address belongs to this host or to a network that is not
    the Internet, or whether it embeds such an IPv4 address.
    """
    if isinstance(address, IPv4Address):
        return any(address in network for network in _INTERNAL_IPV4)
    return any(address in network for network in _INTERNAL_IPV6) or any(
        isInternal(embedded) for embedded in embeddedIn(address)
    )


def embeddedIn(address: IPv6Address) -> Iterator[IPv4Address]:
    """
    Find the IPv4 addresses that a translator or tunnel may turn an IPv6
    address into.
    """
    value = int(address)
    for prefix, shift in _EMBEDDING:
        if address in prefix:
            yield IPv4Address(value >> shift & _MASK32)
    if address in _TEREDO:
        yield IPv4Address(~value & _MASK32)


def isHost(address: IPAddress) -> bool:
    """
    Tell whether an address is that of a single host, so that something can be
    sent there.
    """
    return not (address.is_multicast or address.is_unspecified or address == _BROADCAST)


def isOwnAddress(address: IPAddress) -> bool:
    """
    Tell whether an address is one of this host's. The kernel answers: it
    takes an own address as the source of what is sent to that address.
    Connecting a datagram socket sends nothing.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return bool(probe.getsockname()[0] == str(address))
    except OSError:
        # Not reachable at all, which dialling it will say better.
        return False

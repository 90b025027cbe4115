"""
Clients' addresses, as logs show them and as limits count them.
"""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from socksproxy.address import hostFromText
from socksproxy.relay.leg import outermost


def sourceOf(peer: IAddress) -> str:
    """
    Give what stands for a client where it is counted. A single host has a
    whole /64 of IPv6 addresses to choose from, so that is one source.
    """
    address = outermost(peer)
    if isinstance(address, UNIXAddress):
        return "unix"
    if isinstance(address, IPv6Address):
        host = hostFromText(address.host)
        if host is not None and host.version == 6:
            return str(ip_network((host, 64), strict=False))
        return str(host)
    return address.host if isinstance(address, IPv4Address) else "-"


def hostAndPort(peer: IAddress) -> tuple[str, int]:
    """
    Give an address in two parts, or a word and 0 where it has no such parts.
    """
    address = outermost(peer)
    if isinstance(address, IPv4Address | IPv6Address):
        return address.host, address.port
    return ("unix" if isinstance(address, UNIXAddress) else "-"), 0


def shownAddress(address: IAddress) -> str:
    """
    Write a transport's address for a log.
    """
    host, port = hostAndPort(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""
What an administrator decides about the DNS server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from socksproxy.address import Destination, hostFromText
from socksproxy.dns.cache import MAX_ENTRIES
from socksproxy.dns.hosts import Hosts
from socksproxy.dns.rules import Decision, Proxy
from socksproxy.dns.strategy import IPStrategy
from socksproxy.dns.upstreamurl import SYSTEM
from socksproxy.errors import ConfigurationError

MAX_PORT = 65535

_PORT = re.compile("[0-9]{1,5}")

THROUGH_PROXY = ("tcp://9.9.9.9", "tcp://1.1.1.1")
"""
Who is asked through a chain of proxies, if nobody else is named.
"""


@dataclass(frozen=True)
class DNSSettings:
    """
    What an administrator decides.

    @ivar listen: Addresses and ports; a port may be 0.
    @ivar upstreams: URLs of the name servers that are asked through the
        proxies, if there are any; by default L{THROUGH_PROXY}, and without
        proxies the system.
    @ivar direct: URLs of those that are asked straight.
    @ivar strategy: Which addresses clients get to see.
    @ivar hosts: Names with addresses.
    @ivar rules: Patterns of names, as L{Rules.add} takes them, and what is
        decided about each.
    @ivar default: What is decided about all other names.
    @ivar special: There are names that are never forwarded.
    @ivar canary: Tell browsers not to go to name servers of their own.
    @ivar size: How many replies are remembered.
    @ivar fakeIPv4: The pool of addresses that stand for names, if there are to
        be any.
    @ivar fakeIPv6: The pool of IPv6; only with one of IPv4.
    @ivar fakeFile: The path of the file that keeps them.
    """

    listen: tuple[Destination, ...] = ()
    upstreams: tuple[str, ...] = ()
    direct: tuple[str, ...] = (SYSTEM,)
    strategy: IPStrategy = IPStrategy.AS_IS
    hosts: Hosts | None = None
    rules: tuple[tuple[str, Decision], ...] = ()
    default: Decision = Proxy()
    special: bool = True
    canary: bool = True
    size: int = MAX_ENTRIES
    fakeIPv4: IPv4Network | None = None
    fakeIPv6: IPv6Network | None = None
    fakeFile: str = ""


def listenerFromText(text: str) -> Destination:
    """
    Read where to listen: C{HOST:PORT}, the host being an address of ours.

    @raise ConfigurationError: It is no such thing.
    """
    written, _, port = text.rpartition(":")
    isBracketed = written.startswith("[") and written.endswith("]")
    host = hostFromText(written.strip("[]") if isBracketed else written)
    if host is None or (host.version == 6) != isBracketed or not _PORT.fullmatch(port):
        raise ConfigurationError(f"{text!r} is no address and port, such as 127.0.0.1:5353")
    if int(port) > MAX_PORT:
        raise ConfigurationError(f"{text!r}: there is no such port")
    return Destination(host, int(port))

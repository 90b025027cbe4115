"""
Sockets that others send to because a client asked for them: where they are
opened, and what the client is told of it.

A relay of datagrams and the listener of a BIND have addresses of their own,
which firewalls have to let through and which a network translator changes::

    exposure = Exposure(reactor, PortRange(20000, 20999), {4: ip_address("203.0.113.5")})
    port = exposure.listenUDP(protocol, "10.0.0.5")
    exposure.advertised(ip_address("10.0.0.5"))  # 203.0.113.5
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import DatagramProtocol

from socksproxy.address import IPAddress, hostFromText
from socksproxy.errors import GeneralFailure, NetworkUnreachable
from socksproxy.policy.rules import isOwnAddress
from socksproxy.relay.datagrams import listenUDP
from socksproxy.relay.leg import addressAndPort

LOWEST_PORT = 1024
"""
Ports below are privileged, and nothing that a client asks for is put there.
"""

MAX_TRIES = 64
"""
Ports of a range that are tried before it is taken for full.
"""

PublicAddresses = Mapping[IPAddress | int, IPAddress]
"""
Public addresses by local address, or, for all others that are not loopback,
by version of IP.
"""

_NONE: PublicAddresses = {}


@dataclass(frozen=True, slots=True)
class PortRange:
    """
    Ports from which to choose.

    @ivar first: The lowest.
    @ivar last: The highest.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not LOWEST_PORT <= self.first <= self.last <= 65535:
            raise ValueError(f"a range of ports lies between {LOWEST_PORT} and 65535")

    def candidates(self, chance: random.Random) -> Iterator[int]:
        """
        Give ports to try, in an order that nobody can foresee.
        """
        ports = range(self.first, self.last + 1)
        yield from chance.sample(ports, min(len(ports), MAX_TRIES))


def localAddressTowards(peer: IPAddress) -> IPAddress:
    """
    Give our own address on the way to somebody, which is where it will find
    us. Connecting a datagram socket sends nothing.

    @raise NetworkUnreachable: There is no way.
    """
    family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(peer), 9))
            local = hostFromText(probe.getsockname()[0])
    except OSError as e:
        raise NetworkUnreachable from e
    if local is None:
        raise GeneralFailure("this host does not know its own address")
    return local


class Exposure:
    """
    Opens such sockets.

    @ivar localAddressTowards: Tells our own address on the way to another.
    """

    def __init__(
        self,
        reactor: Any,
        ports: PortRange | None = None,
        public: PublicAddresses = _NONE,
        chance: random.Random | None = None,
        route: Callable[[IPAddress], IPAddress] = localAddressTowards,
    ) -> None:
        """
        @param reactor: What listens.
        @param ports: From which ports to choose; by default the kernel does.
        @param public: What clients are told instead of local addresses.
        @param chance: Where the order of ports comes from.
        @param route: Tells our own address on the way to another.
        """
        self._reactor = reactor
        self._ports = ports
        self._chance = random.SystemRandom() if chance is None else chance
        self._public = public
        self.localAddressTowards = route
        self._relays: dict[int, list[IListeningPort]] = {}

    def listenTCP(self, factory: IProtocolFactory, interface: str) -> IListeningPort:
        """
        Listen for connections.

        @param interface: The local address.
        @raise GeneralFailure: No port is to be had.
        """
        return self._open(
            lambda port: self._reactor.listenTCP(port, factory, backlog=5, interface=interface)
        )

    def listenUDP(self, protocol: DatagramProtocol, interface: str) -> IListeningPort:
        """
        Listen for datagrams.

        @param interface: The local address.
        @raise GeneralFailure: No port is to be had.
        """
        opened = self._open(lambda port: listenUDP(self._reactor, port, protocol, interface))
        self._relays.setdefault(_numberOf(opened), []).append(opened)
        return opened

    def close(self, port: IListeningPort) -> None:
        """
        Close a port for datagrams.
        """
        number = _numberOf(port)
        relays = self._relays.get(number, [])
        if port in relays:
            relays.remove(port)
            if not relays:
                del self._relays[number]
        port.stopListening()

    def relaysAt(self, host: IPAddress, number: int) -> bool:
        """
        Tell whether a port for datagrams is one of ours, so that nothing is
        sent in a circle.
        """
        locals_ = [addressAndPort(port.getHost())[0] for port in self._relays.get(number, ())]
        if host in locals_:
            return True
        everywhere = any(local is not None and local.is_unspecified for local in locals_)
        return everywhere and (host.is_loopback or isOwnAddress(host))

    def advertised(self, local: IPAddress) -> IPAddress:
        """
        Give the address at which clients and their peers reach a local one.
        """
        if local in self._public:
            return self._public[local]
        return local if local.is_loopback else self._public.get(local.version, local)

    def _open(self, listen: Callable[[int], IListeningPort]) -> IListeningPort:
        candidates = [0] if self._ports is None else self._ports.candidates(self._chance)
        for port in candidates:
            try:
                return listen(port)
            except CannotListenError:
                continue
        raise GeneralFailure("no port is to be had for it")


def _numberOf(port: IListeningPort) -> int:
    return addressAndPort(port.getHost())[1]

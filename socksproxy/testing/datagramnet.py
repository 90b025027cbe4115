"""
A bad network between sockets for datagrams, for protocols of Twisted.

A server and its clients run whole on it, on one clock that the test moves::

    network = DatagramNetwork(loss=0.1, seed=7)
    network.listenUDP(4000, server, interface="10.0.0.1")
    port = network.listenUDP(0, client, interface="10.0.0.2")
    network.advanceUntil(lambda: client.done, limit=60)

    network.setConditions(Conditions(loss=1.0), "10.0.0.2")    # nothing gets out
    network.rebind(port)                                       # as a NAT does
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from heapq import heappop
from itertools import count
from math import ceil, floor
from typing import Any, TypeAlias

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.base import DelayedCall
from twisted.internet.error import (
    CannotListenError,
    InvalidAddressError,
    MessageLengthError,
)
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol

from socksproxy.testing.link import USUAL, Conditions, Direction, Flight, NoProgress
from socksproxy.testing.listeners import MemoryDatagrams
from socksproxy.testing.network import FIRST_PORT, ScriptedNetwork

Address: TypeAlias = tuple[str, int]
"""
A host and a port.
"""

Place: TypeAlias = str | Address | None
"""
A host, an address, or anywhere.
"""

LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""
The addresses of ports that do not claim one.
"""

MAX_DATAGRAM = 65507
"""
Octets of the longest datagram that UDP over IPv4 can send.
"""

CALLS_AT_ONCE = 10_000
"""
Calls that may run without the clock moving.
"""

TOLERANCE = 1e-6
"""
Seconds by which calls may run too early: more than floating point errs, and
less than anybody waits for.
"""


class NetworkDatagrams(MemoryDatagrams):
    """
    A socket for datagrams on a L{DatagramNetwork}. What it sends is on its way
    at once, so there is nothing to C{take}; C{peerSends} gives it a datagram
    from an address that need not exist.

    @ivar peer: Whom it is connected to, if it is.
    """

    def __init__(
        self,
        network: DatagramNetwork,
        protocol: DatagramProtocol,
        host: str,
        port: int,
        maxPacketSize: int,
    ) -> None:
        """
        @param maxPacketSize: Octets after which datagrams that arrive are cut
            off, as in real sockets.
        """
        self._network = network
        self._maxPacketSize = maxPacketSize
        self.peer: Address | None = None
        super().__init__(network, protocol, host, port)

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        """
        See C{IUDPTransport}.

        @raise OSError: It is closed, or has nobody to send to.
        @raise InvalidAddressError: The host is a name, or of another family.
        @raise MessageLengthError: There are no such long datagrams.
        """
        addr = addr or self.peer
        if addr is None or not self.open:
            raise OSError("it is closed, or an address is needed")
        if len(packet) > MAX_DATAGRAM:
            raise MessageLengthError("message too long")
        self._network.send(packet, (self.host, self.port), addr)

    def connect(self, host: str, port: int) -> None:
        """
        See C{IUDPTransport}: nothing from anybody else arrives any more.
        """
        self.peer = host, port

    def arrived(self, datagram: bytes, source: Address) -> None:
        """
        Give the protocol what the network has brought.
        """
        if self.peer in (None, source):
            self.peerSends(datagram[: self._maxPacketSize], *source)


class DatagramNetwork(ScriptedNetwork):
    """
    A clock and a network for datagrams, to be passed where a reactor is wanted.
    Connections and names are by script, as in L{ScriptedNetwork}.

    Datagrams to where nobody listens are gone, and nobody is told. There are no
    addresses for all interfaces: a port that wants one is on the loopback
    address of its family.

    @ivar directions: The ways that datagrams have taken so far, by source and
        destination; they count.
    """

    def __init__(
        self,
        conditions: Conditions = USUAL,
        *,
        seed: int = 0,
        world: Mapping[str, str | Sequence[str]] | None = None,
        **changes: Any,
    ) -> None:
        """
        @param conditions: Those from any address to any other.
        @param seed: Decides every draw.
        @param world: What there is to connect to and to resolve.
        @param changes: Fields of L{Conditions} that C{conditions} gets.
        """
        super().__init__(world)
        self._seed = seed
        self._conditions: dict[tuple[Place, Place], Conditions] = {
            (None, None): replace(conditions, **changes)
        }
        self._made = f"{type(self).__name__}({self._conditions[None, None]!r}, seed={seed})"
        self._ports: dict[Address, NetworkDatagrams] = {}
        self._inFlight: list[Flight] = []
        self._serial = count(1)
        self._wake: IDelayedCall | None = None
        self.directions: dict[tuple[Address, Address], Direction] = {}

    def __repr__(self) -> str:
        return self._made

    # What a reactor does.

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> NetworkDatagrams:
        """
        See C{IReactorUDP}.

        @raise CannotListenError: The port is taken.
        @raise InvalidAddressError: The interface is no address.
        """
        host, port = self._claim(LOOPBACK.get(interface, interface), port)
        datagrams = NetworkDatagrams(self, protocol, host, port, maxPacketSize)
        self._ports[host, port] = datagrams
        self.datagrams.append(datagrams)
        return datagrams

    def advance(self, amount: float) -> None:
        """
        Move the time, as C{Clock.advance} does; but each call sees the time at
        which it is due, and what it sends leaves then.

        @param amount: Seconds.
        @raise NoProgress: Calls keep coming at one and the same time.
        """
        end = self.rightNow + amount
        self._run(end, lambda: False)
        self.rightNow = max(self.rightNow, end)

    # What the test does.

    def advanceUntil(self, reached: Callable[[], bool], limit: float) -> float:
        """
        Move the time until something is so, from call to call.

        @param reached: Asked after each call, and before the first.
        @param limit: Seconds that it may take by this clock.
        @return: Seconds that it took by this clock.
        @raise NoProgress: It was not so in time, or calls keep coming at one
            and the same time.
        """
        began = self.rightNow
        if not reached() and not self._run(began + limit, reached):
            raise NoProgress(f"not reached within {limit} s on {self!r}, ways {self.directions}")
        return self.rightNow - began

    def setConditions(
        self, conditions: Conditions, source: Place = None, destination: Place = None
    ) -> None:
        """
        Change what happens to datagrams that are sent from now on. Of several
        that fit, what was set last is in force.

        @param source: The host, or host and port, that they are sent from;
            L{None} is any.
        @param destination: Likewise where they are sent to.
        """
        self._conditions.pop((source, destination), None)
        self._conditions[source, destination] = conditions
        for (sender, receiver), direction in self.directions.items():
            if _fits(sender, source) and _fits(receiver, destination):
                direction.conditions = conditions

    def rebind(
        self, datagrams: NetworkDatagrams, host: str | None = None, port: int = 0
    ) -> tuple[str, int]:
        """
        Move a port to another address without its protocol noticing, as a NAT
        does. What is under way to the old address does not arrive.

        @param host: The new host; L{None} is the same.
        @param port: The new port; 0 is any other.
        @return: The new address.
        @raise CannotListenError: It is taken.
        @raise OSError: The port is closed.
        """
        if not datagrams.open:
            raise OSError("it is closed")
        address = self._claim(host or datagrams.host, port)
        del self._ports[datagrams.host, datagrams.port]
        datagrams.host, datagrams.port = address
        self._ports[address] = datagrams
        return address

    # What its ports do.

    def send(self, datagram: bytes, source: Address, destination: Address) -> None:
        """
        Send a datagram, from any address to any other.

        @raise InvalidAddressError: The destination is no address, or one of
            another family than the source.
        """
        direction = self.directions.get((source, destination))
        if direction is None:
            direction = self._direct(source, destination)
        direction.send(datagram, ceil((self.rightNow - TOLERANCE) * 1000))
        self._arm()

    def _direct(self, source: Address, destination: Address) -> Direction:
        host = destination[0]
        if not (isIPv6Address if ":" in source[0] else isIPAddress)(host):
            raise InvalidAddressError(host, f"no address that {source[0]} can send to")
        conditions = next(
            conditions
            for (sender, receiver), conditions in reversed(self._conditions.items())
            if _fits(source, sender) and _fits(destination, receiver)
        )
        seed = f"{self._seed} {source} {destination}"
        direction = Direction(conditions, seed, self._inFlight, self._serial)
        direction.receiver = partial(self._arrived, source, destination)
        self.directions[source, destination] = direction
        return direction

    def _arrived(self, source: Address, destination: Address, datagram: bytes) -> None:
        port = self._ports.get(destination)
        if port is not None:
            port.arrived(datagram, source)

    def _claim(self, host: str, port: int) -> Address:
        if not isIPAddress(host) and not isIPv6Address(host):
            raise InvalidAddressError(host, "not an IPv4 or IPv6 address.")
        taken = {address for address, datagrams in self._ports.items() if datagrams.open}
        if (host, port) in taken:
            raise CannotListenError(host, port, OSError(errno.EADDRINUSE, "in use"))
        return host, port or next(free for free in count(FIRST_PORT) if (host, free) not in taken)

    def _arm(self) -> None:
        """
        Keep one call waiting, for what arrives first.
        """
        if not self._inFlight:
            return
        due = self._inFlight[0][0] / 1000
        if self._wake is None:
            self._wake = self.callLater(max(due - self.rightNow, 0), self._deliver)
        elif due < self._wake.getTime():
            self._wake.reset(max(due - self.rightNow, 0))

    def _deliver(self) -> None:
        self._wake = None
        inFlight = self._inFlight
        now = floor((self.rightNow + TOLERANCE) * 1000)
        try:
            # No more than there are now: what is sent meanwhile gets its own
            # turn, though it may take no time.
            for _ in range(len(inFlight)):
                if inFlight[0][0] > now:
                    break
                _, _, direction, datagram = heappop(inFlight)
                direction.delivered += 1
                direction.receiver(datagram)
        finally:
            self._arm()

    def _run(self, end: float, reached: Callable[[], bool]) -> bool:
        """
        Run what is due up to a time.

        @return: Whether what was wanted has been reached.
        """
        calls = self.calls
        atOnce = 0
        while True:
            calls.sort(key=DelayedCall.getTime)
            if not calls or (due := calls[0].getTime()) > end + TOLERANCE:
                return False
            atOnce += 1
            if due > self.rightNow:
                self.rightNow = due
                atOnce = 0
            elif atOnce > CALLS_AT_ONCE:
                raise NoProgress(f"calls keep coming at {due} s on {self!r}, first {calls[0]}")
            call = calls.pop(0)
            call.called = 1
            try:
                call.func(*call.args, **call.kw)
            except Exception as error:
                error.add_note(f"at {self.rightNow} s on {self!r}")
                raise
            if reached():
                return True


def _fits(address: Address, place: Place) -> bool:
    return place is None or place in (address, address[0])

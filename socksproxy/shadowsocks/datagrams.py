"""
The datagrams of all clients of a Shadowsocks server.

Who they are is known by what opens them. Each client gets a way out of its own,
by which all that it sends comes from one address, and is forgotten when it has
been silent for a while, or when there are too many and nobody is silent for
longer. What does not open, or is a recording, is not answered.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol

from socksproxy.address import hostFromText
from socksproxy.errors import TooManyConnections
from socksproxy.events import Ration, log
from socksproxy.inbound import Inbound, sourceOf
from socksproxy.interfaces import ClientOrigin
from socksproxy.policy.limits import Slot
from socksproxy.relay.datagrams import sendDatagram
from socksproxy.shadowsocks._packet import DatagramFault, Session
from socksproxy.shadowsocks._packetserver import ServerPackets
from socksproxy.shadowsocks.association import Association
from socksproxy.shadowsocks.diagnosis import Diagnosis
from socksproxy.shadowsocks.protocol import PROTOCOL

MAX_CLIENTS = 512
"""
Clients that are remembered.
"""

GRAIN = 1.0
"""
Seconds within which nobody cares who was there first.
"""

WARN_PERIOD = 60.0
"""
Seconds between two complaints about clients for which there is no place.
"""

Address = tuple[str, int]
"""
What a socket calls an address.
"""


@dataclass(eq=False, slots=True)
class _Client:
    """
    A client that is remembered.

    @ivar association: What goes between it and others.
    @ivar slot: Its place.
    @ivar address: Where it is.
    @ivar source: For whom it counts.
    """

    association: Association
    slot: Slot
    address: Address
    source: str


class ShadowsocksDatagrams(DatagramProtocol):
    """
    The protocol of a port.
    """

    noisy = False

    def __init__(
        self,
        inbound: Inbound,
        packets: ServerPackets,
        most: int = MAX_CLIENTS,
    ) -> None:
        """
        @param inbound: As for connections, of which each client counts as
            one. All together never take more than half of the places.
        @param packets: Opens datagrams.
        @param most: Most clients.
        """
        self._inbound = inbound
        self._clock = inbound.clock
        self._packets = packets
        self._most = max(1, min(most, inbound.limits.total // 2))
        # The one that was silent longest is the first, about.
        self._clients: OrderedDict[Session, _Client] = OrderedDict()
        self._expiring: IDelayedCall | None = None
        self._diagnosis = Diagnosis(inbound.listener)
        self._warnings = Ration(1, WARN_PERIOD)

    @property
    def clients(self) -> int:
        """
        How many clients are remembered.
        """
        return len(self._clients)

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """
        Take a datagram from whoever has sent it.
        """
        try:
            session, destination, payload = self._packets.open(datagram, addr)
        except DatagramFault as e:
            self._diagnosis.refused(self._clock.seconds(), "datagram", _shown(addr), e.refused)
            return
        client = self._clients.get(session)
        if client is None:
            try:
                client = self._admit(session, addr)
            except TooManyConnections as e:
                session.end()
                self._warn(e)
                return
        else:
            if client.address != addr and session.client == addr:
                client.address = addr
                client.association.cameFrom(_shown(addr))
            self._touch(session, client.association)
        client.association.send(payload, destination)

    def endAll(self, reason: str) -> None:
        """
        Forget all clients.

        @param reason: Why.
        """
        while self._clients:
            self._end(next(iter(self._clients)), reason)
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None

    def stopProtocol(self) -> None:
        """
        See C{DatagramProtocol}.
        """
        self.endAll("shut down")

    def _touch(self, session: Session, association: Association) -> None:
        now = association.used = self._clock.seconds()
        if now - association.moved >= GRAIN:
            association.moved = now
            self._clients.move_to_end(session)

    def _admit(self, session: Session, addr: Address) -> _Client:
        """
        Remember a new client.

        @raise TooManyConnections: There is no place for it, and none that
            could be made.
        """
        if len(self._clients) >= self._most:
            self._endOldest()
        peer = _shown(addr)
        inbound, source = self._inbound, sourceOf(peer)
        slot = self._slot(source)
        origin = ClientOrigin(PROTOCOL, inbound.listener, inbound.local, peer, source, keyed=True)
        association = Association(inbound, origin, session, self._answer)
        client = self._clients[session] = _Client(association, slot, addr, source)
        if self._expiring is not None and self._expiring.getTime() > association.expires:
            self._expiring.cancel()
            self._expiring = None
        if self._expiring is None:
            self._lookAt(association.expires)
        return client

    def _slot(self, source: str) -> Slot:
        """
        Take a place, if need be that of another client, or of another one of
        the same source.

        @raise TooManyConnections: There is none.
        """
        limits = self._inbound.limits
        try:
            slot = limits.admit()
        except TooManyConnections:
            if not self._clients:
                raise
            self._endOldest()
            slot = limits.admit()
        slot.handshakeDone()
        if self._inbound.local:
            return slot
        try:
            try:
                slot.attribute(source)
            except TooManyConnections:
                self._endOldest(source)
                slot.attribute(source)
        except TooManyConnections:
            slot.release()
            raise
        return slot

    def _answer(self, datagram: bytes, session: Session) -> bool:
        client = self._clients.get(session)
        if client is None:
            return False
        self._touch(session, client.association)
        return sendDatagram(self.transport, datagram, cast(Address, session.client))

    def _endOldest(self, source: str | None = None) -> None:
        """
        Forget the one that was silent longest.

        @param source: Of this one only, if there is any.
        """
        for session, client in self._clients.items():
            if source is None or client.source == source:
                self._end(session, "made room for another client")
                return

    def _end(self, session: Session, reason: str) -> None:
        client = self._clients.pop(session)
        client.association.end(reason)
        client.slot.release()

    def _lookAt(self, when: float) -> None:
        delay = max(GRAIN, when - self._clock.seconds())
        self._expiring = self._clock.callLater(delay, self._expire)

    def _expire(self) -> None:
        """
        Forget who has been silent for too long, and look again when the next
        one can have been. They do not all get the same time, and are not many.
        """
        self._expiring = None
        now = self._clock.seconds()
        for session, client in list(self._clients.items()):
            if client.association.expires <= now:
                self._end(session, "idle for too long")
        if self._clients:
            self._lookAt(min(client.association.expires for client in self._clients.values()))

    def _warn(self, error: TooManyConnections) -> None:
        if self._warnings.take(self._clock.seconds()):
            log.warn(
                "Datagrams from new clients of {listener} are dropped: {error}",
                listener=self._inbound.listener,
                error=str(error),
            )


def _shown(addr: Address) -> IPv4Address | IPv6Address:
    """
    Make an address of what a socket calls it.
    """
    host, port = addr
    text = str(hostFromText(host) or host)
    return (IPv6Address if ":" in text else IPv4Address)("UDP", text, port)

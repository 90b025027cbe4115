"""
Forwarding datagrams: every client of a port gets a way of its own to the one
target, and what comes back on it.

Clients are told apart by address and port, and forgotten when they have not
sent anything for a while. Who they are can be forged, so there is a bound on
how many are remembered, and the one that was silent longest goes first.

@see: U{https://www.rfc-editor.org/rfc/rfc4787}
"""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol

from socksproxy.address import Destination, hostFromText
from socksproxy.errors import TooManyConnections
from socksproxy.events import AccessRecord, log
from socksproxy.forward.flow import Flow, Way
from socksproxy.policy.limits import ConnectionLimits, Slot
from socksproxy.relay.datagrams import sendDatagram

IDLE = 300.0
"""
Seconds after which a client that does not send any more is forgotten (RFC 4787
section 4.3: not below 120). Its conduit forgets the target at the same time.
"""

MAX_FLOWS = 1024
"""
Clients that are remembered.
"""

GRAIN = 1.0
"""
Seconds within which nobody cares which client has sent first.
"""

WARN_PERIOD = 60.0
"""
Seconds between two complaints about clients for which there is no place.
"""

Client = tuple[str, int]


class DatagramForwarder(DatagramProtocol):
    """
    The protocol of one forwarded port.
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        way: Way,
        listener: str,
        limits: ConnectionLimits,
        most: int = MAX_FLOWS,
        idle: float = IDLE,
    ) -> None:
        """
        @param clock: Time.
        @param way: Where datagrams go to.
        @param listener: How logs name the port.
        @param limits: Every client counts as a connection. All together never
            take more than half of the places.
        @param most: Most clients.
        @param idle: Seconds for which a client is remembered.
        """
        self._clock = clock
        self._way = way
        self._listener = listener
        self._limits = limits
        self._most = max(1, min(most, limits.total // 2))
        self._idle = idle
        # The one that was silent longest is the first.
        self._flows: OrderedDict[Client, tuple[Flow, Slot]] = OrderedDict()
        self._expiring: IDelayedCall | None = None
        self._warnAt = 0.0

    @property
    def clients(self) -> int:
        """
        How many clients are remembered.
        """
        return len(self._flows)

    def datagramReceived(self, datagram: bytes, addr: Client) -> None:
        """
        Take a datagram from whoever has sent it.
        """
        known = self._flows.get(addr)
        if known is None:
            try:
                flow = self._admit(addr)
            except TooManyConnections as e:
                self._warn(e)
                return
        else:
            flow, _ = known
            self._touch(addr, flow)
        flow.send(datagram)

    def endAll(self, reason: str) -> None:
        """
        Forget all clients.

        @param reason: Why.
        """
        while self._flows:
            self._endOldest(reason)
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None

    def stopProtocol(self) -> None:
        """
        See C{DatagramProtocol}.
        """
        self.endAll("shut down")

    def _touch(self, client: Client, flow: Flow) -> None:
        now = flow.used = self._clock.seconds()
        if now - flow.moved >= GRAIN:
            flow.moved = now
            self._flows.move_to_end(client)

    def _admit(self, client: Client) -> Flow:
        """
        Make the flow of a new client.

        @raise TooManyConnections: There is no place for it, and none that
            could be made.
        """
        if len(self._flows) >= self._most:
            self._endOldest("made room for another client")
        try:
            slot = self._limits.admit()
        except TooManyConnections:
            if not self._flows:
                raise
            self._endOldest("made room for another client")
            slot = self._limits.admit()
        slot.handshakeDone()
        host, port = client
        address = hostFromText(host)
        shown = f"{host}:{port}" if address is None else str(Destination(address, port))
        record = AccessRecord(listener=self._listener, client=shown)
        flow = Flow(
            self._clock,
            self._way,
            record,
            lambda data: sendDatagram(self.transport, data, client),
        )
        self._flows[client] = (flow, slot)
        if self._expiring is None:
            self._expiring = self._clock.callLater(self._idle, self._expire)
        return flow

    def _endOldest(self, reason: str) -> None:
        _, (flow, slot) = self._flows.popitem(last=False)
        flow.end(reason)
        slot.release()

    def _expire(self) -> None:
        """
        Forget who has been silent for too long, and look again when the next
        one can have been.
        """
        self._expiring = None
        now = self._clock.seconds()
        while self._flows:
            flow, _ = next(iter(self._flows.values()))
            if flow.used + self._idle > now:
                self._expiring = self._clock.callLater(flow.used + self._idle - now, self._expire)
                return
            self._endOldest("idle for too long")

    def _warn(self, error: TooManyConnections) -> None:
        now = self._clock.seconds()
        if now >= self._warnAt:
            self._warnAt = now + WARN_PERIOD
            log.warn(
                "Datagrams from new clients of {listener} are dropped: {error}",
                listener=self._listener,
                error=str(error),
            )

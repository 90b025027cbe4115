"""
A forwarded port for datagrams, in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress, hostFromName
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.forward.datagrams import DatagramForwarder
from socksproxy.forward.flow import Way
from socksproxy.interfaces import IBoundPort, IDatagramConduit, IOutbound, Received, WayOut
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.rules import AnyAddress
from socksproxy.testing import MemoryDatagrams, ScriptedNetwork
from tests.accesslines import accessLines
from tests.logs import captured

TARGET = "192.0.2.53"
OTHER = "192.0.2.54"
CLIENT = ("198.51.100.7", 40000)
SECOND = ("198.51.100.7", 40001)
THIRD = ("198.51.100.8", 40000)

Sent = tuple[bytes, tuple[str, int]]


@implementer(IDatagramConduit)
class Conduit:
    """
    A conduit that the test looks into.

    @ivar received: Passes on what comes back.
    @ivar sent: What has been sent: datagrams, and where to.
    @ivar refusing: It cannot send.
    @ivar dropped: See L{IDatagramConduit}.
    @ivar closed: It has been closed.
    """

    def __init__(self, received: Received) -> None:
        self.received = received
        self.sent: list[tuple[bytes, str]] = []
        self.refusing = False
        self.dropped = (0, 0)
        self.closed = False

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit}.
        """
        if not self.refusing:
            self.sent.append((data, str(destination)))
        return not self.refusing

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """
        self.closed = True


@implementer(IOutbound)
class Outbound:
    """
    A way out that gives conduits when the test says so.

    @ivar conduits: Those that have been asked for, in order.
    @ivar asked: What waits for them, in the same order.
    @ivar atOnce: Whether nobody has to wait.
    """

    way = WayOut(udp=True)

    def __init__(self) -> None:
        self.conduits: list[Conduit] = []
        self.asked: list[Deferred[IDatagramConduit]] = []
        self.atOnce = True
        self.cancelled = 0

    def conduit(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IOutbound}.
        """
        made: Deferred[IDatagramConduit] = Deferred(self._cancel)
        self.conduits.append(Conduit(received))
        self.asked.append(made)
        if self.atOnce:
            self.give()
        return made

    def give(self) -> None:
        """
        Give the conduit that was asked for last.
        """
        self.asked[-1].callback(self.conduits[-1])

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IOutbound}.
        """
        raise AssertionError("a look-up")

    def listen(self, expected: Destination) -> Deferred[IBoundPort]:
        """
        See L{IOutbound}.
        """
        raise AssertionError("a listener")

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        See L{IOutbound}.
        """
        raise AssertionError("a look-up")

    def endpointFor(self, destination: Destination) -> Any:
        """
        See L{IOutbound}.
        """
        raise AssertionError("a connection")


class DatagramTestCase(SynchronousTestCase):
    """
    Tests with a forwarded port. When one ends, nothing of it is left.

    @ivar network: Where the target is, and time.
    @ivar port: Where clients send to.
    @ivar limits: How many clients there may be.
    @ivar events: What has been logged.
    """

    def setUp(self) -> None:
        """
        Forward to a target by address.
        """
        self.events = self.enterContext(captured())
        self.forward()

    def tearDown(self) -> None:
        """
        Close the port, and look at what is left.
        """
        self.port.stopListening()
        self.network.advance(0)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual([socket for socket in self.network.datagrams if socket.open], [])
        self.assertEqual(self.forwarder.clients, 0)

    def forward(
        self,
        host: str = TARGET,
        outbound: IOutbound | None = None,
        resolver: Any = None,
        relayed: bool = False,
        limits: ConnectionLimits | None = None,
        interface: str = "203.0.113.1",
        **bounds: Any,
    ) -> None:
        """
        Forward to somewhere else.

        @param host: To port 53 of this one.
        @param outbound: The way out; the real one by default.
        @param resolver: What resolves names.
        @param relayed: It leads through a proxy.
        @param limits: How many clients there may be.
        @param interface: The port's address.
        @param bounds: As for L{DatagramForwarder}.
        """
        if hasattr(self, "port"):
            self.port.stopListening()
            self.network.advance(0)
        self.network = ScriptedNetwork({"ns.test": [TARGET]})
        reactor: Any = self.network
        bounded = BoundedResolver(reactor, resolver or reactor)
        direct = DirectOutbound(reactor, reactor, bounded, AnyAddress(), "forward")
        target = Destination(hostFromName(host.encode()), 53)
        way = Way(outbound or direct, target, f"udp:{host}:53", relayed)
        self.limits = limits or ConnectionLimits()
        self.forwarder = DatagramForwarder(self.network, way, "udp:53", self.limits, **bounds)
        self.port = self.network.listenUDP(53, self.forwarder, interface)

    def send(self, data: bytes = b"question", client: tuple[str, int] = CLIENT) -> None:
        """
        Have a client send a datagram.
        """
        self.port.peerSends(data, *client)

    @property
    def sockets(self) -> list[MemoryDatagrams]:
        """
        Give the sockets towards the target, in the order of their opening.
        """
        return [it for it in self.network.datagrams if it is not self.port and it.open]

    def sent(self) -> list[Sent]:
        """
        Give what has been sent to whatever target, in the sockets' order.
        """
        return [sent for socket in self.sockets for sent in socket.take()]

    def lines(self) -> list[dict[str, Any]]:
        """
        Give the access lines.
        """
        return accessLines(self.events)

    def drops(self) -> int:
        """
        End everything, and give how many datagrams were dropped.
        """
        self.forwarder.endAll("over")
        return sum(line["datagramsDropped"] for line in self.lines())

"""
Conduits into a network by a script.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromName
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.exposure import Exposure
from socksproxy.interfaces import IAddressPolicy, Received
from socksproxy.outbound.conduit import DirectConduit
from socksproxy.outbound.vetting import Vetting
from socksproxy.testing import MemoryDatagrams, ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import DenyNetworks

Sent = tuple[bytes, tuple[str, int]]

ONE, TWO, STRANGER = "192.0.2.1", "192.0.2.2", "198.51.100.9"
SIX = "2001:db8::1"


class NoIPv6(ScriptedNetwork):
    """
    A host without IPv6.
    """

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.
        """
        if ":" in interface:
            raise CannotListenError(interface, port, OSError(97, "no such family"))
        return super().listenUDP(port, protocol, interface, maxPacketSize)


class ConduitTestCase(SynchronousTestCase):
    """
    Tests with a conduit. When one ends nothing is left over.

    @ivar received: What the client got: datagrams, and where from.
    """

    network: ScriptedNetwork

    def setUp(self) -> None:
        self._conduits: list[DirectConduit] = []

    def tearDown(self) -> None:
        """
        Close what has been made, and require that nothing is left of it.
        """
        for conduit in self._conduits:
            conduit.close()
        self.assertEqual(self.opened, [])
        self.network.advance(0)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def conduit(
        self,
        network: ScriptedNetwork | None = None,
        policy: IAddressPolicy | None = None,
        resolver: IHostnameResolver | None = None,
        fullCone: bool = False,
        received: Received | None = None,
        **names: Sequence[str],
    ) -> DirectConduit:
        """
        Make a conduit.

        @param received: What takes datagrams; the test by default.
        @param names: The addresses of names, with C{_} for dots.
        """
        self.network = network or ScriptedNetwork()
        for name, addresses in names.items():
            self.network.world[name.replace("_", ".")] = addresses
        self.received: list[tuple[bytes, str]] = []
        bounded = BoundedResolver(self.network, resolver or self.network)
        vetting = Vetting(bounded, policy or DenyNetworks(), "client")
        self.made = DirectConduit(
            Exposure(self.network),
            self.network,
            vetting,
            received or self._receive,
            fullCone,
        )
        self._conduits.append(self.made)
        return self.made

    def slowly(self) -> SlowNames:
        """
        Make a conduit whose names are resolved at the test's pace.
        """
        names = SlowNames()
        self.conduit(resolver=names)
        return names

    def send(self, host: str = ONE, data: bytes = b"question", port: int = 53) -> bool:
        """
        Have a datagram sent.
        """
        return self.made.send(data, Destination(hostFromName(host.encode()), port))

    @property
    def opened(self) -> list[MemoryDatagrams]:
        """
        Give the sockets that are open.
        """
        return [datagrams for datagrams in self.network.datagrams if datagrams.open]

    @property
    def socket(self) -> MemoryDatagrams:
        """
        Give the only socket that is open.
        """
        (datagrams,) = self.opened
        return datagrams

    def sent(self) -> list[Sent]:
        """
        Give what has been sent, by whatever socket.
        """
        return [sent for datagrams in self.network.datagrams for sent in datagrams.take()]

    def answers(self, host: str, port: int = 53, data: bytes = b"answer") -> bool:
        """
        Have somebody send to the client.

        @return: Whether it got there.
        """
        self.received.clear()
        for datagrams in self.opened:
            datagrams.peerSends(data, host, port)
        return bool(self.received)

    def _receive(self, data: bytes, source: Destination) -> None:
        self.received.append((data, str(source)))

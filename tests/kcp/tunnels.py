"""
What the tests of tunnels on a network have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IStreamServerEndpoint,
)
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp.kcptun import (
    clientEndpoint,
    portsFrom,
    serverEndpoint,
    tunnelFrom,
)
from socksproxy.smux.endpoints import MuxClientEndpoint
from socksproxy.smux.parameters import POOL
from socksproxy.testing import Conditions, DatagramNetwork
from tests.kcp.network import CLIENT, HOST, PORT
from tests.smux.muxes import Applications, HalfCloseable

KEY = "a secret that is found in no text"

USUAL = Conditions(latency=20)

LOST = Conditions(loss=1.0)
"""
Nothing arrives.
"""


class Echo(HalfCloseable):
    """
    An application that sends back what it gets.
    """

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


def numbered() -> Iterator[bytes]:
    """
    Make messages none of which is like another.
    """
    number = 0
    while True:
        yield b"%08d;" % number
        number += 1


class TunnelTestCase(SynchronousTestCase):
    """
    Tests with a server and a client on a network.
    """

    def start(self, ports: str = str(PORT), latency: int = 20, **given: str) -> None:
        """
        Start both.

        @param latency: Milliseconds that a datagram takes.
        @param given: Parameters.
        """
        self.network = DatagramNetwork(latency=latency)
        self.given = {"key": KEY, "crypt": "aes-128-gcm", "nocomp": "yes", **given}
        self.ports = ports
        self.accepted = Applications(Echo)
        self.port: Any = self.successResultOf(self.server().listen(self.accepted))
        tunnel = tunnelFrom({**self.given, "interface": CLIENT})
        self.client = clientEndpoint(self.network, HOST, portsFrom(ports, 1), tunnel)

    def server(self, ports: str | None = None) -> IStreamServerEndpoint:
        """
        Make a server's endpoint.
        """
        given = {name: text for name, text in self.given.items() if name not in POOL}
        tunnel = tunnelFrom({**given, "interface": HOST})
        return serverEndpoint(self.network, portsFrom(ports or self.ports, 0), tunnel)

    def connect(self, client: MuxClientEndpoint | None = None) -> Any:
        """
        Open a stream.

        @return: Its application.
        """
        connecting: Deferred[Any] = (client or self.client).connect(Applications(HalfCloseable))
        return self.successResultOf(connecting)

    def echoed(self, application: Any, limit: float) -> float:
        """
        Require that something is sent and comes back.

        @param limit: Seconds in which it has to.
        @return: Seconds that it took.
        """
        before = len(application.data)
        application.transport.write(b"hello")
        return self.network.advanceUntil(lambda: len(application.data) == before + 5, limit=limit)

    def sockets(self, host: str) -> list[Any]:
        """
        Give the open sockets of a host.
        """
        return [each for each in self.network.datagrams if each.host == host and each.open]

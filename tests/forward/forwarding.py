"""
A forwarded port in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.forward.streams import ForwardFactory
from socksproxy.forward.target import Target
from socksproxy.inbound import Inbound, InboundProtocol
from socksproxy.testing import MemoryTransport, ScriptedNetwork, tcpAddress
from tests.accesslines import accessLines
from tests.logs import captured
from tests.memoryproxy import StrictTransport

WORLD = {
    "192.0.2.1:80": "accept",
    "192.0.2.9:80": "timeout",
    "web.test": ["192.0.2.1"],
}


@implementer(IRealm)
class Nobody:
    """
    A realm where nobody should log in.
    """

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: object) -> Any:
        """
        See C{IRealm}.
        """
        raise AssertionError("a login")


@implementer(IStreamClientEndpoint)
class Endpoint:
    """
    An endpoint that does what the test says.

    @ivar results: What each attempt gives, in order.
    """

    def __init__(self, *results: Deferred[IProtocol] | Exception) -> None:
        self.results = list(results)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.
        """
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


class ForwardTestCase(SynchronousTestCase):
    """
    Tests with a forwarded port. When one ends, all of its connections are
    over and no timer runs.

    @cvar transport: What clients are connected by.
    @ivar network: Where the target is, and time.
    @ivar inbound: What the connections share.
    @ivar events: What has been logged.
    """

    transport: type[MemoryTransport] = StrictTransport

    def setUp(self) -> None:
        """
        Forward to a target that answers.
        """
        self._clients: list[MemoryTransport] = []
        self.network = ScriptedNetwork(WORLD)
        self.events = self.enterContext(captured())
        self.forward()

    def tearDown(self) -> None:
        """
        Have the clients go, and look at what is left.
        """
        for client in self._clients:
            client.peerResets()
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual(self.inbound.connections, set())

    def forward(
        self,
        host: str = "192.0.2.1",
        endpoint: IStreamClientEndpoint | None = None,
        timeout: float = 30,
        tls: bool = False,
        **inbound: Any,
    ) -> None:
        """
        Forward to somewhere.

        @param host: To port 80 of this one.
        @param endpoint: In place of that.
        @param timeout: Seconds for connecting.
        @param tls: The endpoint is of TLS.
        @param inbound: Attributes of the L{Inbound}.
        """
        portal = Portal(Nobody())
        self.inbound = Inbound(portal, self.network, listener="tcp:8080", **inbound)
        leading = endpoint or TCP4ClientEndpoint(self.network, host, 80, timeout=None)
        target = Target(self.network, leading, "tcp:web.test:80", timeout, tls)
        self.factory: IProtocolFactory = ForwardFactory(self.inbound, target)

    def connect(self, host: str = "198.51.100.7", port: int = 40000) -> MemoryTransport:
        """
        Connect a client.
        """
        peer = tcpAddress(host, port)
        client = self.transport.connect(self.network, self.factory, peer=peer)
        self._clients.append(client)
        return client

    def joined(self) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Connect a client whose target accepts.

        @return: The client's and the target's transport.
        """
        client = self.connect()
        return client, self.target()

    def target(self) -> MemoryTransport:
        """
        Give the connection that was made last.
        """
        self.settle()
        transport = self.network.attempts[-1].transport
        assert transport is not None, "the target did not accept"
        return transport

    def protocol(self) -> InboundProtocol:
        """
        Give the only connection's protocol.
        """
        (connection,) = self.inbound.connections
        return connection

    def settle(self) -> None:
        """
        Let happen what is due, without time passing.
        """
        self.network.pump([0] * 4)

    def line(self) -> dict[str, Any]:
        """
        Give the only access line.
        """
        (line,) = accessLines(self.events)
        return line

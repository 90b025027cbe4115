"""
Clients of a whole proxy in memory.
"""

from __future__ import annotations

from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.config import Configuration
from socksproxy.service import ProxyService
from socksproxy.testing import MemoryTransport
from tests.memoryreactor import MemoryReactor
from tests.socksclient import (
    GRANTED,
    NO_AUTHENTICATION,
    request,
)

WORLD = {
    "127.0.0.1:80": "accept",
    "192.0.2.1:80": "accept",
    "192.0.2.9:80": "timeout",
    "web.test": ["192.0.2.1"],
    "inside.test": ["127.0.0.1"],
}
METHOD = b"\5\0"


class ClientTestCase(SynchronousTestCase):
    """
    Tests with a proxy in memory that runs.
    """

    def start(
        self, listen: str = "tcp:1080:interface=127.0.0.1", **configuration: object
    ) -> ProxyService:
        """
        Start a proxy.
        """
        self.reactor = MemoryReactor(WORLD)
        proxy = ProxyService(
            self.reactor,
            Configuration(listen=[listen], **configuration),  # type: ignore[arg-type]
        )
        proxy.startService()
        self.reactor.run()
        return proxy

    def ask(self, host: str, peer: IAddress | None = None) -> MemoryTransport:
        """
        Connect to the proxy and ask for a host.
        """
        client = self.reactor.ports[0].connect(peer)
        client.peerSends(NO_AUTHENTICATION)
        self.assertEqual(client.take(), METHOD)
        client.peerSends(request(host))
        self.reactor.advance(0)
        return client

    def relay(self) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Get a connection through the proxy.

        @return: The client's and the target's transport.
        """
        client = self.ask("192.0.2.1")
        self.assertEqual(client.take(), GRANTED)
        target = self.reactor.attempts[-1].transport
        assert target is not None
        return client, target

    def settle(self) -> None:
        """
        Let happen what is due, without time passing.
        """
        self.reactor.pump([0] * 4)

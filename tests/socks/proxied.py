"""
Clients of a proxy in memory that ask for something else than a connection.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.testing import MemoryTransport
from tests.accesslines import accessLines
from tests.logs import atLevel, captured
from tests.memoryproxy import MemoryProxy, asking


class ProxiedTestCase(SynchronousTestCase):
    """
    Tests with a proxy. When one ends, nothing is left of its clients, and
    nothing has gone wrong unseen.

    @ivar proxy: The proxy.
    """

    proxy: MemoryProxy

    def setUp(self) -> None:
        self._clients: list[MemoryTransport] = []
        self.events = self.enterContext(captured())
        self.start()

    def tearDown(self) -> None:
        """
        Have the clients go.
        """
        self.hangUp()
        self.assertEqual(atLevel(self.events, LogLevel.critical), [])
        self.assertEqual(atLevel(self.events, LogLevel.error), [])

    def start(self, **settings: Any) -> MemoryProxy:
        """
        Have another proxy.

        @param settings: As for L{MemoryProxy}.
        """
        self.hangUp()
        self.proxy = MemoryProxy(**settings)
        return self.proxy

    def ask(self, said: bytes) -> MemoryTransport:
        """
        Connect a client that needs no password and makes a request.
        """
        return self.has(asking(self.proxy, said))

    def has(self, client: MemoryTransport) -> MemoryTransport:
        """
        Remember a client, and let happen what needs no time.
        """
        self._clients.append(client)
        self.proxy.settle()
        return client

    def hangUp(self) -> None:
        """
        Have every client go that is still there, and require that nothing is
        left of any: no connection, no timer, and no port.
        """
        for client in self._clients:
            client.peerResets()
        if self._clients:
            self.proxy.settle()
            self.assertNothingLeft()
        self._clients.clear()

    def assertNothingLeft(self) -> None:
        """
        Fail if anything is left.
        """
        self.assertEqual(self.proxy.traces(), [])
        network = self.proxy.network
        self.assertEqual([each for each in network.datagrams if each.open], [])
        self.assertEqual([each for each in network.listeners if each.open], [])

    def lines(self) -> list[dict[str, Any]]:
        """
        Give the access lines since the last time.
        """
        lines = accessLines(self.events)
        self.events.clear()
        return lines

    def line(self) -> dict[str, Any]:
        """
        Have the clients go, and give the only access line.
        """
        self.hangUp()
        (line,) = self.lines()
        return line

"""
Tests for L{socksproxy.inbound}: how many connections there may be.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.policy.limits import ConnectionLimits
from socksproxy.testing import MemoryTransport
from tests.memoryproxy import MemoryProxy
from tests.socksclient import (
    NO_AUTHENTICATION,
    TO_WEB,
)


class LimitTests(SynchronousTestCase):
    """
    There is room for so many connections.
    """

    def checkClosed(self, client: MemoryTransport) -> None:
        """
        Require that a connection was closed when it was accepted.
        """
        self.assertTrue(client.aborted)
        client.peerSends(NO_AUTHENTICATION)
        self.assertEqual(client.take(), b"")

    def test_total(self) -> None:
        """
        In all, whoever they are from; and one that ends makes room.
        """
        proxy = MemoryProxy(limits=ConnectionLimits(total=2))
        clients = [proxy.clientAt(f"192.0.2.{number}") for number in (10, 11, 12)]
        self.assertEqual([client.aborted for client in clients], [False, False, True])
        self.checkClosed(clients[2])
        proxy.settle()
        self.assertTrue(clients[2].lost)
        self.checkClosed(proxy.clientAt("192.0.2.13"))
        clients[0].peerResets()
        self.assertFalse(proxy.clientAt("192.0.2.14").aborted)

    def test_perSource(self) -> None:
        """
        For one source; an IPv6 network is one.
        """
        proxy = MemoryProxy(limits=ConnectionLimits(perSource=1))
        for first, second, other in (
            ("192.0.2.10", "192.0.2.10", "192.0.2.11"),
            ("2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"),
        ):
            client = proxy.clientAt(first)
            self.checkClosed(proxy.clientAt(second, 40001))
            self.assertFalse(proxy.clientAt(other).aborted)
            client.peerResets()
            self.assertFalse(proxy.clientAt(second, 40002).aborted)

    def test_localClients(self) -> None:
        """
        Clients of this very host are not counted by source, since they have
        one address between them.
        """
        proxy = MemoryProxy(limits=ConnectionLimits(perSource=1), local=True)
        self.assertEqual([proxy.connect().aborted for _ in range(3)], [False] * 3)

    def test_handshakes(self) -> None:
        """
        In handshakes; a request that has been made makes room.
        """
        proxy = MemoryProxy(limits=ConnectionLimits(handshakes=1))
        client = proxy.connect()
        client.peerSends(NO_AUTHENTICATION)
        self.checkClosed(proxy.connect())
        client.peerSends(TO_WEB)
        self.assertFalse(proxy.connect().aborted)
        self.checkClosed(proxy.connect())

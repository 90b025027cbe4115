"""
Tests for L{socksproxy.inbound}: how a refused client gets its answer.
"""

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.inbound import InboundTimers
from socksproxy.testing import MemoryTransport
from tests.memoryproxy import (
    EARLY_OCTETS,
    LINGER,
    LINGER_OCTETS,
    DenyNetworks,
    MemoryProxy,
    passwords,
)
from tests.socksclient import (
    MALLORY,
    NO_AUTHENTICATION,
    REFUSED4,
    REJECTED,
    TO_WEB,
    USERS,
    WITH_PASSWORD,
    refused,
    request,
    request4,
)

REFUSALS = {
    "no method": (b"\5\1\x80", b"\5\xff"),
    "no method at all": (b"\5\0", b"\5\xff"),
    "other sub-negotiation": (WITH_PASSWORD + b"\5", b"\5\2" + REJECTED),
    "wrong password": (WITH_PASSWORD + MALLORY, b"\5\2" + REJECTED),
    "unknown command": (NO_AUTHENTICATION + b"\5\x09\0\1", b"\5\0" + refused(7)),
    "bad name": (NO_AUTHENTICATION + request("a b"), b"\5\0" + refused(1)),
    "forbidden": (NO_AUTHENTICATION + request("198.51.100.1"), b"\5\0" + refused(2)),
    "refused": (NO_AUTHENTICATION + request("192.0.2.2"), b"\5\0" + refused(5)),
    "SOCKS4 command": (b"\4\x09" + request4("192.0.2.1")[2:], REFUSED4),
    "SOCKS4 forbidden": (request4("198.51.100.1"), REFUSED4),
    "SOCKS4 refused": (request4("192.0.2.2"), REFUSED4),
    "HTTP": (b"GET / HTTP/1.1\n", b"HTTP/1.1 400 "),
    "HTTP refused": (
        b"CONNECT 192.0.2.2:80 HTTP/1.1\r\nHost: 192.0.2.2\r\n\r\n",
        b"HTTP/1.1 502 ",
    ),
}
"""
What a client says, and what its answer begins with.
"""


class LingerTests(SynchronousTestCase):
    """
    The proxy ends its stream and reads on for a while, since a reset for
    unread octets could destroy the answer.
    """

    def refusedClient(self, name: str, more: bytes = b"") -> MemoryTransport:
        """
        Connect a client that is refused, and take its answer.

        @param name: The refusal.
        @param more: What the client sends in the same breath.
        """
        said, answer = REFUSALS[name]
        self.proxy = MemoryProxy(
            checkers=[passwords(USERS), AllowAnonymousAccess()],
            policy=DenyNetworks(["198.51.100.0/24"]),
        )
        client = self.proxy.connect()
        client.peerSends(said + more)
        self.proxy.settle()
        if name == "wrong password":
            self.proxy.network.advance(1)
        self.assertEqual(client.take()[: len(answer)], answer)
        self.assertTrue(client.ended)
        self.assertFalse(client.disconnecting or client.paused, name)
        return client

    def test_time(self) -> None:
        """
        It reads on for two seconds.
        """
        for name in REFUSALS:
            client = self.refusedClient(name)
            self.proxy.network.advance(LINGER - 0.25)
            self.assertFalse(client.disconnecting, name)
            self.proxy.network.advance(0.25)
            self.assertTrue(client.lost, name)
            self.assertFalse(client.aborted, name)
            self.assertEqual(self.proxy.traces(), [])

    def test_octets(self) -> None:
        """
        It reads on for 64 KiB, and no further.
        """
        for name in REFUSALS:
            client = self.refusedClient(name)
            client.peerSends(bytes(LINGER_OCTETS - 1))
            client.peerSends(b"x")
            self.proxy.settle()
            self.assertFalse(client.disconnecting, name)
            client.peerSends(b"x")
            self.proxy.settle()
            self.assertTrue(client.lost, name)
            self.assertEqual(client.take(), b"")
            self.assertEqual(self.proxy.traces(), [])

    def test_end(self) -> None:
        """
        It reads on until the client has said everything.
        """
        for name in REFUSALS:
            client = self.refusedClient(name)
            client.peerSends(TO_WEB)
            client.peerEnds()
            self.proxy.settle()
            self.assertTrue(client.lost, name)
            self.assertEqual(client.take(), b"")
            self.assertEqual(self.proxy.network.attempts[1:], [])
            self.assertEqual(self.proxy.traces(), [])

    def test_muchAtOnce(self) -> None:
        """
        It reads on also where so much came with what was refused that a
        client would be paused for it.
        """
        for name in REFUSALS:
            self.refusedClient(name, bytes(EARLY_OCTETS))

    def test_otherLimit(self) -> None:
        """
        The time can be set.
        """
        proxy = MemoryProxy(timers=InboundTimers(linger=5))
        client = proxy.connect()
        client.peerSends(b"\5\0")
        proxy.network.advance(4.75)
        self.assertFalse(client.disconnecting)
        proxy.network.advance(0.25)
        self.assertTrue(client.lost)


class EndedClientTests(SynchronousTestCase):
    """
    A client that has said everything leaves nothing unread.
    """

    def test_beforeTheAnswer(self) -> None:
        """
        Its connection is closed with the answer, and need not be lingered on.
        """
        proxy = MemoryProxy()
        client = proxy.connect()
        client.peerSends(request4("192.0.2.2"))
        client.peerEnds()
        self.assertFalse(client.disconnecting)
        proxy.settle()
        self.assertEqual(client.take(), REFUSED4)
        self.assertTrue(client.lost)
        self.assertEqual(proxy.traces(), [])

    def test_withoutRequest(self) -> None:
        """
        A client that ends its stream before it has made a request is done
        with at once, and gets no answer.
        """
        for said in (b"\5", NO_AUTHENTICATION + TO_WEB[:-1], request4("web.test")[:-1]):
            proxy = MemoryProxy()
            client = proxy.connect()
            client.peerSends(said)
            client.take()
            client.peerEnds()
            proxy.settle()
            self.assertEqual(client.take(), b"")
            self.assertTrue(client.lost)
            self.assertEqual(proxy.traces(), [])

    def test_whileWaitingForTheThrottle(self) -> None:
        """
        A client that has sent a wrong password and ends its stream learns
        nothing ahead of time, and then it is done with.
        """
        proxy = MemoryProxy(checkers=[passwords(USERS)])
        client = proxy.connect()
        client.peerSends(WITH_PASSWORD + MALLORY)
        client.peerEnds()
        proxy.network.advance(0.75)
        self.assertEqual(client.take(), b"\5\2")
        proxy.network.advance(0.25)
        proxy.settle()
        self.assertTrue(client.lost)
        self.assertEqual(proxy.traces(), [])

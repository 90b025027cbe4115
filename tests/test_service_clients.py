"""
Tests for L{socksproxy.service}: clients.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.address import UNIXAddress

from socksproxy.config import Configuration
from socksproxy.inbound import InboundTimers
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.service import ProxyService
from socksproxy.testing import tcpAddress
from tests.memoryreactor import MemoryReactor
from tests.proxyclients import METHOD, WORLD, ClientTestCase
from tests.socksclient import (
    GRANTED,
    MALLORY,
    NO_AUTHENTICATION,
    REJECTED,
    WITH_PASSWORD,
    refused,
    request,
)

NOT_ALLOWED = 0x02
SOMEBODY = tcpAddress("198.51.100.1", 4000)


class ServingTests(ClientTestCase):
    """
    What clients get.
    """

    def test_connection(self) -> None:
        """
        A client gets its connection, and bytes go both ways.
        """
        self.start()
        client, target = self.relay()
        client.peerSends(b"question")
        target.peerSends(b"answer")
        self.assertEqual((target.take(), client.take()), (b"question", b"answer"))

    def test_localClient(self) -> None:
        """
        A client of this host may reach what is on it, by whichever listener
        it came.
        """
        for listen, peer in (
            ("tcp:1080:interface=127.0.0.1", tcpAddress("127.0.0.1", 4000)),
            ("unix:/run/proxy", UNIXAddress(b"")),
        ):
            self.start(listen)
            for host in ("127.0.0.1", "inside.test"):
                self.assertEqual(self.ask(host, peer).take(), GRANTED)

    def test_clientFromElsewhere(self) -> None:
        """
        A client from elsewhere may not, neither by address nor by name, and
        nothing is dialled.
        """
        self.start("tcp:1080", openRelay=True)
        for host in ("127.0.0.1", "inside.test", "::1", "10.0.0.1", "169.254.169.254"):
            self.assertEqual(self.ask(host, SOMEBODY).take(), refused(NOT_ALLOWED), host)
        self.assertEqual(self.reactor.attempts, [])

    def test_loopbackClientOfOpenListener(self) -> None:
        """
        Neither may one that came over loopback to a listener for all: it may
        have been sent by somebody else's program.
        """
        self.start("tcp:1080", openRelay=True)
        client = self.ask("127.0.0.1", tcpAddress("127.0.0.1", 4000))
        self.assertEqual(client.take(), refused(NOT_ALLOWED))

    def test_balancedClient(self) -> None:
        """
        Neither may one that came through a load balancer on this host.
        """
        self.start("haproxy:tcp:1080:interface=127.0.0.1", openRelay=True)
        client = self.reactor.ports[0].connect(tcpAddress("127.0.0.1", 4000))
        client.peerSends(b"PROXY TCP4 127.0.0.1 127.0.0.1 4000 1080\r\n" + NO_AUTHENTICATION)
        client.peerSends(request("127.0.0.1"))
        self.reactor.advance(0)
        self.assertEqual(client.take(), METHOD + refused(NOT_ALLOWED))

    def test_allowPrivate(self) -> None:
        """
        With C{--allow-private} everybody may.
        """
        self.start("tcp:1080", openRelay=True, allowPrivate=True)
        self.assertEqual(self.ask("inside.test", SOMEBODY).take(), GRANTED)

    def test_passwords(self) -> None:
        """
        Where passwords are asked for, who has none is turned away, and who
        has a wrong one after a while.
        """
        self.start(checkers=[InMemoryUsernamePasswordDatabaseDontUse(alice=b"s3cret")])
        client = self.reactor.ports[0].connect()
        client.peerSends(NO_AUTHENTICATION)
        self.assertEqual(client.take(), b"\5\xff")
        client = self.reactor.ports[0].connect()
        client.peerSends(WITH_PASSWORD + MALLORY)
        self.assertEqual(client.take(), b"\5\2")
        self.reactor.advance(1)
        self.assertEqual(client.take(), REJECTED)

    def test_guessesOverAllListeners(self) -> None:
        """
        Who guesses at one listener is slowed down at the others.
        """
        self.reactor = MemoryReactor(WORLD)
        checkers = [InMemoryUsernamePasswordDatabaseDontUse(alice=b"s3cret")]
        ProxyService(
            self.reactor,
            Configuration(listen=["tcp:1080", "tcp:1081"], checkers=checkers),
        ).startService()
        for port, delay in zip(self.reactor.ports, (1, 2), strict=True):
            client = port.connect(SOMEBODY)
            client.peerSends(WITH_PASSWORD + MALLORY)
            self.assertEqual(client.take(), b"\5\2")
            self.reactor.advance(delay - 0.1)
            self.assertEqual(client.take(), b"")
            self.reactor.advance(0.2)
            self.assertEqual(client.take(), REJECTED)

    def test_limits(self) -> None:
        """
        The limits are those of the configuration.
        """
        self.start(limits=ConnectionLimits(total=1))
        first = self.reactor.ports[0].connect()
        second = self.reactor.ports[0].connect()
        self.assertEqual((first.aborted, second.aborted), (False, True))

    def test_timers(self) -> None:
        """
        So are the timers.
        """
        self.start(timers=InboundTimers(handshake=3))
        client = self.reactor.ports[0].connect()
        self.reactor.advance(2.9)
        self.assertFalse(client.aborted)
        self.reactor.advance(0.2)
        self.assertTrue(client.aborted)

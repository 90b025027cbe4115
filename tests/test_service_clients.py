"""
Tests for L{socksproxy.service}: clients, and the end.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.config import Configuration
from socksproxy.inbound import InboundTimers
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.service import ProxyService
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.logs import captured, texts
from tests.memoryreactor import MemoryReactor
from tests.socksclient import (
    GRANTED,
    MALLORY,
    NO_AUTHENTICATION,
    REJECTED,
    WITH_PASSWORD,
    refused,
    request,
)

WORLD = {
    "127.0.0.1:80": "accept",
    "192.0.2.1:80": "accept",
    "192.0.2.9:80": "timeout",
    "web.test": ["192.0.2.1"],
    "inside.test": ["127.0.0.1"],
}
NOT_ALLOWED = 0x02
SOMEBODY = tcpAddress("198.51.100.1", 4000)
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


class StopTests(ClientTestCase):
    """
    The end.
    """

    def test_idle(self) -> None:
        """
        A proxy without clients ends at once and leaves nothing behind.
        """
        proxy = self.start()
        self.successResultOf(proxy.stopService())
        self.assertEqual(self.reactor.listening, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_notStarted(self) -> None:
        """
        So does one that has only opened its ports, and one that has not even
        done that.
        """
        self.reactor = MemoryReactor()
        proxy = ProxyService(self.reactor, Configuration())
        proxy.openPorts()
        self.successResultOf(proxy.stopService())
        self.assertEqual(self.reactor.listening, [])
        self.successResultOf(ProxyService(self.reactor, Configuration()).stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_waits(self) -> None:
        """
        It stops listening at once and waits for transfers, which go on.
        """
        proxy = self.start()
        client, target = self.relay()
        with captured() as events:
            stopped = proxy.stopService()
        (line,) = texts(events)
        self.assertTrue(line.startswith("Waiting up to 30.0 s for 1 "), line)
        self.assertEqual(self.reactor.listening, [])
        self.settle()
        self.assertNoResult(stopped)
        target.peerSends(b"the rest")
        self.assertEqual(client.take(), b"the rest")
        target.peerEnds()
        client.peerEnds()
        self.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cutsOff(self) -> None:
        """
        What is not over in time is cut off.
        """
        proxy = self.start(drain=30)
        client, target = self.relay()
        stopped = proxy.stopService()
        self.reactor.pump([1] * 29)
        self.assertFalse(client.aborted)
        self.assertNoResult(stopped)
        self.reactor.advance(1.1)
        self.assertTrue(client.aborted and target.aborted)
        self.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cutOffSaysWhy(self) -> None:
        """
        The access line of such a connection says that the proxy was shut down.
        """
        proxy = self.start(drain=1)
        self.relay()
        stopped = proxy.stopService()
        with captured() as events:
            self.reactor.advance(1)
            self.settle()
        self.successResultOf(stopped)
        (line,) = texts(events)
        self.assertTrue(line.endswith("shut down"), line)

    def test_noDrain(self) -> None:
        """
        Without any time to end in, everything is cut off at once, and no
        waiting is announced.
        """
        proxy = self.start(drain=0)
        client, _ = self.relay()
        with captured() as events:
            stopped = proxy.stopService()
            self.settle()
        self.successResultOf(stopped)
        self.assertTrue(client.aborted)
        self.assertEqual([line for line in texts(events) if line.startswith("Waiting")], [])

    def test_handshakes(self) -> None:
        """
        Clients that have no connection yet are not waited for: neither those
        who have said nothing, nor those whose connection is being made.
        """
        proxy = self.start()
        silent = self.reactor.ports[0].connect()
        dialling = self.ask("192.0.2.9")
        with captured() as events:
            stopped = proxy.stopService()
            self.settle()
        self.successResultOf(stopped)
        self.assertTrue(silent.lost and dialling.lost)
        self.assertEqual(self.reactor.cancelled, 1)
        self.assertEqual([line for line in texts(events) if line.startswith("Waiting")], [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_abortWhileWaiting(self) -> None:
        """
        Whoever does not want to wait any longer can end it.
        """
        proxy = self.start()
        client, target = self.relay()
        stopped = proxy.stopService()
        proxy.abortConnections()
        self.settle()
        self.successResultOf(stopped)
        self.assertTrue(client.lost and target.lost)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_everyListener(self) -> None:
        """
        The clients of all listeners are waited for.
        """
        self.reactor = MemoryReactor(WORLD)
        listen = ["tcp:1080:interface=127.0.0.1", "tcp:1081:interface=127.0.0.1"]
        proxy = ProxyService(self.reactor, Configuration(listen=listen))
        proxy.startService()
        clients = []
        for port in self.reactor.ports:
            client = port.connect()
            client.peerSends(NO_AUTHENTICATION + request("192.0.2.1"))
            self.reactor.advance(0)
            self.assertEqual(client.take(), METHOD + GRANTED)
            clients.append(client)
        stopped = proxy.stopService()
        for client in clients:
            self.assertNoResult(stopped)
            client.peerResets()
            self.settle()
        self.successResultOf(stopped)

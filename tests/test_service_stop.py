"""
Tests for L{socksproxy.service}: the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from zope.interface import implementer

from socksproxy import service
from socksproxy.config import Configuration
from socksproxy.forward import forwardFromText, ports
from socksproxy.outbound import hops
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.service import GOODBYE, ProxyService
from socksproxy.state import IReportsState, State
from tests.keepers import Keeper
from tests.logs import captured, texts
from tests.memoryreactor import MemoryReactor
from tests.proxyclients import METHOD, WORLD, ClientTestCase
from tests.socksclient import (
    GRANTED,
    NO_AUTHENTICATION,
    request,
)


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


@implementer(IListeningPort, IReportsState)
class Tunnel:
    """
    A port whose sessions go on when it is closed.
    """

    def __init__(self, port: IListeningPort) -> None:
        self._port = port

    def startListening(self) -> None:
        """
        See C{IListeningPort}.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}.
        """
        stopping: Deferred[None] = maybeDeferred(self._port.stopListening)
        return stopping

    def getHost(self) -> IAddress:
        """
        See C{IListeningPort}.
        """
        return self._port.getHost()

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}.
        """
        yield State("kcp-port", "tunnel", {"InPkts": 5})
        yield State("kcp-session", "client", {"InPkts": 3})


class TunnelTests(ClientTestCase):
    """
    The end of a proxy with tunnels.
    """

    def test_reportsWhileDraining(self) -> None:
        """
        While transfers are waited for, sessions of closed ports are told of
        as they were before: once.
        """
        made = service.serverFromString

        def serverFromString(reactor: Any, description: str) -> Any:
            endpoint = made(reactor, description)
            listen = endpoint.listen
            endpoint.listen = lambda factory: listen(factory).addCallback(Tunnel)
            return endpoint

        self.patch(service, "serverFromString", serverFromString)
        proxy = self.start()
        client, target = self.relay()
        expected = Counter(state.kind for state in proxy.report())
        self.assertEqual((expected["kcp-port"], expected["kcp-session"]), (1, 1))
        stopped = proxy.stopService()
        self.assertEqual(Counter(state.kind for state in proxy.report()), expected)
        self.assertEqual(proxy.report()[-1].numbers["InPkts"], 5)
        client.peerResets()
        target.peerResets()
        self.settle()
        self.successResultOf(stopped)

    def keepers(self) -> list[Keeper]:
        """
        Have what tunnels would lead through keep sessions.

        @return: They, as soon as they are made.
        """
        made: list[Keeper] = []

        def clientFromString(reactor: Any, description: str) -> Keeper:
            made.append(Keeper())
            return made[-1]

        self.patch(ports, "clientFromString", clientFromString)
        self.patch(hops, "clientFromString", clientFromString)
        return made

    def assertCloses(self, keeper: Keeper, stopped: Deferred[None]) -> None:
        """
        Require that sessions are being closed, and that the proxy has stopped
        when they are.
        """
        self.assertNoResult(stopped)
        self.assertEqual([patience for patience, _ in keeper.closing], [GOODBYE])
        keeper.closed()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_closesTargets(self) -> None:
        """
        The sessions with targets are closed when transfers are over, and not
        before.
        """
        made = self.keepers()
        forward = forwardFromText("tcp:8080:interface=127.0.0.1,kcp:192.0.2.1:29900")
        proxy = self.start(forward=[forward])
        client, target = self.relay()
        stopped = proxy.stopService()
        self.settle()
        (keeper,) = made
        self.assertEqual(keeper.closing, [])
        client.peerResets()
        target.peerResets()
        self.settle()
        self.assertCloses(keeper, stopped)

    def test_closesProxies(self) -> None:
        """
        So are those with proxies.
        """
        made = self.keepers()
        proxy = self.start(via=chainFromURLs("socks5h+kcp://192.0.2.1?key=k"))
        stopped = proxy.stopService()
        (keeper,) = made
        self.assertCloses(keeper, stopped)

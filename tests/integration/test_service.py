"""
A whole proxy over real sockets.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from socksproxy.config import Configuration
from socksproxy.errors import ConfigurationError
from socksproxy.service import ProxyService
from tests.files import temporaryFolder
from tests.logs import captured, texts
from tests.socksclient import NO_AUTHENTICATION, request

METHOD = b"\5\0"
LOOPBACK = "tcp:0:interface=127.0.0.1"


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """
    One end of a connection, for a test to use.

    @ivar received: What has come and has not been asked for.
    @ivar ended: Fires when the other side has ended its stream.
    @ivar lost: Fires when the connection is gone: with whether it was closed,
        and not reset.
    """

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[None] = Deferred()
        self.lost: Deferred[bool] = Deferred()
        self._waiting: tuple[int, Deferred[bytes]] | None = None

    def read(self, count: int) -> Deferred[bytes]:
        """
        Wait for that many octets.
        """
        waiting: Deferred[bytes] = Deferred()
        self._waiting = count, waiting
        self._tell()
        return waiting

    def dataReceived(self, data: bytes) -> None:
        """
        Keep what comes.
        """
        self.received += data
        self._tell()

    def readConnectionLost(self) -> None:
        """
        Tell of the end.
        """
        self.ended.callback(None)

    def writeConnectionLost(self) -> None:
        """
        Our own end has been carried out.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell of the loss.
        """
        self.lost.callback(reason.check(ConnectionDone) is not None)

    def _tell(self) -> None:
        if self._waiting is not None and len(self.received) >= self._waiting[0]:
            (count, waiting), self._waiting = self._waiting, None
            data, self.received = self.received[:count], self.received[count:]
            waiting.callback(data)


class Peers(Factory):
    """
    Makes peers, for connections from outside.
    """

    noisy = False

    def __init__(self) -> None:
        self.connected: Deferred[Peer] = Deferred()

    def buildProtocol(self, addr: object) -> Peer:
        """
        See C{IProtocolFactory}.
        """
        peer = Peer()
        connected, self.connected = self.connected, Deferred()
        connected.callback(peer)
        return peer


class ServiceTests(TestCase):
    """
    A proxy, its client and its client's target, in one reactor.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Have a target.
        """
        self.targets = Peers()
        self.targetPort: Any = reactor.listenTCP(0, self.targets, interface="127.0.0.1")
        self.addCleanup(self.targetPort.stopListening)

    @inlineCallbacks
    def start(
        self, *listen: str, **configuration: Any
    ) -> Generator[Deferred[Any], Any, ProxyService]:
        """
        Start a proxy, and wait until it has said so.
        """
        proxy = ProxyService(reactor, Configuration(listen=listen or (LOOPBACK,), **configuration))
        self.addCleanup(self.stop, proxy)
        running: Deferred[None] = Deferred()
        with captured() as events:
            proxy.startService()
            reactor.callWhenRunning(running.callback, None)
            yield running
        self.announced = texts(events)
        return proxy

    def stop(self, proxy: ProxyService) -> Deferred[None]:
        """
        Stop a proxy, whatever it is doing.
        """
        proxy.drain = 0
        return proxy.stopService()

    def proxyPort(self) -> int:
        """
        Give the port that the proxy has announced.
        """
        (example,) = (line for line in self.announced if line.startswith("Try"))
        return int(example.partition("127.0.0.1:")[2].partition(" ")[0])

    @inlineCallbacks
    def connect(self, endpoint: str = "") -> Generator[Deferred[Any], Any, Peer]:
        """
        Connect to the proxy.
        """
        description = endpoint or f"tcp:127.0.0.1:{self.proxyPort()}"
        peer: Peer = yield clientFromString(reactor, description).connect(Factory.forProtocol(Peer))
        self.addCleanup(self.disconnect, peer)
        return peer

    def disconnect(self, peer: Peer) -> Deferred[bool]:
        """
        Drop a connection and wait for it to be gone.
        """
        assert peer.transport is not None
        peer.transport.abortConnection()  # type: ignore[attr-defined]
        return peer.lost

    @inlineCallbacks
    def relay(self, endpoint: str = "") -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        Get a connection through the proxy.

        @return: The client and the target.
        """
        accepted = self.targets.connected
        client = yield self.connect(endpoint)
        client.transport.write(
            NO_AUTHENTICATION + request("127.0.0.1", self.targetPort.getHost().port)
        )
        target = yield accepted
        self.addCleanup(self.disconnect, target)
        answer = yield client.read(12)
        self.assertEqual(answer[:4], METHOD + b"\5\0")
        return client, target

    @inlineCallbacks
    def test_relay(self) -> Generator[Deferred[Any], Any, None]:
        """
        Megabytes go both ways unharmed, and each side's end reaches the other
        by itself.
        """
        yield self.start()
        client, target = yield self.relay()
        up, down = os.urandom(3_000_000), os.urandom(2_000_000)
        client.transport.write(up)
        client.transport.loseWriteConnection()
        self.assertEqual((yield target.read(len(up))), up)
        yield target.ended
        target.transport.write(down)
        target.transport.loseConnection()
        self.assertEqual((yield client.read(len(down))), down)
        yield client.ended
        self.assertEqual((client.received, target.received), (b"", b""))

    @inlineCallbacks
    def test_unix(self) -> Generator[Deferred[Any], Any, None]:
        """
        A proxy on a UNIX socket serves as one on TCP does.
        """
        path = temporaryFolder(self) / "proxy"
        yield self.start(f"unix:{path}")
        client, target = yield self.relay(f"unix:{path}")
        client.transport.write(b"question")
        self.assertEqual((yield target.read(8)), b"question")
        target.transport.write(b"answer")
        self.assertEqual((yield client.read(6)), b"answer")

    @inlineCallbacks
    def test_reset(self) -> Generator[Deferred[Any], Any, None]:
        """
        A reset on one side is a reset on the other.
        """
        yield self.start()
        client, target = yield self.relay()
        target.transport.abortConnection()
        self.assertFalse((yield client.lost))

    @inlineCallbacks
    def test_portInUse(self) -> Generator[Deferred[Any], Any, None]:
        """
        When a port is in use the proxy does not start, says so, and leaves no
        other port open.
        """
        used = self.targetPort.getHost().port
        probe: Any = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        free = probe.getHost().port
        yield probe.stopListening()
        listen = [f"tcp:{port}:interface=127.0.0.1" for port in (free, used)]
        proxy = ProxyService(reactor, Configuration(listen=listen))
        error = self.assertRaises(ConfigurationError, proxy.openPorts)
        self.assertEqual(str(error), f"cannot listen on {listen[1]}: Address already in use")
        yield proxy.stopService()
        yield self.assertFailure(self.connect(f"tcp:127.0.0.1:{free}"), Refused)

    @inlineCallbacks
    def test_drain(self) -> Generator[Deferred[Any], Any, None]:
        """
        A proxy that stops takes no more clients and lets a transfer end.
        """
        proxy = yield self.start()
        client, target = yield self.relay()
        port = self.proxyPort()
        stopped = proxy.stopService()
        yield self.assertFailure(self.connect(f"tcp:127.0.0.1:{port}"), Refused)
        self.assertNoResult(stopped)
        target.transport.write(b"the rest")
        target.transport.loseConnection()
        self.assertEqual((yield client.read(8)), b"the rest")
        client.transport.loseConnection()
        yield stopped

    @inlineCallbacks
    def test_cutOff(self) -> Generator[Deferred[Any], Any, None]:
        """
        A transfer that does not end in time is cut off.
        """
        proxy = yield self.start(drain=0.01)
        client, target = yield self.relay()
        yield proxy.stopService()
        for peer in (client, target):
            self.assertFalse((yield peer.lost))

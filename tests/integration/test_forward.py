"""
Port forwarding over real sockets.
"""

from __future__ import annotations

import gc
import os
import socket
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from itertools import product
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.trial.unittest import TestCase

from socksproxy.config import Configuration
from socksproxy.forward import forwardFromText
from socksproxy.service import ProxyService
from tests.accesslines import accessLines
from tests.certificates import Authority
from tests.files import temporaryFolder
from tests.integration.test_service import Peer, Peers
from tests.logs import captured

LOOPBACK = "tcp:0:interface=127.0.0.1"
MAX_PAYLOAD = 65507


class Datagrams(DatagramProtocol):
    """
    One end of what datagrams go through.

    @ivar came: Fires with the next datagram and its sender.
    """

    noisy = False

    def __init__(self) -> None:
        self._kept: list[tuple[bytes, tuple[str, int]]] = []
        self._waiting: Deferred[tuple[bytes, tuple[str, int]]] | None = None

    def read(self) -> Deferred[tuple[bytes, tuple[str, int]]]:
        """
        Wait for a datagram.

        @return: It, and where it came from.
        """
        waiting: Deferred[tuple[bytes, tuple[str, int]]] = Deferred()
        if self._kept:
            waiting.callback(self._kept.pop(0))
        else:
            self._waiting = waiting
        return waiting

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Keep or give what comes.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._kept.append((datagram, addr))
        else:
            waiting.callback((datagram, addr))


class ForwardTestCase(TestCase):
    """
    Tests with a proxy that forwards, in one reactor with its clients and
    their targets.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Have a target.
        """
        self.events = self.enterContext(captured())
        self.targets = Peers()
        self.targetPort = self.has(reactor.listenTCP(0, self.targets, interface="127.0.0.1"))
        self.target = f"tcp:127.0.0.1:{self.targetPort.getHost().port}"

    def has(self, port: Any) -> Any:
        """
        Close a port when the test is over.
        """
        self.addCleanup(port.stopListening)
        return port

    def start(self, *forward: str, **configuration: Any) -> ProxyService:
        """
        Start a proxy.
        """
        proxy = ProxyService(
            reactor,
            Configuration(
                listen=(), forward=[forwardFromText(text) for text in forward], **configuration
            ),
        )
        self.addCleanup(self.stop, proxy)
        proxy.startService()
        return proxy

    def stop(self, proxy: ProxyService) -> Deferred[None]:
        """
        Stop a proxy, whatever it is doing.
        """
        proxy.drain = 0
        return proxy.stopService()

    def portOf(self, proxy: ProxyService, number: int = 0) -> int:
        """
        Give the port of one of its listeners.
        """
        return int(proxy._groups[0].listeners[number].where().rpartition(":")[2])

    @inlineCallbacks
    def connect(self, endpoint: str) -> Generator[Deferred[Any], Any, Peer]:
        """
        Connect to somewhere.
        """
        peer: Peer = yield clientFromString(reactor, endpoint).connect(Factory.forProtocol(Peer))
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
    def joined(self, endpoint: str) -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        Get a connection to the target.

        @param endpoint: Leads to the proxy.
        @return: The client and the target.
        """
        accepted = self.targets.connected
        client = yield self.connect(endpoint)
        target = yield accepted
        # It has its transport once the call that has made it is over.
        yield deferLater(reactor, 0)
        self.addCleanup(self.disconnect, target)
        return client, target


class StreamTests(ForwardTestCase):
    """
    Connections.
    """

    @inlineCallbacks
    def test_bothWays(self) -> Generator[Deferred[Any], Any, None]:
        """
        Megabytes go both ways unharmed, and each side's end reaches the other
        by itself.
        """
        proxy = self.start(f"{LOOPBACK},{self.target}")
        client, target = yield self.joined(f"tcp:127.0.0.1:{self.portOf(proxy)}")
        up, down = os.urandom(3_000_000), os.urandom(2_000_000)
        client.transport.write(up)
        client.transport.loseWriteConnection()
        self.assertTrue((yield target.read(len(up))) == up)
        yield target.ended
        target.transport.write(down)
        target.transport.loseConnection()
        self.assertTrue((yield client.read(len(down))) == down)
        yield client.ended
        self.assertEqual((client.received, target.received), (b"", b""))

    @inlineCallbacks
    def test_otherEndpoint(self) -> Generator[Deferred[Any], Any, None]:
        """
        Half-closed connections are passed on by Twisted's own endpoints, too.
        """
        proxy = self.start(f"{LOOPBACK},{self.target}:timeout=20")
        client, target = yield self.joined(f"tcp:127.0.0.1:{self.portOf(proxy)}")
        target.transport.write(b"the rest")
        target.transport.loseWriteConnection()
        yield client.ended
        client.transport.write(b"thanks")
        self.assertEqual((yield target.read(6)), b"thanks")

    @inlineCallbacks
    def test_unix(self) -> Generator[Deferred[Any], Any, None]:
        """
        A UNIX socket is joined to another.
        """
        folder = temporaryFolder(self)
        there = yield serverFromString(reactor, f"unix:{folder}/there").listen(self.targets)
        self.has(there)
        self.start(f"unix:{folder}/here,unix:{folder}/there")
        client, target = yield self.joined(f"unix:{folder}/here")
        client.transport.write(b"question")
        client.transport.loseWriteConnection()
        self.assertEqual((yield target.read(8)), b"question")
        yield target.ended
        target.transport.write(b"answer")
        self.assertEqual((yield client.read(6)), b"answer")

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        Where nobody listens the client is reset.
        """
        folder = temporaryFolder(self)
        yield self.targetPort.stopListening()
        proxy = self.start(f"{LOOPBACK},{self.target}", f"{LOOPBACK},unix:{folder}/nowhere")
        for number, result in enumerate(("connection refused", "general failure")):
            client = yield self.connect(f"tcp:127.0.0.1:{self.portOf(proxy, number)}")
            self.assertFalse((yield client.lost))
            line = accessLines(self.events)[-1]
            self.assertEqual(line["result"], result)
        self.assertIn("No such file or directory", line["reason"])

    @inlineCallbacks
    def test_resets(self) -> Generator[Deferred[Any], Any, None]:
        """
        A reset on one side is one on the other.
        """
        proxy = self.start(f"{LOOPBACK},{self.target}")
        for side in (0, 1):
            ends = yield self.joined(f"tcp:127.0.0.1:{self.portOf(proxy)}")
            ends[side].transport.abortConnection()
            self.assertFalse((yield ends[1 - side].lost))

    @inlineCallbacks
    def test_drain(self) -> Generator[Deferred[Any], Any, None]:
        """
        A proxy that stops lets a transfer end.
        """
        proxy = self.start(f"{LOOPBACK},{self.target}")
        client, target = yield self.joined(f"tcp:127.0.0.1:{self.portOf(proxy)}")
        client.transport.write(b"more")
        yield target.read(4)
        stopped = proxy.stopService()
        target.transport.write(b"the rest")
        target.transport.loseConnection()
        self.assertEqual((yield client.read(8)), b"the rest")
        client.transport.loseConnection()
        yield stopped


class TLSTests(ForwardTestCase):
    """
    Connections in TLS, as Twisted's endpoint strings have it.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = temporaryFolder(self)
        self.authority = Authority(folder)
        trusted = folder / "trusted"
        trusted.mkdir()
        os.link(self.authority.path, trusted / "authority.pem")
        issued = self.authority.issue("localhost", "127.0.0.1")
        interface, key, certificate = "interface=127.0.0.1", issued.key, issued.certificate
        self.servers = (
            f"ssl:0:{interface}:privateKey={key}:certKey={certificate}",
            f"tcp+tls:0:{interface}:privateKey={key}:certificate={certificate}",
        )
        self.clients = (
            f"tls:localhost:%d:trustRoots={trusted}",
            f"ssl:localhost:%d:caCertsDir={trusted}",
        )

    @inlineCallbacks
    def test_bothSides(self) -> Generator[Deferred[Any], Any, None]:
        """
        One port puts connections into TLS, and another takes them out of it;
        megabytes go both ways, and the end of both is one.
        """
        for server, client in product(self.servers, self.clients):
            outer = self.start(f"{server},{self.target}")
            inner = self.start(f"{LOOPBACK},{client % self.portOf(outer)}")
            ends = yield self.joined(f"tcp:127.0.0.1:{self.portOf(inner)}")
            data = os.urandom(1_000_000)
            for source, sink in (ends, reversed(ends)):
                source.transport.write(data)
                self.assertTrue((yield sink.read(len(data))) == data)
            ends[1].transport.loseConnection()
            yield ends[0].ended
            ends[0].transport.loseConnection()
            self.assertTrue((yield ends[0].lost))

    @inlineCallbacks
    def test_notTrusted(self) -> Generator[Deferred[Any], Any, None]:
        """
        A target whose certificate is not good is none.
        """
        outer = self.start(f"{self.servers[0]},{self.target}")
        inner = self.start(f"{LOOPBACK},tls:localhost:{self.portOf(outer)}")
        client = yield self.connect(f"tcp:127.0.0.1:{self.portOf(inner)}")
        client.transport.write(b"secret")
        self.assertFalse((yield client.lost))
        (line,) = (line for line in accessLines(self.events) if line["destination"][:3] == "tls")
        self.assertEqual(line["result"], "general failure")
        self.assertIn("certificate verify failed", line["reason"])

    @inlineCallbacks
    def test_noTLS(self) -> Generator[Deferred[Any], Any, None]:
        """
        Neither is one that speaks no TLS.
        """
        inner = self.start(f"{LOOPBACK},{self.clients[0] % self.targetPort.getHost().port}")
        client, target = yield self.joined(f"tcp:127.0.0.1:{self.portOf(inner)}")
        target.transport.write(b"220 ready\r\n")
        self.assertFalse((yield client.lost))


class DatagramTests(ForwardTestCase):
    """
    Datagrams.
    """

    def datagrams(self, interface: str = "127.0.0.1") -> tuple[Datagrams, int]:
        """
        Open a socket.

        @return: It, and its port.
        """
        protocol = Datagrams()
        port: Any = self.has(reactor.listenUDP(0, protocol, interface, 65535))
        return protocol, port.getHost().port

    def forwardTo(self, port: int) -> int:
        """
        Forward datagrams.

        @param port: The target's.
        @return: Where to send to.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            free: int = probe.getsockname()[1]
        self.start(f"udp:{free}:interface=127.0.0.1,udp:127.0.0.1:{port}")
        return free

    @inlineCallbacks
    def test_bothWays(self) -> Generator[Deferred[Any], Any, None]:
        """
        They go there and back whole, of every size.
        """
        target, port = self.datagrams()
        client, _ = self.datagrams()
        here = self.forwardTo(port)
        for size in (1, 0, 1472, MAX_PAYLOAD):
            data = os.urandom(size)
            client.transport.write(data, ("127.0.0.1", here))
            received, sender = yield target.read()
            self.assertEqual(received, data)
            target.transport.write(data[::-1], sender)
            self.assertEqual((yield client.read()), (data[::-1], ("127.0.0.1", here)))

    @inlineCallbacks
    def test_everyClientItsOwn(self) -> Generator[Deferred[Any], Any, None]:
        """
        Every client has a port of its own towards the target, which alone can
        send to it.
        """
        target, port = self.datagrams()
        stranger, _ = self.datagrams()
        clients = [self.datagrams()[0] for _ in range(3)]
        here = self.forwardTo(port)
        senders = []
        for client in clients:
            client.transport.write(b"question", ("127.0.0.1", here))
            _, sender = yield target.read()
            senders.append(sender)
        self.assertEqual(len(set(senders)), 3)
        for number, (client, sender) in enumerate(zip(clients, senders, strict=True)):
            stranger.transport.write(b"forged", sender)
            target.transport.write(b"answer %d" % number, sender)
            self.assertEqual((yield client.read())[0], b"answer %d" % number)

    @inlineCallbacks
    def test_nobodyThere(self) -> Generator[Deferred[Any], Any, None]:
        """
        A target that is not there for a while does no harm.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        here = self.forwardTo(port)
        client, _ = self.datagrams()
        for _ in range(3):
            client.transport.write(b"lost", ("127.0.0.1", here))
        other, otherPort = self.datagrams()
        # What was sent before has been dealt with when this comes through.
        elsewhere = self.forwardTo(otherPort)
        client.transport.write(b"round", ("127.0.0.1", elsewhere))
        yield other.read()
        target = Datagrams()
        self.has(reactor.listenUDP(port, target, "127.0.0.1"))
        client.transport.write(b"question", ("127.0.0.1", here))
        self.assertEqual((yield target.read())[0], b"question")


class GarbageTests(ForwardTestCase):
    """
    Connections that are over.
    """

    @inlineCallbacks
    def test_nothingLeft(self) -> Generator[Deferred[Any], Any, None]:
        """
        They leave nothing to the garbage collector, however they end.
        """
        proxy = self.start(f"{LOOPBACK},{self.target}")
        endpoint = f"tcp:127.0.0.1:{self.portOf(proxy)}"
        for reset in (False, True):
            yield self.visit(endpoint, reset)
            with leftovers() as left:
                for _ in range(5):
                    yield self.visit(endpoint, reset)
                yield proxy._groups[0].listeners[0].inbound.whenEmpty()
            self.assertEqual(left, {})

    @inlineCallbacks
    def visit(self, endpoint: str, reset: bool) -> Generator[Deferred[Any], Any, None]:
        """
        Connect, say something and leave.
        """
        accepted = self.targets.connected
        client = yield clientFromString(reactor, endpoint).connect(Factory.forProtocol(Peer))
        client.transport.write(b"question")
        target = yield accepted
        yield target.read(8)
        if reset:
            client.transport.abortConnection()
        else:
            client.transport.loseConnection()
            yield target.ended
            target.transport.loseConnection()
        yield DeferredList([client.lost, target.lost])


@contextmanager
def leftovers() -> Generator[dict[str, int], None, None]:
    """
    Count the objects of the package that are left to the garbage collector
    meanwhile.
    """
    left: dict[str, int] = {}
    gc.collect()
    gc.disable()
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = (type(found) for found in gc.garbage if not isinstance(found, Connection))
        left.update(
            Counter(kind.__name__ for kind in kinds if kind.__module__.startswith("socksproxy."))
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

"""
The HTTP proxy over real sockets.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from socksproxy.outbound.proxyurl import chainFromURLs
from tests.accesslines import accessLines
from tests.files import temporaryFolder
from tests.integration.clients import ClientsTestCase
from tests.integration.test_service import Peer
from tests.logs import captured

Waiting = Generator[Deferred[Any], Any, None]

MIB = 1 << 20

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Sink(Peer):
    """
    A peer that counts what comes and keeps nothing of it.

    @ivar count: Octets of bodies, of which there is one.
    @ivar digest: Of the body.
    @ivar complete: Fires when there is as much of it as there should be.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._head = b""
        self._begun = False
        self.arrived: Deferred[Peer] = Deferred()
        self.count = 0
        self.digest = hashlib.sha256()
        self.complete: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """
        Tell that it is there.
        """
        self.arrived.callback(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Count.
        """
        if not self._begun:
            self._head += data
            _, end, data = self._head.partition(b"\r\n\r\n")
            self._begun = bool(end)
        if not self._begun:
            return
        self.count += len(data)
        self.digest.update(data)
        if self.count == self._size:
            self.complete.callback(None)


class HTTPTests(ClientsTestCase):
    """
    A proxy, its client, and an origin, in one reactor.
    """

    @inlineCallbacks
    def client(self, peer: Peer | None = None) -> Generator[Deferred[Any], Any, Peer]:
        """
        Connect to the proxy.
        """
        made = peer or Peer()
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: made  # type: ignore[assignment]
        yield self.proxy.connect(factory)
        self.addCleanup(self.disconnect, made)
        return made

    def head(self, method: str = "GET", *lines: str) -> bytes:
        """
        Give the head of a request to the origin.
        """
        host = f"127.0.0.1:{self.targetPort}"
        return "\r\n".join(
            [f"{method} http://{host}/ HTTP/1.1", f"Host: {host}", *lines, "", ""]
        ).encode()

    @inlineCallbacks
    def ask(
        self, said: bytes, client: Peer | None = None
    ) -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        Have a client make a request.

        @return: It and the origin, which has not read anything.
        """
        accepted = self.targets.connected
        client = yield self.client(client)
        client.transport.write(said)
        origin = yield accepted
        self.addCleanup(self.disconnect, origin)
        return client, origin

    @inlineCallbacks
    def headAt(self, peer: Peer) -> Generator[Deferred[Any], Any, bytes]:
        """
        Read a head.
        """
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += yield peer.read(1)
        return head

    @inlineCallbacks
    def test_requests(self) -> Waiting:
        """
        Several requests go over one connection to the proxy, and one from
        there.
        """
        yield self.start()
        client, origin = yield self.ask(self.head())
        for number in range(3):
            if number:
                client.transport.write(self.head())
            head = yield self.headAt(origin)
            self.assertTrue(head.startswith(b"GET / HTTP/1.1\r\n"))
            origin.transport.write(OK)
            head = yield self.headAt(client)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "))
            self.assertEqual((yield client.read(2)), b"hi")

    @inlineCallbacks
    def test_slowClient(self) -> Waiting:
        """
        Of an answer that the client does not read the proxy takes what there
        is room for, and no more; once the client reads, it gets all of it.
        """
        size = 64 * MIB
        yield self.start()
        client, origin = yield self.ask(self.head(), Sink(size))
        client.transport.pauseProducing()
        origin.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        data = os.urandom(size)
        origin.transport.write(data)
        taken = yield self.settled()
        self.assertLess(taken, 24 * MIB)
        client.transport.resumeProducing()
        yield client.complete
        self.assertEqual(client.digest.digest(), hashlib.sha256(data).digest())

    @inlineCallbacks
    def test_slowOrigin(self) -> Waiting:
        """
        So it is with a request that the origin does not read.
        """
        size = 64 * MIB
        origin = Sink(size)
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: origin  # type: ignore[assignment]
        self.targetPort = self.listen(factory)
        yield self.start()
        client = yield self.client()
        client.transport.write(self.head("PUT", f"Content-Length: {size}"))
        yield origin.arrived
        self.addCleanup(self.disconnect, origin)
        origin.transport.pauseProducing()
        data = os.urandom(size)
        client.transport.write(data)
        taken = yield self.settled(0)
        self.assertLess(taken, 24 * MIB)
        origin.transport.resumeProducing()
        yield origin.complete
        self.assertEqual(origin.digest.digest(), hashlib.sha256(data).digest())
        origin.transport.write(OK)
        head = yield self.headAt(client)
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))

    @inlineCallbacks
    def settled(self, way: int = 1) -> Generator[Deferred[Any], Any, int]:
        """
        Wait until nothing moves any more.

        @param way: 0 for what clients send, 1 for what they get.
        @return: How much has.
        """
        (service,) = self.services
        before, moved, still = -1, 0, 0
        while still < 20:
            yield deferLater(reactor, 0.01)
            before = moved
            (connection,) = service._listeners[0].inbound.connections
            moved = connection.moved()[way]
            still = still + 1 if moved == before and moved else 0
        return moved

    @inlineCallbacks
    def test_truncated(self) -> Waiting:
        """
        The client's connection is reset when the origin stops in the middle,
        politely or not.
        """
        yield self.start()
        for method in ("loseConnection", "abortConnection"):
            client, origin = yield self.ask(self.head())
            yield self.headAt(origin)
            origin.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            yield self.headAt(client)
            getattr(origin.transport, method)()
            self.assertFalse((yield client.lost))

    @inlineCallbacks
    def test_clientGone(self) -> Waiting:
        """
        The origin's connection is reset when the client goes.
        """
        yield self.start()
        client, origin = yield self.ask(self.head())
        yield self.headAt(origin)
        client.transport.abortConnection()
        self.assertFalse((yield origin.lost))

    @inlineCallbacks
    def test_earlyAnswer(self) -> Waiting:
        """
        An answer reaches a client that is still sending, however much comes
        after it.
        """
        yield self.start()
        client, origin = yield self.ask(self.head("PUT", f"Content-Length: {8 * MIB}"))
        yield self.headAt(origin)
        origin.transport.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        head = yield self.headAt(client)
        self.assertTrue(head.startswith(b"HTTP/1.1 413 "))
        self.assertIn(b"\r\nConnection: close\r\n", head)
        client.transport.write(bytes(1000))
        yield client.ended
        client.transport.loseConnection()
        self.assertTrue((yield client.lost))
        yield origin.lost

    @inlineCallbacks
    def test_upgrade(self) -> Waiting:
        """
        A WebSocket is what comes of a request, or goes through a tunnel.
        """
        yield self.start()
        upgrade = ("Connection: Upgrade", "Upgrade: websocket")
        target = f"127.0.0.1:{self.targetPort}"
        tunnel = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
        for said in (self.head("GET", *upgrade), tunnel):
            client, origin = yield self.ask(said)
            if said is tunnel:
                yield self.headAt(client)
                client.transport.write(self.head("GET", *upgrade))
            yield self.headAt(origin)
            origin.transport.write(
                b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
            )
            head = yield self.headAt(client)
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "))
            self.assertEqual((yield client.read(5)), b"hello")
            data = os.urandom(MIB)
            client.transport.write(data)
            self.assertEqual((yield origin.read(MIB)), data)
            origin.transport.write(data)
            self.assertEqual((yield client.read(MIB)), data)
            origin.transport.loseConnection()
            yield client.ended
            client.transport.loseConnection()
            yield client.lost

    @inlineCallbacks
    def test_idle(self) -> Waiting:
        """
        A thousand clients that have been served and are waited for leave the
        proxy at once when they go.
        """
        port = yield self.start()
        (service,) = self.services
        said = b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
        service._listeners[0].inbound.limits.perSource = 2000
        peers = []
        for _ in range(1000):
            peer: Peer = yield clientFromString(reactor, f"tcp:127.0.0.1:{port}").connect(
                Factory.forProtocol(Peer)
            )
            peer.transport.write(said)  # type: ignore[union-attr]
            peers.append(peer)
        yield gatherResults([self.headAt(peer) for peer in peers])
        inbound = service._listeners[0].inbound
        self.assertEqual(len(inbound.connections), 1000)
        for peer in peers:
            peer.transport.loseConnection()  # type: ignore[union-attr]
        yield gatherResults([peer.lost for peer in peers])
        yield inbound.whenEmpty()

    @inlineCallbacks
    def test_unix(self) -> Waiting:
        """
        A proxy on a UNIX socket serves as one on TCP does.
        """
        path = temporaryFolder(self) / "proxy"
        self.startService(f"unix:{path}")
        self.proxy = clientFromString(reactor, f"unix:{path}")
        client, origin = yield self.ask(self.head())
        yield self.headAt(origin)
        origin.transport.write(OK)
        head = yield self.headAt(client)
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "))

    @inlineCallbacks
    def test_chains(self) -> Waiting:
        """
        Requests leave through other proxies as everything does.
        """
        port = yield self.start()
        for scheme in ("http", "socks5h", "socks4a"):
            yield self.start(via=chainFromURLs(f"{scheme}://127.0.0.1:{port}"))
            client, origin = yield self.ask(self.head())
            yield self.headAt(origin)
            origin.transport.write(OK)
            head = yield self.headAt(client)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), scheme)

    @inlineCallbacks
    def test_lines(self) -> Waiting:
        """
        The access lines tell what has gone each way.
        """
        yield self.start()
        client, origin = yield self.ask(self.head("PUT", "Content-Length: 3") + b"abc")
        sent = len((yield self.headAt(origin)) + (yield origin.read(3)))
        with captured() as events:
            origin.transport.write(OK)
            yield self.headAt(client)
            yield client.read(2)
        (line,) = accessLines(events)
        self.assertEqual((line["sent"], line["received"]), (sent, len(OK)))

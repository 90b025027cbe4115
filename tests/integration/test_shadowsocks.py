"""
A Shadowsocks server over real sockets.
"""

from __future__ import annotations

import hashlib
import os
import random
from base64 import b64encode
from collections.abc import Generator
from time import time
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, clientFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from socksproxy import service
from socksproxy.address import Destination, hostFromName
from socksproxy.config import Configuration
from socksproxy.service import ProxyService
from socksproxy.shadowsocks._client import ClientStream
from socksproxy.shadowsocks._keys import Account, accountFor
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packetclient import ClientPackets, clientPackets
from socksproxy.shadowsocks._replay import SaltMemory
from socksproxy.shadowsocks.url import shadowsocksFromURL
from socksproxy.state import closeSessions
from tests.files import temporaryFolder
from tests.integration.test_forward import Datagrams
from tests.integration.test_service import Peer, Peers
from tests.logs import captured

reactor: Any = _reactor

CLASSIC = "chacha20-ietf-poly1305"
NEW = "2022-blake3-aes-256-gcm"
PATIENCE = 0.75


def passwordFor(method: str, seed: int = 1) -> str:
    """
    Make a password.
    """
    if not METHODS[method].edition2022:
        return f"correct-horse-battery-staple-{seed}"
    return b64encode(bytes([seed] * METHODS[method].keyLength)).decode()


class ShadowsocksTestCase(TestCase):
    """
    Tests with a server, in one reactor with its clients and their targets.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Have a target for connections and one for datagrams.
        """
        self.events = self.enterContext(captured())
        self.enterContext(patch.object(service, "drawPatience", lambda: PATIENCE))
        self.targets = Peers()
        port = self.has(reactor.listenTCP(0, self.targets, interface="127.0.0.1"))
        self.target = Destination(hostFromName(b"127.0.0.1"), port.getHost().port)

    def has(self, port: Any) -> Any:
        """
        Close a port when the test is over.
        """
        self.addCleanup(port.stopListening)
        return port

    def start(
        self,
        method: str = CLASSIC,
        password: str | None = None,
        query: str = "",
        scheme: str = "ss",
    ) -> int:
        """
        Start a server.

        @return: Its port.
        """
        shown = quote(passwordFor(method) if password is None else password, safe="")
        url = shadowsocksFromURL(f"{scheme}://{method}:{shown}@127.0.0.1:0{query}")
        proxy = ProxyService(reactor, Configuration(listen=(), shadowsocks=[url]))
        proxy.drain = 0
        proxy.startService()
        self.addCleanup(proxy.stopService)
        (listener,) = proxy._ports
        return int(listener.where().rpartition(":")[2])

    def account(self, method: str) -> Account:
        """
        Make what a client knows.
        """
        return accountFor(METHODS[method], passwordFor(method))

    @inlineCallbacks
    def connect(self, port: int) -> Generator[Deferred[Any], Any, Peer]:
        """
        Connect to a server.
        """
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        peer: Peer = yield endpoint.connect(Factory.forProtocol(Peer))
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
    def joined(
        self, port: int, account: Account, data: bytes
    ) -> Generator[Deferred[Any], Any, tuple[Peer, ClientStream, Peer]]:
        """
        Get a connection to the target.

        @param data: What goes with the request.
        @return: The client, what it seals with, and the target.
        """
        accepted = self.targets.connected
        client = yield self.connect(port)
        stream = ClientStream(account, self.target, time)
        client.transport.write(stream.seal(data))
        target = yield accepted
        self.addCleanup(self.disconnect, target)
        return client, stream, target


class StreamTests(ShadowsocksTestCase):
    """
    Connections.
    """

    @inlineCallbacks
    def test_methods(self) -> Generator[Deferred[Any], Any, None]:
        """
        With every method a question and its answer arrive, and the ends of
        either direction.
        """
        for method in METHODS:
            client, stream, target = yield self.joined(
                self.start(method), self.account(method), b"question"
            )
            asked = yield target.read(8)
            self.assertEqual(asked, b"question")
            client.transport.loseWriteConnection()
            yield target.ended
            target.transport.write(b"answer")
            target.transport.loseConnection()
            yield client.ended
            self.assertEqual(stream.unwrap(client.received), b"answer")
            stream.endOfStream()
            client.transport.loseConnection()
            closed = yield client.lost
            self.assertTrue(closed)

    @inlineCallbacks
    def test_users(self) -> Generator[Deferred[Any], Any, None]:
        """
        Users of a server are told apart, with a classic method and with one of
        2022.
        """
        folder = temporaryFolder(self)
        for method, server in ((CLASSIC, ""), (NEW, passwordFor(NEW, 9))):
            users = folder / method
            users.write_text(f"alice:{passwordFor(method)}\nbob:{passwordFor(method, 2)}\n")
            port = self.start(method, server, f"/?users={users}")
            secret = ":".join(filter(None, (server, passwordFor(method, 2))))
            account = accountFor(METHODS[method], secret)
            client, _, target = yield self.joined(port, account, b"question")
            yield target.read(8)
            yield self.disconnect(client)
            yield target.lost
            (line,) = [event for event in self.events if event.get("log_event") == "access"]
            self.assertEqual(line["user"], "bob")
            self.events.clear()

    @inlineCallbacks
    def test_carried(self) -> Generator[Deferred[Any], Any, None]:
        """
        In a tunnel of KCP the streams are the same, and there are no datagrams.
        """
        parameters = {"key": "it is no secret", "crypt": "aes-128", "nocomp": "yes"}
        query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
        port = self.start(NEW, query=f"?{query}", scheme="ss+kcp")
        described = ":".join(f"{name}={value}" for name, value in parameters.items())
        endpoint = clientFromString(reactor, f"kcp:127.0.0.1:{port}:{described}:conn=1")
        self.addCleanup(closeSessions, [endpoint], 1.0)
        accepted = self.targets.connected
        client = yield endpoint.connect(Factory.forProtocol(Peer))
        stream = ClientStream(self.account(NEW), self.target, time)
        client.transport.write(stream.seal(b"question"))
        target = yield accepted
        asked = yield target.read(8)
        self.assertEqual(asked, b"question")
        target.transport.write(b"answer")
        target.transport.loseConnection()
        yield client.ended
        self.assertEqual(stream.unwrap(client.received), b"answer")
        client.transport.loseConnection()
        yield client.lost
        yield target.lost

    @inlineCallbacks
    def test_truncated(self) -> Generator[Deferred[Any], Any, None]:
        """
        The end of a stream inside a record is no end for the target, but a
        reset.
        """
        for method in (CLASSIC, NEW):
            client, stream, target = yield self.joined(
                self.start(method), self.account(method), b"question"
            )
            yield target.read(8)
            client.transport.write(stream.seal(b"something else")[:-1])
            client.transport.loseWriteConnection()
            closed = yield target.lost
            self.assertFalse(closed)
            self.assertEqual(target.received, b"")

    @inlineCallbacks
    def test_slowReader(self) -> Generator[Deferred[Any], Any, None]:
        """
        A target that writes a hundred megabytes to a client that does not read
        waits for it, and then all of it arrives.
        """
        size = 100 << 20
        block = os.urandom(1 << 20)
        port = self.start(NEW)
        client, stream, target = yield self.joined(port, self.account(NEW), b"question")
        yield target.read(8)
        client.transport.pauseProducing()
        producer = Producer(target, block, size)
        target.transport.registerProducer(producer, False)
        written = -1
        while producer.written != written:
            written = producer.written
            yield deferLater(reactor, 0.3)
        # What the kernel takes on two loopback connections.
        self.assertLess(written, 32 << 20)
        digest, count = hashlib.sha256(), 0
        done: Deferred[None] = Deferred()

        def received(data: bytes) -> None:
            nonlocal count
            opened = stream.unwrap(data)
            digest.update(opened)
            count += len(opened)
            if count >= size:
                done.callback(None)

        client.dataReceived = received
        client.transport.resumeProducing()
        yield done
        expected = hashlib.sha256()
        for _ in range(size >> 20):
            expected.update(block)
        self.assertEqual((count, digest.digest()), (size, expected.digest()))


class Producer:
    """
    Writes blocks when it is asked to.

    @ivar written: How many octets it has written.
    """

    def __init__(self, peer: Peer, block: bytes, size: int) -> None:
        self._transport: Any = peer.transport
        self._block = block
        self._size = size
        self.written = 0

    def resumeProducing(self) -> None:
        """
        See C{IPullProducer}.
        """
        if self.written >= self._size:
            self._transport.unregisterProducer()
            return
        self._transport.write(self._block)
        self.written += len(self._block)

    def stopProducing(self) -> None:
        """
        See C{IPullProducer}.
        """


class ProbeTests(ShadowsocksTestCase):
    """
    Who has no key.
    """

    @inlineCallbacks
    def reaction(self, port: int, said: bytes, way: str) -> Generator[Deferred[Any], Any, Any]:
        """
        Say something to the server.

        @return: What comes, whether the connection was closed and not reset,
            and after how many seconds its stream ended.
        """
        began = reactor.seconds()
        peer = yield self.connect(port)
        if way == "dribbled":
            for at in range(0, len(said), 1 + len(said) // 5):
                peer.transport.write(said[at : at + 1 + len(said) // 5])
                yield deferLater(reactor, 0.01)
        else:
            peer.transport.write(said)
        if way == "ended":
            peer.transport.loseWriteConnection()
        yield peer.ended
        elapsed = reactor.seconds() - began
        peer.transport.loseConnection()
        closed = yield peer.lost
        return peer.received, closed, elapsed

    @inlineCallbacks
    def test_oneReaction(self) -> Generator[Deferred[Any], Any, None]:
        """
        Two hundred probes of every length, whole, in pieces and with an end,
        and a replay, all see the same: nothing, and an end of the stream, no
        reset, after the same time.
        """
        for method in (CLASSIC, NEW):
            port = self.start(method)
            replay = ClientStream(self.account(method), self.target, time, random=_salt)
            recorded = replay.seal(b"question")
            accepted = self.targets.connected
            first = yield self.connect(port)
            first.transport.write(recorded)
            other = yield accepted
            self.addCleanup(self.disconnect, other)
            chance = random.Random(method)
            probes = [chance.randbytes(n * 3 // 2 + 1) for n in range(200)]
            for way in ("whole", "dribbled", "ended"):
                outcomes = yield DeferredList(
                    [self.reaction(port, said, way) for said in (*probes, recorded)],
                    fireOnOneErrback=True,
                )
                seen = [outcome for _, outcome in outcomes]
                self.assertEqual({octets for octets, _, _ in seen}, {b""})
                self.assertEqual({closed for _, closed, _ in seen}, {True})
                times = sorted(elapsed for _, _, elapsed in seen)
                self.assertGreaterEqual(times[0], PATIENCE - 0.05)
                self.assertLess(times[-1], PATIENCE + 1)
            self.assertFalse(self.targets.connected.called)


def _salt(count: int) -> bytes:
    return bytes(range(7, 7 + count))


class DatagramTests(ShadowsocksTestCase):
    """
    Datagrams.
    """

    def packets(self, method: str) -> ClientPackets:
        """
        Make what a client seals and opens with.
        """
        return clientPackets(self.account(method), SaltMemory(b"client"), time, reactor.seconds)

    def endpoint(self) -> tuple[Datagrams, Any]:
        """
        Open a socket.
        """
        protocol = Datagrams()
        return protocol, self.has(reactor.listenUDP(0, protocol, "127.0.0.1", 65535))

    @inlineCallbacks
    def test_methods(self) -> Generator[Deferred[Any], Any, None]:
        """
        With every method datagrams go there and back, on a port of the same
        number as that for connections; those of 2022 also when the client goes
        on from another address.
        """
        target, targetPort = self.endpoint()
        there = Destination(self.target.host, targetPort.getHost().port)
        for method in METHODS:
            server = ("127.0.0.1", self.start(method))
            packets = self.packets(method)
            sources = set()
            for size in (0, 1, 1400, 60000):
                client, socket = self.endpoint()
                payload = os.urandom(size)
                socket.write(packets.seal(there, payload), server)
                data, source = yield target.read()
                self.assertEqual(data, payload)
                sources.add(source)
                targetPort.write(payload[::-1], source)
                answer, _ = yield client.read()
                self.assertEqual(packets.open(answer), (there, payload[::-1]))
            self.assertEqual(len(sources), 1 if METHODS[method].edition2022 else 4)

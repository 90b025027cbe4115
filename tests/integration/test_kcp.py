"""
KCP over real sockets.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from itertools import product
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface import implementer

from socksproxy.kcp import KCPClientEndpoint, KCPConfig, KCPServerEndpoint, SessionTimers
from tests.daemon import ROOT, environment
from tests.kcp.network import KEY, REDUNDANT
from tests.logs import captured, texts

LOOPBACK = "127.0.0.1"

MUCH = 20 << 20
CHUNK = 1 << 16


def block(number: int) -> bytes:
    """
    Make octets of which each block has others.
    """
    return hashlib.sha256(b"%d" % number).digest() * (CHUNK // 32)


@implementer(IPullProducer)
class Source:
    """
    Writes blocks when it is asked to.

    @ivar sent: The hash of what it has written.
    """

    def __init__(self, transport: Any, size: int, first: int) -> None:
        self._transport = transport
        self._next = first
        self._end = first + size // CHUNK
        self.sent = hashlib.sha256()

    def resumeProducing(self) -> None:
        """
        See C{IPullProducer}.
        """
        if self._next == self._end:
            self._transport.unregisterProducer()
            return
        data = block(self._next)
        self._next += 1
        self.sent.update(data)
        self._transport.write(data)

    def stopProducing(self) -> None:
        """
        See C{IPullProducer}.
        """


class Peer(Protocol):
    """
    One end of a session.

    @ivar count: Octets that have come.
    @ivar hash: Their hash.
    @ivar reason: Why the session has ended, once it has.
    """

    transport: Any
    factory: Peers
    reason: Exception | None = None

    def __init__(self) -> None:
        self.count = 0
        self.hash = hashlib.sha256()
        self._ends: list[Deferred[None]] = []
        self._wanted = 0
        self._waiting: Deferred[None] = Deferred()

    def came(self, count: int) -> Deferred[None]:
        """
        Wait until so many octets have come in all.
        """
        self._wanted = count
        self._waiting = Deferred()
        self.dataReceived(b"")
        return self._waiting

    def ended(self) -> Deferred[None]:
        """
        Wait for the end of the session.
        """
        if self.reason is not None:
            return succeed(None)
        self._ends.append(Deferred())
        return self._ends[-1]

    def sends(self, size: int, first: int) -> Source:
        """
        Begin to send blocks.
        """
        source = Source(self.transport, size, first)
        self.transport.registerProducer(source, False)
        return source

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        self.factory.connected.callback(self)
        self.factory.connected = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        self.count += len(data)
        self.hash.update(data)
        if self._wanted and self.count >= self._wanted and not self._waiting.called:
            self._waiting.callback(None)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        See C{IProtocol}.
        """
        self.reason = reason.value
        for ended in self._ends:
            ended.callback(None)


class EchoPeer(Peer):
    """
    One that sends back what comes.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        super().dataReceived(data)
        if data:
            self.transport.write(data)


class Peers(Factory):
    """
    Makes them.

    @ivar made: Those that it has made.
    @ivar connected: Fires with the next one.
    """

    noisy = False

    def __init__(self, build: Callable[[], Peer] = Peer) -> None:
        self._build = build
        self.made: list[Peer] = []
        self.connected: Deferred[Peer] = Deferred()

    def buildProtocol(self, addr: object) -> Peer:
        """
        See C{IProtocolFactory}.
        """
        peer = self._build()
        peer.factory = self
        self.made.append(peer)
        return peer


class KCPTestCase(TestCase):
    """
    Tests with sessions on this host.
    """

    timeout = 60

    def setUp(self) -> None:
        """
        Begin with nothing.
        """
        self._peers: list[Peers] = []
        # Sockets are closed a turn after their sessions have ended.
        self.addCleanup(lambda: deferLater(reactor, 0.01, lambda: None))
        self.addCleanup(self._endAll)

    def _endAll(self) -> Deferred[Any]:
        peers = [peer for factory in self._peers for peer in factory.made]
        for peer in peers:
            peer.transport.abortConnection()
        return DeferredList([peer.ended() for peer in peers])

    @inlineCallbacks
    def listen(
        self, build: Callable[[], Peer] = Peer, interface: str = LOOPBACK, **settings: Any
    ) -> Generator[Deferred[Any], Any, Peers]:
        """
        Start a server.

        @return: What makes its peers.
        """
        factory = Peers(build)
        self._peers.append(factory)
        settings.setdefault("config", REDUNDANT)
        endpoint = KCPServerEndpoint(reactor, 0, KEY, interface=interface, **settings)
        with captured():
            listening = yield endpoint.listen(factory)
        self.addCleanup(listening.stopListening)
        self.listening = listening
        return factory

    @inlineCallbacks
    def connect(self, host: str = LOOPBACK, **settings: Any) -> Generator[Deferred[Any], Any, Peer]:
        """
        Connect a client.
        """
        factory = Peers()
        self._peers.append(factory)
        settings.setdefault("config", REDUNDANT)
        port = self.listening.getHost().port
        peer: Peer = yield KCPClientEndpoint(reactor, host, port, KEY, **settings).connect(factory)
        return peer

    @inlineCallbacks
    def answered(
        self, server: str, host: str, /, **settings: Any
    ) -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        See that a client is answered.

        @return: The client and the server.
        """
        servers = yield self.listen(EchoPeer, interface=server)
        client = yield self.connect(host, **settings)
        client.transport.write(b"Is anybody there?")
        yield client.came(17)
        return client, servers.made[0]


class TransferTests(KCPTestCase):
    """
    Much data.
    """

    @inlineCallbacks
    def transferred(self, crypt: str, config: KCPConfig) -> Generator[Deferred[Any], Any, None]:
        """
        Send 20 MiB both ways at once.
        """
        servers = yield self.listen(crypt=crypt, config=config)
        client = yield self.connect(crypt=crypt, config=config)
        accepted = servers.connected
        up = client.sends(MUCH, 0)
        server = yield accepted
        down = server.sends(MUCH, 1_000_000)
        yield DeferredList([client.came(MUCH), server.came(MUCH)], fireOnOneErrback=True)
        self.assertEqual((client.count, server.count), (MUCH, MUCH))
        self.assertEqual(client.hash.digest(), down.sent.digest())
        self.assertEqual(server.hash.digest(), up.sent.digest())
        for peer in (client, server):
            peer.transport.loseConnection()
        for peer in (client, server):
            yield peer.ended()
            self.assertIsInstance(peer.reason, ConnectionDone)


def _transferTest(crypt: str, parityshard: int) -> Callable[[TransferTests], Deferred[None]]:
    def test(self: TransferTests) -> Deferred[None]:
        config = KCPConfig.forMode("fast3", parityshard=parityshard)
        return self.transferred(crypt, config)

    test.__doc__ = f"""
        All of it arrives with {crypt} and {parityshard} shards of parity.
        """
    return test


for _crypt, _parity in product(("null", "aes", "aes-128-gcm"), (0, 3)):
    _name = f"test_{_crypt.replace('-', '')}{'WithParity' if _parity else ''}"
    setattr(TransferTests, _name, _transferTest(_crypt, _parity))


class ManyTests(KCPTestCase):
    """
    Many clients.
    """

    @inlineCallbacks
    def test_many(self) -> Generator[Deferred[Any], Any, None]:
        """
        200 clients at a time are all answered.
        """
        yield self.listen(EchoPeer)
        clients = []
        for _ in range(200):
            clients.append((yield self.connect()))
        data = block(7)[:20_000]
        for client in clients:
            client.transport.write(data)
        yield DeferredList([client.came(len(data)) for client in clients], fireOnOneErrback=True)
        expected = hashlib.sha256(data).digest()
        self.assertEqual([client.hash.digest() for client in clients], [expected] * 200)
        self.assertEqual(len(self.listening.protocol.sessions), 200)


class AddressTests(KCPTestCase):
    """
    Where sessions are from, and to.
    """

    def setUp(self) -> None:
        """
        See what there is.
        """
        super().setUp()
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
                trial.bind(("::1", 0))
        except OSError as e:
            raise SkipTest(f"no IPv6 here: {e}") from e

    @inlineCallbacks
    def test_ipv6(self) -> Generator[Deferred[Any], Any, None]:
        """
        Over IPv6.
        """
        client, server = yield self.answered("::1", "::1")
        for address in (client.transport.getPeer(), server.transport.getPeer()):
            self.assertEqual((address.type, address.host), ("UDP", "::1"))
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())

    @inlineCallbacks
    def test_both(self) -> Generator[Deferred[Any], Any, None]:
        """
        With a client of IPv4 at a server for both, who is shown as such.
        """
        client, server = yield self.answered("::", LOOPBACK)
        peer = server.transport.getPeer()
        self.assertEqual((peer.type, peer.host), ("UDP", LOOPBACK))
        self.assertEqual(type(peer).__name__, "IPv4Address")
        self.assertEqual(client.transport.getHost().port, peer.port)

    @inlineCallbacks
    def test_interface(self) -> Generator[Deferred[Any], Any, None]:
        """
        From the address that was asked for.
        """
        _, server = yield self.answered(LOOPBACK, LOOPBACK, interface="127.0.0.2")
        self.assertEqual(server.transport.getPeer().host, "127.0.0.2")

    @inlineCallbacks
    def test_name(self) -> Generator[Deferred[Any], Any, None]:
        """
        To a name.
        """
        client, _ = yield self.answered(LOOPBACK, "localhost", interface=LOOPBACK)
        self.assertEqual(client.transport.getPeer().host, LOOPBACK)


class PortTests(KCPTestCase):
    """
    Ports that are opened and closed.
    """

    @inlineCallbacks
    def test_inUse(self) -> Generator[Deferred[Any], Any, None]:
        """
        A port that is taken is an error, and can be had once it is closed.
        """
        yield self.listen()
        port = self.listening.getHost().port
        other = KCPServerEndpoint(reactor, port, KEY, interface=LOOPBACK)
        yield self.assertFailure(other.listen(Peers()), CannotListenError)
        yield self.listening.stopListening()
        with captured():
            again = yield other.listen(Peers())
        self.addCleanup(again.stopListening)
        self.assertEqual(again.getHost().port, port)

    @inlineCallbacks
    def test_serverGone(self) -> Generator[Deferred[Any], Any, None]:
        """
        A client whose server has gone finds out.
        """
        client, server = yield self.answered(LOOPBACK, LOOPBACK, timers=SessionTimers(dead=0.3))
        server.transport.abortConnection()
        yield self.listening.stopListening()
        client.transport.write(b"x")
        yield client.ended()
        self.assertIn("the peer acknowledges nothing", str(client.reason))

    @inlineCallbacks
    def test_otherKey(self) -> Generator[Deferred[Any], Any, None]:
        """
        With another key nothing is heard, and the server says why.
        """
        factory = yield self.listen()
        port = self.listening.getHost().port
        clients = Peers()
        self._peers.append(clients)
        endpoint = KCPClientEndpoint(
            reactor, LOOPBACK, port, "another secret", timers=SessionTimers(dead=0.2)
        )
        with captured() as events:
            client = yield endpoint.connect(clients)
            client.transport.write(b"x")
            yield client.ended()
        self.assertEqual(factory.made, [])
        self.assertTrue(any("key, salt or cipher differ?" in line for line in texts(events)))


IDLE = """
import resource, sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from socksproxy.kcp import KCPClientEndpoint, KCPServerEndpoint

class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

class Client(Protocol):
    def __init__(self):
        self.answered = Deferred()
    def connectionMade(self):
        self.transport.write(b"x" * 100000)
    def dataReceived(self, data):
        if not self.answered.called:
            self.answered.callback(None)

async def main():
    server = KCPServerEndpoint(reactor, 0, "secret", interface="127.0.0.1")
    listening = await server.listen(Factory.forProtocol(Echo))
    port = listening.getHost().port
    client = KCPClientEndpoint(reactor, "127.0.0.1", port, "secret")
    protocol = await client.connect(Factory.forProtocol(Client))
    await protocol.answered
    await deferLater(reactor, 1, lambda: None)
    turns = 0
    original = reactor.runUntilCurrent
    def counted():
        nonlocal turns
        turns += 1
        original()
    reactor.runUntilCurrent = counted
    before = resource.getrusage(resource.RUSAGE_SELF)
    await deferLater(reactor, 2, lambda: None)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(turns, used)

ensureDeferred(main()).addErrback(lambda failure: failure.printTraceback()).addBoth(
    lambda _: reactor.stop()
)
reactor.run()
"""


class IdleTests(KCPTestCase):
    """
    Sessions with nothing to do.
    """

    def test_idle(self) -> None:
        """
        A server and a client that are connected and have nothing to say wake
        the reactor no more often in two seconds than the test itself does, and
        take no time.
        """
        done = subprocess.run(
            [sys.executable, "-c", IDLE],
            env=environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        turns, used = done.stdout.split()[-2:]
        self.assertLessEqual(int(turns), 5, done.stderr)
        self.assertLess(float(used), 0.1)

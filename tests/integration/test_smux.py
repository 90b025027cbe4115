"""
smux over real connections.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from hashlib import sha256
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from socksproxy.kcp import KCPClientEndpoint, KCPConfig, KCPServerEndpoint
from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.smux import MuxProtocol, MuxServerFactory, SmuxConfig
from tests.integration.test_slow_reader import certificate

LOOPBACK = "127.0.0.1"
KEY = "a key of both sides"


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """
    One end of a stream.

    @ivar digest: Of what has come.
    @ivar octets: How many those were.
    @ivar ended: Fires when the other side sends no more.
    @ivar lost: Fires with the reason when it is over.
    """

    transport: Any

    def __init__(self) -> None:
        self.digest = sha256()
        self.octets = 0
        self.ended: Deferred[None] = Deferred()
        self.lost: Deferred[type[BaseException]] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.digest.update(data)
        self.octets += len(data)

    def readConnectionLost(self) -> None:
        self.ended.callback(None)

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost.callback(reason.type)


class Sender:
    """
    A push producer that writes random data, and ends the stream.

    @ivar digest: Of what has been written.
    """

    def __init__(self, peer: Peer, octets: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._peer = peer
        self._left = octets
        self._going = True
        self.digest = sha256()
        peer.transport.registerProducer(self, True)
        self._go()

    def _go(self) -> None:
        while self._left and self._going:
            data = self._random.randbytes(min(self._random.randrange(1, 60000), self._left))
            self._left -= len(data)
            self.digest.update(data)
            self._peer.transport.write(data)
        if not self._left and self._going:
            self._going = False
            self._peer.transport.unregisterProducer()
            self._peer.transport.loseWriteConnection()

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._going = False

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._going = True
        self._go()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._left = 0
        self._going = False


class Accepting(Factory):
    """
    Makes peers, and does something with each.

    @ivar made: Those that there are.
    """

    noisy = False

    def __init__(self, connected: Callable[[Any], None], make: Callable[[], Any] = Peer) -> None:
        self._connected = connected
        self._make = make
        self.made: list[Any] = []

    def buildProtocol(self, addr: object) -> Any:
        """
        See C{IProtocolFactory}.
        """
        protocol = self._make()
        self.made.append(protocol)
        reactor.callLater(0, self._connected, protocol)  # type: ignore[attr-defined]
        return protocol


def nothing(protocol: object) -> None:
    """
    Do nothing.
    """


class MuxTestCase(TestCase):
    """
    Tests with a client and a server.
    """

    timeout = 60

    @inlineCallbacks
    def join(
        self,
        streams: Factory,
        config: SmuxConfig,
        server: IStreamServerEndpoint | None = None,
        client: Callable[[int], IStreamClientEndpoint] | None = None,
    ) -> Generator[Deferred[Any], Any, MuxProtocol]:
        """
        Make a session, over TCP if nothing else is said.

        @param client: Leads to a port.
        @return: The client's side.
        """
        factory = MuxServerFactory(reactor, streams, config)
        listening = server or TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK)
        port = yield listening.listen(factory)
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        endpoint = (
            TCP4ClientEndpoint(reactor, LOOPBACK, number) if client is None else client(number)
        )
        carrying = Factory.forProtocol(lambda: MuxProtocol(reactor, config, client=True))
        carrying.noisy = False
        mux: MuxProtocol = yield endpoint.connect(carrying)
        self.factory = factory
        self.addCleanup(self.part, mux)
        return mux

    @inlineCallbacks
    def part(self, mux: MuxProtocol) -> Generator[Deferred[Any], Any, None]:
        """
        End a session, and wait until both sides have.
        """
        closed = [each.whenClosed() for each in (mux, *self.factory.sessions)]
        for each in (mux, *self.factory.sessions):
            each.abort()
        yield gatherResults(closed)

    @inlineCallbacks
    def transfer(
        self, mux: MuxProtocol, streams: Accepting, count: int, octets: int
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Send data both ways on some streams at a time, and see that all of it
        arrives, and every end as it should.
        """
        clients = [Peer() for _ in range(count)]
        senders = []
        for seed, client in enumerate(clients):
            mux.openStream(client)
            senders.append(Sender(client, octets + seed, seed))
        ends = yield gatherResults([client.lost for client in clients])
        self.assertEqual(ends, [ConnectionDone] * count)
        self.assertEqual(len(streams.made), count)
        ends = yield gatherResults([server.lost for server in streams.made])
        self.assertEqual(ends, [ConnectionDone] * count)
        for client, sender, server in zip(clients, senders, streams.made, strict=True):
            self.assertEqual(sender.digest.digest(), server.digest.digest())
            self.assertEqual(server.sender.digest.digest(), client.digest.digest())
        self.assertEqual((mux.streams, mux.session.streams), (0, {}))


def answering(octets: int) -> Accepting:
    """
    Make peers that send data of their own.
    """

    def send(peer: Any) -> None:
        peer.sender = Sender(peer, octets, -octets)

    return Accepting(send)


class TransferTests(MuxTestCase):
    """
    Data over sessions on all kinds of carriers.
    """

    @inlineCallbacks
    def test_tcp(self) -> Generator[Deferred[Any], Any, None]:
        """
        Over TCP, in both versions.
        """
        for version in (1, 2):
            streams = answering(1500000)
            mux = yield self.join(streams, SmuxConfig(version=version))
            yield self.transfer(mux, streams, 8, 2000000)

    @inlineCallbacks
    def test_tls(self) -> Generator[Deferred[Any], Any, None]:
        """
        Over TLS.
        """
        streams = answering(500000)
        server = SSL4ServerEndpoint(reactor, 0, certificate().options(), interface=LOOPBACK)
        mux = yield self.join(
            streams,
            SmuxConfig(),
            server,
            lambda port: wrapClientTLS(
                CertificateOptions(verify=False), TCP4ClientEndpoint(reactor, LOOPBACK, port)
            ),
        )
        yield self.transfer(mux, streams, 4, 1000000)

    @inlineCallbacks
    def test_kcp(self) -> Generator[Deferred[Any], Any, None]:
        """
        Over KCP.
        """
        streams = answering(300000)
        kcp = KCPConfig.forMode("fast3")
        mux = yield self.join(
            streams,
            SmuxConfig(),
            KCPServerEndpoint(reactor, 0, KEY, config=kcp, interface=LOOPBACK),
            lambda port: KCPClientEndpoint(reactor, LOOPBACK, port, KEY, config=kcp),
        )
        yield self.transfer(mux, streams, 4, 500000)

    @inlineCallbacks
    def test_manyStreams(self) -> Generator[Deferred[Any], Any, None]:
        """
        Three hundred streams at a time.
        """
        streams = answering(5000)
        mux = yield self.join(streams, SmuxConfig())
        yield self.transfer(mux, streams, 300, 10000)

    @inlineCallbacks
    def test_slowStream(self) -> Generator[Deferred[Any], Any, None]:
        """
        With version 2 a stream that is not read leaves the others alone, and
        is delivered when it is.
        """
        streams = Accepting(nothing)
        mux = yield self.join(streams, SmuxConfig())
        slow = Peer()
        mux.openStream(slow)
        sender = Sender(slow, 3000000, 1)
        while not streams.made:
            yield self.turn()
        streams.made[0].transport.pauseProducing()
        quick = Peer()
        mux.openStream(quick)
        other = Sender(quick, 8000000, 2)
        while len(streams.made) < 2:
            yield self.turn()
        yield streams.made[1].ended
        self.assertEqual(streams.made[1].digest.digest(), other.digest.digest())
        self.assertLess(streams.made[0].octets, 1000000)
        streams.made[0].transport.resumeProducing()
        yield streams.made[0].ended
        self.assertEqual(streams.made[0].digest.digest(), sender.digest.digest())

    def turn(self) -> Deferred[None]:
        """
        Let the reactor do what is to be done.
        """
        turned: Deferred[None] = Deferred()
        reactor.callLater(0, turned.callback, None)  # type: ignore[attr-defined]
        return turned


class LossTests(MuxTestCase):
    """
    Carriers that are lost.
    """

    @inlineCallbacks
    def test_reset(self) -> Generator[Deferred[Any], Any, None]:
        """
        All streams on both sides are lost with their carrier.
        """
        streams = Accepting(nothing)
        mux = yield self.join(streams, SmuxConfig())
        clients = [Peer() for _ in range(5)]
        for client in clients:
            mux.openStream(client)
            client.transport.write(b"hello")
        while sum(server.octets for server in streams.made) < 25:
            turned: Deferred[None] = Deferred()
            reactor.callLater(0, turned.callback, None)  # type: ignore[attr-defined]
            yield turned
        mux.transport.abortConnection()
        ends = yield gatherResults([peer.lost for peer in clients + streams.made])
        self.assertEqual(ends, [ConnectionLost] * 10)
        yield mux.whenClosed()


class RelayTests(MuxTestCase):
    """
    A tunnel: connections that are relayed over streams.
    """

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        A half-close at one end is one at the other end, and the answer to it
        comes back whole.
        """
        results: list[Deferred[RelayResult]] = [Deferred(), Deferred()]
        targets = answering(3000000)
        target: Any = reactor.listenTCP(0, targets, interface=LOOPBACK)  # type: ignore[attr-defined]
        self.addCleanup(target.stopListening)
        toTarget = TCP4ClientEndpoint(reactor, LOOPBACK, target.getHost().port)
        legs = Factory.forProtocol(Leg)
        legs.noisy = False

        def accepted(leg: Leg) -> None:
            toTarget.connect(legs).addCallback(self.relay, leg, results[0])

        mux = yield self.join(Accepting(accepted, Leg), SmuxConfig())

        def came(leg: Leg) -> None:
            stream = mux.openStream(Leg())
            self.relay(stream.protocol, leg, results[1])

        entrance: Any = reactor.listenTCP(  # type: ignore[attr-defined]
            0, Accepting(came, Leg), interface=LOOPBACK
        )
        self.addCleanup(entrance.stopListening)
        clients = Factory.forProtocol(Peer)
        clients.noisy = False
        port = entrance.getHost().port
        client = yield TCP4ClientEndpoint(reactor, LOOPBACK, port).connect(clients)
        sender = Sender(client, 2000000, 5)
        yield client.ended
        (server,) = targets.made
        yield server.ended
        self.assertEqual(server.digest.digest(), sender.digest.digest())
        self.assertEqual(client.digest.digest(), server.sender.digest.digest())
        for peer in (client, server):
            peer.transport.loseConnection()
        found = yield gatherResults(results)
        self.assertEqual([(each.sent, each.received) for each in found], [(2000000, 3000000)] * 2)

    def relay(self, target: Leg, client: Leg, result: Deferred[RelayResult]) -> None:
        """
        Join two connections.
        """
        clock: Any = reactor
        Relay(clock, client, target, RelayTimers(), result.callback).start()

"""
C{tunnel:} over real connections: streams in TLS, by endpoint strings.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    clientFromString,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from socksproxy.config import Configuration
from socksproxy.forward import forwardFromText
from socksproxy.service import ProxyService
from socksproxy.smux import MuxProtocol
from socksproxy.tls import PeerRejected
from tests.certificates import FOR_CLIENTS, Authority, selfSigned
from tests.files import temporaryFolder
from tests.integration.test_smux import LOOPBACK, Accepting, Peer, Sender, answering, nothing


class StringsTestCase(TestCase):
    """
    Tests with a server and a client, each made by a string.

    @cvar prefix: What the strings begin with.
    @ivar client: The client's endpoint.
    """

    prefix = ""
    timeout = 100
    client: Any

    @inlineCallbacks
    def listen(
        self, streams: Factory, port: str = "0", **parameters: str
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Start the server.

        @param streams: Makes the applications.
        """
        described = self.described(port, interface=LOOPBACK, **parameters)
        self.port = yield serverFromString(reactor, described).listen(streams)
        self.addCleanup(self.port.stopListening)

    def dial(self, port: str = "", **parameters: str) -> None:
        """
        Make the client.
        """
        port = port or str(self.port.getHost().port)
        self.client = clientFromString(reactor, self.described(LOOPBACK, port, **parameters))
        self.addCleanup(self.part, self.client, self.port)

    def described(self, *arguments: str, **parameters: str) -> str:
        """
        Write a string.
        """
        named = [f"{name}={quoteStringArgument(value)}" for name, value in parameters.items()]
        return ":".join([self.prefix, *arguments, *named])

    def servers(self) -> list[MuxProtocol]:
        """
        Give the server's sessions.
        """
        return self.sessionsOf(self.port)

    def sessionsOf(self, port: Any) -> list[MuxProtocol]:
        """
        Give the sessions of a port.
        """
        raise NotImplementedError

    @inlineCallbacks
    def part(self, client: Any, port: Any) -> Generator[Deferred[Any], Any, None]:
        """
        End all sessions, and wait until they have.
        """
        sessions = [member.mux for member in client._members] + self.sessionsOf(port)
        closed = [each.whenClosed() for each in sessions]
        for each in sessions:
            each.abort()
        yield gatherResults(closed)
        self.assertEqual(client._members, [])

    @inlineCallbacks
    def connect(self, peer: Peer | None = None) -> Generator[Deferred[Any], Any, Peer]:
        """
        Open a stream.

        @return: The client's side.
        """
        opened = peer or Peer()
        factory = Factory.forProtocol(lambda: opened)
        factory.noisy = False
        yield self.client.connect(factory)
        return opened

    @inlineCallbacks
    def transfer(
        self, streams: Accepting, count: int, octets: int
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Send data both ways on some streams at a time, and see that all of it
        arrives, and every end as it should.

        @param streams: Makes the server's side, which sends as well.
        @param octets: On each stream, from the client.
        """
        clients = yield gatherResults([self.connect() for _ in range(count)])
        senders = [Sender(client, octets + seed, seed) for seed, client in enumerate(clients)]
        ends = yield gatherResults([client.lost for client in clients])
        self.assertEqual(ends, [ConnectionDone] * count)
        ends = yield gatherResults([server.lost for server in streams.made])
        self.assertEqual(ends, [ConnectionDone] * count)
        received = {(server.octets, server.digest.digest()) for server in streams.made}
        sent = {(octets + n, sender.digest.digest()) for n, sender in enumerate(senders)}
        self.assertEqual(received, sent)
        answers = [server.sender.digest.digest() for server in streams.made]
        self.assertEqual({client.digest.digest() for client in clients}, set(answers))

    @inlineCallbacks
    def ask(self) -> Generator[Deferred[Any], Any, None]:
        """
        Send a question with its end, and require an answer that is made after
        that.
        """
        client = yield self.connect()
        client.transport.write(b"question")
        client.transport.loseWriteConnection()
        yield client.ended
        reason = yield client.lost
        self.assertEqual((client.octets, reason), (100000, ConnectionDone))

    def afterTheEnd(self) -> Accepting:
        """
        Make peers that answer once the other side has ended.
        """

        def answer(peer: Any) -> None:
            def end(_: object) -> None:
                self.assertEqual(peer.octets, 8)
                peer.transport.write(bytes(100000))
                peer.transport.loseConnection()

            peer.ended.addCallback(end)

        return Accepting(answer)

    @inlineCallbacks
    def stall(self) -> Generator[Deferred[Any], Any, None]:
        """
        Have one stream that the server does not read, and require that another
        brings ten times as much meanwhile, and that nothing of the first one
        is lost.
        """
        streams = Accepting(nothing)
        yield self.begin(streams)
        slow = yield self.connect()
        slowSender = Sender(slow, 3000000, 1)
        while not streams.made:
            yield turn()
        (unread,) = streams.made
        unread.transport.pauseProducing()
        quick = yield self.connect()
        quickSender = Sender(quick, 8000000, 2)
        while len(streams.made) < 2:
            yield turn()
        yield streams.made[1].ended
        self.assertEqual(streams.made[1].digest.digest(), quickSender.digest.digest())
        self.assertLess(unread.octets, 800000)
        unread.transport.resumeProducing()
        yield unread.ended
        self.assertEqual(unread.digest.digest(), slowSender.digest.digest())

    def begin(self, streams: Factory, **parameters: str) -> Deferred[None]:
        """
        Start both with what is usual.
        """
        raise NotImplementedError


def turn() -> Deferred[None]:
    """
    Let the reactor do what is to be done.
    """
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, turned.callback, None)
    return turned


class TunnelTestCase(StringsTestCase):
    """
    Tests with certificates.
    """

    prefix = "tunnel"

    def setUp(self) -> None:
        """
        Make them.
        """
        self.folder = temporaryFolder(self)
        self.authority = Authority(self.folder)
        self.issued = self.authority.issue(LOOPBACK)

    def sessionsOf(self, port: Any) -> list[MuxProtocol]:
        """
        See L{StringsTestCase}.
        """
        factory = port.factory
        while not hasattr(factory, "sessions"):
            factory = factory.wrappedFactory
        return list(factory.sessions)

    @inlineCallbacks
    def begin(self, streams: Factory, **parameters: str) -> Generator[Deferred[Any], Any, None]:
        """
        See L{StringsTestCase}.

        @param parameters: For both.
        """
        yield self.listen(streams, certificate=self.issued.both, **parameters)
        self.dial(ca=self.authority.path, **parameters)


class TransferTests(TunnelTestCase):
    """
    Data through tunnels.
    """

    @inlineCallbacks
    def test_manyStreams(self) -> Generator[Deferred[Any], Any, None]:
        """
        A hundred streams share one connection of TCP, with either version.
        """
        for version in ("1", "2"):
            streams = answering(20000)
            yield self.begin(streams, smuxver=version)
            yield self.transfer(streams, 100, 40000)
            carriers = {peer.transport.getPeer().carrier for peer in streams.made}
            self.assertEqual(len(carriers), 1)

    @inlineCallbacks
    def test_severalSessions(self) -> Generator[Deferred[Any], Any, None]:
        """
        With C{conn} they share as many as that, evenly.
        """
        streams = Accepting(nothing)
        yield self.listen(streams, certificate=self.issued.both)
        self.dial(ca=self.authority.path, conn="3")
        for _ in range(9):
            yield self.connect()
            while self.client._dialling is not None:
                yield turn()
        loads = [member.mux.streams for member in self.client._members]
        self.assertEqual(loads, [3, 3, 3])
        self.assertEqual(len(self.servers()), 3)

    @inlineCallbacks
    def test_compressed(self) -> Generator[Deferred[Any], Any, None]:
        """
        With C{nocomp=no} everything is compressed.
        """
        streams = answering(300000)
        yield self.begin(streams, nocomp="no")
        yield self.transfer(streams, 4, 500000)

    @inlineCallbacks
    def test_bulk(self) -> Generator[Deferred[Any], Any, None]:
        """
        Much data, both ways at a time.
        """
        streams = answering(10000000)
        yield self.begin(streams)
        yield self.transfer(streams, 2, 10000000)

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        The end of one direction arrives as that, and the other goes on.
        """
        yield self.begin(self.afterTheEnd())
        yield self.ask()

    @inlineCallbacks
    def test_stalledStream(self) -> Generator[Deferred[Any], Any, None]:
        """
        A stream that is not read leaves the others alone.
        """
        yield self.stall()

    @inlineCallbacks
    def test_sessionLost(self) -> Generator[Deferred[Any], Any, None]:
        """
        A connection that breaks takes its streams along, and the next one has
        another made.
        """
        streams = Accepting(nothing)
        yield self.begin(streams)
        first = yield self.connect()
        while not streams.made:
            yield turn()
        self.servers()[0].abort()
        reason = yield first.lost
        self.assertEqual(reason, ConnectionLost)
        yield self.connect()
        while len(streams.made) < 2:
            yield turn()

    @inlineCallbacks
    def test_portCloses(self) -> Generator[Deferred[Any], Any, None]:
        """
        A port that is closed ends the sessions that have no streams, of which
        clients learn.
        """
        streams = Accepting(nothing)
        yield self.begin(streams)
        client = yield self.connect()
        while not streams.made:
            yield turn()
        streams.made[0].transport.loseConnection()
        client.transport.loseConnection()
        yield gatherResults([client.lost, streams.made[0].lost])
        closed = self.client._members[0].mux.whenClosed()
        yield self.port.stopListening()
        yield closed


class DaemonTests(TunnelTestCase):
    """
    A daemon whose connections go through a tunnel.
    """

    @inlineCallbacks
    def test_stops(self) -> Generator[Deferred[Any], Any, None]:
        """
        When it stops it leaves no session: the server is told at once, and
        takes it for an orderly end.
        """
        yield self.listen(self.afterTheEnd(), certificate=self.issued.both)
        port = self.port.getHost().port
        there = self.described(LOOPBACK, str(port), ca=self.authority.path)
        forward = [forwardFromText(f"tcp:0:interface={LOOPBACK},{there}")]
        daemon = ProxyService(reactor, Configuration(listen=(), forward=forward))
        daemon.startService()
        (here,) = daemon._groups[0].listeners
        local: Any = here._port
        self.client = TCP4ClientEndpoint(reactor, LOOPBACK, local.getHost().port)
        client = yield self.connect()
        client.transport.write(b"question")
        client.transport.loseWriteConnection()
        yield client.ended
        client.transport.loseConnection()
        yield client.lost
        (session,) = self.servers()
        reasons: list[Failure] = []
        lost = session.connectionLost
        session.connectionLost = lambda reason: (reasons.append(reason), lost(reason))
        closed = session.whenClosed()
        yield daemon.stopService()
        yield closed
        self.assertEqual([reason.type for reason in reasons], [ConnectionDone])


class TrustTests(TunnelTestCase):
    """
    Who is let in, and who is believed.
    """

    @inlineCallbacks
    def served(self) -> Generator[Deferred[Any], Any, None]:
        """
        Require that there is an answer.
        """
        yield self.ask()

    @inlineCallbacks
    def refused(self, words: str) -> Generator[Deferred[Any], Any, None]:
        """
        Require that there is no connection, and a reason.
        """
        failure = yield self.assertFailure(self.connect(), PeerRejected)
        self.assertIn(words, str(failure).replace(":", "").lower())

    @inlineCallbacks
    def test_authority(self) -> Generator[Deferred[Any], Any, None]:
        """
        A server whose certificate is of an authority that the client trusts is
        believed.
        """
        yield self.listen(self.afterTheEnd(), certificate=self.issued.both)
        self.dial(ca=self.authority.path)
        yield self.served()

    @inlineCallbacks
    def test_otherAuthority(self) -> Generator[Deferred[Any], Any, None]:
        """
        Others are not; without C{ca} those that the platform trusts are meant.
        """
        yield self.listen(self.afterTheEnd(), certificate=self.issued.both)
        for parameters in ({}, {"ca": Authority(self.folder, "other").path}):
            self.dial(**parameters)
            yield self.refused("certificate")

    @inlineCallbacks
    def test_otherName(self) -> Generator[Deferred[Any], Any, None]:
        """
        Nor is one whose certificate is for another host.
        """
        issued = self.authority.issue("proxy.test")
        yield self.listen(self.afterTheEnd(), certificate=issued.both)
        self.dial(ca=self.authority.path)
        yield self.refused("not for 127.0.0.1 but for 'proxy.test'")

    @inlineCallbacks
    def test_pin(self) -> Generator[Deferred[Any], Any, None]:
        """
        With a pin it does not matter whose the certificate is, but that it is
        the right one.
        """
        issued = selfSigned(self.folder, "nobody.test")
        yield self.listen(self.afterTheEnd(), certificate=issued.both)
        self.dial(pin=issued.fingerprint)
        yield self.served()
        self.dial(pin=self.issued.fingerprint)
        yield self.refused(issued.fingerprint)

    @inlineCallbacks
    def test_clientCertificate(self) -> Generator[Deferred[Any], Any, None]:
        """
        A server with C{clientCA} lets in those with a certificate of that
        authority, and nobody else.
        """
        yield self.listen(
            self.afterTheEnd(), certificate=self.issued.both, clientCA=self.authority.path
        )
        known = self.authority.issue(name="client", purpose=FOR_CLIENTS)
        self.dial(ca=self.authority.path, certificate=known.both)
        yield self.served()
        other = Authority(self.folder, "other").issue(name="stranger", purpose=FOR_CLIENTS)
        for parameters in ({}, {"certificate": other.both}):
            self.dial(ca=self.authority.path, **parameters)
            # By TLS 1.3 the client learns of it after the handshake.
            try:
                stranger = yield self.connect()
            except Exception as e:
                self.assertIn("TLS", str(e))
            else:
                reason = yield stranger.lost
                self.assertTrue(issubclass(reason, ConnectionLost))
                self.assertEqual(stranger.octets, 0)

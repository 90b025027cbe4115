"""
Clients of a proxy of ours over real sockets: streams.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.client.errors import ProxyAuthenticationFailed, ProxyUnreachable, TargetFault
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from tests.files import temporaryFolder
from tests.integration.clients import PASSWORD, USER, ClientsTestCase, users
from tests.integration.test_service import Peer

MEGABYTES = 5_000_000


class Careful(Peer):
    """
    A peer that wants to know when its own end has been sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written: Deferred[None] = Deferred()

    def writeConnectionLost(self) -> None:
        """
        Tell.
        """
        self.written.callback(None)


class Plain(Protocol):
    """
    A protocol that knows no half-closed connections.

    @ivar lost: Fires with the reason for the end.
    """

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[Failure] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """
        Keep what comes.
        """
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell.
        """
        # A Deferred that is fired with a failure fails.
        self.lost.callback([reason])  # type: ignore[arg-type]


@implementer(IPushProducer)
class Pushing:
    """
    Writes so many octets as fast as it may.

    @ivar pauses: How often it had to pause.
    @ivar done: Fires when all are written.
    """

    PIECE = bytes(range(256)) * 64

    def __init__(self, consumer: Any, pieces: int) -> None:
        self._consumer = consumer
        self._left = pieces
        self._running = False
        self.pauses = 0
        self.done: Deferred[None] = Deferred()

    def start(self) -> None:
        """
        Begin.
        """
        self._consumer.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._running = True
        while self._running and self._left:
            self._left -= 1
            self._consumer.write(self.PIECE)
        if not self._left and not self.done.called:
            self._consumer.unregisterProducer()
            self.done.callback(None)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._running = False
        self.pauses += 1

    def stopProducing(self) -> None:
        """
        See C{IProducer}.
        """
        self._running = False
        self._left = 0


class StreamTests(ClientsTestCase):
    """
    Connections to a target by way of a proxy.
    """

    def socks5(
        self, host: str = "127.0.0.1", proxy: IStreamClientEndpoint | None = None
    ) -> SOCKS5ClientEndpoint:
        """
        Give an endpoint that leads to the target.
        """
        way = self.proxy if proxy is None else proxy
        return SOCKS5ClientEndpoint(reactor, way, host, self.targetPort)

    @inlineCallbacks
    def assertJoined(
        self, endpoint: IStreamClientEndpoint
    ) -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        Fail unless octets go both ways.

        @return: The client and the target.
        """
        client, target = yield self.join(endpoint)
        client.transport.write(b"question")
        self.assertEqual((yield target.read(8)), b"question")
        target.transport.write(b"answer")
        self.assertEqual((yield client.read(6)), b"answer")
        return client, target

    @inlineCallbacks
    def test_bothWays(self) -> Generator[Deferred[Any], Any, None]:
        """
        Megabytes go both ways unharmed, and each side's end reaches the other
        by itself.
        """
        yield self.start()
        client, target = yield self.join(self.socks5())
        up, down = os.urandom(MEGABYTES), os.urandom(MEGABYTES)
        client.transport.write(up)
        client.transport.loseWriteConnection()
        self.assertTrue((yield target.read(len(up))) == up)
        yield target.ended
        target.transport.write(down)
        target.transport.loseConnection()
        self.assertTrue((yield client.read(len(down))) == down)
        yield client.ended
        self.assertEqual((client.received, target.received), (b"", b""))
        client.transport.loseConnection()
        self.assertTrue((yield client.lost))

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        A client that ends its own stream is told when that has been done.
        """
        yield self.start()
        client = Careful()
        _, target = yield self.join(self.socks5(), client)
        client.transport.write(b"last words")
        client.transport.loseWriteConnection()
        yield client.written
        self.assertEqual((yield target.read(10)), b"last words")
        yield target.ended

    @inlineCallbacks
    def test_kinds(self) -> Generator[Deferred[Any], Any, None]:
        """
        SOCKS4, SOCKS4a and SOCKS5 with names and addresses all lead there.
        """
        yield self.start()
        for cls, host, address in (
            (SOCKS4ClientEndpoint, "127.0.0.1", IPv4Address("TCP", "127.0.0.1", self.targetPort)),
            (SOCKS4ClientEndpoint, "localhost", HostnameAddress(b"localhost", self.targetPort)),
            (SOCKS5ClientEndpoint, "127.0.0.1", IPv4Address("TCP", "127.0.0.1", self.targetPort)),
            (SOCKS5ClientEndpoint, "localhost", HostnameAddress(b"localhost", self.targetPort)),
        ):
            client, _ = yield self.assertJoined(cls(reactor, self.proxy, host, self.targetPort))
            self.assertEqual(client.transport.getPeer(), address)
            self.assertEqual(client.transport.getHost().host, "127.0.0.1")

    @inlineCallbacks
    def test_ipv6(self) -> Generator[Deferred[Any], Any, None]:
        """
        So does an IPv6 address.
        """
        yield self.start()
        port = self.listen(self.targets, "::1")
        endpoint = SOCKS5ClientEndpoint(reactor, self.proxy, "::1", port)
        client, _ = yield self.assertJoined(endpoint)
        self.assertEqual(client.transport.getPeer(), IPv6Address("TCP", "::1", port))

    @inlineCallbacks
    def test_password(self) -> Generator[Deferred[Any], Any, None]:
        """
        With the longest user name and the longest password one gets in, and
        without them one does not.
        """
        yield self.start(checkers=[users()])
        endpoint = SOCKS5ClientEndpoint(
            reactor, self.proxy, "127.0.0.1", self.targetPort, USER, PASSWORD
        )
        yield self.assertJoined(endpoint)
        for credentials in ((), (USER, PASSWORD[:-1] + "q"), (USER[:-1], PASSWORD)):
            endpoint = SOCKS5ClientEndpoint(
                reactor, self.proxy, "127.0.0.1", self.targetPort, *credentials
            )
            connecting = endpoint.connect(Factory.forProtocol(Peer))
            error = yield self.assertFailure(connecting, ProxyAuthenticationFailed)
            self.assertNotIn(PASSWORD[:20], str(error))

    @inlineCallbacks
    def test_unix(self) -> Generator[Deferred[Any], Any, None]:
        """
        The proxy may be on a UNIX socket.
        """
        path = str(temporaryFolder(self) / "proxy")
        self.startService(f"unix:{path}")
        endpoint = UNIXClientEndpoint(reactor, path)
        client, _ = yield self.assertJoined(self.socks5(proxy=endpoint))
        self.assertEqual(client.transport.getPeer().host, "127.0.0.1")

    @inlineCallbacks
    def test_chain(self) -> Generator[Deferred[Any], Any, None]:
        """
        The way to a proxy may lead through others.
        """
        yield self.start()
        way = self.proxy
        for _ in range(3):
            port = yield self.start()
            way = SOCKS5ClientEndpoint(reactor, way, "127.0.0.1", port)
        yield self.assertJoined(self.socks5(proxy=way))

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        A closed port is told from a closed proxy.
        """
        yield self.start()
        probe: Any = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        closed = probe.getHost().port
        yield probe.stopListening()
        factory = Factory.forProtocol(Peer)
        connecting = SOCKS5ClientEndpoint(reactor, self.proxy, "127.0.0.1", closed).connect(factory)
        error = yield self.assertFailure(connecting, Refused)
        self.assertIsInstance(error, TargetFault)
        nobody = TCP4ClientEndpoint(reactor, "127.0.0.1", closed)
        connecting = self.socks5(proxy=nobody).connect(factory)
        error = yield self.assertFailure(connecting, ProxyUnreachable)
        self.assertNotIsInstance(error, Refused)

    @inlineCallbacks
    def test_cancelled(self) -> Generator[Deferred[Any], Any, None]:
        """
        An attempt can be given up at once, and nothing is left.
        """
        yield self.start()
        connecting = self.socks5().connect(Factory.forProtocol(Peer))
        connecting.cancel()
        yield connecting.addCallbacks(self.fail, lambda failure: None)

    @inlineCallbacks
    def test_resets(self) -> Generator[Deferred[Any], Any, None]:
        """
        A reset on one side is a reset on the other.
        """
        yield self.start()
        client, target = yield self.join(self.socks5())
        client.transport.abortConnection()
        self.assertFalse((yield target.lost))
        client, target = yield self.join(self.socks5())
        target.transport.abortConnection()
        self.assertFalse((yield client.lost))

    @inlineCallbacks
    def plain(
        self, endpoint: IStreamClientEndpoint
    ) -> Generator[Deferred[Any], Any, tuple[Plain, Peer]]:
        """
        Connect a protocol that knows no half-closed connections.
        """
        accepted = self.targets.connected
        client = yield endpoint.connect(Factory.forProtocol(Plain))
        self.addCleanup(client.transport.abortConnection)
        target = yield accepted
        self.addCleanup(self.disconnect, target)
        return client, target

    @inlineCallbacks
    def test_plain(self) -> Generator[Deferred[Any], Any, None]:
        """
        A protocol that knows no half-closed connections has got everything
        when the target's end closes its connection.
        """
        yield self.start()
        client, target = yield self.plain(self.socks5())
        target.transport.write(bytes(MEGABYTES))
        target.transport.loseWriteConnection()
        (reason,) = yield client.lost
        self.assertEqual((len(client.received), reason.type), (MEGABYTES, connectionDone.type))
        yield target.ended

    @inlineCallbacks
    def assertEndsWhileWriting(
        self, endpoint: IStreamClientEndpoint
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Fail unless a protocol that knows no half-closed connections is told
        of the target's end even while it has written more than is read.
        """
        client, target = yield self.plain(endpoint)
        target.transport.pauseProducing()
        client.transport.write(bytes(20 * MEGABYTES))
        target.transport.write(b"enough")
        target.transport.loseWriteConnection()
        (reason,) = yield client.lost
        self.assertEqual((client.received, reason.type), (b"enough", connectionDone.type))

    def test_plainWhileWritingWithoutAProxy(self) -> Deferred[None]:
        """
        That holds even while the protocol has written more than the target
        reads, if there is no proxy.
        """
        return self.assertEndsWhileWriting(
            TCP4ClientEndpoint(reactor, "127.0.0.1", self.targetPort)
        )

    @inlineCallbacks
    def test_plainWhileWriting(self) -> Generator[Deferred[Any], Any, None]:
        """
        And so it does with one.
        """
        yield self.start()
        yield self.assertEndsWhileWriting(self.socks5())

    @inlineCallbacks
    def test_pushProducers(self) -> Generator[Deferred[Any], Any, None]:
        """
        Producers that push on either side have to pause when the other side
        does not read, and go on when it does.
        """
        yield self.start()
        client, target = yield self.join(self.socks5())
        for writer, reader in ((client, target), (target, client)):
            reader.transport.pauseProducing()
            pushing = Pushing(writer.transport, 2000)
            pushing.start()
            self.assertNoResult(pushing.done)
            self.assertEqual(pushing.pauses, 1)
            reader.transport.resumeProducing()
            data = yield reader.read(2000 * len(Pushing.PIECE))
            yield pushing.done
            self.assertTrue(data == Pushing.PIECE * 2000)

    @inlineCallbacks
    def test_pullProducers(self) -> Generator[Deferred[Any], Any, None]:
        """
        Producers that are pulled from work on either side.
        """
        yield self.start()
        client, target = yield self.join(self.socks5())
        for writer, reader in ((client, target), (target, client)):
            data = os.urandom(MEGABYTES)
            sending = FileSender().beginFileTransfer(io.BytesIO(data), writer.transport)
            self.assertTrue((yield reader.read(len(data))) == data)
            yield sending

    @inlineCallbacks
    def test_pause(self) -> Generator[Deferred[Any], Any, None]:
        """
        A client that pauses gets nothing meanwhile, and everything after.
        """
        yield self.start()
        client, target = yield self.join(self.socks5())
        client.transport.pauseProducing()
        target.transport.write(bytes(MEGABYTES))
        # Something that takes a round trip by the same way.
        client.transport.write(b"question")
        yield target.read(8)
        self.assertEqual(client.received, b"")
        client.transport.resumeProducing()
        self.assertEqual(len((yield client.read(MEGABYTES))), MEGABYTES)

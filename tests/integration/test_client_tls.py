"""
TLS that begins inside a connection through a proxy, over real sockets.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.buffer import Buffer
from socksproxy.socks._events import CredentialsReceived, Event, ProtectionEstablished
from socksproxy.socks.endpoints import SOCKS5ClientEndpoint
from socksproxy.socks.methods import Anonymous, ClientSubNegotiation, ServerSubNegotiation
from tests.certificates import Authority
from tests.files import temporaryFolder
from tests.integration.clients import ClientsTestCase
from tests.integration.test_client import Pushing
from tests.memoryproxy import MemoryProxy

STARTTLS, GO = b"STARTTLS\r\n", b"220 go\r\n"
MEGABYTES = 3_000_000


class Talker(Protocol):
    """
    One side of a conversation that changes to TLS.

    @ivar lost: Fires with the reason for the end, in a list.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: Deferred[list[Failure]] = Deferred()
        self._waiting: tuple[int, Deferred[bytes]] | None = None

    def read(self, count: int) -> Deferred[bytes]:
        """
        Wait for that many octets.
        """
        waiting: Deferred[bytes] = Deferred()
        self._waiting = count, waiting
        self.dataReceived(b"")
        return waiting

    def dataReceived(self, data: bytes) -> None:
        """
        Keep what comes.
        """
        self.received += data
        if self._waiting is not None and len(self.received) >= self._waiting[0]:
            (count, waiting), self._waiting = self._waiting, None
            taken = bytes(self.received[:count])
            del self.received[:count]
            waiting.callback(taken)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell.
        """
        self.lost.callback([reason])


@implementer(IHandshakeListener)
class TLSTalker(Talker):
    """
    One that wants to know when the handshake is over.

    @ivar shaken: Fires then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shaken: Deferred[None] = Deferred()

    def handshakeCompleted(self) -> None:
        """
        See C{IHandshakeListener}.
        """
        self.shaken.callback(None)


class Talkers(Factory):
    """
    Makes the servers' sides.

    @ivar connected: Fires with the next one.
    """

    noisy = False

    def __init__(self) -> None:
        self.connected: Deferred[Talker] = Deferred()

    def buildProtocol(self, addr: object) -> Talker:
        """
        See C{IProtocolFactory}.
        """
        talker = Talker()
        connected, self.connected = self.connected, Deferred()
        connected.callback(talker)
        return talker


class Veil:
    """
    A protection that keeps nothing secret: every octet is another one.
    """

    carriesDatagrams = False
    _TABLE = bytes(octet ^ 0x55 for octet in range(256))

    def wrap(self, data: bytes) -> bytes:
        """
        See L{Protection}.
        """
        return data.translate(self._TABLE)

    unwrap = wrapDatagram = unwrapDatagram = wrap

    def endOfStream(self) -> None:
        """
        See L{Protection}.
        """


class Veiled:
    """
    A method of authentication that lets everybody in, and puts a protection
    around everything after it.
    """

    code = 0x80

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method}.
        """
        return _VeiledServer()

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method}.
        """
        return _VeiledClient()


class _VeiledServer:
    def receive(self, buffer: Buffer) -> Sequence[Event]:
        return [CredentialsReceived(Anonymous(), Veil())]

    def authenticated(self) -> bytes:
        return b""

    def authenticationFailed(self) -> bytes:
        return b""


class _VeiledClient:
    def __init__(self) -> None:
        self._veiled = False

    def start(self) -> bytes:
        return b""

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        if self._veiled:
            return None
        self._veiled = True
        return [ProtectionEstablished(Veil())]


class StartTLSTests(ClientsTestCase):
    """
    A server that begins in the clear and goes on in TLS, without a proxy, as
    the measure for all others.
    """

    timeout = 10

    def setUp(self) -> None:
        """
        Start the server.
        """
        super().setUp()
        folder = temporaryFolder(self)
        self.authority = Authority(folder)
        self.issued = self.authority.issue("localhost", "127.0.0.1")
        self.servers = Talkers()
        self.serverPort = self.listen(self.servers)

    def endpoint(self) -> Generator[Deferred[Any], Any, IStreamClientEndpoint]:
        """
        Give the way to the server.
        """
        yield from ()
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.serverPort)

    def options(self, name: str = "localhost", authority: Authority | None = None) -> Any:
        """
        Give what a client uses that trusts an authority.
        """
        pem = Path((authority or self.authority).path).read_bytes()
        return optionsForClientTLS(name, trustRootFromCertificates([Certificate.loadPEM(pem)]))

    def serverOptions(self) -> Any:
        """
        Give what the server uses.
        """
        return PrivateCertificate.loadPEM(Path(self.issued.both).read_bytes()).options()

    @inlineCallbacks
    def begin(
        self, options: Any = None, client: type[Talker] = Talker
    ) -> Generator[Deferred[Any], Any, tuple[Any, Any]]:
        """
        Connect, and begin with TLS on both sides.

        @return: The client and the server.
        """
        endpoint = yield from self.endpoint()
        accepted = self.servers.connected
        talker = yield endpoint.connect(Factory.forProtocol(client))
        server = yield accepted
        self.addCleanup(self.hangUp, talker, server)
        talker.transport.write(STARTTLS)
        self.assertEqual((yield server.read(len(STARTTLS))), STARTTLS)
        server.transport.write(GO)
        server.transport.startTLS(self.serverOptions())
        self.assertEqual((yield talker.read(len(GO))), GO)
        talker.transport.startTLS(self.options() if options is None else options)
        return talker, server

    @inlineCallbacks
    def hangUp(self, *talkers: Talker) -> Generator[Deferred[Any], Any, None]:
        """
        Drop connections, and wait for them to be gone.
        """
        for talker in talkers:
            if not talker.lost.called:
                talker.transport.abortConnection()  # type: ignore[union-attr]
                yield talker.lost

    @inlineCallbacks
    def test_talks(self) -> Generator[Deferred[Any], Any, None]:
        """
        After it, megabytes go both ways, and an end is an end.
        """
        client, server = yield self.begin()
        up, down = os.urandom(MEGABYTES), os.urandom(MEGABYTES)
        client.transport.write(up)
        self.assertTrue((yield server.read(len(up))) == up)
        server.transport.writeSequence([down[:1000], down[1000:]])
        self.assertTrue((yield client.read(len(down))) == down)
        server.transport.write(b"bye")
        server.transport.loseConnection()
        self.assertEqual((yield client.read(3)), b"bye")
        for talker in (client, server):
            (reason,) = yield talker.lost
            self.assertIs(reason.type, ConnectionDone)

    @inlineCallbacks
    def test_clientCloses(self) -> Generator[Deferred[Any], Any, None]:
        """
        Nothing of what the client has written is lost when it closes.
        """
        client, server = yield self.begin()
        client.transport.write(bytes(MEGABYTES))
        client.transport.loseConnection()
        self.assertEqual(len((yield server.read(MEGABYTES))), MEGABYTES)
        for talker in (client, server):
            (reason,) = yield talker.lost
            self.assertIs(reason.type, ConnectionDone)

    @inlineCallbacks
    def test_transport(self) -> Generator[Deferred[Any], Any, None]:
        """
        The client's transport knows that it is in TLS, and with whom.
        """
        client, server = yield self.begin()
        self.assertFalse(server.lost.called)
        client.transport.write(b"question")
        yield server.read(8)
        server.transport.write(b"answer")
        yield client.read(6)
        self.assertTrue(ISSLTransport.providedBy(client.transport))
        certificate = client.transport.getPeerCertificate().to_cryptography()
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=localhost")
        self.assertIsInstance(client.transport.getHandle(), SSL.Connection)

    @inlineCallbacks
    def test_handshake(self) -> Generator[Deferred[Any], Any, None]:
        """
        A client that wants to know is told when the handshake is over.
        """
        client, _ = yield self.begin(client=TLSTalker)
        yield client.shaken

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        A server with the wrong name, or of an unknown authority, is found
        out, and gets nothing.
        """
        for options in (
            self.options("other.test"),
            self.options(authority=Authority(temporaryFolder(self), "other")),
        ):
            client, server = yield self.begin(options)
            client.transport.write(b"secret")
            (reason,) = yield client.lost
            self.assertFalse(reason.check(ConnectionDone))
            yield server.lost
            self.assertEqual(server.received, b"")

    @inlineCallbacks
    def test_producers(self) -> Generator[Deferred[Any], Any, None]:
        """
        Producers on either side are paused while the other side does not
        read.
        """
        client, server = yield self.begin()
        client.transport.write(b"question")
        yield server.read(8)
        for writer, reader in ((client, server), (server, client)):
            reader.transport.pauseProducing()
            pushing = Pushing(writer.transport, 1500)
            pushing.start()
            self.assertNoResult(pushing.done)
            self.assertEqual(pushing.pauses, 1)
            reader.transport.resumeProducing()
            data = yield reader.read(1500 * len(Pushing.PIECE))
            yield pushing.done
            self.assertTrue(data == Pushing.PIECE * 1500)

    @inlineCallbacks
    def test_aborts(self) -> Generator[Deferred[Any], Any, None]:
        """
        A connection that is dropped is no clean end for the other side.
        """
        client, server = yield self.begin()
        client.transport.write(b"question")
        yield server.read(8)
        client.transport.abortConnection()
        (reason,) = yield server.lost
        self.assertTrue(reason.check(ConnectionClosed, SSL.Error))
        self.assertFalse(reason.check(ConnectionDone))


class SOCKSTests(StartTLSTests):
    """
    The same through a SOCKS5 proxy.
    """

    def endpoint(self) -> Generator[Deferred[Any], Any, IStreamClientEndpoint]:
        """
        Give the way to the server.
        """
        yield self.start()
        return self.through(self.proxy)

    def through(self, proxy: IStreamClientEndpoint, **settings: Any) -> IStreamClientEndpoint:
        """
        Give the way that leads through a proxy.
        """
        return SOCKS5ClientEndpoint(reactor, proxy, "localhost", self.serverPort, **settings)


class ChainTests(SOCKSTests):
    """
    The same through two of them.
    """

    def endpoint(self) -> Generator[Deferred[Any], Any, IStreamClientEndpoint]:
        """
        Give the way to the server.
        """
        yield self.start()
        first = self.proxy
        port = yield self.start()
        return self.through(SOCKS5ClientEndpoint(reactor, first, "127.0.0.1", port))


class TLSProxyTests(SOCKSTests):
    """
    The same through a proxy that is spoken to in TLS, so that there is TLS in
    TLS.
    """

    def endpoint(self) -> Generator[Deferred[Any], Any, IStreamClientEndpoint]:
        """
        Give the way to the server.
        """
        yield self.start(
            "ssl:0:interface=127.0.0.1"
            f":privateKey={self.issued.key}:certKey={self.issued.certificate}"
        )
        return self.through(wrapClientTLS(self.options(), self.proxy))


class ProtectedTests(SOCKSTests):
    """
    The same through a proxy whose method of authentication protects every
    octet.
    """

    def endpoint(self) -> Generator[Deferred[Any], Any, IStreamClientEndpoint]:
        """
        Give the way to the server.
        """
        yield from ()
        network: Any = reactor
        proxy = MemoryProxy(network=network, methods=[Veiled()])
        port = self.listen(proxy.factory)
        way = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        return self.through(way, methods=[Veiled()])

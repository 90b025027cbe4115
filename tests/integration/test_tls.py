"""
A relay to a target over TLS, and TLS through a proxy, on real sockets.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from queue import Queue
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.relay.leg import abort
from socksproxy.tls import PeerRejected, clientTLS, wrapTLSClient
from tests.certificates import Authority, Issued
from tests.files import temporaryFolder
from tests.targets import Target
from tests.tlspeer import serverContext

DATA = bytes(range(256)) * 4096
TIMEOUT = 20


def receiveAll(connection: socket.socket) -> bytes | type[OSError]:
    """
    Receive to the end of the stream.

    @return: What came, or the error that ended it.
    """
    data = bytearray()
    try:
        while more := connection.recv(65536):
            data += more
    except OSError as e:
        return type(e)
    return bytes(data)


class ThroughTLS(Factory):
    """
    Relays what comes in to a target over TLS.

    @ivar ended: Fires when a relay is over.
    """

    noisy = False

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint
        self.ended: Deferred[RelayResult] = Deferred()

    def buildProtocol(self, addr: object) -> Leg:
        """
        See C{IProtocolFactory}.
        """
        client = Leg()
        legs = Factory.forProtocol(Leg)
        legs.noisy = False

        def connected(target: Leg) -> None:
            relay: Any = Relay(reactor, client, target, RelayTimers(), self.ended.callback)
            relay.start()

        def failed(failure: Failure) -> None:
            abort(client.transport)
            self.ended.errback(failure)

        connecting: Deferred[Any] = self._endpoint.connect(legs)
        connecting.addCallbacks(connected, failed)
        return client


class RelayTests(TestCase):
    """
    A client in the clear, a target over TLS, and our relay in between.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Make certificates.
        """
        folder = temporaryFolder(self)
        self.authority = Authority(folder)
        self.issued: Issued = self.authority.issue("127.0.0.1")
        self.context = serverContext(self.issued)

    def target(self, serve: Callable[[ssl.SSLSocket], None]) -> Target:
        """
        Start a server of TLS.
        """

        def serveTLS(connection: socket.socket) -> None:
            connection.settimeout(TIMEOUT)
            with self.context.wrap_socket(connection, server_side=True) as tls:
                serve(tls)

        target = Target(serveTLS)
        target.__enter__()
        self.addCleanup(target.__exit__, None, None, None)
        return target

    def relay(self, target: Target, ca: str | None = None) -> tuple[ThroughTLS, int]:
        """
        Start a relay.

        @return: It and its port.
        """
        below = TCP4ClientEndpoint(reactor, target.host, target.port)
        creator = clientTLS("127.0.0.1", ca=ca or self.authority.path)
        factory = ThroughTLS(wrapTLSClient(reactor, below, creator))  # type: ignore[arg-type]
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return factory, port.getHost().port

    async def conversation(
        self, serve: Callable[[ssl.SSLSocket], None], talk: Callable[[socket.socket], Any]
    ) -> Any:
        """
        Have a client talk to a target.

        @param talk: What the client does, in a thread.
        @return: What the client has found out.
        """

        def client() -> Any:
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
                return talk(connection)

        factory, port = self.relay(self.target(serve))
        found = await deferToThread(client)
        await factory.ended
        return found

    async def test_targetCloses(self) -> None:
        """
        After a C{close_notify} of the target's the client sees the end of the
        stream.
        """

        def serve(tls: ssl.SSLSocket) -> None:
            tls.sendall(DATA)
            tls.unwrap()

        self.assertEqual(await self.conversation(serve, receiveAll), DATA)

    async def test_targetVanishes(self) -> None:
        """
        Without one it sees a reset.
        """

        def serve(tls: ssl.SSLSocket) -> None:
            tls.sendall(b"the en")
            tls.recv(1)
            # Python leaves TLS out of that.
            tls.shutdown(socket.SHUT_RDWR)

        def talk(connection: socket.socket) -> object:
            connection.recv(6)
            connection.sendall(b".")
            return receiveAll(connection)

        self.assertIs(await self.conversation(serve, talk), ConnectionResetError)

    async def test_clientCloses(self) -> None:
        """
        When the client ends its stream, the target gets everything and a
        C{close_notify}; what it still answers gets back.
        """
        got: Queue[object] = Queue()

        def serve(tls: ssl.SSLSocket) -> None:
            data = bytearray()
            # It raises an error at an end without a close_notify.
            tls.suppress_ragged_eofs = False
            while more := tls.recv(65536):
                data += more
            got.put(bytes(data))
            tls.sendall(b"answer")
            tls.unwrap()

        def talk(connection: socket.socket) -> object:
            connection.sendall(DATA)
            connection.shutdown(socket.SHUT_WR)
            return receiveAll(connection)

        self.assertEqual(await self.conversation(serve, talk), b"answer")
        self.assertEqual(got.get(timeout=TIMEOUT), DATA)

    async def test_clientResets(self) -> None:
        """
        When the client resets, the target gets no C{close_notify}.
        """
        got: Queue[object] = Queue()

        def serve(tls: ssl.SSLSocket) -> None:
            tls.suppress_ragged_eofs = False
            try:
                while tls.recv(65536):
                    pass
            except OSError as e:
                got.put(type(e))
            else:
                got.put("a clean end")

        def talk(connection: socket.socket) -> None:
            connection.sendall(b"the en")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *bytes(7)]))

        await self.conversation(serve, talk)
        self.assertIn(got.get(timeout=TIMEOUT), (ConnectionResetError, ssl.SSLEOFError))

    async def test_targetClosesWithoutReading(self) -> None:
        """
        A target that says goodbye while the relay waits for it to read is
        disconnected, although the client has more for it.
        """

        stuck = Event()

        def serve(tls: ssl.SSLSocket) -> None:
            stuck.wait(TIMEOUT)
            with socket.socket(fileno=os.dup(tls.fileno())) as below:
                below.settimeout(TIMEOUT)
                try:
                    tls.unwrap()
                except ssl.SSLError:
                    # It wants the answer to be the next that comes.
                    pass
                while below.recv(65536):
                    pass

        def talk(connection: socket.socket) -> str:
            connection.settimeout(0.3)
            while not stuck.is_set():
                try:
                    connection.send(DATA)
                except TimeoutError:
                    stuck.set()
            connection.settimeout(TIMEOUT)
            try:
                while connection.send(DATA):
                    pass
            except ConnectionError:
                return "disconnected"
            return "never"

        self.assertEqual(await self.conversation(serve, talk), "disconnected")

    async def test_rejected(self) -> None:
        """
        A target that is not who it should be gets nothing.
        """
        got: Queue[object] = Queue()
        other = Authority(temporaryFolder(self), "other")

        def serve(connection: socket.socket) -> None:
            try:
                with self.context.wrap_socket(connection, server_side=True) as tls:
                    got.put(tls.recv(1))
            except OSError as e:
                got.put(e)

        target = Target(serve)
        target.__enter__()
        self.addCleanup(target.__exit__, None, None, None)
        factory, port = self.relay(target, other.path)
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(b"secret")
            await self.assertFailure(factory.ended, PeerRejected)
        answer: object = await deferToThread(partial(got.get, timeout=TIMEOUT))
        self.assertIsInstance(answer, OSError)

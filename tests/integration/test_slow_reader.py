"""
A relay and the kernel's buffers: who reads slowly is not one who does not read.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers

SEND_BUFFER = 1048576
RECEIVE_BUFFER = 8192
SEGMENT = 1400
"""
As outside this host: the peer's kernel tells ours at once what has been read.
Over loopback one segment is as large as the whole buffer, and what a reader
takes is not told before it has taken that much.
"""


def certificate() -> PrivateCertificate:
    """
    Make a certificate that is its own authority.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return PrivateCertificate.loadPEM(secret + signed.public_bytes(serialization.Encoding.PEM))


class Legs(Factory):
    """
    Makes legs.

    @ivar connected: Those that there are.
    """

    noisy = False

    def __init__(self) -> None:
        self.connected: list[Leg] = []

    def buildProtocol(self, addr: object) -> Leg:
        """
        See C{IProtocolFactory}.
        """
        leg = Leg()
        self.connected.append(leg)
        return leg


class SlowReaderTests(TestCase):
    """
    The time that a reader has, on a virtual clock, over real sockets.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Listen for the two sides of a relay.
        """
        self.legs = Legs()
        self.port: Any = reactor.listenTCP(0, self.legs, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.tlsPort: Any = reactor.listenSSL(
            0, self.legs, certificate().options(), interface="127.0.0.1"
        )
        self.addCleanup(self.tlsPort.stopListening)
        self.clock = Clock()
        self.results: list[RelayResult] = []

    def turn(self) -> Deferred[None]:
        """
        Let the reactor do what is to be done.
        """
        return deferLater(reactor, 0)

    def connect(self, port: Any) -> socket.socket:
        """
        Connect to a port, with little room for what comes in.
        """
        peer = socket.socket()
        self.addCleanup(peer.close)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        peer.connect(("127.0.0.1", port.getHost().port))
        peer.setblocking(False)
        return peer

    @inlineCallbacks
    def join(self) -> Generator[Deferred[Any], Any, tuple[socket.socket, socket.socket]]:
        """
        Relay between two connections.

        @return: The client's and the target's end.
        """
        ends = []
        for count in (1, 2):
            ends.append(self.connect(self.port))
            yield self.connected(count)
        client, target = self.legs.connected
        kernel = target.transport.getHandle()
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.start(client, target)
        return ends[0], ends[1]

    @inlineCallbacks
    def joinTLS(self) -> Generator[Deferred[Any], Any, tuple[socket.socket, ssl.SSLSocket]]:
        """
        Relay between a connection and one over TLS.

        @return: The client's and the target's end.
        """
        clientEnd = self.connect(self.port)
        yield self.connected(1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        targetEnd = context.wrap_socket(self.connect(self.tlsPort), do_handshake_on_connect=False)
        self.addCleanup(targetEnd.close)
        yield self.connected(2)
        client, target = self.legs.connected
        kernel = target.transport.transport.getHandle()  # type: ignore[attr-defined]
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.start(client, target)
        yield self.patiently(targetEnd.do_handshake)
        return clientEnd, targetEnd

    @inlineCallbacks
    def connected(self, count: int) -> Generator[Deferred[Any], Any, None]:
        """
        Wait until there are so many legs.
        """
        while len(self.legs.connected) < count:
            yield self.turn()

    @inlineCallbacks
    def patiently(
        self, function: Callable[..., Any], *arguments: object
    ) -> Generator[Deferred[Any], Any, Any]:
        """
        Call a function of a socket until it does not have to wait.
        """
        while True:
            try:
                return function(*arguments)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                yield self.turn()

    def start(self, client: Leg, target: Leg) -> None:
        """
        Start a relay.
        """
        relay = Relay(self.clock, client, target, RelayTimers(), self.results.append)
        relay.start()
        self.addCleanup(self.finish, relay)

    @inlineCallbacks
    def finish(self, relay: Relay) -> Generator[Deferred[Any], Any, None]:
        """
        Wait until nothing is left.
        """
        relay.abort("the test is over")
        while not self.results:
            yield self.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @inlineCallbacks
    def fill(self, client: socket.socket) -> Generator[Deferred[Any], Any, None]:
        """
        Send until there is no room anywhere, and the relay does not read.
        """
        full = 0
        while full < 50 or self.legs.connected[0].transport in reactor.getReaders():
            try:
                client.send(b"x" * 65536)
                full = 0
            except BlockingIOError:
                full += 1
            yield self.turn()

    @inlineCallbacks
    def take(self, target: socket.socket) -> Generator[Deferred[Any], Any, None]:
        """
        Read two kilobytes.
        """
        taken = 0
        while taken < 2048:
            taken += len((yield self.patiently(target.recv, 2048 - taken)))

    @inlineCallbacks
    def test_slowReaderKeepsItsConnection(self) -> Generator[Deferred[Any], Any, None]:
        """
        A target that takes two kilobytes every few seconds is not reset,
        although it takes minutes until the kernel lets us write again.
        """
        client, target = yield self.join()
        yield self.fill(client)
        for _ in range(60):
            yield self.take(target)
            self.clock.advance(5)
            yield self.turn()
            self.assertEqual(self.results, [])

    @inlineCallbacks
    def test_slowReaderOverTLS(self) -> Generator[Deferred[Any], Any, None]:
        """
        Nor is one that reads as slowly over TLS.
        """
        client, target = yield self.joinTLS()
        yield self.fill(client)
        for _ in range(60):
            yield self.take(target)
            yield self.take(target)
            self.clock.advance(5)
            yield self.turn()
            self.assertEqual(self.results, [])

    @inlineCallbacks
    def test_noReaderLosesItsConnection(self) -> Generator[Deferred[Any], Any, None]:
        """
        A target that takes nothing is reset.
        """
        client, _ = yield self.join()
        yield self.fill(client)
        # The kernel may take a little more of it yet, and then time begins anew.
        while not self.results:
            yield self.turn()
            self.clock.advance(5)
        self.assertEqual(self.results[0].reason, "target does not read")

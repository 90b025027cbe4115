"""
What the tests of KCP over a network have in common: a server and clients on a
simulated network, and strangers who send it what they like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.logger import LogEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp import (
    KCPClientEndpoint,
    KCPConfig,
    KCPListeningPort,
    KCPServerEndpoint,
    KCPTransport,
    SessionTimers,
)
from socksproxy.kcp.crypt import PacketCipher, cipherFor, deriveKey
from socksproxy.kcp.endpoints import CLIENT_TIMERS
from socksproxy.kcp.fec import FECEncoder
from socksproxy.testing import DatagramNetwork
from tests.logs import texts

HOST, PORT = "10.0.0.1", 29900
"""
Where the server is.
"""

CLIENT = "10.0.0.2"

OPENING = b"!" * 100
"""
What clients write first. It earns them some credit with the server.
"""

KEY = "a secret that is found in no text"

PLAIN = KCPConfig.forMode("fast3", datashard=0)
"""
Settings without forward error correction.
"""

REDUNDANT = KCPConfig.forMode("fast3")

NEVER = SessionTimers(dead=None, idle=None, linger=None)


class Recorder(Protocol):
    """
    An application that remembers what it was told.

    @ivar received: What it was given.
    @ivar reasons: Why its connection was lost, once if all is well.
    @ivar told: The names of what it was told, in order.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = bytearray()
        self.reasons: list[Failure] = []
        self.told: list[str] = []

    @property
    def lost(self) -> bool:
        """
        It knows that its connection is gone.
        """
        return bool(self.reasons)

    @property
    def reason(self) -> Exception:
        """
        Why its connection was lost.
        """
        (failure,) = self.reasons
        error: Exception = failure.value
        return error

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        self.told.append("made")

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        self.told.append("data")
        self.received += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        See C{IProtocol}.
        """
        self.told.append("lost")
        self.reasons.append(reason)


class Echo(Recorder):
    """
    An application that sends back what it gets.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        super().dataReceived(data)
        self.transport.write(data)


class Counting(Factory):
    """
    A factory that remembers what it has made.

    @ivar made: Its protocols.
    @ivar started: How often it has been started.
    @ivar stopped: How often it has been stopped.
    """

    noisy = False

    def __init__(self, build: Callable[[], IProtocol | None] = Recorder) -> None:
        self.build = build
        self.made: list[Any] = []
        self.started = self.stopped = 0

    def startFactory(self) -> None:
        """
        See C{Factory}.
        """
        self.started += 1

    def stopFactory(self) -> None:
        """
        See C{Factory}.
        """
        self.stopped += 1

    def buildProtocol(self, addr: object) -> Any:
        """
        See C{IProtocolFactory}.
        """
        protocol = self.build()
        if protocol is not None:
            self.made.append(protocol)
        return protocol


class Stranger(DatagramProtocol):
    """
    A socket that speaks no KCP of its own.

    @ivar answers: What has come, as it came.
    """

    noisy = False
    transport: Any

    def __init__(self, cipher: PacketCipher) -> None:
        self._cipher = cipher
        self.answers: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        See C{DatagramProtocol}.
        """
        self.answers.append(datagram)

    def send(self, *datagrams: bytes) -> int:
        """
        Send datagrams as they are.

        @return: Octets that they have.
        """
        for datagram in datagrams:
            self.transport.write(datagram, (HOST, PORT))
        return sum(map(len, datagrams))

    def say(self, *payloads: bytes) -> int:
        """
        Send payloads under the right key.

        @return: Octets of the datagrams.
        """
        return self.send(*self._cipher.seal(list(payloads)))

    @property
    def heard(self) -> list[bytes]:
        """
        The payloads that have come.
        """
        opened = self._cipher.open(self.answers)
        return [payload for payload in opened if payload is not None]


class KCPNetworkTests(SynchronousTestCase):
    """
    Tests with a network, on which there is a server.

    @ivar network: The network.
    @ivar factory: What makes the server's applications.
    @ivar listening: The server's port.
    @ivar server: What has the server's sessions.
    """

    network: DatagramNetwork
    factory: Counting
    listening: KCPListeningPort

    def start(
        self,
        build: Callable[[], IProtocol | None] = Recorder,
        *,
        crypt: str = "null",
        config: KCPConfig = PLAIN,
        timers: SessionTimers = NEVER,
        interface: str = HOST,
        **network: Any,
    ) -> None:
        """
        Make the network and the server.

        @param build: Makes its applications.
        @param interface: Where it listens.
        @param network: What the network is like.
        """
        self.network = DatagramNetwork(**network)
        self.crypt = crypt
        self.config = config
        self.factory = Counting(build)
        endpoint = KCPServerEndpoint(
            self.network,
            PORT,
            KEY,
            crypt=crypt,
            config=config,
            timers=timers,
            interface=interface,
        )
        self.listening = self.successResultOf(endpoint.listen(self.factory))
        self.server = self.listening.protocol

    def endpoint(
        self,
        *,
        config: KCPConfig | None = None,
        timers: SessionTimers = CLIENT_TIMERS,
        **settings: Any,
    ) -> KCPClientEndpoint:
        """
        Make a client's endpoint.
        """
        settings.setdefault("crypt", self.crypt)
        settings.setdefault("key", KEY)
        settings.setdefault("interface", CLIENT)
        return KCPClientEndpoint(
            self.network, HOST, PORT, config=config or self.config, timers=timers, **settings
        )

    def connect(self, build: Callable[[], IProtocol | None] = Recorder, **settings: Any) -> Any:
        """
        Connect a client.

        @return: Its application.
        """
        connecting: Deferred[Any] = self.endpoint(**settings).connect(Counting(build))
        return self.successResultOf(connecting)

    def joined(self, build: Callable[[], IProtocol | None] = Recorder, **settings: Any) -> Any:
        """
        Connect a client, and have the server know it.

        @return: Both applications.
        """
        before = len(self.factory.made)
        client = self.connect(build, **settings)
        client.transport.write(OPENING)
        self.network.advanceUntil(lambda: len(self.factory.made) > before, limit=5)
        server = self.factory.made[-1]
        self.network.advanceUntil(lambda: client.transport.pipeline.control.proven, limit=5)
        server.received.clear()
        return client, server

    def stranger(self, host: str = "10.0.0.9", port: int = 0, crypt: str | None = None) -> Stranger:
        """
        Open a socket for a stranger who has the key.
        """
        stranger = Stranger(cipherFor(crypt or self.crypt, deriveKey(KEY)))
        self.network.listenUDP(port, stranger, host)
        return stranger

    def settle(self, seconds: float = 1.0) -> None:
        """
        Let time pass.
        """
        self.network.advance(seconds)

    def onWire(self, transport: KCPTransport) -> Any:
        """
        Give the socket of a client.
        """
        owner: Any = transport._owner
        return owner.transport.transport


def shards(
    payloads: Iterable[bytes], data: int = 10, parity: int = 3, before: int = 0
) -> list[bytes]:
    """
    Put payloads into shards of one group.

    @param before: Groups that the same encoder has made before.
    """
    encoder = FECEncoder(data, parity)
    for _ in range(before):
        encoder.encode([b"\0" * 24] * data, 0)
    return encoder.encode(list(payloads), 0)


def complaints(events: list[LogEvent]) -> list[str]:
    """
    Give the lines about datagrams that were not taken.
    """
    return [line for line in texts(events) if " datagrams from " in line]


def pattern(size: int, seed: int = 1) -> bytes:
    """
    Make octets in which nothing repeats soon.
    """
    step = 2 * seed + 1
    block = b"".join(((k * step) & 0xFFFFFF).to_bytes(3, "big") for k in range(size // 3 + 1))
    return block[:size]

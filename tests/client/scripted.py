"""
Clients of a proxy that the test plays itself, octet by octet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.client.endpoint import ProxiedClientEndpoint
from socksproxy.http.endpoints import HTTPConnectClientEndpoint
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.logs import atLevel, captured
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    NO_AUTHENTICATION,
    REFUSED4,
    refused,
    request,
    request4,
)
from tests.socksrequests import granted, granted4
from tests.test_testing import HalfCloseable, Recorder

PROXY = "198.51.100.1"
HOST, PORT = "target.test", 25
BOUND = ("192.0.2.200", 50000)

EARLY = b"220 target.test\r\n"
"""
What a target says first.
"""


@dataclass(frozen=True)
class Dialect:
    """
    A conversation with a kind of proxy about a target.

    @ivar name: The kind.
    @ivar endpoint: Makes an endpoint of a reactor, the way to the proxy, a
        host and a port.
    @ivar messages: What the client says, in turn.
    @ivar answers: What the proxy says to each of them.
    @ivar refusal: What it says in place of the last answer to refuse.
    """

    name: str
    endpoint: Callable[..., ProxiedClientEndpoint]
    messages: Sequence[bytes]
    answers: Sequence[bytes]
    refusal: bytes


def socks5(host: str = HOST, port: int = PORT) -> Dialect:
    """
    Speak SOCKS5 without authentication.
    """
    return Dialect(
        "SOCKS5",
        SOCKS5ClientEndpoint,
        (NO_AUTHENTICATION, request(host, port)),
        (b"\5\0", granted(*BOUND)),
        refused(5),
    )


def socks4(host: str = HOST, port: int = PORT) -> Dialect:
    """
    Speak SOCKS4 or SOCKS4a.
    """
    return Dialect(
        "SOCKS4",
        SOCKS4ClientEndpoint,
        (request4(host, port),),
        (granted4(*BOUND),),
        REFUSED4,
    )


def http(host: str = HOST, port: int = PORT) -> Dialect:
    """
    Speak HTTP.
    """
    where = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
    return Dialect(
        "HTTP CONNECT",
        HTTPConnectClientEndpoint,
        (b"CONNECT " + where + b" HTTP/1.1\r\nHost: " + where + b"\r\n\r\n",),
        (b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n",),
        b"HTTP/1.1 502 Bad gateway\r\n\r\n",
    )


SOCKS5 = socks5()
SOCKS4A = socks4()
CONNECT = http()
SOCKS5_PASSWORD = Dialect(
    "SOCKS5 with a password",
    partial(SOCKS5ClientEndpoint, username="alice", password="s3cret"),
    (b"\5\2\2\0", ALICE, request(HOST, PORT)),
    (b"\5\2", ACCEPTED, granted(*BOUND)),
    refused(5),
)


class Plain(Recorder):
    """
    An application's protocol that knows no half-closed connections. It
    remembers C{"made"}, too.
    """

    def connectionMade(self) -> None:
        """
        Remember it.
        """
        self.events.append("made")


class Application(HalfCloseable, Plain):
    """
    An application's protocol that does know them.
    """

    def writeConnectionLost(self) -> None:
        """
        Remember that our own end has been carried out.
        """
        self.events.append("written")


class ClientTestCase(SynchronousTestCase):
    """
    Tests with clients of a proxy at L{PROXY}. When one ends, nothing is left of
    what it has opened, and nothing has gone wrong unseen.

    @ivar network: The way to the proxy, and the clock.
    """

    def setUp(self) -> None:
        """
        Have a network.
        """
        self.events = self.enterContext(captured())
        self.start()

    def tearDown(self) -> None:
        """
        Have the proxy go.
        """
        self.finish()
        self.assertEqual(atLevel(self.events, LogLevel.critical), [])

    def start(self) -> None:
        """
        Have another network.
        """
        self.network = ScriptedNetwork({f"{PROXY}:1080": "accept"})

    def finish(self) -> None:
        """
        Close what is open, and require that nothing is left then.
        """
        for transport in self.transports:
            transport.peerResets()
        self.assertGone()

    @property
    def transports(self) -> list[MemoryTransport]:
        """
        Give all connections there have been.
        """
        return [
            attempt.transport for attempt in self.network.attempts if attempt.transport is not None
        ]

    def proxy(self) -> IStreamClientEndpoint:
        """
        Give the way to the proxy.
        """
        return TCP4ClientEndpoint(self.network, PROXY, 1080)

    def peer(self) -> MemoryTransport:
        """
        Give the connection to the proxy, to play the proxy on.
        """
        self.network.advance(0)
        return self.transports[-1]

    def play(self, dialect: Dialect, steps: int | None = None) -> MemoryTransport:
        """
        Take a client through the first steps of a conversation, or all.

        @return: The connection, on which the client has said what comes next.
        """
        peer = self.peer()
        last = len(dialect.answers) if steps is None else steps
        for message, answer in zip(dialect.messages[:last], dialect.answers[:last], strict=True):
            self.assertEqual(peer.take(), message)
            peer.peerSends(answer)
        if last < len(dialect.messages):
            self.assertEqual(peer.take(), dialect.messages[last])
        return peer

    def assertGone(self) -> None:
        """
        Fail if anything is still open, or will still happen.
        """
        self.network.advance(0)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual([t for t in self.transports if not t.lost], [])
        self.assertEqual([d for d in self.network.datagrams if d.open], [])


class Connecting(Factory):
    """
    A connection attempt, and the application behind it.

    @ivar application: The application's protocol, once there is one.
    @ivar result: What C{connect} has given.
    @ivar fired: How often that has fired.
    """

    noisy = False

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        protocol: Callable[[], Recorder] = Application,
    ) -> None:
        """
        @param endpoint: What to connect.
        @param protocol: Makes the application's protocol.
        """
        self._protocol = protocol
        self.application: Recorder | None = None
        self.fired = 0
        self.result: Deferred[IProtocol] = endpoint.connect(self)
        self.result.addBoth(self._count)

    @property
    def told(self) -> list[object]:
        """
        Give what the application has been told, with C{"connected"} for
        what the one who connects has been.
        """
        return [] if self.application is None else self.application.events

    @property
    def received(self) -> bytes:
        """
        Give all that the application has received, however it was cut.
        """
        return b"".join(data for data in self.told if isinstance(data, bytes))

    def buildProtocol(self, addr: object) -> Recorder:
        """
        See C{IProtocolFactory}.
        """
        self.application = self._protocol()
        return self.application

    def _count(self, result: object) -> object:
        self.fired += 1
        if self.application is not None:
            self.application.events.append("connected")
        return result

"""
Tests for L{socksproxy.shadowsocks.endpoints}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from socksproxy.client.endpoint import TIMEOUT
from socksproxy.client.errors import ProxyTimedOut, ProxyUnreachable
from socksproxy.errors import LocalProtocolError
from socksproxy.shadowsocks._events import Requested
from socksproxy.shadowsocks.endpoints import (
    FIRST_WORDS,
    SUSPICIOUS,
    ShadowsocksClientEndpoint,
    ShadowsocksPeer,
)
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.client.scripted import PROXY, ClientTestCase, Connecting
from tests.logs import atLevel
from tests.shadowsocks.streams import NOW, TARGET, fresh, serverOf

CLASSIC = "aes-256-gcm"
NEW = "2022-blake3-aes-128-gcm"
METHODS = (CLASSIC, NEW)
NAME = "ss://***@198.51.100.1:1080"


class EndpointTests(ClientTestCase):
    """
    A client of a server that the test plays.
    """

    def connect(self, method: str = NEW, peer: ShadowsocksPeer | None = None) -> MemoryTransport:
        """
        Connect to the server.

        @return: The connection, seen from there.
        """
        account = fresh(method)
        self.server: Any = serverOf(account)
        if peer is None:
            peer = ShadowsocksPeer(account, NAME, lambda: float(NOW))
        self.endpoint = ShadowsocksClientEndpoint(
            self.network, self.proxy(), peer, TARGET.host, TARGET.port
        )
        self.connecting = Connecting(self.endpoint)
        return self.peer()

    def say(self, data: bytes) -> None:
        """
        Have the application say something.
        """
        application = self.connecting.application
        assert application is not None and application.transport is not None
        application.transport.write(data)

    @property
    def application(self) -> Any:
        """
        The application's transport.
        """
        assert self.connecting.application is not None
        return self.connecting.application.transport

    @property
    def warnings(self) -> list[str]:
        """
        Give what the log warns of.
        """
        return atLevel(self.events, LogLevel.warn)

    def assertRequested(self, octets: bytes, payload: bytes) -> None:
        """
        Check what the server has been told.
        """
        requested, *rest = self.server.feed(octets)
        self.assertIsInstance(requested, Requested)
        self.assertEqual(requested.destination, TARGET)
        self.assertEqual(requested.firstPayload + b"".join(e.data for e in rest), payload)

    def test_interface(self) -> None:
        """
        It is an endpoint, and what is no host is refused.
        """
        self.connect()
        self.assertTrue(verifyObject(IStreamClientEndpoint, self.endpoint))
        peer = ShadowsocksPeer(fresh(NEW), NAME)
        with self.assertRaises(LocalProtocolError):
            ShadowsocksClientEndpoint(self.network, self.proxy(), peer, "", 1)

    def test_firstWords(self) -> None:
        """
        The request leaves with the first octets of the application, in one
        write; and not again.
        """
        writes: list[bytes] = []
        write = MemoryTransport.write

        def written(transport: MemoryTransport, data: bytes) -> None:
            writes.append(data)
            write(transport, data)

        self.patch(MemoryTransport, "write", written)
        for method in METHODS:
            with self.subTest(method):
                peer = self.connect(method)
                self.assertEqual(peer.take(), b"")
                writes.clear()
                self.say(b"question")
                self.assertEqual(len(writes), 1)
                self.assertRequested(peer.take(), b"question")
                self.network.advance(FIRST_WORDS)
                self.assertEqual(peer.take(), b"")
                self.say(b"another")
                (event,) = self.server.feed(peer.take())
                self.assertEqual(event.data, b"another")

    def test_alone(self) -> None:
        """
        Where the application says nothing the request leaves a moment later,
        and what it says after that follows.
        """
        for method in METHODS:
            with self.subTest(method):
                peer = self.connect(method)
                self.network.advance(0.0499)
                self.assertEqual(peer.take(), b"")
                self.network.advance(0.0001)
                self.assertRequested(peer.take(), b"")
                self.say(b"at last")
                (event,) = self.server.feed(peer.take())
                self.assertEqual(event.data, b"at last")

    def test_nothing(self) -> None:
        """
        Writing nothing is no first word.
        """
        peer = self.connect()
        self.say(b"")
        self.assertEqual(peer.take(), b"")
        self.network.advance(FIRST_WORDS)
        self.assertRequested(peer.take(), b"")

    def test_halfClose(self) -> None:
        """
        The request leaves before our end of the stream, with which nothing is
        waited for.
        """
        peer = self.connect()
        self.application.loseWriteConnection()
        self.assertTrue(peer.ended)
        self.assertRequested(peer.take(), b"")
        peer.peerSends(self.server.seal(b"answer"))
        self.assertEqual(self.connecting.received, b"answer")

    def test_givenUp(self) -> None:
        """
        Nothing is said after the application has closed or dropped the
        connection, or the server has.
        """
        shared = ShadowsocksPeer(fresh(NEW), NAME, lambda: float(NOW))
        for way in ("loseConnection", "abortConnection", *["peerResets"] * SUSPICIOUS):
            with self.subTest(way):
                peer = self.connect(NEW, shared)
                getattr(peer if way == "peerResets" else self.application, way)()
                # Be the connection lost at once, or after what is queued has gone.
                now = self.network.seconds()
                self.assertTrue(
                    all(call.getTime() <= now for call in self.network.getDelayedCalls())
                )
                self.assertGone()
                self.network.advance(FIRST_WORDS)
                self.assertEqual(peer.take(), b"")
        self.assertEqual(self.warnings, [])

    def test_answer(self) -> None:
        """
        What the server sends arrives, and its end.
        """
        for method in METHODS:
            with self.subTest(method):
                peer = self.connect(method)
                self.network.advance(FIRST_WORDS)
                self.server.feed(peer.take())
                peer.peerSends(self.server.seal(b"220 ready"))
                peer.peerEnds()
                self.assertEqual(self.connecting.told[-2:], [b"220 ready", "end"])

    def test_truncated(self) -> None:
        """
        An end inside a record is no end of the stream, but a failure.
        """
        for method in METHODS:
            with self.subTest(method):
                peer = self.connect(method)
                self.say(b"question")
                self.server.feed(peer.take())
                peer.peerSends(self.server.seal(b"all"))
                peer.peerSends(self.server.seal(b"and more")[:-1])
                peer.peerEnds()
                self.network.advance(0)
                self.assertNotIn("end", self.connecting.told)
                self.assertIn(b"all", self.connecting.told)
                self.assertIsInstance(self.connecting.told[-1], type)
                self.assertIsNot(self.connecting.told[-1], ConnectionDone)
                self.assertTrue(peer.aborted)

    def test_noise(self) -> None:
        """
        What the server has not sealed drops the connection; the log says so,
        and nothing of it.
        """
        peer = self.connect()
        self.say(b"question")
        peer.take()
        peer.peerSends(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(200))
        self.network.advance(0)
        self.assertTrue(peer.aborted)
        self.assertEqual(self.connecting.received, b"")
        (line,) = self.warnings
        self.assertTrue(line.startswith(f"{NAME} is not understood: "), line)
        self.assertNotIn("HTTP", line)

    def test_skew(self) -> None:
        """
        The log names the difference of the clocks.
        """
        account = fresh(NEW)
        peer = self.connect(NEW, ShadowsocksPeer(account, NAME, lambda: float(NOW)))
        self.server = serverOf(account, wallClock=lambda: NOW + self.skew)
        self.skew = 0.0
        self.say(b"question")
        self.server.feed(peer.take())
        self.skew = 90.0
        peer.peerSends(self.server.seal(b"answer"))
        (line,) = self.warnings
        self.assertRegex(line, "90 s ahead")
        self.assertEqual(line.count("90"), 1)

    def test_suspicious(self) -> None:
        """
        A server that closes without a word, time and again, gets one line a
        minute; an answer in between is the beginning of another count.
        """
        shared = ShadowsocksPeer(fresh(NEW), NAME, lambda: float(NOW))

        def closes(answer: bool = False, reset: bool = False) -> None:
            peer = self.connect(NEW, shared)
            self.say(b"question")
            self.server.feed(peer.take())
            if answer:
                peer.peerSends(self.server.seal(b"answer"))
            if reset:
                peer.peerResets()
            else:
                peer.peerEnds()
                peer.peerResets()

        for _ in range(SUSPICIOUS - 1):
            closes()
        closes(answer=True)
        for _ in range(SUSPICIOUS - 1):
            closes(reset=True)
        self.assertEqual(self.warnings, [])
        closes()
        (line,) = self.warnings
        self.assertIn("the password, the method and the clock", line)
        for _ in range(SUSPICIOUS):
            closes()
        self.assertEqual(len(self.warnings), 1)
        self.network.advance(60)
        closes()
        self.assertEqual(len(self.warnings), 2)

    def test_unreachable(self) -> None:
        """
        A server that is not there, or takes too long, is the proxy's fault.
        """
        for outcome, expected in (("ECONNREFUSED", ProxyUnreachable), ("hang", ProxyTimedOut)):
            with self.subTest(outcome):
                self.network = ScriptedNetwork({f"{PROXY}:1080": "timeout"})
                if outcome != "hang":
                    self.network.world.clear()
                shared = ShadowsocksPeer(fresh(NEW), NAME)
                server = TCP4ClientEndpoint(self.network, PROXY, 1080, timeout=2 * TIMEOUT)
                endpoint = ShadowsocksClientEndpoint(self.network, server, shared, "x.test", 1)
                connecting = Connecting(endpoint)
                self.network.advance(0)
                if outcome == "hang":
                    self.network.advance(TIMEOUT)
                self.failureResultOf(connecting.result, expected)
                self.assertEqual(connecting.numPorts, 0)
                self.assertGone()

    def test_cancelled(self) -> None:
        """
        Who gives up while it is connecting leaves nothing behind.
        """
        shared = ShadowsocksPeer(fresh(NEW), NAME)
        endpoint = ShadowsocksClientEndpoint(self.network, self.proxy(), shared, "x.test", 1)
        connecting = Connecting(endpoint)
        connecting.result.cancel()
        failure = self.failureResultOf(connecting.result)
        self.assertTrue(failure.check(CancelledError, ConnectingCancelledError), failure)
        self.assertEqual(self.network.cancelled, 1)
        self.assertGone()

    def test_lost(self) -> None:
        """
        The application learns why the connection was lost.
        """
        peer = self.connect()
        self.say(b"question")
        peer.peerResets()
        self.assertIs(self.connecting.told[-1], ConnectionLost)

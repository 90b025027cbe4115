"""
Tests for L{socksproxy.socks.eager}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface.verify import verifyObject

from socksproxy.client.errors import ProxyTimedOut, ProxyUnreachable
from socksproxy.errors import LocalProtocolError, TruncatedStream
from socksproxy.socks.eager import EagerSOCKS5ClientEndpoint
from socksproxy.testing import MemoryTransport
from tests.client.scripted import (
    BOUND,
    EARLY,
    HOST,
    PORT,
    PROXY,
    Application,
    ClientTestCase,
    Connecting,
    Plain,
)
from tests.codec import splitsOf
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    NO_AUTHENTICATION,
    REJECTED,
    WITH_PASSWORD,
    refused,
    request,
)
from tests.socksrequests import granted
from tests.test_testing_producers import Source

SECRET = "Tr0ub4dor"

SAID = NO_AUTHENTICATION + request(HOST, PORT)
ANSWERED = b"\5\0" + granted(*BOUND)

REQUESTED = b"GET / HTTP/1.1\r\n\r\n"
"""
What an application says first.
"""


class Talking(Application):
    """
    An application that speaks first.
    """

    def connectionMade(self) -> None:
        """
        Speak.
        """
        super().connectionMade()
        assert self.transport is not None
        self.transport.write(REQUESTED)


class EagerTestCase(ClientTestCase):
    """
    Tests with connections whose proxy is not waited for.
    """

    def endpoint(self, *login: Any, host: str = HOST, **settings: Any) -> EagerSOCKS5ClientEndpoint:
        """
        Make an endpoint.
        """
        return EagerSOCKS5ClientEndpoint(self.network, self.proxy(), host, PORT, *login, **settings)

    def connected(
        self, kind: type[Plain] = Application, *login: Any
    ) -> tuple[Connecting, MemoryTransport]:
        """
        Get a connection.
        """
        connecting = Connecting(self.endpoint(*login), kind)
        peer = self.peer()
        self.assertIs(self.successResultOf(connecting.result), connecting.application)
        return connecting, peer

    def assertBroken(self, connecting: Connecting, peer: MemoryTransport) -> None:
        """
        Fail unless a connection has ended, and not as one that the target has
        closed, and its application has been given nothing.
        """
        self.network.advance(0)
        self.assertTrue(peer.lost)
        self.assertEqual(connecting.told[:-1], ["made", "connected"])
        self.assertIn(
            connecting.told[-1],
            (twistedError.ConnectionAborted, twistedError.ConnectionLost, TruncatedStream),
        )
        self.assertGone()


class ConnectTests(EagerTestCase):
    """
    Connecting.
    """

    def test_interface(self) -> None:
        """
        It is an endpoint, which does nothing before it is told to.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint())
        self.network.advance(60)
        self.assertEqual(self.network.attempts, [])

    def test_atOnce(self) -> None:
        """
        Everything is said at once, the application's octets right behind, and
        it is connected before the proxy has said a word.
        """
        connecting, peer = self.connected(Talking)
        self.assertEqual(connecting.told, ["made", "connected"])
        self.assertEqual(peer.take(), SAID + REQUESTED)
        self.assertFalse(peer.paused)
        peer.peerSends(ANSWERED)
        self.assertEqual(connecting.told, ["made", "connected"])
        peer.peerSends(EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_login(self) -> None:
        """
        The login is part of that, and nothing but the login is offered.
        """
        connecting, peer = self.connected(Talking, "alice", "s3cret")
        self.assertEqual(peer.take(), WITH_PASSWORD + ALICE + request(HOST, PORT) + REQUESTED)
        peer.peerSends(b"\5\2" + ACCEPTED + granted(*BOUND) + EARLY)
        self.assertEqual(connecting.received, EARLY)

    def test_peer(self) -> None:
        """
        The transport's peer is the target.
        """
        for host, kind in (
            (HOST, HostnameAddress),
            ("192.0.2.1", IPv4Address),
            ("2001:db8::1", IPv6Address),
        ):
            connecting = Connecting(self.endpoint(host=host))
            peer = self.peer()
            self.assertEqual(peer.take(), NO_AUTHENTICATION + request(host, PORT))
            application = connecting.application
            assert application is not None
            assert application.transport is not None
            self.assertIsInstance(application.transport.getPeer(), kind)

    def test_everySplit(self) -> None:
        """
        The answers never reach the application, and all that is behind them
        does, however the stream is cut.
        """
        for pieces in splitsOf(ANSWERED + EARLY):
            connecting, peer = self.connected()
            for piece in pieces:
                peer.peerSends(piece)
            self.assertEqual(connecting.received, EARLY)
            peer.peerResets()

    def test_backPressure(self) -> None:
        """
        Producers are paused, and the application can pause the proxy, also
        before the answers have come.
        """
        connecting, peer = self.connected()
        application = connecting.application
        assert application is not None
        transport: Any = application.transport
        source = Source()
        transport.registerProducer(source, True)
        transport.write(bytes(100_000))
        self.assertEqual(source.told, ["pause"])
        self.assertEqual(peer.take(), SAID + bytes(100_000))
        self.assertEqual(source.told, ["pause", "resume"])
        transport.unregisterProducer()
        transport.pauseProducing()
        peer.peerSends(ANSWERED + EARLY)
        self.assertEqual(connecting.received, b"")
        transport.resumeProducing()
        self.assertEqual(connecting.received, EARLY)

    def test_wrongSettings(self) -> None:
        """
        What cannot be sent is refused before anything happens, and secrets are
        not repeated.
        """
        for login, host in (
            (("u" * 256, "p"), HOST),
            (("u", SECRET * 29), HOST),
            (("\ud800", "p"), HOST),
            (("u", f"{SECRET}\ud800"), HOST),
            ((), "127.1"),
            ((), ""),
        ):
            with self.assertRaises(LocalProtocolError) as caught:
                self.endpoint(*login, host=host)
            self.assertNotIn(SECRET, str(caught.exception))
        with self.assertRaises(LocalProtocolError):
            EagerSOCKS5ClientEndpoint(self.network, self.proxy(), HOST, 0)

    def test_secrets(self) -> None:
        """
        Nothing that shows the endpoint or its protocol shows the password.
        """
        endpoint = self.endpoint("alice", SECRET)
        self.assertNotIn(SECRET, repr(endpoint) + str(endpoint))
        connecting = Connecting(endpoint)
        peer = self.peer()
        self.assertIn(SECRET.encode(), peer.take())
        peer.peerSends(b"\5\2" + REJECTED)
        self.network.advance(0)
        self.assertEqual(connecting.told[-1], twistedError.ConnectionAborted)
        self.assertNotIn(SECRET, str(self.events))


class FailureTests(EagerTestCase):
    """
    What fails while it connects.
    """

    def test_unreachable(self) -> None:
        """
        A proxy that is not there is told.
        """
        self.network.world.clear()
        connecting = Connecting(self.endpoint())
        self.network.advance(0)
        failure = self.failureResultOf(connecting.result, ProxyUnreachable)
        self.assertIsInstance(failure.value.__cause__, twistedError.ConnectionRefusedError)
        self.assertEqual(connecting.told, [])

    def test_timeout(self) -> None:
        """
        Neither is one waited for any longer that does not come.
        """
        self.network.world[f"{PROXY}:1080"] = "timeout"
        connecting = Connecting(self.endpoint(timeout=7.0))
        self.network.advance(6.9)
        self.assertNoResult(connecting.result)
        self.network.advance(0.2)
        self.failureResultOf(connecting.result, ProxyTimedOut)
        self.assertEqual(self.network.cancelled, 1)

    def test_cancelled(self) -> None:
        """
        Giving up ends the attempt.
        """
        self.network.world[f"{PROXY}:1080"] = "timeout"
        connecting = Connecting(self.endpoint())
        connecting.result.cancel()
        self.failureResultOf(
            connecting.result, CancelledError, twistedError.ConnectingCancelledError
        )
        self.assertEqual((self.network.cancelled, connecting.fired), (1, 1))

    def test_noProtocol(self) -> None:
        """
        A factory that makes no protocol is told, and the connection dropped.
        """
        factory = Connecting.__new__(Connecting)
        factory.buildProtocol = lambda addr: None  # type: ignore[method-assign, assignment, return-value]
        result = self.endpoint().connect(factory)
        peer = self.peer()
        self.failureResultOf(result, twistedError.NoProtocol)
        self.assertTrue(peer.aborted)
        self.assertEqual(factory.numPorts, 0)


class EndTests(EagerTestCase):
    """
    What ends it afterwards.
    """

    def test_refused(self) -> None:
        """
        A refusal ends the connection, wherever it comes in the stream, and none
        of it reaches the application.
        """
        for code in range(1, 9):
            for pieces in splitsOf(b"\5\0" + refused(code) + EARLY):
                connecting, peer = self.connected()
                for piece in pieces:
                    peer.peerSends(piece)
                self.assertTrue(peer.aborted)
                self.assertBroken(connecting, peer)

    def test_hostile(self) -> None:
        """
        So does what is no answer, or not to what was asked.
        """
        for answer in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\4\0",
            b"\5\xff",
            b"\5\2" + ACCEPTED + granted(*BOUND),
            b"\5\0\5\0\0\2",
            b"\5\0\0",
            bytes(100_000),
        ):
            connecting, peer = self.connected(Talking)
            peer.peerSends(answer)
            self.assertTrue(peer.aborted, answer[:10])
            self.assertBroken(connecting, peer)

    def test_notLetIn(self) -> None:
        """
        So does a login that fails, or is not asked for: then anybody could be
        at the other end.
        """
        for answer in (b"\5\2" + REJECTED, b"\5\0" + granted(*BOUND), b"\5\xff"):
            connecting, peer = self.connected(Application, "alice", "s3cret")
            peer.peerSends(answer + EARLY)
            self.assertTrue(peer.aborted)
            self.assertBroken(connecting, peer)

    def test_endsBeforeTheAnswer(self) -> None:
        """
        When a proxy ends its stream or resets the connection before it has
        answered, the application does not take that for a target that has
        closed it.
        """
        for length in range(len(ANSWERED)):
            for goes in (MemoryTransport.peerEnds, MemoryTransport.peerResets):
                connecting, peer = self.connected()
                peer.peerSends(ANSWERED[:length])
                goes(peer)
                self.assertBroken(connecting, peer)

    def test_halfClose(self) -> None:
        """
        Either side can end its stream and go on with the other, also before the
        answers have come.
        """
        connecting, peer = self.connected(Talking)
        application = connecting.application
        assert application is not None
        transport: Any = application.transport
        transport.loseWriteConnection()
        self.assertEqual((peer.take(), peer.ended, peer.lost), (SAID + REQUESTED, True, False))
        peer.peerSends(ANSWERED + EARLY)
        self.assertEqual(connecting.received, EARLY)
        connecting, peer = self.connected()
        peer.peerSends(ANSWERED + EARLY)
        peer.peerEnds()
        self.assertEqual(connecting.told, ["made", "connected", EARLY, "end"])
        application = connecting.application
        assert application is not None
        transport = application.transport
        peer.take()
        transport.write(b"more")
        self.assertEqual(peer.take(), b"more")

    def test_close(self) -> None:
        """
        An application that closes before the answers have come has said what it
        had to say.
        """
        connecting, peer = self.connected(Talking)
        application = connecting.application
        assert application is not None
        assert application.transport is not None
        application.transport.loseConnection()
        self.network.advance(0)
        self.assertEqual(peer.take(), SAID + REQUESTED)
        self.assertTrue(peer.lost)
        self.assertFalse(peer.aborted)

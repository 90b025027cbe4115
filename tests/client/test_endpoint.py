"""
Tests for L{socksproxy.client.endpoint}: what holds for proxies of all kinds.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress, IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IStreamClientEndpoint, ITransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from socksproxy.client.endpoint import TIMEOUT, ProxiedClientEndpoint
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    TargetFault,
)
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.client.scripted import (
    CONNECT,
    EARLY,
    HOST,
    PORT,
    SOCKS4A,
    SOCKS5,
    SOCKS5_PASSWORD,
    ClientTestCase,
    Connecting,
    Dialect,
)

RUBBISH = b"\xff" * 65536
MUCH = 32
"""
How many times that, which makes megabytes.
"""


class EndpointTestCase(ClientTestCase):
    """
    Tests with one kind of proxy.

    @cvar dialect: The kind.
    """

    dialect: Dialect = SOCKS5

    @property
    def steps(self) -> range:
        """
        Give the places in the conversation at which the client waits.
        """
        return range(len(self.dialect.answers))

    def endpoint(self, timeout: float = TIMEOUT) -> ProxiedClientEndpoint:
        """
        Make an endpoint.
        """
        return self.dialect.endpoint(self.network, self.proxy(), HOST, PORT, timeout=timeout)

    def at(self, step: int) -> tuple[Connecting, MemoryTransport]:
        """
        Have a client that waits at some place of a new conversation.
        """
        self.start()
        connecting = Connecting(self.endpoint())
        return connecting, self.play(self.dialect, step)

    def assertFailed(
        self, connecting: Connecting, *errors: type[Exception], step: object = None
    ) -> Failure:
        """
        Fail unless a connection could not be made, for one of some reasons, no
        application heard of it, and nothing is left.
        """
        self.assertEqual((connecting.fired, connecting.told), (1, []), step)
        failure = self.failureResultOf(connecting.result, *errors)
        self.assertGone()
        self.assertEqual(connecting.fired, 1)
        return failure


class SOCKS5Tests(EndpointTestCase):
    """
    SOCKS5 without authentication.
    """

    def test_interface(self) -> None:
        """
        It is an endpoint.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint())

    def test_nothingBeforeConnect(self) -> None:
        """
        An endpoint does nothing before it is told to connect.
        """
        self.endpoint()
        self.network.advance(60)
        self.assertEqual(self.network.attempts, [])

    def test_connects(self) -> None:
        """
        The client says what its protocol wants, and once the proxy has granted
        the request the application is connected to the target. Nothing has
        been looked up here.
        """
        connecting = Connecting(self.endpoint())
        peer = self.play(self.dialect)
        self.assertIs(self.successResultOf(connecting.result), connecting.application)
        self.assertEqual(connecting.told, ["made", "connected"])
        self.assertEqual(self.network.queries, [])
        self.assertEqual(self.network.getDelayedCalls(), [])
        assert connecting.application is not None
        transport = connecting.application.transport
        assert transport is not None
        transport.write(b"EHLO\r\n")
        transport.writeSequence([b"QU", b"IT\r\n"])
        self.assertEqual(peer.take(), b"EHLO\r\nQUIT\r\n")
        peer.peerSends(b"250")
        peer.peerSends(b" ok\r\n")
        self.assertEqual(connecting.told[2:], [b"250", b" ok\r\n"])

    def test_addresses(self) -> None:
        """
        The application's peer is the target by the name that was asked for,
        and its own address is the one on the way to the proxy.
        """
        connecting = Connecting(self.endpoint())
        self.play(self.dialect)
        assert connecting.application is not None
        transport = connecting.application.transport
        verifyObject(ITransport, transport)
        self.assertEqual(transport.getPeer(), HostnameAddress(HOST.encode(), PORT))
        self.assertEqual(transport.getHost(), tcpAddress("127.0.0.2", 50000))
        self.assertIsInstance(transport.getHost(), IPv4Address)

    def test_again(self) -> None:
        """
        An endpoint can be connected as often as one likes, also while another
        attempt is under way.
        """
        endpoint = self.endpoint()
        attempts = [Connecting(endpoint), Connecting(endpoint)]
        self.network.advance(0)
        for _ in range(2):
            for transport in self.transports[-2:]:
                for message, answer in zip(
                    self.dialect.messages, self.dialect.answers, strict=True
                ):
                    self.assertEqual(transport.take(), message)
                    transport.peerSends(answer)
            for connecting in attempts:
                self.successResultOf(connecting.result)
            attempts = [Connecting(endpoint), Connecting(endpoint)]
            self.network.advance(0)
        for connecting in attempts:
            connecting.result.cancel()
            self.failureResultOf(connecting.result, CancelledError)

    def test_octetByOctet(self) -> None:
        """
        The proxy's answers may come one octet at a time, with the target's
        first ones behind them.
        """
        connecting = Connecting(self.endpoint())
        peer = self.peer()
        for answer in self.dialect.answers:
            for octet in answer:
                self.assertEqual(connecting.fired, 0)
                peer.peerSends(bytes((octet,)))
        self.assertEqual(peer.take(), b"".join(self.dialect.messages))
        for octet in EARLY:
            peer.peerSends(bytes((octet,)))
        self.assertEqual(connecting.told[:2], ["made", "connected"])
        self.assertEqual(connecting.told[2:], [bytes((octet,)) for octet in EARLY])

    def test_earlyData(self) -> None:
        """
        What comes together with the proxy's answer gets to the application
        after it has been told that it is connected, and before anything else.
        """
        connecting = Connecting(self.endpoint())
        peer = self.play(self.dialect, len(self.dialect.answers) - 1)
        peer.peerSends(self.dialect.answers[-1] + EARLY)
        peer.peerSends(b"more")
        peer.peerEnds()
        self.assertEqual(connecting.told, ["made", "connected", EARLY, b"more", "end"])

    def test_muchEarlyData(self) -> None:
        """
        Whatever a transport has read at once may come together with the
        answer.
        """
        connecting = Connecting(self.endpoint())
        peer = self.play(self.dialect, len(self.dialect.answers) - 1)
        peer.peerSends(self.dialect.answers[-1] + RUBBISH)
        self.assertEqual(connecting.told, ["made", "connected", RUBBISH])

    def test_cancelledWhileConnecting(self) -> None:
        """
        An attempt that is given up before there is a connection to the proxy
        is over, and that is nothing to log.
        """
        for outcome in ("timeout", "accept"):
            self.start()
            self.network.world["198.51.100.1:1080"] = outcome
            connecting = Connecting(self.endpoint())
            connecting.result.cancel()
            self.assertFailed(connecting, CancelledError, twistedError.ConnectingCancelledError)
            self.assertEqual((self.network.cancelled, self.transports), (1, []))

    def test_cancelled(self) -> None:
        """
        An attempt that is given up while the proxy is to say something drops
        the connection.
        """
        for step in self.steps:
            connecting, peer = self.at(step)
            connecting.result.cancel()
            self.assertTrue(peer.aborted, step)
            peer.peerSends(self.dialect.answers[step] + EARLY)
            self.assertFailed(connecting, CancelledError, step=step)

    def test_cancelledAfterwards(self) -> None:
        """
        What has succeeded cannot be given up any more.
        """
        connecting = Connecting(self.endpoint())
        peer = self.play(self.dialect)
        connecting.result.cancel()
        self.network.advance(TIMEOUT)
        peer.peerSends(EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])
        self.assertFalse(peer.ended)

    def test_silence(self) -> None:
        """
        A proxy that falls silent, wherever, gets so long from the beginning of
        the attempt, and not longer.
        """
        for step in self.steps:
            connecting, peer = self.at(step)
            self.network.advance(TIMEOUT - 1)
            self.assertEqual((connecting.fired, peer.ended), (0, False))
            self.network.advance(1)
            failure = self.assertFailed(
                connecting, ProxyTimedOut, twistedError.TimeoutError, step=step
            )
            self.assertIn("30 s", str(failure.value))

    def test_slowness(self) -> None:
        """
        A proxy gains no time by saying little.
        """
        connecting = Connecting(self.endpoint(timeout=8))
        peer = self.peer()
        said = iter(b"".join(self.dialect.answers))
        for _ in range(7):
            self.network.advance(1)
            peer.peerSends(bytes((next(said),)))
        self.assertEqual(connecting.fired, 0)
        self.network.advance(1)
        self.assertFailed(connecting, ProxyTimedOut)

    def test_timeOutWhileConnecting(self) -> None:
        """
        The time for the connection to the proxy counts, and a proxy that
        never accepts is a time-out and nothing to log.
        """
        self.network.world["198.51.100.1:1080"] = "timeout"
        connecting = Connecting(self.endpoint(timeout=5))
        self.network.advance(4.9)
        self.assertEqual(connecting.fired, 0)
        self.network.advance(0.1)
        self.assertFailed(connecting, ProxyTimedOut)

    def test_closed(self) -> None:
        """
        A proxy that ends its stream after whatever octet of its answers breaks
        its protocol.
        """
        for step in self.steps:
            for length in range(len(self.dialect.answers[step])):
                connecting, peer = self.at(step)
                peer.peerSends(self.dialect.answers[step][:length])
                peer.peerEnds()
                failure = self.assertFailed(connecting, ProxyProtocolError, step=(step, length))
                self.assertIn("closed the connection", str(failure.value))

    def test_reset(self) -> None:
        """
        So does one that resets the connection.
        """
        for step in self.steps:
            connecting, peer = self.at(step)
            peer.peerSends(self.dialect.answers[step][:1])
            peer.peerResets()
            failure = self.assertFailed(connecting, ProxyProtocolError, step=step)
            self.assertIn("lost", str(failure.value))

    def test_rubbish(self) -> None:
        """
        It is the fault of a proxy that sends megabytes of something else, of
        which nothing is kept, and nothing is answered.
        """
        for step in self.steps:
            connecting, peer = self.at(step)
            for _ in range(MUCH):
                peer.peerSends(RUBBISH)
            self.assertEqual(peer.take(), b"")
            self.assertFailed(connecting, ProxyFault, step=step)

    def test_rubbishAtOnce(self) -> None:
        """
        Even if it comes in one piece.
        """
        for step in self.steps:
            connecting, peer = self.at(step)
            peer.peerSends(RUBBISH * MUCH)
            self.assertFailed(connecting, ProxyProtocolError, step=step)

    def test_echo(self) -> None:
        """
        A server that says what it is told is no proxy.
        """
        connecting = Connecting(self.endpoint())
        peer = self.peer()
        for _ in range(10):
            if connecting.fired:
                break
            peer.peerSends(peer.take())
        self.assertFailed(connecting, ProxiedConnectError)

    def test_refused(self) -> None:
        """
        A proxy that says no has done its part: the fault is the target's.
        """
        connecting, peer = self.at(len(self.dialect.answers) - 1)
        peer.peerSends(self.dialect.refusal)
        failure = self.assertFailed(connecting, TargetFault)
        self.assertNotIsInstance(failure.value, ProxyFault)

    def test_refusedWithMore(self) -> None:
        """
        What follows a no is nobody's.
        """
        connecting, peer = self.at(len(self.dialect.answers) - 1)
        peer.peerSends(self.dialect.refusal + EARLY)
        peer.peerSends(RUBBISH)
        self.assertFailed(connecting, TargetFault)

    def test_anything(self) -> None:
        """
        Whatever a proxy says, wherever, there is one outcome: success, or an
        error that is one of ours and one of Twisted's. Without success the
        application hears nothing.
        """

        @settings(deadline=None, max_examples=60)
        @given(
            st.sampled_from(self.steps),
            st.lists(
                st.one_of(
                    st.binary(max_size=30),
                    st.sampled_from([*self.dialect.answers, self.dialect.refusal]),
                ),
                max_size=6,
            ),
            st.sampled_from(["ends", "resets", "waits"]),
        )
        def check(step: int, said: list[bytes], then: str) -> None:
            connecting, peer = self.at(step)
            for data in said:
                peer.peerSends(data)
            if then == "ends":
                peer.peerEnds()
            elif then == "resets":
                peer.peerResets()
            else:
                self.network.advance(TIMEOUT)
            self.assertEqual(connecting.fired, 1)
            if connecting.application is None:
                self.assertFailed(connecting, ProxiedConnectError)
            else:
                self.successResultOf(connecting.result)
                self.assertEqual(connecting.told[:2], ["made", "connected"])

        check()


class SOCKS5PasswordTests(SOCKS5Tests):
    """
    SOCKS5 with a user name and a password.
    """

    dialect = SOCKS5_PASSWORD


class SOCKS4Tests(SOCKS5Tests):
    """
    SOCKS4a.
    """

    dialect = SOCKS4A


class CONNECTTests(SOCKS5Tests):
    """
    HTTP CONNECT.
    """

    dialect = CONNECT

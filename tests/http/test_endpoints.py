"""
Tests for L{socksproxy.http.endpoints}.
"""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import IPAddress
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    ProxyUnreachable,
    TargetFault,
    TargetGeneralFailure,
    TargetHostUnreachable,
    TargetNotAllowed,
    TargetTimedOut,
)
from socksproxy.errors import LocalProtocolError
from socksproxy.http import HTTPConnectClientEndpoint
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.codec import piecesOf, splitsOf
from tests.http.answers import GRANTED
from tests.test_testing import HalfCloseable

REQUEST = b"CONNECT web.test:443 HTTP/1.1\r\nHost: web.test:443\r\n\r\n"


class EndpointTestCase(SynchronousTestCase):
    """
    Tests with a proxy in memory, whose part the test plays.
    """

    def setUp(self) -> None:
        """
        Have a network with a proxy, and one that does not answer.
        """
        self.network = ScriptedNetwork({"192.0.2.8:3128": "accept", "192.0.2.9:3128": "timeout"})
        self.applications: list[HalfCloseable] = []

    def buildProtocol(self) -> HalfCloseable:
        """
        Make the application's protocol.
        """
        self.applications.append(HalfCloseable())
        return self.applications[-1]

    def endpoint(
        self,
        host: str | bytes | IPAddress = "web.test",
        port: int = 443,
        proxy: str = "192.0.2.8",
        **arguments: Any,
    ) -> HTTPConnectClientEndpoint:
        """
        Make an endpoint.

        @param proxy: The proxy's address.
        """
        way = TCP4ClientEndpoint(self.network, proxy, 3128)
        return HTTPConnectClientEndpoint(self.network, way, host, port, **arguments)

    def connect(self, endpoint: HTTPConnectClientEndpoint | None = None) -> Deferred[IProtocol]:
        """
        Begin to connect, up to the request.
        """
        factory = Factory.forProtocol(self.buildProtocol)
        connecting = (endpoint or self.endpoint()).connect(factory)
        self.network.advance(0)
        return connecting

    @property
    def proxy(self) -> MemoryTransport:
        """
        The latest connection to the proxy.
        """
        transport = self.network.attempts[-1].transport
        assert transport is not None
        return transport

    def requested(self, **arguments: Any) -> bytes:
        """
        Give what an endpoint sends.
        """
        self.connect(self.endpoint(**arguments))
        return self.proxy.take()

    def assertFailed(self, connecting: Deferred[IProtocol], *kinds: type[Exception]) -> Exception:
        """
        Check that an attempt has failed, that no application knows of it, and
        that nothing is left.
        """
        error: Exception = self.failureResultOf(connecting, *kinds).value
        self.network.advance(0)
        self.assertEqual(self.applications, [])
        self.assertEqual(self.network.getDelayedCalls(), [])
        for attempt in self.network.attempts:
            self.assertTrue(attempt.transport is None or attempt.transport.lost)
        return error


class RequestTests(EndpointTestCase):
    """
    What is sent to the proxy.
    """

    def test_interface(self) -> None:
        """
        It is an endpoint as others are.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint())

    def test_request(self) -> None:
        """
        The proxy is asked for the target by its name, which nobody has looked
        up, and is told nothing else.
        """
        self.assertEqual(self.requested(), REQUEST)
        self.assertEqual(self.network.queries, [])

    def test_hosts(self) -> None:
        """
        A host is a name, international or not, or an address.
        """
        for host, shown in (
            ("WEB.test.", b"web.test:80"),
            (b"web.test", b"web.test:80"),
            ("b\u00fccher.test", b"xn--bcher-kva.test:80"),
            ("192.0.2.1", b"192.0.2.1:80"),
            ("2001:db8::1", b"[2001:db8::1]:80"),
            ("[2001:db8::1]", b"[2001:db8::1]:80"),
            (ip_address("2001:db8::1"), b"[2001:db8::1]:80"),
        ):
            request = b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (shown, shown)
            self.assertEqual(self.requested(host=host, port=80), request)

    def test_credentials(self) -> None:
        """
        A name and a password go with the request, in UTF-8, or as the octets
        that they are.
        """
        for username, password, plain in (
            ("alice", "s3cret", b"alice:s3cret"),
            ("J\u00fcrgen", "\u20ac:\u20ac", b"J\xc3\xbcrgen:\xe2\x82\xac:\xe2\x82\xac"),
            (b"\xff", b"\0", b"\xff:\0"),
            ("alice", None, b"alice:"),
            (None, "s3cret", b":s3cret"),
            ("", "", b":"),
        ):
            line = b"Proxy-Authorization: Basic " + b64encode(plain) + b"\r\n\r\n"
            request = self.requested(username=username, password=password)
            self.assertEqual(request, REQUEST[:-2] + line)

    def test_headers(self) -> None:
        """
        Further header fields go behind the credentials.
        """
        request = self.requested(username="a", password="b", headers=[(b"User-Agent", b"us")])
        line = b"Proxy-Authorization: Basic YTpi\r\nUser-Agent: us\r\n\r\n"
        self.assertEqual(request, REQUEST[:-2] + line)

    def test_cannotBeSent(self) -> None:
        """
        What cannot be sent is known when the endpoint is made.
        """
        for arguments in (
            {"username": "a:b", "password": "c"},
            {"username": ":"},
            {"headers": [(b"X", b"a\r\nb")]},
            {"host": "a b"},
            {"host": ""},
            {"port": 0},
            {"port": 65536},
        ):
            self.assertRaises(LocalProtocolError, self.endpoint, **arguments)

    def test_secrets(self) -> None:
        """
        The password is not seen when the endpoint is shown.
        """
        endpoint = self.endpoint(username="alice", password="s3cret")
        self.assertNotIn("s3cret", repr(endpoint))
        self.assertNotIn(b64encode(b"alice:s3cret").decode(), repr(endpoint))

    def test_again(self) -> None:
        """
        One endpoint makes as many connections as are wanted.
        """
        endpoint = self.endpoint()
        for _ in range(2):
            connecting = self.connect(endpoint)
            self.assertEqual(self.proxy.take(), REQUEST)
            self.proxy.peerSends(GRANTED + b"x")
            self.assertIs(self.successResultOf(connecting), self.applications[-1])
        self.assertEqual([application.events for application in self.applications], [[b"x"]] * 2)


class TunnelTests(EndpointTestCase):
    """
    The proxy has opened the tunnel.
    """

    def test_connected(self) -> None:
        """
        The application is connected once the proxy has said so; its peer is
        the target.
        """
        for host, address in (
            ("web.test", HostnameAddress(b"web.test", 443)),
            ("2001:db8::1", IPv6Address("TCP", "2001:db8::1", 443)),
        ):
            connecting = self.connect(self.endpoint(host))
            self.proxy.take()
            self.proxy.peerSends(GRANTED[:-1])
            self.assertNoResult(connecting)
            self.proxy.peerSends(GRANTED[-1:])
            protocol = self.successResultOf(connecting)
            self.assertIs(protocol, self.applications[-1])
            self.assertEqual(self.applications[-1].transport.getPeer(), address)
            self.assertEqual(self.network.getDelayedCalls(), [])

    def test_everySplit(self) -> None:
        """
        However the answer is cut, the target's first octets come once, in
        order, and behind the connection.
        """
        answer = b"HTTP/1.0 100\n\nHTTP/1.0 200 OK\nContent-Length: 3\n\n"
        for pieces in splitsOf(answer + b"220 mail\r\n\r\n"):
            connecting = self.connect()
            for piece in pieces:
                self.proxy.peerSends(piece)
            self.successResultOf(connecting)
            self.proxy.peerSends(b"more")
            *early, last = self.applications[-1].events
            self.assertEqual(last, b"more")
            self.assertEqual(b"".join(cast(list[bytes], early)), b"220 mail\r\n\r\n")

    def test_nothingBeforeTheAnswer(self) -> None:
        """
        Nothing but the request goes to the proxy before its answer, which
        might be taken for another request; then what the application says
        does, as it is.
        """
        connecting = self.connect()
        self.proxy.peerSends(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.proxy.take(), REQUEST)
        self.assertEqual(self.applications, [])
        self.proxy.peerSends(GRANTED)
        self.successResultOf(connecting)
        self.assertEqual(self.proxy.take(), b"")
        self.applications[0].transport.write(b"\x16\3\1")
        self.assertEqual(self.proxy.take(), b"\x16\3\1")

    def test_end(self) -> None:
        """
        The end of the target's stream is the application's, even with the
        answer.
        """
        connecting = self.connect()
        self.proxy.pauseProducing()
        self.proxy.peerSends(GRANTED + b"bye")
        self.proxy.peerEnds()
        self.proxy.resumeProducing()
        self.successResultOf(connecting)
        self.assertEqual(self.applications[0].events, [b"bye", "end"])
        self.applications[0].transport.loseConnection()
        self.network.advance(0)
        self.assertEqual(self.applications[0].events, [b"bye", "end", twistedError.ConnectionDone])

    def test_chain(self) -> None:
        """
        The way to the proxy may go through another proxy.
        """
        first = self.endpoint("proxy.test", 8080)
        connecting = self.connect(HTTPConnectClientEndpoint(self.network, first, "web.test", 443))
        self.assertEqual(
            self.proxy.take(), b"CONNECT proxy.test:8080 HTTP/1.1\r\nHost: proxy.test:8080\r\n\r\n"
        )
        self.assertEqual(self.applications, [])
        self.proxy.peerSends(GRANTED)
        self.assertEqual(self.proxy.take(), REQUEST)
        self.proxy.peerSends(GRANTED + b"early")
        self.successResultOf(connecting)
        self.assertEqual(self.applications[0].events, [b"early"])


class FailureTests(EndpointTestCase):
    """
    There is no tunnel.
    """

    def answered(self, *pieces: bytes) -> Exception:
        """
        Give the error that an answer leads to.
        """
        connecting = self.connect()
        for piece in pieces:
            self.proxy.peerSends(piece)
        return self.assertFailed(connecting, ProxiedConnectError)

    def test_refusals(self) -> None:
        """
        The error tells who is at fault, is one that programs know which use no
        proxy, and has the status in its text.
        """
        for status, kind, known in (
            (401, ProxyAuthenticationFailed, twistedError.ConnectError),
            (403, TargetNotAllowed, twistedError.ConnectError),
            (407, ProxyAuthenticationFailed, twistedError.ConnectError),
            (500, TargetGeneralFailure, twistedError.ConnectError),
            (502, TargetHostUnreachable, twistedError.NoRouteError),
            (503, TargetGeneralFailure, twistedError.ConnectError),
            (504, TargetTimedOut, twistedError.TimeoutError),
        ):
            error = self.answered(b"HTTP/1.1 %d No\r\nContent-Length: 5\r\n\r\nSorry" % status)
            self.assertIs(type(error), kind)
            self.assertIsInstance(error, known)
            self.assertIsInstance(error, ProxyFault if status in (401, 407) else TargetFault)
            self.assertEqual(str(error), f"the proxy answered {status} No")

    def test_nonsense(self) -> None:
        """
        A proxy that does not speak HTTP is at fault, however its octets are
        cut, and the application gets none of them.
        """
        for data in (b"\5\0", b"SSH-2.0-x\r\n", b"HTTP/1.1 two\r\n\r\n" + GRANTED):
            for pieces in splitsOf(data):
                self.assertIs(type(self.answered(*pieces)), ProxyProtocolError)

    def test_tooMuch(self) -> None:
        """
        A proxy that never comes to an end is at fault, long before the time
        is over.
        """
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        for data in (interim * 100, interim + b"HTTP/1.1 200 " + b"x" * 100000):
            pieces = piecesOf(data, 1000)
            self.assertIs(type(self.answered(*pieces)), ProxyProtocolError)

    def test_closed(self) -> None:
        """
        A proxy that closes the connection before its answer is complete, or
        resets it, is at fault.
        """
        for length in range(len(GRANTED)):
            for hangUp in (MemoryTransport.peerEnds, MemoryTransport.peerResets):
                connecting = self.connect()
                self.proxy.peerSends(GRANTED[:length])
                hangUp(self.proxy)
                self.assertFailed(connecting, ProxyProtocolError)

    def test_silent(self) -> None:
        """
        A proxy has 30 seconds, or as many as it is given, for the connection
        and its answer together.
        """
        for proxy in ("192.0.2.8", "192.0.2.9"):
            for endpoint, seconds in (
                (self.endpoint(proxy=proxy), 30.0),
                (self.endpoint(proxy=proxy, timeout=5.0), 5.0),
            ):
                connecting = self.connect(endpoint)
                self.network.advance(seconds - 0.5)
                if proxy == "192.0.2.8":
                    self.proxy.peerSends(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.assertNoResult(connecting)
                self.network.advance(0.5)
                self.assertFailed(connecting, ProxyTimedOut)

    def test_unreachable(self) -> None:
        """
        Where there is no proxy, that is the proxy's fault.
        """
        connecting = self.connect(self.endpoint(proxy="192.0.2.7"))
        error = self.assertFailed(connecting, ProxyUnreachable)
        self.assertIsInstance(error.__cause__, twistedError.ConnectionRefusedError)

    def test_cancelled(self) -> None:
        """
        Whoever has enough gets rid of it at every stage, and that is the error.
        """
        for proxy, data in (
            ("192.0.2.9", b""),
            ("192.0.2.8", b""),
            ("192.0.2.8", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"),
        ):
            connecting = self.connect(self.endpoint(proxy=proxy))
            if data:
                self.proxy.peerSends(data)
            connecting.cancel()
            self.assertFailed(connecting, CancelledError, twistedError.ConnectingCancelledError)

"""
Tests for L{socksproxy.client.endpoint}: the way to the proxy, and what an
endpoint can be made for.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet import error as twistedError
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IStreamClientEndpoint,
)
from zope.interface import directlyProvides, implementer

from socksproxy.address import Destination
from socksproxy.client.endpoint import addressOf, destinationFor
from socksproxy.client.errors import (
    ProxyFault,
    ProxyTimedOut,
    ProxyUnreachable,
    TargetConnectionRefused,
)
from socksproxy.errors import LocalProtocolError
from tests.client.scripted import (
    CONNECT,
    EARLY,
    HOST,
    PORT,
    SOCKS4A,
    SOCKS5,
    ClientTestCase,
    Connecting,
    Dialect,
)
from tests.socksclient import GRANTED, request

KINDS = (SOCKS5, SOCKS4A, CONNECT)


@implementer(IStreamClientEndpoint)
class Failing:
    """
    A way that leads nowhere.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.
        """
        return fail(self._error)


class ReachingTests(ClientTestCase):
    """
    Proxies that cannot be reached.
    """

    def assertUnreachable(
        self, way: IStreamClientEndpoint, cause: type[Exception], dialect: Dialect = SOCKS5
    ) -> ProxyUnreachable:
        """
        Fail unless a proxy is found to be out of reach.

        @param cause: Why.
        """
        connecting = Connecting(dialect.endpoint(self.network, way, HOST, PORT))
        self.network.advance(0)
        error = self.failureResultOf(connecting.result, ProxyUnreachable).value
        self.assertIsInstance(error.__cause__, cause)
        self.assertEqual((connecting.told, connecting.fired), ([], 1))
        self.assertGone()
        return error

    def test_reasons(self) -> None:
        """
        Whatever keeps us from a proxy, it is the proxy's fault, and cannot be
        taken for the target's: the reason is only the cause.
        """
        for outcome, cause in (
            ("ECONNREFUSED", twistedError.ConnectionRefusedError),
            ("EHOSTUNREACH", twistedError.ConnectError),
            ("ENETUNREACH", twistedError.NoRouteError),
            ("ETIMEDOUT", twistedError.TCPTimedOutError),
            ("EACCES", twistedError.ConnectError),
        ):
            for dialect in KINDS:
                self.network.world["198.51.100.1:1080"] = outcome
                error = self.assertUnreachable(self.proxy(), cause, dialect)
                self.assertIsInstance(error, twistedError.ConnectError)
                self.assertNotIsInstance(
                    error,
                    (
                        twistedError.ConnectionRefusedError,
                        twistedError.NoRouteError,
                        twistedError.TimeoutError,
                    ),
                )

    def test_noName(self) -> None:
        """
        That the proxy's own name leads nowhere is one of these reasons, and
        none that has to be logged.
        """
        directlyProvides(self.network, IReactorPluggableNameResolver)
        reactor: Any = self.network
        self.assertUnreachable(
            HostnameEndpoint(reactor, "nowhere.test", 1080), twistedError.DNSLookupError
        )

    def test_lost(self) -> None:
        """
        So is a connection that is lost while something below is negotiated.
        """
        for lost in (twistedError.ConnectionLost(), twistedError.ConnectionDone()):
            self.assertUnreachable(Failing(lost), type(lost))

    def test_unforeseen(self) -> None:
        """
        An error that no endpoint should fail with is logged, and is the
        proxy's fault all the same.
        """
        self.assertUnreachable(Failing(ZeroDivisionError()), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.events.clear()

    def test_text(self) -> None:
        """
        The text says that it is about the proxy, and why.
        """
        self.network.world.clear()
        error = self.assertUnreachable(self.proxy(), twistedError.ConnectionRefusedError)
        self.assertRegex(str(error), "^the proxy cannot be reached: .*refused")


class BehindAnotherTests(ClientTestCase):
    """
    A proxy that is reached through another one.
    """

    def connect(self, dialect: Dialect = SOCKS5, timeout: float = 30.0) -> Connecting:
        """
        Connect to C{target.test:25} through two proxies, of which the nearer
        one speaks SOCKS5.
        """
        way = SOCKS5.endpoint(self.network, self.proxy(), "second.test", 1080)
        endpoint = dialect.endpoint(self.network, way, HOST, PORT, timeout=timeout)
        return Connecting(endpoint)

    def second(self, answer: bytes = GRANTED) -> Any:
        """
        Play the first proxy.

        @param answer: What it says to the request for the second.
        @return: The connection, on which the second one is spoken to if the
            answer is yes.
        """
        peer = self.peer()
        self.assertEqual(peer.take(), SOCKS5.messages[0])
        peer.peerSends(b"\5\0")
        self.assertEqual(peer.take(), request("second.test", 1080))
        peer.peerSends(answer)
        return peer

    def test_connects(self) -> None:
        """
        Each is spoken to in turn over one connection, and what comes early
        comes to the right place.
        """
        for dialect in KINDS:
            self.start()
            connecting = self.connect(dialect)
            peer = self.second()
            for message, answer in zip(
                dialect.messages, [*dialect.answers[:-1], dialect.answers[-1] + EARLY], strict=True
            ):
                self.assertEqual(peer.take(), message)
                peer.peerSends(answer)
            self.assertEqual(connecting.told, ["made", "connected", EARLY])
            assert connecting.application is not None
            transport = connecting.application.transport
            assert transport is not None
            self.assertEqual(transport.getPeer(), HostnameAddress(HOST.encode(), PORT))
            transport.write(b"EHLO")
            self.assertEqual(peer.take(), b"EHLO")
            peer.peerSends(b"250")
            self.assertEqual(connecting.told[-1], b"250")
            self.assertEqual(len(self.transports), 1)

    def test_allAtOnce(self) -> None:
        """
        If all answers come in one piece, nothing of it is lost.
        """
        connecting = self.connect(SOCKS4A)
        peer = self.peer()
        peer.peerSends(b"\5\0" + GRANTED + SOCKS4A.answers[0] + EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_inPieces(self) -> None:
        """
        If they wait, in pieces, until we read, they come in order.
        """
        connecting = self.connect(SOCKS4A)
        peer = self.peer()
        peer.pauseProducing()
        pieces = [b"\5\0", GRANTED + SOCKS4A.answers[0][:3], SOCKS4A.answers[0][3:], EARLY]
        for piece in pieces:
            peer.peerSends(piece)
        peer.resumeProducing()
        self.network.advance(0)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_secondUnreachable(self) -> None:
        """
        That the first proxy cannot reach the second one is the fault of a
        proxy, not of the target, and the cause tells which.
        """
        connecting = self.connect()
        self.second(SOCKS5.refusal)
        error = self.failureResultOf(connecting.result, ProxyUnreachable).value
        self.assertIsInstance(error.__cause__, TargetConnectionRefused)
        self.assertNotIsInstance(error, twistedError.ConnectionRefusedError)
        self.assertGone()

    def test_firstAtFault(self) -> None:
        """
        What the first one does wrong is told as it is.
        """
        connecting = self.connect()
        peer = self.peer()
        peer.peerSends(b"\5\xff")
        error = self.failureResultOf(connecting.result, ProxyFault).value
        self.assertIn("none of our methods", str(error))
        self.assertGone()

    def test_secondSilent(self) -> None:
        """
        The time that has been given is for all of it together.
        """
        connecting = self.connect(timeout=10)
        self.network.advance(6)
        self.second()
        self.network.advance(3.9)
        self.assertEqual(connecting.fired, 0)
        self.network.advance(0.1)
        self.failureResultOf(connecting.result, ProxyTimedOut)
        self.assertGone()

    def test_cancelled(self) -> None:
        """
        Giving up drops the one connection, whoever is being spoken to.
        """
        for steps in range(3):
            self.start()
            connecting = self.connect()
            peer = self.peer() if not steps else self.second()
            if steps == 2:
                peer.peerSends(b"\5\0")
            connecting.result.cancel()
            self.failureResultOf(connecting.result)
            self.assertTrue(peer.aborted)
            self.assertEqual((connecting.told, connecting.fired), ([], 1))
            self.assertGone()


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Target.TEST.", "target.test"),
        (b"target.test", "target.test"),
        ("localhost", "localhost"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("b\u00fccher.example".encode(), "xn--bcher-kva.example"),
        ("\u65e5\u672c\u8a9e.jp", "xn--wgv71a119e.jp"),
        ("192.0.2.1", ip_address("192.0.2.1")),
        ("2001:DB8::1", ip_address("2001:db8::1")),
        ("[2001:db8::1]", ip_address("2001:db8::1")),
        ("::ffff:192.0.2.1", ip_address("192.0.2.1")),
        (ip_address("::ffff:192.0.2.1"), ip_address("192.0.2.1")),
        (ip_address("2001:db8::1"), ip_address("2001:db8::1")),
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_hosts(host: Any, canonical: object) -> None:
    """
    Hosts are taken in every form that programs have them in.
    """
    assert destinationFor(host, 80) == Destination(canonical, 80)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a" * 64,
        ".".join(["a" * 63] * 3 + ["b" * 62]),
        ".".join(["a" * 63] * 3 + ["b" * 63]),
        "a." * 127 + "aa",
        "a b",
        "a\0b",
        "127.1",
        "2130706433",
        "0x7f.1",
        "fe80::1%eth0",
        b"\xff\xfe",
        "\ud800.example",
        "\u2488.example",
    ],
)
def test_noHosts(host: Any) -> None:
    """
    What is no host, or cannot be sent, is an error of the program's before
    anything is connected. Nothing is cut, and nothing is looked up instead.
    """
    with pytest.raises(LocalProtocolError, match="host"):
        destinationFor(host, 80)


def test_ports() -> None:
    """
    A port is from 1 to 65535; 0 is one only where none is needed.
    """
    for port in (1, 65535):
        assert destinationFor("web.test", port).port == port
    assert destinationFor("web.test", 0, needsPort=False).port == 0
    for port in (0, -1, 65536, 1 << 32):
        with pytest.raises(LocalProtocolError, match="port"):
            destinationFor("web.test", port)
    with pytest.raises(LocalProtocolError, match="port"):
        destinationFor("web.test", -1, needsPort=False)


def test_addressOf() -> None:
    """
    A target has the address that Twisted has for such a thing.
    """
    for host, address in (
        ("web.test", HostnameAddress(b"web.test", 80)),
        (ip_address("192.0.2.1"), IPv4Address("TCP", "192.0.2.1", 80)),
        (ip_address("2001:db8::1"), IPv6Address("TCP", "2001:db8::1", 80)),
    ):
        assert addressOf(Destination(host, 80)) == address
    datagrams = addressOf(Destination(ip_address("192.0.2.1"), 53), "UDP")
    assert datagrams == IPv4Address("UDP", "192.0.2.1", 53)

"""
Clients of servers that are no good proxies, over real sockets: what they fail
with, and that nothing is left of it.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
)
from socksproxy.http.endpoints import HTTPConnectClientEndpoint
from socksproxy.socks.client import SOCKS5Client
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from tests.integration.test_client_requests import Asking
from tests.targets import Target

RESET = struct.pack("ii", 1, 0)

Say = Callable[[socket.socket], None]


def saying(*messages: bytes) -> Say:
    """
    Wait for the client before each message, and close after the last.
    """

    def say(connection: socket.socket) -> None:
        for message in messages:
            connection.recv(4096)
            connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)

    return say


def silent(*messages: bytes) -> Say:
    """
    Say some messages, and then wait for ever.
    """

    def say(connection: socket.socket) -> None:
        for message in messages:
            connection.recv(4096)
            connection.sendall(message)
        while connection.recv(4096):
            pass

    return say


def resetting(*messages: bytes) -> Say:
    """
    Say some messages, and then reset the connection in place of another.
    """

    def say(connection: socket.socket) -> None:
        for message in messages:
            connection.recv(4096)
            connection.sendall(message)
        connection.recv(4096)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()

    return say


def flooding(*messages: bytes) -> Say:
    """
    Say some messages, and then in place of another one megabytes of what
    makes no sense.
    """

    def say(connection: socket.socket) -> None:
        for message in messages:
            connection.recv(4096)
            connection.sendall(message)
        connection.recv(4096)
        for _ in range(64):
            connection.sendall(b"\xff" * 65536)

    return say


BY_SOCKS5: list[tuple[Say, type[ProxiedConnectError]]] = [
    (saying(b"\4\0"), ProxyProtocolError),
    (saying(b"HTTP/1.1 400 Bad request\r\n\r\n"), ProxyProtocolError),
    (saying(b"\5\1"), ProxyProtocolError),
    (saying(b"\5\xff"), ProxyFault),
    (saying(b"\5"), ProxyProtocolError),
    (saying(b""), ProxyProtocolError),
    (saying(b"\5\0", b"\4\0\0\1"), ProxyProtocolError),
    (saying(b"\5\0", b"\5\0\0\0"), ProxyProtocolError),
    (saying(b"\5\0", b"\5\0\0\5"), ProxyProtocolError),
    (saying(b"\5\0", b"\5\0\0\xff"), ProxyProtocolError),
    (saying(b"\5\0", b"\5\0\0\1\x7f"), ProxyProtocolError),
    (saying(b"\5\0", b"\5\x63"), ProxiedConnectError),
    (resetting(), ProxyProtocolError),
    (resetting(b"\5\0"), ProxyProtocolError),
    (flooding(), ProxyProtocolError),
    (flooding(b"\5\0"), ProxyProtocolError),
    (silent(), ProxyTimedOut),
    (silent(b"\5\0"), ProxyTimedOut),
    (silent(b"\5\0", b"\5\0\0\1\x7f"), ProxyTimedOut),
]


class HostileTests(TestCase):
    """
    Servers that do not do what their protocol wants.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Nobody has been connected.
        """
        self.connected = 0

    def serve(self, say: Say) -> IStreamClientEndpoint:
        """
        Start a server.

        @return: What leads to it.
        """
        self.server = Target(say)
        self.server.__enter__()
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.server.port)

    def factory(self) -> Factory:
        """
        Give a factory that nobody should ask for anything.
        """

        class Counting(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> None:
                test.connected += 1

        test = self
        return Counting()

    @inlineCallbacks
    def assertFails(
        self,
        say: Say,
        error: type[ProxiedConnectError],
        ask: Callable[[IStreamClientEndpoint], Deferred[Any]],
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Fail unless a request fails, the application hears nothing, and as
        many descriptors and delayed calls are left as there were.
        """
        # A reactor that has just begun to run has opened what it needs.
        yield self.turn()
        before = len(os.listdir("/proc/self/fd"))
        delayed = len(reactor.getDelayedCalls())
        way = self.serve(say)
        failure = yield self.assertFailure(ask(way), error)
        self.assertIsInstance(failure, ConnectError)
        # The connection is closed in the reactor's next turn.
        yield self.turn()
        self.server.__exit__(None, None, None)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(len(reactor.getDelayedCalls()), delayed)
        self.assertEqual(self.connected, 0)

    def turn(self) -> Deferred[None]:
        """
        Wait for the reactor's next turn.
        """
        turn: Deferred[None] = Deferred()
        reactor.callLater(0, turn.callback, None)
        return turn

    def limit(self, error: type[ProxiedConnectError]) -> float:
        """
        Give the time for a request: short only where it is to run out.
        """
        return 0.1 if error is ProxyTimedOut else 20.0

    @inlineCallbacks
    def test_socks5(self) -> Generator[Deferred[Any], Any, None]:
        """
        A SOCKS5 client that wants to connect finds all of them out.
        """
        for say, error in BY_SOCKS5:
            limit = self.limit(error)
            yield self.assertFails(
                say,
                error,
                lambda way, limit=limit: SOCKS5ClientEndpoint(
                    reactor, way, "web.test", 80, timeout=limit
                ).connect(self.factory()),
            )

    @inlineCallbacks
    def test_requests(self) -> Generator[Deferred[Any], Any, None]:
        """
        So does one that wants a port, or to send datagrams.
        """
        for say, error in BY_SOCKS5:
            limit = self.limit(error)
            for ask in (
                lambda client: client.bind("192.0.2.7"),
                lambda client: client.associate(Asking()),
                lambda client: client.resolve("web.test"),
            ):
                yield self.assertFails(
                    say,
                    error,
                    lambda way, ask=ask, limit=limit: ask(
                        SOCKS5Client(reactor, way, timeout=limit)
                    ),
                )

    @inlineCallbacks
    def test_password(self) -> Generator[Deferred[Any], Any, None]:
        """
        So does one with a password, where that is asked for.
        """
        for say, error in (
            (saying(b"\5\2", b"\1\1"), ProxyFault),
            (saying(b"\5\2", b"\1"), ProxyProtocolError),
            (resetting(b"\5\2"), ProxyProtocolError),
            (flooding(b"\5\2"), ProxyFault),
            (silent(b"\5\2"), ProxyTimedOut),
        ):
            limit = self.limit(error)
            yield self.assertFails(
                say,
                error,
                lambda way, limit=limit: SOCKS5ClientEndpoint(
                    reactor, way, "web.test", 80, "alice", "s3cret", timeout=limit
                ).connect(self.factory()),
            )

    @inlineCallbacks
    def test_others(self) -> Generator[Deferred[Any], Any, None]:
        """
        So do clients of SOCKS4 and HTTP.
        """
        for cls, cases in (
            (
                SOCKS4ClientEndpoint,
                (
                    (saying(b"\5\0"), ProxyProtocolError),
                    (saying(b"\0\x5a\0"), ProxyProtocolError),
                    (silent(b"\0\x5a\0"), ProxyTimedOut),
                ),
            ),
            (
                HTTPConnectClientEndpoint,
                (
                    (saying(b"\5\0"), ProxyProtocolError),
                    (saying(b"HTTP/1.1 200 OK\r\nX: "), ProxyProtocolError),
                    (silent(b"HTTP/1.1 200 OK\r\n"), ProxyTimedOut),
                ),
            ),
        ):
            for say, error in (
                *cases,
                (resetting(), ProxyProtocolError),
                (flooding(), ProxyProtocolError),
                (silent(), ProxyTimedOut),
            ):
                limit = self.limit(error)
                yield self.assertFails(
                    say,
                    error,
                    lambda way, cls=cls, limit=limit: cls(
                        reactor, way, "web.test", 80, timeout=limit
                    ).connect(self.factory()),
                )

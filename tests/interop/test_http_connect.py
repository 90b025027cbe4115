"""
Our client of HTTP proxies against tinyproxy.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from socket import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    TargetGeneralFailure,
    TargetNotAllowed,
)
from socksproxy.http import HTTPConnectClientEndpoint
from tests.files import temporaryFolder
from tests.integration.test_service import Peer
from tests.interop.peers import closedPort, peerEnvironment, requireIPv6, requireProgram
from tests.interop.processes import freePort, until
from tests.targets import Target, echo, sender

SIZE = 4 << 20

Waiting = Generator[Deferred[Any], Any, None]


class Tinyproxy:
    """
    tinyproxy, as a context manager.

    @ivar port: Its port.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        """
        @param folder: Where its files shall be.
        @param settings: Further lines of its configuration.
        """
        self._program = requireProgram("tinyproxy")
        self._configuration = folder / "tinyproxy.conf"
        self._log = folder / "tinyproxy.log"
        self.port = freePort()
        lines = (f"Port {self.port}", "Listen 127.0.0.1", "MaxClients 10", *settings, "")
        self._configuration.write_text("\n".join(lines))

    def __enter__(self) -> Tinyproxy:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "-d", "-c", str(self._configuration)],
                env=peerEnvironment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until(self._listens, "tinyproxy listening")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        ended, log = self._process.poll() is not None, self._log.read_text()
        if ended:
            raise AssertionError(f"tinyproxy has ended:\n{log}")
        return "Accepting connections" in log


class TinyproxyTests(TestCase):
    """
    Connections by CONNECT.
    """

    timeout = 60

    def proxy(self, *settings: str) -> str:
        """
        Start tinyproxy for the duration of the test.

        @return: The endpoint that leads to it.
        """
        proxy = self.enterContext(Tinyproxy(temporaryFolder(self), *settings))
        return f"tcp:127.0.0.1:{proxy.port}"

    def target(self, serve: Callable[[socket], None], host: str = "127.0.0.1") -> int:
        """
        Start a server for the duration of the test.

        @return: Its port.
        """
        return self.enterContext(Target(serve, host)).port

    def connect(
        self,
        proxy: str,
        host: str,
        port: int,
        username: str | None = None,
        password: str | None = None,
    ) -> Deferred[Any]:
        """
        Connect through the proxy.
        """
        way = clientFromString(reactor, proxy)
        endpoint = HTTPConnectClientEndpoint(reactor, way, host, port, username, password)
        return endpoint.connect(Factory.forProtocol(Peer))

    @inlineCallbacks
    def checkEcho(self, peer: Peer, data: bytes = b"to and fro") -> Waiting:
        """
        Require that a connection to an echo server works, and close it.
        """
        peer.transport.write(data)
        answer = yield peer.read(len(data))
        self.assertTrue(answer == data)
        peer.transport.loseConnection()
        yield peer.lost

    @inlineCallbacks
    def test_hosts(self) -> Waiting:
        """
        Names and addresses of both families are reached.
        """
        requireIPv6()
        proxy = self.proxy()
        for host in ("localhost", "127.0.0.1", "::1"):
            port = self.target(echo, host if host == "::1" else "127.0.0.1")
            peer = yield self.connect(proxy, host, port)
            yield self.checkEcho(peer)

    @inlineCallbacks
    def test_movesData(self) -> Waiting:
        """
        Some megabytes go there and back at the same time, unchanged.
        """
        peer = yield self.connect(self.proxy(), "127.0.0.1", self.target(echo))
        yield self.checkEcho(peer, os.urandom(SIZE))

    @inlineCallbacks
    def test_targetSpeaksFirst(self) -> Waiting:
        """
        What the target says at once comes first, and its end after it.
        """
        greeting = b"220 mail.test\r\n\r\n"
        peer = yield self.connect(self.proxy(), "127.0.0.1", self.target(sender(greeting)))
        yield peer.ended
        self.assertEqual(peer.received, greeting)
        peer.transport.loseConnection()
        yield peer.lost

    @inlineCallbacks
    def test_credentials(self) -> Waiting:
        """
        The right password opens the tunnel; with a wrong one, and without,
        the proxy is said not to let us in.
        """
        proxy = self.proxy("BasicAuth alice s3cret")
        port = self.target(echo)
        peer = yield self.connect(proxy, "127.0.0.1", port, "alice", "s3cret")
        yield self.checkEcho(peer)
        for username, password, status in (
            ("alice", "secret", 401),
            ("bob", "s3cret", 401),
            (None, None, 407),
        ):
            connecting = self.connect(proxy, "127.0.0.1", port, username, password)
            error = yield self.assertFailure(connecting, ProxyAuthenticationFailed)
            self.assertIn(f"answered {status} ", str(error))

    @inlineCallbacks
    def test_forbidden(self) -> Waiting:
        """
        A port that the proxy forbids is said to be forbidden.
        """
        with closedPort() as allowed:
            proxy = self.proxy(f"ConnectPort {allowed}")
        connecting = self.connect(proxy, "127.0.0.1", self.target(echo))
        error = yield self.assertFailure(connecting, TargetNotAllowed)
        self.assertIn("403", str(error))

    @inlineCallbacks
    def test_refused(self) -> Waiting:
        """
        A target that is not there is the target's fault, for which tinyproxy
        has no better word than 500.
        """
        with closedPort() as port:
            connecting = self.connect(self.proxy(), "127.0.0.1", port)
            error = yield self.assertFailure(connecting, TargetGeneralFailure)
        self.assertEqual(str(error), "the proxy answered 500 Unable to connect")

"""
What connections leave behind on the real reactor: nothing that only a garbage
collection would free, since that may be long after, and a transport may hold
much.
"""

from __future__ import annotations

import gc
import socket
import struct
from collections import Counter
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.tcp import Connection
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from socksproxy.config import Configuration
from socksproxy.service import ProxyService
from tests.logs import captured
from tests.socksclient import NO_AUTHENTICATION, request
from tests.targets import Target, echo

RESET = struct.pack("ii", 1, 0)
TIMEOUT = 20


def visit(proxy: int, target: int, reset: bool) -> None:
    """
    Have something echoed through the proxy, and leave.
    """
    with (
        socket.create_connection(("127.0.0.1", proxy), TIMEOUT) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target))
        assert len(answers.read(12)) == 12
        connection.sendall(b"hello")
        assert answers.read(5) == b"hello"
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            connection.shutdown(socket.SHUT_WR)
            assert answers.read() == b""


def knock(proxy: int, target: int, reset: bool) -> None:
    """
    Ask for a port where nobody is, and read the refusal.
    """
    with (
        socket.create_connection(("127.0.0.1", proxy), TIMEOUT) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", 1))
        assert answers.read()[3] == 5


class GarbageTests(TestCase):
    """
    Connections that are over.
    """

    timeout = 60

    @inlineCallbacks
    def leftBy(self, client: Any, reset: bool = False) -> Generator[Deferred[Any], Any, Any]:
        """
        Count the objects of ours, and the transports, that ten connections
        leave to the garbage collector.
        """
        proxy = ProxyService(reactor, Configuration(listen=["tcp:0:interface=127.0.0.1"]))
        with Target(echo) as target, captured():
            proxy.startService()
            port = proxy._listeners[0]._port.getHost().port  # type: ignore[union-attr]
            try:
                yield deferToThread(client, port, target.port, reset)
                gc.collect()
                gc.disable()
                for _ in range(10):
                    yield deferToThread(client, port, target.port, reset)
                yield proxy._listeners[0].inbound.whenEmpty()
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                left = Counter(
                    type(found).__name__
                    for found in gc.garbage
                    if isinstance(found, Connection)
                    or type(found).__module__.startswith("socksproxy.")
                )
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
                yield proxy.stopService()
        return dict(left)

    @inlineCallbacks
    def test_closed(self) -> Generator[Deferred[Any], Any, None]:
        """
        A relay that has ended leaves nothing to the garbage collector.
        """
        left = yield self.leftBy(visit)
        self.assertEqual(left, {})

    @inlineCallbacks
    def test_reset(self) -> Generator[Deferred[Any], Any, None]:
        """
        Neither does one that was reset.
        """
        left = yield self.leftBy(visit, reset=True)
        self.assertEqual(left, {})

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        Neither does a request that failed, but for Twisted's own attempt to
        connect, which holds itself, and no more.
        """
        left = yield self.leftBy(knock)
        self.assertEqual(left.keys() - {"Client"}, set())

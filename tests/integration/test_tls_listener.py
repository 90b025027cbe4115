"""
Clients that keep a listener over TLS waiting.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from socksproxy.config import Configuration
from socksproxy.inbound import InboundTimers
from socksproxy.service import ProxyService
from tests.certificates import Authority
from tests.files import temporaryFolder
from tests.interop.processes import listeningPorts
from tests.tlspeer import clientContext

TIMEOUT = 20


class WaitingTests(TestCase):
    """
    The time for a handshake is that for both, TLS and SOCKS.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Start a proxy that has little time.
        """
        folder = temporaryFolder(self)
        self.authority = Authority(folder)
        issued = self.authority.issue("localhost")
        listener = f"tcp+tls:0:interface=127.0.0.1:certificate={issued.both}"
        before = listeningPorts(os.getpid())
        self.proxy = ProxyService(
            reactor, Configuration(listen=[listener], timers=InboundTimers(handshake=0.3))
        )
        self.proxy.startService()
        self.addCleanup(self.proxy.stopService)
        [self.port] = listeningPorts(os.getpid()) - before

    async def assertDropped(self, wait: Callable[[socket.socket], Any]) -> None:
        """
        Fail unless a client is got rid of.

        @param wait: What it does, in a thread, until its connection ends.
        """

        def client() -> None:
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as connection:
                try:
                    wait(connection)
                except ConnectionError:
                    pass

        await deferToThread(client)

    async def test_silence(self) -> None:
        """
        A client that does not begin a handshake is dropped.
        """

        def wait(connection: socket.socket) -> None:
            self.assertEqual(connection.recv(1), b"")

        await self.assertDropped(wait)

    async def test_handshakeOnly(self) -> None:
        """
        So is one that does nothing after it.
        """

        def wait(connection: socket.socket) -> None:
            context = clientContext(self.authority.path)
            with context.wrap_socket(connection, server_hostname="localhost") as tls:
                self.assertEqual(tls.recv(1), b"")

        await self.assertDropped(wait)

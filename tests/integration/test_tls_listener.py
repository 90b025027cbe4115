"""
Clients that keep a listener over TLS waiting.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from socksproxy.inbound import Inbound, InboundTimers
from socksproxy.listener import ProxyFactory
from tests.certificates import Authority
from tests.files import temporaryFolder
from tests.tlspeer import clientContext

TIMEOUT = 20


class WaitingTests(TestCase):
    """
    The time for a handshake is that for both, TLS and SOCKS.
    """

    timeout = 30

    async def setUp(self) -> None:
        """
        Listen, with little time.
        """
        folder = temporaryFolder(self)
        self.authority = Authority(folder)
        issued = self.authority.issue("localhost")
        listener = f"tcp+tls:0:interface=127.0.0.1:certificate={issued.both}"
        # Nobody gets as far as to log in.
        inbound = Inbound(Portal(None), reactor, timers=InboundTimers(handshake=0.3))
        port = await serverFromString(reactor, listener).listen(ProxyFactory(inbound))
        self.addCleanup(inbound.whenEmpty)
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

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

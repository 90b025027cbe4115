"""
A proxy of ours, clients of it, and their targets, in one reactor.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from socksproxy.config import Configuration
from socksproxy.service import ProxyService
from tests.integration.test_service import LOOPBACK, Peer, Peers
from tests.logs import captured, texts

USER, PASSWORD = "u" * 255, "\u00e4\u20ac:" + "p" * 249
"""
A user name of the greatest length, and a password of that with characters
other than those of ASCII.
"""


def users() -> InMemoryUsernamePasswordDatabaseDontUse:
    """
    Give a checker that knows L{USER}.
    """
    return InMemoryUsernamePasswordDatabaseDontUse(**{USER: PASSWORD.encode()})


class Targets(Peers):
    """
    Makes targets, and tells of them once they are connected.
    """

    def buildProtocol(self, addr: object) -> Peer:
        """
        See C{IProtocolFactory}.
        """
        connected, self.connected = self.connected, Deferred()
        return _Target(connected)


class _Target(Peer):
    def __init__(self, connected: Deferred[Peer]) -> None:
        super().__init__()
        self._connected = connected

    def connectionMade(self) -> None:
        self._connected.callback(self)


class ClientsTestCase(TestCase):
    """
    Tests with a target on 127.0.0.1.

    @ivar targets: The target.
    @ivar targetPort: Its port.
    @ivar services: The proxies that have been started.
    @ivar proxy: What leads to the last proxy that has been started.
    """

    timeout = 30

    proxy: IStreamClientEndpoint

    def setUp(self) -> None:
        """
        Start the target.
        """
        self.services: list[ProxyService] = []
        self.targets = Targets()
        self.targetPort = self.listen(self.targets)

    def listen(self, factory: Factory, interface: str = "127.0.0.1") -> int:
        """
        Start a server.

        @return: Its port.
        """
        port: Any = reactor.listenTCP(0, factory, interface=interface)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    @inlineCallbacks
    def start(
        self, listen: str = LOOPBACK, **configuration: Any
    ) -> Generator[Deferred[Any], Any, int]:
        """
        Start a proxy, and wait until it has said where.

        @return: Its port.
        """
        running: Deferred[None] = Deferred()
        with captured() as events:
            self.startService(listen, **configuration)
            reactor.callWhenRunning(running.callback, None)
            yield running
        ports = [re.search(r", at \S+:(\d+)", line) for line in texts(events)]
        (port,) = (int(match[1]) for match in ports if match is not None)
        self.proxy = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        return port

    def startService(self, listen: str, **configuration: Any) -> None:
        """
        Start a proxy somewhere.
        """
        proxy = ProxyService(reactor, Configuration(listen=(listen,), **configuration))
        self.addCleanup(self.stop, proxy)
        self.services.append(proxy)
        proxy.startService()

    def stop(self, proxy: ProxyService) -> Deferred[None]:
        """
        Stop a proxy, whatever it is doing.
        """
        proxy.drain = 0
        return proxy.stopService()

    @inlineCallbacks
    def join(
        self, endpoint: IStreamClientEndpoint, client: Peer | None = None
    ) -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        Connect to the target.

        @return: The client and the target.
        """
        accepted = self.targets.connected
        made = client or Peer()
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: made  # type: ignore[assignment]
        connected = yield endpoint.connect(factory)
        self.assertIs(connected, made)
        self.addCleanup(self.disconnect, made)
        target = yield accepted
        self.addCleanup(self.disconnect, target)
        return made, target

    def disconnect(self, peer: Peer) -> Deferred[bool]:
        """
        Drop a connection and wait for it to be gone.
        """
        assert peer.transport is not None
        peer.transport.abortConnection()  # type: ignore[attr-defined]
        return peer.lost

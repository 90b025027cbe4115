"""
A reactor in memory that listens, for tests of whole proxies.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import TestCase
from unittest.mock import patch

import twisted.internet
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from zope.interface import implementer

from socksproxy.testing import MemoryTransport, ScriptedNetwork, tcpAddress


def installReactor(test: TestCase, reactor: object) -> None:
    """
    Make something the process's reactor while a test runs.
    """
    patcher = patch.object(twisted.internet, "reactor", reactor, create=True)
    patcher.start()
    test.addCleanup(patcher.stop)


class MemoryReactor(ScriptedNetwork):
    """
    A network by a script that can also be listened on, and the part of a
    reactor that starts and stops.

    @ivar ports: The ports that have been listened on, in order.
    @ivar taken: Ports that are not to be had.
    @ivar running: What was to be called when it runs has been.
    @ivar stopped: How often it has been told to stop.
    @ivar threads: The size of the thread pool that was asked for.
    """

    def __init__(self, world: Mapping[str, str | Sequence[str]] | None = None) -> None:
        super().__init__(world)
        self.ports: list[MemoryPort] = []
        self.taken: set[object] = set()
        self.running = False
        self.stopped = 0
        self.threads = 0
        self._starting: list[Callable[[], object]] = []
        self._triggers: dict[tuple[str, str], list[Callable[[], object]]] = {}

    @property
    def listening(self) -> list[MemoryPort]:
        """
        Give the ports that are open.
        """
        return [port for port in self.ports if port.isOpen]

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        See C{IReactorTCP}.
        """
        if port in self.taken:
            error = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(interface, port, error)
        return self._listen(tcpAddress(interface or "0.0.0.0", port or 40000), factory)

    def listenUNIX(
        self,
        address: Any,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """
        See C{IReactorUNIX}.
        """
        return self._listen(UNIXAddress(os.fsencode(address)), factory)

    def callWhenRunning(self, function: Callable[..., object], *arguments: object) -> None:
        """
        See C{IReactorCore}.
        """
        if self.running:
            function(*arguments)
        else:
            self._starting.append(lambda: function(*arguments))

    def run(self) -> None:
        """
        Begin to run, and come back.
        """
        self.running = True
        starting, self._starting = self._starting, []
        for function in starting:
            function()

    def stop(self) -> None:
        """
        See C{IReactorCore}.
        """
        self.stopped += 1

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """
        See C{IReactorFromThreads}. The call comes with the next turn.
        """
        self.callLater(0, function, *arguments)

    def suggestThreadPoolSize(self, size: int) -> None:
        """
        See C{IReactorThreads}.
        """
        self.threads = size

    def addSystemEventTrigger(
        self, phase: str, event: str, function: Callable[[], object]
    ) -> tuple[str, str]:
        """
        See C{IReactorCore}.
        """
        self._triggers.setdefault((phase, event), []).append(function)
        return phase, event

    def fire(self, phase: str, event: str) -> None:
        """
        Do what was to be done at an event.
        """
        for function in self._triggers.pop((phase, event), []):
            function()

    def _listen(self, address: IAddress, factory: Any) -> MemoryPort:
        port = MemoryPort(self, address, factory)
        self.ports.append(port)
        factory.doStart()
        return port


@implementer(IListeningPort)
class MemoryPort:
    """
    A port that a test can connect to.

    @ivar isOpen: It has not been closed.
    """

    def __init__(self, reactor: MemoryReactor, address: IAddress, factory: Any) -> None:
        self._reactor = reactor
        self._address = address
        self._factory = factory
        self.isOpen = True

    def connect(self, peer: IAddress | None = None) -> MemoryTransport:
        """
        Connect to it.

        @param peer: From where.
        @raise ConnectionRefusedError: It is closed.
        """
        if not self.isOpen:
            raise ConnectionRefusedError
        return MemoryTransport.connect(self._reactor, self._factory, self._address, peer)

    def startListening(self) -> None:
        """
        See C{IListeningPort}.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}.
        """
        if self.isOpen:
            self.isOpen = False
            self._factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        """
        See C{IListeningPort}.
        """
        return self._address

"""
What the proxy under examination is asked to reach, and who asks.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress

GOODBYE = b"goodbye"
"""
What the target says when it has read the end of the stream.
"""


@implementer(IHalfCloseableProtocol)
class _Echo(Protocol):
    """
    Sends back what comes, and says goodbye at the end.
    """

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.transport.write(GOODBYE)
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Nothing more is written anyway.
        """


class _DatagramEcho(DatagramProtocol):
    """
    Sends datagrams back.
    """

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self.transport is not None:
            self.transport.write(datagram, addr)


class Targets:
    """
    Servers on one address of this host, for the proxy to connect to.

    @ivar host: The address.
    @ivar port: Where streams are echoed.
    @ivar datagramPort: Where datagrams are echoed.
    @ivar closedPort: Where nobody listens, and nobody else will.
    """

    def __init__(self, reactor: Any, host: IPAddress) -> None:
        """
        @param reactor: What listens.
        @param host: The address.
        @raise CannotListenError: It is not of this host.
        """
        self.host = host
        factory = Factory.forProtocol(_Echo)
        factory.noisy = False
        self._listener = reactor.listenTCP(0, factory, interface=str(host))
        self._datagrams = reactor.listenUDP(0, _DatagramEcho(), str(host), 65535)
        family = socket.AF_INET if host.version == 4 else socket.AF_INET6
        self._closed = socket.socket(family, socket.SOCK_STREAM)
        self._closed.bind((str(host), 0))
        self.port: int = self._listener.getHost().port
        self.datagramPort: int = self._datagrams.getHost().port
        self.closedPort: int = self._closed.getsockname()[1]

    def close(self) -> None:
        """
        Close everything.
        """
        self._listener.stopListening()
        self._datagrams.stopListening()
        self._closed.close()


@implementer(IHalfCloseableProtocol)
class Conversation(Protocol):
    """
    Our side of a connection through the proxy.

    @ivar received: What has come.
    @ivar ended: Nothing more comes.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.ended = False
        self._waiting: list[tuple[int | None, Deferred[bytes]]] = []

    def octets(self, count: int) -> Deferred[bytes]:
        """
        Wait for so many octets, or for the end if that is sooner.
        """
        return self._wait(count)

    def end(self) -> Deferred[bytes]:
        """
        Wait for the end of the stream.

        @return: All that has come.
        """
        return self._wait(None)

    def dataReceived(self, data: bytes) -> None:
        """
        Keep what comes.
        """
        self.received += data
        self._look()

    def readConnectionLost(self) -> None:
        """
        Nothing more comes.
        """
        self.ended = True
        self._look()

    def writeConnectionLost(self) -> None:
        """
        Our half has been closed.
        """

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Nothing more comes, and nothing more goes.
        """
        self.ended = True
        self._look()

    def _wait(self, count: int | None) -> Deferred[bytes]:
        waiting: Deferred[bytes] = Deferred()
        self._waiting.append((count, waiting))
        self._look()
        return waiting

    def _look(self) -> None:
        for entry in list(self._waiting):
            count, waiting = entry
            if self.ended or (count is not None and len(self.received) >= count):
                self._waiting.remove(entry)
                if not waiting.called:
                    waiting.callback(self.received)


class Correspondence(DatagramProtocol):
    """
    Our side of an association with the proxy.
    """

    noisy = False

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Take the first answer.
        """
        if not self.answer.called:
            self.answer.callback(datagram)

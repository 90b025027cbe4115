"""
Sockets for single questions by UDP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from socksproxy.address import Destination, hostFromText
from socksproxy.interfaces import IDatagramConduit, Received
from socksproxy.relay.datagrams import listenUDP, sendDatagram

ConduitFor = Callable[[Received], Deferred[IDatagramConduit]]
"""
Opens a way for datagrams, given what takes those that come.
"""


@implementer(IDatagramConduit)
class OwnSocket(DatagramProtocol):
    """
    A socket for the datagrams to one name server, on a port that the kernel
    chooses.
    """

    noisy = False
    dropped = (0, 0)

    def __init__(self, reactor: Any, version: int, received: Received) -> None:
        """
        @param reactor: What opens it.
        @param version: The version of IP.
        @param received: Called with what comes.
        @raise CannotListenError: There is no such socket.
        """
        self._received = received
        self._port = listenUDP(reactor, 0, self, "0.0.0.0" if version == 4 else "::")  # noqa: S104

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit}.
        """
        return sendDatagram(self.transport, data, (str(destination.host), destination.port))

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """
        self._port.stopListening()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        See C{DatagramProtocol}.
        """
        host = hostFromText(addr[0])
        if host is not None:
            self._received(datagram, Destination(host, addr[1]))


def straight(reactor: Any, address: Destination) -> ConduitFor:
    """
    Go straight to an address.

    @param reactor: What opens sockets.
    """
    version = 6 if isinstance(address.host, str) else address.host.version

    def conduitFor(received: Received) -> Deferred[IDatagramConduit]:
        return succeed(OwnSocket(reactor, version, received))

    return conduitFor

"""
From the first byte to the answer: what a protocol of its own makes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Protocol as Interface

from twisted.python.failure import Failure

from socksproxy.address import IPAddress
from socksproxy.errors import RequestFailed

if TYPE_CHECKING:
    from socksproxy.inbound.connection import InboundConnection
    from socksproxy.inbound.protocol import InboundProtocol

LINGER_OCTETS = 65536
"""
Octets that are read on from a client that has been refused.
"""


class Answers(Interface):
    """
    How a protocol answers a request to connect.
    """

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        Give the message of success.

        @param host: Our own address on the connection to the target.
        """

    def refused(self, error: RequestFailed) -> bytes:
        """
        Give the message of failure.
        """

    def takeEarlyData(self) -> bytes:
        """
        Give what the client sent after its request.
        """


class Handshake:
    """
    The receiver of a connection until its request is made and answered. A
    subclass implements C{dataReceived}, also for what comes while it waits.
    """

    def __init__(self, connection: InboundProtocol) -> None:
        self.connection = connection

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client.
        """
        raise NotImplementedError

    def readConnectionLost(self) -> None:
        """
        The client sends no more.
        """
        self.connection.clientEnded()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self.connection.clientLost(reason)


class Lingering:
    """
    Reads on after a last answer and throws away what comes. Closing a socket
    that has unread bytes makes the kernel send a reset, which can destroy the
    answer before the client has read it.
    """

    def __init__(self, connection: InboundConnection) -> None:
        self._connection = connection
        self._discarded = 0

    def dataReceived(self, data: bytes) -> None:
        """
        Throw bytes away, up to a limit.
        """
        self._discarded += len(data)
        if self._discarded > LINGER_OCTETS:
            self._connection.transport.loseConnection()

    def readConnectionLost(self) -> None:
        """
        The client has read the answer, or will not.
        """
        self._connection.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self._connection.clientLost(reason)

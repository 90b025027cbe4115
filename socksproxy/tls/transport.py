"""
TLS as a transport: Twisted's, with the ends of connections as a relay needs
them.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

CLOSE_TIMEOUT = 30.0
"""
Seconds that a peer gets to answer our C{close_notify}. Twisted would wait for
ever.
"""


class TLSTransport(BufferingTLSTransport):
    """
    A TLS connection over any transport. It has no half-close: the end of
    either direction is that of both.

    The other side's C{close_notify} is told to the protocol as
    C{ConnectionDone}, and an end without one as C{ConnectionLost}; both are
    Twisted's doing.
    """

    factory: TLSFactory
    transport: Any

    _closing: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        super().dataReceived(data)
        if self._shutdown & SSL.RECEIVED_SHUTDOWN:
            # Nothing more is sent, and the transport below does not close
            # before its producer, if that is paused, has produced something.
            self.unregisterProducer()

    def loseConnection(self) -> None:
        """
        See C{ITransport}. A peer that does not answer is not waited for any
        longer than L{CLOSE_TIMEOUT}.
        """
        super().loseConnection()
        if self.connected and self._closing is None:
            self._waitForPeer()

    def loseWriteConnection(self) -> None:
        """
        Close both directions. A half-close of the transport below would be an
        end without a C{close_notify}.
        """
        self.loseConnection()

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}. The peer must not take it for the end of the
        stream, so it gets no C{close_notify}, which Twisted leaves to the
        transport below to throw away.
        """
        if self.connected:
            self.getHandle().set_shutdown(self._shutdown | SSL.SENT_SHUTDOWN)
            super().abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.cancel()
        super().connectionLost(reason)

    @property
    def _shutdown(self) -> int:
        """
        Which sides have sent their C{close_notify}, in OpenSSL's bits.
        """
        connection: SSL.Connection | None = self.getHandle()
        return 0 if connection is None else connection.get_shutdown()

    def _waitForPeer(self) -> None:
        self._closing = self.factory.clock.callLater(CLOSE_TIMEOUT, self._closeAlone)

    def _closeAlone(self) -> None:
        self._closing = None
        if self._shutdown & SSL.SENT_SHUTDOWN:
            self.transport.loseConnection()
        else:
            # Somebody is still writing.
            self._waitForPeer()


class TLSFactory(TLSMemoryBIOFactory):
    """
    Puts the connections of another factory into TLS.

    @ivar clock: Time.
    """

    protocol = TLSTransport

    def __init__(
        self, creator: Any, isClient: bool, wrapped: IProtocolFactory, clock: IReactorTime
    ) -> None:
        """
        @param creator: As from L{clientTLS<socksproxy.tls.clientTLS>} or
            L{serverTLS<socksproxy.tls.serverTLS>}.
        @param isClient: We begin.
        @param wrapped: Makes the protocols.
        @param clock: Time.
        """
        super().__init__(creator, isClient, wrapped, clock)
        self.clock = clock

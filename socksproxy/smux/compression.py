"""
Compression of a whole connection, as kcptun has it below smux::

    endpoint.connect(compressed(factory, reactor))

What is above has a transport that behaves as the connection does, of which
what is written is compressed and what comes is decompressed. Every write can be
read by the peer at once, so small ones are better joined.

It needs the extra C{snappy}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from socksproxy.errors import RemoteProtocolError
from socksproxy.events import Ration, log
from socksproxy.smux._chunks import requireSnappy
from socksproxy.smux._snappy import Decoder, Encoder
from socksproxy.state import placeOf

__all__ = ["CompressedFactory", "CompressedProtocol", "compressed"]


class CompressedProtocol(ProtocolWrapper):
    """
    A compressed connection: the protocol of its carrier, and the transport of
    what is above.

    A protocol that has paused it is given nothing more, not even what has come
    already: that could be twenty times as much as it was when it came. As over
    TCP, it is given nothing more either once it has asked for the end. Where
    the peer does not send what it should, the carrier is aborted, and the
    protocol is told what was wrong as the reason.

    What the carrier can do beyond this, a half-close for example, it does.
    """

    factory: CompressedFactory
    transport: Any
    wrappedProtocol: Any

    def __init__(self, factory: CompressedFactory, wrappedProtocol: Any) -> None:
        """
        @param factory: Has the clock.
        @param wrappedProtocol: What is above.
        @raise ConfigurationError: The extra is not installed.
        """
        super().__init__(factory, wrappedProtocol)  # type: ignore[arg-type]
        self._encoder = Encoder()
        self._decoder = Decoder()
        # What is above wants nothing now, or gets nothing any more.
        self._paused = False
        self._over = False
        self._carrierPaused = False
        # Something may be left that has come; the end has come too, which is
        # still to be told; the carrier is gone.
        self._more = False
        self._readEnded = False
        self._lost = False
        self._delivering = False
        self._later: IDelayedCall | None = None
        # Why the connection ends, if the carrier does not know.
        self._reason: Failure | None = None

    @property
    def carrier(self) -> Any:
        """
        The transport below.
        """
        return self.transport

    def makeConnection(self, transport: Any) -> None:
        """
        See C{IProtocol}. A carrier tells half-closes only to whom they matter.
        """
        halfCloseable = IHalfCloseableProtocol.providedBy(self.wrappedProtocol)
        super().makeConnection(transport)
        if halfCloseable:
            alsoProvides(self, IHalfCloseableProtocol)

    # What is called from above.

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        if data:
            self.transport.write(self._encoder.encode(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        See C{ITransport}. All of it is compressed together.
        """
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        self._over = True
        super().loseConnection()

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        self._over = True
        self.disconnecting = True
        # Not every transport has it.
        getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._paused = self._carrierPaused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}. What has come already is given first, and not
        within this call.
        """
        self._paused = False
        if self._delivering or self._later is not None:
            return
        if self._more:
            self._later = self.factory.clock.callLater(0, self._deliverLater)
        else:
            self._resumeCarrier()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.loseConnection()

    # What is called from below.

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        if not self._over:
            self._decoder.feed(data)
            self._more = True
            if self._later is None:
                self._deliver()

    def readConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        self._readEnded = True
        self._more = True
        if self._later is None:
            self._deliver()

    def writeConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        self.wrappedProtocol.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}. What had come before is given to the protocol first,
        unless it has asked for the end itself.
        """
        if self._later is not None:
            self._later.cancel()
            self._later = None
        # There is nothing left to resume.
        self._carrierPaused = False
        self._lost = True
        try:
            self._deliver()
            if reason.check(ConnectionDone) and not (self._more or self._over):
                self._end()
        finally:
            self._over = True
            super().connectionLost(self._reason or reason)

    def _deliver(self) -> None:
        """
        Give what is above all that it wants of what has come, and then let
        more come.
        """
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._more and not self._over and (self._lost or not self._paused):
                piece = self._decompress()
                if piece:
                    self.wrappedProtocol.dataReceived(piece)
        except Exception:
            # What has failed is given nothing more.
            self._over = True
            raise
        finally:
            self._delivering = False
        if self._more:
            return
        if self._readEnded:
            self._readEnded = False
            if self._end():
                self.wrappedProtocol.readConnectionLost()
        else:
            self._resumeCarrier()

    def _decompress(self) -> bytes:
        try:
            piece = self._decoder.next()
        except RemoteProtocolError as e:
            self._refuse(e)
            return b""
        self._more = bool(piece)
        return piece

    def _end(self) -> bool:
        """
        Say whether the peer's stream has ended as it should; if not, fail.
        """
        try:
            self._decoder.endOfStream()
        except RemoteProtocolError as e:
            self._refuse(e)
            return False
        return True

    def _deliverLater(self) -> None:
        self._later = None
        try:
            self._deliver()
        except Exception:
            # As a carrier does it when what it calls fails.
            log.failure("A protocol over a compressed connection failed")
            self._fail(Failure())

    def _resumeCarrier(self) -> None:
        if self._carrierPaused:
            self._carrierPaused = False
            self.transport.resumeProducing()

    def _refuse(self, error: RemoteProtocolError) -> None:
        """
        Fail for what the peer has sent, and say so to whoever set this up.
        """
        factory: Any = self.factory
        if factory.ration.take(factory.clock.seconds()):
            log.warn(
                "A compressed connection with {peer} ended: {error}",
                peer=placeOf(self.getPeer()),
                error=str(error),
            )
        self._fail(Failure(error))

    def _fail(self, reason: Failure) -> None:
        """
        Drop the connection, if it is still there, for a reason.
        """
        self._reason = reason
        self._over = True
        if not self._lost:
            self.abortConnection()


class CompressedFactory(WrappingFactory):
    """
    Compresses the connections of another factory.

    @ivar clock: Time.
    @ivar ration: How often to log what peers have done wrong.
    """

    protocol = CompressedProtocol
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        """
        @param wrapped: Makes the protocols.
        @param clock: Time.
        @raise ConfigurationError: The extra is not installed.
        """
        requireSnappy()
        super().__init__(wrapped)
        self.clock = clock
        self.ration = Ration()

    def buildProtocol(self, addr: IAddress | None) -> CompressedProtocol | None:  # type: ignore[override]
        """
        See C{IProtocolFactory}.

        @return: L{None} where the other factory makes none.
        """
        wrapped = self.wrappedFactory.buildProtocol(addr)
        return None if wrapped is None else self.protocol(self, wrapped)


def compressed(wrapped: IProtocolFactory, clock: IReactorTime) -> CompressedFactory:
    """
    Compress the connections of a factory.

    @param wrapped: Makes the protocols.
    @param clock: Time.
    @raise ConfigurationError: The extra is not installed.
    """
    return CompressedFactory(wrapped, clock)

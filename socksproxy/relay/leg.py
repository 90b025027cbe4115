"""
One of the two connections that a relay joins.
"""

from __future__ import annotations

from socket import SO_ERROR, SOL_SOCKET, socket
from typing import Protocol as Interface

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress, hostFromText
from socksproxy.errors import SOCKSProxyError
from socksproxy.relay.protected import ProtectedTransport, StreamProtection


class StreamTransport(Interface):
    """
    What a relay needs of a transport, and what every stream transport of
    Twisted's has: ITransport, IPushProducer and IConsumer in one.
    """

    def write(self, data: bytes) -> None:
        """
        See ITransport.
        """

    def loseConnection(self) -> None:
        """
        See ITransport.
        """

    def getHost(self) -> IAddress:
        """
        See ITransport.
        """

    def getPeer(self) -> IAddress:
        """
        See ITransport.
        """

    def pauseProducing(self) -> None:
        """
        See IPushProducer.
        """

    def resumeProducing(self) -> None:
        """
        See IPushProducer.
        """

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """
        See IConsumer.
        """

    def unregisterProducer(self) -> None:
        """
        See IConsumer.
        """


class Receiver(Interface):
    """
    Whoever holds a L{Leg} at the moment and is told what happens on it.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Bytes came.
        """

    def readConnectionLost(self) -> None:
        """
        The peer sends no more and may still read.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone in both directions.
        """


@implementer(IHalfCloseableProtocol)
class Leg(Protocol):
    """
    A connection whose holder can change, from a handshake to a relay, say,
    while the transport keeps its one protocol.

    Without a holder a leg does not read, and what happens to it anyway is kept
    until there is one.
    """

    transport: StreamTransport  # type: ignore[assignment]

    _protection: StreamProtection | None = None

    def __init__(self) -> None:
        self._receiver: Receiver = _Unheld()

    def connectionMade(self) -> None:
        """
        Stop reading until somebody holds this leg.
        """
        if isinstance(self._receiver, _Unheld):
            self.transport.pauseProducing()

    def hold(self, receiver: Receiver) -> None:
        """
        Change the holder, and let the new one know what nobody has been told.
        Reading is not resumed.
        """
        previous, self._receiver = self._receiver, receiver
        if isinstance(previous, _Unheld):
            previous.tell(receiver)

    def protect(self, protection: StreamProtection) -> None:
        """
        From now on put a protection around every byte, in both directions. The
        holder sees nothing of it, unless the peer breaks it.

        @param protection: What comes next on this connection begins with it.
        """
        self._protection = protection
        self.transport = ProtectedTransport(self.transport, protection)

    def protectionBroken(self, error: SOCKSProxyError) -> None:
        """
        What came is not what the peer has written, or has lost its end: drop
        the connection, and pass nothing of it on.

        @param error: What is wrong.
        """
        abort(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what came.
        """
        if self._protection is not None:
            try:
                data = self._protection.unwrap(data)
            except SOCKSProxyError as e:
                self.protectionBroken(e)
                return
            if not data:
                return
        self._receiver.dataReceived(data)

    def readConnectionLost(self) -> None:
        """
        Pass on that the peer sends no more.
        """
        if _isBroken(self.transport):
            abort(self.transport)
            return
        if self._protection is not None:
            try:
                self._protection.endOfStream()
            except SOCKSProxyError as e:
                self.protectionBroken(e)
                return
        self._receiver.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """
        Pass on that our own half-close has been carried out, to whom it
        matters; a relay has nothing to do then.
        """
        told = getattr(self._receiver, "writeConnectionLost", None)
        if told is not None:
            told()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Pass on that the connection is gone. Nobody holds it after that, so
        that it and its buffers are freed at once and not when a garbage
        collection finds them.
        """
        if self._protection is not None and reason.check(ConnectionDone):
            # As over TLS, which has no end of one direction only.
            try:
                self._protection.endOfStream()
            except SOCKSProxyError:
                reason = Failure()
        receiver = self._receiver
        if not isinstance(receiver, _Unheld):
            self._receiver = _GONE
        receiver.connectionLost(reason)

    def localAddress(self) -> tuple[IPAddress | None, int]:
        """
        Give our own address on this connection.

        @return: Address and port, or C{(None, 0)} where the transport has no
            such thing.
        """
        return addressAndPort(self.transport.getHost())


class _Gone:
    """
    The receiver of a leg whose loss has been told.
    """

    def dataReceived(self, data: bytes) -> None:
        pass

    def readConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        pass


_GONE = _Gone()


class _Unheld:
    """
    The receiver of a leg that nobody holds yet. What comes in spite of a
    paused transport is at most what its one read had already given.
    """

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._ended = False
        self._reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self._data.append(data)

    def readConnectionLost(self) -> None:
        self._ended = True

    def connectionLost(self, reason: Failure) -> None:
        self._reason = reason

    def tell(self, receiver: Receiver) -> None:
        for data in self._data:
            receiver.dataReceived(data)
        if self._reason is not None:
            receiver.connectionLost(self._reason)
        elif self._ended:
            receiver.readConnectionLost()


def addressAndPort(address: object) -> tuple[IPAddress | None, int]:
    """
    Read a transport's address.

    @return: Address and port, or C{(None, 0)} for any address that is not of
        IP.
    """
    address = outermost(address)
    if isinstance(address, IPv4Address | IPv6Address):
        return hostFromText(address.host), address.port
    return None, 0


def outermost(address: object) -> object:
    """
    Give the address of what carries a stream, be it carried itself, as the
    network sees it. One that is carried tells by an attribute C{carrier}.
    """
    while (carrier := getattr(address, "carrier", None)) is not None:
        address = carrier
    return address


def endStream(transport: StreamTransport) -> None:
    """
    Send the end of our stream once everything written has gone out. TLS knows
    no half-close, so there the whole connection ends.
    """
    if not ISSLTransport.providedBy(transport):
        loseWriteConnection = getattr(transport, "loseWriteConnection", None)
        if loseWriteConnection is not None:
            loseWriteConnection()
            return
    transport.loseConnection()


def _isBroken(transport: StreamTransport) -> bool:
    """
    Tell whether what the reactor takes for the end of a stream is a reset. The
    kernel may be seen to tell of the error a moment before it lets anybody read
    it, and then a reactor sees no more than that all is over.
    """
    below = getattr(transport, "socket", None)
    try:
        return isinstance(below, socket) and below.getsockopt(SOL_SOCKET, SO_ERROR) != 0
    except OSError:
        return False


def abort(transport: StreamTransport) -> None:
    """
    Drop a connection so that the peer sees a reset where the transport has
    such a thing.
    """
    abortConnection = getattr(transport, "abortConnection", transport.loseConnection)
    abortConnection()

"""
What an application's protocol has for a transport when a proxy stands between
it and its peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from socksproxy.errors import LocalProtocolError
from socksproxy.events import log
from socksproxy.relay import Leg
from socksproxy.relay.leg import StreamTransport, abort
from socksproxy.relay.sockets import backlogOf


class TunnelTransport:
    """
    The transport to the proxy, except that its peer is who was asked for.
    Everything else that the transport below can do, this one can:
    half-closing, C{startTLS}, producers, C{abortConnection}.

    @ivar transport: The transport below.
    @ivar producer: What the application has registered.
    @ivar paused: The application does not want to be given anything.
    @ivar closing: The application has closed it.
    """

    def __init__(
        self,
        transport: StreamTransport,
        peer: IAddress,
        resumed: Callable[[], None] = lambda: None,
        startTLS: Callable[[TLSMemoryBIOFactory], Any] = lambda factory: None,
    ) -> None:
        """
        @param transport: The transport to the proxy.
        @param peer: The address of the target as it was asked for.
        @param resumed: Called when the application wants to be given
            something again, before the transport below gives it anything.
        @param startTLS: Puts TLS before the application's protocol.
        """
        self._resumed = resumed
        self._startTLS = startTLS
        self._streaming = True
        self.transport = transport
        self.producer: IPushProducer | IPullProducer | None = None
        self.paused = False
        self.closing = False
        self._peer = peer
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        See C{ITransport}.
        """
        self.transport.write(b"".join(data))

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        self.closing = True
        self.transport.loseConnection()

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        self.closing = True
        abort(self.transport)

    def getHost(self) -> IAddress:
        """
        See C{ITransport}. The address is our own on the way to the proxy.
        """
        return self.transport.getHost()

    def getPeer(self) -> IAddress:
        """
        See C{ITransport}.

        @return: The target, a name if it was asked for by name.
        """
        return self._peer

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.paused = False
        self._resumed()
        if not self.paused:
            self.transport.resumeProducing()

    def leave(self) -> None:
        """
        Let go of who is told of things, since the connection is gone.
        """
        self._resumed = _nothing
        self._startTLS = _gone

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """
        See C{ITLSTransport}. TLS begins between the application and the
        target, inside of whatever there is between us and the proxy.
        """
        producer, streaming = self.producer, self._streaming
        if producer is not None:
            self.unregisterProducer()
        nothing: Any = None
        factory = TLSMemoryBIOFactory(contextFactory, normal, nothing)
        below, tls = self.transport, self._startTLS(factory)
        self.transport = tls
        tls.makeConnection(below)
        directlyProvides(self, providedBy(tls), ISSLTransport)
        if producer is not None:
            self.registerProducer(producer, streaming)

    def registerProducer(self, producer: IPushProducer | IPullProducer, streaming: bool) -> None:
        """
        See C{IConsumer}.
        """
        self.transport.registerProducer(producer, streaming)  # type: ignore[arg-type]
        self.producer, self._streaming = producer, streaming

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self.producer = None
        self.transport.unregisterProducer()


def _nothing() -> None:
    """
    Nobody is interested any more.
    """


def _gone(factory: object) -> NoReturn:
    raise LocalProtocolError("the connection is gone")


class Application:
    """
    Holds the leg to the proxy on behalf of an application's protocol.
    """

    def __init__(
        self,
        leg: Leg,
        protocol: IProtocol,
        peer: IAddress,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param leg: The connection, with the proxy's answer read.
        @param protocol: The application's.
        @param peer: The address of the target.
        @param over: Called when the protocol knows that it is gone.
        """
        self._over = over
        self._leg = leg
        self._protocol = protocol
        self._earlyData = b""
        self._begun = False
        self._ended = False
        self._lost = False
        self._tunnel = TunnelTransport(leg.transport, peer, self._resumed, self._startTLS)

    def connect(self) -> None:
        """
        Tell the protocol that it is connected. It may do whatever a protocol
        may do then, but is given no bytes yet.
        """
        self._leg.hold(self)
        self._protocol.makeConnection(self._tunnel)  # type: ignore[arg-type]

    def begin(self, earlyData: bytes, paused: bool = False) -> None:
        """
        Give the protocol what has come for it, and what comes from now on.

        @param earlyData: What came together with the proxy's answer.
        @param paused: Nobody has read since.
        """
        self._begun = True
        self._earlyData = earlyData + self._earlyData
        if self._tunnel.paused:
            # It says itself when it is ready.
            return
        self._resumed()
        if paused and not self._tunnel.paused:
            self._leg.transport.resumeProducing()

    def abandon(self) -> None:
        """
        Drop the connection, and give the protocol nothing any more.
        """
        self._tunnel.abortConnection()

    def _startTLS(self, factory: TLSMemoryBIOFactory) -> TLSMemoryBIOProtocol:
        """
        Put TLS before the protocol, which knows already that it is connected.
        """
        tls = TLSMemoryBIOProtocol(factory, self._protocol, False)
        self._protocol = tls
        return tls

    def _resumed(self) -> None:
        """
        Give the protocol what came before everything else.
        """
        if not self._begun or self._lost:
            return
        earlyData, self._earlyData = self._earlyData, b""
        if earlyData and not self._tunnel.closing:
            try:
                self._protocol.dataReceived(earlyData)
            except Exception:
                log.failure("An application failed on what it was sent")
                self._tunnel.abortConnection()
        if self._ended and not self._tunnel.paused:
            self._ended = False
            self.readConnectionLost()

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what came.
        """
        if self._lost:
            return
        if self._begun:
            self._protocol.dataReceived(data)
        else:
            # Some transports deliver as soon as they are asked to read.
            self._earlyData += data

    def writeConnectionLost(self) -> None:
        """
        Pass on that our half-close has been carried out.
        """
        if not self._lost and IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.writeConnectionLost()

    def readConnectionLost(self) -> None:
        """
        Pass on that the target sends no more; to a protocol that does not
        know half-closed connections, that is the end.
        """
        if not self._begun:
            self._ended = True
            return
        if self._lost:
            return
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.readConnectionLost()
            return
        producer = self._tunnel.producer
        if producer is not None:
            self._tunnel.unregisterProducer()
            producer.stopProducing()
        # As without a proxy, what the target has not taken by now is dropped.
        if backlogOf(self._leg.transport):
            self._tunnel.abortConnection()
        else:
            self._tunnel.loseConnection()
        self._lose(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure) -> None:
        """
        Pass on that the connection is gone.
        """
        self._lose(reason)

    def _lose(self, reason: Failure) -> None:
        """
        Tell the protocol, once, that it has lost its connection.
        """
        if self._lost:
            return
        self._lost = self._tunnel.closing = True
        protocol, over = self._protocol, self._over
        # They hold one another, and would wait for a garbage collection.
        self._tunnel.leave()
        del self._protocol, self._over
        try:
            protocol.connectionLost(reason)
        finally:
            over()

"""
TLS over any endpoint.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.tls.errors import CLOSED, TLSFailed, TLSTimedOut, handshakeFailure, lossOf
from socksproxy.tls.transport import TLSFactory, TLSTransport

TIMEOUT = 30.0
"""
Seconds for the handshake.
"""


def wrapTLSClient(
    clock: IReactorTime,
    endpoint: IStreamClientEndpoint,
    creator: IOpenSSLClientConnectionCreator,
    timeout: float = TIMEOUT,
) -> IStreamClientEndpoint:
    """
    Put TLS over a client endpoint of any kind, such as one that leads through
    a proxy.

    Other than with Twisted's C{wrapClientTLS}, a connection is made when the
    handshake is over. If it fails, the application's protocol does not come
    into being.

    @param clock: Time; usually the reactor.
    @param endpoint: Leads to the server.
    @param creator: As from L{clientTLS<socksproxy.tls.clientTLS>}.
    @param timeout: Seconds for the handshake, on top of what the endpoint
        takes.
    """
    return _TLSClientEndpoint(clock, endpoint, creator, timeout)


def wrapTLSServer(
    clock: IReactorTime,
    endpoint: IStreamServerEndpoint,
    creator: IOpenSSLServerConnectionCreator,
) -> IStreamServerEndpoint:
    """
    Put TLS over a server endpoint of any kind.

    Protocols are told of a connection before the handshake, so that they can
    limit how long that takes; they get no bytes from clients that fail it.

    @param clock: Time; usually the reactor.
    @param endpoint: Where clients come in.
    @param creator: As from L{serverTLS<socksproxy.tls.serverTLS>}.
    """
    return _TLSServerEndpoint(clock, endpoint, creator)


@implementer(IStreamClientEndpoint)
class _TLSClientEndpoint:
    """
    See L{wrapTLSClient}.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        creator: IOpenSSLClientConnectionCreator,
        timeout: float,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._creator = creator
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.

        @return: The protocol, connected; fails with a
            L{TLSFailed<socksproxy.tls.errors.TLSFailed>} if the handshake does.
        """

        def connected(tls: Any) -> Deferred[IProtocol]:
            session: _Session | None = tls.wrappedProtocol
            if session is None:
                raise TLSFailed(CLOSED)
            return session.wait().addTimeout(self._timeout, self._clock, self._tooLate)

        sessions = _SessionFactory(protocolFactory)
        connecting: Deferred[Any] = self._endpoint.connect(
            TLSFactory(self._creator, True, sessions, self._clock)
        )
        return connecting.addCallback(connected)

    def _tooLate(self, result: object, seconds: float) -> Failure:
        return Failure(TLSTimedOut(f"the TLS handshake took more than {seconds:g} s"))


@implementer(IStreamServerEndpoint)
class _TLSServerEndpoint:
    """
    See L{wrapTLSServer}.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamServerEndpoint,
        creator: IOpenSSLServerConnectionCreator,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._creator = creator

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}.
        """
        listening: Deferred[IListeningPort] = self._endpoint.listen(
            TLSFactory(self._creator, False, protocolFactory, self._clock)
        )
        return listening


class _SessionFactory(Factory):
    """
    Makes what waits for the handshake.
    """

    noisy = False

    def __init__(self, applications: IProtocolFactory) -> None:
        self._applications = applications

    def doStart(self) -> None:
        super().doStart()
        self._applications.doStart()

    def doStop(self) -> None:
        super().doStop()
        self._applications.doStop()

    def buildProtocol(self, addr: IAddress | None) -> _Session:
        return _Session(self._applications, addr)


@implementer(IHandshakeListener)
class _Session(Protocol):
    """
    Stands between a client's TLS and its application, which it keeps away
    until the handshake is over.
    """

    transport: TLSTransport

    def __init__(self, applications: IProtocolFactory, peer: IAddress | None) -> None:
        self._applications = applications
        self._peer = peer
        self._application: IProtocol | None = None
        self._failure: Failure | None = None
        self._waiting: Deferred[IProtocol] | None = None

    def wait(self) -> Deferred[IProtocol]:
        """
        Wait for the handshake.

        @return: Fires with the application's protocol. Cancelling drops the
            connection.
        """
        waiting: Deferred[IProtocol] = Deferred(lambda _: self.transport.abortConnection())
        self._waiting = waiting
        self._tell()
        return waiting

    def handshakeCompleted(self) -> None:
        try:
            application = self._applications.buildProtocol(self._peer)  # type: ignore[arg-type]
            if application is None:
                raise NoProtocol()
            application.makeConnection(self.transport)
        except Exception:
            self._failure = Failure()
            self.transport.abortConnection()
        else:
            self._application = application
            if IHandshakeListener.providedBy(application):
                application.handshakeCompleted()
        self._tell()

    def dataReceived(self, data: bytes) -> None:
        if self._application is not None:
            self._application.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        application, self._application = self._application, None
        self._failure = self._failure or handshakeFailure(reason)
        if application is not None:
            application.connectionLost(lossOf(reason))
        self._tell()

    def _tell(self) -> None:
        waiting = self._waiting
        if waiting is None or waiting.called:
            return
        if self._application is not None:
            waiting.callback(self._application)
        elif self._failure is not None:
            waiting.errback(self._failure)

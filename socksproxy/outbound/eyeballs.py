"""
Dialling several addresses of one host, the first to answer winning.

@see: U{https://www.rfc-editor.org/rfc/rfc8305}
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import cast

from twisted.internet import error as twistedError
from twisted.internet.base import BaseConnector
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress
from socksproxy.errors import (
    AddressTypeNotSupported,
    ConnectionRefused,
    ConnectTimedOut,
    GeneralFailure,
    HostUnreachable,
    NetworkUnreachable,
    NotAllowed,
    RequestFailed,
)

STAGGER = 0.25
"""
Seconds before the next address is tried beside those under way (RFC 8305
section 5).
"""

MAX_ADDRESSES = 16
"""
More than that no host needs, and no client may make us dial.
"""

_byErrno: dict[int, type[RequestFailed]] = {
    errno.EACCES: NotAllowed,
    errno.EPERM: NotAllowed,
    errno.ENETUNREACH: NetworkUnreachable,
    errno.ENETDOWN: NetworkUnreachable,
    errno.EADDRNOTAVAIL: NetworkUnreachable,
    errno.EAFNOSUPPORT: NetworkUnreachable,
    errno.EHOSTUNREACH: HostUnreachable,
    errno.EHOSTDOWN: HostUnreachable,
    errno.ECONNREFUSED: ConnectionRefused,
    errno.ECONNRESET: ConnectionRefused,
    errno.ETIMEDOUT: ConnectTimedOut,
}

# Where several addresses failed in several ways: what the client can make
# most of comes first.
_informative = (
    ConnectionRefused,
    HostUnreachable,
    NetworkUnreachable,
    ConnectTimedOut,
    NotAllowed,
    AddressTypeNotSupported,
    GeneralFailure,
)


def interleaved(addresses: Sequence[IPAddress]) -> list[IPAddress]:
    """
    Put the addresses in the order of trying them: the families in turn,
    beginning with that of the first, else in the order they came in.
    """
    first = [a for a in addresses if a.version == addresses[0].version]
    second = [a for a in addresses if a.version != addresses[0].version]
    pairs = chain.from_iterable(zip_longest(first, second))
    return [address for address in pairs if address is not None][:MAX_ADDRESSES]


def requestFailedFrom(failure: Failure) -> RequestFailed:
    """
    Say in our own terms why a connection attempt failed. The errno is looked
    at first, since Twisted has classes for few of them.
    """
    error = failure.value
    number = getattr(error, "osError", None)
    cls = _byErrno.get(number) if isinstance(number, int) else None
    if cls is not None:
        return cls()
    if isinstance(error, twistedError.ConnectionRefusedError):
        return ConnectionRefused()
    if isinstance(error, twistedError.NoRouteError):
        return NetworkUnreachable()
    if isinstance(error, twistedError.TimeoutError):
        return ConnectTimedOut()
    if isinstance(error, twistedError.ConnectError):
        return GeneralFailure("the connection failed")
    return GeneralFailure()


class Dial:
    """
    One race to a host's addresses.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        clock: IReactorTime,
        addresses: Sequence[IPAddress],
        port: int,
        factory: IProtocolFactory,
    ) -> None:
        """
        @param reactor: What dials.
        @param clock: Time.
        @param addresses: At least one address, all of them allowed.
        @param port: The port.
        @param factory: Makes the winner's protocol, and no other.
        """
        self._reactor = reactor
        self._clock = clock
        self._untried = interleaved(addresses)
        self._port = port
        self.factory = factory
        self._attempts: dict[_Attempt, IConnector] = {}
        self._failures: list[RequestFailed] = []
        self._next: IDelayedCall | None = None
        self._result: Deferred[IProtocol] = Deferred(lambda _: self._giveUp())

    def start(self) -> Deferred[IProtocol]:
        """
        Begin.

        @return: The winner's protocol, connected; fails with the most
            informative L{RequestFailed} when every address has failed.
            Cancelling ends all attempts.
        """
        self._tryNext()
        return self._result

    def _tryNext(self) -> None:
        self._next = None
        address = self._untried.pop(0)
        if self._untried:
            self._next = self._clock.callLater(STAGGER, self._tryNext)
        attempt = _Attempt(self)
        # The dial as a whole has a time limit, so a single attempt needs none.
        self._attempts[attempt] = self._reactor.connectTCP(
            str(address),
            self._port,
            attempt,
            timeout=None,  # type: ignore[arg-type]
        )

    def won(self, attempt: _Attempt, protocol: IProtocol) -> None:
        """
        An attempt has connected.
        """
        self._attempts.pop(attempt, None)
        self._giveUp()
        self._result.callback(protocol)

    def failed(self, attempt: _Attempt, failure: Failure) -> None:
        """
        An attempt has failed.
        """
        if self._attempts.pop(attempt, None) is None:
            return
        self._failures.append(requestFailedFrom(failure))
        if self._untried:
            if self._next is not None:
                self._next.cancel()
            self._tryNext()
        elif not self._attempts:
            self._result.errback(
                min(self._failures, key=lambda error: _informative.index(type(error)))
            )

    def _giveUp(self) -> None:
        """
        End whatever is under way.
        """
        if self._next is not None:
            self._next.cancel()
            self._next = None
        attempts, self._attempts = self._attempts, {}
        for connector in attempts.values():
            connector.disconnect()


class _Attempt(ClientFactory):
    """
    One connection attempt.
    """

    noisy = False

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress
    ) -> IProtocol | None:
        protocol = self._dial.factory.buildProtocol(addr)
        if protocol is None:
            self._dial.failed(self, Failure(GeneralFailure("nobody wants the connection")))
            return None
        if IHalfCloseableProtocol.providedBy(protocol):
            return _HalfCloseableAnnouncement(protocol, self)
        return _Announcement(protocol, self)

    def connected(self, protocol: IProtocol) -> None:
        self._dial.won(self, protocol)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """
        Take connector and transport apart, which hold one another, so that the
        transport's buffers are freed now and not with the garbage.
        """
        if isinstance(connector, BaseConnector):
            connector.transport = None

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._dial.failed(self, reason)


class _Announcement(Protocol):
    """
    Stands between transport and protocol to say when the protocol has been
    connected. Twisted's client endpoints have the same, but declare its
    interfaces for every connection anew, which costs more than the dial.
    """

    def __init__(self, protocol: IProtocol, attempt: _Attempt) -> None:
        self._protocol = protocol
        self._attempt = attempt

    def makeConnection(self, transport: ITransport) -> None:
        self._protocol.makeConnection(transport)
        self._attempt.connected(self._protocol)

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._protocol.connectionLost(reason)


@implementer(IHalfCloseableProtocol)
class _HalfCloseableAnnouncement(_Announcement):
    def readConnectionLost(self) -> None:
        cast(IHalfCloseableProtocol, self._protocol).readConnectionLost()

    def writeConnectionLost(self) -> None:
        cast(IHalfCloseableProtocol, self._protocol).writeConnectionLost()

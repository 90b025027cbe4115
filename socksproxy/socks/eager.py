"""
Going through a SOCKS5 proxy that is far away, without waiting for its answers.

The usual client waits three times: for the method, for the login, for the
reply. Over a session that is open already, an L{EagerSOCKS5ClientEndpoint}
needs one round trip from the application's first octet to the target's: it
sends everything at once, and is connected before the proxy has said a word.

The price is that C{connect} does not tell whether the target can be reached. If
it cannot, the connection is lost.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress
from socksproxy.client.endpoint import (
    TIMEOUT,
    addressOf,
    destinationFor,
    handOver,
    legs,
    notConnected,
    octetsOf,
    startedFor,
    tooLate,
)
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort
from socksproxy.relay.sockets import writeThrough
from socksproxy.socks._awaited import AwaitedAnswers, everything


@implementer(IStreamClientEndpoint)
class EagerSOCKS5ClientEndpoint:
    """
    Connects to a target through a SOCKS5 proxy, without waiting for it.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        host: str | bytes | IPAddress,
        port: int,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """
        @param reactor: Time.
        @param proxy: Leads to the proxy.
        @param host: The target's name, which may be international, or
            address.
        @param port: The target's port.
        @param username: Who we are, up to 255 octets; text is sent as UTF-8.
            Without it the proxy has to let anybody in.
        @param password: The same, for the password.
        @param timeout: Seconds for connecting to the proxy.
        @raise LocalProtocolError: The host is none, or something is too long
            to be sent.
        """
        self._reactor = reactor
        self._proxy = proxy
        self._destination = destinationFor(host, port)
        self._withLogin = username is not None
        user = None if username is None else octetsOf(username)
        self._message = everything(self._destination, user, octetsOf(password or b""))
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.

        @return: The protocol, connected to the proxy; fails with a
            L{ProxyFault<socksproxy.client.errors.ProxyFault>}.
        """
        result: Deferred[IProtocol] = Deferred(lambda _: asking.cancel())

        def connected(leg: IProtocol) -> None:
            sent = _Sent(cast(Leg, leg), self._message, AwaitedAnswers(self._withLogin))
            handOver(sent, protocolFactory, addressOf(self._destination), result)

        def failed(failure: Failure) -> None:
            if not result.called:
                result.errback(failure)

        startedFor(result, protocolFactory)
        asking: Deferred[IProtocol] = self._proxy.connect(legs).addErrback(notConnected)
        asking.addTimeout(self._timeout, self._reactor, tooLate)
        asking.addCallback(connected).addErrback(failed)
        return result


class _Sent:
    """
    A connection to a proxy that has been told everything.
    """

    paused = True

    def __init__(self, leg: Leg, message: bytes, answers: AwaitedAnswers) -> None:
        self.leg = leg
        writeThrough(leg.transport, message)
        leg.protect(answers)

    def release(self) -> bytes:
        return b""

    def abandon(self) -> None:
        abort(self.leg.transport)

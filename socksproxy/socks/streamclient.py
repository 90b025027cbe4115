"""
The client's side of UDP STREAM: datagrams that go to a proxy of ours over the
connection on which it was asked, and so through whatever carries that.

@see: L{socksproxy.socks._wirestream}
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IPushProducer, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination
from socksproxy.client.endpoint import (
    TIMEOUT,
    ProxiedRequest,
    legs,
    notConnected,
    octetsOf,
    tooLate,
)
from socksproxy.client.errors import ProxyFault
from socksproxy.client.negotiation import Negotiation
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort
from socksproxy.relay.sockets import writeThrough
from socksproxy.socks._awaited import AwaitedAnswers, everything
from socksproxy.socks._negotiation5 import ClientNegotiation
from socksproxy.socks._wire5 import Command
from socksproxy.socks._wirestream import FrameReader, FrameWriter
from socksproxy.socks.endpoints import methodsWith

_ANYWHERE = Destination(IPv4Address(0), 0)


def streamDatagrams(
    reactor: Any,
    proxy: IStreamClientEndpoint,
    received: Callable[[bytes, Destination], None],
    username: str | bytes | None = None,
    password: str | bytes | None = None,
    eager: bool = True,
    timeout: float = TIMEOUT,
) -> Deferred[StreamedDatagrams]:
    """
    Have a proxy of ours relay datagrams.

    @param reactor: Time.
    @param proxy: Leads to the proxy.
    @param received: Takes what others send, and who they are.
    @param username: Who we are, up to 255 octets; text is sent as UTF-8.
        Without it the proxy has to let anybody in.
    @param password: The same, for the password.
    @param eager: Wait for no answer of the proxy's. A refusal ends the
        association then.
    @param timeout: Seconds for connecting to the proxy, and for its answer if
        that is waited for.
    @return: Where to send datagrams; fails with a
        L{ProxiedConnectError<socksproxy.client.errors.ProxiedConnectError>}.
    @raise LocalProtocolError: User name or password is too long to be sent.
    """
    if not eager:
        methods = methodsWith(username, password)
        machine = ClientNegotiation(_ANYWHERE, methods, Command.UDP_STREAM)
        asking = ProxiedRequest(reactor, proxy, machine, timeout).start()
        return asking.addCallback(lambda answer: _granted(answer[0], received))
    user = None if username is None else octetsOf(username)
    message = everything(_ANYWHERE, user, octetsOf(password or b""), Command.UDP_STREAM)

    def connected(protocol: IProtocol) -> StreamedDatagrams:
        leg = cast(Leg, protocol)
        writeThrough(leg.transport, message)
        leg.protect(AwaitedAnswers(user is not None))
        return StreamedDatagrams(leg, received)

    connecting: Deferred[IProtocol] = proxy.connect(legs).addErrback(notConnected)
    connecting.addTimeout(timeout, reactor, tooLate)
    return connecting.addCallback(connected)


def _granted(
    negotiation: Negotiation, received: Callable[[bytes, Destination], None]
) -> StreamedDatagrams:
    return StreamedDatagrams(negotiation.leg, received, negotiation.release())


@implementer(IPushProducer)
class StreamedDatagrams:
    """
    One association. It lasts until one side ends it: we by L{close}, the proxy
    by closing the connection.

    @ivar ended: Fires when we have ended it, and fails with a
        L{ProxyFault<socksproxy.client.errors.ProxyFault>} when the proxy has.
    """

    def __init__(
        self,
        leg: Leg,
        received: Callable[[bytes, Destination], None],
        earlyData: bytes = b"",
    ) -> None:
        """
        @param leg: The connection, on which all that was to be said is.
        @param received: Takes what others send.
        @param earlyData: What has come already.
        """
        self.ended: Deferred[None] = Deferred()
        self._leg = leg
        self._received = received
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._full = False
        self._over = False
        leg.transport.registerProducer(self, True)
        if earlyData:
            self.dataReceived(earlyData)
        leg.hold(self)
        if not self._over:
            leg.transport.resumeProducing()

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        Send a datagram. What the connection has no room for is dropped, as
        datagrams are.

        @param destination: Its name or address, and port.
        @return: False if it was dropped.
        """
        if self._full:
            return False
        frame = self._writer.frame(data, destination)
        if frame is None:
            return False
        writeThrough(self._leg.transport, frame)
        return True

    def close(self) -> None:
        """
        Send and receive nothing more.
        """
        if not self._over:
            self._end()
            self.ended.callback(None)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}. The connection is slower than we are.
        """
        self._full = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._full = self._over

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}. The connection is gone, and will say so.
        """
        self._full = True

    def dataReceived(self, data: bytes) -> None:
        """
        Take datagrams from the proxy.
        """
        for payload, source in self._reader.receive(data):
            if self._over:
                return
            self._received(payload, source)
        if self._reader.error is not None:
            self._lost(f"the proxy sent a malformed datagram: {self._reader.error}")

    def readConnectionLost(self) -> None:
        """
        The proxy sends no more.
        """
        self._lost("the proxy has ended the association")

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone.
        """
        self._lost("the proxy has ended the association")

    def _lost(self, why: str) -> None:
        if not self._over:
            self._end()
            self.ended.errback(ProxyFault(why))

    def _end(self) -> None:
        self._over = self._full = True
        self._leg.transport.unregisterProducer()
        abort(self._leg.transport)

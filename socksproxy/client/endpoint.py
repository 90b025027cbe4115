"""
Connecting through a proxy: what the endpoints of all its protocols share.
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn, cast
from typing import Protocol as Interface

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress, hostFromName, normalized
from socksproxy.client.errors import (
    ProxyFault,
    ProxyTimedOut,
    ProxyUnreachable,
    connectErrorFrom,
)
from socksproxy.client.negotiation import InThread, Negotiation
from socksproxy.client.tunnel import Application
from socksproxy.errors import BadName, LocalProtocolError, RequestFailed
from socksproxy.events import log
from socksproxy.negotiation import ClientMachine
from socksproxy.relay import Leg

TIMEOUT = 30.0
"""
Seconds for connecting to the proxy and for its answer together.
"""

_EXPECTED = (ConnectError, ConnectionClosed, DNSLookupError, RequestFailed)

legs = Factory.forProtocol(Leg)
legs.noisy = False


def destinationFor(host: str | bytes | IPAddress, port: int, needsPort: bool = True) -> Destination:
    """
    Check a target.

    @param host: A name, which may be international, or an address.
    @param needsPort: 0 is no port.
    @raise LocalProtocolError: It is none.
    """
    if not int(needsPort) <= port <= 65535:
        raise LocalProtocolError(f"{port} is no port")
    try:
        checked: Host = hostFromName(octetsOf(host)) if isinstance(host, str | bytes) else host
    except (BadName, LocalProtocolError) as e:
        raise LocalProtocolError(f"{host!r} is no host: {e}") from e
    return Destination(checked if isinstance(checked, str) else normalized(checked), port)


def octetsOf(text: str | bytes) -> bytes:
    """
    Give what is sent for a text.

    @raise LocalProtocolError: It is none that can be sent.
    """
    try:
        return text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as e:
        raise LocalProtocolError("half a character cannot be sent") from e


def addressOf(destination: Destination, kind: Literal["TCP", "UDP"] = "TCP") -> IAddress:
    """
    Give the address of a target as Twisted's endpoints would.

    @param kind: What an IP address is for.
    """
    host = destination.host
    if isinstance(host, str):
        return HostnameAddress(host.encode("ascii"), destination.port)
    address = IPv4Address if host.version == 4 else IPv6Address
    return address(kind, str(host), destination.port)


class ProxiedRequest:
    """
    One request to one proxy, from the connection to the answer.
    """

    def __init__(
        self,
        clock: IReactorTime,
        proxy: IStreamClientEndpoint,
        machine: ClientMachine,
        timeout: float = TIMEOUT,
        inThread: InThread = deferToThread,
    ) -> None:
        """
        @param clock: Time; usually the reactor.
        @param proxy: Leads to the proxy.
        @param machine: Says what to say to it.
        @param timeout: Seconds from the connection attempt to the answer.
        @param inThread: Calls a function off the reactor's thread.
        """
        self._clock = clock
        self._proxy = proxy
        self._machine = machine
        self._timeout = timeout
        self._inThread = inThread

    def start(self) -> Deferred[tuple[Negotiation, Destination]]:
        """
        Ask.

        @return: The negotiation and what the proxy has bound; fails with a
            L{ProxiedConnectError}. Cancelling closes whatever is open.
        """
        connecting: Deferred[IProtocol] = self._proxy.connect(legs)
        asking = connecting.addErrback(notConnected).addCallback(self._connected)
        return asking.addTimeout(self._timeout, self._clock, tooLate)

    def _connected(self, leg: IProtocol) -> Deferred[tuple[Negotiation, Destination]]:
        negotiation = Negotiation(cast(Leg, leg), self._machine, self._inThread)
        return negotiation.start().addCallback(lambda bound: (negotiation, bound))


@implementer(IStreamClientEndpoint)
class ProxiedClientEndpoint:
    """
    Connects to one target through one proxy. A subclass makes the machine.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        destination: Destination,
        timeout: float = TIMEOUT,
    ) -> None:
        """
        @param reactor: Time.
        @param proxy: Leads to the proxy; may itself go through another.
        @param destination: The target.
        @param timeout: Seconds for connecting to the proxy and for its answer
            together.
        """
        self._reactor = reactor
        self._proxy = proxy
        self._destination = destination
        self._timeout = timeout

    def machine(self) -> ClientMachine:
        """
        Make the machine for one connection.

        @raise RequestFailed: The proxy's protocol has no word for the target.
        """
        raise NotImplementedError

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.

        @return: The protocol, connected; fails with a
            L{ProxiedConnectError<socksproxy.client.errors.ProxiedConnectError>}.
        """
        result: Deferred[IProtocol] = Deferred(lambda _: asking.cancel())

        def granted(answer: tuple[Negotiation, Destination]) -> None:
            negotiation, _ = answer
            handOver(negotiation, protocolFactory, addressOf(self._destination), result)

        def failed(failure: Failure) -> None:
            if not result.called:
                result.errback(failure)

        try:
            machine = self.machine()
        except RequestFailed as e:
            return fail(connectErrorFrom(e))
        startedFor(result, protocolFactory)
        asking = ProxiedRequest(self._reactor, self._proxy, machine, self._timeout).start()
        asking.addCallback(granted).addErrback(failed)
        return result


def startedFor(result: Deferred[IProtocol], factory: IProtocolFactory) -> Deferred[IProtocol]:
    """
    Start a factory for one connection. It is stopped when that has failed,
    and else when it is lost.

    @param result: Fires with the connection.
    """
    factory.doStart()

    def failed(failure: Failure) -> Failure:
        factory.doStop()
        return failure

    return result.addErrback(failed)


class Negotiated(Interface):
    """
    A connection to a proxy on which nothing is left to be settled.

    @ivar leg: The connection.
    @ivar paused: Nobody reads it.
    """

    leg: Leg
    paused: bool

    def release(self) -> bytes:
        """
        See L{Negotiation.release}.
        """

    def abandon(self) -> None:
        """
        See L{Negotiation.abandon}.
        """


def handOver(
    negotiation: Negotiated,
    factory: IProtocolFactory,
    peer: IAddress,
    result: Deferred[IProtocol],
) -> None:
    """
    Give a connection to the application that it was made for. What came
    together with the proxy's answer follows as soon as the application has
    been told that it is connected.

    @param negotiation: Is over.
    @param factory: Makes the application's protocol.
    @param peer: The address of the target.
    @param result: Fires with the protocol.
    """
    try:
        protocol = factory.buildProtocol(peer)
        if protocol is None:
            raise NoProtocol
        application = Application(negotiation.leg, protocol, peer, factory.doStop)
        earlyData = negotiation.release()
        application.connect()
    except Exception:
        negotiation.abandon()
        if not result.called:
            result.errback(Failure())
        return
    if result.called:
        # The application itself does not want it any more.
        application.abandon()
    else:
        result.callback(protocol)
    application.begin(earlyData, negotiation.paused)


def notConnected(failure: Failure) -> NoReturn:
    """
    Say whose connection failed. What is a target for the proxy before this
    one is a proxy for us.
    """
    error = failure.value
    if isinstance(error, ProxyFault | CancelledError | ConnectingCancelledError):
        failure.raiseException()
    if not isinstance(error, _EXPECTED):
        log.failure("The way to a proxy failed in an unforeseen way", failure)
    raise ProxyUnreachable(f"the proxy cannot be reached: {error}") from error


def tooLate(result: object, seconds: float) -> Failure:
    """
    Say that a proxy has had its time, as a C{Deferred} that times out wants it.
    """
    return Failure(ProxyTimedOut(f"the proxy took more than {seconds:g} s"))

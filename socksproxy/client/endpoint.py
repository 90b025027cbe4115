"""
Connecting through a proxy: what the endpoints of all its protocols share.
"""

from __future__ import annotations

from typing import Any, NoReturn, cast

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
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

from socksproxy.address import Destination
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyTimedOut,
    ProxyUnreachable,
)
from socksproxy.client.negotiation import InThread, Negotiation
from socksproxy.client.tunnel import Application
from socksproxy.errors import GeneralFailure
from socksproxy.events import log
from socksproxy.negotiation import ClientMachine
from socksproxy.relay import Leg

TIMEOUT = 30.0
"""
Seconds for connecting to the proxy and for its answer together.
"""

legs = Factory.forProtocol(Leg)
legs.noisy = False


def addressOf(destination: Destination) -> IAddress:
    """
    Give the address of a target as Twisted's endpoints would.
    """
    host = destination.host
    if isinstance(host, str):
        return HostnameAddress(host.encode("ascii"), destination.port)
    kind = IPv4Address if host.version == 4 else IPv6Address
    return kind("TCP", str(host), destination.port)


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
        asking = connecting.addErrback(_notConnected).addCallback(self._connected)
        return asking.addTimeout(self._timeout, self._clock, _tooLate)

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

        @raise SOCKSProxyError: The target cannot be asked for.
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
        except Exception:
            asking: Deferred[Any] = Deferred()
            asking.errback(Failure())
        else:
            asking = ProxiedRequest(self._reactor, self._proxy, machine, self._timeout).start()
        asking.addCallback(granted).addErrback(failed)
        return result


def handOver(
    negotiation: Negotiation,
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
    except Exception:
        negotiation.abandon()
        result.errback(Failure())
        return
    if protocol is None:
        negotiation.abandon()
        result.errback(Failure(GeneralFailure("nobody wants the connection")))
        return
    application = Application(negotiation.leg, protocol, peer)
    earlyData = negotiation.release()
    application.connect()
    result.callback(protocol)
    application.begin(earlyData)


def _notConnected(failure: Failure) -> NoReturn:
    """
    Say whose connection failed.
    """
    error = failure.value
    if isinstance(error, ProxiedConnectError | CancelledError):
        # One before this proxy has failed, or nobody waits any more.
        failure.raiseException()
    if not isinstance(error, ConnectError):
        log.failure("The way to a proxy failed in an unforeseen way", failure)
    raise ProxyUnreachable(f"the proxy cannot be reached: {error}") from error


def _tooLate(result: object, seconds: float) -> Failure:
    return Failure(ProxyTimedOut(f"the proxy took more than {seconds:g} s"))

"""
Everything that a SOCKS5 proxy can do for a program beside connecting it.

::

    client = SOCKS5Client(reactor, clientFromString(reactor, "tcp:127.0.0.1:1080"))

    binding = await client.bind("ftp.example.com")
    tellThePeer(binding.address)
    protocol = await binding.accept(factory)

    association = await client.associate(datagramProtocol)
    datagramProtocol.transport.write(b"...", ("ns.example.com", 53))

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-4}
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure

from socksproxy.address import Destination, IPAddress
from socksproxy.client.endpoint import (
    TIMEOUT,
    ProxiedRequest,
    addressOf,
    destinationFor,
    handOver,
    startedFor,
)
from socksproxy.client.errors import ProxyProtocolError, TargetTimedOut
from socksproxy.client.negotiation import Negotiation
from socksproxy.policy.rules import isInternal
from socksproxy.relay.leg import addressAndPort
from socksproxy.socks._negotiation5 import ClientNegotiation
from socksproxy.socks._wire5 import Command
from socksproxy.socks.endpoints import SOCKS5ClientEndpoint, methodsWith
from socksproxy.socks.methods import Method
from socksproxy.socks.relayed import RelayedDatagrams

ACCEPT_TIMEOUT = 150.0
"""
Seconds for the peer of a BIND; a little longer than proxies wait themselves.
"""

Answer = tuple[Negotiation, Destination]


class SOCKS5Client:
    """
    A SOCKS5 proxy, as a client uses it.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        methods: Sequence[Method] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """
        Parameters are those of
        L{SOCKS5ClientEndpoint<socksproxy.socks.SOCKS5ClientEndpoint>}.
        """
        self._reactor = reactor
        self._proxy = proxy
        self._methods = methodsWith(username, password) if methods is None else methods
        self._timeout = timeout

    def endpoint(self, host: str | bytes | IPAddress, port: int) -> SOCKS5ClientEndpoint:
        """
        Give the endpoint that leads to a target.
        """
        return SOCKS5ClientEndpoint(
            self._reactor,
            self._proxy,
            host,
            port,
            methods=self._methods,
            timeout=self._timeout,
        )

    def bind(self, expected: str | bytes | IPAddress, port: int = 0) -> Deferred[Binding]:
        """
        Have the proxy wait for a connection.

        @param expected: Who is to connect.
        @param port: From which port, as far as that is known; proxies do not
            look at it.
        @return: What has been bound; fails with a
            L{ProxiedConnectError<socksproxy.client.errors.ProxiedConnectError>}.
        """

        def bound(answer: Answer) -> Binding:
            negotiation, address = answer
            try:
                return Binding(self._reactor, negotiation, reachable(address, negotiation))
            except Exception:
                negotiation.abandon()
                raise

        asking = self._ask(Command.BIND, destinationFor(expected, port, needsPort=False))
        return asking.addCallback(bound)

    def associate(self, protocol: DatagramProtocol) -> Deferred[RelayedDatagrams]:
        """
        Have the proxy relay datagrams. The protocol's transport writes to
        names and addresses, and what others answer comes to its
        C{datagramReceived}, with their addresses.

        @param protocol: The application's.
        @return: The protocol's transport, once it has one; fails with a
            L{ProxiedConnectError<socksproxy.client.errors.ProxiedConnectError>}.
        """

        def associated(answer: Answer) -> RelayedDatagrams:
            negotiation, bound = answer
            try:
                relay = reachable(bound, negotiation)
                return RelayedDatagrams(self._reactor, negotiation, relay, protocol)
            except Exception:
                negotiation.abandon()
                raise

        # We do not know what our address looks like from there.
        source = Destination(IPv4Address(0), 0)
        return self._ask(Command.UDP_ASSOCIATE, source).addCallback(associated)

    def resolve(self, name: str | bytes) -> Deferred[IPAddress]:
        """
        Have the proxy look a name up, which only some can, Tor first.
        """

        def resolved(answer: Answer) -> IPAddress:
            negotiation, bound = answer
            negotiation.abandon()
            if isinstance(bound.host, str):
                raise ProxyProtocolError("the proxy did not answer with an address")
            return bound.host

        asking = self._ask(Command.RESOLVE, destinationFor(name, 0, needsPort=False))
        return asking.addCallback(resolved)

    def reverse(self, address: str | IPAddress) -> Deferred[str]:
        """
        Have the proxy look up the name of an address.
        """

        def resolved(answer: Answer) -> str:
            negotiation, bound = answer
            negotiation.abandon()
            if not isinstance(bound.host, str) or not bound.host:
                raise ProxyProtocolError("the proxy did not answer with a name")
            return bound.host

        asking = self._ask(Command.RESOLVE_PTR, destinationFor(address, 0, needsPort=False))
        return asking.addCallback(resolved)

    def _ask(self, command: Command, destination: Destination) -> Deferred[Answer]:
        machine = ClientNegotiation(destination, self._methods, command)
        return ProxiedRequest(self._reactor, self._proxy, machine, self._timeout).start()


class Binding:
    """
    A port of the proxy that waits for a peer.

    @ivar address: Where the peer is to connect to.
    """

    def __init__(self, reactor: Any, negotiation: Negotiation, address: Destination) -> None:
        """
        @param reactor: Time.
        @param negotiation: Has had its first reply.
        @param address: What that told.
        """
        self._reactor = reactor
        self._negotiation = negotiation
        self._waiting: Deferred[Destination] | None = None
        self.address: IAddress = addressOf(address)

    def accept(
        self, factory: IProtocolFactory, timeout: float = ACCEPT_TIMEOUT
    ) -> Deferred[IProtocol]:
        """
        Wait for the peer. To be called once.

        @param factory: Makes the protocol, whose transport's peer is who has
            connected.
        @param timeout: Seconds to wait.
        @return: The protocol, connected; fails with a
            L{ProxiedConnectError<socksproxy.client.errors.ProxiedConnectError>}.
            Cancelling closes the port.
        """
        result: Deferred[IProtocol] = Deferred(lambda _: waiting.cancel())

        def connected(peer: Destination) -> None:
            handOver(self._negotiation, factory, addressOf(peer), result)

        def failed(failure: Failure) -> None:
            if not result.called:
                result.errback(failure)

        startedFor(result, factory)
        waiting = self._waiting = self._negotiation.reply()
        waiting.addTimeout(timeout, self._reactor, _nobodyCame)
        waiting.addCallback(connected).addErrback(failed)
        return result

    def stop(self) -> None:
        """
        Close the port; may be called at any time. A peer that has connected
        already stays connected.
        """
        waiting = self._waiting
        if waiting is None:
            self._negotiation.abandon()
        elif not waiting.called:
            waiting.cancel()


def reachable(bound: Destination, negotiation: Negotiation) -> Destination:
    """
    Tell where BND.ADDR and BND.PORT can be reached from here. Many proxies
    say "any address" or, behind a network translator, one that only they
    know; then it is where the proxy itself is.

    @raise ProxyProtocolError: Nobody knows.
    """
    host, _ = addressAndPort(negotiation.leg.transport.getPeer())
    told = bound.host
    if bound.port == 0:
        raise ProxyProtocolError("the proxy does not tell a port")
    if isinstance(told, str) or told.is_unspecified:
        if host is None:
            raise ProxyProtocolError("the proxy does not tell an address that can be reached")
        return Destination(host, bound.port)
    if host is not None and isInternal(told) and not isInternal(host):
        return Destination(host, bound.port)
    return bound


def _nobodyCame(result: object, seconds: float) -> Failure:
    return Failure(TargetTimedOut("the expected peer did not come"))

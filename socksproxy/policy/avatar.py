"""
What a logged-in user can ask of the proxy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress
from socksproxy.errors import AddressTypeNotSupported
from socksproxy.interfaces import (
    IBoundPort,
    IDatagramConduit,
    IOutbound,
    IProxyAvatar,
    Received,
    WayOut,
)
from socksproxy.policy.services import DEFAULT_SERVICES, PendingBinds, Services, require
from socksproxy.relay import Leg

Answer = TypeVar("Answer")

_legs = Factory.forProtocol(Leg)
_legs.noisy = False


@implementer(IProxyAvatar)
class ProxyAvatar:
    """
    A user with one way out, which knows what the user may reach.

    @ivar user: The user's name, for logs.
    """

    def __init__(
        self,
        user: str,
        outbound: IOutbound,
        services: Services = DEFAULT_SERVICES,
        pending: PendingBinds | None = None,
        client: str = "-",
    ) -> None:
        """
        @param user: The user's name, fit to be shown.
        @param outbound: The way out.
        @param services: What the user may ask for beside CONNECT.
        @param pending: What counts the ports that wait for peers.
        @param client: For whom it counts.
        """
        self.user = user
        self._outbound = outbound
        self._services = services
        self._pending = PendingBinds() if pending is None else pending
        self._client = client

    @property
    def way(self) -> WayOut:
        """
        See L{IProxyAvatar}.
        """
        way: WayOut = self._outbound.way
        return replace(way, udp=way.udp and bool(self._services.udp))

    def connect(self, destination: Destination) -> Deferred[Leg]:
        """
        See L{IProxyAvatar}.
        """
        connecting: Deferred[IProtocol] = self._outbound.endpointFor(destination).connect(_legs)
        return cast("Deferred[Leg]", connecting)

    def listen(self, expected: Destination) -> Deferred[IBoundPort]:
        """
        See L{IProxyAvatar}.
        """
        return maybeDeferred(self._listen, expected)

    def _listen(self, expected: Destination) -> Deferred[IBoundPort]:
        require(self._services.bind, "BIND")
        release = self._pending.admit(self._client)
        return self._outbound.listen(expected).addCallbacks(
            lambda port: _CountedPort(port, release), _releasing(release)
        )

    def associate(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IProxyAvatar}.
        """

        def associate() -> Deferred[IDatagramConduit]:
            require(self._services.udp, "UDP ASSOCIATE")
            return self._outbound.conduit(received)

        return maybeDeferred(associate)

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IProxyAvatar}.
        """

        def resolve() -> Deferred[list[IPAddress]]:
            require(self._services.resolve, "RESOLVE")
            return self._outbound.resolve(host)

        return maybeDeferred(resolve)

    def reverse(self, host: Host) -> Deferred[str]:
        """
        See L{IProxyAvatar}.
        """

        def reverse() -> Deferred[str]:
            require(self._services.resolve, "RESOLVE_PTR")
            if isinstance(host, str):
                raise AddressTypeNotSupported("a name has no name")
            return self._outbound.reverse(host)

        return maybeDeferred(reverse)


@implementer(IBoundPort)
class _CountedPort:
    """
    A port that is counted until it waits no longer.
    """

    def __init__(self, port: IBoundPort, release: Callable[[], None]) -> None:
        self._port = port
        self._release: Callable[[], None] | None = release
        self.address = port.address

    def accepted(self) -> Deferred[Leg]:
        return self._port.accepted().addBoth(self._over)

    def stop(self) -> None:
        self._over(None)
        self._port.stop()

    def _over(self, result: Answer) -> Answer:
        release, self._release = self._release, None
        if release is not None:
            release()
        return result


def _releasing(release: Callable[[], None]) -> Callable[[Answer], Answer]:
    def failed(result: Answer) -> Answer:
        release()
        return result

    return failed

"""
What a logged-in user can ask of the proxy.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from zope.interface import implementer

from socksproxy.address import Destination
from socksproxy.interfaces import IOutbound, IProxyAvatar
from socksproxy.relay import Leg

_legs = Factory.forProtocol(Leg)
_legs.noisy = False


@implementer(IProxyAvatar)
class ProxyAvatar:
    """
    A user with one way out, which knows what the user may reach.

    @ivar user: The user's name, for logs.
    """

    def __init__(self, user: str, outbound: IOutbound) -> None:
        """
        @param user: The user's name, fit to be shown.
        @param outbound: The way out.
        """
        self.user = user
        self._outbound = outbound

    def connect(self, destination: Destination) -> Deferred[Leg]:
        """
        See L{IProxyAvatar}.
        """
        connecting: Deferred[IProtocol] = self._outbound.endpointFor(destination).connect(_legs)
        return cast("Deferred[Leg]", connecting)

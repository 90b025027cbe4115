"""
From who somebody is to what they may do.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.cred.checkers import ANONYMOUS
from twisted.cred.portal import IRealm
from zope.interface import Interface, implementer

from socksproxy.events import printable
from socksproxy.interfaces import ClientOrigin, IOutbound, IProxyAvatar
from socksproxy.policy.avatar import ProxyAvatar
from socksproxy.policy.services import DEFAULT_SERVICES, PendingBinds, Services

Avatar = tuple[type[Interface], object, Callable[[], None]]


@implementer(IRealm)
class ProxyRealm:
    """
    Gives every user an avatar with the way out that fits where it came in.
    """

    def __init__(
        self,
        outboundFor: Callable[[ClientOrigin], IOutbound],
        services: Services = DEFAULT_SERVICES,
        pending: PendingBinds | None = None,
    ) -> None:
        """
        @param outboundFor: Gives a client's way out.
        @param services: What clients may ask for beside CONNECT.
        @param pending: What counts the ports that wait for peers.
        """
        self._outboundFor = outboundFor
        self._services = services
        self._pending = PendingBinds() if pending is None else pending

    def requestAvatar(
        self, avatarId: bytes | str | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> Avatar:
        """
        See C{IRealm}.

        @param mind: The L{ClientOrigin}.
        @raise NotImplementedError: An avatar of another kind is asked for.
        """
        if IProxyAvatar not in interfaces or not isinstance(mind, ClientOrigin):
            raise NotImplementedError("this realm has avatars of proxy users only")
        if isinstance(avatarId, str):
            # As some of Twisted's own checkers give it.
            avatarId = avatarId.encode()
        anonymous = avatarId == ANONYMOUS
        outbound = self._outboundFor(mind)
        avatar = ProxyAvatar(
            "-" if anonymous else printable(bytes(avatarId)),
            outbound,
            self._services.grantedTo(trusted=mind.local or mind.keyed or not anonymous),
            self._pending,
            mind.source,
        )
        # Some ways out hold something for the client.
        return IProxyAvatar, avatar, getattr(outbound, "close", _logout)


def _logout() -> None:
    """
    An avatar holds nothing that outlives its connection.
    """

"""
Which requests other than CONNECT a client may make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from socksproxy.errors import CommandNotSupported, TooManyConnections

PENDING_BINDS = 4
"""
Ports that may wait for a peer at a time on behalf of one client.
"""


@dataclass(frozen=True, slots=True)
class Services:
    """
    What is switched on.

    @ivar bind: BIND; L{None} is for trusted clients only.
    @ivar udp: UDP ASSOCIATE; likewise.
    @ivar resolve: Tor's RESOLVE and RESOLVE_PTR.
    """

    bind: bool | None = None
    udp: bool | None = None
    resolve: bool = False

    def __post_init__(self) -> None:
        # Anything else that is true would let everybody in.
        if not all(switch in (None, True, False) for switch in (self.bind, self.udp)):
            raise ValueError("a service is on, off, or for trusted clients")

    def grantedTo(self, trusted: bool) -> Services:
        """
        Decide what has been left open.

        @param trusted: The client has logged in, has the key of a listener that
            has one, or comes from this host.
        """
        return Services(
            trusted if self.bind is None else self.bind,
            trusted if self.udp is None else self.udp,
            self.resolve,
        )


DEFAULT_SERVICES = Services()


def require(granted: bool | None, command: str) -> None:
    """
    Let a request pass.

    @param command: Its name.
    @raise CommandNotSupported: It is switched off for this client.
    """
    if not granted:
        raise CommandNotSupported(f"{command} is switched off for this client")


class PendingBinds:
    """
    Counts what waits for peers.
    """

    def __init__(self, perClient: int = PENDING_BINDS) -> None:
        """
        @param perClient: Most at a time on behalf of one client.
        """
        self._perClient = perClient
        self._clients: Counter[str] = Counter()

    def admit(self, client: str) -> Callable[[], None]:
        """
        Count one more.

        @param client: What stands for the client.
        @return: To be called once when it waits no longer.
        @raise TooManyConnections: The client has too many.
        """
        if self._clients[client] >= self._perClient:
            raise TooManyConnections(f"{self._perClient} ports wait for peers already")
        self._clients[client] += 1
        return lambda: self._release(client)

    def _release(self, client: str) -> None:
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

"""
What the connections of one listener share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread

from socksproxy.auth.throttle import FailureThrottle
from socksproxy.exposure import Exposure
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.relay import RelayTimers

if TYPE_CHECKING:
    from socksproxy.inbound.connection import InboundConnection


@dataclass(frozen=True, slots=True)
class InboundTimers:
    """
    How long a client is waited for, in seconds.

    @ivar handshake: From accept until its request is complete, whatever it
        sends; what we ourselves take for checking a password is not counted.
    @ivar linger: For it to read a refusal.
    @ivar kept: For another request, of a client that can make several on one
        connection.
    @ivar head: For such a later request to be complete, once it has begun.
    @ivar response: For a target to begin its answer, where a protocol has
        answers.
    @ivar relay: The timers of the relay that follows.
    """

    handshake: float = 10.0
    linger: float = 2.0
    kept: float = 60.0
    head: float = 30.0
    response: float = 60.0
    relay: RelayTimers = RelayTimers()


@dataclass(eq=False)
class Inbound:
    """
    One listener's side of its connections: what they share.

    @ivar portal: Where clients log in.
    @ivar clock: Time.
    @ivar listener: How logs name the listener.
    @ivar local: Clients come from this very host, over loopback or a UNIX
        socket.
    @ivar keyed: Only clients come in who have the listener's key.
    @ivar balanced: Clients come through a load balancer which names them in
        a header, so that their addresses are not known at accept; set by
        L{BalancedFactory<socksproxy.inbound.proxyheader.BalancedFactory>}.
    @ivar timers: Limits of time.
    @ivar limits: Limits of number.
    @ivar throttle: The delays of those who guess passwords.
    @ivar exposure: Where sockets for datagrams are opened.
    @ivar reassembling: Put fragments of datagrams together; they are dropped
        otherwise.
    @ivar inThread: Calls a function off the reactor's thread.
    @ivar connections: Those that are open.
    """

    portal: Portal
    clock: IReactorTime
    listener: str = "-"
    local: bool = False
    keyed: bool = field(default=False, init=False)
    balanced: bool = field(default=False, init=False)
    timers: InboundTimers = field(default_factory=InboundTimers)
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    throttle: FailureThrottle = field(default_factory=FailureThrottle)
    exposure: Exposure | None = None
    reassembling: bool = False
    inThread: Callable[[Callable[[], None]], Deferred[None]] = deferToThread
    connections: set[InboundConnection] = field(default_factory=set)
    _waiting: list[Deferred[None]] = field(default_factory=list)

    def whenEmpty(self) -> Deferred[None]:
        """
        Wait for the last connection to end.
        """
        if not self.connections:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def ended(self, connection: InboundConnection) -> None:
        """
        Forget a connection.
        """
        self.connections.discard(connection)
        if not self.connections:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

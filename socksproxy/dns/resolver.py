"""
Looking names up for clients, within bounds.

A look-up may hold one of the reactor's few threads for as long as a name
server likes to take, so that one client with slow names could stall all
others. Here only so many are under way, in all and for one client; the rest
wait their turn, and nobody waits longer than the time limit.
"""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from socksproxy.address import IPAddress, hostFromName
from socksproxy.errors import BadName, NameNotFound, TooManyConnections
from socksproxy.events import log
from socksproxy.relay.leg import addressAndPort

MAX_WAITING = 1024


ReverseLookUp = Callable[[IPAddress], Deferred[str]]


@dataclass(eq=False)
class _LookUp:
    begin: Callable[[_LookUp], object]
    client: str | None
    result: Deferred[Any]
    done: bool = False


def nameInThread(address: IPAddress) -> Deferred[str]:
    """
    Ask the system for the name of an address, in a thread of the reactor's.
    """
    return deferToThread(lambda: socket.getnameinfo((str(address), 0), socket.NI_NAMEREQD)[0])


class BoundedResolver:
    """
    Resolves names through Twisted's name resolver.
    """

    def __init__(
        self,
        clock: IReactorTime,
        resolver: IHostnameResolver,
        inFlight: int = 64,
        perClient: int = 8,
        timeout: float = 5.0,
        reverse: ReverseLookUp = nameInThread,
    ) -> None:
        """
        @param clock: Time.
        @param resolver: Usually C{reactor.nameResolver}.
        @param inFlight: Most look-ups under way.
        @param perClient: Most look-ups under way for one client.
        @param timeout: Seconds from the call to an answer.
        @param reverse: Finds the name of an address.
        """
        self._clock = clock
        self._reverse = reverse
        self._resolver = resolver
        self._inFlight = inFlight
        self._perClient = perClient
        self._timeout = timeout
        self._running = 0
        self._starting = False
        self._clients: Counter[str] = Counter()
        self._waiting: deque[_LookUp] = deque()

    def resolve(self, name: str, client: str | None) -> Deferred[list[IPAddress]]:
        """
        Look a name up.

        @param name: A checked host name.
        @param client: For whom, or L{None} where clients cannot be told
            apart, and are not counted.
        @return: Its addresses in the resolver's order, without repetitions;
            fails with L{NameNotFound}, or L{TooManyConnections} when too many
            are waiting already. Cancelling gives the answer up, not the
            thread.
        """
        return self._enqueue(lambda lookUp: self._ask(name, lookUp), client)

    def reverse(self, address: IPAddress, client: str | None) -> Deferred[str]:
        """
        Look up the name of an address, within the same bounds.

        @return: A checked name; fails as L{resolve} does.
        """
        return self._enqueue(lambda lookUp: self._askForName(address, lookUp), client)

    def _ask(self, name: str, lookUp: _LookUp) -> None:
        self._resolver.resolveHostName(_Collector(self, lookUp), name)

    def _askForName(self, address: IPAddress, lookUp: _LookUp) -> None:
        def checked(name: str) -> str:
            host = hostFromName(name.encode())
            if not isinstance(host, str):
                raise BadName("an address is no name")
            return host

        asking = maybeDeferred(self._reverse, address).addCallback(checked)
        asking.addCallbacks(
            lambda name: self._finished(lookUp, name), lambda _: self._finished(lookUp, None)
        )

    def _enqueue(self, begin: Callable[[_LookUp], object], client: str | None) -> Deferred[Any]:
        lookUp = _LookUp(begin, client, Deferred(lambda _: None))
        result = lookUp.result
        if len(self._waiting) >= MAX_WAITING:
            result.errback(TooManyConnections("too many names are being looked up"))
            return result
        timeout = self._clock.callLater(self._timeout, self._expire, lookUp)

        def decided(answer: object) -> object:
            lookUp.done = True
            if timeout.active():
                timeout.cancel()
            if lookUp in self._waiting:
                self._waiting.remove(lookUp)
            return answer

        result.addBoth(decided)
        self._waiting.append(lookUp)
        self._startWaiting()
        return result

    def _expire(self, lookUp: _LookUp) -> None:
        lookUp.result.errback(NameNotFound("the name took too long to resolve"))

    def _startWaiting(self) -> None:
        """
        Start the oldest look-ups whose clients have room for them.
        """
        if self._starting:
            # A resolver that answers at once calls back from below.
            return
        self._starting = True
        postponed: list[_LookUp] = []
        while self._waiting and self._running < self._inFlight:
            lookUp = self._waiting.popleft()
            if lookUp.done:
                continue
            if self._clients[lookUp.client or ""] >= self._perClient:
                postponed.append(lookUp)
            else:
                self._start(lookUp)
        self._waiting.extendleft(lookUp for lookUp in reversed(postponed) if not lookUp.done)
        self._starting = False

    def _start(self, lookUp: _LookUp) -> None:
        self._running += 1
        if lookUp.client is not None:
            self._clients[lookUp.client] += 1
        try:
            lookUp.begin(lookUp)
        except Exception as e:
            log.error("The resolver failed: {error}", error=type(e).__name__)
            self._finished(lookUp, None)

    def resolved(self, lookUp: _LookUp, addresses: Sequence[IPAddress]) -> None:
        """
        Take the addresses of a name, without repetitions.
        """
        self._finished(lookUp, list(dict.fromkeys(addresses)))

    def _finished(self, lookUp: _LookUp, answer: object) -> None:
        """
        Take the outcome of a look-up, perhaps long after anybody waited.
        """
        self._running -= 1
        if lookUp.client is not None:
            self._clients[lookUp.client] -= 1
            if not self._clients[lookUp.client]:
                del self._clients[lookUp.client]
        if not lookUp.done:
            if answer:
                lookUp.result.callback(answer)
            else:
                lookUp.result.errback(NameNotFound())
        self._startWaiting()


@implementer(IResolutionReceiver)
class _Collector:
    """
    Gathers the answers to one look-up.
    """

    def __init__(self, resolver: BoundedResolver, lookUp: _LookUp) -> None:
        self._resolver = resolver
        self._lookUp = lookUp
        self._addresses: list[IPAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        host, _ = addressAndPort(address)
        if host is not None:
            self._addresses.append(host)

    def resolutionComplete(self) -> None:
        self._resolver.resolved(self._lookUp, self._addresses)

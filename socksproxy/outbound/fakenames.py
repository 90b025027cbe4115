"""
The way out for clients which have been given addresses that stand for names:
what goes to such an address goes to its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress
from socksproxy.dns.fakeip import FakeAddresses
from socksproxy.errors import HostUnreachable, RequestFailed
from socksproxy.events import Ration, log
from socksproxy.interfaces import (
    IBoundPort,
    IDatagramConduit,
    IOutbound,
    Received,
    WayOut,
)

MAX_CONDUITS = 64
"""
Fake addresses that one client's datagrams go to at a time.
"""

MAX_WAITING = 16
"""
Datagrams to one of them that wait for its way out.
"""


@implementer(IOutbound)
class NamedOutbound:
    """
    Puts names in the place of fake addresses, for one client, and has another
    way out do the rest. A fake address keeps its name while the client is
    there.
    """

    def __init__(
        self, outbound: IOutbound, fakes: FakeAddresses, seconds: Callable[[], float]
    ) -> None:
        """
        @param outbound: The way out.
        @param fakes: Which address stands for what.
        @param seconds: Gives the time, for what is logged.
        """
        self._outbound = outbound
        self._fakes = fakes
        self._seconds = seconds
        self._held: Counter[IPAddress] = Counter()

    @property
    def way(self) -> WayOut:
        """
        See L{IOutbound}.
        """
        way: WayOut = self._outbound.way
        return way

    def endpointFor(self, destination: Destination) -> IStreamClientEndpoint:
        """
        See L{IOutbound}.
        """
        try:
            host = self.nameOf(destination.host)
        except RequestFailed as e:
            return _Refused(e)
        return self._outbound.endpointFor(Destination(host, destination.port))

    def listen(self, expected: Destination) -> Deferred[IBoundPort]:
        """
        See L{IOutbound}.
        """
        try:
            host = self.nameOf(expected.host)
        except RequestFailed:
            return fail()
        return self._outbound.listen(Destination(host, expected.port))

    def conduit(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IOutbound}. What comes back from a name comes from the address
        that the client has written to.
        """

        def made(conduit: IDatagramConduit) -> IDatagramConduit:
            return _NamedConduit(self, self._outbound, conduit, received)

        return self._outbound.conduit(received).addCallback(made)

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IOutbound}.
        """
        return self._outbound.resolve(host)

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        See L{IOutbound}.
        """
        try:
            name = self.nameOf(address)
        except RequestFailed:
            return fail()
        return succeed(name) if isinstance(name, str) else self._outbound.reverse(address)

    def close(self) -> None:
        """
        The client is gone.
        """
        held, self._held = self._held, Counter()
        for address in held.elements():
            self._fakes.closed(address)

    def isFake(self, host: Host) -> bool:
        """
        Tell whether something is a fake address.
        """
        return not isinstance(host, str) and host in self._fakes

    def nameOf(self, host: Host) -> Host:
        """
        Give the name that a host stands for, or the host.

        @raise HostUnreachable: It is a fake address, and nobody knows for
            what: it is never connected to.
        """
        if isinstance(host, str) or host not in self._fakes:
            return host
        name = self._fakes.nameOf(host)
        if name is None:
            if _lines.take(self._seconds()):
                log.warn(
                    "{address} is of the addresses of --dns-fake and stands for no name any more:"
                    " the client has to ask again",
                    address=str(host),
                )
            raise HostUnreachable("the address stands for no name any more")
        self._fakes.opened(host)
        self._held[host] += 1
        return name


_lines = Ration()


@implementer(IStreamClientEndpoint)
class _Refused:
    """
    Leads nowhere.
    """

    def __init__(self, error: RequestFailed) -> None:
        self._error = error

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return fail(self._error)


class _Side:
    """
    A conduit for what goes to one fake address, perhaps not there yet.
    """

    def __init__(self, name: str, making: Deferred[IDatagramConduit]) -> None:
        self._name = name
        self._conduit: IDatagramConduit | None = None
        self._waiting: list[tuple[bytes, int]] = []
        self._closed = False
        self._lost = (0, 0)
        making.addCallbacks(self._made, self._failed)
        self._making = making

    @property
    def dropped(self) -> tuple[int, int]:
        datagrams, octets = (0, 0) if self._conduit is None else self._conduit.dropped
        return datagrams + self._lost[0], octets + self._lost[1]

    def send(self, data: bytes, port: int) -> bool:
        if self._conduit is not None:
            sent: bool = self._conduit.send(data, Destination(self._name, port))
            return sent
        if self._closed or len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append((data, port))
        return True

    def close(self) -> None:
        self._closed = True
        if self._conduit is not None:
            self._conduit.close()
        else:
            self._making.cancel()

    def _made(self, conduit: IDatagramConduit) -> None:
        if self._closed:
            conduit.close()
            return
        self._conduit = conduit
        waiting, self._waiting = self._waiting, []
        for data, port in waiting:
            if not self.send(data, port):
                self._lose(data)

    def _failed(self, _: object) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for data, _port in waiting:
            self._lose(data)

    def _lose(self, data: bytes) -> None:
        self._lost = (self._lost[0] + 1, self._lost[1] + len(data))


@implementer(IDatagramConduit)
class _NamedConduit:
    """
    A conduit with one more beside it for each fake address, as that alone
    tells from which name something comes.
    """

    def __init__(
        self,
        named: NamedOutbound,
        outbound: IOutbound,
        conduit: IDatagramConduit,
        received: Received,
    ) -> None:
        self._named = named
        self._outbound = outbound
        self._conduit = conduit
        self._received = received
        # The one that was used last is the last.
        self._sides: dict[Host, _Side] = {}
        self._before = (0, 0)

    @property
    def dropped(self) -> tuple[int, int]:
        parts = [self._before, self._conduit.dropped]
        parts += [side.dropped for side in self._sides.values()]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)

    def send(self, data: bytes, destination: Destination) -> bool:
        host = destination.host
        if not self._named.isFake(host):
            sent: bool = self._conduit.send(data, destination)
            return sent
        side = self._sides.pop(host, None)
        if side is None:
            try:
                name = self._named.nameOf(host)
            except RequestFailed:
                return False
            side = self._sideFor(host, str(name))
        self._sides[host] = side
        return side.send(data, destination.port)

    def close(self) -> None:
        self._conduit.close()
        for side in self._sides.values():
            side.close()

    def _sideFor(self, address: Host, name: str) -> _Side:
        if len(self._sides) >= MAX_CONDUITS:
            oldest = self._sides.pop(next(iter(self._sides)))
            datagrams, octets = oldest.dropped
            self._before = (self._before[0] + datagrams, self._before[1] + octets)
            oldest.close()

        def received(data: bytes, source: Destination) -> None:
            self._received(data, Destination(address, source.port))

        return _Side(name, self._outbound.conduit(received))

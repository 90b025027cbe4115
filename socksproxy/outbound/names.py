"""
Names that datagrams are sent to.

@see: L{socksproxy.outbound.conduit}
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import RequestFailed
from socksproxy.events import log
from socksproxy.outbound.vetting import Vetting

NAME_LIFETIME = 60.0
"""
Seconds for which the address of a name is used without asking again.
"""

MAX_NAMES = 256
"""
Names that are remembered for one client.
"""

MAX_WAITING = 16
"""
Datagrams that wait for one name to be resolved.
"""


@dataclass(eq=False, slots=True)
class _Name:
    """
    A name that the client writes to.

    @ivar address: What it stands for, once that is known.
    @ivar expires: When that has to be asked again.
    @ivar waiting: Datagrams and ports that wait for it.
    @ivar asking: The look-up that is under way.
    """

    address: IPAddress | None = None
    expires: float = 0.0
    waiting: list[tuple[bytes, int]] = field(default_factory=list)
    asking: Deferred[list[IPAddress]] | None = None


class DatagramNames:
    """
    Finds out where one client's datagrams go that are sent to names, and
    keeps them until then.
    """

    def __init__(
        self,
        vetting: Vetting,
        clock: IReactorTime,
        forward: Callable[[bytes, Destination], bool],
    ) -> None:
        """
        @param vetting: Resolves names, and tells who may be written to.
        @param clock: Time.
        @param forward: Sends to an address.
        """
        self._vetting = vetting
        self._clock = clock
        self._forward = forward
        self._names: OrderedDict[str, _Name] = OrderedDict()
        self._dropped = 0
        self._droppedOctets = 0

    def __len__(self) -> int:
        return len(self._names)

    @property
    def dropped(self) -> tuple[int, int]:
        """
        How many datagrams, and octets in them, have waited in vain.
        """
        return self._dropped, self._droppedOctets

    def send(self, data: bytes, host: str, port: int) -> bool:
        """
        Send a datagram to a name, now or when its address is known.

        @return: False if it is known already that it was dropped.
        """
        name = self._names.get(host)
        if name is None:
            if len(self._names) >= MAX_NAMES and not self._forgetOne():
                return False
            name = self._names[host] = _Name()
        if name.address is not None and self._clock.seconds() < name.expires:
            return self._forward(data, Destination(name.address, port))
        if len(name.waiting) >= MAX_WAITING:
            return False
        if name.asking is None:
            name.asking = self._vetting.addressesOf(host)
            name.asking.addCallbacks(
                self._found, self._notFound, callbackArgs=(name,), errbackArgs=(host, name)
            )
            if name.asking is None:
                # It has been answered at once.
                if host not in self._names or name.address is None:
                    return False
                return self._forward(data, Destination(name.address, port))
        name.waiting.append((data, port))
        return True

    def close(self) -> None:
        """
        Wait for nothing any more.
        """
        names, self._names = self._names, OrderedDict()
        for name in names.values():
            self._drop(name)
            if name.asking is not None:
                name.asking.cancel()
        self._forward = _nowhere

    def _forgetOne(self) -> bool:
        """
        Make room for another name.
        """
        for host, name in self._names.items():
            if name.asking is None:
                del self._names[host]
                return True
        return False

    def _found(self, addresses: list[IPAddress], name: _Name) -> None:
        name.asking = None
        name.expires = self._clock.seconds() + NAME_LIFETIME
        name.address = addresses[0]
        waiting, name.waiting = name.waiting, []
        for data, port in waiting:
            if not self._forward(data, Destination(name.address, port)):
                self._count(data)

    def _notFound(self, failure: Failure, host: str, name: _Name) -> None:
        # Asked again with the next datagram; the resolver has bounds.
        name.asking = None
        self._drop(name)
        if self._names.get(host) is name:
            del self._names[host]
            if not failure.check(RequestFailed):
                log.failure("A look-up failed in an unforeseen way", failure)

    def _drop(self, name: _Name) -> None:
        waiting, name.waiting = name.waiting, []
        for data, _ in waiting:
            self._count(data)

    def _count(self, data: bytes) -> None:
        self._dropped += 1
        self._droppedOctets += len(data)


def _nowhere(data: bytes, destination: Destination) -> bool:
    """
    Nobody is there any more.
    """
    return False

"""
Our own look-ups, by the same name servers as those of clients::

    resolver = ForwardedNames(reactor, forwarder)
    names = BoundedResolver(reactor, resolver, reverse=resolver.reverse)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from zope.interface import implementer

from socksproxy.address import IPAddress, hostFromName
from socksproxy.dns._wire import RecordType
from socksproxy.dns.forwarder import Forwarder
from socksproxy.dns.message import makeQuery
from socksproxy.dns.reply import readReply
from socksproxy.errors import BadName, MalformedMessage, NameNotFound

RESOLUTION_DELAY = 0.05
"""
Seconds that the addresses of IPv6 are waited for once those of IPv4 are there
(RFC 8305 section 3). The other way round there is no such limit, since nobody
knows whether IPv6 leads anywhere.
"""

_TYPES = {IPv4Address: RecordType.A, IPv6Address: RecordType.AAAA}


@implementer(IHostnameResolver)
class ForwardedNames:
    """
    Resolves names by asking a forwarder.
    """

    def __init__(self, clock: IReactorTime, forwarder: Forwarder) -> None:
        """
        @param clock: Time.
        @param forwarder: Knows the answers. Addresses that stand for names
            are not among them.
        """
        self.clock = clock
        self._forwarder = forwarder

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        See C{IHostnameResolver}.
        """
        wanted = [IPv4Address, IPv6Address] if addressTypes is None else addressTypes
        kinds = [kind for family, kind in _TYPES.items() if family in wanted]
        resolution = _Resolution(self, resolutionReceiver, hostName, portNumber, transportSemantics)
        resolution.start(kinds)
        return resolution

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        Look up the name of an address.

        @return: The first of its names; fails with a L{NameNotFound}.
        """

        def found(answer: bytes) -> str:
            try:
                names = readReply(answer).pointers
            except MalformedMessage as e:
                raise NameNotFound(str(e)) from None
            if not names:
                raise NameNotFound
            return names[0]

        query = makeQuery(address.reverse_pointer, RecordType.PTR)
        return self._forwarder.answer(query, faking=False).addCallback(found)

    def addresses(self, name: str, kind: RecordType) -> Deferred[list[IPAddress]]:
        """
        Look up the addresses of a name, of one family.

        @param kind: The type of their records.
        @return: None of them if there are none, for whatever reason.
        """

        def found(answer: bytes) -> list[IPAddress]:
            try:
                return list(readReply(answer).addresses)
            except MalformedMessage:
                return []

        return self._forwarder.answer(makeQuery(name, kind), faking=False).addCallback(found)

    def ordered(self, addresses: list[IPAddress]) -> list[IPAddress]:
        """
        Put addresses in the order of trying them.
        """
        return self._forwarder.strategy.ordered(addresses)


@implementer(IHostResolution)
class _Resolution:
    """
    One look-up.
    """

    def __init__(
        self,
        names: ForwardedNames,
        receiver: IResolutionReceiver,
        name: str,
        port: int,
        semantics: str,
    ) -> None:
        self.name = name
        self._names = names
        self._receiver = receiver
        self._port = port
        self._protocol: Literal["TCP", "UDP"] = "UDP" if semantics == "UDP" else "TCP"
        self._found: dict[RecordType, list[IPAddress]] = {}
        self._asking: dict[RecordType, Deferred[None]] = {}
        self._waiting: set[RecordType] = set()
        self._delay: IDelayedCall | None = None
        self._over = False

    def start(self, kinds: Sequence[RecordType]) -> None:
        """
        Ask for all that is wanted.

        @param kinds: The types of records.
        """
        self._receiver.resolutionBegan(self)
        try:
            host = hostFromName(self.name.encode())
        except BadName:
            self._finish([])
            return
        if not isinstance(host, str):
            self._finish([host])
            return
        self._waiting = set(kinds)
        for kind in kinds:
            looking = self._names.addresses(host, kind)
            self._asking[kind] = looking.addCallbacks(
                self._answered, lambda _: None, callbackArgs=(kind,)
            )
        if not kinds:
            self._finish([])

    def cancel(self) -> None:
        """
        See C{IHostResolution}.
        """
        if not self._over:
            self._end()
            self._receiver.resolutionComplete()

    def _answered(self, addresses: list[IPAddress], kind: RecordType) -> None:
        self._found[kind] = addresses
        self._waiting.discard(kind)
        if not self._waiting:
            self._complete()
        elif kind == RecordType.A and addresses:
            self._delay = self._names.clock.callLater(RESOLUTION_DELAY, self._complete)

    def _complete(self) -> None:
        found = [*self._found.get(RecordType.A, ()), *self._found.get(RecordType.AAAA, ())]
        self._finish(self._names.ordered(found))

    def _finish(self, addresses: Sequence[IPAddress]) -> None:
        self._end()
        for address in addresses:
            family = IPv4Address if address.version == 4 else IPv6Address
            self._receiver.addressResolved(family(self._protocol, str(address), self._port))
        self._receiver.resolutionComplete()

    def _end(self) -> None:
        self._over = True
        if self._delay is not None and self._delay.active():
            self._delay.cancel()
        self._delay = None
        for asking in self._asking.values():
            asking.cancel()

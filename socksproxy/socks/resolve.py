"""
Tor's RESOLVE and RESOLVE_PTR: a look-up without a connection.

@see: U{https://spec.torproject.org/socks-extensions.html#name-lookup}
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.defer import Deferred

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import NameNotFound
from socksproxy.inbound import InboundProtocol
from socksproxy.interfaces import IProxyAvatar
from socksproxy.socks._negotiation4 import ServerNegotiation as ServerNegotiation4
from socksproxy.socks._negotiation5 import ServerNegotiation as ServerNegotiation5

Answers = ServerNegotiation4 | ServerNegotiation5


def resolve(connection: InboundProtocol, answers: Answers, destination: Destination) -> None:
    """
    Answer a client with the address of a name. Its port has no meaning.

    @param connection: The client's.
    @param answers: Its machine.
    @param destination: The name.
    """
    onlyIPv4 = isinstance(answers, ServerNegotiation4)

    def ask(avatar: IProxyAvatar) -> Deferred[IPAddress]:
        return avatar.resolve(destination.host).addCallback(first)

    def first(addresses: list[IPAddress]) -> IPAddress:
        for address in addresses:
            if not onlyIPv4 or isinstance(address, IPv4Address):
                return address
        raise NameNotFound("the name has no IPv4 address, and SOCKS4 carries no other")

    def answer(address: IPAddress) -> None:
        if not connection.gone:
            connection.conclude(answers.granted(address, 0))

    connection.ask("RESOLVE", destination, ask, answer, answers.refused)


def reverse(
    connection: InboundProtocol, answers: ServerNegotiation5, destination: Destination
) -> None:
    """
    Answer a client with the name of an address.

    @param connection: The client's.
    @param answers: Its machine.
    @param destination: The address.
    """

    def answer(name: str) -> None:
        if not connection.gone:
            connection.conclude(answers.grantedName(name))

    connection.ask(
        "RESOLVE_PTR",
        destination,
        lambda avatar: avatar.reverse(destination.host),
        answer,
        answers.refused,
    )

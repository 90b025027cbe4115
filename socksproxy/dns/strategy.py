"""
Which of the two families of addresses clients get to see.

@see: U{https://www.rfc-editor.org/rfc/rfc9460#section-7.3}
"""

from collections.abc import Iterable
from enum import StrEnum

from socksproxy.address import IPAddress
from socksproxy.dns._wire import OPTION, Record, RecordType, optionsAt, skipName
from socksproxy.dns._wirecuts import Cut, withoutCuts
from socksproxy.dns.reply import Reply, readReply
from socksproxy.errors import MalformedMessage

_IPV4HINT = 4
_IPV6HINT = 6
_MANDATORY = 0
_PRIORITY = 2


class IPStrategy(StrEnum):
    """
    What is preferred, or left out.
    """

    AS_IS = "as_is"
    PREFER_IPV4 = "prefer_v4"
    PREFER_IPV6 = "prefer_v6"
    IPV4_ONLY = "v4_only"
    IPV6_ONLY = "v6_only"

    def suppresses(self, kind: int) -> bool:
        """
        Tell whether there are to be no records of a type. Who asks for one is
        told that there is such a name, but no such record.
        """
        return _SUPPRESSED.get(self) == kind

    def ordered(self, addresses: Iterable[IPAddress]) -> list[IPAddress]:
        """
        Leave addresses out or put those of one family first; otherwise the
        order stays.
        """
        if self is IPStrategy.IPV4_ONLY:
            return [address for address in addresses if address.version == 4]
        if self is IPStrategy.IPV6_ONLY:
            return [address for address in addresses if address.version == 6]
        if self is IPStrategy.AS_IS:
            return list(addresses)
        first = 4 if self is IPStrategy.PREFER_IPV4 else 6
        return sorted(addresses, key=lambda address: address.version != first)

    def restricted(self, reply: Reply) -> Reply:
        """
        Take the hints at addresses of the family that is left out from
        records of the types HTTPS and SVCB. Signed ones stay as they are,
        since who checks signatures would have no record at all.

        @raise MalformedMessage: Such a record makes no sense.
        """
        hint = _HINTS.get(self)
        if hint is None or reply.type not in _WITH_HINTS:
            return reply
        records = reply.records()
        if any(record.type == RecordType.RRSIG for record in records):
            return reply
        octets = bytearray(reply.octets)
        cuts: list[Cut] = []
        for record in records:
            if record.type in _WITH_HINTS:
                cuts += _cutsFor(octets, record, hint)
        if not cuts:
            return reply
        changed = readReply(withoutCuts(bytes(octets), records, cuts), encrypted=True)
        changed.code, changed.edns = reply.code, reply.edns
        return changed


_SUPPRESSED = {
    IPStrategy.IPV4_ONLY: RecordType.AAAA,
    IPStrategy.IPV6_ONLY: RecordType.A,
}
_HINTS = {IPStrategy.IPV4_ONLY: _IPV6HINT, IPStrategy.IPV6_ONLY: _IPV4HINT}
_WITH_HINTS = {RecordType.HTTPS, RecordType.SVCB}


def _cutsFor(octets: bytearray, record: Record, hint: int) -> list[Cut]:
    """
    Find where a hint is written in a record, and where the record says that
    it must be understood; there the length is corrected.
    """
    parameters = skipName(octets, record.data + _PRIORITY)
    if parameters > record.end:
        raise MalformedMessage("a name goes beyond its record")
    cuts: list[Cut] = []
    mandatory: tuple[int, int] | None = None
    for code, start, end in optionsAt(octets, parameters, record.end):
        if code == _MANDATORY and mandatory is None:
            mandatory = (start, end)
        elif code == hint:
            cuts.append((start - OPTION.size, end))
    if cuts and mandatory is not None:
        cuts[:0] = _withoutKey(octets, *mandatory, hint)
    return cuts


def _withoutKey(octets: bytearray, start: int, end: int, hint: int) -> list[Cut]:
    """
    Find where a hint is in the list of what must be understood.
    """
    keys = range(start, end - 1, 2)
    cuts = [(at, at + 2) for at in keys if int.from_bytes(octets[at : at + 2]) == hint]
    left = end - start - 2 * len(cuts)
    if not left:
        return [(start - OPTION.size, end)]
    OPTION.pack_into(octets, start - OPTION.size, _MANDATORY, left)
    return cuts

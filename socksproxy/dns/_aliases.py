"""
Following CNAME records from a name to the one that has the records.

Only what is said of the names on the way counts: a name server may add records
of others, which nobody has asked for.
"""

from collections.abc import Iterable

from socksproxy.dns._wire import POINTER, Record, RecordClass, RecordType, labelsAt
from socksproxy.dns._wirenames import nameOf
from socksproxy.errors import MalformedMessage

MAX_ALIASES = 16
"""
How many records one after another are followed.
"""

MAX_LABELS = 8192
"""
Labels of all owners of records that are read: many records may have names that
are long and share their octets.
"""


def followed(
    octets: bytes, records: Iterable[Record], name: str, most: int = MAX_ALIASES
) -> tuple[list[str], list[Record]]:
    """
    Follow a name.

    @param octets: The message that the records are in.
    @param records: Its answer section.
    @param name: Where to begin, as L{nameOf} writes it.
    @param most: How many aliases are followed; 0 for who asks for the alias
        itself.
    @return: The names that it is an alias of, in order, and the records that
        the last one has.
    @raise MalformedMessage: There are too many of them, a name makes no
        sense, or the names are too long in all.
    """
    owners: dict[str, list[Record]] = {}
    room = MAX_LABELS
    # Records that belong together mostly have the same pointer.
    known: dict[bytes, str] = {}
    for record in records:
        if record.recordClass == RecordClass.IN:
            pointer = octets[record.start : record.start + 2]
            owner = known.get(pointer)
            if owner is None:
                labels = labelsAt(octets, record.start)
                room -= len(labels)
                if room < 0:
                    raise MalformedMessage("too many long names")
                owner = nameOf(labels)
                if pointer[0] >= POINTER:
                    known[pointer] = owner
            owners.setdefault(owner, []).append(record)
    aliases: list[str] = []
    while True:
        found = owners.get(name, [])
        target = next((r for r in found if r.type == RecordType.CNAME), None)
        if target is None or not most:
            return aliases, found
        if len(aliases) >= most:
            raise MalformedMessage("aliases that do not end")
        name = nameOf(labelsAt(octets, target.data))
        aliases.append(name)

"""
Taking octets out of the middle of a DNS message.

Names in it may end in pointers to places further back, which move.
"""

import struct
from bisect import bisect_right
from itertools import accumulate

from socksproxy.dns._wire import MAX_LABEL, POINTER, Record
from socksproxy.errors import MalformedMessage

_SHORT = struct.Struct("!H")
_POINTER = POINTER << 8

# Where in RDATA the names are that may end in a pointer: octets before the
# first one, how many names. Types that came later have none (RFC 3597
# section 4); those two of them which are compressed all the same have one.
_NAMES_IN_DATA = {
    2: (0, 1),  # NS
    3: (0, 1),  # MD
    4: (0, 1),  # MF
    5: (0, 1),  # CNAME
    6: (0, 2),  # SOA
    7: (0, 1),  # MB
    8: (0, 1),  # MG
    9: (0, 1),  # MR
    12: (0, 1),  # PTR
    14: (0, 2),  # MINFO
    15: (2, 1),  # MX
    17: (0, 2),  # RP
    18: (2, 1),  # AFSDB
    21: (2, 1),  # RT
    26: (2, 2),  # PX
    33: (6, 1),  # SRV
    36: (2, 1),  # KX
    39: (0, 1),  # DNAME
}

Cut = tuple[int, int]
"""
Where octets are taken out of a message, from and to.
"""


def withoutCuts(octets: bytes, records: list[Record], cuts: list[Cut]) -> bytes:
    """
    Take octets out of RDATA and let all pointers lead where they led before.

    @param records: All records of the message.
    @param cuts: In ascending order, at least one. Each is inside the RDATA of
        one record.
    @raise MalformedMessage: A pointer leads into what is taken out, or a name
        goes beyond its record.
    """
    shift = _Shift(cuts)
    changed = bytearray(octets)
    for record in records:
        if record.end <= shift.first:
            continue
        for place in _pointersOf(octets, record):
            (pointer,) = _SHORT.unpack_from(octets, place)
            _SHORT.pack_into(changed, place, _POINTER | shift.moved(pointer & ~_POINTER))
        # The octet before RDATA is never taken out, as the first one may be.
        length = shift.moved(record.end) - shift.moved(record.data - 1) - 1
        _SHORT.pack_into(changed, record.data - 2, length)
    kept = [0, *(border for cut in cuts for border in cut), len(octets)]
    return b"".join(changed[kept[i] : kept[i + 1]] for i in range(0, len(kept), 2))


class _Shift:
    """
    Where things are once octets have been taken out.
    """

    def __init__(self, cuts: list[Cut]) -> None:
        self.first = cuts[0][0]
        self._starts = [start for start, _ in cuts]
        self._ends = [end for _, end in cuts]
        self._gone = list(accumulate(end - start for start, end in cuts))

    def moved(self, offset: int) -> int:
        number = bisect_right(self._starts, offset) - 1
        if number < 0:
            return offset
        if offset < self._ends[number]:
            raise MalformedMessage("a pointer leads into what is taken out")
        return offset - self._gone[number]


def _pointersOf(octets: bytes, record: Record) -> list[int]:
    """
    Find the pointers of a record: at the end of its owner's name, and of the
    names in its RDATA.
    """
    before, count = _NAMES_IN_DATA.get(record.type, (0, 0))
    places = []
    offset = record.start
    for number in range(1 + count):
        if number == 1:
            offset = record.data + before
        while offset < record.end and 0 < (length := octets[offset]) <= MAX_LABEL:
            offset += 1 + length
        if offset + 1 < record.end and octets[offset] >= POINTER:
            places.append(offset)
            offset += 2
        elif offset < record.end and octets[offset] == 0:
            offset += 1
        else:
            raise MalformedMessage("a name goes beyond its record")
    return places

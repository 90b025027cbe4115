"""
The OPT record, and the answers that are nothing but a header, a question and
that record::

    +---+----+----------+----------------+---------+----+-------+----------+
    | 0 | 41 | UDP size | extended RCODE | VERSION | DO | flags | RDLENGTH |
    | 1 | 2  |    2     |       1        |    1    |     2      |    2     |
    +---+----+----------+----------------+---------+----+-------+----------+

@see: U{https://www.rfc-editor.org/rfc/rfc6891#section-6}
"""

from dataclasses import dataclass
from itertools import islice

from socksproxy.dns._wire import (
    CD,
    DO,
    HEADER,
    OPCODE,
    OPTION,
    QR,
    RA,
    RCODE,
    RD,
    RECORD,
    Record,
    RecordType,
    optionsAt,
)
from socksproxy.errors import MalformedMessage

OUR_UDP_SIZE = 1232
"""
Octets of the largest datagram that is taken here: one that no network cuts
into fragments.
"""

PADDING = 12
"""
The option that fills encrypted messages up (RFC 7830).
"""

MAX_OPTIONS = 64
"""
Options in an OPT record.
"""

_FIXED = 1 + RECORD.size


@dataclass(frozen=True, slots=True)
class EDNS:
    """
    What an OPT record says.

    @ivar udpSize: Octets of the largest datagram that its sender takes.
    @ivar extendedCode: The upper bits of RCODE.
    @ivar version: 0 is the only one that there is.
    @ivar dnssecOK: DO: its sender wants signatures.
    @ivar options: Codes and values.
    """

    udpSize: int
    extendedCode: int = 0
    version: int = 0
    dnssecOK: bool = False
    options: tuple[tuple[int, bytes], ...] = ()


def readOPT(octets: bytes, record: Record) -> EDNS:
    """
    Read an OPT record.

    @raise MalformedMessage: It has an owner, or its options are cut off or too
        many.
    """
    if record.data - record.start != _FIXED:
        raise MalformedMessage("an OPT record has no owner")
    options: tuple[tuple[int, bytes], ...] = ()
    if record.data != record.end:
        found = islice(optionsAt(octets, record.data, record.end), MAX_OPTIONS + 1)
        options = tuple((code, octets[start:end]) for code, start, end in found)
        if len(options) > MAX_OPTIONS:
            raise MalformedMessage("too many options")
    ttl = record.ttl
    return EDNS(record.recordClass, ttl >> 24, ttl >> 16 & 0xFF, bool(ttl & DO), options)


def writeOPT(udpSize: int, *, dnssecOK: bool = False, code: int = 0, padding: int = -1) -> bytes:
    """
    Write an OPT record of ours.

    @param udpSize: Octets of the largest datagram that we take.
    @param code: RCODE, of which the upper bits are written here.
    @param padding: Octets of padding; below 0 there is no such option.
    """
    ttl = code >> 4 << 24 | (DO if dnssecOK else 0)
    length = 0 if padding < 0 else OPTION.size + padding
    head = b"\0" + RECORD.pack(RecordType.OPT, udpSize, ttl, length)
    return head if padding < 0 else head + OPTION.pack(PADDING, padding) + bytes(padding)


_OURS = {dnssecOK: writeOPT(OUR_UDP_SIZE, dnssecOK=dnssecOK) for dnssecOK in (False, True)}


def ourOPT(edns: EDNS | None, code: int = 0) -> bytes:
    """
    Write the OPT record for an answer.

    @param edns: What the query's says; without one the answer has none.
    @param code: RCODE of the answer.
    """
    if edns is None:
        return b""
    if code <= RCODE:
        return _OURS[edns.dnssecOK]
    return writeOPT(OUR_UDP_SIZE, dnssecOK=edns.dnssecOK, code=code)


def bareAnswer(
    number: int, flags: int, question: bytes, edns: EDNS | None, code: int, set_: int = 0
) -> bytes:
    """
    Write an answer without records, or one that takes none.

    @param number: The query's number.
    @param flags: The query's flags, of which some are copied.
    @param question: The query's question, as it was sent; empty if it cannot
        be read.
    @param edns: What the query's OPT record says.
    @param code: RCODE.
    @param set_: More flags of the answer's own.
    """
    opt = ourOPT(edns, code)
    flags = flags & (OPCODE | RD | CD) | QR | RA | set_ | code & RCODE
    return HEADER.pack(number, flags, bool(question), 0, 0, bool(opt)) + question + opt

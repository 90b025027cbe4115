"""
What DNS messages are made of: numbers, names, records.

A name is written label by label, and may end in a pointer to where the rest of
it has been written before::

    +-----+-------+-----+-------+---+      +-----+-------+------------+
    |  3  | w w w |  4  | t e s t | 0 |    |  3  | f t p | 1 1 OFFSET |
    +-----+-------+-----+-------+---+      +-----+-------+------------+

Here a pointer leads backwards only, further back with each step, so that none
can lead in a circle.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-4}
@see: U{https://www.rfc-editor.org/rfc/rfc6891}
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from socksproxy.errors import MalformedMessage

HEADER = struct.Struct("!HHHHHH")
"""
ID, flags, QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
"""

QUESTION = struct.Struct("!HH")
"""
QTYPE, QCLASS.
"""

RECORD = struct.Struct("!HHIH")
"""
TYPE, CLASS, TTL, RDLENGTH.
"""

OPTION = struct.Struct("!HH")
"""
Code and length of an option in an OPT record, and of a parameter in a record
of the types SVCB and HTTPS.
"""

QR = 0x8000
OPCODE = 0x7800
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
AD = 0x0020
CD = 0x0010
RCODE = 0x000F

DO = 0x8000
"""
Of the lower half of an OPT record's TTL.
"""

MAX_MESSAGE = 65535
MAX_NAME = 255
MAX_LABEL = 63

MAX_TTL = 0x7FFFFFFF
"""
Seconds; with the top bit set a TTL counts as 0 (RFC 2181 section 8).
"""

# How many pointers one after another are followed: names have a few parts.
_MAX_STEPS = 32

POINTER = 0xC0
"""
The bits that tell a pointer from the length of a label.
"""


class RecordType(IntEnum):
    """
    The types of records that are told apart here.
    """

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    DS = 43
    RRSIG = 46
    DNSKEY = 48
    SVCB = 64
    HTTPS = 65
    IXFR = 251
    AXFR = 252
    MAILB = 253
    MAILA = 254
    ANY = 255


class RecordClass(IntEnum):
    """
    The classes that are told apart here.
    """

    IN = 1
    CHAOS = 3
    ANY = 255


class ResponseCode(IntEnum):
    """
    RCODE, with the upper bits that an OPT record has for it.
    """

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Record(NamedTuple):
    """
    Where the parts of a record are in its message.

    @ivar start: Where it begins, with the name of its owner.
    @ivar type: TYPE.
    @ivar recordClass: CLASS; the sender's UDP size in an OPT record.
    @ivar ttl: TTL as it is written.
    @ivar data: Where RDATA begins. The TTL is written 6 octets before.
    @ivar end: Where RDATA ends, and the record.
    """

    start: int
    type: int
    recordClass: int
    ttl: int
    data: int
    end: int


def skipName(octets: bytes | bytearray, offset: int) -> int:
    """
    Find the end of a name, without looking where its pointer leads.

    @raise MalformedMessage: The message ends first, or a label has a form
        that is not in use.
    """
    try:
        while length := octets[offset]:
            if length > MAX_LABEL:
                if length < POINTER:
                    raise MalformedMessage("a label of an unknown form")
                offset += 1
                octets[offset]
                break
            offset += 1 + length
    except IndexError:
        raise MalformedMessage("the message ends inside a name") from None
    return offset + 1


def labelsAt(octets: bytes, offset: int) -> list[bytes]:
    """
    Read a name, wherever its parts are.

    @return: Its labels as they are written, from the first to the top-level
        domain's.
    @raise MalformedMessage: The message ends inside the name, the name is too
        long, or a pointer does not lead back.
    """
    labels = []
    room = MAX_NAME - 1
    earliest = offset
    steps = 0
    try:
        while length := octets[offset]:
            if length <= MAX_LABEL:
                end = offset + 1 + length
                labels.append(octets[offset + 1 : end])
                room -= 1 + length
                if room < 0:
                    raise MalformedMessage("a name is too long")
                offset = end
                continue
            if length < POINTER:
                raise MalformedMessage("a label of an unknown form")
            offset = (length & ~POINTER) << 8 | octets[offset + 1]
            steps += 1
            if not HEADER.size <= offset < earliest or steps > _MAX_STEPS:
                raise MalformedMessage("a pointer does not lead back to a name")
            earliest = offset
    except IndexError:
        raise MalformedMessage("the message ends inside a name") from None
    return labels


def recordsAt(octets: bytes, offset: int, count: int) -> Iterator[Record]:
    """
    Find one record after another.

    @param offset: Where the first one begins.
    @param count: How many there are.
    @raise MalformedMessage: The message ends first. What RDATA holds is not
        looked at.
    """
    size = len(octets)
    for _ in range(count):
        fixed = skipName(octets, offset)
        data = fixed + RECORD.size
        if data > size:
            raise MalformedMessage("the message ends inside a record")
        kind, recordClass, ttl, length = RECORD.unpack_from(octets, fixed)
        end = data + length
        if end > size:
            raise MalformedMessage("the message ends inside a record")
        yield Record(offset, kind, recordClass, ttl, data, end)
        offset = end


def questionEnd(octets: bytes) -> int:
    """
    Find the end of the question's name, behind which are its type and class.
    It is the first name in the message, so that it has no pointer.

    @raise MalformedMessage: It has one, is too long, or the message ends
        inside the question.
    """
    offset = HEADER.size
    try:
        while length := octets[offset]:
            if length > MAX_LABEL:
                raise MalformedMessage("the first name cannot have a pointer")
            offset += 1 + length
    except IndexError:
        raise MalformedMessage("the message ends inside a name") from None
    offset += 1
    if offset - HEADER.size > MAX_NAME:
        raise MalformedMessage("a name is too long")
    if offset + QUESTION.size > len(octets):
        raise MalformedMessage("the message ends inside the question")
    return offset


def optionsAt(octets: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """
    Find the options of an OPT record or the parameters of a record of the
    types SVCB and HTTPS.

    @return: Of each its code, and where its value begins and ends.
    @raise MalformedMessage: One goes beyond the end.
    """
    while start < end:
        value = start + OPTION.size
        if value > end:
            raise MalformedMessage("an option is cut off")
        code, length = OPTION.unpack_from(octets, start)
        start = value + length
        if start > end:
            raise MalformedMessage("an option is cut off")
        yield code, value, start

"""
Writing queries to name servers, and answers to clients.

An answer has its query's number, question (letter by letter), RD and CD, and
an OPT record if the query has one. The question has the same length as the
one in the name server's reply, so that all pointers of the reply stay right.

@see: U{https://www.rfc-editor.org/rfc/rfc6840#section-5.7}
@see: U{https://www.rfc-editor.org/rfc/rfc6891#section-6.2.5}
@see: U{https://www.rfc-editor.org/rfc/rfc8482}
"""

import struct
from collections.abc import Iterable, Sequence

from socksproxy.address import IPAddress
from socksproxy.dns._wire import (
    AD,
    CD,
    HEADER,
    MAX_MESSAGE,
    OPTION,
    QR,
    RA,
    RCODE,
    RD,
    RECORD,
    TC,
    RecordClass,
    RecordType,
    ResponseCode,
)
from socksproxy.dns._wireedns import OUR_UDP_SIZE, bareAnswer, ourOPT, writeOPT
from socksproxy.dns._wirenames import wireName
from socksproxy.dns.message import Query
from socksproxy.dns.reply import Reply

SMALLEST_LIMIT = 512
"""
Octets that a datagram to any client may have (RFC 1035 section 2.3.4).
"""

HINFO_TTL = 3600
"""
Seconds; of the answer to who asks for everything.
"""

_LONG = struct.Struct("!I")
_FLAGS_AT = 2

# A pointer to the name in the question.
_OWNER = struct.pack("!H", 0xC000 | HEADER.size)

_VERSIONS = {RecordType.A.value: 4, RecordType.AAAA.value: 6}

_HINFO_DATA = b"\x07RFC8482\x00"


def limitFor(query: Query, most: int = OUR_UDP_SIZE) -> int:
    """
    Tell how long an answer by UDP may be.

    @param most: Octets that we send in a datagram.
    """
    if query.edns is None:
        return SMALLEST_LIMIT
    return max(SMALLEST_LIMIT, min(query.edns.udpSize, most))


def queryFor(
    query: Query, number: int, *, udpSize: int | None = OUR_UDP_SIZE, padTo: int = 0
) -> bytes:
    """
    Write a client's question for a name server. What else the client's OPT
    record says stays with us: it is for the one who receives it, and the
    client's network is nobody's business.

    @param number: The query's number there.
    @param udpSize: Octets of the largest datagram that we take, or L{None}
        for a name server that does not understand OPT.
    @param padTo: If not 0, make the length a multiple of this many octets, so
        that who sees the encrypted query knows less.
    """
    flags = RD | query.flags & CD
    if udpSize is None:
        return HEADER.pack(number, flags, 1, 0, 0, 0) + query.question
    padding = -1
    if padTo:
        used = HEADER.size + len(query.question) + 1 + RECORD.size + OPTION.size
        padding = -used % padTo
    opt = writeOPT(udpSize, dnssecOK=query.dnssecOK, padding=padding)
    return HEADER.pack(number, flags, 1, 0, 0, 1) + query.question + opt


def answerFor(
    query: Query,
    reply: Reply,
    age: int = 0,
    *,
    ttl: int | None = None,
    limit: int = MAX_MESSAGE,
) -> bytes:
    """
    Write what a name server said as an answer to a client.

    @param reply: A reply that matches the query.
    @param age: Seconds since it was received, by which its TTLs are lowered.
    @param ttl: All TTLs, in seconds, of a reply that is out of date.
    @param limit: Octets that the answer may have; a longer one is left out
        but for its header, question and OPT record.
    """
    code = reply.code
    if code > RCODE:
        # That is between the name server and us.
        code = ResponseCode.SERVFAIL
    opt = ourOPT(query.edns)
    octets = reply.octets
    if not reply.question or reply.truncated or len(octets) + len(opt) > limit:
        isCut = 0 if not reply.question else TC
        return bareAnswer(query.id, query.flags, query.question, query.edns, code, isCut)
    _, flags, _, answers, authorities, additional = HEADER.unpack_from(octets)
    # RFC 6840 section 5.8: AD is for those who understand it.
    kept = AD if flags & AD and (query.flags & AD or query.dnssecOK) else 0
    head = HEADER.pack(
        query.id,
        query.flags & (RD | CD) | QR | RA | kept | code,
        1,
        answers,
        authorities,
        additional + bool(opt),
    )
    start = HEADER.size + len(query.question)
    if not age and ttl is None:
        return b"".join((head, query.question, octets[start:], opt))
    answer = bytearray(b"".join((head, query.question, octets[start:], opt)))
    for offset, left in zip(reply.ttlOffsets, reply.ttls, strict=True):
        left = max(0, left - age) if ttl is None else ttl
        _LONG.pack_into(answer, offset, left)
    return bytes(answer)


def fitted(query: Query, answer: bytes, limit: int) -> bytes:
    """
    Cut an answer down to header, question and OPT record if it is too long.

    @param answer: An answer to the query, written here.
    @param limit: Octets that it may have.
    """
    if len(answer) <= limit:
        return answer
    return truncated(query, ResponseCode(answer[_FLAGS_AT + 1] & RCODE))


def truncated(query: Query, code: ResponseCode = ResponseCode.NOERROR) -> bytes:
    """
    Send a client to TCP.

    @param code: RCODE of the whole answer.
    """
    return bareAnswer(query.id, query.flags, query.question, query.edns, code, TC)


def refusal(query: Query, code: ResponseCode) -> bytes:
    """
    Tell a client that there is no answer.
    """
    return bareAnswer(query.id, query.flags, query.question, query.edns, code)


def empty(query: Query) -> bytes:
    """
    Tell a client that there is such a name, but no such record.
    """
    return refusal(query, ResponseCode.NOERROR)


def hinfo(query: Query) -> bytes:
    """
    Answer a client that asks for all records there are: with one that says
    that this is not done.
    """
    return _answer(query, [(RecordType.HINFO, HINFO_TTL, _HINFO_DATA)])


def addressAnswer(query: Query, addresses: Iterable[IPAddress], ttl: int) -> bytes:
    """
    Give a client addresses, those of the type that it asks for.

    @param ttl: Seconds for which it may use them.
    """
    version = _VERSIONS.get(query.type)
    return _answer(
        query,
        [(query.type, ttl, address.packed) for address in addresses if address.version == version],
    )


def pointerAnswer(query: Query, names: Iterable[str], ttl: int) -> bytes:
    """
    Give a client the names of an address.

    @param ttl: Seconds for which it may use them.
    """
    return _answer(query, [(RecordType.PTR, ttl, wireName(name)) for name in names])


def _answer(query: Query, records: Sequence[tuple[int, int, bytes]]) -> bytes:
    """
    Write an answer with records of the name that was asked for.

    @param records: Type, TTL and RDATA of each.
    """
    opt = ourOPT(query.edns)
    head = HEADER.pack(query.id, query.flags & (RD | CD) | QR | RA, 1, len(records), 0, bool(opt))
    parts = [head, query.question]
    for kind, ttl, data in records:
        parts += (_OWNER, RECORD.pack(kind, RecordClass.IN, ttl, len(data)), data)
    parts.append(opt)
    return b"".join(parts)

"""
Reading the queries of clients.

What is read is what decides about a query; its question is kept as the octets
that came, since the answer has to repeat those.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-4}
@see: U{https://www.rfc-editor.org/rfc/rfc6891}
@see: L{socksproxy.dns.reply}
@see: L{socksproxy.dns.answers}
"""

from dataclasses import dataclass, field

from socksproxy.dns._wire import (
    CD,
    HEADER,
    OPCODE,
    QR,
    QUESTION,
    RD,
    RecordClass,
    RecordType,
    ResponseCode,
    questionEnd,
    recordsAt,
)
from socksproxy.dns._wireedns import EDNS, OUR_UDP_SIZE, bareAnswer, readOPT
from socksproxy.dns._wirenames import questionName, wireName
from socksproxy.errors import MalformedMessage

MAX_ADDITIONAL = 4
"""
Records behind a client's question: one is OPT, another may be a signature.
"""

# What needs more than one message, or cannot be asked for any more.
_REFUSED_TYPES = {RecordType.AXFR, RecordType.IXFR, RecordType.MAILA, RecordType.MAILB}

Key = tuple[bytes, int, int, bool, bool]
"""
What makes two questions the same: the name in lower case as it is on the wire,
type, class, DO and CD.
"""


class BadQuery(MalformedMessage):
    """
    A query is not for us to answer.

    @ivar code: What the client is told, or L{None} if it gets no answer.
    @ivar answer: The octets that tell it so; empty if it gets no answer.
    """

    def __init__(self, message: str, code: ResponseCode | None = None, answer: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.answer = answer


@dataclass(slots=True)
class Query:
    """
    A question. Not frozen, since each query of each client makes one.

    @ivar id: The number that its answer has to have.
    @ivar flags: The second word of the header.
    @ivar question: QNAME, QTYPE and QCLASS, as they were sent.
    @ivar name: QNAME, as L{socksproxy.dns._wirenames} writes it.
    @ivar type: QTYPE.
    @ivar recordClass: QCLASS.
    @ivar edns: What its OPT record says, if it has one.
    @ivar key: What it has in common with the same question of others.
    """

    id: int
    flags: int
    question: bytes
    name: str
    type: int
    recordClass: int
    edns: EDNS | None
    key: Key = field(repr=False)

    @property
    def dnssecOK(self) -> bool:
        """
        Tell whether signatures are wanted.
        """
        return self.edns is not None and self.edns.dnssecOK

    @property
    def checkingDisabled(self) -> bool:
        """
        Tell whether answers are wanted that fail validation (CD).
        """
        return bool(self.flags & CD)

    @property
    def recursionDesired(self) -> bool:
        """
        Tell whether RD is set.
        """
        return bool(self.flags & RD)


def readQuery(octets: bytes) -> Query:
    """
    Read what a client asks.

    @param octets: A whole message.
    @raise BadQuery: It is none that can be answered, or only with an error.
    """
    if len(octets) < HEADER.size:
        raise BadQuery("the message ends inside its header")
    number, flags, questions, answers, authorities, additional = HEADER.unpack_from(octets)
    if flags & QR:
        raise BadQuery("an answer is no query")
    if flags & OPCODE:
        raise _refused(octets, "the operation is unknown", ResponseCode.NOTIMP)
    if questions != 1 or answers or additional > MAX_ADDITIONAL or authorities > 1:
        raise _refused(octets, "not one question and nothing else", ResponseCode.FORMERR)
    try:
        nameEnd = questionEnd(octets)
        end = nameEnd + QUESTION.size
        edns = None
        if authorities or additional:
            edns, end = _ednsOf(octets, end, authorities + additional)
        if end != len(octets):
            raise MalformedMessage("there is more behind the message")
    except MalformedMessage as e:
        raise _refused(octets, str(e), ResponseCode.FORMERR) from None
    kind, recordClass = QUESTION.unpack_from(octets, nameEnd)
    wire = octets[HEADER.size : nameEnd].lower()
    query = Query(
        number,
        flags,
        octets[HEADER.size : nameEnd + QUESTION.size],
        questionName(octets, nameEnd),
        kind,
        recordClass,
        edns,
        (wire, kind, recordClass, edns is not None and edns.dnssecOK, bool(flags & CD)),
    )
    if edns is not None and edns.version:
        raise _unanswered(query, "the version of EDNS is unknown", ResponseCode.BADVERS)
    if recordClass != RecordClass.IN:
        raise _unanswered(query, "the class is not IN", ResponseCode.REFUSED)
    if kind in _REFUSED_TYPES:
        raise _unanswered(query, "no type that can be forwarded", ResponseCode.REFUSED)
    if kind in (0, RecordType.OPT):
        raise _unanswered(query, "nothing has this type", ResponseCode.FORMERR)
    return query


def makeQuery(name: str, kind: int, *, number: int = 0, dnssecOK: bool = False) -> Query:
    """
    Make a question of our own.

    @param name: As L{socksproxy.dns._wirenames} writes it.
    @param kind: QTYPE.
    @param number: The number that the answer is to have.
    @param dnssecOK: Ask for signatures.
    @raise ValueError: It is no name.
    """
    wire = wireName(name)
    question = wire + QUESTION.pack(kind, RecordClass.IN)
    key = (wire.lower(), kind, int(RecordClass.IN), dnssecOK, False)
    edns = EDNS(OUR_UDP_SIZE, dnssecOK=True) if dnssecOK else None
    text = questionName(bytes(HEADER.size) + question, HEADER.size + len(wire))
    return Query(number, RD, question, text, kind, RecordClass.IN, edns, key)


def _ednsOf(octets: bytes, start: int, count: int) -> tuple[EDNS | None, int]:
    """
    Look for the OPT record in the records of a query.

    @return: What it says, and where the last record ends.
    @raise MalformedMessage: There are two of them, or a record is cut off.
    """
    found = None
    end = start
    for record in recordsAt(octets, start, count):
        end = record.end
        if record.type == RecordType.OPT:
            if found is not None:
                raise MalformedMessage("more than one OPT record")
            found = readOPT(octets, record)
    return found, end


def _refused(octets: bytes, message: str, code: ResponseCode) -> BadQuery:
    """
    Answer a query of which only the header makes sense.
    """
    number, flags, _, _, _, _ = HEADER.unpack_from(octets)
    return BadQuery(message, code, bareAnswer(number, flags, b"", None, code))


def _unanswered(query: Query, message: str, code: ResponseCode) -> BadQuery:
    """
    Answer a query that makes sense, but not to us.
    """
    answer = bareAnswer(query.id, query.flags, query.question, query.edns, code)
    return BadQuery(message, code, answer)

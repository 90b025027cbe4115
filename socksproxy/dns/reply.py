"""
Reading the replies of name servers.

A reply is kept as the octets that came, so that records of every type pass
through as they are; what is read is what decides about it, and where in it
the numbers are that have to change. The one record that is meant for its
receiver alone, OPT, is taken out; those who write answers put their own in.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-4}
@see: U{https://www.rfc-editor.org/rfc/rfc2308}
@see: L{socksproxy.dns.answers}
"""

import struct
from dataclasses import dataclass

from socksproxy.address import IPAddress, hostFromPacked
from socksproxy.dns._aliases import MAX_ALIASES, followed
from socksproxy.dns._wire import (
    AD,
    HEADER,
    MAX_TTL,
    OPCODE,
    QR,
    QUESTION,
    RCODE,
    TC,
    Record,
    RecordType,
    ResponseCode,
    labelsAt,
    questionEnd,
    recordsAt,
)
from socksproxy.dns._wireedns import EDNS, readOPT
from socksproxy.dns._wirenames import nameOf
from socksproxy.dns.message import Query
from socksproxy.errors import MalformedMessage

_LONG = struct.Struct("!I")
_TTL_BEFORE_DATA = 6

# Two names of the root and five numbers.
_SHORTEST_SOA = 2 + 5 * _LONG.size


@dataclass(slots=True)
class Reply:
    """
    What a name server said, as it is kept.

    @ivar id: The number of the query that it answers.
    @ivar octets: The message without its OPT record and what is behind that.
    @ivar flags: The second word of the header, without AD if that cannot be
        relied on.
    @ivar code: RCODE with its upper bits.
    @ivar question: QNAME, QTYPE and QCLASS; empty if there is none.
    @ivar hasAnswers: Its answer section has records of the type asked for.
    @ivar ttls: The TTLs, the top bit of none being set.
    @ivar ttlOffsets: Where in the octets those are.
    @ivar smallestTTL: The smallest in the answer section, in seconds.
    @ivar negativeTTL: Seconds for which it may be remembered that there is
        no such name or record (RFC 2308 section 5).
    @ivar edns: What its OPT record says, if it has one.
    """

    id: int
    octets: bytes
    flags: int
    code: int
    question: bytes
    hasAnswers: bool
    ttls: tuple[int, ...]
    ttlOffsets: tuple[int, ...]
    smallestTTL: int | None
    negativeTTL: int | None
    edns: EDNS | None

    @property
    def truncated(self) -> bool:
        """
        Tell whether TC is set: there is more, for who asks over TCP.
        """
        return bool(self.flags & TC)

    @property
    def type(self) -> int:
        """
        Give the type that was asked for, 0 if that is not said.
        """
        return int.from_bytes(self.question[-4:-2])

    @property
    def name(self) -> str:
        """
        Give the name that was asked for, the root's if that is not said.
        """
        return nameOf(labelsAt(self.octets, HEADER.size)) if self.question else "."

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """
        Give the addresses of the name that was asked for, or of what it is an
        alias of.

        @raise MalformedMessage: Its records make no sense.
        """
        _, found = self._resolved()
        return tuple(
            hostFromPacked(self.octets[record.data : record.end])
            for record in found
            if (record.type, record.end - record.data) in ((RecordType.A, 4), (RecordType.AAAA, 16))
        )

    @property
    def aliases(self) -> tuple[str, ...]:
        """
        Give the names that the one that was asked for is an alias of, in
        order.

        @raise MalformedMessage: Its records make no sense.
        """
        aliases, _ = self._resolved()
        return tuple(aliases)

    @property
    def pointers(self) -> tuple[str, ...]:
        """
        Give the names that an address has by PTR records.

        @raise MalformedMessage: Its records make no sense.
        """
        _, found = self._resolved()
        return tuple(
            nameOf(labelsAt(self.octets, record.data))
            for record in found
            if record.type == RecordType.PTR
        )

    def matches(self, query: Query) -> bool:
        """
        Tell whether this answers a query, its number aside: the question is
        the same, or there is none, as in some errors.
        """
        question = self.question
        return (
            not question
            or question == query.question
            or (question[-4:] == query.question[-4:] and question[:-4].lower() == query.key[0])
        )

    def records(self) -> list[Record]:
        """
        Find all records.
        """
        _, _, _, answers, authorities, additional = HEADER.unpack_from(self.octets)
        start = HEADER.size + len(self.question)
        return list(recordsAt(self.octets, start, answers + authorities + additional))

    def answers(self) -> list[Record]:
        """
        Find the records of the answer section.
        """
        _, _, _, count, _, _ = HEADER.unpack_from(self.octets)
        return list(recordsAt(self.octets, HEADER.size + len(self.question), count))

    def _resolved(self) -> tuple[list[str], list[Record]]:
        """
        Find what the name that was asked for is an alias of, and the records
        of the name at the end.
        """
        if not self.question:
            return [], []
        # Who asks for an alias wants that, and not what it leads to.
        most = 0 if self.type == RecordType.CNAME else MAX_ALIASES
        return followed(self.octets, self.answers(), self.name, most)


def readReply(octets: bytes, *, encrypted: bool = False) -> Reply:
    """
    Read what a name server sent.

    @param octets: A whole message.
    @param encrypted: It came in such a way that nobody else can have written
        it, so that its word on validation (AD) counts.
    @return: The reply; one that has been truncated has no records, since the
        last of them may have been cut.
    @raise MalformedMessage: It is not a reply to one question.
    """
    if len(octets) < HEADER.size:
        raise MalformedMessage("the message ends inside its header")
    number, flags, questions, answers, authorities, additional = HEADER.unpack_from(octets)
    if flags & (QR | OPCODE) != QR or questions > 1:
        raise MalformedMessage("not a reply to one question")
    if not encrypted:
        flags &= ~AD
    start = HEADER.size
    if questions:
        start = questionEnd(octets) + QUESTION.size
    reading = _Reading(octets, start, flags & RCODE)
    if not flags & TC:
        if answers + authorities and not questions:
            raise MalformedMessage("records that answer no question")
        reading.read(answers, authorities, additional)
    return reading.finished(number, flags)


class _Reading:
    """
    A reply, record by record.
    """

    def __init__(self, octets: bytes, start: int, code: int) -> None:
        """
        @param octets: The whole message.
        @param start: Where its first record begins.
        @param code: The lower bits of RCODE.
        """
        self._octets = octets
        self._question = octets[HEADER.size : start]
        self._code = code
        self._end = self._start = start
        self._counts = (0, 0, 0)
        self._ttls: list[int] = []
        self._offsets: list[int] = []
        self._changed: list[int] = []
        self._smallest: int | None = None
        self._negative: int | None = None
        self._answered = False
        self._edns: EDNS | None = None

    def read(self, answers: int, authorities: int, additional: int) -> None:
        """
        Read the records.

        @param answers: ANCOUNT.
        @param authorities: NSCOUNT.
        @param additional: ARCOUNT.
        """
        octets = self._octets
        kind = int.from_bytes(self._question[-4:-2])
        beyond = answers + authorities
        kept = 0
        for number, record in enumerate(recordsAt(octets, self._start, beyond + additional)):
            if record.type == RecordType.OPT:
                if self._edns is not None or number < beyond:
                    raise MalformedMessage("an OPT record where there is none")
                self._edns = readOPT(octets, record)
                self._code |= self._edns.extendedCode << 4
            elif self._edns is None:
                if number < answers:
                    self._answered |= record.type == kind or kind == RecordType.ANY
                self._keep(record, number < answers, answers <= number < beyond)
                kept = number + 1
        self._counts = (answers, authorities, max(0, kept - beyond))

    def _keep(self, record: Record, isAnswer: bool, isAuthority: bool) -> None:
        """
        Note a record that stays in the message.
        """
        ttl = record.ttl if record.ttl <= MAX_TTL else 0
        if isAnswer and (self._smallest is None or ttl < self._smallest):
            self._smallest = ttl
        if (
            isAuthority
            and record.type == RecordType.SOA
            and not (self._answered and self._code == ResponseCode.NOERROR)
            and record.end - record.data >= _SHORTEST_SOA
        ):
            # For as long as this says there is no such thing, and for no
            # longer, it may say so to others.
            (minimum,) = _LONG.unpack_from(self._octets, record.end - _LONG.size)
            ttl = self._negative = min(ttl, minimum if minimum <= MAX_TTL else 0)
        offset = record.data - _TTL_BEFORE_DATA
        if ttl != record.ttl:
            self._changed.append(len(self._ttls))
        self._ttls.append(ttl)
        self._offsets.append(offset)
        self._end = record.end

    def finished(self, number: int, flags: int) -> Reply:
        """
        Make the reply.

        @param number: Its number.
        @param flags: The second word of its header.
        """
        head = HEADER.pack(number, flags, bool(self._question), *self._counts)
        octets = head + self._octets[HEADER.size : self._end]
        if self._changed:
            changed = bytearray(octets)
            for place in self._changed:
                _LONG.pack_into(changed, self._offsets[place], self._ttls[place])
            octets = bytes(changed)
        return Reply(
            number,
            octets,
            flags,
            self._code,
            self._question,
            self._answered,
            tuple(self._ttls),
            tuple(self._offsets),
            self._smallest,
            self._negative,
            self._edns,
        )

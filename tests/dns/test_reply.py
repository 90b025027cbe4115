"""
Tests for L{socksproxy.dns.reply}.
"""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.dns._wireedns import EDNS
from socksproxy.dns.message import makeQuery, readQuery
from socksproxy.dns.reply import readReply
from socksproxy.errors import MalformedMessage
from tests.dns.messages import (
    ANSWERED,
    NUMBER,
    POINTER,
    decoded,
    message,
    opt,
    query,
    question,
    record,
    replies,
    shown,
    soa,
)

ADDRESS = record(POINTER, 1, 300, bytes([192, 0, 2, 1]))
REPLY = message(
    question("www.test"),
    [record(POINTER, 5, 600, b"\x01a\xc0\x10"), record(b"\xc0\x26", 1, 300, bytes(4))],
    [record(b"\xc0\x10", 2, 900, b"\x02ns\xc0\x10")],
    [record(b"\xc0\x4b", 1, 100, bytes(4)), opt(1400)],
)


def sections(octets: bytes) -> list[list[tuple[Any, ...]]]:
    """
    Give what Twisted reads in a message, but for the TTLs.
    """
    found = decoded(octets)
    return [list(map(shown, part)) for part in (found.answers, found.authority, found.additional)]


class TestReadReply:
    """
    Tests for L{readReply}.
    """

    def test_numbers(self) -> None:
        """
        What decides about a reply is read, and where its TTLs are.
        """
        reply = readReply(REPLY)
        assert (reply.id, reply.code, reply.name, reply.type) == (NUMBER, 0, "www.test", 1)
        assert reply.hasAnswers
        assert not reply.truncated
        assert reply.ttls == (600, 300, 900, 100)
        found = [struct.unpack_from("!I", reply.octets, at)[0] for at in reply.ttlOffsets]
        assert found == list(reply.ttls)
        assert reply.smallestTTL == 300
        assert reply.negativeTTL is None
        assert reply.edns == EDNS(1400)

    def test_withoutOPT(self) -> None:
        """
        The OPT record is taken out, and what is behind it, since that may
        have been written with pointers.
        """
        expected = message(question("a.test"), [ADDRESS], [], [ADDRESS])
        for extra in [], [opt()], [opt(), ADDRESS, ADDRESS]:
            octets = message(question("a.test"), [ADDRESS], [], [ADDRESS, *extra])
            assert readReply(octets).octets == expected
        alone = message(question("a.test"), [], [], [opt(), ADDRESS])
        assert readReply(alone).octets == message(question("a.test"))

    def test_trailingOctets(self) -> None:
        """
        What is behind the last record is no part of the message.
        """
        octets = message(question("a.test"), [ADDRESS])
        assert readReply(octets + b"more").octets == octets

    @given(replies())
    @settings(deadline=None)
    def test_likeTwisted(self, octets: bytes) -> None:
        """
        A reply has what Twisted finds in it, record for record.
        """
        theirs = decoded(octets)
        reply = readReply(octets)
        assert sections(reply.octets) == sections(octets)
        everything = theirs.answers + theirs.authority + theirs.additional
        assert len(reply.ttls) == len(everything)
        kept = decoded(reply.octets)
        assert [r.ttl for r in kept.answers + kept.authority + kept.additional] == list(reply.ttls)
        assert reply.smallestTTL == min((r.ttl for r in theirs.answers), default=None)
        for ours, found in zip(reply.ttls, everything, strict=True):
            assert ours == found.ttl or (found.type == 6 and ours == found.payload.minimum)
        kind = theirs.queries[0].type
        assert reply.hasAnswers == any(kind in (255, r.type) for r in theirs.answers)

    @pytest.mark.parametrize(("ttl", "minimum"), [(900, 60), (60, 900)])
    @pytest.mark.parametrize("flags", [ANSWERED, ANSWERED | 3])
    def test_negative(self, ttl: int, minimum: int, flags: int) -> None:
        """
        That there is no such name or record holds for the smaller of the SOA
        record's TTL and its minimum, and that is its TTL from then on.
        """
        octets = message(question("a.test"), authority=[soa(ttl, minimum)], flags=flags)
        reply = readReply(octets)
        assert (reply.negativeTTL, reply.smallestTTL, reply.ttls) == (60, None, (60,))
        expected = message(question("a.test"), authority=[soa(60, minimum)], flags=flags)
        assert reply.octets == expected

    def test_negativeBehindAlias(self) -> None:
        """
        An alias of a name that has no such record is no answer.
        """
        alias = record(POINTER, 5, 30, b"\x01b\xc0\x0e")
        reply = readReply(message(question("a.test"), [alias], [soa(900, 900)]))
        assert not reply.hasAnswers
        assert (reply.negativeTTL, reply.smallestTTL) == (900, 30)
        assert readReply(message(question("a.test", 5), [alias])).hasAnswers

    def test_positiveWithSOA(self) -> None:
        """
        A SOA record beside an answer says nothing about that.
        """
        reply = readReply(message(question("a.test"), [ADDRESS], [soa(900, 60)]))
        assert reply.negativeTTL is None
        assert reply.ttls == (300, 900)

    def test_SOAElsewhere(self) -> None:
        """
        Only in the authority section a SOA record denies anything, and only
        if it has room for what it has to say.
        """
        found = [soa(900, 60)]
        assert readReply(message(question("a.test"), [], [], found)).negativeTTL is None
        assert readReply(message(question("a.test"), found)).negativeTTL is None
        short = [record(POINTER, 6, 900, b"\0\0" + bytes(19))]
        assert readReply(message(question("a.test"), [], short)).negativeTTL is None

    @pytest.mark.parametrize("ttl", [0x80000000, 0xFFFFFFFF])
    def test_topBit(self, ttl: int) -> None:
        """
        A TTL with its top bit set is zero, and so is such a minimum.
        """
        reply = readReply(message(question("a.test"), [record(POINTER, 1, ttl, bytes(4))]))
        assert (reply.smallestTTL, reply.ttls) == (0, (0,))
        assert reply.octets == message(question("a.test"), [record(POINTER, 1, 0, bytes(4))])
        reply = readReply(message(question("a.test"), [], [soa(900, ttl)]))
        assert reply.negativeTTL == 0

    def test_truncated(self) -> None:
        """
        A reply that has been truncated is known, wherever it was cut, and
        none of its records count.
        """
        whole = bytearray(REPLY)
        whole[2] |= 0x02
        for length in range(12 + 14, len(whole) + 1):
            reply = readReply(bytes(whole[:length]))
            assert reply.truncated
            assert reply.octets == message(question("www.test"), flags=ANSWERED | 0x0200)
            assert (reply.ttls, reply.hasAnswers, reply.smallestTTL) == ((), False, None)

    def test_everyTruncation(self) -> None:
        """
        One that is cut without saying so is refused.
        """
        for length in range(len(REPLY)):
            with pytest.raises(MalformedMessage):
                readReply(REPLY[:length])

    def test_extendedCode(self) -> None:
        """
        The OPT record has the upper bits of RCODE.
        """
        octets = message(question("a.test"), additional=[opt(512, 0x01000000)], flags=ANSWERED | 7)
        assert readReply(octets).code == 0x17

    def test_authenticData(self) -> None:
        """
        That data are authentic is believed only of who cannot be imitated.
        """
        octets = message(question("a.test"), [ADDRESS], flags=ANSWERED | 0x20)
        assert readReply(octets, encrypted=True).flags & 0x20
        assert readReply(octets, encrypted=True).octets == octets
        assert not readReply(octets).flags & 0x20
        assert readReply(octets).octets == message(question("a.test"), [ADDRESS])

    def test_withoutQuestion(self) -> None:
        """
        An error may come without the question.
        """
        reply = readReply(message(b"", additional=[opt()], flags=ANSWERED | 1))
        assert (reply.code, reply.question, reply.type, reply.name) == (1, b"", 0, ".")
        assert reply.octets == message(b"", flags=ANSWERED | 1)
        assert (reply.addresses, reply.aliases, reply.pointers) == ((), (), ())

    @pytest.mark.parametrize(
        "octets",
        [
            query("a.test"),
            message(question("a.test"), flags=0xA180),
            message(question("a.test") * 2)[:5] + b"\2" + (message(question("a.test") * 2)[6:]),
            message(b"", [ADDRESS]),
            message(b"", [], [ADDRESS]),
            message(question("a.test"), [opt()]),
            message(question("a.test"), [], [opt()]),
            message(question("a.test"), [], [], [opt(), opt()]),
            message(question("a.test"), [], [], [opt(512, 0, b"\0")]),
        ],
        ids=[
            "query",
            "operation",
            "questions",
            "answers",
            "authority",
            "opt-answer",
            "opt-authority",
            "two-opt",
            "bad-opt",
        ],
    )
    def test_malformed(self, octets: bytes) -> None:
        """
        What is no reply to one question is refused.
        """
        with pytest.raises(MalformedMessage):
            readReply(octets)

    @given(
        st.one_of(
            st.binary(max_size=100),
            st.builds(
                lambda noise, at: REPLY[:at] + noise + REPLY[at + len(noise) :],
                st.binary(min_size=1, max_size=4),
                st.integers(0, len(REPLY)),
            ),
        )
    )
    @settings(deadline=None)
    def test_arbitraryOctets(self, octets: bytes) -> None:
        """
        Whatever comes is a reply or is refused, and what is read of it later
        is read or refused then.
        """
        try:
            reply = readReply(octets)
            assert all(at + 4 <= len(reply.octets) for at in reply.ttlOffsets)
            assert readReply(reply.octets, encrypted=True).octets == reply.octets
            assert len(reply.records()) == len(reply.ttls)
            assert len(reply.aliases) <= 16
            assert reply.addresses is not None
            assert reply.pointers is not None
        except MalformedMessage:
            pass


class TestMatches:
    """
    Tests for C{Reply.matches}.
    """

    def test_sameQuestion(self) -> None:
        """
        A reply answers the question that it repeats, whatever the case.
        """
        reply = readReply(message(question("WWW.test", 65)))
        assert reply.matches(readQuery(query("www.TEST", 65)))
        assert reply.matches(readQuery(query("WWW.test", 65)))

    def test_otherQuestions(self) -> None:
        """
        It answers no other name, type or class, even where the numbers differ
        like the case of letters.
        """
        asked = makeQuery("www.test", 65)
        for name, kind, cls in [("www.test", 97, 1), ("www.tes", 65, 1), ("www.test", 65, 3)]:
            assert not readReply(message(question(name, kind, cls))).matches(asked)

    def test_withoutQuestion(self) -> None:
        """
        One without a question answers any.
        """
        assert readReply(message(b"", flags=ANSWERED | 1)).matches(makeQuery("a.test", 1))

"""
Tests for L{socksproxy.dns.answers}.
"""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.dns import answers
from socksproxy.dns._wire import ResponseCode
from socksproxy.dns.message import Query, readQuery
from socksproxy.dns.reply import readReply
from tests.dns.messages import (
    ANSWERED,
    NUMBER,
    POINTER,
    RD,
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

CD = 0x10
AD = 0x20
TC = 0x0200
ADDRESS = record(POINTER, 1, 300, bytes([192, 0, 2, 1]))
OURS = opt(1232)


def asked(*additional: bytes, flags: int = RD, name: str = "a.test", kind: int = 1) -> Query:
    """
    Read a client's query.
    """
    return readQuery(query(name, kind, *additional, flags=flags))


class TestLimitFor:
    """
    Tests for L{answers.limitFor}.
    """

    @pytest.mark.parametrize(
        ("size", "most", "limit"),
        [
            (None, 1232, 512),
            (0, 1232, 512),
            (511, 1232, 512),
            (600, 1232, 600),
            (4096, 1232, 1232),
            (4096, 4096, 4096),
            (65535, 4096, 4096),
        ],
    )
    def test_limits(self, size: int | None, most: int, limit: int) -> None:
        """
        A datagram may be as long as the client takes and we send, and always
        as long as any client takes.
        """
        additional = [] if size is None else [opt(size)]
        assert answers.limitFor(asked(*additional), most) == limit
        assert answers.limitFor(asked(opt(4096))) == 1232


class TestQueryFor:
    """
    Tests for L{answers.queryFor}.
    """

    def test_exactOctets(self) -> None:
        """
        A name server gets the question letter by letter, a number of its own,
        and an OPT record of ours, without what the client's says.
        """
        found = asked(opt(4096, 0, b"\0\x08\0\4abcd"), flags=0, name="A.test")
        sent = answers.queryFor(found, 7)
        assert sent == message(question("A.test"), additional=[OURS], number=7, flags=RD)
        found = asked(opt(4096, 0x8000), flags=RD | CD | AD)
        sent = answers.queryFor(found, 8, udpSize=4096)
        assert sent == message(
            question("a.test"), additional=[opt(4096, 0x8000)], number=8, flags=RD | CD
        )

    def test_withoutOPT(self) -> None:
        """
        A name server that does not understand OPT gets none.
        """
        sent = answers.queryFor(asked(opt()), 9, udpSize=None)
        assert sent == message(question("a.test"), number=9, flags=RD)

    @pytest.mark.parametrize("length", range(1, 64))
    def test_padding(self, length: int) -> None:
        """
        A padded query has a multiple of the octets that are given, whatever
        it asks for.
        """
        name = "x" * length + ".test"
        sent = answers.queryFor(asked(name=name), 1, padTo=128)
        assert len(sent) == 128
        assert readQuery(sent).name == name
        assert readQuery(sent).edns.options == ((12, bytes(128 - 12 - 11 - 4 - length - 11)),)

    def test_longPadding(self) -> None:
        """
        A longer query has twice as many; one that fits exactly has an option
        without octets.
        """
        name = ".".join(["x" * 60] * 3)
        assert len(answers.queryFor(asked(name=name), 1, padTo=128)) == 256
        exact = asked(name="x" * 53 + "." + "y" * 41)
        sent = answers.queryFor(exact, 1, padTo=128)
        assert len(sent) == 128
        assert readQuery(sent).edns.options == ((12, b""),)


class TestAnswerFor:
    """
    Tests for L{answers.answerFor}.
    """

    def test_exactOctets(self) -> None:
        """
        The answer has the client's number, question, RD and CD, RA but not
        AA, and TTLs lowered by its age but for that of the OPT record.
        """
        reply = readReply(
            message(
                question("a.test"),
                [ADDRESS, record(POINTER, 1, 30, bytes(4))],
                [],
                [ADDRESS, opt(4096)],
                number=99,
                flags=ANSWERED | 0x0400,
            )
        )
        found = asked(opt(4096, 0x8000), flags=CD, name="A.tEST")
        assert answers.answerFor(found, reply, 40) == message(
            question("A.tEST"),
            [record(POINTER, 1, 260, bytes([192, 0, 2, 1])), record(POINTER, 1, 0, bytes(4))],
            [],
            [record(POINTER, 1, 260, bytes([192, 0, 2, 1])), opt(1232, 0x8000)],
            flags=0x8080 | CD,
        )

    def test_withoutOPT(self) -> None:
        """
        Who sent no OPT record gets none.
        """
        reply = readReply(message(question("a.test"), [ADDRESS], additional=[opt(4096)]))
        assert answers.answerFor(asked(), reply) == message(question("a.test"), [ADDRESS])

    def test_addedOPT(self) -> None:
        """
        Who sent one gets one, if the name server sent one or not.
        """
        reply = readReply(message(question("a.test"), [ADDRESS]))
        expected = message(question("a.test"), [ADDRESS], additional=[OURS])
        assert answers.answerFor(asked(opt(4096)), reply) == expected

    def test_stale(self) -> None:
        """
        All TTLs can be set.
        """
        reply = readReply(message(question("a.test"), [ADDRESS], [soa(5, 5)]))
        assert answers.answerFor(asked(), reply, 5000, ttl=30) == message(
            question("a.test"), [record(POINTER, 1, 30, bytes([192, 0, 2, 1]))], [soa(30, 5)]
        )

    def test_keptReplyStays(self) -> None:
        """
        What is kept is not changed by answering from it.
        """
        octets = message(question("a.test"), [ADDRESS])
        reply = readReply(octets)
        answers.answerFor(asked(), reply, 10)
        assert reply.octets == octets
        assert answers.answerFor(asked(), reply, 0) == octets

    @pytest.mark.parametrize(
        ("flags", "additional", "kept"),
        [(RD, [], 0), (RD | AD, [], AD), (RD, [opt(1232, 0x8000)], AD), (RD, [OURS], 0)],
    )
    def test_authenticData(self, flags: int, additional: list[bytes], kept: int) -> None:
        """
        Who does not ask whether data are authentic is not told.
        """
        octets = message(question("a.test"), [ADDRESS], flags=ANSWERED | AD)
        query = asked(*additional, flags=flags)
        answer = answers.answerFor(query, readReply(octets, encrypted=True))
        assert answer == message(
            question("a.test"), [ADDRESS], additional=additional, flags=ANSWERED | kept
        )
        assert not answers.answerFor(query, readReply(octets))[3] & AD

    @pytest.mark.parametrize("code", [2, 3, 5, 15])
    def test_codes(self, code: int) -> None:
        """
        RCODE is the name server's.
        """
        octets = message(question("a.test"), [], [soa(60, 60)], flags=ANSWERED | code)
        assert answers.answerFor(asked(), readReply(octets)) == octets

    def test_extendedCode(self) -> None:
        """
        What the name server has against us is a failure to the client.
        """
        octets = message(question("a.test"), additional=[opt(512, 0x01000000)], flags=ANSWERED)
        answer = answers.answerFor(asked(opt()), readReply(octets))
        assert answer == message(question("a.test"), additional=[OURS], flags=ANSWERED | 2)

    def test_withoutQuestion(self) -> None:
        """
        An answer repeats the question, even if the name server did not.
        """
        for code in 1, 2:
            reply = readReply(message(b"", flags=ANSWERED | code))
            answer = answers.answerFor(asked(), reply)
            assert answer == message(question("a.test"), flags=ANSWERED | code)

    def test_limit(self) -> None:
        """
        An answer that is one octet too long is left out, and TC says so.
        """
        octets = message(question("a.test"), [ADDRESS] * 40, flags=ANSWERED | 3)
        query = asked(opt(4096))
        size = len(octets) + 11
        reply = readReply(octets)
        assert len(answers.answerFor(query, reply, 7, limit=size)) == size
        assert answers.answerFor(query, reply, 7, limit=size - 1) == message(
            question("a.test"), additional=[OURS], flags=ANSWERED | TC | 3
        )

    @pytest.mark.parametrize(("size", "fits"), [(65535 - 11, True), (65536 - 11, False)])
    def test_longest(self, size: int, fits: bool) -> None:
        """
        No message is longer than TCP can say, with the OPT record in it.
        """
        filling = size - len(message(question("a.test"), [record(POINTER, 16, 5, b"")]))
        octets = message(question("a.test"), [record(POINTER, 16, 5, bytes(filling))])
        answer = answers.answerFor(asked(opt(4096)), readReply(octets))
        assert len(answer) == (65535 if fits else 12 + 12 + 11)

    def test_truncated(self) -> None:
        """
        That a reply is truncated is passed on, without what may be cut.
        """
        octets = message(question("a.test"), [ADDRESS], flags=ANSWERED | TC)
        answer = answers.answerFor(asked(), readReply(octets[:-1]))
        assert answer == message(question("a.test"), flags=ANSWERED | TC)

    @given(replies(), st.integers(0, 2**31), st.booleans(), st.booleans())
    @settings(deadline=None)
    def test_likeTwisted(self, octets: bytes, age: int, withEDNS: bool, upper: bool) -> None:
        """
        All records reach the client as Twisted read them before, but for
        their TTLs.
        """
        theirs = decoded(octets)
        name = theirs.queries[0].name.name.decode()
        name = name.upper() if upper else name.lower()
        found = asked(*([opt(4096)] if withEDNS else []), name=name, kind=theirs.queries[0].type)
        reply = readReply(octets)
        assert reply.matches(found)
        written = decoded(answers.answerFor(found, reply, age))
        assert (written.id, written.recAv, written.rCode) == (NUMBER, 1, theirs.rCode)
        assert written.queries[0].name.name == name.encode()
        if withEDNS:
            assert written.additional.pop().type == 41
        for section in "answers", "authority", "additional":
            before, after = getattr(theirs, section), getattr(written, section)
            for old, new in zip(before, after, strict=True):
                ttl = old.ttl
                if new.ttl != max(0, ttl - age):
                    assert old.type == 6
                    ttl = old.payload.minimum
                assert new.ttl == max(0, ttl - age)
                assert shown(new) == shown(old)


class TestMadeHere:
    """
    Tests for answers that no name server has given.
    """

    def test_refusal(self) -> None:
        """
        A refusal repeats the question.
        """
        answer = answers.refusal(asked(name="A.test"), ResponseCode.SERVFAIL)
        assert answer == message(question("A.test"), flags=ANSWERED | 2)

    def test_empty(self) -> None:
        """
        That there is no such record is no error.
        """
        assert answers.empty(asked(opt(512))) == message(question("a.test"), additional=[OURS])

    def test_truncated(self) -> None:
        """
        Who is sent to TCP gets the question and the OPT record.
        """
        answer = answers.truncated(asked(opt(512, 0x8000)), ResponseCode.NXDOMAIN)
        assert answer == message(
            question("a.test"), additional=[opt(1232, 0x8000)], flags=ANSWERED | TC | 3
        )

    def test_hinfo(self) -> None:
        """
        Who asks for everything is told that this is not done (RFC 8482).
        """
        answer = answers.hinfo(asked(kind=255))
        assert answer == message(
            question("a.test", 255), [record(POINTER, 13, 3600, b"\x07RFC8482\0")]
        )

    def test_addresses(self) -> None:
        """
        Addresses are given of the type that is asked for.
        """
        hosts = [IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"), IPv4Address("192.0.2.2")]
        answer = answers.addressAnswer(asked(opt()), hosts, 60)
        assert answer == message(
            question("a.test"),
            [record(POINTER, 1, 60, hosts[0].packed), record(POINTER, 1, 60, hosts[2].packed)],
            [],
            [OURS],
        )
        answer = answers.addressAnswer(asked(kind=28, flags=0), hosts, 60)
        assert answer == message(
            question("a.test", 28), [record(POINTER, 28, 60, hosts[1].packed)], flags=0x8080
        )
        for kind in 28, 16, 65:
            answer = answers.addressAnswer(asked(kind=kind), hosts[:1], 60)
            assert answer == message(question("a.test", kind))

    def test_pointers(self) -> None:
        """
        The names of an address are given.
        """
        name = "1.2.0.192.in-addr.arpa"
        answer = answers.pointerAnswer(asked(name=name, kind=12), ["www.test", "b"], 60)
        assert answer == message(
            question(name, 12),
            [record(POINTER, 12, 60, b"\3www\4test\0"), record(POINTER, 12, 60, b"\1b\0")],
        )

    def test_fitted(self) -> None:
        """
        Such an answer is left out, too, if it is too long.
        """
        found = asked(opt(), kind=1)
        hosts = [IPv4Address(number) for number in range(100)]
        answer = answers.addressAnswer(found, hosts, 60)
        assert answers.fitted(found, answer, len(answer)) == answer
        expected = message(question("a.test"), additional=[OURS], flags=ANSWERED | TC)
        assert answers.fitted(found, answer, len(answer) - 1) == expected
        answer = answers.refusal(found, ResponseCode.NXDOMAIN)
        expected = message(question("a.test"), additional=[OURS], flags=ANSWERED | TC | 3)
        assert answers.fitted(found, answer, 20) == expected

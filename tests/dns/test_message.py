"""
Tests for L{socksproxy.dns.message}.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.names import dns

from socksproxy.dns._wireedns import EDNS
from socksproxy.dns.message import BadQuery, makeQuery, readQuery
from tests.dns.messages import (
    NUMBER,
    RD,
    decoded,
    message,
    names,
    opt,
    query,
    question,
    record,
    wire,
)

QUERY = query("WWW.Example.com", 28, opt(4096, 0x8000, b"\0\x0a\0\2ab"), flags=RD | 0x10)


class TestReadQuery:
    """
    Tests for L{readQuery}.
    """

    def test_plain(self) -> None:
        """
        A query without anything special is read.
        """
        found = readQuery(query("www.test"))
        assert (found.id, found.name, found.type, found.recordClass) == (NUMBER, "www.test", 1, 1)
        assert found.question == question("www.test")
        assert found.edns is None
        assert found.recursionDesired
        assert not found.dnssecOK
        assert not found.checkingDisabled

    def test_everything(self) -> None:
        """
        A query says what its sender is able to take; its question is kept
        letter by letter.
        """
        found = readQuery(QUERY)
        assert found.name == "www.example.com"
        assert found.question == question("WWW.Example.com", 28)
        assert found.edns == EDNS(4096, 0, 0, True, ((10, b"ab"),))
        assert found.dnssecOK
        assert found.checkingDisabled

    def test_key(self) -> None:
        """
        Questions are the same if their names are, whatever the case, and
        their types, DO and CD.
        """
        variants = [
            query("www.test"),
            query("www.test", 65),
            query("www.test2"),
            query("www.test", 1, opt(512, 0x8000)),
            query("www.test", 1, flags=RD | 0x10),
        ]
        assert len({readQuery(variant).key for variant in variants}) == len(variants)
        assert readQuery(query("WWW.tesT", flags=0)).key == readQuery(variants[0]).key
        assert readQuery(query("www.test", 1, opt(4096))).key == readQuery(variants[0]).key
        assert readQuery(variants[1]).key == (wire("www.test"), 65, 1, False, False)

    def test_root(self) -> None:
        """
        The root can be asked for.
        """
        assert readQuery(query("", 2)).name == "."

    def test_signed(self) -> None:
        """
        There may be a signature behind the OPT record.
        """
        found = readQuery(query("a.test", 1, opt(4096), record(b"\0", 250, 0, b"x", 255)))
        assert found.edns == EDNS(4096)

    def test_additional(self) -> None:
        """
        A few records of any type may be there.
        """
        extra = [record(b"\0", 1, 0, b"")] * 3
        assert readQuery(query("a.test", 1, *extra, opt(4096))).edns == EDNS(4096)

    @given(names(), st.integers(1, 65535), st.booleans(), st.booleans())
    @settings(deadline=None)
    def test_likeTwisted(self, name: str, kind: int, withEDNS: bool, dnssecOK: bool) -> None:
        """
        What Twisted writes is read.
        """
        octets = dns._EDNSMessage(
            id=7,
            recDes=True,
            ednsVersion=0 if withEDNS else None,
            dnssecOK=withEDNS and dnssecOK,
            queries=[dns.Query(name.encode(), kind)],
        ).toStr()
        try:
            found = readQuery(octets)
        except BadQuery as e:
            assert kind in (41, 251, 252, 253, 254)
            assert decoded(e.answer).queries[0].type == kind
            return
        assert (found.id, found.name, found.type) == (7, name.lower(), kind)
        assert (found.edns is not None) == withEDNS
        assert found.dnssecOK == (withEDNS and dnssecOK)

    def test_silence(self) -> None:
        """
        What is too short to have a number, and what is an answer, gets none.
        """
        for octets in [b"", QUERY[:11], message(question("a.test"))]:
            with pytest.raises(BadQuery) as caught:
                readQuery(octets)
            assert (caught.value.code, caught.value.answer) == (None, b"")
            assert str(caught.value)

    @pytest.mark.parametrize(
        "octets",
        [
            QUERY[:12],
            QUERY[:-1],
            QUERY + b"\0",
            message(b"", flags=RD),
            message(question("a.test") * 2, flags=RD)[:5] + b"\2" + message(b"")[6:],
            message(question("a.test"), [record(b"\0", 1, 0, bytes(4))], flags=RD),
            query("a.test", 1, opt(), opt()),
            query("a.test", 1, *[record(b"\0", 1, 0, b"")] * 5),
            query("a.test", 1, opt(512, 0, b"\0")),
            message(b"\xc0\x0c\0\1\0\1", flags=RD),
            message(b"\x40" + bytes(0x60), flags=RD),
        ],
        ids=[
            "header",
            "cut",
            "longer",
            "no-question",
            "two-questions",
            "answer",
            "two-opt",
            "additional",
            "bad-opt",
            "pointer",
            "label",
        ],
    )
    def test_malformed(self, octets: bytes) -> None:
        """
        A query that makes no sense is answered with FORMERR and a header
        alone.
        """
        with pytest.raises(BadQuery) as caught:
            readQuery(octets)
        assert caught.value.code == 1
        flags = 0x8181 | octets[3] & 0x10
        assert caught.value.answer == message(b"", flags=flags)

    def test_everyTruncation(self) -> None:
        """
        A query that ends anywhere before its end is refused.
        """
        for length in range(len(QUERY)):
            with pytest.raises(BadQuery):
                readQuery(QUERY[:length])

    @pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
    def test_operation(self, opcode: int) -> None:
        """
        Anything else than a query is not implemented.
        """
        with pytest.raises(BadQuery) as caught:
            readQuery(query("a.test", flags=opcode << 11 | RD))
        assert caught.value.answer == message(b"", flags=0x8184 | opcode << 11)

    @pytest.mark.parametrize("cls", [3, 4, 254, 255])
    def test_class(self, cls: int) -> None:
        """
        What is not about the Internet is refused, the version of the server
        included.
        """
        with pytest.raises(BadQuery) as caught:
            readQuery(query("version.bind", 16, opt(4096), cls=cls))
        asked = question("version.bind", 16, cls)
        assert caught.value.answer == message(asked, additional=[opt()], flags=0x8185)

    @pytest.mark.parametrize("kind", [251, 252, 253, 254])
    def test_transfers(self, kind: int) -> None:
        """
        Zones are not transferred.
        """
        extra = [record(b"\0", 6, 0, b"")] if kind == 251 else []
        octets = message(question("a.test", kind), authority=extra, flags=RD)
        with pytest.raises(BadQuery) as caught:
            readQuery(octets)
        assert caught.value.answer == message(question("a.test", kind), flags=0x8185)

    @pytest.mark.parametrize("kind", [0, 41])
    def test_noType(self, kind: int) -> None:
        """
        What no record can be is malformed.
        """
        with pytest.raises(BadQuery) as caught:
            readQuery(query("a.test", kind))
        assert caught.value.answer == message(question("a.test", kind), flags=0x8181)

    def test_version(self) -> None:
        """
        Another version of EDNS is told which one there is.
        """
        with pytest.raises(BadQuery) as caught:
            readQuery(query("a.test", 1, opt(4096, 0x00018000)))
        assert caught.value.answer == message(
            question("a.test"), additional=[opt(1232, 0x01008000)], flags=0x8180
        )

    @given(
        st.one_of(
            st.binary(max_size=100),
            st.builds(
                lambda noise, at: QUERY[:at] + noise + QUERY[at + len(noise) :],
                st.binary(min_size=1, max_size=4),
                st.integers(0, len(QUERY)),
            ),
        )
    )
    @settings(deadline=None)
    def test_arbitraryOctets(self, octets: bytes) -> None:
        """
        Whatever comes is a query, or is refused with an answer that has its
        number, or with none.
        """
        try:
            found = readQuery(octets)
        except BadQuery as e:
            assert (e.answer == b"") == (e.code is None)
            assert not e.answer or e.answer[:2] == octets[:2]
            assert not e.answer or decoded(e.answer).rCode == e.code % 16
            return
        assert found.question == octets[12 : 12 + len(found.question)]
        assert len(found.key[0]) + 4 == len(found.question)


class TestMakeQuery:
    """
    Tests for L{makeQuery}.
    """

    @given(names(), st.integers(1, 40), st.booleans())
    def test_likeRead(self, name: str, kind: int, dnssecOK: bool) -> None:
        """
        A query of our own is what would have been read.
        """
        extra = [opt(1232, 0x8000)] if dnssecOK else []
        read = readQuery(query(name, kind, *extra))
        assert makeQuery(name, kind, number=NUMBER, dnssecOK=dnssecOK) == read

    def test_noName(self) -> None:
        """
        What is no name is not asked for.
        """
        with pytest.raises(ValueError):
            makeQuery("a..test", 1)

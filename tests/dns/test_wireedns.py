"""
Tests for L{socksproxy.dns._wireedns}.
"""

import pytest
from twisted.names import dns

from socksproxy.dns import _wireedns as wire
from socksproxy.dns._wire import TC, recordsAt
from socksproxy.errors import MalformedMessage
from tests.dns.messages import opt, question, record


def read(octets: bytes) -> wire.EDNS:
    """
    Read an OPT record.
    """
    (found,) = recordsAt(octets, 0, 1)
    return wire.readOPT(octets, found)


class TestReadOPT:
    """
    Tests for L{wire.readOPT}.
    """

    def test_plain(self) -> None:
        """
        The class is the size of datagrams.
        """
        assert read(opt(4096)) == wire.EDNS(4096)

    def test_everything(self) -> None:
        """
        The TTL is upper bits of RCODE, version and flags, of which one has a
        meaning.
        """
        assert read(opt(512, 0x01028000, b"\0\x0a\0\2ab\0\x0c\0\0")) == wire.EDNS(
            512, 1, 2, True, ((10, b"ab"), (12, b""))
        )
        assert read(opt(512, 0x7FFF)) == wire.EDNS(512)

    def test_likeTwisted(self) -> None:
        """
        What Twisted writes is read.
        """
        octets = dns._EDNSMessage(
            ednsVersion=0, maxSize=1400, dnssecOK=True, queries=[dns.Query(b"a.test")]
        ).toStr()
        assert read(octets[12 + 12 :]) == wire.EDNS(1400, 0, 0, True)

    def test_owner(self) -> None:
        """
        An OPT record belongs to no name.
        """
        with pytest.raises(MalformedMessage):
            read(record(b"\x01a\0", 41, 0, b"", 512))

    def test_cutOptions(self) -> None:
        """
        An option that goes beyond the record is refused.
        """
        with pytest.raises(MalformedMessage):
            read(opt(512, 0, b"\0\x0a\0\2a"))

    def test_manyOptions(self) -> None:
        """
        There are no more options than anybody has a use for.
        """
        assert len(read(opt(512, 0, b"\0\x0a\0\0" * 64)).options) == 64
        with pytest.raises(MalformedMessage):
            read(opt(512, 0, b"\0\x0a\0\0" * 65))


class TestWriteOPT:
    """
    Tests for L{wire.writeOPT}.
    """

    def test_exactOctets(self) -> None:
        """
        A record has eleven octets, and four more than its padding.
        """
        assert wire.writeOPT(1232).hex() == "00002904d0000000000000"
        assert wire.writeOPT(512, dnssecOK=True).hex() == "0000290200000080000000"
        assert wire.writeOPT(1232, code=0x17).hex() == "00002904d0010000000000"
        assert wire.writeOPT(1232, padding=0).hex() == "00002904d0000000000004000c0000"
        assert wire.writeOPT(1232, padding=3).hex() == "00002904d0000000000007000c0003000000"

    def test_roundTrip(self) -> None:
        """
        What is written is read.
        """
        written = wire.writeOPT(1400, dnssecOK=True, code=16, padding=2)
        assert read(written) == wire.EDNS(1400, 1, 0, True, ((12, b"\0\0"),))


class TestBareAnswer:
    """
    Tests for L{wire.bareAnswer}.
    """

    def test_exactOctets(self) -> None:
        """
        The number, RD, CD and the question are the query's, RA is set, and
        nothing else of the query's flags is kept.
        """
        asked = question("A.test")
        answer = wire.bareAnswer(0xABCD, 0x07FF & ~0x8000, asked, None, 3)
        assert answer == bytes.fromhex("abcd81930001000000000000") + asked

    def test_withOPT(self) -> None:
        """
        Who sent an OPT record gets one, with DO as he had it.
        """
        asked = question("a.test")
        answer = wire.bareAnswer(1, 0, asked, wire.EDNS(4096, 0, 0, True), 0, TC)
        head = bytes.fromhex("000182800001000000000001")
        assert answer == head + asked + bytes.fromhex("00002904d0000080000000")

    def test_withoutDO(self) -> None:
        """
        Who does not want signatures is not told that he does.
        """
        answer = wire.bareAnswer(1, 0, b"", wire.EDNS(4096), 0)
        assert answer == bytes.fromhex("000180800000000000000001") + opt(1232)

    def test_extendedCode(self) -> None:
        """
        A code that is too long for the header is partly in the OPT record.
        """
        answer = wire.bareAnswer(1, 0x0100, b"", wire.EDNS(512, 0, 1), 16)
        head = bytes.fromhex("000181800000000000000001")
        assert answer == head + bytes.fromhex("00002904d0010000000000")

    def test_opcode(self) -> None:
        """
        The operation is the query's.
        """
        assert wire.bareAnswer(1, 0x2800, b"", None, 4).hex() == "0001a8840000000000000000"

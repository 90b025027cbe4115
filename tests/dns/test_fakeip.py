"""
Tests for L{socksproxy.dns.fakeip}.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

import pytest

from socksproxy.dns.fakeip import NEVER_FAKED, FakeAddresses
from socksproxy.dns.message import Query, readQuery
from socksproxy.dns.names import NameSet
from socksproxy.errors import ConfigurationError
from tests.dns.messages import ANSWERED, POINTER, message, query, question, record, wire

A, PTR, TXT, AAAA, SVCB, HTTPS = 1, 12, 16, 28, 64, 65
IPV6 = IPv6Network("fd00:1::/64")
SMALL = IPv4Network("192.0.2.0/29")


def asked(name: str, kind: int = A) -> Query:
    """
    Read a client's query.
    """
    return readQuery(query(name, kind))


class TestMapping:
    """
    Tests for names and their addresses.
    """

    def test_bothFamilies(self) -> None:
        """
        A name has one address of each pool, at the same place.
        """
        fakes = FakeAddresses(ipv6=IPV6)
        mapping = fakes.mappingFor("www.test")
        assert mapping is not None
        ipv4, ipv6 = mapping.addresses
        assert int(ipv4) - int(ip_address("198.18.0.0")) == int(ipv6) - int(ip_address("fd00:1::"))
        assert fakes.nameOf(ipv4) == fakes.nameOf(ipv6) == "www.test"
        assert fakes.mappingFor("www.test") == mapping
        assert len(fakes) == 1

    def test_edges(self) -> None:
        """
        All addresses of a pool are given but for the first and the last.
        """
        fakes = FakeAddresses(SMALL)
        given = set()
        for number in range(6):
            mapping = fakes.mappingFor(f"{number}.test")
            assert mapping is not None
            given |= set(mapping.addresses)
        assert given == set(SMALL.hosts())
        assert SMALL[0] in fakes
        assert SMALL[7] in fakes
        assert fakes.nameOf(SMALL[0]) is None
        assert fakes.nameOf(SMALL[7]) is None

    def test_unevenPools(self) -> None:
        """
        The smaller pool counts.
        """
        fakes = FakeAddresses(ipv6=IPv6Network("fd00:1::/126"))
        for name in "ab":
            mapping = fakes.mappingFor(name)
            assert mapping is not None
            assert all(address in fakes for address in mapping.addresses)
        assert fakes.mappingFor("c") is not None
        assert len(fakes) == 2
        assert fakes.nameOf(ip_address("198.18.0.4")) is None

    def test_membership(self) -> None:
        """
        An address of a pool is known as such, with a name or without.
        """
        fakes = FakeAddresses(ipv6=IPV6)
        addresses = ["198.18.0.1", "198.19.255.255", "198.20.0.0", "fd00:1::1", "fd00:1:0:1::"]
        assert [ip_address(a) in fakes for a in addresses] == [True, True, False, True, False]
        assert [fakes.nameOf(ip_address(a)) for a in addresses] == [None] * 5
        assert ip_address("fd00:1::1") not in FakeAddresses()

    def test_open(self) -> None:
        """
        A name that is connected to keeps its address.
        """
        fakes = FakeAddresses(SMALL, IPV6)
        first = fakes.mappingFor("a.test")
        assert first is not None
        fakes.opened(first.addresses[0])
        fakes.opened(first.addresses[1])
        fakes.closed(first.addresses[0])
        for number in range(20):
            assert fakes.mappingFor(f"{number}.test") is not None
        assert fakes.nameOf(first.addresses[0]) == "a.test"
        fakes.closed(first.addresses[1])
        for number in range(20, 40):
            fakes.mappingFor(f"{number}.test")
        assert fakes.nameOf(first.addresses[0]) != "a.test"

    def test_allOpen(self) -> None:
        """
        When all are connected to, there is none.
        """
        fakes = FakeAddresses(IPv4Network("192.0.2.0/30"))
        for name in "a.test", "b.test":
            mapping = fakes.mappingFor(name)
            assert mapping is not None
            fakes.opened(mapping.addresses[0])
        assert fakes.mappingFor("c.test") is None
        answer = fakes.answerTo(asked("c.test"))
        assert answer == message(question("c.test"), flags=ANSWERED | 2)
        fakes.opened(ip_address("8.8.8.8"))
        fakes.closed(ip_address("8.8.8.8"))
        fakes.closed(SMALL[0])

    def test_tooSmall(self) -> None:
        """
        A pool has at least one address to give.
        """
        for network in "192.0.2.0/31", "192.0.2.0/32":
            with pytest.raises(ConfigurationError):
                FakeAddresses(IPv4Network(network))


class TestAnswers:
    """
    Tests for what clients are told.
    """

    def test_addresses(self) -> None:
        """
        A name has the address that it is known by.
        """
        fakes = FakeAddresses(ipv6=IPV6)
        for kind, number in (A, 0), (AAAA, 1):
            answer = fakes.answerTo(asked("www.test", kind))
            mapping = fakes.mappingFor("www.test")
            assert mapping is not None
            data = mapping.addresses[number].packed
            assert answer == message(question("www.test", kind), [record(POINTER, kind, 60, data)])

    def test_letters(self) -> None:
        """
        The case of letters makes no difference.
        """
        fakes = FakeAddresses()
        assert fakes.answerTo(asked("WWW.test")) is not None
        assert fakes.answerTo(asked("www.TEST")) is not None
        assert len(fakes) == 1

    def test_withoutIPv6(self) -> None:
        """
        Without a pool of IPv6, no name has an address of that family.
        """
        answer = FakeAddresses().answerTo(asked("www.test", AAAA))
        assert answer == message(question("www.test", AAAA))

    @pytest.mark.parametrize("kind", [SVCB, HTTPS])
    def test_hints(self, kind: int) -> None:
        """
        Records that would hold true addresses are denied.
        """
        fakes = FakeAddresses()
        assert fakes.answerTo(asked("www.test", kind)) == message(question("www.test", kind))
        assert len(fakes) == 0

    @pytest.mark.parametrize("kind", [TXT, 15, 33, 255])
    def test_otherTypes(self, kind: int) -> None:
        """
        Other records are not made up.
        """
        assert FakeAddresses().answerTo(asked("www.test", kind)) is None

    @pytest.mark.parametrize(
        "name", ["nas.lan", "a.local", "2.pool.ntp.org", "time.apple.com", "stun.a.test"]
    )
    def test_skipped(self, name: str) -> None:
        """
        Some names have to have their true addresses.
        """
        fakes = FakeAddresses()
        assert {fakes.answerTo(asked(name, kind)) for kind in (A, AAAA, HTTPS)} == {None}
        other = FakeAddresses(skipped=NameSet(["www.test"]))
        assert other.answerTo(asked(name)) is not None
        assert other.answerTo(asked("www.test")) is None
        assert len(NameSet(NEVER_FAKED)) == len(NEVER_FAKED)

    def test_noHosts(self) -> None:
        """
        A name that nobody could connect to gets no address.
        """
        octets = message(b"\x03a b\x04test\0\0\1\0\1", flags=0x0100)
        fakes = FakeAddresses()
        assert fakes.answerTo(readQuery(octets)) is None
        assert fakes.answerTo(asked("")) is None
        assert fakes.answerTo(asked("127.1")) is None
        assert fakes.answerTo(asked("192.0.2.1")) is None

    def test_names(self) -> None:
        """
        An address of a pool has the name that it stands for, and no other
        has one here.
        """
        fakes = FakeAddresses(ipv6=IPV6)
        mapping = fakes.mappingFor("www.test")
        assert mapping is not None
        for address in mapping.addresses:
            name = address.reverse_pointer
            answer = fakes.answerTo(asked(name, PTR))
            data = wire("www.test")
            assert answer == message(question(name, PTR), [record(POINTER, PTR, 60, data)])
        name = (mapping.addresses[0] + 1).reverse_pointer
        answer = fakes.answerTo(asked(name, PTR))
        assert answer == message(question(name, PTR), flags=ANSWERED | 3)
        assert fakes.answerTo(asked("8.8.8.8.in-addr.arpa", PTR)) is None
        assert fakes.answerTo(asked("www.test", PTR)) is None


class TestRestore:
    """
    Tests for what is known after a restart.
    """

    def test_lines(self) -> None:
        """
        Each name that gets addresses is recorded once.
        """
        lines: list[bytes] = []
        fakes = FakeAddresses(SMALL, record=lines.append)
        for name in "a.test", "b.test", "a.test":
            fakes.mappingFor(name)
        assert len(lines) == 2
        mapping = fakes.mappingFor("a.test")
        assert mapping is not None
        assert lines[0] == f"{mapping.addresses[0]} a.test\n".encode()

    def test_restored(self) -> None:
        """
        After a restart each name has the address that it had, whatever
        happened before.
        """
        lines: list[bytes] = []
        fakes = FakeAddresses(SMALL, IPV6, lines.append)
        for number in range(30):
            fakes.mappingFor(f"{number % 11}.test")
        again = FakeAddresses(SMALL, IPV6, lines.append)
        assert again.restore(b"".join(lines)) == 6
        before = len(lines)
        for name in list(fakes._numbering.numbers):
            assert again.mappingFor(name) == fakes.mappingFor(name)
        assert len(lines) == before

    def test_dump(self) -> None:
        """
        What still counts is told in the order of its use, so that what is
        used is kept; open connections are the newest.
        """
        fakes = FakeAddresses(SMALL)
        for name in "abcdef":
            fakes.mappingFor(name)
        mapping = fakes.mappingFor("a")
        assert mapping is not None
        mapping = fakes.mappingFor("b")
        assert mapping is not None
        fakes.opened(mapping.addresses[0])
        fakes.mappingFor("c")
        names = [line.split()[1].decode() for line in fakes.dump().splitlines()]
        assert names == ["d", "e", "f", "a", "c", "b"]
        again = FakeAddresses(SMALL)
        again.restore(fakes.dump())
        assert again.dump() == fakes.dump()

    def test_nonsense(self) -> None:
        """
        Lines that make no sense are left out, and so is one that was not
        written to its end.
        """
        lines = (
            b"\n198.18.0.1 a.test\nx\n198.18.0.2\n198.18.0.2 \n192.0.2.1 b.test\n\xff\xfe\n"
            b"198.18.0.0 c.test\n198.19.255.255 d.test\n198.18.0.3 B..c\n198.18.0.3 B.c\n"
            b"198.18.0.4 192.0.2.1\n198.18.0.5 e.test x\n198.18.0.6 f.test\n198.18.0.7 g.te"
        )
        fakes = FakeAddresses()
        assert fakes.restore(lines) == 2
        assert fakes.nameOf(IPv4Address("198.18.0.1")) == "a.test"
        assert fakes.nameOf(IPv4Address("198.18.0.6")) == "f.test"
        assert fakes.restore(b"") == 2

"""
Tests for L{socksproxy.dns.rules}.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from socksproxy.dns.hosts import Hosts
from socksproxy.dns.message import readQuery
from socksproxy.dns.rules import CANARY, Block, Direct, Fixed, Proxy, Rules, answerTo
from socksproxy.errors import ConfigurationError
from tests.dns.messages import ANSWERED, POINTER, message, query, question, record, wire

A, NS, SOA, PTR, TXT, AAAA, DS, DNSKEY, HTTPS = 1, 2, 6, 12, 16, 28, 43, 48, 65
LOOPBACK = Fixed((IPv4Address("127.0.0.1"), IPv6Address("::1")), ("localhost",))


def reverse(address: str) -> str:
    """
    Give the name for the reverse look-up of an address.
    """
    return ip_address(address).reverse_pointer


class TestPatterns:
    """
    Tests for what is written for a name.
    """

    def test_decisions(self) -> None:
        """
        The best pattern decides, and the default about all other names.
        """
        rules = Rules(Proxy("far"))
        rules.add("||test", Direct())
        rules.add("|ads.test", Block())
        rules.add("||a.test", Fixed((IPv4Address("192.0.2.1"),)))
        names = ["www.test", "ads.test", "x.ads.test", "b.a.test", "www.example"]
        assert [rules.decide(name, A) for name in names] == [
            Direct(),
            Block(),
            Direct(),
            Fixed((IPv4Address("192.0.2.1"),)),
            Proxy("far"),
        ]

    def test_networks(self) -> None:
        """
        A reverse look-up is decided by the address in the name.
        """
        rules = Rules()
        rules.add("192.0.2.7", Block())
        rules.add("192.0.2.0/24", Direct())
        rules.add("2001:db8::/32", Direct())
        assert rules.decide(reverse("192.0.2.7"), PTR) == Block()
        assert rules.decide(reverse("192.0.2.8"), PTR) == Direct()
        assert rules.decide(reverse("2001:db8::8"), PTR) == Direct()
        assert rules.decide(reverse("8.8.8.8"), PTR) == Proxy()
        assert rules.decide(reverse("192.0.2.8"), TXT) == Block()

    def test_hosts(self) -> None:
        """
        Hosts count before everything else, both ways.
        """
        hosts = Hosts.read("192.0.2.1 router router.test\n10.0.0.1 localhost")
        rules = Rules(hosts=hosts)
        rules.add("router.test", Direct())
        rules.add("192.0.2.0/24", Direct())
        address = (IPv4Address("192.0.2.1"),)
        assert rules.decide("router", A) == rules.decide("router.test", HTTPS) == Fixed(address)
        assert rules.decide("x.router.test", A) == Direct()
        assert rules.decide("localhost", A) == Fixed((IPv4Address("10.0.0.1"),))
        assert rules.decide(reverse("192.0.2.1"), PTR) == Fixed(names=("router", "router.test"))
        assert rules.decide(reverse("10.0.0.1"), PTR) == Fixed(names=("localhost",))

    def test_lists(self) -> None:
        """
        A list has a pattern in each line, and comments.
        """
        rules = Rules()
        rules.addList("# list\nads.test\n\n|b.test # one\n192.0.2.0/24\n", Block(null=True))
        names = ["x.ads.test", "b.test", "x.b.test"]
        assert [rules.decide(name, A) == Block(null=True) for name in names] == [True, True, False]
        assert rules.decide(reverse("192.0.2.9"), PTR) == Block(null=True)

    @pytest.mark.parametrize("line", ["a b", "a..b", "192.0.2.0/33"])
    def test_badLists(self, line: str) -> None:
        """
        A line that is no pattern is refused, and its number given.
        """
        with pytest.raises(ConfigurationError, match="line 2: "):
            Rules().addList(f"a.test\n{line}\n", Direct())


class TestSpecialNames:
    """
    Tests for names that are never forwarded.
    """

    @pytest.mark.parametrize("name", ["localhost", "a.localhost"])
    def test_localhost(self, name: str) -> None:
        """
        This host is this host.
        """
        assert Rules().decide(name, A) == LOOPBACK

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_loopback(self, address: str) -> None:
        """
        Its addresses have its name.
        """
        assert Rules().decide(reverse(address), PTR) == LOOPBACK

    @pytest.mark.parametrize(
        "name",
        [
            "printer",
            "local",
            "printer.local",
            "home.arpa",
            "nas.home.arpa",
            "_dns.resolver.arpa",
            "x.onion",
            "a.invalid",
            "x.alt",
            CANARY,
        ],
    )
    def test_noName(self, name: str) -> None:
        """
        There are no such names where others can be asked.
        """
        assert Rules().decide(name, A) == Block()
        assert Rules().decide(name, HTTPS) == Block()

    @pytest.mark.parametrize(
        "address",
        [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "127.0.0.2",
            "0.0.0.0",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "255.255.255.255",
            "::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "febf::1",
            "2001:db8::1",
        ],
    )
    def test_privateNetworks(self, address: str) -> None:
        """
        Nobody elsewhere knows the names of private addresses.
        """
        assert Rules().decide(reverse(address), PTR) == Block()

    @pytest.mark.parametrize(
        "address",
        [
            "8.8.8.8",
            "11.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.3.1",
            "::2",
            "fec0::1",
            "2001:db9::1",
        ],
    )
    def test_publicNetworks(self, address: str) -> None:
        """
        Others are asked for.
        """
        assert Rules().decide(reverse(address), PTR) == Proxy()

    def test_zones(self) -> None:
        """
        Who validates has to ask for what belongs to a top-level domain, and
        to the root.
        """
        assert {Rules().decide("com", kind) for kind in (NS, SOA, DS, DNSKEY)} == {Proxy()}
        assert Rules().decide("com", TXT) == Block()
        assert {Rules().decide(".", kind) for kind in (NS, DNSKEY, A)} == {Proxy()}

    def test_rulesCountFirst(self) -> None:
        """
        What the administrator has written for such a name counts.
        """
        rules = Rules()
        rules.add("||local", Direct())
        rules.add("|printer", Direct())
        rules.add("192.168.0.0/16", Direct())
        assert rules.decide("nas.local", A) == rules.decide("printer", A) == Direct()
        assert rules.decide(reverse("192.168.1.1"), PTR) == Direct()

    def test_switchedOff(self) -> None:
        """
        The names can be made like others: all of them, or the browsers' one.
        """
        rules = Rules(special=False)
        names = ["localhost", "printer", "x.local", CANARY, reverse("10.0.0.1")]
        assert {rules.decide(name, A) for name in names} == {Proxy()}
        assert Rules(canary=False).decide(CANARY, A) == Proxy()
        assert Rules().decide(f"x.{CANARY}", A) == Proxy()


class TestAnswerTo:
    """
    Tests for L{answerTo}.
    """

    def test_asked(self) -> None:
        """
        What others have to be asked for is not answered.
        """
        found = readQuery(query("a.test"))
        assert answerTo(found, Proxy()) is None
        assert answerTo(found, Direct()) is None

    def test_blocked(self) -> None:
        """
        A blocked name does not exist, or leads nowhere.
        """
        found = readQuery(query("a.test"))
        assert answerTo(found, Block()) == message(question("a.test"), flags=ANSWERED | 3)
        for kind, data in (A, bytes(4)), (AAAA, bytes(16)):
            answer = answerTo(readQuery(query("a.test", kind)), Block(null=True))
            assert answer == message(question("a.test", kind), [record(POINTER, kind, 60, data)])
        answer = answerTo(readQuery(query("a.test", HTTPS)), Block(null=True))
        assert answer == message(question("a.test", HTTPS))

    def test_fixed(self) -> None:
        """
        A name has the addresses that are written for it, and nothing else.
        """
        decision = LOOPBACK
        answer = answerTo(readQuery(query("localhost", AAAA)), decision)
        data = IPv6Address("::1").packed
        assert answer == message(question("localhost", AAAA), [record(POINTER, AAAA, 60, data)])
        answer = answerTo(readQuery(query("localhost", HTTPS)), decision)
        assert answer == message(question("localhost", HTTPS))
        answer = answerTo(readQuery(query("localhost", PTR)), Fixed((IPv4Address(1),)))
        assert answer == message(question("localhost", PTR))

    def test_names(self) -> None:
        """
        An address has the names that are written for it.
        """
        name = reverse("127.0.0.1")
        answer = answerTo(readQuery(query(name, PTR)), LOOPBACK)
        data = wire("localhost")
        assert answer == message(question(name, PTR), [record(POINTER, PTR, 60, data)])

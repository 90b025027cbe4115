"""
Tests for L{socksproxy.dns.names}.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.dns.names import NameMap, NameSet, addressInName, suffixesOf
from socksproxy.errors import ConfigurationError


class TestNameMap:
    """
    Tests for L{NameMap}.
    """

    @pytest.mark.parametrize(
        ("pattern", "inside", "outside"),
        [
            ("|www.test", ["www.test"], ["a.www.test", "test", "xwww.test"]),
            ("||a.test", ["a.test", "b.a.test", "c.b.a.test"], ["xa.test", "test", "a.test.b"]),
            ("a.test", ["a.test", "b.a.test"], ["xa.test", "test"]),
            ("*.a.test", ["a.test", "b.a.test"], ["xa.test"]),
            (".a.test", ["a.test", "b.a.test"], ["xa.test"]),
            ("A.Test.", ["a.test"], ["b.test"]),
            ("||lan", ["lan", "printer.lan"], ["alan", "lan.test"]),
            ("stun.*", ["stun.a.test", "stun.b"], ["stun", "a.stun.test", "stun1.a"]),
            ("b\u00fccher.test", ["xn--bcher-kva.test"], ["bcher.test"]),
        ],
    )
    def test_patterns(self, pattern: str, inside: list[str], outside: list[str]) -> None:
        """
        A pattern means a name, or all below it, or a first label.
        """
        names = NameSet([pattern])
        assert [name for name in inside + outside if name in names] == inside

    def test_precedence(self) -> None:
        """
        A name counts before those above it, and those before a first label.
        """
        found: NameMap[int] = NameMap()
        for number, pattern in enumerate(["test", "a.test", "|b.a.test", "b.a.test", "ntp.*"]):
            found.add(pattern, number)
        assert len(found) == 5
        names = ["b.a.test", "c.b.a.test", "c.a.test", "c.test", "ntp.test", "ntp.x", "x", "."]
        assert [found.find(name) for name in names] == [2, 3, 1, 0, 0, 4, None, None]

    def test_first(self) -> None:
        """
        Of two equal patterns the first counts.
        """
        found: NameMap[int] = NameMap()
        found.add("a.test", 1)
        found.add("||A.test", 2)
        assert found.find("a.test") == 1

    @pytest.mark.parametrize(
        "pattern", ["", "|", "||", "a..b", "a b", "192.0.2.1", "||::1", "a.*.b", "*", "x/y", ".*"]
    )
    def test_noPattern(self, pattern: str) -> None:
        """
        What is no pattern is refused, with the pattern in the text.
        """
        with pytest.raises(ConfigurationError) as caught:
            NameSet([pattern])
        assert repr(pattern) in str(caught.value)

    def test_labels(self) -> None:
        """
        A label that has a dot in it is below nothing but what is behind it.
        """
        assert "x\\046a.test" not in NameSet(["a.test"])


def test_suffixesOf() -> None:
    """
    A name is below each name that is a part of its end.
    """
    assert list(suffixesOf("a.b.c")) == ["a.b.c", "b.c", "c"]


class TestAddressInName:
    """
    Tests for L{addressInName}.
    """

    @given(st.ip_addresses())
    def test_roundTrip(self, address: IPv4Address | IPv6Address) -> None:
        """
        Each address has a name for reverse look-ups.
        """
        assert addressInName(address.reverse_pointer) == address

    @pytest.mark.parametrize(
        "name",
        [
            "in-addr.arpa",
            "2.0.192.in-addr.arpa",
            "0.1.2.0.192.in-addr.arpa",
            "256.2.0.192.in-addr.arpa",
            "01.2.0.192.in-addr.arpa",
            "-1.2.0.192.in-addr.arpa",
            "\u0661.2.0.192.in-addr.arpa",
            "1.2.0.192.in-addr.arpa.test",
            "1.2.0.192.ip6.arpa",
            ip_address("2001:db8::1").reverse_pointer[2:],
            "00." + ip_address("2001:db8::1").reverse_pointer[4:],
            "g" + ip_address("2001:db8::1").reverse_pointer[1:],
        ],
    )
    def test_otherNames(self, name: str) -> None:
        """
        Names of networks and all others have no address.
        """
        assert addressInName(name) is None

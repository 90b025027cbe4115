"""
Tests for L{socksproxy.dns.hosts}.
"""

from ipaddress import IPv4Address, IPv6Address

import pytest

from socksproxy.dns.hosts import Hosts, linesOf
from socksproxy.errors import ConfigurationError

IPV4, IPV6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")


def test_read() -> None:
    """
    A file has addresses with their names, in any number of lines.
    """
    hosts = Hosts.read(
        "# hosts\n\n192.0.2.1 Router.lan router # ours\n"
        "2001:db8::1\trouter\n192.0.2.1 router.lan other\r\n"
    )
    assert len(hosts) == 3
    assert hosts.addressesOf("router") == (IPV4, IPV6)
    assert hosts.addressesOf("router.lan") == hosts.addressesOf("other") == (IPV4,)
    assert hosts.addressesOf("lan") == ()
    assert hosts.namesOf(IPV4) == ("router.lan", "router", "other")
    assert hosts.namesOf(IPV6) == ("router",)
    assert hosts.namesOf(IPv4Address("192.0.2.2")) == ()


@pytest.mark.parametrize(
    "line", ["router", "192.0.2.1", "a.test 192.0.2.1", "192.0.2.1 a..b", "1 a"]
)
def test_badLines(line: str) -> None:
    """
    A line that makes no sense is refused, and its number given.
    """
    with pytest.raises(ConfigurationError, match="line 2: "):
        Hosts.read(f"192.0.2.1 a.test\n{line}\n")


def test_linesOf() -> None:
    """
    Lines count from 1, whether there is something on them or not.
    """
    assert list(linesOf("a b # c\n\n#d\n e")) == [(1, ["a", "b"]), (4, ["e"])]

"""
Tests for L{socksproxy.dns._aliases}, through L{socksproxy.dns.reply.Reply}.
"""

from ipaddress import IPv4Address, IPv6Address

import pytest

from socksproxy.dns.reply import Reply, readReply
from socksproxy.errors import MalformedMessage
from tests.dns.messages import message, question, record, wire

FIRST, SECOND = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
IPV6 = IPv6Address("2001:db8::1")


def alias(owner: str, target: str) -> bytes:
    """
    Write a CNAME record.
    """
    return record(wire(owner), 5, 300, wire(target))


def address(owner: str, host: IPv4Address | IPv6Address, cls: int = 1) -> bytes:
    """
    Write an address record.
    """
    return record(wire(owner), 1 if host.version == 4 else 28, 300, host.packed, cls)


def reply(*answers: bytes, name: str = "www.test", kind: int = 1) -> Reply:
    """
    Read a reply.
    """
    return readReply(message(question(name, kind), list(answers)))


def test_addresses() -> None:
    """
    A name's addresses are given in the order of their records.
    """
    found = reply(
        address("www.test", SECOND), address("WWW.test", IPV6), address("www.test", FIRST)
    )
    assert found.addresses == (SECOND, IPV6, FIRST)
    assert found.aliases == ()


def test_aliases() -> None:
    """
    Aliases are followed, in whatever order their records come.
    """
    found = reply(address("c.test", FIRST), alias("b.test", "C.test"), alias("www.test", "b.test"))
    assert found.aliases == ("b.test", "c.test")
    assert found.addresses == (FIRST,)


def test_others() -> None:
    """
    Addresses of other names do not count, nor those of an alias, of another
    class or of a wrong length.
    """
    found = reply(
        address("other.test", FIRST),
        alias("www.test", "b.test"),
        address("www.test", FIRST),
        address("b.test", FIRST, cls=3),
        record(wire("b.test"), 1, 300, bytes(5)),
        record(wire("b.test"), 28, 300, bytes(4)),
        address("b.test", SECOND),
    )
    assert found.addresses == (SECOND,)


def test_aliasWanted() -> None:
    """
    Who asks for the alias itself is not led further.
    """
    found = reply(alias("www.test", "b.test"), address("b.test", FIRST), kind=5)
    assert (found.aliases, found.addresses) == ((), ())


def test_noAddress() -> None:
    """
    An alias may lead to a name without addresses.
    """
    found = reply(alias("www.test", "b.test"))
    assert (found.aliases, found.addresses) == (("b.test",), ())


def test_circle() -> None:
    """
    Aliases that lead in a circle are refused, as are too many of them.
    """
    circle = reply(alias("www.test", "b.test"), alias("b.test", "www.test"))
    with pytest.raises(MalformedMessage, match="aliases"):
        _ = circle.addresses
    chain = [alias(f"{n}.test", f"{n + 1}.test") for n in range(17)]
    assert len(reply(*chain[:16], name="0.test").aliases) == 16
    with pytest.raises(MalformedMessage, match="aliases"):
        _ = reply(*chain, name="0.test").aliases


def test_badName() -> None:
    """
    A record whose name makes no sense is refused when it is looked at.
    """
    found = reply(record(b"\xc0\xff", 1, 300, bytes(4)))
    with pytest.raises(MalformedMessage, match="pointer"):
        _ = found.addresses


def test_longNames() -> None:
    """
    Names that are written once do not make hundreds of records expensive;
    long ones that are all different are refused.
    """
    long = record(wire(".".join("a" * 120)), 16, 5, b"")
    first = (0xC000 | len(message(question("www.test")))).to_bytes(2)
    same = record(first, 1, 5, bytes(4))
    different = record(b"\1x" + first, 1, 5, bytes(4))
    assert reply(long, *[same] * 1000).addresses == ()
    assert reply(long, *[different] * 66).addresses == ()
    with pytest.raises(MalformedMessage, match="long names"):
        _ = reply(long, *[different] * 70).addresses


def test_pointers() -> None:
    """
    The names of an address are read, also through an alias.
    """
    reverse = "1.2.0.192.in-addr.arpa"
    found = reply(
        alias(reverse, "1.0-25.2.0.192.in-addr.arpa"),
        record(wire("1.0-25.2.0.192.in-addr.arpa"), 12, 300, wire("WWW.test")),
        name=reverse,
        kind=12,
    )
    assert found.pointers == ("www.test",)

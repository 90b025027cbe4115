"""
Tests for L{socksproxy.address}.
"""

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import (
    MAX_NAME_LENGTH,
    Destination,
    Host,
    hostFromName,
    hostFromPacked,
    hostFromText,
    normalized,
)
from socksproxy.errors import BadName

LABEL63 = "a" * 63
NAME253 = ".".join((LABEL63, LABEL63, LABEL63, "a" * 61))

NAMES = {
    "example.test": "example.test",
    "EXAMPLE.Test": "example.test",
    "example.test.": "example.test",
    "localhost": "localhost",
    "a": "a",
    "_dmarc.example.test": "_dmarc.example.test",
    "under_score.test": "under_score.test",
    "xn--bcher-kva.test": "xn--bcher-kva.test",
    "3com.test": "3com.test",
    "1.2.3.test": "1.2.3.test",
    "12ab": "12ab",
    "0xyz": "0xyz",
    "a-b.test": "a-b.test",
    NAME253: NAME253,
    NAME253 + ".": NAME253,
    "b\u00fccher.test": "xn--bcher-kva.test",
    "B\u00dcCHER.test": "xn--bcher-kva.test",
    "stra\u00dfe.test": "xn--strae-oqa.test",
    "\u4f8b\u3048.test": "xn--r8jz45g.test",
    "example\u3002test": "example.test",
    "\uff45xample.test": "example.test",
}

LITERALS = {
    "192.0.2.10": IPv4Address("192.0.2.10"),
    "192.0.2.10.": IPv4Address("192.0.2.10"),
    "0.0.0.0": IPv4Address(0),
    "::1": IPv6Address(1),
    "[::1]": IPv6Address(1),
    "2001:DB8::5": IPv6Address("2001:db8::5"),
    "::ffff:192.0.2.10": IPv4Address("192.0.2.10"),
    "[::ffff:c000:20a]": IPv4Address("192.0.2.10"),
    "\uff11\uff12\uff17.0.0.1": IPv4Address("127.0.0.1"),
}

BAD_NAMES = [
    b"",
    b".",
    b"..",
    b".test",
    b"a..test",
    b"a.test..",
    b"-a.test",
    b"a-.test",
    LABEL63.encode() + b"a.test",
    NAME253.encode() + b"a",
    b"a\0bc",
    b"a\r\nb.c",
    b"a b.test",
    b"a/b.test",
    b"a@b.test",
    b"a%b.test",
    b"a\\b.test",
    b"a.test:80",
    b"*.test",
    b"[a.test]",
    b"[192.0.2.1]",
    b"[::1",
    b"::1]",
    b"[[::1]]",
    b"::g",
    b"1::2::3",
    b"fe80::1%eth0",
    b"[fe80::1%25eth0]",
    b"\xff\xfe",
    b"\xc3\xa9" * 200,
    "\u200d.test".encode(),
    "a\u2024\u0000b".encode(),
]

NUMERIC_FORMS = [
    b"2130706433",
    b"0",
    b"127.1",
    b"127.0.1",
    b"0x7f.1",
    b"0x7f.0.0.1",
    b"0X7F000001",
    b"0x7f000001",
    b"0177.0.0.1",
    b"017700000001",
    b"127.0.0.01",
    b"127.0.0.0x1",
    b"127.0.0.1.1",
    b"256.0.0.1",
    b"127.1.",
    b"a.1",
    b"a.0x",
    "\uff11\uff12\uff17.\uff11".encode(),
    "\u2461\u2460\u2462\u2466\u24ea\u2466".encode(),
]


@pytest.mark.parametrize("text", NAMES)
def test_name(text: str) -> None:
    """
    A host name is given its one form: lower-case ASCII, no dot at the end.
    """
    assert hostFromName(text.encode()) == NAMES[text]


@pytest.mark.parametrize("text", LITERALS)
def test_literal(text: str) -> None:
    """
    A literal in the place of a name is read as the address that it is.
    """
    assert hostFromName(text.encode()) == LITERALS[text]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_badName(name: bytes) -> None:
    """
    What no host name can be is refused.
    """
    with pytest.raises(BadName):
        hostFromName(name)


@pytest.mark.parametrize("name", NUMERIC_FORMS)
def test_numericForm(name: bytes) -> None:
    """
    Forms that a resolver may take for an address are refused, and so are
    their full-width and circled writings.
    """
    with pytest.raises(BadName):
        hostFromName(name)


def canonical(name: bytes) -> Host | None:
    """
    Give the canonical form of a name, or L{None} if it is refused.
    """
    try:
        return hostFromName(name)
    except BadName:
        return None


names = st.one_of(
    st.binary(max_size=260),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
    st.text("0123456789abcdefxABX.-_:[]%", max_size=30).map(str.encode),
    st.text("\uff10\uff11\u2460\u3002.\u00e9\u05d0a1-", max_size=20).map(str.encode),
)

almostNumbers = st.lists(
    st.text("0123456789abcdefxABX\uff11", min_size=1, max_size=5), min_size=1, max_size=5
).map(lambda labels: ".".join(labels).encode())


class HostFromNameTests(SynchronousTestCase):
    """
    Whatever comes in, what goes out is safe.
    """

    @given(name=names)
    @settings(deadline=None)
    def test_nothingElseGetsThrough(self, name: bytes) -> None:
        """
        Any octets give a plain name, an address that is not a mapped one, or
        L{BadName}; and what was given is given again for itself.
        """
        host = canonical(name)
        if host is None:
            return
        if isinstance(host, str):
            self.assertRegex(host, r"\A[a-z0-9_.-]+\Z")
            self.assertLessEqual(len(host), MAX_NAME_LENGTH)
        else:
            self.assertEqual(normalized(host), host)
        self.assertEqual(hostFromName(str(host).encode("ascii")), host)

    @given(name=almostNumbers)
    @settings(deadline=None)
    def test_namesAreNoNumbers(self, name: bytes) -> None:
        """
        No name that gets through is one that C{inet_aton}, and so
        C{getaddrinfo}, reads as an address.
        """
        host = canonical(name)
        if isinstance(host, str):
            self.assertRaises(OSError, socket.inet_aton, host)

    @given(address=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
    @settings(deadline=None)
    def test_everyAddress(self, address: IPv4Address | IPv6Address) -> None:
        """
        Every address is read from its text.
        """
        self.assertEqual(hostFromName(str(address).encode("ascii")), normalized(address))

    def test_errorShowsNothing(self) -> None:
        """
        The error does not repeat what came from the network.
        """
        error = self.assertRaises(BadName, hostFromName, b"evil\r\nHost: name")
        self.assertNotIn("evil", str(error))


class HostFromPackedTests(SynchronousTestCase):
    """
    Addresses from the wire.
    """

    def test_families(self) -> None:
        """
        The length decides on the family.
        """
        self.assertEqual(hostFromPacked(b"\xc0\0\2\x0a"), IPv4Address("192.0.2.10"))
        self.assertEqual(hostFromPacked(bytes(15) + b"\1"), IPv6Address("::1"))

    def test_mapped(self) -> None:
        """
        An IPv4-mapped address is the IPv4 address that it stands for, so that
        no rule for IPv4 is passed by.
        """
        packed = IPv6Address("::ffff:127.0.0.1").packed
        self.assertEqual(hostFromPacked(packed), IPv4Address("127.0.0.1"))

    @given(address=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
    @settings(deadline=None)
    def test_roundTrip(self, address: IPv4Address | IPv6Address) -> None:
        """
        Every other address comes back as it is.
        """
        self.assertEqual(hostFromPacked(address.packed), normalized(address))


class HostFromTextTests(SynchronousTestCase):
    """
    Addresses as transports write them.
    """

    def test_addresses(self) -> None:
        """
        Both families are read, without a zone, and mapped addresses as IPv4.
        """
        texts = ("192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1")
        self.assertEqual(
            [hostFromText(text) for text in texts],
            [
                IPv4Address("192.0.2.1"),
                IPv6Address("2001:db8::1"),
                IPv6Address("fe80::1"),
                IPv4Address("192.0.2.1"),
            ],
        )

    def test_otherText(self) -> None:
        """
        What is no address gives L{None}: names, short forms, junk.
        """
        for text in ("", "localhost", "127.1", "0x7f.0.0.1", "1.2.3.4.5", "::g", "a\0b", "\u00e9"):
            self.assertIsNone(hostFromText(text), text)

    @given(address=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
    @settings(deadline=None)
    def test_everyAddress(self, address: IPv4Address | IPv6Address) -> None:
        """
        Every address is read from its text.
        """
        self.assertEqual(hostFromText(str(address)), normalized(address))

    @given(text=st.text(max_size=40))
    @settings(deadline=None)
    def test_arbitraryText(self, text: str) -> None:
        """
        No text raises.
        """
        host = hostFromText(text)
        self.assertTrue(host is None or hostFromText(str(host)) == host)


class DestinationTests(SynchronousTestCase):
    """
    Destinations as logs show them.
    """

    def test_text(self) -> None:
        """
        IPv6 addresses stand in brackets, everything else stands as it is.
        """
        hosts: list[Host] = ["a.test", IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")]
        self.assertEqual(
            [str(Destination(host, 80)) for host in hosts],
            ["a.test:80", "192.0.2.1:80", "[2001:db8::1]:80"],
        )

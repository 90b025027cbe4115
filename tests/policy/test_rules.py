"""
Tests for L{socksproxy.policy.rules}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.errors import NotAllowed
from socksproxy.interfaces import IAddressPolicy
from socksproxy.policy import rules
from socksproxy.policy.rules import AnyAddress, PublicAddresses, isInternal, isOwnAddress
from tests.policy.embeddings import EMBEDDINGS, LOCAL_TRANSLATION

INTERNAL_IPV4 = {
    "0.0.0.0/8": (None, "1.0.0.0"),
    "10.0.0.0/8": ("9.255.255.255", "11.0.0.0"),
    "100.64.0.0/10": ("100.63.255.255", "100.128.0.0"),
    "127.0.0.0/8": ("126.255.255.255", "128.0.0.0"),
    "169.254.0.0/16": ("169.253.255.255", "169.255.0.0"),
    "172.16.0.0/12": ("172.15.255.255", "172.32.0.0"),
    "192.0.0.0/24": ("191.255.255.255", "192.0.1.0"),
    "192.168.0.0/16": ("192.167.255.255", "192.169.0.0"),
    "198.18.0.0/15": ("198.17.255.255", "198.20.0.0"),
    "224.0.0.0/4": ("223.255.255.255", None),
    "240.0.0.0/4": (None, None),
}
"""
Networks, and the addresses before and after them that are not internal.
"""

INTERNAL_IPV6 = {
    "::/128": (None, None),
    "::1/128": (None, None),
    "fc00::/7": ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"),
    "fe80::/10": ("fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
    "fec0::/10": (None, None),
    "ff00::/8": (None, None),
}

METADATA = ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
"""
Where clouds tell their machines secrets.
"""

PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2001:4860:4860::8888")

networks = st.sampled_from([IPv4Network(network) for network in INTERNAL_IPV4])
internalIPv4 = networks.flatmap(lambda network: st.ip_addresses(network=network))
publicIPv4 = st.ip_addresses(v=4).filter(lambda address: not isInternal(address))
anyBits = st.integers(0, 2**128 - 1)


class InternalTests(SynchronousTestCase):
    """
    Which addresses are internal.
    """

    def test_boundaries(self) -> None:
        """
        The first and the last address of every internal network are internal,
        and their neighbours outside are not.
        """
        for text, neighbours in INTERNAL_IPV4.items():
            network = IPv4Network(text)
            self.assertTrue(isInternal(network[0]), network[0])
            self.assertTrue(isInternal(network[-1]), network[-1])
            self.assertPublic(*neighbours)
        for text, neighbours in INTERNAL_IPV6.items():
            network6 = IPv6Network(text)
            self.assertTrue(isInternal(network6[0]), network6[0])
            self.assertTrue(isInternal(network6[-1]), network6[-1])
            self.assertPublic(*neighbours)

    def assertPublic(self, *addresses: str | None) -> None:
        """
        Fail if one of the addresses is internal.
        """
        for address in addresses:
            if address is not None:
                self.assertFalse(isInternal(ip_address(address)), address)

    def test_metadata(self) -> None:
        """
        The metadata services of clouds are internal.
        """
        for address in METADATA:
            self.assertTrue(isInternal(ip_address(address)), address)

    def test_public(self) -> None:
        """
        The Internet is not.
        """
        self.assertPublic(*PUBLIC)

    @settings(deadline=None)
    @given(internalIPv4)
    def test_ipv4(self, address: IPv4Address) -> None:
        """
        Every address of an internal network is internal.
        """
        self.assertTrue(isInternal(address))

    @settings(deadline=None)
    @given(publicIPv4)
    def test_agreesWithTheRegistry(self, address: IPv4Address) -> None:
        """
        What is not internal is on no list of the standard library either, but
        for addresses that exist in documentation only.
        """
        documentation = [
            IPv4Network(network)
            for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
        ]
        self.assertTrue(
            address.is_global or any(address in network for network in documentation), address
        )


class EmbeddedTests(SynchronousTestCase):
    """
    IPv4 addresses inside IPv6 addresses.
    """

    def test_examples(self) -> None:
        """
        Every way of writing loopback as an IPv6 address is found out.
        """
        for text in (
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::",
            "2002:7f00:1:1234:5678::1",
            "2001:0:7f00:1::f7f7:f7f7",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
        ):
            self.assertTrue(isInternal(ip_address(text)), text)

    @settings(deadline=None, max_examples=300)
    @given(st.sampled_from(sorted(EMBEDDINGS)), internalIPv4, anyBits)
    def test_internal(self, name: str, address: IPv4Address, other: int) -> None:
        """
        However an internal IPv4 address is embedded, and whatever the other
        bits are, the IPv6 address is internal.
        """
        embedded = EMBEDDINGS[name](address, other)
        self.assertTrue(isInternal(embedded), f"{name}: {embedded}")

    @settings(deadline=None)
    @given(st.sampled_from(sorted(LOCAL_TRANSLATION)), internalIPv4, anyBits)
    def test_localTranslation(self, name: str, address: IPv4Address, other: int) -> None:
        """
        The same where a network has a translator of its own, with a prefix of
        whatever length under the one of RFC 8215.
        """
        embedded = LOCAL_TRANSLATION[name](address, other)
        self.assertTrue(isInternal(embedded), f"{name}: {embedded}")

    @settings(deadline=None)
    @given(
        st.sampled_from(["IPv4-mapped", "NAT64", "6to4", "Teredo client", "Teredo server"]),
        publicIPv4,
        anyBits,
    )
    def test_public(self, name: str, address: IPv4Address, other: int) -> None:
        """
        An embedded public address is as public as the address itself.
        """
        self.assertFalse(isInternal(EMBEDDINGS[name](address, other)), name)


class OwnAddressTests(SynchronousTestCase):
    """
    This host's own addresses, as the kernel knows them.
    """

    def test_own(self) -> None:
        """
        Loopback addresses are our own.
        """
        self.assertTrue(isOwnAddress(ip_address("127.0.0.1")))
        self.assertTrue(isOwnAddress(ip_address("::1")))

    def test_foreign(self) -> None:
        """
        An address of somebody else is not, whether or not there is a way to
        it.
        """
        for address in ("192.0.2.1", "2001:db8::1", "255.255.255.255", "ff02::1", "fe80::1"):
            self.assertFalse(isOwnAddress(ip_address(address)), address)


class PolicyTests(SynchronousTestCase):
    """
    What may be dialled.
    """

    def test_interfaces(self) -> None:
        """
        Both are policies.
        """
        verifyObject(IAddressPolicy, AnyAddress())
        verifyObject(IAddressPolicy, PublicAddresses())

    def test_any(self) -> None:
        """
        The policy for clients of this very host lets everything pass.
        """
        for address in ("127.0.0.1", "::1", *METADATA, *PUBLIC):
            AnyAddress().check(ip_address(address))

    def test_public(self) -> None:
        """
        The policy for others lets the Internet pass and nothing internal.
        """
        policy = PublicAddresses(lambda address: False)
        for address in PUBLIC:
            policy.check(ip_address(address))
        for address in ("127.0.0.1", "::1", "2002:7f00:1::", *METADATA):
            self.assertRaises(NotAllowed, policy.check, ip_address(address))

    def test_own(self) -> None:
        """
        It does not let our own public address pass, for behind it are the
        services that trust this host.
        """
        own = {ip_address(PUBLIC[0]), ip_address(PUBLIC[-1])}
        policy = PublicAddresses(own.__contains__)
        for address in own:
            self.assertRaises(NotAllowed, policy.check, address)
        policy.check(ip_address(PUBLIC[1]))

    def test_ownEmbedded(self) -> None:
        """
        Neither does it where our own address is embedded in another.
        """
        own = IPv4Address(PUBLIC[0])
        policy = PublicAddresses(own.__eq__)
        for name in ("IPv4-mapped", "NAT64", "6to4", "Teredo client"):
            embedded = EMBEDDINGS[name](own, 0)
            self.assertRaises(NotAllowed, policy.check, embedded)

    def test_kernelKnowsOwn(self) -> None:
        """
        By default the kernel is asked which addresses are our own.
        """
        asked: list[object] = []
        self.patch(
            rules.socket, "socket", lambda *arguments: asked.append(arguments) or _NoSocket()
        )
        PublicAddresses().check(ip_address(PUBLIC[0]))
        self.assertEqual(len(asked), 1)


class _NoSocket:
    """
    A socket for which there is no way anywhere.
    """

    def __enter__(self) -> _NoSocket:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def connect(self, address: object) -> None:
        raise OSError(101, "Network is unreachable")

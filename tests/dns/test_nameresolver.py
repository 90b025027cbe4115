"""
Tests for L{socksproxy.dns.nameresolver}.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.dns.nameresolver import ForwardedNames
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.dns.strategy import IPStrategy
from socksproxy.errors import NameNotFound
from tests.dns.forwarding import ForwarderTestCase
from tests.dns.messages import wire
from tests.dns.upstreaming import ADDRESS, PACKED, pending

IPV6 = ip_address("2001:db8::1")
PUBLIC = ip_address("9.9.9.9")


@implementer(IResolutionReceiver)
class Receiver:
    """
    Takes what a resolver finds.
    """

    def __init__(self) -> None:
        self.began: list[IHostResolution] = []
        self.found: list[IAddress] = []
        self.completed = 0

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        See C{IResolutionReceiver}.
        """
        self.began.append(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        """
        See C{IResolutionReceiver}.
        """
        self.found.append(address)

    def resolutionComplete(self) -> None:
        """
        See C{IResolutionReceiver}.
        """
        self.completed += 1


class NamesTests(ForwarderTestCase):
    """
    Look-ups of our own.
    """

    def setUp(self) -> None:
        """
        Make a resolver.
        """
        super().setUp()
        self.start()

    def start(self, strategy: IPStrategy = IPStrategy.AS_IS) -> None:
        """
        Make a resolver, and somebody who asks it.
        """
        self.names = ForwardedNames(self.network, self.make(strategy=strategy))
        self.receiver = Receiver()
        self.cache.flush()

    def reply(self, kind: int, *addresses: bytes, code: int = 0) -> None:
        """
        Answer the question for one family.
        """
        self.server.open.sort(key=lambda each: each[0].type != kind)
        self.assertEqual(self.server.open[0][0].type, kind)
        self.server.reply(*addresses, code=code)

    def hosts(self) -> list[str]:
        """
        Give the addresses that have been found, once all are there.
        """
        self.assertEqual(self.receiver.completed, 1)
        return [each.host for each in self.receiver.found]  # type: ignore[attr-defined]

    def test_both(self) -> None:
        """
        The addresses of both families are asked for together.
        """
        verifyObject(IHostnameResolver, self.names)
        resolution = self.names.resolveHostName(self.receiver, "www.test", 80)
        verifyObject(IHostResolution, resolution)
        self.assertEqual(self.receiver.began, [resolution])
        self.assertEqual([each.type for each in self.server.queries], [1, 28])
        self.reply(28, IPV6.packed)
        self.assertEqual(self.receiver.completed, 0)
        self.reply(1, PACKED)
        self.assertEqual(self.receiver.completed, 1)
        self.assertEqual(
            self.receiver.found,
            [IPv4Address("TCP", ADDRESS, 80), IPv6Address("TCP", str(IPV6), 80)],
        )
        self.assertEqual(pending(self.network), 0)

    def test_order(self) -> None:
        """
        They come in the order of the strategy.
        """
        for strategy, expected in (
            (IPStrategy.PREFER_IPV4, [ADDRESS, str(IPV6)]),
            (IPStrategy.PREFER_IPV6, [str(IPV6), ADDRESS]),
            (IPStrategy.AS_IS, [ADDRESS, str(IPV6)]),
        ):
            self.start(strategy)
            self.names.resolveHostName(self.receiver, "www.test")
            self.reply(1, PACKED)
            self.reply(28, IPV6.packed)
            self.assertEqual(self.hosts(), expected)

    def test_onlyOneFamily(self) -> None:
        """
        What the strategy leaves out is not asked for.
        """
        self.start(IPStrategy.IPV4_ONLY)
        self.names.resolveHostName(self.receiver, "www.test")
        self.assertEqual([each.type for each in self.server.queries], [1])
        self.reply(1, PACKED)
        self.assertEqual(self.hosts(), [ADDRESS])

    def test_wanted(self) -> None:
        """
        Nor is what is not wanted; what is found is for the transport that is.
        """
        self.names.resolveHostName(
            self.receiver, "www.test", 53, [IPv6Address], transportSemantics="UDP"
        )
        self.assertEqual([each.type for each in self.server.queries], [28])
        self.reply(28, IPV6.packed)
        self.assertEqual(self.receiver.found, [IPv6Address("UDP", str(IPV6), 53)])
        self.names.resolveHostName(self.receiver, "www.test", 53, [])
        self.assertEqual(self.receiver.completed, 2)

    def test_slowIPv6(self) -> None:
        """
        If there are addresses of IPv4, those of IPv6 are waited for no longer
        than fifty milliseconds.
        """
        self.names.resolveHostName(self.receiver, "www.test")
        self.reply(1, PACKED)
        self.network.advance(0.049)
        self.assertEqual(self.receiver.completed, 0)
        self.network.advance(0.002)
        self.assertEqual(self.hosts(), [ADDRESS])
        self.reply(28, IPV6.packed)
        self.assertEqual(self.hosts(), [ADDRESS])
        self.assertEqual(pending(self.network), 0)

    def test_slowIPv4(self) -> None:
        """
        Those of IPv4 are waited for, and so are those of IPv6 if there is
        nothing else.
        """
        self.names.resolveHostName(self.receiver, "www.test")
        self.reply(28, IPV6.packed)
        self.network.advance(0.4)
        self.assertEqual(self.receiver.completed, 0)
        self.reply(1)
        self.assertEqual(self.hosts(), [str(IPV6)])
        self.start()
        self.names.resolveHostName(self.receiver, "www.test")
        self.reply(1)
        self.network.advance(0.4)
        self.assertEqual(self.receiver.completed, 0)

    def test_nothing(self) -> None:
        """
        A name that does not exist has no addresses, and one that cannot be
        asked for has none either.
        """
        self.names.resolveHostName(self.receiver, "www.test")
        self.reply(1, code=3)
        self.server.fail()
        self.assertEqual(self.hosts(), [])
        self.start()
        self.names.resolveHostName(self.receiver, "no such name")
        self.assertEqual(self.hosts(), [])
        self.assertEqual(len(self.server.queries), 2)

    def test_known(self) -> None:
        """
        What is known needs no waiting.
        """
        for _ in range(2):
            self.receiver = Receiver()
            self.names.resolveHostName(self.receiver, "www.test")
            if self.server.open:
                self.reply(1, PACKED)
                self.reply(28, IPV6.packed)
            self.assertEqual(self.hosts(), [ADDRESS, str(IPV6)])
        self.assertEqual(len(self.server.queries), 2)
        self.assertEqual(pending(self.network), 0)

    def test_literal(self) -> None:
        """
        An address is its own address, and international names are converted.
        """
        self.names.resolveHostName(self.receiver, "192.0.2.7", 80)
        self.assertEqual(self.hosts(), ["192.0.2.7"])
        self.names.resolveHostName(self.receiver, "b\xfccher.test")
        self.assertEqual(self.server.queries[0].name, "xn--bcher-kva.test")

    def test_cancel(self) -> None:
        """
        Who cancels hears no more than that it is over, once.
        """
        resolution = self.names.resolveHostName(self.receiver, "www.test")
        self.reply(1, PACKED)
        resolution.cancel()
        self.assertEqual(self.hosts(), [])
        resolution.cancel()
        self.reply(28, IPV6.packed)
        self.network.advance(1)
        self.assertEqual(self.hosts(), [])
        self.assertEqual(pending(self.network), 0)

    def test_reverse(self) -> None:
        """
        The name of an address is that of its PTR record.
        """
        asking = self.names.reverse(PUBLIC)
        self.assertEqual(self.server.queries[0].name, PUBLIC.reverse_pointer)
        self.reply(12, wire("www.test"), wire("other.test"))
        self.assertEqual(self.successResultOf(asking), "www.test")

    def test_reverseNothing(self) -> None:
        """
        If it has none, or nobody knows, it is not found.
        """
        for code in (0, 2, 3):
            asking = self.names.reverse(ip_address(f"9.9.9.{code}"))
            self.reply(12, code=code)
            self.failureResultOf(asking, NameNotFound)
        asking = self.names.reverse(ip_address("10.0.0.1"))
        self.failureResultOf(asking, NameNotFound)
        asking = self.names.reverse(ip_address("9.9.9.20"))
        self.reply(12, b"\xc0")
        self.failureResultOf(asking, NameNotFound)

    def test_bounded(self) -> None:
        """
        All this can be had within the bounds of a resolver for clients.
        """
        resolver = BoundedResolver(self.network, self.names, reverse=self.names.reverse)
        asking = resolver.resolve("www.test", None)
        self.reply(1, PACKED)
        self.reply(28, IPV6.packed)
        self.assertEqual(self.successResultOf(asking), [ip_address(ADDRESS), IPV6])
        reversing = resolver.reverse(PUBLIC, None)
        self.reply(12, wire("www.test"))
        self.assertEqual(self.successResultOf(reversing), "www.test")

"""
Tests for L{socksproxy.outbound.fakenames}.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, Host, IPAddress
from socksproxy.dns.fakeip import FakeAddresses
from socksproxy.errors import GeneralFailure, HostUnreachable
from socksproxy.interfaces import IDatagramConduit, IOutbound, WayOut
from socksproxy.outbound.fakenames import MAX_CONDUITS, MAX_WAITING, NamedOutbound
from tests.forward.datagrams import Outbound

PLAIN = Destination(ip_address("192.0.2.1"), 53)


@implementer(IStreamClientEndpoint)
class Endpoint:
    """
    Leads somewhere.
    """

    def connect(self, protocolFactory: object) -> Deferred[object]:
        """
        Connect.
        """
        return succeed(protocolFactory)


class Ways(Outbound):
    """
    A way out that remembers what it was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.destinations: list[object] = []

    def endpointFor(self, destination: Destination) -> Endpoint:
        """
        Remember a destination.
        """
        self.destinations.append(destination)
        return Endpoint()

    def listen(self, expected: Destination) -> Deferred[object]:
        """
        Remember whom somebody waits for.
        """
        self.destinations.append(expected)
        return succeed(None)

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        Remember what was looked up.
        """
        self.destinations.append(host)
        return succeed([])

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        Remember what was looked up.
        """
        self.destinations.append(address)
        return succeed("real.test")


class NamedTestCase(SynchronousTestCase):
    """
    Tests with a way out and one name that has an address.
    """

    def setUp(self) -> None:
        """
        Give a name an address.
        """
        self.fakes = FakeAddresses()
        self.fake = self.addressOf("web.test")
        self.ways = Ways()
        self.named = NamedOutbound(self.ways, self.fakes, lambda: 0.0)
        self.stranger = self.fake + 1
        assert self.stranger in self.fakes

    def addressOf(self, name: str) -> IPAddress:
        """
        Give the address that a name gets.
        """
        mapping = self.fakes.mappingFor(name)
        assert mapping is not None
        return mapping.addresses[0]


class StreamTests(NamedTestCase):
    """
    Connections, and the rest.
    """

    def test_interface(self) -> None:
        """
        It is a way out, of which there is to say what there was before.
        """
        verifyObject(IOutbound, self.named)
        self.assertEqual(self.named.way, WayOut(udp=True))

    def test_named(self) -> None:
        """
        A connection to a fake address goes to its name, and any other goes
        where it went.
        """
        for host in (self.fake, PLAIN.host, "other.test"):
            self.named.endpointFor(Destination(host, 443))
            self.named.listen(Destination(host, 21))
        self.assertEqual(
            self.ways.destinations,
            [
                Destination(host, port)
                for host in ("web.test", PLAIN.host, "other.test")
                for port in (443, 21)
            ],
        )

    def test_unknown(self) -> None:
        """
        A fake address without a name leads nowhere.
        """
        to = Destination(self.stranger, 443)
        self.failureResultOf(self.named.endpointFor(to).connect(Factory()), HostUnreachable)
        self.failureResultOf(self.named.listen(to), HostUnreachable)
        self.failureResultOf(self.named.reverse(self.stranger), HostUnreachable)
        self.assertEqual(self.ways.destinations, [])

    def test_lookUps(self) -> None:
        """
        The name of a fake address is known, and the rest is looked up.
        """
        self.assertEqual(self.successResultOf(self.named.reverse(self.fake)), "web.test")
        self.assertEqual(self.successResultOf(self.named.reverse(PLAIN.host)), "real.test")
        self.successResultOf(self.named.resolve("web.test"))
        self.assertEqual(self.ways.destinations, [PLAIN.host, "web.test"])

    def test_kept(self) -> None:
        """
        A fake address keeps its name while there are clients that use it.
        """
        fakes = FakeAddresses(size=1)
        mapping = fakes.mappingFor("web.test")
        assert mapping is not None
        clients = [NamedOutbound(self.ways, fakes, lambda: 0.0) for _ in range(2)]
        for client in clients:
            client.endpointFor(Destination(mapping.addresses[0], 80))
        self.assertIsNone(fakes.mappingFor("other.test"))
        clients[0].close()
        clients[0].close()
        self.assertIsNone(fakes.mappingFor("other.test"))
        clients[1].close()
        self.assertIsNotNone(fakes.mappingFor("other.test"))


class DatagramTests(NamedTestCase):
    """
    Datagrams.
    """

    def setUp(self) -> None:
        """
        Make a conduit.
        """
        super().setUp()
        self.got: list[tuple[bytes, Destination]] = []
        self.conduit = self.successResultOf(
            self.named.conduit(lambda data, source: self.got.append((data, source)))
        )

    def test_interface(self) -> None:
        """
        It is a conduit.
        """
        verifyObject(IDatagramConduit, self.conduit)

    def test_plain(self) -> None:
        """
        What goes to other addresses and to names goes as it did.
        """
        self.assertTrue(self.conduit.send(b"x", PLAIN))
        (plain,) = self.ways.conduits
        self.assertEqual(plain.sent, [(b"x", "192.0.2.1:53")])
        plain.received(b"y", PLAIN)
        self.assertEqual(self.got, [(b"y", PLAIN)])

    def test_named(self) -> None:
        """
        What goes to a fake address goes to its name, and what comes back comes
        from the fake address.
        """
        other = self.addressOf("other.test")
        for fake in (self.fake, other, self.fake):
            self.assertTrue(self.conduit.send(b"x", Destination(fake, 53)))
        _, web, second = self.ways.conduits
        self.assertEqual(web.sent, [(b"x", "web.test:53")] * 2)
        self.assertEqual(second.sent, [(b"x", "other.test:53")])
        second.received(b"y", Destination(ip_address("192.0.2.9"), 53))
        self.assertEqual(self.got, [(b"y", Destination(other, 53))])

    def test_unknown(self) -> None:
        """
        What goes to a fake address without a name is dropped.
        """
        self.assertFalse(self.conduit.send(b"x", Destination(self.stranger, 53)))
        self.assertEqual(len(self.ways.conduits), 1)

    def test_waiting(self) -> None:
        """
        What has to wait for its way goes when that is there, as far as there
        is room.
        """
        self.ways.atOnce = False
        to = Destination(self.fake, 53)
        taken = [self.conduit.send(b"%d" % number, to) for number in range(MAX_WAITING + 1)]
        self.assertEqual(taken, [True] * MAX_WAITING + [False])
        side = self.ways.conduits[-1]
        self.ways.asked[-1].callback(side)
        self.assertEqual([data for data, _ in side.sent], [b"%d" % n for n in range(MAX_WAITING)])

    def test_noWay(self) -> None:
        """
        What waited for a way that there is not is counted as dropped.
        """
        self.ways.atOnce = False
        self.conduit.send(b"four", Destination(self.fake, 53))
        self.ways.asked[-1].errback(GeneralFailure())
        self.assertEqual(self.conduit.dropped, (1, 4))
        self.assertFalse(self.conduit.send(b"x", Destination(self.fake, 53)))

    def test_bound(self) -> None:
        """
        Beyond a number of fake addresses the one that was used longest ago is
        given up.
        """
        names = [f"n{number}.test" for number in range(MAX_CONDUITS)]
        addresses = [self.addressOf(name) for name in names]
        for address in (*addresses, addresses[0]):
            self.conduit.send(b"x", Destination(address, 53))
        self.conduit.send(b"x", Destination(self.fake, 53))
        sides = self.ways.conduits[1:]
        self.assertEqual([n for n, side in enumerate(sides) if side.closed], [1])

    def test_close(self) -> None:
        """
        All are closed together, also those that are not there yet.
        """
        self.conduit.send(b"x", Destination(self.fake, 53))
        self.ways.atOnce = False
        self.conduit.send(b"x", Destination(self.addressOf("other.test"), 53))
        self.conduit.close()
        self.assertTrue(all(conduit.closed for conduit in self.ways.conduits[:2]))
        self.assertEqual(self.ways.cancelled, 1)

"""
Tests for L{socksproxy.forward.flow}: ways out that take their time, that there
are none of, or that end.
"""

from __future__ import annotations

import gc
from ipaddress import ip_address

from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.client import ProxyUnreachable
from socksproxy.interfaces import IDatagramConduit, IOutbound
from tests.dns.names import SlowNames
from tests.forward.datagrams import (
    CLIENT,
    OTHER,
    SECOND,
    TARGET,
    Conduit,
    DatagramTestCase,
    Outbound,
)


class NameTests(DatagramTestCase):
    """
    Targets by name.
    """

    def slowly(self) -> SlowNames:
        """
        Forward to a name that is resolved at the test's pace.
        """
        names = SlowNames()
        self.forward("ns.test", resolver=names)
        return names

    def test_resolvedOnce(self) -> None:
        """
        The name is looked up with a client's first datagram and not again, so
        that one client always talks to one host; others may get another.
        """
        self.forward("ns.test")
        self.send()
        self.network.world["ns.test"] = [OTHER]
        for _ in range(4):
            self.network.advance(100)
            self.send()
        self.assertEqual({addr for _, addr in self.sent()}, {(TARGET, 53)})
        self.assertEqual(self.network.queries, ["ns.test"])
        self.send(client=SECOND)
        self.assertEqual(self.sent(), [(b"question", (OTHER, 53))])

    def test_line(self) -> None:
        """
        The line has the name and the address.
        """
        self.forward("ns.test")
        self.send()
        self.forwarder.endAll("over")
        (line,) = self.lines()
        self.assertEqual((line["destination"], line["address"]), ("udp:ns.test:53", f"{TARGET}:53"))

    def test_waiting(self) -> None:
        """
        What comes while it is looked up waits, and goes out in order; one
        look-up serves all of it.
        """
        names = self.slowly()
        for data in (b"one", b"two"):
            self.send(data)
        self.assertEqual((self.sent(), names.asked), ([], ["ns.test"]))
        names.answer("ns.test", TARGET, OTHER)
        self.send(b"three")
        expected = [(data, (TARGET, 53)) for data in (b"one", b"two", b"three")]
        self.assertEqual(self.sent(), expected)

    def test_bounds(self) -> None:
        """
        Sixteen datagrams may wait, and 64 KiB; the rest is dropped and
        counted.
        """
        names = self.slowly()
        for number in range(20):
            self.send(b"%d" % number)
        for _ in range(3):
            self.send(bytes(30000), SECOND)
        names.answer("ns.test", TARGET)
        names.answer("ns.test", TARGET)
        first, second = (socket.take() for socket in self.sockets)
        self.assertEqual([data for data, _ in first], [b"%d" % number for number in range(16)])
        self.assertEqual(len(second), 2)
        self.assertEqual(self.drops(), 4 + 1)

    def test_noName(self) -> None:
        """
        Where there is no such name datagrams are dropped and counted, the line
        says why, and the name is not asked for again before five seconds.
        """
        self.forward("nobody.test")
        self.send()
        self.network.advance(4.9)
        self.send()
        self.assertEqual(self.network.queries, ["nobody.test"])
        self.network.advance(0.1)
        self.send()
        self.assertEqual(self.network.queries, ["nobody.test"] * 2)
        self.assertEqual(self.drops(), 3)
        (line,) = self.lines()
        self.assertEqual((line["result"], line["reason"]), ("name not found", "name not found"))

    def test_nameAgain(self) -> None:
        """
        If there is one then, all is well.
        """
        self.forward("late.test")
        self.send(b"lost")
        self.network.world["late.test"] = [TARGET]
        self.network.advance(5)
        self.send()
        self.assertEqual(self.sent(), [(b"question", (TARGET, 53))])
        self.assertEqual(self.drops(), 1)
        (line,) = self.lines()
        self.assertEqual((line["result"], line["reason"]), ("succeeded", "over"))

    def test_slowName(self) -> None:
        """
        Name servers that do not answer are given up after five seconds.
        """
        self.slowly()
        self.send()
        self.network.advance(5)
        self.assertEqual(self.drops(), 1)
        self.assertEqual(self.lines()[0]["result"], "name not found")

    def test_forgottenMeanwhile(self) -> None:
        """
        A client that is forgotten while it waits has its datagrams counted,
        and an answer that comes later does no harm.
        """
        names = self.slowly()
        self.send()
        self.assertEqual(self.drops(), 1)
        names.answer("ns.test", TARGET)
        self.assertEqual(self.sockets, [])


class DirectTests(DatagramTestCase):
    """
    Ways out of this host.
    """

    def test_doubles(self) -> None:
        """
        The test's own conduits are such.
        """
        verifyObject(IOutbound, Outbound())
        verifyObject(IDatagramConduit, Conduit(lambda data, source: None))

    def test_cannotSend(self) -> None:
        """
        A datagram that cannot be sent is counted, and the way out stays.
        """
        outbound = Outbound()
        self.forward(outbound=outbound)
        self.send()
        (conduit,) = outbound.conduits
        conduit.refusing = True
        self.send(b"lost")
        conduit.refusing = False
        self.send(b"more")
        self.assertEqual(conduit.sent, [(b"question", f"{TARGET}:53"), (b"more", f"{TARGET}:53")])
        self.assertEqual(len(outbound.conduits), 1)
        self.assertEqual(self.drops(), 1)
        self.assertTrue(conduit.closed)

    def test_droppedLater(self) -> None:
        """
        What the way out has dropped after all is counted as such, in the end.
        """
        outbound = Outbound()
        self.forward(outbound=outbound)
        for data in (b"12345", b"123", b"1"):
            self.send(data)
        outbound.conduits[0].dropped = (2, 6)
        self.assertEqual(self.drops(), 2)
        (line,) = self.lines()
        self.assertEqual((line["datagramsSent"], line["sent"]), (1, 3))


class RelayedTests(DatagramTestCase):
    """
    Ways out through a proxy.
    """

    def setUp(self) -> None:
        super().setUp()
        self.outbound = Outbound()
        self.forward("ns.test", self.outbound, relayed=True)

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        super().tearDown()
        gc.collect()

    def answers(self, host: str, port: int = 53) -> int:
        """
        Have somebody answer the last conduit.

        @return: How many answers get to the client.
        """
        address = ip_address(host)
        self.outbound.conduits[-1].received(b"answer", Destination(address, port))
        return len(self.port.take())

    def test_name(self) -> None:
        """
        The proxy gets the name, and no resolver here.
        """
        self.send()
        (conduit,) = self.outbound.conduits
        self.assertEqual(conduit.sent, [(b"question", "ns.test:53")])
        self.forwarder.endAll("over")
        self.assertEqual(self.lines()[0]["address"], "-")

    def test_answers(self) -> None:
        """
        Only the proxy knows which address the name has, so any may answer from
        the target's port; where the target is an address, only that.
        """
        self.send()
        self.assertEqual([self.answers(OTHER), self.answers(OTHER, 54)], [1, 0])
        self.forward(TARGET, self.outbound, relayed=True)
        self.send()
        self.assertEqual([self.answers(TARGET), self.answers(OTHER)], [1, 0])

    def test_waiting(self) -> None:
        """
        What comes before the proxy has answered waits.
        """
        self.outbound.atOnce = False
        for data in (b"one", b"two"):
            self.send(data)
        self.assertEqual(len(self.outbound.asked), 1)
        self.outbound.give()
        self.assertEqual([data for data, _ in self.outbound.conduits[0].sent], [b"one", b"two"])

    def test_everyClientItsOwn(self) -> None:
        """
        Each client has an association of its own.
        """
        self.send(b"one", CLIENT)
        self.send(b"two", SECOND)
        sent = [conduit.sent for conduit in self.outbound.conduits]
        self.assertEqual(sent, [[(b"one", "ns.test:53")], [(b"two", "ns.test:53")]])

    def test_ended(self) -> None:
        """
        If the proxy has ended the association the next datagram makes another
        and is not lost.
        """
        self.send()
        self.network.advance(10)
        self.outbound.conduits[0].refusing = True
        self.send(b"more")
        first, second = self.outbound.conduits
        self.assertTrue(first.closed)
        self.assertEqual(second.sent, [(b"more", "ns.test:53")])
        self.assertEqual(self.drops(), 0)

    def test_endedAtOnce(self) -> None:
        """
        But not more often than every five seconds.
        """
        self.send()
        for _ in range(50):
            self.network.advance(0.25)
            self.outbound.conduits[-1].refusing = True
            self.send(b"more")
        self.assertEqual(len(self.outbound.conduits), 3)
        self.assertEqual(self.drops(), 48)

    def test_noProxy(self) -> None:
        """
        Where the proxy cannot be had the line says so.
        """
        self.outbound.atOnce = False
        self.send()
        self.outbound.asked[0].errback(ProxyUnreachable("the proxy is away"))
        self.assertEqual(self.drops(), 1)
        (line,) = self.lines()
        self.assertEqual(
            (line["result"], line["reason"]), ("proxy unreachable", "the proxy is away")
        )

    def test_unforeseen(self) -> None:
        """
        What nobody has foreseen is a general failure, and the log says what
        it was.
        """
        self.outbound.atOnce = False
        self.send()
        self.outbound.asked[0].errback(LookupError("broken"))
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(self.drops(), 1)
        self.assertEqual(self.lines()[0]["result"], "general failure")

    def test_forgottenMeanwhile(self) -> None:
        """
        An association in the making is given up with its client.
        """
        self.outbound.atOnce = False
        self.send()
        self.forwarder.endAll("over")
        self.assertEqual(self.outbound.cancelled, 1)

    def test_answersAfterTheEnd(self) -> None:
        """
        What comes for a client that has been forgotten is not sent.
        """
        self.send()
        self.forwarder.endAll("over")
        self.assertEqual(self.answers(OTHER), 0)

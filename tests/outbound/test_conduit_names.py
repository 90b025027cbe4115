"""
Tests for L{socksproxy.outbound.conduit}: names.
"""

from __future__ import annotations

from socksproxy.address import IPAddress
from socksproxy.outbound.names import MAX_NAMES, MAX_WAITING, NAME_LIFETIME
from tests.memoryproxy import DenyNetworks
from tests.outbound.conduits import ONE, TWO, ConduitTestCase


class NameTests(ConduitTestCase):
    """
    Datagrams to names.
    """

    def test_cached(self) -> None:
        """
        A name is asked for once in sixty seconds, whatever ports are written
        to, and then again.
        """
        self.assertEqual(NAME_LIFETIME, 60.0)
        self.conduit(dns_test=[ONE])
        for port in (53, 53, 5353):
            self.assertTrue(self.send("dns.test", port=port))
        self.network.advance(59.9)
        self.send("dns.test")
        self.assertEqual(self.network.queries, ["dns.test"])
        self.assertEqual([to for _, to in self.sent()], [(ONE, 53)] * 2 + [(ONE, 5353), (ONE, 53)])
        self.network.world["dns.test"] = [TWO]
        self.network.advance(0.1)
        self.send("dns.test")
        self.assertEqual(self.network.queries, ["dns.test"] * 2)
        self.assertEqual(self.sent(), [(b"question", (TWO, 53))])

    def test_useDoesNotProlong(self) -> None:
        """
        That it is written to all the time does not keep an address for longer.
        """
        self.conduit(dns_test=[ONE])
        for _ in range(60):
            self.send("dns.test")
            self.network.advance(1)
        self.assertEqual(len(self.network.queries), 1)
        self.send("dns.test")
        self.assertEqual(len(self.network.queries), 2)

    def test_waiting(self) -> None:
        """
        What is for a name waits for its address, and is then sent in order,
        each datagram to its own port.
        """
        names = self.slowly()
        for number in range(3):
            self.assertTrue(self.send("dns.test", b"%d" % number, 1000 + number))
        self.assertEqual((names.asked, self.sent()), (["dns.test"], []))
        names.answer("dns.test", ONE)
        self.assertEqual(
            self.sent(),
            [(b"0", (ONE, 1000)), (b"1", (ONE, 1001)), (b"2", (ONE, 1002))],
        )

    def test_othersDoNotWait(self) -> None:
        """
        Meanwhile what is for others is sent.
        """
        names = self.slowly()
        self.send("slow.test")
        self.send("dns.test")
        self.assertTrue(self.send(ONE))
        names.answer("dns.test", TWO)
        self.assertEqual([to for _, to in self.sent()], [(ONE, 53), (TWO, 53)])

    def test_sixteenWait(self) -> None:
        """
        At most sixteen datagrams wait for one name; more are dropped. Each
        name has its own.
        """
        self.assertEqual(MAX_WAITING, 16)
        names = self.slowly()
        for name in ("one.test", "two.test"):
            for number in range(16):
                self.assertTrue(self.send(name, b"%d" % number))
            self.assertFalse(self.send(name, b"too many"))
        for name, host in (("one.test", ONE), ("two.test", TWO)):
            names.answer(name, host)
            self.assertEqual(self.sent(), [(b"%d" % n, (host, 53)) for n in range(16)])
            self.assertTrue(self.send(name, b"more"))
            self.assertEqual(self.sent(), [(b"more", (host, 53))])

    def test_notFound(self) -> None:
        """
        What is for a name that has no address is dropped; the name is asked
        for again with the next datagram.
        """
        names = self.slowly()
        for _ in range(2):
            self.send("dns.test")
            names.answer("dns.test")
        self.assertEqual(self.sent(), [])
        self.send("dns.test")
        self.assertEqual(names.asked, ["dns.test"] * 3)
        names.answer("dns.test", ONE)
        self.assertEqual(self.sent(), [(b"question", (ONE, 53))])

    def test_knownAtOnce(self) -> None:
        """
        Where it is known at once that a name leads nowhere, it is told that
        the datagram was dropped.
        """
        self.conduit(policy=DenyNetworks(["192.0.2.0/24"]), denied_test=[ONE])
        for name in ("nowhere.test", "denied.test", "hidden.onion"):
            self.assertFalse(self.send(name), name)
        self.assertEqual(self.sent(), [])

    def test_hiddenService(self) -> None:
        """
        The name of a hidden service is not asked for.
        """
        self.conduit()
        self.send("abc.onion")
        self.assertEqual(self.network.queries, [])

    def test_timeout(self) -> None:
        """
        A name that takes too long is given up, and what waited for it is
        dropped, also when the answer does come.
        """
        names = self.slowly()
        self.send("dns.test")
        self.network.advance(5)
        names.answer("dns.test", ONE)
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_denied(self) -> None:
        """
        Of a name's addresses only such are used as the policy allows.
        """
        self.conduit(policy=DenyNetworks(["192.0.2.1/32"]), dns_test=[ONE, TWO], inside_test=[ONE])
        self.send("dns.test")
        self.send("inside.test")
        self.assertEqual(self.sent(), [(b"question", (TWO, 53))])

    def test_unforeseen(self) -> None:
        """
        An error of the policy's own is logged, and nothing is sent.
        """

        class Broken:
            def check(self, address: IPAddress) -> None:
                raise ZeroDivisionError

        self.conduit(policy=Broken(), dns_test=[ONE])  # type: ignore[arg-type]
        self.send("dns.test")
        self.assertEqual(self.sent(), [])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_rebinding(self) -> None:
        """
        A name whose address changes to one that is denied leads nowhere from
        then on.
        """
        self.conduit(policy=DenyNetworks(["192.0.2.2/32"]), dns_test=[ONE])
        self.send("dns.test")
        self.sent()
        self.network.world["dns.test"] = [TWO]
        self.network.advance(60)
        self.send("dns.test")
        self.assertEqual(self.sent(), [])

    def test_answer(self) -> None:
        """
        The answer comes from the address.
        """
        self.conduit(dns_test=[ONE])
        self.send("dns.test")
        self.assertTrue(self.answers(ONE))
        self.assertEqual(self.received, [(b"answer", f"{ONE}:53")])

    def test_manyNames(self) -> None:
        """
        So many names are remembered and no more; where all of them wait for
        an answer another one is dropped, and later it has room.
        """
        names = self.slowly()
        for number in range(MAX_NAMES):
            self.assertTrue(self.send(f"{number}.test"))
        self.assertFalse(self.send("more.test"))
        names.answer("0.test", ONE)
        self.assertTrue(self.send("more.test"))
        self.assertLessEqual(len(self.made._names), MAX_NAMES)

    def test_manyAnsweredNames(self) -> None:
        """
        Names that have been answered make room for others.
        """
        self.conduit()
        for number in range(3 * MAX_NAMES):
            self.network.world[f"{number}.test"] = [ONE]
            self.assertTrue(self.send(f"{number}.test"))
        self.assertLessEqual(len(self.made._names), MAX_NAMES)
        self.assertEqual(len(self.sent()), 3 * MAX_NAMES)

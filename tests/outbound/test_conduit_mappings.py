"""
Tests for L{socksproxy.outbound.conduit}: who may answer, and for how long.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.outbound.conduit import MAPPING_IDLE, MAX_MAPPINGS
from tests.outbound.conduits import ONE, SIX, STRANGER, TWO, ConduitTestCase
from tests.socksrequests import IDLE


def host(number: int) -> str:
    """
    Give one of many addresses.
    """
    return str(IPv4Address("198.18.0.0") + number)


class FilterTests(ConduitTestCase):
    """
    Who may answer.
    """

    def test_writtenTo(self) -> None:
        """
        Whoever has been written to, from any of its ports, is shown with its
        real address: IPv4 as IPv4.
        """
        self.conduit()
        for target, shown in ((ONE, ONE), (SIX, f"[{SIX}]")):
            self.send(target)
            for port in (53, 54, 1, 65535):
                self.assertTrue(self.answers(target, port, b"answer %d" % port))
                self.assertEqual(self.received, [(b"answer %d" % port, f"{shown}:{port}")])

    def test_strangers(self) -> None:
        """
        Nobody else may, not even from the same network or the same port.
        """
        self.conduit()
        self.send(ONE)
        self.send(SIX)
        for stranger in (STRANGER, TWO, "2001:db8::2", "127.0.0.1", "::1"):
            self.assertFalse(self.answers(stranger), stranger)

    def test_denied(self) -> None:
        """
        Who could not be written to may not answer.
        """
        self.conduit()
        self.send(ONE)
        self.send("255.255.255.255")
        self.assertFalse(self.answers("255.255.255.255"))

    def test_empty(self) -> None:
        """
        An answer may be empty.
        """
        self.conduit()
        self.send()
        self.assertTrue(self.answers(ONE, data=b""))
        self.assertEqual(self.received, [(b"", f"{ONE}:53")])

    def test_fullCone(self) -> None:
        """
        Where that is wanted anybody may, once the client has written to
        somebody.
        """
        self.conduit(fullCone=True)
        self.assertEqual(self.opened, [])
        self.send(ONE)
        for stranger, shown in ((STRANGER, STRANGER), (SIX, f"[{SIX}]"), (ONE, ONE)):
            self.assertTrue(self.answers(stranger))
            self.assertEqual(self.received, [(b"answer", f"{shown}:53")])

    def test_fullConeIsBounded(self) -> None:
        """
        However many that are, what is remembered of them does not grow.
        """
        self.conduit(fullCone=True)
        self.send(ONE)
        for number in range(3 * MAX_MAPPINGS):
            self.assertTrue(self.answers(host(number)))
        self.assertLessEqual(len(self.made._sources), MAX_MAPPINGS)
        self.assertEqual(self.made.mappings, 1)

    def test_portsAreBounded(self) -> None:
        """
        Nor does it with the ports of one host.
        """
        self.conduit()
        self.send(ONE)
        for port in range(1, 3 * MAX_MAPPINGS):
            self.answers(ONE, port)
        self.assertLessEqual(len(self.made._sources), MAX_MAPPINGS)


class ExpiryTests(ConduitTestCase):
    """
    For how long.
    """

    def test_fiveMinutes(self) -> None:
        """
        For five minutes after it was written to last, and not longer.
        """
        self.assertEqual(MAPPING_IDLE, IDLE)
        self.conduit()
        self.send(ONE)
        self.network.advance(IDLE - 0.1)
        self.assertTrue(self.answers(ONE))
        self.network.advance(0.1)
        self.assertFalse(self.answers(ONE))

    def test_renewed(self) -> None:
        """
        Writing to it begins the time anew, each time.
        """
        self.conduit()
        for _ in range(5):
            self.send(ONE)
            self.network.advance(IDLE - 100)
            self.assertTrue(self.answers(ONE))
        self.network.advance(99)
        self.assertTrue(self.answers(ONE))
        self.network.advance(1)
        self.assertFalse(self.answers(ONE))
        self.assertEqual(len(self.network.datagrams), 1)

    def test_renewedQuickly(self) -> None:
        """
        Also where it is written to many times in a second.
        """
        self.conduit()
        for _ in range(100):
            self.send(ONE)
            self.network.advance(0.5)
        self.network.advance(IDLE - 0.6)
        self.assertTrue(self.answers(ONE))
        self.network.advance(0.1)
        self.assertFalse(self.answers(ONE))

    def test_answersDoNotRenew(self) -> None:
        """
        Its answers do not: otherwise it could keep the client's port open for
        ever.
        """
        self.conduit()
        self.send(ONE)
        for _ in range(3):
            self.network.advance(IDLE / 3 - 1)
            self.assertTrue(self.answers(ONE))
        self.network.advance(3)
        self.assertFalse(self.answers(ONE))
        self.assertEqual(self.opened, [])

    def test_eachForItself(self) -> None:
        """
        Writing to one host does not keep another.
        """
        self.conduit()
        self.send(ONE)
        self.network.advance(100)
        self.send(TWO)
        self.network.advance(IDLE - 100)
        self.assertFalse(self.answers(ONE))
        self.assertTrue(self.answers(TWO))
        self.network.advance(100)
        self.assertFalse(self.answers(TWO))

    def test_portsOfOneHost(self) -> None:
        """
        A host may answer for as long as any of its ports counts.
        """
        self.conduit()
        self.send(ONE, port=53)
        self.network.advance(100)
        self.send(ONE, port=54)
        self.network.advance(IDLE - 1)
        self.assertTrue(self.answers(ONE, 53))
        self.assertEqual(self.made.mappings, 1)
        self.network.advance(1)
        self.assertFalse(self.answers(ONE, 54))

    def test_socketIsClosed(self) -> None:
        """
        When nobody is left the socket is closed and no timer runs, and a new
        one is opened when the client writes again.
        """
        self.conduit()
        self.send(ONE)
        self.send(TWO)
        (first,) = self.opened
        self.network.advance(IDLE)
        self.assertEqual(self.opened, [])
        self.network.advance(0)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.sent()
        self.assertTrue(self.send(ONE))
        self.assertIsNot(self.socket, first)
        self.assertEqual(self.sent(), [(b"question", (ONE, 53))])
        self.assertTrue(self.answers(ONE))
        self.assertFalse(self.answers(TWO))

    def test_reopenedInTheSameTurn(self) -> None:
        """
        That the old socket is closed late does not disturb the new one.
        """
        self.conduit()
        self.send(ONE)
        self.network.callLater(IDLE, self.send, TWO)
        self.network.advance(IDLE)
        self.network.advance(0)
        self.assertTrue(self.send(ONE))
        self.assertTrue(self.answers(TWO))
        self.assertEqual(len(self.opened), 1)

    def test_fullCone(self) -> None:
        """
        Where anybody may answer, that ends too when the client has not written
        to anybody for five minutes, whoever writes to the client.
        """
        self.conduit(fullCone=True)
        self.send(ONE)
        for _ in range(3):
            self.network.advance(IDLE / 3)
            self.answers(STRANGER)
        self.assertEqual(self.opened, [])

    def test_nameOutlivesSocket(self) -> None:
        """
        A name can be written to also after the socket was closed and opened
        again meanwhile.
        """
        names = self.slowly()
        self.send(ONE)
        self.network.advance(IDLE - 2)
        self.send("dns.test")
        self.network.advance(2)
        self.assertEqual(self.opened, [])
        self.sent()
        names.answer("dns.test", TWO)
        self.assertEqual(self.sent(), [(b"question", (TWO, 53))])
        self.assertTrue(self.answers(TWO))


class BoundTests(ConduitTestCase):
    """
    How many.
    """

    def fill(self, number: int) -> None:
        """
        Write to many hosts, one after the other.
        """
        for host_ in range(number):
            self.send(host(host_))
        self.network.advance(1)

    def test_oldestGoesFirst(self) -> None:
        """
        A thousand and twenty-four destinations are remembered; the oldest one
        makes room for another, and may not answer any more. All of them share
        one socket.
        """
        self.assertEqual(MAX_MAPPINGS, 1024)
        self.conduit()
        self.send(ONE)
        self.network.advance(1)
        self.fill(1023)
        self.assertTrue(self.answers(ONE))
        self.assertTrue(self.send(TWO))
        self.assertEqual(self.made.mappings, 1024)
        self.assertFalse(self.answers(ONE))
        for other in (host(0), host(1022), TWO):
            self.assertTrue(self.answers(other))
        self.assertEqual(len(self.network.datagrams), 1)

    def test_usedIsNotOld(self) -> None:
        """
        One that has been used since is not the oldest.
        """
        self.conduit()
        self.send(ONE)
        self.network.advance(1)
        self.fill(1023)
        self.send(ONE)
        self.send(TWO)
        self.assertTrue(self.answers(ONE))
        self.assertFalse(self.answers(host(0)))

    def test_otherPortRemains(self) -> None:
        """
        A host whose one port had to go may answer on account of another.
        """
        self.conduit()
        self.send(ONE, port=53)
        self.network.advance(1)
        self.fill(1022)
        self.send(ONE, port=54)
        self.send(TWO)
        self.assertEqual(self.made.mappings, 1024)
        self.assertTrue(self.answers(ONE))

    def test_many(self) -> None:
        """
        Nothing that is remembered grows beyond that, however many are written
        to, and all of it is forgotten in time.
        """
        self.conduit()
        for number in range(5000):
            self.send(host(number))
        self.assertEqual(self.made.mappings, 1024)
        self.assertEqual(len(self.made._hosts), 1024)
        self.assertLessEqual(len(self.network.getDelayedCalls()), 1)
        self.network.advance(IDLE)
        self.assertEqual((self.made.mappings, len(self.made._hosts), self.opened), (0, 0, []))


class TableTests(SynchronousTestCase):
    """
    Where destinations are kept.
    """

    def test_chosenAddresses(self) -> None:
        """
        A client cannot choose destinations that all lie in one place of a
        table, where each look-up would go through all the others: Python's
        numbers have the same hash if they are the same modulo this one.
        """
        first = IPv6Address("2001:db8::")
        addresses = [first + number * sys.hash_info.modulus for number in range(1024)]
        hashes = {hash(Destination(address, 53)) for address in addresses}
        self.assertGreater(len(hashes), 1000)

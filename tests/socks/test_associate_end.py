"""
Tests for L{socksproxy.socks.associate}: how an association ends.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import count
from operator import attrgetter
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from socksproxy.inbound import InboundTimers
from socksproxy.interfaces import IDatagramConduit, Received
from socksproxy.outbound.conduit import MAPPING_IDLE
from socksproxy.relay import RelayTimers
from socksproxy.testing import MemoryDatagrams, MemoryTransport, ScriptedNetwork, tcpAddress
from tests.dns.names import SlowNames
from tests.memoryproxy import MemoryProxy, SlowChecker, SoleUser
from tests.socks.associating import (
    ANSWER,
    CLIENT,
    PORT,
    QUESTION,
    TARGET,
    AssociationTestCase,
)
from tests.socksclient import ALICE, WITH_PASSWORD, refused
from tests.socksrequests import UDP_ASSOCIATE, command, datagram

REQUEST = command(UDP_ASSOCIATE)
CONTROL_OCTETS = 65536


class Conduit:
    """
    A conduit that only knows whether it has been closed.
    """

    closed = False
    dropped = (0, 0)

    def send(self, data: bytes, destination: object) -> bool:
        """
        See L{IDatagramConduit}.
        """
        return True

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """
        self.closed = True


class SlowUser(SoleUser):
    """
    A realm of one user who has to wait for an association.
    """

    def __init__(self, associating: Callable[[], Deferred[IDatagramConduit]] = Deferred) -> None:
        super().__init__()
        self.asked: list[Deferred[IDatagramConduit]] = []
        self._associating = associating

    def associate(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IProxyAvatar}.
        """
        self.asked.append(self._associating())
        return self.asked[-1]


class ClientTests(AssociationTestCase):
    """
    With the client's connection.
    """

    def test_ends(self) -> None:
        """
        When the client closes its half, or resets the connection, all sockets
        are closed in that very moment; a turn later the connection is gone,
        and no timer is left.
        """
        for end, reason in (("peerEnds", "client closed"), ("peerResets", "client gone")):
            client = self.associate()
            self.exchange()
            getattr(client, end)()
            self.assertEqual(self.opened, [])
            self.proxy.settle()
            self.assertTrue(client.lost)
            self.assertNothingLeft()
            (line,) = self.lines()
            self.assertEqual((line["result"], line["reason"]), ("succeeded", reason))

    def test_unused(self) -> None:
        """
        That is so, too, when nothing was ever sent.
        """
        for end in ("peerEnds", "peerResets"):
            client = self.associate()
            getattr(client, end)()
            self.assertEqual(self.opened, [])
            self.proxy.settle()
            self.assertNothingLeft()

    def test_afterwards(self) -> None:
        """
        Datagrams that come after that go nowhere, in either direction.
        """
        for end in ("peerEnds", "peerResets"):
            client = self.associate()
            self.exchange()
            relay, outside = self.opened
            getattr(client, end)()
            for _ in range(2):
                relay.peerSends(datagram(QUESTION, TARGET, 53), CLIENT, PORT)
                outside.peerSends(ANSWER, TARGET, 53)
                self.assertEqual((self.sent(), self.received(), self.opened), ([], [], []))
                self.proxy.settle()
            (line,) = self.lines()
            self.assertEqual((line["datagramsSent"], line["datagramsReceived"]), (1, 1))

    def test_lookingUp(self) -> None:
        """
        While names are looked up for it nothing is left either, and answers
        that come later are not sent on.
        """
        for number in (1, 2, 3):
            for end in ("peerEnds", "peerResets"):
                names = SlowNames()
                network = ScriptedNetwork()
                network.nameResolver = names  # type: ignore[assignment]
                self.start(network=network)
                client = self.associate()
                self.send()
                self.sent()
                for name in range(number):
                    self.send(f"{name}.test")
                getattr(client, end)()
                self.assertEqual(self.opened, [])
                self.proxy.settle()
                self.assertNothingLeft()
                for name in range(number):
                    names.answer(f"{name}.test", TARGET)
                self.assertEqual(self.sent(), [])

    def test_fragments(self) -> None:
        """
        While fragments wait no timer is left either.
        """
        for end in ("peerEnds", "peerResets"):
            self.start(reassembling=True)
            client = self.associate()
            self.send(fragment=1)
            getattr(client, end)()
            self.proxy.settle()
            self.assertNothingLeft()

    def test_endsDuringLogin(self) -> None:
        """
        A client that has closed its half by the time it is let in has closed
        it: it gets no association that would outlive it.
        """
        checker = SlowChecker()
        self.start(checkers=[checker])
        client = self.proxy.connect()
        client.peerSends(WITH_PASSWORD + ALICE + REQUEST)
        client.peerEnds()
        self.has(client)
        checker.verdicts.pop().callback(b"alice")
        self.proxy.settle()
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_endsBeforeItIsGranted(self) -> None:
        """
        Nor does one that closes its half while the way out is got ready.
        """
        user = SlowUser()
        self.start(realm=user)
        client = self.ask(REQUEST)
        client.peerEnds()
        conduit = Conduit()
        user.asked[0].callback(conduit)
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertTrue(conduit.closed)
        self.assertNothingLeft()

    def test_goneBeforeItIsGranted(self) -> None:
        """
        The way out is not waited for when the client is gone; one that comes
        nevertheless is closed.
        """
        conduit = Conduit()

        def stubborn() -> Deferred[IDatagramConduit]:
            return Deferred(lambda asked: asked.callback(conduit))

        for associating in (Deferred, stubborn):
            user = SlowUser(associating)
            self.start(realm=user)
            self.ask(REQUEST).peerResets()
            self.assertTrue(user.asked[0].called)
            self.proxy.settle()
            self.assertNothingLeft()
        self.assertTrue(conduit.closed)

    def test_garbage(self) -> None:
        """
        What is left of it is freed at once, without waiting for a garbage
        collection.
        """
        client = self.associate()
        self.exchange()
        freed = ref(self.proxy.protocol())
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        client.peerResets()
        self.proxy.settle()
        self._clients.clear()
        self.events.clear()
        self.proxy.network.datagrams.clear()
        # As a real transport does.
        del client._protocol
        del client
        self.assertIsNone(freed())


class RubbishTests(AssociationTestCase):
    """
    A client that goes on talking on its connection.
    """

    def test_tolerated(self) -> None:
        """
        So many octets are thrown away.
        """
        client = self.associate()
        for _ in range(64):
            client.peerSends(bytes(1024))
        self.proxy.settle()
        self.assertFalse(client.ended)
        self.assertEqual(client.take(), b"")
        self.exchange()

    def test_tooMuch(self) -> None:
        """
        For more the connection is closed, and the association with it.
        """
        client = self.associate()
        client.peerSends(bytes(CONTROL_OCTETS))
        self.proxy.settle()
        self.assertFalse(client.lost)
        client.peerSends(b"\0")
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()
        (line,) = self.lines()
        self.assertIn("too much", line["reason"])

    def test_early(self) -> None:
        """
        What came with the request counts.
        """
        client = self.associate(more=bytes(CONTROL_OCTETS))
        self.exchange()
        client.peerSends(b"\0")
        self.proxy.settle()
        self.assertTrue(client.lost)

    def test_tooMuchAtOnce(self) -> None:
        """
        For too much with the request the connection is closed, too.
        """
        self.has(client := self.proxy.connect())
        client.peerSends(b"\5\1\0")
        client.take()
        client.peerSends(REQUEST + bytes(CONTROL_OCTETS + 1))
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_whileWaiting(self) -> None:
        """
        So does what comes while the way out is got ready; the client is not
        read any more at some point, and read on later.
        """
        user = SlowUser()
        self.start(realm=user)
        client = self.ask(REQUEST)
        client.peerSends(bytes(CONTROL_OCTETS))
        self.assertTrue(client.paused)
        user.asked[0].callback(Conduit())
        self.proxy.settle()
        self.assertFalse(client.paused or client.lost)
        client.peerSends(b"\0")
        self.proxy.settle()
        self.assertTrue(client.lost)

    def test_floodWhileWaiting(self) -> None:
        """
        A client that floods us meanwhile is cut off.
        """
        user = SlowUser()
        self.start(realm=user)
        client = self.ask(REQUEST)
        client.peerSends(bytes(CONTROL_OCTETS))
        client.peerSends(bytes(CONTROL_OCTETS))
        user.asked[0].callback(Conduit())
        self.proxy.settle()
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_floodInOnePiece(self) -> None:
        """
        So is one that does so before it can be stopped, also if the way out
        comes in the very moment; that is closed, then.
        """
        user = SlowUser()
        self.start(realm=user)
        client = self.ask(REQUEST)
        client.peerSends(bytes(4 * CONTROL_OCTETS))
        conduit = Conduit()
        user.asked[0].callback(conduit)
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertTrue(conduit.closed)
        self.assertNothingLeft()


class IdleTests(AssociationTestCase):
    """
    Associations that nobody uses.
    """

    idle = 800.0

    def setUp(self) -> None:
        super().setUp()
        self.start(timers=InboundTimers(relay=RelayTimers(idle=self.idle)))

    def passes(self, seconds: float) -> None:
        """
        Let time pass, little by little.
        """
        self.proxy.network.pump([seconds / 100] * 100)

    def assertEnds(self, client: MemoryTransport) -> None:
        """
        Fail unless an association that something has just gone through is
        ended after the time that relays of connections get, and not before. A
        quarter of it more may pass until somebody looks, as for those.
        """
        self.passes(self.idle - 1)
        self.assertFalse(client.ended)
        self.passes(self.idle / 4 + 1)
        self.assertEqual(self.opened, [])
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()
        (line,) = self.lines()
        self.assertEqual(line["reason"], "idle for too long")

    def test_unused(self) -> None:
        """
        One that nothing has gone through ends then, counted from its
        beginning.
        """
        self.assertEnds(self.associate())

    def test_sent(self) -> None:
        """
        That time begins anew with every datagram to others.
        """
        client = self.associate()
        for _ in range(3):
            self.exchange()
            self.passes(self.idle / 2)
        self.send()
        self.assertEnds(client)

    def test_received(self) -> None:
        """
        And with every one to the client.
        """
        client = self.associate()
        self.exchange()
        self.passes(MAPPING_IDLE - 1)
        self.answer()
        self.assertEnds(client)

    def test_strangersAreNoUse(self) -> None:
        """
        Datagrams that are dropped do not keep it.
        """
        client = self.associate()
        for _ in range(7):
            self.send(source=("198.51.100.9", PORT))
            self.passes(self.idle / 8)
        self.passes(self.idle / 4)
        self.proxy.settle()
        self.assertTrue(client.lost)

    def test_forEver(self) -> None:
        """
        Where there is no such time there is no timer.
        """
        self.start(timers=InboundTimers(relay=RelayTimers(idle=0)))
        client = self.associate()
        self.assertEqual(self.proxy.network.getDelayedCalls(), [])
        self.proxy.network.advance(10**6)
        self.assertFalse(client.ended)
        self.exchange()


class ShutDownTests(AssociationTestCase):
    """
    With the proxy.
    """

    def test_ended(self) -> None:
        """
        An association is no transfer under way: it ends when the proxy stops
        and when it is cut off.
        """
        for stop in ("shutDown", "abort"):
            client = self.associate()
            self.exchange()
            protocol = self.proxy.protocol()
            if stop == "shutDown":
                self.assertFalse(protocol.shutDown())
            else:
                protocol.abort("shut down")
            self.proxy.settle()
            self.assertTrue(client.lost)
            self.assertNothingLeft()
            (line,) = self.lines()
            self.assertEqual(line["reason"], "shut down")

    def test_unforeseen(self) -> None:
        """
        A way out that fails in an unforeseen way is a general failure (REP 1).
        """
        user = SlowUser()
        self.start(realm=user)
        client = self.ask(REQUEST)
        user.asked[0].errback(ZeroDivisionError())
        self.proxy.settle()
        self.assertEqual(client.take(), refused(1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.events.clear()


class RoomyNetwork(ScriptedNetwork):
    """
    A network that is quick enough with thousands of sockets and timers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._free = count(20000)

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.
        """
        return super().listenUDP(port or next(self._free), protocol, interface, maxPacketSize)

    def _sortCalls(self) -> None:
        self.calls.sort(key=attrgetter("time"))


class ManyTests(AssociationTestCase):
    """
    Many associations with many destinations each.
    """

    def test_many(self) -> None:
        """
        A thousand associations with twenty destinations each have two sockets
        each at most. Those on the way out are gone when nobody has been
        written to for five minutes, and all the rest when the associations
        have been idle for too long.
        """
        proxy: MemoryProxy = self.start(network=RoomyNetwork())
        network = proxy.network
        for number in range(1000):
            client = f"10.1.{number // 250}.{number % 250 + 1}"
            transport = proxy.connect(tcpAddress(client, 40000))
            transport.peerSends(b"\5\1\0" + REQUEST)
            relay = network.datagrams[-1]
            for target in range(20):
                relay.peerSends(datagram(QUESTION, f"198.18.0.{target}", 53), client, PORT)
            outside = network.datagrams[-1]
            for target in range(20):
                outside.peerSends(ANSWER, f"198.18.0.{target}", 53)
            self.assertEqual((len(outside.take()), len(relay.take())), (20, 20))
        self.assertEqual(len(network.datagrams), 2000)
        self.assertEqual(len(proxy.inbound.connections), 1000)
        network.advance(MAPPING_IDLE)
        self.assertEqual(len(self.opened), 1000)
        network.advance(2 * InboundTimers().relay.idle)
        network.advance(2 * InboundTimers().relay.idle)
        proxy.settle()
        self.assertNothingLeft()
        lines = self.lines()
        self.assertEqual(len(lines), 1000)
        for line in lines:
            self.assertEqual((line["datagramsSent"], line["datagramsReceived"]), (20, 20))

"""
Tests for L{socksproxy.socks.associate}: how an association ends.
"""

from __future__ import annotations

import gc
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from socksproxy.exposure import Exposure, PortRange
from socksproxy.interfaces import IDatagramConduit
from socksproxy.testing import ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import SlowChecker
from tests.socks.associating import (
    ANSWER,
    CLIENT,
    PORT,
    QUESTION,
    TARGET,
    AssociationTestCase,
)
from tests.socks.slowuser import Conduit, SlowUser
from tests.socksclient import ALICE, WITH_PASSWORD, refused
from tests.socksrequests import UDP_ASSOCIATE, command, datagram

REQUEST = command(UDP_ASSOCIATE)
CONTROL_OCTETS = 65536


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

    def test_noPort(self) -> None:
        """
        A way out is not kept for a client that cannot be given a port.
        """
        user = SlowUser()
        proxy = self.start(realm=user)
        proxy.inbound.exposure = Exposure(proxy.network, PortRange(2000, 2000))
        taken = proxy.network.listenUDP(2000, DatagramProtocol())
        client = self.ask(REQUEST)
        conduit = Conduit()
        user.asked[0].callback(conduit)
        self.assertEqual(client.take(), refused(1))
        self.assertTrue(conduit.closed)
        taken.stopListening()

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

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        super().tearDown()
        gc.collect()

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

"""
Tests for L{socksproxy.inbound}: clients that do not wait for the answer.
"""

import gc

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import Leg
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.memoryproxy import EARLY_OCTETS, MemoryProxy, SoleUser, asking
from tests.socksclient import (
    TO_SILENCE,
    TO_WEB,
    refused,
    request,
)


class EarlyDataTests(SynchronousTestCase):
    """
    A client may send before it knows whether there is a target.
    """

    def setUp(self) -> None:
        self.proxy = MemoryProxy()

    def test_delivered(self) -> None:
        """
        What came early is delivered once, in order, before what came later.
        """
        client = asking(self.proxy, TO_WEB + b"one ")
        client.peerSends(b"two ")
        target = self.proxy.target()
        client.peerSends(b"three")
        self.assertEqual(target.take(), b"one two three")
        client.peerSends(b" four")
        self.assertEqual(target.take(), b" four")

    def test_paused(self) -> None:
        """
        At 64 KiB the client is not read any more until the dial is over;
        nothing is lost or doubled by that.
        """
        data = bytes(range(256)) * 1024
        client = asking(self.proxy, TO_WEB)
        client.peerSends(data[: EARLY_OCTETS - 1])
        self.assertFalse(client.paused)
        client.peerSends(data[EARLY_OCTETS - 1 : EARLY_OCTETS])
        self.assertTrue(client.paused)
        client.peerSends(data[EARLY_OCTETS : EARLY_OCTETS + 100])
        client.peerSends(data[EARLY_OCTETS + 100 :])
        target = self.proxy.target()
        received = b""
        while more := target.take():
            received += more
        self.assertEqual(len(received), len(data))
        self.assertEqual(received, data)
        self.assertFalse(client.paused)

    def test_pausedAndRefused(self) -> None:
        """
        Where the dial fails, what came early is forgotten and the client gets
        its answer.
        """
        client = asking(self.proxy, request("192.0.2.2"))
        client.peerSends(bytes(EARLY_OCTETS))
        self.assertTrue(client.paused)
        self.proxy.settle()
        self.assertEqual(client.take(), refused(5))
        self.assertFalse(client.paused)

    def test_tooMuch(self) -> None:
        """
        A client that sends without end although nobody reads is reset, and
        what was being done for it is given up.
        """
        client = asking(self.proxy, TO_SILENCE)
        self.proxy.settle()
        client.peerSends(bytes(3 * EARLY_OCTETS))
        self.proxy.settle()
        self.assertTrue(client.aborted)
        self.assertEqual(client.take(), b"")
        self.assertEqual(self.proxy.network.cancelled, 1)
        self.assertEqual(self.proxy.traces(), [])


class GivenUpTests(SynchronousTestCase):
    """
    The client leaves before there is an answer.
    """

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        gc.collect()

    def test_reset(self) -> None:
        """
        The dial is given up, and nobody is told anything.
        """
        proxy = MemoryProxy()
        client = asking(proxy, TO_SILENCE)
        client.peerResets()
        self.assertEqual(proxy.network.cancelled, 1)
        self.assertEqual(client.take(), b"")
        self.assertEqual(proxy.traces(), [])

    def test_tooLate(self) -> None:
        """
        A connection that is made after all, by an avatar that could not stop,
        is dropped.
        """
        leg = Leg()
        network = ScriptedNetwork()
        target = MemoryTransport(network, leg)
        leg.makeConnection(target)
        realm = SoleUser(lambda: Deferred(lambda late: late.callback(leg)))
        proxy = MemoryProxy(network=network, realm=realm)
        client = asking(proxy, TO_WEB)
        client.peerResets()
        proxy.settle()
        self.assertTrue(target.lost)
        self.assertEqual(proxy.traces(), [])

"""
Tests for L{socksproxy.forward.streams}: connections that are joined.
"""

from __future__ import annotations

from twisted.internet.interfaces import IHandshakeListener
from zope.interface.verify import verifyObject

from socksproxy.inbound import InboundTimers
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.relay import RelayTimers
from socksproxy.testing import CAPACITY
from tests.accesslines import accessLines
from tests.forward.forwarding import ForwardTestCase
from tests.memoryproxy import EARLY_OCTETS


class JoinedTests(ForwardTestCase):
    """
    A client and its target.
    """

    def test_interface(self) -> None:
        """
        The connection can be told of its TLS handshake.
        """
        self.connect()
        verifyObject(IHandshakeListener, self.protocol())

    def test_bothWays(self) -> None:
        """
        What one side says is what the other side gets, whoever speaks first,
        and nothing else.
        """
        client, target = self.joined()
        target.peerSends(b"220 ready\r\n")
        self.assertEqual(client.take(), b"220 ready\r\n")
        client.peerSends(b"QUIT\r\n")
        self.assertEqual(target.take(), b"QUIT\r\n")
        self.assertEqual((client.take(), target.take()), (b"", b""))

    def test_everyClientItsOwn(self) -> None:
        """
        Each client has a connection of its own to the target.
        """
        first, firstTarget = self.joined()
        second, secondTarget = self.joined()
        self.assertIsNot(firstTarget, secondTarget)
        second.peerSends(b"two")
        first.peerSends(b"one")
        self.assertEqual((firstTarget.take(), secondTarget.take()), (b"one", b"two"))

    def test_clientEnds(self) -> None:
        """
        The client's end of stream is passed on as that, and the answer comes
        back.
        """
        client, target = self.joined()
        client.peerSends(b"question")
        client.peerEnds()
        self.assertTrue(target.ended)
        self.assertFalse(target.disconnecting)
        target.peerSends(b"answer")
        target.peerEnds()
        self.assertEqual((target.take(), client.take()), (b"question", b"answer"))
        self.settle()
        self.assertTrue(client.lost and target.lost)
        self.assertFalse(client.aborted or target.aborted)
        self.assertEqual(self.line()["reason"], "client closed")

    def test_targetEnds(self) -> None:
        """
        So is the target's.
        """
        client, target = self.joined()
        target.peerSends(b"the rest")
        target.peerEnds()
        self.assertTrue(client.ended)
        self.assertFalse(client.disconnecting)
        client.peerSends(b"thanks")
        self.assertEqual((client.take(), target.take()), (b"the rest", b"thanks"))

    def test_resets(self) -> None:
        """
        A reset on one side is one on the other.
        """
        client, target = self.joined()
        target.peerResets()
        self.assertTrue(client.aborted)
        client, target = self.joined()
        client.peerResets()
        self.assertTrue(target.aborted)
        self.settle()
        reasons = [line["reason"] for line in accessLines(self.events)]
        self.assertEqual(reasons, ["target reset", "client reset"])

    def test_backPressure(self) -> None:
        """
        A side that does not read makes the other one wait, both ways.
        """
        client, target = self.joined()
        for source, sink in ((client, target), (target, client)):
            source.peerSends(bytes(CAPACITY + 1))
            self.assertTrue(source.paused)
            source.peerSends(b"more")
            self.assertEqual(len(sink.take()), CAPACITY + 1)
            self.assertEqual(sink.take(), b"more")
            self.assertFalse(source.paused)

    def test_timers(self) -> None:
        """
        A connection over which nothing goes ends when the time for that is
        over.
        """
        self.forward(timers=InboundTimers(relay=RelayTimers(idle=60)))
        client, target = self.joined()
        self.network.pump([1] * 59)
        self.assertFalse(client.aborted)
        self.network.pump([1] * 20)
        self.assertTrue(client.aborted and target.aborted)
        self.assertEqual(self.line()["reason"], "idle for too long")

    def test_silence(self) -> None:
        """
        A client that has a target need not say anything: no handshake is
        waited for.
        """
        client, _ = self.joined()
        self.network.pump([1] * 120)
        self.assertFalse(client.aborted or client.lost)

    def test_line(self) -> None:
        """
        It makes a line with who, where to and how much.
        """
        client, target = self.joined()
        client.peerSends(b"12345")
        target.peerSends(b"123")
        self.network.advance(2)
        client.peerResets()
        self.settle()
        line = self.line()
        self.assertEqual(
            {name: value for name, value in line.items() if value not in ("-", 0)},
            {
                "protocol": "FORWARD",
                "listener": "tcp:8080",
                "client": "198.51.100.7:40000",
                "command": "CONNECT",
                "destination": "tcp:web.test:80",
                "address": "192.0.2.1:80",
                "result": "succeeded",
                "sent": 5,
                "received": 3,
                "duration": 2.0,
                "reason": "client reset",
            },
        )


class EarlyDataTests(ForwardTestCase):
    """
    A client may send before there is a target.
    """

    def test_delivered(self) -> None:
        """
        What came early is delivered once, in order, before what came later.
        """
        client = self.connect()
        client.peerSends(b"one ")
        client.peerSends(b"two ")
        target = self.target()
        client.peerSends(b"three")
        self.assertEqual(target.take(), b"one two three")

    def test_bound(self) -> None:
        """
        At 64 KiB the client is not read any more until there is a target;
        nothing is lost or doubled by that.
        """
        data = bytes(range(256)) * 1024
        client = self.connect()
        client.peerSends(data[: EARLY_OCTETS - 1])
        self.assertFalse(client.paused)
        client.peerSends(data[EARLY_OCTETS - 1 : EARLY_OCTETS])
        self.assertTrue(client.paused)
        client.peerSends(data[EARLY_OCTETS : EARLY_OCTETS + 100])
        client.peerSends(data[EARLY_OCTETS + 100 :])
        target = self.target()
        received = b""
        while more := target.take():
            received += more
        self.assertEqual(len(received), len(data))
        self.assertTrue(received == data)

    def test_tooMuch(self) -> None:
        """
        A client that sends without end although nobody reads is reset, and
        nobody is dialled for it any longer.
        """
        self.forward("192.0.2.9")
        client = self.connect()
        client.peerSends(bytes(3 * EARLY_OCTETS))
        self.assertTrue(client.aborted)
        self.settle()
        self.assertEqual(self.network.cancelled, 1)
        self.assertIn("octets are waiting", self.line()["reason"])

    def test_end(self) -> None:
        """
        A client that has said everything before there is a target, its end
        included, gets its answer all the same.
        """
        client = self.connect()
        client.peerSends(b"question")
        client.peerEnds()
        target = self.target()
        self.assertEqual(target.take(), b"question")
        self.assertTrue(target.ended)
        target.peerSends(b"answer")
        target.peerEnds()
        self.settle()
        self.assertEqual(client.take(), b"answer")
        self.assertTrue(client.lost)
        self.assertFalse(client.aborted)

    def test_endWithoutData(self) -> None:
        """
        So does one that has only ended its stream: servers that speak first
        may have something for it.
        """
        client = self.connect()
        client.peerEnds()
        target = self.target()
        self.assertTrue(target.ended)
        target.peerSends(b"Sun Nov 22 23:41:33 2026\r\n")
        self.assertEqual(client.take(), b"Sun Nov 22 23:41:33 2026\r\n")


class LimitTests(ForwardTestCase):
    """
    There is room for so many connections.
    """

    def test_total(self) -> None:
        """
        In all; who gets no place is reset, and causes no dial.
        """
        self.forward(limits=ConnectionLimits(total=1))
        self.joined()
        client = self.connect("198.51.100.8")
        self.assertTrue(client.aborted)
        self.settle()
        self.assertEqual(len(self.network.attempts), 1)
        line = self.line()
        self.assertEqual(
            (line["protocol"], line["result"], line["destination"]),
            ("FORWARD", "too many connections", "tcp:web.test:80"),
        )

    def test_perSource(self) -> None:
        """
        For one source, unless clients are of this host.
        """
        for local in (False, True):
            self.forward(limits=ConnectionLimits(perSource=1), local=local)
            self.assertFalse(self.connect().aborted)
            self.assertEqual(self.connect(port=40001).aborted, not local)
            self.assertFalse(self.connect("198.51.100.8").aborted)

    def test_madeAgain(self) -> None:
        """
        One that ends makes room.
        """
        self.forward(limits=ConnectionLimits(total=1, perSource=1))
        for _ in range(3):
            client, _ = self.joined()
            client.peerResets()
            self.settle()
        self.assertEqual(len(self.network.attempts), 3)

    def test_handshakes(self) -> None:
        """
        Connections whose target is being dialled are not counted as
        handshakes.
        """
        self.forward("192.0.2.9", limits=ConnectionLimits(handshakes=1))
        self.assertEqual([self.connect().aborted for _ in range(3)], [False] * 3)


class ShutDownTests(ForwardTestCase):
    """
    The proxy is to end.
    """

    def test_joined(self) -> None:
        """
        What is joined may go on, until it is cut off.
        """
        client, target = self.joined()
        self.assertTrue(self.protocol().shutDown())
        target.peerSends(b"the rest")
        self.assertEqual(client.take(), b"the rest")
        self.protocol().abort("shut down")
        self.settle()
        self.assertTrue(client.aborted and target.aborted)
        self.assertEqual(self.line()["reason"], "shut down")

    def test_dialling(self) -> None:
        """
        What is not is reset at once.
        """
        self.forward("192.0.2.9")
        client = self.connect()
        self.assertFalse(self.protocol().shutDown())
        self.settle()
        self.assertTrue(client.aborted and client.lost)
        self.assertEqual(self.network.cancelled, 1)

"""
Tests for L{socksproxy.socks.streamed}.
"""

from __future__ import annotations

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet.interfaces import IPushProducer
from zope.interface.verify import verifyClass

from socksproxy.inbound import InboundTimers
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.services import Services
from socksproxy.relay import RelayTimers
from socksproxy.socks._wirestream import MAX_FRAME
from socksproxy.socks.streamed import StreamedAssociation
from socksproxy.testing import CAPACITY, MemoryDatagrams, MemoryTransport
from tests.codec import piecesOf, splitsOf
from tests.memoryproxy import DenyNetworks, StrictTransport, passwords
from tests.socks.proxied import ProxiedTestCase
from tests.socksclient import ACCEPTED, ALICE, NO_AUTHENTICATION, USERS, WITH_PASSWORD, refused
from tests.socksrequests import command, datagram, granted

UDP_STREAM = 0xF5

REQUEST = command(UDP_STREAM)
GRANTED = granted("0.0.0.0")

TARGET, OTHER, SIX = "192.0.2.1", "192.0.2.2", "2001:db8::1"
QUESTION, ANSWER = b"question", b"an answer"


def framed(payload: bytes, host: str = TARGET, port: int = 53, fragment: int = 0) -> bytes:
    """
    Give a datagram as it goes over the client's connection.
    """
    message = datagram(payload, host, port, fragment)
    return len(message).to_bytes(2, "big") + message


class StreamedTestCase(ProxiedTestCase):
    """
    Tests with datagrams on a client's connection.
    """

    def associate(self, more: bytes = b"") -> MemoryTransport:
        """
        Get an association, and require that it is granted.

        @param more: What the client sends right after its request.
        """
        client = self.ask(REQUEST + more)
        self.assertEqual(client.take(), GRANTED)
        return client

    @property
    def outside(self) -> MemoryDatagrams:
        """
        Give the only socket.
        """
        (datagrams,) = (each for each in self.proxy.network.datagrams if each.open)
        return datagrams

    def sent(self) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Give what others have got, and where.
        """
        return [sent for each in self.proxy.network.datagrams for sent in each.take()]

    def exchange(self, client: MemoryTransport) -> None:
        """
        Require that a question gets its answer.
        """
        client.peerSends(framed(QUESTION))
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])
        self.outside.peerSends(ANSWER, TARGET, 53)
        self.assertEqual(client.take(), framed(ANSWER))

    def assertCounted(self, sent: int, received: int, dropped: int, reason: str) -> None:
        """
        Fail unless the access line of the only client has so many datagrams,
        and a reason for the end.
        """
        line = self.line()
        self.assertEqual((line["command"], line["result"]), ("UDP", "succeeded"))
        self.assertEqual(
            (line["datagramsSent"], line["datagramsReceived"], line["datagramsDropped"]),
            (sent, received, dropped),
        )
        self.assertIn(reason, line["reason"])


class SwitchTests(StreamedTestCase):
    """
    Who gets one: those who get UDP ASSOCIATE.
    """

    def test_off(self) -> None:
        """
        Where UDP is off it is not supported (REP 7), nothing is opened, and
        the connection ends; what was sent behind the request goes nowhere.
        """
        self.start(services=Services(udp=False))
        client = self.ask(REQUEST + framed(QUESTION))
        self.assertEqual(client.take(), refused(7))
        self.assertTrue(client.ended)
        self.assertEqual(self.proxy.network.datagrams, [])
        line = self.line()
        self.assertEqual((line["command"], line["result"]), ("UDP", "command not supported"))

    def test_auto(self) -> None:
        """
        By default it is for clients of this host, those who have logged in,
        and those who have the listener's key.
        """
        for local, keyed, allowed in (
            (False, False, False),
            (True, False, True),
            (False, True, True),
        ):
            self.start(services=Services(), local=local)
            self.proxy.inbound.keyed = keyed
            self.assertEqual(self.ask(REQUEST).take(), GRANTED if allowed else refused(7))
        self.start(services=Services(), checkers=[passwords(USERS), AllowAnonymousAccess()])
        client = self.proxy.connect()
        client.peerSends(WITH_PASSWORD + ALICE + REQUEST)
        self.assertEqual(self.has(client).take(), b"\5\2" + ACCEPTED + GRANTED)

    def test_limit(self) -> None:
        """
        It counts as two connections.
        """
        self.start(limits=ConnectionLimits(total=2))
        first = self.associate()
        first.peerResets()
        self.start(limits=ConnectionLimits(total=1))
        client = self.ask(REQUEST + framed(QUESTION))
        self.assertEqual(client.take(), refused(1))
        self.assertEqual(self.sent(), [])

    def test_addressMeansNothing(self) -> None:
        """
        Whatever address and port the request has, nobody looks at them.
        """
        for host, port in (("192.0.2.77", 7), (SIX, 7), ("0", 0), ("", 0), ("no host", 1)):
            client = self.ask(command(UDP_STREAM, host, port))
            self.assertEqual(client.take(), GRANTED)
            self.exchange(client)
            self.hangUp()


class DatagramTests(StreamedTestCase):
    """
    What becomes of datagrams.
    """

    def test_producer(self) -> None:
        """
        The connection can tell when it has enough.
        """
        verifyClass(IPushProducer, StreamedAssociation)
        client = self.associate()
        self.assertIsInstance(client.producer, StreamedAssociation)

    def test_bothWays(self) -> None:
        """
        Datagrams of all sizes go both ways, and nothing else is opened than
        the socket that they leave from.
        """
        client = self.associate()
        for host in (TARGET, SIX):
            for payload in (b"", b"x", bytes(1400), bytes(9000)):
                client.peerSends(framed(payload, host))
                self.assertEqual(self.sent(), [(payload, (host, 53))])
                self.outside.peerSends(payload, host, 53)
                self.assertEqual(client.take(), framed(payload, host))
        self.assertCounted(8, 8, 0, "client gone")

    def test_rightBehindTheRequest(self) -> None:
        """
        Datagrams may come with the request, however the stream is cut, and keep
        their order.
        """
        questions = [bytes([number]) * number for number in range(4)]
        data = b"".join(framed(question) for question in questions)
        expected = [(question, (TARGET, 53)) for question in questions]
        for pieces in splitsOf(REQUEST + data):
            client = self.proxy.connect()
            client.peerSends(NO_AUTHENTICATION)
            for piece in pieces:
                client.peerSends(piece)
            self.has(client)
            self.assertEqual(client.take(), b"\5\0" + GRANTED)
            self.assertEqual(self.sent(), expected)
            self.hangUp()

    def test_muchBehindTheRequest(self) -> None:
        """
        A client that sends more than is kept before the answer is read on
        afterwards, and what it has sent is sent in order.
        """
        self.start(checkers=[passwords(USERS)])
        client = self.proxy.connect()
        payloads = [number.to_bytes(2, "big") * 500 for number in range(200)]
        data = b"".join(framed(payload) for payload in payloads)
        client.peerSends(WITH_PASSWORD + ALICE + REQUEST)
        for piece in piecesOf(data, 7000):
            client.peerSends(piece)
        self.has(client)
        self.assertEqual([payload for payload, _ in self.sent()], payloads)

    def test_rules(self) -> None:
        """
        What the client may not reach is dropped.
        """
        self.start(policy=DenyNetworks(["192.0.2.2/32"]))
        client = self.associate()
        client.peerSends(framed(QUESTION, OTHER) + framed(QUESTION))
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])
        self.outside.peerSends(ANSWER, OTHER, 53)
        self.assertEqual(client.take(), b"")
        self.assertCounted(1, 0, 1, "client gone")

    def test_nowhere(self) -> None:
        """
        What can go nowhere is dropped as well, and the rest goes on.
        """
        client = self.associate()
        client.peerSends(framed(QUESTION, port=0) + framed(QUESTION, "no host"))
        self.exchange(client)
        self.assertCounted(1, 1, 2, "client gone")

    def test_slowClient(self) -> None:
        """
        What a client that does not read has no room for is dropped and not
        kept, and when it reads again it is sent datagrams again.
        """
        client = self.associate()
        client.peerSends(framed(QUESTION))
        data = bytes(1000)
        for _ in range(1000):
            self.outside.peerSends(data, TARGET, 53)
        held = client.take()
        self.assertLess(len(held), CAPACITY + MAX_FRAME)
        self.assertEqual(held, framed(data) * (len(held) // len(framed(data))))
        self.outside.peerSends(ANSWER, TARGET, 53)
        self.assertEqual(client.take(), framed(ANSWER))
        received = len(held) // len(framed(data)) + 1
        self.assertCounted(1, received, 1001 - received, "client gone")


class EndTests(StreamedTestCase):
    """
    How it ends. Nothing is left then; see L{ProxiedTestCase.hangUp}.
    """

    def test_malformed(self) -> None:
        """
        What is no datagram ends the connection, and nothing behind it is sent,
        wherever it is.
        """
        for wrong, reason in (
            (bytes(2), "it is too short"),
            (framed(b"x", fragment=1), "it is a fragment"),
            (framed(b"x")[:2] + b"\0\1" + framed(b"x")[4:], "bad-rsv"),
            (b"\0\x0a" + bytes(3) + b"\2" + bytes(6), "bad-atyp"),
        ):
            for early in (True, False):
                data = framed(b"before") + wrong + framed(b"behind")
                client = self.associate(data if early else b"")
                if not early:
                    client.peerSends(data)
                self.assertTrue(client.aborted)
                client.peerSends(framed(b"more"))
                self.assertEqual(self.sent(), [(b"before", (TARGET, 53))])
                self.proxy.settle()
                self.assertTrue(client.lost)
                (line,) = self.lines()
                self.assertEqual(line["reason"], f"malformed datagram: {reason}")

    def test_clientEnds(self) -> None:
        """
        The client ends it by closing its connection, in one direction or both.
        """
        client = self.associate()
        client.peerEnds()
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertCounted(0, 0, 0, "client closed")
        client = self.associate()
        self.exchange(client)
        outside = self.outside
        client.peerResets()
        self.assertFalse(outside.open)

    def test_endedBefore(self) -> None:
        """
        A client that has ended its stream behind its request gets nothing.
        """
        client = StrictTransport.connect(self.proxy.network, self.proxy.factory)
        client.peerSends(NO_AUTHENTICATION)
        client.pauseProducing()
        client.peerSends(REQUEST)
        client.peerEnds()
        client.resumeProducing()
        self.has(client)
        self.assertTrue(client.lost)
        self.assertNothingLeft()

    def test_idle(self) -> None:
        """
        An association that nothing goes through ends; one that is used goes on.
        """
        self.start(timers=InboundTimers(relay=RelayTimers(idle=80.0)))
        client = self.associate()
        for _ in range(10):
            self.proxy.network.pump([10] * 7)
            self.exchange(client)
        self.proxy.network.pump([10] * 10)
        self.assertTrue(client.lost)
        self.assertCounted(10, 10, 0, "idle for too long")

    def test_shutDown(self) -> None:
        """
        A proxy that stops ends it.
        """
        client = self.associate()
        self.assertFalse(self.proxy.protocol().shutDown())
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertCounted(0, 0, 0, "shut down")

"""
Tests for L{socksproxy.kcp.transport}: what is written and what is read.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from zope.interface.verify import verifyObject

from socksproxy.kcp.transport import TURN
from tests.kcp.network import (
    CLIENT,
    HOST,
    OPENING,
    PLAIN,
    PORT,
    REDUNDANT,
    Echo,
    KCPNetworkTests,
    Recorder,
    pattern,
)

LONG = pattern(3_000_000)


class InterfaceTests(KCPNetworkTests):
    """
    What applications see.
    """

    def setUp(self) -> None:
        """
        Start a server.
        """
        self.start()

    def test_interfaces(self) -> None:
        """
        It is what a stream transport of Twisted's is.
        """
        for application in self.joined():
            for interface in (ITransport, IConsumer, IPushProducer):
                verifyObject(interface, application.transport)

    def test_addresses(self) -> None:
        """
        Both sides know both addresses, which are of UDP.
        """
        client, server = self.joined()
        host, peer = client.transport.getHost(), client.transport.getPeer()
        self.assertEqual(peer, IPv4Address("UDP", HOST, PORT))
        self.assertEqual((host.type, host.host), ("UDP", CLIENT))
        self.assertEqual(server.transport.getHost(), peer)
        self.assertEqual(server.transport.getPeer(), host)

    def test_repr(self) -> None:
        """
        A session shows its conversation and its peer.
        """
        client = self.connect(random=lambda count: b"\x0d\x0c\x0b\x0a"[:count])
        self.assertEqual(client.transport.conversation, 0x0A0B0C0D)
        self.assertIn("0a0b0c0d", repr(client.transport))
        self.assertIn(HOST, repr(client.transport))

    def test_statistics(self) -> None:
        """
        A session counts what it does, and knows the round trip.
        """
        client, server = self.joined()
        client.transport.write(LONG)
        self.settle(5)
        sent, came = client.transport.statistics, server.transport.statistics
        self.assertEqual(sent.bytesSent, len(OPENING + LONG))
        self.assertEqual(came.bytesReceived, len(OPENING + LONG))
        self.assertEqual(came.inBytes, sent.outBytes)
        self.assertApproximates(client.transport.srtt, 50, 15)
        self.assertGreaterEqual(client.transport.rto, 30)


class WriteTests(KCPNetworkTests):
    """
    What is written.
    """

    def setUp(self) -> None:
        """
        Connect a client.
        """
        self.start()
        self.client, self.server = self.joined()

    def written(self, *data: object) -> bytes:
        """
        Write something, and give what comes.
        """
        for each in data:
            self.client.transport.write(each)
        self.settle()
        return bytes(self.server.received)

    def test_kinds(self) -> None:
        """
        Everything that holds octets can be written, and may be changed once it
        has been.
        """
        changing = bytearray(b"two")
        self.client.transport.write(b"one")
        self.client.transport.write(changing)
        self.client.transport.write(memoryview(b"-three-")[1:-1])
        changing[:] = b"xxx"
        self.assertEqual(self.written(), b"onetwothree")

    def test_sequence(self) -> None:
        """
        Several can be written at once, of any kind.
        """
        self.client.transport.writeSequence(each for each in (b"one", bytearray(b"two"), b""))
        self.assertEqual(self.written(), b"onetwo")

    def test_nothing(self) -> None:
        """
        Nothing is written as nothing.
        """
        self.client.transport.writeSequence([])
        self.assertEqual(self.written(b"", bytearray()), b"")
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_text(self) -> None:
        """
        Text is refused, and so is a number, which is not so many zeros.
        """
        for wrong in ("text", 5, [1, 2]):
            self.assertRaises(TypeError, self.client.transport.write, wrong)
        self.assertEqual(self.written(), b"")

    def test_long(self) -> None:
        """
        A write may be longer than all windows.
        """
        self.client.transport.write(LONG)
        self.settle(10)
        self.assertEqual(bytes(self.server.received), LONG)

    def test_turn(self) -> None:
        """
        What is written in a turn of the reactor is sent after it, together.
        """
        ways = self.network.directions
        before = sum(way.sent for way in ways.values())
        for _ in range(10):
            self.client.transport.write(b"0123456789")
        self.assertEqual(sum(way.sent for way in ways.values()), before)
        self.network.advance(0)
        self.assertEqual(sum(way.sent for way in ways.values()), before + 1)

    def test_answerLeavesAtOnce(self) -> None:
        """
        What an application writes when it is given something goes out without
        another turn of the reactor.
        """
        self.factory.build = Echo
        client, server = self.joined()
        server.received.clear()
        way = self.network.directions[(HOST, PORT), (CLIENT, client.transport.getHost().port)]
        sent = way.sent
        client.transport.write(b"question")
        self.network.advanceUntil(lambda: bool(server.received), limit=1)
        self.assertEqual(way.sent, sent + 1)

    def test_manySessions(self) -> None:
        """
        Sessions of one port that are written to in a turn all send after it,
        and take one call for that.
        """
        pairs = [self.joined() for _ in range(20)]
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])
        for number, (_, server) in enumerate(pairs):
            server.transport.write(b"%d" % number)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.settle(0.05)
        self.assertEqual(
            [bytes(client.received) for client, _ in pairs], [b"%d" % n for n in range(20)]
        )


class MessageTests(KCPNetworkTests):
    """
    Sessions in message mode.
    """

    def test_long(self) -> None:
        """
        Any length can be written there as well, though no message is as long.
        """
        self.start(config=replace(PLAIN, stream=False, rcvwnd=64))
        client, server = self.joined()
        client.transport.write(LONG[:500_000])
        self.settle(20)
        self.assertEqual(bytes(server.received), LONG[:500_000])

    def test_messages(self) -> None:
        """
        What fits into a message is one.
        """
        self.start(config=replace(PLAIN, stream=False))
        client, server = self.joined()
        server.transport.pauseProducing()
        client.transport.write(LONG[:5000])
        client.transport.write(b"short")
        self.settle(1)
        control = server.transport.pipeline.control
        self.assertEqual([control.receive() for _ in range(3)], [LONG[:5000], b"short", None])


class BothWays(Recorder):
    """
    An application that writes as soon as it can.
    """

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        super().connectionMade()
        self.transport.write(LONG[:200_000])


class TransferTests(KCPNetworkTests):
    """
    Streams over bad networks.
    """

    def transferred(self, crypt: str = "null", seconds: float = 60, **network: object) -> None:
        """
        Send both ways at once, and see that all arrives as it was.
        """
        self.start(BothWays, crypt=crypt, config=REDUNDANT, **network)
        client = self.connect(BothWays)
        done = len(LONG[:200_000])
        self.network.advanceUntil(
            lambda: (
                len(client.received) >= done
                and bool(self.factory.made)
                and len(self.factory.made[0].received) >= done
            ),
            limit=seconds,
        )
        for application in (client, self.factory.made[0]):
            self.assertEqual(bytes(application.received), LONG[:done])
        self.assertEqual(len(self.factory.made), 1)

    def test_good(self) -> None:
        """
        Over a good one.
        """
        self.transferred("aes-128-gcm", seconds=2)

    def test_loss(self) -> None:
        """
        Over one that loses a fifth, the first datagrams among it or not.
        """
        for seed in range(3):
            self.transferred("aes", loss=0.2, seed=seed)

    def test_disorder(self) -> None:
        """
        Over one that delivers twice and in disorder.
        """
        self.transferred("salsa20", duplicate=0.1, reorder=0.2, jitter=30, loss=0.05, seed=5)


class ReadTests(KCPNetworkTests):
    """
    Reading, and not reading.
    """

    def setUp(self) -> None:
        """
        Connect a client.
        """
        self.start()
        self.client, self.server = self.joined()

    def test_paused(self) -> None:
        """
        Who is paused gets nothing. Meanwhile the sender is stopped once the
        windows are full, and no more than these is held; resumed, all comes.
        """
        self.server.transport.pauseProducing()
        self.client.transport.write(LONG)
        self.settle(20)
        self.assertEqual(bytes(self.server.received), b"")
        receiving = self.server.transport.pipeline.control
        self.assertEqual(receiving.readable, self.config.rcvwnd)
        self.assertEqual(self.client.transport.pipeline.control.rmtWnd, 0)
        sent = self.client.transport.statistics.outSegs
        self.settle(20)
        self.assertEqual(self.client.transport.statistics.outSegs, sent)
        self.server.transport.resumeProducing()
        self.settle(10)
        self.assertEqual(bytes(self.server.received), LONG)

    def test_pausedForLong(self) -> None:
        """
        However long the pause, the session lives.
        """
        self.server.transport.pauseProducing()
        self.client.transport.write(LONG)
        self.settle(3600)
        self.assertFalse(self.client.lost)
        self.server.transport.resumeProducing()
        self.network.advanceUntil(lambda: len(self.server.received) == len(LONG), limit=130)
        self.assertEqual(bytes(self.server.received), LONG)

    def test_pausedForLongAndGone(self) -> None:
        """
        If the peer goes meanwhile the session ends all the same.
        """
        self.server.transport.pauseProducing()
        self.client.transport.write(LONG)
        self.settle(3600)
        self.server.transport.abortConnection()
        self.network.advanceUntil(lambda: self.client.lost, limit=900)

    def test_pausedInTheMiddle(self) -> None:
        """
        Who pauses when it is given something gets nothing more, however much
        there is.
        """

        class Pausing(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.transport.pauseProducing()

        self.factory.build = Pausing
        client, server = self.joined()
        server.transport.resumeProducing()
        client.transport.write(LONG[:500_000])
        self.settle(5)
        self.assertEqual(server.told.count("data"), 2)
        got = len(server.received)
        self.assertTrue(0 < got < 500_000)
        while got < 500_000:
            server.transport.resumeProducing()
            self.settle(1)
            self.assertGreater(len(server.received), got)
            got = len(server.received)
        self.assertEqual(bytes(server.received), LONG[:500_000])

    def test_notWithinResume(self) -> None:
        """
        Resumed, it is given what waits a turn later, not within the call; and
        not at all if it has paused again.
        """
        self.server.transport.pauseProducing()
        self.client.transport.write(b"waits")
        self.settle()
        self.server.transport.resumeProducing()
        self.assertEqual(bytes(self.server.received), b"")
        self.server.transport.pauseProducing()
        self.settle()
        self.assertEqual(bytes(self.server.received), b"")
        self.server.transport.resumeProducing()
        self.network.advance(0)
        self.assertEqual(bytes(self.server.received), b"waits")

    def test_resumedByAnother(self) -> None:
        """
        An application that is resumed while another one is given something
        gets what waits for it, with no other event.
        """
        others: list[Recorder] = [self.server]

        class Resuming(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                others[0].transport.resumeProducing()

        self.server.transport.pauseProducing()
        self.client.transport.write(b"waits")
        self.settle()
        self.factory.build = Resuming
        client = self.connect()
        client.transport.write(b"go on")
        self.settle(1)
        self.assertEqual(bytes(self.server.received), b"waits")

    def test_othersHaveTheirTurn(self) -> None:
        """
        A session with much to be given lets others have something between.
        """
        order: list[str] = []

        class Noting(Recorder):
            name = "?"

            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                order.append(self.name)

        self.factory.build = Noting
        pairs = [self.joined() for _ in range(2)]
        for name, (client, server) in zip("ab", pairs, strict=True):
            server.name = name
            server.transport.pauseProducing()
            client.transport.write(LONG)
        self.settle(20)
        order.clear()
        for _, server in pairs:
            server.transport.resumeProducing()
        self.network.advance(0)
        turns = "".join(order)
        self.assertIn("ba", turns)
        self.assertGreater(len(pairs[0][1].received), TURN)


@pytest.mark.parametrize("mode", ["paused", "resumed"])
def test_readingIsIdempotent(mode: str) -> None:
    """
    Pausing twice is pausing, and resuming what is not paused is nothing.
    """
    case = KCPNetworkTests()
    case.start()
    client, server = case.joined()
    server.transport.resumeProducing()
    for _ in range(2):
        server.transport.pauseProducing()
    if mode == "resumed":
        server.transport.resumeProducing()
        server.transport.resumeProducing()
    client.transport.write(b"something")
    case.settle()
    assert bytes(server.received) == (b"something" if mode == "resumed" else b"")

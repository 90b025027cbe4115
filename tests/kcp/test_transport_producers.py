"""
Tests for L{socksproxy.kcp.transport}: who writes only as fast as it goes.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from socksproxy.kcp.transport import RESERVE
from tests.kcp.network import PLAIN, KCPNetworkTests, Recorder, pattern

CHUNK = pattern(16_384)

FULL = pattern(300_000)
"""
More than the windows admit.
"""


class Producer:
    """
    What producers have in common.

    @ivar told: What it was told, in order.
    """

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.told: list[str] = []

    def stopProducing(self) -> None:
        """
        See C{IProducer}.
        """
        self.told.append("stop")


@implementer(IPushProducer)
class Push(Producer):
    """
    A producer that writes as much as it may.

    @ivar limit: Octets after which it has nothing more to write.
    """

    paused = False

    def __init__(self, transport: Any, limit: int) -> None:
        super().__init__(transport)
        self.limit = limit
        self.written = 0

    def produce(self) -> None:
        """
        Write until it is paused, or has written all.
        """
        while not self.paused and self.written < self.limit:
            self.written += len(CHUNK)
            self.transport.write(CHUNK)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("pause")
        self.paused = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("resume")
        self.paused = False
        self.produce()


@implementer(IPullProducer)
class Pull(Producer):
    """
    A producer that writes when it is asked to.

    @ivar chunks: How many more times it will.
    """

    def __init__(self, transport: Any, chunks: int) -> None:
        super().__init__(transport)
        self.chunks = chunks

    def resumeProducing(self) -> None:
        """
        See C{IPullProducer}.
        """
        self.told.append("resume")
        if self.chunks:
            self.chunks -= 1
            self.transport.write(CHUNK)
        else:
            self.transport.unregisterProducer()


class ProducerTests(KCPNetworkTests):
    """
    Tests with a client that is connected.
    """

    def setUp(self) -> None:
        """
        Connect it.
        """
        self.start(config=replace(PLAIN, sndwnd=128, rcvwnd=128))
        self.client, self.server = self.joined()
        self.transport = self.client.transport

    @property
    def waiting(self) -> int:
        """
        Segments that wait to be sent or to be acknowledged.
        """
        waiting: int = self.transport.pipeline.control.waiting
        return waiting

    @property
    def most(self) -> int:
        """
        Segments that may wait when a producer is paused by what it writes.
        """
        return self.config.sndwnd + RESERVE + len(CHUNK) // 1000


class PushTests(ProducerTests):
    """
    Producers that write by themselves.
    """

    def test_paused(self) -> None:
        """
        A producer is paused once a window of segments waits and some more,
        once.
        """
        producer = Push(self.transport, 5_000_000)
        self.transport.registerProducer(producer, True)
        producer.produce()
        self.assertEqual(producer.told, ["pause"])
        self.assertTrue(self.most - 20 <= self.waiting <= self.most)
        self.transport.write(CHUNK)
        self.assertEqual(producer.told, ["pause"])

    def test_resumed(self) -> None:
        """
        It is resumed when there is room again, and gets through all that it
        has, without more waiting at any time than before it was paused.
        """
        size = 1_000_000
        producer = Push(self.transport, size)
        self.transport.registerProducer(producer, True)
        producer.produce()
        most = 0

        def done() -> bool:
            nonlocal most
            most = max(most, self.waiting)
            return len(self.server.received) >= size

        self.network.advanceUntil(done, limit=20)
        self.assertLessEqual(most, self.most)
        self.assertEqual(producer.told[::2], ["pause"] * len(producer.told[::2]))
        self.assertEqual(producer.told[1::2], ["resume"] * len(producer.told[1::2]))
        self.assertGreater(len(producer.told), 4)

    def test_peerDoesNotRead(self) -> None:
        """
        While the peer does not read the producer stays paused, and what it has
        written is bounded by the windows of both.
        """
        self.server.transport.pauseProducing()
        producer = Push(self.transport, 5_000_000)
        self.transport.registerProducer(producer, True)
        producer.produce()
        self.settle(10)
        written = producer.written
        self.assertTrue(producer.paused)
        self.assertLess(written, 3 * self.config.rcvwnd * 1400)
        self.settle(100)
        self.assertEqual(producer.written, written)
        producer.limit = written + 1_000_000
        self.server.transport.resumeProducing()
        self.network.advanceUntil(lambda: producer.written >= producer.limit, limit=130)

    def test_registeredWhenFull(self) -> None:
        """
        A producer that comes when a window waits is paused at once.
        """
        self.transport.write(FULL)
        producer = Push(self.transport, 100_000)
        self.transport.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])
        self.settle(10)
        self.assertEqual(producer.told[:2], ["pause", "resume"])
        self.assertEqual(producer.written, 7 * len(CHUNK))

    def test_notPausedForOthers(self) -> None:
        """
        A producer that has gone is not paused.
        """
        producer = Push(self.transport, 100_000)
        self.transport.registerProducer(producer, True)
        self.transport.unregisterProducer()
        self.transport.write(FULL)
        self.settle(10)
        self.assertEqual(producer.told, [])

    def test_two(self) -> None:
        """
        There is one at a time.
        """
        producer = Push(self.transport, 0)
        self.transport.registerProducer(producer, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, producer, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, producer, False)
        self.transport.unregisterProducer()
        self.transport.registerProducer(producer, True)
        self.assertEqual(producer.told, [])

    def test_unregisteredTwice(self) -> None:
        """
        There need not be one to be unregistered.
        """
        self.transport.unregisterProducer()
        self.transport.unregisterProducer()

    def test_stopped(self) -> None:
        """
        A producer is stopped when the connection is lost, before the
        application is told.
        """
        producer = Push(self.transport, 0)
        producer.told = self.client.told
        self.transport.registerProducer(producer, True)
        self.transport.abortConnection()
        self.settle(0)
        self.assertEqual(producer.told, ["made", "stop", "lost"])

    def test_stoppedLater(self) -> None:
        """
        A producer that comes when the connection is lost, or nothing more is
        written to it, is stopped at once.
        """
        self.transport.loseConnection()
        early, late = Push(self.transport, 0), Push(self.transport, 0)
        self.transport.registerProducer(early, True)
        self.settle()
        self.assertTrue(self.client.lost)
        self.transport.registerProducer(late, True)
        self.assertEqual((early.told, late.told), (["stop"], ["stop"]))


class PullTests(ProducerTests):
    """
    Producers that write when they are asked to.
    """

    def test_all(self) -> None:
        """
        A producer is asked until it has gone.
        """
        producer = Pull(self.transport, 100)
        self.transport.registerProducer(producer, False)
        self.settle(5)
        self.assertEqual(bytes(self.server.received), CHUNK * 100)
        self.assertEqual(producer.told, ["resume"] * 101)

    def test_fast(self) -> None:
        """
        It is asked for as much as there is room for, not only once in a round
        trip.
        """
        producer = Pull(self.transport, 1000)
        self.transport.registerProducer(producer, False)
        self.settle(0.5)
        # A window in each of the ten round trips is 1.7 MB.
        self.assertGreater(len(self.server.received), 1_000_000)

    def test_bounded(self) -> None:
        """
        It is not asked for more than a window.
        """
        self.server.transport.pauseProducing()
        producer = Pull(self.transport, 1000)
        self.transport.registerProducer(producer, False)
        self.settle(20)
        asked = producer.told.count("resume")
        self.assertLess(asked * len(CHUNK), 3 * self.config.rcvwnd * 1400)
        self.settle(100)
        self.assertEqual(producer.told.count("resume"), asked)

    def test_notReady(self) -> None:
        """
        One that has nothing to write when it is asked is not asked again
        before it has written something, whatever else happens.
        """
        producer = Pull(self.transport, 0)
        producer.transport = Pull(None, 0)
        producer.transport.unregisterProducer = lambda: None  # type: ignore[attr-defined]
        self.transport.registerProducer(producer, False)
        for _ in range(5):
            self.server.transport.write(b"something else")
            self.settle(0.1)
        self.assertEqual(producer.told, ["resume"])
        self.transport.write(CHUNK)
        self.settle(1)
        self.assertEqual(producer.told, ["resume", "resume"])

    def test_registeredWhenFull(self) -> None:
        """
        One that comes when a window waits is asked when there is room.
        """
        self.transport.write(FULL)
        producer = Pull(self.transport, 3)
        self.transport.registerProducer(producer, False)
        self.assertEqual(producer.told, [])
        self.settle(10)
        self.assertEqual(producer.told, ["resume"] * 4)

    def test_file(self) -> None:
        """
        Twisted's own sender of files works.
        """
        content = pattern(2_000_000)
        sending = FileSender().beginFileTransfer(BytesIO(content), self.transport)
        sending.addCallback(lambda _: self.transport.loseConnection())
        self.network.advanceUntil(lambda: self.client.lost, limit=10)
        self.assertIsInstance(self.client.reason, ConnectionDone)
        self.assertEqual(bytes(self.server.received), content)


class EndTests(ProducerTests):
    """
    The end of a connection with a producer.
    """

    def test_waitsForProducer(self) -> None:
        """
        A connection whose end was asked for waits for its producer, which may
        go on writing as long as it likes.
        """
        for streaming in (True, False):
            client, server = self.joined()
            transport = client.transport
            producer = Push(transport, 0)
            transport.registerProducer(producer, streaming)
            transport.loseConnection()
            self.assertTrue(transport.disconnecting)
            self.settle(100)
            transport.write(b"written by the producer")
            self.settle(100)
            self.assertFalse(client.lost)
            self.assertEqual(bytes(server.received), b"written by the producer")
            transport.write(b"!")
            transport.unregisterProducer()
            transport.write(b"dropped")
            self.settle()
            self.assertIsInstance(client.reason, ConnectionDone)
            self.assertEqual(bytes(server.received), b"written by the producer!")

    def test_resumedWhileClosing(self) -> None:
        """
        While the end waits, a producer is paused and resumed as ever.
        """
        producer = Push(self.transport, 1_000_000)
        self.transport.registerProducer(producer, True)
        producer.produce()
        self.transport.loseConnection()
        self.network.advanceUntil(lambda: producer.written >= 1_000_000, limit=20)
        self.transport.unregisterProducer()
        self.network.advanceUntil(lambda: self.client.lost, limit=20)
        self.assertEqual(len(self.server.received), producer.written)
        self.assertIsInstance(self.client.reason, ConnectionDone)

    def test_lingersAfterProducer(self) -> None:
        """
        The time to linger begins when the producer has gone.
        """
        self.client, _ = self.joined()
        self.transport = self.client.transport
        self.transport.registerProducer(Push(self.transport, 0), True)
        self.transport.loseConnection()
        self.settle(25)
        self.transport.write(b"x")
        self.listening._port.stopListening()
        self.settle(10)
        self.transport.unregisterProducer()
        self.settle(15)
        self.assertFalse(self.client.lost)
        self.settle(20)
        self.assertIsInstance(self.client.reason, ConnectionLost)


class FaultyTests(ProducerTests):
    """
    Producers that fail.
    """

    def test_resuming(self) -> None:
        """
        A producer that raises when it is resumed costs its own connection, and
        nobody else's.
        """

        class Failing(Push):
            def resumeProducing(self) -> None:
                raise ZeroDivisionError

        other, otherServer = self.joined()
        self.transport.write(FULL)
        self.transport.registerProducer(Failing(self.transport, 0), True)
        other.transport.write(CHUNK)
        self.settle(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsInstance(self.client.reason, ZeroDivisionError)
        self.assertEqual(bytes(otherServer.received), CHUNK)

    def test_stopping(self) -> None:
        """
        One that raises when it is stopped does not keep the application from
        being told.
        """

        class Failing(Push):
            def stopProducing(self) -> None:
                raise ZeroDivisionError

        self.transport.registerProducer(Failing(self.transport, 0), True)
        self.transport.abortConnection()
        self.settle(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.client.lost)


class AsProducerTests(KCPNetworkTests):
    """
    A session as the producer of another transport.
    """

    def test_stopped(self) -> None:
        """
        Stopped as a producer, a session ends when all has been delivered.
        """
        self.start()
        client, server = self.joined(Recorder)
        client.transport.write(CHUNK)
        client.transport.stopProducing()
        self.settle()
        self.assertEqual(bytes(server.received), CHUNK)
        self.assertIsInstance(client.reason, ConnectionDone)

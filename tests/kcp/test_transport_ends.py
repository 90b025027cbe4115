"""
Tests for L{socksproxy.kcp.transport}: what ends a session.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost

from socksproxy.kcp import SessionTimers
from socksproxy.testing import Conditions
from tests.kcp.network import (
    CLIENT,
    HOST,
    PLAIN,
    PORT,
    REDUNDANT,
    KCPNetworkTests,
    Recorder,
    pattern,
)

MUCH = pattern(300_000)

SILENCE = Conditions(loss=1.0)


class Answering(Recorder):
    """
    An application that answers the first that it gets, and ends.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        super().dataReceived(data)
        if not self.transport.disconnecting:
            self.transport.write(MUCH)
            self.transport.loseConnection()


class LoseConnectionTests(KCPNetworkTests):
    """
    The end that an application asks for.
    """

    def test_deliversFirst(self) -> None:
        """
        All that was written before is delivered, over a network that loses a
        fifth, and only then is the application told, that all is well.
        """
        for seed in range(5):
            self.start(config=REDUNDANT, loss=0.2, seed=seed)
            client = self.connect()
            client.transport.write(MUCH)
            client.transport.loseConnection()
            self.network.advanceUntil(lambda client=client: client.lost, limit=60)
            self.assertIsInstance(client.reason, ConnectionDone)
            self.assertEqual(bytes(self.factory.made[0].received), MUCH)

    def test_ofServer(self) -> None:
        """
        A server's session ends as a client's does.
        """
        for seed in range(5):
            self.start(Answering, config=PLAIN, loss=0.2, seed=seed)
            client = self.connect()
            client.transport.write(b"question")
            self.network.advanceUntil(
                lambda: bool(self.factory.made) and self.factory.made[0].lost, limit=60
            )
            self.assertIsInstance(self.factory.made[0].reason, ConnectionDone)
            self.assertEqual(bytes(client.received), MUCH)
            self.assertEqual(self.server.sessions, {})

    def test_nothingWritten(self) -> None:
        """
        With nothing to deliver it ends in the next turn, and not within the
        call.
        """
        self.start()
        client = self.connect()
        client.transport.loseConnection()
        self.assertEqual((client.told, client.transport.disconnecting), (["made"], True))
        self.network.advance(0)
        self.assertEqual(client.told, ["made", "lost"])
        self.assertIsInstance(client.reason, ConnectionDone)
        self.assertFalse(client.transport.connected)

    def test_peerIsToldNothing(self) -> None:
        """
        The other side goes on without knowing.
        """
        self.start()
        client, server = self.joined()
        client.transport.loseConnection()
        self.settle(100)
        self.assertTrue(client.lost)
        self.assertFalse(server.lost)

    def test_writesAfterwards(self) -> None:
        """
        What is written after it is dropped.
        """
        self.start()
        client, server = self.joined()
        client.transport.write(b"before")
        client.transport.loseConnection()
        client.transport.write(b"after")
        client.transport.writeSequence([b"after", b"that"])
        self.settle()
        client.transport.write(b"much later")
        self.settle()
        self.assertEqual(bytes(server.received), b"before")
        self.assertIsInstance(client.reason, ConnectionDone)

    def test_nothingIsRead(self) -> None:
        """
        As with TCP, nothing is given to who has asked for the end.
        """
        self.start()
        client, server = self.joined()
        client.transport.write(b"before")
        client.transport.loseConnection()
        server.transport.write(b"too late")
        self.settle()
        self.assertEqual((bytes(client.received), client.lost), (b"", True))

    def test_twice(self) -> None:
        """
        It may be asked for twice, and after the end.
        """
        self.start()
        client, _ = self.joined()
        for _ in range(2):
            client.transport.loseConnection()
        self.settle()
        client.transport.loseConnection()
        self.settle()
        self.assertIsInstance(client.reason, ConnectionDone)

    def test_unacknowledgedIsNotDone(self) -> None:
        """
        As long as an octet is not acknowledged, nobody is told that all is
        well: not when the peer has gone, and not when the port is closed.
        """
        self.start()
        client, _ = self.joined()
        self.network.setConditions(SILENCE)
        client.transport.write(b"x")
        client.transport.loseConnection()
        self.settle(29)
        self.assertFalse(client.lost)
        self.onWire(client.transport).stopListening()
        self.settle()
        self.assertIsInstance(client.reason, ConnectionLost)
        self.assertNotIsInstance(client.reason, ConnectionDone)

    def test_lastAcknowledgementIsSent(self) -> None:
        """
        Who ends has acknowledged what it was given before, even if it ends at
        once.
        """
        self.start(config=PLAIN)

        class Leaving(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.transport.loseConnection()

        self.factory.build = Leaving
        client = self.connect()
        client.transport.write(b"question")
        client.transport.loseConnection()
        self.settle()
        self.assertIsInstance(client.reason, ConnectionDone)

    def test_clientsPortIsClosed(self) -> None:
        """
        A client's port is closed when its session has ended, however it does.
        """
        self.start()
        for end in ("loseConnection", "abortConnection"):
            client, _ = self.joined()
            port = self.onWire(client.transport)
            getattr(client.transport, end)()
            self.settle()
            self.assertTrue(client.lost)
            self.assertFalse(port.open)
        self.assertEqual(self.network.getDelayedCalls(), [])


class RestTests(KCPNetworkTests):
    """
    Sessions that stay for the peer's sake.
    """

    def test_repetition(self) -> None:
        """
        Who ends after it was given something stays to acknowledge that once
        more, if the acknowledgement was lost; so the peer can end well too.
        """
        self.start(timers=SessionTimers())
        client, server = self.joined()
        server.transport.write(b"answer")
        server.transport.loseConnection()
        self.network.advanceUntil(lambda: bool(client.received), limit=1)
        way = self.network.directions[(CLIENT, client.transport.getHost().port), (HOST, PORT)]
        way.conditions = Conditions(loss=(way.sent, way.sent + 1))
        client.transport.loseConnection()
        self.settle(5)
        self.assertEqual((client.lost, server.lost), (True, True))
        self.assertIsInstance(server.reason, ConnectionDone)

    def test_short(self) -> None:
        """
        That takes a few round trips, and none if the peer has been silent.
        """
        self.start()
        for pause, most in ((0.1, 0.5), (10, 0.0)):
            client, server = self.joined()
            server.transport.write(b"something")
            self.settle(pause)
            began = self.network.seconds()
            client.transport.loseConnection()
            self.network.advanceUntil(lambda client=client: client.lost, limit=1)
            self.assertLessEqual(self.network.seconds() - began, most)

    def test_streamingPeer(self) -> None:
        """
        A peer that goes on sending keeps nobody.
        """
        self.start()
        client, server = self.joined()
        self.settle()
        server.transport.write(MUCH * 20)
        self.settle(0.2)
        self.assertGreater(len(client.received), 10_000)
        client.transport.loseConnection()
        got = len(client.received)
        self.settle(1.1)
        self.assertIsInstance(client.reason, ConnectionDone)
        self.assertEqual(len(client.received), got)


class AbortTests(KCPNetworkTests):
    """
    The end at once.
    """

    def test_abort(self) -> None:
        """
        It drops what is under way, and the application is told in the next
        turn.
        """
        self.start()
        client, server = self.joined()
        client.transport.write(MUCH)
        client.transport.abortConnection()
        self.assertEqual((client.told, client.transport.disconnecting), (["made"], True))
        self.network.advance(0)
        self.assertIsInstance(client.reason, ConnectionAborted)
        self.settle()
        self.assertEqual(bytes(server.received), b"")

    def test_whileClosing(self) -> None:
        """
        It ends what lingers.
        """
        self.start()
        client, _ = self.joined()
        self.network.setConditions(SILENCE)
        client.transport.write(MUCH)
        client.transport.loseConnection()
        self.settle(5)
        client.transport.abortConnection()
        self.settle(0)
        self.assertIsInstance(client.reason, ConnectionAborted)

    def test_twice(self) -> None:
        """
        It may be asked for twice, and after the end.
        """
        self.start()
        client, _ = self.joined()
        client.transport.abortConnection()
        client.transport.abortConnection()
        client.transport.loseConnection()
        self.settle()
        client.transport.abortConnection()
        self.settle()
        self.assertIsInstance(client.reason, ConnectionAborted)

    def test_portClosedInTheSameTurn(self) -> None:
        """
        The application is told what it did, though the port was closed before
        it could be.
        """
        self.start()
        client, _ = self.joined()
        self.onWire(client.transport).stopListening()
        client.transport.abortConnection()
        self.settle()
        self.assertIsInstance(client.reason, ConnectionAborted)


class LingerTests(KCPNetworkTests):
    """
    How long it takes to end.
    """

    TIMERS = SessionTimers(dead=None, linger=10)

    def test_peerGone(self) -> None:
        """
        What is not acknowledged in time is given up, and the application is
        told that it was.
        """
        self.start()
        client, _ = self.joined(timers=self.TIMERS)
        self.settle()
        self.network.setConditions(SILENCE)
        began = self.network.seconds()
        client.transport.write(MUCH)
        client.transport.loseConnection()
        self.network.advanceUntil(lambda: client.lost, limit=20)
        self.assertApproximates(self.network.seconds() - began, 10, 0.1)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.assertIn("not everything was acknowledged in time", str(client.reason))

    def test_slow(self) -> None:
        """
        As long as the peer acknowledges more and more, all is delivered,
        however long it takes.
        """
        self.start(config=replace(PLAIN, ratelimit=5000))
        client, server = self.joined(timers=self.TIMERS)
        began = self.network.seconds()
        client.transport.write(MUCH)
        client.transport.loseConnection()
        self.network.advanceUntil(lambda: client.lost, limit=300)
        self.assertGreater(self.network.seconds() - began, 50)
        self.assertIsInstance(client.reason, ConnectionDone)
        self.assertEqual(bytes(server.received), MUCH)

    def test_peerDoesNotRead(self) -> None:
        """
        A peer that does not read is not waited for longer.
        """
        self.start()
        client, server = self.joined(timers=self.TIMERS)
        server.transport.pauseProducing()
        client.transport.write(pattern(3_000_000))
        client.transport.loseConnection()
        self.network.advanceUntil(lambda: client.lost, limit=30)
        self.assertIsInstance(client.reason, ConnectionLost)

    def test_notAtAll(self) -> None:
        """
        Without lingering, only what is acknowledged already is.
        """
        self.start()
        client, _ = self.joined(timers=SessionTimers(linger=0))
        client.transport.write(b"x")
        client.transport.loseConnection()
        self.network.advance(0.001)
        self.assertIsInstance(client.reason, ConnectionLost)


class DeadTests(KCPNetworkTests):
    """
    Peers that have gone.
    """

    def test_gone(self) -> None:
        """
        A session ends when what is under way is not acknowledged for as long
        as was said.
        """
        self.start()
        client, _ = self.joined(timers=SessionTimers(dead=7))
        self.settle()
        self.network.setConditions(SILENCE)
        self.settle(1000)
        self.assertFalse(client.lost)
        began = self.network.seconds()
        client.transport.write(b"x")
        self.network.advanceUntil(lambda: client.lost, limit=20)
        self.assertApproximates(self.network.seconds() - began, 7, 0.1)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.assertIn("the peer acknowledges nothing", str(client.reason))
        self.settle(1)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_neverThere(self) -> None:
        """
        A client whose server is not there finds out by that.
        """
        self.start()
        self.network.setConditions(SILENCE)
        client = self.connect(timers=SessionTimers(dead=7))
        client.transport.write(b"x")
        self.settle(6.9)
        self.assertFalse(client.lost)
        self.settle(0.2)
        self.assertIsInstance(client.reason, ConnectionLost)

    def test_onlyForAWhile(self) -> None:
        """
        Silence that ends before is forgotten.
        """
        self.start()
        client, server = self.joined(timers=SessionTimers(dead=7))
        for _ in range(3):
            self.network.setConditions(SILENCE)
            client.transport.write(b"x")
            self.settle(4)
            self.network.setConditions(Conditions())
            self.settle(4)
        self.assertFalse(client.lost)
        self.assertEqual(bytes(server.received), b"xxx")

    def test_talkingOnly(self) -> None:
        """
        A peer that is heard of but does not acknowledge has lost its session.
        """
        self.start(timers=SessionTimers(dead=7))
        client, server = self.joined()
        self.network.setConditions(SILENCE, destination=CLIENT)
        server.transport.write(b"x")
        for _ in range(10):
            client.transport.write(b"y")
            self.settle(1)
        self.assertIsInstance(server.reason, ConnectionLost)

    def test_never(self) -> None:
        """
        It can be turned off.
        """
        self.start()
        client, server = self.joined(timers=SessionTimers(dead=None))
        self.network.setConditions(SILENCE)
        client.transport.write(b"x")
        self.settle(3600)
        self.network.setConditions(Conditions())
        self.settle(3600)
        self.assertFalse(client.lost)
        self.assertEqual(bytes(server.received), b"x")


class IdleTests(KCPNetworkTests):
    """
    Peers that are silent.
    """

    def test_silent(self) -> None:
        """
        A session ends when nothing at all has come for as long as was said.
        """
        self.start(timers=SessionTimers(idle=60))
        client, server = self.joined()
        for _ in range(5):
            self.settle(50)
            client.transport.write(b"x")
        self.assertFalse(server.lost)
        self.settle(59)
        self.assertFalse(server.lost)
        self.settle(2)
        self.assertIsInstance(server.reason, ConnectionLost)
        self.assertIn("the peer is silent", str(server.reason))
        self.assertEqual(self.server.sessions, {})

    def test_writingDoesNotCount(self) -> None:
        """
        What this side writes keeps a session only if it is acknowledged.
        """
        self.start(timers=SessionTimers(dead=None, idle=60))
        _, server = self.joined()
        for _ in range(3):
            server.transport.write(b"x")
            self.settle(50)
        self.assertFalse(server.lost)
        self.network.setConditions(SILENCE)
        for _ in range(3):
            server.transport.write(b"x")
            self.settle(50)
        self.assertIsInstance(server.reason, ConnectionLost)


class StopListeningTests(KCPNetworkTests):
    """
    Servers that stop.
    """

    def test_withoutSessions(self) -> None:
        """
        The port is closed, and whoever waits is told when it is.
        """
        self.start()
        stopping = self.listening.stopListening()
        self.assertFalse(self.network.datagrams[0].open)
        self.settle(0)
        self.successResultOf(stopping)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_withSessions(self) -> None:
        """
        Sessions go on, no other begins, and the port is closed after the last
        one.
        """
        self.start()
        client, server = self.joined()
        self.successResultOf(self.listening.stopListening())
        other = self.connect()
        other.transport.write(b"x")
        client.transport.write(b"more")
        self.settle()
        self.assertEqual(bytes(server.received), b"more")
        self.assertEqual(len(self.factory.made), 1)
        self.assertTrue(self.network.datagrams[0].open)
        server.transport.loseConnection()
        self.settle()
        self.assertFalse(self.network.datagrams[0].open)
        self.assertIsInstance(server.reason, ConnectionDone)

    def test_twice(self) -> None:
        """
        It may be stopped twice.
        """
        self.start()
        stopping = [self.listening.stopListening() for _ in range(2)]
        self.settle(0)
        for each in stopping:
            self.successResultOf(each)
        self.successResultOf(self.listening.stopListening())
        self.assertEqual(self.factory.stopped, 1)

    def test_portClosedWithSessions(self) -> None:
        """
        If the port is closed under sessions, as at the end of a reactor, their
        applications are told that something is lost.
        """
        self.start(timers=SessionTimers(idle=60))
        client, server = self.joined()
        server.transport.write(MUCH)
        self.listening._port.stopListening()
        self.network.advance(0)
        self.assertIsInstance(server.reason, ConnectionLost)
        self.assertNotIsInstance(server.reason, ConnectionDone)
        self.assertEqual(self.server.sessions, {})
        client.transport.abortConnection()
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])

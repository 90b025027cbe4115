"""
Tests for L{socksproxy.relay.sockets.writeThrough}, on Twisted's own TCP connection
over a socket by a script.
"""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import Leg
from socksproxy.relay.sockets import writeThrough
from socksproxy.testing import MemoryTransport


class ScriptedSocket:
    """
    A socket that takes as much as the test says.

    @ivar script: For each coming C{send}: how many octets it takes, or the
        errno that it fails with, as a negative number. Then it takes all.
    @ivar sent: What it took, C{send} by C{send}.
    """

    def __init__(self, *script: int) -> None:
        self.script = list(script)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        """
        Take some of the data.
        """
        outcome = self.script.pop(0) if self.script else len(data)
        if outcome < 0:
            raise OSError(-outcome, os.strerror(-outcome))
        self.sent.append(bytes(data[:outcome]))
        return min(outcome, len(data))

    def fileno(self) -> int:
        """
        Be a file descriptor that is nobody's.
        """
        return -1

    def setblocking(self, flag: bool) -> None:
        """
        Take the option.
        """

    def shutdown(self, how: int) -> None:
        """
        End the stream.
        """
        if how != socket.SHUT_RD:
            self.script.insert(0, -errno.EPIPE)

    def close(self) -> None:
        """
        Close.
        """


class Producer:
    """
    A producer that knows whether it is paused.
    """

    paused = False

    def pauseProducing(self) -> None:
        """
        Pause.
        """
        self.paused = True

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        self.paused = False

    def stopProducing(self) -> None:
        """
        Stop.
        """


class WriteThroughTests(SynchronousTestCase):
    """
    Writing into the socket at once.
    """

    def connect(self, *script: int) -> tuple[Connection, ScriptedSocket]:
        """
        Make an open connection.

        @param script: As for L{ScriptedSocket}.
        """
        self.reactor = MemoryReactorClock()
        scripted = ScriptedSocket(*script)
        connection = Connection(scripted, Leg(), self.reactor)
        connection.connected = True
        return connection, scripted

    def assertNothingWaits(self, connection: Connection) -> None:
        """
        Fail if anything is left for the reactor to do.
        """
        self.assertEqual((connection.dataBuffer, connection._tempDataLen), (b"", 0))
        self.assertNotIn(connection, self.reactor.getWriters())

    def test_room(self) -> None:
        """
        What the socket has room for is in it when the call returns, and the
        reactor is not troubled.
        """
        connection, scripted = self.connect()
        writeThrough(connection, b"hello")
        self.assertEqual(scripted.sent, [b"hello"])
        self.assertNothingWaits(connection)

    def test_partly(self) -> None:
        """
        What the socket has no room for goes out later, after the rest.
        """
        connection, scripted = self.connect(2)
        writeThrough(connection, b"hello")
        self.assertEqual(scripted.sent, [b"he"])
        self.assertIn(connection, self.reactor.getWriters())
        connection.doWrite()
        self.assertEqual(scripted.sent, [b"he", b"llo"])
        self.assertNothingWaits(connection)

    def test_full(self) -> None:
        """
        A socket without any room gets everything later.
        """
        for number in (errno.EAGAIN, errno.ENOBUFS):
            connection, scripted = self.connect(-number)
            writeThrough(connection, b"hello")
            self.assertEqual(scripted.sent, [])
            connection.doWrite()
            self.assertEqual(scripted.sent, [b"hello"])
            self.assertNothingWaits(connection)

    def test_interrupted(self) -> None:
        """
        A signal in the middle of it changes nothing.
        """
        connection, scripted = self.connect(-errno.EINTR)
        writeThrough(connection, b"hello")
        self.assertEqual(scripted.sent, [b"hello"])

    def test_overtakesNothing(self) -> None:
        """
        What waits already goes first, although the socket would have room.
        """
        connection, scripted = self.connect(2)
        writeThrough(connection, b"hello ")
        writeThrough(connection, b"world")
        self.assertEqual(scripted.sent, [b"he"])
        connection.doWrite()
        self.assertEqual(b"".join(scripted.sent), b"hello world")

    def test_overtakesNothingWrittenOut(self) -> None:
        """
        The same while the reactor is half through what waits.
        """
        connection, scripted = self.connect(1, 2)
        writeThrough(connection, b"hello ")
        connection.doWrite()
        writeThrough(connection, b"world")
        self.assertEqual(scripted.sent, [b"h", b"el"])
        connection.doWrite()
        self.assertEqual(b"".join(scripted.sent), b"hello world")

    def test_longerThanASend(self) -> None:
        """
        More than one C{send} takes goes out whole and in order.
        """
        data = os.urandom(3 * Connection.SEND_LIMIT + 1)
        connection, scripted = self.connect()
        writeThrough(connection, data)
        while connection in self.reactor.getWriters():
            connection.doWrite()
        self.assertEqual(b"".join(scripted.sent), data)

    def test_backPressure(self) -> None:
        """
        A rest that fills the queue pauses the producer, until it has gone out.
        """
        connection, _ = self.connect(1)
        producer = Producer()
        connection.registerProducer(producer, True)
        writeThrough(connection, b"x" * (connection.bufferSize + 2))
        self.assertTrue(producer.paused)
        connection.doWrite()
        self.assertFalse(producer.paused)

    def test_error(self) -> None:
        """
        A broken connection is found by the reactor, which then tells the
        protocol; the writer hears nothing.
        """
        connection, scripted = self.connect(-errno.EPIPE, -errno.EPIPE)
        writeThrough(connection, b"hello")
        self.assertIn(connection, self.reactor.getWriters())
        self.assertIs(connection.doWrite(), CONNECTION_LOST)
        self.assertEqual(scripted.sent, [])

    def test_afterHalfClose(self) -> None:
        """
        After our own end of the stream nothing is written any more.
        """
        connection, scripted = self.connect()
        connection.loseWriteConnection()
        connection.doWrite()
        writeThrough(connection, b"hello")
        self.assertEqual(scripted.sent, [b""])
        self.assertNothingWaits(connection)

    def test_lost(self) -> None:
        """
        Writing to a connection that is gone does nothing, as for any
        transport.
        """
        connection, scripted = self.connect()
        connection.connectionLost(Failure(ConnectionLost()))
        writeThrough(connection, b"hello")
        self.assertEqual(scripted.sent, [])

    def test_tls(self) -> None:
        """
        A connection that has gone over to TLS is never written to past its
        encryption.
        """
        connection, scripted = self.connect()
        written: list[bytes] = []
        connection.TLS = True
        self.patch(connection, "write", written.append)
        writeThrough(connection, b"hello")
        self.assertEqual((scripted.sent, written), ([], [b"hello"]))

    def test_otherTransports(self) -> None:
        """
        Any other transport is written to in the ordinary way.
        """
        transport = MemoryTransport(Clock(), Leg())
        writeThrough(transport, b"hello")
        self.assertEqual(transport.take(), b"hello")

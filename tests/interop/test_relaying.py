"""
The relay on real sockets: ends and resets, back pressure, integrity.
"""

import hashlib
import random
import socket
from collections.abc import Iterator
from queue import Queue
from threading import Event, Thread

import pytest

from tests.daemon import Daemon
from tests.interop.client import TIMEOUT, receive, receiveAll, reset, through
from tests.interop.processes import residentKiB, steady
from tests.targets import Target, echo, witness

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """
    Start a proxy for all tests of this module.
    """
    with Daemon() as started:
        yield started


class TestEnds:
    """
    How a connection ends on one side, and what the other side sees of it.
    """

    def test_clientFirst(self, daemon: Daemon) -> None:
        """
        After the end of the client's stream has reached the target, the
        target's answer still reaches the client.
        """

        def answerAtTheEnd(connection: socket.socket) -> None:
            question = receiveAll(connection)
            connection.sendall(hashlib.sha256(question).digest() * 32768)
            connection.shutdown(socket.SHUT_WR)

        question = random.randbytes(MEBIBYTE)
        with Target(answerAtTheEnd) as target, through(daemon.port, target.port) as connection:
            connection.sendall(question)
            connection.shutdown(socket.SHUT_WR)
            assert receiveAll(connection) == hashlib.sha256(question).digest() * 32768
        daemon.waitFor(r"succeeded; 1048576 sent, 1048576 received, .*; client closed")

    def test_targetFirst(self, daemon: Daemon) -> None:
        """
        After the end of the target's stream has reached the client, what the
        client sends still reaches the target.
        """
        received = bytearray()
        done = Event()

        def speakThenListen(connection: socket.socket) -> None:
            connection.sendall(b"go on")
            connection.shutdown(socket.SHUT_WR)
            received.extend(receiveAll(connection))
            done.set()

        data = random.randbytes(MEBIBYTE)
        with Target(speakThenListen) as target, through(daemon.port, target.port) as connection:
            assert receiveAll(connection) == b"go on"
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert done.wait(TIMEOUT)
        assert received == data
        daemon.waitFor(r"succeeded; 1048576 sent, 5 received, .*; target closed")

    def test_clientResets(self, daemon: Daemon) -> None:
        """
        A reset by the client is a reset for the target.
        """
        ends: Queue[type[OSError] | None] = Queue()
        with Target(witness(ends)) as target:
            connection = through(daemon.port, target.port)
            connection.sendall(b"x")
            reset(connection)
            assert ends.get(timeout=TIMEOUT) is ConnectionResetError
        daemon.waitFor(r"succeeded; .*; client reset")

    def test_targetResets(self, daemon: Daemon) -> None:
        """
        A reset by the target is a reset for the client.
        """

        def resetAtOnce(connection: socket.socket) -> None:
            connection.recv(1)
            reset(connection)

        with Target(resetAtOnce) as target, through(daemon.port, target.port) as connection:
            connection.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        daemon.waitFor(r"succeeded; .*; target reset")

    def test_targetCloses(self, daemon: Daemon) -> None:
        """
        When the target closes for good, everything it has sent arrives before
        the end does.
        """

        def sendAndClose(connection: socket.socket) -> None:
            connection.sendall(bytes(MEBIBYTE))
            connection.close()

        with Target(sendAndClose) as target, through(daemon.port, target.port) as connection:
            assert receiveAll(connection) == bytes(MEBIBYTE)


def test_bothWaysAtOnce(daemon: Daemon) -> None:
    """
    Tens of megabytes that go there and come back at the same time, in pieces
    of random sizes, stay what they are.
    """
    seed = random.randrange(1 << 32)
    choice = random.Random(seed)
    data = choice.randbytes(24 * MEBIBYTE)
    with Target(echo) as target, through(daemon.port, target.port) as connection:

        def send() -> None:
            start = 0
            while start < len(data):
                end = start + choice.choice((1, 100, 1460, 65536, 300_000))
                connection.sendall(data[start:end])
                start = end
            connection.shutdown(socket.SHUT_WR)

        sending = Thread(target=send)
        sending.start()
        sizes = random.Random(seed)
        received = bytearray()
        while piece := connection.recv(sizes.choice((1, 10_000, 65536, 500_000))):
            received += piece
        sending.join(TIMEOUT)
    assert received == data, f"seed {seed}"


class TestBackPressure:
    """
    A side that does not read holds the other one up, and not our memory.
    """

    TOTAL = 64 * MEBIBYTE

    def test_slowClient(self, daemon: Daemon) -> None:
        """
        While a client does not read, its target stops sending and the daemon
        does not grow; when it reads again it gets everything.
        """
        data = random.randbytes(MEBIBYTE) * (self.TOTAL // MEBIBYTE)
        sent = 0

        def send(connection: socket.socket) -> None:
            nonlocal sent
            while sent < len(data):
                sent += connection.send(data[sent : sent + 65536])
            connection.shutdown(socket.SHUT_WR)

        before = residentKiB(daemon.process.pid)
        with (
            Target(send) as target,
            through(daemon.port, target.port, receiveBuffer=16384) as connection,
        ):
            assert steady(lambda: sent) < self.TOTAL
            assert residentKiB(daemon.process.pid) - before < 1024
            assert receiveAll(connection) == data

    def test_slowTarget(self, daemon: Daemon) -> None:
        """
        While a target does not read, its client stops sending and the daemon
        does not grow; when it reads again it gets everything.
        """
        data = random.randbytes(MEBIBYTE) * (self.TOTAL // MEBIBYTE)
        sent = 0
        mayRead, done = Event(), Event()
        received = bytearray()

        def readLater(connection: socket.socket) -> None:
            mayRead.wait(TIMEOUT)
            received.extend(receiveAll(connection))
            done.set()

        def send(connection: socket.socket) -> None:
            nonlocal sent
            while sent < len(data):
                sent += connection.send(data[sent : sent + 65536])
            connection.shutdown(socket.SHUT_WR)

        before = residentKiB(daemon.process.pid)
        with Target(readLater) as target, through(daemon.port, target.port) as connection:
            sending = Thread(target=send, args=(connection,))
            sending.start()
            assert steady(lambda: sent) < self.TOTAL
            assert residentKiB(daemon.process.pid) - before < 1024
            mayRead.set()
            assert done.wait(TIMEOUT)
            sending.join(TIMEOUT)
        assert received == data

    def test_otherDirectionGoesOn(self, daemon: Daemon) -> None:
        """
        A direction whose reader does not read does not hold the other up.
        """
        received = bytearray()

        def flood(connection: socket.socket) -> None:
            reading = Thread(target=lambda: received.extend(receive(connection, MEBIBYTE)))
            reading.start()
            try:
                while True:
                    connection.sendall(bytes(65536))
            finally:
                reading.join(TIMEOUT)

        data = random.randbytes(MEBIBYTE)
        with (
            Target(flood) as target,
            through(daemon.port, target.port, receiveBuffer=16384) as connection,
        ):
            for start in range(0, len(data), 65536):
                connection.sendall(data[start : start + 65536])
            assert steady(lambda: len(received)) == MEBIBYTE
            assert received == data

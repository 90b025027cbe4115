"""
Handshakes on real sockets: pieces of every size, early data, refusals.
"""

import errno
import os
import select
import socket
import time
from collections.abc import Iterator
from types import TracebackType

import pytest

from tests.daemon import Daemon
from tests.interop.client import (
    CHOICE,
    SUCCEEDED,
    TIMEOUT,
    ask,
    dial,
    echoes,
    receive,
    receiveAll,
    receiveReply,
    through,
)
from tests.interop.peers import requireIPv6
from tests.interop.processes import descriptors, freePort, restingDescriptors, until
from tests.socksclient import NO_AUTHENTICATION, request, request4
from tests.targets import Target, collector, echo, sender

REFUSED = 5
PAUSE_AT = 65536
RETRANSMISSION = 1.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """
    Start a proxy for all tests of this module.
    """
    with Daemon() as started:
        yield started


@pytest.fixture(scope="module")
def echoPort() -> Iterator[int]:
    """
    Start an echo server for all tests of this module.
    """
    with Target(echo) as target:
        yield target.port


class TestPieces:
    """
    How a handshake is cut into segments.
    """

    @pytest.mark.parametrize("kind", ["address", "name", "SOCKS4", "SOCKS4a"])
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_anySize(self, daemon: Daemon, echoPort: int, kind: str, size: int) -> None:
        """
        A handshake succeeds octet by octet, in small pieces and with
        everything up to the first data in one write.
        """
        sent, before = {
            "address": (NO_AUTHENTICATION + request("127.0.0.1", echoPort), CHOICE),
            "name": (NO_AUTHENTICATION + request("localhost", echoPort), CHOICE),
            "SOCKS4": (request4("127.0.0.1", echoPort, b"user"), b""),
            "SOCKS4a": (request4("localhost", echoPort, b"user"), b""),
        }[kind]
        sent += b"early data"
        with dial(daemon.port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(sent), size):
                connection.sendall(sent[start : start + size])
            assert receive(connection, len(before)) == before
            if before:
                assert receiveReply(connection) == SUCCEEDED
            else:
                assert receive(connection, 8)[:2] == b"\x00\x5a"
            assert receive(connection, 10) == b"early data"
            assert echoes(connection)

    def test_serverSpeaksFirst(self, daemon: Daemon) -> None:
        """
        What a target sends at once comes right after the reply, and nothing
        stands between.
        """
        banner = b"220 ready\r\n"
        with Target(sender(banner)) as target, dial(daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target.port))
            assert receive(connection, 2) == CHOICE
            assert receiveReply(connection) == SUCCEEDED
            assert receiveAll(connection) == banner

    def test_reachesIPv6(self, daemon: Daemon) -> None:
        """
        A target on C{::1} is reached, and the reply has an IPv6 address.
        """
        requireIPv6()
        with Target(echo, "::1") as target, dial(daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION + request("::1", target.port))
            assert receive(connection, 2) == CHOICE
            assert receive(connection, 4) == b"\x05\x00\x00\x04"
            assert receive(connection, 16) == bytes(15) + b"\x01"
            receive(connection, 2)
            assert echoes(connection, b"x" * 100_000)


class Late:
    """
    A target whose backlog is full, so that the kernel answers a connection
    attempt no sooner than the test wants.

    @ivar port: Its port.
    """

    def __enter__(self) -> "Late":
        self._listener = socket.socket()
        self._listener.settimeout(TIMEOUT)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._filler = dial(self.port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._filler.close()
        self._listener.close()

    def accept(self) -> socket.socket:
        """
        Make room, and accept the connection that has been waiting for it.
        """
        filler, _ = self._listener.accept()
        filler.close()
        connection, _ = self._listener.accept()
        connection.settimeout(TIMEOUT)
        return connection


def sendUntilFull(connection: socket.socket, data: bytes) -> int:
    """
    Send as much as goes without waiting.

    @return: How much that is.
    """
    connection.setblocking(False)
    sent = 0
    try:
        while sent < len(data):
            sent += connection.send(data[sent : sent + 65536])
    except BlockingIOError:
        pass
    connection.settimeout(TIMEOUT)
    return sent


class TestEarlyData:
    """
    What a client sends before it has the reply.
    """

    def test_arrivesOnceAndInOrder(self, daemon: Daemon) -> None:
        """
        Of a mebibyte that follows a request at once, while the target takes
        its time, every octet arrives, once and in order.
        """
        data = os.urandom(1 << 20)
        with Late() as target, dial(daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target.port))
            assert receive(connection, 2) == CHOICE
            sent = sendUntilFull(connection, data)
            assert sent > PAUSE_AT
            readable, _, _ = select.select([connection], [], [], 0)
            assert not readable
            with target.accept() as accepted:
                received = receive(accepted, PAUSE_AT)
                assert receiveReply(connection) == SUCCEEDED
                while sent < len(data):
                    sent += sendUntilFull(connection, data[sent:])
                    received += accepted.recv(1 << 20)
                connection.shutdown(socket.SHUT_WR)
                received += receiveAll(accepted)
                assert received == data

    def test_endArrivesToo(self, daemon: Daemon) -> None:
        """
        A client that has sent all it has to say with its request, and the end
        of its stream, still gets its answer.
        """
        received = bytearray()
        with Target(collector(received)) as target, dial(daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target.port) + b"all of it")
            connection.shutdown(socket.SHUT_WR)
            assert receive(connection, 2) == CHOICE
            assert receiveReply(connection) == SUCCEEDED
            assert receiveAll(connection) == b""
        assert received == b"all of it"

    def test_resetEndsTheAttempt(self, daemon: Daemon) -> None:
        """
        When the client is gone before the target has answered, the target is
        not bothered any more.
        """
        base = restingDescriptors(daemon.process.pid)
        with Late() as target:
            with dial(daemon.port) as connection:
                connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", target.port))
                assert receive(connection, 2) == CHOICE
                until(lambda: descriptors(daemon.process.pid) == base + 2, "an attempt")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            until(lambda: descriptors(daemon.process.pid) == base, "both sockets closed")


class TestRefusals:
    """
    Requests that fail.
    """

    @pytest.mark.parametrize("extra", [0, 1, 100_000])
    def test_canBeRead(self, daemon: Daemon, extra: int) -> None:
        """
        A refusal can be read, whole and followed by the end of the stream,
        also by a client that has sent much after its request: the connection
        is not reset under it.
        """
        port = freePort()
        for _ in range(20):
            with dial(daemon.port) as connection:
                connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", port) + bytes(extra))
                assert receive(connection, 2) == CHOICE
                assert receiveReply(connection) == REFUSED
                connection.shutdown(socket.SHUT_WR)
                assert receiveAll(connection) == b""
        for _ in range(20):
            daemon.waitFor(rf"CONNECT 127\.0\.0\.1:{port} .*connection refused")

    def test_leakNothing(self, daemon: Daemon) -> None:
        """
        After a thousand failed requests the daemon has as many descriptors as
        before.
        """
        port = freePort()
        with dial(daemon.port) as connection:
            assert ask(connection, "127.0.0.1", port) == REFUSED
        daemon.waitFor("connection refused")
        base = restingDescriptors(daemon.process.pid)
        for _ in range(1000):
            with dial(daemon.port) as connection:
                connection.sendall(NO_AUTHENTICATION + request("127.0.0.1", port))
                receive(connection, 2)
                assert receiveReply(connection) == REFUSED
            daemon.waitFor("connection refused")
        assert descriptors(daemon.process.pid) <= base


def test_manyAtOnce(daemon: Daemon) -> None:
    """
    Three hundred clients that come in the same moment are all answered before
    any of them would try again, which takes a second.
    """
    began = time.monotonic()
    clients = [socket.socket() for _ in range(300)]
    try:
        for connection in clients:
            connection.setblocking(False)
            assert connection.connect_ex(("127.0.0.1", daemon.port)) == errno.EINPROGRESS
        for connection in clients:
            connection.settimeout(TIMEOUT)
            select.select([], [connection], [])
            connection.sendall(NO_AUTHENTICATION)
        for connection in clients:
            assert receive(connection, 2) == CHOICE
        assert time.monotonic() - began < RETRANSMISSION
    finally:
        for connection in clients:
            connection.close()


def test_manyAtATime(daemon: Daemon, echoPort: int) -> None:
    """
    Five hundred sessions at a time each get their own data back.
    """
    base = restingDescriptors(daemon.process.pid)
    sessions = [through(daemon.port, echoPort) for _ in range(500)]
    try:
        messages = [os.urandom(3000) for _ in sessions]
        for connection, message in zip(sessions, messages, strict=True):
            connection.sendall(message)
        for connection, message in zip(sessions, messages, strict=True):
            assert receive(connection, len(message)) == message
        assert descriptors(daemon.process.pid) == base + 1000
    finally:
        for connection in sessions:
            connection.close()
    for _ in sessions:
        daemon.waitFor("succeeded; 3000 sent, 3000 received")
    until(lambda: descriptors(daemon.process.pid) == base, "every descriptor closed")

"""
What is measured of HTTP proxies: requests a second and octets a second.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass

from bench.httporigin import BODY, DOWN, LENGTH, SMALL, UP
from bench.load import LINGER_RESET
from bench.targets import CHUNK


@dataclass(frozen=True)
class Way:
    """
    How requests get to the origin.

    @ivar tunnels: By CONNECT, and not by being forwarded.
    @ivar keeps: On connections that are kept, and not each on its own.
    """

    tunnels: bool
    keeps: bool


class Load:
    """
    Makes requests to an origin, through a proxy.
    """

    def __init__(self, proxy: int | None, origin: int) -> None:
        """
        @param proxy: The proxy's port, or L{None} to do without.
        @param origin: The origin's port.
        """
        self._port = origin if proxy is None else proxy
        self._direct = proxy is None
        self._host = b"127.0.0.1:%d" % origin

    def head(self, method: bytes, target: bytes, tunnels: bool, *fields: bytes) -> bytes:
        """
        Give the head of a request, with what programs usually say.
        """
        inside = tunnels or self._direct
        return b"\r\n".join(
            (
                b"%b %b HTTP/1.1" % (method, target if inside else self._url(target)),
                b"Host: " + self._host,
                b"User-Agent: bench/1.0",
                b"Accept: */*",
                b"Accept-Encoding: gzip, deflate",
                *fields,
                b"\r\n",
            )
        )

    def _url(self, target: bytes) -> bytes:
        return b"http://%b%b" % (self._host, target)

    def _connect(self) -> bytes:
        return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: bench/1.0\r\n\r\n" % (
            self._host,
            self._host,
        )

    def requests(self, way: Way, concurrency: int, seconds: float) -> tuple[list[float], int]:
        """
        Ask for small pages, over and over.

        @param concurrency: Connections at a time.
        @return: The seconds that each took, with that for its connection if it
            had one of its own, and how many failed.
        """
        return _Requests(self, way, concurrency).run(seconds)

    def opening(self, way: Way) -> list[bytes]:
        """
        Give what is sent on a new connection before any request.
        """
        return [self._connect()] if way.tunnels and not self._direct else []

    def connection(self) -> socket.socket:
        """
        Begin to connect.
        """
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        connection.connect_ex(("127.0.0.1", self._port))
        return connection

    def octets(self, tunnels: bool, up: bool, seconds: float) -> tuple[int, float, int]:
        """
        Send or receive, on one connection at a time.

        @param seconds: How long, at least.
        @return: How many octets that were, how many seconds, and how many
            connections were broken off, whose octets do not count.
        """
        began = time.perf_counter()
        end = began + seconds
        moved = failed = 0
        while time.perf_counter() < end:
            try:
                moved += self._transfer(tunnels, up, end)
            except OSError:
                failed += 1
        return moved, time.perf_counter() - began, failed

    def _transfer(self, tunnels: bool, up: bool, end: float) -> int:
        with socket.create_connection(("127.0.0.1", self._port), 30) as connection:
            if tunnels and not self._direct:
                connection.sendall(self._connect())
                self._receiveHead(connection)
            if up:
                return self._send(connection, tunnels)
            return self._receive(connection, tunnels, end)

    def _send(self, connection: socket.socket, tunnels: bool) -> int:
        length = b"Content-Length: %d" % LENGTH
        connection.sendall(self.head(b"PUT", UP, tunnels, length))
        for _ in range(LENGTH // len(CHUNK)):
            connection.sendall(CHUNK)
        self._receiveHead(connection)
        return LENGTH

    def _receive(self, connection: socket.socket, tunnels: bool, end: float) -> int:
        connection.sendall(self.head(b"GET", DOWN, tunnels))
        moved = len(self._receiveHead(connection))
        buffer = bytearray(1 << 20)
        while time.perf_counter() < end:
            # With MSG_TRUNC the kernel throws the bytes away uncopied.
            received = connection.recv_into(buffer, 0, socket.MSG_TRUNC)
            if not received:
                raise RuntimeError("the answer ended")
            moved += received
        return moved

    def _receiveHead(self, connection: socket.socket) -> bytes:
        """
        Receive the head of an answer.

        @return: What has come after it.
        """
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(4096)
            if not data:
                raise RuntimeError(f"the proxy answered {head!r}")
            head += data
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"the proxy answered {head!r}")
        return head.partition(b"\r\n\r\n")[2]


class _Session:
    """
    A connection.

    @ivar script: What is still to be sent before the first request.
    @ivar head: What has come of the head of an answer.
    @ivar missing: Octets of its body that have not, once the head is there.
    @ivar used: It has carried a request.
    """

    __slots__ = ("head", "missing", "script", "socket", "started", "used")

    def __init__(self, connection: socket.socket, script: list[bytes]) -> None:
        self.socket = connection
        self.script = script
        self.started = time.perf_counter()
        self.head = b""
        self.missing = -1
        self.used = False


class _Requests:
    """
    One measurement of requests.
    """

    def __init__(self, load: Load, way: Way, concurrency: int) -> None:
        self._load = load
        self._keeps = way.keeps
        self._concurrency = concurrency
        fields = () if way.keeps else (b"Connection: close",)
        request = load.head(b"GET", SMALL, way.tunnels, *fields)
        self._script = [*load.opening(way), request]
        self._poll = select.epoll()
        self._sessions: dict[int, _Session] = {}
        self._latencies: list[float] = []
        self._failed = 0

    def run(self, seconds: float) -> tuple[list[float], int]:
        """
        See L{Load.requests}.
        """
        for _ in range(self._concurrency):
            self._open()
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for descriptor, events in self._poll.poll(0.1):
                session = self._sessions[descriptor]
                try:
                    alive = self._advance(session, events)
                except (OSError, ValueError):
                    alive = False
                    self._failed += 1
                if not alive:
                    del self._sessions[descriptor]
                    session.socket.close()
                    self._open()
        for session in self._sessions.values():
            session.socket.close()
        return self._latencies, self._failed

    def _open(self) -> None:
        session = _Session(self._load.connection(), list(self._script))
        self._sessions[session.socket.fileno()] = session
        self._poll.register(session.socket, select.EPOLLOUT)

    def _advance(self, session: _Session, events: int) -> bool:
        """
        Go on.

        @return: Whether the connection can be used further.
        @raise ValueError: The answer is none.
        """
        if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            session.socket.send(session.script.pop(0))
            self._poll.modify(session.socket, select.EPOLLIN)
            return True
        data = session.socket.recv(65536)
        if not data:
            # Between two requests that is the proxy's right.
            if session.head or not session.used:
                raise ValueError("the connection ended")
            return False
        if session.missing < 0:
            session.head += data
            data = self._looked(session)
            if session.missing < 0:
                return True
        session.missing -= len(data)
        if session.missing:
            return True
        if session.script:
            # That was the answer to CONNECT.
            session.socket.send(session.script.pop(0))
            session.head, session.missing = b"", -1
            return True
        now = time.perf_counter()
        self._latencies.append(now - session.started)
        if not self._keeps or b"connection: close" in session.head.lower():
            return False
        session.started, session.head, session.missing = now, b"", -1
        session.used = True
        session.socket.send(self._script[-1])
        return True

    def _looked(self, session: _Session) -> bytes:
        """
        Look at what there is of a head.

        @return: What follows it.
        """
        head, end, rest = session.head.partition(b"\r\n\r\n")
        if end:
            if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
                raise ValueError("that is no success")
            session.head = head
            session.missing = 0 if session.script else len(BODY)
        return rest

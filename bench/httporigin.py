"""
An origin that costs little, so that what is measured is the proxy: one thread
answers small requests, in a process of its own.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.targets import CHUNK, _serving

ENDLESS = 1 << 50
"""
Octets of what comes down.
"""

LENGTH = 1 << 28
"""
Octets of each body that goes up, and is answered.
"""

SMALL = b"/page"
DOWN = b"/source"
UP = b"/sink"
"""
What can be asked for: a small page, octets without end, and a place for some.
"""

BODY = bytes(b"." * 1024)

ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Server: bench\r\n"
    b"Content-Type: text/plain\r\n"
    b'ETag: "0123456789abcdef"\r\n'
    b"Cache-Control: no-store\r\n"
    b"Content-Length: %d\r\n"
    b"\r\n%b" % (len(BODY), BODY)
)

_ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS


@contextmanager
def origin() -> Iterator[int]:
    """
    Run it.

    @return: Its port.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with _serving(_serve, listener) as port:
        yield port


def _serve(listener: socket.socket) -> None:
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    listener.setblocking(False)
    open_: dict[int, _Asking] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_[connection.fileno()] = _Asking(connection)
                poll.register(connection, select.EPOLLIN)
                continue
            then = open_[descriptor].read()
            if then is not None:
                poll.unregister(descriptor)
                then(open_.pop(descriptor).connection)


class _Asking:
    """
    A connection with requests.
    """

    __slots__ = ("_begun", "connection")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._begun = b""

    def read(self) -> Callable[[socket.socket], None] | None:
        """
        Answer what has come.

        @return: What to do with the connection, if no more is to be read.
        """
        try:
            data = self.connection.recv(65536)
            begun = self._begun + data
            if data and b"\r\n\r\n" not in begun:
                # Some proxies write line by line.
                self._begun = begun
                return None
            self._begun = b""
            target = begun.split(b" ", 2)[1] if data else b""
            if target == SMALL:
                self.connection.sendall(ANSWER)
                return None
        except OSError:
            return socket.socket.close
        if target in (DOWN, UP):
            # Not one of many.
            move = _send if target == DOWN else _Sink(begun).take
            return lambda connection: _inThread(move, connection)
        return socket.socket.close


def _inThread(move: Callable[[socket.socket], None], connection: socket.socket) -> None:
    threading.Thread(target=move, args=(connection,), daemon=True).start()


def _send(connection: socket.socket) -> None:
    with connection:
        try:
            connection.sendall(_ENDLESS)
            while True:
                connection.sendall(CHUNK)
        except OSError:
            pass


class _Sink:
    """
    Takes bodies of L{LENGTH} octets, one after the other, and answers each.
    """

    def __init__(self, begun: bytes) -> None:
        """
        @param begun: The first head, and what there is of its body.
        """
        self._begun = begun
        self._buffer = bytearray(1 << 20)

    def take(self, connection: socket.socket) -> None:
        """
        Take what comes.
        """
        with connection:
            try:
                while self._head(connection):
                    self._body(connection)
                    connection.sendall(ANSWER)
            except OSError:
                pass

    def _head(self, connection: socket.socket) -> bool:
        """
        Read a head.

        @return: Whether there is one.
        """
        while b"\r\n\r\n" not in self._begun:
            data = connection.recv(65536)
            if not data:
                return False
            self._begun += data
        return True

    def _body(self, connection: socket.socket) -> None:
        left = LENGTH - len(self._begun.partition(b"\r\n\r\n")[2])
        self._begun = b""
        while left:
            size = min(left, len(self._buffer))
            # Thrown away by the kernel, uncopied.
            received = connection.recv_into(self._buffer, size, socket.MSG_TRUNC)
            if not received:
                raise OSError("the body ended")
            left -= received

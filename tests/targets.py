"""
Servers in threads, for tests to connect to through the proxy.

Each is a context manager with a C{port}; leaving it closes what it opened.
"""

import socket
import threading
from collections.abc import Callable
from queue import Queue
from types import TracebackType


class Target:
    """
    A TCP server that gives every connection a thread.

    @ivar host: Where it listens.
    @ivar port: The port it got.
    @ivar accepted: The connections so far.
    """

    def __init__(self, serve: Callable[[socket.socket], None], host: str = "127.0.0.1") -> None:
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._serve = serve
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, 0))
        self._listener.listen(1024)
        self.port: int = self._listener.getsockname()[1]
        self.accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "Target":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A close alone would leave a thread in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for connection in self.accepted:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError:
            pass


def echo(connection: socket.socket) -> None:
    """
    Send back what comes, and the end of the stream when it comes.
    """
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def collector(received: bytearray) -> Callable[[socket.socket], None]:
    """
    Make a server that keeps what comes, and ends its own stream after the
    peer's.
    """

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            received.extend(data)
        connection.shutdown(socket.SHUT_WR)

    return serve


def witness(ends: "Queue[type[OSError] | None]") -> Callable[[socket.socket], None]:
    """
    Make a server that reads and tells how the stream ended: with an error, or
    with none.
    """

    def serve(connection: socket.socket) -> None:
        try:
            while connection.recv(65536):
                pass
        except OSError as e:
            ends.put(type(e))
        else:
            ends.put(None)

    return serve


def sender(data: bytes) -> Callable[[socket.socket], None]:
    """
    Make a server that sends something at once and ends its stream.
    """

    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    return serve


def web(body: bytes) -> Callable[[socket.socket], None]:
    """
    Make an HTTP server that answers one request of any kind.
    """

    def serve(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            if not data:
                return
            request += data
        head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    return serve

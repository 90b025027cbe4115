"""
What the proxies connect to, or send datagrams to: echo servers and an endless
source, each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

CHUNK = bytes(1 << 20)


def _echo(listener: socket.socket) -> None:
    """
    Echo what comes, on one thread, for short connections.
    """
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    listener.setblocking(False)
    open_: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                continue
            connection = open_[descriptor]
            try:
                data = connection.recv(65536)
                if data:
                    connection.sendall(data)
            except OSError:
                data = b""
            if not data:
                poll.unregister(descriptor)
                del open_[descriptor]
                connection.close()


def _source(listener: socket.socket) -> None:
    """
    Send without end to whoever connects.
    """

    def send(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(CHUNK)
        except OSError:
            connection.close()

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=send, args=(connection,), daemon=True).start()


def _echoDatagrams(open_: socket.socket) -> None:
    """
    Send every datagram back.
    """
    buffer = bytearray(65536)
    view = memoryview(buffer)
    while True:
        length, sender = open_.recvfrom_into(buffer)
        open_.sendto(view[:length], sender)


@contextmanager
def targets() -> Iterator[tuple[int, int]]:
    """
    Run the servers of streams.

    @return: The ports of the echo server and of the source.
    """
    with ExitStack() as stack:
        ports = []
        for serve in (_echo, _source):
            listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
            ports.append(stack.enter_context(_serving(serve, listener)))
        yield ports[0], ports[1]


@contextmanager
def datagramTarget() -> Iterator[int]:
    """
    Run the echo server of datagrams.

    @return: Its port.
    """
    open_ = socket.socket(type=socket.SOCK_DGRAM)
    open_.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    open_.bind(("127.0.0.1", 0))
    with _serving(_echoDatagrams, open_) as port:
        yield port


@contextmanager
def _serving(serve: Callable[[socket.socket], None], open_: socket.socket) -> Iterator[int]:
    """
    Give a socket to a process.

    @return: The socket's port.
    """
    port: int = open_.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=serve, args=(open_,), daemon=True)
    process.start()
    open_.close()
    try:
        yield port
    finally:
        process.kill()
        process.join()

"""
What the proxies connect to: an echo server and an endless source, each in a
process of its own.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def targets() -> Iterator[tuple[int, int]]:
    """
    Run both servers.

    @return: The ports of the echo server and of the source.
    """
    fork = multiprocessing.get_context("fork")
    processes = []
    ports = []
    for serve in (_echo, _source):
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports.append(listener.getsockname()[1])
        processes.append(fork.Process(target=serve, args=(listener,), daemon=True))
        processes[-1].start()
        listener.close()
    try:
        yield ports[0], ports[1]
    finally:
        for process in processes:
            process.kill()
            process.join()

"""
Datagrams per second through UDP associations.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.load import request

STALLED = 0.2
"""
Seconds after which datagrams that have not come back are taken for lost.
"""

_ASSOCIATE = b"\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"


@dataclass(frozen=True)
class DatagramRate:
    """
    @ivar perSecond: Datagrams a second that went to the echo server and came
        back.
    @ivar sent: Datagrams in all.
    @ivar lost: Those of them that did not come back.
    """

    perSecond: float
    sent: int
    lost: int


@dataclass(slots=True)
class _Client:
    """
    A socket and what is under way from it.
    """

    socket: socket.socket
    waiting: int = 0
    heard: float = 0.0


def datagramRate(
    proxyPort: int | None, echoPort: int, clients: int, window: int, size: int, seconds: float
) -> DatagramRate:
    """
    Send datagrams from several clients at a time and get them back, each with
    an association of its own.

    @param proxyPort: The proxy's port, or L{None} to do without.
    @param echoPort: The port of the echo server.
    @param window: Datagrams of each client that are on their way at a time.
    @param size: Octets of payload.
    """
    # What is after the command of a request is before the payload.
    head = b"" if proxyPort is None else b"\0\0\0" + request(echoPort)[3:]
    message = head + bytes(size)
    buffer = bytearray(65536)
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        open_: dict[int, _Client] = {}
        for _ in range(clients):
            if proxyPort is None:
                relay = ("127.0.0.1", echoPort)
            else:
                relay = stack.enter_context(_association(proxyPort))
            made = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            made.connect(relay)
            made.setblocking(False)
            open_[made.fileno()] = _Client(made)
            poll.register(made, select.EPOLLIN)
        sent = received = 0
        began = looked = now = time.perf_counter()
        for client in open_.values():
            sent += _fill(client, message, window, now)
        while now - began < seconds:
            events = poll.poll(STALLED)
            now = time.perf_counter()
            for descriptor, _ in events:
                client = open_[descriptor]
                received += _drain(client, buffer, now)
                sent += _fill(client, message, window, now)
            if now - looked > STALLED:
                looked = now
                for client in open_.values():
                    if now - client.heard > STALLED:
                        client.waiting = 0
                        sent += _fill(client, message, window, now)
        elapsed, counted = now - began, received
        while events := poll.poll(STALLED):
            received += sum(_drain(open_[descriptor], buffer, now) for descriptor, _ in events)
    return DatagramRate(counted / elapsed, sent, sent - received)


def _drain(client: _Client, buffer: bytearray, now: float) -> int:
    """
    Receive what is there.
    """
    count = 0
    try:
        while True:
            client.socket.recv_into(buffer)
            count += 1
    except BlockingIOError:
        pass
    client.waiting -= count
    client.heard = now
    return count


def _fill(client: _Client, message: bytes, window: int, now: float) -> int:
    """
    Send until there are as many under way as may be.
    """
    count = window - client.waiting
    for _ in range(count):
        client.socket.send(message)
    client.waiting += count
    client.heard = now
    return count


@contextmanager
def _association(proxyPort: int) -> Iterator[tuple[str, int]]:
    """
    Have an association.

    @return: Where to send to.
    """
    with socket.create_connection(("127.0.0.1", proxyPort), 10) as control:
        control.sendall(b"\x05\x01\x00")
        choice = control.recv(2, socket.MSG_WAITALL)
        control.sendall(_ASSOCIATE)
        reply = control.recv(10, socket.MSG_WAITALL)
        if choice != b"\x05\x00" or not reply.startswith(b"\x05\x00\x00\x01"):
            raise RuntimeError(f"the proxy answered {choice!r} and {reply!r}")
        yield socket.inet_ntoa(reply[4:8]), int.from_bytes(reply[8:], "big")

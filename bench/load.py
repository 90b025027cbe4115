"""
What is measured: connections per second and octets per second.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

LINGER_RESET = struct.pack("ii", 1, 0)


def request(port: int) -> bytes:
    """
    Make the SOCKS5 request for a port of this host.
    """
    return b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big")


@dataclass
class _Session:
    """
    One connection of the rate measurement and how far it is.
    """

    socket: socket.socket
    started: float
    # What is still to be sent and how long the answer to it is.
    script: list[tuple[bytes, int]]
    missing: int = 0


@dataclass(frozen=True)
class Rate:
    """
    @ivar perSecond: Complete connections a second.
    @ivar median: Seconds from connect to the echo, in the middle.
    @ivar p99: The same, of the slowest hundredth.
    @ivar failed: Connections that did not complete.
    """

    perSecond: float
    median: float
    p99: float
    failed: int


def connectionRate(proxyPort: int | None, echoPort: int, concurrency: int, seconds: float) -> Rate:
    """
    Connect, negotiate SOCKS5, echo one octet and reset, over and over.

    @param proxyPort: The proxy's port, or L{None} to do without.
    """
    poll = select.epoll()
    sessions: dict[int, _Session] = {}
    latencies: list[float] = []
    failed = 0

    def start() -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        connection.connect_ex(("127.0.0.1", echoPort if proxyPort is None else proxyPort))
        handshake = [] if proxyPort is None else [(b"\x05\x01\x00", 2), (request(echoPort), 10)]
        session = _Session(connection, time.perf_counter(), [*handshake, (b"x", 1)])
        sessions[connection.fileno()] = session
        poll.register(connection, select.EPOLLOUT)

    def advance(session: _Session, events: int) -> bool | None:
        """
        Go on; true when complete, false when failed.
        """
        if events & select.EPOLLIN:
            answer = session.socket.recv(session.missing)
            if not answer:
                return False
            session.missing -= len(answer)
        if session.missing:
            return None
        if not session.script:
            return True
        message, session.missing = session.script.pop(0)
        session.socket.send(message)
        poll.modify(session.socket, select.EPOLLIN)
        return None

    began = time.perf_counter()
    for _ in range(concurrency):
        start()
    while time.perf_counter() - began < seconds:
        for descriptor, events in poll.poll(0.1):
            session = sessions[descriptor]
            try:
                complete = advance(session, events)
            except OSError:
                complete = False
            if complete is None:
                continue
            if complete:
                latencies.append(time.perf_counter() - session.started)
            else:
                failed += 1
            del sessions[descriptor]
            session.socket.close()
            start()
    elapsed = time.perf_counter() - began
    for session in sessions.values():
        session.socket.close()
    latencies.sort()
    if not latencies:
        return Rate(0.0, 0.0, 0.0, failed)
    return Rate(
        len(latencies) / elapsed,
        latencies[len(latencies) // 2],
        latencies[len(latencies) * 99 // 100],
        failed,
    )


def throughput(proxyPort: int | None, sourcePort: int, streams: int, seconds: float) -> float:
    """
    Download on several connections at a time.

    @param proxyPort: The proxy's port, or L{None} to do without.
    @return: Bits a second.
    """
    received = [0] * streams
    began = time.perf_counter()

    def download(number: int) -> None:
        with socket.create_connection(
            ("127.0.0.1", sourcePort if proxyPort is None else proxyPort)
        ) as connection:
            connection.settimeout(30)
            if proxyPort is not None:
                _negotiate(connection, sourcePort)
            # With MSG_TRUNC the kernel throws the bytes away uncopied, so
            # that what is measured is the proxy and not this program.
            buffer = bytearray(1 << 20)
            while time.perf_counter() - began < seconds:
                length = connection.recv_into(buffer, 0, socket.MSG_TRUNC)
                if not length:
                    raise RuntimeError("the stream ended")
                received[number] += length

    _together(download, streams)
    return sum(received) * 8 / (time.perf_counter() - began)


def _negotiate(connection: socket.socket, port: int) -> None:
    # One message after the other, since not every proxy takes two at once.
    for message, answer, length in (
        (b"\x05\x01\x00", b"\x05\x00", 2),
        (request(port), b"\x05\x00", 10),
    ):
        connection.sendall(message)
        answered = connection.recv(length, socket.MSG_WAITALL)
        if not answered.startswith(answer):
            raise RuntimeError(f"the proxy answered {answered!r}")


def _together(function: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

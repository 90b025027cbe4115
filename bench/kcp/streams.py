"""
One end of plain TCP, as a program: C{python -m bench.kcp.streams serve HOST PORT
[CONTROL]}, or C{ask} for the end that connects. It takes the same commands as
L{bench.kcp.peer}, and is written to cost little beside what is measured.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from typing import Any

SINK = b"S"
ECHO = b"E"

CHUNK = bytes(65536)


class Server:
    """
    Listens, and is a sink or an echo server, as the first octet of a connection
    says.
    """

    def __init__(self, host: str, port: int, control: str) -> None:
        """
        @param control: The congestion control of the kernel's to use, if it is
            not to choose.
        """
        self._octets = 0
        self._listener = _socket(control)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen()
        _inBackground(self._accept)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _inBackground(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if connection.recv(1) == SINK:
                self._sink(connection)
            else:
                while data := connection.recv(65536):
                    connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def _sink(self, connection: socket.socket) -> None:
        buffer = bytearray(1 << 20)
        # With MSG_TRUNC the kernel throws the octets away uncopied.
        while length := connection.recv_into(buffer, 0, socket.MSG_TRUNC):
            self._octets += length

    def octets(self) -> int:
        """
        Say what has come to the sink.
        """
        return self._octets


class Client:
    """
    Connects.
    """

    def __init__(self, host: str, port: int, control: str) -> None:
        """
        @param control: See L{Server}.
        """
        self._address = host, port
        self._control = control
        self._source: socket.socket | None = None
        self._asking: list[socket.socket] = []

    def _connect(self, timeout: float | None = None) -> socket.socket:
        connection = _socket(self._control)
        connection.settimeout(timeout)
        connection.connect(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def bulk(self) -> None:
        """
        Begin to send.
        """
        self._source = self._connect()
        _inBackground(self._send, self._source)

    def _send(self, connection: socket.socket) -> None:
        try:
            connection.sendall(SINK)
            while True:
                connection.sendall(CHUNK)
        except OSError:
            pass

    def stop(self) -> None:
        """
        Send no more.
        """
        if self._source is not None:
            self._source.shutdown(socket.SHUT_RDWR)

    def echo(self, sessions: int, size: int, settling: float, seconds: float) -> list[float]:
        """
        Measure echoes on several connections, each by itself.

        @param settling: Seconds that do not count.
        @param seconds: That do.
        """
        settled = time.perf_counter() + settling
        times: list[list[float]] = [[] for _ in range(sessions)]
        threads = [
            _inBackground(self._ask, size, settled, settled + seconds, mine) for mine in times
        ]
        for thread in threads:
            thread.join()
        return [round(each, 6) for mine in times for each in mine]

    def _ask(self, size: int, settled: float, deadline: float, times: list[float]) -> None:
        """
        Ask for echoes, one after the other.

        @param times: Where to write what counts.
        """
        sent = time.perf_counter()
        try:
            connection = self._connect(deadline - sent)
            # It stays open, as an idle one.
            self._asking.append(connection)
            message = ECHO + bytes(size)
            while (sent := time.perf_counter()) < deadline:
                connection.settimeout(deadline - sent)
                connection.sendall(message)
                missing = size
                while missing:
                    connection.settimeout(max(deadline - time.perf_counter(), 0.001))
                    data = connection.recv(missing)
                    if not data:
                        return
                    missing -= len(data)
                message = message[-size:]
                if sent >= settled:
                    times.append(time.perf_counter() - sent)
        except TimeoutError:
            # As if it had come now.
            times.append(time.perf_counter() - sent)


def _socket(control: str) -> socket.socket:
    made = socket.socket()
    if control:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    return made


def _inBackground(function: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def main() -> None:
    """
    Be an end.
    """
    role, host, port, *rest = sys.argv[1:]
    end = (Server if role == "serve" else Client)(host, int(port), rest[0] if rest else "")
    print("true", flush=True)
    for line in sys.stdin:
        arguments = json.loads(line)
        print(json.dumps(getattr(end, arguments.pop("command"))(**arguments)), flush=True)


if __name__ == "__main__":
    main()

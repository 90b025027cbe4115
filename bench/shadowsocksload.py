"""
The end that asks, behind a SOCKS5 proxy, as a program: C{python -m
bench.shadowsocksload}. It is told what to do as L{bench.tunnel.traffic} is.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from bench.load import request
from bench.tunnel.figures import UP
from bench.tunnel.traffic import End, Flow, head

TIMEOUT = 10.0
"""
Seconds after which nothing comes any more.
"""

PAUSE = 0.01
"""
Seconds between two connections, so that the end of one is not in the other's way.
"""

_HELLO = b"\x05\x01\x00"
# Of a reply to a request: VER and REP, and the length of all with an address of four octets.
_GRANTED, _REPLY = b"\x05\x00", 10


class ProxiedEnd(End):
    """
    Opens its connections through a proxy.
    """

    def __init__(self, target: int) -> None:
        """
        @param target: The port of this host that they lead to.
        """
        super().__init__()
        self._target = target

    def bulk(self, port: int, streams: int, direction: str) -> None:
        """
        See L{End.bulk}.

        @param port: The proxy's.
        """
        begun = [(connected(port, self._target), number) for number in range(streams)]
        for connection, number in begun:
            first = head(direction, number)
            connection.sendall(first)
            self.add(Flow(connection, first, direction == UP))

    def first(self, port: int, echo: int, count: int) -> list[float | None]:
        """
        Connect, and send an octet that comes back, over and over.

        @param port: The proxy's.
        @param echo: The target's.
        @return: Seconds until it was back, each time; L{None} if it was not.
        """
        times: list[float | None] = []
        for _ in range(count):
            times.append(firstByte(port, echo))
            time.sleep(PAUSE)
        return times


def firstByte(port: int, echo: int) -> float | None:
    """
    Measure it once: see L{ProxiedEnd.first}.
    """
    began = time.perf_counter()
    try:
        with connected(port, echo) as connection:
            connection.sendall(b"x")
            return time.perf_counter() - began if connection.recv(1) else None
    except (OSError, RuntimeError):
        return None


def connected(port: int, target: int) -> socket.socket:
    """
    Connect to a port of this host through a proxy on another.

    @raise RuntimeError: The proxy does not want to.
    """
    connection = opened(port)
    try:
        # One after the other, as most programs do it.
        for message, length in ((_HELLO, len(_GRANTED)), (request(target), _REPLY)):
            connection.sendall(message)
            if not connection.recv(length, socket.MSG_WAITALL).startswith(_GRANTED):
                raise RuntimeError("the proxy refuses")
    except BaseException:
        connection.close()
        raise
    return connection


def opened(port: int) -> socket.socket:
    """
    Connect to a port of this host.
    """
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def main() -> None:
    """
    Be that end.
    """
    end = ProxiedEnd(int(sys.argv[1]))
    print("true", flush=True)
    for line in sys.stdin:
        arguments = json.loads(line)
        print(json.dumps(getattr(end, arguments.pop("command"))(**arguments)), flush=True)


if __name__ == "__main__":
    main()

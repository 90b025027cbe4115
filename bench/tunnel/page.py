"""
A small page, and whoever asks for it, as programs: C{python -m bench.tunnel.page
serve PORT} is a server of HTTP that knows one answer, and C{ask} gets it, by way
of a SOCKS5 proxy or directly, as often as a line of JSON says.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from contextlib import suppress

NAME = b"localhost"
"""
What the proxy is asked for: it has to be looked up there, and needs no server
for that.
"""

TIMEOUT = 15.0
"""
Seconds after which an answer does not come any more.
"""

PAUSE = 0.3
"""
Seconds between two pages, so that the end of one is not in the other's way.
"""

_ADDRESS_LENGTHS = {1: 4, 4: 16}
_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


def serve(listener: socket.socket) -> None:
    """
    Answer whoever asks.
    """
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """
    Answer one question.
    """
    question = b""
    with connection, suppress(OSError):
        while not question.endswith(b"\r\n\r\n"):
            data = connection.recv(4096)
            if not data:
                return
            question += data
        connection.sendall(_ANSWER)


def ask(host: str, port: int, target: int) -> float | None:
    """
    Connect, and get the page.

    @param host: Where the proxy is, or the server.
    @param target: See L{get}.
    @return: Seconds until the page's first octet was there, or L{None} if it
        never was.
    """
    began = time.perf_counter()
    try:
        with socket.create_connection((host, port), TIMEOUT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            get(connection, target)
            took = time.perf_counter() - began
            with suppress(OSError):
                while connection.recv(4096):
                    pass
    except (OSError, EOFError):
        return None
    return round(took, 6)


def get(connection: socket.socket, target: int) -> bytes:
    """
    Ask for the page in the way in which most programs do, one step after the
    other.

    @param target: The server's port as the proxy is asked for it; 0 is without
        a proxy.
    @return: The page's first octet.
    @raise EOFError: There is none.
    """
    if target:
        _negotiate(connection, target)
    connection.sendall(_GET)
    return _receive(connection, 1)


def _negotiate(connection: socket.socket, port: int) -> None:
    request = b"\x05\x01\x00\x03" + bytes([len(NAME)]) + NAME + port.to_bytes(2, "big")
    for message, length in ((b"\x05\x01\x00", 2), (request, 4)):
        connection.sendall(message)
        answer = _receive(connection, length)
        if answer[:2] != b"\x05\x00":
            raise EOFError
    # BND.ADDR, which nobody needs, and its port.
    length = _ADDRESS_LENGTHS.get(answer[3]) or _receive(connection, 1)[0]
    _receive(connection, length + 2)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def main() -> None:
    """
    Be one of both.
    """
    role, *rest = sys.argv[1:]
    if role == "serve":
        listener = socket.create_server(
            ("", int(rest[0])), family=socket.AF_INET6, dualstack_ipv6=True
        )
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    print("true", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        order.pop("command")
        times = []
        for _ in range(order.pop("count")):
            times.append(ask(**order))
            time.sleep(PAUSE)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()

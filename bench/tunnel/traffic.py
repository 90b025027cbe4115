"""
One end of many TCP connections, as a program: C{python -m bench.tunnel.traffic
serve PORT}, or C{ask} for the end that connects. Commands come as lines of JSON
and each is answered with one.

A connection begins with an octet for the direction and two for its number. One
thread does all sending and all receiving, a piece of every connection that is
ready in turn, so that it is as fair as it can be and costs little.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
import time
from typing import Any

from bench.tunnel.figures import DOWN, UP

HEAD = 3
"""
Octets that a connection begins with.
"""

CHUNK = bytes(65536)

_LETTERS = {UP: b"U", DOWN: b"D"}


def head(direction: str, number: int) -> bytes:
    """
    Give what a connection begins with.
    """
    return _LETTERS[direction] + number.to_bytes(2, "big")


class Flow:
    """
    A connection.

    @ivar socket: The connection.
    @ivar head: What has come of its head.
    @ivar sending: Whether this end sends.
    """

    def __init__(self, connection: socket.socket, head: bytes = b"", sending: bool = False) -> None:
        self.socket = connection
        self.head = head
        self.sending = sending

    @property
    def number(self) -> int:
        """
        Say which one it is.
        """
        return int.from_bytes(self.head[1:], "big")


class End:
    """
    Sends and receives.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._flows: dict[int, Flow] = {}
        self._received: dict[int, int] = {}
        # Thrown away by the kernel: MSG_TRUNC copies nothing.
        self._buffer = bytearray(1 << 20)
        self._listener: socket.socket | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def listen(self, port: int) -> None:
        """
        Wait for connections.
        """
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.EPOLLIN)

    def bulk(self, port: int, streams: int, direction: str) -> None:
        """
        Open connections and let data go on them.

        @param direction: L{UP} is from here.
        """
        made = []
        for number in range(streams):
            begun = head(direction, number)
            connection = socket.create_connection(("127.0.0.1", port), 10)
            connection.sendall(begun)
            made.append(Flow(connection, begun, direction == UP))
        for flow in made:
            self.add(flow)

    def stop(self) -> None:
        """
        End them.
        """
        for flow in list(self._flows.values()):
            flow.socket.shutdown(socket.SHUT_RDWR)

    def received(self) -> dict[str, Any]:
        """
        Say what has come on each connection, by its number, and when that was.
        """
        return {"time": time.monotonic(), "octets": dict(self._received)}

    def add(self, flow: Flow) -> None:
        """
        Let data go on a connection, once its head is there.
        """
        flow.socket.setblocking(False)
        descriptor = flow.socket.fileno()
        self._flows[descriptor] = flow
        if len(flow.head) == HEAD and not flow.sending:
            self._received[flow.number] = 0
        self._poll.register(descriptor, select.EPOLLOUT if flow.sending else select.EPOLLIN)

    def _run(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                flow = self._flows.get(descriptor)
                try:
                    if flow is None:
                        self._accept()
                    elif not self._move(flow):
                        self._end(flow)
                except BlockingIOError:
                    pass
                except OSError:
                    if flow is not None:
                        self._end(flow)

    def _accept(self) -> None:
        if self._listener is not None:
            self.add(Flow(self._listener.accept()[0]))

    def _move(self, flow: Flow) -> bool:
        """
        Send or receive a piece.

        @return: Whether there is more to come.
        """
        if flow.sending:
            flow.socket.send(CHUNK)
            return True
        if len(flow.head) == HEAD:
            length = flow.socket.recv_into(self._buffer, 0, socket.MSG_TRUNC)
            self._received[flow.number] += length
            return length > 0
        data = flow.socket.recv(HEAD - len(flow.head))
        flow.head += data
        if len(flow.head) == HEAD:
            flow.sending = flow.head.startswith(_LETTERS[DOWN])
            if flow.sending:
                self._poll.modify(flow.socket, select.EPOLLOUT)
            else:
                self._received[flow.number] = 0
        return bool(data)

    def _end(self, flow: Flow) -> None:
        del self._flows[flow.socket.fileno()]
        flow.socket.close()


def main() -> None:
    """
    Be an end.
    """
    end = End()
    if sys.argv[1] == "serve":
        end.listen(int(sys.argv[2]))
    print("true", flush=True)
    for line in sys.stdin:
        arguments = json.loads(line)
        print(json.dumps(getattr(end, arguments.pop("command"))(**arguments)), flush=True)


if __name__ == "__main__":
    main()

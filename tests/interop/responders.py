"""
Servers of datagrams in threads, for programs to ask through the proxy.
"""

import os
import select
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from types import TracebackType

from tests.interop.associations import datagramSocket, endpointOf


class Responder:
    """
    A UDP server that answers each datagram with others, as a context manager.

    @ivar host: Where it listens.
    @ivar port: The port it got.
    @ivar received: What came, in order.
    """

    def __init__(
        self, answers: Callable[[bytes], Iterable[bytes]], host: str = "127.0.0.1"
    ) -> None:
        """
        @param answers: Gives what is to be sent back for a datagram.
        """
        self._answers = answers
        self._socket = datagramSocket(host)
        self.host, self.port = endpointOf(self._socket)
        self.received: SimpleQueue[bytes] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Responder":
        self._end, self._wake = os.pipe()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._wake)
        self._thread.join(10)
        os.close(self._end)
        self._socket.close()

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket.fileno(), self._end], [], [])
            if self._end in readable:
                return
            datagram, sender = self._socket.recvfrom(65535)
            self.received.put(datagram)
            for answer in self._answers(datagram):
                self._socket.sendto(answer, sender)


def echoed(datagram: bytes) -> list[bytes]:
    """
    Answer with the same.
    """
    return [datagram]

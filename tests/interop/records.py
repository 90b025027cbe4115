"""
Numbered records that go through a tunnel and back, so that whatever is lost,
repeated, or given to somebody else can be told.
"""

from __future__ import annotations

import socket
from enum import Enum
from threading import Event, Thread
from types import TracebackType

SIZE = 16
BATCH = 64
PAUSE = 0.01


class End(Enum):
    """
    How a stream ended: as the other side wanted, or not.
    """

    CLEAN = "an end of stream"
    ERROR = "an error"


def records(stream: int, first: int, count: int) -> bytes:
    """
    Make records, of L{SIZE} octets each.

    @param stream: The number of the stream that they are for.
    @param first: The number of the first one.
    """
    return b"".join(b"%06d:%08d\n" % (stream, first + n) for n in range(count))


class Arrived:
    """
    What has come to a target on one connection.

    @ivar data: The octets.
    @ivar end: How it ended, or L{None} as long as it has not.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.end: End | None = None


class Witness:
    """
    A server for L{tests.targets.Target} that sends everything back, and knows
    what that was.

    @ivar connections: What came on each connection.
    """

    def __init__(self) -> None:
        self.connections: list[Arrived] = []

    def __call__(self, connection: socket.socket) -> None:
        """
        Serve one connection.
        """
        arrived = Arrived()
        self.connections.append(arrived)
        try:
            while data := connection.recv(65536):
                arrived.data += data
                connection.sendall(data)
        except OSError:
            arrived.end = End.ERROR
        else:
            arrived.end = End.CLEAN
            connection.shutdown(socket.SHUT_WR)

    def of(self, stream: int) -> Arrived:
        """
        Give what came of a stream.

        @raise AssertionError: It came on more than one connection.
        """
        mark = records(stream, 0, 1)[:7]
        found = [each for each in self.connections if each.data.startswith(mark)]
        if len(found) > 1:
            raise AssertionError(f"stream {stream} came {len(found)} times")
        return found[0] if found else Arrived()


class Conversation(Thread):
    """
    A stream on which records go to a L{Witness} and back until it is told to
    stop, as a context manager.

    @ivar number: Its number.
    @ivar sent: What was sent.
    @ivar back: What has come back.
    @ivar end: How it ended, or L{None} as long as it has not.
    """

    def __init__(self, number: int, connection: socket.socket) -> None:
        """
        @param number: Its number.
        @param connection: The connection.
        """
        super().__init__(daemon=True)
        self.number = number
        self.sent = bytearray()
        self.back = bytearray()
        self.end: End | None = None
        self._enough = Event()
        self._connection = connection
        connection.settimeout(None)

    def __enter__(self) -> Conversation:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._enough.set()
        if self.is_alive():
            try:
                # A close alone would leave a thread in recv.
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.join(10)
        self._connection.close()

    def run(self) -> None:
        """
        See C{Thread}.
        """
        try:
            self._converse()
        except OSError:
            self.end = End.ERROR
        else:
            self.end = End.CLEAN

    def _converse(self) -> None:
        while not self._enough.is_set():
            batch = records(self.number, len(self.sent) // SIZE, BATCH)
            self.sent += batch
            self._connection.sendall(batch)
            while len(self.back) < len(self.sent):
                data = self._connection.recv(65536)
                if not data:
                    return
                self.back += data
            self._enough.wait(PAUSE)
        self._connection.shutdown(socket.SHUT_WR)
        while data := self._connection.recv(65536):
            self.back += data

    def finish(self, seconds: float) -> None:
        """
        Send no more, and wait for what is under way.

        @raise AssertionError: It has neither come back nor failed in time.
        """
        self._enough.set()
        self.join(seconds)
        if self.is_alive():
            raise AssertionError(
                f"stream {self.number} neither goes on nor fails: {len(self.back)} octets of"
                f" {len(self.sent)} came back"
            )

    def check(self, arrived: Arrived, killed: bool = False) -> None:
        """
        See that nothing is wrong with it now that it has ended. That it has
        failed may be an end of stream at the target, where that was before;
        but not if something was lost.

        @param arrived: What came to the target.
        @param killed: Whoever was connected to the target was, so that the
            kernel has ended that connection.
        @raise AssertionError: Something was lost though the end was clean, or
            came twice, or was never sent.
        """
        told = f"stream {self.number} has ended with {self.end}: {len(self.sent)} octets sent"
        told += f", {len(arrived.data)} arrived, {len(self.back)} back; there {arrived.end}"
        if not self.sent.startswith(arrived.data) or not self.sent.startswith(self.back):
            raise AssertionError(f"what came is not what was sent; {told}")
        if self.end is End.CLEAN:
            complete = len(arrived.data) == len(self.back) == len(self.sent)
            if not complete or arrived.end is not End.CLEAN:
                raise AssertionError(f"something is missing; {told}")
        elif arrived.end is End.CLEAN and len(arrived.data) < len(self.sent) and not killed:
            raise AssertionError(f"the target knows nothing of it; {told}")

"""
A program that sends without end to whoever has connected, so that a test can
kill it with all its sockets.

It prints its port, and obeys the lines of its standard input: C{go} begins to
send, C{count} prints how many octets have gone out, C{reset} ends the program
with a reset of every connection. At the end of its input it ends, too.
"""

import os
import selectors
import socket
import struct
import sys

CHUNK = bytes(65536)
SEND_BUFFER = 32768
SEGMENT = 1460
LISTENING, COMMANDS, CONNECTION = range(3)


class Flood:
    """
    The program.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._connections: list[socket.socket] = []
        self._sent = 0

    def run(self) -> None:
        """
        Do it, until the input ends.
        """
        listener = socket.socket()
        # The memory that counts is the proxy's, not the kernel's.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        self._selector.register(listener, selectors.EVENT_READ, LISTENING)
        self._selector.register(sys.stdin, selectors.EVENT_READ, COMMANDS)
        self._say(listener.getsockname()[1])
        while True:
            for key, _ in self._selector.select():
                if key.data == LISTENING:
                    self._accept(listener)
                elif key.data == CONNECTION:
                    self._send(key.fileobj)
                elif not all(self._obey(command) for command in self._commands()):
                    return

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setblocking(False)
        self._connections.append(connection)

    def _send(self, connection: object) -> None:
        assert isinstance(connection, socket.socket)
        try:
            self._sent += connection.send(CHUNK)
        except BlockingIOError:
            pass
        except OSError:
            self._selector.unregister(connection)

    def _commands(self) -> list[str]:
        # Commands are written whole, but perhaps several before we look.
        return os.read(sys.stdin.fileno(), 4096).decode().splitlines() or ["end"]

    def _obey(self, command: str) -> bool:
        if command == "go":
            for connection in self._connections:
                self._selector.register(connection, selectors.EVENT_WRITE, CONNECTION)
        elif command == "count":
            self._say(self._sent)
        elif command == "reset":
            for connection in self._connections:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        return command != "end"

    def _say(self, number: int) -> None:
        print(number, flush=True)


if __name__ == "__main__":
    Flood().run()

"""
Further servers for L{tests.targets.Target}, for what programs do at length.
"""

import hashlib
import random
import socket
import struct


def countAtEnd(connection: socket.socket) -> None:
    """
    Say how many octets came, but not before the end of the stream. So an
    answer proves that the end got here and that the way back was still open.
    """
    count = 0
    while data := connection.recv(65536):
        count += len(data)
    connection.sendall(b"%d octets" % count)
    connection.shutdown(socket.SHUT_WR)


class GeneratedPage:
    """
    An HTTP server's answer that is made while it is sent.

    @ivar size: Its length.
    @ivar digest: The SHA-256 of what has been sent.
    """

    BLOCK = 1 << 20

    def __init__(self, blocks: int) -> None:
        """
        @param blocks: The length in MiB.
        """
        self.size = blocks * self.BLOCK
        self.digest = hashlib.sha256()

    def __call__(self, connection: socket.socket) -> None:
        """
        Answer one request.
        """
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size)
        # No two blocks are the same, so that none can take another's place.
        filling = random.Random(1).randbytes(self.BLOCK - 8)
        for number in range(self.size // self.BLOCK):
            block = struct.pack("!Q", number) + filling
            self.digest.update(block)
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)


class Upload:
    """
    An HTTP server that takes one file.

    @ivar digest: The SHA-256 of what has come.
    """

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def __call__(self, connection: socket.socket) -> None:
        """
        Answer one request.
        """
        with connection.makefile("rb") as stream:
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            while length and (data := stream.read(min(length, 65536))):
                self.digest.update(data)
                length -= len(data)
        connection.sendall(b"HTTP/1.0 201 Created\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)

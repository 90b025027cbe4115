"""
Servers of HTTP/1.1 that keep what they are asked, octet by octet.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from typing import BinaryIO

PIECE = 1 << 20


class Recorder:
    """
    A server for L{tests.targets.Target}. It answers GET with the target of
    the request, or, if it has files, with one of these, and anything with a
    body with the SHA-256 of that; several requests on each connection.

    @ivar heads: The heads of the requests, whole, in the order in which they
        came.
    @ivar files: Files, by the targets of requests.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """
        @param tls: What to speak TLS with, if it is to be spoken.
        """
        self.heads: list[bytes] = []
        self.files: dict[bytes, bytes] = {}
        self._tls = tls

    def __call__(self, connection: socket.socket) -> None:
        """
        Serve one connection.
        """
        # Not every answer leaves in one piece.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            self._serve(connection)
            connection.shutdown(socket.SHUT_WR)
        else:
            with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                self._serve(encrypted)

    @property
    def seen(self) -> bytes:
        """
        All heads together, in lower case.
        """
        return b"".join(self.heads).lower()

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while head := _head(stream):
                self.heads.append(head)
                target, fields = _understood(head)
                if fields.get(b"expect", b"").lower() == b"100-continue":
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                digest = _digest(stream, fields)
                missing = bool(self.files) and target not in self.files
                body = self.files.get(target, target) if digest is None else digest
                status = b"404 Not Found" if missing else b"200 OK"
                answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
                if not head.startswith(b"HEAD"):
                    answer += body
                connection.sendall(answer)
                if fields.get(b"connection", b"").lower() == b"close":
                    return


def _head(stream: BinaryIO) -> bytes:
    """
    Read a request's head.

    @return: Nothing at the end of the stream.
    """
    head = b""
    while (line := stream.readline()) not in (b"", b"\r\n"):
        head += line
    return head + line if head else b""


def _understood(head: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """
    Give a request's target and its fields.
    """
    line, *others = head.split(b"\r\n")
    fields = {}
    for name, _, value in (other.partition(b":") for other in others):
        fields[name.lower()] = value.strip()
    return line.split(b" ")[1], fields


def _digest(stream: BinaryIO, fields: dict[bytes, bytes]) -> bytes | None:
    """
    Read a request's body.

    @return: Its SHA-256, or L{None} if the request has none.
    """
    digest = hashlib.sha256()
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while size := int(stream.readline(), 16):
            digest.update(stream.read(size))
            stream.readline()
        stream.readline()
    elif b"content-length" in fields:
        left = int(fields[b"content-length"])
        while left and (data := stream.read(min(left, PIECE))):
            digest.update(data)
            left -= len(data)
    else:
        return None
    return digest.hexdigest().encode()

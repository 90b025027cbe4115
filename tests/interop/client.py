"""
A SOCKS5 client made of blocking sockets and octets, so that tests say exactly
what goes over the wire and when.
"""

import socket
import struct

from tests.socksclient import NO_AUTHENTICATION, WITH_PASSWORD, request
from tests.socksclient import password as encodePassword

TIMEOUT = 20
CHOICE = b"\x05\x00"
SUCCEEDED = 0
ETHERNET = 1460


def dial(port: int, host: str = "127.0.0.1", receiveBuffer: int = 0) -> socket.socket:
    """
    Connect to a port of this host.

    @param receiveBuffer: Octets that the kernel shall hold for us, in
        segments as small as elsewhere than on loopback, or 0 for as many as
        it likes.
    """
    connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    connection.settimeout(TIMEOUT)
    if receiveBuffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiveBuffer)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET)
    try:
        connection.connect((host, port))
    except OSError:
        connection.close()
        raise
    return connection


def receive(connection: socket.socket, size: int) -> bytes:
    """
    Receive so many octets.

    @raise AssertionError: The stream ends before.
    """
    data = bytearray()
    while len(data) < size:
        more = connection.recv(min(size - len(data), 1 << 20))
        if not more:
            raise AssertionError(f"the stream ended after {bytes(data)!r}")
        data += more
    return bytes(data)


def receiveAll(connection: socket.socket) -> bytes:
    """
    Receive to the end of the stream.
    """
    data = bytearray()
    while more := connection.recv(65536):
        data += more
    return bytes(data)


def receiveReply(connection: socket.socket) -> int:
    """
    Receive the reply to a request, whole.

    @return: Its REP.
    """
    version, code, _, kind = receive(connection, 4)
    if version != 5:
        raise AssertionError(f"the reply has version {version}")
    receive(connection, {1: 4, 4: 16}[kind] + 2)
    return code


def ask(connection: socket.socket, host: str, port: int) -> int:
    """
    Ask the proxy for a connection, without authentication.

    @return: The REP of its reply.
    """
    connection.sendall(NO_AUTHENTICATION)
    choice = receive(connection, 2)
    if choice != CHOICE:
        raise AssertionError(f"the method is {choice!r}")
    connection.sendall(request(host, port))
    return receiveReply(connection)


def through(
    proxy: int, port: int, host: str = "127.0.0.1", receiveBuffer: int = 0
) -> socket.socket:
    """
    Open a connection through the proxy.

    @param proxy: The proxy's port.
    @param port: The target's.
    @param host: The target's address.
    @param receiveBuffer: As for L{dial}.
    """
    connection = dial(proxy, receiveBuffer=receiveBuffer)
    code = ask(connection, host, port)
    if code != SUCCEEDED:
        connection.close()
        raise AssertionError(f"REP is {code}")
    return connection


def login(connection: socket.socket, user: bytes, password: bytes) -> int:
    """
    Log in with a password.

    @return: The STATUS of the proxy's answer.
    """
    connection.sendall(WITH_PASSWORD)
    choice = receive(connection, 2)
    if choice != b"\x05\x02":
        raise AssertionError(f"the method is {choice!r}")
    connection.sendall(encodePassword(user, password))
    return receive(connection, 2)[1]


def reset(connection: socket.socket) -> None:
    """
    Close a connection so that the peer gets a reset.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def echoes(connection: socket.socket, data: bytes = b"to and fro") -> bool:
    """
    Tell whether a connection to an echo server works.
    """
    connection.sendall(data)
    return receive(connection, len(data)) == data


def answers(port: int) -> bool:
    """
    Tell whether a proxy takes part in a handshake.
    """
    with dial(port) as connection:
        connection.sendall(NO_AUTHENTICATION)
        return receive(connection, 2)[0] == 5

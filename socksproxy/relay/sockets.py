"""
What a relay asks of the sockets themselves, below whatever its transports are
wrapped in.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.tcp import Connection

from socksproxy.relay.leg import StreamTransport
from socksproxy.relay.protected import ProtectedTransport

# Ask after a minute of silence, and give up after another. Not every system
# has all of these.
_KEEP_ALIVE = tuple(
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
    if hasattr(socket, name)
)


def lowestTransport(transport: StreamTransport) -> Any:
    """
    Give the transport that has the socket, below TLS, tunnels and protections.
    """
    lowest: Any = transport
    while (below := getattr(lowest, "transport", None)) is not None:
        lowest = below
    return lowest


def writeThrough(transport: StreamTransport, data: bytes) -> None:
    """
    Write to a transport, into the socket at once where it has room and nothing
    is queued before. The reactor's way, to queue and to wait for the socket to
    be writable, takes two more system calls and a turn of the loop.
    """
    if (
        isinstance(transport, Connection)
        and transport.connected
        and not (
            transport.TLS
            or transport.dataBuffer
            or transport._tempDataLen
            or transport.disconnecting
        )
    ):
        written = transport.writeSomeData(data)
        if isinstance(written, int):
            if written == len(data):
                return
            data = data[written:]
    elif isinstance(transport, ProtectedTransport):
        writeThrough(transport.transport, transport.protected(data))
        return
    # Any error is found again by the reactor, which knows what to do.
    transport.write(data)


READ_SIZE = 120 * 1024
"""
Octets that a relay reads at a time, nearly twice as many as Twisted does. With
more than 128 KiB it would be slower again: malloc asks the kernel for those,
each time.
"""


def readMuch(transport: StreamTransport) -> None:
    """
    Have much read at a time, where that is up to us.
    """
    lowest = lowestTransport(transport)
    if isinstance(lowest, Connection):
        lowest.bufferSize = READ_SIZE


def tuneSocket(transport: StreamTransport) -> None:
    """
    Switch Nagle's algorithm off, since the peers' own writes already have the
    right boundaries, and keep-alive on, since a relay may be silent for hours
    while a peer is long gone.
    """
    # Twisted's TLS transports say that they were TCP's, and so do those of
    # UNIX sockets.
    lowest = lowestTransport(transport)
    if not ITCPTransport.providedBy(lowest) or isinstance(lowest.getHost(), UNIXAddress):
        return
    lowest.setTcpNoDelay(True)
    lowest.setTcpKeepAlive(True)
    handle: Any = getattr(lowest, "getHandle", lambda: None)()
    if hasattr(handle, "setsockopt"):
        for option, value in _KEEP_ALIVE:
            handle.setsockopt(socket.IPPROTO_TCP, option, value)


def backlogOf(transport: StreamTransport) -> int:
    """
    Tell how many octets wait in a transport's user-space buffer, as far as it
    lets us see.
    """
    data = getattr(transport, "dataBuffer", b"")
    offset = getattr(transport, "offset", 0)
    queued = getattr(transport, "_tempDataLen", 0)
    return len(data) - offset + queued


def unacknowledged(transport: StreamTransport) -> int:
    """
    Ask the kernel how much of what was written the peer has not yet taken. It
    tells of a slow reader long before the socket is writable again, which is
    only when a third of a buffer of megabytes is free.

    @return: Octets, or 0 where the kernel does not say.
    """
    lowest = lowestTransport(transport)
    if not isinstance(lowest, Connection) or not lowest.connected:
        return 0
    if sys.platform == "win32":
        return 0
    from fcntl import ioctl
    from termios import TIOCOUTQ

    try:
        answer = ioctl(lowest.fileno(), TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)

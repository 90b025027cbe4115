"""
Sending datagrams quickly.
"""

from __future__ import annotations

from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IUDPTransport
from twisted.internet.udp import Port


def sendDatagram(transport: IUDPTransport | None, data: bytes, address: tuple[str, int]) -> bool:
    """
    Send a datagram, into the socket without the reactor's looking at the
    address again where that is possible.

    @param transport: The socket, or L{None} if it has been closed.
    @param address: Numeric host, in the form that the socket's family takes,
        and port.
    @return: Whether it was sent. A full socket, a missing route and a
        datagram that is too long for the way all mean that it was lost.
    """
    try:
        if isinstance(transport, Port):
            transport.socket.sendto(data, address)
        elif transport is not None:
            transport.write(data, address)
    except (OSError, MessageLengthError):
        return False
    return transport is not None

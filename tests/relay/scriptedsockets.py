"""
Sockets for datagrams by a script.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.relay import datagrams as module
from socksproxy.relay.datagrams import DatagramSocket


class ScriptedSocket:
    """
    A socket whose outcomes the test decides.

    @ivar bound: Its local address.
    @ivar options: The options that have been set.
    @ivar sent: What has been sent with success.
    @ivar arrived: What there is to receive: datagrams with where from, and
        errors.
    @ivar refusing: What sending raises, if anything.
    @ivar closed: It has been closed.
    @ivar peer: Whom it is connected to.
    """

    def __init__(self) -> None:
        self.peer: tuple[str, int] | None = None
        self.bound: tuple[str, int] = ("", 0)
        self.options: list[tuple[int, int, int]] = []
        self.sent: list[tuple[bytes, Any]] = []
        self.arrived: list[tuple[bytes, tuple[Any, ...]] | Exception] = []
        self.refusing: Exception | None = None
        self.blocking = True
        self.closed = False

    def setblocking(self, blocking: bool) -> None:
        """
        Remember whether it blocks.
        """
        self.blocking = blocking

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """
        Remember an option.
        """
        self.options.append((level, option, value))

    def getsockopt(self, level: int, option: int) -> int:
        """
        Give an option's last value.
        """
        values = [value for *name, value in self.options if name == [level, option]]
        return values[-1] if values else 0

    def connect(self, address: tuple[str, int]) -> None:
        """
        Remember a peer.
        """
        self.peer = address

    def send(self, data: bytes) -> int:
        """
        Send to the peer.
        """
        if self.peer is None:
            raise OSError(errno.EDESTADDRREQ, "an address is needed")
        return self.sendto(data, self.peer)

    def bind(self, address: tuple[str, int]) -> None:
        """
        Take an address; port 1 is not to be had.
        """
        if address[1] == 1:
            raise PermissionError(errno.EACCES, "privileged")
        self.bound = address

    def getsockname(self) -> tuple[Any, ...]:
        """
        Give the address, as the family has it.
        """
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        host, port = self.bound
        return (host, port or 49152, 0, 0) if ":" in host else (host, port or 49152)

    def sendto(self, data: bytes, address: Any) -> int:
        """
        Send, or raise an error.
        """
        if self.refusing is not None:
            raise self.refusing
        self.sent.append((data, address))
        return len(data)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[Any, ...]]:
        """
        Receive, or raise an error.
        """
        if not self.arrived:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        arrived = self.arrived.pop(0)
        if isinstance(arrived, Exception):
            raise arrived
        data, address = arrived
        return data[:size], address

    def fileno(self) -> int:
        """
        Give a number.
        """
        return -1 if self.closed else 7

    def close(self) -> None:
        """
        Remember that it is closed.
        """
        self.closed = True


class SocketModule:
    """
    The module C{socket}, with scripted sockets.

    @ivar made: The sockets that have been made.
    @ivar full: There are none.
    """

    def __init__(self) -> None:
        self.made: list[tuple[int, ScriptedSocket]] = []
        self.full = False

    def socket(self, family: int, kind: int) -> ScriptedSocket:
        """
        Make a socket.
        """
        if self.full:
            raise OSError(errno.EMFILE, "too many")
        assert kind == socket.SOCK_DGRAM
        self.made.append((family, ScriptedSocket()))
        return self.made[-1][1]

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)


@implementer(IReactorFDSet)
class Readers(Clock):
    """
    The parts of a reactor that look after descriptors and time.

    @ivar readers: Those that are read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """
        See C{IReactorFDSet}.
        """
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """
        See C{IReactorFDSet}.
        """
        self.readers.remove(reader)

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


class Recorder(DatagramProtocol):
    """
    A protocol that remembers what it was given.

    @ivar received: Datagrams, and where from.
    @ivar stops: How often it was told that its socket is closed.
    """

    noisy = False

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.stops = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Remember a datagram; raise an error for some.
        """
        self.received.append((datagram, addr))
        if datagram == b"bad":
            raise ZeroDivisionError
        if datagram == b"stop":
            self.transport.stopListening()  # type: ignore[union-attr]

    def stopProtocol(self) -> None:
        """
        Remember the end.
        """
        self.stops += 1


class SocketTestCase(SynchronousTestCase):
    """
    Tests with a scripted socket.
    """

    def setUp(self) -> None:
        self.sockets = SocketModule()
        self.patch(module, "socket", self.sockets)
        self.reactor = Readers()
        self.protocol = Recorder()

    def open(self, interface: str = "192.0.2.100", port: int = 0) -> DatagramSocket:
        """
        Open a socket.
        """
        opened = DatagramSocket(self.reactor, self.protocol, interface, port)
        _, self.socket = self.sockets.made[-1]
        return opened

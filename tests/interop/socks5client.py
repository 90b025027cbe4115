"""
A SOCKS5 client on blocking sockets, over our own client machine: every method,
every command, and whatever protection comes of them.

For tests that want a connection, a binding or an association and do not care
how it is made; L{tests.interop.client} is for those that want to say what
goes over the wire.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import TypeVar

from socksproxy.address import Destination
from socksproxy.socks._negotiation5 import ClientNegotiation
from socksproxy.socks._wire5 import Command
from socksproxy.socks.methods import Method, NoAuthentication
from tests.interop.associations import Endpoint, datagramSocket, decode, endpointOf, head
from tests.interop.client import dial, reset
from tests.socks.driven import DrivenClient

Held = TypeVar("Held", bound="_Connection")


class _Connection:
    """
    A connection to the proxy, as a context manager.

    @ivar socket: The socket; what goes over it may be protected.
    """

    def __init__(self, open_: socket.socket, driven: DrivenClient) -> None:
        self.socket = open_
        self._driven = driven
        self._early = b""

    def __enter__(self: Held) -> Held:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Close it.
        """
        self.socket.close()

    @property
    def protected(self) -> bool:
        """
        Whether everything goes through a protection.
        """
        return self._driven.protection is not None

    def _bound(self, number: int) -> Endpoint:
        """
        Give BND.ADDR and BND.PORT of a reply, negotiating until it is there.

        @raise SOCKSProxyError: It will not come.
        """
        driven = self._driven
        while len(driven.replies) <= number:
            if driven.failure is not None:
                self.close()
                raise driven.failure
            data = self.socket.recv(65536)
            said = driven.receive(data) if data else driven.ended()
            said += driven.computeAll()
            if said and self.protected:
                # That was the request.
                early, self._early = self._early, b""
                said += driven.say(early)
            self.socket.sendall(said)
        bound = driven.replies[number].bound
        return str(bound.host), bound.port


class Stream(_Connection):
    """
    A connection through the proxy. It has what tests use of a socket.

    @ivar bound: BND.ADDR and BND.PORT: of our connection at the proxy, or who
        has connected to a binding.
    """

    def __init__(
        self, open_: socket.socket, driven: DrivenClient, replies: int, early: bytes = b""
    ) -> None:
        super().__init__(open_, driven)
        self._early = early
        self.bound = self._bound(replies - 1)
        self._ready = driven.machine.takeEarlyData()

    def encode(self, data: bytes) -> bytes:
        """
        Make what goes over the wire for octets of ours.
        """
        return self._driven.say(data)

    def sendall(self, data: bytes) -> None:
        """
        Send octets.
        """
        self.socket.sendall(self.encode(data))

    def recv(self, size: int) -> bytes:
        """
        Receive some octets, or nothing at the end of the stream.

        @raise RemoteProtocolError: The protection has been violated.
        """
        protection = self._driven.protection
        while not self._ready:
            data = self.socket.recv(65536)
            if not data:
                if protection is not None:
                    protection.endOfStream()
                return b""
            self._ready = data if protection is None else protection.unwrap(data)
        received, self._ready = self._ready[:size], self._ready[size:]
        return received

    def receive(self, size: int) -> bytes:
        """
        Receive so many octets.

        @raise AssertionError: The stream ends before.
        """
        data = b""
        while len(data) < size:
            more = self.recv(size - len(data))
            if not more:
                raise AssertionError(f"the stream ended after {data!r}")
            data += more
        return data

    def echoes(self, data: bytes = b"to and fro") -> bool:
        """
        Tell whether this is a connection to an echo server that works.
        """
        self.sendall(data)
        return self.receive(len(data)) == data

    def shutdown(self) -> None:
        """
        End our stream.
        """
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """
        Close the connection so that the proxy gets a reset.
        """
        reset(self.socket)


class Binding(_Connection):
    """
    A port at the proxy that waits for one connection.

    @ivar bound: Where: BND.ADDR and BND.PORT of the first reply.
    """

    def __init__(self, open_: socket.socket, driven: DrivenClient) -> None:
        super().__init__(open_, driven)
        self.bound = self._bound(0)

    def accept(self) -> Stream:
        """
        Wait for the connection.

        @raise SOCKSProxyError: It will not come.
        """
        return Stream(self.socket, self._driven, 2)


class Association(_Connection):
    """
    A relay of datagrams at the proxy.

    @ivar relay: Where it is: BND.ADDR and BND.PORT.
    @ivar datagrams: The socket that we send from.
    """

    def __init__(self, open_: socket.socket, driven: DrivenClient) -> None:
        super().__init__(open_, driven)
        self.datagrams = datagramSocket(endpointOf(open_)[0])
        self.relay = self._bound(0)

    def close(self) -> None:
        """
        End it.
        """
        super().close()
        self.datagrams.close()

    def encode(self, payload: bytes, to: Endpoint) -> bytes:
        """
        Make the datagram that asks the relay to pass a payload on.
        """
        datagram = head(*to) + payload
        protection = self._driven.protection
        return datagram if protection is None else protection.wrapDatagram(datagram)

    def send(self, payload: bytes, to: Endpoint) -> None:
        """
        Send a payload by way of the relay.
        """
        self.datagrams.sendto(self.encode(payload, to), self.relay)

    def receive(self) -> tuple[bytes, Endpoint]:
        """
        Receive a payload by way of the relay, and from nobody else.

        @return: The payload, and where it came from.
        """
        datagram, sender = self.datagrams.recvfrom(65535)
        if sender[:2] != self.relay:
            raise AssertionError(f"a datagram from {sender} instead of {self.relay}")
        protection = self._driven.protection
        return decode(datagram if protection is None else protection.unwrapDatagram(datagram))


class SOCKS5Client:
    """
    Makes connections through one proxy.
    """

    def __init__(
        self,
        port: int,
        methods: Sequence[Method] = (NoAuthentication(),),
        host: str = "127.0.0.1",
    ) -> None:
        """
        @param port: The proxy's port.
        @param methods: What to offer it.
        @param host: The proxy's address.
        """
        self._port = port
        self._methods = methods
        self._host = host

    def connect(self, port: int, host: str = "127.0.0.1", early: bytes = b"") -> Stream:
        """
        Connect to a target.

        @param port: The target's port.
        @param host: The target's name or address.
        @param early: What to send together with the request, if the method
            protects it.
        @raise SOCKSProxyError: The proxy does not.
        """
        return Stream(*self._ask(Command.CONNECT, host, port), 1, early)

    def bind(self, host: str = "127.0.0.1", port: int = 0) -> Binding:
        """
        Ask for a port to be connected to.

        @param host: Who is expected to.
        @raise SOCKSProxyError: The proxy gives none.
        """
        return Binding(*self._ask(Command.BIND, host, port))

    def associate(self, host: str = "0.0.0.0", port: int = 0) -> Association:
        """
        Ask for a relay of datagrams.

        @param host: Where they will be sent from, if that is known.
        @raise SOCKSProxyError: The proxy gives none.
        """
        return Association(*self._ask(Command.UDP_ASSOCIATE, host, port))

    def _ask(self, command: int, host: str, port: int) -> tuple[socket.socket, DrivenClient]:
        machine = ClientNegotiation(destinationOf(host, port), self._methods, command)
        connection = dial(self._port, self._host)
        connection.sendall(machine.start())
        return connection, DrivenClient(machine)


def destinationOf(host: str, port: int) -> Destination:
    """
    Make the destination that a host and a port stand for.

    @param host: A name or an address.
    """
    try:
        return Destination(ip_address(host), port)
    except ValueError:
        return Destination(host, port)

"""
A client of UDP ASSOCIATE made of blocking sockets and octets, and the sockets
of those that it writes to.
"""

import os
import select
import socket
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

from tests.interop.client import (
    CHOICE,
    SUCCEEDED,
    TIMEOUT,
    dial,
    login,
    receive,
    reset,
)
from tests.socksclient import NO_AUTHENTICATION, request

Endpoint = tuple[str, int]

MAX_UDP = 65507
"""
Octets that fit into a datagram of UDP over IPv4.
"""


SUFFICIENT = 65535
"""
Octets that any datagram fits into.
"""


def command(code: int, host: str, port: int) -> bytes:
    """
    Encode a SOCKS5 request other than to connect.

    @param code: Its CMD.
    """
    return bytes((5, code, 0)) + request(host, port)[3:]


def head(host: str, port: int, fragment: int = 0) -> bytes:
    """
    Encode what is before the payload of a datagram.

    @param fragment: FRAG.
    """
    return bytes((0, 0, fragment)) + request(host, port)[3:]


def namedHead(name: bytes, port: int) -> bytes:
    """
    Encode what is before the payload of a datagram for a name.
    """
    return b"\0\0\0\3%c%b%b" % (len(name), name, port.to_bytes(2, "big"))


def decode(datagram: bytes) -> tuple[bytes, Endpoint]:
    """
    Take a datagram from the relay apart.

    @return: The payload, and where it came from.
    @raise AssertionError: It is not in order.
    """
    if datagram[:3] != b"\0\0\0" or datagram[3] not in (1, 4):
        raise AssertionError(f"not a datagram of SOCKS: {datagram[:32]!r}")
    end = 8 if datagram[3] == 1 else 20
    host = str(ip_address(datagram[4:end]))
    return datagram[end + 2 :], (host, int.from_bytes(datagram[end : end + 2], "big"))


def receiveBound(connection: socket.socket) -> tuple[int, Endpoint]:
    """
    Receive the reply to a request, whole.

    @return: Its REP, and BND.ADDR and BND.PORT.
    """
    _, code, _, kind = receive(connection, 4)
    host = str(ip_address(receive(connection, {1: 4, 4: 16}[kind])))
    return code, (host, int.from_bytes(receive(connection, 2), "big"))


def datagramSocket(host: str = "127.0.0.1") -> socket.socket:
    """
    Open a socket for datagrams, on an address of this host.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(TIMEOUT)
    made.bind((host, 0))
    return made


def endpointOf(open_: socket.socket) -> Endpoint:
    """
    Give a socket's own host and port.
    """
    host, port = open_.getsockname()[:2]
    return host, port


def isQuiet(open_: socket.socket) -> bool:
    """
    Tell whether nothing waits to be received.
    """
    return not select.select([open_], [], [], 0)[0]


class Association:
    """
    An association, as a context manager.

    @ivar control: The connection to the proxy.
    @ivar socket: Where datagrams are sent from.
    @ivar relay: Where they are sent to: BND.ADDR and BND.PORT.
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        user: tuple[str, str] | None = None,
        source: Endpoint = ("0.0.0.0", 0),
    ) -> None:
        """
        @param port: The proxy's port.
        @param host: The proxy's address.
        @param user: Name and password.
        @param source: DST.ADDR and DST.PORT of the request.
        """
        self.control = dial(port, host)
        self.socket = datagramSocket(endpointOf(self.control)[0])
        try:
            if user is None:
                self.control.sendall(NO_AUTHENTICATION)
                choice = receive(self.control, 2)
                if choice != CHOICE:
                    raise AssertionError(f"the method is {choice!r}")
            elif login(self.control, user[0].encode(), user[1].encode()) != SUCCEEDED:
                raise AssertionError("the password was refused")
            self.control.sendall(command(3, *source))
            code, self.relay = receiveBound(self.control)
            if code != SUCCEEDED:
                raise AssertionError(f"REP is {code}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Association":
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
        End it, with a FIN.
        """
        self.control.close()
        self.socket.close()

    def reset(self) -> None:
        """
        End it, with a RST.
        """
        reset(self.control)
        self.socket.close()

    def send(self, payload: bytes, to: Endpoint) -> None:
        """
        Send a datagram by way of the relay.
        """
        self.socket.sendto(head(*to) + payload, self.relay)

    def receive(self) -> tuple[bytes, Endpoint]:
        """
        Receive a datagram from the relay, and from nobody else.

        @return: The payload, and where it came from.
        """
        datagram, sender = self.socket.recvfrom(SUFFICIENT)
        if sender[:2] != self.relay:
            raise AssertionError(f"a datagram from {sender} instead of {self.relay}")
        return decode(datagram)


def question(association: Association, target: socket.socket) -> Endpoint:
    """
    Send something by way of the relay.

    @return: Where it came from.
    """
    association.send(b"question", endpointOf(target))
    payload, (host, port, *_) = target.recvfrom(SUFFICIENT)
    assert payload == b"question"
    return host, port


def assertAnswers(association: Association, target: socket.socket) -> None:
    """
    Check that an association works, and that nothing was on the way before.
    """
    target.sendto(b"answer", question(association, target))
    assert association.receive() == (b"answer", endpointOf(target))
    assert isQuiet(association.socket)
    assert isQuiet(target)


def datagramPorts(pid: int) -> list[int]:
    """
    Give the local ports of the UDP sockets that a process has.
    """
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(descriptor))
        except FileNotFoundError:
            # Closed in the meantime.
            continue
    ports = []
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes:
                ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports

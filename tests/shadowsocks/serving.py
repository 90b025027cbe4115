"""
A Shadowsocks server of the real parts on a network in memory, and its clients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.cred.checkers import ICredentialsChecker

from socksproxy.address import Destination, hostFromName
from socksproxy.auth.sharedkey import SharedKeyChecker
from socksproxy.shadowsocks._client import ClientStream
from socksproxy.shadowsocks._events import Data
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._users import Accounts
from socksproxy.shadowsocks.protocol import ShadowsocksConnection, ShadowsocksFactory
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.memoryproxy import WORLD, MemoryProxy, StrictTransport
from tests.shadowsocks.streams import NOW, clientOf, fresh, replayOf

CLASSIC = "aes-256-gcm"
NEW = "2022-blake3-aes-128-gcm"
PATIENCE = 50.0

WEB = Destination(hostFromName(b"192.0.2.1"), 80)
NOWHERE = Destination(hostFromName(b"192.0.2.66"), 80)


def usersOf(method: str = NEW) -> list[Account]:
    """
    Make two users of a server.
    """
    found = METHODS[method]
    length = found.keyLength
    if not found.edition2022:
        return [Account(found, [bytes([n] * length)], f"user{n}") for n in (1, 2)]
    return [Account(found, [bytes(length), bytes([n] * length)], f"user{n}") for n in (1, 2)]


class Client:
    """
    A client's connection.

    @ivar transport: The connection, seen from the client.
    @ivar stream: What seals and opens.
    """

    def __init__(self, transport: MemoryTransport, stream: ClientStream) -> None:
        self.transport = transport
        self.stream = stream

    def sends(self, data: bytes) -> None:
        """
        Send something, with the request if it is the first.
        """
        self.transport.peerSends(self.stream.seal(data))

    def take(self) -> bytes:
        """
        Read what has come.
        """
        events = self.stream.feed(self.transport.take())
        assert all(isinstance(event, Data) for event in events), events
        return b"".join(event.data for event in events if isinstance(event, Data))


class Serving(MemoryProxy):
    """
    A server.

    @ivar factory: Makes its connections.
    @ivar accounts: Who is let in.
    """

    def __init__(
        self,
        accounts: Sequence[Account] | str = CLASSIC,
        world: Mapping[str, str | Sequence[str]] = WORLD,
        checkers: Sequence[ICredentialsChecker] | None = None,
        inbound: Mapping[str, Any] | None = None,
        network: Any = None,
        realm: Any = None,
        **options: Any,
    ) -> None:
        """
        @param accounts: The users, or a method of which there is one key.
        @param inbound: Attributes of the L{Inbound}.
        @param options: As for L{ShadowsocksFactory}.
        """
        super().__init__(
            world,
            [SharedKeyChecker()] if checkers is None else checkers,
            methods=(),
            network=network,
            realm=realm,
            **(inbound or {}),
        )
        self.accounts = [fresh(accounts)] if isinstance(accounts, str) else list(accounts)
        made = Accounts(self.accounts)
        options.setdefault("patience", PATIENCE)
        self.server = ShadowsocksFactory(
            self.inbound,
            made,
            replayOf(made.method, self.network.seconds),
            wallClock=self.wallClock,
            **options,
        )

    def wallClock(self) -> float:
        """
        Give seconds since 1970.
        """
        return NOW + self.network.seconds()

    def open(self, host: str = "198.51.100.7", port: int = 40000) -> MemoryTransport:
        """
        Open a connection.
        """
        return StrictTransport.connect(self.network, self.server, peer=tcpAddress(host, port))

    def streamTo(self, destination: Destination = WEB, user: int = 0) -> ClientStream:
        """
        Make what a client seals and opens with.
        """
        return clientOf(self.accounts[user], destination, wallClock=self.wallClock)

    def client(self, destination: Destination = WEB, user: int = 0) -> Client:
        """
        Open a connection for a client.
        """
        return Client(self.open(), self.streamTo(destination, user))

    def only(self) -> ShadowsocksConnection:
        """
        Give the only connection.
        """
        (connection,) = self.inbound.connections
        assert isinstance(connection, ShadowsocksConnection)
        return connection

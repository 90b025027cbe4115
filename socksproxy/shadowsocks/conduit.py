"""
Datagrams through a server of Shadowsocks.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import GeneralFailure, LocalProtocolError
from socksproxy.interfaces import Received
from socksproxy.relay.datagrams import listenUDP, sendDatagram
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._packet import DatagramFault
from socksproxy.shadowsocks._packetclient import clientPackets
from socksproxy.shadowsocks._replay import SaltMemory


class ShadowsocksAssociation(DatagramProtocol):
    """
    One local port whose datagrams a server relays, for one client.

    @ivar ended: Fires never: there is no connection that could end.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        account: Account,
        server: IPAddress,
        port: int,
        received: Received,
        salts: SaltMemory,
        wallClock: Callable[[], float] = time.time,
    ) -> None:
        """
        @param reactor: What opens sockets, and time.
        @param account: Who we are.
        @param server: The address of the server.
        @param port: Its port.
        @param received: Takes what comes back.
        @param salts: Those of what came back before, to any port of ours.
        @param wallClock: Gives seconds since 1970.
        @raise GeneralFailure: There is no port.
        """
        self.ended: Deferred[None] = Deferred()
        self._server = (str(server), port)
        self._received = received
        self._packets = clientPackets(account, salts, wallClock, reactor.seconds)
        interface = "::" if server.version == 6 else "0.0.0.0"  # noqa: S104
        try:
            self._port: IListeningPort | None = listenUDP(reactor, 0, self, interface)
        except CannotListenError as e:
            raise GeneralFailure("no port for datagrams is to be had") from e

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit<socksproxy.interfaces.IDatagramConduit>}.
        """
        try:
            sealed = self._packets.seal(destination, data)
        except LocalProtocolError:
            return False
        return self._port is not None and sendDatagram(self.transport, sealed, self._server)

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        """
        See C{DatagramProtocol}. Nobody else than the server is listened to.
        """
        if addr[:2] != self._server:
            return
        try:
            source, payload = self._packets.open(datagram)
        except DatagramFault:
            return
        self._received(payload, source)

    def close(self) -> None:
        """
        See L{IDatagramConduit<socksproxy.interfaces.IDatagramConduit>}.
        """
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()


def newSalts() -> SaltMemory:
    """
    Make what remembers the salts of all ports that ask one server.
    """
    return SaltMemory(os.urandom(32))

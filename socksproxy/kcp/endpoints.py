"""
Endpoints that listen for and begin KCP sessions::

    from socksproxy.kcp import KCPClientEndpoint, KCPConfig, KCPServerEndpoint

    config = KCPConfig.forMode("fast3")
    server = KCPServerEndpoint(reactor, 29900, key="secret", config=config)
    listening = server.listen(factory)

    client = KCPClientEndpoint(reactor, "192.0.2.1", 29900, key="secret", config=config)
    connecting = client.connect(factory)

Key, salt and cipher have to be the same on both sides: a side for which they
are not hears nothing that it understands, and answers nothing.

KCP has no handshake, so C{connect} succeeds without a server, and no end of
stream: C{loseConnection} delivers what has been written and then forgets the
session, of which the peer is told nothing. See
L{SessionTimers<socksproxy.kcp.transport.SessionTimers>} for what else ends one.

These are sessions of raw KCP. kcptun has several streams in a session, for
which there is another layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from socket import AF_INET6, inet_ntop
from typing import Any

from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from socksproxy.address import IPAddress, hostFromText
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import GeneralFailure
from socksproxy.events import log
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.crypt import CIPHERS, DEFAULT_SALT, PacketCipher, cipherFor, deriveKey
from socksproxy.kcp.datagram import KCPClientProtocol, KCPServerProtocol
from socksproxy.kcp.fec import OVERHEAD
from socksproxy.kcp.port import IBatchTransport, listenBatches
from socksproxy.kcp.transport import SessionTimers

DEFAULT_CIPHER = "aes"

SERVER_TIMERS = SessionTimers(idle=600.0)
"""
A server's sessions end, since a client can go without a word.
"""

CLIENT_TIMERS = SessionTimers()


class _KCPEndpoint:
    """
    What both sides are told.
    """

    def __init__(
        self,
        reactor: Any,
        key: bytes | str,
        crypt: str,
        salt: bytes,
        config: KCPConfig,
        timers: SessionTimers,
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._timers = timers
        # What is wrong is told now and not when a connection is needed.
        self._master = deriveKey(key, salt)
        self._crypt = crypt
        config.mss(self._cipher().overhead + (OVERHEAD if config.fec else 0))

    def _cipher(self) -> PacketCipher:
        return cipherFor(self._crypt, self._master)


@implementer(IStreamServerEndpoint)
class KCPServerEndpoint(_KCPEndpoint):
    """
    Listens for sessions on a UDP port. Each has a protocol of the factory's.
    """

    def __init__(
        self,
        reactor: Any,
        port: int,
        key: bytes | str,
        *,
        crypt: str = DEFAULT_CIPHER,
        salt: bytes = DEFAULT_SALT,
        config: KCPConfig = KCPConfig(),
        interface: str = "",
        timers: SessionTimers = SERVER_TIMERS,
    ) -> None:
        """
        @param reactor: The reactor.
        @param port: The UDP port; 0 is any.
        @param key: The secret of both sides. There is no default.
        @param crypt: One of L{CIPHERS<socksproxy.kcp.crypt.CIPHERS>}.
        @param salt: What the key is derived with.
        @param config: Settings for all sessions.
        @param interface: The local address.
        @param timers: What ends sessions.
        @raise ConfigurationError: Something of this cannot be.
        """
        super().__init__(reactor, key, crypt, salt, config, timers)
        self._port = port
        self._interface = interface

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        protocol = KCPServerProtocol(
            self._reactor, factory, self._config, self._cipher(), self._timers
        )
        listening = KCPListeningPort(
            protocol,
            factory,
            listenBatches(self._reactor, self._port, protocol, interface=self._interface),
        )
        log.info(
            "KCP on {address} with cipher {cipher}, {integrity}",
            address=listening.getHost(),
            cipher=self._crypt,
            integrity=integrityOf(self._crypt),
        )
        return listening


@implementer(IListeningPort)
class KCPListeningPort:
    """
    A UDP port that takes sessions.

    @ivar protocol: What has the sessions.
    """

    def __init__(
        self, protocol: KCPServerProtocol, factory: IProtocolFactory, port: IBatchTransport
    ) -> None:
        self.protocol = protocol
        self._factory = factory
        self._port = port
        self._stopped = False
        factory.doStart()

    def startListening(self) -> None:
        """
        See C{IListeningPort}. It listens already.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}: no more sessions begin. Those that there are go
        on, and the UDP port is closed after the last one.
        """
        if not self._stopped:
            self._stopped = True
            self.protocol.stopAccepting()
            self._factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        """
        See C{IListeningPort}.
        """
        return self._port.getHost()


@implementer(IStreamClientEndpoint)
class KCPClientEndpoint(_KCPEndpoint):
    """
    Begins sessions with a server, each from a UDP port of its own.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        key: bytes | str,
        *,
        crypt: str = DEFAULT_CIPHER,
        salt: bytes = DEFAULT_SALT,
        config: KCPConfig = KCPConfig(),
        interface: str = "",
        timers: SessionTimers = CLIENT_TIMERS,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """
        @param host: The server's name or address.
        @param port: The server's UDP port.
        @param interface: The local address to send from, if it matters.
        @param random: Where conversations' numbers come from.
        @raise ConfigurationError: Something of this cannot be.
        @see: L{KCPServerEndpoint} for the rest.
        """
        super().__init__(reactor, key, crypt, salt, config, timers)
        self._host = host
        self._port = port
        self._interface = interface
        self._random = random

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}. The name is looked up, and nothing is sent
        before the protocol writes.
        """
        address = hostFromText(self._host)
        if address is not None:
            finding: Deferred[list[IPAddress]] = succeed([address])
        else:
            resolver = BoundedResolver(self._reactor, self._reactor.nameResolver)
            finding = resolver.resolve(self._host, None)
        return finding.addCallback(self._connect, protocolFactory)  # type: ignore[return-value]

    def _connect(self, addresses: list[IPAddress], factory: IProtocolFactory) -> IProtocol:
        address = addresses[0]
        six = address.version == 6
        # As the kernel writes it when an answer comes.
        host = inet_ntop(AF_INET6, address.packed) if six else str(address)
        if six and address.scope_id:  # type: ignore[union-attr]
            host += f"%{address.scope_id}"  # type: ignore[union-attr]
        conversation = int.from_bytes(self._random(4), "little")
        kcp = KCPClientProtocol(
            self._reactor,
            (host, self._port),
            conversation,
            self._config,
            self._cipher(),
            self._timers,
        )
        interface = self._interface or ("::" if six else "")
        port = listenBatches(self._reactor, 0, kcp, interface=interface)
        protocol = factory.buildProtocol(kcp.peer)
        if protocol is None:
            port.stopListening()
            raise GeneralFailure("the factory made no protocol")
        kcp.begin(protocol)
        return protocol


def integrityOf(crypt: str) -> str:
    """
    Say what a cipher does against whoever alters datagrams.
    """
    if CIPHERS[crypt].authenticates:
        return "which recognises datagrams that were altered"
    return "which does not recognise datagrams that were altered on purpose"

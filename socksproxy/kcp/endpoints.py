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
from collections.abc import Callable, Iterator
from socket import AF_INET6, if_nametoindex, inet_ntop
from typing import Any, NoReturn

from twisted.internet.address import HostnameAddress
from twisted.internet.defer import CancelledError, Deferred, execute, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectingCancelledError,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Host, IPAddress, hostFromName, hostFromText
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import BadName, ConfigurationError, NameNotFound
from socksproxy.events import log
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.crypt import CIPHERS, DEFAULT_SALT, PacketCipher, cipherFor, deriveKey
from socksproxy.kcp.datagram import KCPClientProtocol, KCPServerProtocol
from socksproxy.kcp.fec import OVERHEAD
from socksproxy.kcp.ledger import Ledger
from socksproxy.kcp.port import BUFFER_SIZE, BatchProtocol, IBatchTransport, listenBatches
from socksproxy.kcp.transport import SessionTimers
from socksproxy.state import IReportsState, State, placeOf

DEFAULT_CIPHER = "aes"

SERVER_TIMERS = SessionTimers(idle=600.0)
"""
A server's sessions end, since a client can go without a word.
"""

CLIENT_TIMERS = SessionTimers()

DEFAULT_CONFIG = KCPConfig()


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
        interface: str,
        bufferSize: int,
        dscp: int,
    ) -> None:
        if interface and hostFromText(interface) is None:
            raise ConfigurationError(f"interface is {interface!r} and has to be a numeric address")
        if not 0 <= dscp <= 63:
            raise ConfigurationError(f"dscp is {dscp} and has to be 0 to 63")
        if bufferSize < 1:
            raise ConfigurationError(f"bufferSize is {bufferSize} and has to be positive")
        self._reactor = reactor
        self._config = config
        self._timers = timers
        self._interface = interface
        self._bufferSize = bufferSize
        self._dscp = dscp
        # What is wrong is told now and not when a connection is needed.
        self._master = deriveKey(key, salt)
        self._crypt = crypt
        config.mss(self._cipher().overhead + (OVERHEAD if config.fec else 0))

    def _open(self, protocol: BatchProtocol, port: int, interface: str) -> IBatchTransport:
        return listenBatches(
            self._reactor,
            port,
            protocol,
            interface=interface,
            bufferSize=self._bufferSize,
            dscp=self._dscp,
        )

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
        config: KCPConfig = DEFAULT_CONFIG,
        interface: str = "",
        timers: SessionTimers = SERVER_TIMERS,
        bufferSize: int = BUFFER_SIZE,
        dscp: int = 0,
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
        @param bufferSize: Octets for each of the socket's buffers.
        @param dscp: What routers are told of the datagrams (RFC 2474).
        @raise ConfigurationError: Something of this cannot be.
        """
        super().__init__(reactor, key, crypt, salt, config, timers, interface, bufferSize, dscp)
        self._port = _checkedPort(port, 0)

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        protocol = KCPServerProtocol(
            self._reactor, factory, self._config, self._cipher(), self._timers
        )
        port = self._open(protocol, self._port, self._interface)
        listening = KCPListeningPort(protocol, factory, port, CIPHERS[self._crypt].hides)
        log.info(
            "KCP on {address} with cipher {cipher}, {integrity}",
            address=listening.getHost(),
            cipher=self._crypt,
            integrity=integrityOf(self._crypt),
        )
        return listening


@implementer(IListeningPort, IReportsState)
class KCPListeningPort:
    """
    A UDP port that takes sessions.

    @ivar protocol: What has the sessions.
    @ivar keyed: Nobody begins one who does not have the key.
    """

    def __init__(
        self,
        protocol: KCPServerProtocol,
        factory: IProtocolFactory,
        port: IBatchTransport,
        keyed: bool,
    ) -> None:
        self.protocol = protocol
        self.keyed = keyed
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

        @return: Fires when the port is closed, or at once if there are
            sessions.
        """
        closed = self.protocol.stopAccepting()
        if not self._stopped:
            self._stopped = True
            self._factory.doStop()
        return closed

    def getHost(self) -> IAddress:
        """
        See C{IListeningPort}.
        """
        return self._port.getHost()

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}.
        """
        return self.protocol.ledger.report("kcp-port", placeOf(self.getHost()))


@implementer(IStreamClientEndpoint, IReportsState)
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
        config: KCPConfig = DEFAULT_CONFIG,
        interface: str = "",
        timers: SessionTimers = CLIENT_TIMERS,
        bufferSize: int = BUFFER_SIZE,
        dscp: int = 0,
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
        super().__init__(reactor, key, crypt, salt, config, timers, interface, bufferSize, dscp)
        self._target, self._zone = _checkedHost(host)
        self._host = host
        self._port = _checkedPort(port, 1)
        self._random = random
        self._ledger = Ledger()
        if not isinstance(self._target, str) and not self._isReachable(self._target):
            raise ConfigurationError(f"there is no way from interface {interface} to host {host}")

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}. The name is looked up, and nothing is sent
        before the protocol writes.

        @return: The protocol; fails with C{DNSLookupError}, C{ConnectBindError},
            C{NoProtocol}, or what the factory or the protocol raises.
        """
        protocolFactory.doStart()
        finding = self._find().addErrback(self._notFound)
        return finding.addCallback(self._begin, protocolFactory).addErrback(
            _stopped, protocolFactory
        )

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}.
        """
        return self._ledger.report("kcp-client", f"{self._host}:{self._port}")

    def _find(self) -> Deferred[list[IPAddress]]:
        if not isinstance(self._target, str):
            return succeed([self._target])
        resolver = BoundedResolver(self._reactor, self._reactor.nameResolver)
        return resolver.resolve(self._target, None)

    def _notFound(self, failure: Failure) -> NoReturn:
        """
        Say in Twisted's terms why there is no address.
        """
        if failure.check(CancelledError):
            raise ConnectingCancelledError(HostnameAddress(self._host.encode(), self._port))
        if failure.check(NameNotFound):
            raise DNSLookupError(f"{self._host}: {failure.value}")
        failure.raiseException()

    def _isReachable(self, address: IPAddress) -> bool:
        return not self._interface or (":" in self._interface) == (address.version == 6)

    def _begin(self, addresses: list[IPAddress], factory: IProtocolFactory) -> IProtocol:
        address = next(filter(self._isReachable, addresses), None)
        if address is None:
            raise DNSLookupError(f"{self._host}: no address for interface {self._interface}")
        kcp = KCPClientProtocol(
            self._reactor,
            (_shown(address) + self._zone, self._port),
            int.from_bytes(self._random(4), "little"),
            self._config,
            self._cipher(),
            self._timers,
            self._ledger,
        )
        interface = self._interface or ("::" if address.version == 6 else "")
        try:
            port = self._open(kcp, 0, interface)
        except CannotListenError as e:
            raise ConnectBindError(string=str(e)) from e
        try:
            protocol = factory.buildProtocol(kcp.peer)
            if protocol is None:
                raise NoProtocol
            kcp.begin(protocol)
        except Exception:
            port.stopListening()
            raise
        # From here on the factory is in use until the session has ended.
        kcp.stopped = factory.doStop
        return protocol


def _stopped(failure: Failure, factory: IProtocolFactory) -> Failure:
    factory.doStop()
    return failure


def _checkedPort(port: int, least: int) -> int:
    if not least <= port <= 65535:
        raise ConfigurationError(f"port is {port} and has to be {least} to 65535")
    return port


def _checkedHost(text: str) -> tuple[Host, str]:
    """
    Read a host with the zone that it may have.

    @return: A name or an address, and the zone as the kernel writes it.
    @raise ConfigurationError: It is no host, or there is no such interface.
    """
    bare, _, zone = text.partition("%")
    try:
        if not zone:
            return hostFromName(text.encode()), ""
        address = hostFromText(bare)
        if address is None or address.version != 6:
            raise BadName("only an IPv6 address has a zone")
        return address, f"%{zone if zone.isdecimal() else if_nametoindex(zone)}"
    except BadName as e:
        raise ConfigurationError(f"host is {text!r}, which is no host: {e}") from e
    except OSError as e:
        raise ConfigurationError(f"host is {text!r}, and there is no interface {zone!r}") from e


def _shown(address: IPAddress) -> str:
    # As the kernel writes it when an answer comes.
    return inet_ntop(AF_INET6, address.packed) if address.version == 6 else str(address)


def integrityOf(crypt: str) -> str:
    """
    Say what a cipher does against whoever alters datagrams.
    """
    if CIPHERS[crypt].authenticates:
        return "which recognises datagrams that were altered"
    return "which does not recognise datagrams that were altered on purpose"

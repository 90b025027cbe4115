"""
kcptun's parameters, under its own names, and the endpoints that they make:
streams of smux in sessions of KCP.

Defaults are kcptun's, except that there is no default key, and that both sides
have windows of 1024 segments. What a mode settles cannot be given beside it.

@see: U{https://github.com/xtaci/kcptun}
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred
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

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import MODES, KCPConfig
from socksproxy.kcp.crypt import DEFAULT_SALT
from socksproxy.kcp.endpoints import DEFAULT_CIPHER, KCPClientEndpoint, KCPServerEndpoint
from socksproxy.kcp.transport import SessionTimers
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig
from socksproxy.smux.endpoints import MuxClientEndpoint, MuxServerEndpoint
from socksproxy.smux.parameters import (
    MUX,
    POOL,
    Reader,
    muxFrom,
    number,
    poolFrom,
    readAll,
    yesOrNo,
)
from socksproxy.state import IReportsState, State, reportOf

MANUAL = KCPConfig(interval=50, resend=0, congestion="window")
"""
The mode in which C{nodelay}, C{interval}, C{resend} and C{nc} count.
"""

TIMERS = SessionTimers(dead=15.0)
"""
Sessions survive interruptions of the network of ten seconds. Streams have
keep-alives of their own.
"""

MAX_KEY = 65536
MAX_PORTS = 1024

_CONFIG: Mapping[str, Reader] = {
    "mtu": number(50, 1500),
    "sndwnd": number(1, 65535),
    "rcvwnd": number(1, 65535),
    "datashard": number(0, 255),
    "parityshard": number(0, 255),
    "ratelimit": number(0, 1 << 40),
    "acknodelay": yesOrNo,
    "pacing": yesOrNo,
    "adaptive": yesOrNo,
    "acktwice": yesOrNo,
    "congestion": lambda name, text: text,
}
_MANUAL: Mapping[str, Reader] = {
    "nodelay": number(0, 1),
    "interval": number(10, 5000),
    "resend": number(0, 65535),
    "nc": number(0, 1),
}
_SOCKET: Mapping[str, Reader] = {
    "sockbuf": number(4096, 1 << 30),
    "dscp": number(0, 63),
}
_TEXTS = ("key", "keyFile", "salt", "crypt", "mode", "interface")

_POOLED = {"sessions": "conn"}
"""
What L{POOL<socksproxy.smux.parameters.POOL>} reads under other names.
"""

PARAMETERS = frozenset((*_CONFIG, *_MANUAL, *_SOCKET, *_TEXTS, *MUX, *POOL))
"""
All names.
"""


@dataclass(frozen=True)
class Tunnel:
    """
    What an end of a tunnel is told.

    @ivar key: The secret.
    @ivar crypt: The cipher.
    @ivar salt: What the key is derived with.
    @ivar config: Of KCP.
    @ivar mux: Of the streams in it.
    @ivar compress: Whether all of it is compressed.
    @ivar interface: The local address, empty for any.
    @ivar socket: Of the UDP socket, as endpoints of KCP take it.
    @ivar pool: Of a client's sessions, as L{MuxClientEndpoint} takes it.
    """

    key: bytes = field(repr=False)
    crypt: str = DEFAULT_CIPHER
    salt: bytes = DEFAULT_SALT
    config: KCPConfig = MODES["fast"]
    mux: SmuxConfig = DEFAULT_CONFIG
    compress: bool = True
    interface: str = ""
    socket: Mapping[str, Any] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)

    def carrier(self) -> dict[str, Any]:
        """
        Give what endpoints of KCP on either side are told besides the key.
        """
        return {
            "crypt": self.crypt,
            "salt": self.salt,
            "config": self.config,
            "interface": self.interface,
            "timers": TIMERS,
            **self.socket,
        }


def tunnelFrom(given: Mapping[str, str]) -> Tunnel:
    """
    Read parameters.

    @param given: Texts by their names: kcptun's, and C{keyFile}, C{salt},
        C{interface}, C{congestion}, C{pacing}, C{adaptive} and C{acktwice}.
        Booleans are C{yes} and C{no}.
    @raise ConfigurationError: One of them is unknown or cannot be; no key is
        shown.
    """
    unknown = sorted(given.keys() - PARAMETERS)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} means nothing for kcp:")
    mux, compress = muxFrom(given, compress=True)
    socket = readAll(_SOCKET, given)
    if "sockbuf" in socket:
        socket["bufferSize"] = socket.pop("sockbuf")
    return Tunnel(
        key=_keyFrom(given),
        crypt=given.get("crypt", DEFAULT_CIPHER),
        salt=given["salt"].encode("utf-8", "surrogateescape") if "salt" in given else DEFAULT_SALT,
        config=_configFrom(given),
        mux=mux,
        compress=compress,
        interface=given.get("interface", ""),
        socket=socket,
        pool=poolFrom(given),
    )


def _keyFrom(given: Mapping[str, str]) -> bytes:
    if ("key" in given) == ("keyFile" in given):
        raise ConfigurationError("kcp: needs one of key and keyFile")
    if "key" in given:
        return given["key"].encode("utf-8", "surrogateescape")
    path = given["keyFile"]
    if not path:
        raise ConfigurationError("keyFile is empty")
    try:
        with open(path, "rb") as file:
            key = file.read(MAX_KEY + 1).rstrip(b"\r\n")
    except OSError as e:
        raise ConfigurationError(f"key file {path}: {e.strerror}") from None
    except ValueError as e:
        raise ConfigurationError(f"key file {path}: {e}") from None
    if not 0 < len(key) <= MAX_KEY:
        raise ConfigurationError(f"key file {path}: it is empty, or no key")
    return key


def _configFrom(given: Mapping[str, str]) -> KCPConfig:
    mode = given.get("mode", "fast")
    settings = readAll(_CONFIG, given)
    manual = readAll(_MANUAL, given)
    if mode in MODES:
        if manual:
            raise ConfigurationError(f"{min(manual)} counts with mode=manual only")
        return replace(MODES[mode], **settings)
    if mode != "manual":
        raise ConfigurationError(f"mode is {mode!r} and has to be of {', '.join(MODES)}, manual")
    if manual.pop("nc", 0):
        settings.setdefault("congestion", "none")
    if "nodelay" in manual:
        manual["nodelay"] = bool(manual["nodelay"])
    return replace(MANUAL, **manual, **settings)


def portsFrom(text: str, least: int) -> Sequence[int]:
    """
    Read a port, or the first and the last of several.

    @param least: The least port that there is.
    @raise ConfigurationError: It is none, or they are too many.
    """
    first, dash, last = text.partition("-")
    # Port 0 is any, which is no beginning.
    read = number(1 if dash else least, 65535)
    ports = range(read("port", first), read("port", last if dash else first) + 1)
    if not 0 < len(ports) <= MAX_PORTS:
        raise ConfigurationError(f"the ports {text} are not 1 to {MAX_PORTS}")
    return ports


def serverEndpoint(reactor: Any, ports: Sequence[int], tunnel: Tunnel) -> IStreamServerEndpoint:
    """
    Make the server's side of a tunnel.

    @param ports: The UDP ports; of one of them each client has a choice.
    @raise ConfigurationError: Something of it cannot be, or is for clients.
    """
    if tunnel.pool:
        names = {_POOLED.get(name, name) for name in tunnel.pool}
        raise ConfigurationError(f"{min(names)} means nothing for a server of kcp:")
    carriers = [KCPServerEndpoint(reactor, port, tunnel.key, **tunnel.carrier()) for port in ports]
    carrier = carriers[0] if len(carriers) == 1 else _Together(carriers)
    return MuxServerEndpoint(reactor, carrier, tunnel.mux, tunnel.compress)


def clientEndpoint(
    reactor: Any, host: str, ports: Sequence[int], tunnel: Tunnel
) -> MuxClientEndpoint:
    """
    Make the client's side of a tunnel.

    @param host: The server's name or address.
    @param ports: Its UDP ports; each session takes one of them.
    @raise ConfigurationError: Something of it cannot be.
    """
    carriers = [
        KCPClientEndpoint(reactor, host, port, tunnel.key, **tunnel.carrier()) for port in ports
    ]
    carrier = carriers[0] if len(carriers) == 1 else _AnyOf(carriers)
    return MuxClientEndpoint(reactor, carrier, tunnel.mux, tunnel.compress, **tunnel.pool)


@implementer(IStreamClientEndpoint, IReportsState)
class _AnyOf:
    """
    Takes one of several ways at random each time.
    """

    def __init__(self, endpoints: Sequence[IStreamClientEndpoint]) -> None:
        self._endpoints = endpoints

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        # Who could guess it gains nothing.
        chosen = random.choice(self._endpoints)  # noqa: S311
        connecting: Deferred[IProtocol] = chosen.connect(protocolFactory)
        return connecting

    def report(self) -> Iterator[State]:
        for endpoint in self._endpoints:
            yield from reportOf(endpoint)


@implementer(IStreamServerEndpoint)
class _Together:
    """
    Listens on all of several ports, or on none.
    """

    def __init__(self, endpoints: Sequence[IStreamServerEndpoint]) -> None:
        self._endpoints = endpoints

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        opening = [endpoint.listen(protocolFactory) for endpoint in self._endpoints]

        def opened(results: list[tuple[bool, Any]]) -> Any:
            ports = [result for success, result in results if success]
            if len(ports) == len(results):
                return _Ports(ports)
            failure: Failure = next(result for success, result in results if not success)
            return _Ports(ports).stopListening().addBoth(lambda _: failure)

        return DeferredList(opening, consumeErrors=True).addCallback(opened)


@implementer(IListeningPort, IReportsState)
class _Ports:
    """
    Several ports as one.
    """

    def __init__(self, ports: Sequence[IListeningPort]) -> None:
        self._ports = ports
        self.keyed = all(getattr(port, "keyed", False) for port in ports)

    def startListening(self) -> None:
        pass

    def stopListening(self) -> Deferred[Any]:
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])

    def getHost(self) -> IAddress:
        return self._ports[0].getHost()

    def report(self) -> Iterator[State]:
        for port in self._ports:
            yield from reportOf(port)

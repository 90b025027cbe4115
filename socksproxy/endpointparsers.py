"""
What endpoint strings of ours mean.

Every Twisted program loads the plugins that lead here, so that nothing else
is imported before an endpoint is asked for.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

TLS_SERVER = "tcp+tls"
"""
The prefix of TLS servers. Twisted's own C{tls:} reads a folder of
certificates, and no authority for clients.
"""


PROXIED_CLIENT = "proxied"
"""
The prefix of clients that go through proxies.
"""

KCP = "kcp"
"""
The prefix of streams in sessions of KCP, on both sides.
"""

TUNNEL = "tunnel"
"""
The prefix of streams in connections in TLS, on both sides.
"""


def tlsServer(reactor: Any, *args: str, **parameters: str) -> IStreamServerEndpoint:
    """
    Read C{tcp+tls:PORT:certificate=PATH[:privateKey=PATH][:clientCA=PATH]
    [:interface=ADDRESS][:backlog=NUMBER]}.

    @param reactor: The reactor.
    @param args: The port.
    @param parameters: The rest.
    @raise TypeError: Something is missing, or means nothing.
    @raise ValueError: Something that should be a number is none.
    @raise ConfigurationError: A file cannot be used.
    """
    from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint

    from socksproxy.tls import serverTLS, wrapTLSServer

    given = _named(args, parameters, "port")
    _checkNames(
        TLS_SERVER,
        given,
        required=("port", "certificate"),
        optional=("privateKey", "clientCA", "interface", "backlog"),
    )
    creator = serverTLS(given["certificate"], given.get("privateKey"), given.get("clientCA"))
    interface = given.get("interface", "")
    endpoint = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    port = _number(given, "port", 0)
    return wrapTLSServer(
        reactor, endpoint(reactor, port, _number(given, "backlog", 50), interface), creator
    )


def proxiedClient(reactor: Any, *args: str, **parameters: str) -> IStreamClientEndpoint:
    """
    Read C{proxied:HOST:PORT:via=URL[:passwordFile=PATH]}.

    @param reactor: The reactor.
    @param args: Host and port.
    @param parameters: The rest. C{via} is as for C{--via}, and
        C{passwordFile} has in its first line the password of those proxies
        whose URLs name a user without one.
    @raise TypeError: Something is missing, or means nothing.
    @raise ValueError: The port is no number.
    @raise ConfigurationError: A URL or a file cannot be used.
    @raise LocalProtocolError: Host or port is none.
    """
    from socksproxy.client.endpoint import destinationFor
    from socksproxy.dns.resolver import BoundedResolver
    from socksproxy.outbound.hops import Chain
    from socksproxy.outbound.proxyurl import chainFromURLs, withPassword

    given = _named(args, parameters, "host", "port")
    _checkNames(PROXIED_CLIENT, given, required=("host", "port", "via"), optional=("passwordFile",))
    hops = chainFromURLs(given["via"])
    if "passwordFile" in given:
        hops = withPassword(hops, given["passwordFile"])
    resolver = BoundedResolver(reactor, reactor.nameResolver)
    destination = destinationFor(given["host"], _number(given, "port", 0))
    return Chain(reactor, hops, resolver).endpointTo(destination)


def kcpServer(reactor: Any, *args: str, **parameters: str) -> IStreamServerEndpoint:
    """
    Read C{kcp:PORT[-PORT]:keyFile=PATH} and kcptun's parameters.

    @param reactor: The reactor.
    @param args: The port, or the first and the last of some.
    @param parameters: See L{tunnelFrom<socksproxy.kcp.kcptun.tunnelFrom>}.
    @raise TypeError: The port is missing, or something stands there twice.
    @raise ConfigurationError: A parameter cannot be.
    """
    from socksproxy.kcp.kcptun import portsFrom, serverEndpoint, tunnelFrom

    given = _named(args, parameters, "port")
    ports = portsFrom(_taken(KCP, given, "port"), least=0)
    return serverEndpoint(reactor, ports, tunnelFrom(given))


def kcpClient(reactor: Any, *args: str, **parameters: str) -> IStreamClientEndpoint:
    """
    Read C{kcp:HOST:PORT[-PORT]:keyFile=PATH} and kcptun's parameters.

    @see: L{kcpServer}
    """
    from socksproxy.kcp.kcptun import clientEndpoint, portsFrom, tunnelFrom

    given = _named(args, parameters, "host", "port")
    host = _taken(KCP, given, "host")
    ports = portsFrom(_taken(KCP, given, "port"), least=1)
    return clientEndpoint(reactor, host, ports, tunnelFrom(given))


def tunnelServer(reactor: Any, *args: str, **parameters: str) -> IStreamServerEndpoint:
    """
    Read C{tunnel:PORT:certificate=PATH} with what else C{tcp+tls:} takes, and
    kcptun's parameters for streams: many streams in one connection in TLS.

    @see: L{tlsServer}
    """
    from socksproxy.smux.endpoints import MuxServerEndpoint
    from socksproxy.smux.parameters import MUX, muxFrom

    given = _named(args, parameters, "port")
    _checkNames(
        TUNNEL,
        given,
        required=("port", "certificate"),
        optional=("privateKey", "clientCA", "interface", "backlog", *MUX),
    )
    mux, compress = muxFrom(given, compress=False)
    rest = {name: value for name, value in given.items() if name not in MUX}
    return MuxServerEndpoint(reactor, tlsServer(reactor, **rest), mux, compress)


def tunnelClient(reactor: Any, *args: str, **parameters: str) -> IStreamClientEndpoint:
    """
    Read C{tunnel:HOST:PORT[:ca=PATH][:pin=FINGERPRINT][:certificate=PATH]
    [:privateKey=PATH]}, and kcptun's parameters for streams and for a client's
    sessions.

    @see: L{tunnelServer}
    """
    from socksproxy.client.endpoint import destinationFor
    from socksproxy.outbound.hops import directEndpoint
    from socksproxy.smux.endpoints import MuxClientEndpoint
    from socksproxy.smux.parameters import MUX, POOL, muxFrom, poolFrom
    from socksproxy.tls import clientTLS, wrapTLSClient

    given = _named(args, parameters, "host", "port")
    tls = ("ca", "pin", "certificate", "privateKey")
    _checkNames(TUNNEL, given, required=("host", "port"), optional=(*tls, *MUX, *POOL))
    mux, compress = muxFrom(given, compress=False)
    pool = poolFrom(given)
    destination = destinationFor(given["host"], _number(given, "port", 0))
    creator = clientTLS(
        destination.host,
        given.get("ca"),
        given.get("certificate"),
        given.get("privateKey"),
        [given["pin"]] if "pin" in given else (),
    )
    carrier = wrapTLSClient(reactor, directEndpoint(reactor, destination), creator)
    return MuxClientEndpoint(reactor, carrier, mux, compress, **pool)


def _taken(prefix: str, given: dict[str, str], name: str) -> str:
    """
    Take a parameter out.
    """
    if not given.get(name):
        raise TypeError(f"{prefix}: needs {name}=")
    return given.pop(name)


def _named(args: tuple[str, ...], parameters: dict[str, str], *names: str) -> dict[str, str]:
    """
    Give all parameters by their names.

    @param names: Those that may stand without.
    """
    if len(args) > len(names):
        raise TypeError(f"{args[len(names)]} stands there without a name")
    positional = dict(zip(names, args, strict=False))
    twice = positional.keys() & parameters.keys()
    if twice:
        raise TypeError(f"{min(twice)} is given twice")
    return {**positional, **parameters}


def _checkNames(
    prefix: str, given: dict[str, str], required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    for name in required:
        if not given.get(name):
            raise TypeError(f"{prefix}: needs {name}=")
    for name, value in given.items():
        if name not in required + optional:
            raise TypeError(f"{name} means nothing for {prefix}:")
        if not value and name != "interface":
            raise TypeError(f"{name}= is empty")


def _number(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} is no number: {text}")
    return int(text)

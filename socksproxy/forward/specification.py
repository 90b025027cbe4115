r"""
What C{--forward} says::

    tcp:8080:interface=127.0.0.1,tcp:db.example.com:5432
    udp:5353:interface=127.0.0.1,udp:192.0.2.53:53

A server endpoint, a comma and a client endpoint. A comma that belongs to one
of the two, in a path say, is written C{\,}. That changes nothing for either,
since Twisted reads any character after a backslash as itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from socksproxy.address import Destination, Host, hostFromName, hostFromText
from socksproxy.errors import BadName, ConfigurationError
from socksproxy.policy.rules import isHost

Arguments = tuple[list[str], dict[str, str]]
"""
Positional and named arguments of an endpoint string, its kind among them.
"""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile("[0-9]{1,5}")


@dataclass(frozen=True)
class StreamForward:
    """
    Connections to forward.

    @ivar server: The endpoint string of where they come in.
    @ivar client: The endpoint string of where they go to.
    @ivar target: The same, if it is a host and a port of TCP and nothing more
        is said of it.
    @ivar timeout: Seconds for connecting, where the client endpoint says
        that.
    @ivar tls: They go there in Twisted's TLS.
    """

    server: str
    client: str
    target: Destination | None
    timeout: float | None = None
    tls: bool = False


@dataclass(frozen=True)
class DatagramForward:
    """
    Datagrams to forward.

    @ivar server: The description of where they come in.
    @ivar client: The description of where they go to.
    @ivar interface: The local address to listen on, empty for any of IPv4.
    @ivar port: The local port; 0 leaves the choice to the kernel.
    @ivar target: Where they go to.
    """

    server: str
    client: str
    interface: str
    port: int
    target: Destination


Forward = StreamForward | DatagramForward


def forwardFromText(text: str) -> Forward:
    """
    Read the value of a C{--forward}.

    @raise ConfigurationError: It is none.
    """
    ends = [end.strip() for end in _split(text, ",")]
    if len(ends) != 2 or not all(ends):
        raise ConfigurationError(
            r"give a server endpoint, one comma and a client endpoint; any other comma is \,"
        )
    server, client = ends
    kinds = [_kindOf(end) for end in ends]
    if kinds == ["udp", "udp"]:
        interface, port = _localPort(argumentsOf(server))
        return DatagramForward(server, client, interface, port, _datagramTarget(client))
    if "udp" in kinds:
        raise ConfigurationError("udp stands on both sides or on neither")
    if kinds[0] == "haproxy":
        raise ConfigurationError("haproxy: is for --listen only")
    tls = kinds[1] in ("tls", "ssl")
    return StreamForward(server, client, _tcpTarget(client), _timeoutOf(client), tls)


def argumentsOf(description: str) -> Arguments:
    """
    Take an endpoint string apart, as Twisted does.
    """
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in _split(description, ":"):
        name, *values = (_plain(piece) for piece in _split(part, "="))
        if values:
            named[name] = "=".join(values)
        else:
            positional.append(name)
    return positional, named


def _split(text: str, separator: str) -> list[str]:
    """
    Split a text where a separator stands that is not escaped. What is escaped
    stays so.
    """
    parts = [""]
    characters = iter(text)
    for character in characters:
        if character == separator:
            parts.append("")
        else:
            parts[-1] += character
            if character == "\\":
                parts[-1] += next(characters, "")
    return parts


def _plain(text: str) -> str:
    """
    Take the backslashes away.
    """
    return _ESCAPED.sub(r"\1", text)


def _kindOf(description: str) -> str:
    return _plain(_split(description, ":")[0]).lower()


def _bound(names: Sequence[str], arguments: Arguments) -> dict[str, str] | None:
    """
    Give arguments by name: positional ones take the names that are left, in
    their order.

    @return: L{None} if there are too many of them, or others.
    """
    (_, *positional), named = arguments
    left = [name for name in names if name not in named]
    if len(positional) > len(left) or not named.keys() <= set(names):
        return None
    return {**named, **dict(zip(left, positional, strict=False))}


def _portFrom(text: str, least: int) -> int:
    """
    @raise ConfigurationError: It is none.
    """
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= 65535:
        raise ConfigurationError(f"{text or 'nothing'} is no port")
    return int(text)


def _localPort(arguments: Arguments) -> tuple[str, int]:
    """
    Read C{udp:PORT:interface=ADDRESS}.
    """
    found = _bound(("port", "interface"), arguments)
    if found is None or "port" not in found:
        raise ConfigurationError("a server of datagrams is udp:PORT or udp:PORT:interface=ADDRESS")
    interface = found.get("interface", "")
    if interface and hostFromText(interface) is None:
        raise ConfigurationError(f"{interface} is no address to listen on")
    return interface, _portFrom(found["port"], 0)


def _datagramTarget(client: str) -> Destination:
    """
    Read C{udp:HOST:PORT}.
    """
    found = _bound(("host", "port"), argumentsOf(client))
    if found is None or len(found) != 2:
        raise ConfigurationError("a target of datagrams is udp:HOST:PORT")
    try:
        host: Host = hostFromName(found["host"].encode())
    except (BadName, UnicodeError):
        raise ConfigurationError(f"{found['host'] or 'nothing'} is no host") from None
    if not isinstance(host, str) and not isHost(host):
        raise ConfigurationError(f"{host} is not the address of a host")
    return Destination(host, _portFrom(found["port"], 1))


def _tcpTarget(client: str) -> Destination | None:
    """
    Read C{tcp:HOST:PORT}. What says anything else, or says it in a form that
    is no name of ours, is left to Twisted.
    """
    if _kindOf(client) != "tcp":
        return None
    found = _bound(("host", "port"), argumentsOf(client))
    if found is None or len(found) != 2:
        return None
    port = _portFrom(found["port"], 1)
    try:
        return Destination(hostFromName(found["host"].encode()), port)
    except (BadName, UnicodeError):
        return None


def _timeoutOf(client: str) -> float | None:
    _, named = argumentsOf(client)
    timeout = named.get("timeout", "")
    return float(timeout) or None if _NUMBER.fullmatch(timeout) else None

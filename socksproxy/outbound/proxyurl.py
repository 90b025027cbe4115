"""
Proxies as URLs name them::

    socks5h://user:password@proxy.example.com:1080

C{socks5h} and C{socks4a} send names to the proxy as they are, C{socks5} and
C{socks4} look them up here, as curl has it. C{http} and C{https} are CONNECT,
and C{+tls} after a kind of SOCKS puts it into TLS. Certificates are told in
the query: C{ca}, C{certificate}, C{privateKey} and C{pin}. A proxy on a UNIX
socket is C{socks5h://unix:/path}.

C{socks5h+kcp} and C{socks5h+tunnel} reach the proxy by a stream of the endpoint
strings C{kcp:} and C{tunnel:}, whose parameters stand in the query. The proxy's
answers are not waited for there, unless the query has C{eager=no}.

C{ss} and what begins with it are servers of Shadowsocks, see
L{socksproxy.shadowsocks.url}.

Proxies that are gone through one after the other are joined by commas, and
between alternatives for one of them stands a C{|}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_to_bytes, urlsplit

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import BadName, ConfigurationError
from socksproxy.shadowsocks.url import ShadowsocksURL, isShadowsocks, shadowsocksFromURL

DEFAULT_PORTS = {
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
    "http": 1080,
    "https": 443,
}
"""
The kinds of proxies, and their ports, which are curl's.
"""

_LONGEST_LINE = 4096
_LOCAL_NAMES = ("socks4", "socks5")
_TLS_OPTIONS = ("ca", "certificate", "privateKey", "pin")

_PARAMETER = re.compile("[A-Za-z][A-Za-z0-9]*")

CARRIERS = {"kcp": 29900, "tunnel": 443}
"""
What proxies are reached by besides TCP and TLS, and its usual ports.
"""


@dataclass(frozen=True)
class ProxyURL:
    """
    One proxy. Neither C{str} nor C{repr} shows its password.

    @ivar kind: A key of L{DEFAULT_PORTS}, or C{ss}.
    @ivar address: Where it is, or L{None} for a UNIX socket.
    @ivar path: The path of the UNIX socket.
    @ivar username: Who we are, if we have to say so.
    @ivar password: The password that goes with it.
    @ivar tls: It is spoken to in TLS.
    @ivar tlsOptions: Paths and fingerprints, by their names in the query.
    @ivar carrier: A key of L{CARRIERS}, or nothing.
    @ivar carrierOptions: Its parameters, as endpoint strings have them.
    @ivar eager: The proxy's answers are not waited for.
    @ivar shadowsocks: The rest of what a link to a server of Shadowsocks says.
    """

    kind: str
    address: Destination | None
    path: str = ""
    username: bytes | None = None
    password: bytes | None = field(default=None, repr=False)
    tls: bool = False
    tlsOptions: tuple[tuple[str, str], ...] = ()
    carrier: str = ""
    carrierOptions: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    eager: bool = False
    shadowsocks: ShadowsocksURL | None = None

    def __str__(self) -> str:
        if self.shadowsocks is not None:
            return str(self.shadowsocks)
        user = "" if self.username is None else "***@"
        where = f"unix:{self.path}" if self.address is None else str(self.address)
        tls = "+tls" if self.tls and self.kind != "https" else ""
        carrier = f"+{self.carrier}" if self.carrier else ""
        return f"{self.kind}{tls}{carrier}://{user}{where}"

    @property
    def resolvesHere(self) -> bool:
        """
        Names are looked up before they are sent to it.
        """
        return self.kind in _LOCAL_NAMES


def proxyFromURL(text: str) -> ProxyURL:
    """
    Read the URL of a proxy.

    @raise ConfigurationError: It is none; the text shows no password.
    """
    if isShadowsocks(text):
        return _serverFrom(shadowsocksFromURL(text))
    try:
        parts = urlsplit(text)
        return _proxyFrom(parts)
    except _Unreadable as e:
        raise ConfigurationError(f"a proxy URL cannot be read: {e}") from None
    except ValueError:
        # It would be repeated, and may be the password.
        raise ConfigurationError("a proxy URL cannot be read: it is malformed") from None


def chainFromURLs(text: str) -> list[list[ProxyURL]]:
    """
    Read a chain: hops joined by commas, alternatives by C{|}.

    @raise ConfigurationError: One of them is none.
    """
    hops = [[proxyFromURL(url.strip()) for url in hop.split("|")] for hop in text.split(",")]
    if any(proxy.address is None for hop in hops[1:] for proxy in hop):
        raise ConfigurationError("only the first proxy of a chain can be on a UNIX socket")
    return hops


def withPassword(hops: Sequence[Sequence[ProxyURL]], path: str) -> list[list[ProxyURL]]:
    """
    Give those proxies a password whose URLs name a user without one.

    @param hops: As from L{chainFromURLs}.
    @param path: The file that has the password in its first line.
    @raise ConfigurationError: It cannot be read, or nobody needs it.
    """
    try:
        with open(path, "rb") as file:
            # A password has at most 255 octets, and the file may be anything.
            password = file.readline(_LONGEST_LINE).rstrip(b"\r\n")
    except OSError as e:
        raise ConfigurationError(f"password file {path}: {e.strerror}") from None
    if not any(_needsPassword(proxy) for hop in hops for proxy in hop):
        raise ConfigurationError(f"password file {path}: no proxy names a user without a password")
    completed = []
    for hop in hops:
        for proxy in filter(_needsPassword, hop):
            try:
                _checkCredentials(proxy.kind, proxy.username, password)
            except _Unreadable as e:
                raise ConfigurationError(f"password file {path}: {e}") from None
        completed.append(
            [replace(proxy, password=password) if _needsPassword(proxy) else proxy for proxy in hop]
        )
    return completed


def _serverFrom(server: ShadowsocksURL) -> ProxyURL:
    """
    @raise ConfigurationError: It is a link that only a server can have.
    """
    if server.users or server.address.port == 0:
        raise ConfigurationError("an ss:// link to go through has a port, and no users")
    return ProxyURL(
        "ss",
        server.address,
        carrier=server.carrier,
        carrierOptions=server.carrierOptions,
        shadowsocks=server,
    )


def _needsPassword(proxy: ProxyURL) -> bool:
    return proxy.username is not None and proxy.password is None


class _Unreadable(ValueError):
    """
    Says what is wrong without a word of the URL that may be secret.
    """


def _proxyFrom(parts: SplitResult) -> ProxyURL:
    """
    @raise ValueError: Something is wrong with it.
    """
    kind, _, security = parts.scheme.partition("+")
    if kind not in DEFAULT_PORTS or security not in ("", "tls", *CARRIERS) or not parts.netloc:
        raise _Unreadable(f"it has to begin with one of {', '.join(DEFAULT_PORTS)}, ss and ://")
    if security and kind in ("http", "https"):
        raise _Unreadable("HTTP in TLS is https")
    if security in CARRIERS:
        return _carriedFrom(parts, kind, security)
    options = tuple(parse_qsl(parts.query, strict_parsing=True)) if parts.query else ()
    tls = kind == "https" or security == "tls"
    names = [name for name, _ in options if name != "pin"]
    if not tls and options:
        raise _Unreadable("certificates are for TLS")
    if len(set(names)) < len(names) or not set(names) <= set(_TLS_OPTIONS):
        raise _Unreadable(f"in its query there are {', '.join(_TLS_OPTIONS)} only, and once")
    if parts.fragment:
        raise _Unreadable("nothing may follow a #")
    onUNIX = parts.hostname == "unix" and parts.path not in ("", "/")
    if not onUNIX and parts.path not in ("", "/"):
        raise _Unreadable("a path is only for UNIX sockets")
    address = None if onUNIX else _addressFrom(parts, DEFAULT_PORTS[kind])
    path = unquote(parts.path) if onUNIX else ""
    if onUNIX and (parts.port is not None or "\0" in path):
        raise _Unreadable("a UNIX socket has a path only")
    username = None if parts.username is None else unquote_to_bytes(parts.username)
    password = None if parts.password is None else unquote_to_bytes(parts.password)
    _checkCredentials(kind, username, password)
    return ProxyURL(kind, address, path, username, password, tls, options)


def _carriedFrom(parts: SplitResult, kind: str, carrier: str) -> ProxyURL:
    """
    @raise ValueError: Something is wrong with it.
    """
    if not kind.startswith("socks5"):
        raise _Unreadable(f"what is reached by {carrier} is SOCKS5")
    if parts.fragment or parts.path not in ("", "/"):
        raise _Unreadable("nothing may follow the port but a query")
    pairs = _parametersIn(parts.query)
    options = dict(pairs)
    if len(options) < len(pairs) or not all(_PARAMETER.fullmatch(name) for name in options):
        raise _Unreadable("in its query there are parameters with names, each of them once")
    eager = options.pop("eager", "yes")
    if eager not in ("yes", "no"):
        raise _Unreadable("eager is yes or no")
    username = None if parts.username is None else unquote_to_bytes(parts.username)
    password = None if parts.password is None else unquote_to_bytes(parts.password)
    _checkCredentials(kind, username, password)
    return ProxyURL(
        kind,
        _addressFrom(parts, CARRIERS[carrier]),
        username=username,
        password=password,
        carrier=carrier,
        carrierOptions=tuple(sorted(options.items())),
        eager=eager == "yes",
    )


def _parametersIn(query: str) -> list[tuple[str, str]]:
    """
    Split a query so that nothing of a key gets lost: a plus is a plus here.

    @raise ValueError: It is malformed, or what stands there is the end of a
        password that has a question mark in it.
    """
    if "@" in query:
        raise _Unreadable("user, password and query have to be percent-encoded")
    if not query:
        return []
    return parse_qsl(
        query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True, errors="strict"
    )


def _checkCredentials(kind: str, username: bytes | None, password: bytes | None) -> None:
    """
    Refuse what could not be sent.
    """
    username = username or b""
    if kind.startswith("socks4"):
        if password is not None:
            raise _Unreadable("SOCKS4 has no password")
        if b"\0" in username:
            raise _Unreadable("the user name holds a NUL")
    if kind.startswith("socks") and (len(username) > 255 or len(password or b"") > 255):
        raise _Unreadable("the user name or the password is longer than 255 octets")
    if kind.startswith("http") and b":" in username:
        raise _Unreadable("the user name holds a colon")


def _addressFrom(parts: SplitResult, defaultPort: int) -> Destination:
    port = defaultPort if parts.port is None else parts.port
    if not parts.hostname or port == 0:
        raise _Unreadable("host or port is missing")
    try:
        return Destination(hostFromName(parts.hostname.encode()), port)
    except BadName:
        raise _Unreadable("the host is no host name") from None

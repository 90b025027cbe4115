"""
URLs of name servers::

    tcp://192.0.2.53
    tcp://dns.example.com                        through a proxy, which knows where that is
    tls://dns.example.com?address=192.0.2.53     with a certificate for that name
    https://dns.example.com/dns-query?address=192.0.2.53
    udp://192.0.2.53:5353
    system                                       as all other programs here look names up

With C{ca} in its query, TLS trusts the authorities in that file and no others;
with C{pin}, the certificates with these fingerprints.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from socksproxy.address import Destination, Host, IPAddress, hostFromName, hostFromText
from socksproxy.errors import BadName, ConfigurationError

SYSTEM = "system"

DEFAULT_PORTS = {"tcp": 53, "udp": 53, "tls": 853, "https": 443}
"""
Ports, by what URLs begin with.
"""

DEFAULT_PATH = "/dns-query"
"""
The path of a URL of HTTPS that has none.
"""

_OPTIONS = ("address", "ca", "pin")


@dataclass(frozen=True, slots=True)
class UpstreamURL:
    """
    A name server.

    @ivar kind: A key of L{DEFAULT_PORTS}, or L{SYSTEM}.
    @ivar host: Its name or address.
    @ivar port: Its port.
    @ivar path: What HTTP asks for.
    @ivar address: Where it is, if the host does not say.
    @ivar ca: The path of the authorities to trust.
    @ivar pins: Fingerprints of the certificates to trust.
    """

    kind: str
    host: Host = ""
    port: int = 0
    path: str = ""
    address: IPAddress | None = None
    ca: str | None = None
    pins: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == SYSTEM:
            return SYSTEM
        isUsual = self.port == DEFAULT_PORTS[self.kind]
        return f"{self.kind}://{self.bare if isUsual else self.authority}{self.path}"

    @property
    def bare(self) -> str:
        """
        Give the host as URLs have it.
        """
        return str(Destination(self.host, 0)).removesuffix(":0")

    @property
    def authority(self) -> str:
        """
        Give the host and the port as URLs have them.
        """
        return str(Destination(self.host, self.port))

    @property
    def destination(self) -> Destination:
        """
        Give what is connected to.
        """
        return Destination(self.host if self.address is None else self.address, self.port)


def upstreamFromURL(text: str) -> UpstreamURL:
    """
    Read the URL of a name server.

    @raise ConfigurationError: It is none; the text says why.
    """
    if text == SYSTEM:
        return UpstreamURL(SYSTEM)
    try:
        return _upstreamFrom(urlsplit(text))
    except ConfigurationError as e:
        raise ConfigurationError(f"{text!r} is no name server: {e}") from None
    except ValueError:
        raise ConfigurationError(f"{text!r} is no name server: it is malformed") from None


def _upstreamFrom(parts: SplitResult) -> UpstreamURL:
    """
    @raise ConfigurationError: Something is wrong with it.
    @raise ValueError: Python cannot read it.
    """
    kind = parts.scheme
    if kind not in DEFAULT_PORTS:
        raise ConfigurationError(
            f"it is not {SYSTEM} and does not begin with one of {', '.join(DEFAULT_PORTS)} and ://"
        )
    if "@" in parts.netloc or parts.fragment:
        raise ConfigurationError("there is no user, and nothing may follow a #")
    port = DEFAULT_PORTS[kind] if parts.port is None else parts.port
    if not parts.hostname or port == 0:
        raise ConfigurationError("host or port is missing")
    try:
        host = hostFromName(parts.hostname.encode())
    except BadName as e:
        raise ConfigurationError(f"its host is {e}") from None
    path = parts.path if parts.path != "/" else ""
    if kind == "https":
        path = path or DEFAULT_PATH
        if not all(0x21 <= ord(character) <= 0x7E for character in path):
            raise ConfigurationError("its path has to be percent-encoded")
    elif path:
        raise ConfigurationError("a path is for https only")
    return _withOptions(UpstreamURL(kind, host, port, path), parts.query)


def _withOptions(url: UpstreamURL, query: str) -> UpstreamURL:
    """
    @raise ConfigurationError: Something is wrong with them.
    @raise ValueError: Python cannot read them.
    """
    pairs = parse_qsl(query, strict_parsing=True) if query else []
    options = {name: value for name, value in pairs if name != "pin"}
    pins = tuple(value for name, value in pairs if name == "pin")
    if len(options) + len(pins) < len(pairs) or not set(options) <= set(_OPTIONS):
        raise ConfigurationError(f"in its query there are {', '.join(_OPTIONS)} only, and once")
    ca = options.get("ca")
    if (ca is not None or pins) and url.kind not in ("tls", "https"):
        raise ConfigurationError("certificates are for tls and https")
    address = None
    if "address" in options:
        address = hostFromText(options["address"])
        if address is None:
            raise ConfigurationError(f"{options['address']!r} is no address")
        if not isinstance(url.host, str):
            raise ConfigurationError("its host is an address already")
    return UpstreamURL(url.kind, url.host, url.port, url.path, address, ca, pins)

"""
Shadowsocks servers as links name them (SIP002)::

    ss://YWVzLTI1Ni1nY206c2VjcmV0@server.example.com:8388#home
    ss://2022-blake3-aes-128-gcm:xpttZuU3yeIamMR49ooB6g%3D%3D@server.example.com:8388

Before the C{@} stand method and password: percent-encoded with a colon between
them, or both together in URL-safe base64, which the editions of 2022 do not
allow. The old form, all of it in base64, is read and never written. Of the query
C{plugin} is the standard's; these are ours, and other programs ignore them:

  - C{passwordFile}: a file that holds the password, instead of the link;
  - C{users}: a file of the users of a server (see L{socksproxy.shadowsocks.users});
  - C{weak}: C{yes} lets a weak password pass.

C{ss+kcp} and C{ss+tunnel} put the stream into a stream of the endpoint strings
C{kcp:} and C{tunnel:}, whose parameters stand in the query, too.

@see: U{https://shadowsocks.org/doc/sip002.html}
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import BadName, ConfigurationError

SCHEMES = {"ss": "", "ss+kcp": "kcp", "ss+tunnel": "tunnel"}
"""
The schemes, and what carries their streams.
"""

LONGEST = 16384
"""
Characters of the longest link that is read.
"""

_OWN = ("passwordFile", "users", "weak")
_AUTHORITY = re.compile(r"(?P<user>[^/?#]*)@(?P<host>\[[^]]*\]|[^:/?#@]*):(?P<port>[0-9]{1,5})")
_REST = re.compile(r"/?(?:\?(?P<query>[^#]*))?(?:#(?P<tag>.*))?", re.DOTALL)
_PARAMETER = re.compile("[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True)
class ShadowsocksURL:
    """
    One server, to go to or to be. Neither C{str} nor C{repr} shows its
    password.

    @ivar method: As it is written; see
        L{methodNamed<socksproxy.shadowsocks._methods.methodNamed>}.
    @ivar password: The password, or keys with colons between them.
    @ivar address: Where it is.
    @ivar plugin: The program that carries its streams, if there is one.
    @ivar pluginOptions: What the plugin is told, as the link has it.
    @ivar tag: What people call it.
    @ivar passwordFile: The path of a file with the password.
    @ivar users: The path of a file with a server's users.
    @ivar weak: A weak password may pass.
    @ivar carrier: C{kcp}, C{tunnel}, or nothing.
    @ivar carrierOptions: Its parameters, as endpoint strings have them.
    """

    method: str
    password: str = field(repr=False)
    address: Destination
    plugin: str = ""
    pluginOptions: str = field(default="", repr=False)
    tag: str = ""
    passwordFile: str = ""
    users: str = ""
    weak: bool = False
    carrier: str = ""
    carrierOptions: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        carrier = f"+{self.carrier}" if self.carrier else ""
        return f"ss{carrier}://***@{self.address}"

    @property
    def link(self) -> str:
        """
        The link as other programs read it, password and all.
        """
        if self.method.startswith("2022-"):
            user = f"{quote(self.method, safe='')}:{quote(self.password, safe='')}"
        else:
            user = urlsafe_b64encode(f"{self.method}:{self.password}".encode()).decode().rstrip("=")
        plugin = ";".join(filter(None, (self.plugin, self.pluginOptions)))
        query = f"/?plugin={quote(plugin, safe='')}" if plugin else ""
        tag = f"#{quote(self.tag, safe='')}" if self.tag else ""
        return f"ss://{user}@{self.address}{query}{tag}"


def isShadowsocks(text: str) -> bool:
    """
    Tell whether a URL is meant to be such a link.
    """
    return text.partition("://")[0].lower() in SCHEMES


def shadowsocksFromURL(text: str) -> ShadowsocksURL:
    """
    Read a link.

    @raise ConfigurationError: It is none; the text shows nothing of it.
    """
    try:
        return _read(text)
    except _Unreadable as e:
        raise ConfigurationError(f"an ss:// link cannot be read: {e}") from None
    except ValueError:
        # It would be repeated, and may be the password.
        raise ConfigurationError("an ss:// link cannot be read: it is malformed") from None


class _Unreadable(ValueError):
    """
    Says what is wrong without a word of the link that may be secret.
    """


def _read(text: str) -> ShadowsocksURL:
    """
    @raise ValueError: Something is wrong with it.
    """
    scheme, _, rest = text.partition("://")
    carrier = SCHEMES.get(scheme.lower())
    if carrier is None:
        raise _Unreadable("it has to begin with ss://")
    if len(text) > LONGEST:
        raise _Unreadable("it is too long")
    authority = _AUTHORITY.match(rest)
    if authority is None and not carrier:
        rest = _withoutOldForm(rest)
        authority = _AUTHORITY.match(rest)
    if authority is None:
        raise _Unreadable("it is ss://METHOD:PASSWORD@HOST:PORT, percent-encoded")
    end = _REST.fullmatch(rest, authority.end())
    if end is None:
        raise _Unreadable("nothing may follow the port but a query and a tag")
    method, password = _userFrom(authority["user"])
    options = _optionsIn(end["query"] or "")
    plugin, _, pluginOptions = options.pop("plugin", "").partition(";")
    if "prefix" in options and not carrier:
        raise _Unreadable("a prefix makes salts that can be guessed, and is not supported")
    own = {name: options.pop(name, "") for name in _OWN}
    if own["weak"] not in ("", "yes", "no"):
        raise _Unreadable("weak is yes or no")
    if carrier and not all(_PARAMETER.fullmatch(name) for name in options):
        raise _Unreadable("in its query there are parameters with names")
    if carrier and plugin:
        raise _Unreadable("a plugin and a tunnel are one too many")
    return ShadowsocksURL(
        method=method.lower(),
        password=password,
        address=_addressFrom(authority["host"], int(authority["port"])),
        plugin=plugin,
        pluginOptions=pluginOptions,
        tag=unquote(end["tag"] or ""),
        passwordFile=own["passwordFile"],
        users=own["users"],
        weak=own["weak"] == "yes",
        carrier=carrier,
        carrierOptions=tuple(sorted(options.items())) if carrier else (),
    )


def _withoutOldForm(rest: str) -> str:
    """
    Turn a link of which everything was in base64 into one of now.

    @raise ValueError: It is none either.
    """
    encoded, mark, tag = rest.partition("#")
    user, at, place = _decoded(encoded.rstrip("/")).rpartition("@")
    if not at:
        raise _Unreadable("it is ss://METHOD:PASSWORD@HOST:PORT, percent-encoded")
    return f"{quote(user, safe=':')}@{place}{mark}{tag}"


def _userFrom(user: str) -> tuple[str, str]:
    """
    Split what stands before the host.

    @return: Method and password.
    @raise ValueError: It is neither of the two forms.
    """
    if ":" in user:
        method, _, password = user.partition(":")
        method, password = _unquoted(method), _unquoted(password)
    else:
        method, colon, password = _decoded(_unquoted(user)).partition(":")
        if not colon:
            raise _Unreadable("before the @ there are a method and a password")
        if method.lower().startswith("2022-"):
            raise _Unreadable("the methods of 2022 are percent-encoded, and not in base64")
    if not method:
        raise _Unreadable("the method is missing")
    return method, password


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode()


def _decoded(text: str) -> str:
    """
    Read base64 of either alphabet, with or without its padding.

    @raise ValueError: It is none.
    """
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        if "-" in text or "_" in text:
            return urlsafe_b64decode(padded).decode()
        return b64decode(padded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _Unreadable("before the @ there is neither base64 nor METHOD:PASSWORD") from None


def _optionsIn(query: str) -> dict[str, str]:
    """
    Split a query so that nothing of a key gets lost: a plus is a plus here.

    @raise ValueError: It is malformed, or what stands there is the end of a
        password that has a question mark in it.
    """
    if "@" in query:
        raise _Unreadable("password and query have to be percent-encoded")
    if not query:
        return {}
    pairs = parse_qsl(
        query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True, errors="strict"
    )
    options = dict(pairs)
    if len(options) < len(pairs):
        raise _Unreadable("in its query each parameter may be once")
    return options


def _addressFrom(host: str, port: int) -> Destination:
    if not host or port > 65535:
        raise _Unreadable("host or port is missing")
    try:
        return Destination(hostFromName(unquote(host).encode()), port)
    except BadName:
        raise _Unreadable("the host is no host name") from None

"""
What to type in place of another program of Shadowsocks with a certain
configuration::

    imported = importConfiguration({"server": "1.2.3.4", "server_port": 8388, ...})
    print(imported.command)

It may be that of one server, as shadowsocks-libev and shadowsocks-rust have it,
or a list of servers (SIP008). Passwords never get into the command. Whatever has
no counterpart here, or means something else, is named.

@see: U{https://shadowsocks.org/doc/sip008.html}
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from socksproxy.address import Destination, hostFromName
from socksproxy.errors import BadName, ConfigurationError
from socksproxy.shadowsocks._methods import methodNamed

CLIENT, SERVER = "client", "server"
PASSWORD_FILE = "shadowsocks.key"  # noqa: S105
MAX_SERVERS = 256

_SERVERS = {"server", "server_port", "password", "key", "method", "plugin", "plugin_opts"}
_LOCAL = {"local_address", "local_port"}

IGNORED: Mapping[str, str] = {
    "timeout": "connections that stand still are given up after two hours and ten minutes",
    "udp_timeout": "associations that stand still are given up after 300 s",
    "udp_max_associations": "there is a bound of our own",
    "fast_open": "there is no TCP Fast Open",
    "no_delay": "small pieces are never waited with",
    "reuse_port": "one process listens",
    "ipv6_first": "addresses are tried in turns, as RFC 8305 has it",
    "prefer_ipv6": "addresses are tried in turns, as RFC 8305 has it",
    "nofile": "the limit of the system counts",
    "user": "twistd has --uid for it",
    "nameserver": "the system looks names up, or --dns does",
    "dns": "the system looks names up, or --dns does",
    "acl": "there are no such lists",
    "plugin_args": "a plugin has options only",
    "plugin_mode": "datagrams go beside a plugin",
    "online_config": "fetch it yourself, and import what comes",
    "id": "it is for people",
    "remarks": "it is for people",
    "version": "it is the file's",
    "bytes_used": "it is for people",
    "bytes_remaining": "it is for people",
}
"""
What there is no counterpart to, and why.
"""


@dataclass(frozen=True)
class Import:
    """
    What came of a configuration.

    @ivar options: The options of C{twistd socksproxy}.
    @ivar remarks: What is different, and what is left to do, each for a
        person.
    @ivar secrets: What the password files are to hold, by their paths.
    """

    options: tuple[str, ...]
    remarks: tuple[str, ...]
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> str:
        """
        The command for a shell.
        """
        return shlex.join(("twistd", "-n", "socksproxy", *self.options))


def isConfiguration(document: Mapping[str, Any]) -> bool:
    """
    Tell whether a JSON object is a configuration of Shadowsocks.
    """
    return "servers" in document or "server_port" in document or "method" in document


def importConfiguration(
    document: Mapping[str, Any], role: str | None = None, passwordFile: str = PASSWORD_FILE
) -> Import:
    """
    Translate a configuration.

    @param document: What was read.
    @param role: L{CLIENT} or L{SERVER}, or L{None} to see it: who has a local
        port, or several servers, is a client.
    @param passwordFile: The path that the password is to be read from; of
        several servers the others get a number after it.
    @raise ConfigurationError: It cannot be.
    """
    return _Translation(document, role, passwordFile).result()


class _Translation:
    """
    A configuration on its way.
    """

    def __init__(self, document: Mapping[str, Any], role: str | None, passwordFile: str) -> None:
        self._document = document
        servers = document.get("servers")
        several = servers is not None
        self._client = (role or (CLIENT if several or _LOCAL & set(document) else SERVER)) == CLIENT
        self._servers = [document] if servers is None else servers
        self._passwordFile = passwordFile
        self._remarks: list[str] = []
        self._secrets: dict[str, str] = {}

    def result(self) -> Import:
        """
        Translate.
        """
        servers = self._servers
        if not isinstance(servers, list) or not 0 < len(servers) <= MAX_SERVERS:
            raise ConfigurationError(f"servers is a list of 1 to {MAX_SERVERS} of them")
        links: list[str] = []
        for number, server in enumerate(servers):
            if not isinstance(server, Mapping):
                raise ConfigurationError("a server is a JSON object")
            links += self._links(server, number)
            self._rest(server)
        if self._document not in servers:
            self._rest(self._document)
        if not links:
            raise ConfigurationError("no server in it can be used")
        if not self._client:
            options = [word for link in links for word in ("--shadowsocks", link)]
        else:
            options = ["--listen", self._listener(), "--via", "|".join(links)]
            if len(links) > 1:
                self._remark("servers", "the first is used while it works, and then the next")
        return Import(tuple(options), tuple(dict.fromkeys(self._remarks)), self._secrets)

    def _remark(self, name: str, text: str) -> None:
        self._remarks.append(f"{name}: {text}")

    def _links(self, server: Mapping[str, Any], number: int) -> list[str]:
        """
        Write the links of one entry, which may have several addresses.

        @raise ConfigurationError: It is none; one of several is left out.
        """
        try:
            method = methodNamed(_text(server, "method"))
            if "key" in server:
                raise ConfigurationError("a key is not supported: give both sides a password")
            secret = _text(server, "password")
            if not secret:
                raise ConfigurationError("password is empty")
            addresses = self._addressesOf(server)
        except ConfigurationError as e:
            if len(self._servers) == 1:
                raise
            self._remark(f"server {number + 1}", f"left out: {e}")
            return []
        path = self._passwordFile + (f".{number + 1}" if number else "")
        self._secrets[path] = secret
        query = [("passwordFile", path)]
        if server.get("plugin"):
            plugin = ";".join(
                filter(None, (_text(server, "plugin"), _text(server, "plugin_opts", "")))
            )
            query.append(("plugin", plugin))
        if server.get("users"):
            self._remark("users", "write their names and keys to a file, see the manual: users=")
        mode = _text(server, "mode", "tcp_and_udp" if self._client else "tcp_only")
        if mode != "tcp_and_udp":
            self._remark("mode", f"{mode} is not there: streams and datagrams are served together")
        parameters = "&".join(f"{name}={quote(value, safe='/')}" for name, value in query)
        return [f"ss://{method.name}:@{address}?{parameters}" for address in addresses]

    def _addressesOf(self, server: Mapping[str, Any]) -> list[Destination]:
        hosts = server.get("server")
        port = _port(server, "server_port")
        return [
            Destination(_host("server", host), port)
            for host in (hosts if isinstance(hosts, list) and hosts else [hosts])
        ]

    def _listener(self) -> str:
        port = _port(self._document, "local_port") if "local_port" in self._document else 1080
        host = _text(self._document, "local_address", "127.0.0.1")
        interface = re.sub(r"([\\:=])", r"\\\1", str(_host("local_address", host)))
        return f"tcp:{port}:interface={interface}"

    def _rest(self, server: Mapping[str, Any]) -> None:
        known = {*_SERVERS, *_LOCAL, "mode", "users", "servers"}
        for name in server:
            if name in IGNORED:
                self._remark(name, f"left out: {IGNORED[name]}")
            elif name in _LOCAL and not self._client:
                self._remark(name, "left out: it is a client's")
            elif name not in known:
                self._remark(name, "left out: it is not known")


def _text(server: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = server.get(name, default)
    if value is None:
        raise ConfigurationError(f"{name} is missing")
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} has to be text")
    return value


def _port(server: Mapping[str, Any], name: str) -> int:
    value = server.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        # shadowsocks-libev takes it so, too.
        value = int(value)
    if type(value) is not int or not 0 < value < 65536:
        raise ConfigurationError(f"{name} has to be a port")
    return value


def _host(name: str, value: object) -> Any:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} has to be a host")
    try:
        return hostFromName(value.encode("utf-8", "replace"))
    except BadName:
        raise ConfigurationError(f"{name} has to be a host") from None

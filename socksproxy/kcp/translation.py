"""
What to type in place of kcptun with a certain configuration::

    imported = importConfiguration({"listen": ":29900", "key": "secret"})
    print(imported.command)

The key never gets into the command. Whatever has no counterpart here, or means
something else, is named.

@see: U{https://github.com/xtaci/kcptun}
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from socksproxy.address import hostFromText
from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import MODES
from socksproxy.kcp.crypt import CIPHERS
from socksproxy.kcp.kcptun import MAX_PORTS, portsFrom, tunnelFrom

CLIENT, SERVER = "client", "server"

ROLES: Mapping[str, tuple[str, str]] = {
    CLIENT: ("localaddr", "remoteaddr"),
    SERVER: ("listen", "target"),
}
"""
What says where connections come in and where they go to, in each role.
"""

DEFAULT_KEY = "it's a secrect"
KEY_FILE = "kcptun.key"

BOTH = (
    *("mtu", "sndwnd", "rcvwnd", "datashard", "parityshard", "ratelimit", "dscp", "sockbuf"),
    *("smuxver", "smuxbuf", "framesize", "streambuf", "keepalive"),
)
"""
Numbers that mean the same here.
"""

CLIENTS = ("conn", "autoexpire", "scavengettl")
"""
Those of a client only.
"""

MANUAL = ("nodelay", "interval", "resend", "nc")
SWITCHES = ("nocomp", "acknodelay")
UNSUPPORTED = ("tcp", "qpp")

IGNORED: Mapping[str, str] = {
    "qpp-count": "it counts with qpp only",
    "closewait": "the end of one direction is passed on, and the other goes on",
    "log": "twistd has --logfile for it",
    "snmplog": "there is no such file",
    "snmpperiod": "there is no such file",
    "quiet": "a connection is one line in the log, when it ends",
    "pprof": "nothing listens for profilers",
}
"""
What there is no counterpart to, and why.
"""

KEYS = frozenset(
    (
        *("key", "crypt", "mode", *ROLES[CLIENT], *ROLES[SERVER]),
        *(*BOTH, *CLIENTS, *MANUAL, *SWITCHES, *UNSUPPORTED, *IGNORED),
    )
)
"""
All that kcptun knows.
"""

_PLACES = {
    "localaddr": ":12948",
    "remoteaddr": "vps:29900",
    "listen": ":29900",
    "target": "127.0.0.1:12948",
}
_WINDOWS = {"sndwnd": 128, "rcvwnd": 512}

# What kcp-go makes of other numbers in mode manual.
_CLAMPED = {"nodelay": (0, 1), "interval": (10, 5000), "resend": (0, 65535), "nc": (0, 1)}

# With these, whether a number can be does not depend on any other one.
_ROOM = {"datashard": "0", "parityshard": "0", "smuxbuf": str(1 << 30), "streambuf": "4096"}

_ADDRESS = re.compile(r"(?:\[([^][]*)\]|([^][:]*)):([^][:]*)")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Import:
    """
    What came of a configuration.

    @ivar forward: What C{--forward} is to be.
    @ivar remarks: What is different, and what is left to do, each for a
        person.
    @ivar key: The key, or L{None} if there is none in it.
    """

    forward: str
    remarks: tuple[str, ...]
    key: bytes | None = field(repr=False)

    @property
    def command(self) -> str:
        """
        The command for a shell.
        """
        return shlex.join(("twistd", "-n", "socksproxy", "--forward", self.forward))


def importConfiguration(
    settings: Mapping[str, Any], role: str | None = None, keyFile: str = KEY_FILE
) -> Import:
    """
    Translate a configuration. Where it says nothing kcptun's defaults count.

    @param settings: Values by their keys, in lower case, no C{null} among them.
    @param role: One of L{ROLES}, or L{None} to see it in the addresses.
    @param keyFile: The path that the key is to be read from.
    @raise ConfigurationError: It cannot be.
    """
    return _Translation(settings, role or _roleOf(settings), keyFile).result()


def _roleOf(settings: Mapping[str, Any]) -> str:
    found = [role for role, places in ROLES.items() if any(place in settings for place in places)]
    if len(found) != 1:
        raise ConfigurationError(
            "it may be a client's or a server's configuration: say which with --role"
        )
    return found[0]


class _Translation:
    """
    A configuration on its way.
    """

    def __init__(self, settings: Mapping[str, Any], role: str, keyFile: str) -> None:
        self._settings = settings
        self._client = role == CLIENT
        self._places = ROLES[role]
        self._remarks: list[str] = []
        # Parameters of kcp: in their order.
        self._given: dict[str, str] = {"keyFile": keyFile}

    def result(self) -> Import:
        """
        Translate.
        """
        key = self._key()
        inner, outer = self._places if self._client else self._places[::-1]
        there = self._kcp(outer)
        here = self._stream(inner)
        self._crypt()
        numbers = self._mode()
        for name in (*BOTH, *CLIENTS) if self._client else BOTH:
            self._take(name, self._number(name))
        for name in MANUAL:
            self._take(name, numbers.get(name))
        for name in SWITCHES:
            if self._switch(name):
                self._given[name] = "yes"
        self._defaults()
        self._rest()
        # One that is right by itself may not go with another.
        tunnelFrom({"key": "-", **{n: v for n, v in self._given.items() if n != "keyFile"}})
        parameters = (f"{name}={_escaped(value)}" for name, value in self._given.items())
        there = ":".join((there, *parameters))
        ends = (here, there) if self._client else (there, here)
        return Import(",".join(ends), tuple(self._remarks), key)

    def _remark(self, name: str, text: str) -> None:
        self._remarks.append(f"{name}: {text}")

    def _text(self, name: str, default: str) -> str:
        value = self._settings.get(name, default)
        if not isinstance(value, str):
            raise ConfigurationError(f"{name} has to be text")
        # What JSON can write and UTF-8 cannot, kcptun reads as this.
        return _SURROGATE.sub("\ufffd", value)

    def _number(self, name: str) -> int | None:
        value = self._settings.get(name)
        if value is not None and type(value) is not int:
            raise ConfigurationError(f"{name} has to be a whole number")
        return value

    def _switch(self, name: str) -> bool:
        value = self._settings.get(name, False)
        if not isinstance(value, bool):
            raise ConfigurationError(f"{name} has to be true or false")
        return value

    def _take(self, name: str, value: int | None) -> None:
        """
        Give a number, if it can be here.
        """
        if value is None:
            return
        try:
            tunnelFrom({"key": "-", "mode": "manual", **_ROOM, name: str(value)})
        except ConfigurationError as e:
            self._remark(name, f"left out: {e}")
        else:
            self._given[name] = str(value)

    def _key(self) -> bytes | None:
        path = self._given["keyFile"]
        if "key" not in self._settings:
            self._remark(
                "key",
                f"the file has none: write to {path} what kcptun has from --key or KCPTUN_KEY. If"
                " it has none, its key is its default, which is public: give both sides another",
            )
            return None
        key = self._text("key", "")
        if not key:
            raise ConfigurationError("key is empty")
        if key == DEFAULT_KEY:
            self._remark("key", "it is kcptun's default, which is public: give both sides another")
        return key.encode()

    def _stream(self, name: str) -> str:
        """
        Give the endpoint string of where plain connections are.
        """
        text = self._text(name, _PLACES[name])
        match = _ADDRESS.fullmatch(text)
        if match is None:
            return f"unix:{_escaped(text)}"
        host, ports = match[1] or match[2], _ports(name, match[3])
        if len(ports) > 1:
            raise ConfigurationError(f"{name} is {text} and has to have one port")
        if not self._client:
            return f"tcp:{_escaped(host or '127.0.0.1')}:{ports[0]}"
        if host:
            return f"tcp:{ports[0]}:interface={_escaped(_interface(name, host))}"
        self._remark(
            name,
            r"others than this machine can connect, over IPv4; interface=127.0.0.1 keeps them out,"
            r" and with interface=\:\: it is IPv6 too",
        )
        return f"tcp:{ports[0]}"

    def _kcp(self, name: str) -> str:
        """
        Give the beginning of the endpoint string of where KCP is spoken.
        """
        text = self._text(name, _PLACES[name])
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"{name} is {text!r} and has to be HOST:PORT")
        host, ports = match[1] or match[2], match[3]
        first, dash, last = ports.partition("-")
        if self._client:
            if name not in self._settings:
                self._remark(name, "the file has none, and kcptun's default stands for a name")
            if dash and _isAbove(first, last):
                last = str(int(first) + MAX_PORTS - 1)
                ports = f"{first}-{last}"
                self._remark(name, f"only the first {MAX_PORTS} ports are used")
            _ports(name, ports)
            return f"kcp:{_escaped(host or '127.0.0.1')}:{ports}"
        _ports(name, ports)
        if host:
            self._given["interface"] = _interface(name, host)
        return f"kcp:{ports}"

    def _crypt(self) -> None:
        if "crypt" not in self._settings:
            return
        name = self._text("crypt", "")
        if name not in CIPHERS:
            self._remark("crypt", f"{name!r} is no cipher, and kcptun silently takes aes instead")
            name = "aes"
        elif name in ("aes-128-gcm", "null"):
            since = "June 2022" if name == "null" else "December 2025"
            self._remark("crypt", f"kcptun has {name} since {since}, and takes aes before")
        self._given["crypt"] = name

    def _mode(self) -> dict[str, int]:
        """
        Give the mode, and tell the numbers that count in it.
        """
        mode = self._text("mode", "fast")
        numbers = {name: n for name in MANUAL if (n := self._number(name)) is not None}
        if mode in MODES:
            if "mode" in self._settings:
                self._given["mode"] = mode
            for name in numbers:
                self._remark(name, f"left out: in mode {mode} kcptun does not look at it either")
            return {}
        if mode != "manual":
            self._remark("mode", f"{mode!r} is none, and kcptun takes it for manual")
        self._given["mode"] = "manual"
        for name, (low, high) in _CLAMPED.items():
            if name in numbers:
                numbers[name] = min(max(numbers[name], low), high)
        return numbers

    def _defaults(self) -> None:
        """
        Say what counts where the file says nothing.
        """
        if self._client:
            for name, segments in _WINDOWS.items():
                if name not in self._settings:
                    self._given[name] = str(segments)
                    self._remark(
                        name, f"{segments} is kcptun's default; it is 1024 here, for longer lines"
                    )
            if "smuxver" not in self._settings:
                self._remark(
                    "smuxver",
                    "2 is the default here and of kcptun since November 2025. Before, and in"
                    " Debian, it is 1: a server of those needs smuxver=1",
                )
        if "nocomp" not in self._given:
            self._remark("nocomp", "compression needs: pip install 'twisted-socksproxy[snappy]'")

    def _rest(self) -> None:
        for name in UNSUPPORTED:
            if self._switch(name):
                self._remark(name, "not supported: the other side has to do without it")
            elif name in self._settings:
                self._remark(name, "left out: not supported, and off")
        others = () if self._client else CLIENTS
        for name in self._settings:
            if name in IGNORED:
                self._remark(name, f"left out: {IGNORED[name]}")
            elif name in others or (name in _PLACES and name not in self._places):
                self._remark(name, "left out: it is for the other side")
            elif name not in KEYS:
                self._remark(name, "left out: kcptun does not know it either")


def _ports(name: str, text: str) -> Sequence[int]:
    try:
        return portsFrom(text, least=1)
    except ConfigurationError as e:
        raise ConfigurationError(f"{name}: {e}") from None


def _isAbove(first: str, last: str) -> bool:
    """
    Tell whether it is more ports than there can be here.
    """
    known = all(text.isascii() and text.isdigit() and len(text) < 6 for text in (first, last))
    return known and int(last) - int(first) >= MAX_PORTS


def _interface(name: str, host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    if hostFromText(host) is None:
        raise ConfigurationError(f"{name} is on {host!r} and has to be on a numeric address")
    return host


def _escaped(text: str) -> str:
    """
    Write a text so that it is one argument in an endpoint string in
    C{--forward}.
    """
    return re.sub(r"([\\:=,])", r"\\\1", text)

"""
kcptun's parameters, under its own names and with its own defaults, except that
there is no default key.

@see: U{https://github.com/xtaci/kcptun}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import MODES, KCPConfig
from socksproxy.kcp.crypt import CIPHERS, DEFAULT_SALT, deriveKey
from socksproxy.smux.config import SmuxConfig

MANUAL = KCPConfig(interval=50, resend=0, congestion="window")
"""
The mode in which C{nodelay}, C{interval}, C{resend} and C{nc} count.
"""


@dataclass(frozen=True)
class Tunnel:
    """
    What both ends of a tunnel are told.

    @ivar key: The secret.
    @ivar salt: What it is derived with.
    @ivar crypt: The cipher.
    @ivar config: Of KCP.
    @ivar mux: Of the streams in it.
    @ivar compress: Whether all of it is compressed.
    @ivar interface: The local address, empty for any.
    @ivar sockbuf: Octets of the socket's buffers.
    @ivar dscp: What routers are told of the datagrams.
    @ivar conn: Sessions of a client.
    @ivar autoexpire: Seconds until a client's session gets no new streams.
    @ivar scavengettl: Seconds after that until it is closed.
    """

    key: bytes = field(repr=False)
    salt: bytes = DEFAULT_SALT
    crypt: str = "aes"
    config: KCPConfig = MODES["fast"]
    mux: SmuxConfig = SmuxConfig()
    compress: bool = True
    interface: str = ""
    sockbuf: int = 4 * 1024 * 1024
    dscp: int = 0
    conn: int = 1
    autoexpire: int = 0
    scavengettl: int = 600


def tunnelFrom(given: Mapping[str, str]) -> Tunnel:
    """
    Read parameters.

    @param given: Texts by their names in kcptun, and C{keyFile}, C{salt},
        C{interface}, C{congestion}, C{pacing}, C{adaptive} and C{acktwice}.
        Booleans are C{yes} and C{no}.
    @raise ConfigurationError: One of them is unknown or cannot be; keys are
        not shown.
    """
    unknown = sorted(given.keys() - PARAMETERS)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} means nothing for kcp:")
    values = {name: _READERS.get(name, str)(text) for name, text in given.items()}
    crypt = values.get("crypt", "aes")
    if crypt not in CIPHERS:
        raise ConfigurationError(f"crypt is {crypt!r} and has to be of {', '.join(CIPHERS)}")
    tunnel = Tunnel(_keyFrom(values), crypt=crypt, config=_configFrom(values))
    mux = {name: values[name] for name in _MUX if name in values}
    if "smuxver" in values:
        mux["version"] = values["smuxver"]
    try:
        tunnel = replace(tunnel, mux=replace(tunnel.mux, **mux))
    except ValueError as e:
        raise ConfigurationError(str(e)) from None
    plain = {name: values[name] for name in _TUNNEL if name in values}
    if "salt" in values:
        plain["salt"] = values["salt"].encode()
    if "nocomp" in values:
        plain["compress"] = not values["nocomp"]
    deriveKey(tunnel.key, tunnel.salt)
    return replace(tunnel, **plain)


def _keyFrom(values: Mapping[str, Any]) -> bytes:
    if ("key" in values) == ("keyFile" in values):
        raise ConfigurationError("kcp: needs key= or keyFile=, and not both")
    if "key" in values:
        key: bytes = values["key"].encode("utf-8", "surrogateescape")
        return key
    path = values["keyFile"]
    try:
        with open(path, "rb") as file:
            read = file.read(MAX_KEY).rstrip(b"\r\n")
    except OSError as e:
        raise ConfigurationError(f"key file {path}: {e.strerror}") from None
    if not read:
        raise ConfigurationError(f"key file {path}: is empty")
    return read


def _configFrom(values: Mapping[str, Any]) -> KCPConfig:
    mode = values.get("mode", "fast")
    settings = {name: values[name] for name in _CONFIG if name in values}
    if mode in MODES:
        # As in kcptun, where a mode leaves nothing to say of these.
        for name in ("nodelay", "interval", "resend", "nc"):
            if name in values:
                raise ConfigurationError(f"{name} counts with mode=manual only")
        return replace(MODES[mode], **settings)
    if mode != "manual":
        raise ConfigurationError(f"mode is {mode!r} and has to be of {', '.join(MODES)}, manual")
    if "nc" in values and "congestion" not in values:
        settings["congestion"] = "none" if values["nc"] else "window"
    for name in ("nodelay", "interval", "resend"):
        if name in values:
            settings[name] = values[name]
    return replace(MANUAL, **settings)


def _number(name: str, low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ConfigurationError(f"{name} is {text or 'empty'} and has to be {low} to {high}")
        return int(text)

    return read


def _yesOrNo(name: str) -> Callable[[str], bool]:
    def read(text: str) -> bool:
        if text not in ("yes", "no"):
            raise ConfigurationError(f"{name} is {text or 'empty'} and has to be yes or no")
        return text == "yes"

    return read


MAX_KEY = 65536

_CONFIG = (
    "mtu",
    "sndwnd",
    "rcvwnd",
    "datashard",
    "parityshard",
    "acknodelay",
    "ratelimit",
    "congestion",
    "pacing",
    "adaptive",
    "acktwice",
)
_MUX = ("framesize", "smuxbuf", "streambuf", "keepalive")
_TUNNEL = ("interface", "sockbuf", "dscp", "conn", "autoexpire", "scavengettl")

_NUMBERS = {
    "mtu": (50, 1500),
    "sndwnd": (1, 65535),
    "rcvwnd": (1, 65535),
    "datashard": (0, 255),
    "parityshard": (0, 255),
    "ratelimit": (0, 1 << 40),
    "nodelay": (0, 1),
    "interval": (10, 5000),
    "resend": (0, 65535),
    "nc": (0, 1),
    "smuxver": (1, 2),
    "smuxbuf": (65536, 1 << 30),
    "framesize": (1, 65535),
    "streambuf": (4096, 1 << 30),
    "keepalive": (1, 30),
    "sockbuf": (4096, 1 << 30),
    "dscp": (0, 63),
    "conn": (1, 256),
    "autoexpire": (0, 1 << 30),
    "scavengettl": (0, 1 << 30),
}
_FLAGS = ("nocomp", "acknodelay", "pacing", "adaptive", "acktwice")
_TEXTS = ("key", "keyFile", "salt", "crypt", "mode", "congestion", "interface")

_READERS: dict[str, Callable[[str], Any]] = {
    **{name: _number(name, low, high) for name, (low, high) in _NUMBERS.items()},
    **{name: _yesOrNo(name) for name in _FLAGS},
}

PARAMETERS = frozenset((*_NUMBERS, *_FLAGS, *_TEXTS))
"""
All names.
"""

"""
Settings as endpoint strings give them: texts, under kcptun's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from socksproxy.errors import ConfigurationError
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig

Reader = Callable[[str, str], Any]
"""
Takes a parameter's name and its text, and gives its value.
"""

MAX_DIGITS = 32

PATIENCE = 3
"""
Signs of life that may be missing until a peer is dead. It is expected to give
them as often as we do.
"""


def number(low: int, high: int) -> Reader:
    """
    Make what reads whole numbers.

    @param low: The least; not negative.
    @param high: The greatest.
    """

    def read(name: str, text: str) -> int:
        # Python reads no numbers of thousands of digits.
        value = int(text) if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS else -1
        if not low <= value <= high:
            raise ConfigurationError(f"{name} is {text or 'empty'} and has to be {low} to {high}")
        return value

    return read


def yesOrNo(name: str, text: str) -> bool:
    """
    Read a boolean.

    @raise ConfigurationError: It is neither C{yes} nor C{no}.
    """
    if text not in ("yes", "no"):
        raise ConfigurationError(f"{name} is {text or 'empty'} and has to be yes or no")
    return text == "yes"


MUX: Mapping[str, Reader] = {
    "smuxver": number(1, 2),
    "smuxbuf": number(65536, 1 << 30),
    "framesize": number(1, 65535),
    "streambuf": number(4096, 1 << 30),
    "keepalive": number(1, 30),
    "nocomp": yesOrNo,
}
"""
What there is to say about streams.
"""

POOL: Mapping[str, Reader] = {
    "conn": number(1, 256),
    "autoexpire": number(0, 1 << 30),
    "scavengettl": number(0, 1 << 30),
}
"""
What there is to say about a client's sessions.
"""


def readAll(readers: Mapping[str, Reader], given: Mapping[str, str]) -> dict[str, Any]:
    """
    Read those parameters that are given.

    @raise ConfigurationError: One of them cannot be.
    """
    return {name: read(name, given[name]) for name, read in readers.items() if name in given}


def muxFrom(given: Mapping[str, str], compress: bool) -> tuple[SmuxConfig, bool]:
    """
    Read what is said about streams.

    @param given: All parameters; others do not matter.
    @param compress: Whether there is compression if nothing is said of it.
    @return: The settings, and whether there is compression.
    @raise ConfigurationError: Something of it cannot be.
    """
    values = readAll(MUX, given)
    compress = not values.pop("nocomp", not compress)
    if "smuxver" in values:
        values["version"] = values.pop("smuxver")
    if "keepalive" in values:
        patience = float(PATIENCE * values["keepalive"])
        values["keepaliveTimeout"] = max(DEFAULT_CONFIG.keepaliveTimeout, patience)
    return SmuxConfig(**values), compress


def poolFrom(given: Mapping[str, str]) -> dict[str, Any]:
    """
    Read what is said about a client's sessions, as
    L{MuxClientEndpoint<socksproxy.smux.endpoints.MuxClientEndpoint>} takes it.

    @raise ConfigurationError: Something of it cannot be.
    """
    values = readAll(POOL, given)
    if "conn" in values:
        values["sessions"] = values.pop("conn")
    return values

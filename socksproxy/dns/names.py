"""
Sets of names, written as patterns, and the names that addresses have.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeVar

from socksproxy.address import IPAddress, hostFromName
from socksproxy.errors import BadName, ConfigurationError

Value = TypeVar("Value")

_IPV4_ZONE = ".in-addr.arpa"
_IPV6_ZONE = ".ip6.arpa"
_OCTET = re.compile("0|[1-9][0-9]{0,2}")
_HEXADECIMAL = frozenset("0123456789abcdef")


class NameMap(Generic[Value]):
    """
    Values by patterns of names::

        |www.example.com    this name
        ||example.com       this name and all below it
        example.com         the same
        *.example.com       the same
        stun.*              names that begin with this label

    Where several match, the first kind counts before the others, and of two
    names the longer one. A look-up costs by the labels of the name, not by
    the number of patterns.
    """

    def __init__(self) -> None:
        self._exact: dict[str, Value] = {}
        self._suffixes: dict[str, Value] = {}
        self._firsts: dict[str, Value] = {}

    def __len__(self) -> int:
        return len(self._exact) + len(self._suffixes) + len(self._firsts)

    def add(self, pattern: str, value: Value) -> None:
        """
        Add a pattern; one that is there already keeps its value.

        @raise ConfigurationError: It is none.
        """
        values, name = self._placeOf(pattern)
        values.setdefault(_checked(name, pattern), value)

    def find(self, name: str) -> Value | None:
        """
        Give the value of the pattern that fits best.

        @param name: In lower case, without a dot at its end.
        """
        found = self._exact.get(name)
        if found is not None:
            return found
        if self._suffixes:
            for suffix in suffixesOf(name):
                found = self._suffixes.get(suffix)
                if found is not None:
                    return found
        if self._firsts:
            first, dot, _ = name.partition(".")
            if dot:
                return self._firsts.get(first)
        return None

    def _placeOf(self, pattern: str) -> tuple[dict[str, Value], str]:
        if pattern.startswith("||"):
            return self._suffixes, pattern[2:]
        if pattern.startswith("|"):
            return self._exact, pattern[1:]
        if pattern.endswith(".*") and "." not in pattern[:-2]:
            return self._firsts, pattern[:-2]
        return self._suffixes, pattern.removeprefix("*").removeprefix(".")


class NameSet:
    """
    Patterns of names, as L{NameMap} takes them.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """
        @raise ConfigurationError: One is no pattern.
        """
        self._map: NameMap[bool] = NameMap()
        for pattern in patterns:
            self.add(pattern)

    def __len__(self) -> int:
        return len(self._map)

    def __contains__(self, name: str) -> bool:
        return self._map.find(name) is not None

    def add(self, pattern: str) -> None:
        """
        Add a pattern.

        @raise ConfigurationError: It is none.
        """
        self._map.add(pattern, True)


def _checked(name: str, pattern: str) -> str:
    """
    Give a name of an administrator's its canonical form.
    """
    try:
        host = hostFromName(name.encode())
    except BadName as e:
        raise ConfigurationError(f"{pattern!r} is no pattern of names: {e}") from None
    if not isinstance(host, str):
        raise ConfigurationError(f"{pattern!r} is an address and no name")
    return host


def suffixesOf(name: str) -> Iterator[str]:
    """
    Give a name and those above it, but for the root's.
    """
    yield name
    while dot := name.find(".") + 1:
        name = name[dot:]
        yield name


def addressInName(name: str) -> IPAddress | None:
    """
    Give the address that a name for reverse look-ups is about.

    @param name: In lower case, without a dot at its end.
    @return: L{None} if it is another name, or that of a whole network.
    """
    if name.endswith(_IPV4_ZONE):
        parts = name.removesuffix(_IPV4_ZONE).split(".")
        if len(parts) != 4 or not all(map(_isOctet, parts)):
            return None
        return IPv4Address(bytes(map(int, reversed(parts))))
    if name.endswith(_IPV6_ZONE):
        parts = name.removesuffix(_IPV6_ZONE).split(".")
        if len(parts) != 32 or not all(len(p) == 1 and p in _HEXADECIMAL for p in parts):
            return None
        return IPv6Address(bytes.fromhex("".join(reversed(parts))))
    return None


def _isOctet(part: str) -> bool:
    return _OCTET.fullmatch(part) is not None and int(part) < 256

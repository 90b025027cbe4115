"""
Names whose addresses the administrator has written down, as in F{/etc/hosts}.

@see: L{socksproxy.dns.rules}
"""

from __future__ import annotations

from collections.abc import Iterator

from socksproxy.address import IPAddress, hostFromName, hostFromText
from socksproxy.errors import BadName, ConfigurationError


def linesOf(text: str) -> Iterator[tuple[int, list[str]]]:
    """
    Give what is on the lines of a file, without comments and empty lines.

    @return: The number of each line, and its words.
    """
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            yield number, words


class Hosts:
    """
    Addresses of names, and names of addresses.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, list[IPAddress]] = {}
        self._names: dict[IPAddress, list[str]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    @classmethod
    def read(cls, text: str) -> Hosts:
        """
        Read a hosts file::

            192.0.2.1  www.example.com  www  # the first one is its name

        @raise ConfigurationError: A line makes no sense; the text says which.
        """
        hosts = cls()
        for number, (written, *names) in linesOf(text):
            address = hostFromText(written)
            if address is None or not names:
                raise ConfigurationError(f"line {number}: not an address and its names")
            for name in names:
                try:
                    hosts.add(name, address)
                except BadName as e:
                    raise ConfigurationError(f"line {number}: {name!r} is {e}") from None
        return hosts

    def add(self, name: str, address: IPAddress) -> None:
        """
        Add an address of a name.

        @raise BadName: No host has such a name.
        """
        host = hostFromName(name.encode())
        if not isinstance(host, str):
            raise BadName("an address and no name")
        addresses = self._addresses.setdefault(host, [])
        if address not in addresses:
            addresses.append(address)
        names = self._names.setdefault(address, [])
        if host not in names:
            names.append(host)

    def addressesOf(self, name: str) -> tuple[IPAddress, ...]:
        """
        Give the addresses of a name, none if it is not here.
        """
        return tuple(self._addresses.get(name, ()))

    def namesOf(self, address: IPAddress) -> tuple[str, ...]:
        """
        Give the names of an address, in the order in which they were added.
        """
        return tuple(self._names.get(address, ()))

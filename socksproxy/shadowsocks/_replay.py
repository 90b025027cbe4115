"""
The salts of streams and datagrams that a server has taken, so that a recording
of one is not taken again.

A classic method has no clock, so that a recording is good for as long as the
salt is not remembered: as many as there is room for. One of 2022 has, and its
salts need to be remembered only while the time in it is near enough.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

from socksproxy.errors import ConfigurationError

GENERATION = 100_000
"""
Salts after which the older half of those of a classic method is forgotten.
"""

LIFETIME = 65.0
"""
Seconds that a salt of 2022 is remembered: a time that is 30 s before ours is
good for twice as long, to which comes what whole seconds and clocks lose.
"""

POOL = 500_000
"""
The most salts of 2022 that are remembered. With more of them nobody is let in:
to forget one too early would be worse.
"""

_DIGEST = 8
_MAGIC = b"shadowsocks salts 1\n"
_ENTRY = struct.Struct("!QB")


class Replay(Protocol):
    """
    What remembers salts.
    """

    def seen(self, salt: bytes) -> bool:
        """
        Tell whether a salt is remembered, or may have been.
        """

    def add(self, salt: bytes) -> None:
        """
        Remember a salt. It is to be that of a peer who has one of our keys:
        others could fill up the memory with noise.
        """


class SaltMemory:
    """
    Salts of a classic method. Of each there is a short hash, made with a key
    that nobody knows, and they are forgotten by generations.
    """

    def __init__(self, key: bytes, generation: int = GENERATION) -> None:
        """
        @param key: At most 64 random octets.
        @param generation: At least so many salts are remembered, and at most
            twice as many.
        """
        self._key = key
        self._generation = generation
        self._recent: set[bytes] = set()
        self._older: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def seen(self, salt: bytes) -> bool:
        """
        See L{Replay}.
        """
        digest = self._digest(salt)
        return digest in self._recent or digest in self._older

    def add(self, salt: bytes) -> None:
        """
        See L{Replay}.
        """
        if len(self._recent) >= self._generation:
            self._older, self._recent = self._recent, set()
        self._recent.add(self._digest(salt))

    def _digest(self, salt: bytes) -> bytes:
        return blake2b(salt, key=self._key, digest_size=_DIGEST).digest()


class SaltPool:
    """
    Salts of a method of 2022, each of them whole and for as long as it has to
    be: nobody is refused for a salt that only looks like another.
    """

    def __init__(
        self, clock: Callable[[], float], lifetime: float = LIFETIME, limit: int = POOL
    ) -> None:
        """
        @param clock: Gives seconds, since whenever, that never go backwards.
        @param lifetime: Seconds that a salt is remembered.
        @param limit: The most salts that are remembered.
        """
        self._clock = clock
        self._lifetime = lifetime
        self._limit = limit
        # When each is to be forgotten, the soonest first. Of a dict the first
        # could not be taken away quickly.
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def seen(self, salt: bytes) -> bool:
        """
        See L{Replay}.
        """
        self._forget()
        return salt in self._ends or len(self._ends) >= self._limit

    def add(self, salt: bytes) -> None:
        """
        See L{Replay}.
        """
        self._ends[salt] = self._clock() + self._lifetime

    def save(self, wallClock: float) -> bytes:
        """
        Write what is remembered, for the next start.

        @param wallClock: Seconds since 1970.
        """
        self._forget()
        now = self._clock()
        entries = [_MAGIC]
        for salt, end in self._ends.items():
            entries.append(_ENTRY.pack(max(0, int((wallClock + end - now) * 1000)), len(salt)))
            entries.append(salt)
        return b"".join(entries)

    def load(self, saved: bytes, wallClock: float) -> None:
        """
        Remember what L{save} has written, as far as that still matters.

        @param wallClock: Seconds since 1970.
        @raise ConfigurationError: It is nothing of that kind. Nothing has
            changed then.
        """
        loaded = [(end - wallClock, salt) for end, salt in _entries(saved)]
        now = self._clock()
        ends = dict(self._ends)
        for remaining, salt in loaded:
            if remaining > 0:
                end = now + min(remaining, self._lifetime)
                ends[salt] = max(end, ends.get(salt, end))
        self._ends = OrderedDict(sorted(ends.items(), key=lambda item: item[1]))

    def _forget(self) -> None:
        """
        Forget the salts whose time has come.
        """
        now = self._clock()
        while self._ends and next(iter(self._ends.values())) <= now:
            self._ends.popitem(last=False)


def _entries(saved: bytes) -> list[tuple[float, bytes]]:
    """
    Read what L{SaltPool.save} has written.

    @return: When each salt is to be forgotten, in seconds since 1970, and the
        salt.
    @raise ConfigurationError: It is nothing of that kind.
    """
    if not saved.startswith(_MAGIC):
        raise ConfigurationError("this does not hold salts of Shadowsocks")
    entries: list[tuple[float, bytes]] = []
    at = len(_MAGIC)
    while at < len(saved):
        start = at + _ENTRY.size
        if len(saved) < start:
            raise ConfigurationError("the salts of Shadowsocks end too early")
        end, length = _ENTRY.unpack_from(saved, at)
        at = start + length
        if len(saved) < at:
            raise ConfigurationError("the salts of Shadowsocks end too early")
        entries.append((end / 1000, saved[start:at]))
    return entries

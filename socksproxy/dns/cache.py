"""
Replies that are remembered, for as long as they may be, and a while longer for
when no name server can be reached.

What is put in or looked at last is at the end, so that the front is what can be
done without. Nothing here is timed: whether an entry is still good is seen when
it is looked at, and by a sweep that the owner does now and then.

@see: U{https://www.rfc-editor.org/rfc/rfc2308}
@see: U{https://www.rfc-editor.org/rfc/rfc8767}
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from socksproxy.dns._wire import ResponseCode
from socksproxy.dns.reply import Reply

MAX_LIFETIME = 86400
"""
Seconds for which anything is remembered at most.
"""

MAX_NEGATIVE_LIFETIME = 900
"""
Seconds for which it is remembered that there is no such name or record.
"""

FAILURE_LIFETIME = 5
"""
Seconds for which it is remembered that a name server has failed.
"""

STALE_LIFETIME = 3600
"""
Seconds for which an answer is kept that is out of date.
"""

STALE_TTL = 30
"""
Seconds for which a client may use an answer that is out of date (RFC 8767
section 4).
"""

SWEEP_INTERVAL = 60.0
"""
Seconds between two sweeps.
"""

MAX_ENTRIES = 10_000
MAX_OCTETS = 64 * 1024 * 1024

# What an entry takes besides its message, about.
_OVERHEAD = 1024

# A refresh is due in the last part of an entry's life.
_LAST_PART = 0.1


@dataclass(slots=True)
class Hit:
    """
    A reply that has been remembered.

    @ivar reply: The reply.
    @ivar age: Seconds since it was put in.
    @ivar ttl: What all of its TTLs are to be; L{None} if they are to be
        lowered by the age.
    @ivar refresh: It is asked for time and again and will soon be out of
        date: ask anew. This is said once.
    """

    reply: Reply
    age: int
    ttl: int | None
    refresh: bool


@dataclass(eq=False, slots=True)
class _Entry:
    """
    A reply and what has become of it.

    @ivar stored: When it was put in, in seconds.
    @ivar expires: When it is out of date.
    @ivar octets: Memory that it takes, about.
    @ivar hits: How often it has been used.
    @ivar refreshing: A refresh has been asked for.
    @ivar failedUntil: Until then there is no use in asking anew.
    """

    reply: Reply
    stored: float
    expires: float
    octets: int
    hits: int = 0
    refreshing: bool = False
    failedUntil: float = 0.0


def lifetimeOf(reply: Reply) -> int:
    """
    Tell for how many seconds a reply may be remembered.

    @return: 0 if it may not.
    """
    if reply.truncated:
        return 0
    if reply.code == ResponseCode.SERVFAIL:
        return FAILURE_LIFETIME
    if reply.code == ResponseCode.NOERROR and reply.hasAnswers:
        return min(reply.smallestTTL or 0, MAX_LIFETIME)
    if reply.code not in (ResponseCode.NOERROR, ResponseCode.NXDOMAIN):
        return 0
    if reply.negativeTTL is None:
        return 0
    lifetime = min(reply.negativeTTL, MAX_NEGATIVE_LIFETIME)
    # An alias of a name that does not exist may change sooner than that.
    return lifetime if reply.smallestTTL is None else min(lifetime, reply.smallestTTL)


class Cache:
    """
    Replies by what was asked.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        size: int = MAX_ENTRIES,
        octets: int = MAX_OCTETS,
        staleLifetime: float = STALE_LIFETIME,
    ) -> None:
        """
        @param seconds: Tells the time, which never goes back.
        @param size: Most entries.
        @param octets: Most memory for them, about.
        @param staleLifetime: Seconds for which entries are kept that are out
            of date.
        """
        self._seconds = seconds
        self._size = size
        self._capacity = octets
        self._octets = 0
        self._staleLifetime = staleLifetime
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Hit | None:
        """
        Look for an answer that need not be asked for.

        @param key: What was asked, and whom.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._seconds()
        left = entry.expires - now
        if left <= 0:
            if now < entry.failedUntil:
                return self.stale(key)
            return None
        self._entries.move_to_end(key)
        entry.hits += 1
        refresh = False
        if entry.hits > 1 and not entry.refreshing and now >= entry.failedUntil:
            refresh = entry.refreshing = left <= (entry.expires - entry.stored) * _LAST_PART
        return Hit(entry.reply, int(now - entry.stored), None, refresh)

    def stale(self, key: Hashable) -> Hit | None:
        """
        Look for an answer that may be out of date, since there is none to be
        had.

        @param key: What was asked, and whom.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._seconds()
        if _isFailure(entry.reply) or not self._isUsable(entry, now):
            return None
        self._entries.move_to_end(key)
        if now < entry.expires:
            return Hit(entry.reply, int(now - entry.stored), None, False)
        return Hit(entry.reply, int(now - entry.stored), STALE_TTL, False)

    def failed(self, key: Hashable) -> None:
        """
        Note that no answer could be had. What is remembered is used for a few
        seconds more, even if it is out of date, before that is tried again.

        @param key: What was asked, and whom.
        """
        entry = self._entries.get(key)
        if entry is not None and not _isFailure(entry.reply):
            entry.failedUntil = self._seconds() + FAILURE_LIFETIME
            entry.refreshing = False

    def put(self, key: Hashable, reply: Reply) -> bool:
        """
        Remember a reply, instead of the one that is remembered. One that says
        nothing of the name does not replace one that does, for as long as
        that can be used.

        @param key: What was asked, and whom.
        @return: Whether it is remembered.
        """
        now = self._seconds()
        lifetime = lifetimeOf(reply)
        entry = self._entries.get(key)
        if entry is not None:
            if not _isFinal(reply) and self._isUsable(entry, now):
                self.failed(key)
                return False
            self._forget(key)
        octets = len(reply.octets) + _OVERHEAD
        if lifetime <= 0 or octets > self._capacity:
            return False
        self._entries[key] = _Entry(reply, now, now + lifetime, octets)
        self._octets += octets
        while len(self._entries) > self._size or self._octets > self._capacity:
            self._forget(next(iter(self._entries)))
        return True

    def flush(self) -> None:
        """
        Forget everything.
        """
        while self._entries:
            self._forget(next(iter(self._entries)))

    def sweep(self) -> int:
        """
        Forget what is too old even for when nothing better is to be had.

        @return: How many entries that were.
        """
        now = self._seconds()
        gone = [key for key, entry in self._entries.items() if not self._isUsable(entry, now)]
        for key in gone:
            self._forget(key)
        return len(gone)

    def _isUsable(self, entry: _Entry, now: float) -> bool:
        """
        Tell whether an entry is good for when nothing better is to be had.
        """
        extra = 0.0 if _isFailure(entry.reply) else self._staleLifetime
        return now < entry.expires + extra

    def _forget(self, key: Hashable) -> None:
        self._octets -= self._entries.pop(key).octets


def _isFailure(reply: Reply) -> bool:
    return reply.code == ResponseCode.SERVFAIL


def _isFinal(reply: Reply) -> bool:
    """
    Tell whether a reply says what there is of a name.
    """
    return not reply.truncated and reply.code in (ResponseCode.NOERROR, ResponseCode.NXDOMAIN)

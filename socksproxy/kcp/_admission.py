"""
Which sessions a server begins, and which have to go when there are too many.

Who sends what a session begins with may have recorded it elsewhere, or invented
where it comes from. So the sessions that nobody has proved to be real make room
for others, those first from which nothing has come for longest.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

REMEMBERED = 4096
"""
Sessions that have ended and whose late datagrams begin no new one.
"""

REMEMBERED_FOR = 60_000
"""
Milliseconds since the last of them came.
"""

Key = tuple[tuple[str, int], bytes]
"""
The peer's host and port, and conv.
"""

Session = TypeVar("Session")


class Admission(Generic[Session]):
    """
    Counts the sessions of a server.
    """

    def __init__(self, most: int, mostPerHost: int) -> None:
        """
        @param most: Sessions at a time.
        @param mostPerHost: Sessions at a time with one host.
        """
        self._most = most
        self._mostPerHost = mostPerHost
        self._count = 0
        self._perHost: dict[str, int] = {}
        # What has been heard of last is at the end.
        self._unproven: OrderedDict[Session, None] = OrderedDict()
        self._past: OrderedDict[Key, int] = OrderedDict()

    def hasRoom(self, host: str) -> bool:
        """
        Whether another session may begin, perhaps in place of one.
        """
        if self._perHost.get(host, 0) >= self._mostPerHost:
            return False
        return self._count < self._most or bool(self._unproven)

    def inTheWay(self) -> Session | None:
        """
        Give the session that has to end before another begins, if one has to.
        """
        return None if self._count < self._most else next(iter(self._unproven), None)

    def began(self, key: Key, session: Session) -> None:
        """
        A session has begun.
        """
        (host, _), _ = key
        self._count += 1
        self._perHost[host] = self._perHost.get(host, 0) + 1
        self._unproven[session] = None

    def heard(self, session: Session, proven: bool) -> None:
        """
        Something has come for a session.

        @param proven: The peer is where it claims to be.
        """
        if session not in self._unproven:
            return
        if proven:
            del self._unproven[session]
        else:
            self._unproven.move_to_end(session)

    def ended(self, key: Key, session: Session, now: int) -> None:
        """
        A session has ended.

        @param now: Milliseconds.
        """
        (host, _), _ = key
        self._count -= 1
        self._perHost[host] -= 1
        if not self._perHost[host]:
            del self._perHost[host]
        self._unproven.pop(session, None)
        self.refuse(key, now)

    def refuse(self, key: Key, now: int) -> None:
        """
        Begin no session of this kind for a while.

        @param now: Milliseconds.
        """
        self._past[key] = now
        self._past.move_to_end(key)
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)

    def isPast(self, key: Key, now: int) -> bool:
        """
        Whether something comes late, which makes it come later still.

        @param now: Milliseconds.
        """
        time = self._past.get(key)
        if time is None:
            return False
        if now - time >= REMEMBERED_FOR:
            del self._past[key]
            return False
        self.refuse(key, now)
        return True

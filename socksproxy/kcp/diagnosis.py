"""
Saying in the log what is wrong with datagrams that are not answered, without
letting who sends them fill it.
"""

from collections import OrderedDict

from socksproxy.events import log

PERIOD = 1.0
"""
Seconds for which a source gets no second line.
"""

MAX_LINES = 16
"""
Lines in a period for all sources together.
"""

MAX_SOURCES = 1024
"""
Sources that are told apart.
"""


class Diagnosis:
    """
    Writes at most one line a second for each source.
    """

    def __init__(self) -> None:
        # What each source has sent since its last line, the latest line last.
        self._sources: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._began = 0.0
        self._lines = 0

    def report(self, now: float, host: str, port: int, reason: str, count: int) -> None:
        """
        Say something about datagrams.

        @param now: Seconds.
        @param host: Where they came from.
        @param reason: What is wrong with them, a fixed text.
        @param count: How many they are.
        """
        key = (host, reason)
        known = self._sources.get(key)
        unsaid = count
        if known is not None:
            said, before = known
            unsaid += before
            if now - said < PERIOD:
                self._sources[key] = (said, unsaid)
                return
        if now - self._began >= PERIOD:
            self._began = now
            self._lines = 0
        if self._lines >= MAX_LINES:
            return
        self._lines += 1
        if len(self._sources) >= MAX_SOURCES:
            self._sources.popitem(last=False)
        self._sources[key] = (now, 0)
        self._sources.move_to_end(key)
        log.warn(
            "KCP: {count} datagrams from {host} port {port}: {reason}",
            count=unsaid,
            host=host,
            port=port,
            reason=reason,
        )

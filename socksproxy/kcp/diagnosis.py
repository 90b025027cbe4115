"""
Saying in the log what is wrong with datagrams that are not answered, without
letting who sends them fill it.
"""

from collections import OrderedDict

from socksproxy.events import Ration, log

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
        self._sources: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._ration = Ration(MAX_LINES, PERIOD)

    def report(self, now: float, host: str, port: int, reason: str, count: int) -> None:
        """
        Say something about datagrams. What there is no line for is counted in
        the source's next one.

        @param now: Seconds.
        @param host: Where they came from.
        @param reason: What is wrong with them, a fixed text.
        @param count: How many they are.
        """
        known = self._sources.get(host)
        if known is not None:
            said, unsaid = known
            count += unsaid
        if (known is not None and now - said < PERIOD) or not self._ration.take(now):
            if known is not None:
                self._sources[host] = (said, count)
            return
        self._sources[host] = (now, 0)
        self._sources.move_to_end(host)
        if len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        log.warn(
            "KCP: {count} datagrams from {host} port {port}: {reason}",
            count=count,
            host=host,
            port=port,
            reason=reason,
        )

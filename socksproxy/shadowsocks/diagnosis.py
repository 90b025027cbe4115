"""
Saying in the log why clients are not understood, who are told nothing of it
themselves, without letting them fill it.
"""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.interfaces import IAddress

from socksproxy.events import Ration, log
from socksproxy.inbound.address import shownAddress, sourceOf
from socksproxy.shadowsocks._events import Reason, Refused

PERIOD = 1.0
"""
Seconds for which a source gets no second line.
"""

MAX_LINES = 16
"""
Lines in a period for all sources together: where datagrams come from can be
forged.
"""

MAX_SOURCES = 1024
"""
Sources that are told apart.
"""

_TEXTS = {
    Reason.SHORT: "its beginning came in pieces, or is too short",
    Reason.SEAL: "it is noise, or made with another method or password",
    Reason.REPLAY: "it has been here before, or would have been before our start",
    Reason.USER: "its key is none of our users'",
    Reason.HEADER: "its header makes no sense",
    Reason.ADDRESS: "its destination is none",
    Reason.CHUNK: "a chunk is longer than the method allows",
}


class Diagnosis:
    """
    Writes at most one line a second for each source.
    """

    def __init__(self, listener: str) -> None:
        """
        @param listener: How logs name the listener.
        """
        self._listener = listener
        self._sources: OrderedDict[str, Ration] = OrderedDict()
        self._all = Ration(MAX_LINES, PERIOD)

    def refused(self, now: float, what: str, peer: IAddress, refused: Refused) -> None:
        """
        Say what is wrong with something that is not answered.

        @param now: Seconds.
        @param what: A stream or a datagram.
        @param peer: Where it came from.
        @param refused: What is wrong.
        """
        source = sourceOf(peer)
        ration = self._sources.get(source)
        if ration is None:
            ration = Ration(1, PERIOD)
        if not ration.take(now) or not self._all.take(now):
            return
        self._sources[source] = ration
        self._sources.move_to_end(source)
        if len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        log.warn(
            "Shadowsocks: a {what} from {client} to {listener} is not answered: {reason}",
            what=what,
            client=shownAddress(peer),
            listener=self._listener,
            reason=reasonFor(refused),
        )


def reasonFor(refused: Refused) -> str:
    """
    Say what is wrong so that people know what to do about it.
    """
    skew = refused.skew
    if skew is not None:
        return f"its clock differs by {abs(skew)} s, {'ahead of' if skew > 0 else 'behind'} ours"
    return _TEXTS.get(refused.reason, refused.reason)

"""
Several name servers, of which one has to answer.

The first one is asked, and the next beside it when it fails or takes its time;
whoever answers first is heard. That one of them cannot or does not want to
answer (SERVFAIL, REFUSED and the like) counts only if nobody else does better.
Who has not said anything is asked a second time, as datagrams get lost.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from socksproxy.dns._wire import ResponseCode
from socksproxy.dns.asking import IUpstream, NoReply, reasonIn
from socksproxy.dns.message import Query
from socksproxy.dns.reply import Reply
from socksproxy.events import Ration, log

PATIENCE = (0.5, 1.5)
"""
Seconds between which the next name server is asked beside one that is silent.
"""

TOTAL = 5.0
"""
Seconds for an answer.
"""

ROUNDS = 2
"""
How often a name server is asked that stays silent.
"""

RETRY_AFTER = 60.0
"""
Seconds after which the first name server gets another chance to be asked first.
"""

_FINAL = (ResponseCode.NOERROR, ResponseCode.NXDOMAIN)


class UpstreamGroup:
    """
    Name servers that are as good as one another.
    """

    def __init__(
        self,
        clock: IReactorTime,
        upstreams: Sequence[IUpstream],
        chance: random.Random | None = None,
        patience: tuple[float, float] = PATIENCE,
        total: float = TOTAL,
    ) -> None:
        """
        @param clock: Time.
        @param upstreams: At least one, the favourite first.
        @param chance: What decides how long one is waited for.
        @param patience: Seconds between which that is.
        @param total: Seconds for an answer.
        """
        self.clock = clock
        self._lines = Ration()
        self.total = total
        self._upstreams = list(upstreams)
        self._chance = random.SystemRandom() if chance is None else chance
        self._patience = patience
        self._favourite = 0
        self._since = 0.0

    def __str__(self) -> str:
        return ", ".join(upstream.name for upstream in self._upstreams)

    def ask(self, query: Query) -> Deferred[Reply]:
        """
        Ask them.

        @return: The best that any of them says; fails with a L{NoReply} if
            none has answered in time. Cancelling gives it up.
        """
        return _Race(self, query).start(self._order())

    def close(self) -> Deferred[None]:
        """
        Give up all that is being asked.

        @return: Fires when all connections are gone.
        """
        closing = [upstream.close() for upstream in self._upstreams]
        return DeferredList(closing, consumeErrors=True).addCallback(lambda _: None)

    def patience(self) -> float:
        """
        Choose how long to wait for one of them.
        """
        return self._chance.uniform(*self._patience)

    def worked(self, upstream: IUpstream) -> None:
        """
        Ask one of them first from now on, as it has answered, and those before
        it have not.
        """
        place = self._upstreams.index(upstream)
        if place != self._favourite:
            self._favourite = place
            self._since = self.clock.seconds()
            log.info("Now asking {upstream} first", upstream=upstream.name)

    def failed(self, upstream: IUpstream, reason: str) -> None:
        """
        Say that one of them does not work.
        """
        if self._lines.take(self.clock.seconds()):
            log.warn(
                "The name server {upstream} does not answer: {reason}",
                upstream=upstream.name,
                reason=reason,
            )

    def _order(self) -> list[IUpstream]:
        """
        Give them in the order of asking them now.
        """
        if self._favourite and self.clock.seconds() - self._since >= RETRY_AFTER:
            self._favourite = 0
        first = self._upstreams[self._favourite]
        return [first, *(upstream for upstream in self._upstreams if upstream is not first)]


class _Race:
    """
    One question to all of them.
    """

    def __init__(self, group: UpstreamGroup, query: Query) -> None:
        self._group = group
        self._clock = group.clock
        self._query = query
        self._result: Deferred[Reply] = Deferred(lambda _: self._end())
        self._left: list[IUpstream] = []
        self._asked: set[IUpstream] = set()
        # Those that have said something, or cannot.
        self._settled: set[IUpstream] = set()
        self._pending: set[Deferred[Reply]] = set()
        self._refusal: Reply | None = None
        self._reason = ""
        self._late = False
        self._over = False
        self._next: IDelayedCall | None = None
        self._total: IDelayedCall | None = None

    def start(self, upstreams: Sequence[IUpstream]) -> Deferred[Reply]:
        self._left = [*upstreams] * ROUNDS
        self._total = self._clock.callLater(self._group.total, self._tooLate)
        self._askNext()
        return self._result

    def _askNext(self) -> None:
        """
        Ask the next one, or come to an end if nobody is left.
        """
        self._cancelNext()
        self._left = [each for each in self._left if each not in self._settled]
        if not self._left:
            if not self._pending:
                self._finish()
            return
        upstream = self._left.pop(0)
        asking: Deferred[Reply] = maybeDeferred(upstream.ask, self._query)
        self._asked.add(upstream)
        self._pending.add(asking)
        asking.addBoth(self._answered, asking, upstream)
        if self._left and not self._over and self._next is None:
            self._next = self._clock.callLater(self._group.patience(), self._impatient)

    def _impatient(self) -> None:
        self._next = None
        self._late = True
        self._askNext()

    def _answered(
        self, result: Reply | Failure, asking: Deferred[Reply], upstream: IUpstream
    ) -> None:
        if self._over:
            return
        self._pending.discard(asking)
        if isinstance(result, Failure):
            self._late = True
            self._reason = reasonIn(result)
            self._group.failed(upstream, self._reason)
        elif result.code in _FINAL:
            self._win(result, upstream)
            return
        elif self._refusal is None:
            self._refusal = result
        self._settled.add(upstream)
        self._askNext()

    def _win(self, reply: Reply, upstream: IUpstream) -> None:
        if self._late:
            self._group.worked(upstream)
        self._end()
        self._result.callback(reply)

    def _tooLate(self) -> None:
        self._total = None
        reason = f"nothing has come within {self._group.total:g} s"
        for upstream in self._asked - self._settled:
            self._group.failed(upstream, reason)
        self._reason = self._reason or reason
        self._finish()

    def _finish(self) -> None:
        """
        Nobody has said more than that it cannot answer.
        """
        self._end()
        if self._refusal is not None:
            self._result.callback(self._refusal)
        else:
            self._result.errback(NoReply(self._reason))

    def _end(self) -> None:
        self._over = True
        self._cancelNext()
        if self._total is not None:
            self._total.cancel()
            self._total = None
        pending, self._pending = self._pending, set()
        for asking in pending:
            asking.cancel()

    def _cancelNext(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

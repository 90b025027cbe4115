"""
Answering questions: by rules, with addresses that stand for names, out of the
cache, or by asking name servers, each question once at a time however many want
to know.

@see: L{socksproxy.dns.server}
@see: U{https://www.rfc-editor.org/rfc/rfc8767}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from socksproxy.dns import answers
from socksproxy.dns._wire import MAX_MESSAGE, RecordType, ResponseCode
from socksproxy.dns.answers import answerFor, fitted
from socksproxy.dns.asking import NoReply
from socksproxy.dns.cache import Cache, Hit
from socksproxy.dns.fakeip import FakeAddresses
from socksproxy.dns.group import UpstreamGroup
from socksproxy.dns.message import Key, Query
from socksproxy.dns.reply import Reply
from socksproxy.dns.rules import Decision, Proxy, Rules, answerTo
from socksproxy.dns.strategy import IPStrategy
from socksproxy.errors import MalformedMessage
from socksproxy.events import log

DIRECT = "direct"
"""
The group that is asked without the proxy.
"""

PROXY = "proxy"
"""
The group that is asked through it.
"""

MAX_ASKED = 2048
"""
Questions that name servers are asked at a time.
"""

MAX_WAITING = 16384
"""
Clients that wait for answers.
"""

Place = tuple[Key, str]
"""
What was asked, and whom.
"""


@dataclass(slots=True)
class Counts:
    """
    What has been done so far.

    @ivar answered: Answers that were known here.
    @ivar asked: Questions to name servers.
    @ivar failed: Those of them that nobody has answered.
    @ivar stale: Answers that were out of date, but nobody knew better.
    """

    answered: int = 0
    asked: int = 0
    failed: int = 0
    stale: int = 0


@dataclass(eq=False, slots=True)
class _Waiting:
    """
    Somebody who waits for an answer.
    """

    query: Query
    limit: int
    result: Deferred[bytes]


class Forwarder:
    """
    Answers questions, for servers and for look-ups of our own.

    @ivar counts: What has been done so far.
    """

    def __init__(
        self,
        groups: Mapping[str, UpstreamGroup],
        rules: Rules,
        cache: Cache,
        strategy: IPStrategy = IPStrategy.AS_IS,
        fakes: FakeAddresses | None = None,
    ) -> None:
        """
        @param groups: Whom to ask, by the names that rules have for them.
        @param rules: Decide whom to ask.
        @param cache: Where replies are remembered.
        @param strategy: Which addresses clients get to see.
        @param fakes: Addresses that stand for names, for clients of names that
            would be asked for through a proxy.
        """
        self.counts = Counts()
        self.strategy = strategy
        self._groups = dict(groups)
        self._rules = rules
        self._cache = cache
        self._fakes = fakes
        self._asked: dict[Place, list[_Waiting]] = {}
        self._waiting = 0

    def answerNow(
        self, query: Query, limit: int = MAX_MESSAGE, faking: bool = True
    ) -> bytes | None:
        """
        Answer a question, if nobody has to be asked for that.

        @param limit: Octets that the answer may have.
        @param faking: Who asks may get addresses that stand for names.
        """
        fakes = self._fakes if faking else None
        if query.type == RecordType.ANY:
            return fitted(query, answers.hinfo(query), limit)
        if fakes is not None and query.type == RecordType.PTR:
            # Before the rules, for which the pool may be a private network.
            answer = fakes.answerTo(query)
            if answer is not None:
                return fitted(query, answer, limit)
        decision = self._rules.decide(query.name, query.type)
        answer = answerTo(query, decision)
        if answer is None and self.strategy.suppresses(query.type):
            answer = answers.empty(query)
        if answer is None and fakes is not None and isinstance(decision, Proxy):
            answer = fakes.answerTo(query)
        if answer is not None:
            self.counts.answered += 1
            return fitted(query, answer, limit)
        place = _placeOf(query, decision)
        hit = self._cache.get(place)
        if hit is None:
            return None
        if hit.refresh and place not in self._asked:
            self._ask(place, query)
        self.counts.answered += 1
        return answerFor(query, hit.reply, hit.age, ttl=hit.ttl, limit=limit)

    def answer(
        self, query: Query, limit: int = MAX_MESSAGE, faking: bool = True
    ) -> Deferred[bytes]:
        """
        Answer a question.

        @param limit: Octets that the answer may have.
        @param faking: Who asks may get addresses that stand for names.
        @return: Does not fail, since that there is no answer is one.
            Cancelling is for who does not want to know any more.
        """
        known = self.answerNow(query, limit, faking)
        return self.answerLater(query, limit) if known is None else succeed(known)

    def answerLater(self, query: Query, limit: int = MAX_MESSAGE) -> Deferred[bytes]:
        """
        Answer a question that L{answerNow} has just left open.

        @param limit: Octets that the answer may have.
        @return: See L{answer}.
        """
        place = _placeOf(query, self._rules.decide(query.name, query.type))
        asked = self._asked.get(place)
        isFull = self._waiting >= MAX_WAITING
        if isFull or (asked is None and len(self._asked) >= MAX_ASKED):
            return succeed(self._withoutReply(place, query, limit))
        waiting = _Waiting(query, limit, Deferred(lambda _: self._forget(place, waiting)))
        self._waiting += 1
        if asked is not None:
            asked.append(waiting)
        else:
            self._ask(place, query, waiting)
        return waiting.result

    def flush(self) -> None:
        """
        Forget all that is remembered.
        """
        self._cache.flush()

    def sweep(self) -> None:
        """
        Forget what is too old; to be called now and then.
        """
        self._cache.sweep()

    def _ask(self, place: Place, query: Query, *waiting: _Waiting) -> None:
        """
        Ask name servers, as nobody else has.

        @param waiting: Who wants to know. Without anybody it is done so that
            there will be an answer.
        """
        if len(self._asked) >= MAX_ASKED:
            return
        self._asked[place] = list(waiting)
        self.counts.asked += 1
        group = self._groups.get(place[1])
        if group is None:
            self._failed(Failure(NoReply(f"there is no name server of {place[1]!r}")), place)
            return
        asking: Deferred[Any] = group.ask(query)
        asking.addCallback(self._replied, place)
        asking.addErrback(self._failed, place)

    def _replied(self, reply: Reply, place: Place) -> None:
        """
        Take what a name server says.

        @raise MalformedMessage: It makes no sense.
        """
        reply = self.strategy.restricted(reply)
        self._cache.put(place, reply)
        isFinal = reply.code in (ResponseCode.NOERROR, ResponseCode.NXDOMAIN)
        self._answerAll(place, None if isFinal else self._cache.stale(place), reply)

    def _failed(self, failure: Failure, place: Place) -> None:
        """
        Do without.
        """
        if not failure.check(NoReply, MalformedMessage):
            log.failure("A name server could not be asked", failure)
        self.counts.failed += 1
        self._cache.failed(place)
        self._answerAll(place, self._cache.stale(place), None)

    def _answerAll(self, place: Place, stale: Hit | None, reply: Reply | None) -> None:
        """
        Answer all who wait.

        @param stale: What is used before anything else.
        @param reply: What a name server has said.
        """
        for waiting in self._asked.pop(place, ()):
            self._waiting -= 1
            query, limit = waiting.query, waiting.limit
            if stale is not None:
                self.counts.stale += 1
                answer = answerFor(query, stale.reply, stale.age, ttl=stale.ttl, limit=limit)
            elif reply is not None:
                answer = answerFor(query, reply, limit=limit)
            else:
                answer = answers.refusal(query, ResponseCode.SERVFAIL)
            waiting.result.callback(answer)

    def _withoutReply(self, place: Place, query: Query, limit: int) -> bytes:
        """
        Answer as well as can be without asking anybody.
        """
        stale = self._cache.stale(place)
        if stale is None:
            return answers.refusal(query, ResponseCode.SERVFAIL)
        self.counts.stale += 1
        return answerFor(query, stale.reply, stale.age, ttl=stale.ttl, limit=limit)

    def _forget(self, place: Place, waiting: _Waiting) -> None:
        asked = self._asked.get(place, [])
        if waiting in asked:
            asked.remove(waiting)
            self._waiting -= 1


def _placeOf(query: Query, decision: Decision) -> Place:
    return query.key, decision.group if isinstance(decision, Proxy) else DIRECT

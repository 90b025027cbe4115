"""
Name servers that are asked by UDP, straight or through a proxy.

A reply counts if it comes from where the question went, has its number and
repeats it; anything else might be forged and is not even the end of waiting.
What is asked straight has a port of its own for each question, which is as
hard to guess as the number.

@see: U{https://www.rfc-editor.org/rfc/rfc5452}
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination
from socksproxy.dns._wire import ResponseCode
from socksproxy.dns.asking import Asked, IUpstream, NoReply, freshNumber, reasonIn, replyTo
from socksproxy.dns.message import Query
from socksproxy.dns.ownsocket import ConduitFor
from socksproxy.dns.reply import Reply
from socksproxy.errors import MalformedMessage
from socksproxy.interfaces import IDatagramConduit

MAX_SOCKETS = 256
"""
Questions that are asked straight at a time.
"""

IDLE = 60.0
"""
Seconds for which a way through a proxy is kept that nobody needs.
"""


@implementer(IUpstream)
class DatagramUpstream:
    """
    A name server that is asked by UDP, and over TCP for what does not fit into
    a datagram.
    """

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        address: Destination,
        conduitFor: ConduitFor,
        overTCP: IUpstream,
        isShared: bool = False,
    ) -> None:
        """
        @param clock: Time.
        @param name: What logs call it.
        @param address: Where it is; replies come from there.
        @param conduitFor: Opens the way there.
        @param overTCP: The same name server.
        @param isShared: One way is for all questions, as it is expensive.
        """
        self.clock = clock
        self.name = name
        self.address = address
        self.conduitFor = conduitFor
        self._overTCP = overTCP
        self._isShared = isShared
        self._ways: list[_Way] = []
        self._closed = False

    def ask(self, query: Query) -> Deferred[Reply]:
        """
        See L{IUpstream}.
        """
        asked = Asked(query, Deferred(lambda _: self._cancel(asked)))
        self.send(asked)
        return asked.result

    def close(self) -> Deferred[None]:
        """
        See L{IUpstream}.
        """
        self._closed = True
        for way in list(self._ways):
            way.end("shut down")
        closing: Deferred[None] = self._overTCP.close()
        return closing

    def replied(self, asked: Asked, reply: Reply) -> None:
        """
        Take the reply to a question, which is on no way any more.
        """
        if reply.code == ResponseCode.FORMERR and asked.withOPT:
            # It may be the OPT record that it does not understand.
            asked.withOPT = False
            self.send(asked)
        elif reply.truncated and not self._closed:
            asked.place = self._overTCP.ask(asked.query)
            asked.place.addCallbacks(asked.answer, lambda f: _failed(asked, f))
        else:
            asked.answer(reply)

    def ended(self, way: _Way) -> None:
        """
        A way can be used no more.
        """
        self._ways.remove(way)

    def send(self, asked: Asked) -> None:
        """
        Send a question.
        """
        if self._closed:
            asked.fail("shut down")
            return
        if self._isShared and self._ways:
            self._ways[0].ask(asked)
        elif len(self._ways) >= MAX_SOCKETS:
            asked.fail("too many questions are under way")
        else:
            way = _Way(self, IDLE if self._isShared else 0.0)
            self._ways.append(way)
            way.open(asked)

    def _cancel(self, asked: Asked) -> None:
        place, asked.place = asked.place, None
        if isinstance(place, _Way):
            place.forget(asked)
        elif place is not None:
            place.cancel()


def _failed(asked: Asked, failure: Failure) -> None:
    if not asked.result.called:
        asked.fail(reasonIn(failure))


class _Way:
    """
    A conduit and the questions that go by it.
    """

    def __init__(self, upstream: DatagramUpstream, idle: float) -> None:
        """
        @param idle: Seconds for which it is kept without a question.
        """
        self._upstream = upstream
        self._idle = idle
        self._asked: dict[int, Asked] = {}
        self._conduit: IDatagramConduit | None = None
        self._opening: Deferred[Any] | None = None
        self._idling: IDelayedCall | None = None
        self._over = False

    def open(self, asked: Asked) -> None:
        """
        Open it, for a question.
        """
        self._take(asked)
        try:
            self._opening = self._upstream.conduitFor(self._received)
        except CannotListenError:
            self.end("there is no socket for it")
            return
        self._opening.addCallbacks(self._opened, self._failed)

    def ask(self, asked: Asked) -> None:
        """
        Ask one more question, elsewhere if it can be used no more.
        """
        try:
            self._take(asked)
        except NoReply as e:
            asked.fail(str(e))
            return
        if self._conduit is not None and not self._write(asked):
            self.end("the way there is closed", again=True)

    def forget(self, asked: Asked) -> None:
        """
        Take a question back.
        """
        self._asked.pop(asked.number, None)
        self._rest()

    def end(self, reason: str, again: bool = False) -> None:
        """
        Use it no more.

        @param reason: Why.
        @param again: Questions that have not been lost before are asked on
            another one.
        """
        if self._over:
            return
        self._over = True
        if self._idling is not None:
            self._idling.cancel()
            self._idling = None
        self._upstream.ended(self)
        if self._conduit is not None:
            self._conduit.close()
        elif self._opening is not None:
            self._opening.cancel()
        lost, self._asked = list(self._asked.values()), {}
        for asked in lost:
            if again and not asked.again:
                asked.again = True
                self._upstream.send(asked)
            else:
                asked.fail(reason)

    def _take(self, asked: Asked) -> None:
        asked.number = freshNumber(self._asked)
        asked.place = self
        self._asked[asked.number] = asked

    def _opened(self, conduit: IDatagramConduit) -> None:
        self._opening = None
        self._conduit = conduit
        for asked in list(self._asked.values()):
            if not self._write(asked):
                self.end("it cannot be reached")
                return
        self._rest()

    def _failed(self, failure: Failure) -> None:
        self._opening = None
        self.end(f"there is no way for datagrams: {reasonIn(failure)}")

    def _write(self, asked: Asked) -> bool:
        if self._conduit is None:
            return False
        octets = asked.octets(encrypted=False)
        sent: bool = self._conduit.send(octets, self._upstream.address)
        return sent

    def _received(self, octets: bytes, source: Destination) -> None:
        asked = self._asked.get(int.from_bytes(octets[:2]))
        if asked is None or source != self._upstream.address:
            return
        try:
            reply = replyTo(asked, octets, encrypted=False)
        except MalformedMessage:
            return
        del self._asked[asked.number]
        self._rest()
        self._upstream.replied(asked, reply)

    def _rest(self) -> None:
        if self._asked or self._over:
            return
        if not self._idle:
            self.end("answered")
        elif self._idling is None:
            self._idling = self._upstream.clock.callLater(self._idle, self._expire)

    def _expire(self) -> None:
        self._idling = None
        if self._asked:
            self._idling = self._upstream.clock.callLater(self._idle, self._expire)
        else:
            self.end("idle")

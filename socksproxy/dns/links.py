"""
Connections to a name server: they are kept for the next question, and replaced
when they are lost.

What carries several questions at a time carries all of them, until it has been
silent for a while: then another one is opened beside it. A question that is
lost with its connection is asked once more at once, since name servers close
connections as they like.

@see: U{https://www.rfc-editor.org/rfc/rfc7766#section-6.2}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from zope.interface import implementer

from socksproxy.dns._wire import ResponseCode
from socksproxy.dns.asking import Asked, IUpstream
from socksproxy.dns.link import Link
from socksproxy.dns.message import Query
from socksproxy.dns.reply import Reply

SILENCE = 0.5
"""
Seconds without an answer after which another connection is tried.
"""

MAX_WAITING = 1024
"""
Questions that wait for a connection.
"""


@implementer(IUpstream)
class Links:
    """
    A name server that is asked over connections.
    """

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        endpoint: IStreamClientEndpoint,
        speakerFor: Callable[[Link], IProtocol],
        most: int,
        depth: int,
    ) -> None:
        """
        @param clock: Time.
        @param name: What logs call it.
        @param endpoint: Leads to it.
        @param speakerFor: Makes a L{Speaker<socksproxy.dns.link.Speaker>}, which tells the link of
            whatever comes.
        @param most: Most connections.
        @param depth: Most questions on one of them.
        """
        self.clock = clock
        self.name = name
        self._endpoint = endpoint
        self._speakerFor = speakerFor
        self._most = most
        self._depth = depth
        self._links: list[Link] = []
        # Those that have a transport, also if they are of no use any more.
        self._open: set[Link] = set()
        self._queue: deque[Asked] = deque()
        self._closed: Deferred[None] | None = None

    def ask(self, query: Query) -> Deferred[Reply]:
        """
        See L{IUpstream}.
        """
        asked = Asked(query, Deferred(lambda _: self._cancel(asked)))
        self._place(asked)
        return asked.result

    def close(self) -> Deferred[None]:
        """
        See L{IUpstream}.
        """
        if self._closed is None:
            self._closed = Deferred()
            for link in list(self._links):
                link.drop("shut down")
            while self._queue:
                self._queue.popleft().fail("shut down")
            self._tellClosed()
        return self._closed

    def answered(self, asked: Asked, reply: Reply) -> None:
        """
        See L{Owner<socksproxy.dns.link.Owner>}.
        """
        if reply.code == ResponseCode.FORMERR and asked.withOPT:
            # It may be the OPT record that it does not understand.
            asked.withOPT = False
            self._place(asked)
        elif reply.truncated:
            asked.fail("the reply is truncated")
        else:
            asked.answer(reply)
        self._placeWaiting()

    def refused(self, asked: Asked, reason: str) -> None:
        """
        See L{Owner<socksproxy.dns.link.Owner>}.
        """
        asked.fail(reason)
        self._placeWaiting()

    def opened(self, link: Link) -> None:
        """
        See L{Owner<socksproxy.dns.link.Owner>}.
        """
        self._open.add(link)

    def gone(self, link: Link, reason: str, wasOpen: bool) -> None:
        """
        See L{Owner<socksproxy.dns.link.Owner>}.
        """
        self._links.remove(link)
        lost, link.asked = list(link.asked), {}
        for asked in lost:
            if wasOpen and not asked.again and self._closed is None:
                asked.again = True
                self._place(asked)
            else:
                asked.fail(reason)
        if not wasOpen and not self._open:
            waiting, self._queue = self._queue, deque()
            for asked in waiting:
                asked.fail(reason)
        self._placeWaiting()

    def ended(self, link: Link) -> None:
        """
        See L{Owner<socksproxy.dns.link.Owner>}.
        """
        self._open.discard(link)
        self._tellClosed()

    def _place(self, asked: Asked) -> None:
        """
        Put a question where there is room for it.
        """
        if self._closed is not None:
            asked.fail("shut down")
            return
        now = self.clock.seconds()
        free = [link for link in self._links if len(link.asked) < self._depth]
        lively = [link for link in free if not link.isSilent(now, SILENCE)]
        if not lively and len(self._links) < self._most:
            link = Link(self)
            self._links.append(link)
            link.take(asked)
            link.open(self._endpoint, self._speakerFor)
        elif free:
            min(lively or free, key=lambda link: len(link.asked)).take(asked)
        elif len(self._queue) < MAX_WAITING:
            asked.place = None
            self._queue.append(asked)
        else:
            asked.fail("too many questions are under way")

    def _placeWaiting(self) -> None:
        while self._queue and self._closed is None:
            full = len(self._links) >= self._most
            if full and all(len(link.asked) >= self._depth for link in self._links):
                return
            self._place(self._queue.popleft())

    def _cancel(self, asked: Asked) -> None:
        link = asked.place
        if link is not None:
            link.forget(asked)
        elif asked in self._queue:
            self._queue.remove(asked)

    def _tellClosed(self) -> None:
        if self._closed is not None and not self._closed.called and not self._open:
            self._closed.callback(None)

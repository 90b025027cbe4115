"""
One connection to a name server.

@see: L{socksproxy.dns.links}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from socksproxy.dns.asking import Asked, NoReply, reasonIn
from socksproxy.dns.reply import Reply

CONNECT_TIMEOUT = 5.0
"""
Seconds for a connection to be made. Nobody waits longer for an answer.
"""

DEAD = 2.0
"""
Seconds without an answer after which a connection is given up, once somebody
gives the question up.
"""

IDLE = 20.0
"""
Seconds for which a connection is kept that nobody needs.
"""


class Speaker(Interface):
    """
    What asks on a connection: a protocol of Twisted's.
    """

    def ask(self, asked: Asked) -> None:
        """
        Send a question.

        @raise NoReply: It cannot be.
        """

    def forget(self, asked: Asked) -> bool:
        """
        Expect no reply to a question any more.

        @return: Whether the connection can be used any further.
        """

    def leave(self, abort: bool) -> None:
        """
        Close the connection.
        """


class Owner(Interface):
    """
    Who has the connections to a name server.

    @ivar clock: Time.
    """

    clock: IReactorTime

    def answered(self, asked: Asked, reply: Reply) -> None:
        """
        Take the reply to a question, which is on no link any more.
        """

    def refused(self, asked: Asked, reason: str) -> None:
        """
        There is no reply to a question, which is on no link any more.
        """

    def opened(self, link: Link) -> None:
        """
        A link has been connected.
        """

    def gone(self, link: Link, reason: str, wasOpen: bool) -> None:
        """
        A link takes no more questions.

        @param reason: Why.
        @param wasOpen: It has been connected.
        """

    def ended(self, link: Link) -> None:
        """
        The transport of a link is gone.
        """


class Link:
    """
    A connection, or one that is being made.

    @ivar asked: The questions that are on it, the oldest first.
    """

    def __init__(self, links: Owner) -> None:
        """
        @param links: Whose it is.
        """
        self._links = links
        self._clock = links.clock
        self._heard = self._clock.seconds()
        self._speaker: Speaker | None = None
        self._connecting: Deferred[IProtocol] | None = None
        self._idling: IDelayedCall | None = None
        self._gone = False
        self.asked: dict[Asked, None] = {}

    def open(
        self, endpoint: IStreamClientEndpoint, speakerFor: Callable[[Link], IProtocol]
    ) -> None:
        """
        Connect.
        """
        factory = _SpeakerFactory(lambda: speakerFor(self))
        connecting: Deferred[IProtocol] = endpoint.connect(factory)
        connecting.addTimeout(CONNECT_TIMEOUT, self._clock, _timedOut)
        self._connecting = connecting
        connecting.addCallbacks(self._connected, self._failed)

    def take(self, asked: Asked) -> None:
        """
        Ask a question, now or as soon as there is a connection.
        """
        asked.since = self._clock.seconds()
        asked.place = self
        self.asked[asked] = None
        if self._speaker is not None:
            self._send(asked)

    def isSilent(self, now: float, seconds: float) -> bool:
        """
        Tell whether for so long nothing has come, although it should have.
        """
        oldest = next(iter(self.asked), None)
        return oldest is not None and now - max(oldest.since, self._heard) >= seconds

    def forget(self, asked: Asked) -> None:
        """
        Take a question back.
        """
        isSilent = self.isSilent(self._clock.seconds(), DEAD)
        self.asked.pop(asked, None)
        if self._speaker is None:
            return
        if not self._speaker.forget(asked):
            self.drop("the question was given up")
        elif isSilent:
            self.drop("it does not answer")

    def replied(self, asked: Asked, reply: Reply, last: bool = False) -> None:
        """
        Take the reply to a question.

        @param last: The connection takes no more questions.
        """
        self._settle(asked, last)
        self._links.answered(asked, reply)

    def refused(self, asked: Asked, reason: str, last: bool = False) -> None:
        """
        There will be no reply to a question.

        @param last: The connection takes no more questions.
        """
        self._settle(asked, last)
        self._links.refused(asked, reason)

    def drop(self, reason: str, abort: bool = True) -> None:
        """
        Use it no more.

        @param reason: Why.
        @param abort: Something is wrong with it.
        """
        if self._gone:
            return
        speaker = self._speaker
        connecting, self._connecting = self._connecting, None
        self._over(reason)
        if speaker is not None:
            speaker.leave(abort)
        elif connecting is not None:
            connecting.cancel()

    def lost(self, reason: Failure) -> None:
        """
        Its transport is gone.
        """
        self._over(f"the connection was lost: {reasonIn(reason)}")
        self._links.ended(self)

    def _connected(self, speaker: Speaker) -> None:
        self._connecting = None
        if self._gone:
            # Nobody waits for it any more.
            speaker.leave(True)
            return
        self._speaker = speaker
        self._heard = self._clock.seconds()
        self._links.opened(self)
        for asked in list(self.asked):
            self._send(asked)
        self._rest()

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        self._over(f"cannot connect: {reasonIn(failure)}")

    def _send(self, asked: Asked) -> None:
        if self._speaker is not None and asked in self.asked:
            try:
                self._speaker.ask(asked)
            except NoReply as e:
                self.asked.pop(asked)
                asked.fail(str(e))

    def _over(self, reason: str) -> None:
        if self._gone:
            return
        self._gone = True
        if self._idling is not None:
            self._idling.cancel()
            self._idling = None
        self._links.gone(self, reason, self._speaker is not None)

    def _settle(self, asked: Asked, last: bool) -> None:
        self._heard = self._clock.seconds()
        self.asked.pop(asked, None)
        if last:
            self.drop("it closes the connection", abort=False)
        else:
            self._rest()

    def _rest(self) -> None:
        if self._idling is None and not self._gone:
            self._idling = self._clock.callLater(IDLE, self._expire)

    def _expire(self) -> None:
        self._idling = None
        left = self._heard + IDLE - self._clock.seconds()
        if self.asked or left > 0:
            self._idling = self._clock.callLater(left if left > 0 else IDLE, self._expire)
        else:
            self.drop("idle", abort=False)


class _SpeakerFactory(Factory):
    noisy = False

    def __init__(self, make: Callable[[], IProtocol]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._make()


def _timedOut(result: object, seconds: float) -> Failure:
    return Failure(NoReply(f"it took more than {seconds:g} s"))

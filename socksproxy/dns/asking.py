"""
Asking name servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface

from socksproxy.dns._wireedns import OUR_UDP_SIZE
from socksproxy.dns.answers import queryFor
from socksproxy.dns.message import Query
from socksproxy.dns.reply import Reply, readReply
from socksproxy.errors import MalformedMessage, SOCKSProxyError

PADDED = 128
"""
Octets of which encrypted queries have a multiple (RFC 8467 section 4.1).
"""

_NUMBERS = 0x10000

_chance = SystemRandom()


class NoReply(SOCKSProxyError):
    """
    A name server has not answered; the text says why in a few words.
    """


class IUpstream(Interface):
    """
    A name server that is asked.
    """

    name: str = Attribute("""What logs call it.""")

    def ask(query: Query) -> Deferred[Reply]:
        """
        Ask it.

        @return: What it says, which may be that it does not want to; fails
            with a L{NoReply}. Nobody is given up on here: who does not want
            to wait any longer cancels.
        """

    def close() -> Deferred[None]:
        """
        Give up all that is being asked.

        @return: Fires when all connections are gone.
        """


@dataclass(eq=False, slots=True)
class Asked:
    """
    A question that waits for its reply.

    @ivar query: The question.
    @ivar result: Where the reply goes.
    @ivar withOPT: It is asked with an OPT record.
    @ivar again: It has been asked before, on a connection that was lost.
    @ivar since: When it was asked, in seconds.
    @ivar number: The number that it was given.
    @ivar place: Where it is, so that it can be taken back.
    """

    query: Query
    result: Deferred[Reply]
    withOPT: bool = True
    again: bool = False
    since: float = 0.0
    number: int = 0
    place: Any = None

    def octets(self, encrypted: bool) -> bytes:
        """
        Write it.

        @param encrypted: Nobody on the way can read it, and its length is to
            tell them little.
        """
        udpSize = OUR_UDP_SIZE if self.withOPT else None
        padTo = PADDED if encrypted else 0
        return queryFor(self.query, self.number, udpSize=udpSize, padTo=padTo)

    def answer(self, reply: Reply) -> None:
        """
        Give the reply to who waits for it.
        """
        self.result.callback(reply)

    def fail(self, reason: str) -> None:
        """
        Say that there is none.
        """
        self.result.errback(NoReply(reason))


def freshNumber(taken: dict[int, Asked]) -> int:
    """
    Choose a number that nobody can foresee.

    @param taken: Those that are not to be had.
    @raise NoReply: None is.
    """
    if len(taken) >= _NUMBERS // 2:
        raise NoReply("too many questions are under way")
    while (number := _chance.randrange(_NUMBERS)) in taken:
        pass
    return number


def replyTo(asked: Asked, octets: bytes, encrypted: bool) -> Reply:
    """
    Read what has come for a question.

    @param encrypted: See L{readReply}.
    @raise MalformedMessage: It is no reply to that.
    """
    reply = readReply(octets, encrypted=encrypted)
    if reply.id != asked.number or not reply.matches(asked.query):
        raise MalformedMessage("not what was asked for")
    return reply


def reasonIn(failure: Failure) -> str:
    """
    Say in one line why something failed.
    """
    text = str(failure.value).replace("\n", " ").rstrip(".")
    return text or failure.type.__name__ if failure.type is not None else text

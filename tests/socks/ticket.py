"""
A SOCKS5 authentication method of one's own, as a user of the library would
write it: the client shows a ticket, after a challenge if the server wants so.
"""

from collections.abc import Sequence

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import Attribute, implementer

from socksproxy.auth.checkers import AvatarId
from socksproxy.buffer import Buffer
from socksproxy.errors import AuthenticationFailed
from socksproxy.socks._events import CredentialsReceived, Event, Failed, Send
from socksproxy.socks.methods import ClientSubNegotiation, ServerSubNegotiation
from tests.codec import counted, decodeCounted

GOOD_TICKET = b"admit one"
HOLDER = b"holder"


class ITicket(ICredentials):
    """
    A ticket as credentials.
    """

    ticket: bytes = Attribute("""What the client showed.""")


@implementer(ITicket)
class Ticket:
    """
    A ticket that a client showed.
    """

    def __init__(self, ticket: bytes) -> None:
        self.ticket = ticket


@implementer(ICredentialsChecker)
class TicketChecker:
    """
    Takes L{GOOD_TICKET} and no other.
    """

    credentialInterfaces = (ITicket,)

    def requestAvatarId(self, credentials: ITicket) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.
        """
        if credentials.ticket != GOOD_TICKET:
            return fail(UnauthorizedLogin())
        return succeed(HOLDER)


class TicketMethod:
    """
    Method 0x81.
    """

    code = 0x81

    def __init__(self, ticket: bytes = b"", challenge: bytes = b"") -> None:
        """
        @param ticket: What a client shows.
        @param challenge: What a server says first, and a client waits for.
        """
        self._ticket = ticket
        self._challenge = challenge

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        return _TicketServer(self._challenge)

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        return _TicketClient(self._ticket, self._challenge)


class _TicketServer:
    def __init__(self, challenge: bytes) -> None:
        self._unsaid = challenge

    def receive(self, buffer: Buffer) -> Sequence[Event]:
        if self._unsaid:
            challenge, self._unsaid = self._unsaid, b""
            return [Send(counted(challenge))]
        ticket = buffer.decode(decodeCounted)
        return [] if ticket is None else [CredentialsReceived(Ticket(ticket))]

    def authenticated(self) -> bytes:
        return counted(b"welcome")

    def authenticationFailed(self) -> bytes:
        return counted(b"")


class _TicketClient:
    def __init__(self, ticket: bytes, challenge: bytes) -> None:
        self._ticket = ticket
        self._awaited = challenge

    def start(self) -> bytes:
        return b"" if self._awaited else counted(self._ticket)

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        message = buffer.decode(decodeCounted)
        if message is None:
            return []
        if self._awaited:
            if message != self._awaited:
                return [Failed(AuthenticationFailed("not the challenge"))]
            self._awaited = b""
            return [Send(counted(self._ticket))]
        return None if message else [Failed(AuthenticationFailed())]

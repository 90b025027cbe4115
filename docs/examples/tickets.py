"""
A SOCKS5 method of one's own: clients show a ticket, which is one octet of
length and so many of secret, and are told 0 for yes and 1 for no.
"""

from dataclasses import dataclass, field

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import fail, succeed
from zope.interface import Attribute, implementer

from socksproxy.inbound import Inbound
from socksproxy.socks import SOCKS5Factory
from socksproxy.socks.methods import CredentialsReceived


class ITicket(ICredentials):
    ticket = Attribute("The octets of a ticket.")


@implementer(ITicket)
@dataclass(frozen=True)
class Ticket:
    ticket: bytes = field(repr=False)


class TicketMethod:
    """
    0x80 to 0xFE are for private methods.
    """

    code = 0x81

    def serverNegotiation(self):
        return _TicketServer()

    def clientNegotiation(self):
        raise NotImplementedError("this is the server's half only")


class _TicketServer:
    """
    One client's negotiation.
    """

    def receive(self, buffer):
        ticket = buffer.decode(decodeTicket)
        return [] if ticket is None else [CredentialsReceived(Ticket(ticket))]

    def authenticated(self):
        return b"\x00"

    def authenticationFailed(self):
        return b"\x01"


def decodeTicket(data):
    """
    Take a ticket off the front of what has come so far.
    """
    if not data or len(data) <= data[0]:
        return None
    end = 1 + data[0]
    return data[1:end], end


@implementer(ICredentialsChecker)
class Tickets:
    """
    Knows whose a ticket is.
    """

    credentialInterfaces = (ITicket,)

    def __init__(self, owners):
        self._owners = owners

    def requestAvatarId(self, credentials):
        owner = self._owners.get(credentials.ticket)
        return fail(UnauthorizedLogin()) if owner is None else succeed(owner)


def ticketFactory(reactor, realm, owners):
    """
    Make a server that takes tickets and nothing else.
    """
    portal = Portal(realm, [Tickets(owners)])
    return SOCKS5Factory(Inbound(portal, reactor), methods=[TicketMethod()])

"""
SOCKS4, SOCKS4a and SOCKS5 servers as Twisted protocols.

A SOCKS5 server of one's own::

    from twisted.internet.endpoints import serverFromString
    from socksproxy.inbound import Inbound
    from socksproxy.socks import SOCKS5Factory

    factory = SOCKS5Factory(Inbound(portal, reactor))
    serverFromString(reactor, "tcp:1080:interface=127.0.0.1").listen(factory)

where C{portal} is a C{twisted.cred} Portal whose avatars are
L{IProxyAvatar<socksproxy.interfaces.IProxyAvatar>}s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from twisted.cred.credentials import Anonymous as AnonymousCredentials
from twisted.cred.credentials import IAnonymous, ICredentials, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.python.failure import Failure

from socksproxy.address import Destination
from socksproxy.auth.credentials import OctetPassword
from socksproxy.auth.ident import IUserID, UserID
from socksproxy.auth.principals import IPrincipal, PrincipalChecker, TicketedPrincipal
from socksproxy.errors import GeneralFailure, RequestFailed
from socksproxy.events import log, printable
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol
from socksproxy.socks._events import (
    Blocking,
    CredentialsReceived,
    Event,
    Failed,
    Protection,
    ProtectionEstablished,
    RequestReceived,
    Send,
)
from socksproxy.socks._negotiation4 import ServerNegotiation as ServerNegotiation4
from socksproxy.socks._negotiation5 import ServerNegotiation as ServerNegotiation5
from socksproxy.socks._wire4 import Command as Command4
from socksproxy.socks._wire5 import Command as Command5
from socksproxy.socks.associate import Association
from socksproxy.socks.bind import Bind
from socksproxy.socks.gssapi import GSSAPI
from socksproxy.socks.methods import (
    Anonymous,
    Method,
    NoAuthentication,
    Password,
    Principal,
    UsernamePassword,
)
from socksproxy.socks.resolve import resolve, reverse
from socksproxy.socks.streamed import StreamedAssociation

SERVED4 = tuple(Command4)
SERVED5 = tuple(Command5)
"""
The commands that reach the client's avatar, which knows what is switched on.
"""


class SOCKS4Handshake(Handshake):
    """
    Drives the machine of SOCKS4 and SOCKS4a, which have a request and no
    login: the client logs in with its USERID where that means something, and
    else as nobody.
    """

    def __init__(self, connection: InboundProtocol) -> None:
        super().__init__(connection)
        self.connection.record.protocol = "SOCKS4"
        self._machine = ServerNegotiation4(SERVED4)

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client.
        """
        for event in self._machine.receive(data):
            if isinstance(event, RequestReceived):
                self._requested(event)
            else:
                _act(self.connection, event)
        self.connection.keepEarlyData(self._machine.pending)

    def _requested(self, request: RequestReceived) -> None:
        connection = self.connection
        if request.userID:
            connection.record.claimed = printable(request.userID)
        connection.record.destination = str(request.destination)
        connection.login(self._credentials(request), request.variant).addCallbacks(
            lambda _: self._serve(request), self._notLoggedIn
        )

    def _credentials(self, request: RequestReceived) -> ICredentials:
        connection = self.connection
        if IUserID not in connection.inbound.portal.listCredentialsInterfaces():
            return AnonymousCredentials()
        return UserID(request.userID, connection.peer, connection.transport.getHost())

    def _serve(self, request: RequestReceived) -> None:
        connection, machine, destination = self.connection, self._machine, request.destination
        if request.command == Command4.CONNECT:
            connection.connect(destination, machine)
        elif request.command == Command4.BIND:
            Bind(connection, self, machine).start(destination)
        else:
            resolve(connection, machine, destination)

    def _notLoggedIn(self, failure: Failure) -> None:
        error = _requestFailed(failure)
        self.connection.refuse(self._machine.refused(error), error)


class SOCKS5Handshake(Handshake):
    """
    Drives the machine of SOCKS5.
    """

    def __init__(self, connection: InboundProtocol, methods: Sequence[Method]) -> None:
        """
        @param methods: What clients may log in with, best first.
        """
        super().__init__(connection)
        self.connection.record.protocol = "SOCKS5"
        self._machine = ServerNegotiation5(methods, SERVED5)
        self._protection: Protection | None = None

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client.
        """
        self._actOn(self._machine.receive(data))
        self.connection.keepEarlyData(self._machine.pending)

    def _actOn(self, events: Sequence[Event]) -> None:
        connection = self.connection
        for event in events:
            if isinstance(event, CredentialsReceived):
                connection.login(credentialsFor(event.credentials), "SOCKS5").addCallbacks(
                    lambda _: self._actOn(self._machine.authenticated()),
                    self._notLoggedIn,
                )
            elif isinstance(event, RequestReceived):
                self._serve(event.command, event.destination)
            elif isinstance(event, Blocking):
                computing = connection.inbound.inThread(event.call).addCallback(self._resume)
                computing.addErrback(self._broken)
            elif isinstance(event, ProtectionEstablished):
                self._protection = event.protection
                connection.protect(event.protection)
            else:
                _act(connection, event)

    def _resume(self, _: object) -> None:
        if not self.connection.gone:
            self._actOn(self._machine.resume())
            self.connection.keepEarlyData(self._machine.pending)

    def _broken(self, failure: Failure) -> None:
        log.failure("A login failed in an unforeseen way", failure)
        self.connection.abort("internal error")

    def _serve(self, command: int, destination: Destination) -> None:
        connection, machine = self.connection, self._machine
        if command == Command5.CONNECT:
            connection.connect(destination, machine)
        elif command == Command5.BIND:
            Bind(connection, self, machine).start(destination)
        elif command == Command5.UDP_ASSOCIATE:
            Association(connection, machine, self._protection).start(destination)
        elif command == Command5.UDP_STREAM:
            StreamedAssociation(connection, machine).start(destination)
        elif command == Command5.RESOLVE:
            resolve(connection, machine, destination)
        else:
            reverse(connection, machine, destination)

    def _notLoggedIn(self, failure: Failure) -> None:
        self._actOn(self._machine.authenticationFailed(_requestFailed(failure)))


def _act(connection: InboundProtocol, event: Event) -> None:
    """
    Act on the events that have the same meaning in both versions.
    """
    if isinstance(event, Send):
        connection.answer(event.data)
    elif isinstance(event, Failed):
        connection.fail(event.error)


class SOCKS4Factory(InboundFactory):
    """
    Makes servers of SOCKS4 and SOCKS4a. They have no passwords, so that
    clients get in only where the Portal takes anonymous ones.
    """

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return SOCKS4Handshake(connection)


class SOCKS5Factory(InboundFactory):
    """
    Makes servers of SOCKS5.
    """

    def __init__(self, inbound: Inbound, methods: Sequence[Method] | None = None) -> None:
        """
        @param methods: What clients may log in with, best first; by default
            what the Portal's checkers can check.
        """
        super().__init__(inbound)
        self._methods = methodsFor(inbound.portal) if methods is None else methods

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return SOCKS5Handshake(connection, self._methods)


def methodsFor(portal: Portal) -> list[Method]:
    """
    Give the SOCKS5 methods that a Portal's checkers can check: tickets first,
    then passwords, so that a client that can say who it is does.
    """
    interfaces = portal.listCredentialsInterfaces()
    methods: list[Method] = []
    tickets = portal.checkers.get(IPrincipal)
    if isinstance(tickets, PrincipalChecker):
        acceptor = tickets.acceptor
        methods.append(
            GSSAPI(
                service=acceptor.service,
                keytab=acceptor.keytab,
                minimum=acceptor.minimum,
                nec=acceptor.nec,
            )
        )
    if IUsernamePassword in interfaces:
        methods.append(UsernamePassword())
    if IAnonymous in interfaces:
        methods.append(NoAuthentication())
    return methods


def credentialsFor(credentials: object) -> ICredentials:
    """
    Turn what a method got into what a Portal takes. What a method of one's
    own offers is taken to be that already.
    """
    if isinstance(credentials, Password):
        return OctetPassword(credentials.username, credentials.password)
    if isinstance(credentials, Principal):
        return TicketedPrincipal(credentials.name)
    if isinstance(credentials, Anonymous):
        return AnonymousCredentials()
    return cast(ICredentials, credentials)


def _requestFailed(failure: Failure) -> RequestFailed:
    error = failure.value
    return error if isinstance(error, RequestFailed) else GeneralFailure()

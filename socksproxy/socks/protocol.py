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

from socksproxy.auth.credentials import OctetPassword
from socksproxy.errors import GeneralFailure, RequestFailed
from socksproxy.events import printable
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol
from socksproxy.socks._events import (
    CredentialsReceived,
    Event,
    Failed,
    RequestReceived,
    Send,
)
from socksproxy.socks._negotiation4 import ServerNegotiation as ServerNegotiation4
from socksproxy.socks._negotiation5 import ServerNegotiation as ServerNegotiation5
from socksproxy.socks.methods import Anonymous, Method, NoAuthentication, Password, UsernamePassword


class SOCKS4Handshake(Handshake):
    """
    Drives the machine of SOCKS4 and SOCKS4a, which have a request and no
    login: the client logs in as nobody.
    """

    def __init__(self, connection: InboundProtocol) -> None:
        super().__init__(connection)
        self.connection.record.protocol = "SOCKS4"
        self._machine = ServerNegotiation4()

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
        if request.userID:
            self.connection.record.claimed = printable(request.userID)
        self.connection.record.destination = str(request.destination)
        self.connection.login(AnonymousCredentials(), request.variant).addCallbacks(
            lambda _: self.connection.connect(request.destination, self._machine),
            self._notLoggedIn,
        )

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
        self._machine = ServerNegotiation5(methods)

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client.
        """
        self._actOn(self._machine.receive(data))
        self.connection.keepEarlyData(self._machine.pending)

    def _actOn(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, CredentialsReceived):
                self.connection.login(credentialsFor(event.credentials), "SOCKS5").addCallbacks(
                    lambda _: self._actOn(self._machine.authenticated()),
                    self._notLoggedIn,
                )
            elif isinstance(event, RequestReceived):
                self.connection.connect(event.destination, self._machine)
            else:
                _act(self.connection, event)

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
    Give the SOCKS5 methods that a Portal's checkers can check: with a
    password first, so that a client that can say who it is does.
    """
    interfaces = portal.listCredentialsInterfaces()
    methods: list[Method] = []
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
    if isinstance(credentials, Anonymous):
        return AnonymousCredentials()
    return cast(ICredentials, credentials)


def _requestFailed(failure: Failure) -> RequestFailed:
    error = failure.value
    return error if isinstance(error, RequestFailed) else GeneralFailure()

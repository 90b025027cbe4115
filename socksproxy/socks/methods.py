"""
SOCKS5 authentication methods.

A method is an object with a code and, for each role, a sub-negotiation. Give
a list of them to a server or a client; 0x03 to 0xFE are free for your own::

    class Ticket:
        code = 0x81

        def serverNegotiation(self):
            return _TicketServer()

        def clientNegotiation(self):
            return _TicketClient()

    factory = SOCKS5Factory(Inbound(portal, reactor), [Ticket(), UsernamePassword()])

What a server's sub-negotiation offers as credentials is given to the Portal;
L{Anonymous}, L{Password} and L{Principal} are turned into C{twisted.cred}
credentials on the way.

A method may also ask for a computation off the reactor's thread, and put a
protection around everything that follows it. Most need neither.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-3}
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from socksproxy.buffer import Buffer
from socksproxy.errors import AuthenticationFailed, BadVersion, LocalProtocolError
from socksproxy.socks import _wire5 as wire
from socksproxy.socks._events import CredentialsReceived, Event, Failed, Send


@dataclass(frozen=True, slots=True)
class Anonymous:
    """
    Nobody in particular: the client was asked for nothing.
    """


@dataclass(frozen=True, slots=True)
class Password:
    """
    A user name and a password as the octets that were sent.
    """

    username: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """
    Whom a ticket of Kerberos names, which has been found to be good.

    @ivar name: The principal with its realm, C{alice@EXAMPLE.ORG}.
    """

    name: bytes


class ServerSubNegotiation(Protocol):
    """
    The server's half of a method's own messages.
    """

    def receive(self, buffer: Buffer) -> Sequence[Event]:
        """
        Take what can be taken from the client's bytes. Called once when the
        method has been chosen, whether or not bytes are there, and then
        whenever more have come.

        @return: Any L{Send}, then at most one L{CredentialsReceived} or
            L{Failed}; or L{Blocking<socksproxy.socks._events.Blocking>}, after
            whose end this is called again, whether or not bytes have come.
        @raise RemoteProtocolError: The client broke the method's rules.
        """

    def authenticated(self) -> bytes:
        """
        Give the message that tells the client of its success, if any.
        """

    def authenticationFailed(self) -> bytes:
        """
        Give the message that tells the client of its failure, if any.
        """


class ClientSubNegotiation(Protocol):
    """
    The client's half of a method's own messages.
    """

    def start(self) -> bytes:
        """
        Give the first message, if the client speaks first.
        """

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        """
        Take what can be taken from the server's bytes. Called as in the
        server's half.

        @return: Events while the sub-negotiation goes on (L{Failed} ends it),
            L{None} when it has succeeded. The last of them may be
            L{Blocking<socksproxy.socks._events.Blocking>}, as in the server's
            half, or L{ProtectionEstablished
            <socksproxy.socks._events.ProtectionEstablished>}, after which
            this is called again at once.
        @raise RemoteProtocolError: The server broke the method's rules.
        """


class Method(Protocol):
    """
    An authentication method.

    @ivar code: The METHOD octet, 0x00 to 0xFE.
    """

    @property
    def code(self) -> int:
        """
        The METHOD octet.
        """

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        Make the server's half for one connection.
        """

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        Make the client's half for one connection.
        """


class NoAuthentication:
    """
    Method 0x00: no messages, no credentials.
    """

    code = wire.Method.NO_AUTHENTICATION

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method.serverNegotiation}.
        """
        return _NoAuthenticationServer()

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method.clientNegotiation}.
        """
        return _NoAuthenticationClient()


class _NoAuthenticationServer:
    def receive(self, buffer: Buffer) -> Sequence[Event]:
        return [CredentialsReceived(Anonymous())]

    def authenticated(self) -> bytes:
        return b""

    def authenticationFailed(self) -> bytes:
        # The method has no word for it; what follows is a closed connection.
        return b""


class _NoAuthenticationClient:
    def start(self) -> bytes:
        return b""

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        return None


class UsernamePassword:
    """
    Method 0x02, RFC 1929.
    """

    code = wire.Method.USERNAME_PASSWORD

    def __init__(self, username: bytes = b"", password: bytes = b"") -> None:
        """
        @param username: What a client says; a server needs none.
        @param password: Likewise.
        @raise LocalProtocolError: One of them is longer than 255 octets,
            which the protocol cannot carry.
        """
        if len(username) > 255 or len(password) > 255:
            raise LocalProtocolError("a user name or password is longer than 255 octets")
        self._request = wire.AuthRequest(username, password)

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method.serverNegotiation}.
        """
        return _UsernamePasswordServer()

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method.clientNegotiation}.
        """
        return _UsernamePasswordClient(self._request)


class _UsernamePasswordServer:
    def receive(self, buffer: Buffer) -> Sequence[Event]:
        try:
            request = buffer.decode(wire.decodeAuthRequest)
        except BadVersion as e:
            return [Send(self.authenticationFailed()), Failed(e)]
        if request is None:
            return []
        return [CredentialsReceived(Password(request.username, request.password))]

    def authenticated(self) -> bytes:
        return wire.encodeAuthReply(wire.AuthReply(0))

    def authenticationFailed(self) -> bytes:
        return wire.encodeAuthReply(wire.AuthReply(1))


class _UsernamePasswordClient:
    def __init__(self, request: wire.AuthRequest) -> None:
        self._request = request

    def start(self) -> bytes:
        return wire.encodeAuthRequest(self._request)

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        reply = buffer.decode(wire.decodeAuthReply)
        if reply is None:
            return []
        if reply.status != 0:
            return [Failed(AuthenticationFailed())]
        return None

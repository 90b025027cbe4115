"""
Users of SOCKS4, which names a user and proves nothing: asking the host that
they come from, or believing them.

The Identification Protocol lets a host say whose a connection is. That is
worth as much as the host: its administrator, or whoever has taken the
address, answers what they like. So only hosts of listed networks are asked.

@see: U{https://www.rfc-editor.org/rfc/rfc1413}
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NoReturn, TypeVar

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure
from zope.interface import Attribute, implementer

from socksproxy.address import hostFromText
from socksproxy.auth import _wireident as wire
from socksproxy.errors import IdentMismatch, IdentUnreachable, RemoteProtocolError

TIMEOUT = 10.0
"""
Seconds for the whole exchange.
"""

Network = IPv4Network | IPv6Network
AvatarId = bytes | tuple[()]
Result = TypeVar("Result")


class IUserID(ICredentials):
    """
    What a client calls its user, with no proof, and the connection on which
    it says so.
    """

    userID: bytes = Attribute("""The name, of any octets.""")
    peer: IAddress = Attribute("""The client's address.""")
    host: IAddress = Attribute("""The address that the client connected to.""")


@implementer(IUserID)
class UserID:
    """
    The USERID of a SOCKS4 request.
    """

    def __init__(self, userID: bytes, peer: IAddress, host: IAddress) -> None:
        """
        @param userID: The name.
        @param peer: The client's address.
        @param host: The address that the client connected to.
        """
        self.userID = userID
        self.peer = peer
        self.host = host

    def __repr__(self) -> str:
        return f"<UserID {self.userID!r} from {self.peer}>"


@implementer(ICredentialsChecker)
class UserIDChecker:
    """
    Believes whoever knows the name of a user. That is B{weak}: names are no
    secrets, SOCKS4 sends them in the clear, and nothing slows guessing down
    but the delay after each failure. Use it where the network is closed, to
    tell users apart rather than to keep others out.
    """

    credentialInterfaces = (IUserID,)

    def __init__(self, users: Collection[bytes]) -> None:
        """
        @param users: The names.
        """
        self._users = frozenset(users)

    def requestAvatarId(self, credentials: IUserID) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.

        @return: The name; fails with C{UnauthorizedLogin} if it is nobody's.
        """
        if credentials.userID not in self._users:
            return fail(UnauthorizedLogin("not a user"))
        return succeed(credentials.userID)


@implementer(ICredentialsChecker)
class IdentChecker:
    """
    Asks the host that a client comes from whose the connection is.
    """

    credentialInterfaces = (IUserID,)

    def __init__(
        self,
        reactor: Any,
        networks: Collection[Network],
        users: Collection[bytes] | None = None,
        timeout: float = TIMEOUT,
        port: int = wire.PORT,
    ) -> None:
        """
        @param reactor: What connects, and time.
        @param networks: The hosts that are believed. Clients from anywhere
            else cannot log in.
        @param users: Who may log in; by default anybody whom a believed host
            names.
        @param timeout: Seconds for the whole exchange.
        @param port: Where the hosts are asked.
        """
        self._reactor = reactor
        self._networks = tuple(networks)
        self._users = None if users is None else frozenset(users)
        self._timeout = timeout
        self._port = port

    def requestAvatarId(self, credentials: IUserID) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.

        @return: The name, in the octets that the client sent; fails with
            C{UnauthorizedLogin} where nobody needs to be asked,
            L{IdentMismatch} if the host names another user, and
            L{IdentUnreachable} if it names none.
        """
        userID, peer, host = credentials.userID, credentials.peer, credentials.host
        if not isinstance(peer, IPv4Address | IPv6Address) or not self._believes(peer):
            return fail(UnauthorizedLogin("this host is not believed"))
        if self._users is not None and userID not in self._users:
            return fail(UnauthorizedLogin("not a user"))
        if not isinstance(host, IPv4Address | IPv6Address):
            return fail(IdentUnreachable("the client is not connected over IP"))

        def compare(user: bytes) -> AvatarId:
            if user != userID:
                raise IdentMismatch
            return userID

        return self._ask(peer, host).addCallbacks(compare, _unreachable)

    def _believes(self, peer: IPv4Address | IPv6Address) -> bool:
        address = hostFromText(peer.host)
        return address is not None and any(address in network for network in self._networks)

    def _ask(
        self, peer: IPv4Address | IPv6Address, host: IPv4Address | IPv6Address
    ) -> Deferred[bytes]:
        """
        Ask a client's host whose the connection is.

        @return: The user; whatever becomes of it, the host is not connected
            to any more.
        """
        question = _Question((peer.port, host.port))
        # The host knows the connection by both its ends, so it has to be
        # asked from the address that the client has connected to.
        connector = self._reactor.connectTCP(
            peer.host, self._port, question, timeout=self._timeout, bindAddress=(host.host, 0)
        )

        def closed(result: Result) -> Result:
            connector.disconnect()
            return result

        question.answer.addTimeout(self._timeout, self._reactor, _tooLate)
        return question.answer.addBoth(closed)


def _tooLate(result: object, seconds: float) -> bytes:
    raise IdentUnreachable("no answer in time")


def _unreachable(failure: Failure) -> NoReturn:
    """
    Whatever went wrong, the host does not say whose the connection is.
    """
    raise IdentUnreachable(f"ident unreachable: {failure.getErrorMessage()}")


class _Question(ClientFactory):
    """
    One question to one host.

    @ivar answer: Fires with the user that the host names, or fails.
    """

    noisy = False

    def __init__(self, ports: tuple[int, int]) -> None:
        """
        @param ports: The connection's port there and here.
        """
        self.ports = ports
        self.answer: Deferred[bytes] = Deferred()

    def buildProtocol(self, addr: IAddress) -> Protocol:  # type: ignore[override]
        return _Asking(self)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self.failed(reason)

    def succeeded(self, user: bytes) -> None:
        if not self.answer.called:
            self.answer.callback(user)

    def failed(self, reason: Failure) -> None:
        if not self.answer.called:
            self.answer.errback(reason)


class _Asking(Protocol):
    """
    The connection on which a question is asked.
    """

    def __init__(self, question: _Question) -> None:
        self._question = question
        self._received = b""

    def connectionMade(self) -> None:
        self.transport.write(wire.encodeQuery(*self._question.ports))  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        question = self._question
        if question.answer.called:
            return
        # No more than a line is ever kept: the decoder raises at its limit.
        self._received += data
        try:
            decoded = wire.decodeReply(self._received)
        except RemoteProtocolError:
            question.failed(Failure())
            return
        if decoded is None:
            return
        reply, _ = decoded
        if isinstance(reply, wire.ErrorReply):
            question.failed(Failure(IdentUnreachable(reply.error)))
        elif reply.ports != question.ports:
            question.failed(Failure(IdentUnreachable("a reply about another connection")))
        else:
            question.succeeded(reply.user)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._question.failed(reason)

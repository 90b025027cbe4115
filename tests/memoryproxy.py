"""
A proxy of the real parts on a network in memory: what tests of inbound
protocols talk to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from twisted.cred.checkers import (
    AllowAnonymousAccess,
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from zope.interface import Interface, implementer

from socksproxy.address import Destination, IPAddress
from socksproxy.auth.checkers import AvatarId
from socksproxy.auth.realm import ProxyRealm
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import NotAllowed
from socksproxy.exposure import Exposure
from socksproxy.inbound import Inbound, InboundProtocol
from socksproxy.interfaces import ClientOrigin, IAddressPolicy, IOutbound, IProxyAvatar
from socksproxy.listener import ProxyFactory
from socksproxy.outbound.direct import DEFAULT_SETTINGS, DirectOutbound, DirectSettings
from socksproxy.policy.services import Services
from socksproxy.relay import Leg
from socksproxy.socks.methods import Method
from socksproxy.testing import Attempt, MemoryTransport, ScriptedNetwork, tcpAddress
from tests.socksclient import NO_AUTHENTICATION

WORLD: dict[str, str | Sequence[str]] = {
    "192.0.2.1:80": "accept",
    "[2001:db8::1]:80": "accept",
    "192.0.2.9:80": "timeout",
    "web.test": ["192.0.2.1"],
    "web6.test": ["2001:db8::1"],
}
"""
A world with a web server, and a host that never answers.
"""

EARLY_OCTETS = 65536
"""
Octets of early data at which a client is not read any more.
"""

EVERYTHING = Services(bind=True, udp=True, resolve=True)

OUTSIDE = {4: ip_address("203.0.113.1"), 6: ip_address("2001:db8::1:1")}
"""
The proxy's own addresses on the way to others, by version.
"""

LINGER = 2.0
"""
Seconds that a refused client gets.
"""

LINGER_OCTETS = 65536
"""
Octets that are read of a refused client.
"""


@implementer(IAddressPolicy)
class DenyNetworks:
    """
    Forbids some networks.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ip_network(network) for network in networks]

    def check(self, address: IPAddress) -> None:
        """
        See L{IAddressPolicy}.
        """
        if any(address in network for network in self._networks):
            raise NotAllowed


class StrictTransport(MemoryTransport):
    """
    A transport that does not forgive being written to when it is gone. A real
    one forgives it only where no short cut to its socket is taken.
    """

    def write(self, data: bytes) -> None:
        """
        See L{MemoryTransport.write}.
        """
        self._requireConnection()
        super().write(data)

    def loseWriteConnection(self) -> None:
        """
        See L{MemoryTransport.loseWriteConnection}.
        """
        self._requireConnection()
        super().loseWriteConnection()

    def _requireConnection(self) -> None:
        if self.lost:
            raise AssertionError("the connection is gone already")


def passwords(users: Mapping[str, str]) -> ICredentialsChecker:
    """
    Make a checker of user names and passwords.
    """
    checker = InMemoryUsernamePasswordDatabaseDontUse()
    for user, password in users.items():
        checker.addUser(user.encode(), password.encode())
    return checker


@implementer(ICredentialsChecker)
class SlowChecker:
    """
    Takes its time, as a checker does that asks somebody else.

    @ivar verdicts: What has been asked and not been answered, for the test to
        answer.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self) -> None:
        self.verdicts: list[Deferred[AvatarId]] = []

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.
        """
        self.verdicts.append(Deferred())
        return self.verdicts[-1]


@implementer(IRealm, IProxyAvatar)
class SoleUser:
    """
    A realm of one user.

    @ivar user: The user's name.
    @ivar minds: The minds of the logins so far.
    @ivar logouts: How many sessions have ended.
    """

    user = "sole"

    def __init__(self, connecting: Callable[[], Deferred[Leg]] = Deferred) -> None:
        """
        @param connecting: What becomes of every attempt to connect.
        """
        self._connecting = connecting
        self.minds: list[object] = []
        self.logouts = 0

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """
        See C{IRealm}.
        """
        self.minds.append(mind)
        return IProxyAvatar, self, self._logout

    def connect(self, destination: Destination) -> Deferred[Leg]:
        """
        See L{IProxyAvatar}.
        """
        return self._connecting()

    def _logout(self) -> None:
        self.logouts += 1


class MemoryProxy:
    """
    A proxy, the world around it, and its clients.

    @ivar network: The world, and the clock.
    @ivar inbound: What the connections share.
    @ivar factory: What makes them.
    """

    def __init__(
        self,
        world: Mapping[str, str | Sequence[str]] = WORLD,
        checkers: Sequence[ICredentialsChecker] | None = None,
        methods: Sequence[Method] | None = None,
        policy: IAddressPolicy | None = None,
        network: ScriptedNetwork | None = None,
        realm: IRealm | None = None,
        services: Services = EVERYTHING,
        settings: DirectSettings = DEFAULT_SETTINGS,
        names: Mapping[str, str] | None = None,
        **inbound: Any,
    ) -> None:
        """
        @param world: As for L{ScriptedNetwork}.
        @param checkers: Who may log in; everybody by default.
        @param methods: As for L{ProxyFactory}.
        @param policy: Which addresses may be dialled; all by default.
        @param network: In place of one that is made of C{world}.
        @param realm: In place of the real one.
        @param services: What clients may ask for beside CONNECT.
        @param settings: How connections and datagrams leave.
        @param names: The names of addresses.
        @param inbound: Further attributes of the L{Inbound}.
        """
        self._settings = settings
        self.network = ScriptedNetwork(world) if network is None else network
        self._policy = DenyNetworks() if policy is None else policy
        self._resolver = BoundedResolver(
            self.network,
            self.network.nameResolver,
            reverse=lambda address: succeed((names or {})[str(address)]),
        )
        self.exposure = Exposure(self.network, route=lambda peer: OUTSIDE[peer.version])
        portal = Portal(
            ProxyRealm(self._outboundFor, services) if realm is None else realm,
            [AllowAnonymousAccess()] if checkers is None else checkers,
        )
        inbound.setdefault("exposure", self.exposure)
        self.inbound = Inbound(portal, self.network, **inbound)
        self.factory = ProxyFactory(self.inbound, methods)

    def _outboundFor(self, origin: ClientOrigin) -> IOutbound:
        reactor: Any = self.network
        return DirectOutbound(
            reactor,
            reactor,
            self._resolver,
            self._policy,
            origin.source,
            self._settings,
            self.exposure,
        )

    def connect(self, peer: IAddress | None = None) -> MemoryTransport:
        """
        Connect a client.

        @param peer: Its address.
        """
        return StrictTransport.connect(self.network, self.factory, peer=peer)

    def clientAt(self, host: str, port: int = 40000) -> MemoryTransport:
        """
        Connect a client from somewhere.
        """
        return self.connect(tcpAddress(host, port))

    def settle(self) -> None:
        """
        Let happen what needs no time.
        """
        self.network.advance(0)

    def protocol(self) -> InboundProtocol:
        """
        Give the only connection's protocol.
        """
        (connection,) = self.inbound.connections
        return connection

    def attempt(self) -> Attempt:
        """
        Give the last connection attempt.
        """
        self.settle()
        return self.network.attempts[-1]

    def target(self) -> MemoryTransport:
        """
        Give the connection to the target that was last dialled.
        """
        transport = self.attempt().transport
        assert transport is not None, "the target did not accept"
        return transport

    def traces(self) -> list[object]:
        """
        Give what is left over after clients: connections and delayed calls.
        """
        return [*self.inbound.connections, *self.network.getDelayedCalls()]


def asking(proxy: MemoryProxy, said: bytes) -> MemoryTransport:
    """
    Connect a client that has been let in and makes its request.
    """
    client = proxy.connect()
    client.peerSends(NO_AUTHENTICATION)
    assert client.take() == b"\5\0"
    client.peerSends(said)
    return client

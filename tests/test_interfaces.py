"""
Tests for L{socksproxy.interfaces}: whoever claims to provide one does.
"""

from ipaddress import IPv4Address
from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import IRealm
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from socksproxy.address import Destination
from socksproxy.auth.realm import ProxyRealm
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.inbound import InboundFactory
from socksproxy.interfaces import ClientOrigin, IAddressPolicy, IOutbound, IProxyAvatar
from socksproxy.listener import ProxyFactory
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.avatar import ProxyAvatar
from socksproxy.policy.rules import AnyAddress, PublicAddresses
from socksproxy.socks import SOCKS4Factory, SOCKS5Factory
from socksproxy.testing import ScriptedNetwork, tcpAddress
from tests.memoryproxy import DenyNetworks, MemoryProxy

ORIGIN = ClientOrigin("SOCKS5", "-", True, tcpAddress("127.0.0.1", 40000), "127.0.0.1")


class ProvidersTests(SynchronousTestCase):
    """
    The parts meet at their interfaces.
    """

    def outbound(self, origin: ClientOrigin = ORIGIN) -> DirectOutbound:
        """
        Make a way out.
        """
        network: Any = ScriptedNetwork()
        resolver = BoundedResolver(network, network)
        return DirectOutbound(network, network, resolver, AnyAddress(), origin.source)

    def test_policies(self) -> None:
        """
        L{IAddressPolicy}.
        """
        policies = (AnyAddress(), PublicAddresses(lambda address: False), DenyNetworks())
        for policy in policies:
            verifyObject(IAddressPolicy, policy)
            policy.check(IPv4Address("8.8.8.8"))

    def test_outbound(self) -> None:
        """
        L{IOutbound}, and the endpoints that it gives.
        """
        outbound = self.outbound()
        verifyObject(IOutbound, outbound)
        verifyObject(IStreamClientEndpoint, outbound.endpointFor(Destination("web.test", 80)))

    def test_avatar(self) -> None:
        """
        L{IProxyAvatar}, as the realm gives it and as it is made.
        """
        realm = ProxyRealm(self.outbound)
        verifyObject(IRealm, realm)
        interface, avatar, logout = realm.requestAvatar(b"alice", ORIGIN, IProxyAvatar)
        self.assertIs(interface, IProxyAvatar)
        verifyObject(IProxyAvatar, avatar)
        verifyObject(IProxyAvatar, ProxyAvatar("alice", self.outbound()))
        self.assertIsNone(logout())

    def test_factories(self) -> None:
        """
        C{IProtocolFactory}, for every inbound protocol.
        """
        inbound = MemoryProxy(checkers=[AllowAnonymousAccess()]).inbound
        for cls in (InboundFactory, ProxyFactory, SOCKS4Factory, SOCKS5Factory):
            verifyClass(IProtocolFactory, cls)
            verifyObject(IProtocolFactory, cls(inbound))

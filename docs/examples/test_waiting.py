"""
Tests with ports: the peer of a BIND, and somebody to send datagrams to, on a
clock and a network in memory.
"""

from ipaddress import ip_address

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.auth.realm import ProxyRealm
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.exposure import Exposure
from socksproxy.inbound import Inbound
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.rules import AnyAddress
from socksproxy.socks import SOCKS5Factory
from socksproxy.testing import MemoryTransport, ScriptedNetwork

OURS = ip_address("198.51.100.1")
PEER = "192.0.2.1"
BIND = b"\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x00"
ASSOCIATE = b"\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"
TO_PEER = b"\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x35"


class WaitingTests(SynchronousTestCase):
    def setUp(self):
        self.network = ScriptedNetwork()
        # A real one would ask the kernel which of our addresses leads to a peer.
        exposure = Exposure(self.network, route=lambda peer: OURS)
        resolver = BoundedResolver(self.network, self.network.nameResolver)

        def outboundFor(origin):
            return DirectOutbound(
                self.network,
                self.network,
                resolver,
                AnyAddress(),
                origin.source,
                exposure=exposure,
            )

        portal = Portal(ProxyRealm(outboundFor), [AllowAnonymousAccess()])
        inbound = Inbound(portal, self.network, local=True, exposure=exposure)
        self.client = MemoryTransport.connect(self.network, SOCKS5Factory(inbound))
        self.client.peerSends(b"\x05\x01\x00")
        self.assertEqual(self.client.take(), b"\x05\x00")

    def test_thePeerIsLetIn(self):
        self.client.peerSends(BIND)
        self.assertEqual(self.client.take()[:8], b"\x05\x00\x00\x01" + OURS.packed)
        (listener,) = self.network.listeners
        self.assertIsNone(listener.peerConnects("192.0.2.99", 20))
        peer = listener.peerConnects(PEER, 20)
        self.assertEqual(self.client.take()[:2], b"\x05\x00")
        peer.peerSends(b"welcome")
        self.network.advance(0)
        self.assertEqual(self.client.take(), b"welcome")

    def test_whoWasAskedMayAnswer(self):
        self.client.peerSends(ASSOCIATE)
        self.assertEqual(self.client.take()[:2], b"\x05\x00")
        (relay,) = self.network.datagrams
        host = self.client.getPeer().host
        relay.peerSends(TO_PEER + b"question", host, 40000)
        _, outside = self.network.datagrams
        self.assertEqual(outside.take(), [(b"question", (PEER, 53))])
        outside.peerSends(b"spam", "192.0.2.99", 53)
        outside.peerSends(b"answer", PEER, 53)
        self.assertEqual(relay.take(), [(TO_PEER + b"answer", (host, 40000))])

"""
Tests for L{socksproxy.policy.avatar}.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import ConnectionRefused
from socksproxy.interfaces import IProxyAvatar
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.policy.avatar import ProxyAvatar
from socksproxy.policy.rules import AnyAddress
from socksproxy.relay import Leg
from socksproxy.testing import ScriptedNetwork

DESTINATION = Destination(IPv4Address("192.0.2.1"), 80)


class ProxyAvatarTests(SynchronousTestCase):
    """
    What a user can ask for.
    """

    def avatar(self, outcome: str) -> ProxyAvatar:
        """
        Make an avatar.

        @param outcome: What comes of dialling.
        """
        self.network = network = ScriptedNetwork({"192.0.2.1:80": outcome})
        resolver = BoundedResolver(network, network)
        return ProxyAvatar(
            "alice", DirectOutbound(network, network, resolver, AnyAddress(), "client")
        )

    def test_interface(self) -> None:
        """
        It is an avatar of a proxy user, and knows the user's name.
        """
        avatar = self.avatar("accept")
        verifyObject(IProxyAvatar, avatar)
        self.assertEqual(avatar.user, "alice")

    def test_connect(self) -> None:
        """
        A connection leads through the way out, and does not read before
        somebody holds it.
        """
        answer = self.avatar("accept").connect(DESTINATION)
        self.network.advance(0)
        leg = self.successResultOf(answer)
        self.assertIsInstance(leg, Leg)
        self.assertEqual([attempt.host for attempt in self.network.attempts], ["192.0.2.1"])
        self.assertIs(leg.transport, self.network.attempts[0].transport)
        self.assertTrue(leg.transport.paused)

    def test_failure(self) -> None:
        """
        Why a connection failed is told as it is.
        """
        answer = self.avatar("ECONNREFUSED").connect(DESTINATION)
        self.network.advance(0)
        self.failureResultOf(answer, ConnectionRefused)

    def test_cancel(self) -> None:
        """
        An attempt can be given up.
        """
        answer = self.avatar("timeout").connect(DESTINATION)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.network.cancelled, 1)
        self.assertEqual(self.network.getDelayedCalls(), [])

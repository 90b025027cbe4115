"""
A forwarder whose name servers the test plays.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.dns.cache import Cache
from socksproxy.dns.forwarder import Forwarder
from socksproxy.dns.group import UpstreamGroup
from socksproxy.dns.message import Query, readQuery
from socksproxy.dns.reply import Reply, readReply
from socksproxy.dns.rules import Rules
from socksproxy.testing import ScriptedNetwork
from tests.dns.messages import query
from tests.dns.upstreaming import PlayedUpstream

MAX_MESSAGE = 65535


class ForwarderTestCase(SynchronousTestCase):
    """
    Tests with a forwarder.
    """

    def setUp(self) -> None:
        """
        Make a forwarder with a name server through the proxy and one besides.
        """
        self.network = ScriptedNetwork()
        self.server = PlayedUpstream("proxied.test")
        self.direct = PlayedUpstream("direct.test")
        self.rules = Rules()
        self.cache = Cache(self.network.seconds)
        self.forwarder = self.make()

    def make(self, **options: Any) -> Forwarder:
        """
        Make a forwarder.
        """
        groups = {
            "proxy": UpstreamGroup(self.network, [self.server]),
            "direct": UpstreamGroup(self.network, [self.direct]),
        }
        self.forwarder = Forwarder(groups, self.rules, self.cache, **options)
        return self.forwarder

    def ask(
        self, name: str = "www.test", kind: int = 1, *additional: bytes, limit: int = MAX_MESSAGE
    ) -> Deferred[bytes]:
        """
        Ask.
        """
        return self.forwarder.answer(readQuery(query(name, kind, *additional)), limit)

    def answered(self, asking: Deferred[bytes]) -> Reply:
        """
        Read an answer that is there.
        """
        return readReply(self.successResultOf(asking))

    def addresses(self, asking: Deferred[bytes]) -> list[str]:
        """
        Give the addresses in an answer that is there.
        """
        return [str(address) for address in self.answered(asking).addresses]

    def question(self, name: str = "www.test", kind: int = 1) -> Query:
        """
        Give a question as a client asks it.
        """
        return readQuery(query(name, kind))

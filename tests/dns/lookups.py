"""
Looking names up by a resolver whose names come at the test's pace.
"""

from ipaddress import IPv4Address

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import IPAddress
from socksproxy.dns.resolver import BoundedResolver
from tests.dns.names import SlowNames

ADDRESS = IPv4Address("192.0.2.1")


class ResolverTestCase(SynchronousTestCase):
    """
    Tests with a resolver that is asked through slow names.
    """

    def setUp(self) -> None:
        """
        Make a resolver with the usual bounds.
        """
        self.clock = Clock()
        self.names = SlowNames()
        self.resolver = BoundedResolver(self.clock, self.names)

    def bounded(self, inFlight: int, perClient: int) -> None:
        """
        Make the bounds smaller.
        """
        self.resolver = BoundedResolver(self.clock, self.names, inFlight, perClient)

    def ask(self, name: str, client: str = "client") -> Deferred[list[IPAddress]]:
        """
        Look a name up.
        """
        return self.resolver.resolve(name, client)

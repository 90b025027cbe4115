"""
Starting a whole proxy in memory.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.config import Configuration
from socksproxy.errors import ConfigurationError
from socksproxy.service import ProxyService
from tests.memoryreactor import MemoryReactor

LOOPBACK = "tcp:1080:interface=127.0.0.1"
USERS = InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret")


class ServiceTestCase(SynchronousTestCase):
    """
    Tests with a proxy in memory.
    """

    def setUp(self) -> None:
        """
        Make a reactor.
        """
        self.reactor = MemoryReactor()

    def proxy(self, *listen: str, **configuration: object) -> ProxyService:
        """
        Make a proxy.
        """
        return ProxyService(
            self.reactor,
            Configuration(listen=listen or (LOOPBACK,), **configuration),  # type: ignore[arg-type]
        )

    def assertRefused(self, text: str, *listen: str, **configuration: object) -> str:
        """
        Fail unless such a proxy does not start and says why, and nothing is
        left listening.

        @return: What it says.
        """
        proxy = self.proxy(*listen, **configuration)
        error = str(self.assertRaises(ConfigurationError, proxy.openPorts))
        self.assertIn(text, error)
        self.assertNotIn("\n", error)
        self.assertEqual(self.reactor.listening, [])
        return error

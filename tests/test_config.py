"""
Tests for L{socksproxy.config}.
"""

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.config import DEFAULT_LISTENER, Configuration, withoutSecrets


class ConfigurationTests(SynchronousTestCase):
    """
    What is decided where nobody decides.
    """

    def test_listener(self) -> None:
        """
        Without any wish the proxy listens on loopback, port 1080.
        """
        self.assertEqual(Configuration().listen, (DEFAULT_LISTENER,))
        reactor = MemoryReactorClock()
        endpoint = serverFromString(reactor, DEFAULT_LISTENER)
        self.assertIsInstance(endpoint, TCP4ServerEndpoint)
        self.successResultOf(endpoint.listen(object()))
        port, _, _, interface = reactor.tcpServers[0]
        self.assertEqual(IPv4Address("TCP", interface, port), IPv4Address("TCP", "127.0.0.1", 1080))

    def test_safe(self) -> None:
        """
        Nothing that is dangerous is on.
        """
        configuration = Configuration()
        self.assertFalse(configuration.openRelay)
        self.assertFalse(configuration.allowPrivate)
        self.assertEqual(configuration.checkers, ())

    def test_timers(self) -> None:
        """
        A client has ten seconds for its handshake.
        """
        self.assertEqual(Configuration().timers.handshake, 10.0)

    def test_ownLimits(self) -> None:
        """
        Two proxies in a process do not count each other's clients.
        """
        self.assertIsNot(Configuration().limits, Configuration().limits)


class WithoutSecretsTests(SynchronousTestCase):
    """
    Endpoint strings in logs.
    """

    def test_plain(self) -> None:
        """
        A string without a secret is shown as it is.
        """
        for text in (
            DEFAULT_LISTENER,
            "unix:/run/proxy.sock:mode=660",
            "ssl:443:privateKey=/etc/proxy.key:certKey=/etc/proxy.pem",
            "kcp:4000:keyFile=/etc/proxy.key",
        ):
            self.assertEqual(withoutSecrets(text), text)

    def test_secrets(self) -> None:
        """
        Secrets are not shown, and everything else is.
        """
        for text, shown in (
            ("kcp:4000:key=it's a secret:mode=fast", "kcp:4000:key=***:mode=fast"),
            ("kcp:4000:key=hunter2", "kcp:4000:key=***"),
            ("x:password=hunter2:passwd=hunter2", "x:password=***:passwd=***"),
            ("x:Secret=hunter2:y", "x:Secret=***:y"),
        ):
            self.assertEqual(withoutSecrets(text), shown)

    def test_escapedColons(self) -> None:
        """
        A secret that holds a colon, which is escaped there, is not shown
        behind it either.
        """
        for text in (r"kcp:4000:key=ab\:hunter2:mode=fast", r"kcp:4000:key=a\\\:hunter2"):
            self.assertNotIn("hunter2", withoutSecrets(text))
        self.assertIn("mode=fast", withoutSecrets(r"kcp:4000:key=ab\:hunter2:mode=fast"))

"""
Tests for L{socksproxy.shadowsocks.servers}.
"""

from __future__ import annotations

from unittest.mock import patch

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.client.errors import ProxyUnreachable
from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks import servers
from socksproxy.shadowsocks.plugin import RESTARTS
from socksproxy.shadowsocks.servers import ShadowsocksServerAway
from socksproxy.shadowsocks.url import shadowsocksFromURL
from socksproxy.state import IKeepsSessions
from tests.client.scripted import Connecting
from tests.shadowsocks.test_plugin import Reactor

PASSWORD = "correct-horse-battery-staple"
PLACE = "198.51.100.1:8388"
LINK = f"ss://aes-256-gcm:{PASSWORD}@{PLACE}"
WITH_PLUGIN = f"{LINK}/?plugin=%2Fbin%2Fsh%3Bobfs%3Dhttp"
PORT = 40123


class ErrorTests(SynchronousTestCase):
    """
    Links that name no server that there can be.
    """

    def test_wrong(self) -> None:
        """
        A method that there is not, a key of the wrong length, no password, and
        a plugin that is not there are told, and no password is.
        """
        for link in (
            f"ss://rc4-md5:{PASSWORD}@{PLACE}",
            f"ss://2022-blake3-aes-128-gcm:{PASSWORD}@{PLACE}",
            f"ss://aes-256-gcm:@{PLACE}",
            f"{LINK}/?plugin=no-such-plugin-anywhere",
        ):
            with self.subTest(link):
                with self.assertRaises(ConfigurationError) as caught:
                    ShadowsocksServerAway(Reactor(), shadowsocksFromURL(link))
                self.assertNotIn(PASSWORD, str(caught.exception))


class PluginTests(SynchronousTestCase):
    """
    A server that is behind a plugin, on a network in memory.
    """

    def setUp(self) -> None:
        """
        Have one.
        """
        self.reactor = Reactor()
        self.patch(servers, "freePort", lambda host: PORT)
        self.server = ShadowsocksServerAway(self.reactor, shadowsocksFromURL(WITH_PLUGIN))

    def connect(self) -> Connecting:
        """
        Connect to a target.
        """
        direct = TCP4ClientEndpoint(self.reactor, "198.51.100.1", 8388)
        return Connecting(self.server.endpointTo(direct, "target.test", 80))

    def listens(self) -> None:
        """
        Have the plugin listen.
        """
        self.reactor.world[f"127.0.0.1:{PORT}"] = "accept"

    def test_interface(self) -> None:
        """
        It is something to be closed.
        """
        self.assertTrue(verifyObject(IKeepsSessions, self.server))
        self.successResultOf(self.server.close())

    def test_startedOnce(self) -> None:
        """
        The plugin is started with the first connection, which waits for it; the
        others go to the same one, without a probe before them.
        """
        self.assertEqual(self.reactor.spawned, [])
        first = self.connect()
        self.reactor.advance(0)
        (plugin,) = self.reactor.spawned
        self.assertEqual(plugin.environment["SS_REMOTE_PORT"], "8388")
        self.assertEqual(plugin.environment["SS_LOCAL_PORT"], str(PORT))
        self.assertNoResult(first.result)
        self.listens()
        for _ in range(4):
            self.reactor.advance(0.1)
        self.successResultOf(first.result)
        dialled = len(self.reactor.attempts)
        second = self.connect()
        self.reactor.advance(0)
        self.successResultOf(second.result)
        self.assertEqual(len(self.reactor.attempts), dialled + 1)
        self.assertEqual(len(self.reactor.spawned), 1)
        self.assertEqual(
            {(attempt.host, attempt.port) for attempt in self.reactor.attempts},
            {("127.0.0.1", PORT)},
        )

    def test_startedAgain(self) -> None:
        """
        A connection waits for a plugin that is being started again.
        """
        self.listens()
        self.connect()
        self.reactor.advance(0)
        self.reactor.world.clear()
        self.reactor.spawned[0].ends(1)
        waiting = self.connect()
        self.reactor.advance(0)
        self.assertNoResult(waiting.result)
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.spawned), 2)
        self.listens()
        for _ in range(4):
            self.reactor.advance(0.1)
        self.successResultOf(waiting.result)

    def test_given(self) -> None:
        """
        One that ends at once time and again is given up, which is the proxy's
        fault; the next connection starts another.
        """
        connecting = self.connect()
        self.reactor.advance(0)
        for _ in range(RESTARTS + 1):
            self.reactor.spawned[-1].ends(1)
            self.reactor.pump([1.0] * 60)
        self.failureResultOf(connecting.result, ProxyUnreachable)
        started = len(self.reactor.spawned)
        self.connect()
        self.assertEqual(len(self.reactor.spawned), started + 1)

    def test_noPort(self) -> None:
        """
        Where the plugin can have no port that is the proxy's fault, too, and
        told as such.
        """
        with patch.object(servers, "freePort", side_effect=ConfigurationError("no port")):
            connecting = self.connect()
        self.failureResultOf(connecting.result, ProxyUnreachable)
        self.assertEqual(connecting.numPorts, 0)

    def test_close(self) -> None:
        """
        Closing ends the plugin, and waits for that.
        """
        self.listens()
        self.connect()
        self.reactor.advance(0)
        (plugin,) = self.reactor.spawned
        closing = self.server.close()
        self.assertNoResult(closing)
        self.assertEqual(plugin.signals, ["TERM"])
        plugin.ends()
        self.successResultOf(closing)
        self.successResultOf(self.server.close())

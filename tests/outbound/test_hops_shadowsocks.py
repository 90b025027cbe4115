"""
Tests for L{socksproxy.outbound.hops} and L{socksproxy.outbound.chain}: servers
of Shadowsocks.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from socksproxy.address import Destination, hostFromName
from socksproxy.client.errors import TargetCommandNotSupported
from socksproxy.errors import CommandNotSupported, ConfigurationError
from socksproxy.interfaces import IDatagramConduit
from socksproxy.outbound.chain import ChainOutbound, wayThrough
from socksproxy.shadowsocks._events import Requested
from socksproxy.shadowsocks.endpoints import FIRST_WORDS
from tests.client.scripted import HOST, PORT, Connecting, socks5
from tests.memoryproxy import DenyNetworks
from tests.outbound.chains import ONE, TWO, ChainTestCase
from tests.shadowsocks.streams import fresh, serverOf

METHOD = "aes-256-gcm"
PASSWORD = "correct horse battery staple".replace(" ", "%20")


def link(host: str = ONE, query: str = "", scheme: str = "ss") -> str:
    """
    Write the link of a server.
    """
    return f"{scheme}://{METHOD}:{PASSWORD}@{host}:1080{query}"


class ShadowsocksHopTests(ChainTestCase):
    """
    Servers that the test plays.
    """

    def connect(self, urls: str, host: str = HOST) -> Connecting:
        """
        Connect through a chain.
        """
        destination = Destination(hostFromName(host.encode()), PORT)
        return Connecting(self.chained(urls).endpointTo(destination))

    def assertAsked(self, host: str, port: int) -> Any:
        """
        Check where the server that has been reached last is to lead.
        """
        peer = self.peer()
        self.network.advance(FIRST_WORDS)
        server = serverOf(fresh(METHOD))
        (requested,) = server.feed(peer.take())
        self.assertIsInstance(requested, Requested)
        self.assertEqual(requested.destination, Destination(hostFromName(host.encode()), port))
        return server

    def conduit(self, urls: str) -> Deferred[IDatagramConduit]:
        """
        Ask for datagrams to be relayed.
        """
        outbound = ChainOutbound(self.chained(urls), DenyNetworks(["10.0.0.0/8"]))
        return outbound.conduit(lambda data, source: None)

    def test_names(self) -> None:
        """
        Names go there as they are, and nobody here learns of them.
        """
        connecting = self.connect(link())
        self.assertAsked(HOST, PORT)
        self.successResultOf(connecting.result)
        self.assertEqual(self.network.queries, [])

    def test_alternatives(self) -> None:
        """
        Where one is not reached the next one is asked.
        """
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
        connecting = self.connect(f"{link(ONE)}|{link(TWO)}")
        self.network.advance(0)
        self.assertAsked(HOST, PORT)
        self.successResultOf(connecting.result)
        self.assertEqual([attempt.host for attempt in self.network.attempts], [ONE, TWO])

    def test_behind(self) -> None:
        """
        A proxy before it is asked for it.
        """
        connecting = self.connect(f"socks5h://{TWO}:1080,{link(ONE)}")
        self.converse(self.peer(), socks5(ONE, 1080))
        self.assertAsked(HOST, PORT)
        self.successResultOf(connecting.result)

    def test_before(self) -> None:
        """
        It is asked for the proxy behind it, with what that one is told first.
        """
        connecting = self.connect(f"{link(ONE)},socks5h://{TWO}:1080")
        peer = self.peer()
        server = serverOf(fresh(METHOD))
        (requested, *_) = server.feed(peer.take())
        self.assertEqual(requested.destination, Destination(hostFromName(TWO.encode()), 1080))
        self.assertEqual(requested.firstPayload, socks5().messages[0])
        for message, answer in zip(socks5().messages[1:], socks5().answers, strict=False):
            peer.peerSends(server.seal(answer))
            (event,) = server.feed(peer.take())
            self.assertEqual(event.data, message)
        peer.peerSends(server.seal(socks5().answers[-1]))
        self.successResultOf(connecting.result)

    def test_onlyFirst(self) -> None:
        """
        Only the first of a chain can have a plugin; and the error has no
        password.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.chained(f"socks5h://{TWO}:1080,{link(query='/?plugin=%2Fbin%2Fsh')}")
        self.assertIn("only the first", str(caught.exception))
        self.assertNotIn(PASSWORD, str(caught.exception))
        self.chained(link(query="/?plugin=%2Fbin%2Fsh"))

    def test_datagrams(self) -> None:
        """
        Datagrams go to a server of its own, but not to addresses that are
        denied.
        """
        conduit = self.successResultOf(self.conduit(link()))
        self.assertTrue(wayThrough(self.chain).udp)
        (datagrams,) = self.network.datagrams
        self.assertFalse(conduit.send(b"x", Destination(hostFromName(b"10.0.0.1"), 53)))
        self.assertEqual(datagrams.take(), [])
        self.assertTrue(conduit.send(b"x", Destination(hostFromName(b"192.0.2.1"), 53)))
        ((_, to),) = datagrams.take()
        self.assertEqual(to, (ONE, 1080))
        conduit.close()

    def test_noDatagrams(self) -> None:
        """
        None go through a carrier or a longer chain.
        """
        for urls in (link(scheme="ss+kcp", query="?key=x"), f"socks5h://{TWO}:1080,{link()}"):
            with self.subTest(urls):
                self.assertFalse(wayThrough(self.chained(urls)).udp)
                failure = self.failureResultOf(self.conduit(urls))
                self.assertTrue(
                    failure.check(CommandNotSupported, TargetCommandNotSupported), failure
                )
                self.assertEqual(self.network.datagrams, [])

"""
Tests for L{socksproxy.outbound.hops} and L{socksproxy.outbound.chain}: proxies
that are reached by a tunnel.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, hostFromName
from socksproxy.client.errors import (
    ProxyUnreachable,
    TargetCommandNotSupported,
    TargetConnectionRefused,
)
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import ConfigurationError
from socksproxy.interfaces import IDatagramConduit
from socksproxy.outbound import hops
from socksproxy.outbound.chain import ChainOutbound
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.state import IKeepsSessions
from socksproxy.testing import MemoryTransport
from tests.client.scripted import EARLY, HOST, PORT, Connecting, socks5
from tests.keepers import Keeper
from tests.memoryproxy import DenyNetworks
from tests.outbound.chains import ONE, TWO, ChainTestCase
from tests.socks.test_streamed import GRANTED, REQUEST, framed
from tests.socksclient import ACCEPTED, ALICE, NO_AUTHENTICATION, WITH_PASSWORD, refused, request
from tests.socksrequests import RESOLVE, command, granted

SECRET = "Tr0ub4dor"
INSIDE = "10.0.0.1"

ANSWERED = b"\5\0" + granted("192.0.2.200", 50000)


def to(host: str, port: int = 53) -> Destination:
    """
    Give a destination.
    """
    return Destination(hostFromName(host.encode()), port)


class CarrierTestCase(ChainTestCase):
    """
    Tests with tunnels of which the proxies are played themselves: what there
    should be a tunnel for is dialled on port 1080.

    @ivar asked: The endpoint strings of the tunnels.
    """

    def setUp(self) -> None:
        """
        Have endpoint strings that lead to port 1080.
        """
        super().setUp()
        self.asked: list[str] = []

        def clientFromString(reactor: Any, description: str) -> IStreamClientEndpoint:
            self.asked.append(description)
            return TCP4ClientEndpoint(reactor, description.split(":")[1], 1080)

        self.patch(hops, "clientFromString", clientFromString)

    def connect(self, urls: str, host: str = HOST) -> Connecting:
        """
        Connect through a chain.
        """
        return Connecting(self.chained(urls).endpointTo(to(host, PORT)))


class EndpointStringTests(CarrierTestCase):
    """
    What is asked for.
    """

    def test_strings(self) -> None:
        """
        The parameters of the query become those of an endpoint string, and
        nothing in them is taken for something else. C{eager} is not for it.
        """
        self.chained(f"socks5h+kcp://{ONE}?mtu=1200&key=a%3Ab%5Cc%3Dd&eager=no")
        self.assertEqual(self.asked, [rf"kcp:{ONE}:29900:key=a\:b\\c=d:mtu=1200"])
        self.asked.clear()
        self.chained(f"socks5+tunnel://alice:{SECRET}@[2001:db8::1]:4000")
        self.assertEqual(self.asked, [r"tunnel:2001\:db8\:\:1:4000"])

    def test_onePerProxy(self) -> None:
        """
        There is one for each proxy, however often it is gone through, so that
        sessions are kept.
        """
        chain = self.chained(f"socks5h+kcp://{ONE}?key=k|socks5h+kcp://{TWO}?key=k")
        for _ in range(3):
            connecting = Connecting(chain.endpointTo(to(HOST, PORT)))
            self.peer().peerSends(ANSWERED)
            self.successResultOf(connecting.result)
        self.assertEqual(len(self.asked), 2)

    def test_shown(self) -> None:
        """
        A chain is shown without keys and passwords.
        """
        chain = self.chained(
            f"socks5h+kcp://alice:{SECRET}@{ONE}?key={SECRET}|socks5h+tunnel://{TWO},http://{ONE}"
        )
        self.assertEqual(
            str(chain),
            f"socks5h+kcp://***@{ONE}:29900|socks5h+tunnel://{TWO}:443,http://{ONE}:1080",
        )
        self.assertNotIn(SECRET, repr(chain))

    def test_onlyTheFirst(self) -> None:
        """
        Only the first proxy of a chain can be reached so.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.chained(f"socks5h://{ONE},socks5h+kcp://{TWO}?key={SECRET}")
        self.assertIn("first", str(caught.exception))
        self.assertNotIn(SECRET, str(caught.exception))


class WrongParameterTests(ChainTestCase):
    """
    What cannot be.
    """

    def test_wrong(self) -> None:
        """
        A parameter that cannot be is told in one line, together with the proxy,
        and without the key.
        """
        for carrier, query, reason in (
            ("kcp", "", "key"),
            ("kcp", "key=", "empty"),
            ("kcp", f"key={SECRET}&keyFile=/nowhere", "key"),
            ("kcp", "keyFile=/nowhere/key", "/nowhere/key"),
            ("kcp", f"key={SECRET}&bogus=1", "bogus"),
            ("kcp", f"key={SECRET}&mtu=a%0Ab", "mtu"),
            ("kcp", f"key={SECRET}&crypt=rot13", "crypt"),
            ("kcp", f"key={SECRET}&host=192.0.2.1", "host"),
            ("kcp", f"key={SECRET}&reactor=x", "reactor"),
            ("tunnel", f"key={SECRET}", "key"),
            ("tunnel", "ca=/nowhere/ca.pem", "/nowhere/ca.pem"),
            ("tunnel", "smuxver=3", "smuxver"),
        ):
            url = f"socks5h+{carrier}://alice:{SECRET}@proxy.test?{query}"
            with self.assertRaises(ConfigurationError) as caught:
                Chain(self.network, chainFromURLs(url), BoundedResolver(self.network, self.network))
            shown = str(caught.exception)
            self.assertIn(f"socks5h+{carrier}://***@proxy.test", shown)
            self.assertIn(reason, shown.partition("proxy.test")[2])
            self.assertNotIn(SECRET, shown)
            self.assertNotIn("\n", shown)
            self.assertTrue(caught.exception.__suppress_context__)


class ConnectTests(CarrierTestCase):
    """
    Connections.
    """

    def test_eager(self) -> None:
        """
        The proxy is told everything at once and not waited for.
        """
        connecting = self.connect(f"socks5h+kcp://{ONE}?key=k")
        peer = self.peer()
        self.successResultOf(connecting.result)
        self.assertEqual(peer.take(), NO_AUTHENTICATION + request(HOST, PORT))
        peer.peerSends(ANSWERED + EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])

    def test_login(self) -> None:
        """
        So is who we are.
        """
        connecting = self.connect(f"socks5h+tunnel://alice:s3cret@{ONE}")
        peer = self.peer()
        self.successResultOf(connecting.result)
        self.assertEqual(peer.take(), WITH_PASSWORD + ALICE + request(HOST, PORT))
        peer.peerSends(b"\5\2" + ACCEPTED + granted("192.0.2.200", 50000) + EARLY)
        self.assertEqual(connecting.received, EARLY)

    def test_patient(self) -> None:
        """
        With C{eager=no} it is waited for, and what it says is told.
        """
        self.assertConnects(self.connect(f"socks5h+kcp://{ONE}?key=k&eager=no"), socks5())
        connecting = self.connect(f"socks5h+kcp://{ONE}?key=k&eager=no")
        self.peer().peerSends(b"\5\0" + refused(5))
        self.failureResultOf(connecting.result, TargetConnectionRefused)

    def test_refused(self) -> None:
        """
        Otherwise a refusal ends the connection.
        """
        connecting = self.connect(f"socks5h+kcp://{ONE}?key=k")
        peer = self.peer()
        self.successResultOf(connecting.result)
        peer.peerSends(b"\5\0" + refused(5))
        self.network.advance(0)
        self.assertTrue(peer.lost)
        self.assertEqual((len(connecting.told), connecting.received), (3, b""))

    def test_namesLookedUpHere(self) -> None:
        """
        C{socks5} looks names up here, as ever.
        """
        self.network.world[HOST] = ["192.0.2.1"]
        connecting = self.connect(f"socks5+kcp://{ONE}?key=k")
        peer = self.peer()
        self.successResultOf(connecting.result)
        self.assertEqual(peer.take(), NO_AUTHENTICATION + request("192.0.2.1", PORT))

    def test_chain(self) -> None:
        """
        Other proxies can be behind it.
        """
        connecting = self.connect(f"socks5h+kcp://{ONE}?key=k,socks5h://{TWO}")
        peer = self.peer()
        self.assertEqual(peer.take(), NO_AUTHENTICATION + request(TWO, 1080) + NO_AUTHENTICATION)
        peer.peerSends(ANSWERED + b"\5\0")
        self.assertEqual(peer.take(), request(HOST, PORT))
        self.assertNoResult(connecting.result)
        peer.peerSends(granted("192.0.2.200", 50000) + EARLY)
        self.successResultOf(connecting.result)
        self.assertEqual(connecting.received, EARLY)

    def test_alternatives(self) -> None:
        """
        One that cannot be reached makes room for another.
        """
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
        connecting = self.connect(f"socks5h+kcp://{ONE}?key=k|socks5h://{TWO}")
        self.network.pump([0] * 3)
        self.assertEqual(self.assertConnects(connecting, socks5()), TWO)


class DatagramTests(CarrierTestCase):
    """
    Datagrams, which stay in the tunnel.
    """

    def outbound(self, urls: str) -> ChainOutbound:
        """
        Make a way out. Nobody may go to C{10.0.0.0/8}.
        """
        return ChainOutbound(self.chained(urls), DenyNetworks(["10.0.0.0/8"]))

    def ask(self, urls: str = f"socks5h+kcp://{ONE}?key=k") -> Deferred[IDatagramConduit]:
        """
        Ask for a conduit.
        """
        self.received: list[tuple[bytes, str]] = []
        return self.outbound(urls).conduit(
            lambda data, source: self.received.append((data, str(source)))
        )

    def conduit(
        self, urls: str = f"socks5h+kcp://{ONE}?key=k"
    ) -> tuple[IDatagramConduit, MemoryTransport]:
        """
        Get a conduit.
        """
        asking = self.ask(urls)
        peer = self.peer()
        return self.successResultOf(asking), peer

    def tearDown(self) -> None:
        """
        No socket for datagrams was ever opened.
        """
        self.assertEqual(self.network.datagrams, [])
        super().tearDown()

    def test_bothWays(self) -> None:
        """
        Datagrams go over the connection to names and addresses, and come from
        both.
        """
        for carrier in ("kcp", "tunnel"):
            conduit, peer = self.conduit(f"socks5h+{carrier}://{ONE}?key=k")
            verifyObject(IDatagramConduit, conduit)
            self.assertEqual(peer.take(), NO_AUTHENTICATION + REQUEST)
            peer.peerSends(b"\5\0" + GRANTED)
            for host, shown in (
                ("192.0.2.53", "192.0.2.53:53"),
                ("2001:db8::53", "[2001:db8::53]:53"),
                ("ns.test", "ns.test:53"),
            ):
                self.assertTrue(conduit.send(b"question", to(host)))
                self.assertEqual(peer.take(), framed(b"question", host))
                peer.peerSends(framed(b"answer", host))
                self.assertEqual(self.received.pop(), (b"answer", shown))
            self.assertEqual((self.network.queries, conduit.dropped), ([], (0, 0)))
            conduit.close()
            self.assertTrue(peer.aborted)

    def test_login(self) -> None:
        """
        The login is said before.
        """
        _, peer = self.conduit(f"socks5h+kcp://alice:s3cret@{ONE}?key=k")
        self.assertEqual(peer.take(), WITH_PASSWORD + ALICE + REQUEST)

    def test_namesLookedUpHere(self) -> None:
        """
        C{socks5} looks names up here, and does not go where one must not.
        """
        self.network.world.update({"ns.test": ["192.0.2.53"], "inside.test": [INSIDE]})
        conduit, peer = self.conduit(f"socks5+kcp://{ONE}?key=k")
        peer.take()
        conduit.send(b"question", to("ns.test"))
        conduit.send(b"question", to("inside.test"))
        self.assertEqual(peer.take(), framed(b"question", "192.0.2.53"))
        self.assertEqual(self.network.queries, ["ns.test", "inside.test"])
        conduit.close()

    def test_dropped(self) -> None:
        """
        What must not be sent, or cannot be, is dropped, and that is known.
        """
        conduit, peer = self.conduit()
        peer.take()
        for host, port in ((INSIDE, 53), ("192.0.2.53", 0), ("ns.test", 0)):
            self.assertFalse(conduit.send(b"question", to(host, port)))
        self.assertEqual(peer.take(), b"")
        sent = [conduit.send(bytes(1000), to("192.0.2.53")) for _ in range(200)]
        self.assertEqual(peer.take(), framed(bytes(1000), "192.0.2.53") * sum(sent))
        self.assertFalse(sent[-1])

    def test_refused(self) -> None:
        """
        A refusal ends it, and there is nothing to log.
        """
        conduit, peer = self.conduit()
        peer.peerSends(b"\5\0" + refused(7))
        self.network.advance(0)
        self.assertTrue(peer.lost)
        self.assertFalse(conduit.send(b"question", to("192.0.2.53")))
        conduit.close()

    def test_refusedPatiently(self) -> None:
        """
        One that is waited for is told.
        """
        asking = self.ask(f"socks5h+kcp://{ONE}?key=k&eager=no")
        self.peer().peerSends(b"\5\0" + refused(7))
        self.failureResultOf(asking, TargetCommandNotSupported)

    def test_alternatives(self) -> None:
        """
        One that cannot be reached makes room for another, and if there is none
        that is told.
        """
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
        asking = self.ask(f"socks5h+kcp://{ONE}?key=k|socks5h+kcp://{TWO}?key=k")
        self.network.pump([0] * 3)
        conduit = self.successResultOf(asking)
        self.assertEqual([attempt.host for attempt in self.network.attempts], [ONE, TWO])
        conduit.close()
        asking = self.ask()
        self.network.pump([0] * 3)
        self.failureResultOf(asking, ProxyUnreachable)

    def test_lookUps(self) -> None:
        """
        Look-ups go through the tunnel, too, and are waited for.
        """
        looking = self.outbound(f"socks5h+kcp://{ONE}?key=k").resolve("web.test")
        peer = self.peer()
        self.assertEqual(peer.take(), NO_AUTHENTICATION)
        peer.peerSends(b"\5\0")
        self.assertEqual(peer.take(), command(RESOLVE, "web.test"))
        peer.peerSends(granted("192.0.2.1"))
        self.assertEqual([str(address) for address in self.successResultOf(looking)], ["192.0.2.1"])


class CloseTests(ChainTestCase):
    """
    Sessions that tunnels keep.
    """

    def test_close(self) -> None:
        """
        Those with all proxies are closed, by the chain as by an endpoint that
        leads through it.
        """
        keepers: list[Keeper] = []

        def clientFromString(reactor: Any, description: str) -> Keeper:
            keepers.append(Keeper())
            return keepers[-1]

        self.patch(hops, "clientFromString", clientFromString)
        chain = self.chained(f"socks5h+kcp://{ONE}?key=k|socks5h+tunnel://{TWO}|socks5h://{ONE}")
        endpoint: Any = chain.endpointTo(to(HOST, PORT))
        for thing in (chain, endpoint):
            verifyObject(IKeepsSessions, thing)
            closing = thing.close(3)
            for keeper in keepers:
                self.assertNoResult(closing)
                self.assertEqual([patience for patience, _ in keeper.closing], [3])
                keeper.closed()
            self.successResultOf(closing)

    def test_none(self) -> None:
        """
        Where there are no tunnels there is nothing to close.
        """
        self.successResultOf(self.chained(f"socks5h://{ONE}").close(3))

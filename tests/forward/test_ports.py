"""
Tests for L{socksproxy.forward.ports}, in a whole proxy.
"""

from __future__ import annotations

from ipaddress import ip_address
from unittest.mock import patch

from twisted.logger import LogLevel

from socksproxy.address import Destination
from socksproxy.config import Configuration, withoutSecrets
from socksproxy.forward import forwardFromText
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.service import ProxyService
from socksproxy.testing import MemoryDatagrams, MemoryTransport
from tests.accesslines import accessLines
from tests.logs import atLevel, captured, texts
from tests.memoryreactor import MemoryReactor
from tests.proxyclients import WORLD
from tests.proxystarts import ServiceTestCase
from tests.socksclient import request

LOCAL = "tcp:8080:interface=127.0.0.1"
WEB = f"{LOCAL},tcp:web.test:80"
DNS = "udp:53:interface=127.0.0.1,udp:192.0.2.53:53"
PROXY = Destination(ip_address("192.0.2.1"), 80)
CLIENT = ("127.0.0.1", 40000)


class PortsTestCase(ServiceTestCase):
    """
    Tests with a proxy that forwards.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactor(WORLD)
        self.events = self.enterContext(captured())

    def start(self, *forward: str, via: str = "", **configuration: object) -> ProxyService:
        """
        Start a proxy that does nothing but forward.
        """
        configuration.setdefault("listen", ())
        proxy = ProxyService(
            self.reactor,
            Configuration(
                forward=[forwardFromText(text) for text in forward],
                via=chainFromURLs(via) if via else (),
                **configuration,  # type: ignore[arg-type]
            ),
        )
        proxy.startService()
        self.reactor.run()
        return proxy

    def client(self, number: int = 0) -> MemoryTransport:
        """
        Connect to a port.
        """
        client = self.reactor.ports[number].connect()
        self.settle()
        return client

    def target(self) -> MemoryTransport:
        """
        Give the connection that was made last.
        """
        transport = self.reactor.attempts[-1].transport
        assert transport is not None
        return transport

    def opened(self) -> list[MemoryDatagrams]:
        """
        Give the sockets for datagrams that are open.
        """
        return [socket for socket in self.reactor.datagrams if socket.open]

    def settle(self) -> None:
        """
        Let happen what is due, without time passing.
        """
        self.reactor.pump([0] * 8)


class ForwardedTests(PortsTestCase):
    """
    What is forwarded.
    """

    def test_streams(self) -> None:
        """
        Connections are, to a name that is looked up for each.
        """
        proxy = self.start(WEB)
        client = self.client()
        client.peerSends(b"question")
        self.target().peerSends(b"answer")
        self.assertEqual((self.target().take(), client.take()), (b"question", b"answer"))
        self.assertEqual(self.reactor.queries, ["web.test"])
        proxy.abortConnections()
        self.settle()
        (line,) = accessLines(self.events)
        self.assertEqual(line["destination"], "tcp:web.test:80")
        self.assertEqual(line["listener"], LOCAL)

    def test_internal(self) -> None:
        """
        The target is the administrator's choice, so that clients from
        elsewhere reach it on loopback, too.
        """
        self.start("tcp:8080,tcp:inside.test:80")
        client = self.client()
        client.peerSends(b"question")
        self.assertEqual(self.reactor.attempts[-1].host, "127.0.0.1")
        self.assertEqual(self.target().take(), b"question")

    def test_datagrams(self) -> None:
        """
        Datagrams are.
        """
        self.start(DNS)
        (port,) = self.opened()
        self.assertEqual((port.host, port.port), ("127.0.0.1", 53))
        port.peerSends(b"question", *CLIENT)
        _, socket = self.opened()
        self.assertEqual(socket.take(), [(b"question", ("192.0.2.53", 53))])
        socket.peerSends(b"answer", "192.0.2.53", 53)
        self.assertEqual(port.take(), [(b"answer", CLIENT)])

    def test_several(self) -> None:
        """
        Several ports go to as many places, beside a listener for clients of
        the proxy.
        """
        self.start(
            "tcp:0:interface=127.0.0.1,tcp:192.0.2.1:80",
            "tcp:0:interface=127.0.0.1,tcp:127.0.0.1:80",
            listen=["tcp:1080:interface=127.0.0.1"],
        )
        for number, host in ((1, "192.0.2.1"), (2, "127.0.0.1")):
            self.client(number)
            self.assertEqual(self.reactor.attempts[-1].host, host)

    def test_unix(self) -> None:
        """
        Connections to a UNIX socket are, too.
        """
        self.start("unix:/run/forward,tcp:192.0.2.1:80")
        client = self.client()
        client.peerSends(b"question")
        self.assertEqual(self.target().take(), b"question")

    def test_otherEndpoints(self) -> None:
        """
        What is no plain host and port is connected to by Twisted's endpoint,
        with its time-out.
        """
        self.start(f"{LOCAL},tcp:192.0.2.9:80:timeout=45")
        client = self.client()
        self.reactor.advance(44)
        self.assertFalse(client.aborted)
        self.reactor.advance(1)
        self.settle()
        self.assertTrue(client.aborted)
        self.assertEqual(accessLines(self.events)[0]["result"], "timed out")

    def test_limits(self) -> None:
        """
        Connections and senders of datagrams have their places among those of
        the proxy's clients.
        """
        limits = ConnectionLimits(total=3)
        self.start(WEB, DNS, listen=["tcp:1080:interface=127.0.0.1"], limits=limits)
        clients = [self.client(number) for number in (0, 1)]
        self.opened()[0].peerSends(b"question", *CLIENT)
        self.assertEqual([client.aborted for client in clients], [False, False])
        self.assertTrue(self.client(0).aborted and self.client(1).aborted)
        self.assertEqual(len(self.opened()), 2)


class AnnouncementTests(PortsTestCase):
    """
    What is said at the start.
    """

    def test_local(self) -> None:
        """
        Each port and its target are named.
        """
        self.start(WEB, DNS, "unix:/run/forward,tcp:192.0.2.1:80")
        self.assertEqual(
            texts(self.events),
            [
                f"Forwarding {LOCAL}, at 127.0.0.1:8080, to tcp:web.test:80",
                "Forwarding udp:53:interface=127.0.0.1, at 127.0.0.1:53, to udp:192.0.2.53:53",
                "Forwarding unix:/run/forward to tcp:192.0.2.1:80",
            ],
        )

    def test_exposed(self) -> None:
        """
        What others than this host can reach needs no login, but a warning.
        """
        self.start("tcp:8080,tcp:web.test:80", "udp:53,udp:192.0.2.53:53")
        self.assertEqual(
            atLevel(self.events, LogLevel.warn),
            [
                "--forward: whoever reaches tcp:8080 reaches tcp:web.test:80",
                "--forward: whoever reaches udp:53 reaches udp:192.0.2.53:53",
            ],
        )

    def test_secrets(self) -> None:
        """
        Secrets in endpoint strings are shown nowhere.
        """
        shown = withoutSecrets(r"proxied:web.test:80:via=socks5h\://alice\:p@ss@192.0.2.1\:1080")
        self.assertEqual(shown, r"proxied:web.test:80:via=socks5h\://***@192.0.2.1\:1080")
        forward = forwardFromText(f"{LOCAL},carrier:1:key=horse")
        self.assertNotIn("horse", self.assertRefused("carrier", forward=[forward]))


class ViaTests(PortsTestCase):
    """
    Through other proxies.
    """

    def test_streams(self) -> None:
        """
        Connections go through the proxy, which gets the name as it is.
        """
        self.start(f"{LOCAL},tcp:hidden.test:443", via="socks5h://192.0.2.1:80")
        client = self.client()
        client.peerSends(b"question")
        proxy = self.target()
        self.assertEqual(proxy.take(), b"\5\1\0")
        proxy.peerSends(b"\5\0")
        self.assertEqual(proxy.take(), request("hidden.test", 443))
        proxy.peerSends(b"\5\0\0\1\0\0\0\0\0\0answer")
        self.settle()
        self.assertEqual((proxy.take(), client.take()), (b"question", b"answer"))
        self.assertEqual(self.reactor.queries, [])

    def test_refused(self) -> None:
        """
        What the proxy refuses is refused, with its reason in the line.
        """
        self.start(f"{LOCAL},tcp:hidden.test:443", via="socks5h://192.0.2.1:80")
        client = self.client()
        proxy = self.target()
        proxy.peerSends(b"\5\0")
        proxy.peerSends(b"\5\5\0\1\0\0\0\0\0\0")
        self.settle()
        self.assertTrue(client.aborted)
        self.assertEqual(accessLines(self.events)[0]["result"], "connection refused")

    def test_datagrams(self) -> None:
        """
        Datagrams go through a proxy of SOCKS5, one association for each
        client.
        """
        self.start(DNS, via="socks5h://192.0.2.1:80|socks4a://192.0.2.1:80")
        (port,) = self.opened()
        port.peerSends(b"question", *CLIENT)
        self.settle()
        proxy = self.target()
        proxy.peerSends(b"\5\0")
        self.assertEqual(proxy.take(), b"\5\1\0\5\3\0\1\0\0\0\0\0\0")
        proxy.peerSends(b"\5\0\0\1\xc0\0\2\1\x04\x38")
        self.settle()
        _, socket = self.opened()
        head = b"\0\0\0\1\xc0\0\2\x35\0\x35"
        self.assertEqual(socket.take(), [(head + b"question", ("192.0.2.1", 1080))])
        socket.peerSends(head + b"answer", "192.0.2.1", 1080)
        self.assertEqual(port.take(), [(b"answer", CLIENT)])


class RefusedTests(PortsTestCase):
    """
    What cannot be forwarded.
    """

    def check(self, text: str, *forward: str, via: str = "") -> None:
        """
        Require that a proxy does not start and says why in a line that names
        the endpoint, and that nothing is left of it.
        """
        self.assertRefused(
            text,
            forward=[forwardFromText(each) for each in forward],
            via=chainFromURLs(via) if via else (),
        )
        self.assertEqual(self.opened(), [])

    def test_client(self) -> None:
        """
        A client endpoint that is none.
        """
        for client in (
            "carrier:1",
            "tcp",
            "tcp:web.test",
            "tcp:web.test:80:colour=red",
            "tls:web.test",
            "ssl:web.test:443:privateKey=/nowhere:certKey=/nowhere",
            "unix",
            "=",
        ):
            self.check(f"cannot forward to {client}: ", f"{LOCAL},{client}")

    def test_server(self) -> None:
        """
        A server endpoint that is none; the ports before it are closed again.
        """
        for server in ("carrier:1", "tcp", "tcp:http", "ssl:443", "systemd:domain=INET:index=0"):
            self.check(f"cannot listen on {server}: ", WEB, DNS, f"{server},tcp:web.test:80")

    def test_taken(self) -> None:
        """
        A port that somebody else has.
        """
        self.reactor.taken.add(8080)
        self.check(f"cannot listen on {LOCAL}: Address already in use", DNS, WEB)
        taken = "udp:53:interface=127.0.0.1"
        self.assertRefused(f"cannot listen on {taken}: in use", forward=[forwardFromText(DNS)] * 2)

    def test_via(self) -> None:
        """
        Through a proxy, anything else than a host and a port.
        """
        for client in (
            "unix:/run/web",
            "tls:web.test:443",
            "tcp:web.test:80:bindAddress=127.0.0.1",
            "tcp:web.test:80:timeout=5",
        ):
            self.check(
                f"cannot forward to {client}: through --via only",
                f"{LOCAL},{client}",
                via="socks5h://192.0.2.1:80",
            )

    def test_datagramsVia(self) -> None:
        """
        Datagrams through a chain, or through what is not SOCKS5.
        """
        for via in (
            "socks5h://192.0.2.1,socks5h://192.0.2.2",
            "http://192.0.2.1",
            "socks4a://192.0.2.1",
            "http://192.0.2.1|socks4a://192.0.2.1",
        ):
            self.check("cannot forward to udp:192.0.2.53:53: datagrams", DNS, via=via)


class StopTests(PortsTestCase):
    """
    The end.
    """

    def test_waits(self) -> None:
        """
        Connections that are joined may end in their time, as those of the
        proxy's clients; new ones are not taken.
        """
        proxy = self.start(WEB)
        client = self.client()
        target = self.target()
        stopped = proxy.stopService()
        self.assertEqual(self.reactor.listening, [])
        self.assertIn("Waiting up to 30.0 s for 1 transfers", texts(self.events))
        self.settle()
        self.assertNoResult(stopped)
        target.peerSends(b"the rest")
        target.peerEnds()
        client.peerEnds()
        self.assertEqual(client.take(), b"the rest")
        self.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cutsOff(self) -> None:
        """
        What is not over in time is cut off.
        """
        proxy = self.start(WEB, drain=5)
        client = self.client()
        stopped = proxy.stopService()
        self.reactor.pump([1] * 5)
        self.settle()
        self.assertTrue(client.aborted and self.target().aborted)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_datagrams(self) -> None:
        """
        For datagrams it is over at once.
        """
        proxy = self.start(DNS)
        self.opened()[0].peerSends(b"question", *CLIENT)
        stopped = proxy.stopService()
        self.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.opened(), [])
        self.assertEqual([line["reason"] for line in accessLines(self.events)], ["shut down"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_startedTwice(self) -> None:
        """
        A proxy whose ports have been opened early opens none again.
        """
        proxy = ProxyService(self.reactor, Configuration(listen=(), forward=[forwardFromText(WEB)]))
        proxy.openPorts()
        proxy.privilegedStartService()
        proxy.startService()
        self.assertEqual(len(self.reactor.listening), 1)
        proxy.stopService()

    def test_claims(self) -> None:
        """
        The locks of UNIX sockets are taken over from the process that this
        one has been forked from.
        """
        forward = [forwardFromText("unix:/run/forward,tcp:192.0.2.1:80")]
        proxy = ProxyService(self.reactor, Configuration(listen=(), forward=forward))
        proxy.openPorts()
        (port,) = proxy._groups[0].listeners
        with patch.object(port, "claim") as claim:
            proxy.privilegedStartService()
        claim.assert_called_once_with()
        proxy.stopService()

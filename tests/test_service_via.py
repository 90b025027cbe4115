"""
Tests for L{socksproxy.service}: leaving through other proxies.
"""

from __future__ import annotations

from twisted.logger import LogLevel

from socksproxy.errors import ConfigurationError
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.accesslines import accessLines
from tests.client.scripted import Dialect, http, socks5
from tests.logs import atLevel, captured, texts
from tests.proxyclients import METHOD, ClientTestCase
from tests.socksclient import ACCEPTED, ALICE, NO_AUTHENTICATION, refused
from tests.socksrequests import BIND, UDP_ASSOCIATE, command, datagram, granted

ONE, TWO = "198.51.100.1", "198.51.100.2"
SOMEBODY = tcpAddress("203.0.113.1", 4000)


class ViaTests(ClientTestCase):
    """
    Clients of a proxy that goes through others.
    """

    def via(self, urls: str = f"socks5h://{ONE}", **configuration: object) -> None:
        """
        Start a proxy.
        """
        self.start(via=chainFromURLs(urls), **configuration)
        self.reactor.world.update({f"{ONE}:1080": "accept", f"{TWO}:1080": "accept"})

    def next(self) -> MemoryTransport:
        """
        Give the connection to the next proxy.
        """
        self.settle()
        transport = self.reactor.attempts[-1].transport
        assert transport is not None
        return transport

    def converse(self, *dialects: Dialect, early: bytes = b"") -> MemoryTransport:
        """
        Play the proxies on the way.
        """
        peer = self.next()
        for dialect in dialects:
            for message, answer in zip(dialect.messages, dialect.answers, strict=True):
                self.assertEqual(peer.take(), message)
                last = answer is dialects[-1].answers[-1]
                peer.peerSends(answer + (early if last else b""))
        return peer

    def asking(self, said: bytes) -> MemoryTransport:
        """
        Have a client of ours make a request.
        """
        client = self.reactor.ports[0].connect()
        client.peerSends(NO_AUTHENTICATION + said)
        self.settle()
        self.assertEqual(client.take(), METHOD)
        return client

    def test_connects(self) -> None:
        """
        A client's connection goes through all of them, nothing of it is lost,
        and no name is looked up here.
        """
        self.via(f"socks5h://{ONE},http://{TWO}")
        client = self.ask("web.test")
        client.peerSends(b"early question")
        peer = self.converse(socks5(TWO, 1080), http("web.test", 80), early=b"early answer")
        self.settle()
        self.assertEqual(client.take()[10:], b"early answer")
        self.assertEqual(peer.take(), b"early question")
        client.peerSends(b"question")
        peer.peerSends(b"answer")
        self.assertEqual((peer.take(), client.take()), (b"question", b"answer"))
        peer.peerEnds()
        self.settle()
        self.assertTrue(client.ended)
        client.peerSends(b"last words")
        client.peerEnds()
        self.settle()
        self.assertEqual(peer.take(), b"last words")
        self.assertTrue(peer.ended)
        self.assertEqual((self.reactor.queries, len(self.reactor.attempts)), ([], 1))

    def test_reply(self) -> None:
        """
        The client is told that it is connected, and no address that would
        make it believe that we are somewhere else.
        """
        self.via()
        client = self.ask("web.test")
        self.converse(socks5("web.test", 80))
        self.assertEqual(client.take()[:2], b"\5\0")

    def test_backPressure(self) -> None:
        """
        A client that does not read makes the proxy wait, and the other way
        round.
        """
        self.via()
        client = self.ask("web.test")
        peer = self.converse(socks5("web.test", 80))
        client.take()
        for here, there in ((client, peer), (peer, client)):
            here.peerSends(bytes(100_000))
            self.assertTrue(here.paused)
            self.assertEqual(len(there.take()), 100_000)
            self.assertFalse(here.paused)

    def test_refusals(self) -> None:
        """
        What the last proxy says of the target is what our client is told.
        """
        for code in range(1, 9):
            self.via()
            client = self.ask("web.test")
            self.next().peerSends(METHOD + refused(code))
            self.settle()
            self.assertEqual(client.take(), refused(code))

    def test_proxyFault(self) -> None:
        """
        That a proxy does not work is a general failure for our client, and is
        nothing that the target did.
        """
        for urls in (f"socks5h://{ONE}", f"socks5h://{ONE}:1|socks5h://{TWO}:1"):
            self.via(urls)
            self.reactor.world.clear()
            client = self.ask("web.test")
            self.settle()
            self.assertEqual(client.take(), refused(1))

    def test_access(self) -> None:
        """
        The log has the client, what it asked for, and what came of it.
        """
        with captured() as events:
            self.via(f"socks5h://alice:s3cret@{ONE}")
            client = self.ask("web.test")
            peer = self.next()
            self.assertEqual(peer.take(), b"\5\2\2\0")
            peer.peerSends(b"\5\2")
            self.assertEqual(peer.take(), ALICE)
            peer.peerSends(ACCEPTED + granted("192.0.2.200"))
            peer.peerSends(b"answer")
            client.peerResets()
            self.settle()
            peer.peerResets()
        (line,) = accessLines(events)
        self.assertEqual((line["destination"], line["result"]), ("web.test:80", "succeeded"))
        self.assertIn(f"Connections leave through socks5h://***@{ONE}:1080", texts(events))
        for event in events:
            self.assertNotIn("s3cret", str(event))

    def test_accessOfFailure(self) -> None:
        """
        Neither the log nor the client sees a password when something is
        wrong, and no proxy's fault is a surprise.
        """
        with captured() as events:
            for said in (b"\5\xff", b"\5\2\1\1", b"\4", None):
                self.via(f"socks5h://alice:s3cret@{ONE}|http://bob:s3cret@{TWO}")
                client = self.ask("web.test")
                peer = self.next()
                if said is None:
                    peer.peerResets()
                else:
                    peer.peerSends(said)
                self.next().peerSends(b"HTTP/1.1 407 No\r\n\r\n")
                self.settle()
                self.assertEqual(client.take(), refused(1))
        self.assertEqual(atLevel(events, LogLevel.critical), [])
        self.assertEqual(len(accessLines(events)), 0)
        for event in events:
            self.assertNotIn("s3cret", str(event))

    def test_clientGoes(self) -> None:
        """
        If the client does not wait, the way through the proxies is given up.
        """
        self.via(f"socks5h://{ONE},http://{TWO}")
        client = self.ask("web.test")
        peer = self.next()
        peer.peerSends(METHOD)
        client.peerResets()
        self.settle()
        self.assertTrue(peer.lost)

    def test_internal(self) -> None:
        """
        A client from elsewhere may not ask for internal addresses through
        other proxies either; one of this host may.
        """
        for host in ("127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"):
            self.start("tcp:1080", openRelay=True, via=chainFromURLs(f"socks5h://{ONE}"))
            self.assertEqual(self.ask(host, SOMEBODY).take(), refused(2))
            self.assertEqual(self.reactor.attempts, [])
            self.via()
            self.ask(host)
            self.assertEqual(self.next().take(), NO_AUTHENTICATION)

    def test_internalName(self) -> None:
        """
        Nor does a name that is resolved here lead it to one.
        """
        self.start("tcp:1080", openRelay=True, via=chainFromURLs(f"socks5://{ONE}"))
        client = self.ask("inside.test", SOMEBODY)
        self.settle()
        self.assertEqual(client.take(), refused(2))
        self.assertEqual(self.reactor.attempts, [])

    def test_bind(self) -> None:
        """
        BIND is the last proxy's, with both replies.
        """
        self.via()
        client = self.asking(command(BIND, "192.0.2.7"))
        peer = self.next()
        peer.peerSends(METHOD)
        self.assertEqual(peer.take(), NO_AUTHENTICATION + command(BIND, "192.0.2.7"))
        peer.peerSends(granted("192.0.2.200", 50000))
        self.settle()
        self.assertEqual(client.take(), granted("192.0.2.200", 50000))
        peer.peerSends(granted("192.0.2.7", 20) + b"220")
        self.settle()
        self.assertEqual(client.take(), granted("192.0.2.7", 20) + b"220")
        client.peerSends(b"hello")
        self.assertEqual(peer.take(), b"hello")

    def test_bindClientGoes(self) -> None:
        """
        If the client goes while the port waits, the proxy's port is closed.
        """
        self.via()
        client = self.asking(command(BIND, "192.0.2.7"))
        peer = self.next()
        peer.peerSends(METHOD + granted("192.0.2.200", 50000))
        client.peerResets()
        self.settle()
        self.assertTrue(peer.lost)

    def test_udp(self) -> None:
        """
        Datagrams go from relay to relay.
        """
        self.via()
        client = self.asking(command(UDP_ASSOCIATE))
        peer = self.next()
        peer.peerSends(METHOD + granted(ONE, 40000))
        self.settle()
        self.assertEqual(client.take()[:4], b"\5\0\0\1")
        ours = next(d for d in self.reactor.datagrams if d.host == "127.0.0.1")
        theirs = next(d for d in self.reactor.datagrams if d is not ours)
        question = datagram(b"question", "ns.test", 53)
        ours.peerSends(question, "127.0.0.1", 5353)
        self.assertEqual(theirs.take(), [(question, (ONE, 40000))])
        answer = datagram(b"answer", "192.0.2.53", 53)
        theirs.peerSends(answer, ONE, 40000)
        self.assertEqual(ours.take(), [(answer, ("127.0.0.1", 5353))])
        client.peerResets()
        self.settle()
        self.assertTrue(peer.lost)
        self.assertEqual([d for d in self.reactor.datagrams if d.open], [])

    def test_udpThroughTwo(self) -> None:
        """
        Through two proxies there are none.
        """
        self.via(f"socks5h://{ONE},socks5h://{TWO}")
        client = self.reactor.ports[0].connect()
        client.peerSends(NO_AUTHENTICATION + command(UDP_ASSOCIATE))
        self.settle()
        self.assertEqual(client.take(), METHOD + refused(7))
        self.assertEqual(self.reactor.attempts, [])

    def test_impossible(self) -> None:
        """
        A chain that cannot be is told when the proxy is made.
        """
        self.assertRaises(
            ConfigurationError, self.via, f"socks5h://{ONE},socks5h://unix:/run/proxy"
        )

    def test_stops(self) -> None:
        """
        A proxy that stops leaves no way open.
        """
        proxy = self.start(via=chainFromURLs(f"socks5h://{ONE}"))
        self.reactor.world[f"{ONE}:1080"] = "accept"
        proxy.drain = 0
        client = self.ask("web.test")
        relayed = self.ask("web.test")
        peer = self.converse(socks5("web.test", 80))
        waiting = self.reactor.attempts[0].transport
        stopped = proxy.stopService()
        self.settle()
        self.successResultOf(stopped)
        for transport in (client, relayed, peer, waiting):
            assert transport is not None
            self.assertTrue(transport.lost)

"""
Tests for L{socksproxy.outbound.chain}.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, hostFromName
from socksproxy.client.endpoint import legs
from socksproxy.client.errors import (
    ProxyFault,
    ProxyUnreachable,
    TargetCommandNotSupported,
    TargetConnectionRefused,
    TargetTimedOut,
)
from socksproxy.errors import CommandNotSupported, ConnectTimedOut, NotAllowed, RequestFailed
from socksproxy.interfaces import IAddressPolicy, IBoundPort, IDatagramConduit, IOutbound
from socksproxy.outbound.chain import ChainOutbound
from socksproxy.policy.rules import AnyAddress
from socksproxy.relay import Leg
from socksproxy.testing import MemoryDatagrams, MemoryTransport
from tests.client.scripted import EARLY, Connecting, socks5
from tests.memoryproxy import DenyNetworks
from tests.outbound.chains import ONE, THREE, TWO, ChainTestCase
from tests.socksclient import refused
from tests.socksrequests import (
    BIND,
    RESOLVE,
    RESOLVE_PTR,
    UDP_ASSOCIATE,
    command,
    datagram,
    granted,
)
from tests.test_testing_producers import Source

INSIDE = "10.0.0.1"


def to(host: str, port: int = 25) -> Destination:
    """
    Give a destination.
    """
    return Destination(hostFromName(host.encode()), port)


class OutboundTestCase(ChainTestCase):
    """
    Tests with a way out through a chain. Nobody may go to C{10.0.0.0/8}.
    """

    def outbound(
        self, urls: str = f"socks5h://{ONE}", policy: IAddressPolicy | None = None
    ) -> ChainOutbound:
        """
        Make a way out.
        """
        return ChainOutbound(self.chained(urls), policy or DenyNetworks(["10.0.0.0/8", "fd00::/8"]))

    def asked(self, said: bytes, *answers: bytes) -> MemoryTransport:
        """
        Have the proxy take a request, and answer it.
        """
        peer = self.peer()
        self.assertEqual(peer.take()[:1], b"\5")
        peer.peerSends(b"\5\0")
        self.assertEqual(peer.take(), said)
        for answer in answers:
            peer.peerSends(answer)
        return peer

    def assertRefused(self, result: Deferred[Any], error: type[RequestFailed]) -> None:
        """
        Fail unless something has been refused, without any proxy's doing.
        """
        self.failureResultOf(result, error)
        self.assertEqual((self.network.attempts, self.network.queries), ([], []))


class ConnectTests(OutboundTestCase):
    """
    Connections.
    """

    def connect(self, outbound: ChainOutbound, host: str) -> Connecting:
        """
        Begin to connect to a host.
        """
        return Connecting(outbound.endpointFor(to(host)))

    def test_interfaces(self) -> None:
        """
        It is a way out, and what it gives are endpoints, which do nothing
        before they are told to.
        """
        outbound = self.outbound()
        verifyObject(IOutbound, outbound)
        for host in ("target.test", "192.0.2.1", INSIDE):
            verifyObject(IStreamClientEndpoint, outbound.endpointFor(to(host)))
        self.network.advance(60)
        self.assertEqual(self.network.attempts, [])

    def test_connects(self) -> None:
        """
        Names and addresses are asked for as they are.
        """
        for host in ("target.test", "localhost", "192.0.2.1", "2001:db8::1"):
            connecting = self.connect(self.outbound(), host)
            self.converse(self.peer(), socks5(host, 25), early=EARLY)
            self.assertEqual(connecting.told, ["made", "connected", EARLY])
        self.assertEqual(self.network.queries, [])

    def test_forbiddenAddress(self) -> None:
        """
        An address that must not be dialled is not asked for either, however
        it is written.
        """
        for host in (INSIDE, f"::ffff:{INSIDE}", "fd00::1"):
            connecting = self.connect(self.outbound(), host)
            self.assertRefused(connecting.result, NotAllowed)

    def test_forbiddenAddressOfAName(self) -> None:
        """
        Where names are resolved here, for C{socks5} and C{socks4}, each
        address is vetted before it is asked for.
        """
        for kind in ("socks5", "socks4"):
            self.start()
            self.network.world["inside.test"] = [INSIDE]
            connecting = self.connect(self.outbound(f"{kind}://{ONE}"), "inside.test")
            self.network.advance(0)
            self.failureResultOf(connecting.result, NotAllowed)
            self.assertEqual(self.network.attempts, [])

    def test_someAddressesForbidden(self) -> None:
        """
        Of several addresses those are asked for that may be.
        """
        self.network.world["mixed.test"] = [INSIDE, "192.0.2.1"]
        connecting = self.connect(self.outbound(f"socks5://{ONE}"), "mixed.test")
        self.converse(self.peer(), socks5("192.0.2.1", 25))
        self.successResultOf(connecting.result)

    def test_proxyMayBeInside(self) -> None:
        """
        Where the proxies are is the administrator's business, and not that of
        the policy for clients: they may have any address, and any name.
        """
        self.network.world.update(
            {f"{INSIDE}:1080": "accept", "second.test": [INSIDE], f"{ONE}:1080": "accept"}
        )
        for urls in (
            f"socks5h://{INSIDE},socks5h://{INSIDE}:3128",
            f"socks5://{INSIDE},socks5h://second.test:3128",
        ):
            connecting = self.connect(self.outbound(urls), "target.test")
            self.converse(self.peer(), socks5(INSIDE, 3128), socks5("target.test", 25))
            self.successResultOf(connecting.result)

    def test_errors(self) -> None:
        """
        Errors carry the codes that a client of ours has to get: those of the
        target are passed on, and those of a proxy say nothing of the target.
        """
        for code in range(1, 9):
            connecting = self.connect(self.outbound(), "target.test")
            self.peer().peerSends(b"\5\0" + refused(code))
            failure = self.failureResultOf(connecting.result, RequestFailed)
            self.assertEqual(failure.value.replyCode, code)
        self.network.world.clear()
        connecting = self.connect(self.outbound(), "target.test")
        self.network.advance(0)
        failure = self.failureResultOf(connecting.result, RequestFailed)
        self.assertEqual((failure.value.replyCode, failure.value.socks4Code), (1, 0x5B))

    def test_leg(self) -> None:
        """
        A relay's leg does not read before it is held, and loses nothing.
        """
        connecting = self.outbound().endpointFor(to("target.test")).connect(legs)
        peer = self.peer()
        self.converse(peer, socks5(), early=EARLY)
        leg = self.successResultOf(connecting)
        self.assertIsInstance(leg, Leg)
        self.assertTrue(peer.paused)
        peer.peerSends(b"more")
        told: list[object] = []

        class Holder:
            def dataReceived(self, data: bytes) -> None:
                told.append(data)

            def readConnectionLost(self) -> None:
                told.append("end")

            def connectionLost(self, reason: object) -> None:
                told.append("lost")

        leg.hold(Holder())
        leg.transport.resumeProducing()
        peer.peerEnds()
        self.network.advance(0)
        self.assertEqual(told, [EARLY, b"more", "end"])
        source = Source()
        leg.transport.registerProducer(source, True)
        leg.transport.write(bytes(100_000))
        self.assertEqual(source.told, ["pause"])


class ListenTests(OutboundTestCase):
    """
    BIND.
    """

    def listen(
        self, *answers: bytes, host: str = "192.0.2.7"
    ) -> tuple[Deferred[IBoundPort], MemoryTransport]:
        """
        Have the proxy wait for somebody.
        """
        result = self.outbound().listen(to(host, 0))
        return result, self.asked(command(BIND, host), *answers)

    def test_listens(self) -> None:
        """
        The proxy's port is ours.
        """
        for host in ("192.0.2.7", "2001:db8::7", "ftp.test"):
            result, _ = self.listen(granted("192.0.2.200", 50000), host=host)
            port = self.successResultOf(result)
            verifyObject(IBoundPort, port)
            self.assertEqual(port.address, Destination(ip_address("192.0.2.200"), 50000))

    def test_accepts(self) -> None:
        """
        Who connects to it is a leg with the peer's address, that does not read
        yet.
        """
        result, peer = self.listen(granted("192.0.2.200", 50000))
        accepting = self.successResultOf(result).accepted()
        self.assertNoResult(accepting)
        peer.peerSends(granted("192.0.2.7", 20) + EARLY)
        leg = self.successResultOf(accepting)
        self.assertIsInstance(leg, Leg)
        self.assertEqual(leg.transport.getPeer().host, "192.0.2.7")
        self.assertTrue(peer.paused)

    def test_behindAnother(self) -> None:
        """
        The last proxy of a longer chain is asked, and "any address" there is
        its own.
        """
        result = self.outbound(f"http://{ONE},socks5h://{TWO}").listen(to("192.0.2.7", 0))
        peer = self.peer()
        self.assertIn(f"CONNECT {TWO}:1080 ".encode(), peer.take())
        peer.peerSends(b"HTTP/1.1 200 OK\r\n\r\n")
        self.asked(command(BIND, "192.0.2.7"), granted("0.0.0.0", 50000))
        port = self.successResultOf(result)
        self.assertEqual(port.address, Destination(ip_address(TWO), 50000))

    def test_stopped(self) -> None:
        """
        It can be closed, before or while somebody waits, who is told.
        """
        for waits in (False, True):
            result, peer = self.listen(granted("192.0.2.200", 50000))
            port = self.successResultOf(result)
            accepting = port.accepted() if waits else None
            port.stop()
            port.stop()
            self.assertTrue(peer.aborted)
            if accepting is not None:
                self.failureResultOf(accepting)
            self.assertGone()

    def test_cancelled(self) -> None:
        """
        Giving up closes it as well.
        """
        result, _ = self.listen(granted("192.0.2.200", 50000))
        accepting = self.successResultOf(result).accepted()
        accepting.cancel()
        self.failureResultOf(accepting, CancelledError)
        self.assertGone()

    def test_nobodyComes(self) -> None:
        """
        That nobody comes is told with the code for it.
        """
        result, _ = self.listen(granted("192.0.2.200", 50000))
        accepting = self.successResultOf(result).accepted()
        self.network.advance(600)
        failure = self.failureResultOf(accepting, TargetTimedOut)
        self.assertIsInstance(failure.value, ConnectTimedOut)
        self.assertGone()

    def test_refused(self) -> None:
        """
        A proxy that cannot is a reason to say the same.
        """
        result, _ = self.listen(refused(7))
        failure = self.failureResultOf(result, TargetCommandNotSupported)
        self.assertEqual(failure.value.replyCode, 7)
        self.assertGone()

    def test_forbidden(self) -> None:
        """
        A peer with whom one must not speak is not waited for.
        """
        self.assertRefused(self.outbound().listen(to(INSIDE, 0)), NotAllowed)

    def test_otherKinds(self) -> None:
        """
        Only SOCKS5 proxies are asked.
        """
        for kind in ("http", "socks4", "socks4a"):
            outbound = self.outbound(f"socks5h://{TWO},{kind}://{ONE}")
            self.assertRefused(outbound.listen(to("192.0.2.7", 0)), CommandNotSupported)


class ConduitTests(OutboundTestCase):
    """
    UDP ASSOCIATE.
    """

    def conduit(self, urls: str = f"socks5h://{ONE}") -> IDatagramConduit:
        """
        Get a conduit.
        """
        self.received: list[tuple[bytes, str]] = []
        result = self.outbound(urls).conduit(
            lambda data, source: self.received.append((data, str(source)))
        )
        self.control = self.asked(command(UDP_ASSOCIATE), granted(ONE, 40000))
        conduit = self.successResultOf(result)
        self.addCleanup(conduit.close)
        return conduit

    @property
    def socket(self) -> MemoryDatagrams:
        """
        Give the only socket.
        """
        (datagrams,) = self.network.datagrams
        return datagrams

    def tearDown(self) -> None:
        """
        Close what is open.
        """
        self.doCleanups()
        super().tearDown()

    def test_bothWays(self) -> None:
        """
        Datagrams go to names and addresses, and come from both.
        """
        conduit = self.conduit()
        verifyObject(IDatagramConduit, conduit)
        for host, shown in (
            ("192.0.2.53", "192.0.2.53:53"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("ns.test", "ns.test:53"),
        ):
            self.assertTrue(conduit.send(b"question", to(host, 53)))
            self.assertEqual(self.socket.take(), [(datagram(b"question", host, 53), (ONE, 40000))])
            self.socket.peerSends(datagram(b"answer", host, 53), ONE, 40000)
            self.assertEqual(self.received.pop(), (b"answer", shown))
        self.assertEqual(self.network.queries, [])

    def test_dropped(self) -> None:
        """
        What must not be sent, or cannot be, is dropped.
        """
        conduit = self.conduit()
        for host, port in ((INSIDE, 53), ("fd00::1", 53), ("192.0.2.53", 0), ("ns.test", 0)):
            self.assertFalse(conduit.send(b"question", to(host, port)))
        self.assertEqual(self.socket.take(), [])

    def test_closed(self) -> None:
        """
        A closed conduit carries nothing, and has let go of the proxy.
        """
        conduit = self.conduit()
        conduit.close()
        conduit.close()
        self.assertFalse(conduit.send(b"question", to("192.0.2.53", 53)))
        self.assertTrue(self.control.aborted)
        self.socket.peerSends(datagram(b"answer", "192.0.2.53", 53), ONE, 40000)
        self.assertEqual(self.received, [])
        self.assertGone()

    def test_proxyEnds(self) -> None:
        """
        When the proxy ends the association, nothing is carried any more, and
        there is nothing to log.
        """
        for goes in (MemoryTransport.peerEnds, MemoryTransport.peerResets):
            self.start()
            conduit = self.conduit()
            goes(self.control)
            self.network.advance(0)
            self.assertFalse(conduit.send(b"question", to("192.0.2.53", 53)))
            self.assertGone()
            conduit.close()

    def test_longChain(self) -> None:
        """
        Datagrams go through one proxy only: the way to a second would be in
        the clear, past the first.
        """
        outbound = self.outbound(f"socks5h://{ONE},socks5h://{TWO}")
        self.assertRefused(outbound.conduit(lambda data, source: None), CommandNotSupported)

    def test_otherKinds(self) -> None:
        """
        Only SOCKS5 proxies are asked.
        """
        for kind in ("http", "socks4", "socks4a"):
            outbound = self.outbound(f"{kind}://{ONE}")
            self.assertRefused(outbound.conduit(lambda data, source: None), CommandNotSupported)

    def test_refused(self) -> None:
        """
        A proxy that cannot is a reason to say the same.
        """
        result = self.outbound().conduit(lambda data, source: None)
        self.asked(command(UDP_ASSOCIATE), refused(7))
        self.failureResultOf(result, TargetCommandNotSupported)
        self.assertGone()


class ResolveTests(OutboundTestCase):
    """
    Look-ups, which are never made here.
    """

    def test_resolve(self) -> None:
        """
        The last proxy resolves names, and gives one address.
        """
        result = self.outbound().resolve("web.test")
        self.asked(command(RESOLVE, "web.test"), granted("192.0.2.1"))
        self.assertEqual(self.successResultOf(result), [ip_address("192.0.2.1")])
        self.assertEqual(self.network.queries, [])
        self.assertGone()

    def test_forbiddenAnswer(self) -> None:
        """
        An address that must not be dialled is not told.
        """
        result = self.outbound().resolve("inside.test")
        self.asked(command(RESOLVE, "inside.test"), granted(INSIDE))
        self.failureResultOf(result, NotAllowed)
        self.assertGone()

    def test_reverse(self) -> None:
        """
        The last proxy finds the names of addresses.
        """
        result = self.outbound().reverse(ip_address("192.0.2.1"))
        self.asked(command(RESOLVE_PTR, "192.0.2.1"), granted("web.test"))
        self.assertEqual(self.successResultOf(result), "web.test")

    def test_forbiddenQuestion(self) -> None:
        """
        The name of an address that must not be dialled is not asked for.
        """
        self.assertRefused(self.outbound().reverse(ip_address(INSIDE)), NotAllowed)

    def test_otherKinds(self) -> None:
        """
        Only SOCKS5 proxies are asked.
        """
        for kind in ("http", "socks4", "socks4a"):
            outbound = self.outbound(f"{kind}://{ONE}")
            self.assertRefused(outbound.resolve("web.test"), CommandNotSupported)
            self.assertRefused(outbound.reverse(ip_address("192.0.2.1")), CommandNotSupported)


class AlternativesTests(OutboundTestCase):
    """
    Requests other than to connect, where there are several proxies.
    """

    def test_afterConnecting(self) -> None:
        """
        They go to the proxy that connections go through.
        """
        outbound = self.outbound(f"socks5h://{ONE}|socks5h://{TWO}", AnyAddress())
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
        connecting = Connecting(outbound.endpointFor(to("target.test")))
        self.network.advance(0)
        self.converse(self.peer(), socks5())
        self.successResultOf(connecting.result)
        self.assertEqual(self.dialled, [ONE, TWO])
        result = outbound.listen(to("192.0.2.7", 0))
        self.asked(command(BIND, "192.0.2.7"), granted("192.0.2.200", 50000))
        self.successResultOf(result)
        self.assertEqual(self.dialled, [TWO])

    def test_failsOver(self) -> None:
        """
        If a proxy is at fault, the next one is asked, as for connections,
        which then go that way as well.
        """
        for ask, said, answer in (
            (
                lambda way: way.listen(to("192.0.2.7", 0)),
                command(BIND, "192.0.2.7"),
                granted("192.0.2.200", 5),
            ),
            (
                lambda way: way.conduit(lambda data, source: None),
                command(UDP_ASSOCIATE),
                granted(TWO, 5),
            ),
            (
                lambda way: way.resolve("web.test"),
                command(RESOLVE, "web.test"),
                granted("192.0.2.1"),
            ),
        ):
            self.start()
            outbound = self.outbound(f"socks5h://{ONE}|socks5h://{TWO}")
            self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
            result = ask(outbound)
            self.network.pump([0] * 3)
            self.assertEqual([attempt.host for attempt in self.network.attempts], [ONE, TWO])
            self.asked(said, answer)
            self.successResultOf(result)
            self.assertEqual(self.dialled, [ONE, TWO])
            Connecting(outbound.endpointFor(to("target.test"))).result.addErrback(lambda _: None)
            self.network.advance(0)
            self.assertEqual(self.dialled, [TWO])

    def test_answersAreAnswers(self) -> None:
        """
        A refusal is no reason to ask another one, and says whose it is, with
        no secret of it.
        """
        outbound = self.outbound(f"socks5h://alice:s3cret@{ONE}|socks5h://{TWO}")
        result = outbound.listen(to("192.0.2.7", 0))
        self.asked(command(BIND, "192.0.2.7"), refused(5))
        error = self.failureResultOf(result, TargetConnectionRefused).value
        self.assertEqual(self.dialled, [ONE])
        self.assertEqual(error.proxy, f"socks5h://***@{ONE}:1080")

    def test_faultOfHop(self) -> None:
        """
        A proxy that its neighbour cannot reach is named, and so is the
        neighbour.
        """
        outbound = self.outbound(f"socks5h://{ONE},socks5h://{TWO}")
        connecting = Connecting(outbound.endpointFor(to("target.test")))
        self.network.advance(0)
        self.asked(command(1, TWO, 1080), refused(5))
        error = self.failureResultOf(connecting.result, ProxyUnreachable).value
        self.assertEqual(error.proxy, f"socks5h://{TWO}:1080")
        self.assertEqual(error.__cause__.proxy, f"socks5h://{ONE}:1080")

    def test_way(self) -> None:
        """
        What there is to say of a way out: whose names are resolved where, and
        whether datagrams find out.
        """
        for urls, resolvesHere, udp in (
            (f"socks5h://{ONE}", False, True),
            (f"socks5://{ONE}", True, True),
            (f"socks5h+tls://{ONE}", False, False),
            (f"http://{ONE}", False, False),
            (f"http://{ONE}|socks5h://{TWO}", False, True),
            (f"socks5h://{ONE},socks5h://{TWO}", False, False),
        ):
            way = self.outbound(urls).way
            self.assertEqual((way.resolvesHere, way.udp), (resolvesHere, udp))
        self.assertEqual(
            self.outbound(f"socks5h://a:b@{ONE}|http://{TWO},http://{THREE}").way.hops,
            (f"socks5h://***@{ONE}:1080|http://{TWO}:1080", f"http://{THREE}:1080"),
        )

    def test_kinds(self) -> None:
        """
        Proxies that know no such thing are passed over.
        """
        outbound = self.outbound(f"http://{ONE}|socks4a://{TWO}|socks5h://{THREE}")
        result = outbound.resolve("web.test")
        self.asked(command(RESOLVE, "web.test"), granted("192.0.2.1"))
        self.successResultOf(result)
        self.assertEqual(self.dialled, [THREE])

    def test_allDown(self) -> None:
        """
        If none works, the fault is a proxy's.
        """
        outbound = self.outbound(f"socks5h://{ONE}|socks5h://{TWO}")
        self.network.world.clear()
        result = outbound.listen(to("192.0.2.7", 0))
        self.network.pump([0] * 3)
        failure = self.failureResultOf(result, ProxyUnreachable)
        self.assertIsInstance(failure.value, ProxyFault)
        self.assertGone()

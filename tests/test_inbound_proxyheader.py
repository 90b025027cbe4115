"""
Tests for L{socksproxy.inbound.proxyheader}.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.inbound import _wireproxy1, _wireproxy2
from socksproxy.inbound.proxyheader import NEARBY, BalancedFactory
from socksproxy.interfaces import ClientOrigin
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.accesslines import accessLines
from tests.codec import piecesOf, splitsOf
from tests.logs import atLevel, captured
from tests.memoryproxy import LINGER_OCTETS, MemoryProxy, SoleUser, passwords
from tests.socksclient import (
    GRANTED,
    GRANTED4,
    MALLORY,
    NO_AUTHENTICATION,
    TO_WEB,
    USERS,
    WITH_PASSWORD,
    request4,
)

BALANCERS = [ip_network("198.51.100.0/28"), ip_network("2001:db8:1::/64")]
BALANCER = tcpAddress("198.51.100.2", 50000)


def version1(host: str, port: int = 40001) -> bytes:
    """
    Write a header of version 1 about a client.
    """
    address = ip_address(host)
    destination = ip_address("198.51.100.2" if address.version == 4 else "2001:db8:1::2")
    family = _wireproxy1.Family(f"TCP{address.version}")
    header = _wireproxy1.Header(family, (address, port), (destination, 1080))
    return _wireproxy1.encodeHeader(header)


def version2(host: str, port: int = 40001, *tlvs: tuple[int, bytes]) -> bytes:
    """
    Write a header of version 2 about a client.
    """
    address = ip_address(host)
    destination = ip_address("198.51.100.2" if address.version == 4 else "2001:db8:1::2")
    family = _wireproxy2.Family[f"TCP{address.version}"]
    command = _wireproxy2.Command.PROXY
    header = _wireproxy2.Header(command, family, (address, port), (destination, 1080), tlvs)
    return _wireproxy2.encodeHeader(header)


LOCAL = _wireproxy2.encodeHeader(_wireproxy2.Header(_wireproxy2.Command.LOCAL))
UNKNOWN = b"PROXY UNKNOWN\r\n"
UNIX = _wireproxy2.SIGNATURE + bytes.fromhex("213100d8") + bytes(216)


class BalancedProxy(MemoryProxy):
    """
    A proxy behind load balancers.
    """

    def __init__(
        self,
        balancers: Collection[IPv4Network | IPv6Network] = BALANCERS,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.balanced = BalancedFactory(self.factory, balancers)

    def connect(self, peer: IAddress | None = None) -> MemoryTransport:
        """
        See L{MemoryProxy.connect}. The peer is a load balancer by default.
        """
        return MemoryTransport.connect(self.network, self.balanced, peer=peer or BALANCER)


class ClientTests(SynchronousTestCase):
    """
    The client is whom the header names.
    """

    def originOf(self, header: bytes, peer: IAddress | None = None) -> ClientOrigin:
        """
        Give where a client of the proxy comes from for those who decide what
        it may do.
        """
        user = SoleUser()
        proxy = BalancedProxy(realm=user)
        client = proxy.connect(peer)
        client.peerSends(header + NO_AUTHENTICATION)
        self.assertEqual(client.take(), b"\5\0")
        (mind,) = user.minds
        assert isinstance(mind, ClientOrigin)
        return mind

    def test_named(self) -> None:
        """
        Its address is that of the header, for rules and for limits, and it is
        from elsewhere.
        """
        for header in (version1("203.0.113.7"), version2("203.0.113.7")):
            origin = self.originOf(header)
            self.assertEqual(origin.peer, tcpAddress("203.0.113.7", 40001))
            self.assertEqual(origin.source, "203.0.113.7")
            self.assertFalse(origin.local)

    def test_loopback(self) -> None:
        """
        A client on the load balancer's own host is no local one of ours.
        """
        self.assertFalse(self.originOf(version1("127.0.0.1")).local)

    def test_ipv6(self) -> None:
        """
        It may be an IPv6 address although the load balancer's is not, and the
        other way round.
        """
        for header in (version1("2001:db8::7"), version2("2001:db8::7")):
            origin = self.originOf(header)
            self.assertEqual(origin.peer, tcpAddress("2001:db8::7", 40001))
            self.assertEqual(origin.source, "2001:db8::/64")
        origin = self.originOf(version1("203.0.113.7"), tcpAddress("2001:db8:1::9", 50000))
        self.assertEqual(origin.peer, tcpAddress("203.0.113.7", 40001))

    def test_mapped(self) -> None:
        """
        An IPv4-mapped address is the IPv4 address.
        """
        for header in (version1("::ffff:203.0.113.7"), version2("::ffff:203.0.113.7")):
            self.assertEqual(self.originOf(header).peer, tcpAddress("203.0.113.7", 40001))

    def test_notNamed(self) -> None:
        """
        Where the header names nobody, the load balancer is the client.
        """
        for header in (UNKNOWN, LOCAL, UNIX, b"PROXY UNKNOWN ::1 ::1 1 1\r\n"):
            origin = self.originOf(header)
            self.assertEqual(origin.peer, BALANCER)
            self.assertEqual(origin.source, "198.51.100.2")
            self.assertFalse(origin.local)

    def test_whatElseIsSaid(self) -> None:
        """
        What else a header says does no harm.
        """
        tlvs = ((0x02, b"proxy.example"), (0x05, b"id"), (0xEE, bytes(3000)))
        origin = self.originOf(version2("203.0.113.7", 40001, *tlvs))
        self.assertEqual(origin.peer, tcpAddress("203.0.113.7", 40001))

    def test_accessLine(self) -> None:
        """
        The access line is about the client.
        """
        proxy = BalancedProxy()
        with captured() as events:
            client = proxy.connect()
            client.peerSends(version1("203.0.113.7") + NO_AUTHENTICATION + TO_WEB)
            proxy.settle()
            client.peerResets()
            proxy.settle()
        (line,) = accessLines(events)
        self.assertEqual(
            (line["client"], line["result"], line["protocol"]),
            ("203.0.113.7:40001", "succeeded", "SOCKS5"),
        )

    def test_authenticationFailure(self) -> None:
        """
        So is the line about a wrong password, and guessing slows down the
        client and not the load balancer.
        """
        proxy = BalancedProxy(checkers=[passwords(USERS)])
        said = WITH_PASSWORD + MALLORY
        with captured() as events:
            for host, delay in (("203.0.113.7", 1), ("203.0.113.8", 1), ("203.0.113.7", 2)):
                client = proxy.connect()
                client.peerSends(version1(host) + said)
                proxy.network.advance(delay - 0.1)
                self.assertEqual(client.take(), b"\5\2")
                proxy.network.advance(0.2)
                self.assertEqual(client.take(), b"\1\1")
        failures = [event["host"] for event in events if event.get("log_event") == "auth-failure"]
        self.assertEqual(failures, ["203.0.113.7", "203.0.113.8", "203.0.113.7"])


class FollowingTests(SynchronousTestCase):
    """
    What follows the header is what it would be without one.
    """

    def test_everySplit(self) -> None:
        """
        However the octets come, header and requests are told apart.
        """
        for header in (version1("203.0.113.7"), version2("203.0.113.7"), UNKNOWN, LOCAL):
            for pieces in splitsOf(header + NO_AUTHENTICATION + TO_WEB):
                proxy = BalancedProxy()
                client = proxy.connect()
                for piece in pieces:
                    client.peerSends(piece)
                proxy.settle()
                self.assertEqual(client.take(), b"\5\0" + GRANTED, pieces)

    def test_socks4(self) -> None:
        """
        It may be SOCKS4.
        """
        proxy = BalancedProxy()
        client = proxy.connect()
        client.peerSends(version2("203.0.113.7") + request4("192.0.2.1"))
        proxy.settle()
        self.assertEqual(client.take(), GRANTED4)

    def test_earlyData(self) -> None:
        """
        What the client sends early reaches its target, as does its end.
        """
        proxy = BalancedProxy()
        client = proxy.connect()
        client.peerSends(version1("203.0.113.7") + NO_AUTHENTICATION + TO_WEB + b"early")
        client.peerEnds()
        target = proxy.target()
        self.assertEqual(target.take(), b"early")
        self.assertTrue(target.ended)

    def test_oneHeader(self) -> None:
        """
        A second header is none: to the client's protocol it is nonsense, and
        the client stays who it is.
        """
        proxy = BalancedProxy()
        with captured() as events:
            client = proxy.connect()
            client.peerSends(version2("203.0.113.7") + version2("203.0.113.8"))
            proxy.settle()
        self.assertEqual(client.take(), b"")
        self.assertTrue(client.lost)
        (line,) = accessLines(events)
        self.assertEqual(line["client"], "203.0.113.7:40001")


class BadHeaderTests(SynchronousTestCase):
    """
    Without a good header there is nothing.
    """

    BAD = (
        NO_AUTHENTICATION + TO_WEB,
        request4("192.0.2.1"),
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 203.0.113.7 198.51.100.2 40001 65536\r\n" + NO_AUTHENTICATION,
        b"PROXY TCP4 203.0.113.7 198.51.100.2 40001 1080\n" + NO_AUTHENTICATION,
        b"PROXY UNKNOWN " + b"x" * 1000,
        version2("203.0.113.7")[:-1].replace(b"\x21\x11", b"\x31\x11") + NO_AUTHENTICATION,
        version2("203.0.113.7", 40001, (3, b"\0\0\0\0")) + NO_AUTHENTICATION,
        _wireproxy2.SIGNATURE + b"\x21\x11\xff\xff" + bytes(60000),
    )

    def test_closed(self) -> None:
        """
        The connection is closed without a word, whatever else it brings, and
        nothing is dialled.
        """
        for said in self.BAD:
            for pieces in ([said], piecesOf(said, 7)):
                proxy = BalancedProxy()
                with captured() as events:
                    client = proxy.connect()
                    for piece in pieces:
                        client.peerSends(piece)
                    proxy.settle()
                self.assertEqual(client.take(), b"", said)
                self.assertTrue(client.lost, said)
                self.assertEqual(proxy.network.attempts, [])
                self.assertEqual(proxy.traces(), [])
                (line,) = accessLines(events)
                self.assertEqual((line["client"], line["protocol"]), ("198.51.100.2:50000", "-"))
                self.assertEqual(line["result"], "malformed")

    def test_afterwards(self) -> None:
        """
        A good header that comes after a bad one, as a transport may deliver
        it until it is closed, changes nothing.
        """
        proxy = BalancedProxy()
        client = proxy.connect()
        protocol = proxy.protocol()
        client.peerSends(b"\5")
        protocol.dataReceived(version1("203.0.113.7") + NO_AUTHENTICATION + TO_WEB)
        protocol.dataReceived(bytes(LINGER_OCTETS))
        proxy.settle()
        self.assertEqual((client.take(), proxy.network.attempts), (b"", []))
        self.assertTrue(client.lost)

    def test_incomplete(self) -> None:
        """
        A header that does not end in time is given up with the handshake, of
        which it is a part.
        """
        for header in (b"", b"PROXY TCP4 ", version2("203.0.113.7")[:-1]):
            proxy = BalancedProxy()
            client = proxy.connect()
            client.peerSends(header)
            proxy.network.advance(9.9)
            self.assertFalse(client.aborted)
            proxy.network.advance(0.2)
            self.assertTrue(client.aborted)
            self.assertEqual((client.take(), proxy.traces()), (b"", []))

    def test_ended(self) -> None:
        """
        A stream that ends inside a header is closed.
        """
        for header in (b"", b"PROXY TCP4 ", version2("203.0.113.7")[:-1]):
            proxy = BalancedProxy()
            client = proxy.connect()
            client.peerSends(header)
            client.peerEnds()
            proxy.settle()
            self.assertTrue(client.lost)
            self.assertEqual((client.take(), proxy.traces()), (b"", []))


class BalancerTests(SynchronousTestCase):
    """
    Headers are taken from load balancers only.
    """

    def build(self, peer: IAddress | None, *balancers: str) -> bool:
        """
        Tell whether somebody may connect, and require a warning if not.
        """
        networks = [ip_network(balancer) for balancer in balancers] or NEARBY
        proxy = BalancedProxy(networks, listener="haproxy:tcp:1080")
        with captured() as events:
            protocol = proxy.balanced.buildProtocol(peer)
        warnings = atLevel(events, LogLevel.warn)
        if protocol is None:
            (warning,) = warnings
            self.assertIn("is no load balancer of haproxy:tcp:1080", warning)
        else:
            self.assertEqual(warnings, [])
        return protocol is not None

    def test_listed(self) -> None:
        """
        Those of the networks may connect, and nobody else.
        """
        for host, expected in (
            ("198.51.100.1", True),
            ("198.51.100.15", True),
            ("198.51.100.16", False),
            ("127.0.0.1", False),
            ("::ffff:198.51.100.1", True),
            ("::ffff:198.51.100.16", False),
            ("2001:db8:1::77", True),
            ("2001:db8:2::77", False),
        ):
            peer = tcpAddress(host, 50000)
            networks = ("198.51.100.0/28", "2001:db8:1::/64")
            self.assertEqual(self.build(peer, *networks), expected, host)

    def test_nearby(self) -> None:
        """
        Load balancers are nearby: on this host or in a network that the
        Internet does not reach.
        """
        for host in ("127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.7.7", "fd00::1"):
            self.assertTrue(self.build(tcpAddress(host, 50000)), host)
        for host in ("203.0.113.7", "172.32.0.1", "2001:db8::1", "::2"):
            self.assertFalse(self.build(tcpAddress(host, 50000)), host)

    def test_nobody(self) -> None:
        """
        There may be none at all.
        """
        proxy = BalancedProxy([])
        self.assertIsNone(proxy.balanced.buildProtocol(BALANCER))

    def test_unix(self) -> None:
        """
        Whoever can open a UNIX socket is one who may.
        """
        self.assertTrue(self.build(UNIXAddress(b""), "198.51.100.0/28"))

    def test_unknownPeer(self) -> None:
        """
        Where the transport does not tell who connects, it is not for us to
        say.
        """
        self.assertTrue(self.build(None, "198.51.100.0/28"))


class LimitTests(SynchronousTestCase):
    """
    Clients are counted, and not load balancers.
    """

    def setUp(self) -> None:
        """
        Make a proxy that has room for one connection of each source.
        """
        self.proxy = BalancedProxy(limits=ConnectionLimits(perSource=1))

    def connect(self, header: bytes) -> MemoryTransport:
        """
        Connect a client that makes a request.
        """
        client = self.proxy.connect()
        self.assertFalse(client.aborted)
        client.peerSends(header + NO_AUTHENTICATION + TO_WEB)
        self.proxy.settle()
        return client

    def test_tooMany(self) -> None:
        """
        A client too many is turned away with its header, and the others have
        their places; one that ends makes room.
        """
        first = self.connect(version1("203.0.113.7"))
        self.assertEqual(first.take(), b"\5\0" + GRANTED)
        with captured() as events:
            second = self.connect(version2("203.0.113.7"))
        self.assertTrue(second.aborted)
        self.assertEqual(second.take(), b"")
        (line,) = accessLines(events)
        self.assertEqual(
            (line["client"], line["result"]), ("203.0.113.7:40001", "too many connections")
        )
        self.assertEqual(self.connect(version1("203.0.113.8")).take(), b"\5\0" + GRANTED)
        self.assertEqual(len(self.proxy.network.attempts), 2)
        first.peerResets()
        self.proxy.settle()
        self.assertEqual(self.connect(version1("203.0.113.7")).take(), b"\5\0" + GRANTED)

    def test_notNamed(self) -> None:
        """
        A load balancer that names nobody is a source itself.
        """
        self.assertEqual(self.connect(LOCAL).take(), b"\5\0" + GRANTED)
        self.assertTrue(self.connect(UNKNOWN).aborted)
        self.assertEqual(self.connect(version1("203.0.113.7")).take(), b"\5\0" + GRANTED)

    def test_inHeaders(self) -> None:
        """
        A connection whose header is not complete counts as a handshake.
        """
        self.proxy = BalancedProxy(limits=ConnectionLimits(handshakes=2))
        clients = [self.proxy.connect() for _ in range(3)]
        self.assertEqual([client.aborted for client in clients], [False, False, True])

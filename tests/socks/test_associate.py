"""
Tests for L{socksproxy.socks.associate}: who gets an association, and where.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress

from socksproxy.exposure import Exposure, PortRange, PublicAddresses
from socksproxy.inbound.proxyheader import NEARBY, BalancedFactory
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.services import Services
from socksproxy.testing import tcpAddress
from tests.memoryproxy import StrictTransport, passwords
from tests.socks.associating import (
    ANSWER,
    CLIENT,
    PORT,
    QUESTION,
    SIX,
    TARGET,
    AssociationTestCase,
)
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    NO_AUTHENTICATION,
    REFUSED4,
    USERS,
    WITH_PASSWORD,
    refused,
)
from tests.socksrequests import UDP_ASSOCIATE, command, command4, datagram, granted

REQUEST = command(UDP_ASSOCIATE)


class SwitchTests(AssociationTestCase):
    """
    Whether it is on.
    """

    def test_off(self) -> None:
        """
        Where it is off it is not supported (REP 7), nothing is opened, and the
        connection ends.
        """
        self.start(services=Services(udp=False))
        client = self.ask(REQUEST)
        self.assertEqual(client.take(), refused(7))
        self.assertTrue(client.ended)
        self.assertEqual(self.proxy.network.datagrams, [])
        line = self.line()
        self.assertEqual((line["command"], line["result"]), ("UDP", "command not supported"))

    def test_thisHost(self) -> None:
        """
        By default it is on where only this host can connect.
        """
        self.start(services=Services(), local=True)
        self.associate()
        self.exchange()

    def test_anybody(self) -> None:
        """
        By default it is off for anybody from elsewhere.
        """
        self.start(services=Services())
        self.assertEqual(self.ask(REQUEST).take(), refused(7))
        self.assertEqual(self.proxy.network.datagrams, [])

    def test_loggedIn(self) -> None:
        """
        By default it is on for who has logged in, also beside others who need
        not.
        """
        self.start(services=Services(), checkers=[passwords(USERS), AllowAnonymousAccess()])
        client = self.proxy.connect()
        client.peerSends(WITH_PASSWORD + ALICE + REQUEST)
        self.has(client)
        relay = self.relay
        self.assertEqual(client.take(), b"\5\2" + ACCEPTED + granted(relay.host, relay.port))
        self.exchange()
        self.assertEqual(self.ask(REQUEST).take(), refused(7))

    def test_onForAnybody(self) -> None:
        """
        It can be switched on for everybody.
        """
        self.start(services=Services(udp=True))
        self.associate()
        self.exchange()

    def test_socks4(self) -> None:
        """
        SOCKS4 has no such request.
        """
        client = self.proxy.connect()
        client.peerSends(command4(UDP_ASSOCIATE, TARGET, 53))
        self.has(client)
        self.assertEqual(client.take(), REFUSED4)
        self.assertEqual(self.proxy.network.datagrams, [])


class AddressTests(AssociationTestCase):
    """
    Where the relay is.
    """

    def reply(self, host: IAddress, peer: IAddress) -> tuple[str, int, bytes]:
        """
        Give the address of a client's relay, and what the client is told.
        """
        client = StrictTransport.connect(self.proxy.network, self.proxy.factory, host, peer)
        client.peerSends(NO_AUTHENTICATION)
        self.assertEqual(client.take(), b"\5\0")
        client.peerSends(REQUEST)
        self.has(client)
        return self.relay.host, self.relay.port, client.take()

    def test_sameAddress(self) -> None:
        """
        It is on the address that the client's connection came in at, so that
        answers come from where the client has been told; and on no other.
        """
        for here, there in (
            ("10.0.0.5", "10.0.0.77"),
            ("127.0.0.3", CLIENT),
            ("2001:db8::5", "2001:db8::77"),
            ("::1", "::1"),
        ):
            host, port, reply = self.reply(tcpAddress(here, 1080), tcpAddress(there, 40000))
            self.assertEqual(host, here)
            self.assertEqual(reply, granted(here, port))

    def test_mapped(self) -> None:
        """
        An IPv4 client of a listener for both families is told an IPv4
        address, at which it is served.
        """
        host, port, reply = self.reply(
            tcpAddress("::ffff:10.0.0.5", 1080), tcpAddress("::ffff:10.0.0.77", 40000)
        )
        self.assertEqual((host, reply), ("10.0.0.5", granted("10.0.0.5", port)))
        for source in ("10.0.0.77", "::ffff:10.0.0.77"):
            self.send(source=(source, 41000 + len(source)))
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])

    def test_advertised(self) -> None:
        """
        What it is told may be a public address instead.
        """
        self.start()
        public: PublicAddresses = {4: ip_address("203.0.113.5")}
        self.proxy.inbound.exposure = Exposure(self.proxy.network, public=public)
        host, port, reply = self.reply(tcpAddress("10.0.0.5", 1080), tcpAddress("10.0.0.77", 1))
        self.assertEqual((host, reply), ("10.0.0.5", granted("203.0.113.5", port)))

    def test_portRange(self) -> None:
        """
        Its port comes from the range that is set; when that is used up it is a
        general failure (REP 1), which leaves nothing behind, and a port that
        is given back is to be had again.
        """
        self.start()
        self.proxy.inbound.exposure = Exposure(self.proxy.network, PortRange(2000, 2000))
        client = self.associate()
        self.assertEqual(self.relay.port, 2000)
        late = self.ask(REQUEST)
        self.assertEqual(late.take(), refused(1))
        self.assertTrue(late.ended)
        late.peerResets()
        client.peerResets()
        self.proxy.settle()
        self.assertEqual(
            [line["result"] for line in self.lines()], ["general failure", "succeeded"]
        )
        self.associate()
        self.exchange()

    def test_unix(self) -> None:
        """
        A client that has come over a UNIX socket has its relay on loopback.
        """
        host, port, reply = self.reply(UNIXAddress(b"/run/proxy"), UNIXAddress(b""))
        self.assertEqual((host, reply), ("127.0.0.1", granted("127.0.0.1", port)))
        self.exchange()

    def test_balanced(self) -> None:
        """
        Behind a load balancer the client is whom the header names; the load
        balancer's own datagrams are a stranger's.
        """
        factory = BalancedFactory(self.proxy.factory, NEARBY)
        client = StrictTransport.connect(
            self.proxy.network, factory, tcpAddress("10.0.0.5", 1080), tcpAddress("10.0.0.9", 4000)
        )
        client.peerSends(b"PROXY TCP4 198.51.100.7 10.0.0.5 4000 1080\r\n")
        client.peerSends(NO_AUTHENTICATION + REQUEST)
        self.has(client)
        self.assertEqual(client.take(), b"\5\0" + granted("10.0.0.5", self.relay.port))
        self.send(source=("10.0.0.9", 41000))
        self.assertEqual(self.sent(), [])
        self.send(source=("198.51.100.7", 41000))
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])
        self.assertDropped(1, sent=1)


class HintTests(AssociationTestCase):
    """
    What clients say of where they will send from.
    """

    def test_sloppy(self) -> None:
        """
        Whatever it is, the client is served: nothing, an empty name, "0" as
        PySocks has it, a name that could not be one, and the address or name
        of a target.
        """
        for host, port in (
            ("0.0.0.0", 0),
            ("0.0.0.0", 5000),
            ("::", 0),
            ("", 0),
            ("0", 5000),
            ("a b", 0),
            ("127.1", 0),
            ("localhost", 5000),
            ("web.test", 53),
            (TARGET, 53),
            (SIX, 53),
            (CLIENT, 0),
            (CLIENT, PORT),
            (CLIENT, 5000),
            (f"::ffff:{CLIENT}", PORT),
        ):
            self.start()
            self.associate(host, port)
            self.exchange()
            self.assertDropped(0, sent=1, received=1)

    def test_port(self) -> None:
        """
        The port that a client announces for its own address, or for no
        address, takes over from another one.
        """
        for host in (CLIENT, f"::ffff:{CLIENT}", "0.0.0.0", "::", "0", ""):
            self.start()
            self.associate(host, 5000)
            self.exchange()
            self.send(source=(CLIENT, 5000))
            self.answer()
            self.assertEqual(
                self.received(), [(datagram(ANSWER, TARGET, 53), (CLIENT, 5000))], host
            )
            self.send()
            self.assertDropped(1, sent=2, received=2)

    def test_portOfTarget(self) -> None:
        """
        The port of somebody else's address says nothing about the client's.
        """
        for host in (TARGET, SIX, "127.0.0.2"):
            self.start()
            self.associate(host, 5000)
            self.exchange()
            self.send(source=(CLIENT, 5000))
            self.answer()
            self.assertEqual(self.received(), [(datagram(ANSWER, TARGET, 53), (CLIENT, PORT))])
            self.assertDropped(1, sent=1, received=2)

    def test_addressOfSomebodyElse(self) -> None:
        """
        Nor can a client have another host served, or answered to.
        """
        self.associate("198.51.100.7", PORT)
        self.send(source=("198.51.100.7", PORT))
        self.assertEqual(self.sent(), [])
        self.exchange()
        self.assertDropped(1, sent=1, received=1)


class PlaceTests(AssociationTestCase):
    """
    How many associations there may be.
    """

    def test_places(self) -> None:
        """
        One takes two places of connections; without room for both it is a
        general failure (REP 1), and nothing is left open.
        """
        self.start(limits=ConnectionLimits(total=3))
        first = self.associate()
        second = self.ask(REQUEST)
        self.assertEqual(second.take(), refused(1))
        self.assertEqual(len(self.opened), 1)
        second.peerResets()
        self.assertEqual([line["result"] for line in self.lines()], ["too many connections"])
        first.peerResets()
        self.proxy.settle()
        self.lines()
        self.associate()
        self.exchange()

    def test_givenBack(self) -> None:
        """
        They are given back, however the association ends.
        """
        self.start(limits=ConnectionLimits(total=2))
        for end in ("peerResets", "peerEnds"):
            for _ in range(3):
                client = self.associate()
                getattr(client, end)()
                self.proxy.settle()
                self.assertTrue(client.lost)

    def test_handshakes(self) -> None:
        """
        Its handshake is over.
        """
        self.start(limits=ConnectionLimits(handshakes=1))
        for _ in range(3):
            self.associate()

    def test_perSource(self) -> None:
        """
        For its source it is one connection.
        """
        self.start(limits=ConnectionLimits(perSource=2))
        for _ in range(2):
            self.associate()
        self.assertTrue(self.proxy.connect().aborted)
        self.proxy.settle()

"""
Tests for L{socksproxy.socks.bind}: who gets a port, and where.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NoReturn

from twisted.cred.checkers import AllowAnonymousAccess

from socksproxy.address import IPAddress
from socksproxy.errors import NetworkUnreachable
from socksproxy.exposure import Exposure, PortRange
from socksproxy.policy.services import PENDING_BINDS, Services
from tests.memoryproxy import OUTSIDE, DenyNetworks, passwords
from tests.socks.binding import PEER, PEER_PORT, STRANGER, WAITING, WORLD, BindTestCase
from tests.socksclient import ACCEPTED, ALICE, USERS, WITH_PASSWORD, refused
from tests.socksrequests import BIND, command, granted, granted4


class SwitchTests(BindTestCase):
    """
    Whether it is on.
    """

    def test_off(self) -> None:
        """
        Where it is off it is not supported (REP 7, and 91 in SOCKS4), and
        nothing is opened.
        """
        for self.version in (5, 4):
            self.start(services=Services(bind=False))
            client = self.bind()
            self.assertEqual(client.take(), self.refused(7))
            self.assertTrue(client.ended)
            self.assertEqual(self.proxy.network.listeners, [])
            line = self.line()
            self.assertEqual((line["command"], line["result"]), ("BIND", "command not supported"))

    def test_thisHost(self) -> None:
        """
        By default it is on where only this host can connect.
        """
        for self.version in (5, 4):
            self.start(services=Services(), local=True)
            self.joined()

    def test_anybody(self) -> None:
        """
        By default it is off for anybody from elsewhere.
        """
        for self.version in (5, 4):
            self.start(services=Services())
            self.assertEqual(self.bind().take(), self.refused(7))

    def test_loggedIn(self) -> None:
        """
        By default it is on for who has logged in, also beside others who need
        not.
        """
        self.start(services=Services(), checkers=[passwords(USERS), AllowAnonymousAccess()])
        client = self.proxy.connect()
        client.peerSends(WITH_PASSWORD + ALICE + command(BIND, PEER))
        self.has(client)
        reply = granted(WAITING, self.listener.getHost().port)
        self.assertEqual(client.take(), b"\5\2" + ACCEPTED + reply)
        self.assertEqual(self.bind().take(), refused(7))

    def test_onForAnybody(self) -> None:
        """
        It can be switched on for everybody.
        """
        self.start(services=Services(bind=True))
        self.joined()


class RefusalTests(BindTestCase):
    """
    Ports that clients do not get.
    """

    def assertRefused(self, code: int, host: str = PEER) -> None:
        """
        Fail unless a client is refused, in both versions, and nothing is left
        waiting.

        @param code: REP.
        """
        for self.version in (5, 4):
            if ":" in host and self.version == 4:
                continue
            client = self.bind(host)
            self.assertEqual(client.take(), self.refused(code), host)
            self.assertTrue(client.ended)
            self.assertEqual(self.waiting, [])
        self.hangUp()

    def test_denied(self) -> None:
        """
        Who expects somebody that the policy denies is not allowed to (REP 2).
        """
        self.start(world=WORLD, policy=DenyNetworks(["10.0.0.0/8"]))
        for host in ("10.0.0.1", "inside.test", "::ffff:10.0.0.1"):
            self.assertRefused(2, host)

    def test_noName(self) -> None:
        """
        Nobody is expected by a name that has no address (REP 4).
        """
        self.assertRefused(4, "nowhere.test")

    def test_anybody(self) -> None:
        """
        A client has to say whom it expects (REP 2).
        """
        for host in ("0.0.0.0", "::"):
            self.assertRefused(2, host)

    def test_noPort(self) -> None:
        """
        Where no port is to be had that is a general failure (REP 1).
        """
        proxy = self.start()
        proxy.exposure = Exposure(
            proxy.network, PortRange(2000, 2000), route=lambda peer: OUTSIDE[4]
        )
        client = self.bind()
        self.assertEqual(client.take(), granted(WAITING, 2000))
        late = self.bind()
        self.assertEqual(late.take(), refused(1))
        client.peerResets()
        self.proxy.settle()
        self.assertEqual(self.bind().take(), granted(WAITING, 2000))

    def test_noWay(self) -> None:
        """
        Where there is no way to the peer its network is unreachable (REP 3).
        """

        def route(peer: IPAddress) -> NoReturn:
            raise NetworkUnreachable

        proxy = self.start()
        proxy.exposure = Exposure(proxy.network, route=route)
        self.assertRefused(3)

    def test_four(self) -> None:
        """
        A client has four ports waiting at most (REP 1), in whatever version it
        asks, and another client is not affected.
        """
        self.assertEqual(PENDING_BINDS, 4)
        for number in range(4):
            self.version = 4 + number % 2
            self.bind(source=STRANGER)
        for self.version in (5, 4):
            client = self.bind(source=STRANGER)
            self.assertEqual(client.take(), self.refused(1))
        self.assertEqual(len(self.waiting), 4)
        self.bind(source="198.51.100.10")
        self.assertEqual(len(self.waiting), 5)


class AddressTests(BindTestCase):
    """
    Where the peer is to connect to.
    """

    def test_told(self) -> None:
        """
        It is our address on the way to the peer, with a port that is not
        privileged.
        """
        for self.version in (5, 4):
            client = self.bind()
            here = self.listener.getHost()
            self.assertEqual(here.host, WAITING)
            self.assertGreaterEqual(here.port, 1024)
            self.assertEqual(client.take(), self.granted(WAITING, here.port))

    def test_ipv6(self) -> None:
        """
        For a peer of IPv6 it is an IPv6 address; SOCKS4, where only a name
        can lead there, has no room for it and says zeros.
        """
        self.start(world=WORLD)
        for host in ("2001:db8::7", "peer6.test"):
            client = self.bind(host)
            here = self.listener.getHost()
            self.assertEqual(here.host, str(OUTSIDE[6]))
            self.assertEqual(client.take(), granted(str(OUTSIDE[6]), here.port))
            self.comes("2001:db8::7")
            self.assertEqual(client.take(), granted("2001:db8::7", PEER_PORT))
        self.version = 4
        client = self.bind("peer6.test")
        self.assertEqual(client.take(), granted4("0.0.0.0"))
        self.comes("2001:db8::7")
        self.assertEqual(client.take(), granted4("0.0.0.0"))

    def test_advertised(self) -> None:
        """
        It may be a public address instead.
        """
        for self.version in (5, 4):
            proxy = self.start()
            proxy.exposure = Exposure(
                proxy.network,
                PortRange(2000, 2000),
                {4: ip_address("203.0.113.99")},
                route=lambda peer: OUTSIDE[4],
            )
            self.assertEqual(self.bind().take(), self.granted("203.0.113.99", 2000))
            self.assertEqual(self.listener.getHost().host, WAITING)

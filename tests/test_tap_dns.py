"""
Tests for L{socksproxy.dnsoptions}, and for the options about Shadowsocks in
L{socksproxy.tap}.
"""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.config import DEFAULT_LISTENER
from socksproxy.dns.rules import Block, Direct, Fixed, Proxy
from socksproxy.dns.settings import DNSSettings
from socksproxy.dns.strategy import IPStrategy
from socksproxy.dnsoptions import FAKE_FILE
from tests.test_tap import configured, parsed

LISTEN = ("--dns", "127.0.0.1:5353")


class OptionTestCase(SynchronousTestCase):
    """
    Tests with wrong options.
    """

    def assertRefused(self, *arguments: str) -> None:
        """
        Require one line that names the first option.
        """
        error = str(self.assertRaises(usage.UsageError, parsed, *arguments))
        self.assertIn(arguments[0], error)
        self.assertNotIn("\n", error)


class DNSTests(OptionTestCase):
    """
    The DNS server on the command line.
    """

    def settings(self, *arguments: str) -> DNSSettings:
        """
        Give what options ask for.
        """
        settings = configured(*LISTEN, *arguments).dns
        assert settings is not None
        return settings

    def test_none(self) -> None:
        """
        Without them there is no DNS server.
        """
        self.assertIsNone(configured().dns)

    def test_listens(self) -> None:
        """
        It answers where it is told to, and alone there is no proxy.
        """
        configuration = configured(*LISTEN, "--dns", "[::1]:53")
        assert configuration.dns is not None
        self.assertEqual(
            configuration.dns.listen,
            (Destination(ip_address("127.0.0.1"), 5353), Destination(ip_address("::1"), 53)),
        )
        self.assertEqual(configuration.listen, ())
        self.assertEqual(configured(*LISTEN, "--listen", "tcp:1").listen, ("tcp:1",))

    def test_upstreams(self) -> None:
        """
        Name servers are kept in their order.
        """
        settings = self.settings(
            *("--dns-upstream", "tls://dns.example?address=192.0.2.1"),
            *("--dns-upstream", "tcp://192.0.2.2", "--dns-direct", "udp://192.0.2.3"),
        )
        self.assertEqual(
            settings.upstreams, ("tls://dns.example?address=192.0.2.1", "tcp://192.0.2.2")
        )
        self.assertEqual(settings.direct, ("udp://192.0.2.3",))
        self.assertEqual(self.settings().direct, ("system",))

    def test_rules(self) -> None:
        """
        Rules are kept in their order.
        """
        rules = ["a.test=direct", "|b.test=block", "c.test=192.0.2.1,2001:db8::1", "d.test=proxy"]
        arguments = [word for rule in rules for word in ("--dns-rule", rule)]
        self.assertEqual(
            self.settings(*arguments).rules,
            (
                ("a.test", Direct()),
                ("|b.test", Block()),
                ("c.test", Fixed((ip_address("192.0.2.1"), ip_address("2001:db8::1")))),
                ("d.test", Proxy()),
            ),
        )

    def test_hosts(self) -> None:
        """
        A file of hosts is read at once.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("192.0.2.1 a.test b.test # both\n")
        hosts = self.settings("--dns-hosts", path).hosts
        assert hosts is not None
        self.assertEqual(len(hosts), 2)

    def test_fake(self) -> None:
        """
        Pools may be of both families, and are kept in the folder for that.
        """
        folder = self.mktemp()
        os.mkdir(folder)
        pools = ("--dns-fake", "fd00::/112", "--dns-fake", "198.18.0.0/15")
        settings = self.settings(*pools, "--state", folder)
        self.assertEqual(settings.fakeIPv4, ip_network("198.18.0.0/15"))
        self.assertEqual(settings.fakeIPv6, ip_network("fd00::/112"))
        self.assertEqual(settings.fakeFile, os.path.abspath(os.path.join(folder, FAKE_FILE)))
        self.assertEqual(self.settings(*pools).fakeFile, "")
        self.assertEqual(self.settings("--state", folder).fakeFile, "")

    def test_strategy(self) -> None:
        """
        A strategy is one of those that there are.
        """
        strategy = self.settings("--dns-strategy", "v4_only").strategy
        self.assertIs(strategy, IPStrategy.IPV4_ONLY)

    def test_own(self) -> None:
        """
        The proxy's own look-ups need no port for others.
        """
        configuration = configured("--dns-own", "--dns-upstream", "tcp://192.0.2.1")
        self.assertTrue(configuration.ownNames)
        assert configuration.dns is not None
        self.assertEqual(configuration.dns.listen, ())
        self.assertEqual(configuration.listen, (DEFAULT_LISTENER,))

    def test_wrong(self) -> None:
        """
        What is wrong is named.
        """
        for arguments in (
            ("--dns", "127.0.0.1"),
            ("--dns", "localhost:53"),
            ("--dns", "127.0.0.1:65536"),
            ("--dns-upstream", "tcp://"),
            ("--dns-upstream", "quic://192.0.2.1"),
            ("--dns-direct", "x"),
            ("--dns-rule", "a.test"),
            ("--dns-rule", "a.test=maybe"),
            ("--dns-rule", "a.test=192.0.2.1,x"),
            ("--dns-rule", "=block"),
            ("--dns-hosts", "/nowhere/hosts"),
            ("--dns-hosts", "/"),
            ("--dns-fake", "198.18.0.0"[:5]),
            ("--dns-fake", "fd00::/112", *LISTEN),
            ("--dns-fake", "198.18.0.0/15", "--dns-fake", "198.18.0.0/16", *LISTEN),
            ("--dns-strategy", "v5_only"),
            ("--dns-rule", "a.test=block"),
            ("--dns-upstream", "tcp://192.0.2.1"),
            ("--state", "/nowhere"),
            ("--state", __file__),
        ):
            self.assertRefused(*arguments)


class ShadowsocksTests(OptionTestCase):
    """
    Servers of Shadowsocks on the command line.
    """

    def test_servers(self) -> None:
        """
        Links are kept in their order; without a listener there is no proxy.
        """
        links = [f"ss://aes-256-gcm:x@127.0.0.1:{port}" for port in (1, 2)]
        configuration = configured(*(f"--shadowsocks={link}" for link in links))
        self.assertEqual([url.address.port for url in configuration.shadowsocks], [1, 2])
        self.assertEqual(configuration.listen, ())

    def test_wrong(self) -> None:
        """
        What is no link is told without a word of it.
        """
        self.assertRefused("--shadowsocks", "ss://s3cret")
        error = self.assertRaises(usage.UsageError, parsed, "--shadowsocks", "ss://s3cret@x")
        self.assertNotIn("s3cret", str(error))

    def test_shown(self) -> None:
        """
        Settings do not show passwords.
        """
        configuration = configured("--shadowsocks", "ss://aes-256-gcm:s3cret@127.0.0.1:1")
        self.assertNotIn("s3cret", repr(configuration))

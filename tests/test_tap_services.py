"""
Tests for L{socksproxy.tap}: options about what clients may ask for beside
connections.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.exposure import PortRange
from socksproxy.outbound.direct import DirectSettings
from socksproxy.policy.services import Services
from tests.test_tap import configured, parsed


class ServiceOptionsTests(SynchronousTestCase):
    """
    Command lines.
    """

    def assertWrong(self, option: str, *values: str) -> None:
        """
        Fail unless each value is refused in one line that names the option and
        shows the value.
        """
        for value in values:
            error = str(self.assertRaises(usage.UsageError, parsed, f"--{option}", value))
            self.assertIn(f"--{option}", error)
            self.assertIn(value, error)
            self.assertNotIn("\n", error)

    def test_none(self) -> None:
        """
        Without options BIND and UDP ASSOCIATE are for trusted clients,
        everything else is off, and what is told is what is so.
        """
        configuration = configured()
        self.assertEqual(configuration.services, Services(None, None, False))
        self.assertEqual(configuration.direct, DirectSettings())
        self.assertIsNone(configuration.ports)
        self.assertEqual(dict(configuration.public), {})
        self.assertFalse(configuration.reassembling)
        self.assertEqual((tuple(configuration.ident), set(configuration.socks4Users)), ((), set()))

    def test_switches(self) -> None:
        """
        C{--bind} and C{--udp} are on, off or auto, each for itself; the last
        one counts.
        """
        for value, meaning in (("on", True), ("off", False), ("auto", None)):
            self.assertEqual(configured("--bind", value).services, Services(bind=meaning))
            self.assertEqual(configured(f"--udp={value}").services, Services(udp=meaning))
        self.assertEqual(
            configured("--bind", "on", "--udp", "off", "--bind", "off").services,
            Services(bind=False, udp=False),
        )

    def test_wrongSwitches(self) -> None:
        """
        They are nothing else.
        """
        for option in ("bind", "udp"):
            self.assertWrong(option, "yes", "ON", "1", "true", "on,off")
            error = str(self.assertRaises(usage.UsageError, parsed, f"--{option}="))
            self.assertIn(f"--{option}", error)

    def test_flags(self) -> None:
        """
        Each flag switches one thing on.
        """
        off = configured()
        for flag, change in (
            ("--resolve", {"services": Services(resolve=True)}),
            ("--bind-any-peer", {"direct": DirectSettings(anyPeer=True)}),
            ("--full-cone", {"direct": DirectSettings(fullCone=True)}),
            ("--udp-fragments", {"reassembling": True}),
        ):
            on = configured(flag)
            for name in ("services", "direct", "reassembling"):
                self.assertEqual(
                    getattr(on, name), change.get(name, getattr(off, name)), (flag, name)
                )

    def test_portRange(self) -> None:
        """
        C{--port-range} has a first and a last port, or is one port.
        """
        for text, ports in (
            ("20000-20999", PortRange(20000, 20999)),
            ("1024-65535", PortRange(1024, 65535)),
            ("5000-5000", PortRange(5000, 5000)),
            ("5000", PortRange(5000, 5000)),
        ):
            self.assertEqual(configured("--port-range", text).ports, ports)

    def test_wrongPortRange(self) -> None:
        """
        It has no privileged port in it, and its ends are in order.
        """
        self.assertWrong(
            "port-range",
            "1023-2000",
            "80",
            "0-2000",
            "2000-1999",
            "2000-65536",
            "2000-",
            "-2000",
            "2000-3000-4000",
            "2000:3000",
            "2000,3000",
            "http",
        )

    def test_publicAddress(self) -> None:
        """
        C{--public-address} is for all local addresses of its family, or for
        one.
        """
        configuration = configured(
            "--public-address",
            "203.0.113.5",
            "--public-address=2001:db8::5",
            "--public-address",
            "10.0.0.5=203.0.113.6",
            "--public-address",
            "fd00::1=2001:db8::6",
        )
        self.assertEqual(
            dict(configuration.public),
            {
                4: ip_address("203.0.113.5"),
                6: ip_address("2001:db8::5"),
                ip_address("10.0.0.5"): ip_address("203.0.113.6"),
                ip_address("fd00::1"): ip_address("2001:db8::6"),
            },
        )

    def test_wrongPublicAddress(self) -> None:
        """
        It is an address that can be connected to, of the local one's family.
        """
        self.assertWrong(
            "public-address",
            "proxy.example.com",
            "203.0.113.5:1080",
            "203.0.113.0/24",
            "203.0.113",
            "10.0.0.5=",
            "10.0.0.5=2001:db8::5",
            "fd00::1=203.0.113.5",
            "eth0=203.0.113.5",
            "a=b=203.0.113.5",
            "0.0.0.0",
            "::",
            "10.0.0.5=0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
        )

    def test_ident(self) -> None:
        """
        C{--ident} names networks, or hosts.
        """
        self.assertEqual(
            configured("--ident", "192.0.2.0/24", "--ident", "198.51.100.7", "--ident=::1").ident,
            (ip_network("192.0.2.0/24"), ip_network("198.51.100.7/32"), ip_network("::1/128")),
        )

    def test_wrongIdent(self) -> None:
        """
        They are in proper form.
        """
        self.assertWrong(
            "ident", "example.com", "192.0.2.1/24", "192.0.2.0/33", "192.0.2", "fd00::/129"
        )

    def test_socks4User(self) -> None:
        """
        C{--socks4-user} names users, in whatever octets the command line has.
        """
        configuration = configured("--socks4-user", "alice", "--socks4-user=Zo\udcc3\udcab")
        self.assertEqual(set(configuration.socks4Users), {b"alice", b"Zo\xc3\xab"})

    def test_twoCommandLines(self) -> None:
        """
        Two command lines in a process do not add up.
        """
        configured(
            "--public-address", "203.0.113.5", "--ident", "192.0.2.0/24", "--socks4-user", "alice"
        )
        configuration = configured()
        self.assertEqual((dict(configuration.public), tuple(configuration.ident)), ({}, ()))
        self.assertEqual(set(configuration.socks4Users), set())

    def test_missing(self) -> None:
        """
        An option that needs a value is refused without one, in one line.
        """
        for option in ("bind", "udp", "port-range", "public-address", "ident", "socks4-user"):
            error = str(self.assertRaises(usage.UsageError, parsed, f"--{option}"))
            self.assertIn(option, error)
            self.assertNotIn("\n", error)

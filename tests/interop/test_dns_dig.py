"""
dig and the DNS server.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from socksproxy.dns.hosts import Hosts
from socksproxy.dns.rules import Block
from socksproxy.dns.service import DNSService
from socksproxy.dns.settings import DNSSettings, listenerFromText
from socksproxy.dns.strategy import IPStrategy
from tests.dns.zones import ADDRESS, IPV6_ADDRESS, TXT_COUNT, Zones
from tests.interop.peers import requireProgram, runPeer

REACTOR: Any = reactor


class DigTests(TestCase):
    """
    What dig makes of our answers.
    """

    timeout = 60

    def setUp(self) -> None:
        """
        Look for dig, and start both servers.
        """
        self.dig = requireProgram("dig")
        self.zones = Zones(REACTOR)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.zones.close()))
        self.start()

    def start(self, kind: str = "tcp", **options: Any) -> None:
        """
        Start the DNS server.

        @param kind: How it asks the name server.
        """
        upstreams = (f"{kind}://127.0.0.1:{self.zones.port}",)
        settings = DNSSettings((listenerFromText("127.0.0.1:0"),), upstreams, **options)
        self.service = DNSService(REACTOR, settings)
        self.service.open()
        self.addCleanup(self.service.stop)
        self.port = self.service.addresses[0].port

    async def ask(self, *arguments: str) -> str:
        """
        Run dig.

        @return: What it writes, without complaints.
        """
        words = (self.dig, "@127.0.0.1", "-p", str(self.port), "+tries=1", *arguments)
        ended = await deferToThread(runPeer, *words)
        text: str = ended.stdout.decode()
        self.assertEqual((ended.returncode, ended.stderr), (0, b""), text)
        for complaint in ("WARNING", "Warning", "mismatch", "Question section", "malformed"):
            self.assertNotIn(complaint, text)
        return text

    def assertStatus(self, text: str, status: str, answers: int) -> None:
        """
        Assert what the header says.
        """
        self.assertIn(f"status: {status},", text)
        self.assertIn(f"ANSWER: {answers},", text)

    async def test_addresses(self) -> None:
        """
        Addresses are found by UDP and over TCP, with the name in the letters
        in which it was asked for.
        """
        for how in ("+notcp", "+tcp"):
            text = await self.ask(how, "WwW.Zone.TEST", "A")
            self.assertStatus(text, "NOERROR", 1)
            self.assertRegex(text, rf"WwW\.Zone\.TEST\.\s+\d+\s+IN\s+A\s+{re.escape(ADDRESS)}")
            self.assertIn("flags: qr rd ra;", text)
            self.assertIn("udp: 1232", text)
            text = await self.ask(how, "www.zone.test", "AAAA")
            self.assertIn(IPV6_ADDRESS, text)
        self.assertEqual(self.zones.zone.asked["www.zone.test"], 2)

    async def test_flags(self) -> None:
        """
        RD and CD come back as they were, and an OPT record only if one was
        sent.
        """
        text = await self.ask("+noedns", "+cdflag", "+noadflag", "www.zone.test")
        self.assertIn("flags: qr rd ra cd;", text)
        self.assertNotIn("OPT PSEUDOSECTION", text)
        text = await self.ask("+dnssec", "www.zone.test")
        self.assertIn("flags: do; udp: 1232", text)
        text = await self.ask("+norecurse", "www.zone.test")
        self.assertRegex(text, r"flags: qr ra;|flags: qr rd ra;")

    async def test_version(self) -> None:
        """
        Another version of EDNS than 0 is refused; dig then tries 0.
        """
        text = await self.ask("+edns=1", "+noednsnegotiation", "www.zone.test")
        self.assertStatus(text, "BADVERS", 0)
        text = await self.ask("+edns=1", "www.zone.test")
        self.assertStatus(text, "NOERROR", 1)

    async def test_options(self) -> None:
        """
        Options that we do not know are passed over: cookies, client subnets
        and the like.
        """
        text = await self.ask(
            "+cookie", "+subnet=192.0.2.0/24", "+nsid", "+expire", "+padding=300", "www.zone.test"
        )
        self.assertStatus(text, "NOERROR", 1)

    async def test_sizes(self) -> None:
        """
        What does not fit is truncated, and dig comes back over TCP; 4096
        octets are enough.
        """
        for kind in ("tcp", "udp"):
            self.start(kind)
            for arguments in (["+noedns"], ["+bufsize=512"], ["+bufsize=1232"]):
                text = await self.ask(*arguments, "+ignore", "big.zone.test", "TXT")
                self.assertIn("flags: qr tc", text)
                self.assertStatus(text, "NOERROR", 0)
                text = await self.ask(*arguments, "big.zone.test", "TXT")
                self.assertStatus(text, "NOERROR", TXT_COUNT)
                self.assertIn("(TCP)", text)
            text = await self.ask("+bufsize=4096", "big.zone.test", "TXT")
            self.assertStatus(text, "NOERROR", TXT_COUNT)
            self.assertIn("(UDP)", text)

    async def test_missing(self) -> None:
        """
        A name that does not exist does not, and says for how long.
        """
        for _ in range(2):
            text = await self.ask("missing.zone.test")
            self.assertStatus(text, "NXDOMAIN", 0)
            self.assertRegex(text, r"zone\.test\.\s+1(20|19|18)\s+IN\s+SOA")
        self.assertEqual(self.zones.zone.asked["missing.zone.test"], 1)

    async def test_failures(self) -> None:
        """
        What cannot be answered says why.
        """
        for arguments, status in (
            (["servfail.zone.test"], "SERVFAIL"),
            (["version.bind", "CH", "TXT"], "REFUSED"),
            (["+opcode=STATUS", "+noedns", "www.zone.test"], "NOTIMP"),
            (["+header-only", "+noedns"], "FORMERR"),
        ):
            text = await self.ask(*arguments)
            self.assertStatus(text, status, 0)

    async def test_records(self) -> None:
        """
        Records of many types come through.
        """
        for kind, shown in (
            ("HTTPS", 'alpn="h2" ipv4hint=192.0.2.1'),
            ("CAA", '0 issue "ca.test"'),
            ("MX", "10 mail.zone.test."),
            ("ANY", '"RFC8482"'),
        ):
            text = await self.ask("www.zone.test", kind)
            self.assertStatus(text, "NOERROR", 1)
            self.assertIn(shown, text)

    async def test_rules(self) -> None:
        """
        Names that are blocked, written down or special are answered here.
        """
        hosts = Hosts.read("192.0.2.9 nas.test")
        self.start(hosts=hosts, rules=(("ads.test", Block(null=True)),))
        self.assertIn("192.0.2.9", await self.ask("nas.test"))
        self.assertIn("nas.test.", await self.ask("-x", "192.0.2.9"))
        self.assertIn("0.0.0.0", await self.ask("x.ads.test"))
        self.assertIn("127.0.0.1", await self.ask("localhost"))
        self.assertStatus(await self.ask("printer.home.arpa"), "NXDOMAIN", 0)
        self.assertEqual(self.zones.zone.asked, {})

    async def test_onlyIPv4(self) -> None:
        """
        Without IPv6 there are no such addresses, and no hints at any.
        """
        self.start(strategy=IPStrategy.IPV4_ONLY)
        self.assertStatus(await self.ask("www.zone.test", "AAAA"), "NOERROR", 0)
        self.assertStatus(await self.ask("www.zone.test", "A"), "NOERROR", 1)

    async def test_keptOpen(self) -> None:
        """
        Several questions go over one connection.
        """
        names = [f"n{number}.zone.test" for number in range(10)]
        text = await self.ask("+tcp", "+keepopen", *names)
        self.assertEqual(text.count("status: NOERROR"), 10)
        self.assertEqual(text.count(ADDRESS), 10)

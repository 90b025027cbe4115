"""
Tests for L{socksproxy.dns.service}.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.dns._framing import Messages, framed
from socksproxy.dns.message import Query, readQuery
from socksproxy.dns.reply import readReply
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.dns.rules import Block, Direct, Proxy
from socksproxy.dns.service import DNSService
from socksproxy.dns.settings import DNSSettings, listenerFromText
from socksproxy.errors import ConfigurationError
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.testing import ScriptedNetwork
from tests.dns.messages import query
from tests.dns.upstreaming import ADDRESS, PACKED, pending, replyOctets
from tests.files import temporaryFolder
from tests.logs import atLevel, captured, texts

LISTEN = (listenerFromText("127.0.0.1:5353"),)
SERVERS = ("tcp://192.0.2.53",)
DIRECT = ("tcp://192.0.2.54",)
PROXY = "198.51.100.1"


class ServiceTestCase(SynchronousTestCase):
    """
    Tests with a DNS server in memory.
    """

    def setUp(self) -> None:
        """
        Make a network with name servers and a proxy.
        """
        places = ("192.0.2.53:53", "192.0.2.54:53", f"{PROXY}:1080")
        self.network: Any = ScriptedNetwork(dict.fromkeys(places, "accept"))
        self.network.getThreadPool = lambda: None

    def make(self, via: str = "", openResolver: bool = False, **options: Any) -> DNSService:
        """
        Make a server.
        """
        chain = None
        if via:
            resolver = BoundedResolver(self.network, self.network)
            chain = Chain(self.network, chainFromURLs(via), resolver)
        settings = {"listen": LISTEN, "upstreams": SERVERS, "direct": DIRECT, **options}
        self.service = DNSService(self.network, DNSSettings(**settings), chain, openResolver)
        return self.service

    def begin(self, **options: Any) -> DNSService:
        """
        Make a server, and let it run.
        """
        service = self.make(**options)
        service.open()
        service.start()
        return service

    def ask(self, name: str = "www.test") -> None:
        """
        Have a client ask by UDP.
        """
        self.network.datagrams[0].peerSends(query(name), "127.0.0.1", 40000)
        self.network.advance(0)

    def answers(self) -> list[bytes]:
        """
        Give what clients have got by UDP.
        """
        return [octets for octets, _ in self.network.datagrams[0].take()]

    def asked(self) -> tuple[Any, Query]:
        """
        Give the last connection to a name server, and the query on it.
        """
        transport = self.network.attempts[-1].transport
        messages = Messages()
        messages.feed(transport.take())
        return transport, readQuery(messages.take() or b"")


class RunTests(ServiceTestCase):
    """
    From the beginning to the end.
    """

    def test_datagrams(self) -> None:
        """
        Questions by UDP are asked of the name server, and answered.
        """
        self.begin()
        self.ask()
        transport, asked = self.asked()
        self.assertEqual(transport.getPeer().host, "192.0.2.53")
        transport.peerSends(framed(replyOctets(asked, PACKED)))
        (answer,) = self.answers()
        self.assertEqual([str(each) for each in readReply(answer).addresses], [ADDRESS])

    def test_streams(self) -> None:
        """
        So are those over TCP, on the same port.
        """
        self.begin()
        (listener,) = self.network.listeners
        self.assertEqual(listener.getHost().port, self.network.datagrams[0].port)
        client = listener.peerConnects("127.0.0.1", 40000)
        client.peerSends(framed(query("localhost")))
        messages = Messages()
        messages.feed(client.take())
        self.assertEqual(str(readReply(messages.take() or b"").addresses[0]), "127.0.0.1")

    def test_chosenPort(self) -> None:
        """
        If any port will do, it is one that is free with both protocols.
        """
        first = self.begin(listen=(listenerFromText("127.0.0.1:0"),))
        (address,) = first.addresses
        self.assertNotEqual(address.port, 0)
        self.network.datagrams[0].open = True
        self.network.listeners[0].open = False
        second = self.begin(listen=(listenerFromText("[::1]:0"),))
        self.assertEqual(second.addresses, [Destination(ip_address("::1"), address.port + 1)])

    def test_taken(self) -> None:
        """
        A port that is taken, with either protocol, is an error in one line,
        and nothing is left listening.
        """
        for kind in ("listeners", "datagrams"):
            self.setUp()
            self.begin()
            for each in self.network.listeners + self.network.datagrams:
                each.open = False
            getattr(self.network, kind)[0].open = True
            free = listenerFromText("127.0.0.1:5354")
            with self.assertRaises(ConfigurationError) as caught:
                self.make(listen=(free, *LISTEN)).open()
            self.assertEqual(str(caught.exception), "cannot answer DNS on 127.0.0.1:5353: in use")
            isOpen = [each.open for each in self.network.listeners + self.network.datagrams]
            self.assertEqual(isOpen.count(True), 1)

    def test_noPort(self) -> None:
        """
        If no port is to be had, that is tried a few times and then said.
        """
        calls: list[object] = []

        def refuse(*arguments: object) -> None:
            calls.append(arguments)
            raise CannotListenError("127.0.0.1", 0, OSError(24, "too many open files"))

        for method in ("listenTCP", "listenUDP"):
            self.setUp()
            calls.clear()
            setattr(self.network, method, refuse)
            with self.assertRaises(ConfigurationError) as caught:
                self.make(listen=(listenerFromText("127.0.0.1:0"),)).open()
            self.assertIn("too many open files", str(caught.exception))
            self.assertEqual(len(calls), 8)
            self.assertEqual([each.open for each in self.network.listeners].count(True), 0)

    def test_forOthers(self) -> None:
        """
        It does not listen where others than this host can ask, unless that is
        wanted.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.make(listen=(*LISTEN, listenerFromText("[::]:53"))).open()
        self.assertIn("[::]:53", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        isOpen = [each.open for each in self.network.listeners + self.network.datagrams]
        self.assertEqual(isOpen, [False] * 4)

    def test_stop(self) -> None:
        """
        When it stops, nothing listens, no connection is left and nothing is to
        be done.
        """
        service = self.begin()
        client = self.network.listeners[0].peerConnects("127.0.0.1", 40000)
        self.ask()
        stopping = service.stop()
        self.network.advance(0)
        self.successResultOf(stopping)
        self.assertTrue(client.lost)
        self.assertTrue(self.network.attempts[-1].transport.lost)
        self.assertEqual([each.open for each in self.network.listeners], [False])
        self.assertEqual([each.open for each in self.network.datagrams], [False])
        self.assertEqual(pending(self.network), 0)
        self.successResultOf(service.stop())

    def test_swept(self) -> None:
        """
        Once a minute it forgets what is too old.
        """
        service = self.begin()
        self.ask()
        transport, asked = self.asked()
        transport.peerSends(framed(replyOctets(asked, PACKED, ttl=1)))
        self.network.pump([60] * 60)
        self.assertEqual(service._cache.__len__(), 1)
        self.network.advance(60)
        self.assertEqual(service._cache.__len__(), 0)

    def test_announced(self) -> None:
        """
        It says where it answers and who is asked, and warns of what others can
        reach.
        """
        everywhere = listenerFromText("0.0.0.0:53")
        service = self.begin(listen=(*LISTEN, everywhere), openResolver=True)
        self.assertFalse(service.local)
        with captured() as events:
            service.announce()
        self.assertEqual(
            texts(events),
            [
                "Answering DNS on 127.0.0.1:5353, asking tcp://192.0.2.53",
                "Answering DNS on 0.0.0.0:53, asking tcp://192.0.2.53",
                "--dns: whoever reaches 0.0.0.0:53 can ask it",
            ],
        )
        self.assertTrue(self.make().local)

    def test_reported(self) -> None:
        """
        It tells what it has done.
        """
        service = self.begin(fakeIPv4=IPv4Network("198.18.0.0/15"))
        self.ask()
        self.ask("localhost")
        (state,) = service.report()
        self.assertEqual((state.kind, state.name), ("dns", "127.0.0.1:5353"))
        expected = {"answered": 2, "asked": 0, "failed": 0, "stale": 0, "remembered": 0, "fakes": 1}
        self.assertEqual(state.numbers, expected)

    def test_resolver(self) -> None:
        """
        Its answers can be had for our own look-ups.
        """
        service = self.begin()
        asking = service.resolver().resolve("localhost", None)
        addresses = [str(each) for each in self.successResultOf(asking)]
        self.assertEqual(addresses, ["127.0.0.1", "::1"])


class SettingsTests(ServiceTestCase):
    """
    What is decided by settings.
    """

    def test_default(self) -> None:
        """
        If nobody says who is asked, it is the system, or, with proxies, name
        servers of the Internet through them.
        """
        service = self.make(upstreams=())
        self.assertEqual(str(service._groups["proxy"]), "system")
        service = self.make(f"socks5h://{PROXY}", upstreams=())
        self.assertEqual(str(service._groups["proxy"]), "tcp://9.9.9.9, tcp://1.1.1.1")

    def test_throughProxies(self) -> None:
        """
        With proxies, questions leave through them, but for names that are
        asked for directly.
        """
        self.begin(via=f"socks5h://{PROXY}", rules=(("lan.test", Direct()),))
        self.ask()
        self.assertEqual(self.network.attempts[-1].host, PROXY)
        self.ask("a.lan.test")
        self.assertEqual(self.network.attempts[-1].host, "192.0.2.54")

    def test_ownNames(self) -> None:
        """
        The names of proxies that are looked up here are never asked for
        through them, whatever the rules say; those of others are.
        """
        via = "socks5h://first.test,socks5://second.test,socks5h://third.test"
        self.begin(via=via, rules=(("test", Block()),))
        for name in ("first.test", "third.test"):
            self.ask(name)
            self.assertEqual(self.network.attempts[-1].host, "192.0.2.54")
            self.assertEqual(self.answers(), [])
        for name in ("second.test", "x.first.test"):
            self.ask(name)
            (answer,) = self.answers()
            self.assertEqual(readReply(answer).code, 3)

    def test_wrong(self) -> None:
        """
        What cannot be is an error.
        """
        for options in (
            {"upstreams": ("tcp://dns.test",)},
            {"direct": ("udp://dns.test",)},
            {"rules": (("a b", Block()),)},
            {"rules": (("a.test", Proxy("other")),)},
            {"default": Proxy("other")},
            {"fakeIPv6": IPv6Network("fd00::/64")},
            {"fakeFile": "/tmp/x"},
            {"fakeIPv4": IPv4Network("198.18.0.0/31")},
        ):
            with self.assertRaises(ConfigurationError) as caught:
                self.make(**options)
            self.assertNotIn("\n", str(caught.exception))


class FakeTests(ServiceTestCase):
    """
    Addresses that stand for names, and their file.
    """

    def setUp(self) -> None:
        """
        Make a folder.
        """
        super().setUp()
        self.path = Path(temporaryFolder(self)) / "fakes"

    def make(self, via: str = "", openResolver: bool = False, **options: Any) -> DNSService:
        """
        Make a server with such addresses.
        """
        pool = IPv4Network("198.18.0.0/15")
        file = str(self.path)
        return super().make(via, openResolver, fakeIPv4=pool, fakeFile=file, **options)

    def address(self, name: str) -> object:
        """
        Ask for a name, and give its address.
        """
        self.network.datagrams[-1].peerSends(query(name), "127.0.0.1", 40000)
        ((answer, _),) = self.network.datagrams[-1].take()
        (address,) = readReply(answer).addresses
        return address

    def test_kept(self) -> None:
        """
        They are the same after a restart, whether or not there was time to
        stop.
        """
        for isStopped in (True, False):
            before = self.begin()
            address = self.address("www.test")
            if isStopped:
                before.stop()
            else:
                self.network.datagrams[-1].open = self.network.listeners[-1].open = False
            after = self.begin()
            assert after.fakes is not None
            self.assertEqual(after.fakes.nameOf(address), "www.test")  # type: ignore[arg-type]
            after.stop()

    def test_keptAtTheEnd(self) -> None:
        """
        What has not been written yet is when it stops.
        """
        service = self.begin()
        for name in ("a.test", "b.test", "c.test"):
            self.address(name)
        self.assertNotIn("c.test", self.path.read_text())
        service.stop()
        self.assertIn("c.test", self.path.read_text())

    def test_beforeTheFork(self) -> None:
        """
        Opening the ports writes nothing: the process is not yet the one that
        stays, and may have other rights. Names that come before that are kept.
        """
        service = self.make()
        service.open()
        self.address("early.test")
        self.assertFalse(self.path.exists())
        service.start()
        self.assertIn("early.test", self.path.read_text())
        self.address("late.test")
        self.assertIn("late.test", self.path.read_text())

    def test_unreadable(self) -> None:
        """
        A file that cannot be read is an error in one line, and nothing is left
        listening.
        """
        self.path.mkdir()
        service = self.make()
        with self.assertRaises(ConfigurationError) as caught:
            service.open()
        self.assertEqual(str(caught.exception), f"cannot read {self.path}: Is a directory")
        self.assertEqual([each.open for each in self.network.listeners], [False])

    def test_unwritable(self) -> None:
        """
        A file that cannot be written is said to be so, and names get addresses
        all the same.
        """
        self.path = self.path / "missing" / "fakes"
        with captured() as events:
            self.begin()
            self.address("www.test")
        errors = atLevel(events, LogLevel.error)
        self.assertEqual(set(errors), {f"{self.path} cannot be written: No such file or directory"})

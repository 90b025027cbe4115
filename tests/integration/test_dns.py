"""
The DNS server over real sockets, with a name server of the test's own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from socksproxy.config import Configuration
from socksproxy.dns._framing import Messages, framed
from socksproxy.dns.message import makeQuery
from socksproxy.dns.reply import Reply, readReply
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.dns.service import DNSService
from socksproxy.dns.settings import DNSSettings, listenerFromText
from socksproxy.outbound.hops import Chain
from socksproxy.outbound.proxyurl import chainFromURLs
from socksproxy.service import ProxyService
from tests.dns.messages import message, opt, query, question
from tests.dns.zones import (
    ADDRESS,
    CAA,
    CAA_DATA,
    HTTPS,
    HTTPS_DATA,
    IPV6_ADDRESS,
    TXT_COUNT,
    Zones,
)

TIMEOUT = 10
TXT = 16
REACTOR: Any = reactor


def overUDP(where: tuple[str, int], octets: bytes) -> tuple[bytes, tuple[str, int]]:
    """
    Ask by UDP.

    @return: The answer, and where it came from.
    """
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(TIMEOUT)
        asking.sendto(octets, where)
        answer, source = asking.recvfrom(65535)
        return answer, source[:2]


def overTCP(where: tuple[str, int], *queries: bytes) -> list[bytes]:
    """
    Ask over TCP, all at once, and end the stream.

    @return: The answers up to the end of the other one.
    """
    with socket.create_connection(where, TIMEOUT) as asking:
        asking.sendall(b"".join(map(framed, queries)))
        asking.shutdown(socket.SHUT_WR)
        messages, answers = Messages(), []
        while data := asking.recv(65536):
            messages.feed(data)
            while (octets := messages.take()) is not None:
                answers.append(octets)
        return answers


class DNSTestCase(TestCase):
    """
    Tests with a DNS server and a name server that it asks.
    """

    timeout = 30

    def setUp(self) -> None:
        """
        Start the name server.
        """
        self.zones = Zones(REACTOR)
        self.zone = self.zones.zone
        self.addCleanup(lambda: Deferred.fromCoroutine(self.zones.close()))

    def start(
        self, kind: str = "tcp", listen: str = "127.0.0.1:0", via: str = "", **options: Any
    ) -> tuple[str, int]:
        """
        Start the DNS server.

        @param kind: How it asks the name server.
        @return: Where it answers.
        """
        chain = None
        if via:
            resolver = BoundedResolver(REACTOR, REACTOR.nameResolver)
            chain = Chain(REACTOR, chainFromURLs(via), resolver)
        settings = DNSSettings(
            (listenerFromText(listen),), (f"{kind}://127.0.0.1:{self.zones.port}",), **options
        )
        self.service = DNSService(REACTOR, settings, chain, openResolver=True)
        self.service.open()
        self.service.start()
        self.addCleanup(self.service.stop)
        (address,) = self.service.addresses
        return str(address.host), address.port

    async def ask(
        self, where: tuple[str, int], octets: bytes, ask: Callable[..., Any] = overUDP
    ) -> Reply:
        """
        Ask by UDP.
        """
        answer, source = await deferToThread(ask, where, octets)
        self.assertEqual(source, where)
        return readReply(answer)


class ServerTests(DNSTestCase):
    """
    Clients, the server and the name server.
    """

    async def test_addresses(self) -> None:
        """
        Addresses come from the name server, asked in either way, and then out
        of the cache.
        """
        for kind in ("tcp", "udp"):
            where = self.start(kind)
            for _ in range(2):
                reply = await self.ask(where, query("www.zone.test"))
                self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
                reply = await self.ask(where, query("www.zone.test", 28))
                self.assertEqual([str(each) for each in reply.addresses], [IPV6_ADDRESS])
        self.assertEqual(self.zone.asked, {"www.zone.test": 4})

    async def test_missing(self) -> None:
        """
        That there is no such name, or no such record, is remembered as long as
        its SOA record says.
        """
        where = self.start()
        for _ in range(2):
            for name, kind, code in (("missing.zone.test", 1, 3), ("www.zone.test", TXT, 0)):
                reply = await self.ask(where, query(name, kind))
                self.assertEqual(
                    (reply.code, reply.hasAnswers, reply.negativeTTL), (code, False, 120)
                )
        self.assertEqual(self.zone.asked, {"missing.zone.test": 1, "www.zone.test": 1})

    async def test_failure(self) -> None:
        """
        A name server that cannot answer makes us one.
        """
        reply = await self.ask(self.start(), query("servfail.zone.test"))
        self.assertEqual(reply.code, 2)

    async def test_otherRecords(self) -> None:
        """
        Records of every type come through as they are.
        """
        where = self.start()
        for kind, data in ((HTTPS, HTTPS_DATA), (CAA, CAA_DATA)):
            answer, _ = await deferToThread(overUDP, where, query("www.zone.test", kind))
            self.assertTrue(answer.endswith(len(data).to_bytes(2) + data))

    async def test_sizes(self) -> None:
        """
        An answer of 4000 octets comes whole by UDP to who takes as much, is
        truncated to who does not, and comes whole over TCP; the name server is
        asked over TCP for it, either way.
        """
        for kind in ("tcp", "udp"):
            where = self.start(kind)
            for size, isWhole in ((None, False), (512, False), (1232, False), (4096, True)):
                additional = [] if size is None else [opt(size)]
                octets = query("big.zone.test", TXT, *additional)
                answer, _ = await deferToThread(overUDP, where, octets)
                self.assertLessEqual(len(answer), size or 512)
                reply = readReply(answer)
                self.assertEqual(reply.truncated, not isWhole)
                self.assertEqual(len(reply.answers()), TXT_COUNT if isWhole else 0)
                self.assertEqual(answer.endswith(opt()), size is not None)
            (answer,) = await deferToThread(overTCP, where, query("big.zone.test", TXT))
            self.assertEqual(len(readReply(answer).answers()), TXT_COUNT)
            self.assertGreater(len(answer), 3900)

    async def test_pipelined(self) -> None:
        """
        A hundred questions over one connection have a hundred answers, whose
        numbers are theirs; all of them are asked over one connection.
        """
        where = self.start()
        queries = [
            message(question(f"n{number}.zone.test"), number=number, flags=0x0100)
            for number in range(100)
        ]
        answers = await deferToThread(overTCP, where, *queries)
        self.assertEqual(len(answers), 100)
        for reply in map(readReply, answers):
            self.assertEqual(reply.name, f"n{reply.id}.zone.test")
            self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
        self.assertEqual(len({readReply(each).id for each in answers}), 100)
        self.assertEqual(len(self.zone.made), 1)

    async def test_manyAtOnce(self) -> None:
        """
        Fifty clients who want to know the same cause one question.
        """
        where = self.start()
        asking = [deferToThread(overUDP, where, query("www.zone.test")) for _ in range(50)]
        self.assertEqual(len(await gatherResults(asking)), 50)
        self.assertEqual(self.zone.asked, {"www.zone.test": 1})

    async def test_cut(self) -> None:
        """
        If the name server closes its connection in the middle of a reply, it
        is asked again, and the client does not notice.
        """
        where = self.start()
        reply = await self.ask(where, query("cut.zone.test"))
        self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
        self.assertEqual(self.zone.asked, {"cut.zone.test": 2})
        self.assertEqual(len(self.zone.made), 2)

    async def test_closedByServer(self) -> None:
        """
        A connection that the name server has closed meanwhile is replaced.
        """
        where = self.start()
        for number in range(3):
            reply = await self.ask(where, query(f"n{number}.zone.test"))
            self.assertTrue(reply.hasAnswers)
            self.zone.made[-1].transport.loseConnection()
            await deferLater(REACTOR, 0, lambda: None)
        self.assertEqual(len(self.zone.made), 3)

    async def test_unreachable(self) -> None:
        """
        Without a name server the answer is a failure, at once.
        """
        where = self.start()
        await self.zones.close()
        reply = await self.ask(where, query("www.zone.test"))
        self.assertEqual(reply.code, 2)

    async def test_ourselves(self) -> None:
        """
        Our own look-ups go the same way.
        """
        self.start()
        resolver = self.service.resolver()
        addresses = await resolver.resolve("www.zone.test", None)
        self.assertEqual([str(each) for each in addresses], [ADDRESS, IPV6_ADDRESS])
        reply = readReply(await self.service.forwarder.answer(makeQuery("www.zone.test", 1)))
        self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
        self.assertEqual(self.zone.asked, {"www.zone.test": 2})

    async def test_system(self) -> None:
        """
        The system can be asked in a thread.
        """
        where = self.start(direct=("system",))
        settings = DNSSettings((listenerFromText("127.0.0.1:0"),), special=False)
        service = DNSService(REACTOR, settings)
        service.open()
        self.addCleanup(service.stop)
        where = ("127.0.0.1", service.addresses[0].port)
        reply = await self.ask(where, query("localhost"))
        self.assertIn("127.0.0.1", [str(each) for each in reply.addresses])


class AddressTests(DNSTestCase):
    """
    From where answers come.
    """

    async def test_everywhere(self) -> None:
        """
        A server that is open at all addresses answers from the one that was
        asked.
        """
        _, port = self.start(listen="0.0.0.0:0")
        for host in ("127.0.0.1", "127.0.0.2", "127.3.4.5"):
            await self.ask((host, port), query("www.zone.test"))

    async def test_everywhereIPv6(self) -> None:
        """
        So does one that is open at those of IPv6 as well.
        """
        _, port = self.start(listen="[::]:0")
        for host in ("::1", "127.0.0.2", "127.3.4.5"):
            await self.ask((host, port), query("www.zone.test"))

    async def test_one(self) -> None:
        """
        One at a single address does, too.
        """
        for listen in ("127.0.0.2:0", "[::1]:0"):
            await self.ask(self.start(listen=listen), query("www.zone.test"))


class ThroughProxyTests(DNSTestCase):
    """
    Asking through a proxy.
    """

    async def test_both(self) -> None:
        """
        A proxy of SOCKS5 carries questions in either way.
        """
        configuration = Configuration(listen=["tcp:0:interface=127.0.0.1"], drain=0)
        proxy = ProxyService(REACTOR, configuration)
        proxy.privilegedStartService()
        proxy.startService()
        self.addCleanup(proxy.stopService)
        port = proxy._listeners[0]._port
        assert port is not None
        via = f"socks5h://127.0.0.1:{port.getHost().port}"  # type: ignore[attr-defined]
        for kind in ("tcp", "udp"):
            where = self.start(kind, via=via)
            for name in ("a.zone.test", "b.zone.test"):
                reply = await self.ask(where, query(name))
                self.assertEqual([str(each) for each in reply.addresses], [ADDRESS])
            await self.service.stop()
        self.assertEqual(len(self.zone.made), 1)

"""
Clients of a whole proxy in memory that ask for something else than a
connection.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.config import Configuration
from socksproxy.service import ProxyService
from socksproxy.testing import MemoryDatagrams, MemoryTransport, tcpAddress
from tests.memoryreactor import MemoryPort, MemoryReactor
from tests.proxyclients import WORLD
from tests.socksclient import NO_AUTHENTICATION, refused
from tests.socksrequests import BIND, RESOLVE, UDP_ASSOCIATE, command, datagram
from tests.test_tap import configured

LOOPBACK, EVERYWHERE = "tcp:1080:interface=127.0.0.1", "tcp:1080"
HERE, ELSEWHERE = tcpAddress("127.0.0.1", 4000), tcpAddress("198.51.100.1", 4000)
PEER, TARGET = "192.0.2.7", "192.0.2.1"
WAY_OUT = "203.0.113.1"


class RequestTestCase(SynchronousTestCase):
    """
    Tests with a proxy in memory that runs.
    """

    def start(self, *arguments: str) -> ProxyService:
        """
        Start a proxy from a command line.
        """
        return self.startWith(configured(*arguments))

    def startWith(self, configuration: Configuration) -> ProxyService:
        """
        Start a proxy.
        """
        self.reactor = MemoryReactor(WORLD)
        proxy = ProxyService(self.reactor, configuration)
        # Else it would depend on the routes of the host that runs the tests.
        proxy._exposure.localAddressTowards = lambda peer: IPv4Address(
            "127.0.0.1" if peer.is_loopback else WAY_OUT
        )
        proxy.startService()
        self.reactor.run()
        return proxy

    def ask(self, said: bytes, peer: IAddress = HERE, listener: int = 0) -> MemoryTransport:
        """
        Have a client make a request.
        """
        client = self.reactor.ports[listener].connect(peer)
        client.peerSends(NO_AUTHENTICATION)
        self.assertEqual(client.take(), b"\5\0")
        client.peerSends(said)
        self.reactor.advance(0)
        return client

    def bind(self, host: str = PEER, peer: IAddress = HERE, listener: int = 0) -> MemoryTransport:
        """
        Have a client ask for a port.
        """
        return self.ask(command(BIND, host), peer, listener)

    def associate(self, peer: IAddress = HERE) -> MemoryTransport:
        """
        Have a client ask for an association.
        """
        return self.ask(command(UDP_ASSOCIATE), peer)

    @property
    def bound(self) -> MemoryPort:
        """
        Give the last port that has been opened.
        """
        return self.reactor.ports[-1]

    @property
    def relay(self) -> MemoryDatagrams:
        """
        Give the first socket of an association, which is the client's.
        """
        return self.reactor.datagrams[0]

    def send(self, host: str = TARGET, data: bytes = b"question", fragment: int = 0) -> None:
        """
        Have the client on this host send a datagram.
        """
        self.relay.peerSends(datagram(data, host, 53, fragment), "127.0.0.1", 41000)

    def sent(self) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Give what others have got.
        """
        return [sent for each in self.reactor.datagrams[1:] for sent in each.take()]

    def assertAll(self, peer: IAddress, **granted: bool) -> None:
        """
        Fail unless a client is granted what it should be, and refused the
        rest with REP 7.
        """
        for name, client in (
            ("bind", self.bind(peer=peer)),
            ("udp", self.associate(peer)),
            ("resolve", self.ask(command(RESOLVE, "web.test"), peer)),
        ):
            reply = client.take()
            expected = b"\5\0" if granted[name] else refused(7)[:2]
            self.assertEqual(reply[:2], expected, name)
            client.peerResets()
        self.reactor.advance(0)

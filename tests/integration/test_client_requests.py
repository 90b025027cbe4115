"""
Clients of a proxy of ours over real sockets: datagrams, and ports of the
proxy's.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.names import client as names
from twisted.names import dns

from socksproxy.client.errors import (
    ProxyFault,
    TargetCommandNotSupported,
    TargetNotAllowed,
    TargetTimedOut,
)
from socksproxy.policy.services import Services
from socksproxy.socks.client import SOCKS5Client
from tests.integration.clients import PASSWORD, USER, ClientsTestCase, users
from tests.integration.test_service import Peer


class Echo(DatagramProtocol):
    """
    Sends datagrams back.
    """

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Send it back.
        """
        self.transport.write(datagram, addr)  # type: ignore[union-attr]


class Asking(DatagramProtocol):
    """
    Waits for datagrams.

    @ivar stopped: Fires when it has been told to stop.
    """

    noisy = False

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()
        self._waiting: list[Deferred[tuple[bytes, tuple[str, int]]]] = []

    def ask(self, data: bytes, to: tuple[str, int]) -> Deferred[tuple[bytes, tuple[str, int]]]:
        """
        Send a datagram, and wait for one.
        """
        self._waiting.append(Deferred())
        self.transport.write(data, to)  # type: ignore[union-attr]
        return self._waiting[-1]

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Give it to who waits.
        """
        self._waiting.pop(0).callback((datagram, addr))

    def stopProtocol(self) -> None:
        """
        Tell.
        """
        self.stopped.callback(None)


class NameServer:
    """
    Has one address for every name.
    """

    def messageReceived(self, message: dns.Message, protocol: Any, address: Any) -> None:
        """
        Answer.
        """
        message.answer = 1
        (query,) = message.queries
        message.answers = [dns.RRHeader(query.name.name, payload=dns.Record_A("192.0.2.1"))]
        protocol.writeMessage(message, address)


class DatagramTests(ClientsTestCase):
    """
    UDP ASSOCIATE.
    """

    def echo(self, host: str = "127.0.0.1") -> int:
        """
        Start a server that echoes datagrams.

        @return: Its port.
        """
        port: Any = reactor.listenUDP(0, Echo(), host, 65536)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    @inlineCallbacks
    def associate(self, **settings: Any) -> Generator[Deferred[Any], Any, tuple[Asking, Any]]:
        """
        Get an association.
        """
        asking = Asking()
        client = SOCKS5Client(reactor, self.proxy, **settings)
        association = yield client.associate(asking)
        self.addCleanup(association.stopListening)
        return asking, association

    @inlineCallbacks
    def test_echo(self) -> Generator[Deferred[Any], Any, None]:
        """
        Datagrams of all sizes go to an address or a name and come back from
        the address.
        """
        yield self.start()
        asking, _ = yield self.associate()
        port = self.echo()
        for host in ("127.0.0.1", "localhost"):
            for size in (0, 1, 1400, 60_000):
                data = os.urandom(size)
                answer = yield asking.ask(data, (host, port))
                self.assertEqual(answer, (data, ("127.0.0.1", port)))

    @inlineCallbacks
    def test_ipv6(self) -> Generator[Deferred[Any], Any, None]:
        """
        So they do with IPv6, over an association that uses IPv4.
        """
        yield self.start()
        asking, _ = yield self.associate()
        port = self.echo("::1")
        answer = yield asking.ask(b"question", ("::1", port))
        self.assertEqual(answer, (b"question", ("::1", port)))

    @inlineCallbacks
    def test_password(self) -> Generator[Deferred[Any], Any, None]:
        """
        So they do with a password.
        """
        yield self.start(checkers=[users()])
        asking, _ = yield self.associate(username=USER, password=PASSWORD)
        port = self.echo()
        answer = yield asking.ask(b"question", ("127.0.0.1", port))
        self.assertEqual(answer, (b"question", ("127.0.0.1", port)))

    @inlineCallbacks
    def test_stops(self) -> Generator[Deferred[Any], Any, None]:
        """
        Once the application has stopped it, and that is over, its socket is
        free.
        """
        yield self.start()
        asking, association = yield self.associate()
        local = association._port.getHost()
        yield association.stopListening()
        yield association.ended
        yield asking.stopped
        again: Any = reactor.listenUDP(local.port, DatagramProtocol(), interface=local.host)
        yield again.stopListening()

    @inlineCallbacks
    def test_proxyStops(self) -> Generator[Deferred[Any], Any, None]:
        """
        If the proxy stops, so does the association, with an error.
        """
        yield self.start()
        asking, association = yield self.associate()
        self.services[-1].abortConnections()
        yield self.assertFailure(association.ended, ProxyFault)
        yield asking.stopped
        yield association.stopListening()

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        A proxy that does not do that says so.
        """
        yield self.start(services=Services(udp=False))
        yield self.assertFailure(self.associate(), TargetCommandNotSupported, TargetNotAllowed)

    @inlineCallbacks
    def test_names(self) -> Generator[Deferred[Any], Any, None]:
        """
        C{twisted.names} asks a name server through the proxy, with nothing
        changed but its transport.
        """
        protocol = dns.DNSDatagramProtocol(NameServer(), reactor)
        protocol.noisy = False
        listening: Any = reactor.listenUDP(0, protocol, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        yield self.start()
        resolver = names.Resolver(servers=[("192.0.2.53", 53)], reactor=reactor)
        protocol = dns.DNSDatagramProtocol(resolver, reactor)
        protocol.noisy = False
        association = yield SOCKS5Client(reactor, self.proxy).associate(protocol)
        self.addCleanup(association.stopListening)
        query = dns.Query(b"web.test", dns.A)
        message = yield protocol.query(("127.0.0.1", listening.getHost().port), [query])
        (answer,) = message.answers
        self.assertEqual(answer.payload.dottedQuad(), "192.0.2.1")


class BindTests(ClientsTestCase):
    """
    BIND.
    """

    @inlineCallbacks
    def bind(self) -> Generator[Deferred[Any], Any, Any]:
        """
        Have the proxy wait for somebody on this host.
        """
        yield self.start()
        binding = yield SOCKS5Client(reactor, self.proxy).bind("127.0.0.1")
        self.addCleanup(binding.stop)
        return binding

    def call(self, binding: Any) -> Deferred[Any]:
        """
        Connect to its port.
        """
        address = binding.address
        factory = Factory.forProtocol(Peer)
        return TCP4ClientEndpoint(reactor, address.host, address.port).connect(factory)

    @inlineCallbacks
    def test_accepts(self) -> Generator[Deferred[Any], Any, None]:
        """
        Who connects to the proxy's port is connected to the application, and
        megabytes go both ways.
        """
        binding = yield self.bind()
        accepting = binding.accept(Factory.forProtocol(Peer))
        caller = yield self.call(binding)
        self.addCleanup(self.disconnect, caller)
        callee = yield accepting
        self.addCleanup(self.disconnect, callee)
        self.assertEqual(callee.transport.getPeer(), caller.transport.getHost())
        for writer, reader in ((caller, callee), (callee, caller)):
            data = os.urandom(3_000_000)
            writer.transport.write(data)
            self.assertTrue((yield reader.read(len(data))) == data)
        caller.transport.loseWriteConnection()
        yield callee.ended

    @inlineCallbacks
    def test_hurry(self) -> Generator[Deferred[Any], Any, None]:
        """
        Nothing is lost of what somebody sends before the application asks for
        the connection.
        """
        binding = yield self.bind()
        caller = yield self.call(binding)
        self.addCleanup(self.disconnect, caller)
        data = os.urandom(3_000_000)
        caller.transport.write(data)
        # By now some of it must have come.
        other, target = yield self.join(
            SOCKS5Client(reactor, self.proxy).endpoint("127.0.0.1", self.targetPort)
        )
        other.transport.write(b"question")
        yield target.read(8)
        callee = yield binding.accept(Factory.forProtocol(Peer))
        self.addCleanup(self.disconnect, callee)
        self.assertTrue((yield callee.read(len(data))) == data)

    @inlineCallbacks
    def test_timesOut(self) -> Generator[Deferred[Any], Any, None]:
        """
        If nobody comes in time, the proxy's port is closed.
        """
        binding = yield self.bind()
        accepting = binding.accept(Factory.forProtocol(Peer), timeout=0.01)
        yield self.assertFailure(accepting, TargetTimedOut)
        yield self.closed(binding)

    @inlineCallbacks
    def test_stopped(self) -> Generator[Deferred[Any], Any, None]:
        """
        So it is if the application does not want to wait any longer.
        """
        binding = yield self.bind()
        binding.stop()
        yield self.closed(binding)

    @inlineCallbacks
    def closed(self, binding: Any) -> Generator[Deferred[Any], Any, None]:
        """
        Wait for a port of the proxy's to be closed.
        """
        while True:
            try:
                caller = yield self.call(binding)
            except Refused:
                return
            yield self.disconnect(caller)

"""
Tests for L{socksproxy.kcp.endpoints}.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.errors import ConfigurationError
from socksproxy.kcp import (
    CIPHERS,
    KCPClientEndpoint,
    KCPConfig,
    KCPServerEndpoint,
    SessionTimers,
)
from socksproxy.kcp.endpoints import integrityOf
from socksproxy.testing import DatagramNetwork
from tests.kcp.network import (
    CLIENT,
    HOST,
    KEY,
    OPENING,
    PORT,
    Counting,
    Echo,
    KCPNetworkTests,
    Recorder,
)
from tests.logs import captured, texts


class InterfaceTests(KCPNetworkTests):
    """
    What they are.
    """

    def test_interfaces(self) -> None:
        """
        They are endpoints of Twisted's, and listening gives a port.
        """
        self.start()
        verifyObject(IStreamClientEndpoint, self.endpoint())
        verifyObject(IStreamServerEndpoint, KCPServerEndpoint(self.network, PORT, KEY))
        verifyObject(IListeningPort, self.listening)

    def test_noKeyIsShown(self) -> None:
        """
        No key is in what is shown of anything.
        """
        self.start(crypt="aes")
        client, server = self.joined(crypt="aes")
        shown = [
            self.endpoint(),
            KCPServerEndpoint(self.network, PORT, KEY),
            self.listening,
            self.server,
            client.transport,
            server.transport.pipeline,
            self.server._cipher,
        ]
        for each in shown:
            self.assertNotIn(KEY, repr(each))
            self.assertNotIn(KEY, str(each))


class ConfigurationTests(SynchronousTestCase):
    """
    What may be asked for.
    """

    def refused(self, expected: str, **settings: Any) -> None:
        """
        See that both sides refuse settings, with a sentence.
        """
        settings.setdefault("key", KEY)
        network = DatagramNetwork()
        for make in (
            lambda: KCPServerEndpoint(network, PORT, **settings),
            lambda: KCPClientEndpoint(network, HOST, PORT, **settings),
        ):
            error = self.assertRaises(ConfigurationError, make)
            self.assertEqual(str(error), expected)
            self.assertNotIn(KEY, f"{error!r} {error}")

    def refusedByClient(self, host: str, port: int = PORT, interface: str = "") -> str:
        """
        See that a client refuses something.

        @return: The sentence.
        """
        error = self.assertRaises(
            ConfigurationError,
            KCPClientEndpoint,
            DatagramNetwork(),
            host,
            port,
            KEY,
            interface=interface,
        )
        return str(error)

    def test_key(self) -> None:
        """
        There has to be a key, and it is not shown if it cannot be one.
        """
        self.refused("key is empty", key="")
        self.refused("key is empty", key=b"")
        self.refused("key is not text that UTF-8 has", key=KEY + "\ud800")

    def test_crypt(self) -> None:
        """
        The cipher has to be one.
        """
        known = ", ".join(CIPHERS)
        self.refused(f"crypt is 'rot13' and has to be of {known}", crypt="rot13")

    def test_port(self) -> None:
        """
        The port has to be one; a client cannot take any.
        """
        network = DatagramNetwork()
        for port in (-1, 65536):
            error = self.assertRaises(ConfigurationError, KCPServerEndpoint, network, port, KEY)
            self.assertEqual(str(error), f"port is {port} and has to be 0 to 65535")
        for port in (0, -1, 65536):
            self.assertEqual(
                self.refusedByClient(HOST, port), f"port is {port} and has to be 1 to 65535"
            )

    def test_mtu(self) -> None:
        """
        There has to be room for data, for which cipher and error correction
        count.
        """
        small = KCPConfig(mtu=60)
        self.refused("an mtu of 60 leaves no room for data", crypt="aes-128-gcm", config=small)
        without = replace(small, parityshard=0)
        KCPServerEndpoint(DatagramNetwork(), PORT, KEY, crypt="aes-128-gcm", config=without)

    def test_socket(self) -> None:
        """
        What is asked of the socket has to be possible.
        """
        for dscp in (-1, 64):
            self.refused(f"dscp is {dscp} and has to be 0 to 63", dscp=dscp)
        self.refused("bufferSize is 0 and has to be positive", bufferSize=0)

    def test_interface(self) -> None:
        """
        The interface has to be an address, and one that can reach the host.
        """
        self.refused(
            "interface is 'localhost' and has to be a numeric address", interface="localhost"
        )
        for host, interface in ((HOST, "::1"), ("::1", HOST)):
            self.assertEqual(
                self.refusedByClient(host, interface=interface),
                f"there is no way from interface {interface} to host {host}",
            )

    def test_host(self) -> None:
        """
        The host has to be a name or an address.
        """
        for host in ("", "no host", "10.0.0.256", "a" * 64 + ".test", "127.1", "10.0.0.1%1"):
            sentence = self.refusedByClient(host)
            self.assertTrue(sentence.startswith(f"host is {host!r}, which is no host: "), sentence)
        self.assertEqual(
            self.refusedByClient("fe80::1%nowhere"),
            "host is 'fe80::1%nowhere', and there is no interface 'nowhere'",
        )


class ListenTests(KCPNetworkTests):
    """
    Servers.
    """

    def test_listens(self) -> None:
        """
        It listens where it is told to, and says so, with what its cipher is
        worth.
        """
        with captured() as events:
            self.start(crypt="aes-128-gcm")
            self.start(crypt="aes")
        self.assertEqual(self.listening.getHost(), IPv4Address("UDP", HOST, PORT))
        lines = texts(events)
        self.assertIn("with cipher aes-128-gcm, which recognises datagrams that were", lines[0])
        self.assertIn("with cipher aes, which does not recognise datagrams", lines[1])

    def test_integrity(self) -> None:
        """
        Only what authenticates is said to.
        """
        good = [name for name in CIPHERS if " not " not in integrityOf(name)]
        self.assertEqual(good, ["aes-128-gcm"])

    def test_inUse(self) -> None:
        """
        If the port is taken it fails with that, and the factory is not started.
        """
        self.start()
        other = Counting()
        endpoint = KCPServerEndpoint(self.network, PORT, KEY, interface=HOST)
        self.failureResultOf(endpoint.listen(other), CannotListenError)
        self.assertEqual((other.started, other.stopped), (0, 0))

    def test_factory(self) -> None:
        """
        The factory is started when the port listens and stopped when it does
        not any more, once, whatever there were of sessions.
        """
        self.start()
        for _ in range(3):
            self.joined()
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 0))
        self.listening.startListening()
        self.listening.stopListening()
        self.listening.stopListening()
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))
        for server in self.factory.made:
            server.transport.abortConnection()
        self.settle()
        self.assertEqual((self.factory.started, self.factory.stopped), (1, 1))

    def test_again(self) -> None:
        """
        A port that is closed can be listened on again, with the same endpoint.
        """
        self.start()
        endpoint = KCPServerEndpoint(self.network, 4000, KEY, interface=HOST)
        for _ in range(2):
            listening: Any = self.successResultOf(endpoint.listen(Counting()))
            stopping = listening.stopListening()
            self.settle(0)
            self.successResultOf(stopping)

    def test_ipv6(self) -> None:
        """
        It has the addresses of its family.
        """
        network = DatagramNetwork()
        endpoint = KCPServerEndpoint(network, PORT, KEY, interface="2001:db8::1")
        listening: Any = self.successResultOf(endpoint.listen(Counting(Echo)))
        self.assertEqual(listening.getHost(), IPv6Address("UDP", "2001:db8::1", PORT))
        client = KCPClientEndpoint(network, "2001:DB8:0::1", PORT, KEY, interface="2001:db8::2")
        protocol: Any = self.successResultOf(client.connect(Counting()))
        self.assertEqual(protocol.transport.getPeer(), IPv6Address("UDP", "2001:db8::1", PORT))
        protocol.transport.write(OPENING)
        network.advance(1)
        self.assertEqual(bytes(protocol.received), OPENING)


class ConnectTests(KCPNetworkTests):
    """
    Clients.
    """

    def setUp(self) -> None:
        """
        Start a server.
        """
        self.start(Echo)

    def test_connects(self) -> None:
        """
        It connects at once, and sends nothing before something is written.
        """
        protocol = self.connect()
        self.assertEqual(protocol.told, ["made"])
        self.settle(10)
        self.assertEqual(self.network.directions, {})
        protocol.transport.write(OPENING)
        self.settle()
        self.assertEqual(bytes(protocol.received), OPENING)

    def test_conversations(self) -> None:
        """
        Each session has a port and a conversation of its own, which is drawn.
        """
        draws = iter([b"\x01\0\0\0", b"\x02\0\0\0"])
        endpoint = self.endpoint(random=lambda count: next(draws)[:count])
        made = [self.successResultOf(endpoint.connect(Counting())) for _ in range(2)]
        transports: list[Any] = [protocol.transport for protocol in made]
        self.assertEqual([transport.conversation for transport in transports], [1, 2])
        ports = {transport.getHost().port for transport in transports}
        self.assertEqual(len(ports), 2)

    def test_factory(self) -> None:
        """
        The factory is started for each connection, and stopped when that has
        ended, as it is with TCP.
        """
        factory = Counting()
        endpoint = self.endpoint()
        protocols: list[Any] = [self.successResultOf(endpoint.connect(factory)) for _ in range(2)]
        self.assertEqual((factory.numPorts, factory.started, factory.stopped), (2, 1, 0))
        protocols[0].transport.loseConnection()
        self.settle()
        self.assertEqual((factory.numPorts, factory.stopped), (1, 0))
        protocols[1].transport.abortConnection()
        self.settle()
        self.assertEqual((factory.numPorts, factory.stopped), (0, 1))

    def fails(self, factory: Counting, *expected: type[Exception], **settings: Any) -> Any:
        """
        See that a connection fails, and that nothing is left of it.
        """
        connecting = self.endpoint(**settings).connect(factory)
        failure = self.failureResultOf(connecting, *expected)
        self.settle()
        self.assertEqual((factory.numPorts, factory.started, factory.stopped), (0, 1, 1))
        self.assertFalse(any(port.open for port in self.network.datagrams[1:]))
        self.assertEqual(self.network.getDelayedCalls(), [])
        return failure.value

    def test_noProtocol(self) -> None:
        """
        It fails if the factory makes no protocol, as TCP's does.
        """
        self.fails(Counting(lambda: None), NoProtocol)

    def test_factoryRaises(self) -> None:
        """
        It fails with what the factory raises.
        """

        def build() -> None:
            raise ZeroDivisionError

        self.fails(Counting(build), ZeroDivisionError)

    def test_protocolRaises(self) -> None:
        """
        It fails with what the protocol raises when it is connected, and tells
        it of the end.
        """

        class Faulty(Recorder):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.transport.write(b"never sent")
                raise ZeroDivisionError

        factory = Counting(Faulty)
        self.fails(factory, ZeroDivisionError)
        (protocol,) = factory.made
        self.assertEqual(protocol.told, ["made", "lost"])
        self.assertIsInstance(protocol.reason, ConnectionLost)
        self.assertEqual(self.network.directions, {})

    def test_protocolEnds(self) -> None:
        """
        It succeeds if the protocol asks for the end when it is connected, which
        it is told of afterwards.
        """

        class Brief(Recorder):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.transport.write(OPENING)
                self.transport.loseConnection()

        protocol = self.connect(Brief)
        self.assertEqual(protocol.told, ["made"])
        self.settle()
        self.assertIsInstance(protocol.reason, ConnectionDone)
        self.assertEqual(bytes(self.factory.made[0].received), OPENING)

    def test_cannotBind(self) -> None:
        """
        If there is no port for it, it fails as TCP's does.
        """

        def refuse(*arguments: object, **more: object) -> None:
            raise CannotListenError("10.0.0.2", 0, OSError(24, "Too many open files"))

        self.network.listenUDP = refuse  # type: ignore[method-assign,assignment]
        error = self.fails(Counting(), ConnectBindError)
        self.assertIn("Too many open files", str(error))

    def test_zone(self) -> None:
        """
        A link-local server is written to, and listened to, with the number of
        its interface.
        """
        index, name = socket.if_nameindex()[0]
        for zone in (str(index), name):
            endpoint = KCPClientEndpoint(
                self.network, f"fe80::1%{zone}", PORT, KEY, interface="fe80::2"
            )
            protocol: Any = self.successResultOf(endpoint.connect(Counting()))
            self.assertEqual(protocol.transport.getPeer().host, f"fe80::1%{index}")


class NameTests(KCPNetworkTests):
    """
    Servers that have a name.
    """

    def setUp(self) -> None:
        """
        Start a server.
        """
        self.start(Echo)

    def named(
        self, answer: Sequence[str], name: str = "kcp.test", **settings: Any
    ) -> tuple[Deferred[Any], Counting]:
        """
        Connect to a name.
        """
        self.network.world["kcp.test"] = answer
        settings.setdefault("interface", CLIENT)
        endpoint = KCPClientEndpoint(
            self.network, name, PORT, KEY, crypt=self.crypt, config=self.config, **settings
        )
        factory = Counting()
        return endpoint.connect(factory), factory

    def test_resolved(self) -> None:
        """
        A name is looked up, in the one form that it has, for each connection.
        """
        connecting, _ = self.named([HOST], "KCP.test.")
        protocol = self.successResultOf(connecting)
        self.assertEqual(self.network.queries, ["kcp.test"])
        protocol.transport.write(OPENING)
        self.settle()
        self.assertEqual(bytes(protocol.received), OPENING)
        self.assertEqual(protocol.transport.getPeer(), IPv4Address("UDP", HOST, PORT))

    def test_addressesAreNot(self) -> None:
        """
        An address is not looked up.
        """
        self.connect()
        self.assertEqual(self.network.queries, [])

    def test_family(self) -> None:
        """
        Of several addresses the first is taken that the interface can reach.
        """
        connecting, _ = self.named(["2001:db8::1", "10.0.0.7", HOST])
        peer = self.successResultOf(connecting).transport.getPeer()
        self.assertEqual(peer, IPv4Address("UDP", "10.0.0.7", PORT))
        connecting, _ = self.named(["2001:db8::1", HOST], interface="")
        peer = self.successResultOf(connecting).transport.getPeer()
        self.assertEqual(peer, IPv6Address("UDP", "2001:db8::1", PORT))

    def test_noWay(self) -> None:
        """
        If there is none that it can, it fails.
        """
        connecting, factory = self.named(["2001:db8::1"])
        failure = self.failureResultOf(connecting, DNSLookupError)
        self.assertIn("kcp.test: no address for interface 10.0.0.2", str(failure.value))
        self.assertEqual(factory.numPorts, 0)

    def test_notFound(self) -> None:
        """
        If there is no such name it fails as Twisted's do.
        """
        connecting, factory = self.named([])
        failure = self.failureResultOf(connecting, DNSLookupError)
        self.assertIn("kcp.test: name not found", str(failure.value))
        self.assertEqual((factory.numPorts, factory.stopped), (0, 1))
        self.assertEqual(self.network.getDelayedCalls(), [])

    def slow(self) -> tuple[Deferred[Any], Counting]:
        """
        Connect to a name for which there is no answer yet.
        """
        self.network.resolveHostName = lambda *given, **more: None  # type: ignore[method-assign,assignment,return-value]
        return self.named([HOST])

    def test_slow(self) -> None:
        """
        It fails if there is no answer in some seconds.
        """
        connecting, factory = self.slow()
        self.settle(4.9)
        self.assertNoResult(connecting)
        self.assertEqual(factory.numPorts, 1)
        self.settle(0.2)
        failure = self.failureResultOf(connecting, DNSLookupError)
        self.assertIn("kcp.test: the name took too long to resolve", str(failure.value))
        self.assertEqual(factory.numPorts, 0)

    def test_cancelled(self) -> None:
        """
        While there is no answer it can be cancelled, and nothing is left.
        """
        connecting, factory = self.slow()
        connecting.cancel()
        failure = self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertEqual(failure.value.address, HostnameAddress(b"kcp.test", PORT))
        self.assertEqual((factory.numPorts, factory.made), (0, []))
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual(len(self.network.datagrams), 1)

    def test_timers(self) -> None:
        """
        A client's timers are what it was given.
        """
        connecting, _ = self.named(["10.0.0.77"], timers=SessionTimers(dead=3))
        protocol = self.successResultOf(connecting)
        protocol.transport.write(OPENING)
        self.settle(3.1)
        self.assertIsInstance(protocol.reason, ConnectionLost)

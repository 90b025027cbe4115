"""
Tests for L{socksproxy.socks.relayed}, and for L{socksproxy.socks.client} as far
as it is about datagrams.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns
from zope.interface.verify import verifyObject

from socksproxy.client.endpoint import TIMEOUT
from socksproxy.client.errors import (
    ProxyFault,
    ProxyProtocolError,
    ProxyTimedOut,
    TargetCommandNotSupported,
)
from socksproxy.errors import LocalProtocolError
from socksproxy.socks.relayed import REMEMBERED, RelayedDatagrams
from socksproxy.testing import MemoryDatagrams, MemoryTransport, tcpAddress
from tests.client.scripted import PROXY
from tests.socks.test_client import SOCKS5ClientTestCase
from tests.socksclient import refused
from tests.socksrequests import MAX_DATAGRAM, UDP_ASSOCIATE, command, datagram, granted

RELAY = 40000
NS = ("192.0.2.53", 53)
ASK = command(UDP_ASSOCIATE)


class Recorder(DatagramProtocol):
    """
    An application's protocol that remembers what happened to it.
    """

    noisy = False

    def __init__(self) -> None:
        self.told: list[object] = []

    def startProtocol(self) -> None:
        """
        Remember it.
        """
        self.told.append("started")

    def stopProtocol(self) -> None:
        """
        Remember it.
        """
        self.told.append("stopped")

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Remember it.
        """
        self.told.append((datagram, addr))


class Mistake(Exception):
    """
    What is wrong with an application.
    """


class AssociationTestCase(SOCKS5ClientTestCase):
    """
    Tests with an association.

    @ivar protocol: The application's protocol.
    @ivar control: The connection to the proxy.
    """

    protocol: Recorder

    def begin(
        self, *answers: bytes, protocol: DatagramProtocol | None = None
    ) -> Deferred[RelayedDatagrams]:
        """
        Ask for an association.

        @param answers: What the proxy says.
        """
        self.protocol = Recorder()
        asking = self.client.associate(protocol or self.protocol)
        self.control = self.asked(asking, ASK, *answers)
        return asking

    def associate(self, host: str = PROXY, port: int = RELAY) -> RelayedDatagrams:
        """
        Get one.

        @param host: What the proxy says about where its relay is.
        """
        return self.successResultOf(self.begin(granted(host, port)))

    @property
    def socket(self) -> MemoryDatagrams:
        """
        Give the only socket there is for datagrams.
        """
        (datagrams,) = self.network.datagrams
        return datagrams

    @property
    def received(self) -> list[object]:
        """
        Give the datagrams that the application got, and where they came from.
        """
        return [told for told in self.protocol.told if isinstance(told, tuple)]

    def failureOf(self, association: RelayedDatagrams) -> ProxyFault:
        """
        Give the error with which an association has ended.
        """
        error: ProxyFault = self.failureResultOf(association.ended, ProxyFault).value
        return error


class AssociatingTests(AssociationTestCase):
    """
    Getting an association.
    """

    def test_asks(self) -> None:
        """
        The proxy is not told where datagrams come from, which a translator
        on the way may change, and the application begins once there is a relay.
        """
        asking = self.begin()
        self.assertNoResult(asking)
        self.assertEqual((self.protocol.told, self.network.datagrams), ([], []))
        self.control.peerSends(granted(PROXY, RELAY))
        association = self.successResultOf(asking)
        self.assertIs(self.protocol.transport, association)
        self.assertEqual(self.protocol.told, ["started"])
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertNoResult(association.ended)
        association.stopListening()

    def test_interfaces(self) -> None:
        """
        It is a transport for datagrams, and a port.
        """
        association = self.associate()
        verifyObject(IUDPTransport, association)
        verifyObject(IListeningPort, association)
        association.startListening()
        association.stopListening()

    def test_socket(self) -> None:
        """
        Datagrams leave from the address that the proxy knows us by.
        """
        asking = self.begin()
        self.control._host = tcpAddress("198.51.100.99", 50000)
        self.control.peerSends(granted(PROXY, RELAY))
        association = self.successResultOf(asking)
        self.assertEqual((self.socket.host, self.socket.port), ("198.51.100.99", 49152))
        association.stopListening()

    def test_otherFamily(self) -> None:
        """
        A relay of the other family is reached from any of our addresses.
        """
        association = self.associate("2001:db8::5")
        self.assertEqual(self.socket.host, "::")
        association.write(b"question", NS)
        self.assertEqual(self.socket.take(), [(datagram(b"question", *NS), ("2001:db8::5", RELAY))])
        association.stopListening()

    def test_elsewhere(self) -> None:
        """
        A relay that is not on this host is not sent to from an address that
        cannot leave it, even if the proxy is on it.
        """
        asking = self.begin()
        self.control._host = tcpAddress("127.0.0.1", 50000)
        self.control._peer = tcpAddress("127.0.0.1", 1080)
        self.control.peerSends(granted("192.0.2.99", RELAY))
        association = self.successResultOf(asking)
        self.assertEqual(self.socket.host, "0.0.0.0")
        association.stopListening()

    def test_whereIsTheRelay(self) -> None:
        """
        The relay is where the proxy says, or where the proxy is if what it
        says can be of no use.
        """
        for told, host in (
            ("192.0.2.99", "192.0.2.99"),
            ("0.0.0.0", PROXY),
            ("::", PROXY),
            ("10.0.0.5", PROXY),
            ("127.0.0.1", PROXY),
            ("proxy.internal", PROXY),
        ):
            self.start()
            association = self.associate(told)
            association.write(b"question", NS)
            self.assertEqual([to for _, to in self.socket.take()], [(host, RELAY)])
            self.assertEqual(association.getHost(), IPv4Address("UDP", host, RELAY))
            association.stopListening()
        self.start()
        association = self.associate("2001:db8::5")
        self.assertEqual(association.getHost(), IPv6Address("UDP", "2001:db8::5", RELAY))
        association.stopListening()

    def test_nowhere(self) -> None:
        """
        A relay that nobody can send to is the proxy's fault, and nothing is
        left.
        """
        asking = self.begin()
        self.control._peer = UNIXAddress(b"/run/proxy")
        self.control.peerSends(granted("0.0.0.0", RELAY))
        self.failureResultOf(asking, ProxyProtocolError)
        self.assertGone()
        self.start()
        asking = self.begin(granted(PROXY, 0))
        self.failureResultOf(asking, ProxyProtocolError)
        self.assertGone()
        self.assertEqual(self.protocol.told, [])

    def test_refused(self) -> None:
        """
        A proxy that does no such thing says so.
        """
        asking = self.begin(refused(7))
        self.failureResultOf(asking, TargetCommandNotSupported)
        self.assertGone()

    def test_silence(self) -> None:
        """
        A proxy that does not answer in time is given up.
        """
        asking = self.begin()
        self.network.advance(TIMEOUT)
        self.failureResultOf(asking, ProxyTimedOut)
        self.assertGone()
        self.assertEqual((self.protocol.told, self.protocol.transport), ([], None))

    def test_cancelled(self) -> None:
        """
        So is one that is not waited for any longer.
        """
        asking = self.begin()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertGone()
        self.assertEqual(self.protocol.told, [])

    def test_failsToStart(self) -> None:
        """
        If the application fails to start, nothing is left open.
        """

        class Unprepared(Recorder):
            def startProtocol(self) -> None:
                raise Mistake

        asking = self.begin(granted(PROXY, RELAY), protocol=Unprepared())
        self.failureResultOf(asking, Mistake)
        self.assertGone()

    def test_noSocket(self) -> None:
        """
        If we have no socket for it, the connection to the proxy is closed.
        """

        def listenUDP(*arguments: object, **options: object) -> None:
            raise Mistake

        self.patch(self.network, "listenUDP", listenUDP)
        asking = self.begin(granted(PROXY, RELAY))
        self.failureResultOf(asking, Mistake)
        self.assertGone()


class SendingTests(AssociationTestCase):
    """
    Datagrams of the application.
    """

    def setUp(self) -> None:
        """
        Have an association.
        """
        super().setUp()
        self.association = self.associate()

    def tearDown(self) -> None:
        """
        End it.
        """
        self.association.stopListening()
        super().tearDown()

    def sent(self) -> list[bytes]:
        """
        Give what has gone to the relay, and check that nothing went elsewhere.
        """
        sent = self.socket.take()
        self.assertEqual([to for _, to in sent if to != (PROXY, RELAY)], [])
        return [data for data, _ in sent]

    def test_addresses(self) -> None:
        """
        Datagrams go to addresses of both families and to names, all by way of
        the relay, and no name is looked up here.
        """
        for host, written in (
            ("192.0.2.53", "192.0.2.53"),
            ("2001:db8::53", "2001:db8::53"),
            ("::ffff:192.0.2.53", "192.0.2.53"),
            ("ns.test", "ns.test"),
            ("localhost", "localhost"),
            ("b\u00fccher.example", "xn--bcher-kva.example"),
        ):
            for data in (b"question", b""):
                self.association.write(data, (host, 53))
                self.assertEqual(self.sent(), [datagram(data, written, 53)])
        self.assertEqual(self.network.queries, [])

    def test_connected(self) -> None:
        """
        Once the transport is connected, datagrams go there unless they say
        something else.
        """
        self.association.connect("ns.test", 53)
        self.association.write(b"question")
        self.association.write(b"other", NS)
        self.association.write(b"question", None)
        self.assertEqual(
            self.sent(),
            [
                datagram(b"question", "ns.test", 53),
                datagram(b"other", *NS),
                datagram(b"question", "ns.test", 53),
            ],
        )

    def test_noAddress(self) -> None:
        """
        A datagram without an address, or with one that cannot be, is the
        program's error.
        """
        self.assertRaises(LocalProtocolError, self.association.write, b"question")
        for address in (("a b", 53), ("", 53), ("127.1", 53), ("ns.test", 0), ("ns.test", 65536)):
            self.assertRaises(LocalProtocolError, self.association.write, b"question", address)
            self.assertRaises(LocalProtocolError, self.association.connect, *address)
        self.assertEqual(self.sent(), [])

    def test_broadcast(self) -> None:
        """
        There is no broadcast, and nobody can ask for it.
        """
        self.assertFalse(self.association.getBroadcastAllowed())
        self.association.setBroadcastAllowed(False)
        self.assertRaises(LocalProtocolError, self.association.setBroadcastAllowed, True)

    def test_longest(self) -> None:
        """
        A datagram may be as long as it fits together with its head. A longer
        one is lost, as it would be without a proxy.
        """
        for host, head in (("192.0.2.53", 10), ("2001:db8::53", 22), ("ns.test", 14)):
            self.association.write(bytes(MAX_DATAGRAM - head), (host, 53))
            (sent,) = self.sent()
            self.assertEqual(len(sent), MAX_DATAGRAM)
            self.association.write(bytes(MAX_DATAGRAM - head + 1), (host, 53))
            self.assertEqual(self.sent(), [])

    def test_lost(self) -> None:
        """
        A datagram that cannot be sent now is lost, and the association goes
        on.
        """
        write = self.socket.write

        def fail(packet: bytes, addr: tuple[str, int] | None = None) -> None:
            raise OSError("no buffer")

        self.socket.write = fail  # type: ignore[method-assign]
        self.association.write(b"question", NS)
        self.socket.write = write  # type: ignore[method-assign]
        self.association.write(b"again", NS)
        self.assertEqual(self.sent(), [datagram(b"again", *NS)])

    def test_manyTargets(self) -> None:
        """
        What is remembered of targets has a bound, and what is sent is right
        all the same.
        """
        for number in range(REMEMBERED * 2 + 1):
            self.association.write(b"question", (f"host{number}.test", 53))
            self.assertEqual(self.sent(), [datagram(b"question", f"host{number}.test", 53)])
        self.assertLessEqual(len(self.association._heads), REMEMBERED)


class ReceivingTests(AssociationTestCase):
    """
    Datagrams for the application.
    """

    def setUp(self) -> None:
        """
        Have an association.
        """
        super().setUp()
        self.association = self.associate()

    def tearDown(self) -> None:
        """
        End it.
        """
        self.association.stopListening()
        super().tearDown()

    def relay(self, data: bytes) -> list[object]:
        """
        Have the relay send a datagram.

        @return: What the application got.
        """
        self.protocol.told.clear()
        self.socket.peerSends(data, PROXY, RELAY)
        return self.received

    def test_sources(self) -> None:
        """
        The application learns who has sent a datagram: an address of either
        family, or a name.
        """
        for host in ("192.0.2.53", "2001:db8::53", "ns.test"):
            for data in (b"answer", b""):
                self.assertEqual(self.relay(datagram(data, host, 53)), [(data, (host, 53))])

    def test_nobodyElse(self) -> None:
        """
        A datagram from another host or another port than the relay's is
        nobody's.
        """
        good = datagram(b"answer", *NS)
        for host, port in (
            (PROXY, RELAY + 1),
            (PROXY, 1080),
            ("192.0.2.53", RELAY),
            ("192.0.2.53", 53),
            ("127.0.0.1", RELAY),
        ):
            self.socket.peerSends(good, host, port)
        self.assertEqual(self.received, [])
        self.assertEqual(self.relay(good), [(b"answer", NS)])

    def test_mapped(self) -> None:
        """
        The relay's own address counts in whatever way our socket writes it.
        """
        self.association.stopListening()
        self.start()
        self.association = self.associate("2001:db8::5")
        self.socket.peerSends(datagram(b"answer", *NS), "2001:db8:0::5", RELAY)
        self.assertEqual(self.received, [(b"answer", NS)])

    def test_fragments(self) -> None:
        """
        Fragments are dropped.
        """
        for fragment in (1, 2, 0x7F, 0x80, 0x81, 0xFF):
            self.assertEqual(self.relay(datagram(b"answer", *NS, fragment)), [])

    def test_malformed(self) -> None:
        """
        What makes no sense is dropped, and what comes after it is not.
        """
        good = datagram(b"answer", *NS)
        for bad in (
            b"",
            *(good[:length] for length in range(10)),
            b"\1" + good[1:],
            b"\0\1" + good[2:],
            good[:3] + b"\0" + good[4:],
            good[:3] + b"\2" + good[4:],
            good[:3] + b"\xff" + good[4:],
            datagram(b"answer", "192.0.2.53", 0),
            b"\0\0\0\3\0\0\x35answer",
            b"\0\0\0\3\3a b\0\x35answer",
            b"\0\0\0\3\xffabc",
        ):
            self.assertEqual(self.relay(bad), [], bad)
        self.assertEqual(self.relay(good), [(b"answer", NS)])

    def test_anything(self) -> None:
        """
        Whatever the relay sends is a datagram or dropped.
        """

        @settings(deadline=None)
        @given(st.binary(max_size=300))
        def check(data: bytes) -> None:
            for got in self.relay(data) + self.relay(b"\0\0\0" + data):
                payload, (host, port) = got  # type: ignore[misc]
                self.assertTrue(data.endswith(payload))
                self.assertTrue(host and 0 < port < 65536)

        check()


class EndTests(AssociationTestCase):
    """
    The end of an association.
    """

    def assertDeaf(self, association: RelayedDatagrams) -> None:
        """
        Fail unless an association is over: nothing is sent and nothing comes.
        """
        self.network.advance(0)
        self.assertEqual(self.protocol.told[-1], "stopped")
        self.assertIsNone(self.protocol.transport)
        association.write(b"question", NS)
        self.assertEqual(self.socket.take(), [])
        told = list(self.protocol.told)
        association.fromRelay(datagram(b"answer", *NS), (PROXY, RELAY))
        self.assertEqual(self.protocol.told, told)
        self.assertGone()

    def test_stop(self) -> None:
        """
        The application can end it, which closes the socket and the
        connection, and is no error.
        """
        association = self.associate()
        done = association.stopListening()
        self.assertTrue(self.control.aborted)
        self.network.advance(0)
        self.successResultOf(done)
        self.assertIsNone(self.successResultOf(association.ended))
        self.assertDeaf(association)

    def test_stopTwice(self) -> None:
        """
        Once is enough.
        """
        association = self.associate()
        association.stopListening()
        again = association.stopListening()
        self.network.advance(0)
        self.successResultOf(again)
        self.assertEqual(self.protocol.told, ["started", "stopped"])

    def test_stopByTheApplication(self) -> None:
        """
        The application's protocol can end it from within, as soon as it
        begins or when a datagram comes.
        """

        class Once(Recorder):
            def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
                super().datagramReceived(datagram, addr)
                self.transport.stopListening()  # type: ignore[union-attr]

        self.protocol = once = Once()
        asking = self.client.associate(once)
        self.control = self.asked(asking, ASK, granted(PROXY, RELAY))
        association = self.successResultOf(asking)
        for _ in range(2):
            self.socket.peerSends(datagram(b"answer", *NS), PROXY, RELAY)
        self.assertDeaf(association)
        self.assertEqual(self.protocol.told, ["started", (b"answer", NS), "stopped"])

        class Never(Recorder):
            def startProtocol(self) -> None:
                super().startProtocol()
                self.transport.stopListening()  # type: ignore[union-attr]

        self.start()
        never = Never()
        asking = self.client.associate(never)
        self.asked(asking, ASK, granted(PROXY, RELAY))
        self.successResultOf(asking)
        self.assertGone()
        self.assertEqual(never.told, ["started", "stopped"])

    def test_proxyEnds(self) -> None:
        """
        When the connection goes, however, so does the association, with an
        error, once.
        """
        for goes in (MemoryTransport.peerEnds, MemoryTransport.peerResets):
            self.start()
            association = self.associate()
            goes(self.control)
            self.network.advance(0)
            error = self.failureOf(association)
            self.assertIn("ended", str(error))
            self.assertEqual(self.protocol.told, ["started", "stopped"])
            self.assertDeaf(association)
            association.stopListening()
            self.network.advance(0)
            self.assertEqual(self.protocol.told, ["started", "stopped"])

    def test_endsWithTheReply(self) -> None:
        """
        A proxy that closes the connection together with its reply has ended
        what it has begun.
        """
        asking = self.begin()
        self.control.peerSends(granted(PROXY, RELAY))
        self.control.peerResets()
        association = self.successResultOf(asking)
        self.failureOf(association)
        self.assertDeaf(association)

    def test_chatter(self) -> None:
        """
        What comes on the connection means nothing, be it with the reply or
        later, and is not kept.
        """
        asking = self.begin(granted(PROXY, RELAY) + b"hello")
        association = self.successResultOf(asking)
        for _ in range(64):
            self.control.peerSends(bytes(65536))
        self.socket.peerSends(datagram(b"answer", *NS), PROXY, RELAY)
        self.assertEqual(self.received, [(b"answer", NS)])
        self.assertEqual(self.control.take(), b"")
        association.stopListening()

    def test_late(self) -> None:
        """
        Time alone does not end it.
        """
        association = self.associate()
        self.network.advance(86400)
        association.write(b"question", NS)
        self.assertEqual(len(self.socket.take()), 1)
        association.stopListening()


class NamesTests(AssociationTestCase):
    """
    A protocol of Twisted's that knows nothing of proxies.
    """

    def test_query(self) -> None:
        """
        C{twisted.names} gets its answer by way of the relay.
        """
        answered: list[dns.Message] = []

        class Controller:
            def messageReceived(self, message: Any, protocol: Any, address: Any = None) -> None:
                answered.append(message)

        protocol = dns.DNSDatagramProtocol(Controller(), self.network)
        asking = self.client.associate(protocol)
        control = self.asked(asking, ASK, granted(PROXY, RELAY))
        association = self.successResultOf(asking)
        response = protocol.query(NS, [dns.Query(b"web.test", dns.A)])
        ((sent, _),) = self.socket.take()
        self.assertEqual(sent[:10], datagram(b"", *NS))
        question = dns.Message()
        question.fromStr(sent[10:])
        answer = dns.Message(id=question.id, answer=1)
        answer.addQuery(b"web.test", dns.A)
        answer.answers = [dns.RRHeader(b"web.test", payload=dns.Record_A("192.0.2.1"))]
        self.socket.peerSends(datagram(answer.toStr(), *NS), PROXY, RELAY)
        (record,) = self.successResultOf(response).answers
        self.assertEqual(record.payload.dottedQuad(), "192.0.2.1")
        self.assertEqual(ip_address(control.getPeer().host), ip_address(PROXY))
        association.stopListening()
        self.network.advance(0)
        self.assertGone()

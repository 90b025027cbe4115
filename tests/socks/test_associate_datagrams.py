"""
Tests for L{socksproxy.socks.associate}: what goes through an association.
"""

from __future__ import annotations

from twisted.internet.error import MessageLengthError

from socksproxy.outbound.direct import DirectSettings
from socksproxy.testing import ScriptedNetwork, tcpAddress
from tests.dns.names import SlowNames
from tests.memoryproxy import DenyNetworks, StrictTransport
from tests.socks.associating import (
    ANSWER,
    CLIENT,
    OTHER,
    PORT,
    QUESTION,
    SIX,
    TARGET,
    AssociationTestCase,
)
from tests.socksclient import NO_AUTHENTICATION
from tests.socksrequests import IDLE, LAST, MAX_DATAGRAM, UDP_ASSOCIATE, command, datagram

STRANGER = "198.51.100.9"
DENIED = "10.0.0.1"


class WayTests(AssociationTestCase):
    """
    Datagrams both ways.
    """

    def test_everyKind(self) -> None:
        """
        They go to IPv4 and IPv6 addresses and to names, and what comes back
        says where from. All leave by one port.
        """
        self.associate()
        for host, address in ((TARGET, TARGET), (SIX, SIX), ("web.test", TARGET)):
            self.send(host)
            self.assertEqual(self.sent(), [(QUESTION, (address, 53))])
            self.answer(address)
            self.assertEqual(self.received(), [(datagram(ANSWER, address, 53), (CLIENT, PORT))])
        self.assertEqual(len(self.opened), 2)
        self.assertEqual(
            self.counted(),
            {
                "sent": 3 * len(QUESTION),
                "received": 3 * len(ANSWER),
                "datagramsSent": 3,
                "datagramsReceived": 3,
                "datagramsDropped": 0,
            },
        )

    def test_noSocketBefore(self) -> None:
        """
        The way out has no socket before there is something to send.
        """
        self.associate()
        self.assertEqual(len(self.opened), 1)

    def test_strangers(self) -> None:
        """
        Answers come only from hosts that the client has written to within
        five minutes, from any of their ports.
        """
        self.associate()
        self.send(TARGET)
        self.answer(TARGET, 5353)
        self.assertEqual(self.received(), [(datagram(ANSWER, TARGET, 5353), (CLIENT, PORT))])
        for stranger in (STRANGER, OTHER, SIX):
            self.answer(stranger)
        self.proxy.network.advance(IDLE - 1)
        self.answer(TARGET)
        self.assertEqual(len(self.received()), 1)
        self.send(OTHER)
        self.proxy.network.advance(1)
        self.answer(TARGET)
        self.assertEqual(self.received(), [])
        self.answer(OTHER)
        self.assertEqual(len(self.received()), 1)

    def test_fullCone(self) -> None:
        """
        Where that is wanted they come from anybody, at the client's one port.
        """
        self.start(settings=DirectSettings(fullCone=True))
        self.associate()
        self.send(TARGET)
        for stranger in (STRANGER, SIX):
            self.answer(stranger)
            self.assertEqual(self.received(), [(datagram(ANSWER, stranger, 53), (CLIENT, PORT))])

    def test_twoClients(self) -> None:
        """
        Two associations have nothing to do with each other, even of one
        client.
        """
        self.associate()
        self.exchange()
        first = list(self.opened)
        self.associate()
        self.exchange()
        relay, outside = first
        outside.peerSends(ANSWER, TARGET, 53)
        self.assertEqual(len(relay.take()), 1)
        self.assertEqual(self.relay.take(), [])
        self.assertEqual(len({each.port for each in self.opened}), 4)

    def test_reopened(self) -> None:
        """
        The way out is closed when nobody has been written to for five
        minutes, and opened again when it is needed; the client's own side
        stays.
        """
        self.associate()
        self.exchange()
        relay = self.relay
        self.proxy.network.advance(IDLE)
        self.assertEqual(self.opened, [relay])
        self.exchange()

    def test_clientOfIPv6(self) -> None:
        """
        A client of IPv6 can write to IPv4, and the other way round.
        """
        host, peer = tcpAddress("2001:db8::5", 1080), tcpAddress("2001:db8::77", 40000)
        client = StrictTransport.connect(self.proxy.network, self.proxy.factory, host, peer)
        client.peerSends(NO_AUTHENTICATION + command(UDP_ASSOCIATE))
        self.has(client)
        source = (peer.host, PORT)
        for target in (TARGET, SIX):
            self.send(target, source=source)
            self.answer(target)
            self.assertEqual(self.received(), [(datagram(ANSWER, target, 53), source)])


class DroppedTests(AssociationTestCase):
    """
    Datagrams that are dropped are counted, and do nothing else.
    """

    def test_policy(self) -> None:
        """
        Those for an address that the policy denies, each by itself.
        """
        self.start(policy=DenyNetworks(["10.0.0.0/8", "2001:db8::/32"]))
        self.associate()
        for host in (DENIED, SIX, f"::ffff:{DENIED}"):
            self.send(host)
        self.assertEqual(self.sent(), [])
        self.exchange()
        self.send(DENIED)
        self.assertDropped(4, sent=1, received=1)

    def test_deniedName(self) -> None:
        """
        Those for a name that leads there.
        """
        self.start(world={"inside.test": [DENIED]}, policy=DenyNetworks(["10.0.0.0/8"]))
        self.associate()
        self.send("inside.test")
        self.assertEqual(self.sent(), [])
        self.assertDropped(1)

    def test_unknownName(self) -> None:
        """
        Those for a name that leads nowhere.
        """
        self.associate()
        self.send("nowhere.test")
        self.send("hidden.onion")
        self.assertDropped(2)

    def slowly(self) -> SlowNames:
        """
        Have an association whose names are resolved at the test's pace.
        """
        names = SlowNames()
        network = ScriptedNetwork()
        network.nameResolver = names  # type: ignore[assignment]
        self.start(network=network, policy=DenyNetworks(["10.0.0.0/8"]))
        self.associate()
        return names

    def test_namesThatTakeTime(self) -> None:
        """
        That is so when the name's address is found out later, too: their
        octets do not count as sent.
        """
        names = self.slowly()
        for name, addresses in (
            ("inside.test", [DENIED]),
            ("everybody.test", ["224.0.0.1"]),
            ("nowhere.test", []),
        ):
            self.send(name)
            self.send(name)
            names.answer(name, *addresses)
        self.send("web.test")
        names.answer("web.test", TARGET)
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])
        self.assertEqual(
            self.counted(),
            {
                "sent": len(QUESTION),
                "received": 0,
                "datagramsSent": 1,
                "datagramsReceived": 0,
                "datagramsDropped": 6,
            },
        )

    def test_namesNeverFound(self) -> None:
        """
        Those that still wait for a name when the client goes.
        """
        self.slowly()
        for _ in range(3):
            self.send("web.test")
        self.assertDropped(3)

    def test_waiting(self) -> None:
        """
        Those that are too many to wait for one name: sixteen do.
        """
        names = self.slowly()
        for _ in range(20):
            self.send("web.test")
        names.answer("web.test", TARGET)
        self.assertEqual(len(self.sent()), 16)
        self.assertDropped(4, sent=16)

    def test_noHosts(self) -> None:
        """
        Those for multicast, broadcast and unspecified addresses, and for port
        0.
        """
        self.associate()
        hosts = ("224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255")
        for host in hosts:
            self.send(host)
        for host in (TARGET, SIX, "web.test"):
            self.send(host, 0)
        self.assertEqual(self.sent(), [])
        self.assertDropped(len(hosts) + 3)

    def test_ownRelay(self) -> None:
        """
        Those for a relay of our own, on either side of it, and whoever's it
        is.
        """
        self.associate()
        self.exchange()
        relay, outside = self.opened
        self.associate()
        ports = (relay.port, outside.port, self.relay.port)
        for port in ports:
            self.send(CLIENT, port)
        self.assertEqual(self.sent(), [])
        self.hangUp()
        first, second = self.lines()
        self.assertEqual((first["datagramsDropped"], second["datagramsDropped"]), (0, len(ports)))

    def test_strangers(self) -> None:
        """
        Those from anybody but the client.
        """
        self.associate()
        self.send(source=(STRANGER, PORT))
        self.exchange()
        self.send(source=(STRANGER, PORT))
        self.send(source=(CLIENT, PORT + 1))
        self.assertEqual((self.sent(), self.received()), ([], []))
        self.assertDropped(3, sent=1, received=1)

    def test_senseless(self) -> None:
        """
        Those that make no sense.
        """
        self.associate()
        for data in (b"", b"\0\0\0", b"\1\0" + datagram(QUESTION, TARGET, 53)[2:], b"GET / HTTP"):
            self.relay.peerSends(data, CLIENT, PORT)
        self.assertDropped(4)

    def test_fragments(self) -> None:
        """
        Fragments.
        """
        self.associate()
        self.send(data=b"one ", fragment=1)
        self.send(data=b"two", fragment=2 | LAST)
        self.assertEqual(self.sent(), [])
        self.assertDropped(2)

    def test_longAnswers(self) -> None:
        """
        Answers that are too long for a datagram once they have their heads.
        """
        self.associate()
        self.send()
        self.answer(data=bytes(MAX_DATAGRAM - 9))
        self.assertEqual(self.received(), [])
        self.answer(data=bytes(MAX_DATAGRAM - 10))
        self.assertEqual(len(self.received()), 1)
        self.assertDropped(1, sent=1, received=1)

    def test_errors(self) -> None:
        """
        Those that the system does not send, for whatever reason, on either
        side.
        """
        self.associate()
        self.exchange()

        def refusing(error: Exception) -> object:
            def write(data: bytes, address: object) -> None:
                raise error

            return write

        errors = (OSError(1, "EPERM"), OSError(101, "ENETUNREACH"), MessageLengthError())
        for error in errors:
            self.patch(self.outside, "write", refusing(error))
            self.patch(self.relay, "write", refusing(error))
            self.send(TARGET)
            self.send(OTHER)
            self.answer(TARGET)
        del self.outside.write, self.relay.write
        self.exchange()
        self.assertDropped(3 * len(errors), sent=2, received=2)


class FragmentTests(AssociationTestCase):
    """
    Where fragments are put together.
    """

    def setUp(self) -> None:
        super().setUp()
        self.start(reassembling=True)
        self.associate()

    def test_joined(self) -> None:
        """
        They are sent on as one datagram, and counted as one.
        """
        self.send(data=b"one ", fragment=1)
        self.send(data=b"two", fragment=2 | LAST)
        self.assertEqual(self.sent(), [(b"one two", (TARGET, 53))])
        self.assertEqual(self.counted()["sent"], 7)

    def test_late(self) -> None:
        """
        After five seconds those that wait are forgotten, and counted as
        dropped.
        """
        self.send(data=b"one ", fragment=1)
        self.proxy.network.advance(5)
        self.send(data=b"two", fragment=2 | LAST)
        self.assertEqual(self.sent(), [])
        self.exchange()
        self.assertDropped(2, sent=1, received=1)

    def test_gone(self) -> None:
        """
        Those that still wait when the client resets its connection are counted
        as dropped.
        """
        self.send(data=b"one ", fragment=1)
        self.send(data=b"two ", fragment=2)
        self.assertDropped(2)

    def test_closed(self) -> None:
        """
        So are those that wait when the client closes it.
        """
        self.send(data=b"one ", fragment=1)
        self._clients[0].peerEnds()
        self.proxy.settle()
        self.assertDropped(1)

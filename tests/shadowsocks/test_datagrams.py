"""
Tests for L{socksproxy.shadowsocks.datagrams} and
L{socksproxy.shadowsocks.association}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromName
from socksproxy.auth.sharedkey import SharedKeyChecker
from socksproxy.errors import CommandNotSupported
from socksproxy.interfaces import IProxyAvatar, WayOut
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.policy.services import Services
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packetclient import ClientPackets, clientPackets
from socksproxy.shadowsocks._packetserver import serverPackets
from socksproxy.shadowsocks._packetsessions import ServerPackets2022
from socksproxy.shadowsocks._replay import LIFETIME, SaltMemory
from socksproxy.shadowsocks._users import Accounts
from socksproxy.shadowsocks.association import MAX_WAITING
from socksproxy.shadowsocks.datagrams import ShadowsocksDatagrams
from socksproxy.testing import MemoryDatagrams
from tests.accesslines import accessLines
from tests.forward.datagrams import Conduit
from tests.logs import atLevel, captured
from tests.memoryproxy import DenyNetworks, MemoryProxy, SoleUser
from tests.shadowsocks.serving import CLASSIC, NEW, usersOf
from tests.shadowsocks.streams import NOW, fresh

HERE = ("198.51.100.7", 40000)
ELSEWHERE = ("198.51.100.8", 41000)
TARGET = Destination(hostFromName(b"192.0.2.53"), 5000)
NAMES = Destination(hostFromName(b"192.0.2.53"), 53)
IDLE = 300
IDLE_NAMES = 17


class Fixture:
    """
    A port, what is behind it, and clients.

    @ivar network: Everything else, and time.
    @ivar protocol: The port's protocol.
    @ivar port: The port.
    """

    def __init__(
        self,
        accounts: Sequence[Account] | str = CLASSIC,
        most: int = 512,
        limits: ConnectionLimits | None = None,
        **options: Any,
    ) -> None:
        """
        @param accounts: The users, or a method of which there is one key.
        @param options: As for L{MemoryProxy}.
        """
        options.setdefault("checkers", [SharedKeyChecker()])
        options.setdefault("listener", "ss://here")
        proxy = MemoryProxy(
            {"ns.test": [str(TARGET.host)]},
            methods=(),
            limits=limits or ConnectionLimits(),
            **options,
        )
        self.network = proxy.network
        self.accounts = [fresh(accounts)] if isinstance(accounts, str) else list(accounts)
        self.packets = serverPackets(
            Accounts(self.accounts), SaltMemory(b"server"), self.now, self.network.seconds
        )
        self.protocol = ShadowsocksDatagrams(proxy.inbound, self.packets, most)
        self.port = self.network.listenUDP(8388, self.protocol, "203.0.113.1")

    def now(self) -> float:
        """
        Give seconds since 1970.
        """
        return NOW + self.network.seconds()

    def client(self, user: int = 0) -> ClientPackets:
        """
        Make what a client seals and opens with.
        """
        memory = SaltMemory(b"client")
        return clientPackets(self.accounts[user], memory, self.now, self.network.seconds)

    def send(
        self,
        client: ClientPackets,
        data: bytes = b"question",
        to: Destination = TARGET,
        source: tuple[str, int] = HERE,
    ) -> bytes:
        """
        Have a client send something.

        @return: The datagram.
        """
        datagram = client.seal(to, data)
        self.port.peerSends(datagram, *source)
        return datagram

    @property
    def sockets(self) -> list[MemoryDatagrams]:
        """
        Give the sockets towards targets, in the order of their opening.
        """
        return [each for each in self.network.datagrams if each is not self.port and each.open]

    def sent(self) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Give what has gone to targets.
        """
        return [sent for each in self.sockets for sent in each.take()]

    def close(self) -> list[object]:
        """
        Close the port, and give what is left.
        """
        self.port.stopListening()
        self.network.advance(0)
        return [*self.network.getDelayedCalls(), *self.sockets, *range(self.protocol.clients)]


@pytest.mark.parametrize("method", METHODS)
def test_bothWays(method: str) -> None:
    """
    With every method what a client sends goes where it is to go, and an answer
    comes back with the address of who gave it.
    """
    port = Fixture(method)
    client = port.client()
    for number in range(3):
        port.send(client, b"question %d" % number)
        assert port.sent() == [(b"question %d" % number, ("192.0.2.53", 5000))]
        (socket,) = port.sockets
        socket.peerSends(b"answer %d" % number, "192.0.2.53", 5000)
        ((answer, to),) = port.port.take()
        assert to == HERE
        assert client.open(answer) == (TARGET, b"answer %d" % number)
    assert port.close() == []


@pytest.mark.parametrize("method", [CLASSIC, NEW, "2022-blake3-chacha20-poly1305"])
def test_replayed(method: str) -> None:
    """
    A datagram that comes again is dropped, and so is one that has been changed.
    """
    with captured() as events:
        port = Fixture(method)
        client = port.client()
        datagram = port.send(client)
        assert len(port.sent()) == 1
        port.port.peerSends(datagram, *HERE)
        port.port.peerSends(datagram, *ELSEWHERE)
        changed = bytearray(client.seal(TARGET, b"question"))
        changed[-1] ^= 1
        port.port.peerSends(bytes(changed), *HERE)
        assert port.sent() == []
        assert port.port.take() == []
        assert port.protocol.clients == 1
        assert port.close() == []
    said = atLevel(events, LogLevel.warn)
    assert len(said) == 2
    assert all("a datagram from 198.51.100." in line for line in said)


class DatagramTestCase(SynchronousTestCase):
    """
    Tests with a port.
    """

    def setUp(self) -> None:
        """
        Open one.
        """
        self.events = self.enterContext(captured())
        self.serve()

    def serve(self, *arguments: Any, **options: Any) -> None:
        """
        Open another one.
        """
        self.at = Fixture(*arguments, **options)

    def tearDown(self) -> None:
        """
        Nothing is left when it is closed.
        """
        self.assertEqual(self.at.close(), [])

    def lines(self) -> list[dict[str, Any]]:
        """
        Give the access lines.
        """
        return accessLines(self.events)


class ClientTests(DatagramTestCase):
    """
    Clients and what they have.
    """

    def test_line(self) -> None:
        """
        A client makes a line when it is forgotten.
        """
        self.serve(usersOf())
        client = self.at.client(1)
        self.at.send(client, b"12345")
        self.at.send(client, b"1", Destination("ns.test", 6000))
        (socket,) = self.at.sockets
        socket.peerSends(b"123", "192.0.2.53", 5000)
        self.at.network.advance(IDLE)
        (line,) = self.lines()
        self.assertEqual(
            {name: value for name, value in line.items() if value not in ("-", 0)},
            {
                "protocol": "Shadowsocks",
                "listener": "ss://here",
                "client": "198.51.100.7:40000",
                "user": "user2",
                "command": "UDP",
                "destination": "192.0.2.53:5000",
                "result": "succeeded",
                "sent": 6,
                "received": 3,
                "datagramsSent": 2,
                "datagramsReceived": 1,
                "duration": 300.0,
                "reason": "idle for too long",
            },
        )

    def test_classicByAddress(self) -> None:
        """
        With a classic method those are told apart by their addresses who have
        the same key, and those by their keys who have the same address.
        """
        self.serve(usersOf(CLASSIC))
        for user, source in ((0, HERE), (1, HERE), (0, ELSEWHERE), (1, HERE)):
            self.at.send(self.at.client(user), source=source)
        self.assertEqual(self.at.protocol.clients, 3)
        self.assertEqual(len(self.at.sockets), 3)

    def test_roaming(self) -> None:
        """
        With a method of 2022 a session goes on from another address, by the
        same way out, and gets its answers there.
        """
        for method in (NEW, "2022-blake3-chacha20-poly1305"):
            self.serve(method)
            client = self.at.client()
            late = client.seal(TARGET, b"late")
            self.at.send(client, source=HERE)
            self.at.send(client, source=ELSEWHERE)
            # It was on its way for longer, and says nothing of where the client is.
            self.at.port.peerSends(late, *HERE)
            (socket,) = self.at.sockets
            self.assertEqual(len(socket.take()), 3)
            socket.peerSends(b"answer", "192.0.2.53", 5000)
            ((answer, to),) = self.at.port.take()
            self.assertEqual(to, ELSEWHERE)
            self.assertEqual(client.open(answer), (TARGET, b"answer"))
            self.at.protocol.endAll("over")
            self.assertEqual(self.lines()[-1]["client"], "198.51.100.8:41000")
            self.assertEqual(self.at.close(), [])

    def test_twoSessionsOfOneAddress(self) -> None:
        """
        Two of them from one address stay apart.
        """
        self.serve(NEW)
        first, second = self.at.client(), self.at.client()
        self.at.send(first, b"1")
        self.at.send(second, b"2")
        self.assertEqual(len(self.at.sockets), 2)
        self.at.sockets[0].peerSends(b"answer", "192.0.2.53", 5000)
        ((answer, _),) = self.at.port.take()
        self.assertEqual(first.open(answer), (TARGET, b"answer"))

    def test_onlyThoseWrittenTo(self) -> None:
        """
        Whom the client has not written to does not reach it.
        """
        client = self.at.client()
        self.at.send(client)
        self.at.sockets[0].peerSends(b"forged", "192.0.2.99", 5000)
        self.assertEqual(self.at.port.take(), [])

    def test_forbidden(self) -> None:
        """
        Where the policy lets nobody, nothing goes.
        """
        self.serve(policy=DenyNetworks(["192.0.2.0/24"]))
        self.at.send(self.at.client())
        self.assertEqual(self.at.sent(), [])
        self.at.protocol.endAll("over")
        (line,) = self.lines()
        self.assertEqual((line["datagramsSent"], line["datagramsDropped"]), (0, 1))

    def test_switchedOff(self) -> None:
        """
        Where datagrams are switched off they are dropped, and the line says so.
        """
        self.serve(services=Services(udp=False))
        client = self.at.client()
        for _ in range(3):
            self.at.send(client)
        self.at.protocol.endAll("over")
        (line,) = self.lines()
        self.assertEqual(line["result"], CommandNotSupported.summary)
        self.assertEqual(line["datagramsDropped"], 3)

    def test_notLetIn(self) -> None:
        """
        So are those of whom the portal does not let in.
        """
        self.serve(checkers=())
        self.at.send(self.at.client())
        self.assertEqual(self.at.sockets, [])
        self.at.protocol.endAll("over")
        (line,) = self.lines()
        self.assertEqual((line["user"], line["datagramsDropped"]), ("-", 1))
        self.flushLoggedErrors()

    def test_tooLongAnswer(self) -> None:
        """
        An answer that is too long with what comes around it is dropped.
        """
        client = self.at.client()
        self.at.send(client)
        self.at.sockets[0].peerSends(bytes(65500), "192.0.2.53", 5000)
        self.assertEqual(self.at.port.take(), [])
        self.at.sockets[0].peerSends(b"answer", "192.0.2.53", 5000)
        self.assertEqual(len(self.at.port.take()), 1)
        self.at.protocol.endAll("over")
        self.assertEqual(self.lines()[0]["datagramsDropped"], 1)


class IdleTests(DatagramTestCase):
    """
    Clients that say nothing any more.
    """

    def test_forgotten(self) -> None:
        """
        One is forgotten 300 s after its last datagram in either direction, and
        may begin anew.
        """
        for method in (CLASSIC, NEW):
            self.serve(method)
            client = self.at.client()
            self.at.send(client)
            self.at.network.advance(200)
            self.at.send(client)
            self.at.network.advance(200)
            self.at.sockets[0].peerSends(b"answer", "192.0.2.53", 5000)
            self.at.network.advance(IDLE - 1)
            self.assertEqual(self.at.protocol.clients, 1)
            self.at.network.advance(1)
            self.assertEqual(self.at.protocol.clients, 0)
            self.assertEqual(self.at.sockets, [])
            self.at.send(client)
            self.assertEqual(len(self.at.sent()), 1)
            self.assertEqual(self.at.close(), [])

    def test_recordingAfterwards(self) -> None:
        """
        Of one that has been forgotten no recording is taken.
        """
        self.serve(NEW)
        client = self.at.client()
        datagram = self.at.send(client, to=NAMES)
        self.at.network.advance(IDLE_NAMES)
        self.assertEqual(self.at.protocol.clients, 0)
        self.at.port.peerSends(datagram, *HERE)
        self.assertEqual(self.at.protocol.clients, 0)

    def test_sessionEnds(self) -> None:
        """
        A session of one that has been forgotten is forgotten, too, once no
        recording of it would be in time.
        """
        self.serve(NEW)
        self.at.send(self.at.client())
        self.at.network.advance(IDLE)
        self.at.network.advance(LIFETIME)
        self.at.send(self.at.client())
        assert isinstance(self.at.packets, ServerPackets2022)
        self.assertEqual(len(self.at.packets), 1)

    def test_names(self) -> None:
        """
        One that has only spoken to name servers is forgotten after 17 s, also
        while others stay for longer.
        """
        other, client = self.at.client(), self.at.client()
        self.at.send(other, source=ELSEWHERE)
        self.at.network.advance(100)
        self.at.send(client, to=NAMES)
        self.at.network.advance(IDLE_NAMES - 1)
        self.assertEqual(self.at.protocol.clients, 2)
        self.at.network.advance(1)
        self.assertEqual(self.at.protocol.clients, 1)

    def test_notOnlyNames(self) -> None:
        """
        One that has spoken to anybody else, too, stays.
        """
        client = self.at.client()
        self.at.send(client, to=NAMES)
        self.at.send(client)
        self.at.send(client, to=NAMES)
        self.at.network.advance(IDLE_NAMES + 1)
        self.assertEqual(self.at.protocol.clients, 1)
        self.at.network.advance(IDLE)
        self.assertEqual(self.at.protocol.clients, 0)


class LimitTests(DatagramTestCase):
    """
    How many there may be.
    """

    def test_oldestGoes(self) -> None:
        """
        For one more than there may be the one goes that was silent longest, and
        an answer counts as well as a question.
        """
        self.serve(most=3)
        client = self.at.client()
        for port in (1, 2, 3):
            self.at.send(client, b"%d" % port, source=("198.51.100.7", port))
            self.at.network.advance(2)
        self.at.sockets[0].peerSends(b"answer", "192.0.2.53", 5000)
        self.at.network.advance(2)
        self.at.send(client, source=("198.51.100.7", 4))
        self.assertEqual(self.at.protocol.clients, 3)
        (line,) = self.lines()
        self.assertEqual(
            (line["client"], line["reason"]), ("198.51.100.7:2", "made room for another client")
        )

    def test_manySources(self) -> None:
        """
        However many sources there are, they have no more sockets than there may
        be clients.
        """
        client = self.at.client()
        for number in range(1500):
            host = f"198.51.100.{number % 100}"
            self.at.send(client, b"x", source=(host, number + 1))
        self.assertEqual(self.at.protocol.clients, 512)
        self.assertEqual(len(self.at.sockets), 512)

    def test_places(self) -> None:
        """
        They count as connections, and take no more than half of the places.
        """
        limits = ConnectionLimits(total=6, handshakes=1)
        self.serve(limits=limits)
        client = self.at.client()
        for port in range(1, 6):
            self.at.send(client, source=("198.51.100.7", port))
        self.assertEqual(self.at.protocol.clients, 3)
        for _ in range(3):
            limits.admit().handshakeDone()
        # There is no place left but that of another one.
        self.at.send(client, source=("198.51.100.7", 6))
        self.assertEqual(self.at.protocol.clients, 3)
        self.at.protocol.endAll("over")
        for _ in range(3):
            limits.admit().handshakeDone()

    def test_noPlace(self) -> None:
        """
        Where there is none at all the datagram is dropped, which is said once.
        """
        limits = ConnectionLimits(total=1)
        limits.admit()
        for method in (CLASSIC, NEW):
            self.serve(method, limits=limits)
            client = self.at.client()
            for _ in range(3):
                self.at.send(client)
            self.assertEqual(self.at.protocol.clients, 0)
            self.assertEqual(self.at.sockets, [])
            self.assertEqual(self.at.close(), [])
        self.assertEqual(len(atLevel(self.events, LogLevel.warn)), 2)

    def test_noPlaceForSessions(self) -> None:
        """
        A session that there is no place for is not remembered for longer than
        one that is over.
        """
        limits = ConnectionLimits(total=2)
        slots = [limits.admit() for _ in range(2)]
        self.serve(NEW, limits=limits)
        for _ in range(5):
            self.at.send(self.at.client())
        self.at.network.advance(LIFETIME)
        slots[0].release()
        self.at.send(self.at.client())
        assert isinstance(self.at.packets, ServerPackets2022)
        self.assertEqual(len(self.at.packets), 1)

    def test_shareTaken(self) -> None:
        """
        Where all of it is taken by connections the datagram is dropped, and
        takes no place.
        """
        limits = ConnectionLimits(total=4, perSource=1)
        connection = limits.admit()
        connection.attribute("198.51.100.7")
        self.serve(limits=limits)
        self.at.send(self.at.client())
        self.assertEqual(self.at.protocol.clients, 0)
        for _ in range(3):
            limits.admit()

    def test_perSource(self) -> None:
        """
        One source has no more than its share, unless it is this host: there its
        own clients make room for one another.
        """
        for local, expected in ((False, ["198.51.100.7:1"]), (True, [])):
            self.events.clear()
            self.serve(limits=ConnectionLimits(perSource=2), local=local)
            client = self.at.client()
            self.at.send(client, source=ELSEWHERE)
            for port in (1, 2, 3):
                self.at.send(client, source=("198.51.100.7", port))
            self.assertEqual([line["client"] for line in self.lines()], expected)
            self.at.protocol.endAll("over")
            self.assertEqual(self.at.close(), [])


class Avatar(SoleUser):
    """
    A user whose ways out come when the test says so.

    @ivar asked: What waits for them.
    @ivar conduits: They, in the same order.
    """

    def __init__(self, *hops: str) -> None:
        super().__init__()
        self.way = WayOut(hops)
        self.asked: list[Deferred[Any]] = []
        self.conduits: list[Conduit] = []
        self.cancelled = 0

    def associate(self, received: Any) -> Deferred[Any]:
        """
        See L{IProxyAvatar}.
        """
        self.conduits.append(Conduit(received))
        self.asked.append(Deferred(self._cancel))
        return self.asked[-1]

    def give(self) -> Conduit:
        """
        Give the last one that was asked for.
        """
        self.asked[-1].callback(self.conduits[-1])
        return self.conduits[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


class WayTests(DatagramTestCase):
    """
    Ways out that are not there at once.
    """

    def away(self, *hops: str, **options: Any) -> Avatar:
        """
        Open a port with such a way out.
        """
        avatar = Avatar(*hops)
        self.serve(realm=avatar, **options)
        return avatar

    def test_waiting(self) -> None:
        """
        Datagrams wait for the way out, in order, and no more than a number.
        """
        avatar = self.away()
        client = self.at.client()
        for number in range(MAX_WAITING + 5):
            self.at.send(client, b"%d" % number)
        conduit = avatar.give()
        sent = [data for data, _ in conduit.sent]
        self.assertEqual(sent, [b"%d" % number for number in range(MAX_WAITING)])
        self.assertEqual(len(avatar.asked), 1)
        self.at.protocol.endAll("over")
        self.assertTrue(conduit.closed)
        self.assertEqual(self.lines()[0]["datagramsDropped"], 5)
        self.assertEqual(avatar.logouts, 1)

    def test_octets(self) -> None:
        """
        So it is with octets.
        """
        avatar = self.away()
        client = self.at.client()
        for _ in range(5):
            self.at.send(client, bytes(60000))
        self.assertEqual(len(avatar.give().sent), 4)

    def test_givenUp(self) -> None:
        """
        A client that goes before its way out is there needs it no more; one
        that comes in spite of that is closed.
        """
        avatar = self.away()
        self.at.send(self.at.client())
        self.at.protocol.endAll("over")
        self.assertEqual(avatar.cancelled, 1)
        self.assertEqual(self.lines()[0]["datagramsDropped"], 1)
        self.assertEqual(avatar.logouts, 1)

    def test_notToBeHad(self) -> None:
        """
        Where there is none, the next attempt is five seconds later, without
        another login.
        """
        avatar = self.away()
        client = self.at.client()
        self.at.send(client)
        avatar.asked[-1].errback(CommandNotSupported("none"))
        self.at.network.advance(4)
        self.at.send(client)
        self.assertEqual(len(avatar.asked), 1)
        self.at.network.advance(1)
        self.at.send(client, b"again")
        self.assertEqual(len(avatar.asked), 2)
        self.assertEqual(len(avatar.minds), 1)
        self.assertEqual(avatar.give().sent, [(b"again", "192.0.2.53:5000")])
        self.at.protocol.endAll("over")
        line = self.lines()[0]
        self.assertEqual((line["result"], line["datagramsDropped"]), ("succeeded", 2))

    def test_unforeseen(self) -> None:
        """
        What nobody has foreseen is logged, and is no end.
        """
        avatar = self.away()
        self.at.send(self.at.client())
        avatar.asked[-1].errback(ZeroDivisionError("oh"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.at.protocol.endAll("over")
        self.assertEqual(self.lines()[0]["result"], "general failure")

    def test_endedByProxy(self) -> None:
        """
        A way out through a proxy that takes nothing any more is asked for anew.
        """
        avatar = self.away("socks5h://192.0.2.9:1080")
        client = self.at.client()
        self.at.send(client)
        first = avatar.give()
        first.refusing = True
        self.at.network.advance(10)
        self.at.send(client, b"again")
        self.assertTrue(first.closed)
        second = avatar.give()
        self.assertEqual(second.sent, [(b"again", "192.0.2.53:5000")])

    def test_refusing(self) -> None:
        """
        A way out of this host that does not take a datagram stays.
        """
        avatar = self.away()
        client = self.at.client()
        self.at.send(client)
        conduit = avatar.give()
        conduit.refusing = True
        self.at.send(client)
        self.assertFalse(conduit.closed)
        conduit.dropped = (1, 8)
        self.at.protocol.endAll("over")
        line = self.lines()[0]
        counted = (line["datagramsSent"], line["sent"], line["datagramsDropped"])
        self.assertEqual(counted, (0, 0, 2))

    def test_answerAfterTheEnd(self) -> None:
        """
        What comes back after the end goes nowhere.
        """
        avatar = self.away()
        self.at.send(self.at.client())
        conduit = avatar.give()
        self.at.protocol.endAll("over")
        conduit.received(b"answer", TARGET)
        self.assertEqual(self.at.port.take(), [])

    def test_origin(self) -> None:
        """
        The portal is told where the client is, and that it has a key.
        """
        avatar = self.away(local=True)
        self.assertTrue(IProxyAvatar.providedBy(avatar))
        self.at.send(self.at.client())
        (mind,) = avatar.minds
        told = (mind.protocol, mind.keyed, mind.local, mind.source)  # type: ignore[attr-defined]
        self.assertEqual(told, ("Shadowsocks", True, True, "198.51.100.7"))

"""
Tests for L{socksproxy.forward.datagrams}.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import LogLevel

from socksproxy.policy.limits import ConnectionLimits
from tests.forward.datagrams import (
    CLIENT,
    OTHER,
    SECOND,
    TARGET,
    THIRD,
    DatagramTestCase,
    Outbound,
)
from tests.logs import atLevel

MAX_PAYLOAD = 65507
"""
Octets that fit into a datagram of UDP over IPv4.
"""


class ForwardTests(DatagramTestCase):
    """
    Clients and the target.
    """

    def test_bothWays(self) -> None:
        """
        What a client sends goes to the target, and what that answers comes
        back from the port that the client has sent to.
        """
        self.send()
        self.assertEqual(self.sent(), [(b"question", (TARGET, 53))])
        self.sockets[0].peerSends(b"answer", TARGET, 53)
        self.assertEqual(self.port.take(), [(b"answer", CLIENT)])

    def test_everyClientItsOwn(self) -> None:
        """
        Clients are told apart by address and port; each has a socket, which
        stays its own, and gets its own answers.
        """
        clients = [CLIENT, SECOND, THIRD]
        for round_ in (b"1", b"2"):
            for client in clients:
                self.send(round_ + repr(client).encode(), client)
            self.assertEqual(len(self.sockets), 3)
            for client, socket in zip(clients, self.sockets, strict=True):
                expected = round_ + repr(client).encode()
                self.assertEqual(socket.take(), [(expected, (TARGET, 53))])
                socket.peerSends(expected, TARGET, 53)
                self.assertEqual(self.port.take(), [(expected, client)])

    def test_onlyTheTarget(self) -> None:
        """
        What comes from any other address or port is not passed on.
        """
        self.send()
        for host, port in ((TARGET, 54), (OTHER, 53), CLIENT):
            self.sockets[0].peerSends(b"forged", host, port)
        self.assertEqual(self.port.take(), [])

    def test_sizes(self) -> None:
        """
        Datagrams of every size keep theirs, nothing at all included.
        """
        for size in (0, 1, 512, 1472, MAX_PAYLOAD):
            self.send(bytes(size))
            self.assertEqual(self.sent(), [(bytes(size), (TARGET, 53))])
            self.sockets[0].peerSends(bytes(size), TARGET, 53)
            self.assertEqual(self.port.take(), [(bytes(size), CLIENT)])

    def test_line(self) -> None:
        """
        A client makes a line when it is forgotten.
        """
        for data in (b"12345", b"1"):
            self.send(data)
        self.sockets[0].peerSends(b"123", TARGET, 53)
        self.network.advance(300)
        (line,) = self.lines()
        self.assertEqual(
            {name: value for name, value in line.items() if value not in ("-", 0)},
            {
                "protocol": "FORWARD",
                "listener": "udp:53",
                "client": "198.51.100.7:40000",
                "command": "UDP",
                "destination": "udp:192.0.2.53:53",
                "address": "192.0.2.53:53",
                "result": "succeeded",
                "sent": 6,
                "received": 3,
                "datagramsSent": 2,
                "datagramsReceived": 1,
                "duration": 300.0,
                "reason": "idle for too long",
            },
        )

    def test_shownClients(self) -> None:
        """
        The line has a client's address as such, on a port of both families,
        too.
        """
        self.forward(interface="::")
        self.send()
        self.send(client=("2001:db8::7", 40000))
        self.forwarder.endAll("over")
        shown = [line["client"] for line in self.lines()]
        self.assertEqual(shown, ["198.51.100.7:40000", "[2001:db8::7]:40000"])

    def test_answerCannotBeSent(self) -> None:
        """
        An answer that cannot be sent is counted, and harms nothing.
        """
        self.send()
        answers = self.sockets[0]
        write, self.port.write = self.port.write, self._failing  # type: ignore[method-assign]
        answers.peerSends(b"lost", TARGET, 53)
        self.port.write = write  # type: ignore[method-assign]
        answers.peerSends(b"answer", TARGET, 53)
        self.assertEqual(self.port.take(), [(b"answer", CLIENT)])
        self.assertEqual(self.drops(), 1)

    def _failing(self, packet: bytes, addr: object = None) -> None:
        raise OSError("no buffer space")


class IdleTests(DatagramTestCase):
    """
    Clients that say nothing any more.
    """

    def test_forgotten(self) -> None:
        """
        One is forgotten 300 seconds after its last datagram, and not before;
        with the next one it is there again, at another port.
        """
        self.send()
        self.network.advance(200)
        self.send()
        self.network.advance(299.9)
        self.assertEqual(self.forwarder.clients, 1)
        self.network.advance(0.2)
        self.assertEqual(self.forwarder.clients, 0)
        self.assertEqual(self.sockets, [])
        self.send()
        self.assertEqual(self.sent(), [(b"question", (TARGET, 53))])

    def test_answersDoNotCount(self) -> None:
        """
        What the target sends does not keep a client.
        """
        self.send()
        for _ in range(4):
            self.network.advance(74)
            self.sockets[0].peerSends(b"tick", TARGET, 53)
        self.assertEqual(len(self.port.take()), 4)
        self.network.advance(4)
        self.assertEqual(self.forwarder.clients, 0)

    def test_eachByItself(self) -> None:
        """
        Each is forgotten in its time.
        """
        self.send(client=CLIENT)
        self.network.advance(100)
        self.send(client=SECOND)
        self.network.advance(100)
        self.send(client=THIRD)
        self.network.advance(50)
        self.send(client=CLIENT)
        remembered = []
        for _ in range(6):
            self.network.advance(50.1)
            remembered.append(self.forwarder.clients)
        self.assertEqual(remembered, [3, 3, 2, 2, 1, 0])

    def test_otherTime(self) -> None:
        """
        The time can be another.
        """
        self.forward(idle=120)
        self.send()
        self.network.advance(119.9)
        self.assertEqual(self.forwarder.clients, 1)
        self.network.advance(0.1)
        self.assertEqual(self.forwarder.clients, 0)

    def test_oneTimer(self) -> None:
        """
        However many clients there are, one timer runs for them, and it is not
        set anew for each datagram.
        """
        self.forward(outbound=Outbound())
        self.send()
        (timer,) = self.timers()
        for number in range(50):
            self.network.advance(1)
            self.send(client=("198.51.100.9", number + 1))
            self.send()
        self.assertEqual(self.timers(), [timer])

    def timers(self) -> list[IDelayedCall]:
        """
        Give the timers that run.
        """
        return list(self.network.getDelayedCalls())


class BoundTests(DatagramTestCase):
    """
    There is room for so many clients.
    """

    def test_oldestGoes(self) -> None:
        """
        The one that was silent longest makes room, and its line says so.
        """
        self.forward(outbound=Outbound(), most=2)
        self.send(client=CLIENT)
        self.network.advance(2)
        self.send(client=SECOND)
        self.network.advance(2)
        self.send(client=CLIENT)
        self.network.advance(2)
        self.send(client=THIRD)
        self.assertEqual(self.forwarder.clients, 2)
        (line,) = self.lines()
        self.assertEqual(line["client"], "198.51.100.7:40001")
        self.assertEqual(line["reason"], "made room for another client")

    def test_default(self) -> None:
        """
        There are 1024 by default, however many datagrams come from elsewhere.
        """
        self.forward(outbound=Outbound())
        for number in range(3000):
            self.send(client=("198.51.100.9", number + 1))
        self.assertEqual(self.forwarder.clients, 1024)
        self.assertEqual(len(self.lines()), 3000 - 1024)

    def test_halfOfThePlaces(self) -> None:
        """
        They never take more than half of the places for connections, and give
        them back.
        """
        self.forward(outbound=Outbound(), limits=ConnectionLimits(total=10))
        for number in range(20):
            self.send(client=("198.51.100.9", number + 1))
        self.assertEqual(self.forwarder.clients, 5)
        slots = [self.limits.admit() for _ in range(5)]
        self.forwarder.endAll("over")
        slots += [self.limits.admit() for _ in range(5)]
        for slot in slots:
            slot.release()

    def test_noPlace(self) -> None:
        """
        Where connections have taken all other places, a new client takes the
        place of another client.
        """
        self.forward(outbound=Outbound(), limits=ConnectionLimits(total=10))
        self.send(client=CLIENT)
        slots = [self.limits.admit() for _ in range(9)]
        self.send(client=SECOND)
        self.assertEqual(self.forwarder.clients, 1)
        self.assertEqual([line["client"] for line in self.lines()], ["198.51.100.7:40000"])
        self.forwarder.endAll("over")
        for slot in slots:
            slot.release()

    def test_noPlaceAtAll(self) -> None:
        """
        Where there is none of those either, its datagrams are dropped, which
        is said once a minute.
        """
        self.forward(outbound=Outbound(), limits=ConnectionLimits(total=4))
        slots = [self.limits.admit() for _ in range(4)]
        for wait in (0, 1, 58.9, 0.2):
            self.network.advance(wait)
            self.send()
        warnings = atLevel(self.events, LogLevel.warn)
        self.assertEqual(len(warnings), 2)
        self.assertIn("udp:53", warnings[0])
        slots.pop().release()
        self.send()
        self.assertEqual(self.forwarder.clients, 1)
        for slot in slots:
            slot.release()

    def test_handshakes(self) -> None:
        """
        They do not count as handshakes.
        """
        self.forward(outbound=Outbound(), limits=ConnectionLimits(handshakes=1))
        for client in (CLIENT, SECOND, THIRD):
            self.send(client=client)
        self.assertEqual(self.forwarder.clients, 3)


class EndTests(DatagramTestCase):
    """
    The end of a port.
    """

    def test_endAll(self) -> None:
        """
        All clients are forgotten, and each makes its line.
        """
        self.send(client=CLIENT)
        self.send(client=SECOND)
        self.forwarder.endAll("shut down")
        self.assertEqual([line["reason"] for line in self.lines()], ["shut down"] * 2)
        self.assertEqual(self.sockets, [])

    def test_closedPort(self) -> None:
        """
        So it is when the port is closed from elsewhere.
        """
        self.send()
        self.port.stopListening()
        self.network.advance(0)
        self.assertEqual(self.forwarder.clients, 0)
        self.assertEqual(len(self.lines()), 1)

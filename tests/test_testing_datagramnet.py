"""
Tests for L{socksproxy.testing}: a bad network between sockets for datagrams.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import (
    CannotListenError,
    InvalidAddressError,
    MessageLengthError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.testing import (
    Conditions,
    DatagramNetwork,
    NetworkDatagrams,
    NoProgress,
    ScriptedNetwork,
)
from socksproxy.testing.datagramnet import CALLS_AT_ONCE, MAX_DATAGRAM
from socksproxy.testing.network import FIRST_PORT

SERVER = ("10.0.0.1", 4000)


class Recorder(DatagramProtocol):
    """
    A protocol that remembers what it was given, and when.

    @ivar received: Times, datagrams, and where from.
    @ivar stopped: It knows that its socket is closed.
    """

    noisy = False
    transport: Any

    def __init__(self, network: DatagramNetwork) -> None:
        self.network = network
        self.received: list[tuple[float, bytes, tuple[str, int]]] = []
        self.stopped = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.received.append((round(self.network.seconds(), 6), datagram, addr))

    def stopProtocol(self) -> None:
        self.stopped = True


class Echo(Recorder):
    """
    A protocol that sends back what it was given.
    """

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        super().datagramReceived(datagram, addr)
        self.transport.write(datagram, addr)


class Asking(Recorder):
    """
    A protocol that asks as soon as it can, and again until it is answered.
    """

    def startProtocol(self) -> None:
        if not self.received:
            self.transport.write(b"question", SERVER)
            self.network.callLater(0.2, self.startProtocol)


class NetworkTests(SynchronousTestCase):
    """
    A test with a network.
    """

    def make(self, *given: Any, **more: Any) -> DatagramNetwork:
        """
        Make the network, with a server on it.
        """
        self.network = DatagramNetwork(*given, **more)
        self.server = Echo(self.network)
        self.serverPort = self.network.listenUDP(SERVER[1], self.server, SERVER[0])
        return self.network

    def client(self, interface: str = "10.0.0.2", port: int = 0) -> Recorder:
        """
        Make a client on it.
        """
        client = Recorder(self.network)
        self.network.listenUDP(port, client, interface)
        return client


class PortTests(NetworkTests):
    """
    Ports, as a reactor makes them.
    """

    def setUp(self) -> None:
        self.make(latency=25)

    def listen(self, port: int = 0, interface: str = "", size: int = 8192) -> NetworkDatagrams:
        """
        Open a port.
        """
        return self.network.listenUDP(port, Recorder(self.network), interface, size)

    def test_interfaces(self) -> None:
        """
        It can be passed where a reactor is wanted.
        """
        verifyObject(IReactorUDP, self.network, tentative=True)
        verifyObject(IReactorTime, self.network)
        verifyObject(IListeningPort, self.serverPort)
        verifyObject(IUDPTransport, self.serverPort)
        self.assertIsInstance(self.network, ScriptedNetwork)

    def test_address(self) -> None:
        """
        A port is where it was wanted, or at the loopback address of its
        family.
        """
        for interface, port, shown in (
            ("10.0.0.7", 53, "UDP 10.0.0.7 53"),
            ("2001:db8::7", 53, "UDP 2001:db8::7 53"),
            ("", 0, f"UDP 127.0.0.1 {FIRST_PORT}"),
            ("0.0.0.0", 0, f"UDP 127.0.0.1 {FIRST_PORT + 1}"),
            ("::", 0, f"UDP ::1 {FIRST_PORT}"),
        ):
            host = self.listen(port, interface).getHost()
            self.assertEqual(f"{host.type} {host.host} {host.port}", shown)

    def test_noAddress(self) -> None:
        """
        A name is no interface.
        """
        self.assertRaises(InvalidAddressError, self.listen, interface="localhost")

    def test_taken(self) -> None:
        """
        An address can be taken, until it is closed; another host has ports of
        its own.
        """
        error = self.assertRaises(CannotListenError, self.listen, SERVER[1], SERVER[0])
        self.assertEqual((error.interface, error.port), SERVER)
        self.listen(SERVER[1], "10.0.0.9")
        self.serverPort.stopListening()
        self.listen(SERVER[1], SERVER[0])

    def test_delivery(self) -> None:
        """
        What one sends reaches the other after the latency, with the address
        that it came from, and so does the answer.
        """
        client = self.client(port=5000)
        client.transport.write(b"question", SERVER)
        self.network.advance(0.024)
        self.assertEqual(self.server.received, [])
        self.network.advance(0.001)
        self.assertEqual(self.server.received, [(0.025, b"question", ("10.0.0.2", 5000))])
        self.network.advance(1)
        self.assertEqual(client.received, [(0.05, b"question", SERVER)])

    def test_startProtocol(self) -> None:
        """
        A protocol may write as soon as it is started.
        """
        client = Asking(self.network)
        self.network.listenUDP(0, client)
        self.network.advance(0.1)
        self.assertEqual([datagram for _, datagram, _ in client.received], [b"question"])

    def test_ipv6(self) -> None:
        """
        It carries IPv6, and no mixture.
        """
        server, client = Recorder(self.network), Recorder(self.network)
        self.network.listenUDP(53, server, "2001:db8::1")
        self.network.listenUDP(54, client, "2001:db8::2")
        client.transport.write(b"question", ("2001:db8::1", 53))
        self.network.advance(1)
        self.assertEqual(server.received, [(0.025, b"question", ("2001:db8::2", 54))])
        for source, destination in (
            (client, SERVER),
            (self.server, ("2001:db8::1", 53)),
            (self.server, ("example.test", 53)),
        ):
            self.assertRaises(InvalidAddressError, source.transport.write, b"question", destination)

    def test_unreachable(self) -> None:
        """
        What is sent to where nobody listens is gone.
        """
        client = self.client()
        client.transport.write(b"question", ("10.0.0.99", 1))
        self.network.advance(1)
        self.assertEqual(client.received, [])
        (direction,) = self.network.directions.values()
        self.assertEqual(direction.delivered, 1)

    def test_connected(self) -> None:
        """
        A connected port needs no address, and takes nothing from others.
        """
        client = self.client(port=5000)
        client.transport.connect(*SERVER)
        client.transport.write(b"question")
        other = self.client("10.0.0.3")
        other.transport.write(b"forged", ("10.0.0.2", 5000))
        self.network.advance(1)
        self.assertEqual(client.received, [(0.05, b"question", SERVER)])

    def test_notConnected(self) -> None:
        """
        Without an address there is nowhere to send to.
        """
        self.assertRaises(OSError, self.client().transport.write, b"question")

    def test_tooLong(self) -> None:
        """
        There is a longest datagram.
        """
        self.network.setConditions(Conditions())
        client = self.client()
        client.transport.write(bytes(MAX_DATAGRAM), SERVER)
        self.assertRaises(
            MessageLengthError, client.transport.write, bytes(MAX_DATAGRAM + 1), SERVER
        )

    def test_maxPacketSize(self) -> None:
        """
        What is longer than a port wants is cut off.
        """
        port = self.listen(5000, "10.0.0.5", 10)
        self.client().transport.write(b"0123456789ab", ("10.0.0.5", 5000))
        self.network.advance(1)
        protocol = port._protocol
        assert isinstance(protocol, Recorder)
        self.assertEqual(protocol.received[0][1], b"0123456789")

    def test_closed(self) -> None:
        """
        A closed port neither gets what is under way nor sends; its protocol is
        told a turn of the clock later.
        """
        client = self.client(port=5000)
        client.transport.write(b"question", SERVER)
        self.network.advance(0.03)
        port = client.transport
        self.assertIsNone(self.successResultOf(port.stopListening()))
        self.assertFalse(client.stopped)
        self.assertRaises(OSError, port.write, b"question", SERVER)
        self.network.advance(1)
        self.assertTrue(client.stopped)
        self.assertEqual(client.received, [])
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_reopened(self) -> None:
        """
        Who listens next at an address gets what was under way to it, as on a
        real one.
        """
        self.client().transport.write(b"question", SERVER)
        self.serverPort.stopListening()
        again = Recorder(self.network)
        self.network.listenUDP(SERVER[1], again, SERVER[0])
        self.network.advance(1)
        self.assertEqual([datagram for _, datagram, _ in again.received], [b"question"])
        self.assertEqual(self.server.received, [])

    def test_peerSends(self) -> None:
        """
        The test can give a port what nobody has sent.
        """
        self.serverPort.peerSends(b"forged", "10.0.0.66", 1)
        self.assertEqual(self.server.received, [(0.0, b"forged", ("10.0.0.66", 1))])


class ClockTests(NetworkTests):
    """
    One clock for datagrams and timers.
    """

    def test_order(self) -> None:
        """
        However far the test moves the clock at once, each call and each
        datagram sees the time at which it is due, in order.
        """
        self.make(latency=20)
        seen: list[tuple[str, float]] = []

        def timer(name: str) -> None:
            seen.append((name, round(self.network.seconds(), 6)))

        client = self.client()
        for delay in (0.1, 0.039, 0.041):
            self.network.callLater(delay, timer, f"after {delay}")
        client.datagramReceived = lambda datagram, addr: timer("answer")  # type: ignore[method-assign]
        client.transport.write(b"question", SERVER)
        self.network.advance(10)
        self.assertEqual(
            seen,
            [("after 0.039", 0.039), ("answer", 0.04), ("after 0.041", 0.041), ("after 0.1", 0.1)],
        )
        self.assertEqual(self.network.seconds(), 10)

    def test_small(self) -> None:
        """
        Many small moves of the clock do the same as a large one, though
        floating point errs.
        """
        arrivals = []
        for moves, amount in ((1, 1.0), (1000, 0.001), (3000, 1 / 3000)):
            self.make(latency=20, jitter=5, seed=1)
            client = self.client()
            for number in range(20):
                self.network.callLater(number / 100, client.transport.write, b"%d" % number, SERVER)
            for _ in range(moves):
                self.network.advance(amount)
            arrivals.append(client.received)
        self.assertEqual(len(arrivals[0]), 20)
        self.assertEqual(arrivals[0], arrivals[1])
        self.assertEqual(arrivals[0], arrivals[2])

    def test_exactly(self) -> None:
        """
        What is due when the clock stops has happened, though a sum of floats
        falls short of it.
        """
        self.make(latency=800)
        self.client().transport.write(b"question", SERVER)
        for _ in range(8):
            self.network.advance(0.1)
        self.assertLess(sum([0.1] * 8), 0.8)
        self.assertEqual(len(self.server.received), 1)

    def test_beyond(self) -> None:
        """
        Nor does it take a millisecond longer where a sum goes beyond.
        """
        self.make(latency=25)
        for amount in (0.1, 0.2):
            self.network.advance(amount)
        self.assertGreater(self.network.seconds(), 0.3)
        self.client().transport.write(b"question", SERVER)
        self.network.advance(1)
        self.assertEqual(self.server.received[0][0], 0.325)

    def test_between(self) -> None:
        """
        What is sent between two milliseconds takes its latency at least.
        """
        self.make(latency=20)
        client = self.client()
        self.network.callLater(0.0104, client.transport.write, b"x", SERVER)
        self.network.advance(1)
        self.assertEqual(self.server.received[0][0], 0.031)

    def test_everyMillisecond(self) -> None:
        """
        What is sent at a millisecond arrives just its latency later, whichever
        it is: floating point does not make it one more or less.
        """
        self.make(latency=29)
        client = self.client()
        for number in range(2000):
            self.network.callLater(number / 1000, client.transport.write, b"x", SERVER)
        self.network.advance(3)
        arrivals = [round(time * 1000) for time, _, _ in self.server.received]
        self.assertEqual(arrivals, list(range(29, 2029)))

    def test_sooner(self) -> None:
        """
        What is sent later may arrive sooner, on another way.
        """
        self.make()
        self.network.setConditions(Conditions(latency=500), "10.0.0.2")
        for host in ("10.0.0.2", "10.0.0.3"):
            self.client(host).transport.write(b"question", SERVER)
        self.network.advance(1)
        arrivals = [(time, addr[0]) for time, _, addr in self.server.received]
        self.assertEqual(arrivals, [(0.025, "10.0.0.3"), (0.5, "10.0.0.2")])

    def test_cancelled(self) -> None:
        """
        Calls can be put off and cancelled, as on any clock.
        """
        self.make()
        seen: list[str] = []
        late, cancelled = (self.network.callLater(1, seen.append, name) for name in "ab")
        self.network.callLater(2, seen.append, "c")
        late.reset(3)
        cancelled.cancel()
        self.network.advance(4)
        self.assertEqual(seen, ["c", "a"])
        self.assertFalse(late.active())

    def test_until(self) -> None:
        """
        It runs until something is so, and says how long that took.
        """
        self.make(latency=25)
        self.network.advance(3)
        client = self.client()
        client.transport.write(b"question", SERVER)
        took = self.network.advanceUntil(lambda: bool(client.received), 10)
        self.assertAlmostEqual(took, 0.05)
        self.assertAlmostEqual(self.network.seconds(), 3.05)
        self.assertEqual(self.network.advanceUntil(lambda: True, 10), 0)

    def test_tooLong(self) -> None:
        """
        It fails when something is not so in time, and says what makes the same
        happen again.
        """
        self.make(loss=1.0, seed=77)
        self.network.listenUDP(0, Asking(self.network))
        with pytest.raises(NoProgress) as caught:
            self.network.advanceUntil(lambda: bool(self.server.received), 1.5)
        self.assertIn("1.5 s", str(caught.value))
        self.assertIn(repr(self.network), str(caught.value))
        self.assertIn("8 sent, 8 lost", str(caught.value))
        self.assertIn("loss=1.0", repr(self.network))
        self.assertIn("seed=77", repr(self.network))

    def test_liveLock(self) -> None:
        """
        Calls that keep coming without time passing fail instead of hanging.
        """
        self.make(seed=78)
        calls = 0

        def again() -> None:
            nonlocal calls
            calls += 1
            self.network.callLater(0, again)

        again()
        with pytest.raises(NoProgress) as caught:
            self.network.advance(1)
        self.assertIn(repr(self.network), str(caught.value))
        self.assertEqual(calls, CALLS_AT_ONCE + 1)

    def test_atOnce(self) -> None:
        """
        So do protocols that answer each other for ever in no time.
        """
        self.make(latency=0)
        other = Echo(self.network)
        self.network.listenUDP(0, other).write(b"x", SERVER)
        self.assertRaises(NoProgress, self.network.advance, 1)
        self.assertEqual(self.network.seconds(), 0)

    def test_busy(self) -> None:
        """
        Any number of calls may come if time passes between them.
        """
        self.make()
        calls = 0

        def again() -> None:
            nonlocal calls
            calls += 1
            self.network.callLater(0, list)
            self.network.callLater(0.0001, again)

        again()
        self.network.advance(0.0001 * CALLS_AT_ONCE * 2)
        self.assertGreater(calls, CALLS_AT_ONCE * 1.99)

    def test_faults(self) -> None:
        """
        A fault of a protocol goes to the test, with what makes it happen
        again; what else is under way still arrives.
        """
        self.make(seed=79)
        client = self.client()
        for datagram in (b"x", b"y"):
            client.transport.write(datagram, SERVER)
        self.server.datagramReceived = lambda datagram, addr: 1 // 0  # type: ignore[assignment, method-assign]
        with pytest.raises(ZeroDivisionError) as caught:
            self.network.advance(1)
        self.assertIn(repr(self.network), "".join(caught.value.__notes__))
        del self.server.datagramReceived
        self.network.advance(1)
        self.assertEqual([datagram for _, datagram, _ in self.server.received], [b"y"])


class ConditionsTests(NetworkTests):
    """
    What the network does to datagrams, and to whose.
    """

    def send(self, *clients: Recorder) -> list[str]:
        """
        Let clients send to the server.

        @return: The hosts from which something has arrived there.
        """
        self.server.received.clear()
        for client in clients:
            client.transport.write(b"question", SERVER)
        self.network.advance(1)
        return [addr[0] for _, _, addr in self.server.received]

    def test_given(self) -> None:
        """
        It is made with the conditions of all ways.
        """
        conditions = Conditions(latency=7, loss=[1])
        for given, more in (((conditions,), {}), ((), {"latency": 7, "loss": [1]})):
            network = self.make(*given, **more)
            client = self.client()
            self.assertEqual(self.send(client, client, client), ["10.0.0.2"] * 2)
            self.assertEqual(self.server.received[0][0], 0.007)
            self.assertEqual(
                {each.conditions for each in network.directions.values()}, {conditions}
            )

    def test_blackhole(self) -> None:
        """
        All can vanish for a time, on ways that are in use and on new ones.
        """
        self.make()
        first, second = self.client("10.0.0.2"), self.client("10.0.0.3")
        self.assertEqual(self.send(first), ["10.0.0.2"])
        self.network.setConditions(Conditions(loss=1.0))
        self.assertEqual(self.send(first, second), [])
        self.network.setConditions(Conditions())
        self.assertEqual(self.send(first, second), ["10.0.0.2", "10.0.0.3"])

    def test_schedule(self) -> None:
        """
        Blackholes count from the beginning, whenever a way was first used.
        """
        self.make(latency=0, blackholes=[(1500, 2500)])
        clients = [self.client(f"10.0.0.{number}") for number in range(2, 5)]
        self.network.advance(0.9)
        self.assertEqual(
            [self.send(client) for client in clients], [["10.0.0.2"], [], ["10.0.0.4"]]
        )

    def test_host(self) -> None:
        """
        One host's can vanish, in one direction.
        """
        self.make()
        first, second = self.client("10.0.0.2"), self.client("10.0.0.3")
        self.network.setConditions(Conditions(loss=1.0), destination="10.0.0.3")
        self.assertEqual(self.send(first, second), ["10.0.0.2", "10.0.0.3"])
        self.assertEqual([len(first.received), len(second.received)], [1, 0])
        self.network.setConditions(Conditions(loss=1.0), "10.0.0.2", "10.0.0.99")
        self.assertEqual(self.send(first, second), ["10.0.0.2", "10.0.0.3"])
        self.network.setConditions(Conditions(loss=1.0), "10.0.0.2", SERVER[0])
        self.assertEqual(self.send(first, second), ["10.0.0.3"])

    def test_address(self) -> None:
        """
        So can those of one port, among several of the same host.
        """
        self.make()
        first, second = self.client(port=5000), self.client(port=5001)
        self.network.setConditions(Conditions(loss=1.0), ("10.0.0.2", 5001))
        self.send(first, second)
        self.assertEqual([addr[1] for _, _, addr in self.server.received], [5000])

    def test_last(self) -> None:
        """
        What was set last is in force, also on ways that are used later, and
        however often it has been set before.
        """
        self.make()
        known = self.client("10.0.0.2")
        self.send(known)
        lost, kept = Conditions(loss=1.0), Conditions()
        for conditions, source in ((kept, None), (lost, "10.0.0.2"), (lost, "10.0.0.3")):
            self.network.setConditions(conditions, source)
        new = self.client("10.0.0.3")
        self.assertEqual(self.send(known, new), [])
        self.network.setConditions(kept)
        newer = self.client("10.0.0.3")
        self.assertEqual(self.send(known, new, newer), ["10.0.0.2", "10.0.0.3", "10.0.0.3"])
        self.network.setConditions(lost, "10.0.0.2")
        self.assertEqual(self.send(known, self.client("10.0.0.2")), [])

    def test_counts(self) -> None:
        """
        Each way counts what it carries.
        """
        self.make(loss=[0])
        client = self.client(port=5000)
        self.send(client, client, client)
        way = self.network.directions[("10.0.0.2", 5000), SERVER]
        back = self.network.directions[SERVER, ("10.0.0.2", 5000)]
        self.assertEqual((way.sent, way.lost, way.delivered), (3, 1, 2))
        self.assertEqual((back.sent, back.lost, back.delivered), (2, 1, 1))

    def test_lossy(self) -> None:
        """
        As much is lost as was asked for.
        """
        self.make(loss=0.2, seed=5)
        client = self.client()
        arrived = len(self.send(*[client] * 5000))
        self.assertTrue(3850 < arrived < 4150, arrived)

    def test_apart(self) -> None:
        """
        One client's losses are not another's.
        """
        self.make(loss=0.5)
        clients = [self.client("10.0.0.2"), self.client("10.0.0.3")]
        fates: list[list[bool]] = [[], []]
        for _ in range(50):
            arrived = self.send(*clients)
            for fate, host in zip(fates, ("10.0.0.2", "10.0.0.3"), strict=True):
                fate.append(host in arrived)
        self.assertNotEqual(*fates)

    def test_same(self) -> None:
        """
        The same seed gives the same again, in whatever order ways are first
        used; another gives something else.
        """
        outcomes = []
        for seed, order in ((1, (0, 1)), (1, (1, 0)), (2, (0, 1))):
            self.make(loss=0.3, jitter=30, duplicate=0.1, reorder=0.1, seed=seed)
            clients = [self.client("10.0.0.2", 5000), self.client("10.0.0.3", 5000)]
            for _ in range(50):
                for number in order:
                    clients[number].transport.write(b"question", SERVER)
                self.network.advance(0.01)
            self.network.advance(1)
            outcomes.append([client.received for client in clients])
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertNotEqual(outcomes[0], outcomes[2])
        self.assertNotEqual(len(outcomes[0][0]), 0)


class RebindTests(NetworkTests):
    """
    Ports that move.
    """

    def setUp(self) -> None:
        self.make(latency=25)
        self.user = self.client(port=5000)

    def test_port(self) -> None:
        """
        A port gets another number; its protocol goes on, and the server sees
        the new address and reaches it there.
        """
        address = self.network.rebind(self.user.transport)
        self.assertEqual(address, ("10.0.0.2", FIRST_PORT))
        self.assertEqual(self.user.transport.getHost().port, FIRST_PORT)
        self.user.transport.write(b"question", SERVER)
        self.network.advance(1)
        self.assertEqual([addr for _, _, addr in self.server.received], [address])
        self.assertEqual(len(self.user.received), 1)
        self.assertFalse(self.user.stopped)

    def test_again(self) -> None:
        """
        Each time it is another number than before.
        """
        first, second = (self.network.rebind(self.user.transport) for _ in range(2))
        self.assertNotEqual(first, second)

    def test_chosen(self) -> None:
        """
        The test may say where it goes; the old address is free then.
        """
        self.assertEqual(
            self.network.rebind(self.user.transport, "10.0.0.8", 6000), ("10.0.0.8", 6000)
        )
        self.client(port=5000)

    def test_underWay(self) -> None:
        """
        What is under way to the old address does not arrive.
        """
        self.user.transport.write(b"question", SERVER)
        self.network.advance(0.03)
        self.network.rebind(self.user.transport)
        self.network.advance(1)
        self.assertEqual(len(self.server.received), 1)
        self.assertEqual(self.user.received, [])

    def test_impossible(self) -> None:
        """
        It cannot move to where another is, nor when it is closed, and stays
        where it is then.
        """
        self.assertRaises(CannotListenError, self.network.rebind, self.user.transport, *SERVER)
        self.user.transport.write(b"question", SERVER)
        self.network.advance(1)
        self.assertEqual(len(self.user.received), 1)
        port = self.user.transport
        port.stopListening()
        self.assertRaises(OSError, self.network.rebind, port)

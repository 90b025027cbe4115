"""
Ports for batches of datagrams, over real sockets.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface import implementer

from socksproxy.kcp.port import Address, Batch, BatchPort, BatchProtocol, listenBatches

LOOPBACK = "127.0.0.1"
ROUNDS = 120
ROUND = 32
"""
Datagrams that are under way at a time: as many as the smallest receive buffer
has room for.
"""

MODES = {
    "both": {},
    "coalescing": {"segmenting": False},
    "neither": {"offload": False},
}
"""
What a port uses of the kernel's help.
"""


class Collector(BatchProtocol):
    """
    A protocol that waits for datagrams.

    @ivar received: What has come, in order: datagrams, and where from.
    @ivar batches: How many batches that were.
    @ivar answers: What comes is sent back.
    """

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Address]] = []
        self.batches = 0
        self.answers = False
        self._wanted = 0
        self._waiting: Deferred[None] = Deferred()

    def came(self, count: int) -> Deferred[None]:
        """
        Wait until there are so many datagrams in all.
        """
        self._wanted = count
        self._waiting = Deferred()
        self._look()
        return self._waiting

    def batchReceived(self, batch: Batch) -> None:
        self.batches += 1
        for address, datagrams in batch:
            self.received += [(datagram, address) for datagram in datagrams]
            if self.answers:
                assert self.transport is not None
                self.transport.writeBatch(datagrams, address)
        self._look()

    def _look(self) -> None:
        if len(self.received) >= self._wanted and not self._waiting.called:
            self._waiting.callback(None)


@implementer(IReactorUDP)
class OtherReactor:
    """
    A reactor with descriptors that are nobody's business.
    """

    def listenUDP(self, *arguments: Any) -> Any:
        """
        See C{IReactorUDP}.
        """
        return reactor.listenUDP(*arguments)


def lengths(seed: int) -> list[int]:
    """
    Give the lengths of some datagrams: full ones, mostly, among all sorts.
    """
    chance = random.Random(seed)
    mixed: list[int] = []
    while len(mixed) < ROUND:
        full = chance.choice((1350, 1350, 1200, 40))
        mixed += [full] * chance.randrange(1, 12)
        mixed.append(chance.choice((0, 1, chance.randrange(2, 1350), full + 1, 2000)))
    return mixed[:ROUND]


class PortTestCase(TestCase):
    """
    Tests with ports on this host.
    """

    timeout = 30

    def listen(
        self,
        interface: str = LOOPBACK,
        port: int = 0,
        segmenting: bool = True,
        on: Any = reactor,
        **options: Any,
    ) -> tuple[Any, Collector]:
        """
        Open a port.

        @param segmenting: It may use what it has found there is for sending.
        """
        protocol = Collector()
        opened: Any = listenBatches(on, port, protocol, interface, **options)
        self.addCleanup(opened.stopListening)
        if not segmenting:
            opened.segmenting = False
        return opened, protocol


class TransferTests(PortTestCase):
    """
    Datagrams from one port to another.
    """

    @inlineCallbacks
    def transferred(
        self, sender: Any, receiver: Any, sink: Collector
    ) -> Generator[Deferred[None], None, None]:
        """
        Send thousands of datagrams of mixed sizes, and see that each arrives
        once, in order.
        """
        target = (receiver.getHost().host, receiver.getHost().port)
        source = (sender.getHost().host, sender.getHost().port)
        sent: list[tuple[bytes, Address]] = []
        for number in range(ROUNDS):
            batch = [
                bytes([number, place] * (length // 2 + 1))[:length]
                for place, length in enumerate(lengths(number))
            ]
            self.assertEqual(sender.writeBatch(batch, target), len(batch))
            sent += [(datagram, source) for datagram in batch]
            yield sink.came(len(sent))
        self.assertTrue(sink.received == sent)
        self.assertEqual((dict(sender.sendErrors), dict(receiver.receiveErrors)), ({}, {}))

    @inlineCallbacks
    def test_modes(self) -> Generator[Deferred[None], None, None]:
        """
        Whatever help of the kernel's the two of them use.
        """
        for sending in MODES.values():
            for receiving in MODES.values():
                sender, _ = self.listen(**sending)
                receiver, sink = self.listen(**receiving)
                yield self.transferred(sender, receiver, sink)

    @inlineCallbacks
    def test_ipv6(self) -> Generator[Deferred[None], None, None]:
        """
        Over IPv6 as well.
        """
        try:
            sender, _ = self.listen("::1")
        except CannotListenError as e:
            raise SkipTest("there is no IPv6") from e
        receiver, sink = self.listen("::1")
        yield self.transferred(sender, receiver, sink)

    @inlineCallbacks
    def test_otherReactor(self) -> Generator[Deferred[None], None, None]:
        """
        Between a reactor that has its own ways and one that leaves us ours.
        """
        ours, here = self.listen()
        others, there = self.listen(on=OtherReactor())
        self.assertNotIsInstance(others, BatchPort)
        yield self.transferred(ours, others, there)
        yield self.transferred(others, ours, here)

    @inlineCallbacks
    def test_coalesced(self) -> Generator[Deferred[None], None, None]:
        """
        A run is received at once, if this kernel can.
        """
        sender, _ = self.listen()
        receiver, sink = self.listen()
        if not (sender.segmenting and receiver.coalescing):
            raise SkipTest("this kernel has no UDP_SEGMENT or no UDP_GRO")
        sender.writeBatch([bytes(1000)] * 40, (LOOPBACK, receiver.getHost().port))
        yield sink.came(40)
        self.assertEqual(sink.batches, 1)
        self.assertTrue(sender.segmenting)

    @inlineCallbacks
    def test_answers(self) -> Generator[Deferred[None], None, None]:
        """
        A port answers several others, each with what is its own.
        """
        server, echo = self.listen()
        echo.answers = True
        clients = [self.listen(**mode) for mode in MODES.values()]
        for number in range(20):
            for place, (client, _) in enumerate(clients):
                batch = [bytes([place, number]) * 300] * 9 + [bytes([place, number])]
                client.writeBatch(batch, (LOOPBACK, server.getHost().port))
            for _, protocol in clients:
                yield protocol.came(10 * (number + 1))
        for place, (_, protocol) in enumerate(clients):
            self.assertEqual({data[0] for data, _ in protocol.received}, {place})
            self.assertEqual(len(protocol.received), 200)

    @inlineCallbacks
    def test_longest(self) -> Generator[Deferred[None], None, None]:
        """
        The longest datagram there is arrives whole; a longer one is lost, and
        keeps nothing else from going.
        """
        sender, _ = self.listen()
        receiver, sink = self.listen()
        batch = [bytes(65508), bytes(65507), b"next"]
        self.assertEqual(sender.writeBatch(batch, (LOOPBACK, receiver.getHost().port)), 2)
        self.assertEqual(dict(sender.sendErrors), {"EMSGSIZE": 1})
        yield sink.came(2)
        self.assertEqual([len(data) for data, _ in sink.received], [65507, 4])


class AddressTests(PortTestCase):
    """
    What addresses look like.
    """

    @inlineCallbacks
    def roundTrip(self, here: str, there: str) -> Generator[Deferred[None], None, Any]:
        """
        Send a batch from a port on all IPv6 addresses to one that answers.

        @param here: How the other port is reached.
        @param there: Where it listens.
        @return: From where the answer came.
        """
        wide, collector = self.listen("::")
        other, echo = self.listen(there)
        echo.answers = True
        wide.writeBatch([b"aa", b"bb", b"c"], (here, other.getHost().port))
        yield collector.came(3)
        self.assertEqual([data for data, _ in collector.received], [b"aa", b"bb", b"c"])
        return {address[0] for _, address in collector.received}

    @inlineCallbacks
    def test_mapped(self) -> Generator[Deferred[None], Any, None]:
        """
        A port on all IPv6 addresses sees IPv4 hosts as mapped ones, and
        reaches them so.
        """
        setting = Path("/proc/sys/net/ipv6/bindv6only")
        if not (setting.exists() and setting.read_text().strip() == "0"):
            raise SkipTest("IPv6 sockets do not carry IPv4 here")
        mapped = f"::ffff:{LOOPBACK}"
        self.assertEqual((yield self.roundTrip(mapped, LOOPBACK)), {mapped})

    @inlineCallbacks
    def test_linkLocal(self) -> Generator[Deferred[None], Any, None]:
        """
        A link-local host can be answered at the address that it came from.
        """
        host = self.linkLocal()
        self.assertEqual((yield self.roundTrip(host, "::")), {host})

    def linkLocal(self) -> str:
        """
        Find a link-local address of this host's.
        """
        table = Path("/proc/net/if_inet6")
        for line in table.read_text().splitlines() if table.exists() else ():
            packed, index, _, scope, flags, _ = line.split()
            # Not one that is tentative, or has turned out to be taken.
            if scope == "20" and not int(flags, 16) & 0x48:
                text = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(packed))
                return f"{text}%{int(index, 16)}"
        raise SkipTest("this host has no link-local address")


class PortTests(PortTestCase):
    """
    The port itself.
    """

    def test_taken(self) -> None:
        """
        A port that is taken cannot be had.
        """
        opened, _ = self.listen()
        self.assertRaises(CannotListenError, self.listen, port=opened.getHost().port)

    def test_bufferSizes(self) -> None:
        """
        The socket's buffers grow.
        """
        small, _ = self.listen(bufferSize=40000)
        for on in (reactor, OtherReactor()):
            large, _ = self.listen(bufferSize=160000, on=on)
            handle = large.getHandle() if on is reactor else large.transport.getHandle()
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                size = handle.getsockopt(socket.SOL_SOCKET, option)
                self.assertGreater(size, small.getHandle().getsockopt(socket.SOL_SOCKET, option))

    def test_kernel(self) -> None:
        """
        A kernel of the last years offers both.
        """
        if sys.platform != "linux":
            raise SkipTest("only Linux does")
        opened, _ = self.listen()
        self.assertEqual((opened.segmenting, opened.coalescing), (True, True))

    @inlineCallbacks
    def test_stoppedByBatch(self) -> Generator[Deferred[None], None, None]:
        """
        It may be stopped by what it receives, with more waiting, and then
        receives nothing more.
        """
        sender, _ = self.listen()
        receiver, sink = self.listen(offload=False)
        stopped: list[Deferred[None]] = []
        took = sink.batchReceived

        def stop(batch: Batch) -> None:
            stopped.append(receiver.stopListening())
            took(batch)

        self.patch(sink, "batchReceived", stop)
        sender.writeBatch([bytes(900)] * 100, (LOOPBACK, receiver.getHost().port))
        yield sink.came(1)
        yield stopped[0]
        self.assertEqual(sink.batches, 1)
        self.assertIsNone(sink.transport)
        self.assertEqual(receiver.fileno(), -1)

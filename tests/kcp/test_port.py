"""
Tests for L{socksproxy.kcp.port}.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IReactorFDSet, IReadDescriptor
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.kcp import port as module
from socksproxy.kcp._offload import MAX_RUN, MAX_SEGMENTS, UDP_GRO, UDP_SEGMENT
from socksproxy.kcp.port import (
    BUFFER_SIZE,
    MAX_READS,
    Batch,
    BatchPort,
    BatchProtocol,
    IBatchTransport,
    listenBatches,
)
from socksproxy.testing import ScriptedNetwork
from tests.logs import atLevel, captured
from tests.relay.scriptedsockets import ScriptedSocket

PEER = ("192.0.2.1", 4000)
OTHER = ("192.0.2.2", 4000)
UDP = socket.IPPROTO_UDP


def error(number: int) -> OSError:
    """
    Make the error of a number.
    """
    return OSError(number, os.strerror(number))


def segmented(size: int) -> list[tuple[int, int, bytes]]:
    """
    Say how long the datagrams are which are received as one.
    """
    return [(UDP, UDP_GRO, struct.pack("=i", size))]


class KernelSocket(ScriptedSocket):
    """
    A socket of a kernel that segments and coalesces.

    @ivar runs: How many datagrams have been sent with each call.
    @ivar refusingRuns: What sending several raises, if anything.
    @ivar sending: Called with each datagram that is sent alone; it may raise
        an error.
    @ivar coalesced: What there is to receive: octets, ancillary data and where
        from, and errors.
    @ivar refusedOptions: Options that it does not know.
    @ivar pretends: It takes options that it does not know.
    @ivar largest: The largest buffer that it has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[int] = []
        self.refusingRuns: Exception | None = None
        self.sending: Callable[[bytes], object] = len
        self.coalesced: list[tuple[bytes, Any, tuple[Any, ...]] | Exception] = []
        self.refusedOptions: set[int] = set()
        self.pretends = False
        self.largest = 1 << 30

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if level == UDP and option in self.refusedOptions:
            if self.pretends:
                return
            raise error(errno.ENOPROTOOPT)
        if level == socket.SOL_SOCKET and value > self.largest:
            raise error(errno.ENOBUFS)
        super().setsockopt(level, option, value)

    def sendto(self, data: bytes, address: Any) -> int:
        if self.closed:
            raise error(errno.EBADF)
        self.sending(data)
        self.runs.append(1)
        return super().sendto(data, address)

    def sendmsg(
        self, buffers: Sequence[bytes], ancillary: Any, flags: int, address: tuple[str, int]
    ) -> int:
        """
        Send several datagrams as one, by the kernel's rules.
        """
        if self.closed:
            raise error(errno.EBADF)
        if self.refusingRuns is not None:
            raise self.refusingRuns
        ((level, kind, value),) = ancillary
        assert (level, kind, flags, len(value)) == (UDP, UDP_SEGMENT, 0, 2)
        (size,) = struct.unpack("=H", value)
        assert size > 0
        data = b"".join(buffers)
        if len(data) > 65507:
            raise error(errno.EMSGSIZE)
        if len(data) > size * 64:
            raise error(errno.EINVAL)
        cut = [(data[start : start + size], address) for start in range(0, len(data), size)]
        self.sent += cut
        self.runs.append(len(cut))
        return len(data)

    def recvmsg(self, size: int, ancillarySize: int) -> tuple[Any, ...]:
        """
        Receive, or raise an error.
        """
        assert (size, ancillarySize >= socket.CMSG_SPACE(4)) == (65535, True)
        if not self.coalesced:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        arrived = self.coalesced.pop(0)
        if isinstance(arrived, Exception):
            raise arrived
        data, ancillary, address = arrived
        return data, ancillary, 0, address


@implementer(IReactorFDSet)
class Readers(Clock):
    """
    The parts of a reactor that look after descriptors and time.

    @ivar readers: Those that are read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        pass


class Batches(BatchProtocol):
    """
    A protocol that remembers what it was given.

    @ivar batches: What has been received.
    @ivar doing: Called with each batch.
    @ivar stops: How often it was told that its port is closed.
    @ivar refusals: How often it was told that a peer refuses.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.doing: Callable[[Batch], object] = len
        self.stops = 0
        self.refusals = 0

    def batchReceived(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.doing(batch)

    def stopProtocol(self) -> None:
        self.stops += 1

    def connectionRefused(self) -> None:
        self.refusals += 1


class PortTestCase(SynchronousTestCase):
    """
    Tests with a scripted socket, as if on Linux.
    """

    def setUp(self) -> None:
        self.patch(sys, "platform", "linux")
        self.socket = KernelSocket()
        self.patch(BatchPort, "createInternetSocket", lambda port: self.socket)
        self.reactor = Readers()
        self.protocol = Batches()

    def open(self, interface: str = "192.0.2.100", port: int = 5000, **options: Any) -> BatchPort:
        """
        Open a port, for another protocol if there is one already.
        """
        if self.protocol.transport is not None:
            self.protocol = Batches()
        opened = listenBatches(self.reactor, port, self.protocol, interface, **options)
        assert isinstance(opened, BatchPort)
        return opened

    def takeSent(self) -> list[tuple[bytes, Any]]:
        """
        Give what has been sent since.
        """
        sent, self.socket.sent = self.socket.sent, []
        return sent


class OpenTests(PortTestCase):
    """
    Opening one.
    """

    def test_interfaces(self) -> None:
        """
        It is a descriptor, a port and a transport for batches.
        """
        opened = self.open()
        for interface in (IReadDescriptor, IListeningPort, IBatchTransport):
            verifyObject(interface, opened)

    def test_opened(self) -> None:
        """
        It is on the address that was asked for, is read, and its protocol
        knows it.
        """
        for interface in ("192.0.2.100", "2001:db8::1"):
            self.setUp()
            opened = self.open(interface)
            self.assertEqual(self.socket.bound, (interface, 5000))
            self.assertEqual(self.reactor.readers, [opened])
            self.assertIs(self.protocol.transport, opened)
            self.assertEqual(opened.fileno(), 7)
            host = opened.getHost()
            self.assertEqual((host.type, host.host, host.port), ("UDP", interface, 5000))

    def test_buffers(self) -> None:
        """
        The socket's buffers are as large as is asked for, or as they can be
        where the system refuses what is too large.
        """
        for asked, largest, size in (
            ({}, 1 << 30, BUFFER_SIZE),
            ({"bufferSize": 100000}, 1 << 30, 100000),
            ({}, 2_000_000, BUFFER_SIZE // 4),
            ({}, 0, 0),
        ):
            self.setUp()
            self.socket.largest = largest
            self.open(**asked)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.assertEqual(self.socket.getsockopt(socket.SOL_SOCKET, option), size)

    def test_offloads(self) -> None:
        """
        What the kernel offers is used: datagrams are coalesced for the whole
        socket, and segmented only with the calls that ask for it.
        """
        opened = self.open()
        self.assertTrue(opened.segmenting)
        self.assertTrue(opened.coalescing)
        self.assertEqual(self.socket.getsockopt(UDP, UDP_GRO), 1)
        self.assertEqual(self.socket.getsockopt(UDP, UDP_SEGMENT), 0)

    def test_oldKernel(self) -> None:
        """
        What the kernel does not know is not used.
        """
        for refused, segmenting, coalescing in (
            ({UDP_SEGMENT}, False, True),
            ({UDP_GRO}, True, False),
            ({UDP_SEGMENT, UDP_GRO}, False, False),
        ):
            self.setUp()
            self.socket.refusedOptions = refused
            opened = self.open()
            self.assertEqual((opened.segmenting, opened.coalescing), (segmenting, coalescing))

    def test_pretended(self) -> None:
        """
        Segmentation is not believed in where the option is accepted, but not
        kept: such a system would send a run as one datagram.
        """
        self.socket.refusedOptions = {UDP_SEGMENT}
        self.socket.pretends = True
        self.assertFalse(self.open().segmenting)

    def test_noOffload(self) -> None:
        """
        Nothing of it is tried where it is not wanted, or not on Linux, whose
        numbers mean something else elsewhere.
        """
        for offload, platform in ((False, "linux"), (True, "darwin"), (True, "win32")):
            self.setUp()
            self.patch(sys, "platform", platform)
            opened = self.open(offload=offload)
            self.assertFalse(opened.segmenting or opened.coalescing)
            self.assertEqual([option for option in self.socket.options if option[0] == UDP], [])

    def test_notToBeHad(self) -> None:
        """
        Where none is to be had nothing is left open, and the error says what
        was asked for.
        """
        failure = self.assertRaises(CannotListenError, self.open, port=1)
        self.assertEqual((failure.interface, failure.port), ("192.0.2.100", 1))
        self.assertEqual(failure.socketError.errno, errno.EACCES)
        self.assertTrue(self.socket.closed)
        self.assertEqual(self.reactor.readers, [])
        self.assertIsNone(self.protocol.transport)

    def test_noSocket(self) -> None:
        """
        The same goes for a process that has no descriptor left.
        """

        def none(port: BatchPort) -> None:
            raise error(errno.EMFILE)

        self.patch(BatchPort, "createInternetSocket", none)
        failure = self.assertRaises(CannotListenError, self.open)
        self.assertEqual(failure.socketError.errno, errno.EMFILE)

    def test_names(self) -> None:
        """
        A local address is numeric.
        """
        self.assertRaises(InvalidAddressError, self.open, "localhost")

    def test_quiet(self) -> None:
        """
        Nothing is logged when it opens and closes, unless its protocol is
        noisy.
        """
        for noisy in (False, True):
            self.setUp()
            self.protocol.noisy = noisy
            with captured() as events:
                self.open().stopListening()
                self.reactor.advance(0)
            logged = [formatEvent(event) for event in events]
            self.assertEqual("Batches (UDP) starting on 5000" in logged, noisy)
            self.assertEqual("Batches (UDP) on 5000 closed" in logged, noisy)
            self.assertEqual(bool(logged), noisy)


class ReadTests(PortTestCase):
    """
    Datagrams that come.
    """

    def received(self, *arrived: Any, interface: str = "192.0.2.100") -> Batch:
        """
        Receive what has arrived; it makes one batch.
        """
        opened = self.open(interface)
        self.socket.coalesced += arrived
        opened.doRead()
        (batch,) = self.protocol.batches
        return batch

    def test_coalesced(self) -> None:
        """
        What the kernel has joined is cut; the last datagram may be shorter.
        """
        for last in (b"c", b"cccc"):
            self.setUp()
            batch = self.received((b"aaaabbbb" + last, segmented(4), PEER))
            self.assertEqual(batch, [(PEER, [b"aaaa", b"bbbb", last])])

    def test_single(self) -> None:
        """
        What it has not is not cut, whatever else it tells of it.
        """
        others = [
            [],
            segmented(6),
            segmented(7),
            segmented(0),
            segmented(-1),
            [(UDP, 99, struct.pack("=i", 2))],
            [(socket.SOL_SOCKET, UDP_GRO, struct.pack("=i", 2))],
        ]
        for ancillary in others:
            self.setUp()
            self.assertEqual(
                self.received((b"single", ancillary, PEER)), [(PEER, [b"single"])], ancillary
            )

    def test_otherAncillaryData(self) -> None:
        """
        Nor is anything else in the way of what says where to cut.
        """
        ancillary = [(UDP, 99, b"x"), *segmented(2)]
        self.assertEqual(self.received((b"abc", ancillary, PEER)), [(PEER, [b"ab", b"c"])])

    def test_grouped(self) -> None:
        """
        One batch has all that waited, in order, and is grouped by sender as
        far as their datagrams follow one another.
        """
        batch = self.received(
            (b"1122", segmented(2), PEER),
            (b"", [], PEER),
            (b"33", [], OTHER),
            (b"4", [], PEER),
            (b"5", [], (PEER[0], 4001)),
        )
        self.assertEqual(
            batch,
            [
                (PEER, [b"11", b"22", b""]),
                (OTHER, [b"33"]),
                (PEER, [b"4"]),
                ((PEER[0], 4001), [b"5"]),
            ],
        )

    def test_plain(self) -> None:
        """
        Without the kernel's help the batch is the same.
        """
        opened = self.open(offload=False)
        self.socket.arrived += [(b"1", PEER), (b"2" * 65507, PEER), (b"3", OTHER)]
        opened.doRead()
        batch = [(PEER, [b"1", b"2" * 65507]), (OTHER, [b"3"])]
        self.assertEqual(self.protocol.batches, [batch])

    def test_nothing(self) -> None:
        """
        Nothing is no batch.
        """
        self.open().doRead()
        self.assertEqual(self.protocol.batches, [])

    def test_scope(self) -> None:
        """
        An IPv6 address is host and port, but of a link-local one it must be
        known on which link.
        """
        batch = self.received(
            (b"1", [], ("2001:db8::1", 4000, 7, 0)),
            (b"2", [], ("fe80::1", 4000, 7, 2)),
            (b"3", [], ("fe80::1", 4000, 7, 3)),
            (b"4", [], ("::ffff:192.0.2.1", 4000, 0, 0)),
            interface="::",
        )
        self.assertEqual(
            [address for address, _ in batch],
            [
                ("2001:db8::1", 4000),
                ("fe80::1%2", 4000),
                ("fe80::1%3", 4000),
                ("::ffff:192.0.2.1", 4000),
            ],
        )

    def test_errors(self) -> None:
        """
        Messages of ICMP are passed over and counted.
        """
        refused, unreachable = error(errno.ECONNREFUSED), error(errno.EHOSTUNREACH)
        batch = self.received(refused, (b"1", [], PEER), unreachable, refused, (b"2", [], PEER))
        self.assertEqual(batch, [(PEER, [b"1", b"2"])])
        (opened,) = self.reactor.readers
        self.assertEqual(opened.receiveErrors, Counter(ECONNREFUSED=2, EHOSTUNREACH=1))
        self.assertEqual(self.protocol.refusals, 0)

    def test_connected(self) -> None:
        """
        One that is connected tells its protocol, as any port does.
        """
        opened = self.open()
        opened.connect(*PEER)
        self.socket.coalesced.append(error(errno.ECONNREFUSED))
        opened.doRead()
        self.assertEqual(self.protocol.refusals, 1)

    def test_broken(self) -> None:
        """
        A socket that is none is left to the reactor, which closes the port.
        """
        opened = self.open()
        self.socket.coalesced.append(error(errno.EBADF))
        self.assertRaises(OSError, opened.doRead)

    def test_octetsBounded(self) -> None:
        """
        After 256 KiB others get their turn.
        """
        opened = self.open()
        self.socket.coalesced += [(bytes(65000), segmented(1300), PEER)] * 8
        for _ in range(3):
            opened.doRead()
        counts = [[len(datagrams) for _, datagrams in batch] for batch in self.protocol.batches]
        self.assertEqual(counts, [[250], [150]])

    def test_callsBounded(self) -> None:
        """
        So they do after some calls, even if each gave little or an error.
        """
        opened = self.open()
        self.socket.coalesced += [(b"1", [], PEER), error(errno.ECONNREFUSED)] * MAX_READS
        for _ in range(3):
            opened.doRead()
        counts = [[len(datagrams) for _, datagrams in batch] for batch in self.protocol.batches]
        self.assertEqual(counts, [[MAX_READS // 2], [MAX_READS // 2]])

    def test_failure(self) -> None:
        """
        A protocol that fails is in the log, and gets the next batch.
        """
        opened = self.open()
        self.protocol.doing = lambda batch: 1 // 0
        for data in (b"1", b"2"):
            self.socket.coalesced.append((data, [], PEER))
            with captured() as events:
                opened.doRead()
            text = "A batch of datagrams could not be handled"
            self.assertEqual(atLevel(events, LogLevel.critical), [text])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.protocol.batches, [[(PEER, [b"1"])], [(PEER, [b"2"])]])
        self.assertEqual(self.reactor.readers, [opened])

    def test_stoppedMeanwhile(self) -> None:
        """
        It may be stopped while a batch is handed over.
        """
        opened = self.open()
        self.protocol.doing = lambda batch: opened.stopListening()
        self.socket.coalesced += [(b"1", [], PEER), (b"2", [], OTHER)]
        opened.doRead()
        self.assertEqual(self.protocol.batches, [[(PEER, [b"1"]), (OTHER, [b"2"])]])
        self.assertEqual(self.reactor.readers, [])
        self.reactor.advance(0)
        self.assertEqual((self.protocol.stops, self.socket.closed), (1, True))


class WriteTests(PortTestCase):
    """
    Datagrams that go.
    """

    def setUp(self) -> None:
        super().setUp()
        self.opened = self.open()

    def write(self, *datagrams: bytes, address: tuple[str, int] = PEER) -> int:
        """
        Send a batch.

        @return: How many the port says have been sent.
        """
        return self.opened.writeBatch(datagrams, address)

    def test_run(self) -> None:
        """
        Datagrams of one length are one call; the last may be shorter.
        """
        for last in (b"cc", b"c"):
            self.assertEqual(self.write(b"aa", b"bb", last), 3)
            self.assertEqual(self.takeSent(), [(b"aa", PEER), (b"bb", PEER), (last, PEER)])
        self.assertEqual(self.socket.runs, [3, 3])
        self.assertEqual(self.opened.sendErrors, Counter())

    def test_runs(self) -> None:
        """
        A longer one, and whatever comes after a shorter one, begins a new
        call, and so does an empty one, of which nothing would be left in a
        run.
        """
        for datagrams, runs in (
            ((b"aa", b"b", b"c"), [2, 1]),
            ((b"a", b"bb", b"cc"), [1, 2]),
            ((b"aa", b"b", b"cc", b"d"), [2, 2]),
            ((b"a", b"b", b"", b"c", b"d"), [2, 1, 2]),
            ((b"", b""), [1, 1]),
            ((b"a" * 1300,) * 10, [10]),
            ((b"a",), [1]),
            ((), []),
        ):
            self.socket.runs = []
            self.assertEqual(self.write(*datagrams), len(datagrams))
            self.assertEqual([data for data, _ in self.takeSent()], list(datagrams))
            self.assertEqual(self.socket.runs, runs, datagrams)

    def test_bounds(self) -> None:
        """
        No call has more datagrams or octets than the kernel takes; what is
        longest goes alone.
        """
        for size, count, runs in (
            (10, 130, [MAX_SEGMENTS, MAX_SEGMENTS, 2]),
            (1350, 100, [48, 48, 4]),
            (MAX_RUN // 2, 3, [2, 1]),
            (MAX_RUN // 2 + 1, 2, [1, 1]),
            (65507, 2, [1, 1]),
        ):
            self.socket.runs = []
            self.assertEqual(self.write(*[bytes(size)] * count), count)
            self.assertEqual(self.takeSent(), [(bytes(size), PEER)] * count)
            self.assertEqual(self.socket.runs, runs)

    def test_list(self) -> None:
        """
        A batch is any sequence, and remains as it was.
        """
        datagrams = [b"aa", b"bb", b"c", b"d"]
        self.assertEqual(self.opened.writeBatch(datagrams, PEER), 4)
        self.assertEqual(datagrams, [b"aa", b"bb", b"c", b"d"])

    def test_noSegmentation(self) -> None:
        """
        Without the kernel's help there is a call for each.
        """
        self.opened = self.open(offload=False)
        self.assertEqual(self.write(b"a", b"b", b"c"), 3)
        self.assertEqual([data for data, _ in self.takeSent()], [b"a", b"b", b"c"])
        self.assertEqual(self.socket.runs, [1, 1, 1])

    def test_full(self) -> None:
        """
        When the send buffer is full the rest is lost, and nothing more is
        tried.
        """
        full = BlockingIOError(errno.EAGAIN, "full")
        self.socket.refusingRuns = full
        self.assertEqual(self.write(b"a", b"bb", b"cc", b"d", b"ee"), 1)
        self.assertEqual(self.takeSent(), [(b"a", PEER)])
        self.assertEqual(self.opened.sendErrors, Counter(EAGAIN=4))
        self.assertTrue(self.opened.segmenting)

    def test_fullOneByOne(self) -> None:
        """
        So it is without the kernel's help, and when memory is short.
        """
        for number in (errno.EAGAIN, errno.ENOBUFS):
            self.setUp()
            self.opened.segmenting = False
            tried = []

            def sending(data: bytes, number: int = number, tried: list[bytes] = tried) -> None:
                tried.append(data)
                if data == b"c":
                    raise error(number)

            self.socket.sending = sending
            self.assertEqual(self.write(b"a", b"b", b"c", b"d", b"e"), 2)
            self.assertEqual(tried, [b"a", b"b", b"c"])
            self.assertEqual(self.opened.sendErrors, {errno.errorcode[number]: 3})

    def test_tooLongForOne(self) -> None:
        """
        A destination whose path takes no datagrams that long gets them one by
        one; others are not made to suffer.
        """
        for number in (errno.EMSGSIZE, errno.EINVAL, errno.ENOBUFS, errno.EPERM):
            self.setUp()
            self.socket.refusingRuns = error(number)
            self.assertEqual(self.write(b"aa", b"bb", b"c", b"dd", b"ee"), 5)
            self.assertEqual(
                [data for data, _ in self.takeSent()], [b"aa", b"bb", b"c", b"dd", b"ee"]
            )
            self.socket.refusingRuns = None
            self.assertEqual(self.write(b"aa", b"bb", address=OTHER), 2)
            self.assertEqual(self.socket.runs, [1, 1, 1, 1, 1, 2])
            self.assertEqual(self.opened.sendErrors, Counter())

    def test_noOffloadHere(self) -> None:
        """
        A device that cannot segment is not asked again, which the log tells
        once; nothing is lost.
        """
        for number in (errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT):
            self.setUp()
            self.socket.refusingRuns = error(number)
            with captured() as events:
                self.assertEqual(self.write(b"aa", b"bb", b"cc", b"ddd", b"eee"), 5)
            text = f"The system cannot segment datagrams: {os.strerror(number)}"
            self.assertEqual(atLevel(events, LogLevel.info), [text])
            self.assertEqual(
                [data for data, _ in self.takeSent()], [b"aa", b"bb", b"cc", b"ddd", b"eee"]
            )
            self.socket.refusingRuns = None
            self.write(b"aa", b"bb")
            self.assertEqual(self.socket.runs, [1] * 7)
            self.assertEqual(self.opened.sendErrors, Counter())

    def test_unreachable(self) -> None:
        """
        A destination that cannot be reached is no reason to do without
        segmentation, whatever the error; all is lost and counted.
        """
        for number in (errno.ENETUNREACH, errno.EACCES, errno.EINVAL, errno.EIO):
            self.setUp()
            self.socket.refusingRuns = self.socket.refusing = error(number)
            self.assertEqual(self.write(b"aa", b"bb", b"c", b"ddd"), 0)
            self.assertEqual(self.opened.sendErrors, {errno.errorcode[number]: 4})
            self.assertTrue(self.opened.segmenting)

    def test_oneLost(self) -> None:
        """
        What is wrong with one datagram is not with the next.
        """

        def sending(data: bytes) -> None:
            if len(data) > 9:
                raise error(errno.EMSGSIZE)

        self.socket.sending = sending
        self.socket.refusingRuns = error(errno.EMSGSIZE)
        self.assertEqual(self.write(b"a", b"long" * 3, b"c" * 5, b""), 3)
        self.assertEqual([data for data, _ in self.takeSent()], [b"a", b"c" * 5, b""])
        self.assertEqual(self.opened.sendErrors, Counter(EMSGSIZE=1))

    def test_unnamed(self) -> None:
        """
        An error without a number is counted by its class.
        """
        self.socket.refusing = TimeoutError()
        self.assertEqual(self.write(b"a"), 0)
        self.assertEqual(self.opened.sendErrors, Counter(TimeoutError=1))

    def test_names(self) -> None:
        """
        Hosts are numeric and of the port's family: nothing is looked up.
        """

        def lookUp(*arguments: object) -> None:
            raise AssertionError("a name was looked up")

        self.patch(socket, "getaddrinfo", lookUp)
        for interface, hosts in (
            (
                "192.0.2.100",
                ("localhost", "", "192.0.2", "::1", "<broadcast>", "192.0.2.1%1", "\0"),
            ),
            ("2001:db8::1", ("localhost", "", "192.0.2.1", "%2", "x%2", "::1::", "\0")),
        ):
            self.opened = self.open(interface)
            for host in hosts:
                self.assertRaises(
                    InvalidAddressError, self.opened.writeBatch, [b"a", b"a"], (host, 1)
                )
        self.assertEqual(self.socket.sent, [])

    def test_scope(self) -> None:
        """
        A link-local host is reached by the number of its link, or the name.
        """
        self.opened = self.open("::")
        self.patch(socket, "if_nametoindex", {"eth7": 7}.__getitem__)
        for host, target in (
            ("2001:db8::1", ("2001:db8::1", 4000)),
            ("::ffff:192.0.2.1", ("::ffff:192.0.2.1", 4000)),
            ("fe80::1%2", ("fe80::1", 4000, 0, 2)),
            ("fe80::1%eth7", ("fe80::1", 4000, 0, 7)),
        ):
            self.assertEqual(self.write(b"a", b"b", address=(host, 4000)), 2)
            self.assertEqual(self.takeSent(), [(b"a", target), (b"b", target)])

    def test_scopeGone(self) -> None:
        """
        What is for a link that is no longer there is lost.
        """

        def gone(name: str) -> int:
            raise error(errno.ENODEV)

        self.opened = self.open("::")
        self.patch(socket, "if_nametoindex", gone)
        self.assertEqual(self.write(b"a", b"b", address=("fe80::1%eth7", 4000)), 0)
        self.assertEqual(self.opened.sendErrors, Counter(ENODEV=2))

    def test_write(self) -> None:
        """
        It sends single datagrams as any port does, errors included.
        """
        self.opened.write(b"single", PEER)
        self.assertEqual(self.takeSent(), [(b"single", PEER)])
        self.socket.refusing = error(errno.EPERM)
        self.assertRaises(PermissionError, self.opened.write, b"single", PEER)

    def test_closed(self) -> None:
        """
        One that is closed has lost what is sent.
        """
        self.opened.stopListening()
        self.assertEqual(self.write(b"a", b"b"), 2)
        self.reactor.advance(0)
        self.assertEqual(self.write(b"a", b"b", b"c"), 0)
        self.assertEqual(self.opened.sendErrors, Counter(EBADF=3))
        self.assertRaises(OSError, self.opened.write, b"single", PEER)


class StopTests(PortTestCase):
    """
    Closing one.
    """

    def test_stopped(self) -> None:
        """
        Nothing is read any more at once; a turn later the socket is closed,
        the protocol knows, and so does who has asked.
        """
        opened = self.open()
        stopped = opened.stopListening()
        self.assertEqual(self.reactor.readers, [])
        self.assertNoResult(stopped)
        self.assertEqual((self.socket.closed, self.protocol.stops), (False, 0))
        self.reactor.advance(0)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual((self.socket.closed, self.protocol.stops), (True, 1))
        self.assertIsNone(self.protocol.transport)
        self.assertEqual(opened.fileno(), -1)

    def test_twice(self) -> None:
        """
        It may be stopped again, before and after it is closed.
        """
        opened = self.open()
        stopping = [opened.stopListening(), opened.stopListening()]
        self.reactor.advance(0)
        for stopped in (*stopping, opened.stopListening()):
            self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.protocol.stops, 1)

    def test_reactorStops(self) -> None:
        """
        The reactor may close it in between.
        """
        opened = self.open()
        stopped = opened.stopListening()
        opened.connectionLost()
        self.assertIsNone(self.successResultOf(stopped))
        self.reactor.advance(0)
        self.assertEqual((self.socket.closed, self.protocol.stops), (True, 1))

    def test_failure(self) -> None:
        """
        A protocol that fails at its end keeps nobody waiting.
        """
        opened = self.open()
        self.patch(self.protocol, "stopProtocol", lambda: 1 // 0)
        stopped = opened.stopListening()
        self.assertRaises(ZeroDivisionError, self.reactor.advance, 0)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertTrue(self.socket.closed)

    def test_again(self) -> None:
        """
        It can be opened again, as soon as it is closed.
        """
        opened = self.open()
        self.socket = KernelSocket()
        stopped = opened.stopListening()
        stopped.addCallback(lambda _: opened.startListening())
        opened.stopListening()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.socket.coalesced.append((b"1", [], PEER))
        opened.doRead()
        self.assertEqual(self.protocol.batches, [[(PEER, [b"1"])]])
        self.assertEqual(opened.writeBatch([b"a", b"b"], PEER), 2)
        self.assertEqual(self.socket.sent, [(b"a", PEER), (b"b", PEER)])
        stopped = opened.stopListening()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.protocol.stops, 2)


LENGTHS = st.lists(
    st.one_of(st.sampled_from([0, 1, 700, 1350, 32500, 65507]), st.integers(0, 1500)), max_size=150
)


class AnyLengthsTests(TestCase):
    """
    Any datagrams, by the kernel's rules.
    """

    def open(self) -> tuple[BatchPort, KernelSocket, Batches]:
        """
        Make a port.
        """
        opened, protocol = KernelSocket(), Batches()
        port = BatchPort(Readers(), 5000, protocol, "192.0.2.100")
        port.socket = opened
        port.segmenting = port.coalescing = True
        return port, opened, protocol

    @given(LENGTHS)
    def test_write(self, lengths: list[int]) -> None:
        """
        Whatever the lengths, what is sent is what was given, in order.
        """
        port, opened, _ = self.open()
        datagrams = [bytes([number]) * length for number, length in enumerate(lengths)]
        self.assertEqual(port.writeBatch(datagrams, PEER), len(datagrams))
        self.assertEqual(opened.sent, [(datagram, PEER) for datagram in datagrams])
        self.assertEqual(port.sendErrors, Counter())

    @given(st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 30), st.integers(0, 1999))))
    def test_read(self, messages: list[tuple[int, int, int]]) -> None:
        """
        Whatever the kernel has joined is received as it was before.
        """
        port, opened, protocol = self.open()
        datagrams: list[bytes] = []
        for size, count, last in messages:
            joined = [bytes([number]) * size for number in range(count)]
            joined += [b"last"[:1] * last] * (0 < last < size)
            datagrams += joined
            opened.coalesced.append((b"".join(joined), segmented(size), PEER))
        while opened.coalesced:
            port.doRead()
        read = [pair for batch in protocol.batches for pair in batch]
        self.assertEqual([data for _, group in read for data in group], datagrams)


class UnbatchedTests(SynchronousTestCase):
    """
    Reactors that have their own ways.
    """

    def setUp(self) -> None:
        self.reactor = ScriptedNetwork()
        self.protocol = Batches()
        self.opened = listenBatches(self.reactor, 5000, self.protocol, "192.0.2.100")
        (self.port,) = self.reactor.datagrams

    def test_interfaces(self) -> None:
        """
        What listens is a port and a transport for batches, and the protocol's.
        """
        verifyObject(IBatchTransport, self.opened)
        self.assertIs(self.protocol.transport, self.opened)
        host = self.opened.getHost()
        self.assertEqual((host.host, host.port), ("192.0.2.100", 5000))
        self.opened.startListening()
        self.assertEqual(len(self.reactor.datagrams), 1)

    def test_packetSize(self) -> None:
        """
        The reactor is asked for datagrams of any length.
        """
        asked: list[object] = []
        self.patch(self.reactor, "listenUDP", lambda *arguments: asked.extend(arguments))
        listenBatches(self.reactor, 5000, Batches(), "::1")
        self.assertEqual((asked[0], *asked[2:]), (5000, "::1", 65535))

    def test_received(self) -> None:
        """
        Each datagram is a batch.
        """
        self.port.peerSends(b"1", *PEER)
        self.port.peerSends(b"2", *OTHER)
        self.assertEqual(self.protocol.batches, [[(PEER, [b"1"])], [(OTHER, [b"2"])]])

    def test_scope(self) -> None:
        """
        Addresses are as they are with other ports.
        """
        receive: Any = self.port._protocol.datagramReceived
        receive(b"1", ("fe80::1", 4000, 0, 2))
        receive(b"2", ("2001:db8::1", 4000, 7, 0))
        senders = [batch[0][0] for batch in self.protocol.batches]
        self.assertEqual(senders, [("fe80::1%2", 4000), ("2001:db8::1", 4000)])

    def test_failure(self) -> None:
        """
        A protocol that fails is in the log.
        """
        self.protocol.doing = lambda batch: 1 // 0
        with captured() as events:
            self.port.peerSends(b"1", *PEER)
        text = "A batch of datagrams could not be handled"
        self.assertEqual(atLevel(events, LogLevel.critical), [text])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_sent(self) -> None:
        """
        A batch is sent one by one.
        """
        self.assertEqual(self.opened.writeBatch([b"1", b"22"], PEER), 2)
        self.opened.write(b"3", OTHER)
        self.assertEqual(self.port.take(), [(b"1", PEER), (b"22", PEER), (b"3", OTHER)])
        self.assertEqual(self.opened.sendErrors, Counter())

    def test_lost(self) -> None:
        """
        What the port refuses is lost and counted.
        """

        def write(datagram: bytes, address: object) -> None:
            if len(datagram) > 1:
                raise MessageLengthError
            raise error(errno.EPERM)

        self.patch(self.port, "write", write)
        self.assertEqual(self.opened.writeBatch([b"1", b"22", b"3"], PEER), 0)
        self.assertEqual(self.opened.sendErrors, Counter(EPERM=2, EMSGSIZE=1))

    def test_stopped(self) -> None:
        """
        It is closed with the port; what is sent then is lost.
        """
        self.successResultOf(self.opened.stopListening())
        self.assertFalse(self.port.open)
        self.reactor.advance(0)
        self.assertEqual(self.protocol.stops, 1)
        self.assertIsNone(self.protocol.transport)
        self.assertEqual(self.opened.writeBatch([b"1", b"2"], PEER), 0)
        self.assertEqual(self.opened.sendErrors, Counter(EBADF=2))
        self.successResultOf(self.opened.stopListening())

    def test_notToBeHad(self) -> None:
        """
        The reactor's error is the caller's.
        """
        self.assertRaises(CannotListenError, listenBatches, self.reactor, 5000, Batches())

    def test_buffers(self) -> None:
        """
        Where the port has a socket its buffers are set.
        """
        handle = ScriptedSocket()

        def listenUDP(port: int, protocol: Any, *arguments: object) -> None:
            self.port.getHandle = lambda: handle  # type: ignore[attr-defined]
            protocol.makeConnection(self.port)

        self.patch(self.reactor, "listenUDP", listenUDP)
        listenBatches(self.reactor, 0, Batches(), bufferSize=100000)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.assertEqual(handle.getsockopt(socket.SOL_SOCKET, option), 100000)


class DefaultTests(SynchronousTestCase):
    """
    A protocol as it is.
    """

    def test_default(self) -> None:
        """
        It takes what comes, and is not noisy.
        """
        protocol = BatchProtocol()
        self.assertIsNone(protocol.batchReceived([(PEER, [b"1"])]))
        self.assertFalse(protocol.noisy)
        self.assertEqual(module.MAX_DATAGRAM, 65535)

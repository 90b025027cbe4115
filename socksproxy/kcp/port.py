"""
UDP ports that take and send datagrams in batches.

The cost of UDP is a cost per system call. Linux takes as many as 64 datagrams
of one length in a call (C{UDP_SEGMENT}), and gives as many of one sender
(C{UDP_GRO}); each then costs a tenth. What stands in the way of either, a
system, a device or a route, is found out by trying, and the datagrams go one
by one.

An address is a pair of a numeric host and a port. A port on C{::} carries IPv4
as well where the system has it so (C{net.ipv6.bindv6only} on Linux), as
Twisted's own does, and then sees IPv4 hosts as C{::ffff:192.0.2.1}, which is
also how they are written to. A link-local host is C{fe80::1%2}, with the number
of the interface, since no answer would find its way without; nothing else of
an IPv6 address's flow and scope is kept.

@see: U{https://docs.kernel.org/networking/segmentation-offloads.html}
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.base import BasePort
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.python.failure import Failure
from zope.interface import Attribute, implementer

from socksproxy.events import log
from socksproxy.kcp._offload import (
    ANCILLARY,
    NO_SEGMENTATION,
    UDP_SEGMENT,
    cut,
    endOfRun,
    offloadsOf,
)

Address = tuple[str, int]
Batch = list[tuple[Address, list[bytes]]]

BUFFER_SIZE = 4 * 1024 * 1024
"""
Octets for each of a socket's buffers.
"""

MAX_DATAGRAM = 65535
"""
Octets that are read at a time: no datagram, nor several that the kernel has
joined, have more.
"""

MAX_READS = 64
"""
System calls that read before others get their turn; 256 KiB are the other
bound (C{Port.maxThroughput}).
"""

# The send buffer is full, or memory is: what follows would fare no better.
_FULL = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS))


class IBatchTransport(IListeningPort):
    """
    What sends the datagrams of a L{BatchProtocol}, and is its port.
    """

    sendErrors: Counter[str] = Attribute(
        "Datagrams that could not be sent, by the error's name, such as C{EAGAIN}."
    )
    receiveErrors: Counter[str] = Attribute(
        "Errors where datagrams were to be received, by name: messages of ICMP, mostly."
    )

    def writeBatch(datagrams: Sequence[bytes], address: Address) -> int:
        """
        Send datagrams to one destination, in order. Those of one length that
        follow one another cost least; the last of them may be shorter.

        What cannot be sent is lost, as datagrams are: when the socket's buffer
        is full this is all that is left, and all when the port is closed.

        @param address: Numeric host, in the form of the socket's family and
            with its scope if it has one, and port.
        @return: How many the system has taken.
        @raise InvalidAddressError: The host is not numeric, or of the other
            family: names are not resolved here.
        """

    def write(datagram: bytes, address: Address) -> None:
        """
        Send one datagram, as C{IUDPTransport} has it.

        @raise OSError: It could not be sent.
        """


class BatchProtocol(DatagramProtocol):
    """
    What takes datagrams in batches. It starts and stops as any other protocol
    for datagrams does.

    @ivar transport: The port, while there is one.
    """

    noisy = False
    transport: IBatchTransport | None = None  # type: ignore[assignment]

    def batchReceived(self, batch: Batch) -> None:
        """
        Take all datagrams that waited, in order.

        @param batch: Where they are from, and one or more datagrams. An
            address occurs again when others' datagrams came in between.
        """


@implementer(IBatchTransport)
class BatchPort(Port):
    """
    A port of the reactor's that reads and writes batches.

    @ivar segmenting: Runs of datagrams are given to the kernel in one call.
        It is turned off by the first error which says that they cannot be.
    @ivar coalescing: The kernel may give several datagrams in one call.
    """

    def __init__(
        self,
        reactor: Any,
        port: int,
        protocol: BatchProtocol,
        interface: str = "",
        bufferSize: int = BUFFER_SIZE,
        offload: bool = True,
        dscp: int = 0,
    ) -> None:
        """
        See L{listenBatches} for the rest.

        @param reactor: An C{IReactorFDSet}.
        """
        super().__init__(port, protocol, interface, MAX_DATAGRAM, reactor)
        self.sendErrors: Counter[str] = Counter()
        self.receiveErrors: Counter[str] = Counter()
        self.segmenting = self.coalescing = False
        self._bufferSize = bufferSize
        self._offload = offload and sys.platform == "linux"
        self._dscp = dscp
        self._stopping: list[Deferred[None]] = []

    def _bindSocket(self) -> None:
        # As Twisted's, but what cannot be bound is closed, and no line is
        # logged for each client's port.
        try:
            opened = self.createInternetSocket()
            try:
                _enlarge(opened, self._bufferSize)
                _mark(opened, self._dscp)
                opened.bind((self.interface, self.port))
            except OSError:
                opened.close()
                raise
        except OSError as e:
            raise CannotListenError(self.interface, self.port, e) from e
        if self._offload:
            self.segmenting, self.coalescing = offloadsOf(opened)
        self._realPortNumber = opened.getsockname()[1]
        if self.protocol.noisy:
            log.info("{port} starting on {number}", port=self.logstr, number=self._realPortNumber)
        self.connected = 1
        self.socket = opened
        self.fileno = opened.fileno  # type: ignore[method-assign]

    def doRead(self) -> None:
        """
        See C{IReadDescriptor}: read all that waits, within bounds, and hand it
        over at once.
        """
        batch = self._readBatch()
        if batch:
            try:
                self.protocol.batchReceived(batch)
            except Exception:
                log.failure("A batch of datagrams could not be handled")

    def _readBatch(self) -> Batch:
        coalescing, size, room = self.coalescing, self.maxPacketSize, self.maxThroughput
        receive: Callable[..., Any] = self.socket.recvmsg if coalescing else self.socket.recvfrom
        batch: Batch = []
        datagrams: list[bytes] = []
        source = ancillary = None
        for _ in range(MAX_READS):
            try:
                if coalescing:
                    data, ancillary, _, address = receive(size, ANCILLARY)
                else:
                    data, address = receive(size)
            except BlockingIOError:
                break
            except OSError as e:
                if e.errno == errno.EBADF:
                    raise
                self.receiveErrors[_errorName(e)] += 1
                if self._connectedAddr:
                    self.protocol.connectionRefused()
                continue
            if address != source:
                source, datagrams = address, []
                batch.append((_shortAddress(address), datagrams))
            if ancillary:
                datagrams += cut(data, ancillary)
            else:
                datagrams.append(data)
            room -= len(data)
            if room <= 0:
                break
        return batch

    def writeBatch(self, datagrams: Sequence[bytes], address: Address) -> int:
        """
        See L{IBatchTransport}.
        """
        try:
            target = _numeric(self.addressFamily, address)
        except OSError as e:
            # The interface of the address's scope has gone.
            self.sendErrors[_errorName(e)] += len(datagrams)
            return 0
        if len(datagrams) > 1 and self.segmenting:
            return self._writeRuns(datagrams, target)
        return self._writeEach(datagrams, target)

    def _writeRuns(self, datagrams: Sequence[bytes], target: tuple[Any, ...]) -> int:
        lengths = [*map(len, datagrams)]
        start = sent = 0
        while start < len(lengths):
            end = endOfRun(lengths, start)
            run = datagrams[start:end]
            if end - start == 1 or not self.segmenting:
                sent += self._writeEach(run, target)
            else:
                size = struct.pack("=H", lengths[start])
                try:
                    self.socket.sendmsg(run, [(socket.IPPROTO_UDP, UDP_SEGMENT, size)], 0, target)
                except BlockingIOError as e:
                    self.sendErrors[_errorName(e)] += len(lengths) - start
                    return sent
                except OSError as e:
                    sent += self._writeRefused(run, target, e)
                else:
                    sent += end - start
            start = end
        return sent

    def _writeRefused(self, run: Sequence[bytes], target: tuple[Any, ...], error: OSError) -> int:
        # What is wrong with the destination shows again with each datagram;
        # what was wrong with the run does not.
        sent = self._writeEach(run, target)
        if sent and error.errno in NO_SEGMENTATION:
            self.segmenting = False
            log.info("The system cannot segment datagrams: {error}", error=error.strerror)
        return sent

    def _writeEach(self, datagrams: Sequence[bytes], target: tuple[Any, ...]) -> int:
        send = self.socket.sendto
        sent = 0
        for number, datagram in enumerate(datagrams):
            try:
                send(datagram, target)
            except OSError as e:
                if e.errno in _FULL:
                    self.sendErrors[_errorName(e)] += len(datagrams) - number
                    break
                self.sendErrors[_errorName(e)] += 1
            else:
                sent += 1
        return sent

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}. Nothing is received any more when this returns;
        a turn of the reactor later the socket is closed and the protocol told.
        """
        if not self.connected:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        if len(self._stopping) == 1:
            self.stopReading()
            self.reactor.callLater(0, self.connectionLost)  # type: ignore[attr-defined]
        return stopped

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        See C{IReadDescriptor}: close the socket, and tell the protocol.
        """
        if not self.connected:
            return
        if self.protocol.noisy:
            log.info("{port} on {number} closed", port=self.logstr, number=self._realPortNumber)
        self._realPortNumber = None
        BasePort.connectionLost(self, reason)
        # It remains, unlike Twisted's: what is written to it is lost.
        self.socket.close()
        stopping, self._stopping = self._stopping, []
        try:
            self.protocol.doStop()
        finally:
            for stopped in stopping:
                stopped.callback(None)


@implementer(IBatchTransport)
class _UnbatchedPort(DatagramProtocol):
    """
    Goes between a L{BatchProtocol} and a port that some reactor has opened;
    each batch is of one.
    """

    noisy = False

    def __init__(self, protocol: BatchProtocol, bufferSize: int, dscp: int) -> None:
        self._protocol = protocol
        self._bufferSize = bufferSize
        self._dscp = dscp
        self.sendErrors: Counter[str] = Counter()
        self.receiveErrors: Counter[str] = Counter()

    def startProtocol(self) -> None:
        handle = getattr(self.transport, "getHandle", lambda: None)()
        if handle is not None:
            _enlarge(handle, self._bufferSize)
            _mark(handle, self._dscp)
        self._protocol.makeConnection(self)  # type: ignore[arg-type]

    def stopProtocol(self) -> None:
        self._protocol.doStop()

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        try:
            self._protocol.batchReceived([(_shortAddress(addr), [datagram])])
        except Exception:
            log.failure("A batch of datagrams could not be handled")

    def writeBatch(self, datagrams: Sequence[bytes], address: Address) -> int:
        sent = 0
        for datagram in datagrams:
            try:
                self.write(datagram, address)
                sent += 1
            except MessageLengthError:
                self.sendErrors["EMSGSIZE"] += 1
            except OSError as e:
                self.sendErrors[_errorName(e)] += 1
        return sent

    def write(self, datagram: bytes, address: Address) -> None:
        if self.transport is None:
            raise OSError(errno.EBADF, "closed")
        self.transport.write(datagram, address)

    def getHost(self) -> IAddress:
        return self.transport.getHost()  # type: ignore[union-attr]

    def startListening(self) -> None:
        """
        It listens already.
        """

    def stopListening(self) -> Deferred[None]:
        stop: Callable[[], Any] = getattr(self.transport, "stopListening", lambda: None)
        return maybeDeferred(stop)


def listenBatches(
    reactor: Any,
    port: int,
    protocol: BatchProtocol,
    interface: str = "",
    bufferSize: int = BUFFER_SIZE,
    offload: bool = True,
    dscp: int = 0,
) -> IBatchTransport:
    """
    Listen for datagrams, in the quickest way that a reactor has.

    @param port: The local port; 0 is any.
    @param interface: The local address; all of IPv4 if it is empty.
    @param bufferSize: Octets for each of the socket's buffers, as far as the
        system allows.
    @param offload: Try what the kernel offers for batches.
    @param dscp: What routers are told of the datagrams (RFC 2474), 0 to 63.
    @raise CannotListenError: The port cannot be had.
    @raise InvalidAddressError: The interface is not a numeric address.
    """
    if IReactorFDSet.providedBy(reactor):
        opened = BatchPort(reactor, port, protocol, interface, bufferSize, offload, dscp)
        opened.startListening()
        return opened
    between = _UnbatchedPort(protocol, bufferSize, dscp)
    reactor.listenUDP(port, between, interface, MAX_DATAGRAM)
    return between


def _enlarge(opened: socket.socket, size: int) -> None:
    # Linux takes any size and cuts it; others refuse what is beyond theirs.
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        wanted = size
        while wanted:
            try:
                opened.setsockopt(socket.SOL_SOCKET, option, wanted)
                break
            except OSError:
                wanted //= 2


def _mark(opened: socket.socket, dscp: int) -> None:
    if not dscp:
        return
    # The two lower bits belong to explicit congestion notification.
    with suppress(OSError):
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
    if opened.family == socket.AF_INET6:
        with suppress(OSError):
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)


def _errorName(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _shortAddress(address: tuple[Any, ...]) -> Address:
    # Of IPv6 it is host, port, flow and scope.
    if len(address) == 4 and address[3]:
        return f"{address[0]}%{address[3]}", address[1]
    return address[:2]


def _numeric(family: int, address: Address) -> tuple[Any, ...]:
    # The socket would look up, and wait for, whatever is not numeric.
    host, port = address
    bare, _, scope = host.partition("%") if family == socket.AF_INET6 else (host, "", "")
    try:
        socket.inet_pton(family, bare)
    except (OSError, ValueError) as e:
        raise InvalidAddressError(host, "not a numeric address of the port's family") from e
    if not scope:
        return address
    return bare, port, 0, int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)

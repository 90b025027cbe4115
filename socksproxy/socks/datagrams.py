"""
The client's side of a UDP association.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-7}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol

from socksproxy.address import Destination, IPAddress, hostFromText
from socksproxy.errors import MalformedMessage, ProtocolError, RemoteProtocolError
from socksproxy.events import AccessRecord
from socksproxy.relay.datagrams import sendDatagram
from socksproxy.socks._events import Protection
from socksproxy.socks._fragments import Reassembly
from socksproxy.socks._wireudp import MAX_DATAGRAM, decodeDatagram, encodeHead

REMEMBERED = 1024
"""
Heads that need not be read, or written, again.
"""

# By ATYP; names, which have none, are rare.
_HEAD_LENGTHS = {1: 10, 4: 22}

Key = TypeVar("Key")
Value = TypeVar("Value")


class ClientDatagrams(DatagramProtocol):
    """
    Takes the datagrams of one client, from one port of its address, and sends
    it those that are for it.

    The first datagram that makes sense decides about the port. Only one from
    the port that the client has announced can still take over from it.
    """

    noisy = False

    def __init__(
        self,
        host: IPAddress,
        announced: int,
        record: AccessRecord,
        forward: Callable[[bytes, Destination], bool],
        clock: IReactorTime,
        reassembly: Reassembly | None = None,
        protection: Protection | None = None,
    ) -> None:
        """
        @param host: The client's address.
        @param announced: The port that it wants to send from, or 0.
        @param record: Where datagrams are counted.
        @param forward: Takes what is for somebody else.
        @param clock: Time.
        @param reassembly: Puts fragments together; without it they are
            dropped.
        @param protection: What is around each datagram.
        """
        self._host = host
        self._announced = announced
        self._record = record
        self._forward = forward
        self._clock = clock
        self._reassembly = reassembly
        self._protection = protection
        self._client: tuple[str, int] | None = None
        self._destinations: dict[bytes, Destination] = {}
        self._heads: dict[Destination, bytes] = {}
        self._expiring: IDelayedCall | None = None

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Take a datagram from whoever has sent it.
        """
        record = self._record
        if addr != self._client and not self._mayBecomeClient(addr):
            record.datagramsDropped += 1
            return
        try:
            if self._protection is not None:
                datagram = self._protection.unwrapDatagram(datagram)
            read = self._read(datagram)
        except RemoteProtocolError:
            record.datagramsDropped += 1
            return
        self._client = addr
        if read is None:
            return
        payload, destination = read
        if self._forward(payload, destination):
            record.sent += len(payload)
            record.datagramsSent += 1
        else:
            record.datagramsDropped += 1

    def send(self, data: bytes, source: Destination) -> None:
        """
        Send the client what has come from somebody else.
        """
        record = self._record
        head = self._heads.get(source)
        if head is None:
            head = _remembered(self._heads, source, encodeHead(source))
        if self._deliver(head + data):
            record.received += len(data)
            record.datagramsReceived += 1
        else:
            record.datagramsDropped += 1

    def stopProtocol(self) -> None:
        """
        See C{DatagramProtocol}.
        """
        self.close()

    def close(self) -> None:
        """
        Keep nothing, and count what waited for more.
        """
        self._forward = _nowhere
        reassembly, self._reassembly = self._reassembly, None
        if reassembly is not None:
            self._record.datagramsDropped += reassembly.discarded + reassembly.waiting
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None

    def _deliver(self, message: bytes) -> bool:
        """
        Send to the client, if it has said where it is.
        """
        if self._client is None or self.transport is None:
            return False
        if self._protection is not None:
            try:
                message = self._protection.wrapDatagram(message)
            except ProtocolError:
                return False
        return len(message) <= MAX_DATAGRAM and sendDatagram(self.transport, message, self._client)

    def _mayBecomeClient(self, addr: tuple[str, int]) -> bool:
        host, port = addr
        if hostFromText(host) != self._host:
            return False
        return self._client is None or (port == self._announced and port != 0)

    def _read(self, datagram: bytes) -> tuple[bytes, Destination] | None:
        """
        Take the head off.

        @return: Payload and destination, or L{None} where that was only a
            fragment.
        @raise RemoteProtocolError: It makes no sense.
        """
        length = _HEAD_LENGTHS.get(datagram[3], 0) if len(datagram) > 3 else 0
        head = datagram[:length]
        known = self._destinations.get(head)
        if known is not None:
            return datagram[length:], known
        read = decodeDatagram(datagram)
        payload = datagram[read.headLength :]
        if self._reassembly is not None:
            return self._reassembled(self._reassembly, read.fragment, read.destination, payload)
        if read.fragment:
            raise MalformedMessage("fragments are not put together")
        if length:
            _remembered(self._destinations, head, read.destination)
        return payload, read.destination

    def _reassembled(
        self, reassembly: Reassembly, fragment: int, destination: Destination, payload: bytes
    ) -> tuple[bytes, Destination] | None:
        whole = reassembly.receive(fragment, destination, payload, self._clock.seconds())
        self._watch(reassembly)
        return None if whole is None else (whole, destination)

    def _watch(self, reassembly: Reassembly) -> None:
        """
        Look after fragments that wait for others.
        """
        if self._expiring is None and reassembly.deadline is not None:
            rest = max(0.0, reassembly.deadline - self._clock.seconds())
            self._expiring = self._clock.callLater(rest, self._expire, reassembly)

    def _expire(self, reassembly: Reassembly) -> None:
        self._expiring = None
        reassembly.expire(self._clock.seconds())
        self._watch(reassembly)


def _remembered(memory: dict[Key, Value], key: Key, value: Value) -> Value:
    """
    Remember something, within a bound.
    """
    if len(memory) >= REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def _nowhere(data: bytes, destination: Destination) -> bool:
    """
    Nobody is there any more.
    """
    return False

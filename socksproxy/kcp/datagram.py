"""
KCP on a UDP port: which datagram is for which session, and when each session
has to be looked at.

All datagrams that wait in the socket are decrypted at once, given to their
sessions, and only then is anything sent. There is one reactor timer for all
sessions of a port, and none while they have nothing to wait for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import ReactorBase
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from socksproxy.kcp.diagnosis import Diagnosis
from socksproxy.kcp._segment import Command, ShardType, firstHead
from socksproxy.kcp._wakes import Wakes
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.crypt import PacketCipher
from socksproxy.kcp.pipeline import Pipeline
from socksproxy.kcp.port import Address, Batch, BatchProtocol
from socksproxy.kcp.transport import KCPTransport, SessionTimers

UNREADABLE = "checksum wrong: key, salt or cipher differ?"
NOT_KCP = "not KCP: is the peer encrypting, or no KCP at all?"
UNKNOWN = "not the beginning of a session; was this side restarted?"
TOO_MANY = "too many sessions"

MIN_SHARD = 12
"""
Octets of the shortest payload that is looked at.
"""

REMEMBERED = 4096
"""
Sessions that have ended and whose late datagrams begin no new one.
"""

REMEMBERED_FOR = 60.0
"""
Seconds.
"""

_DATA, _PARITY = int(ShardType.DATA), int(ShardType.PARITY)

MAPPED = "::ffff:"

Key = tuple[Address, bytes]


@dataclass(slots=True)
class PortStatistics:
    """
    What comes to a port and to no session.

    @ivar unreadable: Datagrams that could not be decrypted.
    @ivar strange: Datagrams that were not KCP, or for no session that there is.
    @ivar refused: Sessions that there was no room for.
    @ivar evicted: Sessions that had to make room for others.
    """

    unreadable: int = 0
    strange: int = 0
    refused: int = 0
    evicted: int = 0


def milliseconds(reactor: Any) -> Callable[[], int]:
    """
    Give a clock that never jumps, as the wall clock of a real reactor does.

    @param reactor: An C{IReactorTime}.
    """
    if isinstance(reactor, ReactorBase):
        return lambda: time.monotonic_ns() // 1_000_000
    return lambda: int(reactor.seconds() * 1000)


class KCPProtocol(BatchProtocol):
    """
    What servers and clients share.

    @ivar sessions: All sessions, by the peer's address and the conversation.
    @ivar counted: What went to no session.
    """

    def __init__(
        self, reactor: Any, config: KCPConfig, cipher: PacketCipher, timers: SessionTimers
    ) -> None:
        """
        @param reactor: An C{IReactorTime}.
        @param config: Settings for all sessions.
        @param cipher: The same on both sides.
        @param timers: What ends sessions.
        """
        self.sessions: dict[Key, KCPTransport] = {}
        self.counted = PortStatistics()
        self._reactor = reactor
        self._config = config
        self._cipher = cipher
        self._timers = timers
        self._now = milliseconds(reactor)
        self._diagnosis = Diagnosis()
        self._addresses: dict[KCPTransport, Key] = {}
        # Whose the parity of an address is, which does not say so itself.
        self._latest: dict[Address, bytes] = {}
        self._wakes: Wakes[KCPTransport] = Wakes()
        self._timer: IDelayedCall | None = None
        self._timerTs = 0
        self._touched: dict[KCPTransport, None] = {}
        self._busy = False
        self._turn: IDelayedCall | None = None

    # What comes in.

    def batchReceived(self, batch: Batch) -> None:
        """
        See L{BatchProtocol}.
        """
        now = self._now()
        datagrams = [datagram for _, several in batch for datagram in several]
        opened = self._cipher.open(datagrams)
        self._busy = True
        try:
            index = 0
            for address, several in batch:
                payloads = opened[index : index + len(several)]
                index += len(several)
                self._sort(address, several, payloads, now)
        finally:
            self._busy = False
        self._serve()

    def _sort(
        self, address: Address, datagrams: list[bytes], payloads: list[bytes | None], now: int
    ) -> None:
        """
        Give what came from an address to its sessions.
        """
        groups: dict[bytes, list[bytes]] = {}
        octets: dict[bytes, int] = {}
        unreadable = strange = 0
        latest = self._latest.get(address)
        for datagram, payload in zip(datagrams, payloads, strict=True):
            if payload is None:
                unreadable += 1
                continue
            if len(payload) < MIN_SHARD:
                strange += 1
                continue
            if payload[4] < _DATA or payload[5]:
                conversation = payload[:4]
            elif payload[4] == _DATA:
                conversation = latest = payload[8:12]
            elif payload[4] == _PARITY and latest is not None:
                conversation = latest
            else:
                # Nobody's, or out of band, which nobody here has asked for.
                strange += 1
                continue
            if conversation in groups:
                groups[conversation].append(payload)
                octets[conversation] += len(datagram)
            else:
                groups[conversation] = [payload]
                octets[conversation] = len(datagram)
        for conversation, belonging in groups.items():
            key = (address, conversation)
            session = self.sessions.get(key) or self._opened(key, belonging, now)
            if session is None:
                self.counted.strange += len(belonging)
            else:
                session.input(belonging, octets[conversation], now)
                self._touched[session] = None
                if conversation == latest:
                    self._latest[address] = conversation
        if unreadable:
            self.counted.unreadable += unreadable
            self._complain(address, UNREADABLE, unreadable)
        if strange:
            self.counted.strange += strange
            self._complain(address, NOT_KCP, strange)

    def _opened(self, key: Key, payloads: list[bytes], now: int) -> KCPTransport | None:
        """
        Begin a session if that is what datagrams for none ask for.

        @return: L{None} if it is not.
        """
        return None

    def _complain(self, address: Address, reason: str, count: int) -> None:
        host, port = address
        self._diagnosis.report(self._reactor.seconds(), host, port, reason, count)

    # Sessions.

    def _begin(self, key: Key, peer: Any, trusting: bool) -> KCPTransport:
        address, conversation = key
        number = int.from_bytes(conversation, "little")
        pipeline = Pipeline(number, self._config, self._cipher, trusting)
        transport = self.transport
        host: Any = transport.getHost() if transport is not None else None
        session = KCPTransport(self, pipeline, host, peer, self._timers)
        self.sessions[key] = session
        self._addresses[session] = key
        return session

    def touched(self, session: KCPTransport) -> None:
        """
        See L{SessionOwner<socksproxy.kcp.transport.SessionOwner>}: all that is
        written in a turn of the reactor goes out together after it.
        """
        self._touched[session] = None
        if not self._busy and self._turn is None:
            self._turn = self._reactor.callLater(0, self._endTurn)

    def _endTurn(self) -> None:
        self._turn = None
        self._serve()

    def ended(self, session: KCPTransport) -> None:
        """
        See L{SessionOwner<socksproxy.kcp.transport.SessionOwner>}.
        """
        key = self._addresses.pop(session)
        address, conversation = key
        del self.sessions[key]
        if self._latest.get(address) == conversation:
            del self._latest[address]
        self._wakes.set(session, None)
        self._touched.pop(session, None)
        if not self._busy:
            self._arm(self._now())

    def _serve(self) -> None:
        """
        Let the sessions that something has happened to give and send.
        """
        now = self._now()
        touched, self._touched = self._touched, {}
        self._busy = True
        try:
            unfinished = [s for s in touched if s.connected and s.deliver()]
            # What has been written meanwhile goes with the rest.
            touched.update(self._touched)
            self._touched = dict.fromkeys(unfinished)
            for session in touched:
                self._flush(session, now)
        finally:
            self._busy = False
        if self._touched and self._turn is None:
            self._turn = self._reactor.callLater(0, self._endTurn)
        self._arm(now)

    def _flush(self, session: KCPTransport, now: int) -> None:
        if not session.connected:
            return
        transport = self.transport
        if transport is not None:
            address, _ = self._addresses[session]
            for datagrams in session.flush(now):
                taken = transport.writeBatch(datagrams, address)
                if taken != len(datagrams):
                    session.pipeline.statistics.sendErrors += len(datagrams) - taken
        session.expire(now)
        if session.connected:
            wait = session.nextDeadline(now)
            # Nothing is due twice in a millisecond.
            self._wakes.set(session, None if wait is None else now + max(wait, 1))

    # Time.

    def _arm(self, now: int) -> None:
        """
        Have the one timer go off when the first session wants it.
        """
        due = self._wakes.next
        timer = self._timer
        if due is None:
            if timer is not None:
                self._timer = None
                timer.cancel()
        elif timer is None:
            self._timerTs = due
            self._timer = self._reactor.callLater(max(due - now, 0) / 1000, self._timeOut)
        elif due < self._timerTs:
            self._timerTs = due
            timer.reset(max(due - now, 0) / 1000)

    def _timeOut(self) -> None:
        self._timer = None
        now = self._now()
        self._touched.update(dict.fromkeys(self._wakes.due(now)))
        self._serve()

    def stopProtocol(self) -> None:
        """
        See C{DatagramProtocol}: the port is closed.
        """
        self._busy = True
        for session in list(self.sessions.values()):
            session.end(Failure(ConnectionDone()))
        self._touched.clear()
        for call in (self._timer, self._turn):
            if call is not None:
                call.cancel()
        self._timer = self._turn = None


class KCPServerProtocol(KCPProtocol):
    """
    Takes sessions from anywhere, and connects each with a protocol of a
    factory's.

    A session begins with a datagram that can be decrypted and in which a peer
    that has heard nothing yet sends data. Nothing else is answered, and no
    datagram ends a session.

    @ivar accepting: New sessions may begin.
    """

    def __init__(
        self,
        reactor: Any,
        factory: IProtocolFactory,
        config: KCPConfig,
        cipher: PacketCipher,
        timers: SessionTimers,
        maxSessions: int = 4096,
        maxSessionsPerHost: int = 512,
    ) -> None:
        """
        See L{KCPProtocol} for the rest.

        @param factory: Makes the protocols.
        @param maxSessions: At a time.
        @param maxSessionsPerHost: At a time, with one address.
        """
        super().__init__(reactor, config, cipher, timers)
        self.accepting = True
        self._factory = factory
        self._maxSessions = maxSessions
        self._maxSessionsPerHost = maxSessionsPerHost
        self._perHost: dict[str, int] = {}
        self._unproven: dict[KCPTransport, None] = {}
        self._past: OrderedDict[Key, float] = OrderedDict()

    def _opened(self, key: Key, payloads: list[bytes], now: int) -> KCPTransport | None:
        address, _ = key
        if not self.accepting or self._isPast(key):
            return super()._opened(key, payloads, now)
        if not any(self._isOpening(payload) for payload in payloads):
            reason = UNKNOWN if any(map(firstHead, payloads)) else NOT_KCP
            self._complain(address, reason, len(payloads))
            return super()._opened(key, payloads, now)
        if not self._hasRoom(address[0]):
            self.counted.refused += 1
            self._complain(address, TOO_MANY, len(payloads))
            return super()._opened(key, payloads, now)
        peer = _udpAddress(address)
        protocol = self._factory.buildProtocol(peer)
        if protocol is None:
            return super()._opened(key, payloads, now)
        session = self._begin(key, peer, trusting=False)
        self._perHost[address[0]] = self._perHost.get(address[0], 0) + 1
        self._unproven[session] = None
        session.start(protocol, now)
        return session if session.connected else None

    def _isOpening(self, payload: bytes) -> bool:
        """
        Whether a datagram makes sense as the first that comes of a session;
        others may have been lost before it.
        """
        head = firstHead(payload)
        if head is None:
            return False
        _, cmd, _, _, _, sn, una, length = head
        return cmd == Command.PUSH and una == 0 and sn < self._config.rcvwnd and length > 0

    def _hasRoom(self, host: str) -> bool:
        if self._perHost.get(host, 0) >= self._maxSessionsPerHost:
            return False
        if len(self.sessions) < self._maxSessions:
            return True
        for session in list(self._unproven):
            if not session.pipeline.control.proven:
                # Whoever that is may never have sent anything.
                self.counted.evicted += 1
                session.abortConnection()
                return True
            del self._unproven[session]
        return False

    def _isPast(self, key: Key) -> bool:
        ended = self._past.get(key)
        return ended is not None and self._reactor.seconds() - ended < REMEMBERED_FOR

    def ended(self, session: KCPTransport) -> None:
        """
        See L{SessionOwner<socksproxy.kcp.transport.SessionOwner>}.
        """
        key = self._addresses[session]
        super().ended(session)
        host = key[0][0]
        self._unproven.pop(session, None)
        self._perHost[host] -= 1
        if not self._perHost[host]:
            del self._perHost[host]
        self._past[key] = self._reactor.seconds()
        self._past.move_to_end(key)
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)
        if not self.accepting and not self.sessions:
            self._close()

    def stopAccepting(self) -> None:
        """
        Take no more sessions, and close the port after the last one.
        """
        self.accepting = False
        if not self.sessions:
            self._close()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.stopListening()


class KCPClientProtocol(KCPProtocol):
    """
    One session with one server, on a port of its own.

    @ivar peer: The server's address.
    """

    def __init__(
        self,
        reactor: Any,
        address: Address,
        conversation: int,
        config: KCPConfig,
        cipher: PacketCipher,
        timers: SessionTimers,
    ) -> None:
        """
        See L{KCPProtocol} for the rest.

        @param address: The server's numeric host and port, as the socket
            writes them.
        @param conversation: 32 bits that nobody else has chosen.
        """
        super().__init__(reactor, config, cipher, timers)
        self._key = (address, conversation.to_bytes(4, "little"))
        self.peer = _udpAddress(address)

    def begin(self, protocol: IProtocol) -> KCPTransport:
        """
        Connect a protocol. Nothing is sent before it writes.
        """
        session = self._begin(self._key, self.peer, trusting=True)
        session.start(protocol, self._now())
        return session

    def batchReceived(self, batch: Batch) -> None:
        """
        See L{BatchProtocol}. Only the server is listened to.
        """
        server = self._key[0]
        ours = [(address, several) for address, several in batch if address == server]
        if len(ours) != len(batch):
            self.counted.strange += sum(len(d) for address, d in batch if address != server)
        if ours:
            super().batchReceived(ours)

    def ended(self, session: KCPTransport) -> None:
        """
        See L{SessionOwner<socksproxy.kcp.transport.SessionOwner>}.
        """
        super().ended(session)
        if self.transport is not None:
            self.transport.stopListening()


def _udpAddress(address: Address) -> IPv4Address | IPv6Address:
    host, port = address
    if host.startswith(MAPPED) and "." in host:
        host = host.removeprefix(MAPPED)
    return (IPv6Address if ":" in host else IPv4Address)("UDP", host, port)


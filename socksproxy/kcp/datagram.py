"""
KCP on a UDP port: which datagram is for which session, and when each session
has to be looked at.

All datagrams that wait in the socket are decrypted at once, given to their
sessions, and only then is anything sent. There is one reactor timer for all
sessions of a port, and none while they have nothing to wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from socksproxy.events import log
from socksproxy.kcp._admission import Admission, Key
from socksproxy.kcp._sorting import isKCP, isOpening, sort
from socksproxy.kcp._wakes import Wakes
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.crypt import PacketCipher
from socksproxy.kcp.diagnosis import Diagnosis
from socksproxy.kcp.ledger import Ledger
from socksproxy.kcp.pipeline import Pipeline
from socksproxy.kcp.port import Address, Batch, BatchProtocol
from socksproxy.kcp.transport import KCPTransport, SessionTimers

UNREADABLE = "checksum wrong: key, salt or cipher differ?"
NOT_KCP = "not KCP: is the peer encrypting, or no KCP at all?"
UNKNOWN = "not the beginning of a session: was this side restarted, or has the peer moved?"
TOO_MANY = "too many sessions"

MAPPED = "::ffff:"


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
    @ivar ledger: What everything is counted in.
    """

    def __init__(
        self,
        reactor: Any,
        config: KCPConfig,
        cipher: PacketCipher,
        timers: SessionTimers,
        ledger: Ledger | None = None,
    ) -> None:
        """
        @param reactor: An C{IReactorTime}.
        @param config: Settings for all sessions.
        @param cipher: The same on both sides.
        @param timers: What ends sessions.
        @param ledger: What everything is counted in, if not for this port
            alone.
        """
        self.sessions: dict[Key, KCPTransport] = {}
        self.ledger = Ledger() if ledger is None else ledger
        self.counted = self.ledger.counted
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
        found = sort(
            datagrams,
            payloads,
            self._latest.get(address),
            lambda conversation: (address, conversation) in self.sessions,
        )
        for conversation, belonging in found.groups.items():
            key = (address, conversation)
            session = self.sessions.get(key) or self._opened(key, belonging, now)
            if session is None:
                self.counted.strange += len(belonging)
                continue
            self._give(session, belonging, found.octets[conversation], now)
            if conversation == found.latest:
                self._latest[address] = conversation
        if found.unreadable:
            self.counted.unreadable += found.unreadable
            self._complain(address, UNREADABLE, found.unreadable)
        strange = found.nobodys + found.outOfBand
        if strange:
            self.counted.strange += len(strange)
            # A peer that there is a session with may send what it likes.
            if found.nobodys or address not in self._latest:
                self._complain(address, _reasonFor(strange), len(strange))

    def _give(self, session: KCPTransport, payloads: list[bytes], octets: int, now: int) -> None:
        """
        Give a session what has come for it.
        """
        self._touched[session] = None
        try:
            session.input(payloads, octets, now)
        except Exception:
            log.failure("A session of KCP failed: {session}", session=session)
            session.fail(Failure())

    def _opened(self, key: Key, payloads: list[bytes], now: int) -> KCPTransport | None:
        """
        Begin a session if that is what datagrams for none ask for.

        @return: L{None} if it is not.
        """
        return None

    def _complain(self, address: Address, reason: str, count: int) -> None:
        host, port = address
        self._diagnosis.report(self._now() / 1000, _unmapped(host), port, reason, count)

    # Sessions.

    def now(self) -> int:
        """
        See L{SessionOwner<socksproxy.kcp.transport.SessionOwner>}.
        """
        return self._now()

    def _begin(self, key: Key, peer: Any, trusting: bool) -> KCPTransport:
        _, conversation = key
        number = int.from_bytes(conversation, "little")
        pipeline = Pipeline(number, self._config, self._cipher, trusting)
        transport = self.transport
        host: Any = transport.getHost() if transport is not None else None
        session = KCPTransport(self, pipeline, host, peer, self._timers)
        self.sessions[key] = session
        self._addresses[session] = key
        self.ledger.began(session, active=trusting)
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
        now = self._now()
        if not self._busy:
            self._arm(now)
        self.ledger.ended(session, now)

    def _serve(self) -> None:
        """
        Let the sessions that something has happened to give and send.
        """
        now = self._now()
        touched, self._touched = self._touched, {}
        self._busy = True
        try:
            for session in touched:
                session.deliver()
            # What has been written meanwhile goes with the rest.
            touched.update(self._touched)
            self._touched = {}
            for session in touched:
                self._flush(session, now)
        finally:
            self._busy = False
        # Others have their turn before a session that has more to be given,
        # or that was resumed by one which came after it.
        self._touched.update((session, None) for session in touched if session.hasMore)
        if self._touched and self._turn is None:
            self._turn = self._reactor.callLater(0, self._endTurn)
        self._arm(now)

    def _flush(self, session: KCPTransport, now: int) -> None:
        if not session.connected:
            return
        try:
            self._send(session, now)
        except Exception:
            log.failure("A session of KCP failed: {session}", session=session)
            session.fail(Failure())
        session.expire(now)
        if session.connected:
            wait = session.nextDeadline(now)
            # Nothing is due twice in a millisecond.
            self._wakes.set(session, None if wait is None else now + max(wait, 1))

    def _send(self, session: KCPTransport, now: int) -> None:
        transport = self.transport
        if transport is None:
            return
        address, _ = self._addresses[session]
        for datagrams in session.flush(now):
            taken = transport.writeBatch(datagrams, address)
            if taken != len(datagrams):
                session.pipeline.statistics.sendErrors += len(datagrams) - taken

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

    def _close(self) -> Deferred[None]:
        if self.transport is None:
            return succeed(None)
        return self.transport.stopListening() or succeed(None)

    def stopProtocol(self) -> None:
        """
        See C{DatagramProtocol}: the port is closed.
        """
        self._busy = True
        for session in list(self.sessions.values()):
            session.end(Failure(ConnectionLost("the port was closed")))
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
        self._admission: Admission[KCPTransport] = Admission(maxSessions, maxSessionsPerHost)

    def _opened(self, key: Key, payloads: list[bytes], now: int) -> KCPTransport | None:
        address, _ = key
        if not self.accepting or self._admission.isPast(key, now):
            return None
        if not any(isOpening(payload, self._config.rcvwnd) for payload in payloads):
            self._complain(address, _reasonFor(payloads), len(payloads))
            return None
        if not self._admission.hasRoom(address[0]):
            self.counted.refused += 1
            self._complain(address, TOO_MANY, len(payloads))
            return None
        protocol = self._build(_udpAddress(address))
        if protocol is None:
            # Asked once, as for a connection.
            self._admission.refuse(key, now)
            self.counted.refused += 1
            return None
        return self._admit(key, protocol, now)

    def _build(self, peer: IAddress) -> IProtocol | None:
        try:
            return self._factory.buildProtocol(peer)
        except Exception:
            log.failure("A factory over KCP failed")
            return None

    def _admit(self, key: Key, protocol: IProtocol, now: int) -> KCPTransport:
        inTheWay = self._admission.inTheWay()
        if inTheWay is not None:
            self.counted.evicted += 1
            inTheWay.end(Failure(ConnectionLost("another session needed its place")))
        session = self._begin(key, _udpAddress(key[0]), trusting=False)
        self._admission.began(key, session)
        try:
            session.start(protocol, now)
        except Exception:
            log.failure("An application over KCP failed: {session}", session=session)
            session.fail(Failure())
        return session

    def _give(self, session: KCPTransport, payloads: list[bytes], octets: int, now: int) -> None:
        super()._give(session, payloads, octets, now)
        self._admission.heard(session, session.pipeline.control.proven)

    def ended(self, session: KCPTransport) -> None:
        """
        See L{SessionOwner<socksproxy.kcp.transport.SessionOwner>}.
        """
        key = self._addresses[session]
        super().ended(session)
        self._admission.ended(key, session, self._now())
        if not self.accepting and not self.sessions:
            self._close()

    def stopAccepting(self) -> Deferred[None]:
        """
        Take no more sessions, and close the port after the last one.

        @return: Fires when the port is closed, or at once if that is not now.
        """
        self.accepting = False
        return succeed(None) if self.sessions else self._close()


class KCPClientProtocol(KCPProtocol):
    """
    One session with one server, on a port of its own.

    @ivar peer: The server's address.
    @ivar stopped: Called when the port is closed.
    """

    def __init__(
        self,
        reactor: Any,
        address: Address,
        conversation: int,
        config: KCPConfig,
        cipher: PacketCipher,
        timers: SessionTimers,
        ledger: Ledger | None = None,
    ) -> None:
        """
        See L{KCPProtocol} for the rest.

        @param address: The server's numeric host and port, as the socket
            writes them.
        @param conversation: 32 bits that nobody else has chosen.
        """
        super().__init__(reactor, config, cipher, timers, ledger)
        self._key = (address, conversation.to_bytes(4, "little"))
        self.peer = _udpAddress(address)
        self.stopped: Callable[[], object] | None = None

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
        self._close()

    def stopProtocol(self) -> None:
        """
        See C{DatagramProtocol}: the port is closed.
        """
        super().stopProtocol()
        if self.stopped is not None:
            self.stopped()


def _udpAddress(address: Address) -> IPv4Address | IPv6Address:
    host, port = address
    host = _unmapped(host)
    return (IPv6Address if ":" in host else IPv4Address)("UDP", host, port)


def _unmapped(host: str) -> str:
    return host.removeprefix(MAPPED) if "." in host else host


def _reasonFor(payloads: list[bytes]) -> str:
    return UNKNOWN if any(map(isKCP, payloads)) else NOT_KCP

"""
One client's datagrams on the other side of a Shadowsocks server: its login, its
way out, and the line that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure

from socksproxy.address import Destination
from socksproxy.auth.sharedkey import SharedKey
from socksproxy.errors import GeneralFailure, LocalProtocolError, RequestFailed
from socksproxy.events import AccessRecord, log
from socksproxy.inbound import shownAddress
from socksproxy.inbound.login import Session as Login
from socksproxy.inbound.shared import Inbound
from socksproxy.interfaces import ClientOrigin, IDatagramConduit, IProxyAvatar
from socksproxy.shadowsocks._packet import Session

IDLE = 300.0
"""
Seconds without a datagram in either direction after which one is ended.
"""

IDLE_NAMES = 17.0
"""
The same for one that has only spoken to name servers.
"""

MAX_WAITING = 64
MAX_WAITING_OCTETS = 1 << 18
"""
Datagrams of one client that wait for its way out to be there.
"""

RETRY_AFTER = 5.0
"""
Seconds between two attempts to get a way out.
"""

_NAMES = 53


class Association:
    """
    What goes between one client and all that it writes to.

    @ivar record: The access line in the making.
    @ivar used: When a datagram has come or gone last, in seconds.
    @ivar moved: When it was last put behind all others.
    """

    def __init__(
        self,
        inbound: Inbound,
        origin: ClientOrigin,
        session: Session,
        answer: Callable[[bytes, Session], bool],
    ) -> None:
        """
        @param inbound: Where the client came in.
        @param origin: From where.
        @param session: What its datagrams are sealed with, and where it is.
        @param answer: Sends the client a datagram.
        """
        self._inbound = inbound
        self._clock: IReactorTime = inbound.clock
        self._origin = origin
        self._session = session
        self._answer = answer
        self._login = Login(inbound)
        self._conduit: IDatagramConduit | None = None
        self._relayed = False
        # A way out is being asked for; that can be given up, a login cannot.
        self._opening = False
        self._asked: Deferred[IDatagramConduit] | None = None
        self._waiting: list[tuple[bytes, Destination]] = []
        self._waitingOctets = 0
        self._retryAt = 0.0
        self._onlyNames = True
        self._over = False
        self._began = self.used = self.moved = self._clock.seconds()
        self.record = AccessRecord(
            protocol=origin.protocol,
            listener=inbound.listener,
            client=shownAddress(origin.peer),
            command="UDP",
        )

    @property
    def expires(self) -> float:
        """
        When it has been silent for too long.
        """
        return self.used + (IDLE_NAMES if self._onlyNames else IDLE)

    def send(self, data: bytes, destination: Destination) -> None:
        """
        Take a datagram of the client's.
        """
        if destination.port != _NAMES:
            self._onlyNames = False
        conduit = self._conduit
        if conduit is None:
            self._wait(data, destination)
        elif conduit.send(data, destination):
            self.record.sent += len(data)
            self.record.datagramsSent += 1
        elif self._relayed:
            # It refuses nothing before the proxy has ended it.
            self._close()
            self._wait(data, destination)
        else:
            self.record.datagramsDropped += 1

    def end(self, reason: str) -> None:
        """
        Send and receive nothing more, and say so.

        @param reason: Why, if nothing else is known to have gone wrong.
        """
        self._over = True
        self._login.abandon()
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()
        self._close()
        self._dropWaiting()
        self._login.end()
        self._session.end()
        record = self.record
        record.duration = self._clock.seconds() - self._began
        if record.reason == "-":
            record.reason = reason
        record.emit()

    def cameFrom(self, peer: IAddress) -> None:
        """
        The client has another address now.
        """
        self.record.client = shownAddress(peer)

    def _wait(self, data: bytes, destination: Destination) -> None:
        """
        Keep a datagram until there is a way out.
        """
        if self.record.destination == "-":
            self.record.destination = str(destination)
        octets = self._waitingOctets + len(data)
        tooSoon = not self._opening and self._clock.seconds() < self._retryAt
        if tooSoon or len(self._waiting) >= MAX_WAITING or octets > MAX_WAITING_OCTETS:
            self.record.datagramsDropped += 1
            return
        self._waiting.append((data, destination))
        self._waitingOctets = octets
        if not self._opening:
            self._retryAt = self._clock.seconds() + RETRY_AFTER
            self._open()

    def _open(self) -> None:
        """
        Ask for a way out, and log in before where that is to be done. Perhaps
        it is there at once.
        """
        self._opening = True
        if self._login.avatar is not None:
            self._associate(self._login.avatar)
            return
        self._login = Login(self._inbound)
        user = SharedKey(self._session.account.name.encode())
        loggingIn = self._login.login(self._origin, user)
        loggingIn.addCallback(self._associate).addErrback(self._notOpened)

    def _associate(self, avatar: IProxyAvatar) -> None:
        if self._over:
            return
        self.record.user = avatar.user
        asked = self._asked = maybeDeferred(avatar.associate, self._received)
        asked.addCallback(self._opened, avatar).addErrback(self._notOpened)

    def _opened(self, conduit: IDatagramConduit, avatar: IProxyAvatar) -> None:
        if self._over:
            conduit.close()
            return
        self._opening, self._asked = False, None
        self._conduit = conduit
        self._relayed = bool(avatar.way.hops)
        self.record.result, self.record.reason = "succeeded", "-"
        waiting, self._waiting, self._waitingOctets = self._waiting, [], 0
        for data, destination in waiting:
            self.send(data, destination)

    def _notOpened(self, failure: Failure) -> None:
        self._opening, self._asked = False, None
        if self._over or failure.check(CancelledError):
            return
        error = failure.value
        if not isinstance(error, RequestFailed):
            log.failure("No way out for datagrams, for an unforeseen reason", failure)
            error = GeneralFailure()
        self.record.result, self.record.reason = error.summary, str(error)
        self._dropWaiting()

    def _received(self, data: bytes, source: Destination) -> None:
        """
        Take a datagram that has come back.
        """
        try:
            answer = self._session.seal(source, data)
        except LocalProtocolError:
            # With what comes around it there is no datagram for so much.
            self.record.datagramsDropped += 1
            return
        if self._answer(answer, self._session):
            self.record.received += len(data)
            self.record.datagramsReceived += 1
        else:
            self.record.datagramsDropped += 1

    def _dropWaiting(self) -> None:
        self.record.datagramsDropped += len(self._waiting)
        self._waiting.clear()
        self._waitingOctets = 0

    def _close(self) -> None:
        conduit, self._conduit = self._conduit, None
        if conduit is not None:
            conduit.close()
            dropped, octets = conduit.dropped
            self.record.datagramsSent -= dropped
            self.record.sent -= octets
            self.record.datagramsDropped += dropped

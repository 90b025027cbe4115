"""
Whether a connection of TCP still gets through, as the kernel knows it.

A peer whose host is gone says nothing of it, and what is written to it is sent
again and again for a quarter of an hour. That nothing of it is acknowledged
shows after seconds.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.tcp import Connection

from socksproxy.relay.leg import StreamTransport
from socksproxy.relay.sockets import lowestTransport

INTERVAL = 1.0
"""
Seconds between two looks while something is not acknowledged.
"""

ON_ITS_WAY = 0.1
"""
Seconds that what was written takes into the kernel at the most.
"""

# tcpi_unacked, tcpi_last_ack_recv in milliseconds, tcpi_bytes_acked,
# tcpi_notsent_bytes and tcpi_snd_wnd, the last of which is of Linux 5.4.
_TCP_INFO = struct.Struct("=24xI28xI60xQ16xI80xI")

_OPTION: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None


class StallWatch:
    """
    Knows for how long nothing has been acknowledged on one connection. Where
    the kernel does not say, that is never long.
    """

    __slots__ = ("_acknowledged", "_clock", "_connection", "_since", "_timer", "_wrote")

    def __init__(self, clock: IReactorTime, transport: StreamTransport) -> None:
        """
        @param clock: Time.
        @param transport: What is written to; it may be TLS or a tunnel.
        """
        lowest: Any = lowestTransport(transport)
        self._clock = clock
        self._connection = lowest if isinstance(lowest, Connection) else None
        self._acknowledged = 0
        self._since: float | None = None
        self._wrote = 0.0
        self._timer: IDelayedCall | None = None

    def writing(self) -> None:
        """
        Take notice that something is about to be written.
        """
        if self._connection is None:
            return
        self._wrote = self._clock.seconds()
        if self._since is None:
            self._since = self._wrote
        if self._timer is None:
            self._timer = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> None:
        """
        Look no more: the connection is gone.
        """
        self._connection = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def stalled(self) -> float:
        """
        Say for how many seconds the peer has acknowledged nothing of what
        there is for it; 0.0 if there is nothing, or it has no room.
        """
        waiting, silent, acknowledged = self._ask()
        return self._stalled(silent, acknowledged) if waiting else 0.0

    def _stalled(self, silent: int, acknowledged: int) -> float:
        now = self._clock.seconds()
        if self._since is None:
            self._since = now
        if acknowledged != self._acknowledged:
            # When that was is not known, but that the last one came later.
            self._acknowledged = acknowledged
            self._since = max(self._since, now - silent / 1000)
        return max(now - self._since, 0.0)

    def _look(self) -> None:
        self._timer = None
        waiting, silent, acknowledged = self._ask()
        if waiting:
            self._stalled(silent, acknowledged)
        elif self._clock.seconds() - self._wrote >= ON_ITS_WAY:
            self._since = None
            return
        self._timer = self._clock.callLater(INTERVAL, self._look)

    def _ask(self) -> tuple[bool, int, int]:
        """
        Ask the kernel whether there is something to acknowledge, for how many
        milliseconds the peer has been silent, and for the octets that it has
        acknowledged.
        """
        connection = self._connection
        if connection is None or _OPTION is None or not connection.connected:
            return False, 0, 0
        try:
            answer = connection.socket.getsockopt(socket.IPPROTO_TCP, _OPTION, _TCP_INFO.size)
        except OSError:
            # A UNIX socket, say.
            return False, 0, 0
        # Older kernels know less.
        unacknowledged, silent, acknowledged, unsent, room = _TCP_INFO.unpack(
            answer.ljust(_TCP_INFO.size, b"\0")
        )
        # Without a route nothing is sent at all.
        return bool(unacknowledged or (unsent and room)), silent, acknowledged

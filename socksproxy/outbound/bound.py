"""
Waiting for the one connection of a BIND.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-4}
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import ConnectTimedOut, NetworkUnreachable, NotAllowed
from socksproxy.events import log
from socksproxy.exposure import Exposure
from socksproxy.interfaces import IBoundPort
from socksproxy.relay import Leg
from socksproxy.relay.leg import addressAndPort

BIND_TIMEOUT = 120.0
"""
Seconds for the expected peer to connect.
"""


def _byVersion(four: str, six: str) -> dict[int, IPAddress]:
    return {4: IPv4Address(four), 6: IPv6Address(six)}


# Somewhere in the Internet (RFC 5737, RFC 3849); nothing is sent there.
_ELSEWHERE = _byVersion("192.0.2.1", "2001:db8::1")
_UNSPECIFIED = _byVersion("0.0.0.0", "::")  # noqa: S104
_LOOPBACK = _byVersion("127.0.0.1", "::1")


@implementer(IBoundPort)
class BoundPort(Factory):
    """
    A port that lets in the first connection of an expected peer, and nobody
    else: a stranger's is closed, and the waiting goes on.

    @ivar address: Where the peer is to connect to.
    """

    noisy = False

    def __init__(
        self,
        exposure: Exposure,
        clock: IReactorTime,
        peers: Collection[IPAddress] | None,
        version: int = 4,
        timeout: float = BIND_TIMEOUT,
        strangersFail: bool = False,
    ) -> None:
        """
        @param exposure: What listens.
        @param clock: Time.
        @param peers: Who is expected; L{None} is anybody.
        @param version: Of IP, where anybody is.
        @param timeout: Seconds to wait for it.
        @param strangersFail: End the waiting when somebody else connects, as
            the note on SOCKS4 has it; whoever scans ports can do that.
        @raise RequestFailed: No port is to be had.
        """
        self._clock = clock
        self._peers = peers
        self._timeout = timeout
        self._strangersFail = strangersFail
        if peers is None:
            # The peer may come in over any of our addresses.
            local = _anyAddress(exposure, version)
            interface = str(_UNSPECIFIED[version])
        else:
            local = exposure.localAddressTowards(next(iter(peers)))
            interface = str(local)
        self._port: IListeningPort | None = exposure.listenTCP(self, interface)
        _, number = addressAndPort(self._port.getHost())
        self.address = Destination(exposure.advertised(local), number)
        self._waiting: Deferred[Leg] = Deferred(lambda _: self._close())
        self._admitted = False
        self._asked = False

    def accepted(self) -> Deferred[Leg]:
        """
        See L{IBoundPort}.
        """
        self._asked = True
        return self._waiting.addTimeout(self._timeout, self._clock, _nobodyCame)

    def stop(self) -> None:
        """
        See L{IBoundPort}.
        """
        self._close()
        if not self._admitted and not self._waiting.called:
            # Perhaps nobody has asked for it yet.
            self._waiting.addErrback(lambda failure: failure if self._asked else None)
            self._waiting.cancel()

    def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()

    def buildProtocol(self, addr: IAddress | None) -> Leg | None:
        """
        See C{IProtocolFactory}.
        """
        host, _ = addressAndPort(addr)
        if self._admitted or self._port is None:
            return None
        if self._peers is not None and host not in self._peers:
            log.info("BIND: a connection from {host} was not expected", host=str(host))
            if self._strangersFail:
                self._close()
                self._waiting.errback(NotAllowed("somebody else connected"))
            return None
        self._admitted = True
        self._close()
        return _Peer(self._waiting)


class _Peer(Leg):
    """
    The connection that was waited for.
    """

    def __init__(self, waiting: Deferred[Leg]) -> None:
        super().__init__()
        self._waiting = waiting

    def connectionMade(self) -> None:
        """
        Tell whoever waits.
        """
        super().connectionMade()
        self._waiting.callback(self)


def _anyAddress(exposure: Exposure, version: int) -> IPAddress:
    """
    Give the address at which most of the world finds us.
    """
    try:
        return exposure.localAddressTowards(_ELSEWHERE[version])
    except NetworkUnreachable:
        # There is no world but this host.
        return _LOOPBACK[version]


def _nobodyCame(result: Leg | Failure, seconds: float) -> Failure:
    return Failure(ConnectTimedOut("the expected peer did not come"))

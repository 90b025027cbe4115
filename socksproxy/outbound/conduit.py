"""
Datagrams of one client, out of this host and back.

All of them leave from one address, whoever they go to, so that programs which
tell others that address can be reached (endpoint-independent mapping). What
comes back is passed on only if it comes from a host that the client has
written to lately (address-dependent filtering), unless that is lifted.

@see: U{https://www.rfc-editor.org/rfc/rfc4787}
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from socket import AF_INET6, inet_ntop

from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from socksproxy.address import Destination, IPAddress, hostFromText
from socksproxy.errors import GeneralFailure, NotAllowed, RequestFailed
from socksproxy.exposure import Exposure
from socksproxy.interfaces import IDatagramConduit, Received
from socksproxy.outbound.names import DatagramNames
from socksproxy.outbound.vetting import Vetting
from socksproxy.policy.rules import isHost
from socksproxy.relay.datagrams import sendDatagram

MAPPING_IDLE = 300.0
"""
Seconds after which a host that the client does not write to any more is
forgotten (RFC 4787 section 4.3: not below 120).
"""

MAX_MAPPINGS = 1024
"""
Destinations that are remembered; the one that was used longest ago goes first.
"""

GRAIN = 1.0
"""
Seconds within which nobody cares which mapping was used first.
"""


@dataclass(eq=False, slots=True)
class _Mapping:
    """
    A destination that the client writes to.

    @ivar sockaddr: Host and port as the socket takes them.
    @ivar used: When it was last written to, in seconds.
    @ivar moved: When it was last put behind all others.
    """

    sockaddr: tuple[str, int]
    used: float
    moved: float


class _Socket(DatagramProtocol):
    """
    The conduit's end of its socket; each socket has its own, since the last
    one's closing may come after the next one's opening.
    """

    noisy = False

    def __init__(self, conduit: DirectConduit | None) -> None:
        self._conduit = conduit

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self._conduit is not None:
            self._conduit.datagramReceived(datagram, addr)

    def leave(self) -> None:
        """
        Let go of the conduit, which has another socket, or none any more.
        """
        self._conduit = None


@implementer(IDatagramConduit)
class DirectConduit:
    """
    One client's datagrams. Its socket is opened for the first of them and
    closed when nothing is remembered any more.
    """

    def __init__(
        self,
        exposure: Exposure,
        clock: IReactorTime,
        vetting: Vetting,
        received: Received,
        fullCone: bool = False,
        idle: float = MAPPING_IDLE,
    ) -> None:
        """
        @param exposure: What listens.
        @param clock: Time.
        @param vetting: Who may be written to.
        @param received: Called with what comes back.
        @param fullCone: Let anybody answer.
        @param idle: Seconds for which a host may answer.
        """
        self._exposure = exposure
        self._clock = clock
        self._vetting = vetting
        self._received = received
        self._fullCone = fullCone
        self._idle = idle
        self._socket = _Socket(None)
        self._port: IListeningPort | None = None
        self._mapped = ""
        self._mappings: OrderedDict[Destination, _Mapping] = OrderedDict()
        # Of each host, in the socket's form, how many mappings there are.
        self._hosts: Counter[str] = Counter()
        self._names = DatagramNames(vetting, clock, self.send)
        self._sources: dict[tuple[str, int], Destination] = {}
        self._expiring: IDelayedCall | None = None
        self._closed = False

    @property
    def dropped(self) -> tuple[int, int]:
        """
        See L{IDatagramConduit}.
        """
        return self._names.dropped

    @property
    def mappings(self) -> int:
        """
        How many destinations are remembered.
        """
        return len(self._mappings)

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit}.
        """
        mapping = self._mappings.get(destination)
        if mapping is None:
            return self._sendElsewhere(data, destination)
        now = self._clock.seconds()
        mapping.used = now
        if now - mapping.moved >= GRAIN:
            mapping.moved = now
            self._mappings.move_to_end(destination)
        return sendDatagram(self._socket.transport, data, mapping.sockaddr)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Pass on what the client may get.
        """
        if addr[0] not in self._hosts and not self._fullCone:
            return
        source = self._sources.get(addr)
        if source is None:
            host = hostFromText(addr[0])
            if host is None:
                return
            source = Destination(host, addr[1])
            if len(self._sources) >= MAX_MAPPINGS:
                self._sources.clear()
            self._sources[addr] = source
        self._received(datagram, source)

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """
        self._closed = True
        self._names.close()
        self._forgetAll()
        self._received = _nowhere

    def _sendElsewhere(self, data: bytes, destination: Destination) -> bool:
        """
        Send to somebody for the first time, or to a name.
        """
        if self._closed or destination.port == 0:
            return False
        host = destination.host
        if isinstance(host, str):
            return self._names.send(data, host, destination.port)
        try:
            self._vetting.check(host)
            if not isHost(host):
                raise NotAllowed("not the address of a host")
            if self._exposure.relaysAt(host, destination.port):
                raise NotAllowed("datagrams of a relay do not go to a relay")
            sockaddr = (self._open(host), destination.port)
        except RequestFailed:
            if not self._mappings:
                self._forgetAll()
            return False
        self._remember(destination, sockaddr)
        return sendDatagram(self._socket.transport, data, sockaddr)

    def _open(self, host: IPAddress) -> str:
        """
        Open the socket, if that has not been done.

        @return: The host as the socket takes it.
        @raise GeneralFailure: There is none for such an address.
        """
        if self._port is None:
            self._socket = _Socket(self)
            try:
                # One socket for both families.
                self._port = self._exposure.listenUDP(self._socket, "::")
                self._mapped = "::ffff:"
            except GeneralFailure:
                self._port = self._exposure.listenUDP(self._socket, "0.0.0.0")  # noqa: S104
                self._mapped = ""
        if host.version == 4:
            return f"{self._mapped}{host}"
        if not self._mapped:
            raise GeneralFailure("this host has no IPv6")
        # As the kernel will write it when an answer comes.
        return inet_ntop(AF_INET6, host.packed)

    def _remember(self, destination: Destination, sockaddr: tuple[str, int]) -> None:
        while len(self._mappings) >= MAX_MAPPINGS:
            self._forgetOldest()
        now = self._clock.seconds()
        self._mappings[destination] = _Mapping(sockaddr, now, now)
        self._hosts[sockaddr[0]] += 1
        if self._expiring is None:
            self._expiring = self._clock.callLater(self._idle, self._expire)

    def _forgetOldest(self) -> None:
        _, mapping = self._mappings.popitem(last=False)
        host = mapping.sockaddr[0]
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    def _expire(self) -> None:
        """
        Forget what has not been used, and look again when the next can be.
        """
        self._expiring = None
        now = self._clock.seconds()
        while self._mappings:
            oldest = next(iter(self._mappings.values())).used + self._idle
            if oldest > now:
                self._expiring = self._clock.callLater(oldest - now, self._expire)
                return
            self._forgetOldest()
        self._forgetAll()

    def _forgetAll(self) -> None:
        self._mappings.clear()
        self._hosts.clear()
        self._sources.clear()
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None
        port, self._port = self._port, None
        if port is not None:
            self._socket.leave()
            self._exposure.close(port)


def _nowhere(data: bytes, source: Destination) -> None:
    """
    Nobody is there any more.
    """

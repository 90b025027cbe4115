"""
UDP ASSOCIATE: a relay of datagrams that lives as long as the client's
connection.

It listens on the address that the client's connection came in at, takes
datagrams from the client's own address and from one port there only, and
sends answers nowhere else: so it cannot be used by anybody without a
connection, and reflects nothing.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-7}
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.python.failure import Failure

from socksproxy.address import Destination, IPAddress, hostFromText
from socksproxy.errors import CommandNotSupported, RequestFailed
from socksproxy.exposure import Exposure
from socksproxy.inbound import Handshake, InboundProtocol
from socksproxy.inbound.handshake import Answers
from socksproxy.interfaces import IDatagramConduit
from socksproxy.relay.leg import abort, addressAndPort
from socksproxy.socks._events import Protection
from socksproxy.socks._fragments import Reassembly
from socksproxy.socks.datagrams import ClientDatagrams

CONTROL_OCTETS = 65536
"""
Octets on the connection that are thrown away before it is closed for them.
"""

_LOOPBACK = IPv4Address("127.0.0.1")


class Association(Handshake):
    """
    One association: the receiver of the client's connection, which joins the
    client's datagrams to its conduit and ends both.
    """

    def __init__(
        self,
        connection: InboundProtocol,
        answers: Answers,
        protection: Protection | None = None,
    ) -> None:
        """
        @param connection: The client's.
        @param answers: How to answer.
        @param protection: What is around every datagram of the client.
        """
        super().__init__(connection)
        self._answers = answers
        self._protection = protection
        self._conduit: IDatagramConduit | None = None
        self._datagrams: ClientDatagrams | None = None
        self._port: IListeningPort | None = None
        inbound = connection.inbound
        self._exposure = inbound.exposure or Exposure(inbound.clock)
        self._discarded = 0
        self._seen = 0
        self._used = 0.0
        self._watching: IDelayedCall | None = None

    def start(self, source: Destination) -> None:
        """
        Ask for a way out.

        @param source: Where the client says that it will send from. We know
            its address better than it does itself.
        """
        self.connection.ask(
            "UDP",
            source,
            lambda avatar: avatar.associate(self._fromTarget),
            lambda conduit: self._associated(conduit, source),
            self._answers.refused,
        )

    def dataReceived(self, data: bytes) -> None:
        """
        Throw away what comes on the connection, up to a limit.
        """
        self._discarded += len(data)
        if self._discarded > CONTROL_OCTETS:
            self.connection.note("too much was sent on the control connection")
            abort(self.connection.transport)

    def readConnectionLost(self) -> None:
        """
        The client closes its half, and that ends the association.
        """
        self.connection.leave("client closed")
        self._close()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self.connection.note("client gone")
        self._close()
        super().connectionLost(reason)

    def _associated(self, conduit: IDatagramConduit, source: Destination) -> None:
        self._conduit = conduit
        connection = self.connection
        if connection.gone or connection.closing or connection.ended:
            self._close()
            connection.leave("client closed")
            return
        earlyData = self._answers.takeEarlyData()
        try:
            if self._protection is not None and not self._protection.carriesDatagrams:
                raise CommandNotSupported("this protection is not for datagrams")
            self.connection.serve(self)
            bound = self._listen(conduit, source)
        except RequestFailed as e:
            self._close()
            self.connection.refuse(self._answers.refused(e), e)
            return
        host = None if isinstance(bound.host, str) else bound.host
        self.connection.answer(self._answers.granted(host, bound.port))
        self._used = self.connection.inbound.clock.seconds()
        self._watch()
        self._begin(earlyData)

    def _begin(self, earlyData: bytes) -> None:
        """
        Take what the client has sent before it was answered, which means
        nothing.
        """
        self.dataReceived(earlyData)

    def _listen(self, conduit: IDatagramConduit, source: Destination) -> Destination:
        """
        Open the client's side.

        @return: Where the client is to send its datagrams.
        @raise RequestFailed: No port is to be had.
        """
        inbound = self.connection.inbound
        peer, _ = addressAndPort(self.connection.peer)
        client = peer or _LOOPBACK
        unknown = not isinstance(source.host, str) and source.host.is_unspecified
        self._datagrams = ClientDatagrams(
            client,
            source.port if unknown or source.host == client else 0,
            self.connection.record,
            conduit.send,
            inbound.clock,
            Reassembly() if inbound.reassembling else None,
            self._protection,
        )
        exposure = self._exposure
        local, _ = self.connection.localAddress()
        interface = local or _LOOPBACK
        self._port = exposure.listenUDP(self._datagrams, str(interface))
        address = self._port.getHost()
        host: IPAddress = hostFromText(getattr(address, "host", "")) or interface
        return Destination(exposure.advertised(host), addressAndPort(address)[1])

    def _fromTarget(self, data: bytes, source: Destination) -> None:
        if self._datagrams is not None:
            self._datagrams.send(data, source)

    def _watch(self) -> None:
        """
        End an association that nothing has gone through for long, as a relay
        of streams is ended.
        """
        self._watching = None
        idle = self.connection.inbound.timers.relay.idle
        clock = self.connection.inbound.clock
        record = self.connection.record
        count = record.datagramsSent + record.datagramsReceived
        if count != self._seen:
            self._seen = count
            self._used = clock.seconds()
        if not idle:
            return
        if clock.seconds() - self._used >= idle:
            self.connection.note("idle for too long")
            self._close()
            abort(self.connection.transport)
        else:
            self._watching = clock.callLater(idle / 8, self._watch)

    def _close(self) -> None:
        """
        Close both sides.
        """
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        port, self._port = self._port, None
        if port is not None:
            self._exposure.close(port)
        conduit, self._conduit = self._conduit, None
        if conduit is not None:
            conduit.close()
            record = self.connection.record
            dropped, octets = conduit.dropped
            record.sent -= octets
            record.datagramsSent -= dropped
            record.datagramsDropped += dropped
        datagrams, self._datagrams = self._datagrams, None
        if datagrams is not None:
            datagrams.close()

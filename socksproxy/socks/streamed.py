"""
UDP STREAM: an association whose datagrams go over the client's connection
itself, so that whatever carries that carries them.

It is for other daemons of ours that reach this one through a tunnel. To policy,
limits and logs it is UDP ASSOCIATE.

@see: L{socksproxy.socks._wirestream}
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from socksproxy.address import Destination
from socksproxy.inbound import InboundProtocol
from socksproxy.inbound.handshake import Answers
from socksproxy.interfaces import IDatagramConduit
from socksproxy.relay.leg import abort
from socksproxy.relay.sockets import writeThrough
from socksproxy.socks._wirestream import FrameReader, FrameWriter
from socksproxy.socks.associate import Association

NOWHERE = Destination(IPv4Address(0), 0)
"""
BND.ADDR and BND.PORT, which have no meaning here.
"""


@implementer(IPushProducer)
class StreamedAssociation(Association):
    """
    One association. What the client's connection has no room for is dropped,
    as any datagram may be; nothing is queued for it.
    """

    def __init__(self, connection: InboundProtocol, answers: Answers) -> None:
        """
        @param connection: The client's.
        @param answers: How to answer.
        """
        super().__init__(connection, answers)
        self._reader = FrameReader()
        self._writer = FrameWriter()
        # From the reply on; some transports deliver before it is written.
        self._open = False
        self._early = b""
        self._full = False
        self._producing = False

    def dataReceived(self, data: bytes) -> None:
        """
        Take datagrams from the client.
        """
        if self._conduit is None:
            return
        if not self._open:
            self._early += data
            return
        record = self.connection.record
        before = self._reader.dropped
        for payload, destination in self._reader.receive(data):
            if self._conduit is not None and self._conduit.send(payload, destination):
                record.sent += len(payload)
                record.datagramsSent += 1
            else:
                record.datagramsDropped += 1
        record.datagramsDropped += self._reader.dropped - before
        if self._reader.error is not None and self._conduit is not None:
            self.connection.note(f"malformed datagram: {self._reader.error}")
            self._close()
            abort(self.connection.transport)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}. The client does not read as fast as others send.
        """
        self._full = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._full = False

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}. The connection is gone, and will say so.
        """
        self._full = True

    def _listen(self, conduit: IDatagramConduit, source: Destination) -> Destination:
        """
        Nothing is opened: the connection is the client's side.
        """
        self.connection.transport.registerProducer(self, True)
        self._producing = True
        return NOWHERE

    def _begin(self, earlyData: bytes) -> None:
        """
        Take what came right behind the request.
        """
        self._open = True
        early, self._early = earlyData + self._early, b""
        if early:
            self.dataReceived(early)

    def _fromTarget(self, data: bytes, source: Destination) -> None:
        record = self.connection.record
        frame = None if self._full or not self._open else self._writer.frame(data, source)
        if frame is None:
            record.datagramsDropped += 1
            return
        writeThrough(self.connection.transport, frame)
        record.received += len(data)
        record.datagramsReceived += 1

    def _close(self) -> None:
        """
        Close both sides.
        """
        self._open = False
        self._early = b""
        super()._close()
        if self._producing:
            self._producing = False
            self.connection.transport.unregisterProducer()

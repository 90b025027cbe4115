"""
Forwarding connections: each that comes in is joined to one that is made for
it, as soon as that is there.

::

    target = Target(reactor, clientFromString(reactor, "tcp:db.example.com:5432"), "the database")
    factory = ForwardFactory(inbound, target)
    serverFromString(reactor, "tcp:5432:interface=127.0.0.1").listen(factory)

A client whose target cannot be had is reset, since nothing else could tell it.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from socksproxy.address import IPAddress
from socksproxy.buffer import Buffer
from socksproxy.errors import MessageTooLong, RequestFailed, SOCKSProxyError
from socksproxy.forward.target import Target
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol
from socksproxy.inbound.connection import PAUSE_AT
from socksproxy.relay import Leg
from socksproxy.relay.leg import Receiver, abort

EARLY_DATA_LIMIT = 2 * PAUSE_AT
"""
Octets that are kept of a client that waits. Reading stops at half of it; the
other half is room for what had been read by then.
"""


class ForwardFactory(InboundFactory):
    """
    Makes the protocols of one forwarded port.
    """

    def __init__(self, inbound: Inbound, target: Target) -> None:
        """
        @param inbound: What the connections share; nobody logs in at its
            portal.
        @param target: Where they go to.
        """
        super().__init__(inbound)
        self._target = target

    def buildProtocol(self, addr: IAddress | None) -> ForwardedConnection:
        """
        See C{IProtocolFactory}.
        """
        return ForwardedConnection(self.inbound, self._target)


@implementer(IHandshakeListener)
class ForwardedConnection(InboundProtocol):
    """
    A client's connection. Over TLS the target is dialled once the handshake
    is over, so that a client without the right certificate causes nothing.

    @ivar early: What the client has sent and the target has not got yet.
    """

    def __init__(self, inbound: Inbound, target: Target) -> None:
        """
        @param inbound: What the connections share.
        @param target: Where it goes to.
        """
        super().__init__(inbound, _waiting)
        self._target = target
        self.early = EarlyData()
        self.record.protocol = "FORWARD"
        self.record.command = "CONNECT"
        self.record.destination = target.description

    def connectionMade(self) -> None:
        """
        See L{InboundProtocol.connectionMade}.
        """
        super().connectionMade()
        if not isinstance(self.transport, TLSMemoryBIOProtocol):
            self._dial()

    def handshakeCompleted(self) -> None:
        """
        See C{IHandshakeListener}.
        """
        self._dial()

    def refuse(self, message: bytes, error: SOCKSProxyError) -> None:
        """
        Reset the client. See L{InboundProtocol.refuse}.
        """
        if not self.gone:
            self._refusedFor(error)
            abort(self.transport)

    def _dial(self) -> None:
        if self.record.result != "-":
            # There was no place for it.
            return
        self._deadline.stop()
        if self._slot is not None:
            self._slot.handshakeDone()
        self.waitFor(self._target.connect(), self._connected, self.early.refused)

    def _connected(self, target: Leg) -> None:
        if self.gone:
            abort(target.transport)
        else:
            self.join(target, b"", self.early)


class EarlyData:
    """
    What a client sends before its target is there. There is nothing to answer
    it.
    """

    def __init__(self) -> None:
        self._buffer = Buffer(EARLY_DATA_LIMIT)

    def add(self, data: bytes) -> int:
        """
        Keep more.

        @return: Octets that are kept.
        @raise MessageTooLong: That is too much.
        """
        self._buffer.feed(data)
        return len(self._buffer)

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return b""

    def refused(self, error: RequestFailed) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return b""

    def takeEarlyData(self) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return self._buffer.takeAll()


class _Waiting(Handshake):
    """
    The receiver of a client's bytes until there is a target.
    """

    def __init__(self, connection: ForwardedConnection) -> None:
        super().__init__(connection)
        self._early = connection.early

    def dataReceived(self, data: bytes) -> None:
        try:
            kept = self._early.add(data)
        except MessageTooLong as e:
            # It was not to be read any more.
            self.connection.abort(str(e))
        else:
            self.connection.keepEarlyData(kept)


def _waiting(connection: InboundProtocol) -> Receiver:
    return _Waiting(cast(ForwardedConnection, connection))

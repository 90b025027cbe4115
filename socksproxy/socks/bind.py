"""
BIND: the client's request, our port, the expected peer, and then a relay.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-4}
"""

from __future__ import annotations

from twisted.python.failure import Failure

from socksproxy.address import Destination, normalized
from socksproxy.inbound import Handshake, InboundProtocol
from socksproxy.inbound.handshake import Answers
from socksproxy.interfaces import IBoundPort
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort, addressAndPort


class Bind(Handshake):
    """
    One BIND, from the request to the second reply. What the client sends in
    the meantime is kept by the handshake that it comes from.
    """

    def __init__(self, connection: InboundProtocol, handshake: Handshake, answers: Answers) -> None:
        """
        @param connection: The client's.
        @param handshake: Who takes bytes until the relay begins.
        @param answers: How to answer.
        """
        super().__init__(connection)
        self._handshake = handshake
        self._answers = answers
        self._port: IBoundPort | None = None

    def start(self, expected: Destination) -> None:
        """
        Ask for a port.

        @param expected: Who is to connect to it.
        """
        self.connection.ask(
            "BIND",
            expected,
            lambda avatar: avatar.listen(expected),
            self._listening,
            self._answers.refused,
        )

    def dataReceived(self, data: bytes) -> None:
        """
        Have what comes too early kept.
        """
        self._handshake.dataReceived(data)

    def readConnectionLost(self) -> None:
        """
        The client does not wait any longer.
        """
        self.connection.leave("client closed while waiting for the peer")
        self._stop()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone, and its port with it.
        """
        super().connectionLost(reason)
        self._stop()

    def _listening(self, port: IBoundPort) -> None:
        connection = self.connection
        if connection.gone or connection.closing or connection.ended:
            port.stop()
            self.readConnectionLost()
            return
        self._port = port
        self.connection.hold(self)
        address = port.address
        self._answer(address)
        self.connection.waitFor(port.accepted(), self._accepted, self._answers.refused)

    def _answer(self, address: Destination) -> None:
        host = None if isinstance(address.host, str) else address.host
        self.connection.answer(self._answers.granted(host, address.port))

    def _accepted(self, peer: Leg) -> None:
        self._port = None
        if self.connection.gone or self.connection.closing:
            abort(peer.transport)
            return
        host, number = addressAndPort(peer.transport.getPeer())
        message = self._answers.granted(None if host is None else normalized(host), number)
        self.connection.join(peer, message, self._answers)

    def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.stop()

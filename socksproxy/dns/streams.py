"""
Name servers that are asked over TCP, or over TLS.

@see: U{https://www.rfc-editor.org/rfc/rfc7766}
@see: U{https://www.rfc-editor.org/rfc/rfc7858}
"""

from __future__ import annotations

from collections.abc import Sequence

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.dns._framing import Messages, framed
from socksproxy.dns.asking import Asked, freshNumber, replyTo
from socksproxy.dns.link import Link
from socksproxy.dns.links import Links
from socksproxy.errors import MalformedMessage
from socksproxy.relay.leg import StreamTransport, abort
from socksproxy.tls import wrapTLSClient

MAX_CONNECTIONS = 2
"""
Connections to one name server: the second one is for when the first is silent.
"""

MAX_ASKED = 1024
"""
Questions on one of them.
"""


def streamUpstream(clock: IReactorTime, name: str, endpoint: IStreamClientEndpoint) -> Links:
    """
    Ask a name server over TCP.

    @param clock: Time.
    @param name: What logs call it.
    @param endpoint: Leads to it, through whatever there is on the way.
    """
    return _upstream(clock, name, endpoint, encrypted=False)


def tlsUpstream(
    clock: IReactorTime,
    name: str,
    endpoint: IStreamClientEndpoint,
    creator: IOpenSSLClientConnectionCreator,
) -> Links:
    """
    Ask a name server over TLS.

    @param endpoint: Leads to it.
    @param creator: As from L{clientTLS<socksproxy.tls.clientTLS>}.
    """
    wrapped = wrapTLSClient(clock, endpoint, Offering(creator, [b"dot"]))
    return _upstream(clock, name, wrapped, encrypted=True)


def _upstream(
    clock: IReactorTime, name: str, endpoint: IStreamClientEndpoint, encrypted: bool
) -> Links:
    return Links(
        clock,
        name,
        endpoint,
        lambda link: StreamSpeaker(link, encrypted),
        MAX_CONNECTIONS,
        MAX_ASKED,
    )


@implementer(IOpenSSLClientConnectionCreator)
class Offering:
    """
    Makes the connections that another one makes, and offers protocols on them
    (ALPN, RFC 7301).
    """

    def __init__(
        self, creator: IOpenSSLClientConnectionCreator, protocols: Sequence[bytes]
    ) -> None:
        """
        @param creator: The other one.
        @param protocols: What is offered.
        """
        self._creator = creator
        self._protocols = list(protocols)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """
        See C{IOpenSSLClientConnectionCreator}.
        """
        connection = self._creator.clientConnectionForTLS(tlsProtocol)
        connection.set_alpn_protos(self._protocols)
        return connection


class StreamSpeaker(Protocol):
    """
    Asks on one connection, one question after another, and takes the replies
    in whatever order they come.
    """

    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, link: Link, encrypted: bool) -> None:
        """
        @param link: Told of what comes.
        @param encrypted: Nobody on the way can read or change anything.
        """
        self._link = link
        self._encrypted = encrypted
        self._messages = Messages()
        self._asked: dict[int, Asked] = {}

    def ask(self, asked: Asked) -> None:
        """
        See L{Speaker<socksproxy.dns.link.Speaker>}.
        """
        asked.number = freshNumber(self._asked)
        self._asked[asked.number] = asked
        self.transport.write(framed(asked.octets(self._encrypted)))

    def forget(self, asked: Asked) -> bool:
        """
        See L{Speaker<socksproxy.dns.link.Speaker>}.
        """
        self._asked.pop(asked.number, None)
        return True

    def leave(self, abort_: bool) -> None:
        """
        See L{Speaker<socksproxy.dns.link.Speaker>}.
        """
        self._asked.clear()
        if abort_:
            abort(self.transport)
        else:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        messages = self._messages
        messages.feed(data)
        while (octets := messages.take()) is not None:
            self._received(octets)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        self._asked.clear()
        self._link.lost(reason)

    def _received(self, octets: bytes) -> None:
        number = int.from_bytes(octets[:2])
        asked = self._asked.get(number)
        if asked is None:
            # Somebody was too impatient, or nothing is expected any more.
            return
        try:
            reply = replyTo(asked, octets, self._encrypted)
        except MalformedMessage as e:
            self._link.drop(f"it sends nonsense: {e}")
            return
        del self._asked[number]
        self._link.replied(asked, reply)

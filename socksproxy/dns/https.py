"""
Name servers that are asked over HTTPS, which is HTTP/1.1 here: one question on
a connection at a time, so that there are more of them.

@see: U{https://www.rfc-editor.org/rfc/rfc8484}
"""

from __future__ import annotations

import h11
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from socksproxy.dns._wire import MAX_MESSAGE
from socksproxy.dns.asking import Asked, replyTo
from socksproxy.dns.link import Link
from socksproxy.dns.links import Links
from socksproxy.dns.streams import Offering
from socksproxy.errors import MalformedMessage
from socksproxy.relay.leg import StreamTransport, abort
from socksproxy.tls import wrapTLSClient

MAX_CONNECTIONS = 8
"""
Connections to one name server.
"""

MAX_HEAD = 16384
"""
Octets of the head of a response.
"""

_TYPE = b"application/dns-message"


def httpsUpstream(
    clock: IReactorTime,
    name: str,
    endpoint: IStreamClientEndpoint,
    creator: IOpenSSLClientConnectionCreator,
    host: str,
    path: str,
) -> Links:
    """
    Ask a name server over HTTPS.

    @param clock: Time.
    @param name: What logs call it.
    @param endpoint: Leads to it, through whatever there is on the way.
    @param creator: As from L{clientTLS<socksproxy.tls.clientTLS>}.
    @param host: The host of its URL, with the port if that is not 443.
    @param path: The path of its URL, and its query.
    """
    wrapped = wrapTLSClient(clock, endpoint, Offering(creator, [b"http/1.1"]))
    return Links(
        clock, name, wrapped, lambda link: HTTPSpeaker(link, host, path), MAX_CONNECTIONS, 1
    )


class HTTPSpeaker(Protocol):
    """
    Asks on one connection, with one request at a time.
    """

    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, link: Link, host: str, path: str) -> None:
        """
        @param link: Told of what comes.
        @param host: See L{httpsUpstream}.
        @param path: See L{httpsUpstream}.
        """
        self._link = link
        self._target = path
        self._headers = [
            (b"Host", host.encode("ascii")),
            (b"Accept", _TYPE),
            (b"Content-Type", _TYPE),
        ]
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._asked: Asked | None = None
        self._objection = ""
        self._body = bytearray()
        self._left = False

    def ask(self, asked: Asked) -> None:
        """
        See L{Speaker<socksproxy.dns.link.Speaker>}.
        """
        self._asked = asked
        # Questions that are the same look the same, for caches on the way.
        asked.number = 0
        octets = asked.octets(encrypted=True)
        headers = [*self._headers, (b"Content-Length", b"%d" % len(octets))]
        request = h11.Request(method=b"POST", target=self._target, headers=headers)
        pieces = [
            self._http.send(request),
            self._http.send(h11.Data(octets)),
            self._http.send(h11.EndOfMessage()),
        ]
        self.transport.write(b"".join(piece or b"" for piece in pieces))

    def forget(self, asked: Asked) -> bool:
        """
        See L{Speaker<socksproxy.dns.link.Speaker>}. The response would be in
        the way of the next one.
        """
        return False

    def leave(self, abort_: bool) -> None:
        """
        See L{Speaker<socksproxy.dns.link.Speaker>}.
        """
        self._left = True
        self._asked = None
        if abort_:
            abort(self.transport)
        else:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        if self._left:
            return
        try:
            self._http.receive_data(data)
            self._takeEvents()
        except (h11.RemoteProtocolError, MalformedMessage) as e:
            self._link.drop(f"it sends nonsense: {e}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        if not self._left and self._asked is not None and reason.check(ConnectionDone):
            # A response may end with its connection.
            self.dataReceived(b"")
        self._left = True
        self._link.lost(reason)

    def _takeEvents(self) -> None:
        """
        @raise RemoteProtocolError: It is not HTTP.
        @raise MalformedMessage: It is HTTP, but nothing that answers.
        """
        while not self._left:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_MESSAGE:
                    raise MalformedMessage("the response is too long")
            elif isinstance(event, h11.EndOfMessage):
                self._end()
            elif isinstance(event, h11.ConnectionClosed):
                self._link.drop("it has closed the connection", abort=False)
            elif not isinstance(event, h11.InformationalResponse):
                return

    def _begin(self, response: h11.Response) -> None:
        """
        @raise MalformedMessage: Nobody has asked for it.
        """
        if self._asked is None:
            # Were it waited for, the next request could not be sent.
            raise MalformedMessage("a response that nobody has asked for")
        fields = dict(response.headers)
        kind = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self._body.clear()
        self._objection = ""
        if response.status_code != 200:
            self._objection = f"it answers with HTTP status {response.status_code}"
        elif kind != _TYPE:
            self._objection = "it answers with something else than DNS"

    def _end(self) -> None:
        asked, self._asked = self._asked, None
        if asked is None:
            raise MalformedMessage("a response that nobody has asked for")
        reply = None if self._objection else replyTo(asked, bytes(self._body), encrypted=True)
        last = self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE
        if not last:
            # What comes of it may be the next question here.
            self._http.start_next_cycle()
        if reply is None:
            self._link.refused(asked, self._objection, last)
        else:
            self._link.replied(asked, reply, last)

"""
The server's and the client's half of a SOCKS negotiation, run against each
other in memory.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from socksproxy.errors import RequestFailed, SOCKSProxyError
from socksproxy.socks import _negotiation4, _negotiation5
from socksproxy.socks._events import (
    CredentialsReceived,
    Event,
    Failed,
    ReplyReceived,
    RequestReceived,
    Send,
)
from tests.codec import piecesOf

Server = _negotiation4.ServerNegotiation | _negotiation5.ServerNegotiation
Client = _negotiation4.ClientNegotiation | _negotiation5.ClientNegotiation

BOUND = (IPv4Address("192.0.2.200"), 50000)


def sentBy(events: Sequence[Event]) -> bytes:
    """
    Give what a machine wants to be written.
    """
    return b"".join(event.data for event in events if isinstance(event, Send))


def failureIn(events: Sequence[Event]) -> SOCKSProxyError | None:
    """
    Give the failure that a machine ended with, if it did.
    """
    if events and isinstance(events[-1], Failed):
        return events[-1].error
    return None


class Conversation:
    """
    Two halves and what passes between them.

    @ivar credentials: What the server was given.
    @ivar requests: What the server was asked for.
    @ivar replies: What the client learned.
    @ivar serverFailure: Why the server gave up.
    @ivar clientFailure: Why the client gave up.
    """

    def __init__(
        self,
        server: Server,
        client: Client,
        segment: int = 65536,
        admits: Callable[[object], bool] = lambda credentials: True,
        refusal: RequestFailed | None = None,
    ) -> None:
        """
        @param server: The server's half.
        @param client: The client's half.
        @param segment: How many octets travel together.
        @param admits: Decides on credentials.
        @param refusal: Why the request fails; it succeeds without one.
        """
        self._server = server
        self._client = client
        self._segment = segment
        self._admits = admits
        self._refusal = refusal
        self.credentials: list[object] = []
        self.requests: list[RequestReceived] = []
        self.replies: list[ReplyReceived] = []
        self.serverFailure: SOCKSProxyError | None = None
        self.clientFailure: SOCKSProxyError | None = None

    def run(self) -> "Conversation":
        """
        Let them talk until neither has anything to say.
        """
        toServer = self._client.start()
        while toServer:
            toClient = b"".join(
                self._serverSays(self._server.receive(piece))
                for piece in piecesOf(toServer, self._segment)
            )
            toServer = b"".join(
                self._clientSays(self._client.receive(piece))
                for piece in piecesOf(toClient, self._segment)
            )
        return self

    def _serverSays(self, events: Sequence[Event]) -> bytes:
        said = b""
        for event in events:
            if isinstance(event, Send):
                said += event.data
            elif isinstance(event, CredentialsReceived):
                self.credentials.append(event.credentials)
                said += self._serverSays(self._verdictOn(event.credentials))
            elif isinstance(event, RequestReceived):
                self.requests.append(event)
                said += self._answer()
            elif isinstance(event, Failed):
                self.serverFailure = event.error
        return said

    def _verdictOn(self, credentials: object) -> Sequence[Event]:
        # SOCKS4 has no credentials, so that nobody gets here with it.
        assert isinstance(self._server, _negotiation5.ServerNegotiation)
        if self._admits(credentials):
            return self._server.authenticated()
        return self._server.authenticationFailed()

    def _answer(self) -> bytes:
        if self._refusal is not None:
            return self._server.refused(self._refusal)
        return self._server.granted(*BOUND)

    def _clientSays(self, events: Sequence[Event]) -> bytes:
        for event in events:
            if isinstance(event, ReplyReceived):
                self.replies.append(event)
        self.clientFailure = failureIn(events) or self.clientFailure
        return sentBy(events)

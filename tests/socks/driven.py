"""
SOCKS machines as a driver has them: with computations that somebody has to do,
and with protections that everything goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from socksproxy.errors import SOCKSProxyError
from socksproxy.socks._events import (
    Blocking,
    CredentialsReceived,
    Event,
    Failed,
    Protection,
    ProtectionEstablished,
    ReplyReceived,
    RequestReceived,
    Send,
)
from socksproxy.socks._negotiation5 import ClientNegotiation, ServerNegotiation
from tests.codec import piecesOf
from tests.socks.conversation import BOUND


class Driven:
    """
    A machine and what its driver has of it.

    @ivar machine: The machine.
    @ivar protection: What everything goes through by now.
    @ivar computing: What has to be computed before it goes on.
    @ivar failure: Why it has ended, if it has.
    """

    def __init__(self, machine: ClientNegotiation | ServerNegotiation) -> None:
        self.machine = machine
        self.protection: Protection | None = None
        self.computing: Blocking | None = None
        self.failure: SOCKSProxyError | None = None

    def receive(self, data: bytes) -> bytes:
        """
        Take octets of the connection.

        @return: What to write to it.
        """
        if self.protection is not None:
            data = self.protection.unwrap(data)
        return self.act(self.machine.receive(data))

    def compute(self) -> bytes:
        """
        Do what has to be computed.

        @return: What to write.
        """
        assert self.computing is not None
        computing, self.computing = self.computing, None
        computing.call()
        return self.act(self.machine.resume())

    def computeAll(self) -> bytes:
        """
        Do all that has to be computed.

        @return: What to write.
        """
        written = b""
        while self.computing is not None:
            written += self.compute()
        return written

    def act(self, events: Sequence[Event]) -> bytes:
        """
        Do what events say, in their order.

        @return: What to write.
        """
        written = b""
        for event in events:
            if isinstance(event, Send):
                written += self.say(event.data)
            elif isinstance(event, Blocking):
                assert event is events[-1]
                self.computing = event
            elif isinstance(event, ProtectionEstablished):
                assert self.protection is None
                self.protection = event.protection
            elif isinstance(event, Failed):
                assert event is events[-1]
                self.failure = event.error
            else:
                written += self.happened(event)
        return written

    def say(self, data: bytes) -> bytes:
        """
        Give what has to be written for octets of ours.
        """
        return data if self.protection is None else self.protection.wrap(data)

    def happened(self, event: Event) -> bytes:
        """
        Act on what is not the same for both sides.

        @return: What to write.
        """
        raise NotImplementedError


class DrivenServer(Driven):
    """
    A server that lets in whom it is told to, and grants every request.

    @ivar credentials: What it was given.
    @ivar requests: What it was asked for.
    """

    machine: ServerNegotiation

    def __init__(
        self, machine: ServerNegotiation, admits: Callable[[object], bool] = lambda _: True
    ) -> None:
        super().__init__(machine)
        self._admits = admits
        self.credentials: list[object] = []
        self.requests: list[RequestReceived] = []

    def happened(self, event: Event) -> bytes:
        """
        Decide on credentials and requests.
        """
        if isinstance(event, CredentialsReceived):
            self.credentials.append(event.credentials)
            if self._admits(event.credentials):
                return self.act(self.machine.authenticated())
            return self.act(self.machine.authenticationFailed())
        assert isinstance(event, RequestReceived)
        self.requests.append(event)
        return self.say(self.machine.granted(*BOUND))


class DrivenClient(Driven):
    """
    A client.

    @ivar replies: What it has been granted.
    """

    machine: ClientNegotiation

    def __init__(self, machine: ClientNegotiation) -> None:
        super().__init__(machine)
        self.replies: list[ReplyReceived] = []

    def ended(self) -> bytes:
        """
        Learn that the server has ended its stream.

        @return: What to write.
        """
        return self.act(self.machine.endOfStream())

    def happened(self, event: Event) -> bytes:
        """
        Keep a reply.
        """
        assert isinstance(event, ReplyReceived)
        self.replies.append(event)
        return b""


def converse(client: DrivenClient, server: DrivenServer, segment: int = 65536) -> None:
    """
    Let a client and a server negotiate until neither has anything to say.

    @param segment: How many octets travel together.
    """
    said = client.machine.start()
    listener: Driven = server
    while said:
        answer = b""
        for piece in piecesOf(said, segment):
            answer += listener.receive(piece)
            answer += listener.computeAll()
        said = answer
        listener = client if listener is server else server

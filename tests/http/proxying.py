"""
Clients of the HTTP proxy on a network in memory, and what they are answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h11
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.http import Forwarding, HTTPFactory
from socksproxy.testing import MemoryTransport
from tests.accesslines import accessLines
from tests.http.vectors import PSEUDONYM
from tests.logs import captured
from tests.memoryproxy import WORLD, MemoryProxy

HTTP_WORLD: dict[str, str | Sequence[str]] = {
    **WORLD,
    "other.test": ["192.0.2.3"],
    "192.0.2.3:80": "accept",
    "refusing.test": ["192.0.2.2"],
    "silent.test": ["192.0.2.9"],
}
"""
Two web servers, a host where there is none, and one that never answers.
"""

FORWARDING = Forwarding(PSEUDONYM)

GET = b"GET http://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n"
HEAD = b"HEAD http://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n"
POST = b"POST http://web.test/ HTTP/1.1\r\nHost: web.test\r\n"
CONNECT = b"CONNECT web.test:80 HTTP/1.1\r\nHost: web.test:80\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

ALICE = b"Proxy-Authorization: Basic YWxpY2U6czNjcmV0\r\n"
MALLORY = b"Proxy-Authorization: Basic YWxpY2U6Z3Vlc3M=\r\n"


def get(host: str, *lines: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    """
    Give a request without a body.

    @param lines: Further lines of its head.
    """
    name = host.encode()
    start = b"%b http://%b/ HTTP/%b\r\nHost: %b\r\n" % (method, name, version, name)
    return start + b"".join(lines) + b"\r\n"


@dataclass(frozen=True)
class Answer:
    """
    An answer, as C{h11} reads it.

    @ivar status: Its status.
    @ivar fields: Its fields, by name in lower case; the last of each.
    @ivar body: Its body.
    @ivar complete: Whether it is all there.
    @ivar interim: The status of each interim answer before it.
    """

    status: int
    fields: Mapping[bytes, bytes]
    body: bytes
    complete: bool
    interim: tuple[int, ...] = ()


def answersIn(data: bytes, *methods: str, ended: bool = False) -> list[Answer]:
    """
    Read answers.

    @param methods: What was asked with, GET if there is none.
    @param ended: The stream has ended after them.
    """
    answers = []
    for method in methods or ("GET",):
        if not data:
            break
        connection = h11.Connection(h11.CLIENT, 1 << 20)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        if ended:
            connection.receive_data(b"")
        interim: list[int] = []
        status, fields, body, complete = 0, {}, b"", False
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                break
            if isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                status, fields = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                complete = isinstance(event, h11.EndOfMessage)
                break
        data = connection.trailing_data[0]
        answers.append(Answer(status, fields, body, complete, tuple(interim)))
    return answers


class HTTPTestCase(SynchronousTestCase):
    """
    Tests with a proxy in memory that speaks HTTP only.
    """

    def setUp(self) -> None:
        """
        Start a proxy that lets everybody in.
        """
        self.start()

    def start(self, **options: Any) -> None:
        """
        Start a proxy.

        @param options: As for L{MemoryProxy}.
        """
        options.setdefault("world", HTTP_WORLD)
        self.proxy = MemoryProxy(**options)
        self.proxy.factory = HTTPFactory(  # type: ignore[assignment]
            self.proxy.inbound, FORWARDING
        )

    def asking(self, said: bytes) -> MemoryTransport:
        """
        Connect a client that says something.
        """
        client = self.proxy.connect()
        client.peerSends(said)
        self.proxy.settle()
        return client

    def origin(self) -> MemoryTransport:
        """
        Give the connection to the origin that was last dialled.
        """
        return self.proxy.target()

    @property
    def dialled(self) -> list[str]:
        """
        Give all addresses that have been dialled.
        """
        return [attempt.host for attempt in self.proxy.network.attempts]

    def answer(self, client: MemoryTransport, method: str = "GET") -> Answer:
        """
        Take the one answer that a client has got.
        """
        (answer,) = answersIn(client.take(), method, ended=client.ended)
        return answer

    def exchange(self, client: MemoryTransport, said: bytes = GET, answer: bytes = OK) -> Answer:
        """
        Have a client ask, and the origin answer.
        """
        client.peerSends(said)
        self.proxy.settle()
        origin = self.origin()
        origin.take()
        origin.peerSends(answer)
        self.proxy.settle()
        return self.answer(client)

    def lines(self, *saids: bytes) -> list[dict[str, Any]]:
        """
        Give the access lines of a client that says something, piece by piece,
        is answered by every origin at once, and goes.
        """
        with captured() as events:
            client = self.proxy.connect()
            for said in saids:
                client.peerSends(said)
                self.proxy.settle()
                for attempt in self.proxy.network.attempts:
                    if attempt.transport is not None and attempt.transport.take():
                        attempt.transport.peerSends(OK)
                self.proxy.settle()
            client.peerEnds()
            for attempt in self.proxy.network.attempts:
                if attempt.transport is not None:
                    attempt.transport.peerEnds()
            self.proxy.network.advance(3)
        return accessLines(events)

    def assertNothingLeft(self) -> None:
        """
        Require that nothing is left of any client.
        """
        self.proxy.settle()
        self.assertEqual(self.proxy.traces(), [])
        for attempt in self.proxy.network.attempts:
            if attempt.transport is not None:
                self.assertTrue(attempt.transport.lost)

"""
Tests for L{socksproxy.http.protocol}: whatever clients and origins do.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.logger import LogLevel

from socksproxy.testing import MemoryTransport
from tests.http.proxying import ALICE, CONNECT, GET, HEAD, MALLORY, OK, POST, HTTPTestCase, get
from tests.logs import captured
from tests.memoryproxy import passwords
from tests.socksclient import USERS

CLIENTS = (
    GET,
    HEAD,
    CONNECT,
    GET[:30],
    GET + GET + HEAD,
    POST + b"Content-Length: 3\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n",
    b"abc",
    b"0\r\n\r\n",
    b"x" * 50000,
    get("other.test"),
    get("refusing.test"),
    get("silent.test"),
    get("socksproxy.test"),
    get("web.test", ALICE),
    get("web.test", MALLORY),
    get("web.test", version=b"1.0"),
    get("web.test", b"Connection: close\r\n"),
    get("web.test", b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n"),
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)
"""
What clients send.
"""

ORIGINS = (
    OK,
    OK[:20],
    OK[20:],
    OK + OK,
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx",
    b"HTTP/1.1 204 No\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"2\r\nab\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    b"y" * 70000,
    b"\x00\n\n",
)
"""
What origins send.
"""

steps = st.lists(
    st.one_of(
        st.tuples(st.just("client"), st.sampled_from(CLIENTS)),
        st.tuples(st.just("origin"), st.sampled_from(ORIGINS)),
        st.tuples(
            st.sampled_from(
                ["take", "client ends", "client resets", "origin ends", "origin resets", "stop"]
            ),
            st.none(),
        ),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 3.0, 31.0, 61.0])),
    ),
    max_size=14,
)


class HostileTests(HTTPTestCase):
    """
    Nothing that a client or an origin does breaks anything.
    """

    @given(steps=steps)
    @settings(deadline=None, max_examples=300)
    def test_anything(self, steps: list[tuple[str, object]]) -> None:
        """
        Nothing is raised or logged as an error, and in the end nothing is left
        of either.
        """
        self.start(checkers=[passwords(USERS), AllowAnonymousAccess()])
        with captured() as events:
            client = self.proxy.connect()
            for what, value in steps:
                self.step(client, what, value)
                self.proxy.settle()
            for _ in range(40):
                self.takeAll(client)
                self.proxy.network.advance(2.5)
            client.peerResets()
            for origin in self.origins():
                origin.peerResets()
            self.proxy.settle()
        errors = [event for event in events if event["log_level"] >= LogLevel.error]
        self.assertEqual(errors, [])
        self.assertEqual(self.proxy.traces(), [])

    def origins(self) -> list[MemoryTransport]:
        """
        Give all connections to origins.
        """
        attempts = self.proxy.network.attempts
        return [attempt.transport for attempt in attempts if attempt.transport is not None]

    def takeAll(self, client: MemoryTransport) -> None:
        """
        Take what there is.
        """
        for transport in (client, *self.origins()):
            transport.take()

    def step(self, client: MemoryTransport, what: str, value: object) -> None:
        """
        Have something happen.
        """
        origins = self.origins()
        if what == "client" and isinstance(value, bytes):
            client.peerSends(value)
        elif what == "origin" and origins and isinstance(value, bytes):
            origins[-1].peerSends(value)
        elif what == "take":
            self.takeAll(client)
        elif what == "client ends":
            client.peerEnds()
        elif what == "client resets":
            client.peerResets()
        elif what == "origin ends" and origins:
            origins[-1].peerEnds()
        elif what == "origin resets" and origins:
            origins[-1].peerResets()
        elif what == "stop":
            for connection in list(self.proxy.inbound.connections):
                connection.shutDown()
        elif what == "wait" and isinstance(value, float):
            self.proxy.network.advance(value)

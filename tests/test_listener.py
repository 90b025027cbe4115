"""
Tests for L{socksproxy.listener}.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.listener import ProxyFactory
from socksproxy.socks import UsernamePassword
from socksproxy.testing import MemoryTransport
from tests.codec import splitsOf
from tests.logs import captured
from tests.memoryproxy import MemoryProxy
from tests.socksclient import (
    GRANTED,
    GRANTED4,
    NO_AUTHENTICATION,
    TO_SILENCE,
    TO_WEB,
    WITH_EITHER,
    request,
    request4,
)
from tests.vectors import Vector, messages, nameOf


def outcomeOf(proxy: MemoryProxy, client: MemoryTransport) -> str:
    """
    Say what a server made of a client's first octets, in the words of the
    vectors; a client that was dropped without a word was taken for none of
    the protocols.
    """
    if client.lost and not client.take():
        return "dropped"
    connection = next(each for each in proxy.inbound.connections if each.transport is client)
    return "http" if connection.record.protocol == "HTTP" else "open"


OUTCOMES = {
    "socks4": "open",
    "socks5": "open",
    "http": "http",
    "tls": "dropped",
    "reject": "dropped",
}


@pytest.mark.parametrize("vector", messages("socks", "sniff"), ids=nameOf)
def test_firstOctet(vector: Vector) -> None:
    """
    The first octet tells the protocol, however much comes with it.
    """
    for pieces in splitsOf(bytes.fromhex(vector["input"])):
        proxy = MemoryProxy()
        client = proxy.connect()
        for piece in pieces:
            client.peerSends(piece)
            proxy.settle()
        assert outcomeOf(proxy, client) == OUTCOMES[vector["expect"]["result"]]


class ProxyFactoryTests(SynchronousTestCase):
    """
    One port serves every protocol.
    """

    def setUp(self) -> None:
        self.proxy = MemoryProxy()

    def test_interfaces(self) -> None:
        """
        The factory and its protocols are what Twisted takes them for.
        """
        verifyObject(IProtocolFactory, self.proxy.factory)
        self.proxy.connect()
        verifyObject(IHalfCloseableProtocol, self.proxy.protocol())

    def test_everyFirstOctet(self) -> None:
        """
        There is one octet for each version of SOCKS, letters are for HTTP, and
        whoever sends anything else learns nothing.
        """
        letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        for octet in range(256):
            client = self.proxy.connect()
            client.peerSends(bytes([octet]))
            self.proxy.settle()
            expected = "open" if octet in (4, 5) else "http" if octet in letters else "dropped"
            self.assertEqual(outcomeOf(self.proxy, client), expected, octet)

    def test_SOCKS5(self) -> None:
        """
        It serves SOCKS5, also to a client that sends its octets one by one.
        """
        client = self.proxy.connect()
        for octet in NO_AUTHENTICATION + TO_WEB:
            client.peerSends(bytes([octet]))
        self.proxy.settle()
        self.assertEqual(client.take(), b"\5\0" + GRANTED)

    def test_SOCKS4(self) -> None:
        """
        It serves SOCKS4 and SOCKS4a, also to a client that sends its octets
        one by one.
        """
        for host in ("192.0.2.1", "web.test"):
            client = self.proxy.connect()
            for octet in request4(host):
                client.peerSends(bytes([octet]))
            self.proxy.settle()
            self.assertEqual(client.take(), GRANTED4)

    def test_methods(self) -> None:
        """
        It can be told what clients may log in with.
        """
        factory = ProxyFactory(self.proxy.inbound, [UsernamePassword()])
        client = MemoryTransport.connect(self.proxy.network, factory)
        client.peerSends(WITH_EITHER)
        self.assertEqual(client.take(), b"\5\2")

    def test_HTTP(self) -> None:
        """
        It serves HTTP, also to a client that sends its octets one by one.
        """
        client = self.proxy.connect()
        for octet in b"CONNECT web.test:80 HTTP/1.1\r\nHost: web.test\r\n\r\n":
            client.peerSends(bytes([octet]))
        self.proxy.settle()
        self.assertEqual(client.take(), b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.proxy.target().peerSends(b"hello")
        self.assertEqual(client.take(), b"hello")

    def test_dropped(self) -> None:
        """
        A connection that is dropped leaves nothing behind.
        """
        client = self.proxy.connect()
        client.peerSends(b"\x16\x03\x01" + bytes(300))
        self.proxy.settle()
        self.assertEqual((client.take(), client.lost), (b"", True))
        self.assertEqual(self.proxy.traces(), [])


CONNECT = b"CONNECT web.test:80 HTTP/1.1\r\nHost: web.test\r\n\r\n"
GET = b"GET http://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n"
POST = (
    b"POST http://web.test/ HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n"
)

chunks = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=20),
        st.sampled_from(
            [
                NO_AUTHENTICATION,
                WITH_EITHER,
                TO_WEB,
                TO_SILENCE,
                request("web.test"),
                request4("192.0.2.1"),
                request4("web.test")[:9],
                CONNECT,
                GET,
                POST,
                GET + GET[:20],
            ]
        ),
        st.binary(min_size=1, max_size=2).map(lambda octets: octets * 40000),
    ),
    max_size=6,
)


class ArbitraryClientTests(SynchronousTestCase):
    """
    No client breaks anything.
    """

    @given(received=chunks, ends=st.sampled_from(["ends", "resets", "waits"]))
    @settings(deadline=None)
    def test_arbitraryOctets(self, received: list[bytes], ends: str) -> None:
        """
        Whatever a client sends and however it leaves, nothing is raised or
        logged as an error, and in the end nothing is left of it.
        """
        proxy = MemoryProxy()
        with captured() as events:
            client = proxy.connect()
            for data in received:
                client.peerSends(data)
                proxy.settle()
            if ends == "ends":
                client.peerEnds()
            elif ends == "resets":
                client.peerResets()
            for attempt in proxy.network.attempts:
                if attempt.transport is not None:
                    attempt.transport.take()
                    attempt.transport.peerEnds()
            for _ in range(160):
                proxy.network.advance(0.5)
                client.take()
            # What is left is a relay, to which the client has not said all.
            client.peerResets()
            proxy.settle()
        self.assertEqual([e for e in events if e["log_level"] >= LogLevel.warn], [])
        self.assertEqual(proxy.traces(), [])

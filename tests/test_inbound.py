"""
Tests for L{socksproxy.inbound}: the time that a client has.
"""

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol, InboundTimers
from socksproxy.socks._negotiation5 import ServerNegotiation
from socksproxy.testing import MemoryTransport
from tests.memoryproxy import MemoryProxy, passwords
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    NO_AUTHENTICATION,
    TO_SILENCE,
    TO_WEB,
    USERS,
    WITH_PASSWORD,
    password,
    request,
    request4,
)

STEP = 1 / 64
"""
Seconds between two octets of a slow client.
"""


class DeadlineTests(SynchronousTestCase):
    """
    A client has ten seconds to say what it wants.
    """

    def test_silence(self) -> None:
        """
        A client that says nothing is cut off, and not before its time is over.
        """
        proxy = MemoryProxy()
        client = proxy.connect()
        proxy.network.advance(9.75)
        self.assertFalse(client.disconnecting)
        proxy.network.advance(0.25)
        self.assertTrue(client.aborted and client.lost)
        self.assertEqual(client.take(), b"")
        self.assertEqual(proxy.traces(), [])

    def test_dribble(self) -> None:
        """
        However its octets dribble in, a client has no longer than that, in
        whatever state it is.
        """
        for said in (
            b"\5\xff" + bytes(254),
            WITH_PASSWORD + password(b"u" * 255, b"p" * 255)[:-1],
            NO_AUTHENTICATION + request("a" * 250)[:-1],
            request4("192.0.2.1", userID=b"u" * 500)[:-1],
            request4("a" * 250, userID=b"u" * 300)[:-1],
        ):
            proxy = MemoryProxy(checkers=[passwords(USERS), AllowAnonymousAccess()])
            client = proxy.connect()
            self.dribble(proxy, client, said)
            self.assertTrue(client.aborted)
            self.assertEqual(proxy.network.seconds(), 10.0)

    def dribble(self, proxy: MemoryProxy, client: MemoryTransport, said: bytes) -> None:
        """
        Send octets one at a time, slowly, and then nothing, until the proxy
        has had enough.
        """
        for octet in said:
            if client.lost:
                return
            client.peerSends(bytes([octet]))
            proxy.network.advance(STEP)
        while not client.lost:
            proxy.network.advance(STEP)

    def test_inAll(self) -> None:
        """
        The ten seconds are for everything together, and no message starts
        them anew.
        """
        proxy = MemoryProxy(checkers=[passwords(USERS)])
        client = proxy.connect()
        for said, answer in ((WITH_PASSWORD, b"\5\2"), (ALICE, ACCEPTED), (TO_WEB[:5], b"")):
            proxy.network.advance(3)
            client.peerSends(said)
            self.assertEqual(client.take(), answer)
        proxy.network.advance(0.75)
        self.assertFalse(client.disconnecting)
        proxy.network.advance(0.25)
        self.assertTrue(client.lost)

    def test_untilTheRequest(self) -> None:
        """
        The clock stops when the request is complete: connecting has its own.
        """
        for said in (NO_AUTHENTICATION + TO_SILENCE, request4("192.0.2.9")):
            proxy = MemoryProxy()
            client = proxy.connect()
            proxy.network.advance(9)
            client.peerSends(said)
            proxy.network.advance(20)
            self.assertFalse(client.disconnecting)

    def test_otherLimit(self) -> None:
        """
        The limit can be set.
        """
        proxy = MemoryProxy(timers=InboundTimers(handshake=3))
        client = proxy.connect()
        proxy.network.advance(2.75)
        self.assertFalse(client.disconnecting)
        proxy.network.advance(0.25)
        self.assertTrue(client.lost)


class InboundProtocolTests(SynchronousTestCase):
    """
    What those who write a protocol of this family have to keep to.
    """

    def test_interfaces(self) -> None:
        """
        Factory and protocol are what Twisted takes them for.
        """
        proxy = MemoryProxy()
        verifyObject(IProtocolFactory, InboundFactory(proxy.inbound))
        proxy.connect()
        verifyObject(IHalfCloseableProtocol, proxy.protocol())

    def test_connectBeforeLogin(self) -> None:
        """
        Nobody connects who has not logged in.
        """
        proxy = MemoryProxy()
        proxy.connect()
        protocol = proxy.protocol()
        answers = ServerNegotiation([])
        web = Destination("web.test", 80)
        self.assertRaises(RuntimeError, protocol.connect, web, answers)

    def test_abstract(self) -> None:
        """
        A factory has to say what handshake it wants, and a handshake what it
        does with bytes.
        """
        inbound: Inbound = MemoryProxy().inbound
        protocol = InboundProtocol(inbound, Handshake)
        self.assertRaises(NotImplementedError, InboundFactory(inbound).handshakeFor, protocol)
        self.assertRaises(NotImplementedError, Handshake(protocol).dataReceived, b"x")

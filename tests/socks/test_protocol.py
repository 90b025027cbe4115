"""
Tests for L{socksproxy.socks.protocol}.
"""

from collections.abc import Sequence

import pytest
from twisted.cred.checkers import AllowAnonymousAccess, ICredentialsChecker
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.socks import NoAuthentication, SOCKS4Factory, SOCKS5Factory
from socksproxy.testing import MemoryTransport
from tests.dialogue import Dialogue, Step, proxyFor, variantsOf
from tests.memoryproxy import MemoryProxy, StrictTransport, passwords
from tests.socks.ticket import TicketChecker, TicketMethod
from tests.socksclient import (
    GRANTED,
    GRANTED4,
    NO_AUTHENTICATION,
    REFUSED4,
    TO_WEB,
    USERS,
    WITH_EITHER,
    refused,
    request4,
)
from tests.vectors import Vector, dialogues, nameOf


def stepsOf(vector: Vector) -> Sequence[Step]:
    """
    Give a dialogue's steps. A client that only ends its stream is no reason
    for us to give its connection attempt up, so where a vector depends on that
    the client resets the connection.
    """
    steps: Sequence[Step] = vector["steps"]
    if any("upstream_attempt_cancelled" in step for step in steps):
        return [{"client_reset": True} if "client_eof" in step else step for step in steps]
    return steps


@pytest.mark.parametrize("vector", dialogues("socks"), ids=nameOf)
def test_dialogue(vector: Vector) -> None:
    """
    A client and a target see what they should, however the client's octets
    are cut.
    """
    for steps in variantsOf(stepsOf(vector)):
        proxy = proxyFor(vector["config"], [TicketMethod()], [TicketChecker()])
        Dialogue(proxy).play(steps)


class SOCKS5Tests(SynchronousTestCase):
    """
    A server of SOCKS5 alone.
    """

    def connect(self, *checkers: ICredentialsChecker) -> MemoryTransport:
        """
        Connect a client to a server.

        @param checkers: Who may log in.
        """
        self.proxy = MemoryProxy(checkers=checkers or None)
        factory = SOCKS5Factory(self.proxy.inbound)
        return StrictTransport.connect(self.proxy.network, factory)

    def test_interfaces(self) -> None:
        """
        The factory and its protocols are what Twisted takes them for.
        """
        self.connect()
        verifyObject(IProtocolFactory, SOCKS5Factory(self.proxy.inbound))
        verifyObject(IHalfCloseableProtocol, self.proxy.protocol())

    def test_connect(self) -> None:
        """
        It serves SOCKS5.
        """
        client = self.connect()
        client.peerSends(NO_AUTHENTICATION + TO_WEB)
        self.proxy.settle()
        self.assertEqual(client.take(), b"\5\0" + GRANTED)

    def test_otherProtocols(self) -> None:
        """
        It hangs up on everything else without a word.
        """
        for octet in b"\x04", b"G", b"\x16":
            client = self.connect()
            client.peerSends(octet)
            self.proxy.settle()
            self.assertEqual((client.take(), client.lost), (b"", True))

    def test_methodsOfThePortal(self) -> None:
        """
        By default it offers what the Portal's checkers can check.
        """
        client = self.connect(passwords(USERS))
        client.peerSends(WITH_EITHER)
        self.assertEqual(client.take(), b"\5\2")

    def test_methodThatThePortalRejects(self) -> None:
        """
        A method whose credentials no checker takes lets nobody in, and nobody
        has to wait for that.
        """
        proxy = MemoryProxy(checkers=[passwords(USERS)])
        factory = SOCKS5Factory(proxy.inbound, [NoAuthentication()])
        client = StrictTransport.connect(proxy.network, factory)
        client.peerSends(NO_AUTHENTICATION + TO_WEB)
        proxy.settle()
        self.assertEqual(client.take(), b"\5\0")
        self.assertTrue(client.ended)
        self.assertEqual(proxy.network.attempts, [])


class SOCKS4Tests(SynchronousTestCase):
    """
    A server of SOCKS4 and SOCKS4a alone.
    """

    def connect(self, *checkers: ICredentialsChecker) -> MemoryTransport:
        """
        Connect a client to a server.

        @param checkers: Who may log in.
        """
        self.proxy = MemoryProxy(checkers=checkers or None)
        factory = SOCKS4Factory(self.proxy.inbound)
        verifyObject(IProtocolFactory, factory)
        return StrictTransport.connect(self.proxy.network, factory)

    def test_connect(self) -> None:
        """
        It serves SOCKS4, and tells the address that it dialled from.
        """
        client = self.connect()
        client.peerSends(request4("192.0.2.1"))
        self.proxy.settle()
        self.assertEqual(client.take(), GRANTED4)

    def test_otherProtocols(self) -> None:
        """
        It hangs up on everything else without a word.
        """
        for octet in b"\x05", b"G", b"\x00":
            client = self.connect()
            client.peerSends(octet)
            self.proxy.settle()
            self.assertEqual((client.take(), client.lost), (b"", True))

    def test_IPv6Target(self) -> None:
        """
        A name may lead to an IPv6 address; the reply, which has no room for
        ours, has zeros.
        """
        client = self.connect()
        client.peerSends(request4("web6.test"))
        self.proxy.settle()
        self.assertEqual(self.proxy.attempt().host, "2001:db8::1")
        self.assertEqual(client.take().hex(), "005a000000000000")

    def test_authenticationOn(self) -> None:
        """
        Where clients have to say who they are, SOCKS4 is refused whatever
        USERID says, and nothing is dialled.
        """
        for userID in (b"", b"alice"):
            client = self.connect(passwords(USERS))
            client.peerSends(request4("192.0.2.1", userID=userID))
            self.assertEqual(client.take(), REFUSED4)
            self.assertTrue(client.ended)
            self.assertEqual(self.proxy.network.attempts, [])

    def test_authenticationOptional(self) -> None:
        """
        Where clients may say who they are and need not, SOCKS4 is served.
        """
        client = self.connect(passwords(USERS), AllowAnonymousAccess())
        client.peerSends(request4("192.0.2.1"))
        self.proxy.settle()
        self.assertEqual(client.take(), GRANTED4)


class HalfCloseTests(SynchronousTestCase):
    """
    A client that has said everything may end its stream early.
    """

    def test_endWhileConnecting(self) -> None:
        """
        That does not give the connection attempt up. The target gets what the
        client sent, then the end of the stream, and its answer still reaches
        the client.
        """
        proxy = MemoryProxy()
        client = proxy.connect()
        client.peerSends(NO_AUTHENTICATION + TO_WEB + b"question")
        client.peerEnds()
        self.assertFalse(client.ended)
        target = proxy.target()
        self.assertEqual(proxy.network.cancelled, 0)
        self.assertEqual(target.take(), b"question")
        self.assertTrue(target.ended)
        target.peerSends(b"answer")
        target.peerEnds()
        proxy.settle()
        self.assertEqual(client.take(), b"\5\0" + GRANTED + b"answer")
        self.assertTrue(client.lost and target.lost)

    def test_endBeforeRefusal(self) -> None:
        """
        Where the attempt fails the client gets its answer, and since it has
        said everything the connection ends at once.
        """
        proxy = MemoryProxy(world={})
        client = proxy.connect()
        client.peerSends(NO_AUTHENTICATION + TO_WEB)
        client.peerEnds()
        proxy.settle()
        self.assertEqual(client.take(), b"\5\0" + refused(5))
        self.assertTrue(client.lost)
        self.assertEqual(proxy.traces(), [])

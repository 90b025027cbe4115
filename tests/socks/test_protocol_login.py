"""
Tests for L{socksproxy.socks.protocol}: who gets in, and how.
"""

from twisted.cred.checkers import AllowAnonymousAccess, ICredentialsChecker
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.credentials import OctetPassword
from socksproxy.socks import NoAuthentication, UsernamePassword
from socksproxy.socks.methods import Anonymous, Password
from socksproxy.socks.protocol import credentialsFor, methodsFor
from socksproxy.testing import MemoryTransport
from tests.memoryproxy import MemoryProxy, passwords
from tests.socks.ticket import GOOD_TICKET, HOLDER, Ticket, TicketChecker, TicketMethod
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    GRANTED,
    MALLORY,
    REJECTED,
    TO_WEB,
    USERS,
    WITH_PASSWORD,
    password,
)


class ThrottleTests(SynchronousTestCase):
    """
    Whoever guesses passwords has to wait for the answers.
    """

    def setUp(self) -> None:
        self.proxy = MemoryProxy(checkers=[passwords(USERS)])

    def guess(self, credentials: bytes, host: str = "192.0.2.77") -> MemoryTransport:
        """
        Connect a client and send credentials.
        """
        client = self.proxy.clientAt(host)
        client.peerSends(WITH_PASSWORD + credentials)
        self.assertEqual(client.take()[:2], b"\5\2")
        return client

    def delayOf(self, client: MemoryTransport) -> float:
        """
        Measure how long a client waits for its rejection.
        """
        waited = 0.0
        while not (answer := client.take()):
            self.assertFalse(client.lost, f"no answer within {waited} s")
            self.proxy.network.advance(0.25)
            waited += 0.25
        self.assertEqual(answer, REJECTED)
        return waited

    def test_delay(self) -> None:
        """
        The first failure is answered after a second, and each further one
        after twice the time, up to eight seconds. The user's name does not
        matter.
        """
        bob = password(b"bob", b"guess")
        delays = [self.delayOf(self.guess(data)) for data in (MALLORY, bob, MALLORY, bob, MALLORY)]
        self.assertEqual(delays, [1, 2, 4, 8, 8])

    def test_eachSourceForItself(self) -> None:
        """
        Others do not wait for it, and neither does whoever knows the password.
        """
        self.delayOf(self.guess(MALLORY))
        self.assertEqual(self.delayOf(self.guess(MALLORY, "192.0.2.78")), 1)
        client = self.proxy.clientAt("192.0.2.77")
        client.peerSends(WITH_PASSWORD + ALICE)
        self.assertEqual(client.take(), b"\5\2" + ACCEPTED)

    def test_successForgets(self) -> None:
        """
        Who has logged in starts afresh.
        """
        self.delayOf(self.guess(MALLORY))
        client = self.proxy.clientAt("192.0.2.77")
        client.peerSends(WITH_PASSWORD + ALICE)
        self.assertEqual(self.delayOf(self.guess(MALLORY)), 1)

    def test_answerWithinTheHandshake(self) -> None:
        """
        Even the longest delay leaves a client that took its time its answer:
        the delay is ours and does not count against it.
        """
        for _ in range(3):
            self.delayOf(self.guess(MALLORY))
        client = self.proxy.clientAt("192.0.2.77")
        client.peerSends(WITH_PASSWORD)
        self.proxy.network.advance(5)
        client.take()
        client.peerSends(MALLORY)
        self.assertEqual(self.delayOf(client), 8)

    def test_nothingBehindAFailure(self) -> None:
        """
        A request that was sent right behind wrong credentials is dropped.
        """
        client = self.guess(MALLORY + TO_WEB)
        self.proxy.network.advance(1)
        self.assertEqual(client.take(), REJECTED)
        self.assertTrue(client.ended)
        self.assertEqual(self.proxy.network.attempts, [])


class OwnMethodTests(SynchronousTestCase):
    """
    A method, credentials and a checker of one's own work together.
    """

    def talk(self, ticket: bytes) -> MemoryTransport:
        """
        Show a ticket and make a request.
        """
        method = TicketMethod(challenge=b"?")
        self.proxy = MemoryProxy(checkers=[TicketChecker()], methods=[method])
        client = self.proxy.connect()
        client.peerSends(bytes.fromhex("05028081"))
        self.assertEqual(client.take(), b"\x05\x81\x01?")
        client.peerSends(bytes([len(ticket)]) + ticket + TO_WEB)
        self.proxy.settle()
        return client

    def test_admitted(self) -> None:
        """
        With good credentials the request goes through, in the name that the
        checker gave.
        """
        client = self.talk(GOOD_TICKET)
        self.assertEqual(client.take(), b"\x07welcome" + GRANTED)
        self.assertEqual(self.proxy.protocol().record.user, HOLDER.decode())

    def test_rejected(self) -> None:
        """
        With bad ones it does not, and they are answered late like any guess.
        """
        client = self.talk(b"forged")
        self.assertEqual(client.take(), b"")
        self.proxy.network.advance(1)
        self.assertEqual(client.take(), b"\0")
        self.assertTrue(client.ended)
        self.assertEqual(self.proxy.network.attempts, [])


class CredentialsForTests(SynchronousTestCase):
    """
    What methods got becomes what a Portal takes.
    """

    def test_anonymous(self) -> None:
        """
        Nobody becomes anonymous credentials.
        """
        verifyObject(IAnonymous, credentialsFor(Anonymous()))

    def test_password(self) -> None:
        """
        A user name and password stay octets.
        """
        credentials = credentialsFor(Password(b"al\xffce", b"s3cret\0"))
        assert isinstance(credentials, OctetPassword)
        verifyObject(IUsernamePassword, credentials)
        self.assertEqual(credentials.username, b"al\xffce")
        self.assertTrue(credentials.checkPassword(b"s3cret\0"))
        self.assertFalse(credentials.checkPassword(b"s3cret"))
        self.assertNotIn("s3cret", repr(credentials))

    def test_own(self) -> None:
        """
        Credentials of a method of one's own pass as they are.
        """
        ticket = Ticket(GOOD_TICKET)
        self.assertIs(credentialsFor(ticket), ticket)


class MethodsForTests(SynchronousTestCase):
    """
    Checkers decide which methods are offered.
    """

    def kinds(self, *checkers: ICredentialsChecker) -> list[type]:
        """
        Give the classes of the methods for some checkers.
        """
        portal = Portal(MemoryProxy().inbound.portal.realm, checkers)
        return [type(method) for method in methodsFor(portal)]

    def test_checkers(self) -> None:
        """
        A password comes first, so that a client that can say who it is does.
        """
        database = passwords(USERS)
        self.assertEqual(self.kinds(database), [UsernamePassword])
        self.assertEqual(self.kinds(AllowAnonymousAccess()), [NoAuthentication])
        self.assertEqual(
            self.kinds(AllowAnonymousAccess(), database), [UsernamePassword, NoAuthentication]
        )
        self.assertEqual(self.kinds(TicketChecker()), [])

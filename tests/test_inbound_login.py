"""
Tests for L{socksproxy.inbound}: who a client is.
"""

import gc

from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.interfaces import ClientOrigin
from socksproxy.testing import tcpAddress
from tests.memoryproxy import EARLY_OCTETS, MemoryProxy, SlowChecker, SoleUser
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    GRANTED,
    MALLORY,
    NO_AUTHENTICATION,
    REJECTED,
    TO_WEB,
    WITH_PASSWORD,
    request4,
)


class SlowCheckTests(SynchronousTestCase):
    """
    Checking a password takes time, which is not the client's.
    """

    def setUp(self) -> None:
        self.checker = SlowChecker()
        self.proxy = MemoryProxy(checkers=[self.checker])
        self.client = self.proxy.connect()

    def sayPassword(self, after: float) -> None:
        """
        Have the client's password checked for a minute.

        @param after: Seconds that the client takes first.
        """
        self.client.peerSends(WITH_PASSWORD)
        self.proxy.network.advance(after)
        self.client.peerSends(ALICE)
        self.proxy.network.advance(60)
        self.assertEqual(self.client.take(), b"\5\2")
        self.assertFalse(self.client.disconnecting)

    def test_notCounted(self) -> None:
        """
        The client's clock stands still meanwhile, and goes on afterwards.
        """
        self.sayPassword(3)
        self.checker.verdicts.pop().callback(b"alice")
        self.assertEqual(self.client.take(), ACCEPTED)
        self.proxy.network.advance(6.75)
        self.assertFalse(self.client.disconnecting)
        self.proxy.network.advance(0.25)
        self.assertTrue(self.client.lost)

    def test_atLeastASecond(self) -> None:
        """
        A client whose time was nearly over still has a second to read the
        answer and to make its request.
        """
        self.sayPassword(9.75)
        self.checker.verdicts.pop().callback(b"alice")
        self.proxy.network.advance(0.75)
        self.assertFalse(self.client.disconnecting)
        self.client.peerSends(TO_WEB)
        self.proxy.settle()
        self.assertEqual(self.client.take(), ACCEPTED + GRANTED)

    def test_earlyData(self) -> None:
        """
        What comes meanwhile is kept, for later and in order.
        """
        self.client.peerSends(WITH_PASSWORD + ALICE)
        self.client.peerSends(TO_WEB + b"early")
        self.client.peerSends(b" data")
        self.assertEqual(self.client.take(), b"\5\2")
        self.checker.verdicts.pop().callback(b"alice")
        target = self.proxy.target()
        self.assertEqual(self.client.take(), ACCEPTED + GRANTED)
        self.assertEqual(target.take(), b"early data")

    def test_muchEarlyData(self) -> None:
        """
        At 64 KiB the client is not read any more until there is a verdict, or
        until the dial that follows is over; nothing is lost or doubled.
        """
        data = bytes(range(256)) * 512
        self.client.peerSends(WITH_PASSWORD + ALICE)
        self.client.peerSends(TO_WEB + data[: EARLY_OCTETS - len(TO_WEB) - 1])
        self.assertFalse(self.client.paused)
        self.client.peerSends(data[EARLY_OCTETS - len(TO_WEB) - 1 : EARLY_OCTETS])
        self.assertTrue(self.client.paused)
        self.client.peerSends(data[EARLY_OCTETS:-5])
        self.checker.verdicts.pop().callback(b"alice")
        self.client.peerSends(data[-5:])
        target = self.proxy.target()
        received = b""
        while more := target.take():
            received += more
        self.assertEqual(len(received), len(data))
        self.assertEqual(received, data)
        self.assertFalse(self.client.paused)

    def test_endOfStream(self) -> None:
        """
        A client that has said everything, and ends its stream while its
        password is being checked, is served when that is over.
        """
        self.client.peerSends(WITH_PASSWORD + ALICE + TO_WEB + b"question")
        self.client.peerEnds()
        self.proxy.settle()
        self.assertFalse(self.client.disconnecting)
        self.checker.verdicts.pop().callback(b"alice")
        target = self.proxy.target()
        self.assertEqual(target.take(), b"question")
        self.assertTrue(target.ended)
        target.peerSends(b"answer")
        target.peerEnds()
        self.proxy.settle()
        self.assertEqual(self.client.take(), b"\5\2" + ACCEPTED + GRANTED + b"answer")
        self.assertEqual(self.proxy.traces(), [])

    def test_endOfStreamWithoutRequest(self) -> None:
        """
        A client that ends its stream meanwhile without having made a request
        is not waited for.
        """
        self.client.peerSends(WITH_PASSWORD + ALICE + TO_WEB[:-1])
        self.client.peerEnds()
        self.proxy.settle()
        self.checker.verdicts.pop().callback(b"alice")
        self.proxy.settle()
        self.assertTrue(self.client.lost)
        self.assertEqual(self.proxy.traces(), [])

    def test_pipelined(self) -> None:
        """
        A request that came with the password is served once that is checked.
        """
        self.client.peerSends(WITH_PASSWORD + ALICE + TO_WEB)
        self.assertEqual(self.proxy.network.attempts, [])
        self.checker.verdicts.pop().callback(b"alice")
        self.proxy.settle()
        self.assertEqual(self.client.take(), b"\5\2" + ACCEPTED + GRANTED)

    def test_wrong(self) -> None:
        """
        A wrong password is answered after the same delay as anywhere.
        """
        self.sayPassword(0)
        self.checker.verdicts.pop().errback(Failure(UnauthorizedLogin()))
        self.proxy.network.advance(0.75)
        self.assertEqual(self.client.take(), b"")
        self.proxy.network.advance(0.25)
        self.assertEqual(self.client.take(), REJECTED)
        self.assertTrue(self.client.ended)

    def test_overload(self) -> None:
        """
        A checker that is too busy says nothing about the password, so nobody
        has to wait.
        """
        self.sayPassword(0)
        self.checker.verdicts.pop().errback(Failure(LoginFailed("too busy")))
        self.assertEqual(self.client.take(), REJECTED)

    def test_broken(self) -> None:
        """
        A checker that fails in an unforeseen way lets nobody in, and the log
        says why.
        """
        self.sayPassword(0)
        self.checker.verdicts.pop().errback(Failure(LocalProtocolError("broken")))
        self.assertEqual(self.client.take(), REJECTED)
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)


class LoginTests(SynchronousTestCase):
    """
    What the Portal is told, and for how long a session lasts.
    """

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        gc.collect()

    def test_origin(self) -> None:
        """
        The mind of a login says where the client came in.
        """
        realm = SoleUser()
        proxy = MemoryProxy(realm=realm, listener="tcp:1080", local=True)
        for host, said in (
            ("127.0.0.1", NO_AUTHENTICATION),
            ("::1", request4("192.0.2.1")),
            ("::1", request4("web.test")),
        ):
            proxy.clientAt(host).peerSends(said)
        self.assertEqual(
            realm.minds,
            [
                ClientOrigin(protocol, "tcp:1080", True, tcpAddress(host, 40000), source)
                for protocol, host, source in (
                    ("SOCKS5", "127.0.0.1", "127.0.0.1"),
                    ("SOCKS4", "::1", "::/64"),
                    ("SOCKS4a", "::1", "::/64"),
                )
            ],
        )

    def test_keyed(self) -> None:
        """
        It says, too, that only those come in there who have a key.
        """
        for keyed in (False, True):
            realm = SoleUser()
            proxy = MemoryProxy(realm=realm)
            proxy.inbound.keyed = keyed
            proxy.clientAt("192.0.2.1").peerSends(NO_AUTHENTICATION)
            self.assertEqual([getattr(mind, "keyed", None) for mind in realm.minds], [keyed])

    def test_logout(self) -> None:
        """
        A session lasts as long as its connection.
        """
        realm = SoleUser()
        proxy = MemoryProxy(realm=realm)
        client = proxy.connect()
        client.peerSends(NO_AUTHENTICATION)
        self.assertEqual((len(realm.minds), realm.logouts), (1, 0))
        client.peerSends(TO_WEB)
        self.assertEqual(realm.logouts, 0)
        client.peerResets()
        self.assertEqual(realm.logouts, 1)

    def test_logoutAfterAllIsLost(self) -> None:
        """
        A session that comes too late, when the client has gone, is ended at
        once, and nothing is written to where the client was.
        """
        checker, realm = SlowChecker(), SoleUser()
        proxy = MemoryProxy(checkers=[checker], realm=realm)
        client = proxy.connect()
        client.peerSends(WITH_PASSWORD + ALICE + TO_WEB)
        client.peerResets()
        client.take()
        checker.verdicts.pop().callback(b"alice")
        self.assertEqual((len(realm.minds), realm.logouts), (1, 1))
        self.assertEqual(client.take(), b"")
        self.assertEqual(proxy.traces(), [])

    def test_throttleAfterAllIsLost(self) -> None:
        """
        A rejection that comes too late, when the client has gone, is not
        waited for and not written to where the client was.
        """
        checker = SlowChecker()
        proxy = MemoryProxy(checkers=[checker])
        client = proxy.connect()
        client.peerSends(WITH_PASSWORD + MALLORY)
        client.peerResets()
        checker.verdicts.pop().errback(Failure(UnauthorizedLogin()))
        self.assertEqual(proxy.traces(), [])
        proxy.network.advance(10)

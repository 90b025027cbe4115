"""
Tests for L{socksproxy.auth.ident}.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from socksproxy.auth.ident import IdentChecker, IUserID, UserID, UserIDChecker
from socksproxy.errors import IdentMismatch, IdentUnreachable
from socksproxy.testing import MemoryTransport, ScriptedNetwork, tcpAddress

reactor: Any = _reactor

PEER = tcpAddress("192.0.2.7", 40000)
HOST = tcpAddress("192.0.2.1", 1080)
NETWORKS = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
QUERY = b"40000 , 1080\r\n"


def alice(peer: IAddress = PEER, host: IAddress = HOST) -> UserID:
    """
    Say that one is alice.
    """
    return UserID(b"alice", peer, host)


class UserIDTests(SynchronousTestCase):
    """
    What a client says of itself.
    """

    def test_interface(self) -> None:
        """
        It is credentials of its own kind, and shows what it is.
        """
        credentials = alice()
        verifyObject(IUserID, credentials)
        self.assertEqual(
            (credentials.userID, credentials.peer, credentials.host), (b"alice", PEER, HOST)
        )
        self.assertIn("alice", repr(credentials))


class UserIDCheckerTests(SynchronousTestCase):
    """
    Names are believed.
    """

    def setUp(self) -> None:
        """
        Make a checker that knows two users.
        """
        self.checker = UserIDChecker([b"alice", b"bob"])

    def test_interface(self) -> None:
        """
        It checks user identifiers and nothing else.
        """
        verifyObject(ICredentialsChecker, self.checker)
        self.assertEqual(self.checker.credentialInterfaces, (IUserID,))

    def test_known(self) -> None:
        """
        Whoever names a user is that user, wherever they come from.
        """
        for peer in (PEER, tcpAddress("203.0.113.9", 1), UNIXAddress(b"")):
            self.assertEqual(
                self.successResultOf(self.checker.requestAvatarId(alice(peer))), b"alice"
            )

    def test_unknown(self) -> None:
        """
        Nobody else gets in, and names are compared octet by octet.
        """
        for userID in (b"", b"Alice", b"alice ", b"mallory"):
            answer = self.checker.requestAvatarId(UserID(userID, PEER, HOST))
            self.failureResultOf(answer, UnauthorizedLogin)


class IdentCheckerTests(SynchronousTestCase):
    """
    The client's host is asked.
    """

    def setUp(self) -> None:
        """
        Make a network in which three hosts answer, and a checker.
        """
        self.network = ScriptedNetwork(
            {
                "192.0.2.7:113": "accept",
                "192.0.2.8:113": "ECONNREFUSED",
                "192.0.2.9:113": "timeout",
                "[2001:db8::7]:113": "accept",
                "[::ffff:192.0.2.7]:113": "accept",
            }
        )
        self.checker = IdentChecker(self.network, NETWORKS)

    def ask(self, credentials: UserID | None = None) -> tuple[Deferred[Any], MemoryTransport]:
        """
        Log in, up to the connection to the host.
        """
        answer = self.checker.requestAvatarId(credentials or alice())
        self.network.advance(0)
        (attempt,) = self.network.attempts
        assert attempt.transport is not None
        return answer, attempt.transport

    def assertUnreachable(self, answer: Deferred[Any]) -> None:
        """
        Fail unless the host has said nothing, and nothing is under way.
        """
        self.failureResultOf(answer, IdentUnreachable)
        self.network.advance(0)
        for attempt in self.network.attempts:
            self.assertTrue(attempt.transport is None or attempt.transport.lost)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_interface(self) -> None:
        """
        It checks user identifiers and nothing else.
        """
        verifyObject(ICredentialsChecker, self.checker)
        self.assertEqual(self.checker.credentialInterfaces, (IUserID,))

    def test_same(self) -> None:
        """
        A user whom the host confirms is logged in under the name, and the
        connection to the host is closed.
        """
        answer, host = self.ask()
        self.assertEqual(host.take(), QUERY)
        self.assertNoResult(answer)
        host.peerSends(b"40000 , 1080 : USERID : UNIX : alice\r\n")
        self.assertEqual(self.successResultOf(answer), b"alice")
        self.network.advance(0)
        self.assertTrue(host.lost)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_dial(self) -> None:
        """
        The host is asked at port 113, from the address that the client has
        connected to, or else it would not know the connection.
        """
        self.ask()
        (attempt,) = self.network.attempts
        self.assertEqual(
            (attempt.host, attempt.port, attempt.bindAddress),
            ("192.0.2.7", 113, ("192.0.2.1", 0)),
        )

    def test_ipv6(self) -> None:
        """
        So it is over IPv6.
        """
        peer, host = tcpAddress("2001:db8::7", 40000), tcpAddress("2001:db8::1", 1080)
        answer, transport = self.ask(alice(peer, host))
        (attempt,) = self.network.attempts
        self.assertEqual(attempt.bindAddress, ("2001:db8::1", 0))
        transport.peerSends(b"40000,1080:USERID:UNIX:alice\r\n")
        self.assertEqual(self.successResultOf(answer), b"alice")

    def test_mapped(self) -> None:
        """
        A client that came over IPv4 to a socket of both families belongs to
        its IPv4 network.
        """
        peer, host = tcpAddress("::ffff:192.0.2.7", 40000), tcpAddress("::ffff:192.0.2.1", 1080)
        answer, transport = self.ask(alice(peer, host))
        transport.peerSends(b"40000,1080:USERID:UNIX:alice\r\n")
        self.assertEqual(self.successResultOf(answer), b"alice")

    def test_inPieces(self) -> None:
        """
        The answer may come octet by octet.
        """
        answer, host = self.ask()
        for octet in b"40000,1080:USERID:UNIX:alice\r\n":
            self.assertNoResult(answer)
            host.peerSends(bytes([octet]))
        self.assertEqual(self.successResultOf(answer), b"alice")

    def test_moreThanALine(self) -> None:
        """
        What comes after the line does not matter.
        """
        answer, host = self.ask()
        host.peerSends(b"40000,1080:USERID:UNIX:alice\r\n" + b"x" * 5000)
        host.peerSends(b"40000,1080:USERID:UNIX:bob\r\n")
        self.assertEqual(self.successResultOf(answer), b"alice")

    def test_other(self) -> None:
        """
        When the host names another user, the client is somebody else than it
        says; names are compared octet by octet.
        """
        for user in (b"mallory", b"Alice", b"alice ", b"alicf", b"alic"):
            self.network.attempts.clear()
            answer, host = self.ask()
            host.peerSends(b"40000,1080:USERID:UNIX:" + user + b"\r\n")
            self.failureResultOf(answer, IdentMismatch)
            self.network.advance(0)
            self.assertTrue(host.lost)

    def test_nobody(self) -> None:
        """
        A client that names no user is not the one whom the host names.
        """
        answer, host = self.ask(UserID(b"", PEER, HOST))
        host.peerSends(b"40000,1080:USERID:UNIX:alice\r\n")
        self.failureResultOf(answer, IdentMismatch)

    def test_noAnswer(self) -> None:
        """
        What is not an answer about this connection leaves the user unknown.
        """
        for reply in (
            b"40000,1080:ERROR:NO-USER\r\n",
            b"40000,1080:ERROR:HIDDEN-USER\r\n",
            b"40001,1080:USERID:UNIX:alice\r\n",
            b"40000,1081:USERID:UNIX:alice\r\n",
            b"1080,40000:USERID:UNIX:alice\r\n",
            b"hello\r\n",
            b"\r\n",
            b"\0" * 10 + b"\n",
            b"40000,1080:USERID:UNIX:" + b"a" * 1000,
            b"x" * 100000,
        ):
            self.network.attempts.clear()
            answer, host = self.ask()
            host.peerSends(reply)
            self.assertUnreachable(answer)

    def test_saysWhy(self) -> None:
        """
        The error tells what went wrong, for the log.
        """
        answer, host = self.ask()
        host.peerSends(b"40000,1080:ERROR:HIDDEN-USER\r\n")
        failure = self.failureResultOf(answer, IdentUnreachable)
        self.assertEqual(failure.getErrorMessage(), "ident unreachable: HIDDEN-USER")

    def test_closed(self) -> None:
        """
        A host that closes before its answer is complete has not answered.
        """
        answer, host = self.ask()
        host.peerSends(b"40000,1080:USERID:UNIX:alice")
        host.peerEnds()
        self.assertUnreachable(answer)

    def test_reset(self) -> None:
        """
        Nor has one that resets the connection.
        """
        answer, host = self.ask()
        host.peerResets()
        self.assertUnreachable(answer)

    def test_refused(self) -> None:
        """
        A host without an identd is asked in vain.
        """
        answer = self.checker.requestAvatarId(alice(tcpAddress("192.0.2.8", 40000)))
        self.network.advance(0)
        self.assertUnreachable(answer)

    def test_tooLateToConnect(self) -> None:
        """
        A host that cannot be connected to in time is given up.
        """
        answer = self.checker.requestAvatarId(alice(tcpAddress("192.0.2.9", 40000)))
        self.network.advance(9.9)
        self.assertNoResult(answer)
        self.network.advance(0.2)
        self.assertEqual(self.network.cancelled, 1)
        self.assertUnreachable(answer)

    def test_tooLateToAnswer(self) -> None:
        """
        The time is for all of it: a host that keeps sending does not get more.
        """
        answer, host = self.ask()
        for _ in range(9):
            self.network.advance(1)
            host.peerSends(b" ")
        self.assertNoResult(answer)
        self.network.advance(1.1)
        self.assertUnreachable(answer)

    def test_timeout(self) -> None:
        """
        How long it takes at most can be chosen.
        """
        self.checker = IdentChecker(self.network, NETWORKS, timeout=3.0)
        answer, _ = self.ask()
        self.network.advance(3.1)
        self.assertUnreachable(answer)

    def test_abandoned(self) -> None:
        """
        Who does not want to know any more closes the connection.
        """
        answer, _ = self.ask()
        answer.cancel()
        self.assertUnreachable(answer)

    def test_networks(self) -> None:
        """
        Hosts of other networks are not asked, and neither is who comes over
        no network.
        """
        for peer in (
            tcpAddress("192.0.3.7", 40000),
            tcpAddress("203.0.113.9", 40000),
            tcpAddress("::1", 40000),
            tcpAddress("::ffff:192.0.3.7", 40000),
            UNIXAddress(b"/run/proxy"),
        ):
            answer = self.checker.requestAvatarId(alice(peer))
            self.failureResultOf(answer, UnauthorizedLogin)
        self.network.advance(0)
        self.assertEqual(self.network.attempts, [])

    def test_noOwnAddress(self) -> None:
        """
        Where the client has connected to no address of ours, there is none to
        ask from.
        """
        answer = self.checker.requestAvatarId(alice(host=UNIXAddress(b"/run/proxy")))
        self.assertUnreachable(answer)
        self.assertEqual(self.network.attempts, [])

    def test_users(self) -> None:
        """
        Where users are listed, nobody else gets in, and nobody is asked about
        them.
        """
        self.checker = IdentChecker(self.network, NETWORKS, [b"bob"])
        self.failureResultOf(self.checker.requestAvatarId(alice()), UnauthorizedLogin)
        self.network.advance(0)
        self.assertEqual(self.network.attempts, [])
        answer, host = self.ask(UserID(b"bob", PEER, HOST))
        host.peerSends(b"40000,1080:USERID:UNIX:bob\r\n")
        self.assertEqual(self.successResultOf(answer), b"bob")


class Identd(Factory):
    """
    A server that answers one question.

    @ivar asked: The question, when it has come.
    @ivar asker: From where.
    @ivar closed: Fires when the asker has closed the connection.
    """

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.asked = b""
        self.asker: IAddress | None = None
        self.closed: Deferred[None] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """
        See C{IProtocolFactory}.
        """
        self.asker = addr
        return IdentdProtocol(self)


class IdentdProtocol(Protocol):
    """
    One question on one connection.
    """

    def __init__(self, identd: Identd) -> None:
        self.identd = identd

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        self.identd.asked += data
        if self.identd.asked.endswith(b"\r\n"):
            self.transport.write(self.identd.answer(self.identd.asked))  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        See C{IProtocol}.
        """
        self.identd.closed.callback(None)


class RealTests(TestCase):
    """
    The same over the loopback interface.
    """

    def listen(self, answer: Callable[[bytes], bytes]) -> tuple[Identd, int]:
        """
        Start an identd.

        @return: It, and its port.
        """
        identd = Identd(answer)
        port = reactor.listenTCP(0, identd, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return identd, port.getHost().port

    def ask(self, port: int) -> Deferred[Any]:
        """
        Log in as somebody who has connected to 127.0.0.2.
        """
        checker = IdentChecker(reactor, [ip_network("127.0.0.0/8")], port=port)
        host, peer = tcpAddress("127.0.0.2", 1080), tcpAddress("127.0.0.1", 40000)
        return checker.requestAvatarId(alice(peer, host))

    @inlineCallbacks
    def test_confirmed(self) -> Any:
        """
        A host that confirms the user has been asked from the address that the
        client has connected to, and sees the connection closed.
        """
        identd, port = self.listen(lambda query: query.strip() + b" : USERID : UNIX : alice\r\n")
        user = yield self.ask(port)
        yield identd.closed
        self.assertEqual(user, b"alice")
        self.assertEqual(identd.asked, QUERY)
        assert isinstance(identd.asker, IPv4Address)
        self.assertEqual(identd.asker.host, "127.0.0.2")

    @inlineCallbacks
    def test_refuted(self) -> Any:
        """
        A host that names another user sees the connection closed, too.
        """
        identd, port = self.listen(lambda query: query.strip() + b" : USERID : UNIX : bob\r\n")
        yield self.assertFailure(self.ask(port), IdentMismatch)
        yield identd.closed

    @inlineCallbacks
    def test_nobodyThere(self) -> Any:
        """
        Where nobody listens, the user stays unknown.
        """
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        yield port.stopListening()
        yield self.assertFailure(self.ask(number), IdentUnreachable)

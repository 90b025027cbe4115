"""
Tests for L{socksproxy.socks.streamclient}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IPushProducer
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, hostFromText
from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyTimedOut,
    ProxyUnreachable,
    TargetCommandNotSupported,
)
from socksproxy.errors import LocalProtocolError
from socksproxy.socks._wirestream import MAX_FRAME
from socksproxy.socks.streamclient import StreamedDatagrams, streamDatagrams
from socksproxy.testing import CAPACITY, MemoryTransport
from tests.client.scripted import PROXY, ClientTestCase
from tests.codec import splitsOf
from tests.socks.test_streamed import ANSWER, GRANTED, QUESTION, REQUEST, SIX, TARGET, framed
from tests.socksclient import (
    ACCEPTED,
    ALICE,
    NO_AUTHENTICATION,
    REJECTED,
    WITH_PASSWORD,
    refused,
)

SECRET = "Tr0ub4dor"


def to(host: str = TARGET, port: int = 53) -> Destination:
    """
    Give a destination.
    """
    return Destination(hostFromText(host) or host, port)


class StreamedDatagramsTestCase(ClientTestCase):
    """
    Tests with datagrams through a proxy.

    @ivar received: What has come, and from where.
    """

    def setUp(self) -> None:
        """
        Nothing has come.
        """
        super().setUp()
        self.received: list[tuple[bytes, Destination]] = []
        self.associations: list[StreamedDatagrams] = []

    def tearDown(self) -> None:
        """
        Have the proxy go, which ends what a test has left.
        """
        for association in self.associations:
            association.ended.addErrback(lambda failure: failure.trap(ProxyFault) and None)
        super().tearDown()

    def ask(self, *login: Any, **settings: Any) -> Deferred[StreamedDatagrams]:
        """
        Ask the proxy.
        """
        return streamDatagrams(
            self.network,
            self.proxy(),
            lambda data, source: self.received.append((data, source)),
            *login,
            **settings,
        )

    def associated(self, *login: Any) -> tuple[StreamedDatagrams, MemoryTransport]:
        """
        Get an association, of which the proxy has not said anything yet.
        """
        asking = self.ask(*login)
        peer = self.peer()
        association = self.successResultOf(asking)
        self.assertNoResult(association.ended)
        self.associations.append(association)
        return association, peer

    def assertEnded(self, association: StreamedDatagrams, peer: MemoryTransport) -> None:
        """
        Fail unless an association has been ended by the proxy, and nothing is
        sent any more.
        """
        self.network.advance(0)
        self.failureResultOf(association.ended, ProxyFault)
        peer.take()
        self.assertFalse(association.send(QUESTION, to()))
        self.assertEqual(peer.take(), b"")
        association.close()
        self.assertGone()


class EagerTests(StreamedDatagramsTestCase):
    """
    Without waiting for the proxy.
    """

    def test_atOnce(self) -> None:
        """
        Datagrams go right behind the request, before the proxy has answered,
        and what comes behind its answers is given.
        """
        association, peer = self.associated()
        verifyObject(IPushProducer, association)
        self.assertTrue(association.send(QUESTION, to()))
        self.assertTrue(association.send(b"", to("ns.test")))
        self.assertEqual(
            peer.take(),
            NO_AUTHENTICATION + REQUEST + framed(QUESTION) + framed(b"", "ns.test"),
        )
        peer.peerSends(b"\5\0" + GRANTED + framed(ANSWER) + framed(b"", SIX))
        self.assertEqual(self.received, [(ANSWER, to()), (b"", to(SIX))])

    def test_login(self) -> None:
        """
        The login is part of that.
        """
        association, peer = self.associated("alice", "s3cret")
        association.send(QUESTION, to())
        self.assertEqual(peer.take(), WITH_PASSWORD + ALICE + REQUEST + framed(QUESTION))
        peer.peerSends(b"\5\2" + ACCEPTED + GRANTED + framed(ANSWER))
        self.assertEqual(self.received, [(ANSWER, to())])

    def test_everySplit(self) -> None:
        """
        What comes is given however the stream is cut.
        """
        for pieces in splitsOf(b"\5\0" + GRANTED + framed(ANSWER) + framed(b"", SIX)):
            _, peer = self.associated()
            for piece in pieces:
                peer.peerSends(piece)
            self.assertEqual(self.received, [(ANSWER, to()), (b"", to(SIX))])
            self.received.clear()
            peer.peerResets()

    def test_refused(self) -> None:
        """
        A refusal ends it, as does what is no answer, and nothing behind them is
        given.
        """
        for answer in (
            b"\5\0" + refused(7),
            b"\5\0" + refused(2)[:2],
            b"\5\xff",
            b"\5\2" + ACCEPTED,
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ):
            association, peer = self.associated()
            peer.peerSends(answer + framed(ANSWER))
            self.assertTrue(peer.aborted)
            self.assertEnded(association, peer)
        association, peer = self.associated("alice", "s3cret")
        peer.peerSends(b"\5\2" + REJECTED)
        self.assertEnded(association, peer)
        self.assertEqual(self.received, [])

    def test_unreachable(self) -> None:
        """
        A proxy that is not there, or not in time, is told.
        """
        self.network.world.clear()
        asking = self.ask()
        self.network.advance(0)
        self.failureResultOf(asking, ProxyUnreachable)
        self.network.world[f"{PROXY}:1080"] = "timeout"
        asking = self.ask(timeout=7.0)
        self.network.advance(7.1)
        self.failureResultOf(asking, ProxyTimedOut)
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError, ConnectingCancelledError)

    def test_wrongLogin(self) -> None:
        """
        What cannot be sent is refused, and not repeated.
        """
        for login in (("u" * 256, "p"), ("u", SECRET * 29)):
            with self.assertRaises(LocalProtocolError) as caught:
                self.ask(*login)
            self.assertNotIn(SECRET, str(caught.exception))
        association, _ = self.associated("alice", SECRET)
        self.assertNotIn(SECRET, repr(association))


class PatientTests(StreamedDatagramsTestCase):
    """
    Waiting for the proxy's answer.
    """

    def test_waits(self) -> None:
        """
        There is an association when the proxy has granted it, and what came
        with the reply is given.
        """
        for early in (b"", framed(ANSWER), framed(ANSWER) + framed(b"")[:5]):
            self.received.clear()
            asking = self.ask(eager=False)
            peer = self.peer()
            self.assertEqual(peer.take(), NO_AUTHENTICATION)
            peer.peerSends(b"\5\0")
            self.assertEqual(peer.take(), REQUEST)
            self.assertNoResult(asking)
            peer.peerSends(GRANTED + early)
            association = self.successResultOf(asking)
            self.assertEqual(self.received, [(ANSWER, to())] if early else [])
            self.assertTrue(association.send(QUESTION, to()))
            self.assertEqual(peer.take(), framed(QUESTION))
            peer.peerSends(framed(b"")[5:] if len(early) > len(framed(ANSWER)) else framed(b""))
            self.assertEqual(self.received[-1], (b"", to()))
            association.close()

    def test_refused(self) -> None:
        """
        A refusal is told with its code, and a login that fails as that.
        """
        asking = self.ask(eager=False)
        peer = self.peer()
        peer.peerSends(b"\5\0" + refused(7))
        self.failureResultOf(asking, TargetCommandNotSupported)
        asking = self.ask("alice", "s3cret", eager=False)
        peer = self.peer()
        peer.peerSends(b"\5\2")
        peer.peerSends(REJECTED)
        self.failureResultOf(asking, ProxyAuthenticationFailed)
        self.assertGone()

    def test_malformedWithTheReply(self) -> None:
        """
        What is no datagram ends it, even if it comes with the reply.
        """
        asking = self.ask(eager=False)
        peer = self.peer()
        peer.peerSends(b"\5\0" + GRANTED + bytes(2))
        self.assertEnded(self.successResultOf(asking), peer)

    def test_timeout(self) -> None:
        """
        A proxy that does not answer is not waited for any longer.
        """
        asking = self.ask(eager=False, timeout=7.0)
        peer = self.peer()
        self.network.advance(7.1)
        self.failureResultOf(asking, ProxyTimedOut)
        self.assertTrue(peer.aborted)


class DatagramTests(StreamedDatagramsTestCase):
    """
    What becomes of datagrams.
    """

    def test_slowProxy(self) -> None:
        """
        What the connection has no room for is dropped, and that is told; when
        it has room again, datagrams are sent again.
        """
        association, peer = self.associated()
        peer.take()
        sent = [association.send(bytes(1000), to()) for _ in range(1000)]
        count = sum(sent)
        self.assertEqual(sent, [True] * count + [False] * (1000 - count))
        held = peer.take()
        self.assertEqual(held, framed(bytes(1000)) * count)
        self.assertLess(len(held), CAPACITY + MAX_FRAME)
        self.assertTrue(association.send(QUESTION, to()))
        self.assertEqual(peer.take(), framed(QUESTION))

    def test_tooLong(self) -> None:
        """
        What no frame can hold is dropped, and so is what has no port.
        """
        association, peer = self.associated()
        peer.take()
        self.assertFalse(association.send(bytes(65526), to()))
        self.assertFalse(association.send(QUESTION, to(port=0)))
        self.assertEqual(peer.take(), b"")
        self.assertTrue(association.send(bytes(65525), to()))

    def test_fromNowhere(self) -> None:
        """
        What comes from nowhere is left out.
        """
        _, peer = self.associated()
        peer.peerSends(b"\5\0" + GRANTED + framed(b"x", port=0) + framed(ANSWER))
        self.assertEqual(self.received, [(ANSWER, to())])


class EndTests(StreamedDatagramsTestCase):
    """
    How it ends.
    """

    def test_close(self) -> None:
        """
        We can end it, at any time and more than once; nothing is given then.
        """
        for answered in (False, True):
            association, peer = self.associated()
            if answered:
                peer.peerSends(b"\5\0" + GRANTED)
            association.close()
            association.close()
            self.assertTrue(peer.aborted)
            self.successResultOf(association.ended)
            peer.peerSends(framed(ANSWER))
            self.assertFalse(association.send(QUESTION, to()))
            self.assertGone()
        self.assertEqual(self.received, [])

    def test_closeWhileReceiving(self) -> None:
        """
        When it is closed by whom a datagram is given, the next is not.
        """
        given: list[bytes] = []

        def received(data: bytes, source: Destination) -> None:
            given.append(data)
            association.close()

        asking = streamDatagrams(self.network, self.proxy(), received)
        peer = self.peer()
        association = self.successResultOf(asking)
        peer.peerSends(b"\5\0" + GRANTED + framed(ANSWER) + framed(b"more") + bytes(2))
        self.assertEqual(given, [ANSWER])
        self.successResultOf(association.ended)

    def test_proxyEnds(self) -> None:
        """
        The proxy can end it, before and after its answer.
        """
        for said in (b"", b"\5\0", b"\5\0" + GRANTED, b"\5\0" + GRANTED + framed(ANSWER)[:4]):
            for goes in (MemoryTransport.peerEnds, MemoryTransport.peerResets):
                association, peer = self.associated()
                peer.peerSends(said)
                goes(peer)
                self.assertEnded(association, peer)

    def test_malformed(self) -> None:
        """
        What is no datagram ends it, after what was before.
        """
        association, peer = self.associated()
        peer.peerSends(b"\5\0" + GRANTED)
        peer.peerSends(framed(ANSWER) + framed(b"x", fragment=1) + framed(b"more"))
        self.assertTrue(peer.aborted)
        self.assertEqual(self.received, [(ANSWER, to())])
        self.assertEnded(association, peer)

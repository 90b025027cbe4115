"""
Tests for L{socksproxy.tls.transport}: how a connection of ours ends.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from zope.interface import implementer

from socksproxy.testing import CAPACITY
from socksproxy.tls import clientTLS
from socksproxy.tls.transport import CLOSE_TIMEOUT, TLSTransport
from tests.tls.tunnelled import Recording, TLSClientTestCase


@implementer(IPushProducer)
class Producer:
    """
    A producer that keeps what it is told.

    @ivar paused: It is not to produce now.
    """

    def __init__(self) -> None:
        self.paused = False

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.paused = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.paused = False

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """


class TransportTests(TLSClientTestCase):
    """
    A connection of ours with a peer in memory.
    """

    def setUp(self) -> None:
        """
        Connect.
        """
        super().setUp()
        creator = clientTLS("proxy.test", ca=self.authority.path)
        connecting, self.line = self.connect(creator, self.authority.issue("proxy.test"))
        self.successResultOf(connecting)
        self.application: Recording = self.applications.made[0]
        transport = self.application.transport
        assert isinstance(transport, TLSTransport)
        self.transport = transport

    @property
    def over(self) -> bool:
        """
        Whether the connection is gone and no timer is left.
        """
        return self.line.transport.lost and not self.network.getDelayedCalls()

    def test_kind(self) -> None:
        """
        It can be told from a plain connection.
        """
        self.assertTrue(ISSLTransport.providedBy(self.transport))

    def test_close(self) -> None:
        """
        Closing says goodbye after everything else, and waits for the answer.
        """
        self.transport.write(b", and more")
        self.transport.loseConnection()
        self.line.settle()
        self.assertEqual(self.line.peer.received, b"secret, and more")
        self.assertTrue(self.line.peer.ended)
        self.assertFalse(self.line.transport.lost)
        self.line.peerCloses()
        self.assertIsInstance(self.application.reason, ConnectionDone)
        self.assertTrue(self.over)

    def test_halfClose(self) -> None:
        """
        There is no half-close: asking for one closes.
        """
        self.transport.loseWriteConnection()
        self.line.settle()
        self.assertTrue(self.line.peer.ended)
        self.assertFalse(self.line.transport.ended)
        self.line.peerCloses()
        self.assertTrue(self.over)

    def test_unansweredClose(self) -> None:
        """
        A peer that does not answer is waited for as long as the limit says.
        """
        self.transport.loseConnection()
        self.line.settle()
        self.network.advance(CLOSE_TIMEOUT - 1)
        self.assertFalse(self.line.transport.disconnecting)
        self.network.advance(1)
        self.assertTrue(self.line.transport.disconnecting)
        self.network.advance(0)
        self.assertIsInstance(self.application.reason, ConnectionLost)
        self.assertTrue(self.over)

    def test_closeTwice(self) -> None:
        """
        Closing again changes nothing.
        """
        self.transport.loseConnection()
        self.network.advance(CLOSE_TIMEOUT - 1)
        self.transport.loseConnection()
        self.line.settle()
        self.assertFalse(self.line.transport.disconnecting)
        self.network.advance(1)
        self.network.advance(0)
        self.assertTrue(self.over)
        self.transport.loseConnection()
        self.assertTrue(self.over)

    def test_writingOn(self) -> None:
        """
        Whoever still produces is not cut off.
        """
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.transport.loseConnection()
        for _ in range(5):
            self.network.advance(CLOSE_TIMEOUT)
            self.transport.write(b".")
            self.line.settle()
        self.assertFalse(self.line.peer.ended)
        self.transport.unregisterProducer()
        self.line.settle()
        self.assertEqual(self.line.peer.received, b"secret.....")
        self.assertTrue(self.line.peer.ended)
        self.network.advance(CLOSE_TIMEOUT)
        self.network.advance(0)
        self.assertTrue(self.over)

    def test_abort(self) -> None:
        """
        An abort is nothing that a peer could take for the end of the stream.
        """
        self.line.transport.take()
        self.transport.write(b"x")
        self.transport.abortConnection()
        self.assertTrue(self.line.transport.aborted)
        self.line.settle()
        self.assertFalse(self.line.peer.ended)
        self.assertEqual(self.line.peer.received, b"secret")
        self.assertIsInstance(self.application.reason, ConnectionLost)
        self.assertTrue(self.over)

    def test_abortSaysNothing(self) -> None:
        """
        Even a transport that writes at once gets nothing to write.
        """
        self.transport.abortConnection()
        self.assertEqual(b"".join(self.line.transport._written), b"")

    def test_abortWhileClosing(self) -> None:
        """
        Who does not want to wait for the answer can still drop the
        connection.
        """
        self.transport.loseConnection()
        self.line.settle()
        self.transport.abortConnection()
        self.network.advance(0)
        self.assertTrue(self.line.transport.aborted)
        self.assertTrue(self.over)

    def test_abortAfterwards(self) -> None:
        """
        What is gone can be dropped, too.
        """
        self.line.transport.peerResets()
        self.transport.abortConnection()
        self.assertTrue(self.over)

    def test_nothingAfterAbort(self) -> None:
        """
        What still comes after an abort is not given to the application.
        """
        self.line.peer.write(b"late")
        late = self.line.peer.take()
        self.transport.abortConnection()
        self.transport.dataReceived(late)
        self.assertEqual(self.application.received, b"")

    def test_peerClosesUnderAPausedProducer(self) -> None:
        """
        When the peer says goodbye, the connection closes even if somebody was
        about to write more: nothing would be sent any more.
        """
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.transport.write(b"x" * (CAPACITY + 1))
        self.network.advance(0)
        self.assertTrue(producer.paused)
        self.line.peer.close()
        self.line.transport.peerSends(self.line.peer.take())
        self.line.settle()
        self.assertIsInstance(self.application.reason, ConnectionDone)
        self.assertTrue(self.over)
        self.transport.unregisterProducer()

    def test_backPressure(self) -> None:
        """
        A producer is paused while the peer does not read, and resumed when it
        does.
        """
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.transport.write(b"x" * (CAPACITY + 1))
        self.network.advance(0)
        self.assertTrue(producer.paused)
        self.line.settle()
        self.assertFalse(producer.paused)

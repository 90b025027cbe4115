"""
Tests for L{socksproxy.check.targets}.
"""

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.check.targets import Conversation, Correspondence


class ConversationTests(SynchronousTestCase):
    """
    Our side of a connection through the proxy.
    """

    def setUp(self) -> None:
        """
        Have one.
        """
        self.conversation: Any = Conversation()

    def test_octets(self) -> None:
        """
        So many octets are waited for, however they come.
        """
        waiting = self.conversation.octets(4)
        self.conversation.dataReceived(b"ab")
        self.assertNoResult(waiting)
        self.conversation.dataReceived(b"cd")
        self.assertEqual(self.successResultOf(waiting), b"abcd")
        self.assertEqual(self.successResultOf(self.conversation.octets(2)), b"abcd")

    def test_end(self) -> None:
        """
        The end of the stream is waited for, and ends the waiting for octets.
        """
        verifyObject(IHalfCloseableProtocol, self.conversation)
        octets, end = self.conversation.octets(4), self.conversation.end()
        self.conversation.dataReceived(b"ab")
        self.assertNoResult(end)
        self.conversation.readConnectionLost()
        self.assertEqual(self.successResultOf(octets), b"ab")
        self.assertEqual(self.successResultOf(end), b"ab")

    def test_lost(self) -> None:
        """
        A lost connection has ended, and a cancelled waiting does not mind.
        """
        end = self.conversation.end()
        end.addErrback(lambda _: None)
        end.cancel()
        self.conversation.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.successResultOf(self.conversation.end()), b"")


class CorrespondenceTests(SynchronousTestCase):
    """
    Our side of an association.
    """

    def test_answer(self) -> None:
        """
        The first answer counts.
        """
        correspondence = Correspondence()
        correspondence.datagramReceived(b"one", ("192.0.2.1", 53))
        correspondence.datagramReceived(b"two", ("192.0.2.1", 53))
        self.assertEqual(self.successResultOf(correspondence.answer), b"one")

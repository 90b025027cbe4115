"""
How the application of a TLS client of ours is told that its connection is
gone: L{socksproxy.tls.endpoints} and L{socksproxy.tls.errors}.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost

from socksproxy.tls import TLSBroken, clientTLS
from tests.tls.tunnelled import TLSClientTestCase
from tests.tlspeer import Line


class LossTests(TLSClientTestCase):
    """
    How an application is told that its connection is gone.
    """

    def established(self) -> Line:
        """
        Connect.
        """
        creator = clientTLS("proxy.test", ca=self.authority.path)
        connecting, line = self.connect(creator, self.authority.issue("proxy.test"))
        self.successResultOf(connecting)
        return line

    def reason(self) -> BaseException | None:
        """
        Give what the application has been told.
        """
        return self.applications.made[0].reason

    def test_clean(self) -> None:
        """
        After a C{close_notify} it is C{ConnectionDone}, and the peer gets
        one, too.
        """
        line = self.established()
        line.peer.write(b"the end")
        line.peerCloses()
        self.assertEqual(self.applications.made[0].received, b"the end")
        self.assertIsInstance(self.reason(), ConnectionDone)
        self.assertTrue(line.peer.ended)

    def test_withoutCloseNotify(self) -> None:
        """
        Without one it is C{ConnectionLost}, whatever the transport below says.
        """
        line = self.established()
        line.peerWrites(b"the en")
        line.peerVanishes()
        self.assertEqual(self.applications.made[0].received, b"the en")
        self.assertIsInstance(self.reason(), ConnectionLost)

    def test_withinARecord(self) -> None:
        """
        So it is in the middle of a record, of which nothing is passed on.
        """
        line = self.established()
        line.peer.write(b"x" * 1000)
        line.transport.peerSends(line.peer.take()[:-1])
        line.peerVanishes()
        self.assertEqual(self.applications.made[0].received, b"")
        self.assertIsInstance(self.reason(), ConnectionLost)

    def test_reset(self) -> None:
        """
        So it is after a reset.
        """
        line = self.established()
        line.transport.peerResets()
        self.assertIsInstance(self.reason(), ConnectionLost)

    def test_unansweredClose(self) -> None:
        """
        So it is when the peer does not answer our own C{close_notify}, since
        it may have had more to say.
        """
        line = self.established()
        self.applications.made[0].transport.loseConnection()
        line.transport.peerEnds()
        self.assertIsInstance(self.reason(), ConnectionLost)

    def test_answeredClose(self) -> None:
        """
        When it does, all is well.
        """
        line = self.established()
        self.applications.made[0].transport.loseConnection()
        line.peerCloses()
        self.assertTrue(line.peer.ended)
        self.assertIsInstance(self.reason(), ConnectionDone)
        self.assertTrue(line.transport.lost)

    def test_forged(self) -> None:
        """
        A record that the peer has not sent is never passed on, and ends the
        connection with an error of ours.
        """
        line = self.established()
        line.peer.write(b"x" * 100)
        record = bytearray(line.peer.take())
        record[-1] ^= 1
        line.transport.peerSends(bytes(record))
        line.settle()
        self.assertEqual(self.applications.made[0].received, b"")
        reason = self.reason()
        self.assertIsInstance(reason, TLSBroken)
        self.assertIsInstance(reason, ConnectionLost)
        self.assertIn("bad record mac", str(reason))

"""
Tests for L{socksproxy.socks.associate}: associations with a protection around
them.
"""

from __future__ import annotations

from socksproxy.policy.limits import ConnectionLimits
from socksproxy.testing import MemoryTransport
from tests.relay.sealing import opened, sealed
from tests.socks.associating import (
    ANSWER,
    CLIENT,
    PORT,
    QUESTION,
    TARGET,
    AssociationTestCase,
)
from tests.socks.sealeddatagrams import SEAL, SealedDatagrams, SealedMethod
from tests.socksclient import refused
from tests.socksrequests import UDP_ASSOCIATE, command, datagram, granted


class ProtectedTests(AssociationTestCase):
    """
    A client that has put a protection around its connection.
    """

    def protected(self, protection: SealedDatagrams) -> MemoryTransport:
        """
        Have a client ask for an association.
        """
        self.start(methods=[SealedMethod(protection)], limits=ConnectionLimits(total=2))
        client = self.proxy.connect()
        client.peerSends(bytes((5, 1, SealedMethod.code)))
        self.assertEqual(client.take(), bytes((5, SealedMethod.code)))
        client.peerSends(sealed(command(UDP_ASSOCIATE)))
        return self.has(client)

    def test_bothWays(self) -> None:
        """
        The same one is around its datagrams, and not around what others get.
        """
        client = self.protected(SealedDatagrams())
        self.assertEqual(opened(client.take()), granted(self.relay.host, self.relay.port))
        self.relay.peerSends(SEAL + datagram(QUESTION, TARGET, 53), CLIENT, PORT)
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])
        self.answer()
        self.assertEqual(self.received(), [(SEAL + datagram(ANSWER, TARGET, 53), (CLIENT, PORT))])

    def test_unprotected(self) -> None:
        """
        What comes without it is dropped and counted.
        """
        self.protected(SealedDatagrams())
        self.send()
        self.assertEqual(self.sent(), [])
        self.assertDropped(1)

    def test_streamsOnly(self) -> None:
        """
        Where it is not for datagrams the request is not supported (REP 7):
        they would go unprotected. Nothing is opened for it.
        """
        client = self.protected(SealedDatagrams(carriesDatagrams=False))
        self.assertEqual(opened(client.take()), refused(7))
        self.assertTrue(client.ended)
        self.assertEqual(self.proxy.network.datagrams, [])

    def test_rubbish(self) -> None:
        """
        What is broken on the connection ends the association.
        """
        client = self.protected(SealedDatagrams())
        client.peerSends(b"[3abc]")
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()

"""
Tests for L{socksproxy.socks.bind}: who may connect to a client's port.
"""

from __future__ import annotations

from typing import Any

from socksproxy.outbound.direct import DirectSettings
from socksproxy.testing import ScriptedNetwork, tcpAddress
from tests.dns.names import SlowNames
from tests.memoryproxy import DenyNetworks, MemoryProxy
from tests.socks.binding import PEER, PEER_PORT, STRANGER, WAITING, WORLD, BindTestCase
from tests.socksclient import refused
from tests.socksrequests import WAIT, granted


class PeerTests(BindTestCase):
    """
    Who may connect.
    """

    def test_twoReplies(self) -> None:
        """
        The peer may, once, and the client is told its address and port. The
        port that the client has named does not count.
        """
        for self.version in (5, 4):
            client = self.bound()
            self.comes(port=50000)
            self.assertEqual(client.take(), self.granted(PEER, 50000))
            self.assertEqual(self.waiting, [])
            factory = self.listener.factory
            self.assertIsNone(factory.buildProtocol(tcpAddress(PEER, 50001)))

    def test_mapped(self) -> None:
        """
        A peer whose address comes in its IPv6 form is told in its IPv4 form.
        """
        for self.version in (5, 4):
            client = self.bound()
            self.comes(f"::ffff:{PEER}")
            self.assertEqual(client.take(), self.granted(PEER, PEER_PORT))

    def test_strangers(self) -> None:
        """
        Somebody else's connection is closed, the client hears nothing of it,
        and the wait goes on.
        """
        for self.version in (5, 4):
            client = self.bound()
            for host in (STRANGER, "127.0.0.1", "192.0.2.8"):
                self.assertIsNone(self.listener.peerConnects(host, PEER_PORT))
            self.proxy.settle()
            self.assertEqual(client.take(), b"")
            self.assertFalse(client.ended)
            self.comes()
            self.assertEqual(client.take(), self.granted(PEER, PEER_PORT))

    def test_strangersFail(self) -> None:
        """
        Where that is wanted it ends the wait (REP 2, and 91 in SOCKS4).
        """
        for self.version in (5, 4):
            self.start(settings=DirectSettings(strangersFail=True))
            client = self.bound()
            self.assertIsNone(self.listener.peerConnects(STRANGER, PEER_PORT))
            self.proxy.settle()
            self.assertEqual(client.take(), self.refused(2))
            self.assertTrue(client.ended)
            self.assertEqual(self.waiting, [])

    def test_name(self) -> None:
        """
        A name stands for each of its addresses that the policy allows.
        """
        for host, admitted in ((PEER, True), ("192.0.2.8", True), ("10.0.0.1", False)):
            for self.version in (5, 4):
                self.start(world=WORLD, policy=DenyNetworks(["10.0.0.0/8"]))
                self.bound("peer.test")
                peer = self.listener.peerConnects(host, PEER_PORT)
                self.assertEqual(peer is not None, admitted, host)

    def test_anybody(self) -> None:
        """
        Where the client may leave it open, whoever comes first may.
        """
        for self.version in (5, 4):
            self.start(settings=DirectSettings(anyPeer=True))
            client = self.bound("0.0.0.0")
            self.comes(STRANGER)
            self.assertEqual(client.take(), self.granted(STRANGER, PEER_PORT))


class LookUpTests(BindTestCase):
    """
    The peer's name is being looked up.
    """

    def slowly(self) -> SlowNames:
        """
        Have a proxy whose names are resolved at the test's pace.
        """
        names = SlowNames()
        network = ScriptedNetwork()
        network.nameResolver = names  # type: ignore[assignment]
        self.start(network=network)
        return names

    def test_waits(self) -> None:
        """
        The client is answered when that is done.
        """
        names = self.slowly()
        client = self.bind("peer.test", more=b"early")
        self.assertEqual(client.take(), b"")
        names.answer("peer.test", PEER)
        self.assertEqual(client.take(), granted(WAITING, self.listener.getHost().port))
        peer = self.comes()
        self.assertEqual(client.take(), granted(PEER, PEER_PORT))
        self.assertEqual(peer.take(), b"early")

    def test_reset(self) -> None:
        """
        When the client resets its connection meanwhile nothing is opened.
        """
        names = self.slowly()
        self.bind("peer.test").peerResets()
        names.answer("peer.test", PEER)
        self.assertEqual(self.proxy.network.listeners, [])

    def test_ends(self) -> None:
        """
        When it closes its half it does not wait any longer: no port stays
        open for it.
        """
        names = self.slowly()
        client = self.bind("peer.test")
        client.peerEnds()
        names.answer("peer.test", PEER)
        self.proxy.settle()
        self.proxy.settle()
        self.assertEqual(self.waiting, [])
        self.assertTrue(client.lost)
        self.assertNothingLeft()


class PendingTests(BindTestCase):
    """
    A place among a client's four is given back, however a wait ends.
    """

    names: SlowNames

    def start(self, **settings: Any) -> MemoryProxy:
        """
        Have a proxy whose names are resolved at the test's pace.
        """
        network = ScriptedNetwork()
        network.nameResolver = self.names = SlowNames()  # type: ignore[assignment]
        return super().start(network=network, **settings)

    def assertRoom(self) -> None:
        """
        Fail unless there is room for four ports and no more.
        """
        for _ in range(4):
            self.assertEqual(self.bind().take()[:2], b"\5\0")
        self.assertEqual(self.bind().take(), refused(1))
        self.hangUp()

    def test_connected(self) -> None:
        """
        When the peer comes.
        """
        for _ in range(5):
            self.joined()
        self.assertRoom()

    def test_timeout(self) -> None:
        """
        When nobody comes.
        """
        for _ in range(4):
            self.bind()
        self.proxy.network.advance(WAIT)
        self.assertRoom()

    def test_client(self) -> None:
        """
        When the client goes, in whatever way, before or after its first reply.
        """
        for end in ("peerEnds", "peerResets"):
            for host in (PEER, "peer.test"):
                for _ in range(4):
                    client = self.bind(host)
                    getattr(client, end)()
                    self.proxy.settle()
                    if host == "peer.test":
                        self.names.answer(host)
                    self.proxy.settle()
                self.assertRoom()

    def test_failed(self) -> None:
        """
        When the peer's name has no address.
        """
        for _ in range(4):
            client = self.bind("peer.test")
            self.names.answer("peer.test")
            self.assertEqual(client.take(), refused(4))
        self.assertRoom()

    def test_shutDown(self) -> None:
        """
        When the connection is cut off.
        """
        for _ in range(4):
            self.bind()
        for connection in list(self.proxy.inbound.connections):
            connection.abort("shut down")
        self.proxy.settle()
        self.assertRoom()

    def test_afterwards(self) -> None:
        """
        And not a second time when the connections are over.
        """
        clients = [self.joined()[0] for _ in range(4)]
        for client in clients:
            client.peerResets()
        self.assertRoom()

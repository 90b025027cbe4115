"""
Tests for L{socksproxy.socks.bind}: the wait, and the relay after it.
"""

from __future__ import annotations

import gc

from tests.memoryproxy import EARLY_OCTETS, LINGER
from tests.socks.binding import PEER, PEER_PORT, STRANGER, BindTestCase
from tests.socksrequests import WAIT


class WaitTests(BindTestCase):
    """
    Between the two replies.
    """

    def test_timeout(self) -> None:
        """
        When nobody has come after two minutes the second reply says so (REP
        6, and 91 in SOCKS4), the port is closed, and the connection ends.
        """
        for self.version in (5, 4):
            client = self.bound()
            self.proxy.network.advance(WAIT - 0.1)
            self.assertEqual((client.take(), len(self.waiting)), (b"", 1))
            self.proxy.network.advance(0.1)
            self.assertEqual(client.take(), self.refused(6))
            self.assertTrue(client.ended)
            self.assertEqual(self.waiting, [])
            self.proxy.network.advance(LINGER)
            self.assertTrue(client.lost)
            self.assertNothingLeft()
            (line,) = self.lines()
            self.assertEqual((line["command"], line["result"]), ("BIND", "timed out"))
            self.assertEqual(line["destination"], f"{PEER}:{PEER_PORT}")

    def test_clientGoes(self) -> None:
        """
        When the client closes its half or resets its connection the port is
        closed in that very moment, and no timer is left. It is not answered any more.
        """
        for self.version in (5, 4):
            for end in ("peerEnds", "peerResets"):
                client = self.bound()
                getattr(client, end)()
                self.assertEqual(self.waiting, [])
                self.proxy.settle()
                self.assertTrue(client.lost)
                self.assertEqual(client.take(), b"")
                self.assertNothingLeft()
                (line,) = self.lines()
                self.assertIn("client", line["reason"])

    def test_clientGoesAtOnce(self) -> None:
        """
        That is so, too, when it does so in the very moment of its request.
        """
        for end in ("peerEnds", "peerResets"):
            client = self.bind()
            getattr(client, end)()
            self.proxy.settle()
            self.assertNothingLeft()

    def test_peerComesLate(self) -> None:
        """
        A peer that comes in the moment in which the client goes is left with
        nothing, and leaves nothing.
        """
        for end in ("peerEnds", "peerResets"):
            client = self.bound()
            listener = self.listener
            getattr(client, end)()
            peer = listener.peerConnects(PEER, PEER_PORT) if listener.open else None
            for _ in range(3):
                self.proxy.settle()
            self.assertTrue(peer is None or peer.lost)
            self.assertTrue(client.lost)
            self.assertNothingLeft()

    def test_handshakeIsOver(self) -> None:
        """
        The limit of time for the handshake does not count any more.
        """
        client = self.bound()
        self.proxy.network.advance(WAIT / 2)
        self.comes()
        self.assertEqual(client.take(), self.granted(PEER, PEER_PORT))

    def test_shutDown(self) -> None:
        """
        A wait is no transfer under way: it ends with the proxy.
        """
        for stop in ("shutDown", "abort"):
            client = self.bound()
            protocol = self.proxy.protocol()
            if stop == "shutDown":
                self.assertFalse(protocol.shutDown())
            else:
                protocol.abort("shut down")
            self.proxy.settle()
            self.assertTrue(client.lost)
            self.assertNothingLeft()
            (line,) = self.lines()
            self.assertEqual(line["reason"], "shut down")


class EarlyDataTests(BindTestCase):
    """
    Who does not wait for the second reply.
    """

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        super().tearDown()
        gc.collect()

    def test_client(self) -> None:
        """
        What the client sends with its request and after the first reply
        reaches the peer after the second, in order and before what comes
        later.
        """
        for self.version in (5, 4):
            client = self.bound(more=b"one ")
            client.peerSends(b"two ")
            client.peerSends(b"three")
            peer = self.comes()
            self.assertEqual(client.take(), self.granted(PEER, PEER_PORT))
            self.assertEqual(peer.take(), b"one two three")
            client.peerSends(b" four")
            self.assertEqual(peer.take(), b" four")

    def test_peer(self) -> None:
        """
        What the peer sends as soon as it has connected follows the second
        reply.
        """
        for self.version in (5, 4):
            client = self.bound()
            self.comes().peerSends(b"220 ready")
            self.assertEqual(client.take(), self.granted(PEER, PEER_PORT) + b"220 ready")

    def test_much(self) -> None:
        """
        A client that sends much is not read any more until its peer is there;
        nothing is lost.
        """
        for self.version in (5, 4):
            client = self.bound()
            data = bytes(range(256)) * 300
            for start in range(0, len(data), 4096):
                client.peerSends(data[start : start + 4096])
            self.assertTrue(client.paused)
            peer = self.comes()
            received = b""
            while more := peer.take():
                received += more
            self.assertEqual(received, data)
            self.assertFalse(client.paused)

    def test_tooMuch(self) -> None:
        """
        One that floods us nevertheless is cut off, and its port is closed.
        """
        for self.version in (5, 4):
            client = self.bound()
            client.peerSends(bytes(3 * EARLY_OCTETS))
            self.proxy.settle()
            self.assertTrue(client.aborted)
            self.assertNothingLeft()

    def test_tooMuchAndPeer(self) -> None:
        """
        A peer that comes in the very moment is let go with it.
        """
        for self.version in (5, 4):
            client = self.bound()
            listener = self.listener
            client.peerSends(bytes(3 * EARLY_OCTETS))
            peer = listener.peerConnects(PEER, PEER_PORT) if listener.open else None
            for _ in range(3):
                self.proxy.settle()
            self.assertTrue(peer is None or peer.lost)
            self.assertTrue(client.aborted)
            self.assertNothingLeft()

    def test_refused(self) -> None:
        """
        What a client has sent that nobody came for is forgotten, and the
        client is told all the same.
        """
        client = self.bound(more=bytes(EARLY_OCTETS))
        self.assertTrue(client.paused)
        self.proxy.network.advance(WAIT)
        self.assertEqual(client.take(), self.refused(6))
        self.assertFalse(client.paused)


class RelayTests(BindTestCase):
    """
    After the second reply.
    """

    def test_bothWays(self) -> None:
        """
        It is a relay as any other, and the log says what it was.
        """
        for self.version, protocol in ((5, "SOCKS5"), (4, "SOCKS4")):
            client, peer = self.joined()
            client.peerSends(b"question")
            peer.peerSends(b"an answer")
            self.assertEqual((peer.take(), client.take()), (b"question", b"an answer"))
            peer.peerEnds()
            self.assertTrue(client.ended)
            client.peerSends(b" and more")
            self.assertEqual(peer.take(), b" and more")
            client.peerEnds()
            self.proxy.settle()
            self.assertTrue(client.lost and peer.lost)
            self.assertNothingLeft()
            (line,) = self.lines()
            self.assertEqual(
                {name: line[name] for name in ("protocol", "command", "destination", "address")},
                {
                    "protocol": protocol,
                    "command": "BIND",
                    "destination": f"{PEER}:{PEER_PORT}",
                    "address": f"{PEER}:{PEER_PORT}",
                },
            )
            self.assertEqual((line["result"], line["sent"], line["received"]), ("succeeded", 17, 9))

    def test_reset(self) -> None:
        """
        A reset of one side is one of the other.
        """
        for side in (0, 1):
            sides = self.joined()
            sides[side].peerResets()
            self.proxy.settle()
            self.assertTrue(sides[1 - side].aborted)
            self.assertNothingLeft()

    def test_peerGoneAtOnce(self) -> None:
        """
        A peer that is gone as soon as it has come leaves nothing.
        """
        for end in ("peerEnds", "peerResets"):
            client = self.bound()
            peer = self.comes()
            getattr(peer, end)()
            self.assertEqual(client.take(), self.granted(PEER, PEER_PORT))
            client.peerEnds()
            self.proxy.settle()
            self.proxy.settle()
            self.assertTrue(client.lost and peer.lost)
            self.assertNothingLeft()

    def test_strangersAfterwards(self) -> None:
        """
        Nobody can connect any more.
        """
        self.joined()
        self.assertRaises(RuntimeError, self.listener.peerConnects, STRANGER, PEER_PORT)
        self.assertRaises(RuntimeError, self.listener.peerConnects, PEER, PEER_PORT)

    def test_shutDown(self) -> None:
        """
        It is a transfer under way, which goes on when the proxy stops.
        """
        client, peer = self.joined()
        self.assertTrue(self.proxy.protocol().shutDown())
        client.peerSends(b"question")
        self.assertEqual(peer.take(), b"question")

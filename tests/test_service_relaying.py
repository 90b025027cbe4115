"""
Tests for L{socksproxy.service}: BIND and UDP ASSOCIATE, and the options about
them.
"""

from __future__ import annotations

from socksproxy.testing import tcpAddress
from tests.proxyrequests import (
    ELSEWHERE,
    EVERYWHERE,
    HERE,
    LOOPBACK,
    PEER,
    TARGET,
    WAY_OUT,
    RequestTestCase,
)
from tests.socksclient import refused
from tests.socksrequests import LAST, WAIT, datagram, granted


class BindTests(RequestTestCase):
    """
    BIND.
    """

    def test_twoReplies(self) -> None:
        """
        It waits for the peer, and no other, and relays.
        """
        self.start()
        client = self.bind()
        self.assertEqual(client.take(), granted(WAY_OUT, self.bound.getHost().port))  # type: ignore[attr-defined]
        self.assertRaises(ValueError, self.bound.connect, ELSEWHERE)
        peer = self.bound.connect(tcpAddress(PEER, 20))
        self.assertEqual(client.take(), granted(PEER, 20))
        client.peerSends(b"question")
        self.assertEqual(peer.take(), b"question")

    def test_internalPeers(self) -> None:
        """
        A client from elsewhere cannot wait for an internal peer; one of this
        host can, and anybody with C{--allow-private}.
        """
        everywhere = ("--listen", EVERYWHERE, "--open-relay", "--bind=on")
        for arguments, peer, reply in (
            (everywhere, ELSEWHERE, refused(2)[:2]),
            ((), HERE, b"\5\0"),
            ((*everywhere, "--allow-private"), ELSEWHERE, b"\5\0"),
        ):
            for host in ("127.0.0.1", "10.0.0.1", "inside.test"):
                self.start(*arguments)
                self.assertEqual(self.bind(host, peer).take()[:2], reply, (arguments, host))

    def test_anyPeer(self) -> None:
        """
        C{--bind-any-peer} lets clients leave open whom they expect.
        """
        self.start()
        self.assertEqual(self.bind("0.0.0.0").take(), refused(2))
        self.start("--bind-any-peer")
        client = self.bind("0.0.0.0")
        self.assertEqual(client.take()[:2], b"\5\0")
        self.bound.connect(ELSEWHERE)
        self.assertEqual(client.take(), granted("198.51.100.1", 4000))

    def test_publicAddress(self) -> None:
        """
        C{--public-address} is what clients are told, but not of loopback.
        """
        self.start("--public-address", "203.0.113.99", "--port-range=2000-2009")
        self.assertEqual(self.bind().take()[:8], granted("203.0.113.99")[:8])
        self.assertEqual(self.bind("127.0.0.1").take()[:8], granted("127.0.0.1")[:8])
        self.start("--public-address", "127.0.0.1=203.0.113.99", "--port-range=2000-2009")
        self.assertEqual(self.bind("127.0.0.1").take()[:8], granted("203.0.113.99")[:8])

    def test_portRange(self) -> None:
        """
        C{--port-range} is where its ports come from.
        """
        self.start("--port-range=2000-2001")
        self.reactor.taken.add(2000)
        self.assertEqual(self.bind().take(), granted(WAY_OUT, 2001))
        self.reactor.taken.add(2001)
        self.assertEqual(self.bind().take(), refused(1))

    def test_four(self) -> None:
        """
        A client has four ports waiting, over all listeners.
        """
        self.start("--listen", LOOPBACK, "--listen", "tcp:1081:interface=127.0.0.1")
        for number in range(4):
            self.assertEqual(self.bind(listener=number % 2).take()[:2], b"\5\0")
        for listener in (0, 1):
            self.assertEqual(self.bind(listener=listener).take(), refused(1))

    def test_timeout(self) -> None:
        """
        After two minutes the wait is over.
        """
        self.start()
        client = self.bind()
        client.take()
        self.reactor.advance(WAIT)
        self.assertEqual(client.take(), refused(6))
        self.assertFalse(self.bound.isOpen)


class AssociationTests(RequestTestCase):
    """
    UDP ASSOCIATE.
    """

    def test_bothWays(self) -> None:
        """
        It relays, on the address of the listener.
        """
        self.start()
        client = self.associate()
        self.assertEqual(client.take(), granted("127.0.0.1", self.relay.port))
        self.send("web.test")
        self.assertEqual(self.sent(), [(b"question", (TARGET, 53))])
        self.reactor.datagrams[1].peerSends(b"answer", TARGET, 53)
        self.assertEqual(
            self.relay.take(), [(datagram(b"answer", TARGET, 53), ("127.0.0.1", 41000))]
        )

    def test_internalTargets(self) -> None:
        """
        A client from elsewhere cannot write to internal addresses, by
        whatever name; one of this host can, and anybody with
        C{--allow-private}.
        """
        everywhere = ("--listen", EVERYWHERE, "--open-relay", "--udp=on")
        hosts = ("127.0.0.1", "10.0.0.1", "::1", "64:ff9b::7f00:1", "inside.test")
        for arguments, peer, sent in (
            (everywhere, ELSEWHERE, 0),
            ((), HERE, len(hosts)),
            ((*everywhere, "--allow-private"), ELSEWHERE, len(hosts)),
        ):
            self.start(*arguments)
            self.associate(peer)
            for host in hosts:
                self.relay.peerSends(datagram(b"question", host, 53), peer.host, 41000)
            self.assertEqual(len(self.sent()), sent, arguments)

    def test_fullCone(self) -> None:
        """
        C{--full-cone} lets strangers answer.
        """
        for arguments, answers in (((), 0), (("--full-cone",), 1)):
            self.start(*arguments)
            self.associate()
            self.send()
            self.reactor.datagrams[1].peerSends(b"answer", PEER, 53)
            self.assertEqual(len(self.relay.take()), answers)

    def test_fragments(self) -> None:
        """
        C{--udp-fragments} puts fragments together.
        """
        for arguments, sent in (((), []), (("--udp-fragments",), [(b"one two", (TARGET, 53))])):
            self.start(*arguments)
            self.associate()
            self.send(data=b"one ", fragment=1)
            self.send(data=b"two", fragment=2 | LAST)
            self.assertEqual(self.sent(), sent)

    def test_publicAddress(self) -> None:
        """
        C{--public-address} is what clients are told, but not of loopback.
        """
        self.start("--public-address", "203.0.113.99")
        self.assertEqual(self.associate().take()[:8], granted("127.0.0.1")[:8])
        self.start(
            "--listen",
            "tcp:1080:interface=10.0.0.5",
            "--open-relay",
            "--udp=on",
            "--public-address",
            "203.0.113.99",
            "--public-address",
            "10.0.0.6=203.0.113.66",
        )
        client = self.associate(ELSEWHERE)
        self.assertEqual(client.take(), granted("203.0.113.99", self.relay.port))
        self.assertEqual(self.relay.host, "10.0.0.5")

    def test_portRange(self) -> None:
        """
        C{--port-range} is where its ports come from, on both sides.
        """
        self.start("--port-range=2000-2001")
        self.associate()
        self.send()
        self.assertEqual({each.port for each in self.reactor.datagrams}, {2000, 2001})
        self.assertEqual(self.associate().take(), refused(1))

"""
Tests for L{socksproxy.kcp.datagram}: sides that do not understand one another.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from twisted.internet.error import ConnectionLost

from socksproxy.kcp import CIPHERS
from socksproxy.kcp.datagram import NOT_KCP, UNKNOWN, UNREADABLE
from tests.kcp.blocks import PUSH, segment
from tests.kcp.network import OPENING, PLAIN, REDUNDANT, KCPNetworkTests, complaints
from tests.logs import captured

SECONDS = 31


class MismatchTests(KCPNetworkTests):
    """
    Servers, and what comes to them.
    """

    def talks(self, ours: str, /, **client: Any) -> list[str]:
        """
        Have a client talk to a server that does not understand it.

        @return: What the server has said.
        """
        self.start(crypt=ours)
        with captured() as events:
            application = self.connect(**client)
            application.transport.write(OPENING * 100)
            self.settle(SECONDS)
        self.assertIsInstance(application.reason, ConnectionLost)
        self.assertEqual((self.factory.made, self.server.sessions), ([], {}))
        self.assertEqual(application.transport.statistics.inPkts, 0)
        answers = [
            way for (source, _), way in self.network.directions.items() if source[1] == 29900
        ]
        self.assertEqual(answers, [])
        lines = complaints(events)
        self.assertTrue(0 < len(lines) <= SECONDS)
        return lines

    def tells(self, lines: list[str], reason: str) -> None:
        """
        See that all lines have one reason, and where it comes from.
        """
        for line in lines:
            self.assertIn(reason, line)
            self.assertTrue(re.match(r"KCP: \d+ datagrams from 10\.0\.0\.2 port \d+: ", line))

    def test_key(self) -> None:
        """
        Another key is not understood, not answered, and said, by each cipher
        that has a key.
        """
        for crypt in CIPHERS:
            if CIPHERS[crypt].keyOctets:
                lines = self.talks(crypt, key="another secret")
                self.tells(lines, UNREADABLE)
                self.assertFalse(any("secret" in line for line in lines))

    def test_salt(self) -> None:
        """
        So is another salt.
        """
        self.tells(self.talks("aes", salt=b"pepper"), UNREADABLE)

    def test_cipher(self) -> None:
        """
        So is another cipher.
        """
        for ours, theirs in (
            ("aes", "aes-128"),
            ("aes-128-gcm", "aes"),
            ("salsa20", "aes-128-gcm"),
            ("none", "xor"),
            ("aes", "none"),
        ):
            self.tells(self.talks(ours, crypt=theirs), UNREADABLE)

    def test_clientDoesNotEncrypt(self) -> None:
        """
        So is a client that does not encrypt while the server does.
        """
        for crypt in ("aes", "aes-128-gcm", "none"):
            self.tells(self.talks(crypt, crypt="null"), UNREADABLE)

    def test_serverDoesNotEncrypt(self) -> None:
        """
        So is one that does while the server does not, for which there is
        another reason.
        """
        for crypt in ("aes", "aes-128-gcm", "none"):
            for config in (PLAIN, REDUNDANT):
                lines = self.talks("null", crypt=crypt, config=config)
                # By chance one of some thousands looks like parity.
                noise = [line for line in lines if NOT_KCP in line]
                self.assertGreaterEqual(len(noise), 0.8 * len(lines))

    def test_noise(self) -> None:
        """
        Noise of all lengths is neither understood nor answered, with or
        without a cipher.
        """
        random = Random(1)
        for crypt, reason in (("aes", UNREADABLE), ("null", NOT_KCP)):
            self.start(crypt=crypt)
            stranger = self.stranger()
            with captured() as events:
                for length in range(1500):
                    stranger.send(random.randbytes(length))
                self.settle()
            self.assertEqual((self.factory.made, stranger.answers), ([], []))
            self.assertEqual(len(complaints(events)), 1)
            self.assertIn(reason, complaints(events)[0])
            counted = self.server.counted
            self.assertEqual(counted.unreadable + counted.strange, 1500)

    def test_text(self) -> None:
        """
        Text is no KCP.
        """
        self.start()
        with captured() as events:
            self.stranger().send(b"GET / HTTP/1.1\r\nHost: kcp.test\r\n\r\n")
            self.settle()
        self.assertEqual(
            [re.sub("port [0-9]+", "port N", line) for line in complaints(events)],
            [f"KCP: 1 datagrams from 10.0.0.9 port N: {NOT_KCP}"],
        )

    def test_restarted(self) -> None:
        """
        A client whose server has been restarted is told to the server's log,
        with error correction or not, and begins no session.
        """
        for config in (PLAIN, REDUNDANT):
            self.start(config=config)
            client, server = self.joined()
            server.transport.write(b"welcome")
            self.settle()
            server.transport.abortConnection()
            self.settle()
            self.server._admission._past.clear()
            with captured() as events:
                client.transport.write(bytes(30_000))
                self.settle(0.5)
            self.assertEqual(len(complaints(events)), 1)
            self.assertIn(UNKNOWN, complaints(events)[0])
            self.assertEqual(self.server.sessions, {})

    def test_parityOfNobody(self) -> None:
        """
        Parity that comes alone is of a session that is not known.
        """
        self.start()
        with captured() as events:
            self.stranger().send(bytes.fromhex("0a000000f200") + bytes(40))
            self.settle()
        self.assertIn(UNKNOWN, complaints(events)[0])

    def test_dualStack(self) -> None:
        """
        A host of IPv4 at a port for both is shown as what it is.
        """
        self.start(interface="::")
        with captured() as events:
            self.server.batchReceived([(("::ffff:192.0.2.7", 4000), [b"noise" * 10])])
            self.server.batchReceived(
                [(("::ffff:192.0.2.8", 4000), [segment(PUSH, data=b"x" * 100)])]
            )
        self.assertIn("from 192.0.2.7 port 4000", complaints(events)[0])
        peer = self.factory.made[0].transport.getPeer()
        self.assertEqual((peer.host, peer.port, peer.type), ("192.0.2.8", 4000, "UDP"))
        self.assertEqual(type(peer).__name__, "IPv4Address")


class ClientTests(KCPNetworkTests):
    """
    Clients, and what comes to them.
    """

    def test_noise(self) -> None:
        """
        What a client's server sends and it cannot read is said at the client,
        and answered with nothing.
        """
        self.start(crypt="aes")
        client, _ = self.joined()
        self.settle()
        sent = client.transport.statistics.outPkts
        wire = self.onWire(client.transport)
        with captured() as events:
            self.network.send(bytes(100), ("10.0.0.1", 29900), ("10.0.0.2", wire.port))
            self.settle()
        self.assertIn(UNREADABLE, complaints(events)[0])
        self.assertEqual(client.transport.statistics.outPkts, sent)
        self.assertFalse(client.lost)

    def test_strangers(self) -> None:
        """
        What anybody else sends a client is counted, and no more.
        """
        self.start(crypt="aes")
        client, _ = self.joined()
        self.settle()
        wire = self.onWire(client.transport)
        stranger = self.stranger()
        with captured() as events:
            stranger.transport.write(bytes(100), ("10.0.0.2", wire.port))
            self.settle()
        self.assertEqual((complaints(events), stranger.answers), ([], []))
        self.assertEqual(client.transport._owner.counted.strange, 1)

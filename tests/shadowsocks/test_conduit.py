"""
Tests for L{socksproxy.shadowsocks.conduit}.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.errors import GeneralFailure
from socksproxy.shadowsocks.conduit import ShadowsocksAssociation, newSalts
from socksproxy.testing import ScriptedNetwork
from tests.shadowsocks.packets import TARGET, Ends

SERVER = "198.51.100.1"
SERVER6 = "2001:db8::1"
PORT = 8388
SOURCE = Destination(ip_address("192.0.2.53"), 53)
METHODS = ("aes-256-gcm", "2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305")


class AssociationTests(SynchronousTestCase):
    """
    An association with a server that the test plays.
    """

    def associate(self, method: str = METHODS[1], server: str = SERVER) -> None:
        """
        Have one.
        """
        self.network = ScriptedNetwork()
        self.received: list[tuple[bytes, Destination]] = []
        self.ends = Ends(method)
        self.association = ShadowsocksAssociation(
            self.network,
            self.ends.accounts[0],
            ip_address(server),
            PORT,
            lambda data, source: self.received.append((data, source)),
            newSalts(),
            self.ends.clock.seconds,
        )
        (self.socket,) = self.network.datagrams

    def opened(self, host: str = SERVER) -> Any:
        """
        Have the server take the one datagram that has been sent to it.
        """
        ((datagram, to),) = self.socket.take()
        self.assertEqual(to, (host, PORT))
        return self.ends.server.open(datagram, "client")

    def test_toAndFro(self) -> None:
        """
        Datagrams go to the server sealed, and its answers come back.
        """
        for method in METHODS:
            for server in (SERVER, SERVER6):
                with self.subTest(method, server=server):
                    self.associate(method, server)
                    self.assertTrue(self.association.send(b"question", TARGET))
                    opened = self.opened(server)
                    self.assertEqual((opened.destination, opened.payload), (TARGET, b"question"))
                    self.socket.peerSends(opened.session.seal(SOURCE, b"answer"), server, PORT)
                    self.assertEqual(self.received, [(b"answer", SOURCE)])

    def test_onlyTheServer(self) -> None:
        """
        What comes from elsewhere is not listened to, be it the server's host or
        its port.
        """
        self.associate()
        self.association.send(b"question", TARGET)
        session = self.opened().session
        for host, port in (("198.51.100.2", PORT), (SERVER, PORT + 1)):
            self.socket.peerSends(session.seal(SOURCE, b"forged"), host, port)
        self.assertEqual(self.received, [])
        self.socket.peerSends(session.seal(SOURCE, b"answer"), SERVER, PORT)
        self.assertEqual(self.received, [(b"answer", SOURCE)])

    def test_noise(self) -> None:
        """
        What does not decrypt, or comes twice, is dropped.
        """
        for method in METHODS:
            with self.subTest(method):
                self.associate(method)
                self.association.send(b"question", TARGET)
                answer = self.opened().session.seal(SOURCE, b"answer")
                for noise in (b"", b"x", bytes(100), answer[:-1] + bytes([answer[-1] ^ 1])):
                    self.socket.peerSends(noise, SERVER, PORT)
                self.assertEqual(self.received, [])
                self.socket.peerSends(answer, SERVER, PORT)
                self.socket.peerSends(answer, SERVER, PORT)
                self.assertEqual(len(self.received), 1)

    def test_tooLong(self) -> None:
        """
        What fits into no datagram is dropped, and told.
        """
        self.associate()
        self.assertFalse(self.association.send(bytes(65507), TARGET))
        self.assertEqual(self.socket.take(), [])
        self.assertTrue(self.association.send(bytes(1400), TARGET))

    def test_close(self) -> None:
        """
        Once closed it neither sends nor hears, and closing again is nothing.
        """
        self.associate()
        self.association.send(b"question", TARGET)
        answer = self.opened().session.seal(SOURCE, b"answer")
        self.association.close()
        self.association.close()
        self.assertFalse(self.socket.open)
        self.assertFalse(self.association.send(b"question", TARGET))
        self.socket.peerSends(answer, SERVER, PORT)
        self.assertEqual(self.received, [])
        self.assertNoResult(self.association.ended)
        self.network.advance(0)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_noPort(self) -> None:
        """
        Without a port there is no association.
        """

        def listenUDP(*arguments: object, **options: object) -> None:
            raise CannotListenError("", 0, OSError())

        self.patch(ScriptedNetwork, "listenUDP", listenUDP)
        with self.assertRaises(GeneralFailure):
            self.associate()

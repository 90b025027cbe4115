"""
The client's side of an association, by itself.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, hostFromName
from socksproxy.events import AccessRecord
from socksproxy.negotiation import Protection
from socksproxy.socks._fragments import Reassembly
from socksproxy.socks.datagrams import ClientDatagrams
from socksproxy.testing import ScriptedNetwork
from tests.socksrequests import datagram

CLIENT, STRANGER = "192.0.2.10", "192.0.2.11"
TARGET, SIX = "198.51.100.1", "2001:db8::1"

HEAD = len(datagram(b"", TARGET, 53))
HEAD_SIX = len(datagram(b"", SIX, 53))


class DatagramTestCase(SynchronousTestCase):
    """
    Tests with the client's side of an association.

    @ivar forwarded: What was for others, and for whom.
    @ivar forwards: Whether it can be sent on.
    """

    def setUp(self) -> None:
        self.open()

    def open(
        self,
        announced: int = 0,
        host: str = CLIENT,
        reassembling: bool = False,
        protection: Protection | None = None,
    ) -> None:
        """
        Begin anew.

        @param announced: The port that the client wants to send from.
        """
        self.network = ScriptedNetwork()
        self.record = AccessRecord()
        self.forwarded: list[tuple[bytes, str]] = []
        self.forwards = True
        self.datagrams = ClientDatagrams(
            ip_address(host),
            announced,
            self.record,
            self._forward,
            self.network,
            Reassembly() if reassembling else None,
            protection,
        )
        interface = "::1" if ":" in host else "127.0.0.1"
        self.socket = self.network.listenUDP(0, self.datagrams, interface, 65535)

    def _forward(self, data: bytes, destination: Destination) -> bool:
        self.forwarded.append((data, str(destination)))
        return self.forwards

    def send(self, data: bytes | None = None, port: int = 41000, host: str = CLIENT) -> bool:
        """
        Send a datagram.

        @return: Whether it has been sent on.
        """
        before = len(self.forwarded)
        whole = datagram(b"question", TARGET, 53) if data is None else data
        self.socket.peerSends(whole, host, port)
        return len(self.forwarded) > before

    def answer(self, data: bytes = b"answer", host: str = TARGET, port: int = 53) -> None:
        """
        Have somebody answer.
        """
        source = hostFromName(host.encode())
        self.datagrams.send(data, Destination(source, port))

    def assertClient(self, port: int, host: str = CLIENT) -> None:
        """
        Fail unless answers go to a port of the client's.
        """
        self.answer()
        self.assertEqual(self.socket.take(), [(datagram(b"answer", TARGET, 53), (host, port))])

    def assertCounts(self, sent: int = 0, received: int = 0, dropped: int = 0) -> None:
        """
        Fail unless so many datagrams have been counted.
        """
        record = self.record
        self.assertEqual(
            (record.datagramsSent, record.datagramsReceived, record.datagramsDropped),
            (sent, received, dropped),
        )

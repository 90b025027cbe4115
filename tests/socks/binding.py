"""
A client of BIND, of a proxy in memory, and its peer.
"""

from __future__ import annotations

from socksproxy.testing import MemoryListener, MemoryTransport
from tests.memoryproxy import OUTSIDE
from tests.socks.proxied import ProxiedTestCase
from tests.socksclient import REFUSED4, refused
from tests.socksrequests import BIND, command, command4, granted, granted4

PEER, STRANGER = "192.0.2.7", "198.51.100.9"
PEER_PORT = 20

WAITING = str(OUTSIDE[4])
"""
Where we wait for the peer.
"""

WORLD = {
    "peer.test": ["10.0.0.1", PEER, "192.0.2.8"],
    "peer6.test": ["2001:db8::7"],
    "inside.test": ["10.0.0.1"],
}
"""
Names of peers.
"""


class BindTestCase(ProxiedTestCase):
    """
    Tests with a BIND, in each version of SOCKS that a test wants.

    @ivar version: 4 or 5.
    """

    version = 5

    @property
    def listener(self) -> MemoryListener:
        """
        Give the last port that has been opened.
        """
        return self.proxy.network.listeners[-1]

    @property
    def waiting(self) -> list[MemoryListener]:
        """
        Give the ports that are open.
        """
        return [listener for listener in self.proxy.network.listeners if listener.open]

    def bind(self, host: str = PEER, more: bytes = b"", source: str = "") -> MemoryTransport:
        """
        Have a client ask for a port.

        @param host: Whom it expects.
        @param more: What it sends right after its request.
        @param source: Its own address.
        """
        client = self.proxy.clientAt(source) if source else self.proxy.connect()
        if self.version == 5:
            client.peerSends(b"\5\1\0")
            self.assertEqual(client.take(), b"\5\0")
            client.peerSends(command(BIND, host, PEER_PORT) + more)
        else:
            client.peerSends(command4(BIND, host, PEER_PORT) + more)
        return self.has(client)

    def bound(self, host: str = PEER, more: bytes = b"") -> MemoryTransport:
        """
        Have a client ask for a port, and require that it gets one.
        """
        client = self.bind(host, more)
        self.assertEqual(client.take(), self.granted(WAITING, self.listener.getHost().port))
        return client

    def comes(self, host: str = PEER, port: int = PEER_PORT) -> MemoryTransport:
        """
        Have the peer connect.
        """
        peer = self.listener.peerConnects(host, port)
        assert peer is not None, "the peer was turned away"
        return peer

    def joined(self) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Have a client and its peer, who have been told of each other.
        """
        client = self.bound()
        peer = self.comes()
        self.assertEqual(client.take(), self.granted(PEER, PEER_PORT))
        return client, peer

    def granted(self, host: str, port: int) -> bytes:
        """
        Give the reply of success.
        """
        return granted(host, port) if self.version == 5 else granted4(host, port)

    def refused(self, code: int) -> bytes:
        """
        Give the reply of failure.

        @param code: REP.
        """
        return refused(code) if self.version == 5 else REFUSED4

"""
A client of UDP ASSOCIATE, of a proxy in memory.
"""

from __future__ import annotations

from socksproxy.testing import MemoryDatagrams, MemoryTransport
from tests.socks.proxied import ProxiedTestCase
from tests.socksrequests import UDP_ASSOCIATE, command, datagram, granted

CLIENT = "127.0.0.1"
PORT = 41000
"""
Where the client sends datagrams from.
"""

TARGET, OTHER, SIX = "192.0.2.1", "192.0.2.2", "2001:db8::1"
QUESTION, ANSWER = b"question", b"an answer"


class AssociationTestCase(ProxiedTestCase):
    """
    Tests with an association.
    """

    def associate(self, host: str = "0.0.0.0", port: int = 0, more: bytes = b"") -> MemoryTransport:
        """
        Get an association, and require that it is granted.

        @param host: DST.ADDR.
        @param port: DST.PORT.
        @param more: What the client sends right after its request.
        """
        client = self.ask(command(UDP_ASSOCIATE, host, port) + more)
        self.assertGranted(client)
        return client

    def assertGranted(self, client: MemoryTransport) -> None:
        """
        Fail unless a client has been told where its relay is.
        """
        relay = self.relay
        self.assertEqual(client.take(), granted(relay.host, relay.port))

    @property
    def opened(self) -> list[MemoryDatagrams]:
        """
        Give the sockets that are open.
        """
        return [datagrams for datagrams in self.proxy.network.datagrams if datagrams.open]

    @property
    def relay(self) -> MemoryDatagrams:
        """
        Give the last socket on the clients' side.
        """
        return [datagrams for datagrams in self.opened if datagrams.host != "::"][-1]

    @property
    def outside(self) -> MemoryDatagrams:
        """
        Give the last socket on the others' side.
        """
        return [datagrams for datagrams in self.opened if datagrams.host == "::"][-1]

    def send(
        self,
        host: str = TARGET,
        port: int = 53,
        data: bytes = QUESTION,
        fragment: int = 0,
        source: tuple[str, int] = (CLIENT, PORT),
    ) -> None:
        """
        Have the client send a datagram to somebody.
        """
        self.relay.peerSends(datagram(data, host, port, fragment), *source)

    def answer(self, host: str = TARGET, port: int = 53, data: bytes = ANSWER) -> None:
        """
        Have somebody send a datagram to the client.
        """
        self.outside.peerSends(data, host, port)

    def sent(self) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Give what others have got, and where.
        """
        sockets = self.proxy.network.datagrams
        return [sent for each in sockets if each.host == "::" for sent in each.take()]

    def received(self) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Give what the client has got, and where.
        """
        sockets = self.proxy.network.datagrams
        return [sent for each in sockets if each.host != "::" for sent in each.take()]

    def exchange(self) -> None:
        """
        Require that a question gets its answer.
        """
        self.send()
        self.assertEqual(self.sent(), [(QUESTION, (TARGET, 53))])
        self.answer()
        self.assertEqual(self.received(), [(datagram(ANSWER, TARGET, 53), (CLIENT, PORT))])

    def counted(self) -> dict[str, int]:
        """
        Have the client go, and give what its access line counts.
        """
        line = self.line()
        self.assertEqual(line["command"], "UDP")
        names = ("sent", "received", "datagramsSent", "datagramsReceived", "datagramsDropped")
        return {name: line[name] for name in names}

    def assertDropped(self, dropped: int, sent: int = 0, received: int = 0) -> None:
        """
        Have the client go, and fail unless so many datagrams were dropped, and
        so many went either way.
        """
        counted = self.counted()
        self.assertEqual(
            (counted["datagramsDropped"], counted["datagramsSent"], counted["datagramsReceived"]),
            (dropped, sent, received),
        )

"""
Tests for L{socksproxy.dns.datagramserver}.
"""

from __future__ import annotations

from twisted.internet.interfaces import IListeningPort

from socksproxy.dns.datagramserver import DatagramServer
from socksproxy.dns.reply import readReply
from socksproxy.testing import MemoryDatagrams
from tests.dns.forwarding import ForwarderTestCase
from tests.dns.messages import opt, query
from tests.dns.upstreaming import PACKED

CLIENT = ("203.0.113.9", 40000)
LOCAL = ("127.0.0.1", 40000)


class DatagramServerTests(ForwarderTestCase):
    """
    Clients who ask by UDP.
    """

    def setUp(self) -> None:
        """
        Make a server.
        """
        super().setUp()
        self.listen()

    def listen(self, **options: int) -> None:
        """
        Make a server.
        """
        protocol = DatagramServer(self.forwarder, **options)
        port: IListeningPort = self.network.listenUDP(0, protocol, "0.0.0.0")
        assert isinstance(port, MemoryDatagrams)
        self.port = port

    def send(self, octets: bytes, client: tuple[str, int] = CLIENT) -> None:
        """
        Have a client send something.
        """
        self.port.peerSends(octets, *client)

    def answers(self, client: tuple[str, int] = CLIENT) -> list[bytes]:
        """
        Give what has been sent, all of it to one client.
        """
        sent = self.port.take()
        self.assertEqual([where for _, where in sent], [client] * len(sent))
        return [octets for octets, _ in sent]

    def test_answered(self) -> None:
        """
        Every client gets its answer, now or when it is known.
        """
        self.send(query("www.test"))
        self.assertEqual(self.answers(), [])
        self.server.reply(PACKED)
        (first,) = self.answers()
        other = ("203.0.113.10", 5)
        self.send(query("www.test"), other)
        self.assertEqual(self.answers(other), [first])

    def test_silence(self) -> None:
        """
        What is no query gets no answer.
        """
        for octets in (b"", b"x", query("www.test")[:11], query("www.test", flags=0x8180)):
            self.send(octets)
        self.assertEqual(self.answers(), [])

    def test_errors(self) -> None:
        """
        What is a query, but a bad one, is told so.
        """
        for octets, code in (
            (query("www.test")[:-1], 1),
            (query("www.test", flags=0x2000), 4),
            (query("www.test", cls=3), 5),
            (query("www.test", 252), 5),
        ):
            self.send(octets)
            (answer,) = self.answers()
            self.assertEqual((answer[:2], answer[3] & 15), (octets[:2], code))

    def test_sizes(self) -> None:
        """
        An answer has no more octets than the client takes, 512 if it does not
        say, nor than 1232, but for clients on this host. What is longer says
        that there is more.
        """
        for client, size, longest in (
            (CLIENT, None, 512),
            (CLIENT, 100, 512),
            (CLIENT, 900, 900),
            (CLIENT, 4096, 1232),
            (LOCAL, None, 512),
            (LOCAL, 1200, 1200),
            (LOCAL, 4000, 4000),
            (LOCAL, 65000, 4096),
        ):
            additional = [] if size is None else [opt(size)]
            # Header, question, records of 16 octets, and OPT.
            fixed = 12 + 14 + 11 * len(additional)
            for count in ((longest - fixed) // 16, (longest - fixed) // 16 + 1):
                name = f"{count:03}.test"
                self.send(query(name, 1, *additional), client)
                self.server.reply(*[PACKED] * count)
                (answer,) = self.answers(client)
                reply = readReply(answer)
                fits = fixed + 16 * count <= longest
                self.assertEqual(reply.truncated, not fits, (client, size, count))
                self.assertEqual(len(answer), fixed + 16 * count if fits else fixed)
                self.cache.flush()

    def test_bounded(self) -> None:
        """
        There is a bound on questions that wait; what is too much is dropped,
        but not what is known.
        """
        self.listen(most=2)
        self.send(query("known.test"))
        self.server.reply(PACKED)
        self.answers()
        for name in ("a.test", "b.test", "c.test"):
            self.send(query(name))
        self.assertEqual([each.name for each in self.server.queries[1:]], ["a.test", "b.test"])
        self.send(query("known.test"))
        self.assertEqual(len(self.answers()), 1)
        self.server.reply(PACKED)
        self.send(query("d.test"))
        self.assertEqual(self.server.queries[-1].name, "d.test")

    def test_closed(self) -> None:
        """
        Answers that come when the port has been closed are dropped.
        """
        self.send(query("www.test"))
        self.port.stopListening()
        self.network.advance(0)
        self.server.reply(PACKED)
        self.assertEqual(self.answers(), [])

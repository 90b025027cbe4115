"""
Tests for L{socksproxy.shadowsocks._duplex}: both ends as the protection of a
connection.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError, TruncatedStream
from socksproxy.relay import Leg
from socksproxy.shadowsocks._client import ClientStream
from socksproxy.shadowsocks._events import Reason, Requested, StreamFault
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._server import ServerStream
from socksproxy.testing import MemoryTransport
from tests.shadowsocks.streams import TARGET, clientOf, cutsOf, fresh, serverOf


class Holder:
    """
    Holds a leg, and remembers what it is told.
    """

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """
        Remember data.
        """
        self.data += data

    def readConnectionLost(self) -> None:
        """
        Remember the end.
        """
        self.ended = True

    def connectionLost(self, reason: Failure) -> None:
        """
        Remember the loss.
        """
        self.lost = reason


def pair(method: str) -> tuple[ClientStream, ServerStream]:
    """
    Make two ends, and let the request be understood.
    """
    account = fresh(method)
    client, server = clientOf(account), serverOf(account)
    assert server.feed(client.start(b"first")) == [Requested("bob", TARGET, b"first")]
    return client, server


class TestProtection(SynchronousTestCase):
    """
    Wrapping and unwrapping.
    """

    def test_bothWays(self) -> None:
        """
        What one end wraps the other unwraps, however it is cut.
        """
        for method in METHODS:
            client, server = pair(method)
            there = client.wrap(b"question") + client.wrap(b"!" * 300)
            back = server.wrap(b"answer") + server.wrap(b"." * 300)
            self.assertEqual(
                b"".join(server.unwrap(there[at : at + 7]) for at in range(0, len(there), 7)),
                b"question" + b"!" * 300,
            )
            self.assertEqual(
                b"".join(client.unwrap(back[at : at + 7]) for at in range(0, len(back), 7)),
                b"answer" + b"." * 300,
            )
            client.endOfStream()
            server.endOfStream()

    def test_fault(self) -> None:
        """
        What is not what the peer has written raises, now and ever after, and
        nothing of it is given out.
        """
        for method in METHODS:
            client, server = pair(method)
            there, back = client.wrap(b"question"), server.wrap(b"answer")
            for end, octets in ((server, there), (client, back)):
                damaged = bytearray(octets)
                damaged[-1] ^= 1
                for data in (bytes(damaged), octets, b""):
                    error = self.assertRaises(StreamFault, end.unwrap, data)
                    self.assertEqual(error.refused.reason, Reason.SEAL)
                self.assertRaises(StreamFault, end.endOfStream)

    def test_errorsAreNew(self) -> None:
        """
        Each time another exception is raised, so that none of them keeps what
        was going on before it.
        """
        _, server = pair("aes-128-gcm")
        errors = [self.assertRaises(StreamFault, server.unwrap, bytes(100)) for _ in range(2)]
        self.assertIsNot(*errors)

    def test_truncated(self) -> None:
        """
        An end inside a chunk is none.
        """
        for method in METHODS:
            client, server = pair(method)
            there = client.wrap(b"question")
            self.assertEqual(server.unwrap(there[:-1]), b"")
            self.assertRaises(TruncatedStream, server.endOfStream)

    def test_unknown(self) -> None:
        """
        A client that is not known gets nothing.
        """
        self.assertRaises(LocalProtocolError, serverOf(fresh("aes-128-gcm")).wrap, b"data")

    def test_asBeginning(self) -> None:
        """
        A client can be the protection from the first byte on: what is written
        first makes the request.
        """
        for method in METHODS:
            account = fresh(method)
            client, server = clientOf(account), serverOf(account)
            self.assertEqual(server.feed(client.wrap(b"data")), [Requested("bob", TARGET, b"data")])
            back = server.wrap(b"answer")
            for pieces in cutsOf(back):
                other = clientOf(account)
                other.start()
                other._salt = client._salt
                self.assertEqual(b"".join(map(other.unwrap, pieces)), b"answer")


class TestLegs(SynchronousTestCase):
    """
    Both ends on legs.
    """

    def test_relays(self) -> None:
        """
        What is written on one leg comes out of the other, and an end is passed
        on.
        """
        for method in METHODS:
            client, server = pair(method)
            legs, holders = [], []
            for stream in (client, server):
                leg, holder = Leg(), Holder()
                leg.makeConnection(StringTransport())
                leg.hold(holder)
                leg.protect(stream)
                legs.append(leg)
                holders.append(holder)
            for written, read in ((0, 1), (1, 0)):
                legs[written].transport.write(b"some ")
                legs[written].transport.writeSequence([b"thi", b"ng"])
                raw = legs[written].transport.transport
                legs[read].dataReceived(raw.value())
                self.assertEqual(holders[read].data, b"some thing")
                self.assertNotIn(b"thing", raw.value())
                legs[read].readConnectionLost()
                self.assertTrue(holders[read].ended)

    def test_damaged(self) -> None:
        """
        A leg whose stream is damaged is dropped, and nothing is told of the
        rest.
        """
        for method in METHODS:
            client, server = pair(method)
            leg, holder = Leg(), Holder()
            transport = MemoryTransport(Clock(), leg)
            leg.makeConnection(transport)
            leg.hold(holder)
            leg.protect(server)
            good, bad, rest = (client.wrap(data) for data in (b"good", b"bad", b"rest"))
            leg.dataReceived(good)
            leg.dataReceived(bytes([bad[0] ^ 1]) + bad[1:])
            leg.dataReceived(rest)
            self.assertEqual(holder.data, b"good")
            self.assertFalse(holder.ended)
            self.assertTrue(transport.aborted)

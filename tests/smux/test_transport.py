"""
Tests for L{socksproxy.smux.transport}: streams as transports.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.errors import GeneralFailure, LocalProtocolError
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.protocol import MuxServerFactory
from socksproxy.smux.transport import MuxAddress
from socksproxy.testing import tcpAddress
from tests.smux.muxes import Application, HalfCloseable, Muxes


class StreamTestCase(SynchronousTestCase):
    """
    Tests with a client and a server.
    """

    def setUp(self) -> None:
        """
        Join them.
        """
        self.muxes = Muxes()


class BasicTests(StreamTestCase):
    """
    What a stream is.
    """

    def test_interfaces(self) -> None:
        """
        A stream is a transport, a consumer and a producer, and a session a
        protocol that knows half-close.
        """
        client, server = self.muxes.pair()
        for stream in (client.transport, server.transport):
            for interface in (ITransport, IConsumer, IPushProducer):
                self.assertTrue(verifyObject(interface, stream))
            self.assertTrue(verifyObject(IAddress, stream.getPeer()))
        for mux in (self.muxes.client, self.muxes.server):
            self.assertTrue(verifyObject(IHalfCloseableProtocol, mux))
            self.assertTrue(verifyObject(IPushProducer, mux))

    def test_addresses(self) -> None:
        """
        An address is that of the carrier with the stream's number, which can
        be compared, kept in sets and read.
        """
        client, server = self.muxes.pair()
        ours, theirs = tcpAddress("192.0.2.1", 40000), tcpAddress("192.0.2.2", 29900)
        self.assertEqual(client.transport.getHost(), MuxAddress(ours, 3))
        self.assertEqual(client.transport.getPeer(), MuxAddress(theirs, 3))
        self.assertEqual(server.transport.getPeer(), client.transport.getHost())
        self.assertEqual(self.muxes.accepted.addresses, [MuxAddress(ours, 3)])
        another, _ = self.muxes.pair()
        hosts = {each.transport.getHost() for each in (client, another, client)}
        self.assertEqual(len(hosts), 2)
        self.assertIn("streamID=5", repr(another.transport.getHost()))
        self.assertIn("192.0.2.1", repr(another.transport.getHost()))
        self.assertIn("5", repr(another.transport))

    def test_bothWays(self) -> None:
        """
        Data goes both ways.
        """
        client, server = self.muxes.pair()
        client.act(client.transport.write, b"to you")
        client.act(client.transport.writeSequence, [b", and ", b"you"])
        server.act(server.transport.write, b"to me")
        self.muxes.settle()
        self.assertEqual((server.data, client.data), (b"to you, and you", b"to me"))

    def test_atOnce(self) -> None:
        """
        What an application writes is sent at once, and with the SYN if it
        begins to write right away.
        """

        class Eager(Application):
            def connectionMade(self) -> None:
                self.transport.write(b"hello")

        self.muxes.open(Eager())
        self.muxes.carry()
        self.assertEqual(self.muxes.accepted.made[0].data, b"hello")

    def test_oneWrite(self) -> None:
        """
        What many streams answer to one piece of the carrier's data leaves in
        one.
        """

        class Echo(Application):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(data)

        self.muxes.accepted.make = Echo
        clients = [self.muxes.open() for _ in range(20)]
        for number, client in enumerate(clients):
            client.transport.write(b"%d" % number)
        self.muxes.there.peerSends(self.muxes.here.take())
        self.assertEqual(len(self.muxes.there._written), 1)
        self.muxes.settle()
        self.assertEqual([client.data for client in clients], [b"%d" % n for n in range(20)])

    def test_onlyOctets(self) -> None:
        """
        Nothing but octets can be written.
        """
        client, _ = self.muxes.pair()
        for wrong in ("text", 7, bytearray(b"x"), None):
            self.assertRaises(TypeError, client.transport.write, wrong)

    def test_factoryOrProtocol(self) -> None:
        """
        A stream is opened for a protocol or for a factory, which learns where
        to.
        """
        factory = Factory.forProtocol(HalfCloseable)
        stream = self.muxes.client.openStream(factory)
        assert stream.protocol is not None
        self.assertEqual(stream.protocol.told, ["made"])
        self.assertIs(stream.protocol.factory, factory)
        protocol = Application()
        self.assertIs(self.muxes.client.openStream(protocol).protocol, protocol)
        self.assertEqual(self.muxes.client.streams, 2)

    def test_noProtocol(self) -> None:
        """
        Without a protocol there is no stream, and the peer hears of none.
        """

        class Broken(Factory):
            def buildProtocol(self, addr: object) -> None:
                raise ZeroDivisionError

        empty = Factory()
        empty.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        self.assertRaises(GeneralFailure, self.muxes.client.openStream, empty)
        self.assertRaises(ZeroDivisionError, self.muxes.client.openStream, Broken())
        self.muxes.settle()
        self.assertEqual(self.muxes.accepted.made, [])
        self.assertTrue(self.muxes.idle)

    def test_numbersRunOut(self) -> None:
        """
        A session that has no numbers left says so, and goes on.
        """
        client, server = self.muxes.pair()
        self.muxes.client.session._nextID = 1 << 32
        self.assertRaises(LocalProtocolError, self.muxes.client.openStream, Application())
        client.transport.write(b"still here")
        self.muxes.settle()
        self.assertEqual(server.data, b"still here")

    def test_bothVersions(self) -> None:
        """
        A server serves clients of both versions, whatever it would speak
        itself.
        """
        for version in (1, 2):
            muxes = Muxes(SmuxConfig(version=version), serverConfig=SmuxConfig(version=3 - version))
            client, server = muxes.pair()
            client.transport.write(bytes(500000))
            server.transport.write(bytes(700000))
            muxes.settle()
            self.assertEqual((len(server.data), len(client.data)), (500000, 700000))
            client.transport.loseConnection()
            muxes.settle()
            server.transport.loseConnection()
            muxes.settle()
            self.assertEqual((client.end, server.end), (ConnectionDone, ConnectionDone))
            self.assertTrue(muxes.idle)

    def test_fromServer(self) -> None:
        """
        A server may open streams to a client that accepts them; to others it
        is told that they are over.
        """
        refused = HalfCloseable()
        self.muxes.pair()
        self.muxes.server.openStream(refused)
        self.muxes.settle()
        self.assertEqual(refused.told, ["made", "read"])
        muxes = Muxes()
        muxes.pair()
        muxes.client._streamFactory = muxes.accepted
        muxes.client.session.accepting = True
        opened = HalfCloseable()
        muxes.server.openStream(opened)
        opened.transport.write(b"call back")
        muxes.settle()
        self.assertEqual(muxes.accepted.made[-1].data, b"call back")
        self.assertEqual(opened.transport.getHost().streamID, 2)


class EndTests(StreamTestCase):
    """
    How a stream ends.
    """

    def test_loseConnection(self) -> None:
        """
        What has been written is delivered, then both are told that all is
        over; nothing is told within a call of the application's.
        """
        client, server = self.muxes.pair(Application())
        self.muxes.accepted.made[-1].factory = None
        client.transport.write(bytes(300000))
        client.act(client.transport.loseConnection)
        client.act(client.transport.loseConnection)
        self.assertTrue(client.transport.disconnecting)
        self.muxes.settle()
        self.assertEqual(client.end, ConnectionDone)
        self.assertEqual((len(server.data), server.told), (300000, ["made", "read"]))
        server.act(server.transport.loseConnection)
        self.muxes.settle()
        self.assertEqual(server.end, ConnectionDone)
        self.assertEqual(server.told, ["made", "read", "lost"])
        self.assertTrue(self.muxes.idle)
        self.assertFalse(client.transport.connected)

    def test_withoutHalfClose(self) -> None:
        """
        A protocol that does not know half-close is done with when the peer
        ends, after what it has written has been sent.
        """
        self.muxes.accepted.make = Application
        client, server = self.muxes.pair()
        server.transport.write(b"answer")
        client.transport.write(b"question")
        client.act(client.transport.loseWriteConnection)
        self.muxes.settle()
        self.assertEqual((server.data, server.told), (b"question", ["made", "lost"]))
        self.assertEqual(server.end, ConnectionDone)
        self.assertEqual(client.data, b"answer")
        self.assertEqual(client.told, ["made", "write", "read", "lost"])
        self.assertTrue(self.muxes.idle)

    def test_halfClose(self) -> None:
        """
        Either side may end its direction, and read on.
        """
        client, server = self.muxes.pair()
        client.transport.write(b"question")
        client.act(client.transport.loseWriteConnection)
        self.muxes.settle()
        self.assertEqual((server.data, server.told), (b"question", ["made", "read"]))
        self.assertEqual(client.told, ["made", "write"])
        client.transport.write(b"not any more")
        server.transport.write(bytes(1000000))
        self.muxes.settle()
        self.assertEqual((server.data, len(client.data)), (b"question", 1000000))
        server.act(server.transport.loseWriteConnection)
        self.muxes.settle()
        self.assertEqual(client.told, ["made", "write", "read", "lost"])
        self.assertEqual(server.told, ["made", "read", "write", "lost"])
        self.assertEqual((client.end, server.end), (ConnectionDone, ConnectionDone))
        self.assertTrue(self.muxes.idle)

    def test_halfCloseAtOnce(self) -> None:
        """
        Both sides may end their directions at the same time.
        """
        client, server = self.muxes.pair()
        client.transport.loseWriteConnection()
        server.transport.loseWriteConnection()
        self.muxes.settle()
        for each in (client, server):
            self.assertEqual(each.end, ConnectionDone)
            self.assertEqual(sorted(each.told), ["lost", "made", "read", "write"])
        self.assertTrue(self.muxes.idle)

    def test_closeAfterHalfClose(self) -> None:
        """
        Who has ended its direction may still close.
        """
        client, server = self.muxes.pair()
        client.transport.loseWriteConnection()
        self.muxes.settle()
        client.act(client.transport.loseConnection)
        self.muxes.settle()
        self.assertEqual(client.told, ["made", "write", "lost"])
        self.assertEqual(client.end, ConnectionDone)
        server.transport.loseConnection()
        self.muxes.settle()
        self.assertTrue(self.muxes.idle)

    def test_closeBeforeHalfClose(self) -> None:
        """
        Who closes before its half-close could be sent is told of the end only.
        """
        client, server = self.muxes.pair()
        self.muxes.client.pauseProducing()
        client.transport.write(b"question")
        client.transport.loseWriteConnection()
        client.transport.loseConnection()
        self.muxes.settle()
        self.assertEqual(client.told, ["made"])
        self.muxes.client.resumeProducing()
        self.muxes.settle()
        self.assertEqual((client.told, client.end), (["made", "lost"], ConnectionDone))
        self.assertEqual(server.data, b"question")

    def test_nothingAfterClose(self) -> None:
        """
        Who has asked for the end is given nothing more, and what it writes
        goes nowhere.
        """
        client, server = self.muxes.pair()
        server.transport.write(b"too late")
        client.transport.loseConnection()
        client.transport.write(b"too late")
        self.muxes.settle()
        self.assertEqual((client.data, server.data), (b"", b""))
        self.assertEqual(client.told, ["made", "lost"])

    def test_abort(self) -> None:
        """
        What is queued by who aborts is not sent, and the peer does not take it
        for an end.
        """
        client, server = self.muxes.pair()
        self.muxes.client.pauseProducing()
        client.transport.write(bytes(100000))
        client.act(client.transport.abortConnection)
        client.act(client.transport.abortConnection)
        client.act(client.transport.loseConnection)
        self.muxes.client.resumeProducing()
        self.muxes.settle()
        self.assertEqual(client.end, ConnectionAborted)
        self.assertEqual((server.data, server.told), (b"", ["made", "lost"]))
        self.assertEqual(server.end, ConnectionLost)
        self.assertTrue(self.muxes.idle)

    def test_resetForWriter(self) -> None:
        """
        Who writes to a peer that has closed is told that the stream is lost,
        as with TCP: not at the first write, but soon.
        """
        client, server = self.muxes.pair()
        client.transport.abortConnection()
        self.muxes.settle()
        for _ in range(2):
            server.act(server.transport.write, b"anybody?")
            self.muxes.settle()
        self.assertEqual(server.end, ConnectionLost)
        self.assertTrue(self.muxes.idle)

    def test_resetOfQueue(self) -> None:
        """
        Who has much to send to a peer that closes without reading it is told
        at once.
        """
        client, server = self.muxes.pair()
        client.transport.pauseProducing()
        server.transport.write(bytes(1000000))
        self.muxes.settle()
        self.assertEqual(self.muxes.server.session.queued, 1000000 - 262144)
        client.transport.loseConnection()
        self.muxes.settle()
        self.assertEqual((client.end, server.end), (ConnectionDone, ConnectionLost))
        self.assertTrue(self.muxes.idle)

    def test_failure(self) -> None:
        """
        An application that fails is told why it ends, the log says so, and
        the other streams go on.
        """

        class Failing(Application):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        self.muxes.accepted.make = Failing
        client, server = self.muxes.pair()
        self.muxes.accepted.make = HalfCloseable
        other, survivor = self.muxes.pair()
        client.transport.write(b"x")
        other.transport.write(b"y")
        self.muxes.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((server.end, survivor.data), (ZeroDivisionError, b"y"))
        self.assertEqual(client.told, ["made", "lost"])

    def test_failuresEverywhere(self) -> None:
        """
        Whatever an application fails in, only it ends.
        """

        def fail(*arguments: object) -> None:
            raise ZeroDivisionError

        for method in (
            "connectionMade",
            "dataReceived",
            "readConnectionLost",
            "writeConnectionLost",
            "connectionLost",
        ):
            failing = HalfCloseable()
            setattr(failing, method, fail)
            self.muxes.accepted.make = lambda failing=failing: failing  # type: ignore[misc]
            client, _ = self.muxes.pair()
            client.transport.write(b"x")
            if failing.transport.connected:
                failing.transport.loseWriteConnection()
            client.transport.loseWriteConnection()
            self.muxes.settle()
            client.transport.loseConnection()
            self.muxes.settle()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, method)
            self.assertTrue(self.muxes.idle, method)
            self.assertFalse(failing.transport.connected)
        self.assertFalse(self.muxes.there.lost)

    def test_brokenFactory(self) -> None:
        """
        A factory that fails, or makes nothing, refuses the stream.
        """

        def fail() -> None:
            raise ZeroDivisionError

        for make, failures in ((fail, 1), (lambda: None, 0)):
            self.muxes.accepted.make = make
            client = self.muxes.open()
            client.transport.write(b"x")
            self.muxes.settle()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), failures)
            self.assertEqual((client.told, client.end), (["made", "lost"], ConnectionLost))
            self.assertTrue(self.muxes.idle)

    def test_letsGo(self) -> None:
        """
        Once a stream is over, neither it nor the session holds the
        application.
        """
        client, _ = self.muxes.pair()
        stream = client.transport
        client.transport.loseConnection()
        self.muxes.settle()
        self.assertIsNone(stream.protocol)
        self.assertIsNone(stream.record.owner)
        self.assertEqual(self.muxes.client._streams, set())
        self.assertEqual(self.muxes.client._turns._ends, {})


class ReentrancyTests(StreamTestCase):
    """
    Applications that do things while they are told things.
    """

    def test_closeInside(self) -> None:
        """
        An application may close, abort or open in any of its calls.
        """
        muxes = self.muxes

        class Busy(HalfCloseable):
            def connectionMade(self) -> None:
                self.act(self.transport.write, b"1")

            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.act(muxes.client.openStream, another)
                self.act(another.transport.write, b"2")
                self.act(self.transport.loseConnection)
                self.act(self.transport.abortConnection)

            def connectionLost(self, reason: object = None) -> None:
                super().connectionLost(reason)  # type: ignore[arg-type]
                self.act(last.transport.abortConnection)
                self.act(self.transport.write, b"3")
                self.act(self.transport.loseConnection)
                self.act(self.transport.abortConnection)
                self.act(self.transport.loseWriteConnection)
                self.act(self.transport.resumeProducing)

        another, last, busy = Application(), Application(), Busy()
        muxes.client.openStream(last)
        muxes.client.openStream(busy)
        muxes.settle()
        muxes.accepted.made[1].transport.write(b"go")
        muxes.settle()
        self.assertEqual((busy.data, busy.end), (b"go", ConnectionAborted))
        self.assertEqual(last.end, ConnectionAborted)
        self.assertEqual([each.data for each in muxes.accepted.made], [b"", b"1", b"2"])
        another.transport.loseConnection()
        muxes.settle()
        for each in muxes.accepted.made:
            each.transport.loseConnection()
        muxes.settle()
        self.assertTrue(muxes.idle)

    def test_closeAnother(self) -> None:
        """
        What has come together with what made somebody else close an
        application is not given to it.
        """
        for leave in ("loseConnection", "abortConnection"):
            muxes = Muxes()
            (client, server), (other, victim) = muxes.pair(), muxes.pair()

            def leaving(data: bytes, victim: Any = victim, leave: str = leave) -> None:
                getattr(victim.transport, leave)()

            server.dataReceived = leaving
            muxes.client.pauseProducing()
            client.transport.write(b"x")
            other.transport.write(b"y")
            muxes.client.resumeProducing()
            muxes.settle()
            self.assertEqual((victim.data, victim.told), (b"", ["made", "lost"]))

    def test_endOfSessionInside(self) -> None:
        """
        An application may end the whole session in any of its calls, and all
        are told of it afterwards.
        """
        for drop in ("abort", "close"):
            muxes = Muxes()

            class Dropping(Application):
                def dataReceived(self, data: bytes, muxes: Muxes = muxes, drop: str = drop) -> None:
                    super().dataReceived(data)
                    self.act(getattr(muxes.client, drop))

            pairs = [muxes.pair(Dropping()) for _ in range(3)]
            for _, server in pairs:
                server.transport.write(b"x")
            muxes.settle()
            if drop == "abort":
                ends = sorted(str(client.data) for client, _ in pairs)
                self.assertEqual(ends, ["b''", "b''", "b'x'"])
                self.assertEqual([client.end for client, _ in pairs], [ConnectionAborted] * 3)
                self.assertEqual([server.end for _, server in pairs], [ConnectionLost] * 3)
            else:
                self.assertEqual([client.data for client, _ in pairs], [b"x"] * 3)
                for client, server in pairs:
                    client.transport.loseConnection()
                    server.transport.loseConnection()
                muxes.settle()
                self.assertEqual([client.end for client, _ in pairs], [ConnectionDone] * 3)
            self.assertTrue(muxes.here.lost and muxes.there.lost)
            self.assertEqual(muxes.clock.getDelayedCalls(), [])

    def test_abortInFactory(self) -> None:
        """
        A session that ends while a protocol is made still tells it.
        """
        made = Application()

        class Aborting(Factory):
            def buildProtocol(aborting, addr: object) -> Application:
                self.muxes.client.abort()
                return made

        self.muxes.client.openStream(Aborting())
        self.muxes.settle()
        self.assertEqual((made.told, made.end), (["made", "lost"], ConnectionLost))
        self.assertEqual(self.muxes.client.streams, 0)


class FactoryTests(SynchronousTestCase):
    """
    A factory of servers' sessions.
    """

    def test_startAndStop(self) -> None:
        """
        The factory of streams is started and stopped with it.
        """
        muxes = Muxes()
        told: list[str] = []
        muxes.accepted.startFactory = lambda: told.append("start")  # type: ignore[method-assign]
        muxes.accepted.stopFactory = lambda: told.append("stop")  # type: ignore[method-assign]
        muxes.factory.doStart()
        muxes.factory.doStop()
        self.assertEqual(told, ["start", "stop"])

    def test_sessions(self) -> None:
        """
        It knows its sessions until their carriers are gone.
        """
        muxes = Muxes()
        self.assertEqual(muxes.factory.sessions, {muxes.server})
        muxes.here.abortConnection()
        muxes.settle()
        self.assertEqual(muxes.factory.sessions, set())
        self.assertIsInstance(muxes.factory, MuxServerFactory)

"""
Tests for L{socksproxy.smux.transport} below what else there is: relays, and
inbound protocols.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.relay.sockets import backlogOf, lowestTransport
from socksproxy.smux.config import SmuxConfig
from socksproxy.testing import MemoryTransport
from tests.memoryproxy import MemoryProxy
from tests.relay.joined import PATIENT
from tests.smux.muxes import Application, Applications, HalfCloseable, Muxes
from tests.socksclient import GRANTED, NO_AUTHENTICATION, TO_SILENCE, TO_WEB, request


class Tunnel:
    """
    A connection that is relayed over a stream to another connection, as by two
    programs at the ends of a tunnel.

    @ivar muxes: The tunnel.
    @ivar local: The connection at its client.
    @ivar target: The connection at its server.
    @ivar results: What the relays have said at their ends.
    """

    def __init__(self, config: SmuxConfig | None = None, timers: RelayTimers = PATIENT) -> None:
        self.muxes = Muxes(config, make=Leg)
        self.results: list[RelayResult] = []
        near, far = Leg(), Leg()
        clock = self.muxes.clock
        self.local, self.target = MemoryTransport(clock, near), MemoryTransport(clock, far)
        near.makeConnection(self.local)
        far.makeConnection(self.target)
        into, outof = self.muxes.pair(Leg())  # type: ignore[arg-type]
        Relay(clock, near, into, timers, self.results.append).start()
        Relay(clock, outof, far, timers, self.results.append).start()
        self.streams: tuple[Any, Any] = (into.transport, outof.transport)


class RelayTests(SynchronousTestCase):
    """
    A relay at each end of a stream.
    """

    def setUp(self) -> None:
        """
        Relay over a stream.
        """
        self.tunnel = Tunnel()
        self.muxes = self.tunnel.muxes

    def test_halfClose(self) -> None:
        """
        A half-close arrives as one, and the answer after it.
        """
        local, target = self.tunnel.local, self.tunnel.target
        local.peerSends(b"question")
        local.peerEnds()
        self.muxes.settle()
        self.assertEqual((target.take(), target.ended), (b"question", True))
        self.assertEqual((local.ended, local.lost), (False, False))
        target.peerSends(b"answer")
        target.peerEnds()
        self.muxes.settle()
        self.assertEqual((local.take(), local.ended), (b"answer", True))
        self.assertEqual(
            [(result.sent, result.received) for result in self.tunnel.results], [(8, 6)] * 2
        )
        self.assertTrue(self.muxes.idle)

    def test_halfCloseOfTarget(self) -> None:
        """
        So does that of the other side.
        """
        local, target = self.tunnel.local, self.tunnel.target
        target.peerSends(b"220 ready")
        target.peerEnds()
        self.muxes.settle()
        self.assertEqual((local.take(), local.ended, target.ended), (b"220 ready", True, False))
        local.peerSends(b"late")
        local.peerEnds()
        self.muxes.settle()
        self.assertEqual((target.take(), target.ended), (b"late", True))
        self.assertEqual(len(self.tunnel.results), 2)

    def test_slowReader(self) -> None:
        """
        A target that does not read stops the client at the other end, with no
        more under way than buffers have room for; all of it arrives when it
        reads.
        """
        for version in (1, 2):
            tunnel = Tunnel(SmuxConfig(version=version, smuxbuf=300000, streambuf=300000))
            sent = 0
            for _ in range(200):
                if not tunnel.local.paused:
                    tunnel.local.peerSends(bytes([sent >> 16 & 0xFF]) * 65536)
                    sent += 65536
                tunnel.muxes.settle()
            self.assertTrue(tunnel.local.paused)
            self.assertLess(sent, 1200000)
            self.assertGreater(backlogOf(tunnel.streams[0]), 0)
            got = b""
            while data := tunnel.target.take():
                got += data
                tunnel.muxes.settle()
            self.assertFalse(tunnel.local.paused)
            expected = b"".join(bytes([n >> 16 & 0xFF]) * 65536 for n in range(0, sent, 65536))
            self.assertTrue(got == expected)

    def test_neverReads(self) -> None:
        """
        One that never reads again is given up on, and the stream with it.
        """
        tunnel = Tunnel(timers=RelayTimers(drain=20, idle=0))
        for _ in range(60):
            if not tunnel.local.paused:
                tunnel.local.peerSends(bytes(65536))
            tunnel.muxes.settle()
        tunnel.muxes.wait(60)
        self.assertTrue(tunnel.local.lost and tunnel.target.lost)
        self.assertTrue(tunnel.muxes.idle)

    def test_reset(self) -> None:
        """
        When either connection is reset the other one is, at once.
        """
        for first in ("local", "target"):
            tunnel = Tunnel()
            ends = {"local": tunnel.local, "target": tunnel.target}
            other = ends["target" if first == "local" else "local"]
            ends[first].peerResets()
            tunnel.muxes.settle()
            self.assertTrue(other.aborted)
            self.assertEqual(len(tunnel.results), 2)
            self.assertTrue(tunnel.muxes.idle)

    def test_lostCarrier(self) -> None:
        """
        The loss of the carrier resets both.
        """
        self.muxes.here.peerResets()
        self.muxes.settle()
        self.assertTrue(self.tunnel.local.aborted and self.tunnel.target.aborted)
        self.assertEqual(len(self.tunnel.results), 2)

    def test_lowest(self) -> None:
        """
        What a relay asks of sockets it does not ask of the carrier's, which
        is not the stream's own.
        """
        stream = self.tunnel.streams[0]
        self.assertIs(lowestTransport(stream), stream)
        stream.setTcpNoDelay(True)
        stream.setTcpKeepAlive(True)


class InboundTests(SynchronousTestCase):
    """
    A SOCKS server whose clients come over streams.
    """

    def setUp(self) -> None:
        """
        Have such a server.
        """
        self.proxy = MemoryProxy()
        self.muxes = Muxes(clock=self.proxy.network, streamFactory=self.proxy.factory)

    def ask(self, message: bytes, client: Application | None = None) -> Application:
        """
        Make a request.
        """
        asking = client or HalfCloseable()
        self.muxes.open(asking)
        asking.transport.write(NO_AUTHENTICATION)
        self.muxes.settle()
        self.assertEqual(asking.data, b"\5\0")
        asking.transport.write(message)
        self.muxes.settle()
        return asking

    def test_connect(self) -> None:
        """
        A client connects, and half-closes in either direction arrive.
        """
        for first in ("client", "target"):
            client = self.ask(TO_WEB)
            target = self.proxy.target()
            self.assertEqual(client.data, b"\5\0" + GRANTED)
            client.transport.write(b"GET /")
            target.peerSends(b"200 ")
            self.muxes.settle()
            self.assertEqual(target.take(), b"GET /")
            if first == "client":
                client.transport.loseWriteConnection()
                self.muxes.settle()
                self.assertTrue(target.ended)
                target.peerSends(b"OK")
                target.peerEnds()
            else:
                target.peerSends(b"OK")
                target.peerEnds()
                self.muxes.settle()
                self.assertEqual(client.told, ["made", "read"])
                client.transport.write(b" more")
                client.transport.loseWriteConnection()
                self.muxes.settle()
                self.assertEqual(target.take(), b" more")
            self.muxes.settle()
            self.assertEqual(client.data, b"\5\0" + GRANTED + b"200 OK")
            self.assertEqual(client.end, ConnectionDone)
            self.assertTrue(target.lost)
            self.assertTrue(self.muxes.idle)
            self.assertEqual(self.proxy.inbound.connections, set())

    def test_refused(self) -> None:
        """
        A client that is refused gets the answer, and the end.
        """
        client = self.ask(request("192.0.2.1", 81))
        self.assertEqual(client.data[:4], b"\5\0\5\5")
        self.assertEqual(client.told, ["made", "read"])
        client.transport.loseConnection()
        self.muxes.settle()
        self.assertTrue(self.muxes.idle)

    def test_silent(self) -> None:
        """
        A client that says nothing is dropped after a while, and a session with
        such clients goes on.
        """
        client = self.muxes.open()
        self.muxes.wait(30)
        self.assertEqual(client.end, ConnectionLost)
        self.assertFalse(self.muxes.there.lost)
        self.assertTrue(self.ask(TO_WEB).data.endswith(GRANTED))

    def test_clientLeaves(self) -> None:
        """
        A client that closes while the target is dialled ends the dialling as
        one over TCP does: when its end is known to be that of both directions.
        """
        client = self.ask(TO_SILENCE)
        self.muxes.here.abortConnection()
        self.muxes.settle()
        self.assertEqual(client.end, ConnectionLost)
        self.assertEqual(self.proxy.network.cancelled, 1)
        self.assertEqual(self.proxy.inbound.connections, set())

    def test_manyClients(self) -> None:
        """
        A hundred clients of one session are served next to one another.
        """
        clients = [self.muxes.open() for _ in range(100)]
        for client in clients:
            client.transport.write(NO_AUTHENTICATION + TO_WEB)
        self.muxes.settle()
        targets = [attempt.transport for attempt in self.proxy.network.attempts]
        self.assertEqual(len(targets), 100)
        for number, target in enumerate(targets):
            assert target is not None
            target.peerSends(b"%d" % number)
        self.muxes.settle()
        self.assertEqual(
            [client.data for client in clients],
            [b"\5\0" + GRANTED + b"%d" % number for number in range(100)],
        )


class NestedTests(SynchronousTestCase):
    """
    A session over a stream of a session.
    """

    def test_nested(self) -> None:
        """
        A stream carries a session as any other transport does.
        """
        from socksproxy.smux.protocol import MuxProtocol, MuxServerFactory

        outer = Muxes()
        accepted = Applications(HalfCloseable)
        factory = MuxServerFactory(outer.clock, accepted)
        outer.accepted.make = lambda: factory.buildProtocol(None)
        inner = MuxProtocol(outer.clock, SmuxConfig(version=1), client=True)
        outer.client.openStream(inner)
        client = HalfCloseable()
        inner.openStream(client)
        data = bytes(range(256)) * 8000
        client.transport.write(data)
        client.transport.loseWriteConnection()
        outer.settle()
        (server,) = accepted.made
        self.assertTrue(server.data == data)
        server.transport.write(b"thanks")
        server.transport.loseConnection()
        outer.settle()
        self.assertEqual((client.data, client.end), (b"thanks", ConnectionDone))
        inner.close()
        outer.settle()
        self.assertTrue(outer.idle)
        self.assertEqual(factory.sessions, set())

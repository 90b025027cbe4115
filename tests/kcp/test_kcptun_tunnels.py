"""
Tests for L{socksproxy.kcp.kcptun}: tunnels on a network, and those whose other
end goes away.
"""

from __future__ import annotations

import random
from typing import Any
from unittest.mock import Mock, patch

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionLost
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface.verify import verifyObject

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.crypt import CIPHERS
from socksproxy.kcp.kcptun import (
    TIMERS,
    _Together,
    clientEndpoint,
    serverEndpoint,
    tunnelFrom,
)
from socksproxy.testing import DatagramNetwork
from tests.kcp.network import CLIENT, HOST, PORT
from tests.kcp.tunnels import KEY, LOST, USUAL, Echo, TunnelTestCase, numbered
from tests.smux.muxes import Applications, HalfCloseable


class TunnelTests(TunnelTestCase):
    """
    Tunnels when all is well.
    """

    def test_interfaces(self) -> None:
        """
        Their ends are endpoints of Twisted's, on one port as on several.
        """
        for ports in ("29900", "29900-29902"):
            self.start(ports)
            verifyObject(IStreamServerEndpoint, self.server())
            verifyObject(IStreamClientEndpoint, self.client)
            verifyObject(IListeningPort, self.port)
            self.assertEqual(self.port.getHost(), IPv4Address("UDP", HOST, 29900))

    def test_ciphers(self) -> None:
        """
        Any cipher will do, and key and salt have to be alike.
        """
        for crypt in ("aes", "null", "salsa20"):
            self.start(crypt=crypt, salt="ours")
            self.echoed(self.connect(), limit=1)
        for other in ({"key": "another"}, {"salt": "another"}):
            tunnel = tunnelFrom({**self.given, **other, "interface": CLIENT})
            stranger = clientEndpoint(self.network, HOST, [PORT], tunnel)
            application = self.connect(stranger)
            application.transport.write(b"hello")
            self.network.advance(2)
            self.assertEqual(application.data, b"")

    def test_compressed(self) -> None:
        """
        Everything is compressed unless C{nocomp} says otherwise.
        """
        sent = []
        for nocomp in ("no", "yes"):
            self.start(nocomp=nocomp, latency=5)
            application = self.connect()
            application.transport.write(bytes(200000))
            self.network.advance(2)
            self.assertEqual(len(application.data), 200000)
            sent.append(sum(way.sent for way in self.network.directions.values()))
        self.assertLess(sent[0] * 4, sent[1])

    def test_reachTheCarrier(self) -> None:
        """
        Both ends of KCP are made with what is given.
        """
        self.start(mode="fast3", mtu="1200", dscp="46", sockbuf="65536", crypt="aes", salt="ours")
        ends: list[Any] = [self.server(), self.client]
        for carrier in [end._carrier for end in ends]:
            self.assertEqual(carrier._config, KCPConfig.forMode("fast3", mtu=1200))
            self.assertEqual((carrier._dscp, carrier._bufferSize), (46, 65536))
            self.assertEqual((carrier._crypt, carrier._timers), ("aes", TIMERS))

    def test_wrongLater(self) -> None:
        """
        What only KCP knows to be wrong is told when an end is made.
        """
        self.start()
        known = ", ".join(CIPHERS)
        for given, sentence in (
            ({"crypt": "rot13"}, f"crypt is 'rot13' and has to be of {known}"),
            ({"key": ""}, "key is empty"),
            ({"interface": "eth0"}, "interface is 'eth0' and has to be a numeric address"),
            ({"mtu": "50"}, "an mtu of 50 leaves no room for data"),
        ):
            tunnel = tunnelFrom({**self.given, **given})
            for make in (
                lambda tunnel=tunnel: serverEndpoint(self.network, [PORT], tunnel),
                lambda tunnel=tunnel: clientEndpoint(self.network, HOST, [PORT], tunnel),
            ):
                error = self.assertRaises(ConfigurationError, make)
                self.assertEqual(str(error), sentence)

    def test_manySessions(self) -> None:
        """
        With C{conn} streams are spread over sessions.
        """
        self.start(conn="3")
        for _ in range(6):
            self.connect()
        self.assertEqual(len(self.sockets(CLIENT)), 3)
        self.assertEqual(
            [s.numbers["streams"] for s in self.client.report() if s.kind == "mux-session"],
            [2, 2, 2],
        )

    def test_clientsOnly(self) -> None:
        """
        What is for clients means nothing to servers, which say so.
        """
        for name in ("conn", "autoexpire", "scavengettl"):
            tunnel = tunnelFrom({"key": KEY, "nocomp": "yes", name: "1"})
            error = self.assertRaises(
                ConfigurationError, serverEndpoint, DatagramNetwork(), [PORT], tunnel
            )
            self.assertEqual(str(error), f"{name} means nothing for a server of kcp:")

    def test_renewed(self) -> None:
        """
        Sessions are renewed after C{autoexpire}, and the old ones go when
        their streams do, or C{scavengettl} later.
        """
        self.start(autoexpire="60", scavengettl="30")
        ending, staying = self.connect(), self.connect()
        self.echoed(staying, limit=1)
        self.network.advance(61)
        self.assertEqual(len(self.sockets(CLIENT)), 1)
        self.echoed(self.connect(), limit=1)
        self.assertEqual(len(self.sockets(CLIENT)), 2)
        self.echoed(ending, limit=1)
        self.network.advance(31)
        self.assertIsNotNone(ending.reason)
        self.assertEqual(len(self.sockets(CLIENT)), 1)

    def test_nothingLeft(self) -> None:
        """
        When all is closed there is no socket and no timer.
        """
        self.start(conn="2", autoexpire="600")
        applications = [self.connect() for _ in range(4)]
        for application in applications:
            self.echoed(application, limit=1)
            application.transport.loseConnection()
        for accepted in self.accepted.made:
            accepted.transport.loseConnection()
        self.client.close()
        self.port.stopListening()
        self.network.advance(5)
        self.assertEqual(self.sockets(CLIENT) + self.sockets(HOST), [])
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_rareSignsOfLife(self) -> None:
        """
        With the longest C{keepalive} a tunnel that has nothing to do stays.
        """
        self.start(keepalive="30")
        application = self.connect()
        self.echoed(application, limit=1)
        self.network.advance(600)
        self.assertIsNone(application.reason)
        self.echoed(application, limit=1)


class PortsTests(TunnelTestCase):
    """
    Tunnels on several ports.
    """

    def test_all(self) -> None:
        """
        A server listens on all of them, and is one port to who closes it.
        """
        self.start("29900-29903")
        ports = [each.port for each in self.sockets(HOST)]
        self.assertEqual(ports, [29900, 29901, 29902, 29903])
        self.port.startListening()
        self.successResultOf(self.port.stopListening())
        self.assertEqual(self.sockets(HOST), [])

    def test_none(self) -> None:
        """
        If one of them is taken it listens on none.
        """
        self.start("29902")
        failing = self.server("29900-29903").listen(Applications(Echo))
        self.failureResultOf(failing, CannotListenError)
        self.assertEqual([each.port for each in self.sockets(HOST)], [29902])

    def test_noneAnyMore(self) -> None:
        """
        That is said when those that were open are closed, which takes time.
        """
        closing: Deferred[None] = Deferred()
        open_ = Mock(stopListening=lambda: closing)
        endpoints = [Mock(listen=lambda factory: succeed(open_)) for _ in range(2)]
        endpoints.append(Mock(listen=lambda factory: fail(CannotListenError("", 0, OSError()))))
        listening = _Together(endpoints).listen(Applications(Echo))
        self.assertNoResult(listening)
        closing.callback(None)
        self.failureResultOf(listening, CannotListenError)

    def test_factory(self) -> None:
        """
        The factory is started once and stopped once, also if it listens on
        none.
        """
        self.start("29902")
        factory = Applications(Echo)
        self.server("29900-29903").listen(factory).addErrback(lambda failure: None)
        self.network.advance(0)
        self.assertEqual(factory.numPorts, 0)
        port: Any = self.successResultOf(self.server("29904-29906").listen(factory))
        self.assertGreater(factory.numPorts, 0)
        port.stopListening()
        self.network.advance(0)
        self.assertEqual(factory.numPorts, 0)

    def test_choice(self) -> None:
        """
        A client takes any of them for each session, and keeps it.
        """
        self.start("29900-29903", conn="16")
        applications = [self.connect() for _ in range(16)]
        for application in applications:
            self.echoed(application, limit=1)
        used = {port for (_, (host, port)) in self.network.directions if host == HOST}
        self.assertGreater(len(used), 1)
        self.assertLessEqual(used, {29900, 29901, 29902, 29903})
        ways = [way for way in self.network.directions if way[1][0] == HOST]
        self.assertEqual(len(ways), 16)

    def test_another(self) -> None:
        """
        If one of them is dead, those who connect get through on another.
        """
        self.start("29900-29901")
        with patch.object(random, "choice", lambda several: several[0]):
            application = self.connect()
            self.echoed(application, limit=1)
        self.network.setConditions(LOST, destination=(HOST, 29900))
        application.transport.write(b"lost")
        self.network.advance(3.5)
        with patch.object(random, "choice", lambda several: several[1]):
            self.echoed(self.connect(), limit=1.5)


class DeadPeerTests(TunnelTestCase):
    """
    Tunnels whose other end goes away, while data goes both ways.
    """

    def setUp(self) -> None:
        """
        Start, with a stream on which there is a message ten times a second.
        """
        self.start()
        self.talking = self.connect()
        self.messages = numbered()
        self.said = b""
        self.going = True
        self.talk()
        self.network.advance(5)
        self.assertTrue(self.talking.data)
        self.heard = self.accepted.made[0]

    def talk(self) -> None:
        """
        Write a message, now and again.
        """
        if self.going and self.talking.reason is None:
            message = next(self.messages)
            self.said += message
            self.talking.transport.write(message)
            self.network.callLater(0.1, self.talk)

    def assertOnce(self) -> None:
        """
        Require that what arrived is what was sent, from the beginning, and
        nothing of it twice.
        """
        for data in (self.heard.data, self.talking.data):
            self.assertTrue(data)
            self.assertEqual(data, self.said[: len(data)])

    def back(self, after: float = 3.5) -> None:
        """
        Require that who connects some time after the event is served within
        five seconds of it.
        """
        self.network.advance(after)
        application = self.connect()
        self.echoed(application, limit=5 - after)
        self.assertEqual(application.data, b"hello")

    def test_serverRestarts(self) -> None:
        """
        A server that was restarted without a word is noticed, and old streams
        are lost within twenty seconds.
        """
        (socket,) = self.sockets(HOST)
        socket.stopListening()
        self.network.advance(0)
        self.assertIs(self.heard.end, ConnectionLost)
        again = Applications(Echo)
        self.successResultOf(self.server().listen(again))
        self.back()
        self.assertEqual([each.data for each in again.made], [b"hello"])
        self.network.advance(16.5)
        self.assertIs(self.talking.end, ConnectionLost)
        self.assertOnce()

    def test_addressChanges(self) -> None:
        """
        So is a change of the client's address that only the server sees.
        """
        (socket,) = self.sockets(CLIENT)
        self.network.rebind(socket)
        self.back()
        self.network.advance(16.5)
        self.assertIs(self.talking.end, ConnectionLost)
        self.assertIs(self.heard.end, ConnectionLost)
        self.assertOnce()
        self.assertEqual(len(self.sockets(CLIENT)), 1)

    def test_interruption(self) -> None:
        """
        Over an interruption of ten seconds streams go on, and everything
        arrives, once.
        """
        self.network.setConditions(LOST)
        self.network.advance(10)
        self.network.setConditions(USUAL)
        self.echoed(self.connect(), limit=5)
        self.going = False
        self.network.advanceUntil(lambda: self.talking.data == self.said, limit=10)
        self.assertIsNone(self.talking.reason)
        self.assertOnce()

    def test_manyInterruptions(self) -> None:
        """
        Each interruption has a session made, and they do not add up.
        """
        for _ in range(8):
            self.network.setConditions(LOST)
            self.network.advance(5)
            self.connect()
            self.network.setConditions(USUAL)
            self.network.advance(20)
            self.connect().transport.loseConnection()
            self.assertIsNone(self.talking.reason)
        usable = [s for s in self.client.report() if s.numbers.get("usable") == "yes"]
        self.assertEqual(len(usable), 1)
        self.assertOnce()

    def test_idleSessions(self) -> None:
        """
        One session that notices is enough: others from which nothing has come
        since then are not trusted either.
        """
        self.start(conn="3")
        self.talking = self.connect()
        others = [self.connect() for _ in range(2)]
        for application in (self.talking, *others):
            self.echoed(application, limit=1)
        for application in (*others, *self.accepted.made[1:]):
            application.transport.loseConnection()
        self.network.advance(2)
        self.assertEqual(len(self.sockets(CLIENT)), 3)
        self.talking.transport.write(b"soon")
        (socket,) = self.sockets(HOST)
        socket.stopListening()
        self.successResultOf(self.server().listen(Applications(Echo)))
        self.back()

    def test_idle(self) -> None:
        """
        While nothing else is sent, signs of life are what a dead server is
        noticed by.
        """
        self.going = False
        self.network.advance(1)
        (socket,) = self.sockets(HOST)
        socket.stopListening()
        self.successResultOf(self.server().listen(Applications(Echo)))
        self.network.advance(13.5)
        self.echoed(self.connect(), limit=1)

    def test_idleFirst(self) -> None:
        """
        A session that has died since anything was sent gets the first stream
        yet, which fails within five seconds. The next one gets through.
        """
        self.going = False
        self.talking.transport.loseConnection()
        self.heard.transport.loseConnection()
        self.network.advance(2)
        (socket,) = self.sockets(HOST)
        socket.stopListening()
        self.successResultOf(self.server().listen(Applications(Echo)))
        application = self.connect()
        application.transport.write(b"lost")
        self.network.advance(3.5)
        self.assertIsNone(application.reason)
        self.network.advance(1.5)
        self.assertIs(application.end, ConnectionLost)
        self.echoed(self.connect(), limit=1)
        self.assertEqual(len(self.sockets(CLIENT)), 1)

    def test_goneForGood(self) -> None:
        """
        A server that does not come back costs its streams, and leaves nothing;
        those who connect meanwhile are told as well.
        """
        (socket,) = self.sockets(HOST)
        socket.stopListening()
        others = []
        for _ in range(5):
            self.network.advance(3.5)
            others.append(self.connect())
            others[-1].transport.write(b"anybody?")
        self.network.advance(20)
        for application in (self.talking, *others):
            self.assertIs(application.end, ConnectionLost)
        self.assertEqual(self.sockets(CLIENT), [])
        self.network.advance(60)
        self.assertEqual(self.network.getDelayedCalls(), [])


class StalledTests(TunnelTestCase):
    """
    What a session of KCP says of itself.
    """

    def test_stalled(self) -> None:
        """
        It counts from when something is under way of which nothing is
        acknowledged, and starts again when some of it is.
        """
        self.start()
        application = self.connect()
        mux = application.transport.mux
        self.echoed(application, limit=1)
        self.network.advance(8)
        self.assertEqual(mux.stalled, 0)
        self.network.setConditions(LOST)
        application.transport.write(b"more")
        self.network.advance(2)
        self.assertApproximates(mux.stalled, 2, 0.1)
        self.network.advance(1.5)
        self.assertApproximates(mux.stalled, 3.5, 0.1)
        self.network.setConditions(USUAL)
        self.network.advance(5)
        self.assertEqual(mux.stalled, 0)

    def test_closedWindow(self) -> None:
        """
        A peer that has said that it has no room is not to blame.
        """
        self.start(smuxver="1", smuxbuf="65536", streambuf="65536", rcvwnd="32")
        self.accepted.make = HalfCloseable
        application = self.connect()
        application.transport.write(b"hello")
        self.network.advance(1)
        (accepted,) = self.accepted.made
        accepted.transport.pauseProducing()
        application.transport.write(bytes(1000000))
        self.network.advance(2)
        carrier = application.transport.mux.transport
        for _ in range(100):
            self.network.advance(0.37)
            self.assertEqual(carrier.stalled, 0)
        self.assertIsNone(application.reason)
        accepted.transport.resumeProducing()
        self.network.advanceUntil(lambda: len(accepted.data) == 1000005, limit=60)

"""
Tests for L{socksproxy.kcp.kcptun}: kcptun's parameters, and tunnels whose
other end goes away.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
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
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import MODES, KCPConfig
from socksproxy.kcp.crypt import CIPHERS
from socksproxy.kcp.kcptun import (
    MANUAL,
    MAX_KEY,
    MAX_PORTS,
    PARAMETERS,
    TIMERS,
    Tunnel,
    _Together,
    clientEndpoint,
    portsFrom,
    serverEndpoint,
    tunnelFrom,
)
from socksproxy.smux.config import DEFAULT_CONFIG
from socksproxy.smux.endpoints import MuxClientEndpoint
from socksproxy.testing import Conditions, DatagramNetwork
from tests.files import temporaryFolder
from tests.kcp.network import CLIENT, HOST, PORT
from tests.smux.muxes import Applications, HalfCloseable

KEY = "a secret that is found in no text"

USUAL = Conditions(latency=20)

LOST = Conditions(loss=1.0)
"""
Nothing arrives.
"""


class ParameterTests(SynchronousTestCase):
    """
    Parameters, as texts.
    """

    def read(self, **given: str) -> Tunnel:
        """
        Read parameters, with a key if none is given.
        """
        if "keyFile" not in given:
            given.setdefault("key", KEY)
        return tunnelFrom(given)

    def refused(self, **given: str) -> str:
        """
        See that parameters are refused, without a word about the key.

        @return: The sentence.
        """
        error = self.assertRaises(ConfigurationError, self.read, **given)
        self.assertNotIn(KEY, f"{error!r} {error}")
        return str(error)

    def test_defaults(self) -> None:
        """
        A key is enough. The rest is kcptun's.
        """
        tunnel = self.read()
        self.assertEqual(tunnel, Tunnel(KEY.encode()))
        self.assertEqual((tunnel.crypt, tunnel.salt), ("aes", b"kcp-go"))
        self.assertEqual((tunnel.config, tunnel.mux), (MODES["fast"], DEFAULT_CONFIG))
        config = tunnel.config
        self.assertEqual((config.mtu, config.datashard, config.parityshard), (1350, 10, 3))
        self.assertEqual((tunnel.compress, tunnel.interface, tunnel.pool), (True, "", {}))

    def test_names(self) -> None:
        """
        They are kcptun's, and some more.
        """
        kcptuns = """
            key crypt mode mtu sndwnd rcvwnd datashard parityshard dscp nocomp acknodelay nodelay
            interval resend nc sockbuf smuxver smuxbuf streambuf framesize keepalive ratelimit
            conn autoexpire scavengettl
        """
        ours = "keyFile salt interface congestion pacing adaptive acktwice"
        self.assertEqual(PARAMETERS, {*kcptuns.split(), *ours.split()})

    def test_config(self) -> None:
        """
        What is for KCP gets there.
        """
        tunnel = self.read(
            mode="fast3",
            mtu="1400",
            sndwnd="2048",
            rcvwnd="4096",
            datashard="20",
            parityshard="5",
            ratelimit="1000000",
            acknodelay="yes",
            pacing="yes",
            adaptive="yes",
            acktwice="yes",
            congestion="bbr",
        )
        expected = KCPConfig.forMode(
            "fast3",
            mtu=1400,
            sndwnd=2048,
            rcvwnd=4096,
            datashard=20,
            parityshard=5,
            ratelimit=1000000,
            acknodelay=True,
            pacing=True,
            adaptive=True,
            acktwice=True,
            congestion="bbr",
        )
        self.assertEqual(tunnel.config, expected)

    def test_modes(self) -> None:
        """
        Modes are presets, and what they settle cannot be given beside them.
        """
        for mode, preset in MODES.items():
            self.assertEqual(self.read(mode=mode).config, preset)
            for name in ("nodelay", "interval", "resend", "nc"):
                sentence = f"{name} counts with mode=manual only"
                self.assertEqual(
                    self.refused(mode=mode, **{name: "10"[: 1 + (name == "interval")]}), sentence
                )
        self.assertEqual(
            self.refused(mode="fast9"),
            "mode is 'fast9' and has to be of normal, fast, fast2, fast3, manual",
        )

    def test_manual(self) -> None:
        """
        In the mode C{manual} they count, and C{nc} stands for the congestion
        control, which can be named.
        """
        self.assertEqual(self.read(mode="manual").config, MANUAL)
        self.assertEqual((MANUAL.nodelay, MANUAL.interval, MANUAL.resend), (False, 50, 0))
        read = self.read(mode="manual", nodelay="1", interval="20", resend="2", nc="1").config
        self.assertEqual(
            read, replace(MANUAL, nodelay=True, interval=20, resend=2, congestion="none")
        )
        for nc, congestion in (("0", "window"), ("1", "none")):
            self.assertEqual(self.read(mode="manual", nc=nc).config.congestion, congestion)
            given = self.read(mode="manual", nc=nc, congestion="bbr")
            self.assertEqual(given.config.congestion, "bbr")

    def test_elsewhere(self) -> None:
        """
        So does what is for streams, for sessions, and for the socket.
        """
        tunnel = self.read(
            smuxver="1",
            streambuf="100000",
            nocomp="yes",
            conn="3",
            autoexpire="60",
            scavengettl="10",
            sockbuf="100000",
            dscp="46",
            crypt="aes-128-gcm",
            salt="ours",
            interface="192.0.2.1",
        )
        self.assertEqual((tunnel.mux.version, tunnel.mux.streambuf), (1, 100000))
        self.assertEqual(tunnel.pool, {"sessions": 3, "autoexpire": 60, "scavengettl": 10})
        self.assertEqual(tunnel.socket, {"bufferSize": 100000, "dscp": 46})
        self.assertEqual((tunnel.crypt, tunnel.salt), ("aes-128-gcm", b"ours"))
        self.assertEqual((tunnel.compress, tunnel.interface), (False, "192.0.2.1"))

    def test_wrong(self) -> None:
        """
        What cannot be is told with its name and what it is.
        """
        for name, text, allowed in (
            ("mtu", "49", "50 to 1500"),
            ("mtu", "1501", "50 to 1500"),
            ("sndwnd", "0", "1 to 65535"),
            ("rcvwnd", "65536", "1 to 65535"),
            ("datashard", "256", "0 to 255"),
            ("parityshard", "many", "0 to 255"),
            ("ratelimit", "-1", "0 to 1099511627776"),
            ("acknodelay", "true", "yes or no"),
            ("pacing", "1", "yes or no"),
            ("adaptive", "", "yes or no"),
            ("acktwice", "YES", "yes or no"),
            ("sockbuf", "4095", "4096 to 1073741824"),
            ("dscp", "64", "0 to 63"),
            ("smuxver", "3", "1 to 2"),
            ("conn", "0", "1 to 256"),
        ):
            sentence = f"{name} is {text or 'empty'} and has to be {allowed}"
            self.assertEqual(self.refused(**{name: text}), sentence)
        for name, text, allowed in (
            ("nodelay", "2", "0 to 1"),
            ("interval", "9", "10 to 5000"),
            ("resend", "65536", "0 to 65535"),
            ("nc", "yes", "0 to 1"),
        ):
            sentence = f"{name} is {text} and has to be {allowed}"
            self.assertEqual(self.refused(mode="manual", **{name: text}), sentence)
        self.assertEqual(
            self.refused(congestion="cubic"),
            "congestion is 'cubic' and has to be of none, window, bbr",
        )
        self.assertEqual(
            self.refused(datashard="200", parityshard="57"),
            "datashard and parityshard are more than 256 together",
        )

    def test_unknown(self) -> None:
        """
        What is no parameter is told, the first of several.
        """
        self.assertEqual(self.refused(quiet="yes", keyfile="k"), "keyfile means nothing for kcp:")

    def test_key(self) -> None:
        """
        There has to be one key, given or in a file.
        """
        sentence = "kcp: needs key= or keyFile=, and not both"
        for given in ({}, {"key": KEY, "keyFile": "/nowhere"}):
            error = self.assertRaises(ConfigurationError, tunnelFrom, given)
            self.assertEqual(str(error), sentence)
        self.assertEqual(self.read(key="k\u00e4\udcff").key, b"k\xc3\xa4\xff")
        self.assertNotIn(KEY, repr(self.read()))

    def keyFile(self, content: bytes) -> str:
        """
        Write a key file.
        """
        path = temporaryFolder(self) / "key"
        path.write_bytes(content)
        return str(path)

    def test_keyFile(self) -> None:
        """
        A key file has the key and perhaps an end of line.
        """
        for content, key in (
            (b"secret", b"secret"),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b" two\nlines \n", b" two\nlines "),
            (b"\x00\xff\n", b"\x00\xff"),
            (b"k" * MAX_KEY + b"\n", b"k" * MAX_KEY),
        ):
            self.assertEqual(self.read(keyFile=self.keyFile(content)).key, key)

    def test_keyFileWrong(self) -> None:
        """
        A file that cannot be read, is empty, or has too much in it is told by
        its path, and nothing that is in it.
        """
        for content in (b"", b"\n", b"\r\n", KEY.encode() * MAX_KEY):
            path = self.keyFile(content)
            self.assertEqual(self.refused(keyFile=path), f"key file {path}: it is empty, or no key")
        folder = str(temporaryFolder(self))
        for path, why in (
            (os.path.join(folder, "nothing"), "No such file or directory"),
            (folder, "Is a directory"),
            ("a\0b", "embedded null byte"),
        ):
            self.assertEqual(self.refused(keyFile=path), f"key file {path}: {why}")
        self.assertEqual(self.refused(keyFile=""), "keyFile is empty")

    def test_ports(self) -> None:
        """
        A port is one, or there are several one after the other.
        """
        self.assertEqual(list(portsFrom("29900", 1)), [29900])
        self.assertEqual(list(portsFrom("0", 0)), [0])
        self.assertEqual(list(portsFrom("29900-29902", 1)), [29900, 29901, 29902])
        self.assertEqual(list(portsFrom("29900-29900", 0)), [29900])
        self.assertEqual(len(portsFrom(f"1-{MAX_PORTS}", 0)), MAX_PORTS)

    def test_portsWrong(self) -> None:
        """
        Others are told. Any port, which 0 is, is no beginning of several.
        """
        for text, least, sentence in (
            ("", 0, "port is empty and has to be 0 to 65535"),
            ("http", 0, "port is http and has to be 0 to 65535"),
            ("0", 1, "port is 0 and has to be 1 to 65535"),
            ("65536", 1, "port is 65536 and has to be 1 to 65535"),
            ("0-2", 0, "port is 0 and has to be 1 to 65535"),
            ("5-", 0, "port is empty and has to be 1 to 65535"),
            ("-5", 0, "port is empty and has to be 1 to 65535"),
            ("1-2-3", 0, "port is 2-3 and has to be 1 to 65535"),
            ("5-4", 0, f"the ports 5-4 are not 1 to {MAX_PORTS}"),
            ("1-1025", 0, f"the ports 1-1025 are not 1 to {MAX_PORTS}"),
        ):
            error = self.assertRaises(ConfigurationError, portsFrom, text, least)
            self.assertEqual(str(error), sentence)


class Echo(HalfCloseable):
    """
    An application that sends back what it gets.
    """

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


def numbered() -> Iterator[bytes]:
    """
    Make messages none of which is like another.
    """
    number = 0
    while True:
        yield b"%08d;" % number
        number += 1


class TunnelTestCase(SynchronousTestCase):
    """
    Tests with a server and a client on a network.
    """

    def start(self, ports: str = str(PORT), latency: int = 20, **given: str) -> None:
        """
        Start both.

        @param latency: Milliseconds that a datagram takes.
        @param given: Parameters.
        """
        self.network = DatagramNetwork(latency=latency)
        self.given = {"key": KEY, "crypt": "aes-128-gcm", "nocomp": "yes", **given}
        self.ports = ports
        self.accepted = Applications(Echo)
        self.port = self.successResultOf(self.server().listen(self.accepted))
        tunnel = tunnelFrom({**self.given, "interface": CLIENT})
        self.client = clientEndpoint(self.network, HOST, portsFrom(ports, 1), tunnel)

    def server(self, ports: str | None = None) -> IStreamServerEndpoint:
        """
        Make a server's endpoint.
        """
        tunnel = tunnelFrom({**self.given, "interface": HOST})
        return serverEndpoint(self.network, portsFrom(ports or self.ports, 0), tunnel)

    def connect(self, client: MuxClientEndpoint | None = None) -> Any:
        """
        Open a stream.

        @return: Its application.
        """
        connecting: Deferred[Any] = (client or self.client).connect(Applications(HalfCloseable))
        return self.successResultOf(connecting)

    def echoed(self, application: Any, limit: float) -> float:
        """
        Require that something is sent and comes back.

        @param limit: Seconds in which it has to.
        @return: Seconds that it took.
        """
        before = len(application.data)
        application.transport.write(b"hello")
        return self.network.advanceUntil(lambda: len(application.data) == before + 5, limit=limit)

    def sockets(self, host: str) -> list[Any]:
        """
        Give the open sockets of a host.
        """
        return [each for each in self.network.datagrams if each.host == host and each.open]


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
            self.network.advanceUntil(lambda a=application: len(a.data) == 200000, limit=5)
            sent.append(sum(way.sent for way in self.network.directions.values()))
        self.assertLess(sent[0] * 4, sent[1])

    def test_reachTheCarrier(self) -> None:
        """
        Both ends of KCP are made with what is given.
        """
        self.start(mode="fast3", mtu="1200", dscp="46", sockbuf="65536", crypt="aes", salt="ours")
        for endpoint in (self.server(), self.client):
            carrier: Any = endpoint._carrier  # type: ignore[attr-defined]
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

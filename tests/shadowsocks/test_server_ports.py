"""
Tests for L{socksproxy.shadowsocks.server}.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.address import Destination, hostFromName
from socksproxy.auth.sharedkey import SharedKeyChecker
from socksproxy.errors import ConfigurationError
from socksproxy.inbound import Inbound, InboundFactory
from socksproxy.interfaces import ClientOrigin
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.ports import ProxyPort
from socksproxy.shadowsocks import server as serving
from socksproxy.shadowsocks._keys import accountFor
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packetclient import clientPackets
from socksproxy.shadowsocks._replay import SaltMemory, SaltPool
from socksproxy.shadowsocks.plugin import Plugin
from socksproxy.shadowsocks.saltfile import leaveSalts
from socksproxy.shadowsocks.server import TRIES, ShadowsocksServer
from socksproxy.shadowsocks.url import shadowsocksFromURL
from socksproxy.state import IKeepsSessions
from socksproxy.testing import MemoryTransport
from tests.files import temporaryFolder
from tests.logs import atLevel, captured, texts
from tests.memoryproxy import WORLD, MemoryProxy, SoleUser
from tests.shadowsocks.serving import CLASSIC, NEW, PATIENCE, WEB, Client
from tests.shadowsocks.streams import NOW, clientOf
from tests.shadowsocks.test_plugin import Reactor, Spawned

PASSWORD = "correct-horse-battery-staple"
KEY = b64encode(bytes(range(16))).decode()
PUBLIC = "203.0.113.1"
ACCOUNTS = {
    CLASSIC: accountFor(METHODS[CLASSIC], PASSWORD),
    NEW: accountFor(METHODS[NEW], KEY),
}


def link(method: str = CLASSIC, place: str = f"{PUBLIC}:8388", query: str = "") -> str:
    """
    Write a link.
    """
    password = PASSWORD if method == CLASSIC else KEY.replace("=", "%3D").replace("/", "%2F")
    return f"ss://{method}:{password}@{place}{query and '/?' + query}"


class Host(Reactor):
    """
    A reactor whose ports can be taken.

    @ivar taken: Those that are, of whichever kind.
    """

    def __init__(self) -> None:
        super().__init__(dict(WORLD))  # type: ignore[arg-type]
        self.taken: set[tuple[str, int]] = set()

    def listenTCP(self, port: int, *arguments: Any, **more: Any) -> Any:
        """
        See C{IReactorTCP}.
        """
        self._require("tcp", port)
        return super().listenTCP(port, *arguments, **more)

    def listenUDP(self, port: int, *arguments: Any, **more: Any) -> Any:
        """
        See C{IReactorUDP}.
        """
        self._require("udp", port)
        return super().listenUDP(port, *arguments, **more)

    def _require(self, kind: str, port: int) -> None:
        if (kind, port) in self.taken:
            error = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError("", port, error)


class ServerTestCase(SynchronousTestCase):
    """
    Tests with servers.

    @ivar network: What they listen on, and time.
    """

    def setUp(self) -> None:
        """
        Have a host.
        """
        self.events = self.enterContext(captured())
        self.network = Host()
        self.realm: Any = None
        self.listened: list[str] = []
        self.found = iter(range(40001, 50000))
        self.limits = ConnectionLimits()

    def now(self) -> float:
        """
        Give seconds since 1970.
        """
        return NOW + self.network.seconds()

    def listen(
        self, description: str, factoryFor: Callable[[Inbound], InboundFactory]
    ) -> ProxyPort:
        """
        Listen, as a service does.
        """
        self.listened.append(description)
        proxy = MemoryProxy(
            WORLD,
            [SharedKeyChecker()],
            (),
            network=self.network,
            realm=self.realm,
            limits=self.limits,
        )
        port = ProxyPort(description, proxy.inbound)
        endpoint = serverFromString(self.network, description)
        port.start(endpoint.listen(factoryFor(proxy.inbound)))
        return port

    def server(self, text: str, **options: Any) -> ShadowsocksServer:
        """
        Make a server.
        """
        options.setdefault("findPort", lambda host: next(self.found))
        return ShadowsocksServer(
            self.network,
            shadowsocksFromURL(text),
            self.listen,
            patience=PATIENCE,
            wallClock=self.now,
            monotonic=self.network.seconds,
            **options,
        )

    def opened(self, text: str, **options: Any) -> ShadowsocksServer:
        """
        Make one and open its ports.
        """
        server = self.server(text, **options)
        server.open()
        return server

    def open(self) -> list[tuple[str, str, int]]:
        """
        Give the ports that are open.
        """
        streams = [
            ("tcp", each.getHost().host, each.getHost().port)
            for each in self.network.listeners
            if each.open
        ]
        return streams + [("udp", each.host, each.port) for each in self.datagramPorts()]

    def datagramPorts(self) -> list[Any]:
        """
        Give the open ports for datagrams.
        """
        return [each for each in self.network.datagrams if each.open]

    def connect(self, host: str = "198.51.100.7") -> MemoryTransport:
        """
        Connect to the last listener.
        """
        transport = self.network.listeners[-1].peerConnects(host, 40000)
        assert transport is not None
        return transport

    def client(self, method: str = CLASSIC, late: int = 0, host: str = "198.51.100.7") -> Client:
        """
        Connect a client to the last listener.
        """
        stream = clientOf(ACCOUNTS[method], WEB, wallClock=lambda: self.now() + late)
        return Client(self.connect(host), stream)

    def assertRefused(self, text: str, reason: str, **options: Any) -> None:
        """
        Require that a server cannot be opened, for a reason of one line that
        shows no password, and leaves nothing open.
        """
        server = self.server(text, **options)
        with self.assertRaises(ConfigurationError) as caught:
            server.open()
        told = str(caught.exception)
        self.assertIn(reason, told)
        self.assertNotIn("\n", told)
        for secret in (PASSWORD, KEY):
            self.assertNotIn(secret, told)
        self.assertEqual(server.listeners, [])
        self.assertEqual(self.open(), [])


class OpenTests(ServerTestCase):
    """
    Opening ports.
    """

    def test_interface(self) -> None:
        """
        A server keeps something that has to be closed.
        """
        verifyObject(IKeepsSessions, self.server(link()))

    def test_both(self) -> None:
        """
        There is one for connections and one for datagrams at the address that
        the link has, and both serve the same clients.
        """
        self.opened(link())
        self.assertEqual(self.open(), [("tcp", PUBLIC, 8388), ("udp", PUBLIC, 8388)])
        client = self.client()
        client.sends(b"question")
        self.network.advance(0)
        self.network.attempts[-1].transport.peerSends(b"answer")  # type: ignore[union-attr]
        self.assertEqual(client.take(), b"answer")
        (port,) = self.datagramPorts()
        packets = clientPackets(
            ACCOUNTS[CLASSIC], SaltMemory(b"client"), self.now, self.network.seconds
        )
        target = Destination(hostFromName(b"192.0.2.53"), 5000)
        port.peerSends(packets.seal(target, b"question"), "198.51.100.7", 40000)
        out = self.datagramPorts()[-1]
        self.assertEqual(out.take(), [(b"question", ("192.0.2.53", 5000))])

    def test_limits(self) -> None:
        """
        Both count under the same limits.
        """
        self.limits = ConnectionLimits(total=2)
        self.opened(link())
        (port,) = self.datagramPorts()
        packets = clientPackets(
            ACCOUNTS[CLASSIC], SaltMemory(b"client"), self.now, self.network.seconds
        )
        port.peerSends(packets.seal(WEB, b"question"), "198.51.100.7", 40000)
        transports = [self.connect(), self.connect()]
        self.network.advance(0)
        self.assertEqual([each.aborted for each in transports], [False, True])

    def test_ipv6(self) -> None:
        """
        An address may be one of IPv6.
        """
        self.opened(link(place="[2001:db8::1]:8388"))
        self.assertEqual(self.open(), [("tcp", "2001:db8::1", 8388), ("udp", "2001:db8::1", 8388)])

    def test_anyPort(self) -> None:
        """
        Where no port is asked for the two have the same number nevertheless,
        and logs name it.
        """
        self.network.taken |= {("udp", 40001), ("tcp", 40002)}
        server = self.opened(link(place=f"{PUBLIC}:0"))
        self.assertEqual(self.open(), [("tcp", PUBLIC, 40003), ("udp", PUBLIC, 40003)])
        self.assertEqual(server.description, f"ss://***@{PUBLIC}:40003")
        self.assertEqual(server.listeners[0].description, server.description)
        self.assertEqual(server.listeners[0].inbound.listener, server.description)

    def test_noPort(self) -> None:
        """
        There is an end to trying.
        """
        self.network.taken |= {("udp", port) for port in range(40001, 40001 + TRIES)}
        self.assertRefused(link(place=f"{PUBLIC}:0"), "cannot listen on udp port 40008")
        self.assertEqual(next(self.found), 40001 + TRIES)

    def test_taken(self) -> None:
        """
        A port that is taken is named, and the other one is not left open.
        """
        for kind in ("tcp", "udp"):
            self.network.taken = {(kind, 8388)}
            self.assertRefused(link(), "Address already in use")

    def test_wrong(self) -> None:
        """
        What cannot be is an error that names the server.
        """
        users = os.path.join(temporaryFolder(self), "users")
        for text, reason in (
            (link(place="server.test:8388"), "numeric address"),
            (link(method="aes-256-cfb"), "is refused"),
            (f"ss://{NEW}:tooshort@{PUBLIC}:8388", "octets"),
            (link(query="plugin=no-such-plugin"), "the plugin no-such-plugin is not there"),
            (f"ss://{CLASSIC}:@{PUBLIC}:8388/?users={users}", "No such file"),
        ):
            self.assertRefused(text, reason)
            self.assertRefused(text, "ss://***@")

    def test_users(self) -> None:
        """
        Users come from a file, and how many there are is announced.
        """
        folder = Path(temporaryFolder(self))
        users = folder / "users"
        users.write_text(f"alice:{PASSWORD}\nbob:another {PASSWORD}\n")
        server = self.opened(f"ss://{CLASSIC}:@{PUBLIC}:8388/?users={users}")
        server.announce()
        self.assertIn("2 users", texts(self.events)[-1])
        self.client().sends(b"question")
        (connection,) = server.listeners[0].inbound.connections
        self.assertEqual(connection.record.user, "alice")


class WeakTests(ServerTestCase):
    """
    Passwords that can be found by trying.
    """

    def test_elsewhere(self) -> None:
        """
        One is refused that others could try, unless the link says that it may
        be.
        """
        weak = f"ss://{CLASSIC}:secret@{PUBLIC}:8388"
        self.assertRefused(weak, "the password could be found by trying")
        self.opened(f"{weak}/?weak=yes").announce()
        self.assertEqual(len(atLevel(self.events, LogLevel.warn)), 1)

    def test_loopback(self) -> None:
        """
        On loopback there is a warning.
        """
        for place in ("127.0.0.1:8388", "[::1]:8389"):
            self.opened(f"ss://{CLASSIC}:secret@{place}").announce()
        said = atLevel(self.events, LogLevel.warn)
        self.assertEqual(len(said), 2)
        self.assertIn("the password of ss://***@127.0.0.1:8388 can be found", said[0])

    def test_strong(self) -> None:
        """
        Of others nothing is said.
        """
        self.opened(link()).announce()
        self.assertEqual(atLevel(self.events, LogLevel.warn), [])


class LifeTests(ServerTestCase):
    """
    From the announcement to the end.
    """

    def test_announce(self) -> None:
        """
        What is open is said in one line without a secret.
        """
        self.opened(link()).announce()
        self.assertEqual(
            texts(self.events),
            [
                f"ss://***@{PUBLIC}:8388 is open for Shadowsocks, aes-256-gcm, one key for all,"
                f" at {PUBLIC}:8388"
            ],
        )
        self.assertNotIn(PASSWORD, repr(self.events))

    def test_report(self) -> None:
        """
        Both ports have something to say.
        """
        server = self.opened(link())
        self.client().sends(b"question")
        states = list(server.report())
        self.assertEqual([state.kind for state in states], ["listener", "connection", "listener"])
        self.assertEqual(states[0].numbers, {"connections": 1})
        self.assertEqual(states[1].numbers["protocol"], "Shadowsocks")
        self.assertEqual(states[2].numbers, {"clients": 0})

    def test_stop(self) -> None:
        """
        Then nobody gets in any more; connections go on, and clients that send
        datagrams are forgotten.
        """
        server = self.opened(link())
        client = self.client()
        client.sends(b"question")
        self.network.advance(0)
        (port,) = self.datagramPorts()
        packets = clientPackets(
            ACCOUNTS[CLASSIC], SaltMemory(b"client"), self.now, self.network.seconds
        )
        port.peerSends(packets.seal(WEB, b"question"), "198.51.100.7", 40000)
        self.successResultOf(server.stop())
        self.assertEqual(self.open(), [])
        self.network.advance(0)
        self.network.attempts[-1].transport.peerSends(b"answer")  # type: ignore[union-attr]
        self.assertEqual(client.take(), b"answer")
        self.successResultOf(server.close(2.0))
        self.successResultOf(server.stop())

    def test_oneReactionFromTheFirst(self) -> None:
        """
        Clients that are not understood wait for as long as the process has
        drawn.
        """
        self.opened(link())
        transport = self.connect()
        transport.peerSends(bytes(100))
        self.network.advance(PATIENCE - 0.1)
        self.assertFalse(transport.ended)
        self.network.advance(0.1)
        self.assertTrue(transport.ended)

    def test_firstRead(self) -> None:
        """
        On plain TCP a beginning of 2022 comes as a whole.
        """
        self.opened(link(NEW))
        client = self.client(NEW)
        request = client.stream.seal(b"question")
        client.transport.peerSends(request[:9])
        client.transport.peerSends(request[9:])
        self.network.advance(0)
        self.assertEqual(self.network.attempts, [])


class CarriedTests(ServerTestCase):
    """
    Servers in tunnels.
    """

    def test_endpoint(self) -> None:
        """
        The tunnel's endpoint has the parameters of the link, and there is no
        port for datagrams.
        """
        asked: list[str] = []

        def listen(description: str, factoryFor: Any) -> ProxyPort:
            asked.append(description)
            proxy = MemoryProxy(WORLD, [SharedKeyChecker()], (), network=self.network)
            factory = factoryFor(proxy.inbound)
            self.assertFalse(factory.streamFor(None)._strict)
            return ProxyPort(description, proxy.inbound)

        url = shadowsocksFromURL(
            f"ss+kcp://{CLASSIC}:{PASSWORD}@[::1]:29900?key=a%3Ab%5Cc&mode=fast3"
        )
        server = ShadowsocksServer(self.network, url, listen, patience=PATIENCE)
        server.open()
        self.assertEqual(asked, ["kcp:29900:interface=\\:\\:1:key=a\\:b\\\\c:mode=fast3"])
        self.assertEqual(self.open(), [])
        self.assertEqual(server.description, "ss+kcp://***@[::1]:29900")
        self.assertEqual([state.kind for state in server.report()], ["listener"])


class PluginTests(ServerTestCase):
    """
    Servers behind plugins.
    """

    def setUp(self) -> None:
        """
        Take a program that is there for a plugin.
        """
        super().setUp()
        self.kills: list[tuple[int, int]] = []
        made = partial(Plugin, killGroup=lambda pid, number: self.kills.append((pid, number)))
        self.enterContext(patch.object(serving, "Plugin", made))
        self.realm = SoleUser()
        program = sys.executable.replace("/", "%2F")
        self.text = link(query=f"plugin={program}%3Bobfs%3Dhttp")

    @property
    def plugin(self) -> Spawned:
        """
        Give the plugin that was started last.
        """
        return self.network.spawned[-1]

    def test_ports(self) -> None:
        """
        The public port is the plugin's, which connects to one of loopback;
        datagrams come without it.
        """
        server = self.opened(self.text)
        self.assertEqual(self.open(), [("tcp", "127.0.0.1", 40001), ("udp", PUBLIC, 8388)])
        self.assertEqual(self.network.spawned, [])
        server.start()
        told = {name: value for name, value in self.plugin.environment.items() if name[:3] == "SS_"}
        self.assertEqual(
            told,
            {
                "SS_REMOTE_HOST": PUBLIC,
                "SS_REMOTE_PORT": "8388",
                "SS_LOCAL_HOST": "127.0.0.1",
                "SS_LOCAL_PORT": "40001",
                "SS_PLUGIN_OPTIONS": "obfs=http",
            },
        )
        self.assertEqual(server.description, f"ss://***@{PUBLIC}:8388")
        server.announce()
        self.assertIn("behind the plugin", texts(self.events)[-1])

    def test_stop(self) -> None:
        """
        It lives until connections are over.
        """
        server = self.opened(self.text)
        server.start()
        self.successResultOf(server.stop())
        self.assertEqual(self.kills, [])
        closing = server.close()
        self.assertEqual(self.kills, [(self.plugin.pid, signal.SIGTERM)])
        self.assertNoResult(closing)
        self.plugin.ends()
        self.successResultOf(closing)

    def test_notLocal(self) -> None:
        """
        A client that comes through it is not taken for one of this host, but
        where the public address is of loopback.
        """
        for text, local in (
            (self.text, False),
            (self.text.replace(f"{PUBLIC}:8388", "127.0.0.1:8389"), True),
        ):
            self.opened(text)
            self.client(host="127.0.0.1").sends(b"question")
            mind = self.realm.minds[-1]
            self.assertIsInstance(mind, ClientOrigin)
            self.assertIs(mind.local, local)

    def test_pieces(self) -> None:
        """
        A plugin may cut a beginning in pieces.
        """
        program = sys.executable.replace("/", "%2F")
        self.opened(link(NEW, query=f"plugin={program}"))
        client = self.client(NEW)
        request = client.stream.seal(b"question")
        client.transport.peerSends(request[:9])
        client.transport.peerSends(request[9:])
        self.assertEqual(len(self.realm.minds), 1)


class StateTests(ServerTestCase):
    """
    What one run leaves for the next.
    """

    def setUp(self) -> None:
        """
        Have a place for it.
        """
        super().setUp()
        self.path = Path(temporaryFolder(self)) / "salts"

    def run_(self) -> ShadowsocksServer:
        """
        Start a run.
        """
        return self.opened(link(NEW), state=str(self.path))

    def end(self, server: ShadowsocksServer) -> None:
        """
        End a run.
        """
        server.stop()
        self.network.advance(0)
        server.close()

    def dialled(self, octets: bytes) -> bool:
        """
        Tell whether a request is served.
        """
        before = len(self.network.attempts)
        transport = self.connect()
        transport.peerSends(octets)
        self.network.advance(0)
        served = len(self.network.attempts) > before
        transport.peerResets()
        return served

    def test_restart(self) -> None:
        """
        A recording from before is not served after a clean stop, and what has
        never been served is, however early it was made.
        """
        server = self.run_()
        recorded, kept = (self.client(NEW).stream.seal(b"question") for _ in range(2))
        self.network.advance(1)
        self.assertTrue(self.dialled(recorded))
        self.network.advance(1)
        self.end(server)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.network.advance(5)
        again = self.run_()
        self.assertFalse(self.path.exists())
        self.assertFalse(self.dialled(recorded))
        self.assertTrue(self.dialled(kept))
        self.end(again)

    def test_crash(self) -> None:
        """
        After any other end nothing is served that is older than the start.
        """
        self.end(self.run_())
        server = self.run_()
        old = self.client(NEW).stream.seal(b"question")
        server.stop()
        self.network.advance(5)
        self.run_()
        self.assertFalse(self.dialled(old))
        self.assertTrue(self.dialled(self.client(NEW).stream.seal(b"question")))

    def test_none(self) -> None:
        """
        So it is where nothing is kept.
        """
        old = clientOf(ACCOUNTS[NEW], WEB, wallClock=lambda: self.now() - 1).seal(b"question")
        self.opened(link(NEW)).close()
        self.assertFalse(self.dialled(old))

    def test_datagrams(self) -> None:
        """
        Of datagrams nothing is kept: none is taken that is older.
        """
        packets = clientPackets(
            ACCOUNTS[NEW], SaltMemory(b"client"), self.now, self.network.seconds
        )
        old = packets.seal(WEB, b"question")
        leaveSalts(str(self.path), SaltPool(self.network.seconds), self.now())
        self.network.advance(5)
        self.run_()
        (port,) = self.datagramPorts()
        port.peerSends(old, "198.51.100.7", 40000)
        self.assertEqual(len(self.datagramPorts()), 1)
        port.peerSends(packets.seal(WEB, b"question"), "198.51.100.7", 40000)
        self.assertEqual(len(self.datagramPorts()), 2)

    def test_classic(self) -> None:
        """
        A classic method leaves nothing.
        """
        server = self.opened(link(), state=str(self.path))
        self.end(server)
        self.assertFalse(self.path.exists())

    def test_otherFile(self) -> None:
        """
        A file of something else is not touched.
        """
        self.path.write_text("precious")
        self.assertRefused(link(NEW), "does not hold salts", state=str(self.path))
        self.assertEqual(self.path.read_text(), "precious")
        self.assertRefused(link(NEW), "directory", state=str(self.path.parent))

    def test_cannotWrite(self) -> None:
        """
        What cannot be written is said.
        """
        server = self.opened(link(NEW), state=str(self.path / "nowhere"))
        self.end(server)
        (said,) = atLevel(self.events, LogLevel.error)
        self.assertIn("are lost", said)

"""
Our clients through proxies of other people, and through our own daemon.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.address import HostnameAddress
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory

from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    TargetCommandNotSupported,
    TargetFault,
    TargetGeneralFailure,
)
from socksproxy.socks.client import SOCKS5Client
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from tests.daemon import Daemon
from tests.integration.clients import ClientsTestCase
from tests.integration.test_client_requests import Asking, Echo
from tests.integration.test_service import Peer
from tests.interop.peers import closedPort, missing, requireIPv6, requireProgram
from tests.interop.processes import restingDescriptors
from tests.interop.proxied import PASSWORD, USER, WRONG_PASSWORD, passwordOptions
from tests.interop.socksservers import DANTE, dante, freePort, microsocks, running, sshServer

MEGABYTES = 2_000_000


class ServerTestCase(ClientsTestCase):
    """
    Tests with one server for all of them.

    @cvar port: Its port.
    """

    port: ClassVar[int]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start it.
        """
        super().setUpClass()
        cls.port = cls.enterClassContext(cls.server())

    @classmethod
    def server(cls) -> AbstractContextManager[int]:
        """
        Run the server.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        """
        Have the way to it.
        """
        super().setUp()
        self.proxy = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)

    def socks5(
        self, host: str = "127.0.0.1", port: int = 0, **settings: Any
    ) -> SOCKS5ClientEndpoint:
        """
        Give an endpoint by SOCKS5, to the target if there is no other port.
        """
        return SOCKS5ClientEndpoint(reactor, self.proxy, host, port or self.targetPort, **settings)

    def socks4(self, host: str = "127.0.0.1", port: int = 0) -> SOCKS4ClientEndpoint:
        """
        Give one by SOCKS4 or SOCKS4a.
        """
        return SOCKS4ClientEndpoint(reactor, self.proxy, host, port or self.targetPort, USER)

    def client(self) -> SOCKS5Client:
        """
        Give a client.
        """
        return SOCKS5Client(reactor, self.proxy)

    @inlineCallbacks
    def assertCarries(
        self, endpoint: Any, megabytes: int = MEGABYTES
    ) -> Generator[Deferred[Any], Any, tuple[Peer, Peer]]:
        """
        Fail unless octets go both ways, the target's first.
        """
        client, target = yield self.join(endpoint)
        for writer, reader in ((target, client), (client, target)):
            data = os.urandom(megabytes)
            writer.transport.write(data)
            self.assertTrue((yield reader.read(len(data))) == data)
        return client, target

    @inlineCallbacks
    def assertHalfCloses(self, endpoint: Any) -> Generator[Deferred[Any], Any, None]:
        """
        Fail unless either end can be sent by itself.
        """
        for first in (0, 1):
            sides = yield self.join(endpoint)
            one, other = sides[first], sides[1 - first]
            one.transport.write(b"last words")
            one.transport.loseWriteConnection()
            self.assertEqual((yield other.read(10)), b"last words")
            yield other.ended
            other.transport.write(b"answer")
            self.assertEqual((yield one.read(6)), b"answer")
            other.transport.loseConnection()
            yield one.ended

    def connect(self, endpoint: Any) -> Deferred[Any]:
        """
        Connect somewhere, of which nothing will come.
        """
        return endpoint.connect(Factory.forProtocol(Peer))

    @inlineCallbacks
    def assertEchoes(self, client: SOCKS5Client) -> Generator[Deferred[Any], Any, None]:
        """
        Fail unless datagrams go there and back.
        """
        echo: Any = reactor.listenUDP(0, Echo(), "127.0.0.1", 65536)
        self.addCleanup(echo.stopListening)
        port = echo.getHost().port
        asking = Asking()
        association = yield client.associate(asking)
        self.addCleanup(association.stopListening)
        for host in ("127.0.0.1", "localhost"):
            for size in (0, 1, 1400):
                data = os.urandom(size)
                answer = yield asking.ask(data, (host, port))
                self.assertEqual(answer, (data, ("127.0.0.1", port)))

    @inlineCallbacks
    def assertAccepts(self, client: SOCKS5Client) -> Generator[Deferred[Any], Any, None]:
        """
        Fail unless somebody can connect to a port of the proxy's.
        """
        binding = yield client.bind("127.0.0.1", self.targetPort)
        self.addCleanup(binding.stop)
        address = binding.address
        accepting = binding.accept(Factory.forProtocol(Peer))
        way = TCP4ClientEndpoint(reactor, address.host, address.port)
        caller = yield way.connect(Factory.forProtocol(Peer))
        self.addCleanup(self.disconnect, caller)
        caller.transport.write(b"220 hello")
        callee = yield accepting
        self.addCleanup(self.disconnect, callee)
        self.assertEqual((yield callee.read(9)), b"220 hello")
        self.assertEqual(callee.transport.getPeer(), caller.transport.getHost())
        callee.transport.write(b"EHLO")
        self.assertEqual((yield caller.read(4)), b"EHLO")
        callee.transport.loseWriteConnection()
        yield caller.ended


class DanteTests(ServerTestCase):
    """
    Dante, which lets everybody in.
    """

    @classmethod
    def server(cls) -> AbstractContextManager[int]:
        """
        Run it.
        """
        return dante()

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        SOCKS5 leads to an address and to a name, with credentials that nobody
        asks for and without, and SOCKS4 to an address.
        """
        for endpoint in (
            self.socks5(),
            self.socks5("localhost"),
            self.socks5(username=USER, password=PASSWORD),
            self.socks4(),
        ):
            yield self.assertCarries(endpoint)

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        Ends are passed on, one by one.
        """
        yield self.assertHalfCloses(self.socks5())

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        A closed port is told as such.
        """
        with closedPort() as port:
            yield self.assertFailure(self.connect(self.socks5(port=port)), Refused)
            yield self.assertFailure(self.connect(self.socks4(port=port)), TargetFault)

    @inlineCallbacks
    def test_noSOCKS4a(self) -> Generator[Deferred[Any], Any, None]:
        """
        It takes the name of SOCKS4a for an address that leads nowhere.
        """
        connecting = self.connect(self.socks4("localhost"))
        yield self.assertFailure(connecting, TargetGeneralFailure)

    @inlineCallbacks
    def test_bind(self) -> Generator[Deferred[Any], Any, None]:
        """
        BIND gives a port, and then who has connected to it.
        """
        yield self.assertAccepts(self.client())

    @inlineCallbacks
    def test_udp(self) -> Generator[Deferred[Any], Any, None]:
        """
        UDP ASSOCIATE carries datagrams to addresses and names.
        """
        yield self.assertEchoes(self.client())


# Of the password that goes with it; Dante knows the users of its host only.
_SHADOW = "{user}:{hash}:19000:0:99999:7:::\n"
_PASSWD = "{user}:x:64999:64999::/nonexistent:/usr/sbin/nologin\n"


@contextmanager
def danteWithPasswords() -> Iterator[int]:
    """
    Run Dante on a host that has a user with L{PASSWORD}: it sees other files
    with users than everybody else.
    """
    program, unshare, openssl = map(requireProgram, ("danted", "unshare", "openssl"))
    if os.geteuid() != 0:
        missing("another file of users needs root")
    port = freePort()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = subprocess.run(
            [openssl, "passwd", "-6", "-stdin"],
            input=PASSWORD.encode(),
            capture_output=True,
            check=True,
        )
        for file, line in (("passwd", _PASSWD), ("shadow", _SHADOW)):
            text = Path("/etc", file).read_text()
            more = line.format(user=USER, hash=made.stdout.decode().strip())
            (folder / file).write_text(text + more)
        (folder / "danted.conf").write_text(
            DANTE.format(folder=folder, port=port, method="username", user="root")
        )
        script = " && ".join(
            (
                f"mount --bind {folder}/passwd /etc/passwd",
                f"mount --bind {folder}/shadow /etc/shadow",
                f"exec {program} -f {folder}/danted.conf",
            )
        )
        with running((unshare, "--mount", "sh", "-c", script), port):
            yield port


class DantePasswordTests(ServerTestCase):
    """
    Dante, which wants a password.
    """

    @classmethod
    def server(cls) -> AbstractContextManager[int]:
        """
        Run it.
        """
        return danteWithPasswords()

    def client(self) -> SOCKS5Client:
        """
        Give a client that has it.
        """
        return SOCKS5Client(reactor, self.proxy, USER, PASSWORD)

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        With it one gets in.
        """
        yield self.assertCarries(self.client().endpoint("localhost", self.targetPort))

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        Without it, or with another one, one does not.
        """
        for endpoint in (
            self.socks5(),
            self.socks5(username=USER, password=WRONG_PASSWORD),
            self.socks5(username=USER),
        ):
            yield self.assertFailure(self.connect(endpoint), ProxyAuthenticationFailed)

    @inlineCallbacks
    def test_others(self) -> Generator[Deferred[Any], Any, None]:
        """
        BIND and UDP ASSOCIATE need it as well, and have it.
        """
        yield self.assertAccepts(self.client())
        yield self.assertEchoes(self.client())


class MicrosocksTests(ServerTestCase):
    """
    microsocks, which lets everybody in.
    """

    @classmethod
    def server(cls) -> AbstractContextManager[int]:
        """
        Run it.
        """
        return microsocks()

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        It leads to addresses of both families, and to names.
        """
        yield self.assertCarries(self.socks5())
        yield self.assertCarries(self.socks5("localhost"))
        requireIPv6()
        yield self.assertCarries(self.socks5("::1", self.listen(self.targets, "::1")))

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        A closed port is told as such.
        """
        with closedPort() as port:
            yield self.assertFailure(self.connect(self.socks5(port=port)), Refused)

    @inlineCallbacks
    def test_others(self) -> Generator[Deferred[Any], Any, None]:
        """
        It knows neither BIND nor UDP ASSOCIATE, and says so.
        """
        client = self.client()
        yield self.assertFailure(client.bind("127.0.0.1"), TargetCommandNotSupported)
        yield self.assertFailure(client.associate(Asking()), TargetCommandNotSupported)

    @inlineCallbacks
    def test_socks4(self) -> Generator[Deferred[Any], Any, None]:
        """
        It knows no SOCKS4, which is the proxy's fault.
        """
        yield self.assertFailure(self.connect(self.socks4()), ProxyFault)


class MicrosocksPasswordTests(ServerTestCase):
    """
    microsocks, which wants a password, of characters of all sorts.
    """

    LONG_USER = "\u00fc" * 127 + "u"
    STRANGE = "p\u00e4:\u20ac @/?"

    @classmethod
    def server(cls) -> AbstractContextManager[int]:
        """
        Run it.
        """
        return microsocks("-u", cls.LONG_USER, "-P", cls.STRANGE)

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        With it one gets in.
        """
        self.assertEqual(len(self.LONG_USER.encode()), 255)
        yield self.assertCarries(self.socks5(username=self.LONG_USER, password=self.STRANGE))

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        Without it one does not, and it is not shown.
        """
        for settings in (
            {},
            {"username": self.LONG_USER, "password": self.STRANGE[:-1]},
            {"username": self.LONG_USER[1:], "password": self.STRANGE},
        ):
            connecting = self.connect(self.socks5(**settings))
            error = yield self.assertFailure(connecting, ProxyAuthenticationFailed)
            self.assertNotIn(self.STRANGE[:-1], str(error))


class SSHTests(ServerTestCase):
    """
    C{ssh -D}.
    """

    @classmethod
    def server(cls) -> AbstractContextManager[int]:
        """
        Run it.
        """
        return sshServer()

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        SOCKS5 and SOCKS4 lead to addresses and to names.
        """
        for endpoint in (
            self.socks5(),
            self.socks5("localhost"),
            self.socks4(),
            self.socks4("localhost"),
        ):
            yield self.assertCarries(endpoint)
        requireIPv6()
        yield self.assertCarries(self.socks5("::1", self.listen(self.targets, "::1")))

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        Ends are passed on, one by one.
        """
        yield self.assertHalfCloses(self.socks5())

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        It does not say that a port is closed, but closes the connection
        without a word: older ones once they have granted the request.
        """
        with closedPort() as port:
            try:
                peer = yield self.connect(self.socks5(port=port))
            except ProxyProtocolError as e:
                self.assertIn("closed", str(e))
                return
            self.addCleanup(self.disconnect, peer)
            yield peer.ended
            self.assertEqual(peer.received, b"")

    @inlineCallbacks
    def test_others(self) -> Generator[Deferred[Any], Any, None]:
        """
        It knows neither BIND nor UDP ASSOCIATE.
        """
        for asking in (self.client().bind("127.0.0.1"), self.client().associate(Asking())):
            yield self.assertFailure(asking, TargetFault, ProxyFault)


class DaemonTests(ServerTestCase):
    """
    Our own daemon, which lets everybody in.

    @cvar daemon: The daemon.
    """

    daemon: ClassVar[Daemon]

    @classmethod
    @contextmanager
    def server(cls) -> Iterator[int]:
        """
        Run it.
        """
        with Daemon("--resolve", *cls.options()) as cls.daemon:
            yield cls.daemon.port

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """
        Give its options.
        """
        return ()

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        SOCKS5 and SOCKS4 lead to addresses and to names.
        """
        for endpoint in (
            self.socks5(),
            self.socks5("localhost"),
            self.socks4(),
            self.socks4("localhost"),
        ):
            yield self.assertCarries(endpoint)
        client, _ = yield self.assertCarries(self.socks5("LOCALHOST."))
        peer = client.transport.getPeer()
        self.assertEqual(peer, HostnameAddress(b"localhost", self.targetPort))
        requireIPv6()
        yield self.assertCarries(self.socks5("::1", self.listen(self.targets, "::1")))

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        Ends are passed on, one by one.
        """
        yield self.assertHalfCloses(self.socks5())
        yield self.assertHalfCloses(self.socks4())

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        A closed port is told as such.
        """
        with closedPort() as port:
            yield self.assertFailure(self.connect(self.socks5(port=port)), Refused)
            yield self.assertFailure(self.connect(self.socks4(port=port)), TargetFault)

    @inlineCallbacks
    def test_noName(self) -> Generator[Deferred[Any], Any, None]:
        """
        A name that is not found is the target's fault.
        """
        for endpoint in (self.socks5("nowhere.invalid"), self.socks4("nowhere.invalid")):
            yield self.assertFailure(self.connect(endpoint), TargetFault)

    @inlineCallbacks
    def test_others(self) -> Generator[Deferred[Any], Any, None]:
        """
        BIND, UDP ASSOCIATE and RESOLVE work.
        """
        client = self.client()
        yield self.assertAccepts(client)
        yield self.assertEchoes(client)
        address = yield client.resolve("localhost")
        self.assertTrue(address.is_loopback)
        name = yield client.reverse("127.0.0.1")
        self.assertIn("localhost", name)

    @inlineCallbacks
    def test_nothingIsLeft(self) -> Generator[Deferred[Any], Any, None]:
        """
        When clients have gone, however, the daemon has as many descriptors as
        before.
        """
        client = self.client()
        pid = self.daemon.process.pid
        yield client.resolve("localhost")
        before = restingDescriptors(pid)
        for _ in range(20):
            connecting = self.connect(self.socks5())
            connecting.cancel()
            yield connecting.addErrback(lambda failure: None)
            binding = yield client.bind("127.0.0.1")
            binding.stop()
            association = yield client.associate(Asking())
            yield association.stopListening()
            with closedPort() as port:
                yield self.assertFailure(self.connect(self.socks5(port=port)), Refused)
        self.assertEqual(restingDescriptors(pid), before)


class DaemonPasswordTests(ServerTestCase):
    """
    Our own daemon, which wants a password.
    """

    @classmethod
    @contextmanager
    def server(cls) -> Iterator[int]:
        """
        Run it.
        """
        with (
            tempfile.TemporaryDirectory() as folder,
            Daemon(*passwordOptions(Path(folder))) as daemon,
        ):
            yield daemon.port

    def client(self) -> SOCKS5Client:
        """
        Give a client that has it.
        """
        return SOCKS5Client(reactor, self.proxy, USER, PASSWORD)

    @inlineCallbacks
    def test_connects(self) -> Generator[Deferred[Any], Any, None]:
        """
        With it one gets in, and can do everything.
        """
        yield self.assertCarries(self.client().endpoint("localhost", self.targetPort))
        yield self.assertAccepts(self.client())
        yield self.assertEchoes(self.client())

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """
        Without it, or with another one, one does not, and SOCKS4, which has no
        passwords, is not spoken.
        """
        for endpoint in (
            self.socks5(),
            self.socks5(username=USER, password=WRONG_PASSWORD),
        ):
            yield self.assertFailure(self.connect(endpoint), ProxyAuthenticationFailed)
        yield self.assertFailure(self.connect(self.socks4()), TargetFault)

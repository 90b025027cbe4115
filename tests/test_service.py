"""
Tests for L{socksproxy.service}: listening.
"""

from __future__ import annotations

from twisted.application.service import IService
from twisted.cred.checkers import AllowAnonymousAccess, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy import service as module
from socksproxy.auth.realm import ProxyRealm
from socksproxy.config import Configuration
from socksproxy.errors import ConfigurationError
from socksproxy.service import ProxyService
from socksproxy.testing import tcpAddress
from tests.logs import atLevel, captured, texts
from tests.memoryreactor import MemoryPort, MemoryReactor

LOOPBACK = "tcp:1080:interface=127.0.0.1"
USERS = InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret")


class ServiceTestCase(SynchronousTestCase):
    """
    Tests with a proxy in memory.
    """

    def setUp(self) -> None:
        """
        Make a reactor.
        """
        self.reactor = MemoryReactor()

    def proxy(self, *listen: str, **configuration: object) -> ProxyService:
        """
        Make a proxy.
        """
        return ProxyService(
            self.reactor,
            Configuration(listen=listen or (LOOPBACK,), **configuration),  # type: ignore[arg-type]
        )

    def assertRefused(self, text: str, *listen: str, **configuration: object) -> str:
        """
        Fail unless such a proxy does not start and says why, and nothing is
        left listening.

        @return: What it says.
        """
        proxy = self.proxy(*listen, **configuration)
        error = str(self.assertRaises(ConfigurationError, proxy.openPorts))
        self.assertIn(text, error)
        self.assertNotIn("\n", error)
        self.assertEqual(self.reactor.listening, [])
        return error


class OpenPortsTests(ServiceTestCase):
    """
    Ports.
    """

    def test_interface(self) -> None:
        """
        A proxy is a service.
        """
        verifyObject(IService, self.proxy())

    def test_notBeforeStart(self) -> None:
        """
        Making one listens on nothing.
        """
        self.proxy()
        self.assertEqual(self.reactor.ports, [])

    def test_every(self) -> None:
        """
        It listens on every endpoint it was given, of whatever kind.
        """
        self.proxy(LOOPBACK, "tcp:1081:interface=\\:\\:1", "unix:/run/proxy").openPorts()
        self.assertEqual(
            [port.getHost() for port in self.reactor.listening],
            [
                tcpAddress("127.0.0.1", 1080),
                tcpAddress("::1", 1081),
                UNIXAddress(b"/run/proxy"),
            ],
        )

    def test_once(self) -> None:
        """
        Whoever opens the ports first, they are opened once.
        """
        proxy = self.proxy()
        proxy.openPorts()
        proxy.privilegedStartService()
        proxy.startService()
        self.assertEqual(len(self.reactor.ports), 1)

    def test_privileged(self) -> None:
        """
        The ports are opened before privileges are dropped, so that they may be
        below 1024.
        """
        self.proxy().privilegedStartService()
        self.assertEqual(len(self.reactor.listening), 1)

    def test_wrongEndpoint(self) -> None:
        """
        An endpoint string that is wrong is named, and ports that are open
        already are closed again.
        """
        for wrong in ("nosuch:1", "tcp:", "tcp:port", "tcp:1:2:3:4:5:6", ""):
            self.assertRefused(f"cannot listen on {wrong}:", LOOPBACK, wrong)
            self.assertEqual(len(self.reactor.ports), 1)
            self.reactor.ports.clear()

    def test_portInUse(self) -> None:
        """
        A port in use is named, with the reason, and the others are closed
        again.
        """
        self.reactor.taken.add(1081)
        error = self.assertRefused(
            "Address already in use", LOOPBACK, "tcp:1081:interface=127.0.0.1"
        )
        self.assertEqual(
            error, "cannot listen on tcp:1081:interface=127.0.0.1: Address already in use"
        )

    def test_missingFile(self) -> None:
        """
        A file that an endpoint needs and that is not there is named.
        """
        wrong = "ssl:443:privateKey=/nowhere/key.pem"
        self.assertRefused("/nowhere/key.pem: No such file or directory", wrong, checkers=[USERS])

    def test_secrets(self) -> None:
        """
        Secrets in an endpoint string are not shown.
        """
        error = self.assertRefused("cannot listen on", "nosuch:1:key=hunter2:secret=hunter2")
        self.assertNotIn("hunter2", error)

    def test_systemd(self) -> None:
        """
        A socket that systemd was to pass and has not is said to be missing.
        """
        self.assertRefused(
            "systemd has passed no such socket", "systemd:domain=INET:index=0", checkers=[USERS]
        )


class LateEndpointTests(ServiceTestCase):
    """
    Endpoints that take their time, as one in another network may.
    """

    def setUp(self) -> None:
        """
        Make every endpoint one that takes its time.
        """
        super().setUp()
        self.answer: Deferred[IListeningPort] = Deferred()
        late = self.answer

        @implementer(IStreamServerEndpoint)
        class LateEndpoint:
            def listen(self, protocolFactory: object) -> Deferred[IListeningPort]:
                return late

        self.patch(module, "serverFromString", lambda reactor, description: LateEndpoint())

    def arrive(self) -> MemoryPort:
        """
        Let the endpoint listen.
        """
        port = self.reactor.listenTCP(1080, ServiceFactory(), interface="127.0.0.1")
        self.answer.callback(port)
        assert isinstance(port, MemoryPort)
        return port

    def test_listens(self) -> None:
        """
        A port that comes later is closed when the proxy stops.
        """
        proxy = self.proxy(checkers=[USERS])
        proxy.startService()
        port = self.arrive()
        self.assertTrue(port.isOpen)
        self.successResultOf(proxy.stopService())
        self.assertFalse(port.isOpen)

    def test_afterStop(self) -> None:
        """
        A port that comes when the proxy has stopped already is closed at once.
        """
        proxy = self.proxy(checkers=[USERS])
        proxy.startService()
        proxy.stopService()
        self.assertFalse(self.arrive().isOpen)

    def test_openRelay(self) -> None:
        """
        A port that comes later than the refusal to be an open relay is not
        left listening either.
        """
        self.assertRaises(ConfigurationError, self.proxy().openPorts)
        self.assertFalse(self.arrive().isOpen)

    def test_fails(self) -> None:
        """
        An endpoint that fails later is told in the log.
        """
        proxy = self.proxy(checkers=[USERS])
        proxy.startService()
        with captured() as events:
            self.answer.errback(OSError(98, "Address already in use"))
        self.flushLoggedErrors(OSError)
        errors = " ".join(atLevel(events, LogLevel.error) + atLevel(events, LogLevel.critical))
        self.assertIn(LOOPBACK, errors)
        self.assertIn("Address already in use", errors)


class ServiceFactory:
    """
    A factory that nobody connects to.
    """

    def doStart(self) -> None:
        """
        Start.
        """

    def doStop(self) -> None:
        """
        Stop.
        """


class OpenRelayTests(ServiceTestCase):
    """
    Proxies that everybody could use.
    """

    def test_refused(self) -> None:
        """
        A proxy without authentication does not listen where others could
        connect, nor behind a load balancer, which others connect to; the
        error tells what to do.
        """
        for listen in (
            "tcp:1080",
            "tcp:1080:interface=0.0.0.0",
            "tcp:1080:interface=192.0.2.1",
            "tcp:1080:interface=\\:\\:",
            "haproxy:tcp:1080",
            "haproxy:tcp:1080:interface=127.0.0.1",
        ):
            error = self.assertRefused("--auth", listen)
            self.assertIn(listen, error)
            self.assertIn("--open-relay", error)

    def test_otherListenersToo(self) -> None:
        """
        One such listener among others is enough.
        """
        self.assertRefused("tcp:1081 would", LOOPBACK, "tcp:1081")

    def test_anonymousBesidesUsers(self) -> None:
        """
        Nor does one that lets anonymous clients in beside users.
        """
        self.assertRefused("--open-relay", "tcp:1080", checkers=[USERS, AllowAnonymousAccess()])

    def test_local(self) -> None:
        """
        Where only this host can connect, everybody on it may.
        """
        for listen in (
            LOOPBACK,
            "tcp:1080:interface=127.1.2.3",
            "tcp:1080:interface=\\:\\:1",
            "unix:/run/proxy",
        ):
            self.proxy(listen).openPorts()
        self.assertEqual(len(self.reactor.listening), 4)

    def test_passwords(self) -> None:
        """
        A proxy that asks for passwords listens anywhere.
        """
        self.proxy("tcp:1080", "haproxy:tcp:1081", checkers=[USERS]).openPorts()
        self.assertEqual(len(self.reactor.listening), 2)

    def test_wanted(self) -> None:
        """
        Who wants an open relay gets one.
        """
        self.proxy("tcp:1080", openRelay=True).openPorts()
        self.assertEqual(len(self.reactor.listening), 1)

    def test_ownPortal(self) -> None:
        """
        A program's own portal is looked at in the same way.
        """
        realm = ProxyRealm(lambda origin: None)  # type: ignore[arg-type,return-value]
        for checker, isOpen in ((USERS, True), (AllowAnonymousAccess(), False)):
            portal = Portal(realm, [checker])
            proxy = ProxyService(self.reactor, Configuration(listen=["tcp:1080"]), portal)
            if isOpen:
                proxy.openPorts()
                self.assertEqual(len(self.reactor.listening), 1)
                self.successResultOf(proxy.stopService())
            else:
                self.assertRaises(ConfigurationError, proxy.openPorts)


class AnnouncementTests(ServiceTestCase):
    """
    What the start says.
    """

    def announced(self, *listen: str, **configuration: object) -> list[str]:
        """
        Start a proxy.

        @return: What is logged.
        """
        with captured() as events:
            self.proxy(*listen, **configuration).startService()
            self.assertEqual(texts(events), [])
            self.reactor.run()
        return texts(events)

    def test_plain(self) -> None:
        """
        It says what listens, what it is for, and gives a line to paste; not
        before the reactor runs, so that the process can be stopped by whoever
        has waited for it.
        """
        self.assertEqual(
            self.announced(),
            [
                f"{LOOPBACK} is open for SOCKS4, SOCKS4a and SOCKS5, authentication off",
                "Try: curl --proxy socks5h://127.0.0.1:1080 https://example.com/",
            ],
        )

    def test_passwords(self) -> None:
        """
        With passwords, that is said, and SOCKS4, which has none, is not.
        """
        self.assertEqual(
            self.announced(checkers=[USERS]),
            [
                f"{LOOPBACK} is open for SOCKS5, authentication on",
                "Try: curl --proxy-user USER --proxy socks5h://127.0.0.1:1080 https://example.com/",
            ],
        )

    def test_addresses(self) -> None:
        """
        The line to paste has an address that one can connect to.
        """
        for interface, shown in (
            ("", "127.0.0.1:1080"),
            ("0.0.0.0", "127.0.0.1:1080"),
            ("192.0.2.1", "192.0.2.1:1080"),
            (r"\:\:", "[::1]:1080"),
            (r"2001\:db8\:\:1", "[2001:db8::1]:1080"),
        ):
            self.reactor = MemoryReactor()
            lines = self.announced(f"tcp:1080:interface={interface}", checkers=[USERS])
            self.assertIn(f"socks5h://{shown} ", lines[1])

    def test_chosenPort(self) -> None:
        """
        Where the system has chosen the port, that is the one shown.
        """
        self.assertIn(":40000 ", self.announced("tcp:0:interface=127.0.0.1")[1])

    def test_nothingToPaste(self) -> None:
        """
        For what curl cannot connect to there is no line to paste.
        """
        lines = self.announced("unix:/run/proxy", "haproxy:tcp:1081", checkers=[USERS])
        self.assertEqual([line for line in lines if line.startswith("Try")], [])
        self.assertEqual(len(lines), 2)

    def test_openRelay(self) -> None:
        """
        An open relay is warned of, and so is letting others in.
        """
        lines = self.announced("tcp:1080", LOOPBACK, openRelay=True, allowPrivate=True)
        self.assertIn("--open-relay: whoever reaches tcp:1080 can use this proxy", lines)
        self.assertIn("--allow-private: clients of tcp:1080 can reach internal addresses", lines)
        self.assertEqual(len(lines), 6)

    def test_secrets(self) -> None:
        """
        Secrets of an endpoint are not shown.
        """
        self.patch(
            module,
            "serverFromString",
            lambda reactor, text, real=module.serverFromString: real(reactor, LOOPBACK),
        )
        lines = self.announced("x:1080:key=hunter2")
        self.assertNotIn("hunter2", " ".join(lines))
        self.assertIn("x:1080:key=***", lines[0])

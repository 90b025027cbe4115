"""
Tests for L{socksproxy.service}: ports.
"""

from __future__ import annotations

from twisted.application.service import IService
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import LogLevel
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy import service as module
from socksproxy.errors import ConfigurationError
from socksproxy.testing import tcpAddress
from tests.logs import atLevel, captured
from tests.memoryreactor import MemoryPort
from tests.proxystarts import LOOPBACK, USERS, ServiceTestCase


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

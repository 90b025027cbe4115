"""
Tests for L{socksproxy.service}: open relays, and what the start says.
"""

from __future__ import annotations

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal

from socksproxy import service as module
from socksproxy.auth.realm import ProxyRealm
from socksproxy.config import Configuration
from socksproxy.errors import ConfigurationError
from socksproxy.service import ProxyService
from tests.logs import captured, texts
from tests.memoryreactor import MemoryReactor
from tests.proxystarts import LOOPBACK, USERS, ServiceTestCase


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
                f"{LOOPBACK} is open for SOCKS4, SOCKS4a, SOCKS5 and HTTP, authentication off,"
                " at 127.0.0.1:1080",
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
                f"{LOOPBACK} is open for SOCKS5 and HTTP, authentication on, at 127.0.0.1:1080",
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

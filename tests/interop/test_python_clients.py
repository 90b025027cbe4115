"""
SOCKS clients written in Python through the daemon.
"""

import socket
from typing import Any, ClassVar

from tests.interop.client import echoes
from tests.interop.peers import TIMEOUT, closedPort, requireIPv6, requirePackage
from tests.interop.proxied import (
    PASSWORD,
    USER,
    WRONG_PASSWORD,
    PasswordTestCase,
    ProxyTestCase,
)
from tests.targets import echo


class _PySocksMixin(ProxyTestCase):
    socks: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Import PySocks.
        """
        cls.socks = requirePackage("socks")
        super().setUpClass()

    def connect(self, kind: int, host: str, port: int, **options: Any) -> socket.socket:
        """
        Connect through the daemon.
        """
        connection: socket.socket = self.socks.create_connection(
            (host, port),
            timeout=TIMEOUT,
            proxy_type=kind,
            proxy_addr="127.0.0.1",
            proxy_port=self.daemon.port,
            **options,
        )
        return connection

    def assertRefused(
        self, error: type[Exception], kind: int, port: int, **options: Any
    ) -> Exception:
        """
        Check that PySocks cannot connect because of the daemon.

        @return: The error, taken out of the one about sockets that PySocks
            wraps it in.
        """
        with self.assertRaises(self.socks.ProxyError) as raised:
            self.connect(kind, "127.0.0.1", port, **options)
        refused: Exception = raised.exception.socket_err
        self.assertIsInstance(refused, error)
        return refused


class PySocksTests(_PySocksMixin):
    """
    PySocks without authentication.
    """

    def test_connects(self) -> None:
        """
        PySocks speaks SOCKS4 with an address, and SOCKS4a and SOCKS5 with a
        name.
        """
        for kind, remote, protocol, host in (
            (self.socks.SOCKS4, False, "SOCKS4", "127.0.0.1"),
            (self.socks.SOCKS4, True, "SOCKS4a", "localhost"),
            (self.socks.SOCKS5, False, "SOCKS5", "127.0.0.1"),
            (self.socks.SOCKS5, True, "SOCKS5", "localhost"),
        ):
            with self.subTest(protocol, host=host):
                port = self.target(echo).port
                with self.connect(kind, host, port, proxy_rdns=remote) as connection:
                    self.assertTrue(echoes(connection))
                self.assertSeen(protocol, f"{host}:{port}")

    def test_connectsByIPv6(self) -> None:
        """
        PySocks reaches an IPv6 address by SOCKS5.
        """
        requireIPv6()
        port = self.target(echo, "::1").port
        with self.connect(self.socks.SOCKS5, "::1", port) as connection:
            self.assertTrue(echoes(connection))
        self.assertSeen("SOCKS5", f"[::1]:{port}")

    def test_getsTheBoundAddress(self) -> None:
        """
        The reply tells the daemon's own address on the connection to the
        target, in SOCKS4 too.
        """
        for kind in (self.socks.SOCKS4, self.socks.SOCKS5):
            with self.subTest(kind):
                target = self.target(echo)
                with self.connect(kind, "127.0.0.1", target.port) as connection:
                    self.assertTrue(echoes(connection))
                    bound = connection.get_proxy_sockname()  # type: ignore[attr-defined]
                    self.assertEqual(bound, target.accepted[0].getpeername())

    def test_saysThatTheTargetRefused(self) -> None:
        """
        PySocks raises an error for REP 5, and for code 91.
        """
        for kind, error, code in (
            (self.socks.SOCKS4, self.socks.SOCKS4Error, "0x5b"),
            (self.socks.SOCKS5, self.socks.SOCKS5Error, "0x05"),
        ):
            with self.subTest(error), closedPort() as port:
                self.assertIn(code, str(self.assertRefused(error, kind, port)))


class PySocksPasswordTests(PasswordTestCase, _PySocksMixin):
    """
    PySocks with authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy.
        """
        port = self.target(echo).port
        login = {"proxy_username": USER, "proxy_password": PASSWORD}
        with self.connect(self.socks.SOCKS5, "127.0.0.1", port, **login) as connection:
            self.assertTrue(echoes(connection))
        self.assertSeen("SOCKS5", f"127.0.0.1:{port}", USER)

    def test_aWrongPassword(self) -> None:
        """
        A wrong password, or a user name in SOCKS4, is an error of its own
        kind, and nothing is dialled.
        """
        target = self.target(echo)
        login = {"proxy_username": USER, "proxy_password": WRONG_PASSWORD}
        socks = self.socks
        self.assertRefused(socks.SOCKS5AuthError, socks.SOCKS5, target.port, **login)
        self.assertRefused(socks.SOCKS4Error, socks.SOCKS4, target.port, proxy_username=USER)
        self.assertEqual(target.accepted, [])


class _PythonSocksMixin(ProxyTestCase):
    package: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Import python-socks.
        """
        cls.package = requirePackage("python_socks")
        requirePackage("python_socks.sync")
        super().setUpClass()

    def connect(self, kind: str, host: str, port: int, **options: Any) -> socket.socket:
        """
        Connect through the daemon.
        """
        proxy = self.package.sync.Proxy.create(
            self.package.ProxyType[kind], "127.0.0.1", self.daemon.port, **options
        )
        connection: socket.socket = proxy.connect(host, port, timeout=TIMEOUT)
        return connection


class PythonSocksTests(_PythonSocksMixin):
    """
    python-socks without authentication.
    """

    def test_connects(self) -> None:
        """
        python-socks speaks SOCKS4 with an address, and SOCKS4a and SOCKS5
        with a name.
        """
        for kind, remote, protocol, host in (
            ("SOCKS4", False, "SOCKS4", "127.0.0.1"),
            ("SOCKS4", True, "SOCKS4a", "localhost"),
            ("SOCKS5", False, "SOCKS5", "127.0.0.1"),
            ("SOCKS5", True, "SOCKS5", "localhost"),
        ):
            with self.subTest(protocol, host=host):
                port = self.target(echo).port
                with self.connect(kind, host, port, rdns=remote) as connection:
                    self.assertTrue(echoes(connection))
                self.assertSeen(protocol, f"{host}:{port}")

    def test_connectsByIPv6(self) -> None:
        """
        python-socks reaches an IPv6 address by SOCKS5.
        """
        requireIPv6()
        port = self.target(echo, "::1").port
        with self.connect("SOCKS5", "::1", port) as connection:
            self.assertTrue(echoes(connection))
        self.assertSeen("SOCKS5", f"[::1]:{port}")

    def test_saysThatTheTargetRefused(self) -> None:
        """
        python-socks raises an error that carries REP 5, or code 91.
        """
        for kind, code in (("SOCKS4", 0x5B), ("SOCKS5", 5)):
            with self.subTest(kind), closedPort() as port:
                with self.assertRaises(self.package.ProxyError) as raised:
                    self.connect(kind, "127.0.0.1", port)
                self.assertEqual(raised.exception.error_code, code)


class PythonSocksPasswordTests(PasswordTestCase, _PythonSocksMixin):
    """
    python-socks with authentication.
    """

    def test_logsIn(self) -> None:
        """
        The right password opens the proxy.
        """
        port = self.target(echo).port
        login = {"username": USER, "password": PASSWORD}
        with self.connect("SOCKS5", "127.0.0.1", port, **login) as connection:
            self.assertTrue(echoes(connection))
        self.assertSeen("SOCKS5", f"127.0.0.1:{port}", USER)

    def test_aWrongPassword(self) -> None:
        """
        A wrong password is an error, and nothing is dialled.
        """
        target = self.target(echo)
        login = {"username": USER, "password": WRONG_PASSWORD}
        with self.assertRaises(self.package.ProxyError) as raised:
            self.connect("SOCKS5", "127.0.0.1", target.port, **login)
        self.assertIn("authentication failure", str(raised.exception))
        self.assertEqual(target.accepted, [])

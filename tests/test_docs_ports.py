"""
The page on policy: the command for firewalls and address translation, and who
may ask for what.
"""

import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.daemon import Daemon
from tests.interop.associations import Endpoint, receiveBound
from tests.interop.client import CHOICE, SUCCEEDED, TIMEOUT, login, receive
from tests.interop.hostile import PUBLIC
from tests.interop.namespaces import PROXY_ADDRESS, NamespaceDaemon
from tests.interop.networked import NOT_ALLOWED, NetworkTestCase
from tests.interop.proxied import PASSWORD, USER, passwordOptions
from tests.manual import optionsWith
from tests.socksclient import NO_AUTHENTICATION
from tests.socksrequests import BIND, RESOLVE, UDP_ASSOCIATE, command

NOT_SUPPORTED = 7


class PortsTests(NetworkTestCase):
    """
    The manual's command on a network.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Give the manual's options, with a password file that is there.
        """
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        options = optionsWith("policy", "--port-range")
        return [*passwordOptions(folder), *options[options.index("--port-range") :]]

    def tearDown(self) -> None:
        """
        Leave the log alone, since without a password nobody gets as far as to
        make entries.
        """

    def bound(self, message: bytes) -> Endpoint:
        """
        Ask for a port, as a user.

        @return: What the proxy says where it is.
        """
        address = (PROXY_ADDRESS, self.daemon.port)
        connection = self.network.world.call(socket.create_connection, address, TIMEOUT)
        self.enterContext(connection)
        self.assertEqual(login(connection, USER.encode(), PASSWORD.encode()), SUCCEEDED)
        connection.sendall(message)
        code, bound = receiveBound(connection)
        self.assertEqual(code, SUCCEEDED)
        return bound

    def test_ports(self) -> None:
        """
        Clients are told the public address and a port of the range, for
        connections and for datagrams.
        """
        for message in (command(BIND, PUBLIC[0]), command(UDP_ASSOCIATE)):
            host, port = self.bound(message)
            self.assertEqual(host, "203.0.113.5")
            self.assertIn(port, range(20000, 21000))


class WhoMayTests(NetworkTestCase):
    """
    What the manual's table says of clients that have not logged in.
    """

    def tearDown(self) -> None:
        """
        Leave the log alone.
        """

    def code(self, daemon: Daemon, address: str, message: bytes) -> int:
        """
        Make a request without a password.

        @param address: By which address the client knows the proxy.
        @return: REP.
        """
        origin = self.network.host if address == "127.0.0.1" else self.network.world
        with origin.call(socket.create_connection, (address, daemon.port), TIMEOUT) as connection:
            connection.sendall(NO_AUTHENTICATION)
            self.assertEqual(receive(connection, 2), CHOICE)
            connection.sendall(message)
            return receive(connection, 2)[1]

    def codes(self, listen: str, *options: str) -> list[int]:
        """
        Ask for BIND, UDP ASSOCIATE and RESOLVE.

        @param listen: Where the proxy listens.
        @param options: Its options.
        """
        with NamespaceDaemon(self.network.host, f"tcp:0:interface={listen}", *options) as daemon:
            return [
                self.code(daemon, listen, message)
                for message in (
                    command(BIND, PUBLIC[0]),
                    command(UDP_ASSOCIATE),
                    command(RESOLVE, PUBLIC[0]),
                )
            ]

    def test_local(self) -> None:
        """
        Clients of this machine get BIND and UDP ASSOCIATE by default, and
        RESOLVE on request; all of it can be switched off.
        """
        here = "127.0.0.1"
        self.assertEqual(self.codes(here), [SUCCEEDED, SUCCEEDED, NOT_SUPPORTED])
        self.assertEqual(self.codes(here, "--resolve"), [SUCCEEDED] * 3)
        self.assertEqual(self.codes(here, "--bind=off", "--udp=off"), [NOT_SUPPORTED] * 3)

    def test_elsewhere(self) -> None:
        """
        Clients from elsewhere that nobody knows get none of it, unless it is
        switched on; C{anonymous} and C{isolation:} are no login.
        """
        for options in ((), ("--auth", "anonymous"), ("--auth", "isolation:")):
            with self.subTest(options):
                codes = self.codes(PROXY_ADDRESS, "--open-relay", *options)
                self.assertEqual(codes, [NOT_SUPPORTED] * 3)
        on = ("--open-relay", "--bind=on", "--udp=on", "--resolve")
        self.assertEqual(self.codes(PROXY_ADDRESS, *on), [SUCCEEDED] * 3)

    def test_rulesHold(self) -> None:
        """
        What cannot be connected to is neither expected nor looked up.
        """
        on = ("--open-relay", "--bind=on", "--resolve")
        listen = f"tcp:0:interface={PROXY_ADDRESS}"
        with NamespaceDaemon(self.network.host, listen, *on) as daemon:
            for message in (command(BIND, "10.1.2.3"), command(RESOLVE, "metadata.example")):
                self.assertEqual(self.code(daemon, PROXY_ADDRESS, message), NOT_ALLOWED)

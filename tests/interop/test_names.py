"""
Clients from elsewhere who want to reach what they must not, by every way of
writing it down.

The proxy runs in a network namespace of its own, on an address of a network.
Two canaries wait to be reached: one listens on every address of the proxy's
host, the other, in a second namespace, on every address behind the cable. The
same daemon under C{--allow-private} reaches a canary by every address and
name for which it is refused without: so it is the rules alone that refuse.
"""

import socket
import subprocess
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path

from tests.daemon import TWISTD, environment
from tests.interop import client
from tests.interop.hostile import (
    HOSTS,
    INTERNAL_ADDRESSES,
    INTERNAL_NAMES,
    NO_NAMES,
    OWN_ADDRESSES,
    OWN_NAMES,
    PUBLIC,
    addressed4,
    named,
    named4,
)
from tests.interop.namespaces import (
    CLIENT_ADDRESS_6,
    PROXY_ADDRESS,
    PROXY_ADDRESS_6,
    Network,
    requireNamespaces,
)
from tests.interop.networked import (
    CONNECTION_REFUSED,
    GRANTED,
    HOST_UNREACHABLE,
    NOT_ALLOWED,
    REJECTED,
    SONG,
    NetworkTestCase,
)
from tests.interop.peers import TIMEOUT
from tests.interop.proxied import PASSWORD, USER, passwordOptions


class NamesTests(NetworkTestCase):
    """
    A proxy for everybody, by C{--open-relay}.
    """

    def test_refusesWhatIsInternal(self) -> None:
        """
        A client from elsewhere gets REP 2 for every address that is the
        host's own or not public, and for every name that stands for one.
        """
        self.assertInternalRefused()

    def test_refusesItsNeighbours(self) -> None:
        """
        It makes no difference that the client is on the proxy's host: what
        counts is the listener.
        """
        self.assertInternalRefused(self.network.host)

    def test_takesNoNumbersForNames(self) -> None:
        """
        A name that only a resolver would take for an address, or that is no
        name at all, gets REP 1.
        """
        self.assertNoNames()

    def test_refusesBySOCKS4(self) -> None:
        """
        SOCKS4 and SOCKS4a get code 91 for all of it, too, and for a name of
        which a NUL has left an address.
        """
        for addresses, names, canary in (
            (OWN_ADDRESSES, (*OWN_NAMES, *NO_NAMES), self.own),
            (INTERNAL_ADDRESSES, INTERNAL_NAMES, self.beyond),
        ):
            for address in addresses:
                if ":" not in address:
                    with self.subTest(address):
                        request = addressed4(address, canary.port)
                        self.assertEqual(self.ask(request), (REJECTED, b""))
            for name in names:
                with self.subTest(name):
                    request = named4(name, canary.port)
                    self.assertEqual(self.ask(request), (REJECTED, b""))
        self.assertUntouched()

    def test_refusesItself(self) -> None:
        """
        The proxy cannot be made to connect to its own port.
        """
        request = client.request(PROXY_ADDRESS, self.daemon.port)
        self.assertEqual(self.ask(request), (NOT_ALLOWED, b""))

    def test_unknownNames(self) -> None:
        """
        A name that does not resolve gets REP 4.
        """
        for name in (b"nowhere.example", b"127.0.0.1.example", b"nowhere.onion"):
            with self.subTest(name):
                request = named(name, self.own.port)
                self.assertEqual(self.ask(request), (HOST_UNREACHABLE, b""))
        self.assertUntouched()

    def test_reachesThePublic(self) -> None:
        """
        Public addresses and names are reached, and of a name that has public
        and internal addresses the public ones.
        """
        self.assertPublicReached()

    def test_triesThePublicOnly(self) -> None:
        """
        Where the public address of such a name refuses the connection, the
        internal one is not tried instead.
        """
        request = named(b"mixed.example", self.own.port)
        self.assertEqual(self.ask(request), (CONNECTION_REFUSED, b""))
        self.assertUntouched()

    def test_reachesThePublicBySOCKS4(self) -> None:
        """
        SOCKS4 and SOCKS4a reach it as well.
        """
        for request in (
            addressed4(PUBLIC[0], self.beyond.port),
            named4(b"public6.example", self.beyond.port),
        ):
            with self.subTest(request):
                self.assertEqual(self.ask(request), (GRANTED, SONG))


class IPv6ListenerTests(NetworkTestCase):
    """
    A proxy that listens on an IPv6 address.
    """

    listener = address = PROXY_ADDRESS_6

    def test_refusesWhatIsInternal(self) -> None:
        """
        The rules are the same as on an IPv4 address.
        """
        self.assertInternalRefused()

    def test_reachesThePublic(self) -> None:
        """
        Public addresses of both families are reached, the client's own
        address among them.
        """
        self.assertPublicReached()
        request = client.request(CLIENT_ADDRESS_6, self.beyond.port)
        self.assertEqual(self.ask(request), (client.SUCCEEDED, SONG))


class WildcardListenerTests(NetworkTestCase):
    """
    A proxy that listens on every address.
    """

    listener = "::"

    def test_refusesWhatIsInternal(self) -> None:
        """
        Over such a listener nothing internal is reached, not even by those
        who came over loopback.
        """
        for origin, proxy in (
            (self.network.world, PROXY_ADDRESS),
            (self.network.world, PROXY_ADDRESS_6),
            (self.network.host, "127.0.0.1"),
        ):
            for name in (b"127.0.0.1", b"::1", PROXY_ADDRESS.encode(), b"localhost"):
                with self.subTest(name, proxy=proxy):
                    request = named(name, self.own.port)
                    self.assertEqual(self.ask(request, origin, proxy), (NOT_ALLOWED, b""))
        self.assertUntouched()


class PasswordTests(NetworkTestCase):
    """
    A proxy for those who have a password.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Make a password file.
        """
        return passwordOptions(Path(cls.enterClassContext(tempfile.TemporaryDirectory())))

    def login(self, connection: socket.socket) -> None:
        """
        Log in.
        """
        status = client.login(connection, USER.encode(), PASSWORD.encode())
        self.assertEqual(status, client.SUCCEEDED)

    def test_refusesWhatIsInternal(self) -> None:
        """
        A password opens the proxy but nothing that is internal.
        """
        self.assertInternalRefused()

    def test_reachesThePublic(self) -> None:
        """
        With a password the public is reached.
        """
        self.assertPublicReached()


class AllowPrivateTests(NetworkTestCase):
    """
    The same proxy under C{--allow-private}.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Allow what is refused elsewhere in this module.
        """
        return ("--open-relay", "--allow-private")

    def test_reachesWhatIsInternal(self) -> None:
        """
        Every address and name that is refused without C{--allow-private} is
        reached with it.
        """
        for addresses, names, canary in (
            (OWN_ADDRESSES, OWN_NAMES, self.own),
            (INTERNAL_ADDRESSES, INTERNAL_NAMES, self.beyond),
        ):
            for address in addresses:
                with self.subTest(address):
                    request = client.request(address, canary.port)
                    self.assertEqual(self.ask(request), (client.SUCCEEDED, SONG))
            for name in names:
                with self.subTest(name):
                    request = named(name, canary.port)
                    self.assertEqual(self.ask(request), (client.SUCCEEDED, SONG))

    def test_reachesBySOCKS4(self) -> None:
        """
        So it is by SOCKS4 and SOCKS4a.
        """
        for request in (
            addressed4("127.0.0.1", self.own.port),
            named4(b"127.0.0.1\0.example.com", self.own.port),
            named4(b"localhost", self.own.port),
            named4(b"::1", self.own.port),
        ):
            with self.subTest(request):
                self.assertEqual(self.ask(request), (GRANTED, SONG))

    def test_takesNoNumbersForNames(self) -> None:
        """
        What is no name is not reached by this either.
        """
        self.assertNoNames()


class OpenRelayTests(unittest.TestCase):
    """
    A proxy on a network that would let everybody in.
    """

    def test_doesNotStart(self) -> None:
        """
        Without C{--auth} and C{--open-relay} it does not start on anything
        but loopback, and says in one line what to give.
        """
        requireNamespaces()
        host = self.enterContext(Network(HOSTS, ())).host
        for listen in (
            "tcp:0",
            r"tcp:0:interface=\:\:",
            f"tcp:0:interface={PROXY_ADDRESS}",
            "tcp:0:interface=" + PROXY_ADDRESS_6.replace(":", r"\:"),
        ):
            with self.subTest(listen):
                ended = subprocess.run(
                    host.command(*TWISTD, "-n", "--pidfile=", "socksproxy", "--listen", listen),
                    cwd=tempfile.gettempdir(),
                    env=environment(),
                    capture_output=True,
                    timeout=TIMEOUT,
                    text=True,
                )
                self.assertNotEqual(ended.returncode, 0)
                said = (ended.stdout + ended.stderr).splitlines()
                last = said[-1]
                self.assertIn(f"{listen} would let anybody use this proxy", last)
                self.assertIn("--open-relay", last)
                self.assertNotIn("Traceback", "\n".join(said))

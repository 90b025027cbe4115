"""
What the tests share that reach for a proxy over a network.
"""

import socket
import unittest
from collections.abc import Sequence
from typing import ClassVar

from tests.daemon import Daemon
from tests.interop import client
from tests.interop.hostile import (
    HOSTS,
    INTERNAL_ADDRESSES,
    INTERNAL_NAMES,
    NO_NAMES,
    OWN_ADDRESSES,
    OWN_NAMES,
    PUBLIC,
    UNDIALLED_ADDRESSES,
    named,
)
from tests.interop.namespaces import (
    PROXY_ADDRESS,
    Namespace,
    NamespaceDaemon,
    Network,
    requireNamespaces,
)
from tests.interop.peers import TIMEOUT
from tests.targets import Target, sender

SONG = b"canary"

GENERAL_FAILURE, NOT_ALLOWED, HOST_UNREACHABLE, CONNECTION_REFUSED = 1, 2, 4, 5
GRANTED, REJECTED = 0x5A, 0x5B


class NetworkTestCase(unittest.TestCase):
    """
    Tests with a proxy on a network.

    @cvar listener: The address that the proxy listens on.
    @cvar address: The one that its clients know.
    @cvar network: The network.
    @cvar daemon: The proxy.
    """

    listener: ClassVar[str] = PROXY_ADDRESS
    address: ClassVar[str] = PROXY_ADDRESS
    network: ClassVar[Network]
    daemon: ClassVar[Daemon]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Make the network and start the proxy.
        """
        requireNamespaces()
        elsewhere = (*INTERNAL_ADDRESSES, *PUBLIC)
        cls.network = cls.enterClassContext(Network(HOSTS, elsewhere))
        description = "tcp:0:interface=" + cls.listener.replace(":", r"\:")
        cls.daemon = cls.enterClassContext(
            NamespaceDaemon(cls.network.host, description, *cls.options())
        )

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Give the proxy's options.
        """
        return ("--open-relay",)

    def setUp(self) -> None:
        """
        Put the canaries up.
        """
        self.own = self.canary(self.network.host)
        self.beyond = self.canary(self.network.world)

    def tearDown(self) -> None:
        """
        Read the proxy's log, before so much of it is waiting that the proxy
        has to wait as well.
        """
        self.ask(named(b"last.onion", 1))
        self.daemon.waitFor(r"CONNECT last\.onion:1 ")

    def canary(self, namespace: Namespace) -> Target:
        """
        Listen on every address of a namespace, of both families.
        """
        return self.enterContext(namespace.call(Target, sender(SONG), "::"))

    def ask(
        self, request: bytes, origin: Namespace | None = None, proxy: str = ""
    ) -> tuple[int, bytes]:
        """
        Make a request of the proxy.

        @param request: A request of SOCKS4 or SOCKS5.
        @param origin: Where the client is, if not behind the cable.
        @param proxy: By which of its addresses it knows the proxy, if it is
            another than usual.
        @return: The code of the answer, and what follows the answer.
        """
        origin = self.network.world if origin is None else origin
        address = (proxy or self.address, self.daemon.port)
        with origin.call(socket.create_connection, address, client.TIMEOUT) as connection:
            if request[0] == 4:
                connection.sendall(request)
                code = client.receive(connection, 8)[1]
            else:
                self.login(connection)
                connection.sendall(request)
                code = client.receiveReply(connection)
            return code, client.receiveAll(connection)

    def login(self, connection: socket.socket) -> None:
        """
        Greet the proxy.
        """
        connection.sendall(client.NO_AUTHENTICATION)
        self.assertEqual(client.receive(connection, 2), client.CHOICE)

    def assertUntouched(self) -> None:
        """
        Check that nobody has got to a canary.
        """
        for canary, namespace in (
            (self.own, self.network.host),
            (self.beyond, self.network.world),
        ):
            # The kernel's queue is in order: whoever came before us, be it
            # just now, has been counted when we are.
            address = ("127.0.0.1", canary.port)
            with namespace.call(socket.create_connection, address, TIMEOUT) as connection:
                self.assertEqual(client.receiveAll(connection), SONG)
            self.assertEqual(len(canary.accepted), 1)

    def assertInternalRefused(self, origin: Namespace | None = None, proxy: str = "") -> None:
        """
        Check that nothing internal can be reached by SOCKS5.

        @param origin: As for L{ask}.
        @param proxy: As for L{ask}.
        """
        for addresses, names, canary in (
            (OWN_ADDRESSES, OWN_NAMES, self.own),
            (INTERNAL_ADDRESSES, INTERNAL_NAMES, self.beyond),
            (UNDIALLED_ADDRESSES, (), self.beyond),
        ):
            for address in addresses:
                with self.subTest(address):
                    request = client.request(address, canary.port)
                    self.assertEqual(self.ask(request, origin, proxy), (NOT_ALLOWED, b""))
            for name in names:
                with self.subTest(name):
                    request = named(name, canary.port)
                    self.assertEqual(self.ask(request, origin, proxy), (NOT_ALLOWED, b""))
        self.assertUntouched()

    def assertNoNames(self) -> None:
        """
        Check that what is no name is not taken for one, nor for an address.
        """
        for name in NO_NAMES:
            with self.subTest(name):
                request = named(name, self.own.port)
                self.assertEqual(self.ask(request), (GENERAL_FAILURE, b""))
        self.assertUntouched()

    def assertPublicReached(self) -> None:
        """
        Check that what is not internal can be reached.
        """
        for address in PUBLIC:
            with self.subTest(address):
                request = client.request(address, self.beyond.port)
                self.assertEqual(self.ask(request), (client.SUCCEEDED, SONG))
        for name in (b"public.example", b"public6.example", b"mixed.example"):
            with self.subTest(name):
                request = named(name, self.beyond.port)
                self.assertEqual(self.ask(request), (client.SUCCEEDED, SONG))

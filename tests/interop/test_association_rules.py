"""
UDP ASSOCIATE on a network: whom clients from elsewhere must not write to.

That nothing was forwarded is seen as in L{tests.interop.test_associations}: it
is something harmless, sent afterwards, that arrives.
"""

import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.interop import client
from tests.interop.associations import (
    SUFFICIENT,
    Association,
    assertAnswers,
    command,
    datagramSocket,
    endpointOf,
    head,
    isQuiet,
    namedHead,
)
from tests.interop.hostile import (
    INTERNAL_ADDRESSES,
    INTERNAL_NAMES,
    NO_NAMES,
    OWN_ADDRESSES,
    OWN_NAMES,
    PUBLIC,
    UNDIALLED_ADDRESSES,
)
from tests.interop.namespaces import PROXY_ADDRESS, Namespace, NamespaceDaemon
from tests.interop.networked import SONG, NetworkTestCase
from tests.interop.proxied import PASSWORD, USER, passwordOptions
from tests.socksclient import request

NOT_SUPPORTED = 7


class _NetworkMixin(NetworkTestCase):
    """
    @ivar ownUDP: Listens on every address of the proxy's host.
    @ivar beyondUDP: Listens on every address behind the cable.
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

    def setUp(self) -> None:
        """
        Put the canaries up, and have an association.
        """
        super().setUp()
        self.ownUDP = self.datagramCanary(self.network.host)
        self.beyondUDP = self.datagramCanary(self.network.world)
        self.association = self.enterContext(
            self.network.world.call(Association, self.daemon.port, self.address, (USER, PASSWORD))
        )

    def datagramCanary(self, namespace: Namespace) -> socket.socket:
        """
        Listen for datagrams on every address of a namespace, of both
        families.
        """
        return self.enterContext(namespace.call(datagramSocket, "::"))

    def send(self, host: str | bytes, canary: socket.socket) -> None:
        """
        Send what names its destination.
        """
        port = endpointOf(canary)[1]
        start = namedHead(host, port) if isinstance(host, bytes) else head(host, port)
        shown = host if isinstance(host, bytes) else host.encode()
        self.association.socket.sendto(start + shown, self.association.relay)


class DeniedTests(_NetworkMixin):
    """
    A proxy on a network for those who have a password.
    """

    def test_bindsTheAddressThatTheClientKnows(self) -> None:
        """
        The relay is where the client has connected to.
        """
        self.assertEqual(self.association.relay[0], self.address)

    def test_sendsNothingToWhatIsInternal(self) -> None:
        """
        A datagram for an address that is the host's own or not public, for a
        name that stands for one, or for what is no name, is not forwarded;
        what follows it is.
        """
        for hosts, canary in (
            ((*OWN_ADDRESSES, *OWN_NAMES, *NO_NAMES), self.ownUDP),
            ((*INTERNAL_ADDRESSES, *INTERNAL_NAMES, *UNDIALLED_ADDRESSES), self.beyondUDP),
        ):
            for host in hosts:
                self.send(host, canary)
                # Twice, since a name may have to wait for its address.
                for public in (PUBLIC[0], b"public.example"):
                    self.send(public, self.beyondUDP)
                    with self.subTest(host):
                        self.assertReceives(self.beyondUDP, public)
        self.network.host.call(self.ownUDP.sendto, b"first", ("::1", endpointOf(self.ownUDP)[1]))
        self.assertReceives(self.ownUDP, b"first")

    def test_aNameWithBoth(self) -> None:
        """
        Of a name's addresses a public one is written to, not an internal one.
        """
        for _ in range(3):
            for canary in (self.ownUDP, self.beyondUDP):
                self.send(b"mixed.example", canary)
            self.assertReceives(self.beyondUDP, b"mixed.example")
        self.assertTrue(isQuiet(self.ownUDP))

    def test_fromElsewhereInTheNetwork(self) -> None:
        """
        Whoever else finds the relay cannot use it.
        """
        with self.network.world.call(datagramSocket, PUBLIC[0]) as stranger:
            port = endpointOf(self.beyondUDP)[1]
            stranger.sendto(head(PUBLIC[0], port) + b"forbidden", self.association.relay)
            self.send(PUBLIC[0], self.beyondUDP)
            self.assertReceives(self.beyondUDP, PUBLIC[0])
            self.assertTrue(isQuiet(stranger))

    def assertReceives(self, canary: socket.socket, host: str | bytes) -> None:
        """
        Check what comes next.
        """
        expected = host if isinstance(host, bytes) else host.encode()
        self.assertEqual(canary.recvfrom(SUFFICIENT)[0], expected)


class AllowPrivateTests(_NetworkMixin):
    """
    The same proxy under C{--allow-private}.
    """

    @classmethod
    def options(cls) -> Sequence[str]:
        """
        Allow what is refused otherwise.
        """
        return (*super().options(), "--allow-private")

    def test_reachesWhatIsInternal(self) -> None:
        """
        Every address and name that is refused without C{--allow-private} is
        reached with it: so it is the rules alone that refuse.
        """
        for hosts, canary in (
            ((*OWN_ADDRESSES, *OWN_NAMES), self.ownUDP),
            ((*INTERNAL_ADDRESSES, *INTERNAL_NAMES), self.beyondUDP),
        ):
            for host in hosts:
                # The conduit knows no host without an address.
                if host in ("0.0.0.0", "::", "::ffff:0.0.0.0", b"0.0.0.0", b"::", b"[::]"):
                    continue
                with self.subTest(host):
                    self.send(host, canary)
                    expected = host if isinstance(host, bytes) else host.encode()
                    self.assertEqual(canary.recvfrom(SUFFICIENT)[0], expected)


class OpenRelayTests(NetworkTestCase):
    """
    A proxy for everybody, by C{--open-relay}.
    """

    def test_notForEverybody(self) -> None:
        """
        Somebody from elsewhere who has not logged in gets REP 7, unless
        C{--udp on} is there, too; CONNECT is for everybody.
        """
        self.assertEqual(self.ask(command(3, "0.0.0.0", 0)), (NOT_SUPPORTED, b""))
        connect = request(PUBLIC[0], self.beyond.port)
        self.assertEqual(self.ask(connect), (client.SUCCEEDED, SONG))

    def test_forEverybodyOnRequest(self) -> None:
        """
        With C{--udp on} it is for everybody.
        """
        listen = f"tcp:0:interface={PROXY_ADDRESS}"
        options = ("--open-relay", "--udp", "on")
        world = self.network.world
        with (
            NamespaceDaemon(self.network.host, listen, *options) as daemon,
            world.call(Association, daemon.port, PROXY_ADDRESS) as association,
            world.call(datagramSocket, PUBLIC[0]) as target,
        ):
            assertAnswers(association, target)

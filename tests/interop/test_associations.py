"""
UDP ASSOCIATE on real sockets: who may use a relay, and for how long.

That nothing was forwarded is seen without waiting: what is forbidden is sent
first and something harmless after it on the same way, which keeps the order;
so the harmless one must be what arrives.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.interop import client
from tests.interop.associations import (
    MAX_UDP,
    Association,
    Endpoint,
    command,
    datagramPorts,
    datagramSocket,
    endpointOf,
    head,
    isQuiet,
)
from tests.interop.hostile import (
    INTERNAL_ADDRESSES,
    INTERNAL_NAMES,
    NO_NAMES,
    OWN_ADDRESSES,
    OWN_NAMES,
    PUBLIC,
    UNDIALLED_ADDRESSES,
    packedPort,
)
from tests.interop.namespaces import PROXY_ADDRESS, Namespace, NamespaceDaemon
from tests.interop.networked import SONG, NetworkTestCase
from tests.interop.peers import requireIPv6
from tests.interop.processes import descriptors, residentKiB, restingDescriptors, until
from tests.interop.proxied import PASSWORD, USER, passwordOptions

SUFFICIENT = 65535
NOT_SUPPORTED = 7
GONE_WITHIN = 1.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """
    Start a proxy for all tests of this module.
    """
    with Daemon() as started:
        yield started


@pytest.fixture
def association(daemon: Daemon) -> Iterator[Association]:
    """
    Have an association.
    """
    with Association(daemon.port) as made:
        yield made


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """
    Have somebody to write to.
    """
    with datagramSocket() as made:
        yield made


def named(name: bytes, port: int) -> bytes:
    """
    Encode what is before the payload of a datagram for a name.
    """
    return b"\0\0\0\3%c%b%b" % (len(name), name, packedPort(port))


def question(association: Association, target: socket.socket) -> Endpoint:
    """
    Send something by way of the relay.

    @return: Where it came from.
    """
    association.send(b"question", endpointOf(target))
    payload, (host, port, *_) = target.recvfrom(SUFFICIENT)
    assert payload == b"question"
    return host, port


def assertAnswers(association: Association, target: socket.socket) -> None:
    """
    Check that an association works, and that nothing was on the way before.
    """
    target.sendto(b"answer", question(association, target))
    assert association.receive() == (b"answer", endpointOf(target))
    assert isQuiet(association.socket)
    assert isQuiet(target)


class TestRelaying:
    """
    What an association is there for.
    """

    def test_reachesBothFamilies(self, daemon: Daemon) -> None:
        """
        One association reaches addresses of both families and names, and is
        told the address of who answers; the access line counts it all.
        """
        requireIPv6()
        with (
            Association(daemon.port) as association,
            datagramSocket() as four,
            datagramSocket("::1") as six,
        ):
            for target, host in ((four, "127.0.0.1"), (six, "::1"), (four, "localhost")):
                port = endpointOf(target)[1]
                association.send(b"question", (host, port))
                payload, sender = target.recvfrom(SUFFICIENT)
                assert payload == b"question"
                target.sendto(b"the answer", sender)
                assert association.receive() == (b"the answer", endpointOf(target))
            port = endpointOf(association.control)[1]
        daemon.waitFor(
            rf"SOCKS5 127\.0\.0\.1:{port} - UDP \S+ \[-\]: succeeded; 24 sent, 30 received, "
        )

    def test_anIPv6Client(self) -> None:
        """
        A client that comes by IPv6 gets a relay at the address that it came
        to.
        """
        requireIPv6()
        with (
            Daemon(listen=r"tcp:0:interface=\:\:1") as daemon,
            datagramSocket() as target,
            Association(daemon.port, "::1") as association,
        ):
            assert association.relay[0] == "::1"
            assertAnswers(association, target)

    def test_keepsBoundaries(self, association: Association, target: socket.socket) -> None:
        """
        Datagrams of no octets and of as many as fit get through as they are.
        """
        largest = MAX_UDP - len(head(*endpointOf(target)))
        for payload in (b"", b"1", bytes(range(256)) * 200, b"x" * largest, b""):
            association.send(payload, endpointOf(target))
            received, sender = target.recvfrom(SUFFICIENT)
            assert received == payload
            target.sendto(payload, sender)
            assert association.receive() == (payload, endpointOf(target))

    def test_anAnswerThatDoesNotFit(self, association: Association, target: socket.socket) -> None:
        """
        An answer that is too large together with its head is dropped, and
        does no harm.
        """
        sender = question(association, target)
        target.sendto(b"x" * MAX_UDP, sender)
        target.sendto(b"answer", sender)
        assert association.receive() == (b"answer", endpointOf(target))
        assertAnswers(association, target)

    def test_sendsFromOnePort(self, association: Association) -> None:
        """
        To everybody an association's datagrams come from the same port.
        """
        with ExitStack() as stack:
            targets = [
                stack.enter_context(datagramSocket(host))
                for host in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3")
            ]
            assert len({question(association, target)[1] for target in targets}) == 1

    def test_refusedByATarget(self, association: Association, target: socket.socket) -> None:
        """
        Nobody at a port is no reason to stop.
        """
        with datagramSocket() as closed:
            nobody = endpointOf(closed)
        for _ in range(3):
            association.send(b"anybody there?", nobody)
            assertAnswers(association, target)


class TestStrangers:
    """
    Those whom a relay is not for.
    """

    def test_fromAnotherAddress(self, association: Association, target: socket.socket) -> None:
        """
        A datagram from another address than the client's is not forwarded,
        be it the first one, and gets no answer.
        """
        datagram = head(*endpointOf(target)) + b"forbidden"
        with datagramSocket("127.0.0.2") as stranger:
            for _ in range(2):
                stranger.sendto(datagram, association.relay)
                assertAnswers(association, target)
            assert isQuiet(stranger)

    def test_fromAnotherPort(self, association: Association, target: socket.socket) -> None:
        """
        After the client's first datagram one from another port of its address
        is not forwarded, and answers go on going to the first port.
        """
        datagram = head(*endpointOf(target)) + b"forbidden"
        assertAnswers(association, target)
        with datagramSocket() as stranger:
            for _ in range(2):
                stranger.sendto(datagram, association.relay)
                assertAnswers(association, target)
            assert isQuiet(stranger)

    def test_whatMakesNoSense(self, association: Association, target: socket.socket) -> None:
        """
        What is no datagram of SOCKS is not forwarded, and does not decide
        about the client's port either.
        """
        good = head(*endpointOf(target)) + b"forbidden"
        port = packedPort(endpointOf(target)[1])
        nonsense = (
            b"",
            b"\0",
            good[:3],
            good[:4],
            good[:9],
            b"\1" + good[1:],
            b"\0\1" + good[2:],
            b"\0\0\0\2" + good[4:],
            b"\0\0\0\3\0" + port + b"forbidden",
            b"\0\0\0\3\xff" + b"localhost" + port,
            b"\0\0\0\4" + good[4:],
            head("127.0.0.1", 0) + b"forbidden",
            *(named(name, endpointOf(target)[1]) + b"forbidden" for name in NO_NAMES),
        )
        with datagramSocket() as other:
            for datagram in nonsense:
                other.sendto(datagram, association.relay)
            assertAnswers(association, target)
            assert isQuiet(other)
        for datagram in nonsense:
            association.socket.sendto(datagram, association.relay)
            assertAnswers(association, target)

    def test_whatGoesNowhere(self, association: Association, target: socket.socket) -> None:
        """
        Fragments, and what is for no host or for all of them, are not
        forwarded.
        """
        port = endpointOf(target)[1]
        for start in (
            head("127.0.0.1", port, 1),
            head("127.0.0.1", port, 0x81),
            head("0.0.0.0", port),
            head("::", port),
            head("::ffff:0.0.0.0", port),
            head("255.255.255.255", port),
            head("224.0.0.1", port),
        ):
            association.socket.sendto(start + b"forbidden", association.relay)
            assertAnswers(association, target)

    def test_fromWhomNobodyWroteTo(self, association: Association, target: socket.socket) -> None:
        """
        A datagram from a host that the client has not written to does not get
        to it; one from another port of a host that it has written to does.
        """
        sender = question(association, target)
        with datagramSocket("127.0.0.3") as stranger, datagramSocket() as neighbour:
            for _ in range(2):
                stranger.sendto(b"unasked", sender)
                target.sendto(b"answer", sender)
                assert association.receive() == (b"answer", endpointOf(target))
                neighbour.sendto(b"one more", sender)
                assert association.receive() == (b"one more", endpointOf(neighbour))
            assert isQuiet(association.socket)


class TestFullCone:
    """
    C{--full-cone}.
    """

    def test_letsAnybodyAnswer(self) -> None:
        """
        Whoever knows the port can write to the client, which is told who that
        is.
        """
        with (
            Daemon("--full-cone") as daemon,
            Association(daemon.port) as association,
            datagramSocket() as target,
            datagramSocket("127.0.0.3") as stranger,
        ):
            sender = question(association, target)
            stranger.sendto(b"unasked", sender)
            assert association.receive() == (b"unasked", endpointOf(stranger))


class TestFragments:
    """
    C{--udp-fragments}.
    """

    def test_joins(self, target: socket.socket) -> None:
        """
        With it the pieces of a datagram are put together.
        """
        with Daemon("--udp-fragments") as daemon, Association(daemon.port) as association:
            for fragment, payload in ((1, b"one "), (2, b"two "), (0x83, b"three")):
                datagram = head(*endpointOf(target), fragment) + payload
                association.socket.sendto(datagram, association.relay)
            assert target.recvfrom(SUFFICIENT)[0] == b"one two three"


def _close(association: Association) -> None:
    association.control.close()


def _shutDown(association: Association) -> None:
    association.control.shutdown(socket.SHUT_WR)


def _reset(association: Association) -> None:
    client.reset(association.control)


class TestEnd:
    """
    An association lives as long as its connection.
    """

    @pytest.mark.parametrize("end", [_close, _shutDown, _reset])
    def test_endsWithTheConnection(
        self, daemon: Daemon, target: socket.socket, end: Callable[[Association], None]
    ) -> None:
        """
        Within a second after the client has closed, half-closed or reset the
        connection both sockets are gone; nothing is forwarded any more,
        whoever it comes from.
        """
        pid = daemon.process.pid
        until(lambda: datagramPorts(pid) == [], "without sockets for datagrams")
        with Association(daemon.port) as association:
            sender = question(association, target)
            assert sorted(datagramPorts(pid)) == sorted((association.relay[1], sender[1]))
            end(association)
            until(lambda: datagramPorts(pid) == [], "gone", GONE_WITHIN)
            datagram = head(*endpointOf(target)) + b"forbidden"
            with datagramSocket() as stranger:
                for origin, to in (
                    (association.socket, association.relay),
                    (stranger, association.relay),
                    (target, sender),
                ):
                    origin.connect(to)
                    origin.send(datagram)
                    with pytest.raises(ConnectionRefusedError):
                        origin.send(datagram)
            assert isQuiet(target)
            assert isQuiet(association.socket)

    def test_leavesOthersAlone(self, daemon: Daemon, target: socket.socket) -> None:
        """
        The end of one association is not the end of another, and a datagram
        for the one that is gone does not get through by the other.
        """
        with Association(daemon.port) as lasting:
            with Association(daemon.port) as ending:
                assertAnswers(ending, target)
                assertAnswers(lasting, target)
                relay = ending.relay
                datagram = head(*endpointOf(target)) + b"forbidden"
            until(lambda: relay[1] not in datagramPorts(daemon.process.pid), "gone", GONE_WITHIN)
            lasting.socket.sendto(datagram, relay)
            assertAnswers(lasting, target)

    def test_withNothingSent(self, daemon: Daemon) -> None:
        """
        An association that was never used goes as well.
        """
        pid = daemon.process.pid
        with Association(daemon.port) as association:
            assert association.relay[1] in datagramPorts(pid)
        until(lambda: association.relay[1] not in datagramPorts(pid), "gone", GONE_WITHIN)


class TestMany:
    """
    A thousand associations at a time.
    """

    ASSOCIATIONS = 1000
    DESTINATIONS = 20
    # So many at a time that no kernel's buffer is full.
    AT_A_TIME = 50
    KIB_EACH = 48

    def test_aThousand(self) -> None:
        """
        A thousand associations with twenty destinations each lose nothing,
        take two sockets and a bounded piece of memory each, and are all gone
        after their clients.
        """
        with Daemon() as daemon, ExitStack() as stack:
            targets = [stack.enter_context(datagramSocket()) for _ in range(self.DESTINATIONS)]
            with Association(daemon.port) as first:
                self.exchange([first], targets)
            pid = daemon.process.pid
            resting, memory = restingDescriptors(pid), residentKiB(pid)
            with ExitStack() as clients:
                associations = [
                    clients.enter_context(Association(daemon.port))
                    for _ in range(self.ASSOCIATIONS)
                ]
                for start in range(0, self.ASSOCIATIONS, self.AT_A_TIME):
                    self.exchange(associations[start : start + self.AT_A_TIME], targets)
                assert len(datagramPorts(pid)) <= 2 * self.ASSOCIATIONS
                assert descriptors(pid) - resting <= 3 * self.ASSOCIATIONS
                assert residentKiB(pid) - memory <= self.KIB_EACH * self.ASSOCIATIONS
            until(lambda: datagramPorts(pid) == [], "without sockets for datagrams")
            until(lambda: descriptors(pid) <= resting, "as few descriptors as before")
            with Association(daemon.port) as last:
                self.exchange([last], targets)

    def exchange(self, associations: Sequence[Association], targets: list[socket.socket]) -> None:
        """
        Send a datagram from each association to each target, and one back.
        """
        expected = {(b"%d" % n, endpointOf(target)) for n, target in enumerate(targets)}
        for association in associations:
            for payload, to in expected:
                association.send(payload, to)
        for target in targets:
            for _ in associations:
                target.sendto(*target.recvfrom(SUFFICIENT))
        for association in associations:
            assert {association.receive() for _ in expected} == expected


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
        start = named(host, port) if isinstance(host, bytes) else head(host, port)
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
        connect = client.request(PUBLIC[0], self.beyond.port)
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

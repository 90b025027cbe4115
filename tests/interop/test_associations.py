"""
UDP ASSOCIATE on real sockets: what gets through, and who may use a relay.

That nothing was forwarded is seen without waiting: what is forbidden is sent
first and something harmless after it on the same way, which keeps the order;
so the harmless one must be what arrives.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.interop import client
from tests.interop.associations import (
    MAX_UDP,
    SUFFICIENT,
    Association,
    assertAnswers,
    command,
    datagramSocket,
    endpointOf,
    head,
    isQuiet,
    namedHead,
    question,
    receiveBound,
)
from tests.interop.hostile import NO_NAMES, packedPort
from tests.interop.peers import requireIPv6
from tests.socksclient import NO_AUTHENTICATION


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

    def test_aListenerOnEveryAddress(self, target: socket.socket) -> None:
        """
        Behind a listener on every address of both families, too, the relay is
        at the address, and of the family, that the client came to.
        """
        requireIPv6()
        options = ("--open-relay", "--udp", "on", "--allow-private")
        with Daemon(*options, listen=r"tcp:0:interface=\:\:") as daemon:
            for host in ("127.0.0.1", "::1"):
                with Association(daemon.port, host) as association:
                    assert association.relay[0] == host
                    assertAnswers(association, target)

    def test_overAUNIXSocket(self, tmp_path: Path, target: socket.socket) -> None:
        """
        A client that came by way of a path gets a relay on loopback.
        """
        path = tmp_path / "proxy.socket"
        with (
            Daemon("--listen", f"unix:{path}"),
            socket.socket(socket.AF_UNIX) as control,
            datagramSocket() as sender,
        ):
            control.settimeout(client.TIMEOUT)
            control.connect(str(path))
            control.sendall(NO_AUTHENTICATION + command(3, "0.0.0.0", 0))
            assert client.receive(control, 2) == client.CHOICE
            code, relay = receiveBound(control)
            assert (code, relay[0]) == (client.SUCCEEDED, "127.0.0.1")
            sender.sendto(head(*endpointOf(target)) + b"question", relay)
            assert target.recvfrom(SUFFICIENT)[0] == b"question"

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
            *(namedHead(name, endpointOf(target)[1]) + b"forbidden" for name in NO_NAMES),
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

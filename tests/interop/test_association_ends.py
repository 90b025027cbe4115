"""
The end of UDP associations on real sockets: when, and of how many.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.daemon import Daemon
from tests.interop import client
from tests.interop.associations import (
    SUFFICIENT,
    Association,
    assertAnswers,
    datagramPorts,
    datagramSocket,
    endpointOf,
    head,
    isQuiet,
    question,
)
from tests.interop.processes import descriptors, residentKiB, restingDescriptors, until

GONE_WITHIN = 1.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """
    Start a proxy for all tests of this module.
    """
    with Daemon() as started:
        yield started


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """
    Have somebody to write to.
    """
    with datagramSocket() as made:
        yield made


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

"""
Tests for L{socksproxy.outbound.eyeballs}: the race.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error as twistedError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy import errors
from socksproxy.outbound.eyeballs import MAX_ADDRESSES, Dial, interleaved, requestFailedFrom
from socksproxy.relay import Leg
from socksproxy.testing import ScriptedNetwork, tcpAddress

TABLE = {
    "EACCES": errors.NotAllowed,
    "EPERM": errors.NotAllowed,
    "ENETUNREACH": errors.NetworkUnreachable,
    "ENETDOWN": errors.NetworkUnreachable,
    "EADDRNOTAVAIL": errors.NetworkUnreachable,
    "EAFNOSUPPORT": errors.NetworkUnreachable,
    "EHOSTUNREACH": errors.HostUnreachable,
    "EHOSTDOWN": errors.HostUnreachable,
    "ECONNREFUSED": errors.ConnectionRefused,
    "ECONNRESET": errors.ConnectionRefused,
    "ETIMEDOUT": errors.ConnectTimedOut,
    "EMFILE": errors.GeneralFailure,
}
"""
What each errno of a connection attempt is told as.
"""


class LegFactory(Factory):
    """
    Makes legs and remembers them.
    """

    def __init__(self) -> None:
        self.built: list[Leg] = []

    def buildProtocol(self, addr: object) -> Leg:
        """
        See C{IProtocolFactory}.
        """
        self.built.append(Leg())
        return self.built[-1]


class InterleavedTests(SynchronousTestCase):
    """
    The order of trying.
    """

    def test_families(self) -> None:
        """
        The families take turns, beginning with that of the resolver's first
        address; within a family the resolver's order is kept.
        """
        addresses = [ip_address(a) for a in ("::1", "::2", "::3", "1.0.0.1", "1.0.0.2")]
        for order, expected in (
            ((0, 1, 2, 3, 4), ["::1", "1.0.0.1", "::2", "1.0.0.2", "::3"]),
            ((3, 0, 1, 4, 2), ["1.0.0.1", "::1", "1.0.0.2", "::2", "::3"]),
            ((2, 1, 0), ["::3", "::2", "::1"]),
            ((4,), ["1.0.0.2"]),
        ):
            result = interleaved([addresses[index] for index in order])
            self.assertEqual([str(address) for address in result], expected)

    @settings(deadline=None)
    @given(
        st.lists(st.ip_addresses(), min_size=1, max_size=2 * MAX_ADDRESSES, unique=True),
    )
    def test_nothingIsLost(self, addresses: list[IPv4Address | IPv6Address]) -> None:
        """
        Every address is tried once, up to the bound, and both families have
        their turns before it.
        """
        result = interleaved(addresses)
        self.assertEqual(len(result), min(len(addresses), MAX_ADDRESSES))
        self.assertEqual(len(set(result)), len(result))
        self.assertLessEqual(set(result), set(addresses))
        self.assertEqual(result[0], addresses[0])
        if len({address.version for address in addresses}) == 2:
            self.assertNotEqual(result[0].version, result[1].version)


class RequestFailedFromTests(SynchronousTestCase):
    """
    Twisted's errors in our terms.
    """

    def test_errno(self) -> None:
        """
        An errno is told as what a client can make of it.
        """
        for name, expected in TABLE.items():
            error = twistedError.getConnectError((getattr(errno, name), name))
            self.assertIs(type(requestFailedFrom(Failure(error))), expected, name)

    def test_withoutErrno(self) -> None:
        """
        Twisted's own errors are understood where they carry no errno.
        """
        for error, expected in (
            (twistedError.ConnectionRefusedError(), errors.ConnectionRefused),
            (twistedError.NoRouteError(), errors.NetworkUnreachable),
            (twistedError.TimeoutError(), errors.ConnectTimedOut),
            (twistedError.ConnectError(), errors.GeneralFailure),
            (twistedError.UserError(), errors.GeneralFailure),
            (ValueError(), errors.GeneralFailure),
        ):
            self.assertIs(type(requestFailedFrom(Failure(error))), expected, repr(error))


class DialTestCase(SynchronousTestCase):
    """
    Tests that dial on a network by a script.
    """

    def dial(self, *hosts: str, **world: str) -> Deferred[IProtocol]:
        """
        Dial hosts.

        @param hosts: Addresses, in the resolver's order.
        @param world: C{a} to C{z} for the outcomes of the first to the last,
            C{timeout} for those not named.
        """
        outcomes = [world.get(letter, "timeout") for letter in "abcdefghijklmnopqrstuvwxyz"]
        addresses = [ip_address(host) for host in hosts]
        names = [str(a) if a.version == 4 else f"[{a}]" for a in addresses]
        self.network = ScriptedNetwork(
            {f"{name}:80": outcome for name, outcome in zip(names, outcomes, strict=False)}
        )
        self.factory = LegFactory()
        return Dial(self.network, self.network, addresses, 80, self.factory).start()

    def dialled(self) -> list[str]:
        """
        Give the hosts that have been dialled.
        """
        return [attempt.host for attempt in self.network.attempts]


class RaceTests(DialTestCase):
    """
    Several addresses of one host.
    """

    def test_first(self) -> None:
        """
        Where the first address answers, no other is dialled.
        """
        answer = self.dial("192.0.2.1", "192.0.2.2", a="accept")
        self.network.advance(0)
        self.assertIs(self.successResultOf(answer), self.factory.built[0])
        self.network.advance(60)
        self.assertEqual(self.dialled(), ["192.0.2.1"])
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_stagger(self) -> None:
        """
        While none answers, one address more is tried every quarter of a
        second, besides those under way.
        """
        self.dial("192.0.2.1", "192.0.2.2", "192.0.2.3").addErrback(lambda _: None)
        for moment, count in ((0, 1), (0.24, 1), (0.02, 2), (0.23, 2), (0.02, 3), (9, 3)):
            self.network.advance(moment)
            self.assertEqual(len(self.dialled()), count)
        self.assertEqual(self.network.cancelled, 0)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_families(self) -> None:
        """
        The families take turns.
        """
        answer = self.dial("2001:db8::1", "2001:db8::2", "192.0.2.1")
        answer.addErrback(lambda _: None)
        self.network.pump([0.25] * 4)
        self.assertEqual(self.dialled(), ["2001:db8::1", "192.0.2.1", "2001:db8::2"])

    def test_failureMovesOn(self) -> None:
        """
        When an attempt fails, the next address is tried at once, and the
        quarter of a second runs from there.
        """
        answer = self.dial("192.0.2.1", "192.0.2.2", "192.0.2.3", a="ECONNREFUSED")
        answer.addErrback(lambda _: None)
        self.network.advance(0)
        self.assertEqual(self.dialled(), ["192.0.2.1", "192.0.2.2"])
        self.network.advance(0.24)
        self.assertEqual(len(self.dialled()), 2)
        self.network.advance(0.02)
        self.assertEqual(len(self.dialled()), 3)

    def test_losersAreCancelled(self) -> None:
        """
        Once one has answered, those under way are given up and the untried
        are not tried; only the winner has a protocol.
        """
        answer = self.dial("192.0.2.1", "192.0.2.2", "192.0.2.3", b="accept")
        self.network.advance(0.25)
        self.network.advance(0)
        leg = self.successResultOf(answer)
        self.assertEqual(self.factory.built, [leg])
        self.assertEqual(self.network.cancelled, 1)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.network.advance(60)
        self.assertEqual(self.dialled(), ["192.0.2.1", "192.0.2.2"])

    def test_cancel(self) -> None:
        """
        Cancelling ends every attempt and every timer.
        """
        answer = self.dial("192.0.2.1", "192.0.2.2", "192.0.2.3", c="accept")
        self.network.advance(0.25)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.network.advance(60)
        self.assertEqual(self.network.cancelled, 2)
        self.assertEqual(self.factory.built, [])
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_noTimeoutOfItsOwn(self) -> None:
        """
        A single attempt has no time limit: that is for whoever dials.
        """
        answer = self.dial("192.0.2.1")
        self.network.advance(3600)
        self.assertNoResult(answer)


class FailureTests(DialTestCase):
    """
    No address answers.
    """

    def assertFails(self, expected: type[Exception], *outcomes: str) -> None:
        """
        Fail unless that is what is told of these outcomes.
        """
        hosts = [f"192.0.2.{number}" for number in range(1, len(outcomes) + 1)]
        answer = self.dial(*hosts, **dict(zip("abcd", outcomes, strict=False)))
        self.network.pump([0] * (len(outcomes) + 1))
        self.failureResultOf(answer, expected)
        self.assertEqual(self.dialled(), hosts)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_one(self) -> None:
        """
        The failure of the only address is the failure.
        """
        for name, expected in TABLE.items():
            self.assertFails(expected, name)

    def test_mostInformative(self) -> None:
        """
        Of several failures the one is told that says most, in whichever order
        they came.
        """
        for worse, better, expected in (
            ("ENETUNREACH", "ECONNREFUSED", errors.ConnectionRefused),
            ("ENETUNREACH", "EHOSTUNREACH", errors.HostUnreachable),
            ("ETIMEDOUT", "ECONNREFUSED", errors.ConnectionRefused),
            ("ETIMEDOUT", "ENETUNREACH", errors.NetworkUnreachable),
            ("EMFILE", "ETIMEDOUT", errors.ConnectTimedOut),
            ("EMFILE", "EACCES", errors.NotAllowed),
        ):
            self.assertFails(expected, worse, better)
            self.assertFails(expected, better, worse)
            self.assertFails(expected, worse, better, worse)

    def test_lastOneCounts(self) -> None:
        """
        An attempt that is still under way is waited for when the others have
        failed.
        """
        answer = self.dial("192.0.2.1", "192.0.2.2", b="ECONNREFUSED")
        self.network.pump([0.25, 0, 60])
        self.assertNoResult(answer)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)

    def test_unwantedConnection(self) -> None:
        """
        A connection that the factory wants no protocol for is a failure.
        """
        reactor = MemoryReactorClock()
        factory = Factory()
        factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        addresses = [IPv4Address("192.0.2.1")]
        answer = Dial(reactor, reactor, addresses, 80, factory).start()
        host, port, attempt, *_ = reactor.tcpClients[0]
        self.assertIsNone(attempt.buildProtocol(tcpAddress(host, port)))
        self.failureResultOf(answer, errors.GeneralFailure)

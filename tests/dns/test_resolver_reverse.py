"""
Tests for L{socksproxy.dns.resolver}: the names of addresses.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import NoReturn

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import IPAddress
from socksproxy.dns import resolver as module
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import NameNotFound, TooManyConnections
from tests.dns.lookups import ADDRESS
from tests.dns.names import SlowNames

Client = str | None


class ReverseTestCase(SynchronousTestCase):
    """
    Tests with a resolver whose answers come at the test's pace.

    @ivar asked: The addresses that have been asked for, and the answers.
    """

    def setUp(self) -> None:
        self.bounded(64, 8)

    def bounded(self, inFlight: int, perClient: int) -> None:
        """
        Make a resolver.
        """
        self.clock = Clock()
        self.names = SlowNames()
        self.asked: list[tuple[IPAddress, Deferred[str]]] = []
        self.resolver = BoundedResolver(
            self.clock, self.names, inFlight, perClient, reverse=self._reverse
        )

    def _reverse(self, address: IPAddress) -> Deferred[str]:
        self.asked.append((address, Deferred()))
        return self.asked[-1][1]

    def ask(self, address: IPAddress = ADDRESS, client: Client = "client") -> Deferred[str]:
        """
        Ask for a name.
        """
        return self.resolver.reverse(address, client)

    def answer(self, outcome: str | Exception) -> None:
        """
        Answer the oldest question.
        """
        _, answer = self.asked.pop(0)
        if isinstance(outcome, str):
            answer.callback(outcome)
        else:
            answer.errback(outcome)


class AnswerTests(ReverseTestCase):
    """
    What comes back.
    """

    def test_name(self) -> None:
        """
        The name, in the form in which names are written here.
        """
        for given, name in (
            ("web.test", "web.test"),
            ("WEB.Test.", "web.test"),
            ("bücher.test", "xn--bcher-kva.test"),
        ):
            for address in (ADDRESS, IPv6Address("2001:db8::1")):
                answer = self.ask(address)
                self.assertNoResult(answer)
                self.assertEqual(self.asked[0][0], address)
                self.answer(given)
                self.assertEqual(self.successResultOf(answer), name)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_notFound(self) -> None:
        """
        Where the system knows none, it is not found (REP 4).
        """
        answer = self.ask()
        self.answer(OSError("no name"))
        self.assertEqual(self.failureResultOf(answer, NameNotFound).value.replyCode, 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noName(self) -> None:
        """
        What comes from the network and is no name is not passed on: whoever
        has the address writes there what they like.
        """
        for bad in (
            "",
            "a b",
            "a\nb.test",
            "a\0.test",
            "192.0.2.1",
            "::1",
            "127.1",
            "x" * 64 + ".test",
            "x." * 127 + "test",
            "\udcff.test",
        ):
            answer = self.ask()
            self.answer(bad)
            self.failureResultOf(answer, NameNotFound)

    def test_raises(self) -> None:
        """
        A look-up that raises an error at once finds nothing, and leaves room
        for the next.
        """

        def broken(address: IPAddress) -> NoReturn:
            raise OSError("no")

        resolver = BoundedResolver(self.clock, self.names, 1, 1, reverse=broken)
        for _ in range(3):
            self.failureResultOf(resolver.reverse(ADDRESS, "client"), NameNotFound)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BoundTests(ReverseTestCase):
    """
    The bounds are those for names.
    """

    def test_timeout(self) -> None:
        """
        After five seconds there is no name, and an answer that comes later
        hurts nobody.
        """
        answer = self.ask()
        self.clock.advance(4.9)
        self.assertNoResult(answer)
        self.clock.advance(0.1)
        self.failureResultOf(answer, NameNotFound)
        self.answer("web.test")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_shared(self) -> None:
        """
        Both kinds of look-ups count together, in all and for one client.
        """
        self.bounded(2, 1)
        self.resolver.resolve("one.test", "one")
        answers = [self.ask(ADDRESS, client) for client in ("one", "two", "three")]
        self.assertEqual((len(self.asked), self.names.open), (1, ["one.test"]))
        self.names.answer("one.test", "192.0.2.1")
        self.assertEqual(len(self.asked), 2)
        self.answer("two.test")
        self.assertEqual(self.successResultOf(answers[1]), "two.test")
        self.assertEqual(len(self.asked), 2)
        for number, name in ((0, "one.test"), (2, "three.test")):
            self.answer(name)
            self.assertEqual(self.successResultOf(answers[number]), name)

    def test_late(self) -> None:
        """
        One that nobody waits for any more still takes its place, since its
        thread is still at work.
        """
        self.bounded(1, 1)
        given = self.ask()
        given.cancel()
        self.failureResultOf(given, CancelledError)
        next_ = self.ask()
        self.assertEqual(len(self.asked), 1)
        self.answer("late.test")
        self.assertEqual(len(self.asked), 1)
        self.answer("web.test")
        self.assertEqual(self.successResultOf(next_), "web.test")

    def test_tooMany(self) -> None:
        """
        When very many wait already, one more is refused.
        """
        self.patch(module, "MAX_WAITING", 2)
        self.bounded(1, 1)
        for _ in range(3):
            self.ask()
        self.failureResultOf(self.ask(), TooManyConnections)

    def test_everybody(self) -> None:
        """
        Where clients cannot be told apart they have no bound of their own.
        """
        self.bounded(3, 1)
        for _ in range(4):
            self.ask(client=None)
        self.assertEqual(len(self.asked), 3)

"""
Tests for L{socksproxy.dns.resolver}: how many look-ups are under way.
"""

from twisted.internet.defer import CancelledError, maybeDeferred

from socksproxy.dns import resolver as module
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import TooManyConnections
from socksproxy.testing import ScriptedNetwork
from tests.dns.lookups import ADDRESS, ResolverTestCase


class BoundTests(ResolverTestCase):
    """
    How many look-ups are under way.
    """

    def test_inAll(self) -> None:
        """
        Sixty-four names are looked up at a time; the next has its turn when
        one is answered.
        """
        answers = [self.ask(f"{number}.test", f"client {number}") for number in range(65)]
        self.assertEqual(len(self.names.open), 64)
        self.names.answer("17.test", "192.0.2.1")
        self.successResultOf(answers[17])
        self.assertEqual(self.names.asked[64:], ["64.test"])

    def test_perClient(self) -> None:
        """
        One client has eight names looked up at a time, and the others do not
        wait for it.
        """
        for number in range(20):
            self.ask(f"{number}.test", "greedy")
        self.assertEqual(len(self.names.open), 8)
        other = self.ask("web.test", "modest")
        self.names.answer("web.test", "192.0.2.1")
        self.assertEqual(self.successResultOf(other), [ADDRESS])
        self.names.answer("3.test", "192.0.2.1")
        self.assertEqual(self.names.asked[-1], "8.test")
        self.assertEqual(len(self.names.open), 8)

    def test_clientsThatCannotBeTold(self) -> None:
        """
        Where clients cannot be told apart, the bound for one of them does not
        hold, but the one in all does.
        """
        for number in range(70):
            self.resolver.resolve(f"{number}.test", None)
        self.assertEqual(len(self.names.open), 64)
        self.names.answer("3.test", "192.0.2.1")
        self.assertEqual(self.names.asked[-1], "64.test")

    def test_oldestFirst(self) -> None:
        """
        Those who wait have their turns in the order they came.
        """
        self.bounded(1, 1)
        for name in ("a.test", "b.test", "c.test", "d.test"):
            self.ask(name, client=name)
        for name in ("a.test", "b.test", "c.test"):
            self.names.answer(name, "192.0.2.1")
        self.assertEqual(self.names.asked, ["a.test", "b.test", "c.test", "d.test"])

    def test_postponedKeepTheirPlace(self) -> None:
        """
        A client's own names keep their order while others pass them by.
        """
        self.bounded(2, 1)
        for name, client in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("b2", "b")):
            self.ask(f"{name}.test", client)
        self.assertEqual(self.names.asked, ["a1.test", "b1.test"])
        for name in ("b1", "a1", "a2"):
            self.names.answer(f"{name}.test", "192.0.2.1")
        self.assertEqual(self.names.asked, ["a1.test", "b1.test", "b2.test", "a2.test", "a3.test"])

    def test_sameNameTwice(self) -> None:
        """
        Two clients who want the same name both get its addresses.
        """
        answers = [self.ask("web.test", "one"), self.ask("web.test", "two")]
        self.names.answer("web.test", "192.0.2.1")
        self.names.answer("web.test", "192.0.2.1")
        self.assertEqual([self.successResultOf(a) for a in answers], [[ADDRESS], [ADDRESS]])

    def test_tooManyWaiting(self) -> None:
        """
        When very many wait already, one more is refused at once, and can come
        again when there is room.
        """
        self.patch(module, "MAX_WAITING", 3)
        self.bounded(1, 1)
        waiting = [self.ask(f"{number}.test") for number in range(4)]
        refused = self.ask("web.test")
        self.failureResultOf(refused, TooManyConnections)
        self.names.answer("0.test", "192.0.2.1")
        self.successResultOf(waiting[0])
        again = self.ask("web.test")
        self.assertNoResult(again)

    def test_leftBehindDoNotCount(self) -> None:
        """
        Look-ups that nobody waits for any more do not keep others out.
        """
        self.patch(module, "MAX_WAITING", 3)
        self.bounded(1, 1)
        self.ask("slow.test", "slow")
        for number in range(3):
            gone = self.ask(f"{number}.test", "gone")
            gone.cancel()
            self.failureResultOf(gone, CancelledError)
        answer = self.ask("web.test", "client")
        self.assertNoResult(answer)
        self.names.answer("slow.test", "192.0.2.1")
        self.names.answer("web.test", "192.0.2.1")
        self.assertEqual(self.successResultOf(answer), [ADDRESS])

    def test_resolverRaises(self) -> None:
        """
        A resolver that raises an error fails that look-up, and the next one is
        asked as ever.
        """
        self.bounded(1, 1)
        real = self.names.resolveHostName
        self.patch(self.names, "resolveHostName", lambda *_: 1 / 0)
        self.failureResultOf(maybeDeferred(self.ask, "bad.test"))
        self.patch(self.names, "resolveHostName", real)
        answer = self.ask("web.test")
        self.names.answer("web.test", "192.0.2.1")
        self.assertEqual(self.successResultOf(answer), [ADDRESS])

    def test_cancelledAmongPostponed(self) -> None:
        """
        A look-up that is cancelled by somebody who has just got an answer is
        not asked any more, although its turn was being considered.
        """
        network = ScriptedNetwork({"web.test": ["192.0.2.1"]})
        slow = self.names

        class Both:
            """
            Slow for one client's names and quick for the other's.
            """

            def resolveHostName(self, receiver: object, name: str) -> object:
                resolver = network if name == "web.test" else slow
                return resolver.resolveHostName(receiver, name)

        resolver = BoundedResolver(self.clock, Both(), 2, 1)  # type: ignore[arg-type]
        first = resolver.resolve("one.test", "slow")
        second = resolver.resolve("two.test", "slow")
        answer = resolver.resolve("web.test", "quick")
        other = resolver.resolve("three.test", "other")
        third = resolver.resolve("web.test", "quick")
        third.addCallback(lambda _: second.cancel())
        self.successResultOf(answer)
        slow.answer("three.test", "192.0.2.1")
        self.successResultOf(other)
        self.successResultOf(third)
        self.failureResultOf(second, CancelledError)
        slow.answer("one.test", "192.0.2.1")
        self.successResultOf(first)
        self.assertEqual(slow.asked, ["one.test", "three.test"])

    def test_manyAnsweredAtOnce(self) -> None:
        """
        Any number of waiting names can be answered within the call, one after
        the other.
        """
        network = ScriptedNetwork({"web.test": ["192.0.2.1"]})
        slow = self.names

        class Both:
            """
            Slow for one name and quick for all others.
            """

            def resolveHostName(self, receiver: object, name: str) -> object:
                resolver = slow if name == "slow.test" else network
                return resolver.resolveHostName(receiver, name)

        resolver = BoundedResolver(self.clock, Both(), 1, 1)  # type: ignore[arg-type]
        first = resolver.resolve("slow.test", "client")
        others = [resolver.resolve("web.test", "client") for _ in range(1000)]
        slow.answer("slow.test", "192.0.2.1")
        self.successResultOf(first)
        for answer in others:
            self.assertEqual(self.successResultOf(answer), [ADDRESS])

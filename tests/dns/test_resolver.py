"""
Tests for L{socksproxy.dns.resolver}: answers, and those that do not come.
"""

from ipaddress import IPv4Address, IPv6Address

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError, Deferred

from socksproxy.address import IPAddress
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import NameNotFound
from socksproxy.testing import ScriptedNetwork
from tests.dns.lookups import ADDRESS, ResolverTestCase


class AnswerTests(ResolverTestCase):
    """
    What comes back.
    """

    def test_addresses(self) -> None:
        """
        The answer is the addresses of both families, in the resolver's order.
        """
        answer = self.ask("web.test")
        self.assertNoResult(answer)
        self.names.answer("web.test", "2001:db8::1", "192.0.2.1", "2001:db8::2")
        self.assertEqual(
            self.successResultOf(answer),
            [IPv6Address("2001:db8::1"), ADDRESS, IPv6Address("2001:db8::2")],
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_repetitions(self) -> None:
        """
        An address is in the answer once, also where it is written as an
        IPv4-mapped one.
        """
        answer = self.ask("web.test")
        self.names.answer("web.test", "192.0.2.1", "192.0.2.2", "192.0.2.1", "::ffff:192.0.2.2")
        self.assertEqual(self.successResultOf(answer), [ADDRESS, IPv4Address("192.0.2.2")])

    def test_otherAddresses(self) -> None:
        """
        What is not an IP address is left out.
        """
        answer = self.ask("web.test")
        _, receiver = self.names._receivers[0]
        receiver.addressResolved(UNIXAddress(b"/run/web"))
        self.names.answer("web.test", "192.0.2.1")
        self.assertEqual(self.successResultOf(answer), [ADDRESS])

    def test_noAddress(self) -> None:
        """
        A name without an address is not found.
        """
        answer = self.ask("nowhere.test")
        self.names.answer("nowhere.test")
        self.failureResultOf(answer, NameNotFound)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answerAtOnce(self) -> None:
        """
        A resolver that answers within the call is as good.
        """
        network = ScriptedNetwork({"web.test": ["192.0.2.1"]})
        resolver = BoundedResolver(network, network)
        self.assertEqual(self.successResultOf(resolver.resolve("web.test", "client")), [ADDRESS])
        self.assertEqual(network.getDelayedCalls(), [])


class TimeLimitTests(ResolverTestCase):
    """
    Nobody waits for ever.
    """

    def test_fiveSeconds(self) -> None:
        """
        After five seconds the name is not found.
        """
        answer = self.ask("slow.test")
        self.clock.advance(4.99)
        self.assertNoResult(answer)
        self.clock.advance(0.02)
        self.failureResultOf(answer, NameNotFound)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waitingCounts(self) -> None:
        """
        The five seconds begin with the call, also while the name waits for
        its turn.
        """
        self.bounded(1, 1)
        self.ask("slow.test").addErrback(lambda _: None)
        self.clock.advance(3)
        answer = self.ask("web.test")
        self.clock.advance(3)
        self.names.answer("slow.test")
        self.clock.advance(2.1)
        self.failureResultOf(answer, NameNotFound)

    def test_lateAnswer(self) -> None:
        """
        An answer that comes later is for nobody, and makes room.
        """
        self.bounded(1, 1)
        late = self.ask("slow.test")
        self.clock.advance(5)
        self.failureResultOf(late, NameNotFound)
        answer = self.ask("web.test")
        self.assertEqual(self.names.open, ["slow.test"])
        self.names.answer("slow.test", "192.0.2.9")
        self.names.answer("web.test", "192.0.2.1")
        self.assertEqual(self.successResultOf(answer), [ADDRESS])

    def test_lateFailure(self) -> None:
        """
        So is a failure.
        """
        late = self.ask("slow.test")
        self.clock.advance(5)
        self.failureResultOf(late, NameNotFound)
        self.names.answer("slow.test")

    def test_expiredIsNotAsked(self) -> None:
        """
        A name that nobody waits for any more is not asked when its turn
        comes.
        """
        self.bounded(1, 1)
        self.ask("slow.test").addErrback(lambda _: None)
        self.failureResultOf(self.expired("web.test"), NameNotFound)
        self.names.answer("slow.test")
        self.assertEqual(self.names.asked, ["slow.test"])

    def expired(self, name: str) -> Deferred[list[IPAddress]]:
        """
        Look a name up and let its time pass.
        """
        answer = self.ask(name)
        self.clock.advance(5)
        return answer


class CancellationTests(ResolverTestCase):
    """
    A client that is gone.
    """

    def test_waiting(self) -> None:
        """
        A cancelled look-up that waits is never asked.
        """
        self.bounded(1, 1)
        first = self.ask("one.test")
        second = self.ask("two.test")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.names.answer("one.test", "192.0.2.1")
        self.successResultOf(first)
        self.assertEqual(self.names.asked, ["one.test"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_underWay(self) -> None:
        """
        A cancelled look-up that is under way still takes its place, because it
        holds its thread, until it is answered.
        """
        self.bounded(1, 1)
        first = self.ask("one.test")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        second = self.ask("two.test")
        self.assertEqual(self.names.asked, ["one.test"])
        self.names.answer("one.test", "192.0.2.9")
        self.names.answer("two.test", "192.0.2.1")
        self.assertEqual(self.successResultOf(second), [ADDRESS])

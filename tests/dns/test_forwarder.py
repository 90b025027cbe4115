"""
Tests for L{socksproxy.dns.forwarder}.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from twisted.internet.defer import CancelledError

from socksproxy.dns import forwarder as forwarderModule
from socksproxy.dns.fakeip import FakeAddresses
from socksproxy.dns.hosts import Hosts
from socksproxy.dns.message import readQuery
from socksproxy.dns.reply import readReply
from socksproxy.dns.rules import Block, Direct, Proxy, Rules
from socksproxy.dns.strategy import IPStrategy
from tests.dns.forwarding import ForwarderTestCase
from tests.dns.messages import HTTPS, NUMBER, message, opt, query, question, record, wire
from tests.dns.upstreaming import ADDRESS, PACKED, pending

PTR = 12
SERVFAIL = 2
NXDOMAIN = 3


class AnswerTests(ForwarderTestCase):
    """
    Where answers come from.
    """

    def test_asked(self) -> None:
        """
        What nobody here knows is asked of a name server, and the answer is
        that to the client's query.
        """
        asking = self.ask()
        self.assertNoResult(asking)
        self.server.reply(PACKED)
        answer = self.answered(asking)
        self.assertEqual((answer.id, answer.code), (NUMBER, 0))
        self.assertEqual([str(each) for each in answer.addresses], [ADDRESS])
        self.assertEqual(pending(self.network), 0)

    def test_remembered(self) -> None:
        """
        The next one comes from the cache, with what is left of its time.
        """
        self.ask()
        self.server.reply(PACKED, ttl=300)
        self.network.advance(100)
        answer = self.answered(self.ask())
        self.assertEqual(answer.smallestTTL, 200)
        self.assertEqual(len(self.server.queries), 1)
        self.network.advance(200)
        self.assertNoResult(self.ask())

    def test_noSuchName(self) -> None:
        """
        So does that there is no such name.
        """
        first = self.ask()
        self.server.reply(code=NXDOMAIN)
        for asking in (first, self.ask()):
            answer = self.answered(asking)
            self.assertEqual((answer.code, answer.negativeTTL), (NXDOMAIN, 60))
        self.assertEqual(len(self.server.queries), 1)

    def test_now(self) -> None:
        """
        What is known is said at once, and nothing if it is not.
        """
        self.assertIsNone(self.forwarder.answerNow(self.question()))
        self.ask()
        self.server.reply(PACKED)
        answer = self.forwarder.answerNow(self.question())
        assert answer is not None
        self.assertEqual(len(readReply(answer).addresses), 1)

    def test_limit(self) -> None:
        """
        An answer that is too long says so, whether it comes from a name server
        or from the cache.
        """
        first = self.ask(limit=512)
        self.server.reply(*[PACKED] * 40)
        for asking in (first, self.ask(limit=512)):
            answer = self.successResultOf(asking)
            self.assertLessEqual(len(answer), 512)
            self.assertTrue(readReply(answer).truncated)
        self.assertEqual(len(self.answered(self.ask()).addresses), 40)

    def test_everything(self) -> None:
        """
        Who asks for all records there are gets one that says that this is not
        done.
        """
        answer = self.successResultOf(self.ask(kind=255))
        self.assertIn(b"RFC8482", answer)
        self.assertEqual(self.server.queries, [])

    def test_counts(self) -> None:
        """
        What is done is counted.
        """
        self.ask()
        self.server.reply(PACKED)
        self.ask()
        self.ask("b.test")
        self.server.fail()
        self.network.advance(301)
        self.ask()
        self.server.fail()
        counts = self.forwarder.counts
        self.assertEqual((counts.answered, counts.asked, counts.failed, counts.stale), (1, 3, 2, 1))

    def test_flush(self) -> None:
        """
        What is flushed is asked for again.
        """
        self.ask()
        self.server.reply(PACKED)
        self.forwarder.flush()
        self.assertNoResult(self.ask())


class CoalescingTests(ForwarderTestCase):
    """
    Questions that are the same.
    """

    def test_once(self) -> None:
        """
        While a question is being asked, the same one is not asked again; all
        get the answer, each with its own number, letters and length.
        """
        clients = [
            readQuery(query("www.test")),
            readQuery(message(question("WWW.Test"), number=7, flags=0x0100)),
            readQuery(query("www.test", 1, opt())),
        ]
        asking = [self.forwarder.answer(each, 512) for each in clients]
        self.assertEqual(len(self.server.queries), 1)
        self.server.reply(PACKED)
        first, second, third = (self.successResultOf(each) for each in asking)
        self.assertEqual([int.from_bytes(each[:2]) for each in (first, second)], [NUMBER, 7])
        self.assertIn(wire("WWW.Test"), second)
        self.assertEqual(third[12:], first[12:] + opt())
        self.assertIsNotNone(readReply(third).edns)

    def test_different(self) -> None:
        """
        Another type, the wish for signatures (DO) and CD make it another
        question.
        """
        self.ask()
        self.ask(kind=28)
        self.ask("www.test", 1, opt(ttl=0x8000))
        self.forwarder.answer(readQuery(query("www.test", flags=0x0110)))
        self.assertEqual(len(self.server.queries), 4)

    def test_afterwards(self) -> None:
        """
        When it has been answered, or not, it may be asked again.
        """
        self.ask()
        self.server.fail()
        self.ask()
        self.assertEqual(len(self.server.queries), 2)

    def test_cancelled(self) -> None:
        """
        One who gives up does not spoil it for the others, and the answer is
        remembered.
        """
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.server.reply(PACKED)
        self.assertEqual(self.addresses(second), [ADDRESS])
        self.assertEqual(self.addresses(self.ask()), [ADDRESS])

    def test_bounds(self) -> None:
        """
        So many questions are asked at a time, and so many clients wait; the
        rest is told that there is no answer.
        """
        self.patch(forwarderModule, "MAX_ASKED", 2)
        self.patch(forwarderModule, "MAX_WAITING", 3)
        asking = [self.ask("a.test"), self.ask("b.test")]
        self.assertEqual(self.answered(self.ask("c.test")).code, SERVFAIL)
        asking.append(self.ask("a.test"))
        self.assertEqual(self.answered(self.ask("a.test")).code, SERVFAIL)
        self.server.reply(PACKED)
        self.server.reply(PACKED)
        for each in asking:
            self.assertEqual(self.addresses(each), [ADDRESS])
        self.assertNoResult(self.ask("c.test"))

    def test_boundsAfterCancelling(self) -> None:
        """
        Who has given up is not counted.
        """
        self.patch(forwarderModule, "MAX_WAITING", 1)
        for _ in range(3):
            asking = self.ask()
            self.assertNoResult(asking)
            asking.cancel()
            self.failureResultOf(asking, CancelledError)


class FailureTests(ForwarderTestCase):
    """
    Name servers that do not answer.
    """

    def test_failure(self) -> None:
        """
        If there is no reply, the client is told so.
        """
        asking = self.ask()
        self.server.fail()
        self.assertEqual(self.answered(asking).code, SERVFAIL)

    def test_silence(self) -> None:
        """
        So it is after five seconds.
        """
        asking = self.ask()
        self.network.pump([0.5] * 9)
        self.assertNoResult(asking)
        self.network.advance(0.6)
        self.assertEqual(self.answered(asking).code, SERVFAIL)
        self.assertEqual(pending(self.network), 0)

    def test_stale(self) -> None:
        """
        If there is an answer that is out of date, that is given, for thirty
        seconds; and for five seconds nobody is asked again.
        """
        self.ask()
        self.server.reply(PACKED, ttl=60)
        self.network.advance(100)
        asking = self.ask()
        self.server.fail()
        answer = self.answered(asking)
        self.assertEqual((answer.smallestTTL, answer.hasAnswers), (30, True))
        self.network.advance(4.9)
        self.assertEqual(self.answered(self.ask()).smallestTTL, 30)
        self.assertEqual(len(self.server.queries), 2)
        self.network.advance(0.1)
        self.assertNoResult(self.ask())

    def test_staleInsteadOfRefusal(self) -> None:
        """
        It is better than a reply that says nothing of the name.
        """
        for code in (2, 5):
            self.setUp()
            self.ask()
            self.server.reply(PACKED, ttl=60)
            self.network.advance(100)
            asking = self.ask()
            self.server.reply(code=code)
            self.assertEqual(self.addresses(asking), [ADDRESS])

    def test_newInsteadOfStale(self) -> None:
        """
        A reply that there is no such name any more is believed.
        """
        self.ask()
        self.server.reply(PACKED, ttl=60)
        self.network.advance(100)
        asking = self.ask()
        self.server.reply(code=NXDOMAIN)
        self.assertEqual(self.answered(asking).code, NXDOMAIN)

    def test_refusal(self) -> None:
        """
        Without one, the client is told what the name server has said.
        """
        asking = self.ask()
        self.server.reply(code=5)
        self.assertEqual(self.answered(asking).code, 5)

    def test_prefetched(self) -> None:
        """
        What is asked for time and again is asked for anew before its time is
        over, while clients get what is there.
        """
        self.ask()
        self.server.reply(PACKED, ttl=100)
        self.ask()
        self.network.advance(91)
        self.assertEqual(self.answered(self.ask()).smallestTTL, 9)
        self.assertEqual(len(self.server.queries), 2)
        self.ask()
        self.assertEqual(len(self.server.queries), 2)
        self.server.reply(PACKED, ttl=100)
        self.assertEqual(self.answered(self.ask()).smallestTTL, 100)

    def test_prefetchFails(self) -> None:
        """
        If that fails, nobody notices.
        """
        self.ask()
        self.server.reply(PACKED, ttl=100)
        self.ask()
        self.network.advance(91)
        self.ask()
        self.server.fail()
        self.assertEqual(self.answered(self.ask()).smallestTTL, 9)

    def test_malformedHints(self) -> None:
        """
        A reply that cannot be read where it has to be changed is none.
        """
        self.make(strategy=IPStrategy.IPV4_ONLY)
        asking = self.ask(kind=HTTPS)
        self.server.reply(b"\0\1\0\0\1\0\xff")
        self.assertEqual(self.answered(asking).code, SERVFAIL)


class RuleTests(ForwarderTestCase):
    """
    Names for which something has been decided.
    """

    def test_groups(self) -> None:
        """
        Name servers beside the proxy are asked for those names only that are
        theirs; what they say is remembered apart.
        """
        self.rules.add("lan.test", Direct())
        self.ask("www.test")
        asking = self.ask("a.lan.test")
        self.assertEqual([each.name for each in self.server.queries], ["www.test"])
        self.assertEqual([each.name for each in self.direct.queries], ["a.lan.test"])
        self.direct.reply(PACKED)
        self.assertEqual(self.addresses(asking), [ADDRESS])
        self.assertEqual(self.addresses(self.ask("a.lan.test")), [ADDRESS])

    def test_unknownGroup(self) -> None:
        """
        If there are no such name servers, there is no answer.
        """
        self.rules.add("a.test", Proxy("nowhere"))
        self.assertEqual(self.answered(self.ask("a.test")).code, SERVFAIL)
        self.assertEqual(self.answered(self.ask("a.test")).code, SERVFAIL)

    def test_blocked(self) -> None:
        """
        A name that is blocked does not exist.
        """
        self.rules.add("ads.test", Block())
        self.assertEqual(self.answered(self.ask("x.ads.test")).code, NXDOMAIN)
        self.assertEqual(self.server.queries, [])

    def test_special(self) -> None:
        """
        Names that have a meaning of their own are asked of nobody.
        """
        for name in ("printer", "printer.local", "1.0.0.10.in-addr.arpa", "x.home.arpa"):
            self.assertEqual(self.answered(self.ask(name)).code, NXDOMAIN)
        self.assertEqual(self.addresses(self.ask("localhost")), ["127.0.0.1"])
        self.assertEqual(self.server.queries + self.direct.queries, [])

    def test_hosts(self) -> None:
        """
        Names with addresses of the administrator's have those, and these have
        their names.
        """
        self.rules = Rules(hosts=Hosts.read("192.0.2.9 nas.test"))
        self.make()
        self.assertEqual(self.addresses(self.ask("nas.test")), ["192.0.2.9"])
        self.assertEqual(
            self.answered(self.ask("9.2.0.192.in-addr.arpa", PTR)).pointers, ("nas.test",)
        )


class StrategyTests(ForwarderTestCase):
    """
    Addresses that clients do not get to see.
    """

    def test_suppressed(self) -> None:
        """
        Who asks for addresses of the other family is told that there are none,
        not that there is no such name; nobody is asked.
        """
        for strategy, kind in ((IPStrategy.IPV4_ONLY, 28), (IPStrategy.IPV6_ONLY, 1)):
            self.make(strategy=strategy)
            answer = self.answered(self.ask(kind=kind))
            self.assertEqual((answer.code, answer.hasAnswers), (0, False))
        self.assertEqual(self.server.queries, [])

    def test_blocked(self) -> None:
        """
        A name that does not exist does so for both.
        """
        self.make(strategy=IPStrategy.IPV4_ONLY)
        self.assertEqual(self.answered(self.ask("a.local", 28)).code, NXDOMAIN)

    def test_hints(self) -> None:
        """
        Records of the type HTTPS lose their hints at such addresses, also in
        the cache.
        """
        self.make(strategy=IPStrategy.IPV4_ONLY)
        hint = b"\0\6\0\x10" + bytes(16)
        first = self.ask(kind=HTTPS)
        self.server.reply(b"\0\1\0\0\1\0\3\2h2" + hint)
        for asking in (first, self.ask(kind=HTTPS)):
            answer = self.successResultOf(asking)
            self.assertIn(b"\2h2", answer)
            self.assertNotIn(hint, answer)


class FakeTests(ForwarderTestCase):
    """
    Addresses that stand for names.
    """

    def setUp(self) -> None:
        """
        Make a forwarder that has some.
        """
        super().setUp()
        self.rules.add("direct.test", Direct())
        self.fakes = FakeAddresses(IPv4Network("198.18.0.0/24"), IPv6Network("fd00::/64"))
        self.make(fakes=self.fakes)

    def test_addresses(self) -> None:
        """
        A name that would be asked for through the proxy gets addresses at
        once, and they have its name.
        """
        for kind, version in ((1, 4), (28, 6)):
            answer = self.answered(self.ask(kind=kind))
            (address,) = answer.addresses
            self.assertEqual(address.version, version)
            self.assertEqual(self.fakes.nameOf(address), "www.test")
            pointers = self.answered(self.ask(address.reverse_pointer, PTR)).pointers
            self.assertEqual(pointers, ("www.test",))
        self.assertEqual(self.server.queries + self.direct.queries, [])

    def test_others(self) -> None:
        """
        Names that are asked for directly, are blocked, or shall not have such
        addresses, do not get any; nor do other types.
        """
        for name, kind in (("direct.test", 1), ("a.pool.ntp.org", 1), ("www.test", 16)):
            self.assertNoResult(self.ask(name, kind))
        self.assertEqual(self.answered(self.ask("a.local")).code, NXDOMAIN)
        self.assertEqual(len(self.fakes), 0)

    def test_hints(self) -> None:
        """
        Records of the type HTTPS are not asked for.
        """
        answer = self.answered(self.ask(kind=HTTPS))
        self.assertEqual((answer.code, answer.hasAnswers), (0, False))

    def test_forOurselves(self) -> None:
        """
        Who must not get such addresses does not.
        """
        self.ask()
        asking = self.forwarder.answer(self.question(), faking=False)
        self.server.reply(PACKED)
        self.assertEqual(self.addresses(asking), [ADDRESS])
        (address,) = self.answered(self.ask()).addresses
        self.assertIn(address, self.fakes)

    def test_suppressed(self) -> None:
        """
        Families that clients do not get to see they do not get here either.
        """
        self.make(fakes=self.fakes, strategy=IPStrategy.IPV4_ONLY)
        answer = self.answered(self.ask(kind=28))
        self.assertEqual((answer.code, answer.hasAnswers), (0, False))


RECORD_OF_SOMETHING = record(b"\xc0\x0c", 65400, 60, b"\1\2\3")


class OpaqueTests(ForwarderTestCase):
    """
    Records that nobody here knows.
    """

    def test_passedOn(self) -> None:
        """
        They come through as they are.
        """
        asking = self.ask(kind=65400)
        self.server.reply(b"\1\2\3", ttl=60)
        self.assertTrue(self.successResultOf(asking).endswith(RECORD_OF_SOMETHING))

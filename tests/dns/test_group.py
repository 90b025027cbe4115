"""
Tests for L{socksproxy.dns.group}.
"""

from __future__ import annotations

import random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.dns.asking import NoReply
from socksproxy.dns.group import UpstreamGroup
from socksproxy.dns.message import makeQuery
from socksproxy.dns.reply import Reply
from tests.dns.upstreaming import PACKED, NoChance, PlayedUpstream, pending
from tests.logs import atLevel, captured

OTHER = bytes([192, 0, 2, 2])


class GroupTestCase(SynchronousTestCase):
    """
    Tests with a few name servers and virtual time.
    """

    def setUp(self) -> None:
        """
        Make two name servers.
        """
        self.make(2)

    def make(self, count: int) -> None:
        """
        Make name servers.
        """
        self.clock = Clock()
        self.servers = [PlayedUpstream(f"ns{number}.test") for number in range(count)]
        chance: random.Random = NoChance()  # type: ignore[assignment]
        self.group = UpstreamGroup(self.clock, self.servers, chance)

    def ask(self) -> Deferred[Reply]:
        """
        Ask.
        """
        return self.group.ask(makeQuery("www.test", 1))

    def asked(self) -> list[int]:
        """
        Tell how often each has been asked.
        """
        return [len(server.queries) for server in self.servers]

    def assertAddress(self, asking: Deferred[Reply], packed: bytes = PACKED) -> None:
        """
        Assert that an address has come, and nothing is left to be done.
        """
        (address,) = self.successResultOf(asking).addresses
        self.assertEqual(address.packed, packed)
        self.assertEqual(pending(self.clock), 0)
        self.assertEqual([each.open for each in self.servers], [[] for _ in self.servers])


class FailoverTests(GroupTestCase):
    """
    Who is asked when.
    """

    def test_first(self) -> None:
        """
        If the first one answers, nobody else is asked.
        """
        asking = self.ask()
        self.servers[0].reply(PACKED)
        self.assertAddress(asking)
        self.assertEqual(self.asked(), [1, 0])

    def test_silent(self) -> None:
        """
        If it takes longer than a second, the next one is asked beside it, and
        the first reply counts; the other one is not waited for.
        """
        for winner in range(2):
            self.make(2)
            asking = self.ask()
            self.clock.advance(0.99)
            self.assertEqual(self.asked(), [1, 0])
            self.clock.advance(0.01)
            self.assertEqual(self.asked(), [1, 1])
            self.servers[winner].reply(PACKED)
            self.assertAddress(asking)
            self.assertEqual(self.servers[1 - winner].cancelled, 1)

    def test_patience(self) -> None:
        """
        How long that is varies between half a second and one and a half.
        """
        waits = []
        for seed in range(40):
            clock = Clock()
            servers = [PlayedUpstream(), PlayedUpstream()]
            UpstreamGroup(clock, servers, random.Random(seed)).ask(makeQuery("www.test", 1))
            while not servers[1].queries:
                clock.advance(0.01)
            waits.append(clock.seconds())
        self.assertTrue(0.5 <= min(waits) < 0.6, waits)
        self.assertTrue(1.4 < max(waits) <= 1.51, waits)

    def test_failed(self) -> None:
        """
        If it fails, the next one is asked at once.
        """
        asking = self.ask()
        self.servers[0].fail()
        self.assertEqual(self.asked(), [1, 1])
        self.servers[1].reply(PACKED)
        self.assertAddress(asking)

    def test_refusals(self) -> None:
        """
        SERVFAIL, REFUSED and the like do not count while somebody else is
        left.
        """
        for code in (1, 2, 4, 5):
            self.make(2)
            asking = self.ask()
            self.servers[0].reply(code=code)
            self.assertEqual(self.asked(), [1, 1])
            self.servers[1].reply(PACKED)
            self.assertAddress(asking)

    def test_onlyRefusals(self) -> None:
        """
        If nobody knows better, the first of them is the reply, without
        anybody being asked twice.
        """
        asking = self.ask()
        self.servers[0].reply(code=2)
        self.servers[1].reply(code=5)
        self.assertEqual(self.successResultOf(asking).code, 2)
        self.assertEqual(self.asked(), [1, 1])
        self.assertEqual(pending(self.clock), 0)

    def test_refusalAndFailure(self) -> None:
        """
        A refusal is more than no reply at all.
        """
        for first in range(2):
            self.make(2)
            asking = self.ask()
            for number in range(2):
                if number == first:
                    self.servers[number].reply(code=5)
                else:
                    self.servers[number].fail()
            self.assertEqual(self.successResultOf(asking).code, 5)

    def test_noSuchName(self) -> None:
        """
        That there is no such name is an answer.
        """
        asking = self.ask()
        self.servers[0].reply(code=3)
        self.assertEqual(self.successResultOf(asking).code, 3)
        self.assertEqual(self.asked(), [1, 0])

    def test_twice(self) -> None:
        """
        Who is silent is asked a second time, and no more than that.
        """
        self.make(1)
        asking = self.ask()
        self.clock.advance(1)
        self.assertEqual(self.asked(), [2])
        self.clock.advance(3.9)
        self.assertEqual(self.asked(), [2])
        self.servers[0].reply(PACKED)
        self.assertAddress(asking)

    def test_nothing(self) -> None:
        """
        After five seconds there is no reply, and nobody is asked any more.
        """
        asking = self.ask()
        self.clock.pump([0.1] * 49)
        self.assertEqual(self.asked(), [2, 2])
        self.assertNoResult(asking)
        self.clock.advance(0.2)
        self.assertIn("5 s", str(self.failureResultOf(asking, NoReply).value))
        self.assertEqual([server.cancelled for server in self.servers], [2, 2])
        self.assertEqual(pending(self.clock), 0)

    def test_refusedAndSilent(self) -> None:
        """
        A refusal is the reply after five seconds if the others are silent.
        """
        asking = self.ask()
        self.servers[0].reply(code=2)
        self.clock.pump([1] * 4)
        self.assertNoResult(asking)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(asking).code, 2)
        self.assertEqual(self.asked(), [1, 2])

    def test_allFail(self) -> None:
        """
        If all of them fail, that is said at once.
        """
        asking = self.ask()
        self.servers[0].fail("first reason")
        self.servers[1].fail("second reason")
        self.assertEqual(str(self.failureResultOf(asking, NoReply).value), "second reason")
        self.assertEqual(pending(self.clock), 0)

    def test_cancelled(self) -> None:
        """
        Who gives up gives all of it up.
        """
        asking = self.ask()
        self.clock.advance(1)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual([server.cancelled for server in self.servers], [1, 1])
        self.assertEqual(pending(self.clock), 0)

    def test_close(self) -> None:
        """
        Closing it closes all name servers.
        """
        self.successResultOf(self.group.close())
        self.assertEqual([server.closed for server in self.servers], [True, True])


class FavouriteTests(GroupTestCase):
    """
    Who is asked first.
    """

    def test_worked(self) -> None:
        """
        If the first one has failed and the second one has answered, that one
        is asked first for a minute.
        """
        asking = self.ask()
        self.servers[0].fail()
        self.servers[1].reply(PACKED)
        self.assertAddress(asking)
        self.clock.advance(59.9)
        asking = self.ask()
        self.servers[1].reply(PACKED)
        self.assertAddress(asking)
        self.assertEqual(self.asked(), [1, 2])
        self.clock.advance(0.1)
        self.ask()
        self.assertEqual(self.asked(), [2, 2])

    def test_silent(self) -> None:
        """
        So it is if the first one has been silent.
        """
        asking = self.ask()
        self.clock.advance(1)
        self.servers[1].reply(PACKED)
        self.assertAddress(asking)
        self.ask()
        self.assertEqual(self.asked(), [1, 2])

    def test_refused(self) -> None:
        """
        It is not if the first one has said that it cannot answer: that may be
        because of what is asked.
        """
        asking = self.ask()
        self.servers[0].reply(code=2)
        self.servers[1].reply(PACKED)
        self.assertAddress(asking)
        self.ask()
        self.assertEqual(self.asked(), [2, 1])

    def test_logged(self) -> None:
        """
        The log says who does not answer and why, and nothing of what was
        asked.
        """
        with captured() as events:
            asking = self.ask()
            self.servers[0].fail("no route")
            self.servers[1].reply(PACKED)
            self.assertAddress(asking)
        self.assertEqual(
            atLevel(events, LogLevel.warn),
            ["The name server ns0.test does not answer: no route"],
        )
        self.assertNotIn("www", "".join(map(str, events)))

"""
Tests for L{socksproxy.dns.streams}, L{socksproxy.dns.links} and
L{socksproxy.dns.link}: a name server that is asked over connections.
"""

from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from socksproxy.dns._framing import framed
from socksproxy.dns.asking import IUpstream, NoReply
from socksproxy.dns.message import makeQuery
from tests.dns.messages import ANSWERED, opt, query
from tests.dns.upstreaming import PACKED, SERVER, StreamTestCase, pending, replyOctets


class AskingTests(StreamTestCase):
    """
    Questions and replies.
    """

    def test_interface(self) -> None:
        """
        It is what is expected of a name server.
        """
        verifyObject(IUpstream, self.upstream)

    def test_query(self) -> None:
        """
        What is asked is the question, with a number of its own and an OPT
        record, and without padding where anybody can read it.
        """
        self.upstream.ask(makeQuery("www.test", 28, number=77))
        self.network.advance(0)
        written = self.connections[0].take()
        number = int.from_bytes(written[2:4])
        expected = query("www.test", 28, opt())
        self.assertEqual(written[4:], expected[2:])
        self.assertEqual(written[:2], len(expected).to_bytes(2))
        self.assertNotEqual(number, 77)

    def test_numbers(self) -> None:
        """
        The numbers of questions are random.
        """
        for index in range(20):
            self.ask(f"n{index}.test")
        numbers = [each.id for each in self.queries()]
        self.assertEqual(len(set(numbers)), 20)
        self.assertNotIn(numbers, (sorted(numbers), sorted(numbers, reverse=True)))
        self.assertGreater(max(numbers), 4096)

    def test_reply(self) -> None:
        """
        The reply is given to who has asked.
        """
        asking = self.ask()
        (asked,) = self.queries()
        self.say(replyOctets(asked, PACKED))
        self.assertEqual(
            [str(each) for each in self.successResultOf(asking).addresses], ["192.0.2.1"]
        )

    def test_pipelined(self) -> None:
        """
        A hundred questions go over one connection without waiting, and replies
        in another order find those who have asked.
        """
        asking = [self.ask(f"n{index}.test") for index in range(100)]
        asked = self.queries()
        self.assertEqual([each.name for each in asked], [f"n{index}.test" for index in range(100)])
        self.assertEqual(len(self.connections), 1)
        data = b"".join(
            framed(replyOctets(each, bytes([10, 0, 0, index])))
            for index, each in reversed(list(enumerate(asked)))
        )
        for start in range(0, len(data), 1000):
            self.connections[0].peerSends(data[start : start + 1000])
        for index, result in enumerate(asking):
            (address,) = self.successResultOf(result).addresses
            self.assertEqual(str(address), f"10.0.0.{index}")

    def test_keptOpen(self) -> None:
        """
        The next question goes over the same connection, for twenty seconds
        after the last one; then it is closed.
        """
        for _ in range(3):
            asking = self.ask()
            self.say(replyOctets(self.queries()[0], PACKED))
            self.successResultOf(asking)
            self.network.advance(19)
        self.assertEqual(len(self.connections), 1)
        self.assertFalse(self.connections[0].disconnecting)
        self.network.advance(1.1)
        self.assertTrue(self.connections[0].disconnecting)
        self.assertFalse(self.connections[0].aborted)
        self.network.advance(0)
        self.assertEqual(pending(self.network), 0)
        self.ask()
        self.assertEqual(len(self.connections), 2)

    def test_withoutOPT(self) -> None:
        """
        A name server that does not understand the OPT record is asked again
        without one.
        """
        asking = self.ask()
        (first,) = self.queries()
        self.assertIsNotNone(first.edns)
        self.say(replyOctets(first, code=1))
        self.assertNoResult(asking)
        (second,) = self.queries()
        self.assertIsNone(second.edns)
        self.say(replyOctets(second, code=1))
        self.assertEqual(self.successResultOf(asking).code, 1)
        self.assertEqual(self.queries(), [])

    def test_truncated(self) -> None:
        """
        A reply that is truncated although there is room is none.
        """
        asking = self.ask()
        self.say(replyOctets(self.queries()[0], PACKED, flags=ANSWERED | 0x0200))
        self.failureResultOf(asking, NoReply)

    def test_unknownNumber(self) -> None:
        """
        A reply that nobody waits for is passed over.
        """
        asking = self.ask()
        (asked,) = self.queries()
        asked.id ^= 1
        self.say(replyOctets(asked, bytes(4)))
        self.assertNoResult(asking)
        asked.id ^= 1
        self.say(replyOctets(asked, PACKED))
        self.assertEqual(len(self.successResultOf(asking).addresses), 1)

    def test_authenticity(self) -> None:
        """
        What comes in the clear proves nothing: AD is cleared.
        """
        asking = self.ask()
        self.say(replyOctets(self.queries()[0], PACKED, flags=ANSWERED | 0x0020))
        self.assertEqual(self.successResultOf(asking).flags & 0x0020, 0)


class LossTests(StreamTestCase):
    """
    Connections that break.
    """

    def test_askedAgain(self) -> None:
        """
        Questions that are lost with their connection are asked again at once,
        with other numbers, and once.
        """
        asking = [self.ask("a.test"), self.ask("b.test")]
        before = self.queries()
        self.say(replyOctets(before[0], PACKED)[:20])
        self.connections[0].peerEnds()
        self.network.advance(0)
        after = self.queries(1)
        self.assertEqual([each.name for each in after], ["a.test", "b.test"])
        self.assertNotEqual([each.id for each in before], [each.id for each in after])
        self.say(replyOctets(after[0], PACKED), 1)
        self.successResultOf(asking[0])
        self.connections[1].peerResets()
        self.network.advance(0)
        self.failureResultOf(asking[1], NoReply)
        self.assertEqual(len(self.connections), 2)

    def test_cutInTheMiddle(self) -> None:
        """
        Half a reply is none: the question is asked again.
        """
        asking = self.ask()
        reply = framed(replyOctets(self.queries()[0], PACKED))
        self.connections[0].peerSends(reply[:-1])
        self.assertNoResult(asking)
        self.connections[0].peerEnds()
        self.network.advance(0)
        self.say(replyOctets(self.queries(1)[0], PACKED), 1)
        self.successResultOf(asking)

    def test_refused(self) -> None:
        """
        Where there is no connection to be had, all who wait are told at once.
        """
        self.network.world[f"{SERVER}:53"] = "ECONNREFUSED"
        failure = self.failureResultOf(self.ask(), NoReply)
        self.assertIn("cannot connect", str(failure.value))
        self.assertEqual(len(self.network.attempts), 1)
        self.assertEqual(pending(self.network), 0)

    def test_connectTimeout(self) -> None:
        """
        A connection gets five seconds to be made.
        """
        self.network.world[f"{SERVER}:53"] = "timeout"
        asking = self.ask()
        self.network.advance(4.9)
        self.assertNoResult(asking)
        self.network.advance(0.2)
        self.assertIn("5 s", str(self.failureResultOf(asking, NoReply).value))
        self.assertEqual(pending(self.network), 0)

    def test_nonsense(self) -> None:
        """
        A name server that sends something else than DNS loses its connection,
        and nothing that follows is looked at; after the second time the
        question fails.
        """
        asking = self.ask()
        for number in range(2):
            (asked,) = self.queries(number)
            nonsense = framed(asked.id.to_bytes(2) + b"\x80")
            self.connections[number].peerSends(nonsense + framed(replyOctets(asked, PACKED)))
            self.assertTrue(self.connections[number].aborted)
            self.network.advance(0)
        self.assertIn("nonsense", str(self.failureResultOf(asking, NoReply).value))

    def test_anotherQuestion(self) -> None:
        """
        So does one that answers another question.
        """
        asking = self.ask()
        other = makeQuery("b.test", 1, number=self.queries()[0].id)
        self.say(replyOctets(other, PACKED))
        self.assertTrue(self.connections[0].aborted)
        self.assertNoResult(asking)

    def test_silent(self) -> None:
        """
        If nothing has come for half a second, the next question goes over a
        second connection, and there is no third one.
        """
        self.ask("a.test")
        self.network.advance(0.4)
        self.ask("b.test")
        self.assertEqual(len(self.connections), 1)
        self.network.advance(0.1)
        self.ask("c.test")
        self.assertEqual([each.name for each in self.queries(1)], ["c.test"])
        self.network.advance(1)
        self.ask("d.test")
        self.assertEqual([each.name for each in self.queries(1)], ["d.test"])
        self.assertEqual(len(self.connections), 2)

    def test_heard(self) -> None:
        """
        A connection over which something has come lately is not silent.
        """
        self.ask("a.test")
        self.network.advance(0.4)
        self.ask("b.test")
        self.say(replyOctets(self.queries()[1], PACKED))
        self.network.advance(0.4)
        self.ask("c.test")
        self.assertEqual(len(self.connections), 1)

    def test_waiting(self) -> None:
        """
        A connection is not idle while somebody waits for a reply, however
        long.
        """
        asking = self.ask()
        (asked,) = self.queries()
        self.network.pump([10] * 10)
        self.assertFalse(self.connections[0].disconnecting)
        self.say(replyOctets(asked, PACKED))
        self.successResultOf(asking)
        self.network.pump([10] * 2)
        self.assertTrue(self.connections[0].disconnecting)

    def test_cancelled(self) -> None:
        """
        A question that is given up early leaves the connection as it is, and
        its reply is passed over.
        """
        first, second = self.ask("a.test"), self.ask("b.test")
        asked = self.queries()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        for each in asked:
            self.say(replyOctets(each, PACKED))
        self.successResultOf(second)
        self.assertFalse(self.connections[0].disconnecting)

    def test_dead(self) -> None:
        """
        If a question is given up over which nothing has come for two seconds,
        so is the connection; what else was on it is asked again.
        """
        first = self.ask("a.test")
        self.network.advance(1.9)
        second = self.ask("b.test")
        self.assertEqual([each.name for each in self.queries(1)], ["b.test"])
        self.network.advance(0.1)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertTrue(self.connections[0].aborted)
        self.assertFalse(self.connections[1].aborted)
        self.assertNoResult(second)

    def test_cancelledBeforeConnecting(self) -> None:
        """
        A question that is given up before there is a connection is not asked.
        """
        asking = self.upstream.ask(makeQuery("a.test", 1))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.network.advance(0)
        self.assertEqual(self.queries(), [])

    def test_close(self) -> None:
        """
        When it is closed, nobody waits any longer and all connections are
        dropped; it says when they are gone.
        """
        asking = self.ask()
        closed = self.upstream.close()
        self.failureResultOf(asking, NoReply)
        self.assertNoResult(closed)
        self.assertTrue(self.connections[0].aborted)
        self.network.advance(0)
        self.successResultOf(closed)
        self.failureResultOf(self.ask(), NoReply)
        self.successResultOf(self.upstream.close())
        self.assertEqual(pending(self.network), 0)
        self.assertEqual(len(self.connections), 1)

    def test_closeWhileConnecting(self) -> None:
        """
        A connection that is being made is given up.
        """
        self.network.world[f"{SERVER}:53"] = "timeout"
        asking = self.ask()
        self.successResultOf(self.upstream.close())
        self.failureResultOf(asking, NoReply)
        self.assertEqual(self.network.cancelled, 1)
        self.assertEqual(pending(self.network), 0)

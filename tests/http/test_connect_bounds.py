"""
Tests for L{socksproxy.http._connect}: what a hostile proxy can do to it.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError, MessageTooLong
from socksproxy.http._connect import (
    EARLY_DATA_LIMIT,
    HEAD_LIMIT,
    INTERIM_LIMIT,
    ConnectNegotiation,
)
from socksproxy.negotiation import Failed, ReplyReceived
from tests.codec import piecesOf
from tests.http.answers import (
    GRANTED,
    INTERIM,
    NONSENSE,
    REPLY,
    TUNNELS,
    WEB,
    after,
    failureAfter,
)
from tests.socks.conversation import failureIn

ALLOWED: list[list[type]] = [[], [ReplyReceived], [Failed], [ReplyReceived, Failed]]
"""
What a machine may have told in the end; the last is too much early data.
"""


def headOf(length: int) -> bytes:
    """
    Make a head of so many octets that opens the tunnel, and that takes forever
    with the wrong regular expression.
    """
    start, end = b"HTTP/1.1 200 OK\r\nVia:", b"\0\r\n\r\n"
    return start + b" " * (length - len(start) - len(end)) + end


class BoundTests(SynchronousTestCase):
    """
    Nothing that a proxy sends breaks the machine or makes it grow.
    """

    def test_longestHead(self) -> None:
        """
        An answer may have 64 KiB, and what follows does not count.
        """
        head = headOf(HEAD_LIMIT)
        self.assertEqual(after([head])[1], [REPLY])
        self.assertEqual(after([head + bytes(1000)])[1], [REPLY])
        self.assertEqual(after(piecesOf(head, 4096))[1], [REPLY])

    def test_tooLongHead(self) -> None:
        """
        An octet more is too much, and that is known as soon as the blank line
        can only come too late.
        """
        head = headOf(HEAD_LIMIT + 1)
        self.assertIsInstance(failureAfter(head), MessageTooLong)
        self.assertIsInstance(failureAfter(*piecesOf(head, 4096)), MessageTooLong)
        self.assertIsNone(failureAfter(head[: HEAD_LIMIT - 1]))
        self.assertIsInstance(failureAfter(head[:HEAD_LIMIT]), MessageTooLong)

    def test_longStatusLine(self) -> None:
        """
        A status line takes no more than a head does.
        """
        self.assertIsInstance(failureAfter(b"HTTP/1.1 200 " + b"x" * HEAD_LIMIT), MessageTooLong)

    def test_interimsCount(self) -> None:
        """
        The interim responses count as well.
        """
        room = HEAD_LIMIT - len(INTERIM)
        self.assertEqual(after([INTERIM, headOf(room)])[1], [REPLY])
        self.assertIsInstance(failureAfter(INTERIM, headOf(room + 1)), MessageTooLong)
        self.assertIsInstance(failureAfter(INTERIM, b"HTTP/1.1 200 " + b"x" * room), MessageTooLong)

    def test_interims(self) -> None:
        """
        Sixteen interim responses are skipped; nobody needs more.
        """
        self.assertEqual(INTERIM_LIMIT, 16)
        self.assertEqual(after([INTERIM] * 16 + [GRANTED])[1], [REPLY])
        self.assertEqual(after([INTERIM * 16 + GRANTED])[1], [REPLY])
        self.assertIsInstance(failureAfter(*[INTERIM] * 17), MessageTooLong)

    def test_earlyData(self) -> None:
        """
        As much is kept as was announced, and after too much nothing is given:
        some would be missing.
        """
        machine, events = after([GRANTED, bytes(EARLY_DATA_LIMIT)])
        self.assertEqual(events, [REPLY])
        self.assertEqual(machine.takeEarlyData(), bytes(EARLY_DATA_LIMIT))
        machine, _ = after([GRANTED])
        events = machine.receive(bytes(HEAD_LIMIT + EARLY_DATA_LIMIT + 1))
        self.assertIsInstance(failureIn(events), MessageTooLong)
        self.assertEqual(machine.receive(b"x"), [])
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)

    @given(
        beginning=st.sampled_from(
            [
                b"",
                b"HTTP/1.",
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 502 ",
                *TUNNELS,
                *NONSENSE,
                INTERIM * INTERIM_LIMIT,
            ]
        ),
        received=st.lists(
            st.one_of(
                st.binary(max_size=20),
                st.sampled_from(
                    [b"\r\n", b"\n", b"\r", b"HTTP/1.1 ", b"200", b"407", b" ", INTERIM, GRANTED]
                ),
                st.builds(
                    lambda octets, count: octets * count,
                    st.binary(min_size=1, max_size=3),
                    st.just(30000),
                ),
            ),
            max_size=12,
        ),
        ends=st.booleans(),
    )
    @settings(deadline=None, max_examples=300)
    def test_arbitraryChunks(self, beginning: bytes, received: list[bytes], ends: bool) -> None:
        """
        Arbitrary chunks, after a sensible beginning or none, raise nothing,
        and lead to one outcome at most, and to one at all if they go on.
        """
        machine = ConnectNegotiation(WEB)
        told: list[ReplyReceived | Failed] = []
        total = 0
        for data in [beginning, *received]:
            before = len(told)
            told += machine.receive(data)
            total += len(data)
            self.assertFalse(failureIn(told[:before]) and len(told) > before)
            if total > HEAD_LIMIT:
                self.assertTrue(told)
        if ends:
            told += machine.endOfStream()
            self.assertTrue(told)
        self.assertIn([type(event) for event in told], ALLOWED)
        if told == [REPLY]:
            data = b"".join([beginning, *received])
            early = machine.takeEarlyData()
            self.assertTrue(data.endswith(early))
            self.assertLessEqual(len(early), HEAD_LIMIT + EARLY_DATA_LIMIT)
        else:
            self.assertRaises(LocalProtocolError, machine.takeEarlyData)

"""
Tests for L{socksproxy.kcp._sorting}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._segment import HEAD
from socksproxy.kcp._sorting import MIN_SHARD, Sorted, isKCP, isOpening, sort
from tests.kcp.blocks import ACK, PUSH, WASK, WINS, segment
from tests.kcp.network import shards

ONE, TWO = 0x01010101, 0x02020202
OF_ONE, OF_TWO = ONE.to_bytes(4, "little"), TWO.to_bytes(4, "little")
OUT_OF_BAND = bytes.fromhex("ffffffff f300 0900") + OF_ONE + b"hello"


def push(conversation: int, sn: int = 0, data: bytes = b"x", una: int = 0) -> bytes:
    """
    Write a segment with data.
    """
    return segment(PUSH, conv=conversation, sn=sn, data=data, una=una)


def group(conversation: int) -> tuple[list[bytes], list[bytes]]:
    """
    Make a group of shards: data, and parity.
    """
    made = shards([push(conversation, sn) for sn in range(3)], 3, 2)
    return made[:3], made[3:]


def sorted_(*payloads: bytes | None, latest: bytes | None = None, live: bytes = b"") -> Sorted:
    """
    Sort payloads, for which the datagrams are twenty octets longer.

    @param live: The conversations that there are sessions of, one behind the
        other.
    """
    known = {live[at : at + 4] for at in range(0, len(live), 4)}
    datagrams = [b"\0" * 20 + (payload or b"") for payload in payloads]
    return sort(datagrams, payloads, latest, known.__contains__)


class SortTests(SynchronousTestCase):
    """
    Datagrams of one sender.
    """

    def test_bare(self) -> None:
        """
        Bare segments go to the conversation that they name, in order, and their
        datagrams' octets are counted.
        """
        one, two, three = push(ONE), push(TWO), push(ONE, 1)
        found = sorted_(one, two, three)
        self.assertEqual(found.groups, {OF_ONE: [one, three], OF_TWO: [two]})
        self.assertEqual(found.octets, {OF_ONE: 90, OF_TWO: 45})
        self.assertIsNone(found.latest)

    def test_shards(self) -> None:
        """
        Data shards go to the conversation that they name, and parity to that of
        the data before it.
        """
        (data, parity), (others, otherParity) = group(ONE), group(TWO)
        found = sorted_(*data, *parity, *others, *otherParity)
        self.assertEqual(found.groups, {OF_ONE: data + parity, OF_TWO: others + otherParity})
        self.assertEqual(found.latest, OF_TWO)

    def test_parityOfBefore(self) -> None:
        """
        Parity that comes first belongs to what came before, if anything did.
        """
        _, parity = group(ONE)
        self.assertEqual(sorted_(*parity, latest=OF_ONE).groups, {OF_ONE: parity})
        found = sorted_(*parity)
        self.assertEqual((found.groups, found.nobodys), ({}, parity))

    def test_lateShardTakesNoParity(self) -> None:
        """
        A shard of a session that there is none of leaves the parity to the one
        that there is.
        """
        (data, parity), (late, _) = group(ONE), group(TWO)
        found = sorted_(*data, late[0], *parity, latest=OF_ONE, live=OF_ONE)
        self.assertEqual(found.groups, {OF_ONE: data + parity, OF_TWO: late[:1]})
        self.assertEqual(found.latest, OF_ONE)

    def test_sessionsTakeTurns(self) -> None:
        """
        Between sessions that there are, parity follows the data.
        """
        (data, parity), (others, otherParity) = group(ONE), group(TWO)
        found = sorted_(*others, *otherParity, *data, *parity, latest=OF_ONE, live=OF_ONE + OF_TWO)
        self.assertEqual(found.groups, {OF_TWO: others + otherParity, OF_ONE: data + parity})

    def test_afterTheEnd(self) -> None:
        """
        The parity of a session that has ended does not hold what comes next.
        """
        others, otherParity = group(TWO)
        found = sorted_(*others, *otherParity, latest=OF_ONE)
        self.assertEqual(found.groups, {OF_TWO: others + otherParity})

    def test_unreadable(self) -> None:
        """
        What could not be decrypted is counted.
        """
        found = sorted_(None, push(ONE), None)
        self.assertEqual((found.unreadable, found.groups), (2, {OF_ONE: [push(ONE)]}))

    def test_nobodys(self) -> None:
        """
        What is too short names no conversation, whatever it begins with.
        """
        short = push(ONE)[: MIN_SHARD - 1]
        self.assertEqual(sorted_(short, b"").nobodys, [short, b""])

    def test_outOfBand(self) -> None:
        """
        What is out of band is kept apart, though it names a conversation.
        """
        found = sorted_(OUT_OF_BAND, latest=OF_ONE, live=OF_ONE)
        self.assertEqual((found.groups, found.outOfBand), ({}, [OUT_OF_BAND]))
        self.assertEqual(found.latest, OF_ONE)

    def test_fragmentsAreNotShards(self) -> None:
        """
        Only with a zero behind it is the type one of shards.
        """
        odd = OF_ONE + b"\xf1\x01" + bytes(20)
        self.assertEqual(sorted_(odd).groups, {OF_ONE: [odd]})

    @given(st.lists(st.binary(max_size=40) | st.none()), st.binary(max_size=8))
    def test_noise(self, payloads: list[bytes | None], live: bytes) -> None:
        """
        Whatever comes is somewhere, once.
        """
        found = sorted_(*payloads, live=live)
        kept = [payload for several in found.groups.values() for payload in several]
        kept += found.nobodys + found.outOfBand
        self.assertEqual(sorted(kept), sorted(p for p in payloads if p is not None))
        self.assertEqual(found.unreadable, payloads.count(None))


class OpeningTests(SynchronousTestCase):
    """
    What a session begins with.
    """

    def test_sensible(self) -> None:
        """
        Data of a peer that has heard nothing begins a session, be it the first
        or not, bare or in a shard.
        """
        for payload in (push(ONE), push(ONE, 31), *shards([push(ONE)])):
            self.assertTrue(isOpening(payload, 32))

    def test_notSensible(self) -> None:
        """
        Nothing else does.
        """
        lie = HEAD.pack(ONE, PUSH, 0, 32, 0, 0, 0, 2) + b"x"
        for payload in (
            b"",
            bytes(23),
            bytes(24),
            push(ONE, 32),
            push(ONE, una=1),
            push(ONE, data=b""),
            lie,
            *(segment(cmd, conv=ONE) for cmd in (ACK, WASK, WINS)),
            group(ONE)[1][0],
            OUT_OF_BAND,
            *shards([segment(ACK, conv=ONE)]),
            *shards([lie]),
        ):
            self.assertFalse(isOpening(payload, 32), payload)


class KCPTests(SynchronousTestCase):
    """
    Telling KCP from noise.
    """

    def test_is(self) -> None:
        """
        All that peers send is KCP.
        """
        for payload in (
            push(ONE),
            push(ONE, una=5, sn=10_000),
            *(segment(cmd, conv=ONE) for cmd in (ACK, WASK, WINS)),
            *group(ONE)[0],
            *group(ONE)[1],
            OUT_OF_BAND,
        ):
            self.assertTrue(isKCP(payload), payload)

    def test_isNot(self) -> None:
        """
        Text, zeros, what is too short, and what says that it is longer than it
        is are not.
        """
        for payload in (
            b"",
            b"GET / HTTP/1.1\r\nHost: kcp.test\r\n\r\n",
            bytes(24),
            bytes(500),
            push(ONE)[:-1],
            OUT_OF_BAND[:11],
            shards([push(ONE)])[0][:-1],
        ):
            self.assertFalse(isKCP(payload), payload)

"""
Tests for L{socksproxy.socks._fragments}.
"""

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.socks._fragments import LAST, MAX_PIECES, TIMEOUT, Reassembly
from socksproxy.socks._wireudp import decodeDatagram
from tests.vectors import Vector, load, nameOf

SEQUENCES = [
    vector
    for vector in load("socks")
    if vector["kind"] == "udp-sequence" and vector["config"]["frag"] == "reassemble"
]

HERE = Destination(IPv4Address("192.0.2.10"), 53)
ELSEWHERE = Destination(IPv4Address("192.0.2.11"), 53)


def test_allSequences() -> None:
    """
    There are cases of reassembly to try.
    """
    assert len(SEQUENCES) == 8


@pytest.mark.parametrize("vector", SEQUENCES, ids=nameOf)
def test_sequence(vector: Vector) -> None:
    """
    Of a sequence of datagrams, what should be sent on is, and nothing else.
    """
    reassembly = Reassembly(limit=vector["config"].get("reassembly_limit", 65507))
    now = 1000.0
    relayed: list[dict[str, Any]] = []
    for step in vector["steps"]:
        if "advance" in step:
            now += step["advance"]
            continue
        data = bytes.fromhex(step["datagram"])
        datagram = decodeDatagram(data)
        payload = data[datagram.headLength :]
        whole = reassembly.receive(datagram.fragment, datagram.destination, payload, now)
        if whole is not None:
            to = datagram.destination
            relayed.append({"relay": [str(to.host), to.port, whole.hex()]})
    assert relayed == vector["expect"]


LIMIT = 40
PIECES = 9

steps = st.tuples(
    st.one_of(st.integers(0, 5), st.integers(LAST, LAST + 5), st.integers(0, 255)),
    st.sampled_from([HERE, HERE, HERE, ELSEWHERE]),
    st.binary(max_size=15),
    st.sampled_from([0.0, 0.1, 2.0, 6.0]),
)


@given(steps=st.lists(steps, max_size=40))
@settings(deadline=None)
def test_bounded(steps: list[tuple[int, Destination, bytes, float]]) -> None:
    """
    Whatever comes, no more than the limit waits, something that waits has a
    deadline that is not over, and every fragment is accounted for: it waits,
    has been sent on or is counted as discarded.
    """
    reassembly = Reassembly(LIMIT, PIECES)
    now = 0.0
    fragments = sentOn = 0
    for fragment, destination, payload, pause in steps:
        now += pause
        whole = reassembly.receive(fragment, destination, payload, now)
        if fragment == 0:
            assert whole == payload
        else:
            fragments += 1
            if whole is not None:
                assert len(whole) <= LIMIT
                sentOn += fragment - LAST
        assert reassembly.held <= LIMIT
        if reassembly.deadline is None:
            assert reassembly.held == 0
            assert reassembly.discarded + sentOn == fragments
        else:
            assert now < reassembly.deadline <= now + TIMEOUT
            assert 1 <= fragments - sentOn - reassembly.discarded <= PIECES


@given(payloads=st.lists(st.binary(max_size=20), min_size=1, max_size=MAX_PIECES))
@settings(deadline=None)
def test_inOrder(payloads: list[bytes]) -> None:
    """
    Fragments that come in order give the datagram that was cut, with the last
    of them and not before.
    """
    reassembly = Reassembly()
    for position, payload in enumerate(payloads[:-1], start=1):
        assert reassembly.receive(position, HERE, payload, 0.0) is None
    last = len(payloads) | LAST
    assert reassembly.receive(last, HERE, payloads[-1], 0.0) == b"".join(payloads)
    assert (reassembly.held, reassembly.deadline, reassembly.discarded) == (0, None, 0)


@given(
    order=st.permutations(range(1, 6)).filter(lambda order: order != [1, 2, 3, 4, 5]),
)
@settings(deadline=None)
def test_outOfOrder(order: list[int]) -> None:
    """
    Fragments in any other order give nothing.
    """
    reassembly = Reassembly()
    for position in order:
        fragment = position | LAST if position == 5 else position
        assert reassembly.receive(fragment, HERE, b"x", 0.0) is None


@given(twice=st.integers(2, 5))
@settings(deadline=None)
def test_duplicated(twice: int) -> None:
    """
    A fragment that comes again is not newer than the newest, so it ends its
    sequence, of which the rest is then discarded.
    """
    reassembly = Reassembly()
    received = []
    for position in sorted([1, 2, 3, 4, 5, twice]):
        fragment = position | LAST if position == 5 else position
        received.append(reassembly.receive(fragment, HERE, b"x", 0.0))
    # The last fragment has done its work when it comes again.
    assert [whole for whole in received if whole is not None] == ([b"xxxxx"] if twice == 5 else [])
    assert reassembly.held == 0


class ReassemblyTests(SynchronousTestCase):
    """
    What ends a sequence.
    """

    def setUp(self) -> None:
        """
        Make one that takes little.
        """
        self.reassembly = Reassembly(limit=10, pieces=3, timeout=5.0)

    def receive(self, *fragments: int, now: float = 0.0, payload: bytes = b"x") -> bytes | None:
        """
        Take fragments, and give what comes of the last.
        """
        whole = None
        for fragment in fragments:
            whole = self.reassembly.receive(fragment, HERE, payload, now)
        return whole

    def assertEmpty(self, discarded: int) -> None:
        """
        Fail unless nothing waits, and so much has been discarded.
        """
        self.assertEqual(self.reassembly.held, 0)
        self.assertIsNone(self.reassembly.deadline)
        self.assertEqual(self.reassembly.discarded, discarded)

    def test_deadline(self) -> None:
        """
        The time runs from the first fragment, and the next ones do not
        lengthen it.
        """
        self.receive(1, now=100.0)
        self.assertEqual(self.reassembly.deadline, 105.0)
        self.receive(2, now=104.0)
        self.assertEqual(self.reassembly.deadline, 105.0)

    def test_justInTime(self) -> None:
        """
        The last fragment may come until the time is over.
        """
        self.receive(1, now=100.0)
        self.assertEqual(self.receive(2 | LAST, now=104.99), b"xx")

    def test_expired(self) -> None:
        """
        What has waited for too long is let go without any further datagram,
        and not before its time.
        """
        self.receive(1, 2, now=100.0)
        self.reassembly.expire(104.99)
        self.assertEqual(self.reassembly.held, 2)
        self.reassembly.expire(105.0)
        self.assertEmpty(discarded=2)

    def test_expireNothing(self) -> None:
        """
        When nothing waits, nothing expires.
        """
        self.reassembly.expire(1e9)
        self.assertEmpty(discarded=0)

    def test_anewAfterExpiry(self) -> None:
        """
        After one sequence has expired, the next one has its full time.
        """
        self.receive(1, now=100.0)
        self.receive(1, now=106.0)
        self.assertEqual(self.reassembly.deadline, 111.0)
        self.assertEqual(self.receive(2 | LAST, now=110.0), b"xx")

    def test_restartedHasItsTime(self) -> None:
        """
        A sequence that is begun again has its full time.
        """
        self.receive(1, now=100.0)
        self.receive(1, now=103.0)
        self.assertEqual(self.reassembly.deadline, 108.0)

    def test_tooManyPieces(self) -> None:
        """
        A sequence of more fragments than allowed is discarded, all of it.
        """
        self.assertIsNone(self.receive(1, 2, 3, 4 | LAST))
        self.assertEmpty(discarded=4)

    def test_tooManyOctets(self) -> None:
        """
        So is one that has more octets than allowed, as soon as it has.
        """
        self.receive(1, payload=b"x" * 6)
        self.receive(2, payload=b"x" * 5)
        self.assertEmpty(discarded=2)
        self.assertIsNone(self.receive(3 | LAST))

    def test_asManyOctets(self) -> None:
        """
        A datagram may have as many octets as allowed.
        """
        self.receive(1, payload=b"x" * 6)
        self.assertEqual(self.receive(2 | LAST, payload=b"x" * 4), b"x" * 10)

    def test_standsAlone(self) -> None:
        """
        A datagram that stands alone is given back whatever its size, and the
        sequence under way is over.
        """
        self.receive(1, 2)
        self.assertEqual(self.receive(0, payload=b"y" * 11), b"y" * 11)
        self.assertEmpty(discarded=2)
        self.assertIsNone(self.receive(3 | LAST))

    def test_noPosition(self) -> None:
        """
        A last fragment without a position is no fragment of anything.
        """
        self.receive(1)
        self.assertIsNone(self.receive(LAST))
        self.assertEmpty(discarded=2)

    def test_noFirst(self) -> None:
        """
        Without its first fragment a sequence is nothing.
        """
        for fragment in (2, 2 | LAST, 127, 255):
            self.assertIsNone(self.receive(fragment))
        self.assertEmpty(discarded=4)

    def test_otherDestination(self) -> None:
        """
        A fragment to somewhere else ends the sequence, also if it has a place
        in it; one that is a first fragment begins another.
        """
        self.receive(1)
        self.assertIsNone(self.reassembly.receive(2 | LAST, ELSEWHERE, b"y", 0.0))
        self.assertEmpty(discarded=2)
        self.receive(1)
        self.assertIsNone(self.reassembly.receive(1, ELSEWHERE, b"y", 0.0))
        self.assertEqual(self.reassembly.receive(2 | LAST, ELSEWHERE, b"z", 0.0), b"yz")

    def test_emptyFragments(self) -> None:
        """
        Fragments may be empty, and so may the whole.
        """
        self.assertEqual(self.receive(1, 2, 3 | LAST, payload=b""), b"")

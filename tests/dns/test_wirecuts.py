"""
Tests for L{socksproxy.dns._wirecuts}.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.dns._wire import questionEnd, recordsAt
from socksproxy.dns._wirecuts import withoutCuts
from socksproxy.errors import MalformedMessage
from tests.dns.messages import POINTER, decoded, message, question, record, replies, shown, wire

UNKNOWN = 65280


def cut(octets: bytes, *cuts: tuple[int, int]) -> bytes:
    """
    Take octets out of a message with one question.
    """
    start = questionEnd(octets) + 4
    count = sum(int.from_bytes(octets[at : at + 2]) for at in (6, 8, 10))
    return withoutCuts(octets, list(recordsAt(octets, start, count)), list(cuts))


def test_exactly() -> None:
    """
    A record that becomes shorter says so, and a pointer beyond it leads where
    it led; one before it stays.
    """
    first = record(b"\xc0\x0c", UNKNOWN, 5, b"abcdef")
    second = record(wire("ns.test"), 16, 5, b"text")
    before = message(
        question("a.test"), [first, second, record(b"\xc0\x2a", 15, 5, b"\0\1\xc0\x2d")]
    )
    assert before[0x2A:0x2E] == b"\x02ns\x04"
    after = message(
        question("a.test"),
        [
            record(b"\xc0\x0c", UNKNOWN, 5, b"adef"),
            second,
            record(b"\xc0\x28", 15, 5, b"\0\1\xc0\x2b"),
        ],
    )
    at = before.index(b"bcdef")
    assert cut(before, (at, at + 2)) == after


def test_severalCuts() -> None:
    """
    Octets may be taken out of one record more than once, and out of several.
    """
    before = message(
        question("a.test"),
        [record(b"\xc0\x0c", UNKNOWN, 5, b"abcdef"), record(b"\0", UNKNOWN, 5, b"ghi")],
        [record(wire("b.c"), 2, 5, b"\xc0\x0c")],
        [record(b"\xc0\x38", 2, 5, b"\x01x\xc0\x3a")],
    )
    assert before[0x38:0x3C] == b"\x01b\x01c"
    first, second = before.index(b"abcdef"), before.index(b"ghi")
    after = cut(before, (first, first + 1), (first + 4, first + 6), (second, second + 3))
    assert after == message(
        question("a.test"),
        [record(b"\xc0\x0c", UNKNOWN, 5, b"bcd"), record(b"\0", UNKNOWN, 5, b"")],
        [record(wire("b.c"), 2, 5, b"\xc0\x0c")],
        [record(b"\xc0\x32", 2, 5, b"\x01x\xc0\x34")],
    )


@pytest.mark.parametrize(
    ("kind", "before", "count"),
    [
        *((kind, 0, 1) for kind in (2, 3, 4, 5, 7, 8, 9, 12, 39)),
        *((kind, 0, 2) for kind in (6, 14, 17)),
        *((kind, 2, 1) for kind in (15, 18, 21, 36)),
        (26, 2, 2),
        (33, 6, 1),
        (1, 0, 0),
        (16, 0, 0),
        (65, 2, 0),
    ],
)
def test_namesInside(kind: int, before: int, count: int) -> None:
    """
    All names of a record are found, and nothing that only looks like one.
    """

    def made(data: bytes, target: int) -> bytes:
        pointer = (0xC000 | target).to_bytes(2)
        names = b"\xff" * before + (b"\x01x" + pointer) * count + b"\xc0\xfe" * 3
        first = record(POINTER, UNKNOWN, 5, data)
        return message(
            question("a.test"),
            [first, record(wire("b.c"), 2, 5, wire("d.e")), record(pointer, kind, 5, names)],
        )

    octets = made(b"abcd", 0x2A - 2)
    assert octets[0x28:0x2D] == wire("b.c")
    at = octets.index(b"abcd")
    assert cut(octets, (at + 1, at + 3)) == made(b"ad", 0x26)


@pytest.mark.parametrize("target", [0x26, 0x27])
def test_pointersIntoCuts(target: int) -> None:
    """
    What a pointer leads to cannot be taken out.
    """
    before = message(
        question("a.test"),
        [record(b"\xc0\x0c", UNKNOWN, 5, b"abcd"), record(b"\xc0" + bytes([target]), 1, 5, b"")],
    )
    assert before.index(b"abcd") == 0x24
    with pytest.raises(MalformedMessage):
        cut(before, (0x26, 0x28))


@pytest.mark.parametrize("data", [b"", b"\x05a", b"\xc0", b"\x01", b"\x80\x00", b"\x01a"])
def test_malformedNames(data: bytes) -> None:
    """
    A record whose name goes beyond it is refused.
    """
    before = message(
        question("a.test"), [record(b"\xc0\x0c", UNKNOWN, 5, b"abcd"), record(b"\0", 5, 5, data)]
    )
    at = before.index(b"abcd")
    with pytest.raises(MalformedMessage):
        cut(before, (at, at + 1))


@given(replies(), st.integers(0, 3), st.integers(0, 20))
@settings(deadline=None)
def test_othersStay(octets: bytes, number: int, length: int) -> None:
    """
    All records but the one that is cut are afterwards what they were, as
    Twisted reads them.
    """
    theirs = decoded(octets)
    everything = theirs.answers + theirs.authority + theirs.additional
    start = questionEnd(octets) + 4
    records = list(recordsAt(octets, start, len(everything)))
    free = [n for n, r in enumerate(records) if r.type == 65 and r.end > r.data]
    if not free:
        return
    chosen = free[number % len(free)]
    where = records[chosen].data, min(records[chosen].data + 1 + length, records[chosen].end)
    after = decoded(withoutCuts(octets, records, [where]))
    cutEverything = after.answers + after.authority + after.additional
    assert len(cutEverything) == len(everything)
    for place, (old, new) in enumerate(zip(everything, cutEverything, strict=True)):
        assert (new.ttl, new.name, new.type) == (old.ttl, old.name, old.type)
        if place != chosen:
            assert shown(new) == shown(old)


@given(replies(), st.binary(min_size=1, max_size=4), st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None)
def test_damaged(octets: bytes, noise: bytes, position: int, at: int) -> None:
    """
    Whatever the names of a message are, nothing but our error is raised.
    """
    position = 12 + position % max(1, len(octets) - 12)
    damaged = octets[:position] + noise + octets[position + len(noise) :]
    try:
        start = questionEnd(damaged) + 4
        count = sum(int.from_bytes(damaged[place : place + 2]) for place in (6, 8, 10))
        records = list(recordsAt(damaged, start, count))
        place = next(r for r in records if r.end - r.data > 2).data + 1
        withoutCuts(damaged, records, [(place, place + 1)])
    except (MalformedMessage, StopIteration):
        pass

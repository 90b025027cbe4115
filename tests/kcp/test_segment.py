"""
Tests for L{socksproxy.kcp._segment}.
"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.kcp._segment import HEAD, HEAD_SIZE, MASK, Command, ShardType, difference, firstHead
from tests.vectors import Vector, document

VECTORS = document("kcp_vectors")
FIELDS = ("conv", "cmd", "frg", "wnd", "ts", "sn", "una", "len")

numbers = st.integers(0, MASK)


def test_allVectors() -> None:
    """
    All segments are there.
    """
    assert len(VECTORS["segments"]) == 6
    assert len(VECTORS["segment_bundles"]) == 2


@pytest.mark.parametrize("vector", VECTORS["segments"], ids=lambda vector: vector["hex"][8:24])
def test_head(vector: Vector) -> None:
    """
    A head is written and read as kcp-go does it.
    """
    data = bytes.fromhex(vector["data"])
    whole = bytes.fromhex(vector["hex"])
    fields = tuple(vector["fields"][name] for name in FIELDS)
    assert HEAD.pack(*fields) + data == whole
    assert HEAD.unpack_from(whole) == fields
    assert firstHead(whole) == fields


@pytest.mark.parametrize("vector", VECTORS["segment_bundles"], ids=lambda v: str(v["cmds"]))
def test_firstOfSeveral(vector: Vector) -> None:
    """
    Of several segments the first one's head is given.
    """
    head = firstHead(bytes.fromhex(vector["hex"]))
    assert head is not None
    assert head[1] == vector["cmds"][0]


def test_commands() -> None:
    """
    Commands and shards have the numbers of the protocol, which differ where
    they stand in the same place.
    """
    assert [(each.name, int(each)) for each in Command] == [
        ("PUSH", 81),
        ("ACK", 82),
        ("WASK", 83),
        ("WINS", 84),
    ]
    assert [int(each) for each in ShardType] == [0xF1, 0xF2, 0xF3]
    assert HEAD_SIZE == 24


def test_shard() -> None:
    """
    The head is found behind the head of a data shard; parity and what is out
    of band have none.
    """
    segment = HEAD.pack(7, Command.PUSH, 0, 32, 1, 2, 3, 0)
    assert firstHead(struct.pack("<IHH", 99, ShardType.DATA, 26) + segment) == (
        7, 81, 0, 32, 1, 2, 3, 0
    )  # fmt: skip
    for kind in (ShardType.PARITY, ShardType.OUT_OF_BAND):
        assert firstHead(struct.pack("<IHH", 99, kind, 26) + segment) is None


def test_fragmentIsNoShard() -> None:
    """
    A fragment whose number makes its second octet what a shard has in its
    first is a segment all the same.
    """
    segment = HEAD.pack(7, Command.PUSH, 0xF1, 32, 1, 2, 3, 0)
    assert firstHead(segment) == HEAD.unpack(segment)


def test_tooShort() -> None:
    """
    Whatever ends inside the first head has none.
    """
    segment = HEAD.pack(7, Command.PUSH, 0, 32, 1, 2, 3, 0)
    shard = struct.pack("<IHH", 99, ShardType.DATA, 26) + segment
    for whole in (segment, shard):
        assert firstHead(whole) is not None
        for length in range(len(whole)):
            assert firstHead(whole[:length]) is None, length


@given(st.binary(max_size=64))
def test_arbitraryOctets(payload: bytes) -> None:
    """
    Nothing that comes is an error.
    """
    head = firstHead(payload)
    assert head is None or (len(head) == 8 and len(payload) >= HEAD_SIZE)


@pytest.mark.parametrize(
    ("a", "b", "ahead"),
    [
        (5, 3, 2),
        (3, 5, -2),
        (0, MASK, 1),
        (MASK, 0, -1),
        (1, MASK, 2),
        (0x7FFFFFFF, 0, 0x7FFFFFFF),
        (0x80000000, 0, -0x80000000),
    ],
)
def test_difference(a: int, b: int, ahead: int) -> None:
    """
    A number is ahead of another one by less than half of all numbers, or
    behind it.
    """
    assert difference(a, b) == ahead


@given(numbers, st.integers(-(1 << 31), (1 << 31) - 1))
def test_differenceIsWhatWasAdded(number: int, ahead: int) -> None:
    """
    The difference is what was added, wherever numbers wrap.
    """
    assert difference((number + ahead) & MASK, number) == ahead

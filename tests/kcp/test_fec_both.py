"""
Tests for L{socksproxy.kcp.fec}: what one side sends the other one gets, be it
ours or kcptun's.
"""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.kcp.crypt import cipherFor, deriveKey
from socksproxy.kcp.fec import OVERHEAD, FECDecoder, FECEncoder
from tests.kcp.fecgroups import HEAD, without
from tests.vectors import Vector, document

VECTORS = document("kcp_vectors")


@pytest.mark.parametrize(
    "conversation", VECTORS["captured_conversations"], ids=lambda vector: vector["cipher"]
)
@pytest.mark.parametrize("direction", ["c2s", "s2c"])
def test_conversations(conversation: Vector, direction: str) -> None:
    """
    What kcptun sent is rebuilt wherever its group is whole, with any part of
    the data lost for which there is parity.
    """
    cipher = cipherFor(conversation["cipher"], deriveKey(conversation["passphrase"]))
    shards = cipher.open(
        [
            bytes.fromhex(datagram["hex"])
            for datagram in conversation["datagrams"]
            if datagram["dir"] == direction
        ]
    )
    data, parity = conversation["fec"]
    byNumber = {HEAD.unpack_from(shard)[0]: shard for shard in shards if shard is not None}
    assert len(byNumber) == len(shards)
    groups = 0
    for first in range(0, max(byNumber), data + parity):
        numbers = range(first, first + data + parity)
        if not all(number in byNumber for number in numbers):
            continue
        groups += 1
        for lost in combinations(numbers[:data], min(data, parity)):
            decoder = FECDecoder(data, parity)
            results = decoder.decode([byNumber[k] for k in numbers if k not in lost])
            rebuilt = [segments for segments, recovered in results if recovered]
            assert rebuilt == [byNumber[k][OVERHEAD:] for k in lost]
    assert groups


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 6)),
    payloads=st.lists(st.binary(max_size=50), min_size=1, max_size=60),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_roundTrip(shape: tuple[int, int], payloads: list[bytes], seed: int) -> None:
    """
    Whatever is sent comes, and comes once, as long as no group loses more than
    its parity.
    """
    data, parity = shape
    encoder, decoder = FECEncoder(data, parity), FECDecoder(data, parity)
    shards = encoder.encode(payloads, 0)
    shards += encoder.completeGroup(b"", 0)
    source = random.Random(seed)
    kept = []
    for first in range(0, len(shards), data + parity):
        group = shards[first : first + data + parity]
        lost = source.sample(range(len(group)), source.randint(0, parity))
        kept += without(group, lost)
    results = decoder.decode(kept)
    expected = [*payloads, *[b""] * encoder.fillersSent]
    assert sorted(segments for segments, _ in results) == sorted(expected)
    assert decoder.errors == decoder.malformed == 0

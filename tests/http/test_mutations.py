"""
Tests for requests that are nearly right: see L{tests.http.mutations}.
"""

from __future__ import annotations

import pytest

from tests.http.exchanges import forwardAll
from tests.http.mutations import MUTATIONS, SEEDS, check, mutated
from tests.http.naive import NAIVES

COUNT = 4000


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds(seed: bytes) -> None:
    """
    What is damaged was right before: it is forwarded, as one request.
    """
    sent, bad = forwardAll([seed])
    assert bad is None
    assert [forwarded.whole for forwarded in sent] == [True]
    assert sent[0].body in seed.replace(b"\r\n5\r\n", b"")


@pytest.mark.parametrize("first", range(0, COUNT, COUNT // 8))
def test_oneRequest(first: int) -> None:
    """
    No origin, however careless, sees anything but one request where one was
    sent, with its body; and of one that is refused no whole request at all.
    """
    outcomes = {check(number) for number in range(first, first + COUNT // 8)}
    assert {"0 forwarded, then refused", "1 forwarded", "2 forwarded"} <= outcomes


def test_deterministic() -> None:
    """
    A number stands for the same damage, always, and most of it is different.
    """
    assert [mutated(number) for number in range(99)] == [mutated(number) for number in range(99)]
    assert len({b"".join(mutated(number)) for number in range(999)}) > 900
    assert len(MUTATIONS) == 10


def test_carelessReaders() -> None:
    """
    The careless readers do see two requests where a hidden one could be.
    """
    hidden = b"GET /hidden HTTP/1.1\r\n\r\n"
    both = b"POST / HTTP/1.1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%b"
    confused = both % (5 + len(hidden), hidden)
    assert {len(naive.read(confused)[0]) for naive in NAIVES} == {1, 2}
    twice = b"POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%b"
    assert {len(naive.read(twice % (len(hidden), hidden))[0]) for naive in NAIVES} == {1, 2}
    folded = b"GET / HTTP/1.1\r\nX: a\r\rGET /hidden HTTP/1.1\r\n\r\n"
    assert {len(naive.read(folded)[0]) for naive in NAIVES} == {1, 2}

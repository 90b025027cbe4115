"""
Tests for L{socksproxy.kcp._lanes}.
"""

import pytest

from socksproxy.kcp._lanes import LANE, WORD, everyLane, xored


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_everyLane(count: int) -> None:
    """
    A word is spread over the lanes by multiplication.
    """
    spread = everyLane(count) * WORD
    assert spread.to_bytes(count * LANE, "little") == b"\xff\xff\xff\xff\0\0\0\0" * count


def test_xored() -> None:
    """
    Octets are combined one by one, and their number stays, whatever they
    become.
    """
    assert xored(b"\x0f\xf0\xaa\x01", b"\xff\xff\xaa\x01") == b"\xf0\x0f\0\0"
    assert xored(b"", b"") == b""

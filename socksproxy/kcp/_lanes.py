"""
Many words of 32 bits in one integer, so that one operation of Python works on
all of them.

A lane is 64 bits wide and holds a word in its lower half. What an addition
carries or a shift to the left pushes out lands in the upper half of the same
lane, and what a shift to the right pushes out in that of the next one below,
where a mask clears it. A few hundred lanes cost little more than one, which is
what lets ciphers without an implementation in C run twenty times as fast as
they would a block at a time.
"""

LANE = 8
"""
Octets of a lane.
"""

MOST = 1024
"""
Lanes that are worth working on at a time: with more the numbers leave the
processor's caches, and what a cipher keeps for them becomes large.
"""

WORD = 0xFFFFFFFF
"""
A lane's lower half.
"""


def everyLane(count: int) -> int:
    """
    Give the number that has 1 in each lane: multiplied with a word it has
    that word in each.

    @param count: How many lanes.
    """
    return int.from_bytes(b"\x01\0\0\0\0\0\0\0" * count, "little")


def xored(left: bytes, right: bytes) -> bytes:
    """
    Combine octets that are equally many.
    """
    mixed = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
    return mixed.to_bytes(len(left), "little")

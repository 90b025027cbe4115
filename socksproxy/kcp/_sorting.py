"""
Whose a datagram is, as far as it says so itself: what is bare and data shards
name their conversation, parity belongs to the data that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from socksproxy.kcp._segment import HEAD_SIZE, Command, ShardType, firstHead

MIN_SHARD = 12
"""
Octets of the shortest payload that is looked at.
"""

_DATA, _PARITY, _OUT_OF_BAND = map(int, (ShardType.DATA, ShardType.PARITY, ShardType.OUT_OF_BAND))

_HEADLESS = frozenset((_PARITY, _OUT_OF_BAND))

_SHARD = HEAD_SIZE + 8


@dataclass(slots=True)
class Sorted:
    """
    Datagrams of one sender.

    @ivar latest: The conversation to which parity that comes next belongs.
    @ivar groups: Payloads by conversation, in order.
    @ivar octets: How many octets the datagrams of each had.
    @ivar nobodys: Payloads that name no conversation.
    @ivar outOfBand: Payloads that are out of band, which nobody here asks for.
    @ivar unreadable: How many could not be decrypted.
    """

    latest: bytes | None
    groups: dict[bytes, list[bytes]] = field(default_factory=dict)
    octets: dict[bytes, int] = field(default_factory=dict)
    nobodys: list[bytes] = field(default_factory=list)
    outOfBand: list[bytes] = field(default_factory=list)
    unreadable: int = 0


def sort(
    datagrams: Iterable[bytes],
    payloads: Iterable[bytes | None],
    latest: bytes | None,
    isLive: Callable[[bytes], bool],
) -> Sorted:
    """
    Sort the datagrams of one sender by conversation.

    @param datagrams: As they came.
    @param payloads: The same, decrypted, or L{None} where that failed.
    @param latest: Whose the last data shard before them was.
    @param isLive: Whether there is a session of a conversation. What a session
        that has ended still sends must not take the parity of a live one.
    """
    found = Sorted(latest)
    groups, octets = found.groups, found.octets
    for datagram, payload in zip(datagrams, payloads, strict=True):
        if payload is None:
            found.unreadable += 1
            continue
        if len(payload) < MIN_SHARD:
            found.nobodys.append(payload)
            continue
        kind = payload[4]
        if kind < _DATA or payload[5]:
            conversation = payload[:4]
        elif kind == _DATA:
            conversation = payload[8:12]
            if conversation != latest and (
                latest is None or isLive(conversation) or not isLive(latest)
            ):
                latest = conversation
        elif kind == _PARITY and latest is not None:
            conversation = latest
        else:
            (found.outOfBand if kind == _OUT_OF_BAND else found.nobodys).append(payload)
            continue
        if conversation in groups:
            groups[conversation].append(payload)
            octets[conversation] += len(datagram)
        else:
            groups[conversation] = [payload]
            octets[conversation] = len(datagram)
    found.latest = latest
    return found


def isOpening(payload: bytes, window: int) -> bool:
    """
    Whether a datagram makes sense as the first that comes of a session: a peer
    that has heard nothing sends data. Others may have been lost before it.

    @param payload: It, decrypted.
    @param window: Segments that there is room for.
    """
    head = firstHead(payload)
    if head is None or not isKCP(payload):
        return False
    _, cmd, _, _, _, sn, una, length = head
    return cmd == Command.PUSH and una == 0 and sn < window and length > 0


def isKCP(payload: bytes) -> bool:
    """
    Whether a datagram that was decrypted looks like KCP, and not like noise.
    """
    head = firstHead(payload)
    if head is None:
        # Of shards that say no more only the type is known.
        return len(payload) >= MIN_SHARD and payload[4] in _HEADLESS and payload[5] == 0
    _, cmd, _, _, _, _, _, length = head
    isShard = payload[4] == _DATA and payload[5] == 0
    room = len(payload) - (_SHARD if isShard else HEAD_SIZE)
    return Command.PUSH <= cmd <= Command.WINS and length <= room

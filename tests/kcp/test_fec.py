"""
Tests for L{socksproxy.kcp.fec}: the sending side.
"""

import random
import struct
from collections.abc import Sequence

import pytest
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.kcp._galois import MASKED, interpolation, sumsByTable
from socksproxy.kcp._shard import seqidLimit
from socksproxy.kcp.fec import LATE, OVERHEAD, FECDecoder, FECEncoder
from tests.vectors import document

VECTORS = document("kcp_vectors")["fec"]

HEAD = struct.Struct("<IH")
DATA, PARITY = 0xF1, 0xF2


def payloadsOf(count: int, longest: int = 60, seed: int = 0) -> list[bytes]:
    """
    Make payloads of different lengths.
    """
    source = random.Random(seed)
    return [source.randbytes(source.randrange(24, longest)) for _ in range(count)]


def numbersOf(datagrams: Sequence[bytes]) -> list[tuple[int, int]]:
    """
    Give seqid and type of shards.
    """
    return [HEAD.unpack_from(datagram) for datagram in datagrams]


def parityOf(group: Sequence[bytes], parityShards: int) -> list[bytes]:
    """
    Compute a group's parity on its own.

    @param group: Data shards with their heads.
    """
    data = [shard[HEAD.size :] for shard in group]
    places = range(len(data), len(data) + parityShards)
    return sumsByTable(interpolation(range(len(data)), places), data, max(map(len, data)))


@pytest.mark.parametrize("create", [FECEncoder, FECDecoder])
@pytest.mark.parametrize(
    ("shards", "text"),
    [
        ((0, 3), "datashard and parityshard have to be positive"),
        ((10, 0), "datashard and parityshard have to be positive"),
        ((-1, 3), "datashard and parityshard have to be positive"),
        ((200, 57), "datashard and parityshard are more than 256 together"),
    ],
)
def test_shardsRefused(
    create: type[FECEncoder] | type[FECDecoder], shards: tuple[int, int], text: str
) -> None:
    """
    A group has shards of both kinds, and no more than the field has elements.
    """
    with pytest.raises(ConfigurationError) as caught:
        create(*shards)
    assert str(caught.value) == text


@pytest.mark.parametrize("vector", VECTORS["paws"], ids=str)
def test_limit(vector: dict[str, int]) -> None:
    """
    Seqids go as far as kcp-go's, so that whole groups fit.
    """
    assert seqidLimit(vector["data"] + vector["parity"]) == vector["limit"]


class ShardsTests(SynchronousTestCase):
    """
    Payloads become shards, and parity follows each group.
    """

    def test_group(self) -> None:
        """
        Three payloads of kcp-go's become the packets that kcp-go makes of
        them.
        """
        packets = [bytes.fromhex(packet) for packet in VECTORS["packet_group_3_2"]["packets"]]
        payloads = [packet[OVERHEAD:] for packet in packets[:3]]
        self.assertEqual(FECEncoder(3, 2).encode(payloads, 0), packets)

    def test_oneByOne(self) -> None:
        """
        It does not matter in which batches payloads come.
        """
        payloads = payloadsOf(40)
        whole = FECEncoder(3, 2).encode(payloads, 0)
        for step in (1, 2, 7):
            encoder = FECEncoder(3, 2)
            pieces = [
                encoder.encode(payloads[start : start + step], 0)
                for start in range(0, len(payloads), step)
            ]
            self.assertEqual([shard for piece in pieces for shard in piece], whole)

    def test_order(self) -> None:
        """
        Parity follows the last data of its group directly, with the numbers
        that follow.
        """
        numbers = numbersOf(FECEncoder(2, 2).encode(payloadsOf(5), 0))
        types = [DATA, DATA, PARITY, PARITY] * 2 + [DATA]
        self.assertEqual(numbers, list(enumerate(types)))

    def test_waiting(self) -> None:
        """
        The encoder knows how many data shards wait for others of their group.
        """
        encoder = FECEncoder(3, 1)
        for waiting in (1, 2, 0, 1):
            encoder.encode([b"payload"], 0)
            self.assertEqual(encoder.waiting, waiting)

    def test_nothing(self) -> None:
        """
        Nothing gives nothing.
        """
        encoder = FECEncoder(1, 1)
        self.assertEqual(encoder.encode([], 0), [])
        self.assertEqual(numbersOf(encoder.encode([b"x"], LATE)), [(0, DATA), (1, PARITY)])

    def test_manyGroups(self) -> None:
        """
        Each of many groups that are complete at the same time has its own
        parity, as long as its own longest shard, also if together they are
        longer than what is computed at once, or each of them is.
        """
        for longest in (60, 1400, MASKED + 1000):
            payloads = payloadsOf(15 * 4, longest, seed=longest)
            payloads[4:8] = [b"short"] * 4
            shards = FECEncoder(4, 2).encode(payloads, 0)
            for start in range(0, len(shards), 6):
                group = shards[start : start + 6]
                parity = [shard[HEAD.size :] for shard in group[4:]]
                self.assertEqual(parity, parityOf(group[:4], 2))

    def test_wrap(self) -> None:
        """
        The first seqid follows the last one, at the end of a group.
        """
        encoder = FECEncoder(3, 2)
        limit = seqidLimit(5)
        encoder._next = limit - 5
        numbers = [seqid for seqid, _ in numbersOf(encoder.encode(payloadsOf(6), 0))]
        self.assertEqual(numbers, [*range(limit - 5, limit), *range(5)])


class WithheldTests(SynchronousTestCase):
    """
    Parity need not be sent.
    """

    def test_some(self) -> None:
        """
        What is sent is the first of the parity; the numbers of the rest are
        left out.
        """
        payloads = payloadsOf(8)
        whole = FECEncoder(4, 3).encode(payloads, 0)
        for count in range(4):
            encoder = FECEncoder(4, 3)
            encoder.parityToSend = count
            expected = [shard for seqid, shard in enumerate(whole) if seqid % 7 < 4 + count]
            self.assertEqual(encoder.encode(payloads, 0), expected)
            self.assertEqual(encoder.parityToSend, count)
            self.assertEqual(encoder.paritySent, 2 * count)
            self.assertEqual(encoder.parityWithheld, 2 * (3 - count))

    def test_atAnyTime(self) -> None:
        """
        How many are sent can be changed while a group is unfinished.
        """
        encoder = FECEncoder(2, 2)
        self.assertEqual(encoder.parityToSend, 2)
        encoder.encode([b"x"], 0)
        encoder.parityToSend = 1
        self.assertEqual(numbersOf(encoder.encode([b"x"], 0)), [(1, DATA), (2, PARITY)])
        encoder.parityToSend = 2
        self.assertEqual(
            [seqid for seqid, _ in numbersOf(encoder.encode([b"x"] * 2, 0))], [4, 5, 6, 7]
        )

    def test_refused(self) -> None:
        """
        There is no less than none and no more than all.
        """
        encoder = FECEncoder(2, 2)
        for count in (-1, 3):
            with self.assertRaises(ValueError):
                encoder.parityToSend = count
        self.assertEqual(encoder.parityToSend, 2)

    def test_late(self) -> None:
        """
        A group whose last data comes long after the one before has no parity,
        as kcp-go has it, but its numbers are used up.
        """
        packets = [bytes.fromhex(packet) for packet in VECTORS["skipped_parity_2_2"]["packets"]]
        payloads = [packet[OVERHEAD:] for packet in packets if HEAD.unpack_from(packet)[1] == DATA]
        encoder = FECEncoder(2, 2)
        sent = encoder.encode(payloads[:1], 1000) + encoder.encode(payloads[1:], 1000 + LATE)
        self.assertEqual(sent, packets)
        self.assertEqual((encoder.paritySent, encoder.parityWithheld), (2, 2))

    def test_notLate(self) -> None:
        """
        Only the time between the last two data shards of a group counts, and
        the time may pass through 0 meanwhile.
        """
        for start in (1000, 2**32 - 1):
            encoder = FECEncoder(3, 1)
            shards = encoder.encode([b"x"], start)
            shards += encoder.encode([b"x"], start + 2 * LATE & 0xFFFFFFFF)
            shards += encoder.encode([b"x"], start + 3 * LATE - 1 & 0xFFFFFFFF)
            self.assertEqual(numbersOf(shards)[-1], (3, PARITY))

    def test_notLateTogether(self) -> None:
        """
        The last two data shards of a group are not late when they come
        together, however long ago the others did.
        """
        encoder = FECEncoder(3, 1)
        encoder.encode([b"x"], 0)
        self.assertEqual(len(encoder.encode([b"x"] * 2, LATE)), 3)

    def test_lateAndMore(self) -> None:
        """
        A group that is late does not make others late that are complete at the
        same time.
        """
        encoder = FECEncoder(2, 1)
        encoder.encode([b"x"], 0)
        numbers = numbersOf(encoder.encode([b"x"] * 3, LATE))
        self.assertEqual(numbers, [(1, DATA), (3, DATA), (4, DATA), (5, PARITY)])

    def test_groupsOfOne(self) -> None:
        """
        In groups of one shard what counts is the one before it, of which the
        very first has none.
        """
        encoder = FECEncoder(1, 1)
        first = encoder.encode([b"x"], 7 * LATE)
        late = encoder.encode([b"x"], 8 * LATE)
        soon = encoder.encode([b"x"], 9 * LATE - 1)
        self.assertEqual(numbersOf(first), [(0, DATA), (1, PARITY)])
        self.assertEqual(numbersOf(late), [(2, DATA)])
        self.assertEqual(numbersOf(soon), [(4, DATA), (5, PARITY)])


class CompletedTests(SynchronousTestCase):
    """
    An unfinished group can be filled up.
    """

    def test_filled(self) -> None:
        """
        Fillers take the places of the data that does not come, and parity
        follows.
        """
        payloads = payloadsOf(2)
        encoder, other = FECEncoder(4, 2), FECEncoder(4, 2)
        sent = encoder.encode(payloads, 0) + encoder.completeGroup(b"filler", 30)
        self.assertEqual(sent, other.encode([*payloads, b"filler", b"filler"], 0))
        self.assertEqual(encoder.fillersSent, 2)
        self.assertEqual(encoder.waiting, 0)

    def test_withheld(self) -> None:
        """
        No more parity is sent than is to be sent, and without any a group is
        not filled up.
        """
        encoder = FECEncoder(3, 2)
        encoder.encode([b"x"], 0)
        encoder.parityToSend = 0
        self.assertEqual(encoder.completeGroup(b"filler", 0), [])
        self.assertEqual((encoder.waiting, encoder.fillersSent), (1, 0))
        encoder.parityToSend = 1
        self.assertEqual(
            numbersOf(encoder.completeGroup(b"filler", 0)), [(1, DATA), (2, DATA), (3, PARITY)]
        )

    def test_noGroup(self) -> None:
        """
        Where no group is unfinished there is nothing to fill up.
        """
        encoder = FECEncoder(2, 1)
        self.assertEqual(encoder.completeGroup(b"filler", 0), [])
        encoder.encode([b"x"] * 2, 0)
        self.assertEqual(encoder.completeGroup(b"filler", 0), [])
        self.assertEqual(encoder.fillersSent, 0)

    def test_late(self) -> None:
        """
        A group is not filled up when its parity would come too late.
        """
        encoder = FECEncoder(3, 1)
        encoder.encode([b"x"], 100)
        self.assertEqual(encoder.completeGroup(b"filler", 100 + LATE), [])
        self.assertEqual((encoder.waiting, encoder.fillersSent), (1, 0))
        self.assertEqual(len(encoder.completeGroup(b"filler", 99 + LATE)), 3)

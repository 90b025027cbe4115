"""
Tests for L{socksproxy.kcp._fecdecoder}: what is handed on, rebuilt and counted.
"""

import struct
from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._shard import seqidLimit
from socksproxy.kcp.fec import OVERHEAD, FECDecoder, FECEncoder
from tests.kcp.fecgroups import DATA, HEAD, PARITY, encoded, held, payloadsOf, without
from tests.vectors import document

VECTORS = document("kcp_vectors")


class DataTests(SynchronousTestCase):
    """
    Data is handed on at once.
    """

    def test_direct(self) -> None:
        """
        The segments of each data shard are handed on in the order in which
        they come, and parity gives nothing where nothing was lost.
        """
        payloads, shards = encoded(3, 4, 2)
        decoder = FECDecoder(4, 2)
        self.assertEqual(decoder.decode(shards), [(payload, False) for payload in payloads])
        self.assertEqual((decoder.parityReceived, decoder.parityUseless), (6, 6))
        self.assertEqual((decoder.recovered, decoder.errors, decoder.malformed), (0, 0, 0))
        self.assertEqual(held(decoder), 0)

    def test_plain(self) -> None:
        """
        What is not a shard is handed on as it is, in its place.
        """
        payloads, shards = encoded(1, 1, 1)
        plain = struct.pack("<IBBHIIII", 1, 81, 0xF1, 0, 0, 0, 0, 0)
        self.assertEqual(
            FECDecoder(1, 1).decode([plain, *shards, plain]),
            [(plain, False), (payloads[0], False), (plain, False)],
        )

    def test_outOfBand(self) -> None:
        """
        What is out of band is dropped and counted, and is no shard.
        """
        packet = bytes.fromhex(VECTORS["fec"]["oob"]["packet"])
        decoder = FECDecoder(3, 2)
        self.assertEqual(decoder.decode([packet]), [])
        self.assertEqual((decoder.outOfBand, decoder.malformed), (1, 0))

    def test_size(self) -> None:
        """
        A data shard whose size does not fit is dropped and counted. One with
        more behind is handed on with it, as kcp-go has it.
        """
        decoder = FECDecoder(3, 2)
        good = struct.pack("<IHH", 0, DATA, 7) + b"01234"
        self.assertEqual(decoder.decode([good]), [(b"01234", False)])
        self.assertEqual(decoder.decode([good + b"more"]), [(b"01234more", False)])
        for size in (0, 1, 8, 0xFFFF):
            bad = struct.pack("<IHH", 1, DATA, size) + b"01234"
            self.assertEqual(decoder.decode([bad]), [], size)
        self.assertEqual(decoder.malformed, 4)
        self.assertEqual(held(decoder), 1)

    def test_length(self) -> None:
        """
        A payload that ends inside its head is dropped and counted, and so is a
        shard that is longer than a datagram can be.
        """
        decoder = FECDecoder(1, 1)
        longest = 1500 - OVERHEAD
        for kind in (DATA, PARITY):
            start = HEAD.pack(0, kind)
            for length in range(OVERHEAD):
                self.assertEqual(decoder.decode([(start + b"\x02\0")[:length]]), [])
            decoder.decode([start + struct.pack("<H", longest + 2) + bytes(longest)])
            tooLong = start + struct.pack("<H", longest + 3) + bytes(longest + 1)
            self.assertEqual(decoder.decode([tooLong]), [])
        self.assertEqual(decoder.malformed, 2 * (OVERHEAD + 1))


class RecoveryTests(SynchronousTestCase):
    """
    Data that was lost is rebuilt.
    """

    def test_everyLoss(self) -> None:
        """
        As many shards may be lost as there is parity, whichever they are; the
        data among them is rebuilt, directly after what made it possible.
        """
        payloads, shards = encoded(1, 5, 3)
        for count in range(1, 4):
            for lost in combinations(range(8), count):
                decoder = FECDecoder(5, 3)
                kept = without(shards, lost)
                direct = [(payloads[k], False) for k in range(5) if k not in lost]
                rebuilt = [(payloads[k], True) for k in lost if k < 5]
                self.assertEqual(decoder.decode(kept), direct + rebuilt)
                self.assertEqual(decoder.recovered, len(rebuilt))
                self.assertEqual(decoder.parityReceived, 3 - sum(k >= 5 for k in lost))
                self.assertEqual(decoder.parityUseless, decoder.parityReceived - len(rebuilt))

    def test_tooManyLost(self) -> None:
        """
        One more that is lost, and nothing is rebuilt.
        """
        payloads, shards = encoded(1, 5, 3)
        decoder = FECDecoder(5, 3)
        self.assertEqual(decoder.decode(shards[4:]), [(payloads[4], False)])
        self.assertEqual(held(decoder), 4)

    def test_anyOrder(self) -> None:
        """
        Shards may come in any order. What has been rebuilt is handed on again
        when it comes after all, and nothing is rebuilt twice.
        """
        payloads, shards = encoded(1, 3, 2)
        decoder = FECDecoder(3, 2)
        self.assertEqual(
            [decoder.decode([shards[k]]) for k in (4, 1, 3, 0, 2)],
            [
                [],
                [(payloads[1], False)],
                [(payloads[0], True), (payloads[2], True)],
                [(payloads[0], False)],
                [(payloads[2], False)],
            ],
        )
        self.assertEqual((decoder.recovered, decoder.parityUseless), (2, 0))

    def test_duplicates(self) -> None:
        """
        A shard that comes twice counts once.
        """
        payloads, shards = encoded(1, 3, 2)
        decoder = FECDecoder(3, 2)
        self.assertEqual(
            decoder.decode([shards[3], shards[3], shards[0], shards[0]]), [(payloads[0], False)] * 2
        )
        self.assertEqual(decoder.decode(shards[4:]), [(payloads[1], True), (payloads[2], True)])
        decoder.decode(shards[3:])
        self.assertEqual(decoder.parityUseless, 0)

    def test_interleaved(self) -> None:
        """
        Four groups may be unfinished at a time.
        """
        payloads, shards = encoded(4, 2, 1)
        decoder = FECDecoder(2, 1)
        decoder.decode([shards[3 * group] for group in range(4)])
        for group in (2, 0, 3, 1):
            self.assertEqual(
                decoder.decode([shards[3 * group + 2]]), [(payloads[2 * group + 1], True)]
            )

    def test_behind(self) -> None:
        """
        A group may begin after three newer ones have.
        """
        payloads, shards = encoded(4, 2, 1)
        decoder = FECDecoder(2, 1)
        decoder.decode(shards[9:])
        self.assertEqual(decoder.decode(shards[1:3])[-1], (payloads[0], True))

    def test_tooOld(self) -> None:
        """
        A group is forgotten when four newer ones have begun; what comes of it
        then is handed on, but rebuilds nothing.
        """
        payloads, shards = encoded(5, 2, 1)
        decoder = FECDecoder(2, 1)
        decoder.decode([shards[3 * group] for group in range(5)])
        self.assertEqual(held(decoder), 4)
        self.assertEqual(decoder.decode([shards[2]]), [])
        self.assertEqual(decoder.decode([shards[1]]), [(payloads[1], False)])
        self.assertEqual(decoder.decode([shards[5]]), [(payloads[3], True)])

    def test_wrap(self) -> None:
        """
        Groups at the end of the seqids and at their beginning are neighbours.
        """
        first = seqidLimit(5) - 10
        payloads, shards = encoded(4, 3, 2, first)
        self.assertEqual(HEAD.unpack_from(shards[10])[0], 0)
        decoder = FECDecoder(3, 2)
        order = [shards[k] for k in (0, 15, 5, 10, 3, 18, 8, 13, 4, 19, 9, 14)]
        results = decoder.decode(order)
        self.assertEqual(
            results[4:],
            [(payloads[group * 3 + k], True) for group in (0, 3, 1, 2) for k in (1, 2)],
        )

    def test_beyondTheLimit(self) -> None:
        """
        A shard with a seqid that no encoder uses is handed on, and belongs to
        no group.
        """
        decoder = FECDecoder(10, 3)
        shard = struct.pack("<IHH", seqidLimit(13), DATA, 3) + b"x"
        self.assertEqual(decoder.decode([shard]), [(b"x", False)])
        self.assertEqual(held(decoder), 0)

    def test_nonsense(self) -> None:
        """
        A rebuilt shard whose size makes no sense is dropped and counted.
        """
        for size, errors in ((0, 1), (1, 1), (2, 0), (6, 0), (7, 1), (0xFFFF, 1)):
            decoder = FECDecoder(1, 1)
            # With one data shard parity is the same again.
            parity = struct.pack("<IHH", 1, PARITY, size) + b"0123"
            results = decoder.decode([parity])
            self.assertEqual((decoder.errors, decoder.recovered), (errors, 1 - errors), size)
            self.assertEqual(results, [] if errors else [(b"0123"[: size - 2], True)])

    def test_withheldParity(self) -> None:
        """
        A sender may leave parity out.
        """
        encoder = FECEncoder(4, 3)
        decoder = FECDecoder(4, 3)
        for parity in (1, 0, 2, 3, 1):
            encoder.parityToSend = parity
            payloads = payloadsOf(4, seed=parity)
            results = decoder.decode(encoder.encode(payloads, 0)[parity:])
            rebuilt = [segments for segments, recovered in results if recovered]
            self.assertEqual(rebuilt, payloads[:parity])

    def test_completedGroup(self) -> None:
        """
        A group that was filled up is rebuilt as any other.
        """
        encoder = FECEncoder(10, 3)
        shards = encoder.encode([b"lone"], 0)
        fillers = encoder.completeGroup(b"filler", 0)
        self.assertEqual(FECDecoder(10, 3).decode(fillers)[-1], (b"lone", True))
        self.assertEqual(len(shards), 1)


class LossTests(SynchronousTestCase):
    """
    What was lost is counted.
    """

    def counted(self, decoder: FECDecoder) -> tuple[int, int]:
        """
        Give what was expected and what of it is missing.
        """
        return decoder.shardsExpected, decoder.shardsMissing

    def test_counted(self) -> None:
        """
        Data is counted once its group is forgotten, whether it was rebuilt or
        not; the first group is not, of which something may have come before.
        """
        _, shards = encoded(8, 3, 2)
        decoder = FECDecoder(3, 2)
        decoder.decode(without(shards, [0, 6, 11, 12, 13, 16, 18]))
        # Groups 1 to 3 of 0 to 7 are forgotten besides the first.
        self.assertEqual(self.counted(decoder), (9, 4))

    def test_late(self) -> None:
        """
        What comes late, but before its group is forgotten, is not missing.
        """
        _, shards = encoded(7, 3, 2)
        decoder = FECDecoder(3, 2)
        decoder.decode(shards[:5])
        decoder.decode(shards[6:20])
        self.assertEqual(decoder.recovered, 1)
        decoder.decode([shards[5], *shards[20:]])
        self.assertEqual(self.counted(decoder), (6, 0))

    def test_wholeGroups(self) -> None:
        """
        Groups of which nothing came are missing.
        """
        _, shards = encoded(10, 3, 2)
        decoder = FECDecoder(3, 2)
        decoder.decode(shards[:5])
        decoder.decode(shards[20:])
        self.assertEqual(self.counted(decoder), (15, 9))

"""
Tests for L{socksproxy.socks.datagrams}: fragments, and datagrams with
something around them.
"""

from __future__ import annotations

from socksproxy.errors import ProtocolError
from socksproxy.socks._fragments import TIMEOUT
from tests.socks.clientdatagrams import CLIENT, HEAD, STRANGER, TARGET, DatagramTestCase
from tests.socks.sealeddatagrams import SealedDatagrams
from tests.socksrequests import LAST, MAX_DATAGRAM, datagram


class FragmentTests(DatagramTestCase):
    """
    Datagrams in pieces.
    """

    def piece(self, fragment: int, data: bytes = b"x", host: str = TARGET) -> bool:
        """
        Send a fragment.
        """
        return self.send(datagram(data, host, 53, fragment))

    def test_dropped(self) -> None:
        """
        By default they are dropped and counted, whatever their position, also
        those for whom something has been sent before.
        """
        self.send()
        fragments = (1, 2, 127, 1 | LAST, 2 | LAST, LAST, 255)
        for fragment in fragments:
            self.assertFalse(self.piece(fragment))
        self.assertCounts(sent=1, dropped=len(fragments))

    def test_joined(self) -> None:
        """
        Where that is wanted they are put together, and sent on as one.
        """
        self.open(reassembling=True)
        self.assertFalse(self.piece(1, b"one "))
        self.assertFalse(self.piece(2, b"two "))
        self.assertTrue(self.piece(3 | LAST, b"three"))
        self.assertEqual(self.forwarded, [(b"one two three", f"{TARGET}:53")])
        self.assertEqual((self.record.datagramsSent, self.record.sent), (1, 13))
        self.assertEqual(self.record.datagramsDropped, 0)

    def test_whole(self) -> None:
        """
        Those that stand alone go on as ever, and end what waits, also if
        their heads have been seen before.
        """
        self.open(reassembling=True)
        self.assertTrue(self.send())
        self.piece(1)
        self.assertTrue(self.send())
        self.assertFalse(self.piece(2 | LAST))
        self.assertEqual(len(self.forwarded), 2)

    def test_pins(self) -> None:
        """
        A fragment decides about the client's port as any datagram does.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.assertFalse(self.send(port=41001))
        self.assertClient(41000)

    def test_ofStrangers(self) -> None:
        """
        Nobody else can put a piece in between.
        """
        self.open(reassembling=True)
        self.piece(1, b"one ")
        self.send(datagram(b"bad", TARGET, 53, 2 | LAST), host=STRANGER)
        self.send(datagram(b"bad", TARGET, 53, 2 | LAST), port=41001)
        self.assertTrue(self.piece(2 | LAST, b"two"))
        self.assertEqual(self.forwarded, [(b"one two", f"{TARGET}:53")])

    def test_timer(self) -> None:
        """
        Five seconds after the first piece all are forgotten, whether or not
        anything comes.
        """
        self.assertEqual(TIMEOUT, 5.0)
        self.open(reassembling=True)
        self.piece(1)
        self.network.advance(4.9)
        self.piece(2)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.network.advance(0.1)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertFalse(self.piece(3 | LAST))
        self.assertEqual(self.forwarded, [])

    def test_inTime(self) -> None:
        """
        Before that they are not.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.network.advance(4.9)
        self.assertTrue(self.piece(2 | LAST))

    def test_timerOfEachSequence(self) -> None:
        """
        Each sequence has five seconds of its own.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.network.advance(3)
        self.piece(1)
        self.network.advance(3)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.assertTrue(self.piece(2 | LAST))
        self.network.advance(10)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_oneTimer(self) -> None:
        """
        However many there are, there is one timer.
        """
        self.open(reassembling=True)
        for number in range(1000):
            self.piece(number % 127 + 1)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.network.advance(6)
        self.network.advance(6)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_lostPiecesAreCounted(self) -> None:
        """
        Pieces of datagrams that never became whole are counted as dropped in
        the end, and no timer goes on.
        """
        self.open(reassembling=True)
        self.piece(1)
        self.piece(3)
        self.piece(1)
        self.piece(2)
        for _ in range(2):
            self.datagrams.close()
        self.assertCounts(dropped=4)
        self.assertEqual(self.network.getDelayedCalls(), [])


class ProtectionTests(DatagramTestCase):
    """
    Datagrams with something around them.
    """

    def setUp(self) -> None:
        self.sealing = SealedDatagrams()
        self.open(protection=self.sealing)

    def test_bothWays(self) -> None:
        """
        It is taken off what the client sends and put around what it gets.
        """
        self.assertTrue(self.send(b"SEAL" + datagram(b"question", TARGET, 53)))
        self.assertEqual(self.forwarded, [(b"question", f"{TARGET}:53")])
        self.answer()
        self.assertEqual(
            self.socket.take(), [(b"SEAL" + datagram(b"answer", TARGET, 53), (CLIENT, 41000))]
        )
        self.assertEqual((self.record.sent, self.record.received), (8, 6))

    def test_unprotected(self) -> None:
        """
        What comes without it is dropped and counted, and does not decide about
        the client's port.
        """
        self.assertFalse(self.send(port=41001))
        self.assertCounts(dropped=1)
        self.assertTrue(self.send(b"SEAL" + datagram(b"question", TARGET, 53)))

    def test_tooLong(self) -> None:
        """
        What would be too long with it is dropped and counted.
        """
        self.send(b"SEAL" + datagram(b"question", TARGET, 53))
        self.answer(bytes(MAX_DATAGRAM - HEAD - 4))
        self.assertEqual([len(data) for data, _ in self.socket.take()], [MAX_DATAGRAM])
        self.answer(bytes(MAX_DATAGRAM - HEAD - 3))
        self.sealing.limit = 10
        self.answer()
        self.assertEqual(self.socket.take(), [])
        self.assertCounts(sent=1, received=1, dropped=2)

    def test_broken(self) -> None:
        """
        What cannot be protected is not sent.
        """
        self.send(b"SEAL" + datagram(b"question", TARGET, 53))
        self.sealing.broken = True
        self.assertRaises(ProtocolError, self.sealing.wrapDatagram, b"")
        self.answer()
        self.assertEqual(self.socket.take(), [])
        self.assertCounts(sent=1, dropped=1)

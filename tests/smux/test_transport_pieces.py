"""
How much of a stream an application is given at a time.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.smux._end import PIECE
from socksproxy.smux._frame import Command, encodeFrame
from tests.smux.muxes import Application, Muxes


class Reader(Application):
    """
    Notes the pieces that it is given, and reads no further than it wants.
    """

    wanted = 1 << 30

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.pieces.append(len(data))
        if len(self.data) >= self.wanted:
            self.transport.pauseProducing()


class PieceTests(SynchronousTestCase):
    """
    A carrier that gives a lot at once, as one that decompresses does.
    """

    def given(self, wanted: int, octets: int) -> Reader:
        """
        Have a stream that gets octets in one call from its carrier.

        @param wanted: Octets after which the application pauses.
        """
        muxes = Muxes(make=Reader)
        frames = [encodeFrame(2, Command.SYN, 3)]
        frames += [encodeFrame(2, Command.PSH, 3, bytes(8192)) for _ in range(octets // 8192)]
        Reader.wanted = wanted
        self.addCleanup(setattr, Reader, "wanted", 1 << 30)
        muxes.there.peerSends(b"".join(frames))
        muxes.clock.pump([0, 0, 0])
        (reader,) = muxes.accepted.made
        return reader  # type: ignore[no-any-return]

    def test_pieces(self) -> None:
        """
        All of it arrives, in pieces that are no larger than reads of TCP.
        """
        reader = self.given(1 << 30, 3 * PIECE)
        self.assertEqual(sum(reader.pieces), 3 * PIECE)
        self.assertLessEqual(max(reader.pieces), PIECE)

    def test_paused(self) -> None:
        """
        An application that has enough after the first piece gets no other one.
        """
        reader = self.given(1, 3 * PIECE)
        self.assertEqual(reader.pieces, [PIECE])

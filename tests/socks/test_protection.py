"""
Tests for L{socksproxy.socks._protection}.
"""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import (
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
    TruncatedStream,
)
from socksproxy.socks._protection import CHUNK, WINDOW, ContextProtection, TokenOrder
from socksproxy.socks._wire1961 import (
    MAX_FRAME,
    Frame,
    Level,
    MessageType,
    decodeFrame,
    encodeFrame,
)
from tests.codec import piecesOf
from tests.socks.securitycontext import OVERHEAD, FakeContext, established

LEVELS = (Level.INTEGRITY, Level.CONFIDENTIALITY, Level.SELECTIVE)


def framed(token: bytes, messageType: MessageType = MessageType.DATA) -> bytes:
    """
    Put a token into a frame.
    """
    return encodeFrame(Frame(messageType, token))


def tokensIn(data: bytes) -> list[bytes]:
    """
    Take the tokens out of data frames.
    """
    tokens = []
    while data:
        decoded = decodeFrame(data)
        assert decoded is not None
        frame, length = decoded
        assert frame.messageType is MessageType.DATA
        tokens.append(frame.token)
        data = data[length:]
    return tokens


class StreamTests(SynchronousTestCase):
    """
    Octets of a connection in frames.
    """

    @given(
        data=st.binary(max_size=200),
        level=st.sampled_from(LEVELS),
        limit=st.sampled_from([1, 7, 1000]),
        size=st.integers(1, 60),
    )
    @settings(deadline=None)
    def test_roundTrip(self, data: bytes, level: Level, limit: int, size: int) -> None:
        """
        What one side wraps the other unwraps, however it is cut, and nothing is
        kept back once it is complete.
        """
        context = FakeContext(limit=limit)
        sender = ContextProtection(context, TokenOrder(context), level)
        receiver, _ = established(level)
        wrapped = sender.wrap(data)
        got = b"".join(receiver.unwrap(piece) for piece in piecesOf(wrapped, size))
        self.assertEqual(got, data)
        receiver.endOfStream()

    def test_confidential(self) -> None:
        """
        On level 1 nothing is encrypted, and on levels 2 and 3 everything is.
        """
        for level, expected in zip(LEVELS, (False, True, True), strict=True):
            protection, peer = established(level)
            (token,) = tokensIn(protection.wrap(b"secret"))
            self.assertEqual(peer.unwrap(token), (b"secret", expected), level)

    def test_selectiveWithoutConfidentiality(self) -> None:
        """
        On level 3 a context that cannot encrypt does not.
        """
        context = FakeContext(confidentiality=False)
        protection = ContextProtection(context, TokenOrder(context), Level.SELECTIVE)
        (token,) = tokensIn(protection.wrap(b"open"))
        self.assertEqual(FakeContext().unwrap(token), (b"open", False))

    def test_clearMessage(self) -> None:
        """
        A message that was not encrypted is taken on levels 1 and 3, and is an
        error on level 2.
        """
        for level in LEVELS:
            protection, peer = established(level)
            data = framed(peer.wrap(b"open", False))
            if level is Level.CONFIDENTIALITY:
                self.assertRaises(MalformedMessage, protection.unwrap, data)
            else:
                self.assertEqual(protection.unwrap(data), b"open")

    def test_encryptedOnLevelOne(self) -> None:
        """
        A message that was encrypted without need is read.
        """
        protection, peer = established(Level.INTEGRITY)
        self.assertEqual(protection.unwrap(framed(peer.wrap(b"x", True))), b"x")

    def test_cut(self) -> None:
        """
        Data is cut into frames of a size that lets the peer begin soon, and
        smaller ones where the context wants that.
        """
        protection, peer = established()
        tokens = tokensIn(protection.wrap(b"x" * (CHUNK * 2 + 5)))
        self.assertEqual([len(peer.unwrap(token)[0]) for token in tokens], [CHUNK, CHUNK, 5])
        context = FakeContext(limit=100)
        narrow = ContextProtection(context, TokenOrder(context), Level.INTEGRITY)
        self.assertEqual(len(tokensIn(narrow.wrap(bytes(250)))), 3)

    def test_nothing(self) -> None:
        """
        Nothing is nothing in both directions, but a frame may be empty.
        """
        protection, peer = established()
        self.assertEqual((protection.wrap(b""), protection.unwrap(b"")), (b"", b""))
        self.assertEqual(protection.unwrap(framed(peer.wrap(b"", True))), b"")

    def test_longestFrame(self) -> None:
        """
        The longest frame that the format has is read, and while it is
        incomplete no more than it is kept.
        """
        protection, peer = established()
        message = bytes(peer.limit)
        data = framed(peer.wrap(message, True))
        self.assertEqual(len(data), MAX_FRAME)
        self.assertEqual(protection.unwrap(data[:-1]), b"")
        self.assertEqual(protection.unwrap(data[-1:]), message)

    def checkFault(self, data: bytes, before: bytes = b"", level: Level = Level.INTEGRITY) -> None:
        """
        Require that octets are an error, and that nothing comes of anything
        after them.

        @param before: Octets that are not.
        """
        protection, peer = established(level)
        protection.unwrap(before)
        peer.number = 5000
        self.assertRaises(RemoteProtocolError, protection.unwrap, data)
        good = framed(peer.wrap(b"good", True))
        self.assertRaises(RemoteProtocolError, protection.unwrap, good)
        self.assertRaises(RemoteProtocolError, protection.endOfStream)
        self.assertRaises(RemoteProtocolError, protection.unwrapDatagram, good)

    def test_tampered(self) -> None:
        """
        A token that has been changed anywhere ends the stream for good.
        """
        data = framed(FakeContext().wrap(b"pay 10", False))
        for position in range(4, len(data)):
            changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
            self.checkFault(changed)

    def test_badFrames(self) -> None:
        """
        Frames that are none, of another type or without a token of the right
        kind, and an abort, end the stream.
        """
        token = FakeContext().wrap(b"x", False)
        for data in (
            b"\5",
            b"\1\7",
            b"\1\3\0\0",
            b"\1\xff",
            framed(token, MessageType.AUTHENTICATION),
            framed(token, MessageType.PROTECTION_LEVEL),
            framed(b"x"),
            framed(b"\x60" + token[1:]),
        ):
            self.checkFault(data)

    def test_repeated(self) -> None:
        """
        A token that comes twice ends the stream.
        """
        data = framed(FakeContext().wrap(b"again", False))
        self.checkFault(data, before=data)

    def test_outOfOrder(self) -> None:
        """
        A token that is missing, or comes late, ends the stream.
        """
        peer = FakeContext()
        one, two, three = (framed(peer.wrap(b"x", False)) for _ in range(3))
        self.checkFault(three, before=one)
        self.checkFault(one, before=two)

    def test_contextSaysOutOfOrder(self) -> None:
        """
        When the context finds a token out of order that seemed to be in order,
        that ends the stream, too.
        """
        context, peer = FakeContext(outOfOrder=True), FakeContext()
        protection = ContextProtection(context, TokenOrder(context), Level.INTEGRITY)
        data = framed(peer.wrap(b"x", False))
        self.assertRaises(MalformedMessage, protection.unwrap, data)
        context.outOfOrder = False
        self.assertRaises(MalformedMessage, protection.unwrap, data)

    def test_nothingOfAReadWithAFault(self) -> None:
        """
        What was good in the same piece is not given on: it is one with what
        the fault has made doubtful.
        """
        protection, peer = established()
        data = framed(peer.wrap(b"good", True)) + b"\5"
        self.assertRaises(RemoteProtocolError, protection.unwrap, data)

    def test_truncated(self) -> None:
        """
        An end inside a frame is an error, and between frames is none.
        """
        data = framed(FakeContext().wrap(b"x", True))
        for length in range(len(data) + 1):
            protection, _ = established()
            protection.unwrap(data[:length])
            if 0 < length < len(data):
                self.assertRaises(TruncatedStream, protection.endOfStream)
            else:
                protection.endOfStream()

    def test_expired(self) -> None:
        """
        A context that has come to its end says so.
        """
        context = FakeContext(broken=True)
        protection = ContextProtection(context, TokenOrder(context), Level.INTEGRITY)
        self.assertRaises(LocalProtocolError, protection.wrap, b"x")
        self.assertRaises(LocalProtocolError, protection.wrapDatagram, b"x")

    @given(data=st.lists(st.binary(max_size=40), max_size=5))
    @settings(deadline=None)
    def test_arbitraryOctets(self, data: list[bytes]) -> None:
        """
        Whatever comes, nothing is raised but errors of the peer.
        """
        protection, _ = established()
        for piece in data:
            for take in (protection.unwrap, protection.unwrapDatagram):
                try:
                    take(piece)
                except RemoteProtocolError:
                    pass


class DatagramTests(SynchronousTestCase):
    """
    Datagrams, each in a frame of its own.
    """

    def setUp(self) -> None:
        """
        Have some datagrams of the peer's.
        """
        self.protection, self.peer = established()

    def sent(self, count: int) -> list[bytes]:
        """
        Give datagrams that the peer has sent, which say which they are.
        """
        return [framed(self.peer.wrap(b"%d" % number, True)) for number in range(count)]

    def refused(self, datagram: bytes, unwrap: Callable[[bytes], bytes] | None = None) -> None:
        """
        Require that a datagram is refused.
        """
        unwrap = self.protection.unwrapDatagram if unwrap is None else unwrap
        self.assertRaises(MalformedMessage, unwrap, datagram)

    def test_roundTrip(self) -> None:
        """
        A datagram comes out as it went in; it may be empty.
        """
        other, _ = established()
        for payload in (b"", b"hello", bytes(5000)):
            wrapped = self.protection.wrapDatagram(payload)
            self.assertEqual(other.unwrapDatagram(wrapped), payload)

    def test_lost(self) -> None:
        """
        That others are lost is no reason not to take one.
        """
        sent = self.sent(WINDOW * 4)
        for number in (0, 1, 5, 6, WINDOW * 2, WINDOW * 4 - 1):
            self.assertEqual(self.protection.unwrapDatagram(sent[number]), b"%d" % number)

    def test_reordered(self) -> None:
        """
        Datagrams are taken in any order within the window, each once.
        """
        sent = self.sent(WINDOW)
        order = [0, *range(WINDOW - 1, 0, -1)]
        for number in order:
            self.assertEqual(self.protection.unwrapDatagram(sent[number]), b"%d" % number)
        for datagram in sent:
            self.refused(datagram)

    def test_repeated(self) -> None:
        """
        A datagram that came before is refused, and others are not.
        """
        first, second, third = self.sent(3)
        self.protection.unwrapDatagram(first)
        self.refused(first)
        self.protection.unwrapDatagram(third)
        self.refused(third)
        self.assertEqual(self.protection.unwrapDatagram(second), b"1")
        self.refused(second)

    def test_tooLate(self) -> None:
        """
        What comes so late that it cannot be told whether it came before is
        refused, and what is one place less late is not.
        """
        sent = self.sent(WINDOW + 2)
        for number in (0, 3, WINDOW + 1):
            self.protection.unwrapDatagram(sent[number])
        self.refused(sent[1])
        self.assertEqual(self.protection.unwrapDatagram(sent[2]), b"2")

    def test_before(self) -> None:
        """
        After a jump out of the window, and before the first token of all,
        nothing older is taken: the context would not take it either.
        """
        sent = self.sent(WINDOW * 2)
        self.protection.unwrapDatagram(sent[1])
        self.refused(sent[0])
        self.protection.unwrapDatagram(sent[WINDOW + 1])
        for number in range(WINDOW + 1):
            self.refused(sent[number])

    def test_lowNumbers(self) -> None:
        """
        That holds for peers that begin to count at nothing, too.
        """
        self.peer.number = 0
        sent = self.sent(4)
        self.assertEqual(self.protection.unwrapDatagram(sent[2]), b"2")
        self.refused(sent[1])
        self.assertEqual(self.protection.unwrapDatagram(sent[3]), b"3")

    def test_notAFrame(self) -> None:
        """
        A datagram that is less than a frame, more than one, of another type or
        changed is refused, and does no harm to those after it.
        """
        first, second = self.sent(2)
        for datagram in (
            b"",
            first[:-1],
            first + b"\1",
            first + second,
            framed(first[4:], MessageType.AUTHENTICATION),
            first[:-1] + bytes([first[-1] ^ 1]),
            b"\1\xff",
        ):
            self.refused(datagram)
        self.assertRaises(RemoteProtocolError, self.protection.unwrapDatagram, b"\5" + first)
        self.assertEqual(self.protection.unwrapDatagram(first), b"0")

    def test_forgedNumber(self) -> None:
        """
        A forged datagram does not move the window.
        """
        (datagram,) = self.sent(1)
        forged = datagram[:12] + b"\xff" * 8 + datagram[20:]
        self.refused(forged)
        self.assertEqual(self.protection.unwrapDatagram(datagram), b"0")

    def test_clear(self) -> None:
        """
        On level 2 a datagram in the clear is refused.
        """
        self.refused(framed(self.peer.wrap(b"open", False)))

    def test_tooLong(self) -> None:
        """
        A datagram that does not fit into a frame is an error before anything
        is made of it.
        """
        limit = self.peer.limit
        self.assertEqual(len(self.protection.wrapDatagram(bytes(limit))), limit + OVERHEAD + 4)
        self.assertRaises(MessageTooLong, self.protection.wrapDatagram, bytes(limit + 1))

    def test_besidesTheStream(self) -> None:
        """
        The stream and the datagrams count in the same numbers, and neither
        disturbs the other.
        """
        tokens = [framed(self.peer.wrap(b"%d" % number, True)) for number in range(6)]
        self.assertEqual(self.protection.unwrap(tokens[0]), b"0")
        self.assertEqual(self.protection.unwrapDatagram(tokens[3]), b"3")
        self.assertEqual(self.protection.unwrap(tokens[1]), b"1")
        self.assertEqual(self.protection.unwrap(tokens[4]), b"4")
        self.assertEqual(self.protection.unwrapDatagram(tokens[2]), b"2")
        self.refused(tokens[4])
        self.refused(tokens[2], self.protection.unwrap)

    def test_possible(self) -> None:
        """
        There can be datagrams only where the context does not watch the order
        of tokens.
        """
        for sequenced in (False, True):
            context = FakeContext(sequenced=sequenced)
            protection = ContextProtection(context, TokenOrder(context), Level.INTEGRITY)
            self.assertEqual(protection.carriesDatagrams, not sequenced)

    def test_contextSaysOutOfOrder(self) -> None:
        """
        When the context finds a datagram out of order that could not be, there
        are no more datagrams, as each might cost memory.
        """
        context = FakeContext(outOfOrder=True)
        protection = ContextProtection(context, TokenOrder(context), Level.INTEGRITY)
        first, second = self.sent(2)
        self.refused(first, protection.unwrapDatagram)
        context.outOfOrder = False
        self.refused(second, protection.unwrapDatagram)

"""
Tests for L{socksproxy.socks._negotiation5}: methods that let the machine wait
for a computation, and methods that put a protection around the connection.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.buffer import Buffer
from socksproxy.errors import (
    AuthenticationFailed,
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
    TruncatedStream,
)
from socksproxy.socks._events import (
    Blocking,
    CredentialsReceived,
    Event,
    Failed,
    ProtectionEstablished,
    RequestReceived,
    Send,
)
from socksproxy.socks._machine import EARLY_DATA_LIMIT
from socksproxy.socks._negotiation5 import ClientNegotiation, ServerNegotiation
from socksproxy.socks._protection import ContextProtection
from socksproxy.socks._wire1961 import Frame, Level, MessageType, encodeFrame
from socksproxy.socks.methods import ClientSubNegotiation, ServerSubNegotiation
from tests.codec import splitsOf
from tests.socks.conversation import failureIn
from tests.socks.driven import DrivenClient, DrivenServer
from tests.socks.securitycontext import FakeContext, FakeMethod, established

WEB = Destination("web.test", 80)
REQUEST = bytes.fromhex("05010003087765622e746573740050")
REPLY = bytes.fromhex("05000001c00002c8c350")
TICKET = encodeFrame(Frame(MessageType.AUTHENTICATION, b"ticket"))
ONE_TOKEN = FakeContext((b"ticket",))


class PuzzleMethod:
    """
    A method that computes something and protects nothing: the server says what
    its computation gave, and takes whatever one octet comes after it.
    """

    code = 0x81

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        return _PuzzleServer()

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        raise NotImplementedError


class _PuzzleServer:
    def __init__(self) -> None:
        self._puzzle: list[bytes] = []
        self._told = False

    def receive(self, buffer: Buffer) -> Sequence[Event]:
        if not self._puzzle:
            return [Send(b"wait"), Blocking(lambda: self._puzzle.append(b"puzzle"))]
        if not self._told:
            self._told = True
            return [Send(self._puzzle[0])]
        octet = buffer.decode(lambda data: (data[:1], 1) if data else None)
        return [] if octet is None else [CredentialsReceived(octet)]

    def authenticated(self) -> bytes:
        return b"!"

    def authenticationFailed(self) -> bytes:
        return b"?"


class ComputingTests(SynchronousTestCase):
    """
    A machine whose method has to compute.
    """

    def setUp(self) -> None:
        """
        Have a server that waits for a computation.
        """
        self.machine = ServerNegotiation([PuzzleMethod()])
        *said, blocking = self.machine.receive(b"\5\1\x81")
        self.assertEqual(said, [Send(b"\5\x81"), Send(b"wait")])
        assert isinstance(blocking, Blocking)
        self.blocking = blocking

    def test_waits(self) -> None:
        """
        Until it is told to go on, the machine only keeps what comes.
        """
        self.assertEqual(self.machine.receive(b"1"), [])
        self.blocking.call()
        self.assertEqual(self.machine.receive(b"2"), [])
        self.assertEqual(self.machine.pending, 2)

    def test_goesOn(self) -> None:
        """
        Then it goes on with the outcome, and with its further messages.
        """
        self.blocking.call()
        self.assertEqual(self.machine.resume(), [Send(b"puzzle")])
        self.assertEqual(self.machine.receive(b"1"), [CredentialsReceived(b"1")])
        self.machine.receive(REQUEST)
        said, request = self.machine.authenticated()
        self.assertEqual(said, Send(b"!"))
        self.assertIsInstance(request, RequestReceived)

    def test_once(self) -> None:
        """
        It goes on once, and only where something has been waited for.
        """
        self.assertRaises(LocalProtocolError, ServerNegotiation([]).resume)
        self.blocking.call()
        self.machine.resume()
        self.assertRaises(LocalProtocolError, self.machine.resume)

    def test_tooMuch(self) -> None:
        """
        When far too much comes meanwhile the machine has failed, and the
        outcome makes no difference.
        """
        events = self.machine.receive(bytes(2 * EARLY_DATA_LIMIT))
        self.assertIsInstance(failureIn(events), MessageTooLong)
        self.blocking.call()
        self.assertEqual(self.machine.resume(), [])

    def test_repr(self) -> None:
        """
        A computation does not show what it has to do with.
        """
        self.assertEqual(repr(self.blocking), "Blocking()")


def level(context: FakeContext, wanted: Level = Level.CONFIDENTIALITY) -> bytes:
    """
    Give the frame that asks for a level.
    """
    token = context.wrap(bytes([wanted]), False)
    return encodeFrame(Frame(MessageType.PROTECTION_LEVEL, token))


def data(context: FakeContext, message: bytes) -> bytes:
    """
    Give a frame of data.
    """
    return encodeFrame(Frame(MessageType.DATA, context.wrap(message, True)))


class ProtectedServerTests(SynchronousTestCase):
    """
    A server whose connection becomes protected.
    """

    def setUp(self) -> None:
        """
        Have a server that waits for a level, and its peer.
        """
        self.peer = FakeContext()
        self.server = DrivenServer(ServerNegotiation([FakeMethod(ONE_TOKEN)]))
        self.server.receive(b"\5\1\1" + TICKET)
        self.server.computeAll()

    def test_inEveryCut(self) -> None:
        """
        The request is read through the protection, and so is what follows it,
        however all that is cut.
        """
        whole = (
            level(self.peer)
            + data(self.peer, REQUEST[:7])
            + data(self.peer, REQUEST[7:] + b"ear")
            + data(self.peer, b"ly")
        )
        for pieces in splitsOf(whole):
            self.setUp()
            for piece in pieces:
                self.server.receive(piece)
            self.assertEqual(self.server.requests, [RequestReceived(1, WEB, "SOCKS5")])
            self.assertEqual(self.server.machine.takeEarlyData(), b"early")

    def test_order(self) -> None:
        """
        The method's last message is not protected, and what comes of the
        request is.
        """
        machine = ServerNegotiation([FakeMethod(ONE_TOKEN)])
        *_, blocking = machine.receive(b"\5\1\1" + TICKET)
        assert isinstance(blocking, Blocking)
        blocking.call()
        machine.resume()
        (credentials,) = machine.receive(level(self.peer) + data(self.peer, REQUEST))
        self.assertIsInstance(credentials, CredentialsReceived)
        kinds = [type(event) for event in machine.authenticated()]
        self.assertEqual(kinds, [Send, ProtectionEstablished, RequestReceived])

    def test_waitingForTheVerdict(self) -> None:
        """
        What comes while credentials are checked is protected already, and is
        read once they are found good.
        """
        machine = ServerNegotiation([FakeMethod(ONE_TOKEN)])
        *_, blocking = machine.receive(b"\5\1\1" + TICKET)
        assert isinstance(blocking, Blocking)
        blocking.call()
        machine.resume()
        machine.receive(level(self.peer))
        request = data(self.peer, REQUEST)
        self.assertEqual(machine.receive(request[:20]), [])
        self.assertEqual(machine.receive(request[20:] + data(self.peer, b"early")), [])
        self.assertIsInstance(machine.authenticated()[-1], RequestReceived)
        self.assertEqual(machine.takeEarlyData(), b"early")

    def test_refused(self) -> None:
        """
        When they are not found good, nothing is protected.
        """
        machine = ServerNegotiation([FakeMethod(ONE_TOKEN)])
        server = DrivenServer(machine, lambda _: False)
        server.receive(b"\5\1\1" + TICKET)
        server.computeAll()
        self.assertEqual(server.receive(level(self.peer) + b"\1\3"), b"\1\xff")
        self.assertIsNone(server.protection)
        self.assertIsInstance(server.failure, AuthenticationFailed)

    def test_faultBehindTheLevel(self) -> None:
        """
        A fault in what has been kept is the client's, after the method's
        message has been sent.
        """
        answer = self.server.receive(level(self.peer) + b"\5")
        self.assertEqual(answer[:2], b"\1\2")
        self.assertIsInstance(self.server.failure, RemoteProtocolError)
        self.assertEqual(self.server.requests, [])

    def test_room(self) -> None:
        """
        What had been read before reading was paused fits, even with a frame
        that a protection had kept until then; more does not.
        """
        self.server.receive(level(self.peer))
        self.server.receive(data(self.peer, REQUEST))
        half = EARLY_DATA_LIMIT // 2
        machine = self.server.machine
        for size in (half - 1, half, half):
            self.assertEqual(machine.receive(bytes(size)), [])
        self.assertIsInstance(failureIn(machine.receive(bytes(half))), MessageTooLong)

    def test_eachConnectionAnew(self) -> None:
        """
        One method object serves any number of connections.
        """
        method = FakeMethod(ONE_TOKEN)
        for _ in range(2):
            server, peer = DrivenServer(ServerNegotiation([method])), FakeContext()
            server.receive(b"\5\1\1" + TICKET)
            server.computeAll()
            server.receive(level(peer) + data(peer, REQUEST))
            self.assertEqual(len(server.requests), 1)


class ProtectedClientTests(SynchronousTestCase):
    """
    A client whose connection becomes protected.
    """

    def setUp(self) -> None:
        """
        Have a client that waits for the server's choice, and that server's
        context.
        """
        self.peer = FakeContext()
        self.client = DrivenClient(ClientNegotiation(WEB, [FakeMethod(ONE_TOKEN)]))
        self.assertEqual(self.client.receive(b"\5\1"), b"")
        self.client.computeAll()

    def test_request(self) -> None:
        """
        The request goes out under the protection as soon as it is there.
        """
        request = self.client.receive(level(self.peer))
        protection, _ = established()
        # The first token was the question for a level.
        self.assertEqual(protection.unwrap(request), REQUEST)

    def test_inEveryCut(self) -> None:
        """
        The reply is read through the protection, and so is what follows it,
        however all that is cut.
        """
        whole = level(self.peer) + data(self.peer, REPLY + b"SSH") + data(self.peer, b"-2.0")
        for pieces in splitsOf(whole):
            self.setUp()
            for piece in pieces:
                self.client.receive(piece)
            self.assertEqual(len(self.client.replies), 1)
            self.assertEqual(self.client.machine.takeEarlyData(), b"SSH-2.0")

    def test_faultBehindTheLevel(self) -> None:
        """
        A fault in what follows the choice is the server's, and no request is
        made.
        """
        self.assertEqual(self.client.receive(level(self.peer) + b"\5"), b"")
        self.assertIsInstance(self.client.failure, MalformedMessage)

    def test_endOfStream(self) -> None:
        """
        The end of the stream is a failure while something is computed, too.
        """
        client = ClientNegotiation(WEB, [FakeMethod()])
        (blocking,) = client.receive(b"\5\1")
        assert isinstance(blocking, Blocking)
        self.assertIsInstance(failureIn(client.endOfStream()), TruncatedStream)
        blocking.call()
        self.assertEqual(client.resume(), [])

    def test_failed(self) -> None:
        """
        A computation that fails ends the negotiation.
        """
        client = DrivenClient(ClientNegotiation(WEB, [FakeMethod(FakeContext((b"x", b"y")))]))
        client.receive(b"\5\1")
        client.computeAll()
        client.receive(TICKET)
        self.assertEqual(client.computeAll(), b"")
        self.assertIsInstance(client.failure, AuthenticationFailed)
        self.assertEqual(client.machine.receive(b"\1\1"), [])


class QuietMethod:
    """
    A method whose client computes, and then protects everything, without
    having read anything of the server.
    """

    code = 0x82

    def serverNegotiation(self) -> ServerSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        raise NotImplementedError

    def clientNegotiation(self) -> ClientSubNegotiation:
        """
        See L{Method<socksproxy.socks.methods.Method>}.
        """
        return _QuietClient()


class _QuietClient:
    def __init__(self) -> None:
        protection, _ = established()
        self._events: list[Event] = [
            Blocking(lambda: None),
            ProtectionEstablished(protection),
        ]

    def start(self) -> bytes:
        return b""

    def receive(self, buffer: Buffer) -> Sequence[Event] | None:
        return [self._events.pop(0)] if self._events else None


class QuietTests(SynchronousTestCase):
    """
    A client that has all it needs without being told anything.
    """

    def test_goesOn(self) -> None:
        """
        The request follows at once, under the protection.
        """
        client = DrivenClient(ClientNegotiation(WEB, [QuietMethod()]))
        client.receive(b"\5\x82")
        peer, _ = established()
        self.assertEqual(peer.unwrap(client.computeAll()), REQUEST)


class EventTests(SynchronousTestCase):
    """
    What events show.
    """

    def test_noProtection(self) -> None:
        """
        A method that protects nothing says nothing of it.
        """
        event = CredentialsReceived("somebody")
        self.assertIsNone(event.protection)
        self.assertEqual(event, CredentialsReceived("somebody", None))

    def test_repr(self) -> None:
        """
        A protection is not shown.
        """
        protection, _ = established()
        for event in (
            CredentialsReceived("somebody", protection),
            ProtectionEstablished(protection),
            Failed(LocalProtocolError("x")),
        ):
            self.assertNotIn(ContextProtection.__name__, repr(event))

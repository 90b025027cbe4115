"""
Tests for L{socksproxy.socks._gssapi}, over contexts that are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.buffer import Buffer
from socksproxy.errors import (
    AuthenticationFailed,
    BadVersion,
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    NotAllowed,
    SOCKSProxyError,
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
from socksproxy.socks._gssapi import (
    MAX_LEVEL_TOKEN,
    MAX_OCTETS,
    MAX_ROUNDS,
    GSSAPIClient,
    GSSAPIServer,
)
from socksproxy.socks._negotiation5 import ClientNegotiation, ServerNegotiation
from socksproxy.socks._wire1961 import Frame, Level, MessageType, decodeFrame, encodeFrame
from socksproxy.socks.methods import Principal
from tests.socks.driven import DrivenClient, DrivenServer, converse
from tests.socks.securitycontext import ALICE, FakeContext, FakeMethod

WEB = Destination("web.test", 80)
ABORT = b"\1\xff"

PROTECTED = (Level.INTEGRITY, Level.CONFIDENTIALITY, Level.SELECTIVE)
MINIMA = (Level.NONE, Level.INTEGRITY, Level.CONFIDENTIALITY)


def framed(messageType: MessageType, token: bytes) -> bytes:
    """
    Write a frame.
    """
    return encodeFrame(Frame(messageType, token))


def authentication(token: bytes) -> bytes:
    """
    Write a frame with a context token.
    """
    return framed(MessageType.AUTHENTICATION, token)


def talk(
    server: FakeMethod, client: FakeMethod, segment: int = 65536, admitted: bool = True
) -> tuple[DrivenServer, DrivenClient]:
    """
    Let a server and a client negotiate.
    """
    driven = (
        DrivenServer(ServerNegotiation([server]), lambda _: admitted),
        DrivenClient(ClientNegotiation(WEB, [client])),
    )
    converse(driven[1], driven[0], segment)
    return driven


class TalkTests(SynchronousTestCase):
    """
    Both halves understand each other.
    """

    @given(
        level=st.sampled_from(PROTECTED),
        rounds=st.integers(1, 6),
        segment=st.sampled_from([1, 2, 7, 65536]),
        data=st.binary(min_size=1, max_size=50),
    )
    @settings(deadline=None)
    def test_success(self, level: Level, rounds: int, segment: int, data: bytes) -> None:
        """
        However many tokens it takes and however the octets travel, the server
        learns whose ticket it was, the request is made and granted under the
        protection that was asked for, and what follows is under it too.
        """
        script = tuple(b"token %d" % number for number in range(rounds))
        method = FakeMethod(FakeContext(script), level)
        server, client = talk(method, method, segment)
        self.assertEqual(server.credentials, [Principal(ALICE)])
        self.assertEqual(server.requests, [RequestReceived(1, WEB, "SOCKS5")])
        self.assertEqual(len(client.replies), 1)
        self.assertEqual((server.failure, client.failure), (None, None))
        for speaker, listener in ((client, server), (server, client)):
            said = speaker.say(data)
            self.assertEqual(said[:2], b"\1\3")
            listener.receive(said)
            self.assertEqual(listener.machine.takeEarlyData(), data)

    def test_noProtection(self) -> None:
        """
        On level 0, where both sides are content with it, everything after the
        method's own messages is in the clear.
        """
        for segment in (1, 65536):
            method = FakeMethod(level=Level.NONE, minimum=Level.NONE)
            server, client = talk(method, method, segment)
            self.assertEqual((server.protection, client.protection), (None, None))
            self.assertEqual((len(server.requests), len(client.replies)), (1, 1))

    def test_ticketRefused(self) -> None:
        """
        Both sides know when the ticket is not good, and no credentials come of
        it.
        """
        server, client = talk(FakeMethod(), FakeMethod(FakeContext((b"forged",))))
        self.assertEqual(server.credentials, [])
        self.assertIsInstance(server.failure, AuthenticationFailed)
        self.assertIsInstance(client.failure, AuthenticationFailed)

    def test_serverRefused(self) -> None:
        """
        A client that finds the server's token no good says nothing more.
        """
        server, client = talk(FakeMethod(), FakeMethod(FakeContext((b"ticket", b"expected"))))
        self.assertIsInstance(client.failure, AuthenticationFailed)
        self.assertEqual((server.credentials, server.failure), ([], None))

    def test_userRefused(self) -> None:
        """
        Both sides know when the principal may not use the proxy.
        """
        server, client = talk(FakeMethod(), FakeMethod(), admitted=False)
        self.assertEqual(server.requests, [])
        self.assertIsInstance(server.failure, AuthenticationFailed)
        self.assertIsInstance(client.failure, AuthenticationFailed)


class LevelTests(SynchronousTestCase):
    """
    What is agreed on.
    """

    def test_choice(self) -> None:
        """
        The server answers what was asked for, what its minimum leaves of that,
        or that it will not.
        """
        expected = {
            (Level.NONE, Level.NONE): Level.NONE,
            (Level.NONE, Level.INTEGRITY): Level.INTEGRITY,
            (Level.NONE, Level.CONFIDENTIALITY): Level.CONFIDENTIALITY,
            (Level.NONE, Level.SELECTIVE): Level.SELECTIVE,
            (Level.INTEGRITY, Level.NONE): None,
            (Level.INTEGRITY, Level.INTEGRITY): Level.INTEGRITY,
            (Level.INTEGRITY, Level.CONFIDENTIALITY): Level.CONFIDENTIALITY,
            (Level.INTEGRITY, Level.SELECTIVE): Level.SELECTIVE,
            (Level.CONFIDENTIALITY, Level.NONE): None,
            (Level.CONFIDENTIALITY, Level.INTEGRITY): None,
            (Level.CONFIDENTIALITY, Level.CONFIDENTIALITY): Level.CONFIDENTIALITY,
            (Level.CONFIDENTIALITY, Level.SELECTIVE): Level.CONFIDENTIALITY,
        }
        for (minimum, requested), chosen in expected.items():
            with self.subTest(minimum=minimum, requested=requested):
                exchange = Exchange(minimum)
                events = exchange.ask(bytes([requested]))
                if chosen is None:
                    self.assertEqual(exchange.failure(events, NotAllowed), ABORT)
                else:
                    self.assertEqual(exchange.chosen(events), chosen)

    def test_contextCannot(self) -> None:
        """
        A level that the context cannot give is never agreed on.
        """
        for integrity, requested in (
            (True, Level.CONFIDENTIALITY),
            (True, Level.SELECTIVE),
            (False, Level.INTEGRITY),
        ):
            context = FakeContext(initiates=False, integrity=integrity, confidentiality=False)
            exchange = Exchange(context=context)
            events = exchange.ask(bytes([requested]))
            self.assertEqual(exchange.failure(events, NotAllowed), ABORT)

    def test_notALevel(self) -> None:
        """
        What is no level is refused.
        """
        for message in (b"", b"\4", b"\xff", b"\1\1", b"1"):
            exchange = Exchange()
            self.assertEqual(
                exchange.failure(exchange.ask(message), MalformedMessage), ABORT, message
            )

    def test_answerInClear(self) -> None:
        """
        The choice is protected but not encrypted.
        """
        exchange = Exchange()
        exchange.ask(b"\2")
        _, confidential = exchange.answer()
        self.assertFalse(confidential)

    def test_bare(self) -> None:
        """
        A level that nothing protects is taken, and answered likewise, only
        where that has been asked for; the minimum stands.
        """
        exchange = Exchange(nec=False)
        self.assertEqual(exchange.failure(exchange.askBare(1), MalformedMessage), ABORT)
        exchange = Exchange(nec=True)
        self.assertIsInstance(exchange.askBare(1)[-1], CredentialsReceived)
        self.assertEqual(exchange.server.authenticated(), bytes.fromhex("0102000101"))
        exchange = Exchange(nec=True)
        self.assertEqual(exchange.failure(exchange.askBare(0), NotAllowed), ABORT)

    def test_wrappedToo(self) -> None:
        """
        Where a bare level is taken, one in a token is taken as well.
        """
        exchange = Exchange(nec=True)
        self.assertEqual(exchange.chosen(exchange.ask(b"\1")), Level.INTEGRITY)

    def test_clientMinimum(self) -> None:
        """
        A client is content with what it asked for and with more, and with no
        less than it has been told.
        """
        for level, minimum, answer, content in (
            (Level.INTEGRITY, Level.INTEGRITY, Level.INTEGRITY, True),
            (Level.INTEGRITY, Level.INTEGRITY, Level.CONFIDENTIALITY, True),
            (Level.INTEGRITY, Level.INTEGRITY, Level.SELECTIVE, True),
            (Level.INTEGRITY, Level.INTEGRITY, Level.NONE, False),
            (Level.CONFIDENTIALITY, Level.CONFIDENTIALITY, Level.INTEGRITY, False),
            (Level.CONFIDENTIALITY, Level.CONFIDENTIALITY, Level.SELECTIVE, False),
            (Level.CONFIDENTIALITY, Level.INTEGRITY, Level.INTEGRITY, True),
            (Level.SELECTIVE, Level.SELECTIVE, Level.INTEGRITY, True),
            (Level.SELECTIVE, Level.SELECTIVE, Level.CONFIDENTIALITY, True),
        ):
            with self.subTest(level=level, minimum=minimum, answer=answer):
                client = Asked(level, minimum)
                events = client.answered(bytes([answer]))
                if content:
                    self.assertIsInstance(events[-1], ProtectionEstablished)
                    self.assertIsNone(client.client.receive(client.buffer))
                else:
                    self.assertIsInstance(failureOf(events), NotAllowed)

    def test_clientContextCannot(self) -> None:
        """
        A client neither asks for nor accepts what its context cannot give.
        """
        context = FakeContext((b"ticket",), confidentiality=False)
        client = GSSAPIClient(context, Level.CONFIDENTIALITY, Level.INTEGRITY)
        buffer = Buffer(100)
        computed(client.receive(buffer))
        context.step(b"")
        self.assertIsInstance(failureOf(client.receive(buffer)), NotAllowed)
        asked = Asked(Level.INTEGRITY, Level.INTEGRITY, context)
        self.assertIsInstance(failureOf(asked.answered(b"\2")), NotAllowed)

    def test_clientGetsNonsense(self) -> None:
        """
        An answer that is no level, or not protected, or too long, is an error.
        """
        for message in (b"", b"\5", b"\1\1"):
            events = Asked(Level.INTEGRITY, Level.INTEGRITY).answered(message)
            self.assertIsInstance(failureOf(events), MalformedMessage, message)
        bare = Asked(Level.INTEGRITY, Level.INTEGRITY)
        events = bare.feed(framed(MessageType.PROTECTION_LEVEL, b"\1"))
        self.assertIsInstance(failureOf(events), MalformedMessage)
        long = Asked(Level.INTEGRITY, Level.INTEGRITY)
        events = long.answered(bytes(MAX_LEVEL_TOKEN))
        self.assertIsInstance(failureOf(events), MessageTooLong)

    def test_levelsTurn(self) -> None:
        """
        The token with the level counts as the first, so that it cannot be
        repeated as data.
        """
        asked = Asked(Level.INTEGRITY, Level.INTEGRITY)
        token = asked.peer.wrap(b"\1", False)
        events = asked.feed(framed(MessageType.PROTECTION_LEVEL, token))
        assert events is not None
        (established,) = events
        assert isinstance(established, ProtectionEstablished)
        self.assertRaises(
            MalformedMessage, established.protection.unwrap, framed(MessageType.DATA, token)
        )


class ServerTests(SynchronousTestCase):
    """
    The server's half by itself.
    """

    def setUp(self) -> None:
        """
        Have a server that waits for the first token.
        """
        self.context = FakeContext(initiates=False)
        self.server = GSSAPIServer(self.context, Level.INTEGRITY, False)
        self.buffer = Buffer(200000)

    def feed(self, data: bytes) -> list[Event]:
        """
        Give the server octets.
        """
        self.buffer.feed(data)
        return list(self.server.receive(self.buffer))

    def checkFailure(self, data: bytes, error: type[SOCKSProxyError]) -> None:
        """
        Require that octets are answered with an abort.
        """
        *others, last, failed = self.feed(data)
        self.assertEqual((others, last), ([], Send(ABORT)))
        assert isinstance(failed, Failed)
        self.assertIsInstance(failed.error, error)

    def test_computes(self) -> None:
        """
        A token is left to somebody else to look at, and what comes of it is
        sent afterwards.
        """
        self.assertEqual(self.feed(b""), [])
        (blocking,) = self.feed(authentication(b"ticket"))
        self.assertEqual(self.context.stepped, [])
        assert isinstance(blocking, Blocking)
        blocking.call()
        self.assertEqual(self.context.stepped, [b"ticket"])
        self.assertEqual(self.feed(b""), [Send(authentication(b"mutual"))])
        self.assertEqual(self.feed(b""), [])

    def test_noEmptyToken(self) -> None:
        """
        When there is nothing to send, nothing is sent.
        """
        self.context.script = (b"ticket",)
        computed(self.feed(authentication(b"ticket")))
        self.assertEqual(self.feed(b""), [])

    def test_pipelined(self) -> None:
        """
        A client that needs no answer to its token may send its level with it.
        """
        self.context.script = (b"ticket",)
        peer = FakeContext()
        data = framed(MessageType.PROTECTION_LEVEL, peer.wrap(b"\1", False))
        computed(self.feed(authentication(b"ticket") + data))
        (credentials,) = self.feed(b"")
        self.assertIsInstance(credentials, CredentialsReceived)

    def test_badFrames(self) -> None:
        """
        What is no frame, or another than it should be, is answered with an
        abort at once.
        """
        for data, error in (
            (b"\5", BadVersion),
            (b"\1\0", MalformedMessage),
            (b"\1\1\0\0", MalformedMessage),
            (framed(MessageType.PROTECTION_LEVEL, b"x"), MalformedMessage),
            (framed(MessageType.DATA, b"x"), MalformedMessage),
            (ABORT, AuthenticationFailed),
        ):
            self.setUp()
            self.checkFailure(data, error)

    def test_tokenAfterTheEnd(self) -> None:
        """
        A token of the context is an error once that is established.
        """
        computed(self.feed(authentication(b"ticket")))
        self.feed(b"")
        self.checkFailure(authentication(b"more"), MalformedMessage)

    def test_tooManyRounds(self) -> None:
        """
        An exchange that does not come to its end is given up.
        """
        self.context.script = tuple(b"%d" % number for number in range(100))
        for number in range(MAX_ROUNDS):
            computed(self.feed(authentication(b"%d" % (number * 2))))
            self.assertEqual(self.feed(b""), [Send(authentication(b"%d" % (number * 2 + 1)))])
        self.checkFailure(authentication(b"%d" % (MAX_ROUNDS * 2)), MessageTooLong)

    def test_tooManyOctets(self) -> None:
        """
        So is one of too many octets.
        """
        long = bytes(65535)
        self.context.script = (long, b"go on") * 5
        for _ in range(MAX_OCTETS // len(long)):
            computed(self.feed(authentication(long)))
            self.feed(b"")
        self.checkFailure(authentication(long), MessageTooLong)

    def test_unforeseen(self) -> None:
        """
        Whatever goes wrong in the computation, it raises nothing where it runs
        and is told where it is waited for.
        """

        def fail(token: bytes) -> bytes:
            raise KeyError("oops")

        self.patch(self.context, "step", fail)
        computed(self.feed(authentication(b"ticket")))
        self.checkFailure(b"", AuthenticationFailed)

    def test_levelTampered(self) -> None:
        """
        A level that has been changed on the way is an error.
        """
        exchange = Exchange()
        token = bytearray(FakeContext().wrap(b"\2", False))
        token[16] = 1
        events = exchange.feed(framed(MessageType.PROTECTION_LEVEL, bytes(token)))
        self.assertEqual(exchange.failure(events, MalformedMessage), ABORT)

    def test_levelOutOfOrder(self) -> None:
        """
        So is one that the context finds out of order, and one that it cannot
        answer.
        """
        for flag in ("outOfOrder", "broken"):
            context = FakeContext(initiates=False)
            exchange = Exchange(context=context)
            setattr(context, flag, True)
            self.assertEqual(exchange.failure(exchange.ask(b"\1"), LocalProtocolError), ABORT)

    def test_levelTooLong(self) -> None:
        """
        Not much is taken as a level before it is known to be in order.
        """
        exchange = Exchange()
        events = exchange.ask(bytes(MAX_LEVEL_TOKEN))
        self.assertEqual(exchange.failure(events, MessageTooLong), ABORT)

    def test_rejection(self) -> None:
        """
        A principal who may not use the proxy is told so with an abort.
        """
        self.assertEqual(self.server.authenticationFailed(), ABORT)

    @given(data=st.binary(max_size=100), cut=st.integers(0, 100))
    @settings(deadline=None)
    def test_arbitraryOctets(self, data: bytes, cut: int) -> None:
        """
        Whatever comes, nothing is raised.
        """
        self.setUp()
        for piece in (data[:cut], data[cut:]):
            events = self.feed(piece)
            if events and isinstance(events[-1], Failed | Blocking):
                return


class ClientTests(SynchronousTestCase):
    """
    The client's half by itself.
    """

    def setUp(self) -> None:
        """
        Have a client that has said nothing.
        """
        self.context = FakeContext()
        self.client = GSSAPIClient(self.context, Level.INTEGRITY, Level.INTEGRITY)
        self.buffer = Buffer(1000)

    def feed(self, data: bytes) -> list[Event]:
        """
        Give the client octets.
        """
        self.buffer.feed(data)
        return list(self.client.receive(self.buffer) or ())

    def test_computes(self) -> None:
        """
        Even the first token has to be computed, since a KDC is asked for it.
        """
        self.assertEqual(self.client.start(), b"")
        (blocking,) = self.feed(b"")
        self.assertEqual(self.context.stepped, [])
        computed([blocking])
        self.assertEqual(self.feed(b""), [Send(authentication(b"ticket"))])
        self.assertEqual(self.feed(b""), [])
        computed(self.feed(authentication(b"mutual")))
        (asked,) = self.feed(b"")
        assert isinstance(asked, Send)
        self.assertEqual(asked.data[:2].hex(), "0102")

    def test_askedAtOnce(self) -> None:
        """
        Where the server has nothing to say the level is asked for with the
        token.
        """
        self.context.script = (b"ticket",)
        computed(self.feed(b""))
        token, level = self.feed(b"")
        self.assertEqual(token, Send(authentication(b"ticket")))
        assert isinstance(level, Send)
        self.assertEqual(level.data[:2].hex(), "0102")

    def test_noTicket(self) -> None:
        """
        A client without a ticket says nothing.
        """

        def fail(token: bytes) -> bytes:
            raise AuthenticationFailed("no ticket")

        self.patch(self.context, "step", fail)
        computed(self.feed(b""))
        (failed,) = self.feed(b"")
        assert isinstance(failed, Failed)
        self.assertEqual(str(failed.error), "no ticket")

    def test_badFrames(self) -> None:
        """
        What is no frame, or another than it should be, is an error.
        """
        for data, error in (
            (b"\5", BadVersion),
            (b"\1\0", MalformedMessage),
            (framed(MessageType.PROTECTION_LEVEL, b"x"), MalformedMessage),
            (framed(MessageType.DATA, b"x"), MalformedMessage),
            (ABORT, AuthenticationFailed),
        ):
            self.setUp()
            computed(self.feed(b""))
            self.feed(b"")
            self.assertIsInstance(failureOf(self.feed(data)), error)

    def test_tooManyRounds(self) -> None:
        """
        A server whose tokens do not come to an end is given up.
        """
        self.context.script = tuple(b"%d" % number for number in range(100))
        computed(self.feed(b""))
        self.feed(b"")
        for number in range(MAX_ROUNDS - 1):
            computed(self.feed(authentication(b"%d" % (number * 2 + 1))))
            self.feed(b"")
        events = self.feed(authentication(b"%d" % (MAX_ROUNDS * 2 - 1)))
        self.assertIsInstance(failureOf(events), MessageTooLong)

    def test_answeredTooSoon(self) -> None:
        """
        A server may know the answer before it is asked; the question is put
        all the same.
        """
        client = GSSAPIClient(self.context, Level.NONE, Level.NONE)
        computed(client.receive(self.buffer))
        client.receive(self.buffer)
        answer = framed(MessageType.PROTECTION_LEVEL, FakeContext().wrap(b"\0", False))
        self.buffer.feed(authentication(b"mutual") + answer)
        computed(client.receive(self.buffer))
        events = client.receive(self.buffer)
        assert events is not None
        (asked,) = events
        assert isinstance(asked, Send)
        self.assertEqual(asked.data[:2].hex(), "0102")
        self.assertIsNone(client.receive(self.buffer))


def computed(events: Sequence[Event] | None) -> None:
    """
    Do the computation that is the only event.
    """
    (blocking,) = events or ()
    assert isinstance(blocking, Blocking)
    blocking.call()


def failureOf(events: Sequence[Event] | None) -> SOCKSProxyError | None:
    """
    Give the failure that is the last event.
    """
    last = (events or ())[-1]
    return last.error if isinstance(last, Failed) else None


class Exchange:
    """
    A server whose context is established, and its client.

    @ivar server: The server.
    """

    def __init__(
        self,
        minimum: Level = Level.INTEGRITY,
        nec: bool = False,
        context: FakeContext | None = None,
    ) -> None:
        self._peer = FakeContext()
        self._buffer = Buffer(200000)
        context = context or FakeContext(initiates=False)
        self.server = GSSAPIServer(context, minimum, nec)
        computed(self.feed(authentication(b"ticket")))
        self.feed(b"")

    def feed(self, data: bytes) -> list[Event]:
        """
        Give the server octets.
        """
        self._buffer.feed(data)
        return list(self.server.receive(self._buffer))

    def ask(self, message: bytes) -> list[Event]:
        """
        Ask for a level.
        """
        token = self._peer.wrap(message, False)
        return self.feed(framed(MessageType.PROTECTION_LEVEL, token))

    def askBare(self, level: int) -> list[Event]:
        """
        Ask for a level that nothing protects.
        """
        return self.feed(framed(MessageType.PROTECTION_LEVEL, bytes([level])))

    def answer(self) -> tuple[bytes, bool]:
        """
        Give what the server's answer says, and whether that is encrypted.
        """
        decoded = decodeFrame(self.server.authenticated())
        assert decoded is not None
        assert decoded[0].messageType is MessageType.PROTECTION_LEVEL
        return self._peer.unwrap(decoded[0].token)

    def chosen(self, events: list[Event]) -> Level:
        """
        Give the level that the server has chosen.
        """
        (credentials,) = events
        assert isinstance(credentials, CredentialsReceived)
        message, _ = self.answer()
        level = Level(message[0])
        assert (credentials.protection is None) == (level is Level.NONE)
        return level

    def failure(self, events: list[Event], error: type[SOCKSProxyError]) -> bytes:
        """
        Require a failure, and give what is sent before it.
        """
        *sent, failed = events
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, error), failed
        return b"".join(event.data for event in sent if isinstance(event, Send))


class Asked:
    """
    A client that has asked for a level.

    @ivar client: The client.
    @ivar buffer: What it reads from.
    @ivar peer: The server's context.
    """

    def __init__(self, level: Level, minimum: Level, context: FakeContext | None = None) -> None:
        context = replace(context or FakeContext(), script=(b"ticket",), stepped=[], _said=0)
        self.client = GSSAPIClient(context, level, minimum)
        self.buffer = Buffer(1000)
        self.peer = FakeContext()
        computed(self.client.receive(self.buffer))
        self.client.receive(self.buffer)

    def answered(self, message: bytes) -> list[Event]:
        """
        Answer with a level.
        """
        return self.feed(framed(MessageType.PROTECTION_LEVEL, self.peer.wrap(message, False)))

    def feed(self, data: bytes) -> list[Event]:
        """
        Give the client octets.
        """
        self.buffer.feed(data)
        return list(self.client.receive(self.buffer) or ())

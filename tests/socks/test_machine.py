"""
Tests for L{socksproxy.socks._machine}, and for what its four heirs must all
keep to.
"""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.errors import (
    GeneralFailure,
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
)
from socksproxy.socks import _negotiation4, _negotiation5, _wire4, _wire5
from socksproxy.socks._events import CredentialsReceived, Event, Failed, RequestReceived, Send
from socksproxy.socks._machine import EARLY_DATA_LIMIT, Machine, sending
from socksproxy.socks.methods import Method, NoAuthentication, UsernamePassword
from tests.codec import decodeCounted
from tests.socks.conversation import failureIn, sentBy
from tests.socks.ticket import TicketMethod

LONGEST = 256


class Echo(Machine):
    """
    A machine of three messages: it sends the first back, dislikes the second
    if that is C{bad}, and is done with the third.
    """

    def __init__(self) -> None:
        super().__init__(LONGEST, self._first)

    def _first(self) -> list[Event] | None:
        message = self._buffer.decode(decodeCounted)
        if message is None:
            return None
        self._step = self._second
        return [Send(message)]

    def _second(self) -> list[Event] | None:
        message = self._buffer.decode(decodeCounted)
        if message is None:
            return None
        if message == b"bad":
            raise MalformedMessage("bad")
        if message == b"worse":
            return self._fail(GeneralFailure(), b"sorry")
        self._step = self._third
        return []

    def _third(self) -> list[Event] | None:
        if self._buffer.decode(decodeCounted) is None:
            return None
        self._establish()
        return [Send(b"done")]


class MachineTests(SynchronousTestCase):
    """
    Steps take one message after another.
    """

    def test_steps(self) -> None:
        """
        Each step waits for its message, and the next goes on from there.
        """
        machine = Echo()
        self.assertEqual(machine.receive(b"\5hel"), [])
        # Nothing is kept back of a message that is still to be completed.
        self.assertEqual(machine.pending, 0)
        self.assertEqual(machine.receive(b"lo\1"), [Send(b"hello")])
        self.assertEqual(machine.receive(b"x"), [])
        self.assertEqual(machine.receive(b"\0"), [Send(b"done")])
        self.assertEqual(machine.pending, 0)

    def test_allAtOnce(self) -> None:
        """
        Messages that came together are taken together, and what follows them
        is data.
        """
        machine = Echo()
        self.assertEqual(machine.receive(b"\2hi\1x\0data"), [Send(b"hi"), Send(b"done")])
        self.assertEqual(machine.pending, 4)
        self.assertEqual(machine.receive(b" and more"), [])
        self.assertEqual(machine.takeEarlyData(), b"data and more")
        self.assertEqual(machine.takeEarlyData(), b"")
        self.assertEqual(machine.pending, 0)

    def test_noEarlyDataBeforeTheEnd(self) -> None:
        """
        Nothing is data before the negotiation is over.
        """
        machine = Echo()
        machine.receive(b"\2hi\1x")
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)

    def test_peerAtFault(self) -> None:
        """
        A step's error ends everything: what was to be done before it is still
        done, what came after it is forgotten, and nothing counts any more.
        """
        machine = Echo()
        events = machine.receive(b"\2hi\3bad and more")
        self.assertEqual(sentBy(events), b"hi")
        self.assertIsInstance(failureIn(events), MalformedMessage)
        self.assertEqual(machine.pending, 0)
        self.assertEqual(machine.receive(b"\2hi"), [])
        self.assertEqual(machine.pending, 0)
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)

    def test_lastWords(self) -> None:
        """
        A failure can have a message, which goes out before it.
        """
        events = Echo().receive(b"\0\5worse")
        self.assertEqual(sentBy(events), b"sorry")
        self.assertIsInstance(failureIn(events), GeneralFailure)

    def test_bound(self) -> None:
        """
        As much is kept as the longest message and early data may take, and an
        octet more is the peer's fault.
        """
        machine = Echo()
        machine.receive(b"\0\0\0")
        room = LONGEST + EARLY_DATA_LIMIT
        self.assertEqual(machine.receive(bytes(room)), [])
        self.assertEqual(machine.pending, room)
        self.assertIsInstance(failureIn(machine.receive(b"x")), MessageTooLong)
        self.assertEqual(machine.pending, 0)

    def test_tooMuchAfterTheEnd(self) -> None:
        """
        A peer that sends too much after the negotiation fails it after all:
        nothing is given as early data where some is missing.
        """
        machine = Echo()
        machine.receive(b"\0\0\0data")
        self.assertIsInstance(failureIn(machine.receive(bytes(200000))), MessageTooLong)
        self.assertRaises(LocalProtocolError, machine.takeEarlyData)

    def test_sending(self) -> None:
        """
        A message that is empty is not sent.
        """
        self.assertEqual(sending(b""), [])
        self.assertEqual(sending(b"x"), [Send(b"x")])


Make = Callable[[], Machine]

DESTINATION = Destination("web.test", 80)
METHODS: list[Method] = [
    TicketMethod(b"ticket", b"show"),
    UsernamePassword(b"alice", b"s3cret"),
    NoAuthentication(),
]

MACHINES: dict[str, tuple[Make, int]] = {
    "server4": (_negotiation4.ServerNegotiation, _wire4.MAX_REQUEST),
    "client4": (
        lambda: _negotiation4.ClientNegotiation(DESTINATION),
        _wire4.REPLY_LENGTH,
    ),
    "server5": (lambda: _negotiation5.ServerNegotiation(METHODS), _wire5.MAX_AUTH_REQUEST),
    "client5": (
        lambda: _negotiation5.ClientNegotiation(DESTINATION, METHODS),
        _wire5.MAX_REQUEST,
    ),
}

BEGINNINGS = [
    bytes.fromhex(text)
    for text in (
        "",
        "050100",
        "050102",
        "050181",
        "05010005010003",
        "05010005010001c00002010050",
        "0501020101610162",
        "0501020101610162050100",
        "04010050",
        "04010050c000020100",
        "0401005000000001",
        "0500",
        "0502",
        "050205000501",
        "050005000001c00002010050",
        "058104" + b"show".hex(),
        "005a0050c0000201",
        "045b",
    )
]

chunks = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda octet, count: octet * count, st.binary(min_size=1, max_size=3), st.just(30000)
    ),
)
verdicts = st.sampled_from(["accept", "reject", "none"])


class BoundTests(SynchronousTestCase):
    """
    Nothing that a peer sends breaks a machine or makes it grow.
    """

    def check(self, name: str, received: list[bytes], verdict: str) -> None:
        """
        Require that a machine raises nothing, keeps within its bound, and is
        silent once it has failed.
        """
        make, longest = MACHINES[name]
        machine = make()
        failed = False
        for data in received:
            events = machine.receive(data)
            self.assertFalse(failed and events)
            while events and isinstance(events[-1], CredentialsReceived) and verdict != "none":
                assert isinstance(machine, _negotiation5.ServerNegotiation)
                accept = verdict == "accept"
                events = machine.authenticated() if accept else machine.authenticationFailed()
            self.assertFalse(any(isinstance(event, Failed) for event in events[:-1]))
            failed = failed or failureIn(events) is not None
            self.assertLessEqual(machine.pending, longest + EARLY_DATA_LIMIT)
        if failed:
            self.assertEqual(machine.pending, 0)
            self.assertRaises(LocalProtocolError, machine.takeEarlyData)

    @given(
        name=st.sampled_from(sorted(MACHINES)),
        beginning=st.sampled_from(BEGINNINGS),
        received=st.lists(chunks, max_size=8),
        verdict=verdicts,
    )
    @settings(deadline=None, max_examples=300)
    def test_arbitraryChunks(
        self, name: str, beginning: bytes, received: list[bytes], verdict: str
    ) -> None:
        """
        Arbitrary chunks, after a sensible beginning or none, raise nothing and
        are kept only up to the bound.
        """
        self.check(name, [beginning, *received], verdict)

    def test_failureInSubNegotiation(self) -> None:
        """
        What came after a failure inside a method's own messages is forgotten
        like after any other.
        """
        machine = _negotiation5.ServerNegotiation(METHODS)
        machine.receive(bytes.fromhex("050102"))
        self.assertIsNotNone(failureIn(machine.receive(b"\x05" + bytes(70000))))
        self.assertEqual(machine.pending, 0)

    def test_failureWhileCredentialsAreChecked(self) -> None:
        """
        When too much has come while credentials were being checked, the
        machine has failed, and the verdict makes no difference any more.
        """
        for verdict in ("authenticated", "authenticationFailed"):
            machine = _negotiation5.ServerNegotiation(METHODS)
            machine.receive(bytes.fromhex("0501020101610162"))
            events = machine.receive(bytes(200000))
            self.assertIsInstance(failureIn(events), MessageTooLong)
            try:
                events = getattr(machine, verdict)()
            except LocalProtocolError:
                events = []
            self.assertEqual(events, [])

    def test_established(self) -> None:
        """
        A server that has its request keeps what comes for the target, as it
        came.
        """
        machine = _negotiation4.ServerNegotiation()
        (request,) = machine.receive(bytes.fromhex("04010050c000020100"))
        self.assertIsInstance(request, RequestReceived)
        for number in range(200):
            self.assertEqual(machine.receive(bytes([number])), [])
        self.assertEqual(machine.takeEarlyData(), bytes(range(200)))

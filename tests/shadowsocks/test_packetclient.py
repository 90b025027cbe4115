"""
Tests for L{socksproxy.shadowsocks._packetclient}.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.errors import LocalProtocolError
from socksproxy.shadowsocks._envelope import Writer, writerFor
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._packet import MAX_DATAGRAM, DatagramFault
from socksproxy.shadowsocks._packet2022 import encodeResponse
from socksproxy.shadowsocks._packetclient import ClientPackets, clientPackets
from socksproxy.shadowsocks._replay import LIFETIME, SaltMemory
from socksproxy.shadowsocks._window import SIZE
from tests.shadowsocks.packets import (
    AES,
    CLASSIC,
    HERE,
    NEW,
    SOURCE,
    TARGET,
    Ends,
    damaged,
    octetsOf,
    packetAccountOf,
    refused,
    sourceOf,
)
from tests.shadowsocks.streams import NOW, cases, fresh, nameOf, scripted, targetOf
from tests.vectors import Vector

ALL = [*CLASSIC, *NEW]
SESSION = b"client's"


def clientOf(
    account: Account, random: Callable[[int], bytes], clock: Callable[[], float] = lambda: NOW
) -> ClientPackets:
    """
    Make a client.
    """
    return clientPackets(account, SaltMemory(b"client"), clock, clock, random=random)


WRITTEN = [
    *cases("udp_request_aead"),
    *(
        vector
        for vector in cases("udp_request_2022")
        if vector["packet_id"] == 0 and not vector["padding"]
    ),
]


@pytest.mark.parametrize("vector", WRITTEN, ids=nameOf)
def test_requests(vector: Vector) -> None:
    """
    The vectors of first requests are written octet by octet.
    """
    drawn = [octetsOf(vector, name) for name in ("salt", "session_id", "nonce24") if name in vector]
    client = clientOf(packetAccountOf(vector), scripted(*drawn))
    written = client.seal(targetOf(vector), octetsOf(vector, "payload"))
    assert written.hex() == vector["packet"]


@pytest.mark.parametrize(
    "vector", [*cases("udp_response"), *cases("captured_udp_response")], ids=nameOf
)
def test_responses(vector: Vector) -> None:
    """
    The vectors of answers are taken, and none of them twice.
    """
    asked = octetsOf(vector, "client_session_id") if "client_session_id" in vector else b""
    client = clientOf(packetAccountOf(vector), scripted(asked))
    packet = octetsOf(vector)
    assert client.open(packet) == (sourceOf(vector), octetsOf(vector, "payload"))
    with pytest.raises(DatagramFault) as caught:
        client.open(packet)
    assert caught.value.refused.reason == Reason.REPLAY


class TestEveryMethod(SynchronousTestCase):
    """
    What clients of all methods do.
    """

    def answered(self, method: str) -> tuple[ClientPackets, bytes]:
        """
        Make a client, and an answer to it.
        """
        ends = Ends(method)
        client = ends.client()
        return client, ends.server.open(client.seal(TARGET, b"x"), HERE).session.seal(SOURCE, b"y")

    def test_damaged(self) -> None:
        """
        An answer of which something is missing or changed is refused, changes
        nothing, and opens afterwards if it comes whole.
        """
        for method in ALL:
            client, whole = self.answered(method)
            for datagram in damaged(whole):
                with self.assertRaises(DatagramFault) as caught:
                    client.open(datagram)
                reason = caught.exception.refused.reason
                self.assertIn(reason, (Reason.SHORT, Reason.SEAL))
            self.assertEqual(client.open(whole), (SOURCE, b"y"))

    def test_reflected(self) -> None:
        """
        A request that is sent back is no answer.
        """
        for method in ALL:
            client, _ = self.answered(method)
            reason = Reason.REPLAY if method in CLASSIC else Reason.HEADER
            with refused(self, reason):
                client.open(client.seal(TARGET, b"x"))

    def test_longest(self) -> None:
        """
        What a datagram cannot carry is refused.
        """
        for method in ALL:
            client = clientOf(fresh(method), os.urandom)
            with self.assertRaises(LocalProtocolError):
                client.seal(TARGET, bytes(MAX_DATAGRAM))

    def test_dns(self) -> None:
        """
        Questions of DNS are padded with the methods that can, and nothing else
        is.
        """
        dns = Destination(SOURCE.host, 53)
        for method in ALL:
            client = clientOf(fresh(method), os.urandom)
            for destination, padded in ((SOURCE, False), (dns, method in NEW)):
                lengths = {len(client.seal(destination, b"x")) for _ in range(30)}
                self.assertEqual(len(lengths) > 5, padded)

    def test_shortest(self) -> None:
        """
        What has nothing sealed in it is not tried.
        """
        for method in CLASSIC:
            account = fresh(method)
            client = clientOf(account, os.urandom)
            length = account.method.saltLength + 16
            with refused(self, Reason.SHORT):
                client.open(bytes(length))
            with refused(self, Reason.SEAL):
                client.open(bytes(length + 1))

    def test_salts(self) -> None:
        """
        With a classic method the salts of other ports count, and what does not
        open is not remembered.
        """
        for method in CLASSIC:
            replay = SaltMemory(b"k")
            account = fresh(method)
            one, other = (
                clientPackets(account, replay, lambda: NOW, lambda: NOW) for _ in range(2)
            )
            with refused(self, Reason.SEAL):
                one.open(bytes(100))
            self.assertEqual(len(replay), 0)
            with refused(self, Reason.REPLAY):
                other.open(one.seal(TARGET, b"x"))


class TestSessions(SynchronousTestCase):
    """
    The sessions of servers, as clients of 2022 see them.
    """

    def setUp(self) -> None:
        """
        Begin at the time of the vectors.
        """
        self.clock = Clock()
        self.clock.advance(NOW)

    def client(self, method: str) -> ClientPackets:
        """
        Make a client whose session has a name that is known.
        """
        first = [SESSION]
        return clientOf(
            fresh(method),
            lambda count: first.pop() if first else os.urandom(count),
            self.clock.seconds,
        )

    def server(self, method: str) -> Writer:
        """
        Make what seals a server's answers, of a new session.
        """
        account = fresh(method)
        return writerFor(account.method, account.keys, os.urandom)

    def answer(self, server: Writer, age: int = 0, session: bytes = SESSION) -> bytes:
        """
        Make a server's next answer.
        """
        now = int(self.clock.seconds()) - age
        return server.seal(encodeResponse(now, session, SOURCE, b"", b"y"))

    def test_order(self) -> None:
        """
        Answers may come in any order, each once, and begin with any number.
        """
        for method in NEW:
            client, server = self.client(method), self.server(method)
            answers = [self.answer(server) for _ in range(5)]
            for at in (1, 4, 0, 3):
                self.assertEqual(client.open(answers[at]), (SOURCE, b"y"))
            for at in (1, 4, 0, 3):
                with refused(self, Reason.REPLAY):
                    client.open(answers[at])
            client.open(answers[2])

    def test_tooOld(self) -> None:
        """
        An answer that is behind the window is refused.
        """
        client, server = self.client(AES[0]), self.server(AES[0])
        answers = [self.answer(server) for _ in range(SIZE + 2)]
        client.open(answers[-1])
        with refused(self, Reason.REPLAY):
            client.open(answers[0])

    def test_somebodyElses(self) -> None:
        """
        An answer to another session is refused, and so is one whose time is not
        now; neither begins a session of the server's.
        """
        for method in NEW:
            client = self.client(method)
            for _ in range(3):
                with refused(self, Reason.SALT):
                    client.open(self.answer(self.server(method), session=b"Client's"))
                for age in (31, -31):
                    with refused(self, Reason.CLOCK):
                        client.open(self.answer(self.server(method), age))
            for server in (self.server(method), self.server(method)):
                client.open(self.answer(server))

    def test_refusedTakesNoNumber(self) -> None:
        """
        An answer that opens and is refused takes no number.
        """
        for method in NEW:
            client = self.client(method)
            one, other = (
                writerFor(fresh(method).method, fresh(method).keys, lambda count: bytes(count))
                for _ in range(2)
            )
            client.open(self.answer(one))
            self.answer(other)
            with refused(self, Reason.CLOCK):
                client.open(self.answer(one, 31))
            client.open(self.answer(other))

    def test_restart(self) -> None:
        """
        A server that starts anew is heard, and what it had sent before may come
        yet, in each case once.
        """
        for method in NEW:
            client, before, after = self.client(method), self.server(method), self.server(method)
            late = self.answer(before)
            client.open(self.answer(before))
            new = [self.answer(after) for _ in range(2)]
            for answer in (new[1], late, new[0]):
                client.open(answer)
            for answer in (*new, late):
                with refused(self, Reason.REPLAY):
                    client.open(answer)

    def test_third(self) -> None:
        """
        A third session of a server's is heard only once the one before the last
        has been silent for so long that its recordings are out of time.
        """
        for method in NEW:
            client = self.client(method)
            first, second, third = (self.server(method) for _ in range(3))
            client.open(self.answer(first))
            self.clock.advance(10)
            client.open(self.answer(second))
            self.clock.advance(10)
            recorded = self.answer(first, age=-30)
            client.open(recorded)
            for _ in range(61):
                with refused(self, Reason.REPLAY):
                    client.open(self.answer(third))
                with refused(self, Reason.REPLAY):
                    client.open(recorded)
                client.open(self.answer(second))
                self.clock.advance(1)
            self.clock.advance(LIFETIME - 61)
            client.open(self.answer(third))
            with refused(self, Reason.REPLAY):
                # The last but one is now the second.
                client.open(self.answer(first))
            client.open(self.answer(second))

    def test_late(self) -> None:
        """
        What comes late of a session before does not make it the last one again.
        """
        for method in NEW:
            client = self.client(method)
            first, second, third = (self.server(method) for _ in range(3))
            client.open(self.answer(first))
            client.open(self.answer(second))
            self.clock.advance(20)
            client.open(self.answer(first))
            self.clock.advance(LIFETIME - 20)
            with refused(self, Reason.REPLAY):
                client.open(self.answer(third))

    def test_answersAfterRenewal(self) -> None:
        """
        Once our own numbers have come to an end, answers are to the new session.
        """
        for method in NEW:
            ends = Ends(method)
            client = ends.client()
            ends.server.open(client.seal(TARGET, b"x"), HERE)
            client._writer._number = (1 << 64) - 1  # type: ignore[attr-defined]
            session = ends.server.open(client.seal(TARGET, b"x"), HERE).session
            self.assertEqual(client.open(session.seal(SOURCE, b"y")), (SOURCE, b"y"))


CLIENTS = [clientOf(fresh(method), os.urandom) for method in ALL]


@given(st.sampled_from(CLIENTS), st.binary(max_size=300))
def test_noise(client: ClientPackets, datagram: bytes) -> None:
    """
    Whatever comes from somebody without a key, it is refused.
    """
    with pytest.raises(DatagramFault) as caught:
        client.open(datagram)
    assert caught.value.refused.reason in (Reason.SHORT, Reason.SEAL)

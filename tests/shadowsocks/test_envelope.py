"""
Tests for L{socksproxy.shadowsocks._envelope}.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.shadowsocks._envelope import LAST_NUMBER, readerFor, writerFor
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account, keyHash
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packet import MAX_DATAGRAM, DatagramFault
from socksproxy.shadowsocks._packet2022 import (
    decodeRequest,
    decodeResponse,
    encodeRequest,
    encodeResponse,
)
from tests.shadowsocks.packets import (
    AES,
    NEW,
    damaged,
    octetsOf,
    packetAccountOf,
    refused,
    sourceOf,
    usersOf,
    writerAt,
)
from tests.shadowsocks.streams import cases, fresh, methodOf, nameOf, targetOf
from tests.vectors import Vector

SESSION = b"session!"


def new(section: str) -> list[Vector]:
    """
    Give the cases of the methods of 2022.
    """
    return [vector for vector in cases(section) if methodOf(vector).edition2022]


def noncesOf(vector: Vector) -> list[bytes]:
    """
    Give the nonce of a vector, if it has one.
    """
    return [octetsOf(vector, "nonce24")] if "nonce24" in vector else []


def openedOf(
    account: Account, datagram: bytes, key: bytes, users: bool = False
) -> tuple[bytes, int, bytes, bytes]:
    """
    Open a datagram.

    @return: Its session and number, what the identity header says, and what was
        sealed.
    """
    reader = readerFor(account.method, key, users)
    envelope = reader.read(datagram)
    cipher = reader.cipher(account.userKey, envelope.session)
    return envelope.session, envelope.number, envelope.user, reader.open(envelope, cipher)


@pytest.mark.parametrize("vector", new("udp_request_2022"), ids=nameOf)
def test_requests(vector: Vector) -> None:
    """
    The vectors of requests are written octet by octet, whatever keys there are
    on the way.
    """
    account = packetAccountOf(vector)
    plain = encodeRequest(
        vector["timestamp"],
        targetOf(vector),
        octetsOf(vector, "padding"),
        octetsOf(vector, "payload"),
    )
    session, number = octetsOf(vector, "session_id"), vector["packet_id"]
    written = writerAt(account, session, number, *noncesOf(vector)).seal(plain)
    assert written.hex() == vector["packet"]
    if len(account.keys) > 2:
        return
    name = keyHash(account.userKey) if len(account.keys) == 2 else b""
    opened = openedOf(account, written, account.keys[0], len(account.keys) == 2)
    assert opened == (session, number, name, plain)


@pytest.mark.parametrize("vector", new("udp_response"), ids=nameOf)
def test_responses(vector: Vector) -> None:
    """
    The vectors of answers are written and read octet by octet.
    """
    account = packetAccountOf(vector)
    asked = octetsOf(vector, "client_session_id")
    payload = octetsOf(vector, "payload")
    plain = encodeResponse(
        vector["timestamp"], asked, sourceOf(vector), octetsOf(vector, "padding"), payload
    )
    session, number = octetsOf(vector, "server_session_id"), vector["server_packet_id"]
    written = writerAt(account, session, number, *noncesOf(vector)).seal(plain)
    assert written.hex() == vector["packet"]
    assert openedOf(account, written, account.userKey) == (session, number, b"", plain)


@pytest.mark.parametrize("vector", new("captured_udp_request"), ids=nameOf)
def test_capturedRequests(vector: Vector) -> None:
    """
    What another program has sent to servers opens.
    """
    account = packetAccountOf(vector)
    users = len(account.keys) == 2
    session, number, name, plain = openedOf(account, octetsOf(vector), account.keys[0], users)
    assert (session.hex(), number) == (vector["session_id"], vector["packet_id"])
    assert name == (keyHash(account.userKey) if users else b"")
    expected = (targetOf(vector), octetsOf(vector, "payload"))
    assert decodeRequest(plain, vector["timestamp"]) == expected


@pytest.mark.parametrize("vector", new("captured_udp_response"), ids=nameOf)
def test_capturedResponses(vector: Vector) -> None:
    """
    What another program has answered opens, with the user's key alone.
    """
    account = packetAccountOf(vector)
    session, number, _, plain = openedOf(account, octetsOf(vector), account.userKey)
    assert (session.hex(), number) == (vector["server_session_id"], vector["server_packet_id"])
    expected = (sourceOf(vector), octetsOf(vector, "payload"))
    asked = octetsOf(vector, "client_session_id")
    assert decodeResponse(plain, vector["timestamp"], asked) == expected


class TestWriter(SynchronousTestCase):
    """
    Tests for L{Writer}.
    """

    def opened(self, method: str, datagram: bytes) -> tuple[bytes, int, bytes, bytes]:
        """
        Open a datagram of the method's account.
        """
        account = fresh(method)
        return openedOf(account, datagram, account.userKey)

    def test_numbers(self) -> None:
        """
        Datagrams are numbered from 0 in one session, which is drawn at random.
        """
        for method in NEW:
            account = fresh(method)
            writer = writerFor(account.method, account.keys, os.urandom)
            opened = [self.opened(method, writer.seal(b"x")) for _ in range(5)]
            self.assertEqual({session for session, *_ in opened}, {writer.session})
            self.assertEqual([number for _, number, *_ in opened], [0, 1, 2, 3, 4])
            other = writerFor(account.method, account.keys, os.urandom)
            self.assertNotEqual(writer.session, other.session)

    def test_lastNumber(self) -> None:
        """
        A number never comes again: before they end, a new session begins, with
        a key of its own.
        """
        for method in NEW:
            account = fresh(method)
            writer = writerFor(account.method, account.keys, os.urandom)
            first = writer.session
            writer._number = LAST_NUMBER - 1
            session, number, _, _ = self.opened(method, writer.seal(b"x"))
            self.assertEqual((session, number), (first, LAST_NUMBER - 1))
            session, number, _, plain = self.opened(method, writer.seal(b"y"))
            self.assertNotEqual(session, first)
            self.assertEqual((session, number, plain), (writer.session, 0, b"y"))

    def test_longest(self) -> None:
        """
        What a datagram cannot carry is refused, and its number is not used again.
        """
        for method in NEW:
            account = fresh(method)
            writer = writerFor(account.method, account.keys, os.urandom)
            room = MAX_DATAGRAM - len(writer.seal(b""))
            self.assertEqual(len(writer.seal(bytes(room))), MAX_DATAGRAM)
            with self.assertRaises(LocalProtocolError):
                writer.seal(bytes(room + 1))
            self.assertEqual(self.opened(method, writer.seal(b"x"))[1], 3)

    def test_nonces(self) -> None:
        """
        With ChaCha20 each datagram has a nonce of its own, of random octets.
        """
        drawn: list[int] = []

        def random(count: int) -> bytes:
            drawn.append(count)
            return bytes([len(drawn)] * count)

        account = fresh("2022-blake3-chacha20-poly1305")
        writer = writerFor(account.method, account.keys, random)
        sealed = [writer.seal(b"x")[:24] for _ in range(3)]
        self.assertEqual(sealed, [bytes([number] * 24) for number in (2, 3, 4)])
        self.assertEqual(drawn, [8, 24, 24, 24])


class TestReader(SynchronousTestCase):
    """
    Tests for L{Reader}.
    """

    def test_damaged(self) -> None:
        """
        A datagram of which something is missing or changed does not open.
        """
        for method in NEW:
            account = fresh(method)
            whole = writerFor(account.method, account.keys, os.urandom).seal(b"payload")
            for datagram in damaged(whole):
                with self.assertRaises(DatagramFault) as caught:
                    openedOf(account, datagram, account.userKey)
                reason = caught.exception.refused.reason
                self.assertIn(reason, (Reason.SHORT, Reason.SEAL))

    def test_short(self) -> None:
        """
        What has nothing sealed in it is not worth a look.
        """
        for method, users, length in (
            (AES[0], False, 32),
            (AES[1], True, 48),
            ("2022-blake3-chacha20-poly1305", False, 56),
        ):
            account = fresh(method)
            reader = readerFor(account.method, account.userKey, users)
            with refused(self, Reason.SHORT):
                reader.read(bytes(length))
            with self.assertRaises(DatagramFault) as caught:
                openedOf(account, bytes(length + 1), account.userKey, users)
            self.assertEqual(caught.exception.refused.reason, Reason.SEAL)

    def test_names(self) -> None:
        """
        An identity header has the name of the user's key, hidden with the
        separate header: of one user no two are the same.
        """
        for method in AES:
            account = usersOf(method)[1]
            writer = writerFor(account.method, account.keys, os.urandom)
            datagrams = [writer.seal(b"x") for _ in range(3)]
            self.assertEqual(len({datagram[16:32] for datagram in datagrams}), 3)
            reader = readerFor(account.method, account.keys[0], True)
            for datagram in datagrams:
                self.assertEqual(reader.read(datagram).user, keyHash(account.userKey))

    def test_sessionKeys(self) -> None:
        """
        With AES each session has a key of its own.
        """
        reader = readerFor(METHODS[AES[0]], bytes(16))
        sealed = reader.cipher(bytes(16), SESSION).encrypt(bytes(12), b"x", None)
        other = reader.cipher(bytes(16), b"Session!").encrypt(bytes(12), b"x", None)
        self.assertNotEqual(sealed, other)


@given(st.sampled_from(NEW), st.booleans(), st.binary(max_size=120))
def test_anything(method: str, users: bool, datagram: bytes) -> None:
    """
    Whatever comes, nothing else than a fault of the peer's is raised.
    """
    account: Any = fresh(method)
    with pytest.raises(DatagramFault):
        openedOf(account, datagram, account.userKey, users)

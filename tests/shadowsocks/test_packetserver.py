"""
Tests for L{socksproxy.shadowsocks._packetserver}.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.errors import LocalProtocolError
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import blockCipher
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packet import MAX_DATAGRAM, DatagramFault, Session, sealPacket
from socksproxy.shadowsocks._packetserver import ClassicServerPackets, serverPackets
from socksproxy.shadowsocks._packetsessions import ServerPackets2022
from socksproxy.shadowsocks._replay import SaltMemory
from socksproxy.shadowsocks._users import Accounts
from tests.shadowsocks.packets import (
    AES,
    CLASSIC,
    HERE,
    NEW,
    SOURCE,
    TARGET,
    THERE,
    Ends,
    damaged,
    octetsOf,
    packetAccountOf,
    packetAccountsOf,
    refused,
    usersOf,
)
from tests.shadowsocks.streams import NOW, byID, cases, clientOf, fresh, nameOf, targetOf
from tests.vectors import Vector

ALL = [*CLASSIC, *NEW]


def serverOf(vector: Vector, now: float = NOW) -> Any:
    """
    Make the server of a vector.
    """
    return serverPackets(packetAccountsOf(vector), SaltMemory(b"k"), lambda: now, lambda: 0.0)


def relayed(vector: Vector) -> bytes:
    """
    Do what the relays of a vector do to its datagram: each reads the separate
    header with its own key, writes it with the next, and takes one identity
    header away.
    """
    packet, keys = octetsOf(vector), packetAccountOf(vector).keys
    for own, following in pairwise(keys[:-1]):
        header = blockCipher(own).decryptor().update(packet[:16])
        packet = blockCipher(following).encryptor().update(header) + packet[32:]
    return packet


REQUESTS = [
    *cases("udp_request_aead"),
    *cases("udp_request_2022"),
    *cases("captured_udp_request"),
]


@pytest.mark.parametrize("vector", REQUESTS, ids=nameOf)
def test_requests(vector: Vector) -> None:
    """
    The vectors of requests are taken, those of relays as they come from there,
    and none of them twice.
    """
    server, packet = serverOf(vector), relayed(vector)
    opened = server.open(packet, HERE)
    assert opened.destination == targetOf(vector)
    assert opened.payload == octetsOf(vector, "payload")
    assert opened.session.account.name == "alice"
    assert opened.session.client == HERE
    with pytest.raises(DatagramFault) as caught:
        server.open(packet, THERE)
    assert caught.value.refused.reason == Reason.REPLAY
    assert opened.session.client == HERE


@pytest.mark.parametrize("vector", cases("negative_udp_2022"), ids=nameOf)
def test_refused(vector: Vector) -> None:
    """
    What another program refuses is refused, and leaves no session.
    """
    reasons = {
        "timestamp": Reason.CLOCK,
        "type 1 from a client": Reason.HEADER,
        "duplicate packet id": Reason.REPLAY,
    }
    sent = byID("udp_request_2022", vector["replay_of"]) if "replay_of" in vector else vector
    server = serverOf(sent)
    if sent is not vector:
        server.open(octetsOf(sent), HERE)
    known = len(server)
    with pytest.raises(DatagramFault) as caught:
        server.open(octetsOf(sent), HERE)
    assert caught.value.refused.reason == reasons[vector["reason"]]
    assert len(server) == known


class TestEveryMethod(SynchronousTestCase):
    """
    What servers of all methods do.
    """

    def test_bothWays(self) -> None:
        """
        What a client sends is opened, and what is answered it opens.
        """
        for method in ALL:
            ends = Ends(method)
            client = ends.client()
            for payload in (b"question", b"", bytes(1400)):
                opened = ends.server.open(client.seal(TARGET, payload), HERE)
                self.assertEqual((opened.destination, opened.payload), (TARGET, payload))
                self.assertEqual(opened.session.account, ends.accounts[0])
                answer = opened.session.seal(SOURCE, payload)
                self.assertEqual(client.open(answer), (SOURCE, payload))

    def test_sameSession(self) -> None:
        """
        What one client sends from one address is one session, and what another
        sends is another.
        """
        for method in ALL:
            ends = Ends(method)
            one, other = ends.client(), ends.client()
            table: dict[Session, int] = {}
            for _ in range(3):
                for client, address in ((one, HERE), (other, THERE)):
                    session = ends.server.open(client.seal(TARGET, b"x"), address).session
                    table[session] = table.get(session, 0) + 1
            self.assertEqual(list(table.values()), [3, 3])
            self.assertEqual([session.client for session in table], [HERE, THERE])

    def test_users(self) -> None:
        """
        Whose a datagram is comes out, and the answer is for that user only.
        """
        for method in [*CLASSIC, *AES]:
            ends = Ends(usersOf(method))
            clients = [ends.client(number) for number in range(3)]
            for number in (2, 0, 1, 1):
                opened = ends.server.open(clients[number].seal(TARGET, b"x"), HERE)
                self.assertEqual(opened.session.account.name, f"user{number}")
                answer = opened.session.seal(SOURCE, b"y")
                for other in {0, 1, 2} - {number}:
                    with refused(self, Reason.SEAL):
                        clients[other].open(answer)
                self.assertEqual(clients[number].open(answer), (SOURCE, b"y"))

    def test_damaged(self) -> None:
        """
        A datagram of which something is missing or changed is refused, changes
        nothing, and opens afterwards if it comes whole.
        """
        for method in ALL:
            for accounts in ([fresh(method)], *([usersOf(method)] if method in AES else [])):
                ends = Ends(accounts)
                whole = ends.client().seal(TARGET, b"payload")
                for datagram in damaged(whole):
                    with self.assertRaises(DatagramFault) as caught:
                        ends.server.open(datagram, THERE)
                    reasons = (Reason.SHORT, Reason.SEAL, Reason.USER)
                    self.assertIn(caught.exception.refused.reason, reasons)
                if isinstance(ends.server, ServerPackets2022):
                    self.assertEqual(len(ends.server), 0)
                opened = ends.server.open(whole, HERE)
                self.assertEqual((opened.payload, opened.session.client), (b"payload", HERE))

    def test_longest(self) -> None:
        """
        An answer that a datagram cannot carry is refused, and the next is not.
        """
        for method in ALL:
            ends = Ends(method)
            client = ends.client()
            session = ends.server.open(client.seal(TARGET, b"x"), HERE).session
            with self.assertRaises(LocalProtocolError):
                session.seal(SOURCE, bytes(MAX_DATAGRAM))
            self.assertEqual(client.open(session.seal(SOURCE, b"y")), (SOURCE, b"y"))

    def test_afterTheEnd(self) -> None:
        """
        A session that has ended begins anew with another datagram, and ending
        it twice is nothing.
        """
        for method in ALL:
            ends = Ends(method)
            client = ends.client()
            session = ends.server.open(client.seal(TARGET, b"x"), HERE).session
            session.end()
            session.end()
            self.assertEqual(ends.server.open(client.seal(TARGET, b"y"), HERE).session, session)
            self.assertEqual(client.open(session.seal(SOURCE, b"z")), (SOURCE, b"z"))

    def test_dns(self) -> None:
        """
        Answers of DNS are padded, and others are not.
        """
        dns = Destination(SOURCE.host, 53)
        for method in NEW:
            ends = Ends(method)
            session = ends.server.open(ends.client().seal(TARGET, b"x"), HERE).session
            self.assertEqual(len({len(session.seal(SOURCE, b"y")) for _ in range(30)}), 1)
            self.assertGreater(len({len(session.seal(dns, b"y")) for _ in range(30)}), 5)


class TestClassic(SynchronousTestCase):
    """
    Servers of classic methods.
    """

    def test_replay(self) -> None:
        """
        A datagram that comes twice is refused, and so is one whose salt is
        known already, and an answer that is sent back.
        """
        for method in CLASSIC:
            ends = Ends(method)
            first = ends.client().seal(TARGET, b"x")
            answer = ends.server.open(first, HERE).session.seal(SOURCE, b"y")
            other = ends.client().seal(TARGET, b"z")
            ends.replay.add(other[: METHODS[method].saltLength])
            for datagram in (first, answer, other):
                with refused(self, Reason.REPLAY):
                    ends.server.open(datagram, HERE)

    def test_noStream(self) -> None:
        """
        The beginning of a stream is no datagram, so that the salts of streams
        need not be known.
        """
        for method in CLASSIC:
            account = fresh(method)
            length = account.method.saltLength
            stream = clientOf(account).start(b"x")
            for end, reason in ((length + 18, Reason.ADDRESS), (len(stream), Reason.SEAL)):
                with refused(self, reason):
                    Ends(method).server.open(stream[:end], HERE)

    def test_noise(self) -> None:
        """
        What does not open is not remembered.
        """
        ends = Ends("aes-128-gcm")
        for number in range(20):
            with refused(self, Reason.SEAL):
                ends.server.open(bytes([number]) * 100, HERE)
        self.assertIsInstance(ends.replay, SaltMemory)
        self.assertEqual(len(ends.replay), 0)  # type: ignore[arg-type]

    def test_badAddress(self) -> None:
        """
        What goes nowhere is refused.
        """
        ends = Ends("aes-128-gcm")
        datagram = sealPacket(ends.accounts[0], bytes(16), Destination("a.example", 0), b"x")
        with refused(self, Reason.ADDRESS):
            ends.server.open(datagram, HERE)

    def test_shortest(self) -> None:
        """
        What has nothing sealed in it is not tried.
        """
        for method in CLASSIC:
            length = METHODS[method].saltLength + 16
            with refused(self, Reason.SHORT):
                Ends(method).server.open(bytes(length), HERE)
            with refused(self, Reason.SEAL):
                Ends(method).server.open(bytes(length + 1), HERE)

    def test_lastUserFirst(self) -> None:
        """
        The key of who was last at an address is tried first.
        """
        users = usersOf("aes-128-gcm", 50)
        accounts = Accounts(users)
        server = serverPackets(accounts, SaltMemory(b"k"), lambda: 0.0, lambda: 0.0)
        for number, address in ((40, HERE), (7, THERE)):
            server.open(sealPacket(users[number], os.urandom(16), TARGET, b"x"), address)
        self.assertEqual(next(accounts.candidates(HERE)).name, "user40")
        self.assertEqual(next(accounts.candidates(THERE)).name, "user7")

    def test_tries(self) -> None:
        """
        Noise cannot have keys tried without end. Those who are known are heard
        all the same, and so are others after a while.
        """
        ends = Ends(usersOf("aes-128-gcm", 6))
        server = ClassicServerPackets(
            Accounts(ends.accounts), ends.replay, ends.clock.seconds, os.urandom, tries=10
        )
        server.open(ends.client(5).seal(TARGET, b"x"), HERE)
        for user in (4, 3):
            ends.clock.advance(1000)
            # Of six keys the first is tried always, and this one last.
            address = ("198.51.100.2", user)
            for number in range(2):
                with refused(self, Reason.SEAL):
                    server.open(bytes([number] * 100), address)
            stranger = ends.client(user).seal(TARGET, b"x")
            with refused(self, Reason.SEAL):
                server.open(stranger, address)
            for _ in range(20):
                server.open(ends.client(5).seal(TARGET, b"x"), HERE)
            ends.clock.advance(0.5)
            self.assertEqual(server.open(stranger, address).session.account.name, f"user{user}")

    def test_sharedAddress(self) -> None:
        """
        Two users at one address are two sessions.
        """
        ends = Ends(usersOf("aes-128-gcm"))
        sessions = [
            ends.server.open(ends.client(number).seal(TARGET, b"x"), HERE).session
            for number in (0, 1)
        ]
        self.assertNotEqual(*sessions)


class TestShown(SynchronousTestCase):
    """
    What logs may show.
    """

    def test_secret(self) -> None:
        """
        Nothing that is shown of a server has a key.
        """
        for method in ALL:
            ends = Ends(method)
            opened = ends.server.open(ends.client().seal(TARGET, b"x"), HERE)
            shown = f"{ends.server!r} {opened!r} {opened.session!r}"
            for key in ends.accounts[0].keys:
                self.assertNotIn(repr(key), shown)


SERVERS = {method: Ends(method) for method in ALL}
WITH_USERS = {method: Ends(usersOf(method)) for method in [*CLASSIC, *AES]}


@given(st.sampled_from([*SERVERS.values(), *WITH_USERS.values()]), st.binary(max_size=300))
def test_noise(ends: Ends, datagram: bytes) -> None:
    """
    Whatever comes from somebody without a key, it is refused.
    """
    with pytest.raises(DatagramFault) as caught:
        ends.server.open(datagram, HERE)
    assert caught.value.refused.reason in (Reason.SHORT, Reason.SEAL, Reason.USER)

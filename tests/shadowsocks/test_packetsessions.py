"""
Tests for L{socksproxy.shadowsocks._packetsessions}.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.shadowsocks._envelope import writerFor
from socksproxy.shadowsocks._events import Reason
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._packet import DatagramFault
from socksproxy.shadowsocks._packet2022 import encodeRequest
from socksproxy.shadowsocks._packetsessions import (
    SESSIONS,
    USER_SESSIONS,
    ServerPackets2022,
)
from socksproxy.shadowsocks._replay import LIFETIME
from socksproxy.shadowsocks._users import Accounts
from socksproxy.shadowsocks._window import SIZE
from tests.shadowsocks.packets import (
    AES,
    HERE,
    NEW,
    SOURCE,
    TARGET,
    THERE,
    Ends,
    refused,
    usersOf,
)
from tests.shadowsocks.streams import NOW


class TestServerPackets2022(SynchronousTestCase):
    """
    Tests for L{ServerPackets2022}, as clients see it.
    """

    def server(self, ends: Ends) -> ServerPackets2022:
        """
        Give the server.
        """
        assert isinstance(ends.server, ServerPackets2022)
        return ends.server

    def numbered(self, ends: Ends, payload: bytes = b"x", age: int = 0) -> Any:
        """
        Make what seals datagrams of one session in the order of their numbers.

        @return: A function that takes how many.
        """
        account = ends.accounts[0]
        writer = writerFor(account.method, account.keys, os.urandom)
        now = int(ends.clock.seconds()) - age

        def some(count: int) -> list[bytes]:
            return [writer.seal(encodeRequest(now, TARGET, b"", payload)) for _ in range(count)]

        return some

    def test_order(self) -> None:
        """
        Datagrams may come in any order, each once.
        """
        for method in NEW:
            ends = Ends(method)
            datagrams = self.numbered(ends)(6)
            for at in (3, 0, 5, 1):
                ends.server.open(datagrams[at], HERE)
            for at in (0, 3, 5):
                with refused(self, Reason.REPLAY):
                    ends.server.open(datagrams[at], HERE)
            for at in (4, 2):
                ends.server.open(datagrams[at], HERE)

    def test_tooOld(self) -> None:
        """
        A number that is behind the window is refused.
        """
        ends = Ends(AES[0])
        datagrams = self.numbered(ends)(SIZE + 2)
        ends.server.open(datagrams[-1], HERE)
        ends.server.open(datagrams[1], HERE)
        with refused(self, Reason.REPLAY):
            ends.server.open(datagrams[0], HERE)

    def test_roaming(self) -> None:
        """
        A client may go on from another address, and a late datagram from the
        one before does not call it back.
        """
        for method in NEW:
            ends = Ends(method)
            datagrams = self.numbered(ends)(4)
            session = ends.server.open(datagrams[0], HERE).session
            self.assertEqual(ends.server.open(datagrams[2], THERE).session, session)
            self.assertEqual(session.client, THERE)
            self.assertEqual(ends.server.open(datagrams[1], HERE).session, session)
            self.assertEqual(session.client, THERE)
            ends.server.open(datagrams[3], HERE)
            self.assertEqual(session.client, HERE)

    def test_changesNothing(self) -> None:
        """
        A datagram that opens and is refused all the same takes no number, makes
        no session and moves no client.
        """
        for method in NEW:
            ends = Ends(method)
            account = ends.accounts[0]
            for known in (False, True):
                writer = writerFor(account.method, account.keys, os.urandom)
                if known:
                    good = writer.seal(encodeRequest(NOW, TARGET, b"", b""))
                    session = ends.server.open(good, HERE).session
                before = len(self.server(ends))
                for plain, reason in (
                    (encodeRequest(NOW - 31, TARGET, b"", b""), Reason.CLOCK),
                    (encodeRequest(NOW + 31, TARGET, b"", b""), Reason.CLOCK),
                    (b"\1" + encodeRequest(NOW, TARGET, b"", b"")[1:], Reason.HEADER),
                    (encodeRequest(NOW, Destination("a.b", 0), b"", b""), Reason.ADDRESS),
                    (b"\0", Reason.HEADER),
                ):
                    with refused(self, reason):
                        ends.server.open(writer.seal(plain), THERE)
                self.assertEqual(len(self.server(ends)), before)
                if known:
                    self.assertEqual(session.client, HERE)
            # The same number again, now as it should be.
            one, other = (writerFor(account.method, account.keys, lambda n: bytes(n)) for _ in "ab")
            with refused(self, Reason.CLOCK):
                ends.server.open(one.seal(encodeRequest(0, TARGET, b"", b"")), HERE)
            ends.server.open(other.seal(encodeRequest(NOW, TARGET, b"", b"good")), HERE)

    def test_serverSession(self) -> None:
        """
        What a server answers to a session has one name and numbers of its own,
        however often the session has ended.
        """
        for method in NEW:
            ends = Ends(method)
            client = ends.client()
            names = set()
            for _ in range(4):
                session: Any = ends.server.open(client.seal(TARGET, b"x"), HERE).session
                client.open(session.seal(SOURCE, b"y"))
                names.add(session.writer.session)
                session.end()
            self.assertEqual(len(names), 1)
            self.assertNotIn(session.name, names)

    def test_remembered(self) -> None:
        """
        What was sent in a session is refused for as long as its time could be
        near enough, though the session has ended; and after that since it is
        not.
        """
        for method in NEW:
            ends = Ends(method)
            # The client's clock is as far ahead as it may be.
            (datagram,) = self.numbered(ends, age=-30)(1)
            session = ends.server.open(datagram, HERE).session
            session.end()
            for _ in range(70):
                # Others come and go meanwhile.
                ends.server.open(ends.client().seal(TARGET, b"x"), THERE).session.end()
                with self.assertRaises(DatagramFault) as caught:
                    ends.server.open(datagram, HERE)
                reason = caught.exception.refused.reason
                late = ends.clock.seconds() > NOW + 60
                self.assertIn(reason, (Reason.REPLAY, Reason.CLOCK) if late else (Reason.REPLAY,))
                ends.clock.advance(1)
            self.assertEqual(reason, Reason.CLOCK)

    def test_forgotten(self) -> None:
        """
        A session that has ended is forgotten after a time, and one that has not
        is not.
        """
        ends = Ends(AES[0])
        staying = ends.server.open(ends.client().seal(TARGET, b"x"), HERE).session
        ending = [
            ends.server.open(ends.client().seal(TARGET, b"x"), HERE).session for _ in range(5)
        ]
        for session in ending:
            session.end()
        for seconds, known in ((LIFETIME - 1, 7), (1, 3), (1000, 4)):
            ends.clock.advance(seconds)
            ends.server.open(ends.client().seal(TARGET, b"x"), HERE)
            self.assertEqual(len(self.server(ends)), known)
        # It is not the one that is known now, if any is.
        ending[0].end()
        staying.end()
        ends.clock.advance(LIFETIME)
        ends.server.open(ends.client().seal(TARGET, b"x"), HERE)
        self.assertEqual(len(self.server(ends)), 4)

    def test_goesOn(self) -> None:
        """
        A session that has ended and begun anew is not forgotten.
        """
        ends = Ends(AES[0])
        client = ends.client()
        session = ends.server.open(client.seal(TARGET, b"x"), HERE).session
        session.end()
        ends.clock.advance(LIFETIME - 1)
        ends.server.open(client.seal(TARGET, b"x"), HERE)
        ends.clock.advance(1000)
        ends.server.open(ends.client().seal(TARGET, b"x"), HERE).session.end()
        self.assertIs(ends.server.open(client.seal(TARGET, b"x"), HERE).session, session)

    def test_limit(self) -> None:
        """
        With too many sessions no new one is let in, until some are forgotten;
        those that there are go on.
        """
        self.assertGreater(SESSIONS, USER_SESSIONS)
        ends = Ends(AES[0])
        seconds = ends.clock.seconds
        server = ServerPackets2022(
            Accounts(ends.accounts), seconds, seconds, 0, os.urandom, limit=10, userLimit=3
        )
        clients = [ends.client() for _ in range(10)]
        sessions = [server.open(client.seal(TARGET, b"x"), HERE).session for client in clients]
        for _ in range(2):
            with refused(self, Reason.REPLAY):
                server.open(ends.client().seal(TARGET, b"x"), HERE)
            for client in clients:
                server.open(client.seal(TARGET, b"x"), HERE)
            for session in sessions:
                session.end()
            ends.clock.advance(LIFETIME - 1)
        for client in clients[:8]:
            server.open(client.seal(TARGET, b"x"), HERE)
        ends.clock.advance(1)
        for _ in range(2):
            server.open(ends.client().seal(TARGET, b"x"), HERE)
        self.assertEqual(len(server), 10)

    def test_userLimit(self) -> None:
        """
        One of several users cannot take the place of all, and all of them
        together not more than there is.
        """
        ends = Ends(usersOf(AES[0]))
        seconds = ends.clock.seconds
        server = ServerPackets2022(
            Accounts(ends.accounts), seconds, seconds, 0, os.urandom, limit=5, userLimit=3
        )
        for user, count in ((0, 3), (1, 2)):
            sessions = [
                server.open(ends.client(user).seal(TARGET, b"x"), HERE).session
                for _ in range(count)
            ]
            with refused(self, Reason.REPLAY):
                server.open(ends.client(user).seal(TARGET, b"x"), HERE)
        for session in sessions:
            session.end()
        ends.clock.advance(LIFETIME)
        for user in (1, 2):
            server.open(ends.client(user).seal(TARGET, b"x"), HERE)
        self.assertEqual(len(server), 5)

    def test_notBefore(self) -> None:
        """
        What was sent before a server's start can be refused.
        """
        for method in NEW:
            ends = Ends(method, notBefore=NOW + 5)
            with refused(self, Reason.REPLAY):
                ends.server.open(ends.client().seal(TARGET, b"x"), HERE)
            ends.clock.advance(5)
            ends.server.open(ends.client().seal(TARGET, b"x"), HERE)

    def test_withoutUser(self) -> None:
        """
        A server that has users lets nobody in who has only its own key, and
        none whose key it does not know.
        """
        for method in AES:
            users = usersOf(method)
            ends = Ends(users)
            (key, _) = users[0].keys
            for keys in ((key,), (key, bytes(len(key))), (key, key)):
                writer = writerFor(METHODS[method], keys, os.urandom)
                with refused(self, Reason.USER):
                    ends.server.open(writer.seal(encodeRequest(NOW, TARGET, b"", b"x")), HERE)

    def test_sameName(self) -> None:
        """
        A user who calls a session as another does gets one of its own.
        """
        ends = Ends(usersOf(AES[0]))
        sessions = []
        for account in ends.accounts[:2]:
            writer = writerFor(account.method, account.keys, lambda count: bytes(count))
            datagram = writer.seal(encodeRequest(NOW, TARGET, b"", b"x"))
            sessions.append(ends.server.open(datagram, HERE).session)
        self.assertNotEqual(*sessions)

    def test_borrowedName(self) -> None:
        """
        Whoever names a user without having the key does not get in.
        """
        ends = Ends(usersOf(AES[0]))
        good, other = (
            writerFor(account.method, account.keys, lambda count: bytes(count))
            for account in ends.accounts[:2]
        )
        plain = encodeRequest(NOW, TARGET, b"", b"x")
        forged = good.seal(plain)[:32] + other.seal(plain)[32:]
        with refused(self, Reason.SEAL):
            ends.server.open(forged, HERE)

    def test_reflected(self) -> None:
        """
        An answer that is sent back is refused.
        """
        for method in NEW:
            ends = Ends(method)
            session = ends.server.open(ends.client().seal(TARGET, b"x"), HERE).session
            with refused(self, Reason.HEADER):
                ends.server.open(session.seal(SOURCE, b"y"), HERE)
            self.assertEqual(len(self.server(ends)), 1)


@given(st.sampled_from(NEW), st.binary(max_size=80))
def test_anythingSealed(method: str, plain: bytes) -> None:
    """
    Whatever somebody with a key has sealed, nothing else than a fault of the
    peer's is raised.
    """
    ends = Ends(method)
    account: Account = ends.accounts[0]
    writer = writerFor(account.method, account.keys, os.urandom)
    try:
        ends.server.open(writer.seal(plain), HERE)
    except DatagramFault:
        pass

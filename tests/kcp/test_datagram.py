"""
Tests for L{socksproxy.kcp.datagram}: which datagram is for which session.
"""

from __future__ import annotations

from typing import Any

from socksproxy.kcp import KCPTransport
from socksproxy.kcp._shard import DATA, PARITY
from socksproxy.testing import Conditions
from tests.kcp.blocks import ACK, PUSH, WASK, WINS, segment, segmentsOf
from tests.kcp.network import (
    CLIENT,
    HOST,
    OPENING,
    PORT,
    REDUNDANT,
    Echo,
    KCPNetworkTests,
    Stranger,
    complaints,
    shards,
)
from tests.logs import captured

ONE, TWO = 0x01010101, 0x02020202
DIGITS = b"0123456789"

OUT_OF_BAND = bytes.fromhex("ffffffff f300 0900 01010101") + b"hello"


def group(conversation: int, before: int = 0) -> list[bytes]:
    """
    Make a group of shards, of which the data is L{DIGITS}.

    @param before: Groups before it.
    """
    payloads = [
        segment(PUSH, conv=conversation, sn=10 * before + n, data=DIGITS[n : n + 1])
        for n in range(10)
    ]
    return shards(payloads, before=before)


ENOUGH = 3
"""
Groups after which what is rebuilt is believed.
"""


def enough(conversation: int) -> list[bytes]:
    """
    Make so many groups.
    """
    return [shard for number in range(ENOUGH) for shard in group(conversation, number)]


class SessionsTests(KCPNetworkTests):
    """
    Tests with a server and what strangers send it.
    """

    def session(self, conversation: int) -> KCPTransport:
        """
        Give the only session of a conversation.
        """
        (found,) = (s for s in self.server.sessions.values() if s.conversation == conversation)
        return found

    def given(self, conversation: int) -> bytes:
        """
        Give what has come for a conversation.
        """
        protocol: Any = self.session(conversation).protocol
        return bytes(protocol.received)


class OpeningTests(SessionsTests):
    """
    How sessions begin.
    """

    def test_first(self) -> None:
        """
        The first datagram begins a session, and counts.
        """
        self.start()
        stranger = self.stranger()
        stranger.say(segment(PUSH, conv=ONE, data=b"hello"))
        self.settle()
        self.assertEqual(self.given(ONE), b"hello")
        self.assertEqual(
            [(*seg[:2], seg.una) for seg in segmentsOf(stranger.heard)], [(ONE, ACK, 1)]
        )

    def test_firstLost(self) -> None:
        """
        So does the second if it comes first, and nothing is lost by that.
        """
        self.start()
        stranger = self.stranger()
        stranger.say(segment(PUSH, conv=ONE, sn=1, data=b"world"))
        self.settle()
        self.assertEqual(self.given(ONE), b"")
        stranger.say(segment(PUSH, conv=ONE, sn=0, data=b"hello "))
        self.settle()
        self.assertEqual(self.given(ONE), b"hello world")
        self.assertEqual(len(self.factory.made), 1)

    def test_firstLostOfClient(self) -> None:
        """
        A client of ours whose first datagrams are lost gets through.
        """
        self.start(Echo, loss=(0, 1, 3))
        client = self.connect()
        for _ in range(5):
            client.transport.write(OPENING)
            self.settle(0.01)
        self.settle(2)
        self.assertEqual(bytes(client.received), OPENING * 5)
        self.assertEqual(len(self.factory.made), 1)

    def test_shards(self) -> None:
        """
        Shards begin sessions too, and of these parity repairs what is lost.
        """
        self.start(config=REDUNDANT)
        made = group(ONE, ENOUGH)
        self.stranger().say(*enough(ONE), made[0], *made[3:])
        self.settle()
        self.assertEqual(self.given(ONE), DIGITS * (ENOUGH + 1))

    def test_shardsWithoutNeed(self) -> None:
        """
        So they do where this side sends none.
        """
        self.start()
        self.stranger().say(*group(ONE))
        self.settle()
        self.assertEqual(self.given(ONE), DIGITS)

    def test_behindOthers(self) -> None:
        """
        A sensible beginning may come behind what is none.
        """
        self.start()
        stranger = self.stranger()
        port = self.network.datagrams[0]
        source = (stranger.transport.host, stranger.transport.port)
        self.server.batchReceived(
            [(source, [segment(WINS, conv=ONE), segment(PUSH, conv=ONE, data=b"hello")])]
        )
        self.assertEqual(self.given(ONE), b"hello")
        self.assertTrue(port.open)

    def test_nothingElse(self) -> None:
        """
        Nothing that is no sensible beginning begins a session, and none of it
        is answered.
        """
        for crypt in ("null", "aes"):
            self.start(crypt=crypt)
            stranger = self.stranger()
            with captured():
                stranger.say(
                    bytes(24),
                    bytes(23),
                    b"",
                    b"x",
                    segment(ACK, conv=ONE),
                    segment(WASK, conv=ONE),
                    segment(WINS, conv=ONE),
                    segment(PUSH, conv=ONE, una=1, data=b"x"),
                    segment(PUSH, conv=ONE, sn=self.config.rcvwnd, data=b"x"),
                    segment(PUSH, conv=ONE, sn=-1, data=b"x"),
                    segment(PUSH, conv=ONE),
                    segment(PUSH, conv=ONE, data=b"x")[:-1],
                    segment(99, conv=ONE, data=b"x"),
                    *shards([segment(PUSH, conv=ONE, data=b"x")] * 3, 3, 2)[3:],
                    OUT_OF_BAND,
                )
                self.settle()
            self.assertEqual((self.server.sessions, self.factory.made), ({}, []))
            self.assertEqual(stranger.answers, [])
            self.assertEqual(self.server.counted.strange, 16)

    def test_conversationZero(self) -> None:
        """
        Any number will do for a conversation.
        """
        self.start()
        stranger = self.stranger()
        for conversation in (0, 0xFFFFFFFF):
            stranger.say(segment(PUSH, conv=conversation, data=b"x"))
            self.settle()
            self.assertEqual(self.given(conversation), b"x")


class DemultiplexingTests(SessionsTests):
    """
    Several conversations.
    """

    def test_oneAddress(self) -> None:
        """
        Two conversations of one address are two sessions, each of which has
        what is for it, and answers under its number.
        """
        self.start(Echo)
        stranger = self.stranger()
        for sn in range(3):
            for conversation in (ONE, TWO):
                data = b"%d of %x " % (sn, conversation) * 4
                stranger.say(segment(PUSH, conv=conversation, sn=sn, una=sn, data=data))
                self.settle(0.03)
        self.assertEqual(len(self.factory.made), 2)
        for conversation in (ONE, TWO):
            data = b"".join(b"%d of %x " % (sn, conversation) * 4 for sn in range(3))
            self.assertEqual(self.given(conversation), data)
            heard = {s.sn: s.data for s in segmentsOf(stranger.heard) if s.conv == conversation}
            self.assertTrue(
                data.startswith(b"".join(heard[sn] for sn in sorted(heard) if heard[sn]))
            )

    def test_oneBatch(self) -> None:
        """
        What comes in one batch for several sessions of several addresses goes
        where it belongs.
        """
        self.start()
        batch = [
            ((f"10.0.0.{host}", 4000), [segment(PUSH, conv=conv, sn=sn, data=b"%d%d" % (host, sn))])
            for sn in range(3)
            for host in (7, 8)
            for conv in (ONE, TWO)
        ]
        self.server.batchReceived(batch)
        self.assertEqual(len(self.server.sessions), 4)
        for ((host, _), _), session in self.server.sessions.items():
            number = host[-1]
            protocol: Any = session.protocol
            self.assertEqual(
                protocol.received.decode(), "".join(f"{number}{sn}" for sn in range(3))
            )

    def test_parity(self) -> None:
        """
        Parity repairs the session whose data came before it, though there are
        others with the same address.
        """
        self.start(config=REDUNDANT)
        stranger = self.stranger()
        stranger.say(*enough(ONE), *enough(TWO))
        for before in (ENOUGH, ENOUGH + 1):
            for conversation in (ONE, TWO):
                made = group(conversation, before)
                stranger.say(made[0], *made[3:])
                self.settle()
        for conversation in (ONE, TWO):
            self.assertEqual(self.given(conversation), DIGITS * (ENOUGH + 2))
            self.assertEqual(self.session(conversation).statistics.fecRecovered, 4)

    def test_parityAmongStrays(self) -> None:
        """
        A late shard of another conversation does not take the parity of the
        one that there is, neither in one batch nor in several.
        """
        for together in (True, False):
            self.start(config=REDUNDANT)
            made = group(ONE, ENOUGH)
            (stray,) = shards([segment(PUSH, conv=TWO, sn=77, una=5, data=b"x")])
            datagrams = [*made[3:10], stray, *made[10:]]
            source = ("10.0.0.9", 4000)
            self.server.batchReceived([(source, [*enough(ONE), made[0]])])
            if together:
                self.server.batchReceived([(source, datagrams)])
            else:
                for datagram in datagrams:
                    self.server.batchReceived([(source, [datagram])])
            self.assertEqual(self.given(ONE), DIGITS * (ENOUGH + 1))
            self.assertEqual(len(self.server.sessions), 1)

    def test_parityAfterOneHasEnded(self) -> None:
        """
        Once one of the sessions has ended the parity is the other's.
        """
        self.start(config=REDUNDANT)
        stranger = self.stranger()
        made = group(ONE, ENOUGH)
        stranger.say(*enough(ONE), *made[:7])
        stranger.say(shards([segment(PUSH, conv=TWO, data=b"x")])[0])
        self.settle()
        self.session(TWO).abortConnection()
        self.settle()
        stranger.say(*made[10:])
        self.settle()
        self.assertEqual(self.given(ONE), DIGITS * (ENOUGH + 1))


class StrayTests(SessionsTests):
    """
    What comes for no session, while there is one.
    """

    def strays(self) -> list[bytes]:
        """
        Give datagrams that are for no session.
        """
        others = [segment(PUSH, conv=TWO, sn=n, una=9, data=b"x") for n in range(3)]
        return [
            bytes(24),
            bytes(12),
            b"",
            b"short",
            segment(ACK, conv=TWO),
            segment(WASK, conv=TWO),
            segment(PUSH, conv=TWO, una=1, data=b"x"),
            segment(PUSH, conv=TWO, sn=5000, data=b"x"),
            OUT_OF_BAND,
            OUT_OF_BAND[:12],
            *shards(others, 3, 2),
            bytes.fromhex("00000000f200") + bytes(40),
        ]

    def test_nothingHappens(self) -> None:
        """
        Nothing that comes from the address of a session under the right key
        ends it, disturbs what it carries, or begins another one.
        """
        for config in (None, REDUNDANT):
            self.start(Echo, **({} if config is None else {"config": config}))
            client, server = self.joined()
            self.settle()
            client.received.clear()
            session = client.transport
            wire = self.onWire(session)
            with captured():
                for number in range(20):
                    session.write(b"%02d" % number)
                    for stray in self.strays():
                        wire.write(stray, (HOST, PORT))
                    self.settle(0.01)
                self.settle(2)
            self.assertEqual(bytes(client.received), b"".join(b"%02d" % n for n in range(20)))
            self.assertFalse(client.lost or server.lost)
            self.assertEqual(list(self.server.sessions), [((CLIENT, wire.port), _conv(session))])
            self.assertEqual(len(self.factory.made), 1)

    def test_nothingHappensAtClient(self) -> None:
        """
        Nor does what comes from the server's address, or another one, for a
        client.
        """
        self.start(Echo)
        client, _ = self.joined()
        self.settle()
        client.received.clear()
        wire = self.onWire(client.transport)
        strangers = self.stranger()
        with captured():
            for stray in [*self.strays(), segment(PUSH, conv=TWO, data=b"x")]:
                self.network.send(stray, (HOST, PORT), (CLIENT, wire.port))
                strangers.transport.write(stray, (CLIENT, wire.port))
            own = segment(PUSH, conv=client.transport.conversation, sn=1, data=b"evil")
            strangers.transport.write(own, (CLIENT, wire.port))
            client.transport.write(b"good")
            self.settle()
        self.assertEqual(bytes(client.received), b"good")
        self.assertEqual(strangers.answers, [])
        self.assertGreater(client.transport._owner.counted.strange, 20)

    def test_damage(self) -> None:
        """
        Damaged datagrams of the session itself are counted, and no more.
        """
        self.start(Echo)
        client, _ = self.joined()
        self.settle()
        client.received.clear()
        wire = self.onWire(client.transport)
        conv = client.transport.conversation
        for damaged in (
            segment(99, conv=conv),
            segment(PUSH, conv=conv, sn=1, data=b"long enough")[:-3],
            segment(PUSH, conv=conv, sn=1, una=1 << 31, data=b""),
            segment(ACK, conv=conv, una=1000),
            segment(ACK, conv=conv)[:20],
        ):
            wire.write(damaged, (HOST, PORT))
        self.settle(0.1)
        client.transport.write(b"good")
        self.settle()
        self.assertEqual(bytes(client.received), b"good")
        self.assertGreaterEqual(self.session(conv).statistics.kcpInErrors, 3)

    def test_outOfBandIsNoFault(self) -> None:
        """
        What a peer sends out of band beside its session is no reason for a
        line; from anybody else it is.
        """
        self.start(config=REDUNDANT)
        stranger = self.stranger()
        stranger.say(*shards([segment(PUSH, conv=ONE, data=b"x")]))
        self.settle()
        with captured() as events:
            stranger.say(OUT_OF_BAND)
            self.settle()
            self.assertEqual(complaints(events), [])
            self.stranger("10.0.0.8").say(OUT_OF_BAND)
            self.settle()
        self.assertEqual(len(complaints(events)), 1)


class AfterTheEndTests(SessionsTests):
    """
    What comes late.
    """

    def late(self) -> tuple[Stranger, bytes]:
        """
        Have a session end, and give what may come late.
        """
        self.start()
        stranger = self.stranger()
        opening = segment(PUSH, conv=ONE, data=b"x")
        stranger.say(opening)
        self.settle()
        self.session(ONE).abortConnection()
        self.settle()
        self.assertEqual(self.server.sessions, {})
        stranger.answers.clear()
        return stranger, opening

    def test_late(self) -> None:
        """
        For a minute since the last of it came it begins no session, is not
        answered, and is no reason for a line.
        """
        stranger, opening = self.late()
        with captured() as events:
            for _ in range(6):
                stranger.say(opening, segment(PUSH, conv=ONE, sn=1, data=b"y"))
                self.settle(30)
        self.assertEqual((self.server.sessions, stranger.answers), ({}, []))
        self.assertEqual(complaints(events), [])
        self.settle(61)
        stranger.say(opening)
        self.settle()
        self.assertEqual(len(self.server.sessions), 1)

    def test_other(self) -> None:
        """
        Another conversation may begin at once.
        """
        stranger, _ = self.late()
        stranger.say(segment(PUSH, conv=TWO, data=b"y"))
        self.settle()
        self.assertEqual(self.given(TWO), b"y")

    def test_ofClosedSession(self) -> None:
        """
        What a client sends again to a session that its application has ended
        begins no other.
        """
        self.start(reorder=0.3, duplicate=0.3, jitter=50, seed=4)
        for _ in range(10):
            client, server = self.joined()
            client.transport.write(b"x" * 5000)
            self.settle(0.06)
            server.transport.loseConnection()
        self.settle(40)
        self.assertEqual(len(self.factory.made), 10)
        self.assertEqual(self.server.sessions, {})


class RebindingTests(SessionsTests):
    """
    Clients whose address changes.
    """

    def test_refused(self) -> None:
        """
        What comes from the new address is refused, counted and said, and the
        client finds out in its time.
        """
        self.start(Echo)
        client, server = self.joined()
        self.settle()
        self.assertEqual(server.told[-1], "data")
        self.network.rebind(self.onWire(client.transport))
        with captured() as events:
            client.transport.write(b"still me")
            self.settle(29)
            self.assertFalse(client.lost)
            self.settle(2)
        self.assertTrue(client.lost)
        self.assertEqual(len(self.factory.made), 1)
        self.assertGreater(self.server.counted.strange, 3)
        self.assertTrue(all("has the peer moved?" in line for line in complaints(events)))
        self.assertTrue(complaints(events))


def _conv(session: KCPTransport) -> bytes:
    return session.conversation.to_bytes(4, "little")


class WireTests(SessionsTests):
    """
    What goes out.
    """

    def test_shards(self) -> None:
        """
        With error correction all that a client sends are shards, of both
        kinds.
        """
        self.start(config=REDUNDANT)
        client, _ = self.joined()
        sent: list[bytes] = []
        wire = self.onWire(client.transport)
        original = wire.write

        def write(packet: bytes, addr: Any) -> None:
            sent.append(packet)
            original(packet, addr)

        wire.write = write
        client.transport.write(bytes(50_000))
        self.settle()
        kinds = [int.from_bytes(packet[4:6], "little") for packet in sent]
        self.assertEqual(set(kinds), {DATA, PARITY})
        self.assertGreater(kinds.count(DATA), 30)
        self.assertEqual(kinds.count(PARITY), kinds.count(DATA) // 10 * 3)

    def test_lost(self) -> None:
        """
        What the port does not take is counted.
        """
        self.start()
        client, _ = self.joined()
        wire = self.onWire(client.transport)

        def write(packet: bytes, addr: Any) -> None:
            raise OSError(11, "full")

        wire.write = write
        client.transport.write(OPENING)
        self.settle(0.02)
        self.assertEqual(client.transport.statistics.sendErrors, 1)
        del wire.write
        self.network.setConditions(Conditions())
        self.settle()
        self.assertEqual(bytes(self.factory.made[0].received), OPENING)

"""
Tests for L{socksproxy.kcp.datagram}: what strangers cannot make a server do.
"""

from __future__ import annotations

import gc
import weakref
from random import Random
from typing import Any

from twisted.internet.error import ConnectionLost

from socksproxy.kcp import KCPConfig, KCPServerProtocol, SessionTimers, cipherFor, deriveKey
from socksproxy.kcp._admission import REMEMBERED
from socksproxy.kcp.diagnosis import MAX_SOURCES
from socksproxy.kcp.pipeline import AMPLIFICATION
from socksproxy.kcp.port import Address, listenBatches
from socksproxy.testing import DatagramNetwork
from tests.kcp.blocks import ACK, PUSH, segment, segmentsOf
from tests.kcp.network import (
    HOST,
    KEY,
    NEVER,
    PLAIN,
    PORT,
    REDUNDANT,
    Counting,
    KCPNetworkTests,
    Recorder,
    Stranger,
    complaints,
    pattern,
    shards,
)
from tests.logs import captured


class Talkative(Recorder):
    """
    An application that has much to say, as soon as it is connected.
    """

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        super().connectionMade()
        self.transport.write(pattern(200_000))


class LimitsTests(KCPNetworkTests):
    """
    Tests with a server that has little room.
    """

    def limited(
        self,
        sessions: int = 4,
        perHost: int = 3,
        build: Any = Recorder,
        crypt: str = "null",
        config: KCPConfig = PLAIN,
        timers: SessionTimers = NEVER,
    ) -> KCPServerProtocol:
        """
        Start it.
        """
        self.network = DatagramNetwork()
        self.crypt = crypt
        self.factory = Counting(build)
        cipher = cipherFor(crypt, deriveKey(KEY))
        self.server = KCPServerProtocol(
            self.network,
            self.factory,
            config,
            cipher,
            timers,
            maxSessions=sessions,
            maxSessionsPerHost=perHost,
        )
        listenBatches(self.network, PORT, self.server, interface=HOST)
        return self.server

    def comes(self, address: Address, *payloads: bytes) -> None:
        """
        Have something come from anywhere.
        """
        self.server.batchReceived([(address, list(payloads))])

    def opens(self, host: str, port: int = 4000, conv: int = 1) -> None:
        """
        Have the beginning of a session come.
        """
        self.comes((host, port), segment(PUSH, conv=conv, data=b"x" * 100))

    def hosts(self) -> list[str]:
        """
        Give the hosts that there are sessions with.
        """
        return [host for (host, _), _ in self.server.sessions]


class SessionLimitTests(LimitsTests):
    """
    Many sessions.
    """

    def test_perHost(self) -> None:
        """
        A host gets so many sessions, from whichever ports; more are refused,
        counted and said, and there is room when one has ended.
        """
        self.limited()
        with captured() as events:
            for port in range(6):
                self.opens("192.0.2.1", 4000 + port)
        self.assertEqual((len(self.factory.made), self.server.counted.refused), (3, 3))
        self.assertIn("too many sessions", complaints(events)[0])
        self.factory.made[0].transport.abortConnection()
        self.settle(0)
        self.opens("192.0.2.1", 5000)
        self.assertEqual(len(self.factory.made), 4)

    def test_inAll(self) -> None:
        """
        With no room left, the unproven session that was heard of longest ago
        makes room for another one, and its application is told.
        """
        self.limited()
        for number in range(4):
            self.opens(f"192.0.2.{number}")
        self.comes(("192.0.2.0", 4000), segment(PUSH, conv=1, sn=1, data=b"still here"))
        self.opens("192.0.2.9")
        self.assertEqual(self.hosts(), [f"192.0.2.{n}" for n in (0, 2, 3, 9)])
        self.assertIsInstance(self.factory.made[1].reason, ConnectionLost)
        self.assertEqual((self.server.counted.evicted, self.server.counted.refused), (1, 0))

    def test_provenOnesStay(self) -> None:
        """
        Sessions whose peers have acknowledged something stay, and with only
        those there is no room.
        """
        self.limited(build=Talkative)
        for number in range(4):
            stranger = self.stranger(f"192.0.2.{number}")
            stranger.say(segment(PUSH, conv=1, data=b"x" * 100))
            self.settle(0.1)
            acknowledge(stranger)
        self.settle(0.1)
        self.opens("192.0.2.9")
        self.assertEqual(len(self.factory.made), 4)
        self.assertEqual((self.server.counted.evicted, self.server.counted.refused), (0, 1))
        self.assertFalse(any(application.lost for application in self.factory.made))

    def test_refusedDoNotEvict(self) -> None:
        """
        A session that the factory does not want takes nobody's place.
        """
        self.limited()
        for number in range(4):
            self.opens(f"192.0.2.{number}")
        self.factory.build = lambda: None
        self.opens("192.0.2.9")
        self.assertEqual((len(self.server.sessions), self.server.counted.evicted), (4, 0))

    def test_evictedLeaveNothing(self) -> None:
        """
        Of a session that had to go nothing is held.
        """
        self.limited(timers=SessionTimers(idle=600))
        self.opens("192.0.2.1")
        session = weakref.ref(self.factory.made.pop().transport)
        for number in range(10, 14):
            self.opens(f"192.0.2.{number}")
        gc.collect()
        self.assertIsNone(session())


class MemoryTests(LimitsTests):
    """
    Floods of datagrams.
    """

    def sizes(self) -> dict[str, int]:
        """
        Give the sizes of all that a server remembers.
        """
        server: Any = self.server
        admission, wakes = server._admission, server._wakes
        return {
            "sessions": len(server.sessions),
            "addresses": len(server._addresses),
            "latest": len(server._latest),
            "touched": len(server._touched),
            "wakes": len(wakes),
            "heap": len(wakes._heap),
            "hosts": len(admission._perHost),
            "unproven": len(admission._unproven),
            "past": len(admission._past),
            "sources": len(server._diagnosis._sources),
        }

    def flood(self, payloads: list[bytes], count: int = 100_000) -> None:
        """
        Have datagrams come from everywhere.
        """
        random = Random(1)
        with captured() as events:
            for start in range(0, count, 1000):
                batch = []
                for number in range(start, start + 1000):
                    host = f"10.{random.randrange(256)}.{number >> 8 & 255}.{number & 255}"
                    batch.append(((host, number & 0xFFFF), [payloads[number % len(payloads)]]))
                self.server.batchReceived(batch)
                self.network.advance(0.01)
        # A second's worth.
        self.assertLessEqual(len(complaints(events)), 16 * (count // 100_000 + 1))

    def test_noise(self) -> None:
        """
        Datagrams that cannot be decrypted leave nothing but a bounded number
        of their sources.
        """
        self.limited(crypt="aes-128-gcm")
        random = Random(2)
        self.flood([random.randbytes(random.randrange(100)) for _ in range(500)])
        sizes = self.sizes()
        self.assertLessEqual(sizes.pop("sources"), MAX_SOURCES)
        self.assertEqual(sum(sizes.values()), 0)
        self.assertEqual(self.server.counted.unreadable, 100_000)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_strays(self) -> None:
        """
        Nor do datagrams under the right key that belong to no session.
        """
        self.limited()
        random = Random(3)
        strays = [random.randbytes(random.randrange(100)) for _ in range(300)]
        for number in range(100):
            strays.append(segment(PUSH, conv=number, una=9, data=b"x"))
            strays += shards([segment(ACK, conv=number)] * 10)
        self.flood(strays)
        sizes = self.sizes()
        self.assertLessEqual(sizes.pop("sources"), MAX_SOURCES)
        self.assertEqual(sum(sizes.values()), 0)
        self.assertEqual(self.server.counted.strange, 100_000)

    def test_openings(self) -> None:
        """
        Sessions that are begun and left leave a bounded trace, and no more of
        them at a time than there may be.
        """
        self.limited(50, 50, config=REDUNDANT, timers=SessionTimers(idle=600))
        self.factory.made = _Forgetting()
        self.flood(
            [
                shards([segment(PUSH, conv=number, data=b"x")])[0]
                if number % 2
                else segment(PUSH, conv=number, data=b"x")
                for number in range(1000)
            ],
            count=10_000,
        )
        sizes = self.sizes()
        for name in ("sessions", "addresses", "hosts", "unproven", "wakes"):
            self.assertEqual(sizes.pop(name), 50)
        self.assertLessEqual(sizes.pop("latest"), 50)
        self.assertLessEqual(sizes.pop("heap"), 4 * 50 + 64)
        self.assertEqual(sizes.pop("past"), REMEMBERED)
        self.assertEqual(sizes, {"touched": 0, "sources": 0})
        self.assertEqual(self.server.counted.evicted, 9_950)

    def test_oneSession(self) -> None:
        """
        What one session holds of what it cannot use is bounded by its window.
        """
        self.limited()
        self.opens("192.0.2.1")
        self.factory.made[0].transport.pauseProducing()
        window = PLAIN.rcvwnd
        for start in range(0, 20_000, 100):
            self.comes(
                ("192.0.2.1", 4000),
                *(segment(PUSH, conv=1, sn=sn, data=b"x" * 50) for sn in range(start, start + 100)),
            )
        control = self.factory.made[0].transport.pipeline.control
        self.assertLessEqual(control.readable, window)
        self.assertLessEqual(control._receiving.early, window)


class _Forgetting(list):  # type: ignore[type-arg]
    """
    A list that takes nothing.
    """

    def append(self, item: object) -> None:
        """
        Forget it.
        """


class AmplificationTests(LimitsTests):
    """
    Addresses that may be somebody else's.
    """

    def test_beforeAcknowledgement(self) -> None:
        """
        A client is sent three times the octets that it has sent at the most,
        repetitions and acknowledgements included, until it has acknowledged
        something, however much there is to be said and however long it takes.
        """
        for crypt, config in (("null", PLAIN), ("aes", PLAIN), ("aes-128-gcm", REDUNDANT)):
            for size in (1, 40, 500, 1200):
                self.limited(crypt=crypt, config=config, build=Talkative)
                stranger = self.stranger(crypt=crypt)
                sent = stranger.say(segment(PUSH, conv=1, data=b"x" * size))
                self.settle(100)
                answered = sum(map(len, stranger.answers))
                self.assertLessEqual(answered, AMPLIFICATION * sent)
                if size >= 500:
                    self.assertGreater(answered, sent / 2)

    def test_moreComes(self) -> None:
        """
        So it is if more comes that acknowledges nothing.
        """
        self.limited(build=Talkative)
        stranger = self.stranger()
        sent = 0
        for sn in range(20):
            sent += stranger.say(segment(PUSH, conv=1, sn=sn, data=b"x" * 100))
            self.settle(0.1)
            self.assertLessEqual(sum(map(len, stranger.answers)), AMPLIFICATION * sent)

    def test_nothingToDo(self) -> None:
        """
        While there is no credit no time is spent on it.
        """
        self.limited(build=Talkative)
        self.stranger().say(segment(PUSH, conv=1, data=b"x" * 100))
        self.settle(60)
        calls = _callsOf(self.network, 60)
        self.assertLess(calls, 20)

    def test_afterwards(self) -> None:
        """
        One acknowledgement proves the address, and all is sent.
        """
        self.limited(build=Talkative)
        stranger = self.stranger()
        stranger.say(segment(PUSH, conv=1, data=b"x" * 500))
        self.settle(0.1)
        acknowledge(stranger)
        self.settle(0.1)
        got = {seg.sn for seg in segmentsOf(stranger.heard) if seg.cmd == PUSH}
        self.assertGreater(len(got), 100)

    def test_lies(self) -> None:
        """
        Acknowledgements of what was never sent, or not then, prove nothing.
        """
        self.limited(build=Talkative)
        stranger = self.stranger()
        sent = stranger.say(segment(PUSH, conv=1, data=b"x" * 500))
        self.settle(0.1)
        for sn, una in ((50, 0), (0, 100), (100, 100), (0, 1)):
            sent += stranger.say(segment(ACK, conv=1, sn=sn, una=una, ts=7))
            self.settle(0.1)
        self.assertLessEqual(sum(map(len, stranger.answers)), AMPLIFICATION * sent)


def acknowledge(stranger: Stranger) -> None:
    """
    Acknowledge the first segment that has come, as a peer would.
    """
    first = next(seg for seg in segmentsOf(stranger.heard) if seg.cmd == PUSH)
    stranger.say(segment(ACK, conv=1, sn=first.sn, una=first.sn + 1, ts=first.ts, wnd=1024))


def _callsOf(network: DatagramNetwork, seconds: float) -> int:
    """
    Count the calls that run within some time.
    """
    count = -1

    def counted() -> bool:
        nonlocal count
        count += 1
        return network.seconds() >= end

    end = network.seconds() + seconds
    network.callLater(seconds, lambda: None)
    network.advanceUntil(counted, limit=seconds + 1)
    return count

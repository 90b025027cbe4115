"""
Tests for L{socksproxy.shadowsocks.silence}: what those see who do not have a
key.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.shadowsocks._address import encodeAddress
from socksproxy.shadowsocks._client import sealRequest
from socksproxy.shadowsocks._keys import Account, sessionCipher
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks._stream import Sealer
from socksproxy.shadowsocks.silence import PATIENCE as AVERAGE
from socksproxy.shadowsocks.silence import Silent, drawPatience
from socksproxy.testing import MemoryTransport
from tests.logs import atLevel, captured
from tests.shadowsocks.serving import CLASSIC, NEW, PATIENCE, WEB, Serving, usersOf
from tests.shadowsocks.streams import NOW, clientOf, fresh

WAYS = ("whole", "dribbled", "ended", "dribbled and ended")

LINGER = 2.0


class Seen(NamedTuple):
    """
    What a client sees of the server.

    @ivar octets: What comes.
    @ivar end: When the server's stream ends.
    @ivar reset: Whether the connection is reset.
    @ivar lost: When it is over.
    """

    octets: bytes
    end: float
    reset: bool
    lost: float


def probes(method: str, count: int = 200) -> Iterator[bytes]:
    """
    Give octets that are no request, of all lengths.
    """
    chance = random.Random(f"probes of {method}")
    for number in range(count):
        yield chance.randbytes(number * 300 // count + 1)


def requests(account: Account) -> Iterator[bytes]:
    """
    Give requests that are almost in order: cut off, changed, too early, too
    late, to nowhere, or from nobody.
    """
    method = account.method

    def request(late: int = 0, by: Account = account) -> bytes:
        return clientOf(by, WEB, wallClock=lambda: NOW + late).seal(b"question")

    for end in (1, method.saltLength, method.saltLength + 18, -1):
        yield request()[:end]
    for at in (0, method.saltLength, method.saltLength + 17, -1):
        damaged = bytearray(request())
        damaged[at] ^= 1
        yield bytes(damaged)
    if method.edition2022:
        yield from map(request, (-31, 31, 100_000))
    stranger = [bytes([9] * method.keyLength)] * len(account.keys)
    yield request(by=Account(method, stranger))
    if len(account.keys) > 1:
        yield request(by=Account(method, [account.keys[0], stranger[0]]))
        yield request(by=Account(method, account.keys[:1]))
    bad = (b"\2\1\2\3\4\0\x50", b"\3\0\0\x50", b"\3\1 \0\x50")
    for address in (*bad, encodeAddress(WEB)[:-2] + b"\0\0"):
        salt = random.Random(address).randbytes(method.saltLength)
        if method.edition2022:
            yield sealRequest(account, salt, NOW, address, b"padding", b"")[0]
        else:
            sealer = Sealer(sessionCipher(method, account.userKey, salt), method.chunkLimit)
            yield salt + sealer.seal(address + b"question")


ACCOUNTS: dict[str, Sequence[Account]] = {
    **{name: [fresh(name)] for name in METHODS},
    "users of a classic method": usersOf(CLASSIC),
    "users of 2022": usersOf(NEW),
}


def reaction(proxy: Serving, said: bytes, way: str) -> Seen:
    """
    Say something and look at the server.
    """
    began = proxy.network.seconds()
    transport = proxy.open()
    pieces = [said[at : at + 1] for at in range(len(said))] if "dribbled" in way else [said]
    for piece in pieces:
        transport.peerSends(piece)
    if "ended" in way:
        transport.peerEnds()
    octets, ends, elapsed = b"", [], 0.0
    while not transport.lost:
        proxy.network.advance(0.5)
        octets += transport.take()
        elapsed = proxy.network.seconds() - began
        assert elapsed < 2 * PATIENCE, "the connection stays"
        if transport.ended:
            ends.append(elapsed)
    return Seen(octets, ends[0], transport.aborted, elapsed)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ACCOUNTS)
def test_oneReaction(name: str, way: str) -> None:
    """
    Whatever is wrong, and however it is said, nothing is answered, and the
    connection ends after the same time, without a reset.
    """
    account = ACCOUNTS[name][0]
    proxy = Serving(ACCOUNTS[name])
    replayed = clientOf(account, WEB).seal(b"question")
    first = proxy.open()
    first.peerSends(replayed)
    proxy.settle()
    first.peerResets()
    assert len(proxy.network.attempts) == 1
    seen = {reaction(proxy, replayed, way)}
    assert len(proxy.network.attempts) == 1
    for each in (b"", *probes(name), *requests(account)):
        # Each at the same time.
        other = Serving(ACCOUNTS[name])
        seen.add(reaction(other, each, way))
        assert other.network.attempts == []
        assert other.network.queries == []
        assert other.traces() == []
    lost = PATIENCE if "ended" in way else PATIENCE + LINGER
    assert seen == {Seen(b"", PATIENCE, False, lost)}


def test_readOn() -> None:
    """
    However much a client sends it is read, so that nothing is left when the
    connection ends, which would make the kernel send a reset.
    """
    proxy = Serving()
    transport = proxy.open()
    for _ in range(100):
        transport.peerSends(bytes(65536))
        assert not transport.paused
    proxy.network.advance(PATIENCE)
    assert transport.ended
    transport.peerSends(b"more")
    assert not transport.lost


class DrawTests(SynchronousTestCase):
    """
    How long it takes.
    """

    def test_patience(self) -> None:
        """
        Servers differ, but not by much.
        """
        drawn = [drawPatience() for _ in range(200)]
        self.assertGreater(len(set(drawn)), 100)
        self.assertGreaterEqual(min(drawn), 0.75 * AVERAGE)
        self.assertLessEqual(max(drawn), 1.25 * AVERAGE)


class SilentTests(SynchronousTestCase):
    """
    How many there may be.
    """

    def setUp(self) -> None:
        """
        Start a server that has room for three.
        """
        self.events = self.enterContext(captured())
        self.silent = Silent(3)
        self.proxy = Serving(silent=self.silent)

    def test_oldestGoes(self) -> None:
        """
        When there are too many, the connection goes that is there for longest,
        whether it is known to be at fault or not.
        """
        transports = [self.proxy.open()]
        transports[0].peerSends(bytes(100))
        transports += [self.proxy.open() for _ in range(4)]
        transports[2].peerSends(bytes(100))
        self.proxy.settle()
        aborted = [transport.aborted for transport in transports]
        self.assertEqual(aborted, [True, True, False, False, False])
        self.assertEqual(len(self.silent), 3)

    def test_served(self) -> None:
        """
        Those are not counted that are served.
        """
        clients = [self.proxy.client() for _ in range(3)]
        for client in clients:
            client.sends(b"question")
        self.proxy.settle()
        for _ in range(3):
            self.proxy.open()
        self.proxy.settle()
        self.assertFalse(any(client.transport.aborted for client in clients))

    def test_brokenOnesAgain(self) -> None:
        """
        One that has been served and is at fault now is the youngest of them.
        """
        client = self.proxy.client()
        client.sends(b"question")
        others = [self.proxy.open() for _ in range(3)]
        client.transport.peerSends(bytes(100))
        self.proxy.settle()
        self.assertEqual([other.aborted for other in others], [True, False, False])
        self.assertFalse(client.transport.aborted)

    def test_gone(self) -> None:
        """
        Those are not counted that are gone.
        """
        for _ in range(10):
            self.proxy.open().peerResets()
        self.assertEqual(len(self.silent), 0)

    def test_shutDown(self) -> None:
        """
        They do not keep the service from stopping.
        """
        transport = self.proxy.open()
        transport.peerSends(bytes(100))
        self.assertFalse(self.proxy.only().shutDown())
        self.proxy.settle()
        self.assertTrue(transport.lost)
        self.assertEqual(self.proxy.traces(), [])


class DiagnosisTests(SynchronousTestCase):
    """
    What the log says of them.
    """

    def setUp(self) -> None:
        """
        Start a server.
        """
        self.events = self.enterContext(captured())
        self.proxy = Serving(NEW, inbound={"listener": "ss://here"})

    def warnings(self) -> list[str]:
        """
        Give the warnings.
        """
        return atLevel(self.events, LogLevel.warn)

    def probe(self, said: bytes = bytes(100), host: str = "198.51.100.7") -> MemoryTransport:
        """
        Say something.
        """
        transport = self.proxy.open(host)
        transport.peerSends(said)
        return transport

    def test_clock(self) -> None:
        """
        How much a client's clock differs is said, and in which direction.
        """
        self.assertIn("clock differs by 45 s, behind ours", self.skewed(-45))
        self.proxy.network.advance(1)
        self.assertIn("clock differs by 3600 s, ahead of ours", self.skewed(3600))

    def skewed(self, late: int) -> str:
        """
        Have a client whose clock is wrong make a request, and give the line.
        """
        stream = clientOf(fresh(NEW), WEB, wallClock=lambda: self.proxy.wallClock() + late)
        self.probe(stream.seal(b"question"))
        return self.warnings()[-1]

    def test_aSecond(self) -> None:
        """
        For each source there is a line a second at most, and for all together
        there are sixteen.
        """
        for number in range(3):
            self.probe()
            self.probe(host="198.51.100.8")
            self.assertEqual(len(self.warnings()), 2 * (number + 1))
            self.probe()
            self.assertEqual(len(self.warnings()), 2 * (number + 1))
            self.proxy.network.advance(1)
        for number in range(100):
            self.probe(host=f"192.0.2.{number}")
        self.assertEqual(len(self.warnings()), 6 + 16)

    def test_text(self) -> None:
        """
        A line says where and from whom.
        """
        self.probe()
        self.assertEqual(
            self.warnings(),
            [
                "Shadowsocks: a stream from 198.51.100.7:40000 to ss://here is not answered:"
                " it is noise, or made with another method or password"
            ],
        )

    def test_nothingOfTheNetwork(self) -> None:
        """
        Nothing that a client sends is in the log, nor any key.
        """
        said = b"secret words of a client" * 5
        self.probe(said)
        self.proxy.network.advance(2 * PATIENCE)
        shown = repr(self.events)
        self.assertNotIn("secret words", shown)
        for key in self.proxy.accounts[0].keys:
            self.assertNotIn(key.hex(), shown)
            self.assertNotIn(repr(key)[2:-1], shown)

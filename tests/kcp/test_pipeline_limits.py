"""
Tests for L{socksproxy.kcp.pipeline}: what limits a session besides its windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp.crypt import cipherFor
from socksproxy.kcp.pipeline import AMPLIFICATION
from socksproxy.testing import Conditions, Link, drive
from tests.kcp.blocks import (
    ACK,
    KEY,
    NOW,
    PUSH,
    WASK,
    WINS,
    Party,
    Plan,
    checkBounds,
    configFor,
    pipelineFor,
    segment,
    segmentsOf,
)


class CreditTests(SynchronousTestCase):
    """
    A server that does not know where its client is.
    """

    def test_little(self) -> None:
        """
        It sends three times what it got, at the most, until the client has
        acknowledged something.
        """
        server = pipelineFor(trusting=False)
        server.control.send(bytes(100_000))
        server.input([segment(PUSH, data=b"x" * 76)], NOW, 100)
        datagrams = server.flush(NOW)
        self.assertLessEqual(sum(map(len, datagrams)), AMPLIFICATION * 100)
        acknowledgement, pushed = segmentsOf(datagrams)
        self.assertEqual((acknowledgement.cmd, pushed.cmd), (ACK, PUSH))
        server.input([segment(ACK, sn=0, ts=pushed.ts, una=1)], NOW + 40, 24)
        self.assertGreater(sum(map(len, server.flush(NOW + 40))), 10_000)

    def test_nothing(self) -> None:
        """
        Without having got anything, it sends nothing and waits for nothing.
        """
        server = pipelineFor(trusting=False)
        server.control.send(bytes(1000))
        self.assertIsNone(server.nextDeadline(NOW))
        self.assertEqual(server.flush(NOW), [])

    def test_trusting(self) -> None:
        """
        A client knows where its server is.
        """
        client = pipelineFor(trusting=True)
        client.control.send(bytes(20_000))
        self.assertGreater(sum(map(len, client.flush(NOW))), 20_000)


@pytest.mark.parametrize("lost", [(), (0,), (0, 1), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "message"])
@pytest.mark.parametrize("datashard", [0, 1, 10])
@pytest.mark.parametrize("crypt", ["null", "aes-128-gcm"])
def test_answer(crypt: str, datashard: int, stream: bool, lost: Sequence[int]) -> None:
    """
    A small request gets a large answer, also if the first datagrams of the
    answer are lost.
    """
    link = Link(Conditions(latency=40), Conditions(latency=40, loss=lost))
    config = configFor(stream=stream, datashard=datashard)
    cipher = cipherFor(crypt, KEY)
    answer = Random(1).randbytes(50_000)
    client = Party(link, config, Plan([(0, b"?")]), cipher=cipher)
    server = Party(link, config, Plan([(1, answer)]), cipher=cipher, trusting=False)
    took = drive(link, (client, server), lambda: client.idle and server.idle)
    assert b"".join(client.heard) == answer
    assert server.control.proven
    # Two round trips, or what a timeout and its repetitions take.
    assert took < (1500 if lost else 400)


class Recorded(Party):
    """
    An end whose datagrams somebody records.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.record: list[tuple[int, bytes]] = []

    def flush(self, now: int) -> list[bytes]:
        """
        See L{Party.flush}.
        """
        datagrams = super().flush(now)
        self.record += [(self.elapsed, datagram) for datagram in datagrams]
        return datagrams


def test_replay() -> None:
    """
    Somebody without the key who repeats what a client once sent, from an
    address that is not his, does not make the server send more than three times
    as much.
    """
    cipher = cipherFor("aes-128-gcm", KEY)
    link, config, answer = Link(latency=40), configFor(), bytes(50_000)
    client = Recorded(link, config, Plan([(0, b"?")], chunk=65536), cipher=cipher)
    server = Party(link, config, Plan([(1, answer)]), cipher=cipher, trusting=False)
    drive(link, (client, server), lambda: client.idle and server.idle)
    assert sum(map(len, client.heard)) == len(answer)
    victim = pipelineFor("aes-128-gcm", trusting=False)
    later = link.now + 3_600_000
    received = answered = 0
    for elapsed, datagram in client.record:
        now = later + elapsed
        received += len(datagram)
        (payload,) = cipher.open([datagram])
        assert payload is not None
        victim.input([payload], now, len(datagram))
        if received == len(datagram):
            victim.control.send(answer)
        answered += sum(map(len, victim.flush(now)))
        assert answered <= AMPLIFICATION * received
    # What was acknowledged is believed, and proves nothing.
    assert victim.control.progress == 2
    assert not victim.control.proven


@pytest.mark.parametrize("loss", [0, 0.2])
@pytest.mark.parametrize("datashard", [0, 10])
def test_ratelimit(datashard: int, loss: float) -> None:
    """
    A ceiling holds for everything that goes over the wire: repetitions, parity,
    and what is around the data, but for what may go out at a time.
    """
    rate = 20
    link = Link(latency=40, loss=loss, seed=3)
    config = configFor(ratelimit=rate * 1000, datashard=datashard, mtu=500)
    data = Random(2).randbytes(60_000)
    sender = Recorded(link, config, Plan([(0, data)]))
    receiver = Party(link, configFor(datashard=datashard), Plan(chunk=65536))
    took = drive(link, (sender, receiver), lambda: sender.idle and receiver.idle)
    assert b"".join(receiver.heard) == data
    sent = 0
    for elapsed, datagram in sender.record:
        sent += len(datagram)
        # A segment to begin with, and a group's parity.
        assert sent <= rate * elapsed + 500 + (3 * 500 if datashard else 0)
    assert sent > 0.9 * rate * took - 10_000


guesses = st.builds(
    segment,
    st.sampled_from((PUSH, ACK, WASK, WINS)),
    sn=st.integers(0, 6),
    una=st.integers(0, 6),
    # Whoever has not got a segment does not know when it was sent.
    ts=st.integers(0, NOW - 1),
    wnd=st.sampled_from((0, 1, 32, 65535)),
    data=st.binary(max_size=80),
)


@given(
    st.sampled_from((0, 1, 3)),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.lists(guesses, max_size=3), st.integers(0, 400)), max_size=25),
)
@settings(deadline=None, max_examples=200)
def test_amplification(
    datashard: int, stream: bool, adaptive: bool, rounds: list[tuple[list[bytes], int]]
) -> None:
    """
    Whatever somebody sends who gets no answers, he does not make the server
    send more than three times as much.
    """
    server = pipelineFor("none", False, datashard=datashard, stream=stream, adaptive=adaptive)
    server.control.send(bytes(30_000))
    cipher = cipherFor("none", KEY)
    now, received, answered = NOW, 0, 0
    for payloads, wait in rounds:
        octets = sum(map(len, cipher.seal(payloads)))
        received += octets
        server.input(payloads, now, octets)
        for _ in range(4):
            answered += sum(map(len, server.flush(now)))
            assert answered <= AMPLIFICATION * received
            checkBounds(server.control)
            deadline = server.nextDeadline(now)
            if deadline != 0:
                break
        assert deadline != 0
        now += wait
    assert not server.control.proven
    assert server.statistics.outBytes == answered

"""
Tests for L{socksproxy.state}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.log import jsonLine, textLine
from socksproxy.smux import MuxProtocol, SmuxConfig
from socksproxy.smux.transport import MuxAddress
from socksproxy.state import (
    ICounts,
    IReportsState,
    Numbers,
    State,
    closeSessions,
    numbersOf,
    placeOf,
    reportOf,
    shown,
    totalOf,
)
from tests.keepers import Keeper
from tests.logs import captured


@implementer(IReportsState)
class Talker:
    """
    Has something to say.
    """

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}.
        """
        yield State("listener", "one", {})


@implementer(ICounts)
class Counter(Protocol):
    """
    Counts.
    """

    def numbers(self) -> Numbers:
        """
        See L{ICounts}.
        """
        return {"streams": 3}


class StateTests(SynchronousTestCase):
    """
    Tests for L{State}.
    """

    def emitted(self, state: State) -> tuple[str, dict[str, object]]:
        """
        Log a state.

        @return: The line of text, and the fields of the JSON.
        """
        with captured() as events:
            state.emit()
        (event,) = events
        return textLine(event) or "", json.loads(jsonLine(event) or "")

    def test_text(self) -> None:
        """
        People read what is not nothing.
        """
        numbers = {"a": 1, "b": 0, "c": "x", "d": "-", "e": "", "f": 0.5, "g": 0.0}
        text, _ = self.emitted(State("listener", "tcp:1", numbers))
        self.assertTrue(text.endswith("] State of listener tcp:1: a 1, c x, f 0.500\n"), text)

    def test_json(self) -> None:
        """
        Programs read everything.
        """
        numbers = {"a": 1, "b": 0, "c": "x", "d": "-", "f": 0.5}
        _, fields = self.emitted(State("listener", "tcp:1", numbers))
        self.assertLessEqual(numbers.items(), fields.items())
        self.assertEqual(
            (fields["event"], fields["kind"], fields["name"]), ("state", "listener", "tcp:1")
        )

    def test_nothing(self) -> None:
        """
        Nothing at all is said in a word.
        """
        self.assertEqual(shown({"a": 0}), "nothing")


class AskingTests(SynchronousTestCase):
    """
    Who has something to say.
    """

    def test_report(self) -> None:
        """
        Those are asked who can be, and nobody else.
        """
        verifyObject(IReportsState, Talker())
        self.assertEqual([state.name for state in reportOf(Talker())], ["one"])
        self.assertEqual(list(reportOf(object())), [])
        self.assertEqual(list(reportOf(None)), [])

    def test_numbers(self) -> None:
        """
        A protocol is asked, also behind a wrapper, and others have none.
        """
        counter = Counter()
        verifyObject(ICounts, counter)
        wrapper = ProtocolWrapper(WrappingFactory(None), counter)
        self.assertEqual(numbersOf(counter), {"streams": 3})
        self.assertEqual(numbersOf(wrapper), {"streams": 3})
        self.assertEqual(numbersOf(Protocol()), {})
        self.assertEqual(numbersOf(None), {})

    def test_mux(self) -> None:
        """
        Sessions of smux count.
        """
        mux = MuxProtocol(Clock(), SmuxConfig(), client=True)
        verifyObject(ICounts, mux)
        self.assertEqual(numbersOf(mux), {"streams": 0, "streamsBegun": 0})


class TotalTests(SynchronousTestCase):
    """
    Tests for L{totalOf}.
    """

    def test_sum(self) -> None:
        """
        Ports and clients of KCP are added up; their sessions are in them
        already.
        """
        (total,) = totalOf(
            [
                State("listener", "x", {"connections": 1}),
                State("kcp-port", "a", {"InPkts": 1, "OutPkts": 0}),
                State("kcp-session", "b", {"InPkts": 1}),
                State("kcp-client", "c", {"InPkts": 20, "OutPkts": 0}),
            ]
        )
        self.assertEqual(total.kind, "totals")
        self.assertEqual(dict(total.numbers), {"InPkts": 21, "OutPkts": 0})

    def test_none(self) -> None:
        """
        Without KCP there is no total.
        """
        self.assertEqual(totalOf([State("listener", "x", {"connections": 1})]), [])


class PlaceTests(SynchronousTestCase):
    """
    Tests for L{placeOf}.
    """

    def test_places(self) -> None:
        """
        Addresses are written as people do, those of streams as what carries
        them.
        """
        four = IPv4Address("TCP", "192.0.2.1", 80)
        self.assertEqual(placeOf(four), "192.0.2.1:80")
        self.assertEqual(placeOf(IPv6Address("UDP", "2001:db8::1", 80)), "[2001:db8::1]:80")
        self.assertEqual(placeOf(MuxAddress(MuxAddress(four, 3), 5)), "192.0.2.1:80")
        for other in (UNIXAddress("/x"), HostnameAddress(b"x", 1), None):
            self.assertEqual(placeOf(other), str(other))


@implementer(IReportsState)
class ClosedPort:
    """
    Cannot say any more where it was.
    """

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}.
        """
        raise OSError
        yield


class ClosedTests(SynchronousTestCase):
    """
    Tests for L{reportOf}, of ports that are closed.
    """

    def test_closed(self) -> None:
        """
        They have nothing to say.
        """
        self.assertEqual(list(reportOf(ClosedPort())), [])


class CloseSessionsTests(SynchronousTestCase):
    """
    Tests for L{closeSessions}.
    """

    def test_waits(self) -> None:
        """
        All who keep sessions are told to close them, and waited for; others
        are left alone.
        """
        keepers = [Keeper(), Keeper()]
        closing = closeSessions([keepers[0], None, Talker(), keepers[1]], 2.5)
        for keeper in keepers:
            self.assertNoResult(closing)
            self.assertEqual([patience for patience, _ in keeper.closing], [2.5])
            keeper.closed()
        self.assertIsNone(self.successResultOf(closing))

    def test_none(self) -> None:
        """
        Where nobody keeps any there is nothing to wait for.
        """
        self.assertIsNone(self.successResultOf(closeSessions([None])))

    def test_fails(self) -> None:
        """
        Who fails keeps nobody else from it.
        """
        keepers = [Keeper(), Keeper()]
        closing = closeSessions(keepers)
        self.assertEqual([patience for patience, _ in keepers[1].closing], [None])
        keepers[0].closing[0][1].errback(ZeroDivisionError())
        self.assertNoResult(closing)
        keepers[1].closed()
        self.assertIsNone(self.successResultOf(closing))

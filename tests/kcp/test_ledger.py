"""
Tests for L{socksproxy.kcp.ledger}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.events import Ration
from socksproxy.kcp import SessionTimers
from socksproxy.log import jsonLine, textLine
from socksproxy.state import ICounts, IReportsState, Numbers, State
from tests.kcp.blocks import PUSH, segment
from tests.kcp.network import (
    CLIENT,
    HOST,
    KEY,
    OPENING,
    PORT,
    Counting,
    Echo,
    KCPNetworkTests,
    Recorder,
)
from tests.logs import captured

MOST_LINES = 16


@implementer(ICounts)
class Numbered(Recorder):
    """
    An application that counts.
    """

    def numbers(self) -> Numbers:
        """
        See L{ICounts}.
        """
        return {"streams": 7}


def endings(events: list[LogEvent]) -> list[LogEvent]:
    """
    Give the events of sessions that have ended.
    """
    return [event for event in events if event.get("log_event") == "kcp-session"]


class EndingTests(KCPNetworkTests):
    """
    The line that a session makes when it ends.
    """

    def ends(self, how: Any, build: type[Protocol] = Recorder) -> LogEvent:
        """
        Have a session that carries something end.

        @param how: Called with the client's application.
        @return: The event of the client.
        """
        self.start(Echo)
        client, _ = self.joined(build, timers=SessionTimers(dead=5))
        client.transport.write(b"x" * 5000)
        self.settle()
        self.client = client.transport
        with captured() as events:
            how(client)
            self.settle(30)
        (event,) = endings(events)
        return event

    def test_text(self) -> None:
        """
        It says with whom, for how long, why it ended, and what it has counted,
        without what is nothing.
        """
        event = self.ends(lambda client: client.transport.loseConnection())
        line = textLine(event) or ""
        self.assertRegex(
            line,
            rf"KCP session with {HOST}:{PORT} ended after \d+\.\d\d\d s: closed; .*BytesSent 5100,",
        )
        self.assertIn("BytesReceived 5100,", line)
        self.assertNotIn(" 0,", line)
        self.assertNotIn("FECRecovered", line)
        self.assertNotIn(KEY, line)

    def test_json(self) -> None:
        """
        Programs find every counter, under kcptun's names.
        """
        event = self.ends(lambda client: client.transport.loseConnection())
        fields = json.loads(jsonLine(event) or "")
        expected = self.client.statistics.snmp()
        self.assertEqual({name: fields[name] for name in expected}, expected)
        self.assertEqual(fields["BytesSent"], 5100)
        self.assertEqual(fields["FECRecovered"], 0)
        self.assertEqual(
            (fields["event"], fields["level"], fields["peer"], fields["reason"]),
            ("kcp-session", "info", f"{HOST}:{PORT}", "closed"),
        )
        self.assertEqual(fields["srtt"], self.client.srtt)
        self.assertEqual(fields["rto"], self.client.rto)
        self.assertEqual(fields["conversation"], f"{self.client.conversation:08x}")
        self.assertGreater(fields["duration"], 1)

    def test_reasons(self) -> None:
        """
        The reason is the one that the application is told.
        """
        self.assertEqual(
            self.ends(lambda client: client.transport.abortConnection())["reason"], "aborted"
        )

        def silence(client: Any) -> None:
            self.network.rebind(self.onWire(client.transport))
            client.transport.write(b"x")

        self.assertEqual(self.ends(silence)["reason"], "the peer acknowledges nothing")

    def test_fault(self) -> None:
        """
        That an application has failed is said with the error's name alone.
        """

        class Faulty(Recorder):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError("a secret")

        self.start(Echo)
        client = self.connect(Faulty)
        with captured() as events:
            client.transport.write(OPENING)
            self.settle()
        self.flushLoggedErrors(ZeroDivisionError)
        (event,) = endings(events)
        self.assertEqual(event["reason"], "failed with ZeroDivisionError")

    def test_application(self) -> None:
        """
        What the application counts stands there, too.
        """
        event = self.ends(lambda client: client.transport.loseConnection(), Numbered)
        self.assertEqual(event["streams"], 7)
        self.assertIn("streams 7", textLine(event) or "")

    def test_strangers(self) -> None:
        """
        Sessions that nobody has proved to be real make so many lines in a
        second, and are counted.
        """
        self.start(timers=SessionTimers(dead=5, idle=20))
        stranger = self.stranger()
        for conversation in range(1, 101):
            stranger.say(segment(PUSH, conv=conversation, data=b"x"))
        self.settle()
        self.assertEqual(len(self.server.sessions), 100)
        with captured() as events:
            self.settle(60)
        self.assertEqual(self.server.sessions, {})
        self.assertEqual(len(endings(events)), MOST_LINES)
        self.assertEqual(self.server.counted.unproven, 100)

    def test_real(self) -> None:
        """
        Sessions of clients that are real each make one.
        """
        self.start(Echo, timers=SessionTimers(dead=5, idle=20))
        clients = [self.joined()[0] for _ in range(MOST_LINES + 4)]
        self.settle()
        with captured() as events:
            for client in clients:
                client.transport.abortConnection()
            self.settle(60)
        lines = endings(events)
        self.assertEqual(len([e for e in lines if e["peer"] == f"{HOST}:{PORT}"]), len(clients))
        self.assertEqual(len([e for e in lines if CLIENT in e["peer"]]), len(clients))
        self.assertEqual(self.server.counted.unproven, 0)

    def test_ration(self) -> None:
        """
        The number is the one that there is for everything of the kind.
        """
        ration = Ration()
        self.assertEqual(sum(ration.take(1.0) for _ in range(100)), MOST_LINES)


class ReportTests(KCPNetworkTests):
    """
    What goes on right now.
    """

    def test_port(self) -> None:
        """
        A port tells of itself and of each of its sessions.
        """
        self.start(Echo)
        client, _ = self.joined()
        self.stranger().send(bytes(100), bytes(100))
        self.settle()
        verifyObject(IReportsState, self.listening)
        port, session = list(self.listening.report())
        self.assertEqual((port.kind, port.name), ("kcp-port", f"{HOST}:{PORT}"))
        self.assertEqual(port.numbers["PassiveOpens"], 1)
        self.assertEqual(port.numbers["ActiveOpens"], 0)
        self.assertEqual(port.numbers["CurrEstab"], 1)
        self.assertEqual(port.numbers["InErrs"], 2)
        self.assertEqual(port.numbers["BytesReceived"], len(OPENING))
        self.assertEqual(session.kind, "kcp-session")
        self.assertEqual(session.name, f"{CLIENT}:{client.transport.getHost().port}")
        self.assertEqual(session.numbers["port"], port.name)
        self.assertEqual(session.numbers["BytesReceived"], len(OPENING))
        self.assertEqual(session.numbers["conversation"], f"{client.transport.conversation:08x}")

    def test_unreadable(self) -> None:
        """
        What cannot be decrypted has failed its checksum.
        """
        self.start(crypt="aes")
        self.stranger().send(bytes(100), bytes(100), bytes(100))
        self.settle()
        (port,) = self.listening.report()
        self.assertEqual((port.numbers["InCsumErrors"], port.numbers["InErrs"]), (3, 0))

    def test_after(self) -> None:
        """
        What ended sessions have counted stays in the totals of the port.
        """
        self.start(Echo, timers=SessionTimers(idle=20))
        for _ in range(2):
            client, _ = self.joined()
            client.transport.loseConnection()
        self.settle(60)
        (port,) = self.listening.report()
        self.assertEqual(port.numbers["BytesReceived"], 2 * len(OPENING))
        self.assertEqual((port.numbers["CurrEstab"], port.numbers["PassiveOpens"]), (0, 2))

    def test_client(self) -> None:
        """
        A client's endpoint tells of all sessions that it has begun, each of
        which has a port of its own.
        """
        self.start(Echo)
        endpoint = self.endpoint()
        verifyObject(IReportsState, endpoint)
        clients = []
        for _ in range(3):
            client: Any = self.successResultOf(endpoint.connect(Counting()))
            client.transport.write(OPENING)
            clients.append(client)
        self.settle()
        clients[0].transport.abortConnection()
        self.settle()
        states = list(endpoint.report())
        self.assertEqual([state.kind for state in states], ["kcp-client"] + 2 * ["kcp-session"])
        total = states[0].numbers
        self.assertEqual((total["ActiveOpens"], total["PassiveOpens"]), (3, 0))
        self.assertEqual((total["CurrEstab"], total["MaxConn"]), (2, 3))
        self.assertEqual(total["BytesSent"], 3 * len(OPENING))
        self.assertEqual({state.name for state in states}, {f"{HOST}:{PORT}"})

    def test_values(self) -> None:
        """
        What has been told does not change any more.
        """
        self.start(Echo)
        client, _ = self.joined()
        before: list[State] = list(self.listening.report())
        texts = [str(state) for state in before]
        client.transport.write(b"more")
        self.settle()
        self.assertEqual([str(state) for state in before], texts)
        self.assertNotEqual([str(state) for state in self.listening.report()], texts)

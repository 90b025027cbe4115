"""
Tests for L{socksproxy.smux.endpoints}: how sessions begin and end.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    TCPTimedOutError,
)

from socksproxy.smux.endpoints import STALLED_AFTER
from tests.smux.carriers import (
    Counted,
    EndpointTestCase,
)
from tests.smux.muxes import Application, Applications


class DialTests(EndpointTestCase):
    """
    Sessions that take time to be made.
    """

    def setUp(self) -> None:
        """
        Have them take time.
        """
        self.start()
        self.carrier.held = True

    def test_shared(self) -> None:
        """
        Those who connect while a session is being made share it.
        """
        connecting = [self.endpoint.connect(Applications(Application)) for _ in range(5)]
        self.assertEqual(len(self.carrier.dials), 1)
        for each in connecting:
            self.assertNoResult(each)
        self.carrier.answer()
        for each in connecting:
            self.successResultOf(each)
        self.assertEqual(self.loads, [5])

    def test_fails(self) -> None:
        """
        If it cannot be made all those fail, and the next one tries again.
        """
        factories = [Counted() for _ in range(3)]
        connecting = [self.endpoint.connect(factory) for factory in factories]
        self.carrier.refuse()
        for each in connecting:
            self.failureResultOf(each, TCPTimedOutError)
        self.assertEqual([factory.told for factory in factories], [["start", "stop"]] * 3)
        self.assertNothingLeft()
        again = self.endpoint.connect(Applications(Application))
        self.carrier.answer()
        self.successResultOf(again)

    def test_failsAtOnce(self) -> None:
        """
        It is the same with a carrier that fails or raises at once.
        """

        def refuse(factory: object) -> Any:
            raise TCPTimedOutError

        self.carrier.connect = refuse  # type: ignore[assignment]
        for _ in range(2):
            self.failureResultOf(self.endpoint.connect(Counted()), TCPTimedOutError)
        self.assertNothingLeft()

    def test_connectsFromCallback(self) -> None:
        """
        Who connects again when a connection has been made, or could not be, is
        served.
        """
        done: list[object] = []

        def again(result: object) -> None:
            self.endpoint.connect(Applications(Application)).addBoth(done.append)

        self.endpoint.connect(Applications(Application)).addBoth(again)
        self.carrier.refuse()
        self.assertEqual(len(self.carrier.dials), 1)
        self.endpoint.connect(Applications(Application)).addBoth(again)
        self.carrier.answer()
        self.assertEqual([type(each) for each in done], [Application] * 2)
        self.assertEqual(self.loads, [3])

    def test_cancelOne(self) -> None:
        """
        Who does not want to wait any more fails, and disturbs no others.
        """
        factory = Counted()
        given = self.endpoint.connect(factory)
        other = self.endpoint.connect(Applications(Application))
        given.cancel()
        self.failureResultOf(given, CancelledError)
        self.assertEqual(factory.told, ["start", "stop"])
        self.assertEqual(self.carrier.cancelled, 0)
        self.carrier.answer()
        self.successResultOf(other)
        self.assertEqual((self.loads, factory.made), ([1], []))

    def test_cancelOther(self) -> None:
        """
        Who is served may cancel others that wait, and the rest is served.
        """
        connecting = [self.endpoint.connect(Applications(Application)) for _ in range(3)]
        connecting[0].addCallback(lambda _: connecting[1].cancel())
        self.carrier.answer()
        self.failureResultOf(connecting[1], CancelledError)
        self.successResultOf(connecting[2])
        self.assertEqual(self.loads, [2])

    def test_cancelAll(self) -> None:
        """
        When nobody waits any more the attempt is given up, and the next
        connection makes one of its own.
        """
        connecting = [self.endpoint.connect(Counted()) for _ in range(2)]
        for each in connecting:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual((self.carrier.cancelled, self.carrier.dials), (1, []))
        self.assertNothingLeft()
        another = self.endpoint.connect(Counted())
        self.carrier.answer()
        self.successResultOf(another)

    def test_cancelLate(self) -> None:
        """
        Cancelling what has succeeded does nothing.
        """
        connecting = self.endpoint.connect(Applications(Application))
        self.carrier.answer()
        connecting.cancel()
        client: Any = self.successResultOf(connecting)
        self.assertIsNone(client.reason)
        self.assertEqual(self.loads, [1])

    def test_cancelNotSpare(self) -> None:
        """
        A session that is being made for later is not given up with those who
        came to need it at once.
        """
        self.start(sessions=2)
        self.connect()
        self.carrier.held = True
        self.connect()
        self.carrier.lines[0].here.peerResets()
        waiting = self.endpoint.connect(Counted())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual((self.carrier.cancelled, len(self.carrier.dials)), (0, 1))
        self.carrier.answer()
        self.connect()
        self.assertEqual(self.loads, [0, 1])

    def test_lostAtOnce(self) -> None:
        """
        A session that has ended before anybody could use it is a failure to
        connect, and nothing of it stays.
        """
        self.start(autoexpire=60)
        self.carrier.held = True
        connecting = self.endpoint.connect(Counted())
        self.carrier.answer(lost=True)
        self.failureResultOf(connecting, ConnectError)
        self.carrier.lines[0].there.peerResets()
        self.assertNothingLeft()


class ExpiryTests(EndpointTestCase):
    """
    Sessions that are renewed from time to time.
    """

    def setUp(self) -> None:
        """
        Have them expire.
        """
        self.start(autoexpire=60, scavengettl=100)

    def test_expires(self) -> None:
        """
        An expired session gets no new streams, goes on with those that it has,
        and ends with the last of them.
        """
        client = self.connect()
        self.wait(59)
        self.connect().transport.loseConnection()
        self.settle()
        self.assertEqual(self.loads, [1])
        self.wait(1)
        self.connect()
        self.assertEqual(self.loads, [1, 1])
        client.transport.write(b"still there")
        self.settle()
        self.assertEqual(client.data, b"still there")
        client.transport.loseConnection()
        self.settle()
        self.assertEqual([line.here.lost for line in self.carrier.lines], [True, False])
        self.assertIs(client.end, ConnectionDone)

    def test_expiresIdle(self) -> None:
        """
        One without streams ends as soon as it expires.
        """
        self.connect().transport.loseConnection()
        self.wait(59)
        self.assertFalse(self.carrier.lines[0].here.lost)
        self.wait(1)
        self.assertNothingLeft()

    def test_scavenged(self) -> None:
        """
        The rest of its streams are dropped when their time is over.
        """
        client = self.connect()
        self.wait(159)
        self.assertIsNone(client.reason)
        self.wait(1)
        self.assertIs(client.end, ConnectionAborted)
        self.assertNothingLeft()

    def test_endsBefore(self) -> None:
        """
        A session that ends by itself leaves no timer, before it expires as
        after that.
        """
        for seconds in (10, 70):
            self.start(autoexpire=60, scavengettl=100)
            self.connect()
            self.wait(seconds)
            self.carrier.lines[0].here.peerResets()
            self.carrier.lines[0].there.peerResets()
            self.assertNothingLeft()

    def test_never(self) -> None:
        """
        Sessions stay if nothing is said of it.
        """
        self.start()
        self.connect().transport.loseConnection()
        self.wait(3600)
        self.connect()
        self.assertEqual(self.loads, [1])


class StallTests(EndpointTestCase):
    """
    Sessions whose carrier gets rid of nothing.
    """

    def stall(self, line: int, seconds: float) -> None:
        """
        Have a carrier say that it got rid of nothing.
        """
        self.carrier.lines[line].here.stalled = seconds  # type: ignore[attr-defined]

    def test_avoided(self) -> None:
        """
        After three seconds of that new streams go elsewhere, and the session
        has its streams.
        """
        client = self.connect()
        self.settle()
        self.stall(0, STALLED_AFTER - 0.1)
        self.connect()
        self.assertEqual(self.loads, [2])
        self.stall(0, STALLED_AFTER)
        self.connect()
        self.connect()
        self.assertEqual(self.loads, [2, 2])
        client.transport.write(b"late")
        self.settle()
        self.assertEqual(client.data, b"late")

    def test_manyInterruptions(self) -> None:
        """
        However often that happens, sessions too many end after their last
        stream.
        """
        client = self.connect()
        for number in range(20):
            self.stall(number, 5)
            self.connect().transport.loseConnection()
            self.settle()
            self.stall(number, 0)
            self.connect().transport.loseConnection()
            self.settle()
        open_ = [number for number, line in enumerate(self.carrier.lines) if not line.here.lost]
        self.assertEqual(open_, [0, len(self.carrier.lines) - 1])
        self.assertIsNone(client.reason)
        client.transport.loseConnection()
        self.settle()
        self.assertTrue(self.carrier.lines[0].here.lost)

    def test_reported(self) -> None:
        """
        It shows in what an endpoint tells.
        """
        self.connect()
        self.stall(0, 5)
        self.connect()
        usable = [state.numbers["usable"] for state in self.endpoint.report()]
        self.assertEqual(usable, ["no", "yes"])


class CloseTests(EndpointTestCase):
    """
    Clients that are done.
    """

    def test_close(self) -> None:
        """
        Sessions end after their last stream, and nothing is left.
        """
        self.start(sessions=3, autoexpire=60)
        clients = [self.connect() for _ in range(3)]
        clients[0].transport.loseConnection()
        self.settle()
        self.endpoint.close()
        self.settle()
        self.assertEqual([line.here.lost for line in self.carrier.lines], [True, False, False])
        for client in clients[1:]:
            client.transport.write(b"to the end")
            client.transport.loseWriteConnection()
        self.settle()
        for client, server in zip(clients[1:], self.accepted.made[1:], strict=True):
            self.assertEqual(client.data, b"to the end")
            server.transport.loseConnection()
        self.assertNothingLeft()

    def test_closeWhileDialling(self) -> None:
        """
        Those who wait for a session get it, and it ends after their streams.
        """
        self.carrier.held = True
        connecting = self.endpoint.connect(Applications(Application))
        self.endpoint.close()
        self.carrier.answer()
        client: Any = self.successResultOf(connecting)
        client.transport.write(b"still")
        self.settle()
        self.assertEqual(client.data, b"still")
        client.transport.loseConnection()
        self.assertNothingLeft()

    def test_closeFails(self) -> None:
        """
        If there is to be none they fail.
        """
        self.carrier.held = True
        connecting = self.endpoint.connect(Applications(Application))
        self.endpoint.close()
        self.carrier.refuse()
        self.failureResultOf(connecting, TCPTimedOutError)
        self.assertNothingLeft()

    def test_closeSpare(self) -> None:
        """
        No session is made for later then.
        """
        self.start(sessions=2)
        clients = [self.connect()]
        self.carrier.held = True
        clients.append(self.connect())
        self.endpoint.close()
        self.assertEqual((self.carrier.cancelled, self.carrier.dials), (1, []))
        for client in clients:
            client.transport.loseConnection()
        self.assertNothingLeft()

    def test_again(self) -> None:
        """
        A client that is closed can be used again.
        """
        self.connect().transport.loseConnection()
        self.settle()
        self.endpoint.close()
        self.connect()
        self.assertEqual(self.loads, [0, 1])

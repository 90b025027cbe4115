"""
Tests for L{socksproxy.inbound}: connections that carry several requests.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.credentials import Anonymous
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination, IPAddress, hostFromName
from socksproxy.errors import MalformedMessage, RequestFailed, SOCKSProxyError
from socksproxy.inbound import Handshake, InboundFactory, InboundProtocol
from socksproxy.relay import Leg
from socksproxy.testing import MemoryTransport
from tests.accesslines import accessLines
from tests.logs import captured
from tests.memoryproxy import MemoryProxy, SoleUser


class Knocks(Handshake):
    """
    A protocol of lines, each with the name of a host, which is answered with
    whether there is anybody; C{=} before it asks for a tunnel.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Take lines.
        """
        for line in data.decode().splitlines():
            self._knock(line)

    def _knock(self, line: str) -> None:
        connection = self.connection
        if line == "?":
            connection.fail(MalformedMessage("that is no host"))
            return
        destination = Destination(hostFromName(line.removeprefix("=").encode()), 80)
        connection.requestBegun()
        login = connection.login(Anonymous(), "KNOCK")
        if line.startswith("="):
            login.addCallback(lambda _: connection.connect(destination, self))
            return
        login.addCallback(
            lambda _: connection.attempt(
                "KNOCK", destination, lambda avatar: avatar.connect(destination), self.open, self.no
            )
        )

    def open(self, target: Leg) -> None:
        """
        Somebody is there.
        """
        target.transport.loseConnection()
        self._answer(b"yes\n", None)

    def no(self, error: RequestFailed) -> None:
        """
        Nobody is.
        """
        self._answer(b"no\n", error)

    def _answer(self, message: bytes, error: SOCKSProxyError | None) -> None:
        connection = self.connection
        connection.record.sent += 1
        connection.settle(message, error)
        connection.nextRequest()
        connection.allow(7, lambda: connection.leave("late"))

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        self.connection.record.sent += 100
        return b"="

    def refused(self, error: RequestFailed) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return b"!"

    def takeEarlyData(self) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return b""


class KnocksFactory(InboundFactory):
    """
    Makes its servers.
    """

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return Knocks(connection)


class SequenceTests(SynchronousTestCase):
    """
    A protocol can answer one request after another.
    """

    def start(self, **options: Any) -> MemoryTransport:
        """
        Start a proxy, and connect a client.
        """
        self.proxy = MemoryProxy(**options)
        self.proxy.factory = KnocksFactory(self.proxy.inbound)  # type: ignore[assignment]
        return self.proxy.connect()

    def say(self, client: MemoryTransport, said: bytes) -> bytes:
        """
        Have the client say something, and take what it is answered.
        """
        client.peerSends(said)
        self.proxy.settle()
        return client.take()

    def test_lines(self) -> None:
        """
        Each has a line of its own that counts from where it began, and waiting
        for the next has none.
        """
        client = self.start()
        with captured() as events:
            self.proxy.network.advance(5)
            self.assertEqual(self.say(client, b"web.test\n"), b"yes\n")
            self.proxy.network.advance(5)
            self.assertEqual(self.say(client, b"192.0.2.2\n"), b"no\n")
            client.peerResets()
        self.assertEqual(
            [
                (line["destination"], line["result"], line["reason"], line["duration"])
                for line in accessLines(events)
            ],
            [
                ("web.test:80", "succeeded", "answered", 0.0),
                ("192.0.2.2:80", "connection refused", "connection refused", 0.0),
            ],
        )
        self.assertEqual([line["sent"] for line in accessLines(events)], [1, 1])
        self.assertEqual(self.proxy.traces(), [])

    def test_sessions(self) -> None:
        """
        Each has a session of its own, which ends with it.
        """
        realm = SoleUser(lambda: self.legs.pop())
        client = self.start(realm=realm, checkers=[AllowAnonymousAccess()])
        self.legs: list[Any] = []
        for number in range(1, 4):
            self.legs.append(_failing())
            self.assertEqual(self.say(client, b"web.test\n"), b"no\n")
            self.assertEqual(realm.logouts, number)
        client.peerResets()
        self.assertEqual(realm.logouts, 3)

    def test_loginForEach(self) -> None:
        """
        One request's login does not count for the next.
        """
        client = self.start()
        self.say(client, b"web.test\n")
        protocol = self.proxy.protocol()
        web = Destination("web.test", 80)
        answers = Knocks(protocol)
        self.assertRaises(RuntimeError, protocol.connect, web, answers)

    def test_time(self) -> None:
        """
        The time that a client is given starts anew each time.
        """
        client = self.start()
        for _ in range(3):
            self.say(client, b"web.test\n")
            self.proxy.network.advance(6.75)
            self.assertFalse(client.disconnecting)
        self.proxy.network.advance(0.25)
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertFalse(client.aborted)
        self.assertEqual(self.proxy.traces(), [])

    def test_tunnel(self) -> None:
        """
        The last can be a tunnel, to whose octets come those that were counted
        before.
        """
        client = self.start()
        self.say(client, b"web.test\n")
        with captured() as events:
            self.assertEqual(self.say(client, b"=web.test\n"), b"=")
            self.say(client, b"abc")
            self.assertEqual(self.proxy.protocol().moved(), (103, 0))
            client.peerEnds()
            self.proxy.target().peerEnds()
            self.proxy.settle()
        (line,) = accessLines(events)
        self.assertEqual((line["sent"], line["received"]), (103, 0))
        self.assertEqual(self.proxy.traces(), [])

    def test_malformedLater(self) -> None:
        """
        A client that breaks the protocol after it has been served still gets
        the answer.
        """
        client = self.start()
        client.peerSends(b"web.test\n")
        self.proxy.settle()
        client.peerSends(b"?\n")
        self.assertEqual(client.take(), b"yes\n")
        self.assertTrue(client.ended)
        self.assertFalse(client.aborted)

    def test_refusedTunnel(self) -> None:
        """
        Without a tunnel that is the end.
        """
        client = self.start()
        self.assertEqual(self.say(client, b"=192.0.2.2\n"), b"!")
        self.assertTrue(client.ended)

    def test_closedMeanwhile(self) -> None:
        """
        A tunnel to a client that is being closed is closed, too.
        """
        client = self.start()
        client.peerSends(b"=web.test\n")
        self.proxy.protocol().leave("enough")
        self.proxy.settle()
        self.assertEqual(client.take(), b"")
        self.assertTrue(self.proxy.target().aborted)
        self.proxy.settle()
        self.assertEqual(self.proxy.traces(), [])


def _failing() -> Any:
    """
    Give the outcome of a dial that came to nothing.
    """
    return fail(RequestFailed())


class BacklogTests(SynchronousTestCase):
    """
    An answer that the client does not take is not waited for for ever.
    """

    def refused(self, backlog: int, ends: bool = False) -> MemoryTransport:
        """
        Refuse a client for which there is more than its socket takes.
        """
        self.proxy = MemoryProxy()
        client = self.proxy.connect()
        client.dataBuffer = bytes(backlog)  # type: ignore[attr-defined]
        if ends:
            client.peerSends(b"\4\1\0\x50\xc0\0\2\2\0")
            client.peerEnds()
        else:
            client.peerSends(b"\5\0")
        self.proxy.settle()
        return client

    def test_notRead(self) -> None:
        """
        After a minute without any progress the connection is dropped.
        """
        client = self.refused(10000)
        self.proxy.network.pump([2] * 30)
        self.assertFalse(client.disconnecting)
        self.proxy.network.pump([2] * 2)
        self.assertTrue(client.aborted)
        self.assertEqual(self.proxy.traces(), [])

    def test_readSlowly(self) -> None:
        """
        With some, it is closed once all has gone out.
        """
        client = self.refused(100000)
        for rest in range(9, -1, -1):
            self.proxy.network.pump([2] * 15)
            self.assertFalse(client.disconnecting)
            client.dataBuffer = bytes(rest * 10000)  # type: ignore[attr-defined]
        self.proxy.network.pump([2])
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertFalse(client.aborted)
        self.assertEqual(self.proxy.traces(), [])

    def test_afterTheEnd(self) -> None:
        """
        That is so, too, where the client has ended its stream.
        """
        client = self.refused(10000, ends=True)
        self.assertTrue(client.disconnecting)
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertEqual(self.proxy.traces(), [])

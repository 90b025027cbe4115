"""
Tests for L{socksproxy.shadowsocks.protocol}.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.address import Destination
from socksproxy.auth.sharedkey import AvatarId, ISharedKey
from socksproxy.errors import ConnectionRefused
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.relay import Leg
from socksproxy.shadowsocks._keys import Account
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.testing import CAPACITY
from tests.accesslines import accessLines
from tests.logs import atLevel, captured
from tests.memoryproxy import EARLY_OCTETS, SoleUser
from tests.shadowsocks.serving import (
    CLASSIC,
    NEW,
    NOWHERE,
    PATIENCE,
    WEB,
    Client,
    Serving,
    usersOf,
)
from tests.shadowsocks.streams import clientOf, fresh

SLOW = Destination(WEB.host, 81)


@pytest.mark.parametrize("method", METHODS)
def test_relay(method: str) -> None:
    """
    With every method a client gets where it wants to go: what it sends with its
    request arrives, what the target says comes back, and the end of either
    direction leaves the other one open.
    """
    proxy = Serving(method)
    client = proxy.client()
    client.sends(b"question")
    target = proxy.target()
    assert target.take() == b"question"
    target.peerSends(b"answer")
    assert client.take() == b"answer"
    client.sends(b"more")
    assert target.take() == b"more"
    client.transport.peerEnds()
    assert target.ended
    assert not client.transport.ended
    target.peerSends(b"the last")
    target.peerEnds()
    assert client.take() == b"the last"
    proxy.network.advance(1)
    assert client.transport.lost
    assert not client.transport.aborted
    assert target.lost
    assert not target.aborted
    assert proxy.traces() == []


class ProtocolTestCase(SynchronousTestCase):
    """
    Tests with a server.
    """

    def setUp(self) -> None:
        """
        Start one.
        """
        self.events = self.enterContext(captured())
        self.serve()

    def serve(self, *arguments: Any, **options: Any) -> None:
        """
        Start another one.
        """
        self.proxy = Serving(*arguments, **options)

    def lines(self) -> list[dict[str, Any]]:
        """
        Give the access lines.
        """
        return accessLines(self.events)

    def warnings(self) -> list[str]:
        """
        Give the warnings.
        """
        return atLevel(self.events, LogLevel.warn)

    def joined(self) -> tuple[Client, Any]:
        """
        Give a client and its target.
        """
        client = self.proxy.client()
        client.sends(b"question")
        target = self.proxy.target()
        self.assertEqual(target.take(), b"question")
        return client, target


class RequestTests(ProtocolTestCase):
    """
    Clients with a key.
    """

    def test_interfaces(self) -> None:
        """
        The factory and its protocols are what Twisted takes them for.
        """
        self.proxy.client()
        verifyObject(IProtocolFactory, self.proxy.server)
        verifyObject(IHalfCloseableProtocol, self.proxy.only())

    def test_dribbled(self) -> None:
        """
        A request may come in single octets, and is not acted upon before it is
        complete. So it is with a method of 2022, unless a whole beginning is
        asked for.
        """
        for method in (CLASSIC, NEW):
            self.serve(method)
            client = self.proxy.client()
            request = client.stream.seal(b"question")
            for octet in request[:-1]:
                client.transport.peerSends(bytes([octet]))
            self.proxy.settle()
            self.assertEqual(self.proxy.network.attempts, [])
            client.transport.peerSends(request[-1:])
            self.assertEqual(self.proxy.target().take(), b"question")

    def test_strictFirstRead(self) -> None:
        """
        Where a whole beginning is asked for, one in pieces is not answered.
        """
        self.serve(NEW, strictFirstRead=True)
        client = self.proxy.client()
        request = client.stream.seal(b"question")
        client.transport.peerSends(request[:10])
        client.transport.peerSends(request[10:])
        self.proxy.settle()
        self.assertEqual(self.proxy.network.attempts, [])
        self.assertIn("in pieces", self.warnings()[0])
        whole = self.proxy.client()
        whole.sends(b"question")
        self.assertEqual(self.proxy.target().take(), b"question")

    def test_nothingBeforeTheTarget(self) -> None:
        """
        Not an octet goes to the client before the target says something, and
        then all that it takes to read it goes with it in one write.
        """
        for method in (CLASSIC, NEW):
            self.serve(method)
            client, target = self.joined()
            self.proxy.network.advance(1)
            self.assertEqual(client.transport.take(), b"")
            target.peerSends(b"x")
            (write,) = client.transport._written
            self.assertEqual(client.take(), b"x")
            self.assertGreater(len(write), METHODS[method].saltLength + 1)

    def test_serverSpeaksFirst(self) -> None:
        """
        A target is heard that speaks before its client.
        """
        client = self.proxy.client()
        client.transport.peerSends(client.stream.start())
        target = self.proxy.target()
        target.peerSends(b"220 ready")
        self.assertEqual(client.take(), b"220 ready")

    def test_early(self) -> None:
        """
        What the client sends while the target is being dialled comes after what
        came with the request.
        """
        client = self.proxy.client()
        for data in (b"one ", b"two ", b"three"):
            client.sends(data)
        self.assertEqual(self.proxy.target().take(), b"one two three")

    def test_earlyIsBounded(self) -> None:
        """
        A client that sends much while the target is being dialled is not read
        any more, and afterwards nothing is missing.
        """
        client = self.proxy.client()
        client.sends(bytes(EARLY_OCTETS))
        client.sends(b"the rest")
        self.assertTrue(client.transport.paused)
        target = self.proxy.target()
        received = target.take()
        self.proxy.settle()
        self.assertEqual(received + target.take(), bytes(EARLY_OCTETS) + b"the rest")

    def test_endWhileDialling(self) -> None:
        """
        A client may end its stream before the target is there, and gets its
        answer.
        """
        client = self.proxy.client()
        client.sends(b"question")
        client.transport.peerEnds()
        target = self.proxy.target()
        self.assertEqual(target.take(), b"question")
        self.assertTrue(target.ended)
        target.peerSends(b"answer")
        self.assertEqual(client.take(), b"answer")

    def test_backPressure(self) -> None:
        """
        Where the client does not read, the target is not read either.
        """
        client, target = self.joined()
        target.peerSends(bytes(CAPACITY + 1))
        self.assertTrue(target.paused)
        self.assertEqual(client.take(), bytes(CAPACITY + 1))
        self.assertFalse(target.paused)

    def test_name(self) -> None:
        """
        A name is looked up here.
        """
        client = self.proxy.client(Destination("web.test", 80))
        client.sends(b"question")
        self.assertEqual(self.proxy.target().take(), b"question")
        self.assertEqual(self.proxy.network.queries, ["web.test"])

    def test_refused(self) -> None:
        """
        A client whose target cannot be reached is told so by the end of its
        connection, and by nothing else.
        """
        client = self.proxy.client(NOWHERE)
        client.sends(b"question")
        self.proxy.settle()
        self.assertEqual(client.transport.take(), b"")
        self.assertTrue(client.transport.ended)
        self.proxy.network.advance(5)
        self.assertTrue(client.transport.lost)
        self.assertFalse(client.transport.aborted)
        (line,) = self.lines()
        self.assertEqual(line["result"], "connection refused")
        self.assertEqual(self.proxy.traces(), [])

    def test_clientGone(self) -> None:
        """
        With a client that resets its connection while its target is dialled the
        attempt ends.
        """
        self.serve(world={"192.0.2.1:80": "timeout"})
        client = self.proxy.client()
        client.sends(b"question")
        client.transport.peerResets()
        self.assertEqual(self.proxy.network.cancelled, 1)
        self.assertEqual(self.proxy.traces(), [])

    def test_line(self) -> None:
        """
        The line says who it was and counts what the client and the target have
        sent, and not what sealing adds.
        """
        self.serve(usersOf(), inbound={"listener": "ss://here"})
        client = self.proxy.client(user=1)
        client.sends(b"12345")
        target = self.proxy.target()
        target.peerSends(b"123")
        self.proxy.network.advance(2)
        client.transport.peerEnds()
        target.peerEnds()
        self.proxy.settle()
        (line,) = self.lines()
        self.assertEqual(
            {name: value for name, value in line.items() if value not in ("-", 0)},
            {
                "protocol": "Shadowsocks",
                "listener": "ss://here",
                "client": "198.51.100.7:40000",
                "user": "user2",
                "command": "CONNECT",
                "destination": "192.0.2.1:80",
                "address": "192.0.2.1:80",
                "result": "succeeded",
                "sent": 5,
                "received": 3,
                "duration": 2.0,
                "reason": "client closed",
            },
        )

    def test_nobodyInParticular(self) -> None:
        """
        Where there is one key for all, the user has no name.
        """
        self.serve([Account(METHODS[CLASSIC], fresh(CLASSIC).keys)])
        self.joined()
        self.assertEqual(self.proxy.only().record.user, "-")

    def test_origin(self) -> None:
        """
        The avatar is told that the client has a key, and where it came in; and
        that it does not come from here where the one who connects is not the
        client.
        """
        for local, expected in ((None, True), (False, False), (True, True)):
            realm = SoleUser()
            self.serve(realm=realm, local=local, inbound={"local": True})
            self.proxy.client().sends(b"question")
            (mind,) = realm.minds
            told = (mind.protocol, mind.keyed, mind.local)  # type: ignore[attr-defined]
            self.assertEqual(told, ("Shadowsocks", True, expected))

    def test_notLoggedIn(self) -> None:
        """
        A client whom the portal does not let in is not connected to anything,
        and its connection ends.
        """
        self.serve(checkers=())
        client = self.proxy.client()
        client.sends(b"question")
        self.proxy.network.advance(5)
        self.assertEqual(self.proxy.network.attempts, [])
        self.assertEqual(client.transport.take(), b"")
        self.assertTrue(client.transport.lost)
        self.assertEqual(self.proxy.traces(), [])
        self.flushLoggedErrors()


@implementer(ICredentialsChecker)
class SlowChecker:
    """
    Takes its time.

    @ivar verdict: For the test to give.
    """

    credentialInterfaces = (ISharedKey,)

    def __init__(self) -> None:
        self.verdict: Deferred[AvatarId] = Deferred()

    def requestAvatarId(self, credentials: ISharedKey) -> Deferred[AvatarId]:
        """
        See C{ICredentialsChecker}.
        """
        return self.verdict


class BrokenTests(ProtocolTestCase):
    """
    Streams at fault after their request.
    """

    def assertIgnored(self, client: Client) -> None:
        """
        Require that a client is not listened to and gets no answer, until a
        time is over.
        """
        transport = client.transport
        transport.peerSends(b"whatever else")
        self.proxy.network.advance(PATIENCE - 1)
        self.assertEqual(transport.take(), b"")
        self.assertFalse(transport.ended or transport.lost or transport.paused)
        self.proxy.network.advance(1)
        self.assertTrue(transport.ended)
        self.proxy.network.advance(5)
        self.assertTrue(transport.lost)
        self.assertFalse(transport.aborted)
        self.assertEqual(transport.take(), b"")
        self.assertEqual(self.proxy.traces(), [])

    def test_inTheRelay(self) -> None:
        """
        When something cannot be opened nothing of it reaches the target, whose
        connection is reset, and the client is not listened to any more.
        """
        for method in (CLASSIC, NEW):
            self.serve(method)
            client, target = self.joined()
            target.peerSends(b"answer")
            self.assertEqual(client.take(), b"answer")
            self.proxy.network.advance(7)
            sealed = bytearray(client.stream.seal(b"something else"))
            sealed[-1] ^= 1
            client.transport.peerSends(bytes(sealed))
            self.proxy.settle()
            self.assertTrue(target.aborted)
            self.assertEqual(target.take(), b"")
            self.assertIn("noise", self.warnings()[-1])
            self.assertIgnored(client)
            line = self.lines()[-1]
            self.assertEqual((line["result"], line["sent"], line["received"]), ("succeeded", 8, 6))
            self.assertIn("bad-seal", line["reason"])

    def test_truncated(self) -> None:
        """
        The end of the stream inside a record is none that a target would take
        for one: its connection is reset.
        """
        for method in (CLASSIC, NEW):
            self.serve(method)
            client, target = self.joined()
            client.transport.peerSends(client.stream.seal(b"something else")[:-1])
            client.transport.peerEnds()
            self.proxy.settle()
            self.assertTrue(target.aborted)
            self.assertEqual(target.take(), b"")
            self.assertIn("inside a chunk", self.proxy.only().record.reason)
            self.proxy.network.advance(PATIENCE)
            self.assertFalse(client.transport.aborted)
            self.assertTrue(client.transport.lost)
            self.assertEqual(self.proxy.traces(), [])

    def test_whileDialling(self) -> None:
        """
        The attempt to connect is given up.
        """
        self.serve(world={"192.0.2.1:80": "timeout"})
        client = self.proxy.client()
        client.sends(b"question")
        self.proxy.settle()
        self.assertEqual(len(self.proxy.network.attempts), 1)
        client.transport.peerSends(bytes(100))
        self.assertEqual(self.proxy.network.cancelled, 1)
        self.assertIgnored(client)

    def test_truncatedWhileDialling(self) -> None:
        """
        So it is when the stream ends inside a record, and a target that is
        there by then is reset.
        """
        client = self.proxy.client()
        client.sends(b"question")
        client.transport.peerSends(client.stream.seal(b"more")[:-1])
        client.transport.peerEnds()
        self.proxy.settle()
        for attempt in self.proxy.network.attempts:
            assert attempt.transport is not None
            self.assertEqual(attempt.transport.take(), b"")
            self.assertTrue(attempt.transport.aborted)
        self.proxy.network.advance(PATIENCE)
        self.assertTrue(client.transport.lost)
        self.assertEqual(self.proxy.traces(), [])

    def test_withTheRequest(self) -> None:
        """
        What is wrong right after the request keeps it from being served.
        """
        client = self.proxy.client()
        client.transport.peerSends(client.stream.seal(b"question") + bytes(100))
        self.proxy.settle()
        self.assertEqual(self.proxy.network.attempts, [])
        self.assertIgnored(client)

    def test_pausedClient(self) -> None:
        """
        A client is read on, so that its end is no reset, even if it had been
        made to wait.
        """
        client, target = self.joined()
        target.peerSends(b"answer")
        self.assertEqual(client.take(), b"answer")
        client.sends(bytes(CAPACITY + 1))
        self.assertTrue(client.transport.paused)
        # What a paused transport has read already.
        self.proxy.only().dataReceived(bytes(100))
        self.proxy.settle()
        self.assertFalse(client.transport.paused)
        self.assertTrue(target.aborted)
        self.assertIgnored(client)

    def test_whileLoggingIn(self) -> None:
        """
        With a portal that takes its time a request is not served that has
        turned out to be at fault meanwhile.
        """
        checker = SlowChecker()
        self.serve(checkers=[checker])
        client = self.proxy.client()
        client.sends(b"question")
        client.transport.peerSends(bytes(100))
        checker.verdict.callback(b"alice")
        self.proxy.settle()
        self.assertEqual(self.proxy.network.attempts, [])
        self.assertIgnored(client)

    def test_refusedAfterwards(self) -> None:
        """
        Nothing is changed by it that its login or its attempt to connect fails
        in the end, for whatever reason.
        """
        checker = SlowChecker()
        self.serve(checkers=[checker])
        client = self.proxy.client()
        client.sends(b"question")
        client.transport.peerSends(bytes(100))
        checker.verdict.errback(UnauthorizedLogin())
        self.proxy.network.advance(30)
        self.assertFalse(client.transport.ended)
        refused: Deferred[Leg] = Deferred(lambda outcome: outcome.errback(ConnectionRefused()))
        self.serve(realm=SoleUser(lambda: refused))
        client = self.proxy.client()
        client.sends(b"question")
        client.transport.peerSends(bytes(100))
        self.assertIgnored(client)

    def test_gone(self) -> None:
        """
        A client that resets its connection then leaves nothing.
        """
        client, target = self.joined()
        client.transport.peerSends(bytes(100))
        client.transport.peerResets()
        self.proxy.settle()
        self.assertTrue(target.aborted)
        self.assertEqual(self.proxy.traces(), [])
        self.assertEqual(len(self.lines()), 1)

    def test_overTLS(self) -> None:
        """
        Where a connection can only end as a whole, one that ends inside a
        record resets the target.
        """
        client, target = self.joined()
        client.transport.peerSends(client.stream.seal(b"something else")[:-1])
        client.transport._lose(ConnectionDone())
        self.proxy.settle()
        self.assertTrue(target.aborted)
        self.assertEqual(self.proxy.traces(), [])


class LimitTests(ProtocolTestCase):
    """
    How many there may be.
    """

    def test_silentAreNoHandshakes(self) -> None:
        """
        Those that say nothing take no place from the clients of other
        listeners that have not made their requests.
        """
        limits = ConnectionLimits(handshakes=2)
        self.serve(inbound={"limits": limits})
        for _ in range(5):
            self.proxy.open()
        self.assertEqual(len(self.proxy.inbound.connections), 5)
        limits.admit().release()

    def test_total(self) -> None:
        """
        They count as connections.
        """
        self.serve(inbound={"limits": ConnectionLimits(total=2)})
        for _ in range(2):
            self.proxy.open()
        refused = self.proxy.open()
        self.proxy.settle()
        self.assertTrue(refused.aborted)

    def test_understood(self) -> None:
        """
        A connection to a target counts no more among the silent ones.
        """
        self.joined()
        self.assertEqual(len(self.proxy.server.silent), 0)
        self.proxy.open()
        self.assertEqual(len(self.proxy.server.silent), 1)

    def test_otherAccounts(self) -> None:
        """
        A client with another key is none.
        """
        stranger = clientOf(fresh(CLASSIC), WEB)
        self.serve(usersOf(CLASSIC))
        transport = self.proxy.open()
        transport.peerSends(stranger.seal(b"question"))
        self.proxy.settle()
        self.assertEqual(self.proxy.network.attempts, [])

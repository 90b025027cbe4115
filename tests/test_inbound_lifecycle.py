"""
Tests for L{socksproxy.inbound}: what is left of connections when they end.
"""

import gc
from collections.abc import Sequence

from twisted.cred.checkers import AllowAnonymousAccess, ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.policy.limits import ConnectionLimits
from socksproxy.testing import MemoryTransport, ScriptedNetwork
from tests.dns.names import SlowNames
from tests.memoryproxy import EARLY_OCTETS, WORLD, MemoryProxy, SlowChecker, passwords
from tests.socksclient import (
    ALICE,
    MALLORY,
    NO_AUTHENTICATION,
    TO_SILENCE,
    TO_WEB,
    USERS,
    WITH_PASSWORD,
    request,
    request4,
)

STAGES = {
    "accepted": b"",
    "first octet": b"\5",
    "first octet of SOCKS4": b"\4",
    "greeted": NO_AUTHENTICATION,
    "password wanted": WITH_PASSWORD,
    "password begun": WITH_PASSWORD + ALICE[:5],
    "logged in": WITH_PASSWORD + ALICE,
    "request begun": NO_AUTHENTICATION + TO_WEB[:5],
    "dialling": NO_AUTHENTICATION + TO_SILENCE,
    "dialling for SOCKS4": request4("192.0.2.9"),
    "dialling, paused": NO_AUTHENTICATION + TO_SILENCE + bytes(EARLY_OCTETS),
    "refused": NO_AUTHENTICATION + request("192.0.2.2"),
    "refused for HTTP": b"GET / HTTP/1.1\r\n",
    "dropped": b"\x16",
    "relaying": NO_AUTHENTICATION + TO_WEB + b"data",
}
"""
How far a client has come, and what it has said by then.
"""


class StageTests(SynchronousTestCase):
    """
    A connection may end at any moment.
    """

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        gc.collect()

    def proxyWith(
        self,
        checkers: Sequence[ICredentialsChecker],
        network: ScriptedNetwork | None = None,
    ) -> MemoryProxy:
        """
        Make a proxy with room for one connection.
        """
        limits = ConnectionLimits(total=1, perSource=1, handshakes=1)
        return MemoryProxy(checkers=checkers, network=network, limits=limits)

    def checkNothingLeft(self, proxy: MemoryProxy, client: MemoryTransport, stage: str) -> None:
        """
        Require that no timer runs, that whatever was dialled is closed, and
        that there is room for the next.
        """
        client.take()
        client.peerResets()
        proxy.settle()
        self.assertEqual(proxy.traces(), [], stage)
        for attempt in proxy.network.attempts:
            self.assertTrue(attempt.transport is None or attempt.transport.lost, stage)
        successor = proxy.connect()
        self.assertFalse(successor.aborted, stage)
        self.assertEqual(client.take(), b"", stage)

    def test_stages(self) -> None:
        """
        Nothing of it is left, at whatever stage it was.
        """
        for stage, said in STAGES.items():
            proxy = self.proxyWith([passwords(USERS), AllowAnonymousAccess()])
            client = proxy.connect()
            if said:
                client.peerSends(said)
            proxy.settle()
            self.checkNothingLeft(proxy, client, stage)

    def test_lookingUp(self) -> None:
        """
        Nothing of it is left while its target's name is being looked up, and
        the answer that comes later hurts nobody.
        """
        names = SlowNames()
        network = ScriptedNetwork(WORLD)
        network.nameResolver = names  # type: ignore[assignment]
        proxy = self.proxyWith([AllowAnonymousAccess()], network)
        client = proxy.connect()
        client.peerSends(NO_AUTHENTICATION + request("web.test"))
        self.assertEqual(names.open, ["web.test"])
        self.checkNothingLeft(proxy, client, "looking up")
        names.answer("web.test", "192.0.2.1")
        self.assertEqual(network.attempts, [])

    def test_checking(self) -> None:
        """
        Nothing of it is left while its password is being checked, and the
        verdict that comes later hurts nobody.
        """
        for verdict in (b"alice", Failure(UnauthorizedLogin())):
            checker = SlowChecker()
            proxy = self.proxyWith([checker])
            client = proxy.connect()
            client.peerSends(WITH_PASSWORD + ALICE + TO_WEB)
            self.checkNothingLeft(proxy, client, "checking")
            checker.verdicts.pop().callback(verdict)
            proxy.network.advance(5)
            self.assertEqual(proxy.network.attempts, [])

    def test_throttled(self) -> None:
        """
        Nothing of it is left while it waits to be told that its password was
        wrong.
        """
        proxy = self.proxyWith([passwords(USERS)])
        client = proxy.connect()
        client.peerSends(WITH_PASSWORD + MALLORY)
        self.checkNothingLeft(proxy, client, "throttled")


class ShutDownTests(SynchronousTestCase):
    """
    A listener's connections can be ended, gently or not.
    """

    def setUp(self) -> None:
        self.proxy = MemoryProxy()

    def connect(self, said: bytes) -> MemoryTransport:
        """
        Connect a client that says something.
        """
        client = self.proxy.connect()
        if said:
            client.peerSends(said)
        self.proxy.settle()
        return client

    def test_whenEmpty(self) -> None:
        """
        Whoever waits is told when the last connection has ended, and at once
        where there is none.
        """
        self.successResultOf(self.proxy.inbound.whenEmpty())
        clients = [self.connect(NO_AUTHENTICATION + TO_WEB), self.connect(b"")]
        waiting = [self.proxy.inbound.whenEmpty() for _ in range(2)]
        clients[0].peerResets()
        self.proxy.settle()
        self.assertNoResult(waiting[0])
        clients[1].peerResets()
        for deferred in waiting:
            self.assertIsNone(self.successResultOf(deferred))

    def test_shutDown(self) -> None:
        """
        Connections that do not relay yet are ended, and what was being done
        for them is given up.
        """
        for said in (b"", NO_AUTHENTICATION, NO_AUTHENTICATION + TO_SILENCE):
            client = self.connect(said)
            self.assertFalse(self.proxy.protocol().shutDown())
            self.proxy.settle()
            self.assertTrue(client.lost)
            self.assertEqual(self.proxy.traces(), [])
        self.assertEqual(self.proxy.network.cancelled, 1)

    def test_shutDownWhileRelaying(self) -> None:
        """
        Connections that relay go on.
        """
        client = self.connect(NO_AUTHENTICATION + TO_WEB)
        self.assertTrue(self.proxy.protocol().shutDown())
        client.peerSends(b"data")
        self.proxy.settle()
        self.assertEqual(self.proxy.target().take(), b"data")

    def test_abort(self) -> None:
        """
        Every connection can be cut off, at whatever stage, and its target
        with it.
        """
        for stage, said in STAGES.items():
            client = self.connect(said)
            if client.lost:
                continue
            self.proxy.protocol().abort("enough")
            self.proxy.settle()
            self.assertTrue(client.aborted, stage)
            self.assertEqual(self.proxy.traces(), [], stage)
        self.assertTrue(self.proxy.target().aborted)

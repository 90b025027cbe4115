"""
Tests for L{socksproxy.forward.target}: targets that cannot be had, or not in
time.
"""

from __future__ import annotations

import gc

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
)
from twisted.internet.interfaces import IProtocol
from zope.interface.verify import verifyObject

from socksproxy.client import ProxyUnreachable
from socksproxy.forward.target import Target
from socksproxy.relay import Leg
from socksproxy.state import IKeepsSessions
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.forward.forwarding import Endpoint, ForwardTestCase
from tests.keepers import Keeper

ERRNOS = {
    "ECONNREFUSED": "connection refused",
    "ENETUNREACH": "network unreachable",
    "EHOSTUNREACH": "host unreachable",
    "ETIMEDOUT": "timed out",
    "ENOENT": "general failure",
}


class RefusedTests(ForwardTestCase):
    """
    There is no target.
    """

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        super().tearDown()
        gc.collect()

    def check(self, result: str, reason: str) -> None:
        """
        Require that a client is reset without an octet, and why.
        """
        self.events.clear()
        client = self.connect()
        client.peerSends(b"early")
        self.settle()
        self.assertTrue(client.aborted and client.lost)
        self.assertEqual(client.take(), b"")
        line = self.line()
        self.assertEqual((line["result"], line["address"], line["sent"]), (result, "-", 0))
        self.assertIn(reason, line["reason"])
        self.assertNotIn("\n", line["reason"])

    def test_errno(self) -> None:
        """
        The client is reset, and the line says why.
        """
        for name, result in ERRNOS.items():
            self.network.world["192.0.2.2:80"] = name
            self.forward("192.0.2.2")
            self.check(result, "")

    def test_errors(self) -> None:
        """
        So it is for whatever endpoints fail with, raised or not.
        """
        for error, result, reason in (
            (DNSLookupError("no such name"), "name not found", "name not found"),
            (ConnectError(2, "No such\nfile"), "general failure", "No such file"),
            (ConnectBindError(), "general failure", "bind"),
            (ProxyUnreachable("the proxy is away"), "proxy unreachable", "the proxy is away"),
        ):
            failed: Deferred[IProtocol] = Deferred()
            failed.errback(error)
            self.forward(endpoint=Endpoint(error, failed))
            for _ in range(2):
                self.check(result, reason)

    def test_unforeseen(self) -> None:
        """
        What nobody has foreseen is an error of ours, and the log says what it
        was.
        """
        self.forward(endpoint=Endpoint(LookupError("broken")))
        self.check("internal error", "internal error")
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    def test_noAnswer(self) -> None:
        """
        A target that does not answer is given up after thirty seconds.
        """
        self.forward("192.0.2.9")
        client = self.connect()
        self.network.advance(29.9)
        self.assertFalse(client.aborted)
        self.network.advance(0.1)
        self.settle()
        self.assertTrue(client.aborted)
        self.assertEqual(self.network.cancelled, 1)
        self.assertEqual(self.line()["result"], "timed out")

    def test_timeout(self) -> None:
        """
        It can be less; or nothing, where the endpoint has its own time.
        """
        self.forward("192.0.2.9", timeout=3)
        client = self.connect()
        self.network.advance(3)
        self.assertTrue(client.aborted)
        self.forward("192.0.2.9", timeout=0)
        client = self.connect()
        self.network.advance(1000)
        self.assertFalse(client.aborted)

    def test_noTimerLeft(self) -> None:
        """
        Where the target answers, nothing waits for the time to be over.
        """
        client, target = self.joined()
        self.network.advance(31)
        client.peerSends(b"still here")
        self.assertEqual(target.take(), b"still here")


class GivenUpTests(ForwardTestCase):
    """
    The client leaves before there is a target.
    """

    def tearDown(self) -> None:
        """
        See to it that an error which nobody looks at is logged in time.
        """
        super().tearDown()
        gc.collect()

    def test_reset(self) -> None:
        """
        The dial is given up.
        """
        self.forward("192.0.2.9")
        client = self.connect()
        client.peerResets()
        self.assertEqual(self.network.cancelled, 1)
        line = self.line()
        self.assertEqual((line["result"], line["reason"]), ("-", "client gone before the answer"))

    def test_otherWords(self) -> None:
        """
        An endpoint may have its own words for that it was given up.
        """
        connecting: Deferred[IProtocol] = Deferred(
            lambda it: it.errback(ConnectingCancelledError(tcpAddress("192.0.2.9", 80)))
        )
        self.forward(endpoint=Endpoint(connecting))
        self.connect().peerResets()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.line()["result"], "-")

    def test_tooLate(self) -> None:
        """
        A connection that is made after all, by an endpoint that could not
        stop, is dropped.
        """
        leg = Leg()
        target = MemoryTransport(self.network, leg)
        leg.makeConnection(target)
        self.forward(endpoint=Endpoint(Deferred(lambda late: late.callback(leg))))
        self.connect().peerResets()
        self.settle()
        self.assertTrue(target.aborted and target.lost)


class TargetTests(ForwardTestCase):
    """
    A target by itself.
    """

    def test_paused(self) -> None:
        """
        A target is connected before anybody listens to it, and not read until
        then.
        """
        endpoint = TCP4ClientEndpoint(self.network, "192.0.2.1", 80)
        connecting = Target(self.network, endpoint, "tcp:web.test:80").connect()
        self.network.advance(0)
        leg = self.successResultOf(connecting)
        transport = self.network.attempts[0].transport
        assert transport is not None
        self.assertTrue(transport.paused)
        self.assertIs(leg.transport, transport)
        transport.peerResets()

    def test_close(self) -> None:
        """
        The sessions that its endpoint keeps are closed, if it keeps any.
        """
        keeper = Keeper()
        target = Target(self.network, keeper, "kcp:")
        verifyObject(IKeepsSessions, target)
        closing = target.close(3)
        self.assertNoResult(closing)
        self.assertEqual([patience for patience, _ in keeper.closing], [3])
        keeper.closed()
        self.successResultOf(closing)
        other = TCP4ClientEndpoint(self.network, "192.0.2.1", 80)
        self.successResultOf(Target(self.network, other, "tcp:").close(3))

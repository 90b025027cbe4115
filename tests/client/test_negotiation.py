"""
Tests for L{socksproxy.client.negotiation}: acting on what a machine says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    ProxyProtocolError,
    TargetConnectionRefused,
)
from socksproxy.client.negotiation import Negotiation
from socksproxy.errors import (
    AuthenticationFailed,
    ConnectionRefused,
    MalformedMessage,
    TruncatedStream,
)
from socksproxy.negotiation import (
    Blocking,
    Failed,
    ProtectionEstablished,
    ReplyReceived,
    Send,
)
from socksproxy.relay import Leg
from socksproxy.testing import MemoryTransport
from tests.relay.sealing import Sealing, opened, sealed
from tests.relay.test_leg import Holder

BOUND = Destination(IPv4Address("192.0.2.200"), 50000)
PEER = Destination(IPv4Address("192.0.2.7"), 40000)

Script = dict[bytes, Sequence[object]]


class ScriptedMachine:
    """
    A machine that does what the test says.

    @ivar heard: All that it has been told: octets, C{"resume"} and C{"end"}.
    @ivar early: What it has of the target's.
    """

    def __init__(self, script: Script) -> None:
        """
        @param script: What there is to do, by what comes; the keys C{b"resume"}
            and C{b"end"} are for that.
        """
        self._script = script
        self.heard: list[bytes] = []
        self.early = b""

    def start(self) -> bytes:
        """
        See L{ClientMachine}.
        """
        return b"hello"

    def receive(self, data: bytes) -> Sequence[object]:
        """
        See L{ClientMachine}.
        """
        self.heard.append(data)
        return self._script.get(data, ())

    def resume(self) -> Sequence[object]:
        """
        See L{ClientMachine}.
        """
        return self.receive(b"resume")

    def endOfStream(self) -> Sequence[object]:
        """
        See L{ClientMachine}.
        """
        return self.receive(b"end")

    def takeEarlyData(self) -> bytes:
        """
        See L{ClientMachine}.
        """
        return self.early


class NegotiationTestCase(SynchronousTestCase):
    """
    Tests with a negotiation by a script.
    """

    def negotiate(self, script: Script | None = None) -> Negotiation:
        """
        Begin to negotiate.
        """
        self.prepare(script)
        self.replies: list[Deferred[Destination]] = [self.negotiation.start()]
        return self.negotiation

    def prepare(self, script: Script | None = None) -> None:
        """
        Make a negotiation on a connection that is there.
        """
        self.machine = ScriptedMachine(script or {})
        self.clock = Clock()
        self.computing: list[tuple[Callable[[], None], Deferred[None]]] = []
        leg = Leg()
        self.peer = MemoryTransport(self.clock, leg)
        leg.makeConnection(self.peer)
        self.negotiation = Negotiation(leg, self.machine, self.inThread)

    def inThread(self, call: Callable[[], None]) -> Deferred[None]:
        """
        Have something computed, some time.
        """
        self.computing.append((call, Deferred()))
        return self.computing[-1][1]

    def compute(self) -> None:
        """
        Compute what is to be computed.
        """
        call, done = self.computing.pop(0)
        call()
        done.callback(None)

    def assertLost(self, error: type[Exception]) -> None:
        """
        Fail unless the negotiation has failed, and its connection is gone.
        """
        self.failureResultOf(self.replies[0], error)
        self.assertTrue(self.peer.aborted or self.peer.lost)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NegotiationTests(NegotiationTestCase):
    """
    A negotiation with one reply.
    """

    def test_sends(self) -> None:
        """
        The machine's first message is sent at once, and the others when it
        says so, in their order.
        """
        self.negotiate({b"who?": [Send(b"me"), Send(b"!")]})
        self.assertFalse(self.peer.paused)
        self.assertEqual(self.peer.take(), b"hello")
        self.peer.peerSends(b"who?")
        self.assertEqual(self.peer.take(), b"me!")
        self.assertNoResult(self.replies[0])

    def test_reply(self) -> None:
        """
        The reply is what the negotiation is for. Who takes the connection
        over then gets what has come for it.
        """
        negotiation = self.negotiate({b"yes": [ReplyReceived(BOUND)]})
        self.machine.early = b"220"
        self.peer.peerSends(b"yes")
        self.assertEqual(self.successResultOf(self.replies[0]), BOUND)
        holder = Holder()
        self.assertEqual(negotiation.release(), b"220")
        negotiation.leg.hold(holder)
        self.peer.peerSends(b"more")
        self.assertEqual((holder.told, self.machine.heard), ([b"more"], [b"yes"]))
        self.assertFalse(self.peer.aborted)

    def test_failed(self) -> None:
        """
        A failure drops the connection, and is told in the client's terms.
        """
        for error, cls in (
            (ConnectionRefused(), TargetConnectionRefused),
            (AuthenticationFailed(), ProxyAuthenticationFailed),
            (MalformedMessage("what?"), ProxyProtocolError),
        ):
            self.negotiate({b"no": [Failed(error)]})
            self.peer.peerSends(b"no")
            self.assertLost(cls)

    def test_sendsAndFails(self) -> None:
        """
        What a machine says last goes out before the connection is closed.
        """
        self.negotiate({b"no": [Send(b"well then"), Failed(ConnectionRefused())]})
        self.peer.take()
        self.peer.peerSends(b"no")
        self.assertEqual(self.peer.take(), b"well then")
        self.assertLost(TargetConnectionRefused)

    def test_nothingAfterFailure(self) -> None:
        """
        Nothing that a machine might want after its failure is done.
        """
        events = [Failed(ConnectionRefused()), Send(b"x"), ReplyReceived(BOUND)]
        self.negotiate({b"no": events})
        self.peer.take()
        self.peer.peerSends(b"no")
        self.assertEqual(self.peer.take(), b"")
        self.assertLost(TargetConnectionRefused)

    def test_end(self) -> None:
        """
        What the end of the proxy's stream means is for the machine to say.
        """
        self.negotiate({b"end": [Failed(TruncatedStream("too early"))]})
        self.peer.peerEnds()
        self.assertLost(ProxyProtocolError)

    def test_lost(self) -> None:
        """
        A lost connection is the end of it, whatever the machine says.
        """
        self.negotiate()
        self.peer.peerResets()
        self.assertLost(ProxyProtocolError)

    def test_lostBefore(self) -> None:
        """
        So is one that was lost before the negotiation has begun.
        """
        self.prepare()
        self.peer.peerResets()
        self.replies = [self.negotiation.start()]
        self.assertLost(ProxyProtocolError)
        self.assertEqual(self.peer.take(), b"")

    def test_endedBefore(self) -> None:
        """
        A proxy that had ended its stream before anybody spoke to it is as bad
        as one that does later.
        """
        self.prepare({b"end": [Failed(TruncatedStream("too early"))]})
        self.peer.peerEnds()
        self.replies = [self.negotiation.start()]
        self.assertLost(ProxyProtocolError)

    def test_cancelled(self) -> None:
        """
        Who does not want to wait any longer closes the connection, and the
        machine hears nothing more.
        """
        self.negotiate()
        self.replies[0].cancel()
        self.assertLost(CancelledError)
        self.negotiation.dataReceived(b"late")
        self.negotiation.readConnectionLost()
        self.assertEqual(self.peer.take(), b"hello")

    def test_computes(self) -> None:
        """
        What takes long is computed elsewhere, and then the machine goes on.
        """
        done: list[str] = []
        self.negotiate(
            {
                b"token": [Send(b"wait"), Blocking(lambda: done.append("computed"))],
                b"resume": [Send(b"token"), ReplyReceived(BOUND)],
            }
        )
        self.peer.take()
        self.peer.peerSends(b"token")
        self.assertEqual((done, self.peer.take()), ([], b"wait"))
        self.peer.peerSends(b"more")
        self.compute()
        self.assertEqual((done, self.peer.take()), (["computed"], b"token"))
        self.assertEqual(self.machine.heard, [b"token", b"more", b"resume"])
        self.assertEqual(self.successResultOf(self.replies[0]), BOUND)

    def test_overWhileComputing(self) -> None:
        """
        If the negotiation is over before it is computed, however that came,
        nobody is interested in it any more.
        """
        for over, error in (
            (lambda: self.replies[0].cancel(), CancelledError),
            (lambda: self.peer.peerResets(), ProxyProtocolError),
            (lambda: self.peer.peerEnds(), ProxyProtocolError),
        ):
            self.negotiate(
                {
                    b"token": [Blocking(lambda: None)],
                    b"end": [Failed(TruncatedStream("too early"))],
                    b"resume": [Send(b"token")],
                }
            )
            self.peer.take()
            self.peer.peerSends(b"token")
            over()
            self.compute()
            self.assertEqual(self.peer.take(), b"")
            self.assertNotIn(b"resume", self.machine.heard)
            self.assertLost(error)

    def test_protection(self) -> None:
        """
        Once there is a protection, everything goes through it, and who takes
        the connection over need not know.
        """
        protection = Sealing()
        negotiation = self.negotiate(
            {
                b"seal": [
                    Send(b"plain"),
                    ProtectionEstablished(protection),  # type: ignore[arg-type]
                    Send(b"request"),
                ],
                b"yes": [ReplyReceived(BOUND)],
            }
        )
        self.peer.take()
        self.peer.peerSends(b"seal")
        said = self.peer.take()
        self.assertEqual(said[:5], b"plain")
        self.assertEqual(opened(said[5:]), b"request")
        self.assertIs(negotiation.protection, protection)
        self.peer.peerSends(sealed(b"yes"))
        self.assertEqual(self.successResultOf(self.replies[0]), BOUND)
        holder = Holder()
        negotiation.release()
        negotiation.leg.hold(holder)
        negotiation.leg.transport.write(b"EHLO")
        self.assertEqual(opened(self.peer.take()), b"EHLO")
        self.peer.peerSends(sealed(b"250"))
        self.assertEqual(holder.told, [b"250"])

    def test_protectionBroken(self) -> None:
        """
        What the proxy has not protected ends the negotiation.
        """
        protection = Sealing()
        self.negotiate({b"seal": [ProtectionEstablished(protection)]})  # type: ignore[arg-type]
        self.peer.peerSends(b"seal")
        self.peer.peerSends(b"{1no")
        self.clock.advance(0)
        self.assertEqual(self.machine.heard, [b"seal"])
        self.assertLost(ProxyProtocolError)


class TwoRepliesTests(NegotiationTestCase):
    """
    A negotiation with two replies, as about BIND.
    """

    def bind(self) -> Negotiation:
        """
        Begin one, and get the first reply.
        """
        negotiation = self.negotiate(
            {
                b"bound": [ReplyReceived(BOUND)],
                b"peer": [ReplyReceived(PEER)],
                b"both": [ReplyReceived(BOUND), ReplyReceived(PEER)],
                b"no": [Failed(ConnectionRefused())],
                b"end": [Failed(TruncatedStream("too early"))],
            }
        )
        self.peer.peerSends(b"bound")
        self.assertEqual(self.successResultOf(self.replies[0]), BOUND)
        return negotiation

    def test_second(self) -> None:
        """
        The second reply comes to who waits for it.
        """
        second = self.bind().reply()
        self.assertNoResult(second)
        self.peer.peerSends(b"peer")
        self.assertEqual(self.successResultOf(second), PEER)

    def test_secondWaits(self) -> None:
        """
        If nobody waits for it yet, it waits itself.
        """
        negotiation = self.bind()
        self.peer.peerSends(b"peer")
        self.assertEqual(self.successResultOf(negotiation.reply()), PEER)

    def test_bothAtOnce(self) -> None:
        """
        Both may come in one piece.
        """
        negotiation = self.negotiate({b"both": [ReplyReceived(BOUND), ReplyReceived(PEER)]})
        self.peer.peerSends(b"both")
        self.assertEqual(self.successResultOf(self.replies[0]), BOUND)
        self.assertEqual(self.successResultOf(negotiation.reply()), PEER)

    def test_secondFails(self) -> None:
        """
        A failure comes to who waits for the second one, or will.
        """
        for happens, error in (
            (lambda: self.peer.peerSends(b"no"), TargetConnectionRefused),
            (lambda: self.peer.peerEnds(), ProxyProtocolError),
            (lambda: self.peer.peerResets(), ProxyProtocolError),
        ):
            negotiation = self.bind()
            second = negotiation.reply()
            happens()
            self.failureResultOf(second, error)
            negotiation = self.bind()
            happens()
            self.failureResultOf(negotiation.reply(), error)
            self.assertTrue(self.peer.aborted or self.peer.lost)

    def test_abandoned(self) -> None:
        """
        Whoever waits for it after the connection has been abandoned learns
        that.
        """
        negotiation = self.bind()
        negotiation.abandon()
        self.assertTrue(self.peer.aborted)
        self.failureResultOf(negotiation.reply())

    def test_peerIsQuick(self) -> None:
        """
        What the peer sends while nobody waits for the second reply does not
        pile up: the connection is not read.
        """
        negotiation = self.bind()
        self.peer.peerSends(b"peer")
        self.assertTrue(self.peer.paused)
        self.assertEqual(self.successResultOf(negotiation.reply()), PEER)
        self.peer.peerSends(b"220")
        holder = Holder()
        negotiation.release()
        negotiation.leg.hold(holder)
        self.peer.resumeProducing()
        self.assertEqual(holder.told, [b"220"])

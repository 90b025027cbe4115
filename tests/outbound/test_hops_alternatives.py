"""
Tests for L{socksproxy.outbound.hops}: alternatives for one link of a chain.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.address import Destination
from socksproxy.client.endpoint import TIMEOUT
from socksproxy.client.errors import (
    ProxyAuthenticationFailed,
    ProxyFault,
    ProxyProtocolError,
    ProxyUnreachable,
    TargetConnectionRefused,
)
from socksproxy.outbound.hops import RETRY_AFTER, Hop
from socksproxy.outbound.proxyurl import proxyFromURL
from tests.client.scripted import EARLY, HOST, PORT, Connecting, http, socks4, socks5
from tests.logs import atLevel
from tests.outbound.chains import ONE, THREE, TWO, ChainTestCase
from tests.socksclient import refused

TARGET = Destination(HOST, PORT)
A, B, C = (proxyFromURL(f"socks5h://{name}.test") for name in "abc")


class HopTests(SynchronousTestCase):
    """
    The order in which alternatives are tried.
    """

    def setUp(self) -> None:
        """
        Have a hop of three.
        """
        self.clock = Clock()
        self.hop = Hop([A, B, C], self.clock)

    def test_beginning(self) -> None:
        """
        It is as given, and asking changes nothing.
        """
        for _ in range(3):
            self.assertEqual(self.hop.order(), [A, B, C])
            self.clock.advance(RETRY_AFTER)

    def test_favourite(self) -> None:
        """
        As long as the first one works, it stays so.
        """
        self.hop.worked(A)
        self.clock.advance(RETRY_AFTER)
        self.assertEqual(self.hop.order(), [A, B, C])

    def test_keepsWhatWorks(self) -> None:
        """
        What works is tried first, and all others after it.
        """
        self.hop.worked(B)
        self.assertEqual(self.hop.order(), [B, C, A])
        self.hop.worked(C)
        self.assertEqual(self.hop.order(), [C, A, B])
        self.hop.worked(A)
        self.assertEqual(self.hop.order(), [A, B, C])

    def test_retries(self) -> None:
        """
        After some time the first one is tried once more, and then not for as
        long again.
        """
        self.clock.advance(1000)
        self.hop.worked(C)
        self.clock.advance(RETRY_AFTER - 0.1)
        self.assertEqual(self.hop.order(), [C, A, B])
        self.clock.advance(0.1)
        self.assertEqual(self.hop.order(), [A, C, B])
        self.assertEqual(self.hop.order(), [C, A, B])
        self.hop.worked(C)
        self.clock.advance(RETRY_AFTER - 0.1)
        self.assertEqual(self.hop.order(), [C, A, B])
        self.clock.advance(0.1)
        self.assertEqual(self.hop.order(), [A, C, B])
        self.hop.worked(A)
        self.assertEqual(self.hop.order(), [A, B, C])

    def test_useDoesNotPostpone(self) -> None:
        """
        That another one is used all the time does not keep the first one from
        its chance.
        """
        self.hop.worked(B)
        for _ in range(10):
            self.clock.advance(RETRY_AFTER / 10)
            self.hop.worked(B)
        self.assertEqual(self.hop.order(), [A, B, C])

    def test_twice(self) -> None:
        """
        Who gives a proxy twice has two chances with it.
        """
        hop = Hop([A, A], self.clock)
        hop.worked(A)
        self.assertEqual(hop.order(), [A, A])

    def test_one(self) -> None:
        """
        A single one is all there is.
        """
        hop = Hop([A], self.clock)
        hop.worked(A)
        self.clock.advance(RETRY_AFTER)
        self.assertEqual(hop.order(), [A])


class AlternativesTests(ChainTestCase):
    """
    Connections through a hop of several proxies.
    """

    def setUp(self) -> None:
        """
        Have two of which the first is down.
        """
        super().setUp()
        self.chained(f"socks5h://{ONE}|socks4a://{TWO}")
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"

    def connect(self) -> Connecting:
        """
        Begin to connect to the target.
        """
        connecting = Connecting(self.chain.endpointTo(TARGET))
        self.network.pump([0] * 5)
        return connecting

    def up(self) -> None:
        """
        Start the first one.
        """
        self.network.world[f"{ONE}:1080"] = "accept"

    def test_down(self) -> None:
        """
        If the first one is not there, the second one is asked for the same,
        and that is logged without secrets.
        """
        self.chained(f"socks5h://alice:s3cret@{ONE}|socks4a://bob@{TWO}")
        connecting = self.connect()
        peer = self.peer()
        peer.peerSends(socks4().answers[0] + EARLY)
        self.assertEqual(connecting.told, ["made", "connected", EARLY])
        self.assertEqual(self.dialled, [ONE, TWO])
        warnings = atLevel(self.events, LogLevel.warn)
        self.assertEqual(len(warnings), 2)
        self.assertIn(f"socks5h://***@{ONE}:1080 does not work", warnings[0])
        self.assertIn(f"Now going through socks4a://***@{TWO}:1080", warnings[1])
        for shown in map(str, self.events):
            self.assertNotIn("s3cret", shown)

    def test_faults(self) -> None:
        """
        Whatever a proxy does wrong, the next one is asked.
        """
        self.up()
        for said in (b"\5\xff", b"\4\0", b"\5\0\4", b"\5\0\5\0\0\5", b"HTTP/1.1", None):
            self.chained(f"socks5h://{ONE}|socks4a://{TWO}")
            connecting = self.connect()
            peer = self.peer()
            if said is None:
                peer.peerResets()
            else:
                peer.peerSends(said)
            self.assertConnects(connecting, socks4())
            self.assertEqual(self.dialled, [ONE, TWO])

    def test_wrongPassword(self) -> None:
        """
        A proxy that does not let us in is of no use either.
        """
        self.up()
        self.chained(f"http://alice:s3cret@{ONE}|socks4a://{TWO}")
        connecting = self.connect()
        self.peer().peerSends(b"HTTP/1.1 407 No\r\n\r\n")
        self.assertConnects(connecting, socks4())
        for shown in map(str, self.events):
            self.assertNotIn("s3cret", shown)

    def test_silence(self) -> None:
        """
        A proxy that does not answer in time is left for the next one.
        """
        self.network.world[f"{ONE}:1080"] = "timeout"
        connecting = self.connect()
        self.network.advance(TIMEOUT - 0.1)
        self.assertEqual(self.transports, [])
        self.network.advance(0.1)
        self.assertConnects(connecting, socks4())

    def test_targetsFault(self) -> None:
        """
        That a target cannot be reached is an answer: no other proxy is asked,
        and the proxy is as good as before.
        """
        self.up()
        for _ in range(3):
            connecting = self.connect()
            self.peer().peerSends(b"\5\0" + refused(5))
            self.failureResultOf(connecting.result, TargetConnectionRefused)
            self.assertEqual(self.dialled, [ONE])
        self.assertEqual(atLevel(self.events, LogLevel.warn), [])

    def test_targetsFaultProves(self) -> None:
        """
        A proxy that has been turned to and can say so works, too.
        """
        connecting = self.connect()
        self.peer().peerSends(socks4().refusal)
        self.failureResultOf(connecting.result)
        self.assertEqual(self.dialled, [ONE, TWO])
        self.assertConnects(self.connect(), socks4())
        self.assertEqual(self.dialled, [TWO])

    def test_allDown(self) -> None:
        """
        If none works, the fault is a proxy's, and each has been asked once.
        """
        for outcome in ("ECONNREFUSED", "EHOSTUNREACH"):
            self.network.world[f"{TWO}:1080"] = outcome
            connecting = self.connect()
            self.failureResultOf(connecting.result, ProxyUnreachable)
            self.assertEqual((connecting.told, connecting.fired), ([], 1))
            self.assertEqual(self.dialled, [ONE, TWO])
            self.assertGone()

    def test_keeps(self) -> None:
        """
        The one that works is kept, and the other not even tried.
        """
        self.assertConnects(self.connect(), socks4())
        self.assertEqual(self.dialled, [ONE, TWO])
        self.up()
        for _ in range(3):
            self.network.advance(RETRY_AFTER / 4)
            self.assertConnects(self.connect(), socks4())
            self.assertEqual(self.dialled, [TWO])

    def test_comesBack(self) -> None:
        """
        Once in a while the favourite gets another chance, and is kept if it
        takes it.
        """
        self.assertConnects(self.connect(), socks4())
        self.assertEqual(self.dialled, [ONE, TWO])
        self.network.advance(RETRY_AFTER)
        # Still down: one look only.
        self.assertConnects(self.connect(), socks4())
        self.assertEqual(self.dialled, [ONE, TWO])
        self.up()
        self.assertConnects(self.connect(), socks4())
        self.assertEqual(self.dialled, [TWO])
        self.network.advance(RETRY_AFTER)
        for _ in range(2):
            self.assertConnects(self.connect(), socks5())
            self.assertEqual(self.dialled, [ONE])

    def test_otherFails(self) -> None:
        """
        If the one that has been kept fails, the favourite is asked at once.
        """
        self.assertConnects(self.connect(), socks4())
        self.assertEqual(self.dialled, [ONE, TWO])
        self.network.world[f"{TWO}:1080"] = "ECONNREFUSED"
        self.up()
        self.assertConnects(self.connect(), socks5())
        self.assertEqual(self.dialled, [TWO, ONE])

    def test_manyAtOnce(self) -> None:
        """
        Connections that are made at the same time do not disturb one another.
        """
        attempts = [self.connect() for _ in range(5)]
        for transport in self.transports:
            transport.peerSends(socks4().answers[0])
        for connecting in attempts:
            self.successResultOf(connecting.result)
        self.assertEqual(sorted(self.dialled), [ONE] * 5 + [TWO] * 5)
        self.assertEqual(len(atLevel(self.events, LogLevel.warn)), 6)

    def test_cancelled(self) -> None:
        """
        Giving up while one is being asked is no reason to ask the next.
        """
        self.up()
        connecting = self.connect()
        connecting.result.cancel()
        self.failureResultOf(connecting.result, CancelledError)
        self.assertEqual(self.dialled, [ONE])
        connecting = self.connect()
        self.peer().peerSends(b"\5\xff")
        self.network.advance(0)
        connecting.result.cancel()
        self.failureResultOf(connecting.result, CancelledError)
        self.assertEqual((connecting.told, connecting.fired), ([], 1))
        self.assertEqual(self.dialled, [ONE, TWO])
        self.assertGone()

    def test_applicationsFault(self) -> None:
        """
        A factory that fails is nobody else's fault, and no reason to ask the
        next.
        """
        self.up()

        class Failing(Connecting):
            def buildProtocol(self, addr: object) -> None:  # type: ignore[override]
                raise ZeroDivisionError

        connecting = Failing(self.chain.endpointTo(TARGET))
        self.peer().peerSends(b"\5\0" + socks5().answers[-1])
        self.failureResultOf(connecting.result, ZeroDivisionError)
        self.assertEqual(self.dialled, [ONE])


class FurtherAwayTests(ChainTestCase):
    """
    Alternatives that are reached through another proxy.
    """

    def setUp(self) -> None:
        """
        Have a proxy, and two alternatives behind it.
        """
        super().setUp()
        self.chained(f"socks5h://{ONE},socks4a://{TWO}|http://{THREE}")

    def connect(self) -> Connecting:
        """
        Begin to connect to the target.
        """
        return Connecting(self.chain.endpointTo(TARGET))

    def test_secondOfSecond(self) -> None:
        """
        If the first proxy cannot reach one of them, it is asked for the other.
        """
        connecting = self.connect()
        peer = self.peer()
        self.answer(peer, socks5(TWO, 1080).messages, (b"\5\0",))
        peer.peerSends(refused(5))
        self.assertConnects(connecting, socks5(THREE, 1080), http())
        self.assertEqual(self.dialled, [ONE, ONE])
        self.assertConnects(self.connect(), socks5(THREE, 1080), http())

    def test_rejected(self) -> None:
        """
        If one of them is at fault, the other is asked by a new way through
        the first.
        """
        connecting = self.connect()
        peer = self.peer()
        self.converse(peer, socks5(TWO, 1080))
        peer.peerSends(b"\5")
        self.assertTrue(peer.aborted)
        self.assertConnects(connecting, socks5(THREE, 1080), http())

    def test_firstDown(self) -> None:
        """
        If the first proxy is down, none of them is reached, and a proxy is at
        fault. Once it is back, so is the favourite.
        """
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
        connecting = self.connect()
        self.network.pump([0] * 5)
        self.failureResultOf(connecting.result, ProxyFault)
        self.assertGone()
        self.network.world[f"{ONE}:1080"] = "accept"
        self.assertConnects(self.connect(), socks5(TWO, 1080), socks4())

    def test_alternativesInFront(self) -> None:
        """
        Alternatives for the nearer hop work as well, and both hops together.
        """
        self.chained(f"socks5h://{ONE}|socks5h://{TWO},http://{THREE}")
        self.network.world[f"{ONE}:1080"] = "ECONNREFUSED"
        connecting = self.connect()
        self.network.advance(0)
        self.assertConnects(connecting, socks5(THREE, 1080), http())
        self.assertEqual(self.dialled, [ONE, TWO])
        connecting = self.connect()
        peer = self.peer()
        self.converse(peer, socks5(THREE, 1080))
        peer.peerSends(b"HTTP/1.1 407 No\r\n\r\n")
        self.failureResultOf(connecting.result, ProxyAuthenticationFailed)
        self.assertEqual(self.dialled, [TWO])

    def test_error(self) -> None:
        """
        The last fault is the one that is told.
        """
        connecting = self.connect()
        for host, said in ((TWO, b"\5"), (THREE, b"\0\0")):
            peer = self.peer()
            self.converse(peer, socks5(host, 1080))
            peer.peerSends(said)
        self.failureResultOf(connecting.result, ProxyProtocolError)
        self.assertGone()

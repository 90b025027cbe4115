"""
Tests for L{socksproxy.client.endpoint}: giving the connection to the
application, whatever that does then.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, NoProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory

from socksproxy.client.endpoint import ProxiedClientEndpoint
from socksproxy.socks.endpoints import SOCKS5ClientEndpoint
from socksproxy.testing import MemoryTransport
from tests.client.scripted import (
    EARLY,
    HOST,
    PORT,
    SOCKS5,
    Application,
    ClientTestCase,
    Connecting,
    Plain,
)

REPLY = SOCKS5.answers[-1]


class Mistake(Exception):
    """
    What is wrong with an application.
    """


class Closing(Application):
    """
    An application that closes its connection as soon as it has one.
    """

    def connectionMade(self) -> None:
        """
        Say goodbye.
        """
        super().connectionMade()
        assert self.transport is not None
        self.transport.write(b"bye")
        self.transport.loseConnection()


class Aborting(Application):
    """
    An application that drops it.
    """

    def connectionMade(self) -> None:
        """
        Drop it.
        """
        super().connectionMade()
        self.transport.abortConnection()  # type: ignore[union-attr]


class Pausing(Application):
    """
    An application that does not want to be given anything yet.
    """

    def connectionMade(self) -> None:
        """
        Say so.
        """
        super().connectionMade()
        IPushProducer(self.transport).pauseProducing()


class Unprepared(Application):
    """
    An application that fails to start.
    """

    def connectionMade(self) -> None:
        """
        Fail.
        """
        raise Mistake


class Confused(Application):
    """
    An application that does not understand the target.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Fail.
        """
        raise Mistake


class RaisingFactory(Connecting):
    """
    A factory that cannot make a protocol.
    """

    def buildProtocol(self, addr: object) -> Plain:
        """
        Fail.
        """
        raise Mistake


class NoFactory(Connecting):
    """
    A factory that wants no connection.
    """

    def buildProtocol(self, addr: object) -> None:  # type: ignore[override]
        """
        Want none.
        """


class CountingFactory(Connecting):
    """
    A factory that keeps what C{startFactory} provides.

    @ivar running: Between its start and its stop.
    """

    running = False

    def startFactory(self) -> None:
        """
        Start.
        """
        self.running = True

    def stopFactory(self) -> None:
        """
        Stop.
        """
        self.running = False


class AddressFactory(Factory):
    """
    A factory that remembers for whom it was asked for protocols.
    """

    noisy = False

    def __init__(self) -> None:
        self.asked: list[object] = []

    def buildProtocol(self, addr: object) -> Application:
        """
        See C{IProtocolFactory}.
        """
        self.asked.append(addr)
        return Application()


class HandOverTests(ClientTestCase):
    """
    Connections on which the proxy has just granted the request.
    """

    def endpoint(self) -> ProxiedClientEndpoint:
        """
        Make an endpoint.
        """
        return SOCKS5.endpoint(self.network, self.proxy(), HOST, PORT)

    def grant(self, connecting: Connecting, early: bytes = EARLY) -> MemoryTransport:
        """
        Grant a request.

        @param early: What comes together with the reply.
        """
        peer = self.play(SOCKS5, 1)
        peer.peerSends(REPLY + early)
        self.assertEqual(connecting.fired, 1)
        return peer

    def connect(self, protocol: Callable[[], Plain]) -> tuple[Connecting, MemoryTransport]:
        """
        Connect an application, with early data.
        """
        connecting = Connecting(self.endpoint(), protocol)
        return connecting, self.grant(connecting)

    def test_factoryRaises(self) -> None:
        """
        What a factory raises is what the attempt fails with, and the
        connection is closed.
        """
        connecting = RaisingFactory(self.endpoint())
        self.grant(connecting)
        self.failureResultOf(connecting.result, Mistake)
        self.assertGone()

    def test_noProtocol(self) -> None:
        """
        A factory that gives no protocol makes the attempt fail as it does
        with Twisted's own endpoints.
        """
        connecting = NoFactory(self.endpoint())
        self.grant(connecting)
        self.failureResultOf(connecting.result, NoProtocol)
        self.assertGone()

    def test_factoryAddress(self) -> None:
        """
        The factory is asked for a protocol for the target, an address if an
        address was asked for.
        """
        factory = AddressFactory()
        for host, address in (
            ("target.test", HostnameAddress(b"target.test", PORT)),
            ("192.0.2.1", IPv4Address("TCP", "192.0.2.1", PORT)),
            ("2001:db8::1", IPv6Address("TCP", "2001:db8::1", PORT)),
            ("::ffff:192.0.2.1", IPv4Address("TCP", "192.0.2.1", PORT)),
        ):
            endpoint = SOCKS5ClientEndpoint(self.network, self.proxy(), host, PORT)
            connecting = endpoint.connect(factory)
            self.peer().peerSends(b"\5\0" + REPLY)
            transport = self.successResultOf(connecting).transport
            self.assertEqual(transport.getPeer(), address)
            self.assertEqual(factory.asked.pop(), address)

    def test_factoryStartsAndStops(self) -> None:
        """
        A factory is started before it makes a protocol, and stopped when its
        connection is gone or could not be made, as by any endpoint.
        """
        connecting = CountingFactory(self.endpoint())
        peer = self.grant(connecting)
        self.assertTrue(connecting.running)
        peer.peerResets()
        self.assertFalse(connecting.running)
        failing = CountingFactory(self.endpoint())
        peer = self.play(SOCKS5, 1)
        self.assertTrue(failing.running)
        peer.peerSends(SOCKS5.refusal)
        self.failureResultOf(failing.result)
        self.assertFalse(failing.running)

    def test_closes(self) -> None:
        """
        An application that closes the connection at once is given nothing
        more but the end of it.
        """
        connecting, peer = self.connect(Closing)
        self.assertEqual(peer.take(), b"bye")
        self.network.advance(0)
        self.assertEqual(connecting.told, ["made", "connected", ConnectionDone])
        self.successResultOf(connecting.result)

    def test_aborts(self) -> None:
        """
        So is one that drops it.
        """
        connecting, peer = self.connect(Aborting)
        self.assertTrue(peer.aborted)
        self.network.advance(0)
        self.assertEqual(connecting.told, ["made", "connected", ConnectionAborted])

    def test_closedByWhoConnected(self) -> None:
        """
        Who connects may close the connection as soon as it is there.
        """
        connecting = Connecting(self.endpoint())
        connecting.result.addCallback(lambda protocol: protocol.transport.abortConnection())
        self.grant(connecting)
        self.network.advance(0)
        self.assertEqual(connecting.told, ["made", "connected", ConnectionAborted])

    def test_pauses(self) -> None:
        """
        An application that is not ready yet is given what came with the reply
        once it is, and that before anything else.
        """
        connecting, peer = self.connect(Pausing)
        peer.peerSends(b"more")
        self.assertEqual(connecting.told, ["made", "connected"])
        assert connecting.application is not None
        IPushProducer(connecting.application.transport).resumeProducing()
        self.network.advance(0)
        self.assertEqual(connecting.received, EARLY + b"more")

    def test_pausesAndIsClosed(self) -> None:
        """
        It gets it, too, if the target ends its stream meanwhile.
        """
        connecting, peer = self.connect(Pausing)
        peer.peerEnds()
        self.assertEqual(connecting.told, ["made", "connected"])
        assert connecting.application is not None
        IPushProducer(connecting.application.transport).resumeProducing()
        self.network.advance(0)
        self.assertEqual(connecting.told, ["made", "connected", EARLY, "end"])

    def test_failsToStart(self) -> None:
        """
        The connection of an application that fails when it is told of it is
        closed, and the failure is not lost.
        """
        connecting, _ = self.connect(Unprepared)
        self.failureResultOf(connecting.result, Mistake)
        self.assertGone()

    def test_failsOnEarlyData(self) -> None:
        """
        An application that fails on what came with the reply loses its
        connection for that, and it is logged, as if it had come later.
        """
        connecting, _ = self.connect(Confused)
        self.successResultOf(connecting.result)
        self.network.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)
        self.events.clear()
        self.assertEqual(connecting.told[:2], ["made", "connected"])
        self.assertEqual(len(connecting.told), 3)
        self.assertGone()

    def test_cancelledBetween(self) -> None:
        """
        If an application, when it is told of its connection, makes that the
        attempt is given up, then the attempt has failed, once, and the
        connection is closed.
        """
        holder: list[Connecting] = []

        class Cancelling(Application):
            def connectionMade(self) -> None:
                super().connectionMade()
                holder[0].result.cancel()

        connecting = Connecting(self.endpoint(), Cancelling)
        holder.append(connecting)
        self.grant(connecting)
        self.failureResultOf(connecting.result, CancelledError)
        self.network.advance(0)
        self.assertNotIn(EARLY, connecting.told)
        self.assertIs(connecting.told[-1], ConnectionAborted)
        self.assertGone()

    def test_lostAtOnce(self) -> None:
        """
        An application is told of a loss that comes right behind the reply.
        """
        connecting = Connecting(self.endpoint())
        peer = self.grant(connecting, b"")
        peer.peerResets()
        self.assertEqual(connecting.told[:2], ["made", "connected"])
        self.assertEqual(len(connecting.told), 3)

"""
Tests for L{socksproxy.testing}: the network by a script.
"""

import errno
from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet import error
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IHostnameResolver,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.inbound import Inbound
from socksproxy.listener import ProxyFactory
from socksproxy.testing import Attempt, MemoryTransport, ScriptedNetwork, tcpAddress
from tests.memoryproxy import SoleUser


class Dialler(ClientFactory):
    """
    A factory that remembers what became of its connections.
    """

    noisy = False

    def __init__(self) -> None:
        self.built: list[IAddress] = []
        self.failures: list[Failure] = []

    def buildProtocol(self, addr: IAddress) -> Protocol:  # type: ignore[override]
        """
        See C{IProtocolFactory}.
        """
        self.built.append(addr)
        return Protocol()

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """
        See C{ClientFactory}.
        """
        self.failures.append(reason)


class Unwilling(Dialler):
    """
    A factory that changes its mind.
    """

    def buildProtocol(self, addr: IAddress) -> None:  # type: ignore[override]
        """
        See C{IProtocolFactory}.
        """


@implementer(IResolutionReceiver)
class Answers:
    """
    What a look-up gave.
    """

    def __init__(self) -> None:
        self.addresses: list[IAddress] = []
        self.complete = False
        self.resolution: Any = None

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        See C{IResolutionReceiver}.
        """
        self.resolution = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        """
        See C{IResolutionReceiver}.
        """
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        """
        See C{IResolutionReceiver}.
        """
        self.complete = True


class DialTests(SynchronousTestCase):
    """
    Connections come about as the script says.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork(
            {
                "192.0.2.1:80": "accept",
                "[2001:db8::1]:80": "accept",
                "192.0.2.2:80": "EHOSTUNREACH",
                "192.0.2.3:80": "timeout",
            }
        )
        self.factory = Dialler()

    def dial(self, host: str, port: int = 80) -> IConnector:
        """
        Connect to somewhere.
        """
        return self.network.connectTCP(host, port, self.factory)

    def test_interfaces(self) -> None:
        """
        It is a clock, and its connectors are what they seem.
        """
        verifyObject(IReactorTime, self.network)
        verifyObject(IConnector, self.dial("192.0.2.1"))

    def test_accept(self) -> None:
        """
        A target that accepts does so with the next turn of the clock, and the
        test has its side of the connection.
        """
        for host in ("192.0.2.1", "2001:db8::1"):
            connector = self.dial(host)
            self.assertEqual(connector.getDestination(), tcpAddress(host, 80))
            attempts = len(self.network.attempts)
            self.network.advance(0)
            (attempt,) = self.network.attempts[attempts:]
            assert attempt.transport is not None
            self.assertEqual((attempt.host, attempt.port), (host, 80))
            self.assertEqual(attempt.transport.getPeer(), tcpAddress(host, 80))
            self.assertIs(type(attempt.transport.getHost()), type(tcpAddress(host, 80)))
        self.assertEqual(len(self.factory.built), 2)
        self.assertEqual(self.factory.failures, [])

    def test_errno(self) -> None:
        """
        An errno comes with the next turn of the clock, as Twisted's error.
        """
        self.dial("192.0.2.2")
        self.assertEqual(self.network.attempts, [Attempt("192.0.2.2", 80, None)])
        self.assertEqual(self.factory.failures, [])
        self.network.advance(0)
        (failure,) = self.factory.failures
        self.assertIsInstance(failure.value, error.ConnectError)
        self.assertEqual(failure.value.osError, errno.EHOSTUNREACH)  # type: ignore[union-attr]
        self.assertEqual(self.factory.built, [])

    def test_notThere(self) -> None:
        """
        What the script does not mention is refused, also another port.
        """
        self.dial("192.0.2.1", 81)
        self.dial("192.0.2.99")
        self.network.advance(0)
        self.assertEqual(
            [failure.type for failure in self.factory.failures],
            [error.ConnectionRefusedError] * 2,
        )

    def test_timeout(self) -> None:
        """
        A target that does not answer never does.
        """
        self.dial("192.0.2.3")
        self.network.advance(1000)
        self.assertEqual(self.network.attempts, [Attempt("192.0.2.3", 80, None)])
        self.assertEqual((self.factory.built, self.factory.failures), ([], []))

    def test_cancelled(self) -> None:
        """
        An attempt that is given up comes to nothing, and is counted once.
        """
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            connector = self.dial(host)
            connector.stopConnecting()
            connector.disconnect()
        self.network.advance(0)
        self.assertEqual(self.network.cancelled, 3)
        self.assertEqual((self.factory.built, self.factory.failures), ([], []))

    def test_notCancelledAnyMore(self) -> None:
        """
        An attempt that is over cannot be given up.
        """
        connectors = [self.dial(host) for host in ("192.0.2.1", "192.0.2.2")]
        self.network.advance(0)
        for connector in connectors:
            connector.disconnect()
        self.assertEqual(self.network.cancelled, 0)

    def test_disconnected(self) -> None:
        """
        A connection that has come about is closed through its connector.
        """
        connector = self.dial("192.0.2.1")
        self.network.advance(0)
        connector.disconnect()
        self.network.advance(0)
        (attempt,) = self.network.attempts
        assert attempt.transport is not None
        self.assertTrue(attempt.transport.lost)
        self.assertFalse(attempt.transport.aborted)

    def test_bindAddress(self) -> None:
        """
        The test knows from where somebody wanted to dial, whatever came of it.
        """
        for host in ("192.0.2.1", "192.0.2.2"):
            self.network.connectTCP(host, 80, self.factory, bindAddress=("192.0.2.100", 0))
        self.network.advance(0)
        self.assertEqual(
            [attempt.bindAddress for attempt in self.network.attempts], [("192.0.2.100", 0)] * 2
        )

    def test_unwanted(self) -> None:
        """
        A connection for which the factory builds no protocol is nobody's.
        """
        self.network.connectTCP("192.0.2.1", 80, Unwilling())
        self.network.advance(0)
        self.assertEqual(self.network.getDelayedCalls(), [])


class LookUpTests(SynchronousTestCase):
    """
    Names have the addresses that the script gives them.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork(
            {"web.test": ["192.0.2.1", "2001:db8::1"], "none.test": [], "nx.test": "NXDOMAIN"}
        )

    def lookUp(self, name: str) -> Answers:
        """
        Look a name up.
        """
        answers = Answers()
        self.network.nameResolver.resolveHostName(answers, name, 80)
        return answers

    def test_interfaces(self) -> None:
        """
        It is a resolver, as a reactor has one.
        """
        verifyObject(IHostnameResolver, self.network.nameResolver)
        answers = self.lookUp("web.test")
        verifyObject(IHostResolution, answers.resolution)
        self.assertEqual(answers.resolution.name, "web.test")
        answers.resolution.cancel()

    def test_addresses(self) -> None:
        """
        A name's addresses come in order.
        """
        answers = self.lookUp("web.test")
        self.assertEqual(
            answers.addresses, [tcpAddress("192.0.2.1", 80), tcpAddress("2001:db8::1", 80)]
        )
        self.assertTrue(answers.complete)

    def test_noAddresses(self) -> None:
        """
        Names that have none, in whatever way, get none.
        """
        for name in ("none.test", "nx.test", "unheard-of.test"):
            answers = self.lookUp(name)
            self.assertEqual((answers.addresses, answers.complete), ([], True))

    def test_queries(self) -> None:
        """
        The test knows what was looked up.
        """
        for name in ("web.test", "nx.test", "web.test"):
            self.lookUp(name)
        self.assertEqual(self.network.queries, ["web.test", "nx.test", "web.test"])


class ExampleTests(SynchronousTestCase):
    """
    The example of the module's description.
    """

    def test_example(self) -> None:
        """
        It works.
        """
        network = ScriptedNetwork({"192.0.2.1:80": "accept", "web.test": ["192.0.2.1"]})
        portal = Portal(SoleUser(), [AllowAnonymousAccess()])
        client = MemoryTransport.connect(network, ProxyFactory(Inbound(portal, network)))
        client.peerSends(b"\x05\x01\x00")
        self.assertEqual(client.take(), b"\x05\x00")

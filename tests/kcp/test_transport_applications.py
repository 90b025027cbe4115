"""
Tests for L{socksproxy.kcp.transport}: what applications do when they are told
something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.protocols.basic import LineReceiver
from twisted.web.client import Agent, ResponseDone
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from socksproxy.kcp import KCPServerEndpoint, SessionTimers
from socksproxy.testing import DatagramNetwork
from tests.kcp.blocks import PUSH, segment
from tests.kcp.network import (
    CLIENT,
    HOST,
    KEY,
    OPENING,
    PORT,
    REDUNDANT,
    Echo,
    KCPNetworkTests,
    Recorder,
    complaints,
    pattern,
)
from tests.logs import captured, texts

Doing = Callable[[Recorder], object]


def doing(**done: Doing) -> Callable[[], Recorder]:
    """
    Give what makes applications which do something when they are told
    something.

    @param done: By the name of what they are told, what they do.
    """

    class Application(Recorder):
        """
        Records, and does.
        """

        def connectionMade(self) -> None:
            super().connectionMade()
            done.get("connectionMade", _nothing)(self)

        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            done.get("dataReceived", _nothing)(self)

        def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
            super().connectionLost(reason)
            done.get("connectionLost", _nothing)(self)

    return Application


def _nothing(application: Recorder) -> None:
    pass


def fail(application: Recorder) -> None:
    """
    Raise something.
    """
    raise ZeroDivisionError("an application's own fault")


def lose(application: Recorder) -> None:
    """
    Ask for the end.
    """
    application.transport.loseConnection()


def abort(application: Recorder) -> None:
    """
    Ask for the end at once.
    """
    application.transport.abortConnection()


class FaultTests(KCPNetworkTests):
    """
    Applications that raise.
    """

    def setUp(self) -> None:
        """
        Start a server with a client, whom nothing must disturb.
        """
        self.start(Echo)
        self.other, self.otherServer = self.joined()

    def meets(self, build: Callable[[], IProtocol | None]) -> Any:
        """
        Have a client meet a faulty application, while another one goes on.

        @return: The client.
        """
        self.factory.build = build
        client = self.connect(timers=SessionTimers(dead=5))
        self.other.transport.write(b"first")
        client.transport.write(OPENING)
        self.other.transport.write(b"second")
        self.settle()
        self.assertEqual(bytes(self.other.received[-11:]), b"firstsecond")
        self.other.transport.write(b"third")
        self.settle()
        self.assertEqual(bytes(self.other.received[-5:]), b"third")
        self.assertFalse(self.other.lost or self.otherServer.lost)
        return client

    def faults(self) -> int:
        """
        Give how many faults have been logged.
        """
        return len(self.flushLoggedErrors(ZeroDivisionError))

    def test_dataReceived(self) -> None:
        """
        What an application raises when it is given something is logged, with
        whose it was, and ends its connection for that reason.
        """
        with captured() as events:
            self.meets(doing(dataReceived=fail))
        self.assertEqual(self.faults(), 1)
        self.assertIn("KCPTransport", "".join(texts(events)))
        faulty = self.factory.made[-1]
        self.assertEqual(faulty.told, ["made", "data", "lost"])
        self.assertIsInstance(faulty.reason, ZeroDivisionError)
        self.assertEqual(len(self.server.sessions), 1)

    def test_dataReceivedTogether(self) -> None:
        """
        So it does if what others have to be given came in the same batch.
        """
        self.factory.build = doing(dataReceived=fail)
        self.otherServer.received.clear()
        stranger = self.stranger(port=5000)
        other = (CLIENT, self.other.transport.getHost().port)
        datagram = segment(PUSH, conv=self.other.transport.conversation, sn=1, una=1, data=b"good")
        self.server.batchReceived(
            [((stranger.transport.host, 5000), [segment(PUSH, data=b"bad")]), (other, [datagram])]
        )
        self.assertEqual(bytes(self.otherServer.received), b"good")
        self.assertEqual(self.factory.made[-1].told, ["made", "data", "lost"])
        self.assertEqual(self.faults(), 1)

    def test_connectionMade(self) -> None:
        """
        What it raises when it is connected ends its connection too, and what
        came for it is not given to it.
        """
        self.meets(doing(connectionMade=fail))
        self.assertEqual(self.faults(), 1)
        self.assertEqual(self.factory.made[-1].told, ["made", "lost"])
        self.assertEqual(len(self.server.sessions), 1)

    def test_connectionLost(self) -> None:
        """
        What it raises when it is told of the end changes nothing.
        """
        self.meets(doing(connectionMade=abort, connectionLost=fail))
        self.assertEqual(self.faults(), 1)
        self.assertEqual(len(self.server.sessions), 1)

    def test_ownFault(self) -> None:
        """
        A fault of the session itself, in what it takes or what it sends, ends
        that session alone.
        """

        def broken(*arguments: object) -> None:
            raise ZeroDivisionError

        for name in ("input", "batches"):
            self.factory.build = Echo
            client = self.connect(timers=SessionTimers(dead=5))
            client.transport.write(OPENING)
            self.settle()
            faulty = self.factory.made[-1]
            setattr(faulty.transport.pipeline, name, broken)
            self.other.received.clear()
            client.transport.write(b"bad")
            self.other.transport.write(b"good")
            self.settle()
            self.assertEqual(self.faults(), 1)
            self.assertIsInstance(faulty.reason, ZeroDivisionError)
            self.assertEqual(bytes(self.other.received), b"good")

    def test_factory(self) -> None:
        """
        A factory that raises refuses the session, and is asked once.
        """
        asked: list[int] = []

        def build() -> None:
            asked.append(1)
            raise ZeroDivisionError

        client = self.meets(build)
        self.settle(10)
        self.assertEqual((len(asked), self.faults()), (1, 1))
        self.assertTrue(client.lost)
        self.assertEqual(len(self.server.sessions), 1)

    def test_factoryThatRefuses(self) -> None:
        """
        A factory that makes nothing refuses likewise, and nothing is logged.
        """
        asked: list[int] = []
        with captured() as events:
            self.meets(lambda: asked.append(1))
            self.settle(10)
        self.assertEqual((len(asked), complaints(events)), (1, []))
        self.assertEqual((len(self.server.sessions), self.server.counted.refused), (1, 1))


class ReentrancyTests(KCPNetworkTests):
    """
    Applications that end their connection when they are told something.
    """

    def told(self, **done: Doing) -> Any:
        """
        Have a client meet such an application.
        """
        self.start(doing(**done))
        client = self.connect()
        client.transport.write(OPENING)
        client.transport.write(pattern(300_000))
        self.settle(2)
        (application,) = self.factory.made
        self.assertEqual(self.server.sessions, {})
        return application

    def test_abortWhenMade(self) -> None:
        """
        It is never told of the end within a call of its own, and gets nothing.
        """
        within: list[bool] = []

        def aborting(application: Recorder) -> None:
            application.transport.abortConnection()
            within.append(application.lost)

        application = self.told(connectionMade=aborting)
        self.assertEqual((within, application.told), ([False], ["made", "lost"]))
        self.assertIsInstance(application.reason, ConnectionAborted)

    def test_loseWhenMade(self) -> None:
        """
        Nor if it asks for the end, or twice.
        """

        def losing(application: Recorder) -> None:
            application.transport.loseConnection()
            application.transport.loseConnection()

        application = self.told(connectionMade=losing)
        self.assertEqual(application.told, ["made", "lost"])
        self.assertIsInstance(application.reason, ConnectionDone)

    def test_abortWhenGiven(self) -> None:
        """
        Aborting, it gets nothing more, though there is more.
        """
        application = self.told(dataReceived=abort)
        self.assertEqual(application.told, ["made", "data", "lost"])
        self.assertIsInstance(application.reason, ConnectionAborted)

    def test_loseWhenGiven(self) -> None:
        """
        So it does if it asks for the end.
        """
        application = self.told(dataReceived=lose)
        self.assertEqual(application.told, ["made", "data", "lost"])
        self.assertIsInstance(application.reason, ConnectionDone)

    def test_whenLost(self) -> None:
        """
        Whatever it does when it is told of the end is nothing.
        """

        def everything(application: Recorder) -> None:
            transport = application.transport
            transport.write(b"too late")
            transport.pauseProducing()
            transport.resumeProducing()
            transport.loseConnection()
            transport.abortConnection()
            transport.unregisterProducer()

        application = self.told(dataReceived=abort, connectionLost=everything)
        self.assertEqual(application.told, ["made", "data", "lost"])

    def test_othersWhenLost(self) -> None:
        """
        What it writes to another session when it is told of the end is sent.
        """
        self.start(Echo)
        client, server = self.joined()
        self.settle()
        client.received.clear()

        def farewell(application: Recorder) -> None:
            server.transport.write(b"farewell")

        self.factory.build = doing(dataReceived=abort, connectionLost=farewell)
        other = self.connect()
        other.transport.write(OPENING)
        self.settle(0.2)
        self.assertEqual(bytes(client.received), b"farewell")

    def test_stopsListeningWhenLost(self) -> None:
        """
        It may stop the server.
        """
        self.start()
        self.factory.build = doing(
            dataReceived=lose, connectionLost=lambda _: self.listening.stopListening()
        )
        client = self.connect(timers=SessionTimers(dead=5))
        client.transport.write(OPENING)
        self.settle(10)
        self.assertFalse(self.network.datagrams[0].open)
        client.transport.abortConnection()
        self.settle(0)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_connectsWhenGiven(self) -> None:
        """
        A client may begin another session when it is given something.
        """
        self.start(Echo)
        clients: list[Any] = []

        def another(application: Recorder) -> None:
            if len(clients) < 5:
                clients.append(self.connect(doing(dataReceived=another)))
                clients[-1].transport.write(OPENING)
            application.transport.loseConnection()

        another(self.connect(doing(dataReceived=another)))
        self.settle(3)
        self.assertEqual([bytes(client.received) for client in clients], [OPENING] * 5)


class OnTwistedTests(KCPNetworkTests):
    """
    Twisted's own protocols.
    """

    def test_lines(self) -> None:
        """
        A receiver of lines that ends after one gets no more of them.
        """
        lines: list[bytes] = []

        class Lines(LineReceiver):
            def lineReceived(self, line: bytes) -> None:
                lines.append(line)
                if line == b"quit":
                    self.sendLine(b"bye")
                    self.transport.loseConnection()

        self.start(Lines)
        client = self.connect()
        client.transport.write(b"one\r\ntwo\r\nquit\r\nthree\r\n" + b"four\r\n" * 100_000)
        self.settle(2)
        self.assertEqual(lines, [b"one", b"two", b"quit"])
        self.assertEqual(bytes(client.received), b"bye\r\n")

    def test_web(self) -> None:
        """
        Twisted's web server and client work over it, over a bad network, with a
        page that takes many windows.
        """
        page = pattern(2_000_000)

        class Page(Resource):
            isLeaf = True

            def render_GET(self, request: Any) -> bytes:
                return page

        network = DatagramNetwork(loss=0.05, seed=3)
        site = Site(Page(), reactor=network)
        site.noisy = False
        server = KCPServerEndpoint(
            network, PORT, KEY, crypt="aes-128-gcm", config=REDUNDANT, interface=HOST
        )
        self.successResultOf(server.listen(site))
        self.network, self.crypt, self.config = network, "aes-128-gcm", REDUNDANT
        test = self

        @implementer(IAgentEndpointFactory)
        class Endpoints:
            def endpointForURI(self, uri: object) -> Any:
                return test.endpoint()

        body = Recorder()
        agent = Agent.usingEndpointFactory(network, Endpoints())
        asking = agent.request(b"GET", b"http://kcp.test/")
        asking.addCallback(lambda response: response.deliverBody(body))
        network.advanceUntil(lambda: body.lost, limit=60)
        self.assertIsInstance(body.reason, ResponseDone)
        self.assertEqual(bytes(body.received), page)

"""
C{kcp:} over real sockets: streams in KCP, by endpoint strings.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory

from socksproxy.smux import MuxProtocol
from tests.files import temporaryFolder
from tests.integration.test_smux import LOOPBACK, Accepting, answering, nothing
from tests.integration.test_tunnel import StringsTestCase, turn

MEBIBYTE = 1 << 20

GCM = {"crypt": "aes-128-gcm", "mode": "fast3"}

PLAIN = {"nocomp": "yes", "datashard": "0"}
"""
What costs the least.
"""


class KCPTestCase(StringsTestCase):
    """
    Tests with a key file.
    """

    prefix = "kcp"

    def setUp(self) -> None:
        """
        Write it.
        """
        path = temporaryFolder(self) / "key"
        path.write_bytes(b"the key of both sides\n")
        self.keyFile = str(path)

    def sessionsOf(self, port: Any) -> list[MuxProtocol]:
        """
        See L{StringsTestCase}.
        """
        sessions = []
        for one in getattr(port, "_ports", [port]):
            factory = one.protocol._factory
            while not hasattr(factory, "sessions"):
                factory = factory.wrappedFactory
            sessions += factory.sessions
        return list(dict.fromkeys(sessions))

    @inlineCallbacks
    def begin(self, streams: Factory, **parameters: str) -> Generator[Deferred[Any], Any, None]:
        """
        See L{StringsTestCase}.

        @param parameters: For both.
        """
        parameters = {**GCM, "keyFile": self.keyFile, **parameters}
        yield self.listen(streams, **parameters)
        self.dial(**parameters)


class TransferTests(KCPTestCase):
    """
    Data through tunnels.
    """

    @inlineCallbacks
    def test_bulk(self) -> Generator[Deferred[Any], Any, None]:
        """
        Twenty mebibytes, both ways at a time.
        """
        streams = answering(20 * MEBIBYTE)
        yield self.begin(streams, **PLAIN)
        yield self.transfer(streams, 1, 20 * MEBIBYTE)

    @inlineCallbacks
    def test_manyStreams(self) -> Generator[Deferred[Any], Any, None]:
        """
        Two hundred streams at a time, with either version, in one session.
        """
        for version in ("1", "2"):
            streams = answering(10000)
            yield self.begin(streams, smuxver=version)
            yield self.transfer(streams, 200, 20000)
            self.assertEqual(len(self.servers()), 1)

    @inlineCallbacks
    def test_severalSessions(self) -> Generator[Deferred[Any], Any, None]:
        """
        With C{conn} they are spread over several, at once.
        """
        streams = answering(10000)
        yield self.listen(streams, keyFile=self.keyFile)
        self.dial(keyFile=self.keyFile, conn="4")
        yield self.transfer(streams, 40, 100000)
        self.assertEqual(len(self.servers()), 4)
        counts = [member.mux.numbers()["streamsBegun"] for member in self.client._members]
        self.assertEqual(counts, [10, 10, 10, 10])

    @inlineCallbacks
    def test_defaults(self) -> Generator[Deferred[Any], Any, None]:
        """
        With kcptun's settings, compression and error correction included.
        """
        streams = answering(500000)
        yield self.listen(streams, key="k")
        self.dial(key="k")
        yield self.transfer(streams, 4, 1000000)

    @inlineCallbacks
    def test_ports(self) -> Generator[Deferred[Any], Any, None]:
        """
        On several ports: sessions are spread over them, and all is closed
        together.
        """
        streams = answering(10000)
        first = yield self.listenOnSeveral(streams)
        self.dial(f"{first}-{first + 3}", keyFile=self.keyFile, conn="8")
        yield self.transfer(streams, 16, 20000)
        self.assertEqual(len(self.servers()), 8)
        ports = {member.mux.peer.port for member in self.client._members}
        self.assertLessEqual(ports, set(range(first, first + 4)))

    @inlineCallbacks
    def test_portsTaken(self) -> Generator[Deferred[Any], Any, None]:
        """
        If one of them is taken none is, also not a moment later.
        """
        streams = Accepting(nothing)
        first = yield self.listenOnSeveral(streams)
        yield self.port.stopListening()
        udp: Any = reactor
        taken = udp.listenUDP(first + 2, DatagramProtocol(), interface=LOOPBACK)
        described = self.described(f"{first}-{first + 3}", interface=LOOPBACK, keyFile=self.keyFile)
        yield self.assertFailure(
            serverFromString(reactor, described).listen(streams), CannotListenError
        )
        yield taken.stopListening()
        self.port = yield serverFromString(reactor, described).listen(streams)
        self.addCleanup(self.port.stopListening)

    @inlineCallbacks
    def listenOnSeveral(self, streams: Factory) -> Generator[Deferred[Any], Any, int]:
        """
        Listen on four ports that are free.

        @return: The first.
        """
        for _ in range(50):
            udp: Any = reactor
            probe = udp.listenUDP(0, DatagramProtocol(), interface=LOOPBACK)
            first: int = probe.getHost().port
            yield probe.stopListening()
            try:
                yield self.listen(streams, f"{first}-{first + 3}", keyFile=self.keyFile)
            except CannotListenError:
                continue
            return first
        raise AssertionError("there are no four free ports")


class EndTests(KCPTestCase):
    """
    Streams that end, and streams that do not go on.
    """

    @inlineCallbacks
    def test_halfClose(self) -> Generator[Deferred[Any], Any, None]:
        """
        The end of one direction arrives as that, and the other goes on.
        """
        for nocomp in ("yes", "no"):
            yield self.begin(self.afterTheEnd(), nocomp=nocomp)
            yield self.ask()

    @inlineCallbacks
    def test_stalledStream(self) -> Generator[Deferred[Any], Any, None]:
        """
        A stream that is not read leaves the others alone.
        """
        yield self.stall()

    @inlineCallbacks
    def test_sessionLost(self) -> Generator[Deferred[Any], Any, None]:
        """
        A client whose session is over has another made.
        """
        streams = Accepting(nothing)
        yield self.begin(streams)
        first = yield self.connect()
        while not streams.made:
            yield turn()
        self.client._members[0].mux.abort()
        yield first.lost
        second = yield self.connect()
        second.transport.write(b"again")
        while len(streams.made) < 2 or not streams.made[1].octets:
            yield turn()

    @inlineCallbacks
    def test_closes(self) -> Generator[Deferred[Any], Any, None]:
        """
        A port and a client that are closed leave nothing.
        """
        streams = answering(1000)
        yield self.begin(streams)
        yield self.transfer(streams, 3, 1000)
        closed = [each.mux.whenClosed() for each in self.client._members]
        closed += [each.whenClosed() for each in self.servers()]
        self.client.close()
        yield self.port.stopListening()
        yield gatherResults(closed)
        self.assertEqual(self.client._members, [])

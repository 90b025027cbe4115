"""
One end of ours, as a program: C{python -m bench.kcp.peer SETTINGS}.

It is C{serve} or C{ask}, or for a tunnel that carries TCP connections of
others, as kcptun does, C{leave} or C{enter}. Commands come as lines.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from bench.kcp.applications import AnsweringFactory, Asking, Source
from bench.kcp.layers import Sampler
from socksproxy.kcp import KCPClientEndpoint, KCPConfig, KCPServerEndpoint
from socksproxy.relay import Leg, Relay, RelayTimers
from socksproxy.smux import SmuxConfig
from socksproxy.smux.endpoints import MuxClientEndpoint, MuxServerEndpoint

MUX = SmuxConfig(version=1)
"""
What Debian's kcptun speaks if it is not told otherwise.
"""


class Peer:
    """
    What can be asked for; each method is a command.
    """

    def __init__(self, reactor: Any, settings: dict[str, Any]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._config = KCPConfig.forMode(settings["mode"], **settings["config"])
        self._answering = AnsweringFactory()
        self._source: Source | None = None
        self._relays: set[Relay] = set()
        self._sampler = Sampler()

    def start(self) -> Any:
        """
        Begin to listen, where that is this side's part.
        """
        settings, reactor = self._settings, self._reactor
        if settings["role"] == "serve":
            return self._kcpServer().listen(self._answering)
        if settings["role"] == "leave":
            target = TCP4ClientEndpoint(reactor, "127.0.0.1", settings["tcpPort"])
            carrier = self._kcpServer()
            return MuxServerEndpoint(reactor, carrier, MUX).listen(_Joining(self, target))
        if settings["role"] == "enter":
            listening = TCP4ServerEndpoint(reactor, settings["tcpPort"], interface="127.0.0.1")
            mux = MuxClientEndpoint(reactor, self._kcpClient(), MUX)
            return listening.listen(_Joining(self, mux))
        return None

    def _kcpServer(self) -> KCPServerEndpoint:
        settings = self._settings
        return KCPServerEndpoint(
            self._reactor,
            settings["port"],
            settings["key"],
            crypt=settings["crypt"],
            config=self._config,
            interface=settings["host"],
        )

    def _kcpClient(self) -> KCPClientEndpoint:
        settings = self._settings
        return KCPClientEndpoint(
            self._reactor,
            settings["host"],
            settings["port"],
            settings["key"],
            crypt=settings["crypt"],
            config=self._config,
        )

    def _connect(self, protocol: Any) -> Deferred[Any]:
        return self._kcpClient().connect(Factory.forProtocol(lambda: protocol))

    def join(self, one: Leg, other: Leg) -> None:
        """
        Let two connections be one.
        """
        relay = Relay(
            self._reactor, one, other, RelayTimers(), lambda _: self._relays.discard(relay)
        )
        self._relays.add(relay)
        relay.start()

    # The commands.

    def octets(self) -> int:
        """
        Say what has come to the sink.
        """
        return self._answering.octets

    def bulk(self) -> Deferred[None]:
        """
        Begin to send.
        """
        self._source = Source()
        return self._connect(self._source).addCallback(lambda _: None)

    def stop(self) -> None:
        """
        Send no more.
        """
        if self._source is not None and self._source.transport is not None:
            self._source.transport.abortConnection()

    def echo(
        self, sessions: int, size: int, settling: float, seconds: float
    ) -> Deferred[list[float]]:
        """
        Measure echoes on several sessions, each by itself.

        @param settling: Seconds that do not count.
        @param seconds: That do.
        """
        asking = [Asking(size, settling) for _ in range(sessions)]
        for each in asking:
            self._connect(each)
            self._reactor.callLater(settling + seconds, each.finish)
        gathered = gatherResults([each.finished for each in asking])
        return gathered.addCallback(lambda several: [round(t, 6) for ts in several for t in ts])

    def counters(self) -> dict[str, Any]:
        """
        Give the counters of the last session with bulk.
        """
        source = self._source
        transport: Any = source.transport if source is not None else self._answering.latest
        return {} if transport is None else asdict(transport.statistics)

    def profile(self) -> None:
        """
        Begin to see where the time goes.
        """
        self._sampler.start()

    def profiled(self) -> dict[str, Any]:
        """
        Say where it went.
        """
        return self._sampler.stop()


class _Joining(Factory):
    """
    Joins each connection that comes in to one that goes out.
    """

    noisy = False

    def __init__(self, peer: Peer, target: Any) -> None:
        self._peer = peer
        self._target = target

    def buildProtocol(self, addr: Any) -> Leg:
        leg = Leg()
        # Not before the leg has its own transport.
        self._peer._reactor.callLater(0, self._dial, leg)
        return leg

    def _dial(self, leg: Leg) -> None:
        connecting = self._target.connect(Factory.forProtocol(Leg))
        connecting.addCallback(lambda other: self._peer.join(leg, other))
        connecting.addErrback(lambda _: leg.transport.loseConnection())


class Commands(LineReceiver):
    """
    Reads commands and writes answers.
    """

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, reactor: Any, peer: Peer) -> None:
        self._reactor = reactor
        self._peer = peer

    def connectionMade(self) -> None:
        """
        Say that there is somebody.
        """
        self._answer(maybeDeferred(self._peer.start), lambda _: True)

    def lineReceived(self, line: bytes) -> None:
        """
        Do as the line says.
        """
        arguments = json.loads(line)
        command = getattr(self._peer, arguments.pop("command"))
        self._answer(maybeDeferred(command, **arguments), lambda result: result)

    def _answer(self, result: Deferred[Any], choose: Any) -> None:
        result.addCallback(lambda value: self.sendLine(json.dumps(choose(value)).encode()))
        result.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        failure.printTraceback(sys.stderr)
        # It may not even run yet.
        self._reactor.callWhenRunning(self._end)

    def _end(self) -> None:
        if self._reactor.running:
            self._reactor.stop()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Nobody is there any more.
        """
        self._end()


def main() -> None:
    """
    Be a peer.
    """
    from twisted.internet import reactor

    StandardIO(Commands(reactor, Peer(reactor, json.loads(sys.argv[1]))))
    reactor.run()


if __name__ == "__main__":
    main()

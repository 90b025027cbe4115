"""
What becomes of tunnels when something happens to the network or to their
server: streams through C{kcp:} and C{tunnel:} between two daemons.

All of it takes its time, so all of it happens at once.
"""

from __future__ import annotations

import tempfile
import unittest
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from tests.daemon import Daemon
from tests.interop.client import dial
from tests.interop.kcptuns import Wire, freeDatagramPort
from tests.interop.namespaces import (
    CLIENT_ADDRESS,
    PROXY_ADDRESS,
    NamespaceDaemon,
    Network,
    requireNamespaces,
)
from tests.interop.processes import freePort
from tests.interop.records import End
from tests.interop.scenes import ESTABLISHED, Scene
from tests.interop.tunnels import LOOPBACK, Kind, forwardedPorts, kinds

MOVED_ADDRESS = "198.51.100.3"
ELSEWHERE = "02:00:00:00:00:99"
"""
The Ethernet address of nobody.
"""

TCP = f"tcp:0:interface={LOOPBACK}"


class Wired(Scene):
    """
    Tunnels of KCP on loopback, with a wire for each.
    """

    NAMES = ("rebound", "rebound at rest", "broken")

    def __init__(self, undo: ExitStack, kind: Kind) -> None:
        """
        @param undo: Ends everything.
        @param kind: KCP.
        """
        super().__init__(undo)
        target = undo.enter_context(self.target())
        forwards = [f"--forward={kind.listener()},tcp:{LOOPBACK}:{target.port}"] * len(self.NAMES)
        self.server = undo.enter_context(Daemon(*forwards))
        ports = forwardedPorts(self.server, len(self.NAMES))
        wires = [undo.enter_context(Wire(port)) for port in ports]
        self.wires = dict(zip(self.NAMES, wires, strict=True))
        near = (f"--forward={TCP},{kind.way(wire.port)}" for wire in wires)
        self.start(Daemon(*near), self.NAMES)

    def rebind(self) -> None:
        """
        A client's source port changes.
        """
        self.converseOnAll(["rebound"])
        self.wires["rebound"].rebind()
        self.flows(["rebound"])
        self.settle(["rebound"])
        self.checkRebound("rebound")

    def rebindAtRest(self) -> None:
        """
        It changes while nothing is under way.
        """
        self.rest(["rebound at rest"])
        self.wires["rebound at rest"].rebind()
        self.flowsPatiently(["rebound at rest"])
        self.settle(["rebound at rest"])
        self.checkRebound("rebound at rest")

    def checkRebound(self, tunnel: str) -> None:
        """
        See that the server was sent something from more ports than one.
        """
        if len(self.wires[tunnel].sources) < 2:
            raise AssertionError("nothing came from another port")

    def breakDown(self) -> None:
        """
        Nothing gets through for a while.
        """
        self.converseOnAll(["broken"], ESTABLISHED)
        self.wires["broken"].broken = True
        self.converse("broken")
        self.waitOut(["broken"])
        self.wires["broken"].broken = False
        self.flows(["broken"])
        self.settle(["broken"], [End.CLEAN])


class Restarted(Scene):
    """
    Tunnels of both kinds on loopback whose server is killed.
    """

    NAMES = ("kcp", "tunnel", "kcp at rest", "tunnel at rest")

    def __init__(self, undo: ExitStack, both: Sequence[Kind]) -> None:
        """
        @param undo: Ends everything.
        @param both: The kinds.
        """
        super().__init__(undo)
        target = undo.enter_context(self.target())
        ports = [freeDatagramPort(), freePort(), freeDatagramPort(), freePort()]
        self._far = [
            f"--forward={kind.listener(port)},tcp:{LOOPBACK}:{target.port}"
            for kind, port in zip((*both, *both), ports, strict=True)
        ]
        self.server = self._run()
        near = (
            f"--forward={TCP},{kind.way(port)}"
            for kind, port in zip((*both, *both), ports, strict=True)
        )
        self.start(Daemon(*near), self.NAMES)

    def _run(self) -> Daemon:
        server = self._undo.enter_context(Daemon(*self._far))
        forwardedPorts(server, len(self._far))
        return server

    def restart(self) -> None:
        """
        The server is killed, and started again.
        """
        self.converseOnAll(self.NAMES[:2])
        self.rest(self.NAMES[2:])
        self.server.process.kill()
        self.server.process.wait()
        self.server = self._run()
        with ThreadPoolExecutor(2) as pool:
            resting = pool.submit(self.flowsPatiently, self.NAMES[2:])
            self.flows(self.NAMES[:2])
            resting.result()
        self.settle(self.NAMES[:2], [End.ERROR], killed=True)
        self.settle(self.NAMES[2:])


class Cabled(Scene):
    """
    Tunnels of both kinds between two hosts.
    """

    NAMES = ("kcp", "tunnel", "kcp at rest", "tunnel at rest")

    def __init__(self, undo: ExitStack, both: Sequence[Kind]) -> None:
        """
        @param undo: Ends everything.
        @param both: The kinds.
        """
        requireNamespaces()
        self.network = network = undo.enter_context(Network((), ()))
        super().__init__(undo, lambda port: network.world.call(dial, port))
        target = undo.enter_context(network.host.call(self.target))
        far = [
            f"--forward={kind.listener(0, PROXY_ADDRESS)},tcp:{LOOPBACK}:{target.port}"
            for kind in (*both, *both)
        ]
        self.server = undo.enter_context(NamespaceDaemon(network.host, TCP, *far))
        ports = forwardedPorts(self.server, len(far))
        near = (
            f"--forward={TCP},{kind.way(port, PROXY_ADDRESS)}"
            for kind, port in zip((*both, *both), ports, strict=True)
        )
        self.start(NamespaceDaemon(network.world, TCP, *near), self.NAMES)

    def move(self) -> None:
        """
        The client's address changes.
        """
        self.converseOnAll(self.NAMES[:2])
        self.rest(self.NAMES[2:])
        self.network.world.configure(
            f"address delete {CLIENT_ADDRESS}/24 dev cable",
            f"address add {MOVED_ADDRESS}/24 dev cable",
        )
        with ThreadPoolExecutor(2) as pool:
            resting = pool.submit(self.flowsPatiently, self.NAMES[2:])
            self.flows(self.NAMES[:2])
            resting.result()
        self.settle(self.NAMES)

    def blackOut(self) -> None:
        """
        Nothing gets through for a while, and nobody is told.
        """
        ends = (
            (self.network.world, PROXY_ADDRESS),
            (self.network.host, CLIENT_ADDRESS),
        )
        tunnels = self.NAMES[:2]
        self.converseOnAll(tunnels, ESTABLISHED)
        for end, neighbour in ends:
            end.configure(
                f"neighbor replace {neighbour} lladdr {ELSEWHERE} dev cable nud permanent"
            )
        for tunnel in tunnels:
            self.converse(tunnel)
        self.waitOut(tunnels)
        for end, neighbour in ends:
            end.configure(f"neighbor delete {neighbour} dev cable")
        self.flows(tunnels)
        self.settle(tunnels, [End.CLEAN])


class MovingTests(unittest.TestCase):
    """
    Daemons at both ends of tunnels.
    """

    happening: ClassVar[dict[str, Future[None]]]
    missing: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start all daemons, and let happen what is to happen.
        """
        undo = cls.enterClassContext(ExitStack())
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
        both = kinds(folder, LOOPBACK, PROXY_ADDRESS)
        wired = Wired(undo, both[0])
        restarted = Restarted(undo, both)
        what = [wired.rebind, wired.rebindAtRest, wired.breakDown, restarted.restart]
        try:
            what += [Cabled(undo, both).move, Cabled(undo, both).blackOut]
        except unittest.SkipTest as e:
            cls.missing = str(e)
        pool = undo.enter_context(ThreadPoolExecutor(len(what)))
        cls.happening = {each.__name__: pool.submit(each) for each in what}

    def outcome(self, name: str) -> None:
        """
        Wait for something to have happened, and see what has come of it.
        """
        if name not in self.happening:
            self.skipTest(self.missing)
        self.happening[name].result()

    def test_rebinding(self) -> None:
        """
        When a router gives a client of KCP another port, new streams work
        within seconds, and those that there are go on or fail.
        """
        self.outcome("rebind")

    def test_rebindingAtRest(self) -> None:
        """
        So they do if that happened while nothing was under way, and nobody
        has noticed.
        """
        self.outcome("rebindAtRest")

    def test_breakdown(self) -> None:
        """
        When nothing has got through for ten seconds, new streams work within
        seconds, those that were there before go on, and those that were begun
        meanwhile do or fail.
        """
        self.outcome("breakDown")

    def test_restart(self) -> None:
        """
        When the server is killed and started again, new streams work within
        seconds, and those that there were have failed.
        """
        self.outcome("restart")

    def test_move(self) -> None:
        """
        When the client's host has got another address, new streams work
        within seconds, and those that there are go on or fail.
        """
        self.outcome("move")

    def test_blackout(self) -> None:
        """
        Between hosts that do not hear one another for ten seconds it is the
        same for both kinds of tunnels.
        """
        self.outcome("blackOut")

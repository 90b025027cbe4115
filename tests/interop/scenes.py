"""
Two daemons with tunnels between them, and streams on these whose octets are
accounted for.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from tests.daemon import Daemon
from tests.interop.client import dial
from tests.interop.processes import until
from tests.interop.records import Conversation, End, Witness
from tests.interop.tunnels import forwardedPorts
from tests.targets import Target

AGAIN = 5.0
"""
Seconds until there has to be a connection that works.
"""

EVERY = 0.5
"""
Seconds after which a user who gets no answer tries once more.
"""

ENDED = 40.0
"""
Seconds in which a stream has to go on or to fail: a session in TLS of which
nothing is heard any more is over after 30.
"""

BLACKOUT = 10.0
"""
Seconds for which nothing gets through.
"""

ESTABLISHED = 100 << 10
"""
Octets that have come back on a stream which is no longer new: a kilooctet in a
hundredth of a second at the most.
"""

Dialler = Callable[[int], socket.socket]


class Scene:
    """
    Two daemons with tunnels between them that lead to a witness.

    @ivar server: The daemon at the far end.
    @ivar ports: Where to connect to at the near end, by names for the tunnels.
    """

    def __init__(self, undo: ExitStack, dialler: Dialler = dial) -> None:
        """
        @param undo: Ends everything.
        @param dialler: Connects to a port at the near end.
        """
        self.server: Daemon
        self.ports: dict[str, int] = {}
        self._undo = undo
        self._dial = dialler
        self._witness = Witness()
        self._conversations: dict[str, list[Conversation]] = {}
        # For several threads.
        self._numbers = itertools.count()

    def target(self) -> Target:
        """
        Make the server of a witness, not yet started.
        """
        return Target(self._witness)

    def start(self, daemon: Daemon, names: Iterable[str]) -> None:
        """
        Start the near end.

        @param names: What to call the tunnels by.
        """
        names = list(names)
        self._undo.enter_context(daemon)
        self.ports = dict(zip(names, forwardedPorts(daemon, len(names)), strict=True))

    def converse(self, tunnel: str) -> Conversation:
        """
        Open a stream and begin to send records on it.
        """
        conversation = Conversation(next(self._numbers), self._dial(self.ports[tunnel]))
        self._conversations.setdefault(tunnel, []).append(conversation)
        return self._undo.enter_context(conversation)

    def converseOnAll(self, tunnels: Sequence[str], octets: int = 1) -> None:
        """
        Have a stream through each tunnel that works, and goes on.

        @param octets: How much has come back on it by then.
        """
        opened = [self.converse(tunnel) for tunnel in tunnels]
        until(
            lambda: all(len(each.back) >= octets for each in opened), "streams through the tunnels"
        )

    def rest(self, tunnels: Sequence[str]) -> None:
        """
        Have a session of each tunnel on which there was a stream, and is none.
        """
        self.converseOnAll(tunnels)
        self.settle(tunnels, [End.CLEAN])

    def flows(self, tunnels: Sequence[str]) -> None:
        """
        See that of new streams through each of some tunnels, one every half a
        second, one works in time.
        """
        began = time.monotonic()
        opened: dict[str, list[Conversation]] = {tunnel: [] for tunnel in tunnels}
        working: dict[str, float] = {}

        def look() -> bool:
            passed = time.monotonic() - began
            for tunnel in opened.keys() - working.keys():
                if any(each.back for each in opened[tunnel]):
                    working[tunnel] = passed
                elif len(opened[tunnel]) * EVERY <= passed:
                    opened[tunnel].append(self.converse(tunnel))
            return len(working) == len(tunnels)

        until(look, f"a stream that works through each of {', '.join(tunnels)}", AGAIN)

    def flowsPatiently(self, tunnels: Sequence[str]) -> None:
        """
        See that a user who tries again only once a stream has failed gets one
        that works in time.
        """
        began = time.monotonic()
        current = {tunnel: self.converse(tunnel) for tunnel in tunnels}
        working: dict[str, float] = {}

        def look() -> bool:
            for tunnel in current.keys() - working.keys():
                if current[tunnel].back:
                    working[tunnel] = time.monotonic() - began
                elif current[tunnel].end is not None:
                    current[tunnel] = self.converse(tunnel)
            return len(working) == len(tunnels)

        until(look, f"a stream that works, or fails, through each of {', '.join(tunnels)}", AGAIN)

    def arriving(self, tunnels: Sequence[str]) -> int:
        """
        Count the octets that have come back on all streams through some
        tunnels.
        """
        return sum(len(each.back) for name in tunnels for each in self._conversations[name])

    def waitOut(self, tunnels: Sequence[str]) -> None:
        """
        Let the time of a blackout pass, and see that it is one.
        """
        # This is the effect, and not what is waited for.
        time.sleep(BLACKOUT / 2)
        before = self.arriving(tunnels)
        time.sleep(BLACKOUT / 2)
        if self.arriving(tunnels) != before:
            raise AssertionError("something gets through nevertheless")

    def settle(
        self, tunnels: Sequence[str], ends: Sequence[End] = tuple(End), killed: bool = False
    ) -> None:
        """
        See that of every stream so far nothing is missing without an error.

        @param ends: How the first stream of each tunnel may have ended.
        @param killed: As for L{Conversation.check}.
        """
        began = time.monotonic()
        for tunnel in tunnels:
            for each in self._conversations[tunnel]:
                each.finish(max(0.1, began + ENDED - time.monotonic()))
                each.check(self._witness.of(each.number), killed)
            first = self._conversations[tunnel][0].end
            if first not in ends:
                raise AssertionError(f"the first stream of {tunnel} has ended with {first}")
            self._conversations[tunnel] = []

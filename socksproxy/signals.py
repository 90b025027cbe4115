"""
What the daemon does on signals.

- SIGTERM: accept no more, let transfers end for a while, exit with status 0.
  A second one ends them at once.
- SIGINT (Ctrl-C): end at once.
- SIGHUP: open the log files by their names again.
- SIGUSR1: begin new log files.
- SIGUSR2: log what goes on.

Twisted has no handlers for the last three, so that they would kill a process in
the foreground.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from socksproxy.events import log
from socksproxy.log import reopenLogs, rotateLogs
from socksproxy.service import ProxyService
from socksproxy.state import State

LINES_AT_ONCE = 50
"""
Lines of a report after which others have their turn.
"""

Handler = Callable[[int, FrameType | None], Any] | int | None


class SignalService(Service):
    """
    Has the handlers installed while it runs. The process must belong to it:
    this is not for a proxy inside another program.
    """

    def __init__(self, reactor: Any, proxy: ProxyService) -> None:
        """
        @param reactor: The reactor that runs in the main thread.
        @param proxy: The proxy to stop.
        """
        self._reactor = reactor
        self._proxy = proxy
        self._previous: dict[int, Handler] = {}
        self._terminated = False
        self._states: deque[State] = deque()

    def startService(self) -> None:
        """
        See C{IService}. The reactor installs its own handlers when it starts
        to run, so that ours have to come after.
        """
        super().startService()
        self._reactor.callWhenRunning(self._install)

    def stopService(self) -> Deferred[None] | None:
        """
        See C{IService}. The handlers stay: while the proxy drains they are
        still needed.
        """
        super().stopService()
        self._reactor.addSystemEventTrigger("after", "shutdown", self._restore)
        return None

    def _install(self) -> None:
        for number, function in (
            (signal.SIGTERM, self._terminate),
            (signal.SIGINT, self._interrupt),
            (signal.SIGHUP, self._hangUp),
            (signal.SIGUSR1, self._rotate),
            (signal.SIGUSR2, self._report),
        ):
            self._previous[number] = signal.signal(number, self._inReactor(function))

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _inReactor(self, function: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
        def handler(number: int, frame: FrameType | None) -> None:
            self._reactor.callFromThread(function)

        return handler

    def _terminate(self) -> None:
        if self._terminated:
            self._proxy.abortConnections()
            return
        self._terminated = True
        log.info("Received SIGTERM, shutting down")
        if self.running:
            self._reactor.stop()

    def _interrupt(self) -> None:
        self._proxy.drain = 0
        self._proxy.abortConnections()
        if not self.running:
            return
        previous = self._previous[signal.SIGINT]
        if callable(previous):
            # The reactor's own, after which the process dies of the signal,
            # as a shell that has sent Ctrl-C expects.
            previous(signal.SIGINT, None)
        else:
            self._reactor.stop()

    def _hangUp(self) -> None:
        try:
            reopenLogs()
        except OSError as e:
            log.error("The log cannot be opened again: {reason}", reason=e.strerror)
        else:
            log.info("Received SIGHUP, log opened again")

    def _rotate(self) -> None:
        rotateLogs()
        log.info("Received SIGUSR1, new log begun")

    def _report(self) -> None:
        if self._states:
            log.info("Received SIGUSR2 while the last report is still being written")
            return
        log.info("Received SIGUSR2, the state of everything follows")
        # As it is now, though it takes a while to write.
        self._states.extend(self._proxy.report())
        self._writeReport()

    def _writeReport(self) -> None:
        states = self._states
        for _ in range(min(len(states), LINES_AT_ONCE)):
            states.popleft().emit()
        if states:
            self._reactor.callLater(0, self._writeReport)
        else:
            log.info("End of the state")

"""
Tests for L{socksproxy.signals}.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from twisted.application.service import IService
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy import log
from socksproxy.events import log as eventLog
from socksproxy.log import LogFile
from socksproxy.signals import LINES_AT_ONCE, SignalService
from socksproxy.state import State
from tests.files import temporaryFolder
from tests.logs import atLevel, captured, texts
from tests.memoryreactor import MemoryReactor

HANDLED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


class Proxy:
    """
    A proxy that is not there.

    @ivar drain: As of a real one.
    @ivar aborted: How often everything has been cut off.
    @ivar states: What it has to say.
    """

    drain = 30.0

    def __init__(self) -> None:
        self.aborted = 0
        self.states: list[State] = []

    def report(self) -> list[State]:
        """
        Tell it.
        """
        return self.states

    def abortConnections(self) -> None:
        """
        Cut off everything.
        """
        self.aborted += 1


class SignalTestCase(SynchronousTestCase):
    """
    Tests with a process that has signal handlers.
    """

    def setUp(self) -> None:
        """
        Run a service in a process that has handlers of its own.
        """
        self.before: dict[int, Any] = {
            signal.SIGTERM: self.reactorHandler,
            signal.SIGINT: self.reactorHandler,
            signal.SIGHUP: signal.SIG_DFL,
            signal.SIGUSR1: None,
            signal.SIGUSR2: signal.SIG_DFL,
        }
        self.handlers = dict(self.before)
        self.reactorSaw: list[int] = []
        self.patch(signal, "signal", self.install)
        self.reactor = MemoryReactor()
        self.proxy = Proxy()
        self.service = SignalService(self.reactor, self.proxy)  # type: ignore[arg-type]
        self.service.startService()

    def install(self, number: int, handler: Any) -> Any:
        """
        See C{signal.signal}.
        """
        previous, self.handlers[number] = self.handlers[number], handler
        return previous

    def reactorHandler(self, number: int, frame: object) -> None:
        """
        Be the reactor's own handler.
        """
        self.reactorSaw.append(number)
        self.reactor.stop()

    def send(self, number: int) -> None:
        """
        Send the process a signal.
        """
        handler: Callable[[int, object], object] = self.handlers[number]
        handler(number, None)
        self.reactor.advance(0)


class SignalServiceTests(SignalTestCase):
    """
    What signals do.
    """

    def test_interface(self) -> None:
        """
        It is a service.
        """
        verifyObject(IService, self.service)

    def test_installed(self) -> None:
        """
        Our handlers come when the reactor runs, after its own, and not
        earlier.
        """
        self.assertEqual(self.handlers, self.before)
        self.reactor.run()
        for number in HANDLED:
            self.assertTrue(callable(self.handlers[number]), number)
            self.assertNotEqual(self.handlers[number], self.before[number])

    def test_restored(self) -> None:
        """
        The handlers that were there come back at the very end, after the proxy
        has been waited for.
        """
        self.reactor.run()
        ours = dict(self.handlers)
        self.assertIsNone(self.service.stopService())
        self.assertEqual(self.handlers, ours)
        self.reactor.fire("after", "shutdown")
        self.assertEqual(self.handlers, {**self.before, signal.SIGUSR1: signal.SIG_DFL})

    def test_neverRan(self) -> None:
        """
        Where the reactor never ran there is nothing to bring back.
        """
        self.service.stopService()
        self.reactor.fire("after", "shutdown")
        self.assertEqual(self.handlers, self.before)

    def test_inTheReactor(self) -> None:
        """
        A handler itself does nothing: what is to be done is done by the
        reactor, in its turn.
        """
        self.reactor.run()
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual(self.reactor.stopped, 0)
        self.reactor.advance(0)
        self.assertEqual(self.reactor.stopped, 1)

    def test_terminate(self) -> None:
        """
        SIGTERM stops the reactor, and lets transfers end.
        """
        self.reactor.run()
        with captured() as events:
            self.send(signal.SIGTERM)
        self.assertEqual(texts(events), ["Received SIGTERM, shutting down"])
        self.assertEqual((self.reactor.stopped, self.proxy.aborted), (1, 0))
        self.assertEqual(self.proxy.drain, 30.0)

    def test_terminateTwice(self) -> None:
        """
        A second SIGTERM cuts them off, and does not stop what is stopping
        already.
        """
        self.reactor.run()
        self.send(signal.SIGTERM)
        self.service.stopService()
        self.send(signal.SIGTERM)
        self.assertEqual((self.reactor.stopped, self.proxy.aborted), (1, 1))

    def test_terminateWhileStopping(self) -> None:
        """
        A SIGTERM to a process that stops for another reason does not stop it
        again.
        """
        self.reactor.run()
        self.service.stopService()
        self.send(signal.SIGTERM)
        self.assertEqual(self.reactor.stopped, 0)

    def test_interrupt(self) -> None:
        """
        SIGINT cuts everything off, lets nothing drain, and leaves the rest to
        the reactor's own handler, so that the process dies as one that was
        interrupted.
        """
        self.reactor.run()
        self.send(signal.SIGINT)
        self.assertEqual((self.proxy.aborted, self.proxy.drain), (1, 0))
        self.assertEqual((self.reactorSaw, self.reactor.stopped), ([signal.SIGINT], 1))

    def test_interruptIgnoredBefore(self) -> None:
        """
        Where SIGINT had no handler it still ends the process.
        """
        self.handlers[signal.SIGINT] = signal.SIG_IGN
        self.reactor.run()
        self.send(signal.SIGINT)
        self.assertEqual(self.reactor.stopped, 1)

    def test_interruptWhileDraining(self) -> None:
        """
        SIGINT ends the wait that SIGTERM began.
        """
        self.reactor.run()
        self.send(signal.SIGTERM)
        self.service.stopService()
        self.send(signal.SIGINT)
        self.assertEqual((self.reactor.stopped, self.proxy.aborted), (1, 1))


class LogSignalTests(SignalTestCase):
    """
    What signals do to log files.
    """

    def setUp(self) -> None:
        """
        Have a log file.
        """
        super().setUp()
        self.reactor.run()
        self.patch(log, "_logFiles", WeakSet())
        self.path = temporaryFolder(self) / "proxy.log"
        self.logFile = LogFile(str(self.path), size=0)
        self.logFile.open()
        self.addCleanup(atexit.unregister, self.logFile._openAtExit)
        self.addCleanup(self.logFile.close)
        self.logFile.write("old\n")

    def test_hangUp(self) -> None:
        """
        SIGHUP opens the log files by their names again.
        """
        moved = self.path.rename(self.path.with_name("moved"))
        with captured() as events:
            self.send(signal.SIGHUP)
        self.logFile.write("new\n")
        self.assertEqual((moved.read_text(), self.path.read_text()), ("old\n", "new\n"))
        self.assertEqual(len(texts(events)), 1)
        self.assertEqual(self.reactor.stopped, 0)

    def test_hangUpFails(self) -> None:
        """
        Where that is not possible the log says so, and goes on in the old
        file.
        """
        moved = self.path.rename(self.path.with_name("moved"))
        self.path.mkdir()
        with captured() as events:
            self.send(signal.SIGHUP)
        self.logFile.write("new\n")
        self.assertEqual(moved.read_text(), "old\nnew\n")
        (error,) = atLevel(events, LogLevel.error)
        self.assertIn("Is a directory", error)

    def test_rotate(self) -> None:
        """
        SIGUSR1 begins a new log file.
        """
        with captured() as events:
            self.send(signal.SIGUSR1)
        self.logFile.write("new\n")
        older = self.path.with_name("proxy.log.1")
        self.assertEqual((older.read_text(), self.path.read_text()), ("old\n", "new\n"))
        self.assertEqual(len(texts(events)), 1)

    def test_withoutLogFile(self) -> None:
        """
        Neither kills a process that logs elsewhere.
        """
        self.logFile.close()
        self.path.unlink()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.send(number)
        self.assertEqual((self.reactor.stopped, self.proxy.aborted), (0, 0))


class StateSignalTests(SignalTestCase):
    """
    SIGUSR2, which logs what goes on.
    """

    def setUp(self) -> None:
        """
        Have the reactor run.
        """
        super().setUp()
        self.reactor.run()

    def states(self, count: int) -> list[str]:
        """
        Have so many things to tell.

        @return: Their lines.
        """
        self.proxy.states = [State("listener", str(n), {"connections": n}) for n in range(count)]
        return [f"State of {state}" for state in self.proxy.states]

    def test_states(self) -> None:
        """
        Each makes a line, between one that begins and one that ends the
        report, and nothing is stopped.
        """
        expected = self.states(3)
        with captured() as events:
            self.send(signal.SIGUSR2)
        first, *lines, last = texts(events)
        self.assertEqual(lines, expected)
        self.assertIn("SIGUSR2", first)
        self.assertEqual(last, "End of the state")
        self.assertEqual((self.reactor.stopped, self.proxy.aborted), (0, 0))

    def test_nothing(self) -> None:
        """
        Where there is nothing to tell it ends at once.
        """
        with captured() as events:
            self.send(signal.SIGUSR2)
        self.assertEqual(texts(events)[1:], ["End of the state"])

    def test_many(self) -> None:
        """
        Of many only so many are written before others have their turn. All are
        told as they were when the signal came.
        """
        expected = self.states(3 * LINES_AT_ONCE)

        def other() -> None:
            eventLog.info("another's turn")
            self.proxy.states.clear()

        with captured() as events:
            self.handlers[signal.SIGUSR2](signal.SIGUSR2, None)
            self.reactor.callLater(0, other)
            self.reactor.advance(0)
        _, *lines, last = texts(events)
        self.assertEqual(lines.index("another's turn"), LINES_AT_ONCE)
        lines.remove("another's turn")
        self.assertEqual((lines, last), (expected, "End of the state"))

    def test_again(self) -> None:
        """
        A second signal does not begin a second report before the first has
        been written; afterwards it does.
        """
        expected = self.states(LINES_AT_ONCE + 1)
        with captured() as events:
            for _ in range(2):
                self.handlers[signal.SIGUSR2](signal.SIGUSR2, None)
            self.reactor.advance(0)
        lines = texts(events)
        self.assertEqual([line for line in lines if line.startswith("State of")], expected)
        self.assertTrue(any("still being written" in line for line in lines))
        with captured() as events:
            self.send(signal.SIGUSR2)
        self.assertEqual(texts(events)[1:-1], expected)

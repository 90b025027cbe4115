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
from socksproxy.log import LogFile
from socksproxy.signals import SignalService
from tests.files import temporaryFolder
from tests.logs import atLevel, captured, texts
from tests.memoryreactor import MemoryReactor

HANDLED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}


class Proxy:
    """
    A proxy that is not there.

    @ivar drain: As of a real one.
    @ivar aborted: How often everything has been cut off.
    """

    drain = 30.0

    def __init__(self) -> None:
        self.aborted = 0

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

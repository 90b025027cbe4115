"""
Tests for L{socksproxy.shadowsocks.plugin}.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import CancelledError
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks.plugin import (
    KILL_AFTER,
    LONGEST_LINE,
    RESTARTS,
    STEADY,
    Plugin,
    PluginFailed,
    findPlugin,
    pluginEnvironment,
)
from socksproxy.testing import ScriptedNetwork
from tests.logs import atLevel, captured, texts

PUBLIC = ("203.0.113.1", 8388)
LOCAL = ("127.0.0.1", 40001)

NOBODY = (1 << 22) + 1
"""
A number that no process can have.
"""


class Spawned:
    """
    A process that has been started.

    @ivar protocol: Who is told of it.
    @ivar command: Its command line.
    @ivar environment: Its environment.
    @ivar signals: What it has been sent by itself.
    """

    def __init__(self, protocol: Any, command: list[str], environment: dict[str, str]) -> None:
        self.protocol = protocol
        self.command = command
        self.environment = environment
        self.pid = NOBODY
        self.stdinClosed = False
        self.signals: list[str] = []
        protocol.makeConnection(self)

    def closeStdin(self) -> None:
        """
        See C{IProcessTransport}.
        """
        self.stdinClosed = True

    def signalProcess(self, name: str) -> None:
        """
        See C{IProcessTransport}.
        """
        self.signals.append(name)

    def says(self, data: bytes, descriptor: int = 1) -> None:
        """
        Have it print something.
        """
        self.protocol.childDataReceived(descriptor, data)

    def ends(self, status: int | None = None) -> None:
        """
        Have it end.

        @param status: As what it fails.
        """
        error = ProcessDone(0) if status is None else ProcessTerminated(status)
        self.protocol.processEnded(Failure(error))


class Reactor(ScriptedNetwork):
    """
    A reactor with processes.

    @ivar spawned: Those that have been started, in order.
    """

    def __init__(self, world: dict[str, str] | None = None) -> None:
        super().__init__(world)
        self.spawned: list[Spawned] = []

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], env: dict[str, str]
    ) -> Spawned:
        """
        See C{IReactorProcess}.
        """
        assert executable == args[0]
        process = Spawned(protocol, args, env)
        self.spawned.append(process)
        return process


class PluginTestCase(SynchronousTestCase):
    """
    Tests with a plugin.
    """

    def setUp(self) -> None:
        """
        Have one.
        """
        self.events = self.enterContext(captured())
        self.reactor = Reactor()
        self.failures: list[str] = []
        self.kills: list[tuple[int, int]] = []
        self.plugin = self.made()

    def made(self, options: str = "obfs=http;host=example.com", **more: Any) -> Plugin:
        """
        Make one.
        """
        more.setdefault("killGroup", lambda pid, number: self.kills.append((pid, number)))
        return Plugin(
            self.reactor,
            "/usr/bin/obfs-server",
            options,
            PUBLIC,
            LOCAL,
            failed=self.failures.append,
            **more,
        )

    @property
    def last(self) -> Spawned:
        """
        Give the process that was started last.
        """
        return self.reactor.spawned[-1]


class StartTests(PluginTestCase):
    """
    Starting one.
    """

    def test_environment(self) -> None:
        """
        It is told where to listen and to connect to, and what its options are;
        what is there of another plugin's is not passed on.
        """
        inherited = {"PATH": "/bin", "SS_PLUGIN_OPTIONS": "other", "SS_LOCAL_PORT": "1"}
        expected = {
            "PATH": "/bin",
            "SS_REMOTE_HOST": "203.0.113.1",
            "SS_REMOTE_PORT": "8388",
            "SS_LOCAL_HOST": "127.0.0.1",
            "SS_LOCAL_PORT": "40001",
        }
        self.assertEqual(pluginEnvironment(PUBLIC, LOCAL, "", inherited), expected)
        self.assertEqual(
            pluginEnvironment(PUBLIC, LOCAL, "a=b", inherited),
            {**expected, "SS_PLUGIN_OPTIONS": "a=b"},
        )

    def test_start(self) -> None:
        """
        It is started when it is told to be, without arguments, with that
        environment and with nothing to read.
        """
        self.assertEqual(self.reactor.spawned, [])
        with patch.dict(os.environ, {"MARK": "yes"}):
            self.plugin.start()
        process = self.last
        self.assertEqual(process.command[0], sys.executable)
        self.assertEqual(process.command[-2:], [str(os.getpid()), "/usr/bin/obfs-server"])
        self.assertEqual(process.environment["MARK"], "yes")
        self.assertEqual(process.environment["SS_PLUGIN_OPTIONS"], "obfs=http;host=example.com")
        self.assertTrue(process.stdinClosed)

    def test_find(self) -> None:
        """
        A program is found by its name or path, and one that is not there is an
        error that names it.
        """
        self.assertTrue(os.path.isabs(findPlugin("true")))
        self.assertEqual(findPlugin(sys.executable), os.path.abspath(sys.executable))
        for name in ("no-such-plugin", "/etc/passwd", "/no/such/plugin"):
            with self.assertRaisesRegex(ConfigurationError, f"the plugin {name} is not there"):
                findPlugin(name)


class OutputTests(PluginTestCase):
    """
    What it prints.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        super().setUp()
        self.plugin.start()

    def test_lines(self) -> None:
        """
        Each line is logged by itself, however it comes, and those of its two
        streams are not mixed up; the last one needs no end.
        """
        self.last.says(b"one\ntwo, in ")
        self.last.says(b"between\n", 2)
        self.last.says(b"two pieces\n\nthe last")
        self.last.ends()
        self.assertEqual(
            texts(self.events)[:4],
            [
                f"Plugin obfs-server: {line}"
                for line in ("one", "between", "two, in two pieces", "the last")
            ],
        )

    def test_harmless(self) -> None:
        """
        A line has no control characters and an end, and shows no options.
        """
        self.last.says(b"\x1b[2J options obfs=http;host=example.com\r\n")
        self.last.says(b"x" * 10000)
        self.last.says(b"y" * 10000 + b"\n")
        first, second = texts(self.events)
        self.assertEqual(first, "Plugin obfs-server: \\x1b[2J options ***")
        self.assertEqual(second, f"Plugin obfs-server: {'x' * LONGEST_LINE}")


class EndTests(PluginTestCase):
    """
    Its ends.
    """

    def test_restarts(self) -> None:
        """
        One that ends is started again five times, each time later, and then no
        more, which is told.
        """
        self.plugin.start()
        for number in range(RESTARTS):
            self.last.ends(1)
            self.assertFalse(self.plugin.given)
            self.reactor.advance(2**number - 0.1)
            self.assertEqual(len(self.reactor.spawned), number + 1)
            self.reactor.advance(0.1)
            self.assertEqual(len(self.reactor.spawned), number + 2)
        self.assertEqual(self.failures, [])
        self.last.ends(1)
        self.assertTrue(self.plugin.given)
        self.assertEqual(len(self.failures), 1)
        self.assertIn("obfs-server", self.failures[0])
        self.assertEqual(len(atLevel(self.events, LogLevel.error)), RESTARTS + 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_longestPause(self) -> None:
        """
        It is never later than half a minute.
        """
        self.plugin = self.made(restarts=20)
        self.plugin.start()
        for _ in range(20):
            self.last.ends(1)
            self.reactor.advance(30)
        self.assertEqual(len(self.reactor.spawned), 21)

    def test_steady(self) -> None:
        """
        One that has run for a while may end as often as a new one.
        """
        self.plugin.start()
        for _ in range(3 * RESTARTS):
            self.reactor.advance(STEADY)
            self.last.ends()
            self.reactor.advance(1)
        self.assertEqual(len(self.reactor.spawned), 3 * RESTARTS + 1)

    def test_noRestarts(self) -> None:
        """
        Where it is not to be started again it is not.
        """
        self.plugin = self.made(restarts=0)
        self.plugin.start()
        self.last.ends()
        self.assertEqual(len(self.failures), 1)


class StopTests(PluginTestCase):
    """
    Stopping it.
    """

    def test_stop(self) -> None:
        """
        Its group is asked to end, and it is gone when it has.
        """
        self.plugin.start()
        stopping = [self.plugin.stop(), self.plugin.stop()]
        self.assertEqual(self.kills, [(NOBODY, signal.SIGTERM)])
        self.assertNoResult(stopping[0])
        self.last.ends()
        for each in stopping:
            self.successResultOf(each)
        self.successResultOf(self.plugin.stop())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(len(self.reactor.spawned), 1)

    def test_kill(self) -> None:
        """
        If it does not, it is killed two seconds later.
        """
        self.plugin.start()
        stopping = self.plugin.stop()
        self.reactor.advance(KILL_AFTER)
        self.assertEqual(self.kills, [(NOBODY, signal.SIGTERM), (NOBODY, signal.SIGKILL)])
        self.last.ends(9)
        self.successResultOf(stopping)

    def test_notYetLeading(self) -> None:
        """
        One that has no group of its own yet is told by itself.
        """

        def fail(pid: int, number: int) -> None:
            raise ProcessLookupError

        self.plugin = self.made(killGroup=fail)
        self.plugin.start()
        self.plugin.stop()
        self.reactor.advance(KILL_AFTER)
        self.assertEqual(self.last.signals, ["TERM", "KILL"])

    def test_whilePausing(self) -> None:
        """
        One that is about to be started again is not.
        """
        self.plugin.start()
        self.last.ends(1)
        self.successResultOf(self.plugin.stop())
        self.reactor.advance(60)
        self.assertEqual(len(self.reactor.spawned), 1)

    def test_neverStarted(self) -> None:
        """
        Of one that was never started there is nothing to stop.
        """
        self.successResultOf(self.plugin.stop())


class ReadyTests(PluginTestCase):
    """
    Waiting for it to listen.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        super().setUp()
        self.plugin.start()

    def test_ready(self) -> None:
        """
        Attempts to connect follow one another every 20 ms until one succeeds;
        its connection is of no use.
        """
        ready = self.plugin.ready()
        self.reactor.pump([0.02] * 10)
        self.assertNoResult(ready)
        self.assertEqual(len(self.reactor.attempts), 10)
        self.reactor.world["127.0.0.1:40001"] = "accept"
        self.reactor.pump([0.02] * 2)
        self.successResultOf(ready)
        transport = self.reactor.attempts[-1].transport
        assert transport is not None
        self.reactor.advance(0)
        self.assertTrue(transport.lost)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_never(self) -> None:
        """
        After three seconds there is an error.
        """
        for outcome in ("ECONNREFUSED", "timeout"):
            self.reactor.world["127.0.0.1:40001"] = outcome
            ready = self.plugin.ready()
            self.reactor.pump([0.02] * 149)
            self.assertNoResult(ready)
            self.reactor.pump([0.02] * 3)
            self.failureResultOf(ready, PluginFailed)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_given(self) -> None:
        """
        There is one at once when it is not started again.
        """
        self.plugin = self.made(restarts=0)
        self.plugin.start()
        ready = self.plugin.ready()
        self.last.ends()
        self.reactor.pump([0.02] * 2)
        self.failureResultOf(ready, PluginFailed)

    def test_cancel(self) -> None:
        """
        Who waits may give it up.
        """
        for outcome in ("ECONNREFUSED", "timeout"):
            self.reactor.world["127.0.0.1:40001"] = outcome
            ready = self.plugin.ready()
            self.reactor.advance(0.01)
            ready.cancel()
            self.failureResultOf(ready, CancelledError)
            self.reactor.advance(0)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

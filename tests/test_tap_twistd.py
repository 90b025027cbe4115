"""
Tests for L{socksproxy.tap}: inside C{twistd}.
"""

from __future__ import annotations

import atexit
import io
import json
import resource
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from twisted.application.service import Application, IService, IServiceCollection
from twisted.logger import ILogObserver, formatEventAsClassicLogText
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from socksproxy import tap
from socksproxy.config import DEFAULT_LISTENER
from socksproxy.service import ProxyService
from socksproxy.signals import SignalService
from socksproxy.tap import PROGRAM, Options, makeService
from tests.files import temporaryFolder
from tests.memoryreactor import MemoryReactor, installReactor


class TwistdTests(SynchronousTestCase):
    """
    Command lines of C{twistd}, around ours.
    """

    def setUp(self) -> None:
        """
        Give the process a reactor in memory, and let it keep its limits.
        """
        self.reactor = MemoryReactor()
        installReactor(self, self.reactor)
        self.patch(resource, "setrlimit", lambda which, limits: None)
        self.folder = temporaryFolder(self)

    def parsed(self, *arguments: str, twistd: tuple[str, ...] = ("-n",)) -> Options:
        """
        Read a command line of C{twistd}.

        @param arguments: What comes after our name.
        @param twistd: What comes before.
        """
        options = ServerOptions()
        options.parseOptions([*twistd, "socksproxy", *arguments])
        assert isinstance(options.subOptions, Options)
        return options.subOptions

    def exit(self, *arguments: str) -> str:
        """
        Run a command line that is wrong.

        @return: Its message.
        """
        with redirect_stdout(io.StringIO()) as output, redirect_stderr(output):
            error = self.assertRaises(SystemExit, lambda: makeService(self.parsed(*arguments)))
        self.assertEqual(output.getvalue(), "")
        message = str(error.code)
        self.assertTrue(message.startswith(f"{PROGRAM}: "), message)
        self.assertNotIn("\n", message)
        self.assertEqual(self.reactor.listening, [])
        return message

    def test_wrongOption(self) -> None:
        """
        A wrong option ends the process with one line, without the help of
        twistd before it.
        """
        self.assertIn("--log-format", self.exit("--log-format", "xml"))
        self.assertIn("no-such", self.exit("--no-such"))
        self.assertIn("--auth", self.exit("--auth", "nosuch"))

    def test_cannotListen(self) -> None:
        """
        So does a port that is not to be had.
        """
        self.reactor.taken.add(1080)
        self.assertEqual(
            self.exit(), f"{PROGRAM}: cannot listen on {DEFAULT_LISTENER}: Address already in use"
        )
        self.assertIn("nosuch:1", self.exit("--listen", "nosuch:1"))

    def test_openRelay(self) -> None:
        """
        So does what would let everybody in.
        """
        self.assertIn("--open-relay", self.exit("--listen", "tcp:1081"))

    def test_service(self) -> None:
        """
        The service has its ports before twistd forks, and handles signals
        before it says that it is open.
        """
        service = makeService(self.parsed("--listen", DEFAULT_LISTENER))
        self.assertEqual(len(self.reactor.listening), 1)
        self.assertEqual(
            [type(child) for child in IServiceCollection(service)], [SignalService, ProxyService]
        )
        self.assertEqual(self.reactor.threads, 64)

    def test_application(self) -> None:
        """
        It fits into an application.
        """
        application = Application("socksproxy")
        makeService(self.parsed()).setServiceParent(application)
        self.assertEqual(len(list(IServiceCollection(application))), 1)
        self.assertIsNotNone(application.getComponent(ILogObserver))
        IService(application)

    def observer(self, *arguments: str, twistd: tuple[str, ...]) -> Any:
        """
        Give the log observer that twistd will find.
        """
        application = Application("socksproxy")
        service = makeService(self.parsed(*arguments, twistd=twistd))
        service.setServiceParent(application)
        observer: Any = application.getComponent(ILogObserver)
        logFile = getattr(observer, "_output", None)
        if isinstance(logFile, tap.observerFor.__globals__["LogFile"]):
            self.addCleanup(atexit.unregister, logFile._openAtExit)
            self.addCleanup(logFile.close)
        return observer

    def test_logFile(self) -> None:
        """
        A log file of twistd's is ours, with the format and the sizes asked
        for, and is opened when the reactor runs.
        """
        path = self.folder / "proxy.log"
        observer = self.observer(
            "--log-format",
            "json",
            "--log-size",
            "60",
            "--log-count=0",
            twistd=("-n", "--logfile", str(path)),
        )
        for text in ("x" * 50, "hello"):
            observer({"log_time": 0.0, "log_format": text})
        self.assertFalse(path.exists())
        self.reactor.run()
        self.assertEqual(json.loads(path.read_text())["message"], "hello")

    def test_standardOutput(self) -> None:
        """
        In the foreground the log is in twistd's own format, unless JSON is
        asked for.
        """
        event = {"log_time": 0.0, "log_format": "hello", "log_namespace": "here"}
        for twistd in (("-n",), ("-n", "--logfile", "-")):
            with redirect_stdout(io.StringIO()) as output:
                self.observer(twistd=twistd)(event)
            self.assertEqual(output.getvalue(), formatEventAsClassicLogText(event))
            with redirect_stdout(io.StringIO()) as output:
                observer = self.observer("--log-format=json", twistd=twistd)
                observer({"log_time": 0.0, "log_format": "hello"})
            self.assertEqual(json.loads(output.getvalue())["message"], "hello")

    def test_daemon(self) -> None:
        """
        A daemon without a log file has C{twistd.log}, where it was started.
        """
        self.assertTrue(
            self.observer(twistd=())._output.path.endswith("/twistd.log"),
        )

    def test_otherLogs(self) -> None:
        """
        Who wants syslog, or an observer of his own, gets that.
        """
        for twistd in (("--syslog",), ("-n", "--logger", "socksproxy.log.json")):
            self.assertIsNone(self.observer("--log-format=json", twistd=twistd))

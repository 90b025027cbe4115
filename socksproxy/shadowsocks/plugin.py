"""
Plugins (SIP003): programs that carry the streams between a client and a server
in their own way.

One is started beside either of them and told by its environment where to listen
and where to connect to. It is started again when it ends, a few times, and ends
with us: with the process group that it gets it can be stopped together with
whatever it has started, and on Linux it does not outlive us either if we do not
come to stop it.

@see: U{https://shadowsocks.org/doc/sip003.html}
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.python.failure import Failure

from socksproxy.errors import ConfigurationError, SOCKSProxyError
from socksproxy.events import log
from socksproxy.relay.leg import abort

RESTARTS = 5
"""
How often a plugin is started again that ends.
"""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""
Seconds before the first of these times, and at most; they double between.
"""

STEADY = 60.0
"""
Seconds after which a plugin has shown that it works, and may end as often as a
new one.
"""

KILL_AFTER = 2.0
"""
Seconds that a plugin gets for ending by itself.
"""

READY_STEP = 0.02
READY_WITHIN = 3.0
"""
Seconds between two attempts to connect to a plugin that has just been started,
and for all of them.
"""

LONGEST_LINE = 512
"""
Octets of a line of its output that are logged.
"""

# What the child does before it becomes the plugin: it leads a process group,
# and gets a signal when its parent, who could have died already, dies.
_BECOME = """
import os, sys
os.setpgid(0, 0)
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("nobody is there any more")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as e:
    sys.exit(f"{sys.argv[2]}: {e.strerror}")
"""

Place = tuple[str, int]
"""
A host and a port.
"""


class PluginFailed(SOCKSProxyError):
    """
    A plugin does not work.
    """


def findPlugin(program: str) -> str:
    """
    Find a plugin's program.

    @param program: Its path, or its name if it is where programs are.
    @return: Its path.
    @raise ConfigurationError: It is not there.
    """
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(f"the plugin {program} is not there, or cannot be run")
    return os.path.abspath(path)


def freePort(host: str = "127.0.0.1") -> int:
    """
    Find a port that nobody listens on. Somebody else may take it before it is
    used.

    @param host: The local address.
    @raise ConfigurationError: There is none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
            return port
    except OSError as e:
        raise ConfigurationError(f"no port is to be had at {host}: {e.strerror}") from e


def pluginEnvironment(
    remote: Place, local: Place, options: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """
    Make a plugin's environment.

    @param remote: The public address of the server, to which a client's plugin
        connects and where a server's listens.
    @param local: Where the plugin of a client listens, and a server for its
        own.
    @param options: What the plugin is told, if anything.
    @param inherited: The rest of it.
    """
    environment = {name: value for name, value in inherited.items() if not name.startswith("SS_")}
    environment["SS_REMOTE_HOST"], environment["SS_REMOTE_PORT"] = remote[0], str(remote[1])
    environment["SS_LOCAL_HOST"], environment["SS_LOCAL_PORT"] = local[0], str(local[1])
    if options:
        environment["SS_PLUGIN_OPTIONS"] = options
    return environment


class Plugin:
    """
    A plugin, through all of its lives.

    @ivar local: Where it listens for its client, or connects to its server.
    @ivar given: It has ended too often, and is not started again.
    """

    def __init__(
        self,
        reactor: Any,
        program: str,
        options: str,
        remote: Place,
        local: Place,
        *,
        restarts: int = RESTARTS,
        failed: Callable[[str], object] | None = None,
        killGroup: Callable[[int, int], None] = os.killpg,
    ) -> None:
        """
        @param reactor: The reactor.
        @param program: Its path; see L{findPlugin}.
        @param options: See L{pluginEnvironment}; so for C{remote} and C{local}.
        @param restarts: How often it is started again.
        @param failed: Called with a reason once that has been done.
        @param killGroup: Sends a process group a signal.
        """
        self._reactor = reactor
        self._program = program
        self._options = options
        self._remote = remote
        self.local = local
        self._restarts = restarts
        self._failed = failed
        self._killGroup = killGroup
        self._name = os.path.basename(program)
        self._process: _Process | None = None
        self._startedAt = 0.0
        self._ended = 0
        self._again: IDelayedCall | None = None
        self._killing: IDelayedCall | None = None
        self._stopping = False
        self._waiting: list[Deferred[None]] = []
        self.given = False

    def start(self) -> None:
        """
        Start it. This is for the process that stays, after a daemon has forked.
        """
        environment = pluginEnvironment(self._remote, self.local, self._options, os.environ)
        self._again = None
        self._startedAt = self._reactor.seconds()
        self._process = _Process(self._said, self._over)
        self._reactor.spawnProcess(
            self._process,
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), self._program],
            env=environment,
        )
        # There is nothing to read for it.
        self._process.transport.closeStdin()

    def stop(self) -> Deferred[None]:
        """
        Stop it for good.

        @return: Fires when it is gone.
        """
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._stopping = True
        if self._process is None:
            return succeed(None)
        if self._killing is None:
            self._signal(signal.SIGTERM)
            self._killing = self._reactor.callLater(KILL_AFTER, self._signal, signal.SIGKILL)
        gone: Deferred[None] = Deferred()
        self._waiting.append(gone)
        return gone

    def ready(self, within: float = READY_WITHIN) -> Deferred[None]:
        """
        Wait for a client's plugin to listen.

        @param within: Seconds.
        @return: Fails with L{PluginFailed} when it does not in time. Can be
            cancelled.
        """
        return _Readiness(self._reactor, self, within).done

    def _said(self, line: bytes) -> None:
        text = "".join(chr(octet) if 0x20 <= octet <= 0x7E else f"\\x{octet:02x}" for octet in line)
        if self._options:
            # They may have a password.
            text = text.replace(self._options, "***")
        log.info("Plugin {plugin}: {line}", plugin=self._name, line=text)

    def _signal(self, number: int) -> None:
        process = self._process
        if process is None:
            return
        pid = process.transport.pid
        try:
            if pid is not None:
                self._killGroup(pid, number)
        except OSError:
            # It is not yet, or not any more, at the head of its group.
            with suppress(Exception):
                process.transport.signalProcess(signal.Signals(number).name[3:])

    def _over(self, reason: Failure) -> None:
        self._process = None
        if self._killing is not None and self._killing.active():
            self._killing.cancel()
        if self._stopping:
            waiting, self._waiting = self._waiting, []
            for gone in waiting:
                gone.callback(None)
            return
        how = "ended" if reason.check(ProcessDone) else f"failed: {reason.getErrorMessage()}"
        if self._reactor.seconds() - self._startedAt >= STEADY:
            self._ended = 0
        if self._ended >= self._restarts:
            self.given = True
            told = f"the plugin {self._name} {how}, and has been started often enough"
            log.error("{reason}", reason=told)
            if self._failed is not None:
                self._failed(told)
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._ended)
        self._ended += 1
        log.error(
            "The plugin {plugin} {how}; it is started again in {pause} s",
            plugin=self._name,
            how=how,
            pause=pause,
        )
        self._again = self._reactor.callLater(pause, self.start)


class _Process(ProcessProtocol):
    """
    One life of a plugin.
    """

    transport: Any

    def __init__(self, said: Callable[[bytes], None], over: Callable[[Failure], None]) -> None:
        self._said = said
        self._over = over
        self._partial: dict[int, bytes] = {}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, rest = (self._partial.get(childFD, b"") + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._said(line[:LONGEST_LINE].rstrip())
        # More than is shown of a line need not be kept.
        self._partial[childFD] = rest[:LONGEST_LINE]

    def processEnded(self, reason: Failure) -> None:
        for rest in self._partial.values():
            if rest.strip():
                self._said(rest.rstrip())
        self._partial.clear()
        self._over(reason)


class _Readiness:
    """
    Attempts to connect to a plugin, until one succeeds.

    @ivar done: Fires then, or fails.
    """

    def __init__(self, reactor: Any, plugin: Plugin, within: float) -> None:
        self._reactor = reactor
        self._plugin = plugin
        self._attempt: Deferred[Any] | None = None
        self._again: IDelayedCall | None = None
        self.done: Deferred[None] = Deferred(self._giveUp)
        self._deadline: IDelayedCall = reactor.callLater(within, self._failed)
        self._try()

    def _try(self) -> None:
        self._again = None
        if self._plugin.given:
            self._failed()
            return
        host, port = self._plugin.local
        family = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        self._attempt = family(self._reactor, host, port).connect(_probes)
        self._attempt.addCallbacks(self._connected, self._notConnected)

    def _connected(self, protocol: Any) -> None:
        self._attempt = None
        abort(protocol.transport)
        self._giveUp()
        self.done.callback(None)

    def _notConnected(self, failure: Failure) -> None:
        self._attempt = None
        if not failure.check(CancelledError):
            self._again = self._reactor.callLater(READY_STEP, self._try)

    def _failed(self) -> None:
        self._giveUp()
        self.done.errback(PluginFailed("the plugin does not listen"))

    def _giveUp(self, _: object = None) -> None:
        """
        Try no more.
        """
        if self._deadline.active():
            self._deadline.cancel()
        if self._attempt is not None:
            self._attempt.cancel()
        if self._again is not None:
            self._again.cancel()
            self._again = None


_probes = Factory.forProtocol(Protocol)
_probes.noisy = False

"""
Programs that are started for a measurement, and told what to do.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from bench.proxies import ROOT

STARTING = 20.0
"""
Seconds that a program may take until it is ready.
"""


class Program:
    """
    A module of this package's that runs as a program: it gets commands as lines
    of JSON, and answers each with one. It ends with its input.

    @ivar process: The process.
    """

    def __init__(self, module: str, *arguments: str, prefix: Sequence[str] = ()) -> None:
        """
        @param module: Below C{bench}.
        @param prefix: What goes before the command.
        """
        self._name = module
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", f"bench.{module}", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # So that an interrupt comes to us alone, who end the others.
            start_new_session=True,
        )

    def ask(self, command: str, timeout: float = STARTING, **arguments: Any) -> Any:
        """
        Give a command.

        @param timeout: Seconds for the answer.
        @return: The answer.
        """
        if self.process.stdin is not None:
            line = json.dumps({"command": command, **arguments}) + "\n"
            self.process.stdin.write(line.encode())
        return self.answer(timeout)

    def answer(self, timeout: float = STARTING) -> Any:
        """
        Wait for a line.

        @param timeout: Seconds.
        @raise RuntimeError: There is none.
        """
        answers = self.process.stdout
        if answers is not None and select.select([answers], (), (), timeout)[0]:
            line = answers.readline()
            if line:
                return json.loads(line)
        raise RuntimeError(f"bench.{self._name} does not answer")

    def end(self) -> None:
        """
        Let the program end, and make it if it does not.
        """
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def program(module: str, *arguments: str, prefix: Sequence[str] = ()) -> Iterator[Program]:
    """
    Run a program of ours until it is not needed any more.
    """
    started = Program(module, *arguments, prefix=prefix)
    try:
        yield started
    finally:
        started.end()


@contextmanager
def foreign(command: Sequence[str], *awaited: tuple[str, int]) -> Iterator[int]:
    """
    Run a program of somebody else's until it is not needed any more.

    @param awaited: Protocols and ports that it is ready with.
    @return: The number of the process.
    """
    process = subprocess.Popen(
        # It reads nothing, and so does not notice when we are killed.
        ["setpriv", "--pdeathsig", "KILL", *command] if shutil.which("setpriv") else command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + STARTING
        while not all(isOpen(process.pid, *port) for port in awaited):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not listen")
            time.sleep(0.02)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def isOpen(process: int, protocol: str, port: int) -> bool:
    """
    Say whether a port is open where a process is.

    @param protocol: C{tcp} or C{udp}.
    """
    for table in (protocol, f"{protocol}6"):
        with suppress(OSError), open(f"/proc/{process}/net/{table}") as lines:
            for line in lines:
                _, local, _, state, *_ = line.split()
                # Listening, in the words of TCP, and unconnected in those of UDP.
                if local.endswith(f":{port:04X}") and state in ("0A", "07"):
                    return True
    return False


def cpuTime(processes: Sequence[int]) -> float:
    """
    Give the seconds that processes have had a processor for, with all their
    threads, in user mode and in the kernel.
    """
    # What clock_getcpuclockid(3) gives on Linux, to the nanosecond.
    return sum(time.clock_gettime(~process << 3 | 2) for process in processes)


def othersTime(processes: Sequence[int]) -> float:
    """
    Give the seconds that the processors have had work which was not that of
    this program and some others.
    """
    with open("/proc/stat") as lines:
        ticks = [int(field) for field in lines.readline().split()[1:9]]
    # The fourth and the fifth have nothing to do, and wait for a disk.
    busy = (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")
    return busy - cpuTime([os.getpid(), *processes])

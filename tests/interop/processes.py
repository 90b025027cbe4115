"""
Looking at processes from outside, and waiting for what they do.
"""

import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

_LISTEN = "0A"


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """
    Wait for something that another process does.

    @param what: What is waited for, for the error.
    @raise AssertionError: It has not happened in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in {seconds} seconds: not {what}")
        time.sleep(0.01)


def steady(measure: Callable[[], int], period: float = 0.5, seconds: float = 30) -> int:
    """
    Wait for a number to stop changing.

    @param period: For how long it has to stay the same, in seconds.
    @return: The number.
    @raise AssertionError: It goes on changing.
    """
    now = time.monotonic()
    deadline, since, last = now + seconds, now, measure()
    while now - since < period:
        time.sleep(0.02)
        now, number = time.monotonic(), measure()
        if number != last:
            since, last = now, number
        if now > deadline:
            raise AssertionError(f"still changing after {seconds} seconds: {number}")
    return last


def descriptors(pid: int) -> int:
    """
    Count the open file descriptors of a process.
    """
    return len(os.listdir(f"/proc/{pid}/fd"))


def restingDescriptors(pid: int) -> int:
    """
    Count the descriptors of a process once what went before is over.
    """
    return steady(lambda: descriptors(pid), 0.2)


def statusOf(pid: int, field: str) -> list[str]:
    """
    Read a field of a process's status.
    """
    match = re.search(rf"^{field}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    if match is None:
        raise AssertionError(f"no {field} in the status of process {pid}")
    return match[1].split()


def residentKiB(pid: int) -> int:
    """
    Give the resident memory of a process.
    """
    return int(statusOf(pid, "VmRSS")[0])


def catches(pid: int, number: signal.Signals) -> bool:
    """
    Tell whether a process has a handler for a signal.
    """
    return bool(int(statusOf(pid, "SigCgt")[0], 16) >> (number - 1) & 1)


def listeningPorts(pid: int) -> set[int]:
    """
    Give the TCP ports that a process listens on.
    """
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
        if match is not None:
            inodes.add(match[1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def freePort() -> int:
    """
    Give a port of 127.0.0.1 that was free a moment ago.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def isOpen(port: int) -> bool:
    """
    Tell whether anybody listens on a port of 127.0.0.1.
    """
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def waitForEnd(pidDescriptor: int, seconds: float = 20) -> None:
    """
    Wait for a process that need not be our child.

    @param pidDescriptor: What C{os.pidfd_open} gave.
    @raise AssertionError: It goes on.
    """
    readable, _, _ = select.select([pidDescriptor], [], [], seconds)
    if not readable:
        raise AssertionError(f"the process is still there after {seconds} seconds")

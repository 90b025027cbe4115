"""
Making lines in a daemon's log, and reading them back.
"""

import json
import re
from pathlib import Path
from typing import Any

from tests.interop.background import Background
from tests.interop.client import dial

CUT_SHORT = "client closed during handshake"


def visit(daemon: Background, times: int) -> list[int]:
    """
    Connect and leave so many times, each of which makes a line.

    @return: The clients' ports, in order.
    """
    ports = []
    for _ in range(times):
        with dial(daemon.port) as connection:
            ports.append(connection.getsockname()[1])
    return ports


def visitors(*logs: Path) -> list[int]:
    """
    Give the clients' ports as the lines of some files tell them, in order.
    """
    lines = [line for log in logs for line in log.read_text().splitlines()]
    found = [re.search(r"127\.0\.0\.1:(\d+)", line) for line in lines if CUT_SHORT in line]
    return [int(match[1]) for match in found if match is not None]


def rotated(daemon: Background, number: int) -> Path:
    """
    Name a rotated log file.
    """
    return daemon.log.with_name(f"{daemon.log.name}.{number}")


def events(log: Path) -> list[dict[str, Any]]:
    """
    Read a log file of JSON lines.
    """
    return [json.loads(line) for line in log.read_text().splitlines()]

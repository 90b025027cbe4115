"""
Our own daemon as a program of a measurement.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from bench.kcp.programs import foreign
from bench.proxies import ROOT, TWISTD

LOCAL = "interface=127.0.0.1"


def daemon(
    options: Sequence[str], *awaited: tuple[str, int], prefix: Sequence[str] = ()
) -> AbstractContextManager[int]:
    """
    Run our daemon until it is not needed any more.

    @param options: Its own.
    @param awaited: Protocols and ports that it is ready with.
    @param prefix: What goes before the command.
    @return: The number of the process.
    """
    command = [*prefix, "env", f"PYTHONPATH={ROOT}", sys.executable, *TWISTD]
    return foreign([*command, "-n", "--pidfile=", "socksproxy", *options], *awaited)


def parameters(given: Mapping[str, Any]) -> list[str]:
    """
    Write parameters as those of an endpoint string or of a query.
    """
    words = {True: "yes", False: "no"}
    return [
        f"{name}={words[value] if isinstance(value, bool) else value}"
        for name, value in given.items()
    ]
